// Denoisers and flows: the formulas of memnb.minnorm, which are the reference.
// A picture asks for thousands of points in each frame, so what is called for each of them loops
// over numbers and, where given, writes into an array `out` that is there already.
import { coordinates } from "./sets.js";
import { advance, coupledRamps } from "./events.js";

// One ramp of the minimum-norm denoiser.
export function ramp(z, low, high, length, rho) {
  const fraction = (z - low - rho) / (high - low - 2 * rho);
  return length * Math.min(1, Math.max(0, fraction));
}

// center + sum_n c_n u_n + share (y - center)
function compose(set, c, y, share, out = new Float64Array(y.length)) {
  const { center, directions } = set;
  for (let i = 0; i < y.length; i++) {
    let x = center[i] + share * (y[i] - center[i]);
    for (let n = 0; n < c.length; n++) x += c[n] * directions[n][i];
    out[i] = x;
  }
  return out;
}

let heights = new Float64Array(2); // of the ramps at one point

export function denoise(set, rho, y, out) {
  const { center, directions, low, high, lengths } = set;
  if (heights.length !== directions.length) heights = new Float64Array(directions.length);
  for (let n = 0; n < directions.length; n++) {
    let z = 0;
    for (let i = 0; i < y.length; i++) z += directions[n][i] * (y[i] - center[i]);
    heights[n] = ramp(z, low[n], high[n], lengths[n], rho);
  }
  return compose(set, heights, y, 0, out);
}

let apart = new Float64Array(3); // how much farther than the nearest the points are

// The posterior mean if y is one of the points plus noise of standard deviation sigma.
export function empiricalBayes(points, sigma, y, out = new Float64Array(y.length)) {
  const count = points.length;
  const d = y.length;
  if (apart.length !== count) apart = new Float64Array(count);
  let nearest = points[0];
  let best = Infinity;
  for (const point of points) {
    let square = 0;
    for (let i = 0; i < d; i++) square += (y[i] - point[i]) ** 2;
    if (square < best) {
      best = square;
      nearest = point;
    }
  }
  let least = Infinity;
  for (let n = 0; n < count; n++) {
    let farther = 0;
    for (let i = 0; i < d; i++) {
      const a = nearest[i];
      const b = points[n][i];
      farther += (a - b) * (y[i] - b + (y[i] - a));
    }
    apart[n] = farther;
    least = Math.min(least, farther);
  }
  let total = 0;
  for (let i = 0; i < d; i++) out[i] = 0;
  for (let n = 0; n < count; n++) {
    const weight = Math.exp(-((apart[n] - least) / sigma) / (2 * sigma));
    total += weight;
    for (let i = 0; i < d; i++) out[i] += weight * points[n][i];
  }
  for (let i = 0; i < d; i++) out[i] /= total;
  return out;
}

// Score flow of one coordinate of orthogonal data for a time r, which may be infinite.
export function scoreFlowCoordinate(z, length, rho, r) {
  const upper = z > length / 2;
  const target = upper ? length : 0;
  const distance = z - target;
  if (rho === 0) {
    return z + (upper ? Math.max(0, distance) : Math.min(0, distance)) * Math.expm1(-r);
  }
  const half = length / 2 - rho;
  const k = rho / half;
  const offset = z - length / 2;
  if (offset === 0) return length / 2;
  const leave = Math.abs(offset) < half ? Math.log(half / Math.abs(offset)) / k : 0;
  if (leave > r) return length / 2 + offset * Math.exp(k * r);
  const edge = upper ? Math.max(distance, -rho) : Math.min(distance, rho);
  return target + edge * Math.exp(leave - r);
}

// Of the one start that is followed: its coordinates z and the c_n of where it is, which is
// center + sum_n c_n u_n + e^-r (y - center)
let followed = { z: new Float64Array(2), c: new Float64Array(2) };

function follow(set, y) {
  const count = set.directions.length;
  if (followed.z.length !== count) {
    followed = { z: new Float64Array(count), c: new Float64Array(count) };
  }
  coordinates(set, y, followed.z);
  followed.c.fill(0);
  return followed;
}

// Score flow of a point at increasing times, which may be infinite.
export function scorePath(set, rho, y, times) {
  const { z, c } = follow(set, y);
  const path = [];
  if (set.kind === "orthogonal") {
    for (const r of times) {
      const share = Math.exp(-r);
      for (let n = 0; n < z.length; n++) {
        c[n] = scoreFlowCoordinate(z[n], set.lengths[n], rho, r) - share * z[n];
      }
      path.push(compose(set, c, y, share));
    }
    return path;
  }
  const ramps = coupledRamps(set, rho);
  let before = 0;
  for (const r of times) {
    advance(z, c, ramps, r - before);
    before = r;
    path.push(compose(set, c, y, Math.exp(-r)));
  }
  return path;
}

export const scoreFlow = (set, rho, y, r) => scorePath(set, rho, y, [r])[0];

// Probability flow of a point down to falling shares of its noise level; rho is that of the start.
export function probabilityPath(set, rho, y, shares) {
  if (set.kind === "orthogonal") {
    const h = denoise(set, rho, y);
    return shares.map((share) => h.map((x, i) => share * y[i] + (1 - share) * x));
  }
  if (!set.oneWidth) throw new Error("ramps of different widths have no closed form");
  const width = set.high[0] - set.low[0];
  const first = width - 2 * rho;
  const ramps = coupledRamps(set, 0);
  const { z, c } = follow(set, y);
  for (let n = 0; n < z.length; n++) z[n] = set.low[n] + width / first * (z[n] - set.low[n] - rho);
  let before = 0;
  return shares.map((share) => {
    const last = width - 2 * rho * share;
    const theta = share > 0 ? Math.max(0, Math.log(last / first) - Math.log(share)) : Infinity;
    if (theta > before) advance(z, c, ramps, theta - before);
    before = theta;
    return compose(set, c.map((x) => x * last / width), y, share);
  });
}

export const probabilityFlow = (set, rho, y, share) => probabilityPath(set, rho, y, [share])[0];

// Points of a flow dy/dr = h(r, y) - y at the times of a grid, by the classical method of order 4
// (its "3/8 rule", which torchdiffeq uses).
export function stepped(h, y, grid) {
  const d = y.length;
  const [x, a, b, c] = [0, 1, 2, 3].map(() => new Float64Array(d));
  const path = [y];
  for (let i = 1; i < grid.length; i++) {
    const r = grid[i - 1];
    const dr = grid[i] - r;
    const from = path[i - 1];
    const to = new Float64Array(d);
    let v = h(r, from);
    for (let j = 0; j < d; j++) {
      a[j] = v[j] - from[j];
      x[j] = from[j] + dr * a[j] / 3;
    }
    v = h(r + dr / 3, x);
    for (let j = 0; j < d; j++) {
      b[j] = v[j] - x[j];
      x[j] = from[j] + dr * (b[j] - a[j] / 3);
    }
    v = h(r + 2 * dr / 3, x);
    for (let j = 0; j < d; j++) {
      c[j] = v[j] - x[j];
      x[j] = from[j] + dr * (a[j] - b[j] + c[j]);
    }
    v = h(r + dr, x);
    for (let j = 0; j < d; j++) {
      to[j] = from[j] + dr * (a[j] + 3 * (b[j] + c[j]) + v[j] - x[j]) / 8;
    }
    path.push(to);
  }
  return path;
}
