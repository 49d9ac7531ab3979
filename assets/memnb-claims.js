// The filter of the page of claims: by verdict and by chapter. Without it all claims are listed.
(() => {
  "use strict";

  function choice(name, label, values) {
    const box = document.createElement("label");
    const select = document.createElement("select");
    select.name = name;
    for (const [value, text] of [["", "all"], ...values]) select.add(new Option(text, value));
    box.append(`${label} `, select);
    return { box, select };
  }

  function start() {
    const filter = document.querySelector(".memnb-filter");
    if (!filter) return;
    const rows = [...document.querySelectorAll(".memnb-row")];
    const values = (key) => [...new Set(rows.map((row) => row.dataset[key]))];
    const title = (chapter) => {
      const link = rows.find((row) => row.dataset.chapter === chapter).querySelector("a");
      return `${Number(chapter.slice(0, 2))}. ${link.title}`;
    };
    const chapters = values("chapter").sort().map((chapter) => [chapter, title(chapter)]);
    const choices = [
      choice("verdict", "Verdict", values("verdict").map((verdict) => [verdict, verdict])),
      choice("chapter", "Chapter", chapters),
    ];
    const count = document.createElement("output");
    const show = () => {
      for (const row of rows) {
        row.hidden = choices.some(({ select }) => select.value
          && row.dataset[select.name] !== select.value);
      }
      for (const section of document.querySelectorAll("article section section")) {
        if (!section.querySelector(".memnb-row")) continue;
        section.hidden = !section.querySelector(".memnb-row:not([hidden])");
      }
      count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} claims`;
    };
    const asked = new URLSearchParams(location.search);
    for (const { box, select } of choices) {
      filter.append(box);
      const value = asked.get(select.name);
      if ([...select.options].some((option) => option.value === value)) select.value = value;
      select.addEventListener("change", show);
    }
    filter.append(count);
    show();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
