// Endpoint classes of score flow against time: counts of drawn starts, and exact probabilities.
import { Chart, keeper } from "./chart.js";
import { chances } from "./chances.js";
import { Normals } from "./random.js";
import { CLASSES } from "./sets.js";
import { list } from "./stage.js";

const AREAS = ["#D55E00", "#0072B2", "#009E73", "#E69F00", "#999999"];
const ENDS = ["training points", "virtual points", "the boundary", "the interior", "outside"];

// Of each start a row, which is prepared when it is first needed.
class Rows {
  restarts = 0;

  restart(settings) {
    this.restarts += 1;
    return Object.assign(this, settings, { rows: 0 });
  }

  upTo(rows, z, width) {
    if (rows > this.rows) this.prepare(this.rows, rows, z, width);
    this.rows = Math.max(this.rows, rows);
    return this;
  }
}

// What the flow of coordinates z needs for every time: for each the distance u of its start from
// the middle of the edge, from its own end on, and how far it will have come from there.
export class Flow extends Rows {
  constructor(most, edges) {
    super();
    const [u, level] = [new Float64Array(most * edges), new Float64Array(most * edges)];
    Object.assign(this, { u, level, edges });
    this.high = new Uint8Array(most * edges);
  }

  restart(rho) {
    return super.restart({ rho, half: 0.5 - rho });
  }

  prepare(from, to, z, width) {
    const { u, level, high, edges, rho, half } = this;
    for (let i = from; i < to; i++) {
      for (let k = 0; k < edges; k++) {
        const x = z[i * width + k];
        const at = i * edges + k;
        const away = x > 0.5 ? 1 - x : x;
        high[at] = x > 0.5 ? 1 : 0;
        u[at] = away;
        level[at] = away <= rho ? away
          : rho * Math.exp(Math.log(half / (0.5 - away)) * half / rho); // rho e^(time on the ramp)
      }
    }
  }
}

// Of what is orthogonal to the first K of d coordinates, the squared norms.
export class SquaredNorms extends Rows {
  constructor(most) {
    super();
    this.values = new Float64Array(most);
  }

  restart(K, d) {
    return super.restart({ K, d });
  }

  prepare(from, to, z, width) {
    for (let i = from; i < to; i++) {
      let sum = 0;
      for (let k = i * width + this.K; k < i * width + this.d; k++) sum += z[k] * z[k];
      this.values[i] = sum;
    }
  }
}

// Class of each start from one row to another at time r: memnb.classify of memnb.score_flow, for K
// edges of length 1. Of what is orthogonal to the edges off has the squared norms.
export function classesAt(flow, off, [from, to], K, r, t, inf) {
  const { u, level, high, edges, rho, half } = flow;
  const [shrink, rate] = [Math.exp(-r), rho / half];
  const left = 0.5 - half * Math.exp(-rate * r); // what starts below has left the ramp
  const grown = Math.min(Math.exp(rate * r), 1e300);
  const limit = inf ? t : t * t;
  const labels = new Uint8Array(to - from);
  for (let i = from; i < to; i++) {
    const away = off[i] * shrink * shrink;
    const rest = inf ? Math.sqrt(away) : away;
    let vertex = rest;
    let box = rest;
    let face = Infinity;
    let count = 0;
    const begin = i * edges;
    for (let at = begin; at < begin + K && box <= limit; at++) {
      const v = u[at] <= left ? shrink * level[at] : 0.5 - (0.5 - u[at]) * grown;
      const below = Math.min(v, 0); // no branch that a processor would have to guess
      face = Math.min(face, v);
      if (inf) {
        vertex = Math.max(vertex, Math.abs(v));
        box = Math.max(box, -below);
      } else {
        vertex += v * v;
        box += below * below;
      }
      count += high[at];
    }
    if (box > limit) labels[i - from] = 4;
    else if (vertex <= limit) labels[i - from] = count <= 1 ? 0 : 1;
    else if (face <= 0 || (inf ? face <= t : face * face + away <= limit)) labels[i - from] = 2;
    else labels[i - from] = 3;
  }
  return labels;
}

// Starts in each class at a time. If more or fewer are wanted, only the difference is looked at.
class Tally {
  constructor(classes) {
    Object.assign(this, { classes, rows: 0, counts: CLASSES.map(() => 0) });
  }

  upTo(rows) {
    const sign = Math.sign(rows - this.rows);
    const between = [Math.min(rows, this.rows), Math.max(rows, this.rows)];
    for (const label of this.classes(between)) this.counts[label] += sign;
    this.rows = rows;
    return [...this.counts];
  }
}

// From rows with a number for each class, for each class the sums of those before it, and of all
function stacked(rows) {
  const sums = [rows.map(() => 0)];
  CLASSES.forEach((_, c) => sums.push(rows.map((row, i) => sums[c][i] + row[c])));
  return sums;
}

// N - 1 edges at right angles to one another have no room in fewer dimensions.
export const held = ({ N, d }) => (d < N - 1
  ? ` ${N} points at right angles need ${N - 1} dimensions: d is held at ${N - 1}.` : "");

export class Counts {
  constructor(box, spec, change) {
    const { most, width, edges } = spec;
    Object.assign(this, { spec, keep: keeper(), normals: new Normals(most, width) });
    Object.assign(this, { flow: new Flow(most, edges), off: new SquaredNorms(most) });
    this.chart = new Chart(box, () => this.last && change({}));
  }

  // A rough picture has every fourth time, unless the whole one is there already.
  draw(state, rough = false) {
    this.last = state;
    const { N, rho, threshold: t, n, seed, r } = state;
    const { width, edges, states } = this.spec;
    const [K, inf] = [N - 1, state.norm === "L∞"];
    const d = Math.max(state.d, K);
    const setting = [K, d, rho, t, inf, seed, n].join();
    const whole = !rough || this.whole === setting;
    this.whole = whole && setting;
    const times = this.spec.times.filter((_, k, all) =>
      whole || k % 4 === 0 || k === all.length - 1);
    const normals = this.keep("normals", seed, () => this.normals.restart(states[seed]));
    const z = normals.upTo(n, Math.max(d, edges));
    const flow = this.keep("flow", [seed, rho].join(), () => this.flow.restart(rho));
    flow.upTo(n, z, width);
    const off = this.keep("off", [seed, K, d].join(), () => this.off.restart(K, d));
    off.upTo(n, z, width);
    const key = [K, d, rho, t, inf].join();
    const transforms = this.keep("transforms", [rho, t, inf].join(), () => new Map());
    const exactly = (time) => chances(K, d, rho, time, t, inf, transforms);
    const exact = this.keep(`exact ${whole}`, key, () => times.map(exactly));
    const classes = (time, rows) => classesAt(flow, off.values, rows, K, time, t, inf);
    // What was counted before a restart may be of rows that are not there any more.
    const prepared = [key, flow.restarts, off.restarts].join();
    const tallies = this.keep(`tallies ${whole}`, prepared, () => times.map((time) =>
      new Tally((rows) => classes(time, rows))));
    const counts = tallies.map((tally) => tally.upTo(n));
    const at = (time) => new Tally((rows) => classes(time, rows)).upTo(n);
    const [now, expected] = [at(r), exactly(r)];
    const [counted, probable] = [stacked(counts), stacked(exact)];
    const layers = CLASSES.map((_, c) => ({
      kind: "area", color: AREAS[c], xs: times, low: counted[c], high: counted[c + 1],
    }));
    for (let c = 1; c < CLASSES.length; c++) {
      const ys = probable[c].map((p) => n * p);
      layers.push({ kind: "line", color: "#000", dash: "6 4", xs: times, ys });
    }
    layers.push({ kind: "line", color: "currentColor", dash: "2 3", xs: [r, r], ys: [0, n] });
    list(this.chart.legend, "class", ENDS.map((name, c) => {
      const error = Math.sqrt(n * expected[c] * Math.max(0, 1 - expected[c]));
      const words = `(expected ${(n * expected[c]).toFixed(1)} ± ${error.toFixed(1)})`;
      return [CLASSES[c], `${name}: ${now[c]} ${words}`];
    }));
    const words = `At r = ${r}, of ${n} starts ${ENDS.map((name, c) =>
      `${now[c]} at ${name} (expected ${(n * expected[c]).toFixed(1)})`).join(", ")}.`
      .replace("at outside", "outside");
    this.chart.svg.dataset.counts = JSON.stringify(now);
    this.chart.svg.dataset.exact = JSON.stringify(expected);
    this.chart.draw({
      x: { title: "time r", low: times[0], high: times[times.length - 1], log: true },
      y: { title: "number of starts", low: 0, high: n },
      layers, label: `${this.spec.alt} ${words}`,
    });
    const note = `Areas: counted. Dashed lines: expected. Numbers: at r = ${r}.`;
    return { status: words, note: `${note}${held(state)}` };
  }
}
