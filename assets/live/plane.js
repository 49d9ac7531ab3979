// The plane: training points that can be dragged, starts, and one or both flows.
import { dot, minus, norm } from "./linalg.js";
import { CLASSES, classify, sumMargin, sums, trainingSet } from "./sets.js";
import { denoise, empiricalBayes, probabilityFlow, scoreFlow, stepped } from "./flows.js";

const COLORS = ["#D55E00", "#0072B2", "#009E73", "#E69F00", "#999999"];
const DARK_COLORS = ["#D55E00", "#56B4E9", "#009E73", "#E69F00", "#999999"];
const LIMIT = 0.98; // of the largest radius, where a point's place leaves less than was asked for
const NEAR = 0.03; // a dragged point snaps to right angles, lines and triangles this near
const MOVING = 150; // starts at most while a finger moves a point
const PATHS = 100; // drawn at most where one takes more than a closed form for each coordinate
const BENDS = [0, ...Array.from({ length: 32 }, (_, i) => 0.04 * 1.32 ** i)];
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

// All that follows from the points, the radius and the starts.
export function solve(points, wanted, starts, both) {
  const known = trainingSet(points);
  const set = known ?? { points };
  const gaps = points.flatMap((a, n) => points.slice(n + 1).map((b) => norm(minus(a, b))));
  const most = known ? known.maxRho : Math.min(...gaps) / 2;
  const rho = wanted < most ? wanted : LIMIT * most;
  const h = known ? (y) => denoise(set, rho, y) : (y) => empiricalBayes(points, rho, y);
  const falling = known
    ? (r, y) => denoise(set, rho * Math.exp(-r), y)
    : (r, y) => empiricalBayes(points, rho * Math.exp(-r), y);
  const exact = [Boolean(known), Boolean(known) && (known.kind === "orthogonal" || known.oneWidth)];
  const at = [(y, r) => scoreFlow(set, rho, y, r),
    (y, r) => probabilityFlow(set, rho, y, Math.exp(-r))];
  const flows = [0, 1].slice(0, both ? 2 : 1).map((which) => {
    const numeric = exact[which] ? null
      : starts.map((y) => stepped(which ? falling : (_, x) => h(x), y, STEPS));
    const now = (r) => starts.map((y, i) => {
      if (!numeric) return at[which](y, r);
      const place = Math.min(r / STEPS[1], STEPS.length - 1);
      const [low, high] = [numeric[i][Math.floor(place)], numeric[i][Math.ceil(place)]];
      return low.map((x, j) => x + (place % 1) * (high[j] - x));
    });
    return {
      now,
      ends: now(Infinity),
      path: (i) => (numeric ? numeric[i] : BENDS.map((r) => at[which](starts[i], r))),
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
    new ResizeObserver(() => this.last && this.draw(this.last)).observe(stage);
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
    const starts = this.spec.starts.slice(0, this.dragging ? Math.min(MOVING, state.n) : state.n);
    const key = JSON.stringify([state.points, state.rho, starts.length, both]);
    if (key !== this.key) {
      this.key = key;
      this.solved = solve(state.points, state.rho, starts, both);
      this.paths = null;
    }
    this.last = state;
    const { set, known, rho, held, flows, exact } = this.solved;
    const many = known?.kind === "orthogonal" ? starts.length : PATHS;
    this.paths ??= flows.map((flow) => starts.slice(0, many).map((_, i) => flow.path(i)));
    this.area.classList.toggle("memnb-live-two", both);
    this.panels[1].figure.hidden = !both;
    const lines = flows.map((flow, which) => {
      const labels = flow.ends.map((y) => classify(set, y, this.spec.threshold));
      const count = CLASSES.map((_, c) => labels.filter((l) => l === c).length);
      this.paint(this.panels[which], state, flow.now(state.r), labels, this.paths[which]);
      return this.tell(this.panels[which], count, starts.length);
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
    panel.counts.replaceChildren(...names.flatMap((name, c) => {
      if (!count[c] && c > 1) return [];
      const part = document.createElement("span");
      part.dataset.class = CLASSES[c];
      part.textContent = `${name}: ${count[c]}`;
      return [part];
    }));
    const said = names.map((name, c) => (count[c] || c < 2 ? `${count[c]} at ${name}` : ""))
      .filter(Boolean).join(", ").replace("at elsewhere", "elsewhere");
    panel.canvas.dataset.counts = JSON.stringify(count);
    const words = `Of ${total} starts the ${panel.title} ends with ${said}.`;
    panel.canvas.setAttribute("aria-label", `${this.spec.alt} ${words}`);
    return words;
  }

  paint(panel, state, now, labels, paths) {
    const { canvas, stage, handles } = panel;
    const { set, known, rho, h } = this.solved;
    const size = stage.clientWidth;
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(size * ratio)) canvas.width = canvas.height = size * ratio;
    const [low, high] = this.spec.window;
    const scale = size / (high - low);
    const px = ([x, y]) => [(x - low) * scale, (high - y) * scale];
    const pen = canvas.getContext("2d");
    const ink = getComputedStyle(stage).color;
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
        line.forEach((place, i) => (i ? pen.lineTo(...px(place)) : pen.moveTo(...px(place))));
      }
      pen.stroke();
      pen.globalAlpha = 1;
    };
    // Axes
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = ink;
    for (let t = Math.ceil(low * 2) / 2; t < high; t += 0.5) {
      stroke("rgba(128,128,128,0.25)", 1, [[[t, low], [t, high]], [[low, t], [high, t]]]);
      pen.fillText(String(t), px([t, low])[0] + 3, size - 4);
      if (t > low + 0.3) pen.fillText(String(t), 3, px([low, t])[1] - 3);
    }
    this.arrows(stroke, state, h, which(panel, this.panels) ? Math.exp(-state.r) : 1);
    // The hyperbox or the simplex
    if (known) {
      const [x0, ...rest] = set.points;
      const loop = set.kind === "orthogonal" && rest.length === 2
        ? [x0, rest[0], rest[0].map((x, i) => x + rest[1][i] - x0[i]), rest[1], x0]
        : [...set.points, x0];
      stroke(colors[2], 2, [loop]);
    }
    colors.forEach((color, c) =>
      stroke(color, 1, paths.filter((_, i) => labels[i] === c), 0.45));
    now.forEach((y, i) => this.mark(pen, px(y), labels[i], colors[labels[i]], 4));
    const radius = which(panel, this.panels) ? rho * Math.exp(-state.r) : rho;
    pen.setLineDash([3, 3]);
    for (const point of set.points) {
      pen.strokeStyle = ink;
      pen.lineWidth = 1;
      pen.beginPath();
      pen.arc(...px(point), Math.max(0.5, radius * scale), 0, 2 * Math.PI);
      pen.stroke();
    }
    pen.setLineDash([]);
    // Sums of two or more: solid if they are stable
    if (known && (set.kind === "orthogonal" || set.kind === "obtuse simplex")) {
      for (const { on, point } of set.sums ??= sums(set)) {
        if (on.reduce((a, b) => a + b, 0) < 2) continue;
        pen.lineWidth = 2.5;
        pen.globalAlpha = sumMargin(set, on) <= radius ? 1 : 0.3;
        this.mark(pen, px(point), 1, colors[1], 9, true);
        pen.globalAlpha = 1;
      }
    }
    state.points.forEach((point, k) => {
      const [x, y] = px(point);
      Object.assign(handles[k].style, { left: `${x}px`, top: `${y}px` });
      const words = `training point ${k} at ${point.map((v) => v.toFixed(2)).join(", ")}`;
      handles[k].setAttribute("aria-label", words);
    });
  }

  arrows(stroke, state, h, share) {
    const [low, high] = this.spec.window;
    const gap = (high - low) / 15;
    const { known, set, rho } = this.solved;
    const field = share === 1 ? h
      : (y) => (known ? denoise(set, rho * share, y)
        : empiricalBayes(set.points, Math.max(1e-6, rho * share), y));
    const arrows = [];
    for (let i = 0; i < 15; i++) {
      for (let j = 0; j < 15; j++) {
        const y = [low + gap * (i + 0.5), low + gap * (j + 0.5)];
        const v = minus(field(y), y);
        const speed = norm(v);
        const tip = y.map((x, n) => x + 0.9 * gap * v[n] / (speed + 0.25));
        const way = v.map((x) => x / (speed || 1));
        const barb = (s) => tip.map((x, n) =>
          x - 0.2 * gap * (way[n] + s * 0.6 * [-way[1], way[0]][n]));
        arrows.push([y, tip, barb(1), tip, barb(-1)]);
      }
    }
    stroke("rgba(136,136,136,0.6)", 1, arrows);
  }

  // The symbols of memnb.figures.style: circle, diamond, square, triangle, cross.
  mark(pen, [x, y], label, color, size, open = false) {
    pen.beginPath();
    const shapes = [null, [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
      [[-1, -1], [1, -1], [1, 1], [-1, 1]], [[0, -1.2], [1.1, 0.9], [-1.1, 0.9]],
      [[-1, -1], [1, 1], [0, 0], [1, -1], [-1, 1], [0, 0]]];
    if (shapes[label]) {
      shapes[label].forEach(([a, b]) => pen.lineTo(x + size * a, y + size * b));
      pen.closePath();
    } else pen.arc(x, y, size, 0, 2 * Math.PI);
    pen.fillStyle = pen.strokeStyle = color;
    if (open || label === 4) pen.stroke();
    else pen.fill();
  }
}

const which = (panel, panels) => panels.indexOf(panel);
