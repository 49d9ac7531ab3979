// Sets the formulas, once the page is there: first those near the screen, then all others.
// They are computed a few at a time, so that the page answers meanwhile, and put into the page many
// at once, as the browser goes through all of a long page whenever something in it moves.
(() => {
  "use strict";
  const PART = 20; // ms of work before the page gets its turn
  const NEAR = 1.5; // heights of the window
  const MANY = 100; // boxes with formulas
  const library = new URL("mathjax/startup.js", document.currentScript.src).href;

  async function each(items, work) {
    let begun = performance.now();
    for (const item of items) {
      work(item);
      if (performance.now() - begun < PART) continue;
      await new Promise((go) => setTimeout(go));
      begun = performance.now();
    }
  }

  // A comma or a period after a formula stays with it at the end of a line.
  function hold({ display, start }) {
    const box = start.node.parentNode;
    const next = box && box.nextSibling;
    const mark = !display && next && next.nodeType === Node.TEXT_NODE && /^[.,;:!?)]+/.exec(next.data);
    if (!mark || !box.classList.contains("math")) return;
    box.classList.add("memnb-held");
    box.append(next.data.slice(0, mark[0].length));
    next.deleteData(0, mark[0].length);
  }

  async function set(boxes) {
    const page = MathJax.startup.document;
    page.options.elements = boxes;
    page.reset();
    page.findMath();
    const { COMPILED } = MathJax._.core.MathItem.STATE;
    const items = [...page.math].filter((item) => item.state() < COMPILED); // not the earlier ones
    await each(items, (item) => page.compileMath(item));
    page.getMetrics();
    await each(items, (item) => {
      try {
        item.typeset(page);
        item.assistiveMml(page);
      } catch (error) {
        page.options.typesetError(page, item, error); // it says so where the formula would be
      }
    });
    items.forEach(hold);
    page.updateDocument();
  }

  async function pageReady() {
    const marked = [...document.querySelectorAll(".math, .output_area")].filter(
      (box) =>
        !box.parentElement.closest(".math, .output_area") &&
        (box.classList.contains("math") || /\\[([]|\$\$/.test(box.textContent))
    );
    const near = (box) => {
      const { top, bottom } = box.getBoundingClientRect();
      return bottom > -innerHeight && top < NEAR * innerHeight;
    };
    const first = new Set(marked.filter(near));
    const rest = marked.filter((box) => !first.has(box));
    if (first.size) await set([...first]);
    for (let k = 0; k < rest.length; k += MANY) await set(rest.slice(k, k + MANY));
    document.documentElement.dataset.formulas = "set";
    document.dispatchEvent(new Event("memnb-formulas"));
  }

  // The fonts are in mathjax/fonts.css.
  function ready() {
    MathJax._.output.chtml.fonts.tex_ts.TeXFont.defaultFonts = {};
    MathJax.startup.defaultReady();
  }

  function begin() {
    const script = document.createElement("script");
    script.src = library;
    document.head.append(script);
  }

  window.MathJax = { ...window.MathJax, startup: { ready, pageReady } };
  if (document.readyState === "complete") begin();
  else window.addEventListener("load", begin, { once: true });
})();
