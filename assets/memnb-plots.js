// Draws the book's figures and explorers from the JSON inside the page.
// Plotly is loaded once, from the book's own files, when the first figure comes near the screen.
(() => {
  "use strict";
  // On the website plotly lies beside this script; an executed notebook carries both inside.
  const here = document.currentScript && document.currentScript.src;
  const packed = () => document.getElementById("memnb-plotly");
  const library = () => new URL("plotly/plotly-cartesian.min.js", here).href;
  const CONFIG = { displayModeBar: false, scrollZoom: false };
  const PAPER = 640; // widest figure that fits on a printed page, in pixels
  const NARROW = 500; // below this width a figure has small letters and margins
  let plotly = null; // promise of the library
  let loaded = null; // the library

  async function unpackPlotly() {
    const bytes = Uint8Array.from(atob(packed().textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return run(await new Response(stream).text());
  }

  // A module loader on the page must not catch the library.
  function run(code) {
    return new Function("define", "module", "exports", code + "\n;return Plotly;")();
  }

  function fetchPlotly() {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = library();
      script.onload = () => setTimeout(() => resolve(window.Plotly)); // the page gets its turn
      script.onerror = () => reject(new Error("plotly-cartesian.min.js could not be loaded"));
      document.head.append(script);
    });
  }

  function loadPlotly() {
    plotly ??= (packed() ? unpackPlotly() : fetchPlotly()).then((P) => (loaded ??= P));
    return plotly;
  }

  // A browser takes its picture of the page as soon as the listeners of "beforeprint" return, so
  // nothing may be waited for. Without a server this request is refused, and start() has loaded it.
  function loadedNow() {
    if (!loaded && !packed() && location.protocol.startsWith("http")) {
      const request = new XMLHttpRequest();
      request.open("GET", library(), false);
      request.send();
      if (request.status === 200) loaded = run(request.responseText);
    }
    return loaded;
  }

  const isDark = () => document.documentElement.dataset.theme === "dark";
  const isNarrow = () => window.innerWidth < 600;

  // Width in pixels of the widest line of a text with tags.
  const pen = document.createElement("canvas").getContext("2d");
  function widthOf(text, font) {
    pen.font = `${font.size}px ${font.family}`;
    const plain = (line) => line.replace(/<[^>]*>/g, "");
    return Math.max(...text.split("<br>").map((line) => pen.measureText(plain(line)).width));
  }

  // The text with its lines broken between words where they are wider than `wide` pixels.
  function broken(text, font, wide) {
    return text.split("<br>").map((line) => {
      const rows = [];
      for (const word of line.split(/ (?![^<]*>)/)) {
        const longer = rows.length ? `${rows.at(-1)} ${word}` : word;
        if (rows.length && widthOf(longer, font) <= wide) rows[rows.length - 1] = longer;
        else rows.push(word);
      }
      return rows.join("<br>");
    }).join("<br>");
  }

  const base = (layout) => (layout.template && layout.template.layout) || {};

  // Margins and titles that fit the width. A phone also has smaller letters and margins, and wide
  // titles of panels shrink.
  function squeeze(layout, width) {
    const margin = { l: 80, r: 80, ...base(layout).margin, ...layout.margin };
    if (width < NARROW) {
      layout.font.size = 12;
      // Room for labels is kept free, as margins that grow with labels and legends that wrap when
      // margins grow may chase each other.
      const left = Object.values(layout).some((axis) => axis && axis.scaleanchor) ? 45 : 60;
      layout.margin = { ...margin, l: Math.min(margin.l, left), r: Math.min(margin.r, 8) };
    }
    const { l, r } = { ...margin, ...layout.margin };
    const inner = width - l - r;
    const axes = Object.entries(layout).filter(([key]) => /^xaxis/.test(key)).map(([, a]) => a);
    const share = (axis) => (axis.domain ? axis.domain[1] - axis.domain[0] : 1);
    for (const axis of axes) {
      if (!axis.title || !axis.title.text) continue;
      const font = { ...layout.font, size: 1.2 * layout.font.size, ...axis.title.font };
      const room = axes.length > 1 ? share(axis) * inner : inner + 2 * Math.min(l, r) - 8;
      axis.title.text = broken(axis.title.text, font, room);
    }
    if (width >= NARROW) return;
    const narrowest = Math.min(...axes.map(share)) * inner;
    const titles = (layout.annotations || []).filter((note) =>
      note.xref === "paper" && note.yref === "paper" && note.yanchor === "bottom");
    const fonts = titles.map((note) => ({ ...layout.font, size: 16, ...note.font }));
    const parts = titles.map((note, k) => narrowest / widthOf(note.text, fonts[k]));
    const part = Math.min(1, ...parts); // one size for all
    titles.forEach((note, k) => {
      note.font = { ...fonts[k], size: Math.max(9, Math.floor(fonts[k].size * part)) };
    });
  }

  // The page's colors and width, laid over the layout that Python made.
  function adapt(layout, width) {
    const ink = isDark() ? "#e6e6e6" : "#222222";
    const paper = isDark() ? "#121212" : "#ffffff";
    const out = structuredClone(layout);
    Object.assign(out, { autosize: false, width });
    out.font = { ...base(out).font, ...out.font, color: ink };
    out.hoverlabel = { bgcolor: paper, font: { color: ink } };
    out.shapes = (out.shapes || []).map((s) =>
      s.line && s.line.color === "ink" ? { ...s, line: { ...s.line, color: ink } } : s);
    squeeze(out, width);
    return out;
  }

  // The height that axes of one scale leave empty, because the figure is too narrow for it.
  function surplus({ _fullLayout: full }) {
    const tied = Object.keys(full).filter((k) => /^yaxis/.test(k) && full[k].scaleanchor);
    const needed = tied.map((k) => {
      const y = full[k];
      const x = full[y.scaleanchor.replace("x", "xaxis")];
      const size = ({ _inputDomain: [a, b] }) => b - a;
      const reach = ({ range: [a, b] }) => Math.abs(b - a);
      const wide = full._size.w * size(x);
      return (wide * reach(y) * (y.scaleratio || 1)) / reach(x) / size(y);
    });
    return needed.length ? full._size.h - Math.max(...needed) : 0;
  }

  // Traces may ask for the color of the text by the name "ink"; bars have errors in it.
  function ink(traces) {
    const color = isDark() ? "#e6e6e6" : "#222222";
    return traces.map((trace) => {
      const out = { ...trace };
      for (const part of ["line", "marker"]) {
        if (out[part] && out[part].color === "ink") out[part] = { ...out[part], color };
      }
      if (out.type === "bar" && out.error_y) out.error_y = { color, ...out.error_y };
      // Blue is hard to see where much of a dark page shines through.
      const { opacity } = out.marker || {};
      if (isDark() && opacity) out.marker = { ...out.marker, opacity: Math.max(0.9, opacity) };
      return out;
    });
  }

  const itemOf = new Map(); // by the element that it is drawn into

  // Keep a figure as wide as its column, whatever changed the column: window, sidebar, late styles.
  const fit = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const wide = target.clientWidth;
      if (wide && wide !== target._fullLayout?.width) draw(itemOf.get(target));
    }
  });

  // Plotly draws before it returns, as none of these figures waits for anything.
  function drawWith(P, item) {
    const { div } = item;
    const width = div.clientWidth;
    fit.observe(div); // also one that has no width yet
    if (!width) return;
    const figure = item.figure();
    const layout = adapt(figure.layout, width);
    const full = layout.height || base(layout).height || 450;
    // Axes of one scale set the height on a narrow screen; the next frame begins with it.
    if (item.width === width) layout.height = item.height;
    P.react(div, ink(figure.data), layout, CONFIG);
    const height = Math.min(full, Math.round(div._fullLayout.height - surplus(div)));
    if (Math.abs(height - div._fullLayout.height) > 2) {
      P.react(div, ink(figure.data), { ...layout, height }, CONFIG);
    }
    Object.assign(item, { drawn: true, width, height: div._fullLayout.height });
    div.style.minHeight = `${item.height}px`;
    div.dataset.drawn = String(Number(div.dataset.drawn || 0) + 1);
  }

  function draw(item) {
    return loadPlotly().then((P) => drawWith(P, item));
  }

  function plainItem(div) {
    const figure = JSON.parse(div.querySelector("script").textContent);
    return { div, figure: () => figure };
  }

  // A figure with the pieces of a patch merged into it; what they leave is shared, not copied.
  function merged(old, change) {
    if (change === null || typeof change !== "object" || Array.isArray(change)) return change;
    const out = { ...old };
    for (const [key, value] of Object.entries(change)) {
      if (value === null) delete out[key];
      else out[key] = merged(out[key], value);
    }
    return out;
  }

  // An explorer draws the frame that its controls choose, at most once for each frame of the screen.
  function explorerItem(box) {
    const data = JSON.parse(box.querySelector("script").textContent);
    const div = box.querySelector(".memnb-plot");
    const alt = div.getAttribute("aria-label");
    let pieces = [];
    let waiting = false;
    const item = {
      div,
      figure() {
        const figure = pieces.map((i) => data.pool[i]).reduce(merged, data.first);
        return { data: Object.values(figure.data), layout: figure.layout };
      },
    };
    globalThis.memnb.controls(box, data, (frame, words) => {
      pieces = frame;
      div.setAttribute("aria-label", `${alt} Shown: ${words}.`);
      if (!item.drawn || waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        draw(item);
      });
    });
    return item;
  }

  function start() {
    const items = [
      ...[...document.querySelectorAll(".memnb-plot > script")].map((s) => plainItem(s.parentNode)),
      ...[...document.querySelectorAll(".memnb-explorer")].map(explorerItem),
    ];
    items.forEach((item) => itemOf.set(item.div, item));
    if (items.length && (packed() || location.protocol === "file:")) loadPlotly();
    const observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        observer.unobserve(entry.target);
        draw(itemOf.get(entry.target));
      }
    }, { rootMargin: "200px" });
    items.forEach((item) => observer.observe(item.div));

    const redraw = () => items.filter((item) => item.drawn).forEach(draw);
    new MutationObserver(redraw).observe(document.documentElement, {
      attributes: true, attributeFilter: ["data-theme"],
    });
    let narrow = isNarrow();
    window.addEventListener("resize", () => {
      if (isNarrow() !== narrow) {
        narrow = isNarrow();
        redraw();
      }
    });

    // Paper is light, and narrower than most screens.
    let theme = null;
    window.addEventListener("beforeprint", () => {
      const P = loadedNow();
      theme = document.documentElement.dataset.theme;
      if (theme) document.documentElement.dataset.theme = "light";
      for (const item of P ? items : []) {
        item.div.style.width = `${Math.min(item.div.clientWidth, PAPER)}px`;
        drawWith(P, item);
      }
    });
    window.addEventListener("afterprint", () => {
      if (theme) document.documentElement.dataset.theme = theme;
      for (const item of items) {
        item.div.style.width = "";
        if (item.drawn) draw(item);
      }
    });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
