// A small chart with axes, titles and ticks, as SVG: areas, lines and symbols.

const MARGIN = { left: 62, right: 14, top: 12, bottom: 50 };
const POWERS = ["⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"];
// The symbols of memnb.figures.style, of unit size
const SYMBOLS = {
  circle: "M1,0A1,1 0 1 1 -1,0A1,1 0 1 1 1,0Z",
  "triangle-down": "M0,1.2L1.1,-0.9L-1.1,-0.9Z",
};

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

export class Chart {
  constructor(parent, redraw) {
    this.stage = parent.appendChild(document.createElement("div"));
    this.stage.className = "memnb-live-chart";
    this.svg = this.stage.appendChild(
      document.createElementNS("http://www.w3.org/2000/svg", "svg"));
    this.svg.setAttribute("role", "img");
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
    const points = (xs, ys) => Array.from(xs, (v, i) => [px(v), py(ys[i])])
      .filter((p) => p.every(Number.isFinite)).map((p) => p.map((v) => v.toFixed(1)));
    const parts = [];
    for (const [at, text] of ticks(x)) {
      const left = px(at).toFixed(1);
      parts.push(`<path class="grid" d="M${left},${MARGIN.top}V${bottom}"/>`
        + `<text x="${left}" y="${bottom + 18}" text-anchor="middle">${text}</text>`);
    }
    for (const [at, text] of ticks(y)) {
      const top = py(at).toFixed(1);
      parts.push(`<path class="grid" d="M${MARGIN.left},${top}H${right}"/>`
        + `<text x="${MARGIN.left - 7}" y="${Number(top) + 4}" text-anchor="end">${text}</text>`);
    }
    for (const layer of layers) {
      const { kind, color, xs } = layer;
      if (kind === "area") {
        const back = points(xs, layer.low).reverse();
        parts.push(`<path fill="${color}" stroke="${color}" `
          + `d="M${[...points(xs, layer.high), ...back].join("L")}Z"/>`);
      } else if (kind === "line") {
        const line = points(xs, layer.ys);
        if (line.length > 1) {
          parts.push(`<path fill="none" stroke="${color}" stroke-width="2" `
            + `stroke-dasharray="${layer.dash || "none"}" d="M${line.join("L")}"/>`);
        }
      } else {
        const look = layer.open ? `fill="none" stroke="${color}" stroke-width="0.35"`
          : `fill="${color}"`;
        for (const [left, top] of points(xs, layer.ys)) {
          parts.push(`<path ${look} transform="translate(${left},${top}) scale(${layer.size})" `
            + `d="${SYMBOLS[kind]}"/>`);
        }
      }
    }
    parts.push(`<path class="axis" d="M${MARGIN.left},${MARGIN.top}V${bottom}H${right}"/>`,
      `<text x="${(MARGIN.left + right) / 2}" y="${height - 10}" text-anchor="middle">`
      + `${x.title}</text>`,
      `<text transform="translate(16,${(MARGIN.top + bottom) / 2}) rotate(-90)" `
      + `text-anchor="middle">${y.title}</text>`);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.innerHTML = parts.join("");
    this.svg.setAttribute("aria-label", label);
  }
}
