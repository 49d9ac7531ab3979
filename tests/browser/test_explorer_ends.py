"""Every explorer of every page: all its controls at both ends, wide and narrow, light and dark.

What the numbers are is for the tests of each explorer. Here each move must draw a frame that can be
read and is not too wide, and the two ends must show different things. The explorers and their
controls are those that the pages have, so that none is forgotten.
"""

import re

import pytest
from visits import CHAPTERS, CONTRAST, PAGES, RATIO, SITE, WIDTHS, Visit, switch

WITH_EXPLORERS = ["book/intro", *CHAPTERS]
# Before anything is drawn: keeps the colors and the opacity with which each canvas is painted
LISTEN = """
  const pen = CanvasRenderingContext2D.prototype;
  window.painted = new Map();
  const listen = (name, told) => {
    const original = pen[name];
    pen[name] = function (...given) {
      told.call(this, painted.get(this.canvas));
      return original.apply(this, given);
    };
  };
  listen("clearRect", function () { painted.set(this.canvas, new Map()); });
  listen("drawImage", function (inks) { inks?.set("map", 0); });
  for (const [name, ink] of [["fill", "fillStyle"], ["fillText", "fillStyle"],
    ["stroke", "strokeStyle"]]) {
    listen(name, function (inks) { inks?.set(this[ink], this.globalAlpha); });
  }
"""
# Marks that stand out too little from the page, or from all areas of their own chart. What is more
# translucent is meant to be behind the rest; a map has a ground of its own, in the dark, too.
MARKS = f"""(box) => {{
  {RATIO}
  const rgb = (color) => (color[0] === "#"
    ? [1, 3, 5].map((k) => parseInt(color.slice(k, k + 2), 16)) : parse(color));
  const inkOf = (mark) => {{
    const {{ fill, stroke }} = getComputedStyle(mark);
    const line = fill.startsWith("url") && box.querySelector(fill.match(/#[^"]*/)[0]).firstChild;
    if (line) return line.getAttribute("stroke") || line.getAttribute("fill");
    return fill === "none" ? stroke : fill;
  }};
  const found = [];
  const add = (on, ink, opacity, over = []) => {{
    const [color, behind] = [rgb(ink), ground(on)];
    const alpha = Number(opacity) * (color[3] ?? 1);
    const seen = behind.slice(0, 3).map((v, k) => alpha * color[k] + (1 - alpha) * v);
    const faint = between(seen, behind) < 3
      && !(over.length && over.every((area) => between(color, rgb(area)) >= 3));
    if (alpha >= 0.7 && faint) found.push(`${{on.tagName}} in ${{ink}} of opacity ${{alpha}}`);
  }};
  for (const canvas of box.querySelectorAll("canvas")) {{
    const inks = painted.get(canvas) || new Map();
    if (!inks.has("map")) inks.forEach((opacity, ink) => add(canvas, ink, opacity));
  }}
  const paths = [...box.querySelectorAll(".memnb-live-chart path[d^=M]:not(.grid)")];
  const areas = paths.map((path) => path.getAttribute("fill"))
    .filter((fill, k) => fill && fill === paths[k].getAttribute("stroke"));
  for (const path of paths) add(path, inkOf(path), 1, areas);
  const marks = box.querySelector(".heatmaplayer image") ? []
    : box.querySelectorAll(".cartesianlayer :is(path.point, .points path, path.js-line)");
  for (const mark of marks) add(mark, inkOf(mark), getComputedStyle(mark).opacity);
  for (const entry of box.querySelectorAll(":is(.memnb-live-counts, .memnb-live-legend) span")) {{
    add(entry, getComputedStyle(entry, "::before").color, 1);
  }}
  return [...new Set(found)];
}}"""
# Moves each control from the start to its ends and returns what is wrong there
SWEEP = f"""async (box, dark) => {{
  const [words, marks] = [{CONTRAST}, {MARKS}];
  const live = box.matches(".memnb-live");
  const plot = box.querySelector(".memnb-plot");
  const drawn = () => (live ? box : plot).dataset.drawn;
  const all = (selector) => [...box.querySelectorAll(selector)]
    .filter((e) => e.getClientRects().length);
  const picture = () => JSON.stringify(live
    ? [...all("canvas").map((c) => c.toDataURL()), ...all("svg").map((s) => s.innerHTML)]
    : [plot.data, plot.layout.annotations, plot.layout.xaxis.title, plot.layout.shapes]);

  const after = async (act) => {{
    const [before, start] = [drawn(), performance.now()];
    act();
    while (drawn() === before || box.matches("[data-rough]")) {{
      if (performance.now() - start > 20_000) throw new Error("no frame was drawn");
      await new Promise(requestAnimationFrame);
    }}
  }};

  const tell = (element, ...names) =>
    names.forEach((name) => element.dispatchEvent(new Event(name)));
  const slide = (slider, value) => {{
    slider.value = value;
    tell(slider, "input", "change");
  }};
  // Each end as a way to go there, what is shown there, and what should be
  const ends = (control, {{ values, low, high }}) => {{
    const slider = control.querySelector("input[type=range]");
    if (slider) {{
      const [first, last] = values ? [values[0], values.at(-1)] : [low, high];
      return [[slider.min, first], [slider.max, last]].map(([place, end]) => [
        () => slide(slider, place), () => slider.getAttribute("aria-valuetext"), String(end)]);
    }}
    const list = control.querySelector("select");
    const choices = [...control.querySelectorAll("option, input")].filter((e) => !e.disabled);
    const one = list ? () => list.value : () => control.querySelector(":checked").value;
    return [...new Set([choices[0], choices.at(-1)])].map((choice) => [() => {{
      choice[list ? "selected" : "checked"] = true;
      tell(list || choice, "change");
    }}, one, choice.value]);
  }};

  const wide = () => {{
    const {{ left, right }} = box.getBoundingClientRect();
    const out = all("svg text").map((text) => [text, text.getBoundingClientRect()])
      .filter(([, place]) => place.width && (place.left < left || place.right > right));
    return [...document.documentElement.scrollWidth > innerWidth ? ["the page is too wide"] : [],
      ...box.scrollWidth > box.clientWidth ? ["the explorer is too wide"] : [],
      ...out.map(([text]) => `outside: ${{text.textContent}}`)];
  }};

  const {{ controls: spec, play }} = JSON.parse(box.querySelector("script").textContent);
  const controls = all(":is(.memnb-live-controls, .memnb-controls) > *");
  const reset = all("button").find((button) => button.textContent === "Reset");
  const wrong = controls.length === spec.length ? [] : ["a control is missing"];
  for (const [k, control] of controls.entries()) {{
    // A control may change nothing at the start, where all is over; then it must on the way.
    for (const share of [null, 0.5, 0.9, 0.97]) {{
      reset.click(); // drawn with the next move
      const time = share && box.querySelector(`input[name=${{play}}]`);
      if (time) slide(time, Number(time.min) + share * (time.max - time.min));
      const places = ends(control, spec[k]);
      const pictures = new Set();
      for (const [go, shown, end] of places) {{
        await after(go);
        pictures.add(picture());
        wrong.push(...[...shown() === end ? [] : [`stands at ${{shown()}}`], ...wide(),
          ...words(box), ...(dark ? marks(box) : [])].map((what) => [spec[k].name, end, what]));
      }}
      if (pictures.size === places.length) break;
      if (share === 0.97) wrong.push([spec[k].name, "shows the same at both ends"]);
    }}
  }}
  return wrong;
}}"""
# Plots are drawn when they come near.
READY = """() => [...document.querySelectorAll('.memnb-live, .memnb-explorer .memnb-plot')]
  .every((e) => { if (!e.dataset.drawn) e.scrollIntoView(); return e.dataset.drawn; })"""


def test_no_other_page_has_an_explorer():
    pattern = re.compile(r'class="memnb-(live|explorer)"')
    found = [page for page in PAGES if pattern.search((SITE / f"{page}.html").read_text())]
    assert sorted(found) == sorted(WITH_EXPLORERS)


@pytest.mark.parametrize("page", WITH_EXPLORERS)
@pytest.mark.parametrize("device", WIDTHS)
def test_every_control_at_both_ends(browser, site_url, page, device):
    """And as it opens, an explorer fits on the screen of a phone, controls and picture."""
    url, (width, height) = f"{site_url}/{page}.html", WIDTHS[device]
    with Visit(browser, url, width, height, script=LISTEN) as visit:
        visit.page.wait_for_function(READY)
        boxes = visit.page.query_selector_all(":is(.memnb-live, .memnb-explorer)")
        assert boxes
        for box in boxes if device == "phone" else []:
            assert box.bounding_box()["height"] <= height, box.get_attribute("id")
        for scheme in ("light", "dark"):
            switch(visit.page, scheme)
            for box in boxes:
                wrong = box.evaluate(SWEEP, scheme == "dark")
                assert wrong == [], (box.get_attribute("id"), scheme)
        assert visit.complaints == []
