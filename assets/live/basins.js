// Three points at an angle: where the score flow ends from every place, while the angle opens.
import { Stage, list, nearest, say } from "./stage.js";
import { FOREVER, LIMIT, markSums } from "./plane.js";
import { denoise, scorePath } from "./flows.js";
import { sumMargin, sums, trainingSet } from "./sets.js";

// Opacity, blue, green and red, of memnb.figures.style: undecided, training points, their sum
const SHADES = Uint32Array.of(0xFFC8C8C8, 0xFF84B1F0, 0xFF5F93D8, 0xFFCADFFB, 0xFFDDBC86);
// Places along each axis, of which every fourth is solved first: at rest these are counted, and those
// between them only make borders fine; while something moves all are counted.
const PLACES = 285;
const FEW_PLACES = 21;
const APART = 4;
const FINER = 8; // so many times are borders between few places refined by interpolation
const REACHED = 1e-3; // distance from an attractor
const OPEN = 255; // a place that is not solved yet

// The points 0, (1, 0) and one at an angle in degrees; right and straight angles are exact.
export function pointsAt(angle, ratio) {
  if (angle === 180) return [[0, 0], [1, 0], [-ratio, 0]];
  const turn = angle * Math.PI / 180;
  return [[0, 0], [1, 0], [angle === 90 ? 0 : ratio * Math.cos(turn), ratio * Math.sin(turn)]];
}

// The end of the score flow from n times n places: the index of an attractor, counted from 1. If
// `apart` is more than 1, a power of two that divides n - 1, squares with sides of that many places are
// cut in four until their corners end together; then all in them are taken to end there too.
export function basins(set, rho, attractors, [low, high], n, apart = 1) {
  const step = (high - low) / (n - 1);
  const index = new Uint8Array(n * n).fill(OPEN);
  const end = (i, j) => {
    const k = j * n + i;
    if (index[k] === OPEN) {
      const [x] = scorePath(set, rho, [low + step * i, low + step * j], FOREVER);
      index[k] = 1 + attractors.findIndex((a) => Math.hypot(x[0] - a[0], x[1] - a[1]) < REACHED);
    }
    return index[k];
  };
  const square = (i, j, side) => {
    const [u, v] = [i + side, j + side];
    const [a, b, c, d] = [end(i, j), end(u, j), end(i, v), end(u, v)];
    if (a === b && b === c && c === d) {
      for (let m = j; m <= v; m++) {
        for (let k = m * n + i; k <= m * n + u; k++) if (index[k] === OPEN) index[k] = a;
      }
    } else if (side > 1) {
      for (const x of [i, i + side / 2]) for (const y of [j, j + side / 2]) square(x, y, side / 2);
    }
  };
  for (let j = 0; j < n - 1; j += apart) for (let i = 0; i < n - 1; i += apart) square(i, j, apart);
  return index;
}

// The same at places that are `times` closer: between the old ones the end that most of the four
// around a place have, by the weights of bilinear interpolation.
export function finer(index, n, times) {
  const m = (n - 1) * times + 1;
  const fine = new Uint8Array(m * m);
  const votes = new Float64Array(5);
  for (let j = 0; j < n - 1; j++) {
    for (let i = 0; i < n - 1; i++) {
      const k = j * n + i;
      const [a, b, c, d] = [index[k], index[k + 1], index[k + n], index[k + n + 1]];
      for (let v = 0; v <= times; v++) {
        const row = (j * times + v) * m + i * times;
        if (a === b && b === c && c === d) {
          fine.fill(a, row, row + times + 1);
          continue;
        }
        for (let u = 0; u <= times; u++) {
          votes.fill(0);
          votes[a] += (times - u) * (times - v);
          votes[b] += u * (times - v);
          votes[c] += (times - u) * v;
          votes[d] += u * v;
          let most = a;
          for (const end of [b, c, d]) if (votes[end] > votes[most]) most = end;
          fine[row + u] = most;
        }
      }
    }
  }
  return fine;
}

export class Basins {
  constructor(box, spec, change) {
    this.spec = spec;
    const area = box.appendChild(document.createElement("div"));
    area.className = "memnb-live-panels";
    this.small = new OffscreenCanvas(1, 1);
    this.stage = new Stage(area, "score flow", spec.window, () => this.last && change({}));
    const within = (name, x) => nearest(spec.controls.find((c) => c.name === name), x);
    const move = ([x, y]) => change({
      angle: within("angle", Math.atan2(Math.max(0, y), x) * 180 / Math.PI),
      ratio: within("ratio", Math.hypot(x, y)),
    }, true);
    // Keys turn the edge or stretch it.
    const nudge = ([turn, stretch], size) => change({
      angle: within("angle", this.last.angle - turn * size),
      ratio: within("ratio", this.last.ratio + 0.02 * stretch * size),
    });
    this.handle = this.stage.handle(move, nudge, () => change({}));
  }

  draw(state, rough) {
    const [n, gap] = rough ? [FEW_PLACES, 1] : [PLACES, APART];
    const key = [state.angle, state.ratio, state.rho, n].join();
    if (key !== this.key) {
      this.key = key;
      this.solved = this.solve(state, n, gap);
    }
    this.last = state;
    const { set, rho, margin, stable, counts, share, held } = this.solved;
    this.paint(state);
    const names = ["x₀", "x₁", "x₂", "x₁ + x₂"];
    const percent = share.map((x) => `${Math.round(100 * x)} %`);
    const words = `At ${state.angle} degrees and ρ = ${Number(rho.toFixed(3))} `
      + `${percent[3]} of the starts end at the sum, ${percent.slice(0, 3).join(", ")} at `
      + "the training points.";
    const { canvas } = this.stage;
    canvas.dataset.counts = JSON.stringify(counts);
    say(this.stage.counts, words, (below) => {
      list(below, "class", names.map((name, m) =>
        [m < 3 ? "training" : "virtual", `${name}: ${percent[m]}`]));
      canvas.setAttribute("aria-label", `${this.spec.alt} ${words}`);
    });
    const notes = [set.kind === "line" ? "On a line the edges have no sum."
      : `The sum x₁ + x₂ is ${stable ? "stable" : "not stable"}: it is for ρ > `
        + `${margin && margin.toFixed(3)}${margin < set.maxRho ? "" : ", more than the edges leave room for"}.`];
    if (held) notes.push(`The balls would overlap: ρ is held at ${rho.toFixed(3)}.`);
    return { status: words, note: notes.join(" ") };
  }

  // Counted are places that are `gap` apart.
  solve({ angle, ratio, rho: wanted }, n, gap) {
    const points = pointsAt(angle, ratio);
    const set = trainingSet(points);
    const rho = wanted < set.maxRho ? wanted : LIMIT * set.maxRho;
    const margin = set.kind === "line" ? Infinity : sumMargin(set, [1, 1]);
    const stable = margin < rho;
    const sum = stable ? [sums(set)[3].point] : [];
    const index = basins(set, rho, [...points, ...sum], this.spec.window, n, APART);
    const ends = [0, 0, 0, 0, 0]; // first those that end at none
    for (let j = 0; j < n; j += gap) for (let i = 0; i < n; i += gap) ends[index[j * n + i]] += 1;
    const counts = ends.slice(1);
    const share = counts.map((count) => count / ((n - 1) / gap + 1) ** 2);
    const shown = gap > 1 ? index : finer(index, n, FINER);
    return { set, rho, held: rho < wanted, margin, stable, points, shown, counts, share };
  }

  paint(state) {
    const { set, rho, shown, points: [x0, x1, x2] } = this.solved;
    const n = Math.sqrt(shown.length);
    const { stage } = this;
    const ink = getComputedStyle(stage.figure).color;
    stage.begin(ink);
    // One pixel for each place, drawn large
    const image = new ImageData(n, n);
    const pixels = new Uint32Array(image.data.buffer);
    for (let j = 0; j < n; j++) {
      for (let i = 0; i < n; i++) pixels[(n - 1 - j) * n + i] = SHADES[shown[j * n + i]];
    }
    const { small } = this;
    small.width = small.height = n;
    small.getContext("2d").putImageData(image, 0, 0);
    const gap = stage.size / (n - 1);
    stage.pen.imageSmoothingEnabled = false;
    stage.pen.drawImage(small, -gap / 2, -gap / 2, n * gap, n * gap);
    stage.axes("#222222");
    stage.arrows((y) => denoise(set, rho, y), 11, "rgba(60,60,60,0.75)");
    stage.stroke("#222222", 2, [[x1, x0, x2]]);
    stage.circles(set.points, rho, "#222222");
    stage.marks(set.points, 0, 6, false, "#D55E00");
    stage.colors = ["#D55E00", "#0072B2"]; // on shades, whatever the page
    markSums(stage, set, rho);
    stage.put(this.handle, x2,
      `edge to x₂, at ${state.angle} degrees, length ${state.ratio}`);
  }
}
