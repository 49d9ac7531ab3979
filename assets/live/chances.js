// Exact probabilities of the endpoint classes: memnb.minnorm.probabilities, for edges of length 1.

const FAR = 9; // standard deviations
const ERROR = 18.4; // of the inversion
const TERMS = 15;
const AVERAGED = 11;
const COUNT = TERMS + AVERAGED + 1;
const NOTHING = 1e-17; // no weight of a node and no probability that small can be seen

// Nodes and weights of the Gauss-Legendre rule, by Newton's method.
export function gaussLegendre(n) {
  const nodes = new Float64Array(n);
  const weights = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let x = -Math.cos(Math.PI * (i + 0.75) / (n + 0.5));
    let slope = 1;
    for (let step = 0; step < 8; step++) {
      let [p, before] = [1, 0];
      for (let k = 1; k <= n; k++) [p, before] = [((2 * k - 1) * x * p - (k - 1) * before) / k, p];
      slope = n * (x * p - before) / (x * x - 1);
      x -= p / slope;
    }
    nodes[i] = x;
    weights[i] = 2 / ((1 - x * x) * slope * slope);
  }
  return { nodes, weights };
}

const RULE = gaussLegendre(48);
const density = (x) => Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);

// Distribution function of the standard normal: a series, and far out a continued fraction.
export function normal(x) {
  const size = Math.abs(x);
  if (size > 6) {
    let tail = 0;
    for (let k = 60; k > 0; k--) tail = k / (size + tail);
    const p = density(size) / (size + tail);
    return x > 0 ? 1 - p : p;
  }
  let [term, sum] = [x, x];
  for (let k = 3; Math.abs(term) > 1e-18 * Math.abs(sum); k += 2) {
    term *= x * x / k;
    sum += term;
  }
  return 0.5 + density(x) * sum;
}

// P(chi^2 <= x) with n degrees of freedom, by steps of two from 1 or 2.
export function chiSquared(x, n) {
  if (n === 0 || x === Infinity) return 1;
  let p = n % 2 ? 2 * normal(Math.sqrt(x)) - 1 : -Math.expm1(-x / 2);
  let term = n % 2 ? 2 * Math.sqrt(x) * density(Math.sqrt(x)) : x / 2 * Math.exp(-x / 2);
  for (let k = n % 2 ? 1 : 2; k < n; k += 2) {
    p -= term;
    term *= x / (k + 2);
  }
  return Math.max(0, p);
}

// log of the gamma function at n / 2
function logGamma(n) {
  let sum = n % 2 ? 0.5 * Math.log(Math.PI) : 0;
  for (let k = n - 2; k > 0; k -= 2) sum += Math.log(k / 2);
  return sum;
}

// How far a coordinate is from its end at time r, as a function of its start u <= 1/2.
class Coordinate {
  constructor(rho, r) {
    const half = 0.5 - rho;
    Object.assign(this, { rho, r, half, rate: rho / half });
  }

  // The start from which v is reached.
  start(v) {
    const { rho, r, half, rate } = this;
    if (v <= rho * Math.exp(-r)) return Math.max(-FAR, v * Math.exp(Math.min(r, 700)));
    if (v <= rho) return 0.5 - half * Math.exp(-rate * (r + Math.log(v / rho)));
    return 0.5 - Math.max(0, 0.5 - v) * Math.exp(-rate * r);
  }

  // Probabilities to start low or high, and to be from low to high away from that end.
  within(low, high) {
    const [a, b] = [this.start(low), this.start(high)];
    return [normal(b) - normal(a), normal(b - 1) - normal(a - 1)];
  }

  // Calls each(u, weight, v) for the nodes of a rule for all starts with |v| <= top.
  quadrature(top, each) {
    const { rho, r, half, rate } = this;
    const [shrink, least, reached] = [Math.exp(-r), rho * Math.exp(-r), Math.min(top, rho)];
    const rule = (a, b, visit) => {
      if (!(a < b)) return;
      for (let i = 0; i < RULE.nodes.length; i++) {
        visit((a + b) / 2 + (b - a) / 2 * RULE.nodes[i], (b - a) / 2 * RULE.weights[i]);
      }
    };
    const twice = (a, b, visit) => {
      rule(a, (a + b) / 2, visit);
      rule((a + b) / 2, b, visit);
    };
    const fallen = (u, w) => each(u, w, shrink * u);
    twice(this.start(-top), 0, fallen);
    twice(0, Math.min(rho, this.start(top)), fallen);
    if (least < reached) {
      const marks = [8, 1.5, 0].map((x) => Math.max(least, reached * Math.exp(-x)));
      rule(rho, this.start(marks[0]), (u, w) =>
        each(u, w, rho * Math.exp(Math.log(half / (0.5 - u)) / rate - r)));
      const logs = (x, w) => {
        const left = half * Math.exp(-rate * (r + x - Math.log(rho)));
        each(0.5 - left, w * rate * left, Math.exp(x));
      };
      rule(Math.log(marks[0]), Math.log(marks[1]), logs);
      rule(Math.log(marks[1]), Math.log(marks[2]), logs);
    }
    if (rho < top) {
      const grown = Math.exp(Math.min(rate * r, 700));
      twice(this.start(rho), this.start(top), (u, w) => each(u, w, 0.5 - (0.5 - u) * grown));
    }
  }
}

const power = ([x, y], n) => {
  const [size, angle] = [Math.hypot(x, y) ** n, n * Math.atan2(y, x)];
  return [size * Math.cos(angle), size * Math.sin(angle)];
};
const times = ([a, b], [c, d]) => [a * c - b * d, a * d + b * c];
const add = (a, b) => a + b;

// The sums with at most one edge, and all sums
const trainings = (low, high, K) => [low ** K + K * low ** (K - 1) * high, (low + high) ** K];

function inMaximum(coordinate, t, K, nu) {
  const near = chiSquared((t * Math.exp(Math.min(coordinate.r, 300))) ** 2, nu);
  const box = coordinate.within(-t, 0.5).reduce(add) ** K;
  const inside = coordinate.within(t, 0.5).reduce(add) ** K;
  return [...trainings(...coordinate.within(-t, t), K), box, inside].map((p) => near * p);
}

function interior(coordinate, t, K, nu) {
  if (nu === 0) return coordinate.within(t, 0.5).reduce(add) ** K;
  const shrink = Math.exp(-Math.min(coordinate.r, 300));
  const low = Math.min(t / shrink, Math.max(0, Math.sqrt(nu) - FAR));
  const high = Math.min(t / shrink, Math.sqrt(nu) + FAR);
  const scale = (nu / 2 - 1) * Math.LN2 + logGamma(nu);
  let sum = 0;
  RULE.nodes.forEach((x, i) => {
    const q = (low + high) / 2 + (high - low) / 2 * x;
    const face = Math.sqrt(Math.max(0, t * t - (shrink * q) ** 2));
    const inside = coordinate.within(face, 0.5).reduce(add) ** K;
    sum += RULE.weights[i] * Math.exp((nu - 1) * Math.log(q) - 0.5 * q * q - scale) * inside;
  });
  return (high - low) / 2 * sum;
}

// Of one coordinate: near a low or a high end, and beyond the edge. It depends neither on K nor on d.
function transforms(coordinate, t) {
  const [lows, highs, boxes] = [0, 1, 2].map(() => new Float64Array(2 * COUNT));
  coordinate.quadrature(2 * t, (u, weight, v) => {
    const turn = v * v / (t * t);
    const size = weight * Math.exp(-ERROR / 2 * turn);
    const low = size * density(u);
    const high = size * density(1 - u);
    if (low + high < NOTHING) return;
    const out = u < 0 ? low + high : 0;
    const c = Math.cos(Math.PI * turn);
    const s = -Math.sin(Math.PI * turn);
    let x = 1;
    let y = 0;
    for (let k = 0; k < 2 * COUNT; k += 2) {
      lows[k] += low * x;
      lows[k + 1] += low * y;
      highs[k] += high * x;
      highs[k + 1] += high * y;
      boxes[k] += out * x;
      boxes[k + 1] += out * y;
      const next = c * x - s * y;
      y = c * y + s * x;
      x = next;
    }
  });
  return [lows, highs, boxes];
}

function inEuclid(coordinate, t, K, nu, kept) {
  if (!kept.has(coordinate.r)) kept.set(coordinate.r, transforms(coordinate, t));
  const [lows, highs, boxes] = kept.get(coordinate.r);
  const within = coordinate.within(0, 0.5).reduce(add);
  const shrunk = Math.exp(-2 * coordinate.r);
  const sums = [0, 0, 0];
  const results = [0, 0, 0];
  let [binomial, share] = [1, 0]; // Euler's averages of the last partial sums
  for (let k = 0; k < COUNT; k++) {
    const [re, im] = [ERROR / (2 * t * t), Math.PI * k / (t * t)];
    const low = [lows[2 * k], lows[2 * k + 1]];
    const high = [highs[2 * k], highs[2 * k + 1]];
    const box = [boxes[2 * k] + within, boxes[2 * k + 1]];
    const off = power([1 + 2 * re * shrunk, 2 * im * shrunk], -nu / 2);
    const rest = times(off, [re / (re * re + im * im), -im / (re * re + im * im)]);
    const most = power(low, K - 1);
    const training = times(most, [low[0] + K * high[0], low[1] + K * high[1]]);
    const all = [training, power([low[0] + high[0], low[1] + high[1]], K), power(box, K)];
    const sign = (k % 2 ? -1 : 1) * (k ? 1 : 0.5) * Math.exp(ERROR / 2) / (t * t);
    all.forEach((transform, i) => { sums[i] += sign * times(transform, rest)[0]; });
    if (k < TERMS) continue;
    share = binomial / 2 ** AVERAGED;
    binomial *= (AVERAGED - (k - TERMS)) / (k - TERMS + 1);
    sums.forEach((sum, i) => { results[i] += share * sum; });
  }
  return [...results, interior(coordinate, t, K, nu)];
}

// Probabilities of the five classes at time r, for K edges in d dimensions. For the same rho, t and
// norm, `kept` saves most of the work when K or d changes.
export function chances(K, d, rho, r, t, inf, kept = new Map()) {
  if (chiSquared((t * Math.exp(Math.min(r, 300))) ** 2, d - K) < NOTHING ** 0.75) {
    return [0, 0, 0, 0, 1]; // all are still far from the span of the data
  }
  const p = r === Infinity ? [...trainings(normal(0.5), normal(-0.5), K), 1, 0]
    : (inf ? inMaximum : inEuclid)(new Coordinate(rho, r), t, K, d - K, kept);
  return [p[0], p[1] - p[0], p[2] - p[1] - p[3], p[3], 1 - p[2]].map((x) => Math.max(0, x));
}
