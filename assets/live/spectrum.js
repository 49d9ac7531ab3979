// The linear model: its fit, the spectrum of what it generates, and the limit of both, as in
// memnb.linear.model, memnb.linear.divergences and memnb.linear.limit, with sigma = 1.
import { Chart, keeper } from "./chart.js";
import { Normals } from "./random.js";
import { list } from "./stage.js";

const FLOOR = 1e-6; // lowest variance of the picture
const CEILING = 1e3;
const EPSILON = 2 ** -52;
const REAL = 1e-7; // a root with a smaller imaginary part, relative to its size, is real

// Eigenvalues of a symmetric matrix, rising: Householder's reduction to a tridiagonal matrix and
// implicit QL steps (Golub and Van Loan, Matrix Computations, section 8.3).
export function eigenvalues(matrix) {
  const n = matrix.length;
  const a = matrix.map((row) => Float64Array.from(row));
  const [d, e] = [new Float64Array(n), new Float64Array(n)];
  for (let k = 0; k < n - 1; k++) {
    const v = a[k].slice(k + 1);
    d[k] = a[k][k];
    const size = Math.hypot(...v);
    e[k] = v[0] > 0 ? -size : size;
    v[0] -= e[k];
    const square = v.reduce((sum, x) => sum + x * x, 0);
    if (square === 0) continue;
    const m = v.length;
    const p = new Float64Array(m);
    for (let i = 0; i < m; i++) {
      const row = a[k + 1 + i];
      let sum = 0;
      for (let j = 0; j < m; j++) sum += row[k + 1 + j] * v[j];
      p[i] = 2 * sum / square;
    }
    const share = p.reduce((sum, x, i) => sum + x * v[i], 0) / square;
    for (let i = 0; i < m; i++) p[i] -= share * v[i];
    for (let i = 0; i < m; i++) {
      const row = a[k + 1 + i];
      for (let j = 0; j < m; j++) row[k + 1 + j] -= v[i] * p[j] + p[i] * v[j];
    }
  }
  d[n - 1] = a[n - 1][n - 1];
  const least = EPSILON * Math.max(...d.map((x, i) => Math.abs(x) + Math.abs(e[i])));
  for (let low = 0; low < n; low++) {
    for (let step = 0; ; step++) {
      if (step > 60) throw new Error("the eigenvalues have not converged");
      let m = low;
      while (m < n - 1 && Math.abs(e[m]) > least) m++;
      if (m === low) break;
      let g = (d[low + 1] - d[low]) / (2 * e[low]);
      const root = Math.hypot(g, 1);
      g = d[m] - d[low] + e[low] / (g + (g < 0 ? -root : root));
      let [s, c, p] = [1, 1, 0];
      let i = m - 1;
      for (; i >= low; i--) {
        const f = s * e[i];
        const b = c * e[i];
        const size = Math.hypot(f, g);
        e[i + 1] = size;
        if (size === 0) {
          d[i + 1] -= p;
          break;
        }
        s = f / size;
        c = g / size;
        g = d[i + 1] - p;
        const t = (d[i] - g) * s + 2 * c * b;
        p = s * t;
        d[i + 1] = g + p;
        g = c * t - b;
      }
      if (i >= low) {
        e[m] = 0;
        continue;
      }
      d[low] -= p;
      e[low] = g;
      e[m] = 0;
    }
  }
  return [...d].sort((x, y) => x - y);
}

// Singular values, falling, of a square matrix: the positive eigenvalues of [[0, A], [A^T, 0]],
// which keep the digits of small ones that A A^T would lose.
// Roughly, from that product, they take an eighth of the time.
export function singularValues(a, rough = false) {
  const n = a.length;
  if (rough) {
    const squares = a.map((row) => Float64Array.from(a, (other) => product(row, other)));
    return eigenvalues(squares).reverse().map((x) => Math.sqrt(Math.max(0, x)));
  }
  const zero = new Array(n).fill(0);
  const both = [...a.map((row) => [...zero, ...row]),
    ...a.map((_, j) => [...a.map((row) => row[j]), ...zero])];
  return eigenvalues(both).reverse().slice(0, n).map((x) => Math.max(0, x));
}

// The first of the two factors of columns = Q R, as reflections; R lies on and above their diagonal.
function reflections(columns) {
  return columns.map((column, k) => {
    const v = column.slice(k);
    const size = Math.hypot(...v);
    v[0] += v[0] > 0 ? size : -size;
    const square = v.reduce((sum, x) => sum + x * x, 0);
    for (let j = k; j < columns.length; j++) reflect(columns[j], v, k, square);
    return { v, square };
  });
}

function reflect(x, v, k, square) {
  let sum = 0;
  for (let i = 0; i < v.length; i++) sum += v[i] * x[k + i];
  sum *= 2 / square;
  for (let i = 0; i < v.length; i++) x[k + i] -= sum * v[i];
}

// Solve min |X B - Y| for columns of X and Y with n rows; of many solutions the least. Returns
// the columns of B. X has full rank.
export function leastSquares(X, Y) {
  const [n, d] = [X[0].length, X.length];
  if (n > 3 * d) return solveNormal(X, Y); // so well conditioned that squares lose nothing
  if (n >= d) {
    const r = X.map((x) => x.slice());
    const q = reflections(r);
    return Y.map((y) => {
      const b = y.slice();
      q.forEach(({ v, square }, k) => reflect(b, v, k, square));
      for (let i = d - 1; i >= 0; i--) {
        for (let j = i + 1; j < d; j++) b[i] -= r[j][i] * b[j];
        b[i] /= r[i][i];
      }
      return b.slice(0, d);
    });
  }
  const rows = Array.from({ length: n }, (_, i) => Float64Array.from(X, (x) => x[i]));
  const q = reflections(rows);
  return Y.map((y) => {
    const b = new Float64Array(d);
    for (let i = 0; i < n; i++) {
      b[i] = y[i];
      for (let j = 0; j < i; j++) b[i] -= rows[i][j] * b[j];
      b[i] /= rows[i][i];
    }
    for (let k = n - 1; k >= 0; k--) reflect(b, q[k].v, k, q[k].square);
    return b;
  });
}

const product = (x, y) => {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * y[i];
  return sum;
};

// The lower Cholesky factor of a matrix of which the lower part is given; in place.
function cholesky(a) {
  a.forEach((row, i) => {
    for (let j = 0; j <= i; j++) {
      let sum = row[j];
      for (let k = 0; k < j; k++) sum -= row[k] * a[j][k];
      row[j] = i === j ? Math.sqrt(sum) : sum / a[j][j];
    }
  });
  return a;
}

function forward(lower, b) {
  for (let i = 0; i < lower.length; i++) {
    for (let j = 0; j < i; j++) b[i] -= lower[i][j] * b[j];
    b[i] /= lower[i][i];
  }
  return b;
}

function solveNormal(X, Y) {
  const lower = cholesky(X.map((x, i) => Float64Array.from(X.slice(0, i + 1), (y) => product(x, y))));
  return Y.map((y) => {
    const b = forward(lower, Float64Array.from(X, (x) => product(x, y)));
    for (let i = lower.length - 1; i >= 0; i--) {
      for (let j = i + 1; j < lower.length; j++) b[i] -= lower[j][i] * b[j];
      b[i] /= lower[i][i];
    }
    return b;
  });
}

// Contrasts of n numbers, n - 1 of them, at right angles to their mean and to one another
// (Helmert): least squares with an intercept, without one.
function contrasts(x) {
  const result = new Float64Array(x.length - 1);
  let sum = x[0];
  for (let k = 1; k < x.length; k++) {
    result[k - 1] = (sum - k * x[k]) / Math.sqrt(k * (k + 1));
    sum += x[k];
  }
  return result;
}

function mean(x) {
  let sum = 0;
  for (let k = 0; k < x.length; k++) sum += x[k];
  return sum / x.length;
}

// What the model generates: variances along its axes, falling, and the distance H^2 to the truth.
// y and z are columns of training points and of noise; memnb.linear.LinearModel.fit.
export function generated(y, z, T, lambda, rough = false) {
  const [d, n] = [y.length, y[0].length];
  const rank = Math.min(n - 1, d);
  const shrink = Math.exp(-T);
  const noise = -lambda * Math.expm1(-2 * T);
  const spread = Math.hypot(shrink, Math.sqrt(noise));
  const [a, b] = [shrink / spread, Math.sqrt(noise) / spread];
  const Y = y.map(contrasts);
  const X = z.map((column, i) => {
    const x = contrasts(column);
    for (let k = 0; k < x.length; k++) x[k] = a * Y[i][k] + b * x[k];
    return x;
  });
  const variance = Y.reduce((sum, column) => sum + product(column, column), 0) / (n * d);
  const size = a * a * variance + b * b;
  const theta = leastSquares(X, Y); // row i of theta_1 is column i of B
  const values = singularValues(theta, rough).map((s, i) => (i < rank ? size * s * s : 0));
  if (rank < d) return { values, rank, hellinger: 1 };
  const shift = z.map((column) => -b * mean(column));
  const offset = Float64Array.from(theta, (row, i) => mean(y[i]) + product(row, shift));
  const plus = cholesky(theta.map((row, i) =>
    Float64Array.from(theta.slice(0, i + 1), (other, j) => size * product(row, other) + (i === j))));
  const m = forward(plus, offset);
  const log = values.reduce((sum, v) => sum + Math.log(v) / 4 - Math.log((1 + v) / 2) / 2, 0);
  return { values, rank, hellinger: -Math.expm1(log - product(m, m) / 4) };
}

// Density of the limiting spectrum: memnb.linear.limit.spectral_density, from the complex root of
// a quartic, by Durand and Kerner's iteration until no root moves by more than a precision, which is
// relative; as the errors of simple roots are squared by each step, they are smaller by then.
export function limitDensity(x, gamma, c, precision = 1e-15) {
  const lead = (1 - gamma) * c * c;
  const given = [-x * x, x * ((1 + gamma) * x + c), -gamma * x * (1 + c + x),
    c * ((2 * gamma - 1) * x + gamma - c)].map((v) => v / lead);
  // Scaled so that the roots are of order one
  const unit = Math.max(...given.map((v, k) => Math.abs(v) ** (1 / (4 - k))));
  const monic = given.map((v, k) => v / unit ** (4 - k));
  const re = [0, 1, 2, 3].map((k) => Math.cos(0.4 + 1.6 * k));
  const im = [0, 1, 2, 3].map((k) => Math.sin(0.4 + 1.6 * k));
  for (let step = 0, most = 1; step < 60 && most > precision; step++) {
    most = 0;
    for (let k = 0; k < 4; k++) {
      const a = re[k];
      const b = im[k];
      let u = 1; // the quartic, by Horner's rule
      let v = 0;
      for (let m = 3; m >= 0; m--) {
        const real = u * a - v * b + monic[m];
        v = u * b + v * a;
        u = real;
      }
      for (let m = 0; m < 4; m++) {
        if (m === k) continue;
        const f = a - re[m];
        const g = b - im[m];
        const size = f * f + g * g;
        const real = (u * f + v * g) / size;
        v = (v * f - u * g) / size;
        u = real;
      }
      re[k] -= u;
      im[k] -= v;
      most = Math.max(most, (Math.abs(u) + Math.abs(v)) / (Math.abs(a) + Math.abs(b)));
    }
  }
  let density = 0;
  for (let k = 0; k < 4; k++) {
    if (Math.abs(im[k]) < REAL * Math.hypot(re[k], im[k])) continue; // a real root
    const [a, b] = [re[k] * unit, im[k] * unit]; // q / (c q^2 - x)
    const [f, g] = [c * (a * a - b * b) - x, 2 * c * a * b];
    density = Math.max(density, (b * f - a * g) / (f * f + g * g) / Math.PI);
  }
  return density;
}

// The last place, from `within` towards `beyond`, where something holds, by bisection.
function edge(holds, within, beyond, steps, slack = 0) {
  if (holds(beyond)) return beyond;
  const from = within;
  for (let step = 0; step < steps; step++) {
    if (Math.abs(beyond - within) < slack * Math.abs(within - from)) break;
    const middle = (within + beyond) / 2;
    if (holds(middle)) within = middle;
    else beyond = middle;
  }
  return within;
}

// The limiting spectrum as a curve: variances, and which share of all is larger.
// memnb.linear.limit.spectral_curve. A rough one finds its ends to 0.2 % of its width.
export function limitCurve(gamma, c, points, rough = false) {
  const [precision, slack] = rough ? [1e-5, 0.002] : [1e-15, 0];
  const inside = (log) => limitDensity(Math.exp(log), gamma, c, precision) > 0;
  const [low, high] = [1e-8, 1e8].map((x) => edge(inside, Math.log(c), Math.log(x), 30, slack));
  const [middle, half] = [(low + high) / 2, (high - low) / 2];
  const values = [];
  const shares = [];
  let [share, before] = [0, 0];
  for (let k = 0; k <= points; k++) { // from the largest; evenly in the angle, dense at the edges
    const angle = Math.PI * k / points;
    const x = Math.exp(middle + half * Math.cos(angle));
    const mass = limitDensity(x, gamma, c, precision) * x * half * Math.sin(angle);
    share += (before + mass) / 2 * Math.PI / points;
    before = mass;
    values.push(x);
    shares.push(share);
  }
  return { values, shares };
}

// Limit of log(1 - H^2) / d: memnb.linear.limit.limit_rates.
export function limitAffinity(gamma, c) {
  const nodes = 2000;
  const [t, weights] = [new Float64Array(nodes), new Float64Array(nodes)];
  let total = 0;
  let above = 0; // the average of t / c - 1
  for (let k = 0; k < nodes; k++) {
    const angle = Math.PI * (k + 1) / (nodes + 1);
    const x = 1 + gamma + 2 * Math.sqrt(gamma) * Math.cos(angle);
    t[k] = (1 - c) * gamma / x;
    weights[k] = Math.sin(angle) ** 2 / x;
    total += weights[k];
    above += weights[k] * (t[k] / c - 1);
  }
  // The average of log(a t + b)
  const logs = (a, b) => {
    let sum = 0;
    for (let k = 0; k < nodes; k++) sum += weights[k] * Math.log(a * t[k] + b);
    return sum / total;
  };
  let small = Math.log(c);
  if (gamma > c && above > 0) {
    // E t / (u t + c) = 1 by Newton's method for one over it, which is concave in u, from u = 0 up;
    // in 1 - u, to keep digits where u is almost 1
    let left = 1;
    for (let step = 0, move = 1; step < 60 && Math.abs(move) > 1e-15 * left; step++) {
      let [excess, slope] = [0, 0];
      for (let k = 0; k < nodes; k++) {
        const share = 1 / ((1 - left) * t[k] + c);
        excess += weights[k] * (left * t[k] - c) * share;
        slope += weights[k] * (t[k] * share) ** 2;
      }
      move = excess * (1 + excess / total) / slope;
      left -= move;
    }
    small = logs(1 - left, c) - (1 - left);
  }
  // The quartic of the density at -1, with q = 1 / (1 + delta~)
  const quartic = (x) => (((1 - gamma) * c * c * x + c * (1 - gamma - c)) * x + gamma * c) * x * x
    + (1 + gamma - c) * x - 1; // rises from below zero on (0, 1)
  const q = edge((x) => quartic(x) < 0, 0, 1, 60);
  const delta = q / (c * q * q + 1);
  const one = logs(delta / q, 1 / q + c) - delta * (1 / q - 1);
  return small / 4 - (one - Math.LN2) / 2;
}

export class Spectrum {
  constructor(box, spec, change) {
    Object.assign(this, { spec, keep: keeper() });
    this.normals = Object.fromEntries(["y", "z"].map((name) =>
      [name, new Normals(spec.most, spec.width)]));
    this.chart = new Chart(box, () => this.last && change({}));
  }

  // A rough picture has a limit of fewer points, and fewer digits of small variances.
  draw(state, rough = false) {
    this.last = state;
    const { n, d, T, seed } = state;
    const { width } = this.spec;
    const lambda = Math.exp(state.log_lam);
    const columns = (name) => {
      const key = [name, seed].join();
      const rows = this.keep(name, key, () => this.normals[name].restart(this.spec[name][seed]));
      return this.keep(`columns of ${name}`, [key, n, d].join(), () => {
        const values = rows.upTo(n, d);
        return Array.from({ length: d }, (_, i) => {
          const column = new Float64Array(n);
          for (let k = 0; k < n; k++) column[k] = values[k * width + i];
          return column;
        });
      });
    };
    const [y, z] = [columns("y"), columns("z")];
    const { values, rank, hellinger } = this.keep("fit", [n, d, T, lambda, seed, rough].join(), () =>
      generated(y, z, T, lambda, rough));
    const signal = Math.exp(-2 * T);
    const c = signal / (signal - lambda * Math.expm1(-2 * T));
    const gamma = d / (n - 1);
    const points = rough ? 40 : 100;
    const limit = gamma < 1
      ? this.keep("limit", [gamma, c, points].join(), () => limitCurve(gamma, c, points, rough))
      : { values: [], shares: [] };
    const far = gamma < 1 ? this.keep("far", [gamma, c].join(), () => limitAffinity(gamma, c)) : null;
    const index = values.map((_, k) => k + 1);
    const shown = values.map((v) => Math.min(CEILING, Math.max(FLOOR, v)));
    const ends = [0.5, d + 0.5];
    list(this.chart.legend, "kind", [
      ["dot", `generated: rank ${rank} of ${d}`], ["zero", "generated, zero"],
      ["limit", "limit of large n and d"], ["true", "true"], ["far", "n → ∞"],
    ]);
    this.chart.draw({
      x: { title: "eigenvalue, by size", low: ends[0], high: ends[1], whole: true },
      y: { title: "variance, in units of σ²", low: FLOOR / 1.6, high: CEILING, log: true },
      layers: [
        { kind: "line", color: "#009E73", dash: "8 4", xs: ends, ys: [1, 1] },
        { kind: "line", color: "#CC79A7", dash: "2 3", xs: ends, ys: [c, c] },
        { kind: "line", color: "#D55E00", xs: limit.shares.map((s) => 0.5 + s * d),
          ys: limit.values.map((v) => Math.min(CEILING, Math.max(FLOOR, v))) },
        { kind: "circle", color: "#0072B2", size: 4, xs: index.slice(0, rank), ys: shown },
        { kind: "triangle-down", color: "#0072B2", open: true, size: 5, xs: index.slice(rank),
          ys: shown.slice(rank) },
      ],
      label: `${this.spec.alt} ${rank} of ${d} variances are not zero.`,
    });
    this.chart.svg.dataset.values = JSON.stringify(values);
    this.chart.svg.dataset.hellinger = String(hellinger);
    const close = (h) => (h > 0.99999 && h < 1 ? `1\u00a0−\u00a0${(1 - h).toExponential(1).replace("-", "\u2011")}` : h.toFixed(4));
    const words = `c = ${Number(c.toPrecision(3))}, H² = ${rank < d ? "1" : close(hellinger)}, `
      + (far === null ? "no limit for n ≤ d + 1" : `its limit ${close(-Math.expm1(d * far))}`);
    return {
      status: `With ${n} training points in ${d} dimensions, ${rank} variances are not zero; ${words}.`,
      note: words,
    };
  }
}
