// The state of an explorer in the address of its page: #two-flows?N=11&d=30
// Its element has the id explorer-two-flows, as a heading may have the same name; an address without
// a question mark means the heading, if there is one.
// Explorers that compute (assets/live) and those with stored frames (memnb-plots.js) both use it as
// `memnb.address`; JupyterLab and executed notebooks have no such address and go without.
globalThis.memnb = { address: (() => {
  "use strict";

  // What the address says about the explorer `id`: values by name, or null if it is not meant.
  function given(id) {
    const [name, query] = location.hash.slice(1).split("?");
    if (name !== id || (query === undefined && document.getElementById(id))) return null;
    return new URLSearchParams(query);
  }

  // The address of this page with the explorer `id` in the state `values`, an object of texts.
  function link(id, values) {
    const query = new URLSearchParams(values).toString().replaceAll("%2C", ",").replaceAll("%3B", ";");
    return `${location.href.split("#")[0]}#${id}?${query}`;
  }

  // Call restore(values) whenever the address means the explorer `id`, and scroll to its `box`.
  function follow(id, box, restore) {
    const look = () => {
      const values = given(id);
      if (!values) return;
      restore(values);
      box.scrollIntoView();
    };
    addEventListener("hashchange", look);
    look();
  }

  // A button in `parent` that puts the state, an object of texts made by state(), into the address
  // and copies it.
  function button(parent, id, state) {
    const copy = document.createElement("button");
    copy.type = "button";
    copy.textContent = "Copy link";
    copy.addEventListener("click", async () => {
      const url = link(id, state());
      history.replaceState(null, "", url);
      let told = "See address bar";
      try {
        await navigator.clipboard.writeText(url);
        told = "Copied";
      } catch { /* no clipboard without a server, or none allowed */ }
      copy.textContent = told;
      setTimeout(() => { copy.textContent = "Copy link"; }, 2000);
    });
    parent.append(copy);
    return copy;
  }

  // The number in a text, at most at the ends; `start` if there is none.
  function number(text, low, high, start) {
    const value = (text ?? "").trim() === "" ? NaN : Number(text);
    return Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : start;
  }

  // The text if it is one of the values, else `start`.
  const choice = (text, values, start) => (values.includes(text) ? text : start);

  return { given, link, follow, button, number, choice };
})() };
