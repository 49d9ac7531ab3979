// Names and tab stops that the theme leaves out, for readers with a keyboard or a screen reader.
(() => {
  "use strict";

  // From the top of the page to its first explorer, without all that comes before
  function skip() {
    const explorer = document.querySelector(".memnb-explorer[id], .memnb-live[id]");
    const links = document.getElementById("pst-skip-link");
    if (!explorer || !links) return;
    const link = links.appendChild(document.createElement("a"));
    link.href = `#${explorer.id}`;
    link.textContent = "Skip to the first explorer";
  }

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
      icon.removeAttribute("title");
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

  // The contents show the section that is being read. The theme marks a section when its heading
  // comes up from below, so that its mark is late when the reader scrolls back.
  const READ = 0.3; // of the window, above which the last heading counts
  function mark() {
    const links = [...document.querySelectorAll("#pst-page-toc-nav a")];
    const above = links.filter((link) => {
      const section = document.getElementById(decodeURIComponent(link.hash.slice(1)));
      return section && section.getBoundingClientRect().top < READ * window.innerHeight;
    });
    const current = above[above.length - 1];
    for (const link of links) {
      link.classList.toggle("active", link === current);
      if (link === current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
      const entry = link.closest(".toc-entry");
      entry.classList.toggle("active", Boolean(current) && entry.contains(current));
    }
  }
  let waiting = false;
  function markSoon() {
    if (waiting) return;
    waiting = true;
    // After the frame, and so after the theme's own mark.
    requestAnimationFrame(() => setTimeout(() => { waiting = false; mark(); }));
  }
  window.addEventListener("scroll", markSoon, { passive: true });
  // Figures that are drawn late move what comes after them, without a scroll.
  new ResizeObserver(markSoon).observe(document.body);

  window.addEventListener("load", () => {
    names();
    skip();
    wide();
  });
  document.addEventListener("memnb-formulas", wide);
  window.addEventListener("resize", wide);
})();
