// Names and tab stops that the theme leaves out, for readers with a keyboard or a screen reader.
(() => {
  "use strict";

  function names() {
    // The name of a button begins with the words on it.
    const search = document.querySelector(".search-button-field");
    if (search) search.setAttribute("aria-label", search.textContent.replace(/\s+/g, " ").trim());
    for (const summary of document.querySelectorAll("nav .has-children > details > summary")) {
      const link = summary.closest(".has-children").querySelector("a");
      summary.setAttribute("aria-label", `pages of ${link.textContent.trim()}`);
    }
    for (const entry of document.querySelectorAll(".citation-list[role=list] > *")) {
      entry.setAttribute("role", "listitem");
    }
    // This button has a name; the titles of its icons are no part of it.
    for (const icon of document.querySelectorAll(".theme-switch-button > *")) {
      icon.setAttribute("aria-hidden", "true");
      for (const name of ["aria-labelledby", "role", "title"]) icon.removeAttribute(name);
      icon.replaceChildren(...icon.querySelectorAll("path"));
    }
  }

  // A formula, code or table wider than its column scrolls, and must be reached to be scrolled.
  const BOXES = 'mjx-container[display="true"], article pre, .pst-scrollable-table-container';
  function wide() {
    for (const box of document.querySelectorAll(BOXES)) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }

  window.addEventListener("load", () => {
    names();
    const typeset = window.MathJax && window.MathJax.startup && window.MathJax.startup.promise;
    if (typeset) typeset.then(wide);
  });
  window.addEventListener("resize", wide);
})();
