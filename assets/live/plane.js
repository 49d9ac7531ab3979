// The plane: training points that can be dragged, starts, and one or both flows.
import { dot, minus, norm } from "./linalg.js";
import { CLASSES, classify, sumMargin, sums, trainingSet } from "./sets.js";
import { denoise, empiricalBayes, probabilityPath, scorePath, stepped } from "./flows.js";

const COLORS = ["#D55E00", "#0072B2", "#009E73", "#E69F00", "#999999"];
const DARK_COLORS = ["#D55E00", "#56B4E9", "#009E73", "#E69F00", "#999999"];
const LIMIT = 0.98; // of the largest radius, where a point's place leaves less than was asked for
const NEAR = 0.03; // a dragged point snaps to right angles, lines and triangles this near
const FEW = 150; // starts at most whose flow is integrated while a finger moves a point
const FINE = 0.003; // how far a drawn path may be from its flow
const BENDS = Array.from({ length: 32 }, (_, i) => 0.04 * 1.32 ** i);
const STEPS = Array.from({ length: 49 }, (_, i) => i / 5); // of numerical flows

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
    const [x, y] = [to[0] - from[0], to[1] - from[1]];
    const off = Math.abs(x * (mid[1] - from[1]) - y * (mid[0] - from[0]));
    if (off > FINE * Math.hypot(x, y)) kept.push(mid);
    mid = to;
  }
  kept.push(mid);
  return kept;
}

// All that follows from the points, the radius and the starts.
export function solve(points, wanted, starts, both) {
  const known = trainingSet(points);
  const set = known ?? { points };
  const gaps = points.flatMap((a, n) => points.slice(n + 1).map((b) => norm(minus(a, b))));
  const most = known ? known.maxRho : Math.min(...gaps) / 2;
  const rho = wanted < most ? wanted : LIMIT * most;
  const out = [];
  // The denoiser at a share of the noise
  const h = known ? (y, share) => denoise(set, rho * share, y, out)
    : (y, share) => empiricalBayes(points, Math.max(1e-9, rho * share), y, out);
  const exact = [Boolean(known), Boolean(known) && (known.kind === "orthogonal" || known.oneWidth)];
  const at = [(y, times) => scorePath(set, rho, y, times),
    (y, times) => probabilityPath(set, rho, y, times.map((r) => Math.exp(-r)))];
  const flows = [0, 1].slice(0, both ? 2 : 1).map((which) => {
    if (exact[which]) {
      const straight = which === 1 && known.kind === "orthogonal";
      const times = straight ? [Infinity] : [...BENDS, Infinity];
      const paths = starts.map((y) => [y, ...at[which](y, times)]);
      return {
        now: (r) => starts.map((y) => (r === 0 ? y : at[which](y, [r])[0])),
        ends: paths.map((path) => path.at(-1)),
        paths: straight ? paths : paths.map(thin),
      };
    }
    const field = which ? (r, y) => h(y, Math.exp(-r)) : (_, y) => h(y, 1);
    const paths = starts.map((y) => stepped(field, y, STEPS));
    return {
      now: (r) => paths.map((path) => {
        const place = Math.min(r / STEPS[1], STEPS.length - 1);
        const [low, high] = [path[Math.floor(place)], path[Math.ceil(place)]];
        return low.map((x, j) => x + (place % 1) * (high[j] - x));
      }),
      ends: paths.map((path) => path.at(-1)),
      paths: paths.map(thin),
    };
  });
  return { set, known, rho, held: rho < wanted, h, flows, exact: exact.slice(0, flows.length) };
}

const SHAPES = [null, [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
  [[-1, -1], [1, -1], [1, 1], [-1, 1]], [[0, -1.2], [1.1, 0.9], [-1.1, 0.9]],
  [[-1, -1], [1, 1], [0, 0], [1, -1], [-1, 1], [0, 0]]];

const NOTES = {
  orthogonal: "", // the closed forms of the chapter
  "obtuse simplex": "Obtuse: their sum is stable only for large enough balls.",
  "equilateral triangle": "Equilateral triangle: no sum of its points is stable.",
  line: "On a line the denoiser is a staircase: starts fall onto the line and go to its points.",
};

export class Plane {
  constructor(box, spec, change) {
    Object.assign(this, { spec, change, panels: [] });
    this.area = box.appendChild(document.createElement("div"));
    this.area.className = "memnb-live-panels";
    for (const title of ["score flow", "probability flow"]) this.addPanel(title);
    this.dragging = false;
  }

  addPanel(title) {
    const figure = this.area.appendChild(document.createElement("div"));
    figure.className = "memnb-live-panel";
    const head = figure.appendChild(document.createElement("div"));
    head.textContent = title;
    const stage = figure.appendChild(document.createElement("div"));
    stage.className = "memnb-live-stage";
    const canvas = stage.appendChild(document.createElement("canvas"));
    canvas.setAttribute("role", "img");
    const handles = this.spec.state.points.map((_, k) => this.addHandle(stage, k));
    const counts = figure.appendChild(document.createElement("div"));
    counts.className = "memnb-live-counts";
    this.panels.push({ figure, title, canvas, stage, handles, counts });
    new ResizeObserver(() => {
      this.size = stage.clientWidth || this.size;
      if (this.last) this.change({});
    }).observe(stage);
  }

  // A training point: a button that follows the finger or the arrow keys.
  addHandle(stage, k) {
    const handle = stage.appendChild(document.createElement("button"));
    handle.type = "button";
    handle.className = "memnb-live-handle";
    const put = (point, snapping) => {
      const [low, high] = this.spec.window;
      const inside = point.map((x) => Math.min(high - 0.1, Math.max(low + 0.1, x)));
      const points = this.last.points.map((p, n) => (n === k ? inside : p));
      if (snapping) points[k] = snap(points, k);
      const gap = points.map((p, n) => (n === k ? Infinity : norm(minus(p, points[k]))));
      if (Math.min(...gap) > 0.1) this.change({ points });
    };
    handle.addEventListener("pointerdown", (event) => {
      handle.setPointerCapture(event.pointerId);
      this.dragging = true;
    });
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const box = stage.getBoundingClientRect();
      const [low, high] = this.spec.window;
      const scale = (high - low) / box.width;
      put([low + (event.clientX - box.left) * scale, high - (event.clientY - box.top) * scale],
        true);
    });
    const drop = () => {
      this.dragging = false;
      if (this.last) this.change({});
    };
    handle.addEventListener("pointerup", drop);
    handle.addEventListener("pointercancel", drop);
    handle.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
      if (!way[event.key]) return;
      event.preventDefault();
      const step = event.shiftKey ? 0.1 : 0.02;
      put(this.last.points[k].map((x, i) => Number((x + step * way[event.key][i]).toFixed(4))),
        false);
    });
    return handle;
  }

  draw(state) {
    const both = state.show === "both flows";
    const rough = this.dragging && (!trainingSet(state.points) || this.solved?.exact.includes(false));
    const count = rough ? Math.min(FEW, state.n) : state.n;
    const key = [state.points, state.rho, count, both].join();
    if (key !== this.key) {
      this.key = key;
      this.solved = solve(state.points, state.rho, this.spec.starts.slice(0, count), both);
      for (const flow of this.solved.flows) {
        flow.labels = flow.ends.map((y) => classify(this.solved.set, y, this.spec.threshold));
      }
    }
    this.last = state;
    const { known, rho, held, flows, exact } = this.solved;
    this.area.classList.toggle("memnb-live-two", both);
    this.panels[1].figure.hidden = !both;
    this.size ||= this.panels[0].stage.clientWidth;
    const ink = getComputedStyle(this.area).color;
    const lines = flows.map((flow, which) => {
      const counts = CLASSES.map((_, c) => flow.labels.reduce((sum, l) => sum + (l === c), 0));
      this.paint(this.panels[which], state, flow, which ? Math.exp(-state.r) : 1, ink);
      return this.tell(this.panels[which], counts, count);
    });
    const notes = [known ? NOTES[known.kind]
      : "No closed form is known for these points. Shown is the empirical Bayes denoiser, σ = ρ."];
    if (held) notes.push(`The balls would overlap: ρ is held at ${rho.toFixed(3)}.`);
    if (exact.includes(false) && known) {
      notes.push("Edges of different lengths: the probability flow is integrated numerically.");
    }
    return { status: lines.join(" "), note: notes.filter(Boolean).join(" ") };
  }

  tell(panel, count, total) {
    const names = ["training points", "virtual points", "the boundary", "the interior", "elsewhere"];
    const said = names.map((name, c) => (count[c] || c < 2 ? `${count[c]} at ${name}` : ""))
      .filter(Boolean).join(", ").replace("at elsewhere", "elsewhere");
    const words = `Of ${total} starts the ${panel.title} ends with ${said}.`;
    if (words === panel.words) return words;
    panel.words = words;
    panel.counts.replaceChildren(...names.flatMap((name, c) => {
      if (!count[c] && c > 1) return [];
      const part = document.createElement("span");
      part.dataset.class = CLASSES[c];
      part.textContent = `${name}: ${count[c]}`;
      return [part];
    }));
    panel.canvas.dataset.counts = JSON.stringify(count);
    panel.canvas.setAttribute("aria-label", `${this.spec.alt} ${words}`);
    return words;
  }

  // One panel; `share` is that of the noise that is left.
  paint(panel, state, flow, share, ink) {
    const { canvas, handles } = panel;
    const { set, known, rho } = this.solved;
    const { labels, paths } = flow;
    const size = this.size;
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(size * ratio)) {
      canvas.width = canvas.height = Math.round(size * ratio);
    }
    const [low, high] = this.spec.window;
    const scale = size / (high - low);
    const pen = canvas.getContext("2d");
    const light = (ink.match(/\d+/g) || [0])[0] > 128; // light ink on a dark page
    const colors = light ? DARK_COLORS : COLORS;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, size, size);
    // Many lines of one look at once: one by one they would take most of a frame.
    const stroke = (color, width, lines, alpha = 1) => {
      pen.globalAlpha = alpha;
      pen.strokeStyle = color;
      pen.lineWidth = width;
      pen.beginPath();
      for (const line of lines) {
        for (let i = 0; i < line.length; i++) {
          const [x, y] = [(line[i][0] - low) * scale, (high - line[i][1]) * scale];
          if (i) pen.lineTo(x, y);
          else pen.moveTo(x, y);
        }
      }
      pen.stroke();
      pen.globalAlpha = 1;
    };
    const px = ([x, y]) => [(x - low) * scale, (high - y) * scale];
    // Axes
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = ink;
    const grid = [];
    for (let t = Math.ceil(low * 2) / 2; t < high; t += 0.5) {
      grid.push([[t, low], [t, high]], [[low, t], [high, t]]);
      pen.fillText(String(t), px([t, low])[0] + 3, size - 4);
      if (t > low + 0.3) pen.fillText(String(t), 3, px([low, t])[1] - 3);
    }
    stroke("rgba(128,128,128,0.25)", 1, grid);
    stroke("rgba(136,136,136,0.6)", 1, this.arrows(share));
    // The hyperbox or the simplex
    if (known) {
      const [x0, ...rest] = set.points;
      const loop = set.kind === "orthogonal" && rest.length === 2
        ? [x0, rest[0], rest[0].map((x, i) => x + rest[1][i] - x0[i]), rest[1], x0]
        : [...set.points, x0];
      stroke(colors[2], 2, [loop]);
    }
    const now = flow.now(state.r);
    colors.forEach((color, c) => {
      if (!labels.includes(c)) return;
      stroke(color, 1, paths.filter((_, i) => labels[i] === c), 0.45);
      this.marks(pen, now.filter((_, i) => labels[i] === c).map(px), c, color, 4);
    });
    const radius = rho * share;
    pen.setLineDash([3, 3]);
    pen.strokeStyle = ink;
    pen.lineWidth = 1;
    for (const point of set.points) {
      pen.beginPath();
      pen.arc(...px(point), Math.max(0.5, radius * scale), 0, 2 * Math.PI);
      pen.stroke();
    }
    pen.setLineDash([]);
    // Sums of two or more: strong if they are stable
    if (known && (set.kind === "orthogonal" || set.kind === "obtuse simplex")) {
      for (const { on, point } of set.sums ??= sums(set)) {
        if (on.reduce((a, b) => a + b, 0) < 2) continue;
        pen.lineWidth = 2.5;
        pen.globalAlpha = sumMargin(set, on) <= radius ? 1 : 0.3;
        this.marks(pen, [px(point)], 1, colors[1], 9, true);
        pen.globalAlpha = 1;
      }
    }
    state.points.forEach((point, k) => {
      const [x, y] = px(point);
      const place = `translate(${x.toFixed(2)}px, ${y.toFixed(2)}px)`;
      if (handles[k].style.transform === place) return;
      handles[k].style.transform = place;
      const words = `training point ${k} at ${point.map((v) => v.toFixed(2)).join(", ")}`;
      handles[k].setAttribute("aria-label", words);
    });
  }

  // Arrows of the flow, as lines.
  arrows(share) {
    const [low, high] = this.spec.window;
    const gap = (high - low) / 15;
    const { h } = this.solved;
    return Array.from({ length: 225 }, (_, k) => {
      const [x, y] = [low + gap * ((k % 15) + 0.5), low + gap * (Math.floor(k / 15) + 0.5)];
      const to = h([x, y], share);
      const [u, v] = [to[0] - x, to[1] - y];
      const speed = Math.hypot(u, v);
      const length = 0.9 * gap / (speed + 0.25);
      const tip = [x + length * u, y + length * v];
      const [a, b] = [0.2 * gap * u / (speed || 1), 0.2 * gap * v / (speed || 1)];
      const barb = (s) => [tip[0] - a + s * 0.6 * b, tip[1] - b - s * 0.6 * a];
      return [[x, y], tip, barb(1), tip, barb(-1)];
    });
  }

  // The symbols of memnb.figures.style: circle, diamond, square, triangle, cross.
  marks(pen, places, label, color, size, open = false) {
    const shape = SHAPES[label];
    pen.fillStyle = pen.strokeStyle = color;
    pen.beginPath();
    for (const [x, y] of places) {
      if (shape) {
        shape.forEach(([a, b], i) => {
          if (i) pen.lineTo(x + size * a, y + size * b);
          else pen.moveTo(x + size * a, y + size * b);
        });
        pen.closePath();
      } else {
        pen.moveTo(x + size, y);
        pen.arc(x, y, size, 0, 2 * Math.PI);
      }
    }
    if (open || label === 4) pen.stroke();
    else pen.fill();
  }
}
