// One quiet control for the code of each figure, and one switch for all hidden code of a page.
// Without this script each hidden cell keeps the bar that the theme gives it.
(() => {
  "use strict";

  const hasFigure = (cell) => cell.querySelector(".memnb-figure") !== null;
  const hasOutput = (cell) => cell.querySelector(".cell_output") !== null;

  // Cells that follow each other share a control, but each figure has its own. Cells that only
  // prepare a figure belong to it.
  function groups() {
    const found = [];
    for (const details of document.querySelectorAll("div.cell > details.above-input")) {
      const cell = details.parentNode;
      const last = found.at(-1);
      if (last && cell.previousElementSibling === last.at(-1)) {
        if (!hasFigure(cell) || !last.some(hasFigure)) {
          last.push(cell);
          continue;
        }
        const group = [cell];
        while (!hasOutput(last.at(-1))) group.unshift(last.pop());
        found.push(group);
      } else found.push([cell]);
    }
    return found;
  }

  function control(group, number) {
    const panel = document.createElement("div");
    panel.id = `code-${number}`;
    panel.className = "memnb-code-panel";
    for (const cell of group) {
      const details = cell.querySelector(":scope > details.above-input");
      panel.append(...details.querySelectorAll(":scope > .cell_input"));
      details.remove();
    }
    const button = document.createElement("button");
    button.type = "button";
    button.className = "memnb-code";
    button.textContent = "code";
    button.setAttribute("aria-controls", panel.id);
    const figure = group.map((cell) => cell.querySelector(".memnb-figure")).find(Boolean);
    if (figure) {
      const title = figure.querySelector("figcaption strong").textContent.replace(/\.$/, "");
      button.setAttribute("aria-label", `code of ${title}`);
      figure.append(button);
      figure.after(panel);
    } else {
      group[0].prepend(button, panel);
    }
    const show = (open) => {
      button.setAttribute("aria-expanded", String(open));
      if (open) panel.removeAttribute("hidden");
      else panel.setAttribute("hidden", "until-found"); // a search in the page still finds it
    };
    button.addEventListener("click", () => show(panel.hasAttribute("hidden")));
    panel.addEventListener("beforematch", () => show(true));
    show(false);
    return show;
  }

  function start() {
    const controls = groups().map(control);
    const title = document.querySelector("article h1");
    if (!controls.length || !title) return;
    const all = document.createElement("button");
    all.type = "button";
    all.className = "memnb-code memnb-all-code";
    let open = false;
    const tell = () => (all.textContent = open ? "hide all code" : "show all code");
    all.addEventListener("click", () => {
      open = !open;
      controls.forEach((show) => show(open));
      tell();
    });
    tell();
    title.after(all);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
