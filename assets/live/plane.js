// The plane: training points that can be dragged, starts, and one or both flows.
import { Stage, list, say } from "./stage.js";
import { dot, minus, norm } from "./linalg.js";
import { CLASSES, classify, sumMargin, sums, trainingSet, unknownSet } from "./sets.js";
import { Twister } from "./random.js";
import { denoise, empiricalBayes, probabilityPath, scorePath, stepped } from "./flows.js";

export const LIMIT = 0.98; // of the largest radius, where a point's place leaves less than was asked for
const NEAR = 0.03; // a dragged point snaps to right angles, lines and triangles this near
const FEW = 40; // paths at most of a flow while something moves
const FINE = 0.003; // how far a drawn path may be from its flow
export const FOREVER = [Infinity];
const BENDS = [...Array.from({ length: 32 }, (_, i) => 0.04 * 1.32 ** i), Infinity];
const FEW_BENDS = BENDS.filter((_, i) => i % 2 === 0);
const STEPS = Array.from({ length: 49 }, (_, i) => i / 5); // of numerical flows
const ROUGH_STEPS = STEPS.filter((_, i) => i % 2 === 0);

// The nearest special place of point k among three: a line, a right angle, a triangle; or itself.
export function snap(points, k) {
  const [a, b] = points.filter((_, n) => n !== k);
  const side = minus(b, a);
  const length = norm(side);
  const along = side.map((x) => x / length);
  const up = [-along[1], along[0]];
  const at = (base, t, h) => base.map((x, i) => x + t * along[i] + h * up[i]);
  const [t, h] = [dot(minus(points[k], a), along), dot(minus(points[k], a), up)];
  const middle = [0, 1].map((i) => (a[i] + b[i]) / 2);
  const away = minus(points[k], middle);
  const apex = Math.sign(h || 1) * Math.sqrt(3) / 2 * length;
  const places = [at(a, 0, h), at(a, length, h), at(a, t, 0), at(a, length / 2, apex),
    middle.map((x, i) => x + away[i] / (norm(away) || 1) * length / 2)];
  const near = places.map((p) => norm(minus(p, points[k])));
  const best = near.indexOf(Math.min(...near));
  const apart = Math.min(norm(minus(places[best], a)), norm(minus(places[best], b)));
  return near[best] < NEAR && apart > 0.1 ? places[best] : points[k];
}

// A path without the points that lie on the way between their neighbors.
function thin(path) {
  const kept = [path[0]];
  let mid = path[0];
  for (let i = 1; i < path.length; i++) {
    const from = kept[kept.length - 1];
    const to = path[i];
    const x = to[0] - from[0];
    const y = to[1] - from[1];
    const off = Math.abs(x * (mid[1] - from[1]) - y * (mid[0] - from[0]));
    if (off > FINE * Math.hypot(x, y)) kept.push(mid);
    mid = to;
  }
  kept.push(mid);
  return kept;
}

// All that follows from the points, the radius and the starts. A rough answer has the paths of a few
// starts, and only these where the flow has to be integrated; of the others it has the places at time r
// and the ends.
export function solve(points, wanted, starts, both, rough = false, r = 0) {
  const known = trainingSet(points);
  const set = known ?? unknownSet(points);
  const gaps = points.flatMap((a, n) => points.slice(n + 1).map((b) => norm(minus(a, b))));
  const most = known ? known.maxRho : Math.min(...gaps) / 2;
  const rho = wanted < most ? wanted : LIMIT * most;
  const out = new Float64Array(2);
  // The denoiser at a share of the noise
  const h = (y, share) => (known ? denoise(set, rho * share, y, out)
    : empiricalBayes(set.points, Math.max(1e-9, rho * share), y, out));
  const exact = [Boolean(known), Boolean(known) && (known.kind === "orthogonal" || known.oneWidth)];
  const last = (path) => path[path.length - 1];
  const flows = [0, 1].slice(0, both ? 2 : 1).map((which) => {
    const few = rough ? starts.slice(0, FEW) : starts;
    if (!exact[which]) {
      const grid = rough ? ROUGH_STEPS : STEPS;
      const paths = few.map((y) => stepped((r, x) => h(x, which ? Math.exp(-r) : 1), y, grid));
      return {
        now: (r) => paths.map((path) => {
          const place = Math.min(r / grid[1], grid.length - 1);
          const [low, high] = [path[Math.floor(place)], path[Math.ceil(place)]];
          return low.map((x, j) => x + (place % 1) * (high[j] - x));
        }),
        ends: paths.map(last),
        paths: paths.map(thin),
      };
    }
    const at = which ? (y, times) => probabilityPath(set, rho, y, times.map((r) => Math.exp(-r)))
      : (y, times) => scorePath(set, rho, y, times);
    const bends = rough ? FEW_BENDS : BENDS;
    const straight = which === 1 && known.kind === "orthogonal";
    const paths = few.map((y) => [y, ...at(y, straight ? FOREVER : bends)]);
    const times = r > 0 ? [r, Infinity] : FOREVER;
    const others = starts.slice(few.length).map((y) => at(y, times));
    return {
      now: (time) => {
        if (time === 0) return starts;
        if (time !== r) return starts.map((y) => at(y, [time])[0]);
        return [...few.map((y) => at(y, [r])[0]), ...others.map(([x]) => x)];
      },
      ends: [...paths.map(last), ...others.map(last)],
      paths: paths.map(thin),
    };
  });
  return { set, known, rho, held: rho < wanted, h, flows, exact: exact.slice(0, flows.length) };
}

const NOTES = {
  orthogonal: "", // the closed forms of the chapter
  "obtuse simplex": "Obtuse: their sum is stable only for large enough balls.",
  "equilateral triangle": "Equilateral triangle: no sum of its points is stable.",
  line: "On a line the denoiser is a staircase: starts fall onto the line and go to its points.",
};

const NAMES = ["training points", "virtual points", "the boundary", "the interior", "elsewhere"];

export class Plane {
  constructor(box, spec, change) {
    const twister = new Twister(spec.twister);
    const [low, width] = [spec.window[0] + 0.1, spec.window[1] - spec.window[0] - 0.2];
    const starts = Array.from({ length: spec.most }, () =>
      Float64Array.from([0, 1], () => low + width * twister.uniform()));
    Object.assign(this, { spec: { ...spec, starts }, change });
    // Of each kind of points that has a flow of its own, with all starts
    this.trials = [[-0.4, 0.9], [-0.5, 0.8], [0.5, 0.7]].map((last) =>
      ({ points: [[0, 0], [1, 0], last], n: spec.most }));
    this.area = box.appendChild(document.createElement("div"));
    this.area.className = "memnb-live-panels";
    this.panels = ["score flow", "probability flow"].map((title) => {
      const panel = new Stage(this.area, title, spec.window, () => this.last && change({}));
      panel.handles = spec.state.points.map((_, k) => this.addHandle(panel, k));
      panel.start = this.addStart(panel);
      return panel;
    });
  }

  // A training point, which snaps to special places under a finger
  addHandle(panel, k) {
    const put = (place, snapping) => {
      const points = this.last.points.map((p, n) => (n === k ? place : p));
      if (snapping) points[k] = snap(points, k);
      const gap = points.map((p, n) => (n === k ? Infinity : norm(minus(p, points[k]))));
      if (Math.min(...gap) > 0.1) this.change({ points }, snapping);
    };
    const nudge = (way, size) => put(panel.inside(this.last.points[k].map((x, i) =>
      Number((x + 0.02 * size * way[i]).toFixed(4)))), false);
    return panel.handle((place) => put(place, true), nudge, () => this.change({}));
  }

  // One start that can be put anywhere
  addStart(panel) {
    const put = (place, moves) => this.change({ start: [place] }, moves);
    const nudge = (way, size) => put(panel.inside(this.last.start[0].map((x, i) =>
      Number((x + 0.02 * size * way[i]).toFixed(4)))), false);
    const handle = panel.handle((place) => put(place, true), nudge, () => this.change({}));
    handle.classList.add("memnb-live-start");
    return handle;
  }

  draw(state, rough) {
    const both = state.show === "both flows";
    const key = [state.points, state.start, state.rho, state.n, both].join();
    if (key !== this.key || (this.rough && !rough)) {
      Object.assign(this, { key, rough });
      const starts = [Float64Array.from(state.start[0]), ...this.spec.starts.slice(1, state.n)];
      this.solved = solve(state.points, state.rho, starts, both, rough, state.r);
      for (const flow of this.solved.flows) {
        flow.labels = flow.ends.map((y) => classify(this.solved.set, y, this.spec.threshold));
      }
    }
    this.last = state;
    const { known, rho, held, flows, exact } = this.solved;
    this.area.classList.toggle("memnb-live-two", both);
    this.panels[1].figure.hidden = !both;
    const ink = getComputedStyle(this.area).color;
    const lines = flows.map((flow, which) => {
      this.paint(this.panels[which], state, flow, which ? Math.exp(-state.r) : 1, ink, rough);
      return tell(this.panels[which], flow.labels, "ends with", this.spec.alt);
    });
    const notes = [known ? NOTES[known.kind]
      : "No closed form is known for these points. Shown is the empirical Bayes denoiser, σ = ρ."];
    if (held) notes.push(`The balls would overlap: ρ is held at ${rho.toFixed(3)}.`);
    if (exact.includes(false) && known) {
      notes.push("Edges of different lengths: the probability flow is integrated numerically.");
    }
    return { status: lines.join(" "), note: notes.filter(Boolean).join(" ") };
  }

  // One panel; `share` is that of the noise that is left.
  paint(panel, state, flow, share, ink, rough) {
    const { set, known, rho, h } = this.solved;
    const { labels } = flow;
    const paths = rough ? flow.paths.slice(0, FEW) : flow.paths;
    panel.begin(ink);
    panel.axes(ink);
    panel.arrows((y) => h(y, share), 15, "rgba(136,136,136,0.6)");
    // The hyperbox or the simplex
    if (known) {
      const [x0, ...rest] = set.points;
      const loop = set.kind === "orthogonal" && rest.length === 2
        ? [x0, rest[0], rest[0].map((x, i) => x + rest[1][i] - x0[i]), rest[1], x0]
        : [...set.points, x0];
      panel.stroke(panel.colors[2], 2, [loop]);
    }
    const now = flow.now(state.r);
    const [lines, places] = [paths, now].map((all) => {
      const sorted = CLASSES.map(() => []);
      for (let i = 0; i < all.length; i++) sorted[labels[i]].push(all[i]);
      return sorted;
    });
    panel.colors.forEach((color, c) => {
      if (!places[c].length) return;
      panel.stroke(color, 1, lines[c], 0.45);
      panel[rough ? "stamp" : "marks"](places[c], c, 4);
    });
    panel.lay();
    // The start that a finger can move
    panel.stroke(panel.colors[labels[0]], 3, [paths[0]]);
    panel.marks([now[0]], labels[0], 6);
    panel.circles(set.points, rho * share, ink);
    if (known) markSums(panel, set, rho * share);
    state.points.forEach((point, k) => panel.put(panel.handles[k], point,
      `training point ${k} at ${point.map((v) => v.toFixed(2)).join(", ")}`));
    panel.put(panel.start, state.start[0],
      `start at ${state.start[0].map((v) => v.toFixed(2)).join(", ")}; ends: ${CLASSES[labels[0]]}`);
  }
}

// Write below a panel how many points are in each class; returns it as a sentence.
export function tell(panel, labels, verb, alt) {
  const counts = CLASSES.map(() => 0);
  for (const label of labels) counts[label] += 1;
  const said = NAMES.map((name, c) => (counts[c] || c < 2 ? `${counts[c]} at ${name}` : ""))
    .filter(Boolean).join(", ").replace("at elsewhere", "elsewhere");
  const words = `Of ${labels.length} starts the ${panel.title} ${verb} ${said}.`;
  say(panel.counts, words, (below) => {
    list(below, "class", NAMES.flatMap((name, c) =>
      (counts[c] || c < 2 ? [[CLASSES[c], `${name}: ${counts[c]}`]] : [])));
    panel.canvas.dataset.counts = JSON.stringify(counts);
    panel.canvas.setAttribute("aria-label", `${alt} ${words}`);
  });
  return words;
}

// Sums of two or more training points: strong if they are stable
export function markSums(panel, set, rho) {
  if (set.kind !== "orthogonal" && set.kind !== "obtuse simplex") return;
  for (const { on, count, point } of set.sums ??= sums(set)) {
    if (count < 2) continue;
    panel.pen.lineWidth = 2.5;
    panel.pen.globalAlpha = sumMargin(set, on) < rho ? 1 : 0.3;
    panel.marks([point], 1, 9, true);
    panel.pen.globalAlpha = 1;
  }
}
