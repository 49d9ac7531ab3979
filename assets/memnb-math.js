// Formulas are set a few at a time, so that the page answers while they are being set.
(() => {
  "use strict";
  const PART = 20; // ms of work before the page gets its turn

  async function pageReady() {
    const marked = [...document.querySelectorAll(".math, .output_area")].filter(
      (box) =>
        !box.parentElement.closest(".math, .output_area") &&
        (box.classList.contains("math") || /\\[([]|\$\$/.test(box.textContent))
    );
    let begun = performance.now();
    for (const box of marked) {
      MathJax.typeset([box]);
      if (performance.now() - begun > PART) {
        await new Promise((go) => setTimeout(go));
        begun = performance.now();
      }
    }
  }

  window.MathJax = { ...window.MathJax, startup: { pageReady } };
})();
