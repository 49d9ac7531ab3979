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
    start, stop, excess, unit, lengths: set.lengths, modes: new Map(), work: workspace(u.length),
    coupling: u.map((a, n) => Float64Array.from(u, (b, m) => (n === m ? 0 : dot(a, b)))),
    beyond: set.lengths.map((length, n) => length - set.high[n] + rho),
  };
}

// Arrays that every step writes anew: a step that makes its own takes ten times as long.
function workspace(n) {
  const names = ["height", "pull", "terms", "v", "amplitude", "share", "lasting", "reached", "most",
    "velocity", "reach", "bound", "rest", "moved"];
  return {
    piece: new Int8Array(n), still: new Uint8Array(n),
    ...Object.fromEntries(names.map((name) => [name, new Float64Array(n)])),
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
  let p = tail;
  let q = last;
  let sum = 0;
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
  let key = Number(forever);
  for (let n = 0; n < piece.length; n++) key = 3 * key + piece[n];
  let modes = ramps.modes.get(key);
  if (!modes) ramps.modes.set(key, modes = makeModes(ramps, [...piece], forever));
  return modes;
}

function makeModes(ramps, piece, forever) {
  const root = piece.map((p, n) => (p === 1 ? Math.sqrt(1 + ramps.excess[n]) : 0));
  const matrix = ramps.coupling.map((row, n) => Array.from(row, (g, m) => root[n] * g * root[m]));
  const excess = piece.map((p, n) => (p === 1 ? ramps.excess[n] : 0));
  const fill = Math.max(...excess, ...matrix.flat().map(Math.abs));
  matrix.forEach((row, n) => { row[n] += piece[n] === 1 ? excess[n] : -fill; });
  const { values, vectors } = eigh(matrix);
  const rate = values.map((x) => Math.max(-1, forever && Math.abs(x) <= BLUR ? 0 : x));
  const p = vectors.map((q) => Float64Array.from(q, (x, n) => root[n] * x));
  const gp = p.map((mode) => mode.map((x, n) => x + dot(ramps.coupling[n], mode)));
  return { rate, p, gp, root, size: Math.hypot(...root) };
}

// Heights phi(z), velocity G phi(z) - z, and the size of the terms of which it is made.
function speed(ramps, piece, z) {
  const { start, stop, lengths, excess, beyond, coupling } = ramps;
  const { height, pull, terms, v, most } = ramps.work;
  const count = z.length;
  for (let n = 0; n < count; n++) {
    if (piece[n] === 1) {
      height[n] = (1 + excess[n]) * (z[n] - start[n]);
      most[n] = (1 + excess[n]) * (Math.abs(z[n]) + Math.abs(start[n]));
    } else height[n] = most[n] = piece[n] === 0 ? 0 : lengths[n];
  }
  for (let n = 0; n < count; n++) {
    const x = z[n];
    const weight = piece[n] === 1 ? Math.abs(excess[n]) : 1;
    const own = coupling[n];
    terms[n] = weight * (Math.abs(x) + Math.abs(start[n])) + Math.abs(start[n]);
    pull[n] = 0;
    for (let m = 0; m < count; m++) {
      pull[n] += own[m] * height[m];
      terms[n] += Math.abs(own[m]) * most[m];
    }
    if (piece[n] === 1) v[n] = pull[n] + excess[n] * (x - start[n]) - start[n];
    else v[n] = pull[n] + (piece[n] === 0 ? -x : beyond[n] - (x - stop[n]));
  }
}

// Solve dz/dr = G phi(z) - z and dc/dr = phi(z) - c for a time r, which may be infinite; z and c
// are changed in place. Returns the number of events.
export function advance(z, c, ramps, r) {
  const { start, stop, excess, unit, coupling, work } = ramps;
  const { piece, still, height, pull, terms, v, amplitude, share, lasting, reached } = work;
  const { velocity, reach, bound, rest, moved } = work;
  const count = z.length;
  const forever = r === Infinity;
  const tiny = BLUR * unit;
  const near = 45 * unit;
  for (let n = 0; n < count; n++) piece[n] = (z[n] > start[n]) + (z[n] >= stop[n]);
  let left = r;
  let events = 0;
  for (let step = 0; left > 0; step++) {
    if (step > MAX_STEPS) throw new Error(`a start did not settle within ${MAX_STEPS} steps`);
    const { rate, p, gp, root, size: length } = linearize(ramps, piece, forever);
    speed(ramps, piece, z);
    // Without end, what rounding put on a mode that does not decay must not decide.
    let blur = 0;
    for (let n = 0; n < count; n++) blur += (root[n] * terms[n]) ** 2;
    blur = Math.sqrt(blur);
    let growing = 1e-300;
    for (let j = 0; j < count; j++) {
      let a = 0;
      for (let n = 0; n < count; n++) a += p[j][n] * v[n];
      const x = rate[j];
      amplitude[j] = a;
      still[j] = forever && x >= 0 && Math.abs(a) < BLUR * (blur + Math.abs(x) * unit * length);
      share[j] = 1 + x > SMALL ? a / (1 + x) : 0;
      lasting[j] = still[j] ? 0 : share[j];
      if (lasting[j] !== 0) growing = Math.max(growing, x);
    }
    const horizon = Math.min(left, 1 / growing); // no mode grows by more than a factor e
    let settled = true;
    for (let n = 0; n < count; n++) {
      velocity[n] = reach[n] = bound[n] = reached[n] = rest[n] = 0;
      settled &&= Math.abs(z[n]) <= near;
    }
    for (let j = 0; j < count; j++) {
      const x = rate[j];
      const lasts = Math.abs(lasting[j]);
      const far = lasts && lasts * span(x, left);
      const bend = lasts && lasts * Math.abs(x) * Math.exp(Math.max(0, x) * horizon);
      const slow = 1 + x <= SMALL ? Math.abs(amplitude[j]) / (1 - SMALL) : 0;
      for (let n = 0; n < count; n++) {
        const g = gp[j][n];
        if (g === 0) continue;
        velocity[n] += g * lasting[j];
        reached[n] += g * share[j];
        rest[n] += Math.abs(g) * slow;
        reach[n] += Math.abs(g) * far;
        bound[n] += Math.abs(g) * bend;
      }
    }
    for (let n = 0; n < count; n++) {
      const base = v[n] - reached[n];
      const size = Math.abs(base) + rest[n];
      // A base below rounding goes nowhere, and would shorten the steps of a slow flow.
      if (size < BLUR * terms[n]) continue;
      velocity[n] += base;
      reach[n] += size;
      bound[n] += size;
    }
    for (let n = 0; settled && n < count; n++) {
      settled = (piece[n] === 0 || reach[n] <= z[n] - (piece[n] === 1 ? start[n] : stop[n]) + tiny)
        && (piece[n] === 2 || reach[n] <= (piece[n] === 0 ? start[n] : stop[n]) - z[n] + tiny);
    }
    let dr = settled ? left : horizon;
    let turned = false;
    for (let n = 0; n < count && !settled; n++) {
      const now = piece[n];
      for (let side = 0; side < 2; side++) {
        if (now === 2 * side) continue; // no edge on this side
        const edge = now + side === 1 ? start[n] : stop[n];
        const gap = side ? edge - z[n] : z[n] - edge;
        const outward = side ? velocity[n] : -velocity[n];
        // A speed below slope times gap may turn on the way to the edge.
        const clear = outward > BLUR * terms[n] + (1 + excess[n]) * Math.max(0, gap);
        if ((gap <= tiny && clear) || (gap < -2 * tiny && outward > 0)) {
          z[n] = edge;
          piece[n] += side ? 1 : -1;
          turned = true;
          break;
        }
        // The edge is not reached before the root of outward t + bound t^2 / 2 = room.
        const room = Math.max(gap, tiny);
        const far = Math.sqrt(outward * outward + 2 * bound[n] * room);
        const safe = outward > 0 ? 2 * room / (outward + far) : (far - outward) / bound[n];
        if (safe < dr) dr = safe;
      }
    }
    if (turned) {
      events += 1;
      continue;
    }
    const decay = Math.exp(-dr);
    const lost = Math.expm1(-dr);
    moved.fill(0);
    for (let j = 0; j < count; j++) {
      const a = amplitude[j];
      if (a === 0) continue;
      const weight = still[j] ? a * lost / (1 + rate[j]) : a * growth(rate[j], dr);
      for (let n = 0; n < count; n++) moved[n] += weight * p[j][n];
    }
    for (let n = 0; n < count; n++) {
      c[n] = decay * c[n] - lost * height[n] + moved[n];
      z[n] = decay * z[n] - lost * (height[n] + pull[n]) + moved[n];
      for (let m = 0; m < count; m++) z[n] += coupling[n][m] * moved[m];
    }
    left = settled ? 0 : left - dr;
  }
  return events;
}
