// A square part of the plane on a canvas, with handles that a finger or the arrow keys move.

const COLORS = ["#D55E00", "#0072B2", "#009E73", "#E69F00", "#999999"]; // of the endpoint classes
const DARK_COLORS = ["#D55E00", "#56B4E9", "#009E73", "#E69F00", "#999999"];
// The symbols of memnb.figures.style: circle, diamond, square, triangle, cross.
const SHAPES = [null, [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
  [[-1, -1], [1, -1], [1, 1], [-1, 1]], [[0, -1.2], [1.1, 0.9], [-1.1, 0.9]],
  [[-1, -1], [1, 1], [0, 0], [1, -1], [-1, 1], [0, 0]]];
const ROOM = 12; // for half a symbol, beyond the picture's edge
const ARROW_KEYS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1],
};

// The nearest value that a slider has
export const nearest = ({ low, high, digits }, x) =>
  Math.min(high, Math.max(low, Number(x.toFixed(digits))));

// The words of an element without other children. The text is changed in place: another text in its
// place would have the browser look through all rules of the page again. (What translates a page may
// have put an element there.)
export function word(element, text) {
  const node = element.firstChild;
  if (node?.nodeType === Node.TEXT_NODE && !node.nextSibling) {
    if (node.data !== text) node.data = text;
  } else if (element.textContent !== text) element.textContent = text;
}

// A box that stays as it is until its words change: what is not touched needs no new layout.
export function say(box, words, fill) {
  if (box.dataset.words === words) return;
  box.dataset.words = words;
  fill(box);
}

// Words in a row, each a mark (the value of a data attribute) and a text.
export function list(box, attribute, rows) {
  while (box.children.length > rows.length) box.lastChild.remove();
  rows.forEach(([mark, text], k) => {
    const part = box.children[k] || box.appendChild(document.createElement("span"));
    if (part.dataset[attribute] !== mark) part.dataset[attribute] = mark;
    word(part, text);
  });
}

// A color over another: words with red in the lowest byte, then green, blue and opacity
function mixed(over, below) {
  const top = over >>> 24;
  const old = below >>> 24;
  const opacity = top + old - top * old / 255;
  const share = top / opacity;
  const left = 1 - share;
  const red = share * (over & 255) + left * (below & 255) + 0.5;
  const green = share * (over >> 8 & 255) + left * (below >> 8 & 255) + 0.5;
  const blue = share * (over >> 16 & 255) + left * (below >> 16 & 255) + 0.5;
  return red | green << 8 | blue << 16 | (opacity + 0.5) << 24;
}

export class Stage {
  // resized() is called when there is another size to draw for.
  constructor(parent, title, [low, high], resized) {
    const add = (tag, to, name) => {
      const element = to.appendChild(document.createElement(tag));
      element.className = name;
      return element;
    };
    this.figure = add("div", parent, "memnb-live-panel");
    add("div", this.figure, "").textContent = title;
    this.square = add("div", this.figure, "memnb-live-stage");
    this.canvas = add("canvas", this.square, "");
    this.canvas.setAttribute("role", "img");
    this.counts = add("div", this.figure, "memnb-live-counts");
    this.pen = this.canvas.getContext("2d");
    Object.assign(this, { low, high, title, stamps: {} });
    new ResizeObserver(() => {
      this.size = this.square.clientWidth || this.size;
      resized();
    }).observe(this.square);
  }

  // A button that a finger moves to places, move(place), and an arrow key on, nudge(way, size), five
  // times as far with the shift key; drop() is called when the finger lets go.
  handle(move, nudge, drop) {
    const handle = this.square.appendChild(document.createElement("button"));
    handle.type = "button";
    handle.className = "memnb-live-handle";
    handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const box = this.square.getBoundingClientRect();
      const scale = (this.high - this.low) / box.width;
      move(this.inside([this.low + (event.clientX - box.left) * scale,
        this.high - (event.clientY - box.top) * scale]));
    });
    handle.addEventListener("pointerup", drop);
    handle.addEventListener("pointercancel", drop);
    handle.addEventListener("keydown", (event) => {
      if (!ARROW_KEYS[event.key]) return;
      event.preventDefault();
      nudge(ARROW_KEYS[event.key], event.shiftKey ? 5 : 1);
    });
    return handle;
  }

  // The nearest place at which a handle can still be seen
  inside(place) {
    return place.map((x) => Math.min(this.high - 0.1, Math.max(this.low + 0.1, x)));
  }

  put(handle, point, words) {
    const [x, y] = this.px(point);
    const place = `translate(${x.toFixed(2)}px, ${y.toFixed(2)}px)`;
    if (handle.style.transform === place) return;
    handle.style.transform = place;
    handle.setAttribute("aria-label", words);
  }

  px([x, y]) {
    return [(x - this.low) * this.scale, (this.high - y) * this.scale];
  }

  // An empty picture of this size in the ink of the page
  begin(ink) {
    const { canvas, pen, square } = this;
    this.size ||= square.clientWidth;
    const ratio = window.devicePixelRatio || 1;
    const pixels = Math.round(this.size * ratio);
    if (canvas.width !== pixels) canvas.width = canvas.height = pixels;
    this.scale = this.size / (this.high - this.low);
    const light = (ink.match(/\d+/g) || [0])[0] > 128; // light ink on a dark page
    this.colors = light ? DARK_COLORS : COLORS;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, this.size, this.size);
  }

  // Drawn once for each size and ink, as letters take long
  axes(ink) {
    const { low, high, canvas, size, scale, pen: over } = this;
    if (!size) return; // not shown yet
    const ratio = canvas.width / size;
    const key = [ink, size, ratio].join();
    if (this.grid?.key !== key) {
      const grid = document.createElement("canvas");
      grid.width = grid.height = canvas.width;
      const pen = grid.getContext("2d");
      pen.scale(ratio, ratio);
      pen.font = "12px system-ui, sans-serif";
      pen.fillStyle = ink;
      pen.strokeStyle = "rgba(128,128,128,0.25)";
      for (let t = Math.ceil(low * 2) / 2; t < high; t += 0.5) {
        const [x, y, text] = [(t - low) * scale, (high - t) * scale, String(t).replace("-", "−")];
        pen.moveTo(x, 0);
        pen.lineTo(x, size);
        pen.moveTo(0, y);
        pen.lineTo(size, y);
        if (x + 3 + pen.measureText(text).width < size) pen.fillText(text, x + 3, size - 4);
        if (t > low + 0.3) pen.fillText(text, 3, y - 3);
      }
      pen.stroke();
      this.grid = { key, canvas: grid };
    }
    over.save();
    over.resetTransform(); // pixel by pixel
    over.drawImage(this.grid.canvas, 0, 0);
    over.restore();
  }

  // Many lines of one look at once: one by one they would take most of a frame.
  stroke(color, width, lines, alpha = 1) {
    const { pen, low, high, scale } = this;
    pen.globalAlpha = alpha;
    pen.strokeStyle = color;
    pen.lineWidth = width;
    pen.beginPath();
    for (const line of lines) {
      for (let i = 0; i < line.length; i++) {
        const x = (line[i][0] - low) * scale;
        const y = (high - line[i][1]) * scale;
        if (i) pen.lineTo(x, y);
        else pen.moveTo(x, y);
      }
    }
    pen.stroke();
    pen.globalAlpha = 1;
  }

  circles(points, radius, color) {
    const { pen } = this;
    pen.setLineDash([3, 3]);
    pen.strokeStyle = color;
    pen.lineWidth = 1;
    for (const point of points) {
      pen.beginPath();
      pen.arc(...this.px(point), Math.max(0.5, radius * this.scale), 0, 2 * Math.PI);
      pen.stroke();
    }
    pen.setLineDash([]);
  }

  // Arrows h(y) - y at n times n places.
  arrows(h, n, color) {
    const { low, high, pen, scale } = this;
    const gap = (high - low) / n;
    const y = [0, 0];
    pen.strokeStyle = color;
    pen.lineWidth = 1;
    pen.beginPath();
    for (let k = 0; k < n * n; k++) { // no lists here either
      y[0] = low + gap * ((k % n) + 0.5);
      y[1] = low + gap * (Math.floor(k / n) + 0.5);
      const to = h(y);
      const u = (to[0] - y[0]) * scale; // in pixels, downwards
      const v = (y[1] - to[1]) * scale;
      const speed = Math.sqrt(u * u + v * v);
      const length = 0.9 * gap / (speed / scale + 0.25);
      const barb = 0.2 * gap * scale / (speed || 1);
      const fromX = (y[0] - low) * scale;
      const fromY = (high - y[1]) * scale;
      const x = fromX + length * u;
      const tip = fromY + length * v;
      pen.moveTo(fromX, fromY);
      pen.lineTo(x, tip);
      pen.lineTo(x - barb * (u - 0.6 * v), tip - barb * (v + 0.6 * u));
      pen.lineTo(x, tip);
      pen.lineTo(x - barb * (u + 0.6 * v), tip - barb * (v - 0.6 * u));
    }
    pen.stroke();
  }

  // Symbols of an endpoint class
  marks(points, label, size, open = false, color = this.colors[label]) {
    const { pen } = this;
    const shape = SHAPES[label];
    pen.fillStyle = pen.strokeStyle = color;
    pen.beginPath();
    for (const point of points) {
      const [x, y] = this.px(point);
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

  // The same at whole pixels of the screen, in a fifth of the time: stamp() puts symbols into a picture
  // of their own, which is a little larger, and lay() draws that over what is there.
  stamp(points, label, size) {
    const { pen: { globalAlpha: alpha }, size: shown } = this;
    const ratio = this.canvas.width / shown;
    const margin = Math.ceil(ROOM * ratio);
    const width = this.canvas.width + 2 * margin;
    if (this.image?.width !== width) {
      this.image = new ImageData(width, width);
      this.words = new Uint32Array(this.image.data.buffer);
      this.sheet = new OffscreenCanvas(width, width).getContext("2d");
    }
    this.stamped = true;
    const { words } = this;
    const { side, places, inks } = this.cut(label, size, alpha, ratio, width);
    const scale = this.scale * ratio;
    const begin = margin - side / 2; // no lists in these loops, which run ten thousands of times
    for (const point of points) {
      const left = Math.round(begin + (point[0] - this.low) * scale);
      const top = Math.round(begin + (this.high - point[1]) * scale);
      if (left < 0 || top < 0 || left + side > width || top + side > width) continue;
      for (let k = 0, corner = top * width + left; k < places.length; k++) {
        const at = corner + places[k];
        const ink = inks[k];
        const below = words[at];
        // Symbols of one color are one shape, as where they are drawn in one path.
        const alike = below === 0 || (below ^ ink) << 8 === 0;
        if (!alike) words[at] = mixed(ink, below);
        else if (ink > below) words[at] = ink;
      }
    }
  }

  lay() {
    if (!this.stamped) return;
    this.stamped = false;
    const margin = (this.image.width - this.canvas.width) / 2 * this.size / this.canvas.width;
    this.sheet.putImageData(this.image, 0, 0);
    this.words.fill(0);
    this.pen.drawImage(this.sheet.canvas, -margin, -margin, this.size + 2 * margin,
      this.size + 2 * margin);
  }

  // The pixels that a symbol covers: where they are in a picture of some width, and its color and
  // opacity there, as words.
  cut(label, size, alpha, ratio, width) {
    const key = [label, size, alpha, ratio, width, this.colors[label]].join();
    if (this.stamps[key]) return this.stamps[key];
    const side = Math.ceil(3 * size * ratio);
    const pen = new OffscreenCanvas(side, side).getContext("2d");
    pen.scale(ratio, ratio);
    const middle = side / ratio / 2;
    this.marks.call({ pen, colors: this.colors, px: () => [middle, middle] }, [0], label, size);
    const opacity = pen.getImageData(0, 0, side, side).data.filter((_, k) => k % 4 === 3);
    const inside = [...opacity.keys()].filter((k) => opacity[k]);
    const [red, green, blue] = this.colors[label].match(/\w\w/g).map((part) => parseInt(part, 16));
    const color = (blue << 16) | (green << 8) | red;
    this.stamps[key] = {
      side,
      places: Int32Array.from(inside, (k) => Math.floor(k / side) * width + k % side),
      inks: Uint32Array.from(inside, (k) => color | (Math.round(alpha * opacity[k]) << 24)),
    };
    return this.stamps[key];
  }
}
