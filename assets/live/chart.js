// A small chart with axes, titles and ticks, as SVG: areas, lines and symbols.

const MARGIN = { left: 62, right: 14, top: 12, bottom: 50 };
const POWERS = ["⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"];
// The symbols of memnb.figures.style, of some size, at a place
const SYMBOLS = {
  circle: (x, y, s) => `M${x + s},${y}a${s},${s} 0 1 1 ${-2 * s},0a${s},${s} 0 1 1 ${2 * s},0Z`,
  "triangle-down": (x, y, s) =>
    `M${x},${y + 1.2 * s}L${x + 1.1 * s},${y - 0.9 * s}H${x - 1.1 * s}Z`,
};

const element = (name, parent) =>
  parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", name));

// Marks of an axis from low to high, with their labels; of a whole axis at whole numbers only.
export function ticks({ low, high, log, whole }) {
  if (log) {
    const first = Math.ceil(Math.log10(low) - 1e-9);
    const last = Math.floor(Math.log10(high) + 1e-9);
    return Array.from({ length: last - first + 1 }, (_, i) => {
      const k = first + i;
      const word = [...String(Math.abs(k))].map((digit) => POWERS[digit]).join("");
      const plain = k >= -2 && k <= 3;
      return [10 ** k, plain ? String(Number((10 ** k).toPrecision(3))) : `10${k < 0 ? "⁻" : ""}${word}`];
    });
  }
  const rough = (high - low) / 6;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(whole ? 1 : 0, unit * [1, 2, 5, 10].find((m) => m * unit >= rough));
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => {
    const at = Number(((first + i) * step).toPrecision(12));
    return [at, String(at)];
  });
}

// A function that keeps the last result under each name, as long as its arguments stay the same.
export function keeper() {
  const kept = {};
  return (name, key, compute) => {
    if (kept[name]?.key !== key) kept[name] = { key, value: compute() };
    return kept[name].value;
  };
}

export class Chart {
  constructor(parent, redraw) {
    this.stage = parent.appendChild(document.createElement("div"));
    this.stage.className = "memnb-live-chart";
    this.svg = element("svg", this.stage);
    this.svg.setAttribute("role", "img");
    const [under, middle, over] = [1, 2, 3].map(() => element("g", this.svg));
    Object.assign(this, { under, middle, over, told: new Map() });
    this.legend = parent.appendChild(document.createElement("div"));
    this.legend.className = "memnb-live-legend";
    new ResizeObserver(() => {
      this.measure();
      redraw();
    }).observe(this.stage);
  }

  // Asked for in a frame, after words have changed, the size would need a layout of its own.
  measure() {
    Object.assign(this, { width: this.stage.clientWidth, height: this.stage.clientHeight });
  }

  // What is as it was is not touched: the browser would lay it out and paint it anew.
  tell(key, words, write) {
    if (this.told.get(key) === words) return;
    this.told.set(key, words);
    write(words);
  }

  // Layers are drawn one over another; a point without a finite place is left out.
  draw({ x, y, layers, label }) {
    if (!this.width) this.measure();
    const { width, height } = this;
    const place = (axis, from, to) => {
      const scale = axis.log ? Math.log : (v) => v;
      const [low, high] = [scale(axis.low), scale(axis.high)];
      return (v) => from + (to - from) * (scale(v) - low) / (high - low);
    };
    const right = width - MARGIN.right;
    const bottom = height - MARGIN.bottom;
    const px = place(x, MARGIN.left, right);
    const py = place(y, bottom, MARGIN.top);
    const round = (v) => Math.round(10 * v) / 10;
    const points = (xs, ys, word = (left, top) => `${left},${top}`) => {
      const words = [];
      for (let i = 0; i < xs.length; i++) {
        const left = round(px(xs[i]));
        const top = round(py(ys[i]));
        if (Number.isFinite(left) && Number.isFinite(top)) words.push(word(left, top));
      }
      return words;
    };
    const grid = [];
    for (const [at, text] of ticks(x)) {
      const left = round(px(at));
      grid.push(`<path class="grid" d="M${left},${MARGIN.top}V${bottom}"/>`
        + `<text x="${left}" y="${bottom + 18}" text-anchor="middle">${text}</text>`);
    }
    for (const [at, text] of ticks(y)) {
      const top = round(py(at));
      grid.push(`<path class="grid" d="M${MARGIN.left},${top}H${right}"/>`
        + `<text x="${MARGIN.left - 7}" y="${top + 4}" text-anchor="end">${text}</text>`);
    }
    const axes = `<path class="axis" d="M${MARGIN.left},${MARGIN.top}V${bottom}H${right}"/>`
      + `<text x="${(MARGIN.left + right) / 2}" y="${height - 10}" text-anchor="middle">`
      + `${x.title}</text>`
      + `<text transform="translate(16,${(MARGIN.top + bottom) / 2}) rotate(-90)" `
      + `text-anchor="middle">${y.title}</text>`;
    this.tell("box", `0 0 ${width} ${height}`, (box) => this.svg.setAttribute("viewBox", box));
    this.tell("grid", grid.join(""), (parts) => { this.under.innerHTML = parts; });
    this.tell("axes", axes, (parts) => { this.over.innerHTML = parts; });
    this.tell("label", label, (words) => this.svg.setAttribute("aria-label", words));
    while (this.middle.children.length < layers.length) element("path", this.middle);
    [...this.middle.children].forEach((path, k) => {
      const look = layers[k] ? this.look(layers[k], points) : { d: "" };
      for (const [name, value] of Object.entries(look)) {
        this.tell(`${k} ${name}`, String(value), (text) => path.setAttribute(name, text));
      }
    });
  }

  // Attributes of the path of a layer
  look({ kind, color, size, open, dash, xs, ys, low, high }, points) {
    if (kind === "area") {
      const d = `M${[...points(xs, high), ...points(xs, low).reverse()].join("L")}Z`;
      return { fill: color, stroke: color, "stroke-width": 1, "stroke-dasharray": "none", d };
    }
    if (kind === "line") {
      const line = points(xs, ys);
      const d = line.length > 1 ? `M${line.join("L")}` : "";
      return { fill: "none", stroke: color, "stroke-width": 2, "stroke-dasharray": dash || "none", d };
    }
    return {
      fill: open ? "none" : color, stroke: open ? color : "none", "stroke-width": 0.35 * size,
      "stroke-dasharray": "none",
      d: points(xs, ys, (left, top) => SYMBOLS[kind](left, top, size)).join(""),
    };
  }
}
