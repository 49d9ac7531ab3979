// Training sets in the plane: memnb.training_set, memnb.classify and memnb.sum_margin.
import { dot, minus, norm } from "./linalg.js";

export const CLASSES = ["training", "virtual", "boundary", "interior", "outside"];
const ROUNDING = 32 * 2 ** -52;
const numbers = (values) => Float64Array.from(values);

// Every set has the same parts in the same order and stores numbers alike: what is computed for each
// start is then compiled once for all kinds of sets, and several times as fast.
function makeSet({ kind, points, center, directions, lengths, low, high, limit = Infinity }) {
  const widths = high.map((h, n) => h - low[n]);
  return {
    kind, points: points.map(numbers), center: numbers(center),
    directions: directions.map(numbers), lengths: numbers(lengths), low: numbers(low),
    high: numbers(high), limit, ramps: null, sums: null,
    oneWidth: widths.every((w) => Math.abs(w / widths[0] - 1) <= 64 * 2 ** -52),
    maxRho: Math.min(...widths.map((w) => w / 2), limit),
  };
}

// The set of points that is measured from one of them, or null.
function fromCorner(points, k, rounding) {
  const order = [k, ...points.keys()].filter((n, i) => i === 0 || n !== k);
  const edges = order.slice(1).map((n) => minus(points[n], points[k]));
  const lengths = edges.map(norm);
  let u = edges.map((e, n) => e.map((x) => x / lengths[n]));
  let kind = "orthogonal";
  if (u.length > 2) return null;
  if (u.length === 2) {
    const cosine = dot(u[0], u[1]);
    const slack = rounding * (1 / lengths[0] + 1 / lengths[1]);
    if (cosine > slack) return null;
    if (cosine < -slack) {
      const flat = Math.abs(u[0][0] * u[1][1] - u[0][1] * u[1][0]);
      if (flat / Math.SQRT2 <= 2 * rounding / Math.min(...lengths)) return null;
      kind = "obtuse simplex";
    } else {
      // The nearest orthonormal directions.
      const [p, m] = [1 / Math.sqrt(1 + cosine), 1 / Math.sqrt(1 - cosine)];
      const [a, b] = [(p + m) / 2, (p - m) / 2];
      u = [0, 1].map((n) => [0, 1].map((i) => a * u[n][i] + b * u[1 - n][i]));
    }
  }
  return {
    kind, points: order.map((n) => points[n]), center: points[k], directions: u, lengths,
    low: lengths.map(() => 0), high: lengths,
  };
}

function onLine(points, rounding) {
  if (points.length < 3) return null;
  let [far, first, last] = [-1, 0, 0];
  points.forEach((a, i) => points.slice(i + 1).forEach((b, j) => {
    const distance = norm(minus(a, b));
    if (distance > far) [far, first, last] = [distance, i, i + 1 + j];
  }));
  const u = minus(points[last], points[first]).map((x) => x / far);
  const t = points.map((p) => dot(minus(p, points[first]), u));
  const away = points.map((p, n) =>
    norm(minus(p, points[first]).map((x, i) => x - t[n] * u[i])));
  if (Math.max(...away) > rounding) return null;
  const order = [...points.keys()].sort((a, b) => t[a] - t[b]);
  const sorted = order.map((n) => t[n] - t[order[0]]);
  return {
    kind: "line", points: order.map((n) => points[n]), center: points[order[0]],
    directions: order.slice(1).map(() => u), low: sorted.slice(0, -1), high: sorted.slice(1),
    lengths: sorted.slice(1).map((x, n) => x - sorted[n]),
  };
}

function triangle(points, rounding) {
  if (points.length !== 3) return null;
  const sides = points.map((p, n) => norm(minus(p, points[(n + 1) % 3])));
  if (Math.max(...sides) - Math.min(...sides) > 2 * rounding) return null;
  const center = [0, 1].map((i) => (points[0][i] + points[1][i] + points[2][i]) / 3);
  const radius = (sides[0] + sides[1] + sides[2]) / 3 / Math.sqrt(3);
  const directions = points.map((p) => {
    const away = minus(p, center);
    return away.map((x) => x / norm(away));
  });
  const each = (value) => [value, value, value];
  return {
    kind: "equilateral triangle", points, center, directions, lengths: each(radius),
    low: each(-radius / 2), high: each(radius), limit: (12 + 3 * Math.sqrt(3)) / 26 * radius,
  };
}

// The training set of points in the plane, or null where no closed form is known.
export function trainingSet(points) {
  const rounding = ROUNDING * Math.max(...points.map(norm));
  let set = onLine(points, rounding);
  for (let k = 0; k < points.length && !set; k++) set = fromCorner(points, k, rounding);
  set ??= triangle(points, rounding);
  return set && makeSet(set);
}

// Points without a closed form
export const unknownSet = (points) => makeSet({
  kind: "", points, center: points[0], directions: [], lengths: [], low: [], high: [],
});

export function coordinates(set, y, z = new Float64Array(set.directions.length)) {
  const { center, directions } = set;
  for (let n = 0; n < directions.length; n++) {
    let sum = 0;
    for (let i = 0; i < y.length; i++) sum += directions[n][i] * (y[i] - center[i]);
    z[n] = sum;
  }
  return z;
}

export const fromCoordinates = (set, z) =>
  set.center.map((x, i) => z.reduce((sum, zn, n) => sum + zn * set.directions[n][i], x));

// Every sum of a subset of edges: which edges, how many, and where.
export function sums(set) {
  return Array.from({ length: 2 ** set.lengths.length }, (_, bits) => {
    const on = Array.from(set.lengths, (_, n) => (bits >> n) & 1);
    const count = on.reduce((a, b) => a + b, 0);
    return { on, count, point: fromCoordinates(set, on.map((b, n) => b * set.lengths[n])) };
  });
}

// The least radius at which a sum over an obtuse simplex is stationary.
export function sumMargin(set, on) {
  const pulls = set.directions.map((u, n) => on[n] * set.directions.reduce((sum, v, m) =>
    sum + (m === n ? 0 : on[m] * Math.abs(dot(u, v)) * set.lengths[m]), 0));
  return set.kind === "orthogonal" ? 0 : Math.max(...pulls);
}

function label(isTraining, toVertex, toBoundary, toBody, threshold) {
  if (toVertex <= threshold) return isTraining ? 0 : 1;
  if (toBoundary <= threshold) return 2;
  return toBody <= threshold ? 3 : 4;
}

// The distance of two parts at right angles to one another, the first of them squared if not inf
const joined = (part, off, inf) => (inf ? Math.max(part, off) : Math.sqrt(part + off * off));

// Class of coordinates z of orthogonal data, at a distance `off` from their span.
export function classifyCoordinates(z, lengths, off, threshold, inf = false) {
  let vertex = 0;
  let box = 0;
  let face = Infinity;
  let count = 0;
  for (let n = 0; n < z.length; n++) {
    const x = z[n];
    const length = lengths[n];
    const on = x > length / 2;
    const v = on ? x - length : x;
    const b = x - Math.min(Math.max(x, 0), length);
    if (on) count += 1;
    vertex = inf ? Math.max(vertex, Math.abs(v)) : vertex + v * v;
    box = inf ? Math.max(box, Math.abs(b)) : box + b * b;
    face = Math.min(face, x, length - x);
  }
  const edge = face > 0 ? (inf ? face : face * face) : box;
  return label(count <= 1, joined(vertex, off, inf), joined(edge, off, inf), joined(box, off, inf),
    threshold);
}

function distance(y, p) {
  const a = y[0] - p[0];
  const b = y[1] - p[1];
  return Math.sqrt(a * a + b * b);
}

// Of a point y from the segment between a and b
function toSegment(y, a, b) {
  const u = b[0] - a[0];
  const v = b[1] - a[1];
  const x0 = y[0] - a[0];
  const x1 = y[1] - a[1];
  const share = Math.min(1, Math.max(0, (x0 * u + x1 * v) / (u * u + v * v)));
  const off0 = x0 - share * u;
  const off1 = x1 - share * v;
  return Math.sqrt(off0 * off0 + off1 * off1);
}

let spot = new Float64Array(2); // coordinates of the point that is classified

// Class of a point of the plane, as a place in CLASSES. On a line, and where no closed form is
// known, there are no sums: a point is at a training point or outside.
export function classify(set, y, threshold) {
  const { points, center, directions } = set;
  if (set.kind === "orthogonal") {
    if (spot.length !== directions.length) spot = new Float64Array(directions.length);
    coordinates(set, y, spot);
    let x0 = y[0] - center[0]; // without its part in the span
    let x1 = y[1] - center[1];
    for (let n = 0; n < directions.length; n++) {
      x0 -= spot[n] * directions[n][0];
      x1 -= spot[n] * directions[n][1];
    }
    return classifyCoordinates(spot, set.lengths, Math.sqrt(x0 * x0 + x1 * x1), threshold);
  }
  if (!set.kind || set.kind === "line") {
    for (const p of points) if (distance(y, p) <= threshold) return 0;
    return 4;
  }
  set.sums ??= sums(set);
  let nearest = Infinity;
  let training = false;
  for (const { count, point } of set.sums) {
    const away = distance(y, point);
    if (away >= nearest) continue;
    nearest = away;
    training = count === 1 || (count === 0 && set.kind === "obtuse simplex");
  }
  let edge = Infinity;
  let left = true;
  let right = true;
  for (let n = 0; n < points.length; n++) {
    const a = points[n];
    const b = points[(n + 1) % points.length];
    const turn = (b[0] - a[0]) * (y[1] - a[1]) - (b[1] - a[1]) * (y[0] - a[0]);
    edge = Math.min(edge, toSegment(y, a, b));
    left &&= turn >= 0;
    right &&= turn <= 0;
  }
  return label(training, nearest, edge, left || right ? 0 : edge, threshold);
}
