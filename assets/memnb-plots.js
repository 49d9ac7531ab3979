// Draws the book's figures and explorers from the JSON inside the page.
// Plotly is loaded once, from the book's own files, when the first figure comes near the screen.
(() => {
  "use strict";
  // On the website plotly lies beside this script; an executed notebook carries both inside.
  const here = document.currentScript && document.currentScript.src;
  const CONFIG = { displayModeBar: false, scrollZoom: false };
  let plotly = null;

  async function unpackPlotly() {
    const packed = atob(document.getElementById("memnb-plotly").textContent);
    const bytes = Uint8Array.from(packed, (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    // A module loader on the page must not catch the library.
    return new Function("define", "module", "exports",
      (await new Response(stream).text()) + "\n;return Plotly;")();
  }

  function fetchPlotly() {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = new URL("plotly/plotly-cartesian.min.js", here).href;
      script.onload = () => resolve(window.Plotly);
      script.onerror = () => reject(new Error("plotly-cartesian.min.js could not be loaded"));
      document.head.append(script);
    });
  }

  function loadPlotly() {
    plotly ??= document.getElementById("memnb-plotly") ? unpackPlotly() : fetchPlotly();
    return plotly;
  }

  const isDark = () => document.documentElement.dataset.theme === "dark";
  const isNarrow = () => window.innerWidth < 600;

  // The page's colors and width, laid over the layout that Python made.
  function adapt(layout) {
    const ink = isDark() ? "#e6e6e6" : "#222222";
    const paper = isDark() ? "#121212" : "#ffffff";
    const out = structuredClone(layout);
    out.autosize = true;
    delete out.width;
    out.font = { ...out.font, color: ink };
    out.hoverlabel = { bgcolor: paper, font: { color: ink } };
    out.shapes = (out.shapes || []).map((s) =>
      s.line && s.line.color === "ink" ? { ...s, line: { ...s.line, color: ink } } : s);
    if (isNarrow()) {
      out.font.size = 12;
      out.margin = { l: 45, r: 8, t: 40, b: 40, ...(out.meta && out.meta.narrow_margin) };
    }
    return out;
  }

  // Traces may ask for the color of the text by the name "ink".
  function ink(traces) {
    const color = isDark() ? "#e6e6e6" : "#222222";
    return traces.map((trace) => {
      const out = { ...trace };
      for (const part of ["line", "marker"]) {
        if (out[part] && out[part].color === "ink") out[part] = { ...out[part], color };
      }
      return out;
    });
  }

  // Keep a figure as wide as its column, whatever changed the column: window, sidebar, late styles.
  const fit = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const wide = target.clientWidth;
      if (wide && wide !== target._fullLayout.width) plotly.then((P) => P.Plots.resize(target));
    }
  });

  function draw(item) {
    return loadPlotly().then((P) => {
      const figure = item.figure();
      return P.react(item.div, ink(figure.data), adapt(figure.layout), CONFIG).then(() => {
        item.drawn = true;
        fit.observe(item.div);
        item.div.dataset.drawn = String(Number(item.div.dataset.drawn || 0) + 1);
      });
    });
  }

  function plainItem(div) {
    const figure = JSON.parse(div.querySelector("script").textContent);
    return { div, figure: () => figure };
  }

  function explorerItem(box) {
    const data = JSON.parse(box.querySelector("script").textContent);
    const div = box.querySelector(".memnb-plot");
    const state = data.sliders.map((slider) => slider.start);
    const item = {
      div,
      figure() {
        const index = data.sliders.reduce((i, s, k) => i * s.values.length + state[k], 0);
        const [layout, ...traces] = data.frames[index];
        return {
          data: traces.map((t) => data.pool[t]),
          layout: { ...data.pool[layout], template: data.template },
        };
      },
    };
    data.sliders.forEach((slider, k) => addSlider(box, slider, (value) => {
      state[k] = value;
      draw(item);
    }));
    return item;
  }

  function addSlider(box, slider, onMove) {
    const label = document.createElement("label");
    const name = document.createElement("span");
    const input = document.createElement("input");
    const output = document.createElement("output");
    name.textContent = slider.label;
    Object.assign(input, { type: "range", min: 0, max: slider.values.length - 1, step: 1 });
    input.value = slider.start;
    input.name = slider.name;
    const tell = () => {
      output.textContent = slider.values[input.value];
      input.setAttribute("aria-valuetext", output.textContent);
    };
    input.addEventListener("input", () => {
      tell();
      onMove(Number(input.value));
    });
    tell();
    label.append(name, input, output);
    box.querySelector(".memnb-controls").append(label);
  }

  function start() {
    const items = [
      ...[...document.querySelectorAll(".memnb-plot > script")].map((s) => plainItem(s.parentNode)),
      ...[...document.querySelectorAll(".memnb-explorer")].map(explorerItem),
    ];
    const byDiv = new Map(items.map((item) => [item.div, item]));
    const observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        observer.unobserve(entry.target);
        draw(byDiv.get(entry.target));
      }
    }, { rootMargin: "300px" });
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
    window.addEventListener("beforeprint", () => items.forEach(draw));
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
