// Coupled ramps, solved from event to event: memnb.minnorm._events, one start at a time.
import { dot, eigh } from "./linalg.js";

const EPS = 2 ** -52;
const BLUR = 45 * EPS; // smaller distances and speeds, relative to the ramps, are zero
const SMALL = 0.05; // modes of smaller mu are not split off, since that would cancel
const MAX_STEPS = 20000;

export function coupledRamps(set, rho) {
  const cache = set.ramps ??= new Map();
  if (cache.size > 8) cache.clear();
  if (!cache.has(rho)) cache.set(rho, makeRamps(set, rho));
  return cache.get(rho);
}

function makeRamps(set, rho) {
  const u = set.directions;
  const start = set.low.map((x) => x + rho);
  const stop = set.high.map((x) => x - rho);
  const excess = set.lengths.map((length, n) => {
    const width = set.high[n] - set.low[n];
    return (length - width + 2 * rho) / (width - 2 * rho);
  });
  const unit = Math.max(...set.lengths, ...start.map(Math.abs), ...stop.map(Math.abs));
  return {
    start, stop, excess, unit, lengths: set.lengths, modes: new Map(),
    coupling: u.map((a, n) => u.map((b, m) => (n === m ? 0 : dot(a, b)))),
    beyond: set.lengths.map((length, n) => length - set.high[n] + rho),
  };
}

// sum_k mu^(k-1) P(k+1, r) with the incomplete gamma function P, for small mu
function smallGrowth(mu, r) {
  if (r === Infinity) return 1 / (1 - mu);
  let term = Math.exp(-r);
  let tail = 0; // P(8, r) = sum of r^j e^-r / j! from j = 8
  for (let j = 1; j < 8; j++) term *= r / j;
  const last = term;
  for (let j = 8; j < 400 && (term *= r / j) > 1e-18 * tail; j++) tail += term;
  if (r > 100) tail = 1;
  let [p, q, sum] = [tail, last, 0];
  for (let k = 6; k > 0; k--) { // P(k + 1) = P(k + 2) + r^(k+1) e^-r / (k+1)!
    p += q;
    q *= (k + 1) / r;
    sum = sum * mu + p;
  }
  return r === 0 ? 0 : sum;
}

// The integral of e^-t (e^(mu t) - 1) / mu, for rate = mu - 1
function growth(rate, r) {
  const mu = 1 + rate;
  if (mu < 1e-3) return smallGrowth(mu, r);
  const finite = Math.min(r, 1e300);
  return ((rate === 0 ? finite : Math.expm1(rate * finite) / rate) + Math.expm1(-r)) / mu;
}

const span = (rate, left) =>
  rate === 0 ? left : Math.expm1(rate * Math.min(left, 1e300)) / rate;

// Rates and modes of a piece; each is computed once.
function linearize(ramps, piece, forever) {
  const key = piece.join() + forever;
  if (ramps.modes.has(key)) return ramps.modes.get(key);
  const root = piece.map((p, n) => (p === 1 ? Math.sqrt(1 + ramps.excess[n]) : 0));
  const matrix = ramps.coupling.map((row, n) => row.map((g, m) => root[n] * g * root[m]));
  const excess = piece.map((p, n) => (p === 1 ? ramps.excess[n] : 0));
  const fill = Math.max(...excess, ...matrix.flat().map(Math.abs));
  matrix.forEach((row, n) => { row[n] += piece[n] === 1 ? excess[n] : -fill; });
  const { values, vectors } = eigh(matrix);
  const rate = values.map((x) => Math.max(-1, forever && Math.abs(x) <= BLUR ? 0 : x));
  const p = vectors.map((q) => q.map((x, n) => root[n] * x));
  const gp = p.map((mode) => mode.map((x, n) => x + dot(ramps.coupling[n], mode)));
  const result = { rate, p, gp, root };
  ramps.modes.set(key, result);
  return result;
}

// Heights phi(z), velocity G phi(z) - z, and the size of the terms of which it is made.
function speed(ramps, piece, z) {
  const { start, stop, lengths, excess, beyond, coupling } = ramps;
  const height = z.map((x, n) =>
    [0, (1 + excess[n]) * (x - start[n]), lengths[n]][piece[n]]);
  const most = z.map((x, n) =>
    [0, (1 + excess[n]) * (Math.abs(x) + Math.abs(start[n])), lengths[n]][piece[n]]);
  const own = z.map((x, n) =>
    [-x, excess[n] * (x - start[n]) - start[n], beyond[n] - (x - stop[n])][piece[n]]);
  const pull = coupling.map((row) => dot(row, height));
  const terms = z.map((x, n) => {
    const size = Math.abs(x) + Math.abs(start[n]);
    const weight = piece[n] === 1 ? Math.abs(excess[n]) : 1;
    return weight * size + Math.abs(start[n])
      + coupling[n].reduce((sum, g, m) => sum + Math.abs(g) * most[m], 0);
  });
  return { height, pull, terms, v: own.map((x, n) => x + pull[n]) };
}

// Solve dz/dr = G phi(z) - z for a time r, which may be infinite.
export function move(begin, ramps, r) {
  let z = [...begin];
  const { start, stop, excess, unit, coupling } = ramps;
  const forever = r === Infinity;
  const [tiny, near] = [BLUR * unit, 45 * unit];
  const piece = z.map((x, n) => (x > start[n]) + (x >= stop[n]));
  let c = z.map(() => 0);
  let [left, events] = [r, 0];
  for (let step = 0; left > 0; step++) {
    if (step > MAX_STEPS) throw new Error(`a start did not settle within ${MAX_STEPS} steps`);
    const { rate, p, gp, root } = linearize(ramps, piece, forever);
    const { height, pull, terms, v } = speed(ramps, piece, z);
    const amplitude = p.map((mode) => dot(mode, v));
    // Without end, what rounding put on a mode that does not decay must not decide.
    const blur = Math.hypot(...root.map((x, n) => x * terms[n]));
    const most = unit * Math.hypot(...root);
    const still = rate.map((x, j) => forever && x >= 0
      && Math.abs(amplitude[j]) < BLUR * (blur + Math.abs(x) * most));
    const share = rate.map((x, j) => (1 + x > SMALL ? amplitude[j] / (1 + x) : 0));
    const lasting = share.map((x, j) => (still[j] ? 0 : x));
    const growing = Math.max(1e-300, ...rate.filter((_, j) => lasting[j] !== 0));
    const horizon = Math.min(left, 1 / growing); // no mode grows by more than a factor e
    const each = z.map((_, n) => {
      let [total, moving, reach, bound, rest] = [0, 0, 0, 0, 0];
      rate.forEach((x, j) => {
        const [g, a] = [gp[j][n], Math.abs(gp[j][n])];
        total += g * share[j];
        moving += g * lasting[j];
        if (1 + x <= SMALL) rest += a * Math.abs(amplitude[j]);
        if (lasting[j] === 0 || a === 0) return;
        reach += a * Math.abs(lasting[j]) * span(x, left);
        bound += a * Math.abs(lasting[j] * x) * Math.exp(Math.max(0, x) * horizon);
      });
      const base = v[n] - total;
      let size = Math.abs(base) + rest / (1 - SMALL);
      // A base below rounding goes nowhere, and would shorten the steps of a slow flow.
      const quiet = size < BLUR * terms[n];
      if (quiet) size = 0;
      const low = [-Infinity, start[n], stop[n]][piece[n]];
      const high = [start[n], stop[n], Infinity][piece[n]];
      return {
        velocity: (quiet ? 0 : base) + moving, reach: reach + size, bound: bound + size,
        gaps: [z[n] - low, high - z[n]],
      };
    });
    const settled = z.every((x) => Math.abs(x) <= near)
      && each.every((e) => e.gaps.every((gap) => e.reach <= gap + tiny));
    let dr = left;
    let turned = false;
    if (!settled) {
      dr = horizon;
      each.forEach((e, n) => e.gaps.forEach((gap, side) => {
        if (gap === Infinity) return;
        const outward = side ? e.velocity : -e.velocity;
        // A speed below slope times gap may turn on the way to the edge.
        const clear = outward > BLUR * terms[n] + (1 + excess[n]) * Math.max(0, gap);
        if ((gap <= tiny && clear) || (gap < -2 * tiny && outward > 0)) {
          z[n] = (side ? piece[n] : piece[n] - 1) === 0 ? start[n] : stop[n];
          piece[n] += side ? 1 : -1;
          turned = true;
          return;
        }
        // The edge is not reached before the root of outward t + bound t^2 / 2 = room.
        const room = Math.max(gap, tiny);
        const far = Math.hypot(outward, Math.sqrt(2 * e.bound * room));
        const safe = outward > 0 ? 2 * room / (outward + far) : (far - outward) / e.bound;
        if (safe < dr) dr = safe;
      }));
    }
    if (turned) {
      events += 1;
      continue;
    }
    const [decay, lost] = [Math.exp(-dr), Math.expm1(-dr)];
    const weight = amplitude.map((a, j) => {
      if (a === 0) return 0;
      return still[j] ? a * lost / (1 + rate[j]) : a * growth(rate[j], dr);
    });
    const moved = z.map((_, n) => weight.reduce((sum, w, j) => sum + w * p[j][n], 0));
    c = c.map((x, n) => decay * x - lost * height[n] + moved[n]);
    z = z.map((x, n) =>
      decay * x - lost * (height[n] + pull[n]) + moved[n] + dot(coupling[n], moved));
    left = settled ? 0 : left - dr;
  }
  return { z, c, events };
}
