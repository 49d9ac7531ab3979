// Search: formulas in what it shows are readable, and chapters come before the pages of the API.
// The terms of the search are those of Sphinx's own script, which reads `Scorer` and `Search`.
var Scorer = {
  score: ([page, , , , score]) => score - (/^(book\/api|genindex|py-modindex)/.test(page) ? 1000 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
(() => {
  "use strict";
  if (typeof Search === "undefined") return;
  const LETTERS = {
    alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ε", varepsilon: "ε", eta: "η",
    theta: "θ", kappa: "κ", lambda: "λ", mu: "μ", nu: "ν", pi: "π", rho: "ρ", sigma: "σ",
    tau: "τ", phi: "φ", varphi: "φ", chi: "χ", psi: "ψ", omega: "ω", Delta: "Δ", Sigma: "Σ",
    Phi: "Φ", Omega: "Ω", infty: "∞", le: "≤", leq: "≤", ge: "≥", geq: "≥", ne: "≠", neq: "≠",
    times: "×", cdot: "·", approx: "≈", sim: "~", to: "→", pm: "±", in: "∈", sqrt: "√", ell: "ℓ",
    log: "log", exp: "exp", max: "max", min: "min", quad: " ",
  };

  // A formula as text: its letters if they say enough, else a mark that one stands here.
  function plain(formula) {
    const text = formula
      .replace(/\\([A-Za-z]+) ?/g, (whole, name) => (name in LETTERS ? LETTERS[name] : whole))
      .replace(/\\[,;!:]/g, " ")
      .replace(/[{}]/g, "");
    return /\\|.{40}/.test(text) ? "…" : text.trim();
  }

  const original = Search.htmlToText;
  Search.htmlToText = (...page) =>
    original(...page).replace(/\\\(([^]*?)\\\)|\\\[([^]*?)\\\]/g, (_, a, b) => plain(a ?? b));
})();
