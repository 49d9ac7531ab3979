// Denoisers and flows: the formulas of memnb.minnorm, which are the reference.
import { dot, minus, norm } from "./linalg.js";
import { coordinates, fromCoordinates } from "./sets.js";
import { coupledRamps, move } from "./events.js";

// One ramp of the minimum-norm denoiser.
export function ramp(z, low, high, length, rho) {
  const fraction = (z - low - rho) / (high - low - 2 * rho);
  return length * Math.min(1, Math.max(0, fraction));
}

export function denoise(set, rho, y) {
  const z = coordinates(set, y);
  return fromCoordinates(set,
    z.map((x, n) => ramp(x, set.low[n], set.high[n], set.lengths[n], rho)));
}

// The posterior mean if y is one of the points plus noise of standard deviation sigma.
export function empiricalBayes(points, sigma, y) {
  const away = points.map((p) => minus(y, p));
  const size = away.map(norm);
  const m = size.indexOf(Math.min(...size));
  const more = points.map((p, n) =>
    dot(minus(points[m], p), away[n].map((a, i) => a + away[m][i])));
  const least = Math.min(...more);
  const weights = more.map((x) => Math.exp(-((x - least) / sigma) / (2 * sigma)));
  const total = weights.reduce((a, b) => a + b, 0);
  return y.map((_, i) => points.reduce((sum, p, n) => sum + weights[n] * p[i], 0) / total);
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
  const leave = Math.max(0, Math.log(half / Math.abs(offset))) / k;
  if (leave > r) return length / 2 + offset * Math.exp(k * r);
  const edge = upper ? Math.max(distance, -rho) : Math.min(distance, rho);
  return target + edge * Math.exp(leave - r);
}

// Score flow of a point, for a time r that may be infinite.
export function scoreFlow(set, rho, y, r) {
  const z = coordinates(set, y);
  const share = Math.exp(-r);
  const c = set.kind === "orthogonal"
    ? z.map((x, n) => scoreFlowCoordinate(x, set.lengths[n], rho, r) - share * x)
    : move(z, coupledRamps(set, rho), r).c;
  return fromCoordinates(set, c).map((x, i) => x + share * (y[i] - set.center[i]));
}

// Probability flow of a point down to a share of its noise level; rho is that of the start.
export function probabilityFlow(set, rho, y, share) {
  if (set.kind === "orthogonal") {
    return denoise(set, rho, y).map((h, i) => share * y[i] + (1 - share) * h);
  }
  if (!set.oneWidth) throw new Error("ramps of different widths have no closed form");
  const width = set.high[0] - set.low[0];
  const [first, last] = [width - 2 * rho, width - 2 * rho * share];
  const theta = share > 0 ? Math.max(0, Math.log(last / first) - Math.log(share)) : Infinity;
  const z = coordinates(set, y).map((x, n) => set.low[n] + width / first * (x - set.low[n] - rho));
  const { c } = move(z, coupledRamps(set, 0), theta);
  return fromCoordinates(set, c.map((x) => x * last / width))
    .map((x, i) => x + share * (y[i] - set.center[i]));
}

// Points of a flow dy/dr = h(r, y) - y at the times of a grid, by the classical method of order 4
// (its "3/8 rule", which torchdiffeq uses).
export function stepped(h, y, grid) {
  const v = (r, x) => minus(h(r, x), x);
  const path = [y];
  for (let i = 1; i < grid.length; i++) {
    const [r, dr] = [grid[i - 1], grid[i] - grid[i - 1]];
    const at = (share, change) => v(r + share * dr, y.map((x, j) => x + dr * change(j)));
    const a = v(r, y);
    const b = at(1 / 3, (j) => a[j] / 3);
    const c = at(2 / 3, (j) => b[j] - a[j] / 3);
    const d = at(1, (j) => a[j] - b[j] + c[j]);
    y = y.map((x, j) => x + dr * (a[j] + 3 * (b[j] + c[j]) + d[j]) / 8);
    path.push(y);
  }
  return path;
}
