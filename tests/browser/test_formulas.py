"""How a page comes up: in its colors from the start, and its formulas after its text."""

import re

import pytest
from visits import CHAPTERS, FORMULAS, ROOT

API = "book/api-minnorm"
# Whatever changes from the first line of a page on, before its scripts run
WATCH = """
  window.schemes = [];
  window.batches = [];
  const formulas = (nodes) => [...nodes].filter((node) => node.nodeName === 'MJX-CONTAINER');
  new MutationObserver((changes) => {
    for (const { type, target } of changes) {
      if (type === 'attributes') window.schemes.push(target.dataset.theme);
    }
    const set = changes.flatMap(({ addedNodes }) => formulas(addedNodes));
    if (set.length) {
      window.batches.push({
        count: set.length,
        loaded: document.readyState === 'complete',
        screens: Math.max(...set.map((e) => e.getBoundingClientRect().top / innerHeight)),
      });
    }
  }).observe(document, {
    attributes: true, attributeFilter: ['data-theme'], childList: true, subtree: true,
  });
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("chosen", [None, "light", "dark"])
def test_a_page_has_its_colors_before_it_has_anything_else(browser, site_url, scheme, chosen):
    with browser.new_context(color_scheme=scheme) as context:
        view = context.new_page()
        view.add_init_script(WATCH)
        if chosen:
            view.add_init_script(f"localStorage.setItem('mode', '{chosen}')")
        view.goto(f"{site_url}/book/intro.html", wait_until="load")
        assert set(view.evaluate("window.schemes")) == {chosen or scheme}


@pytest.mark.parametrize("page", [CHAPTERS[0], API])
def test_formulas_come_after_the_text_and_many_at_once(browser, site_url, page):
    """Each time that some are put into a long page, the browser goes through all of it."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        view = context.new_page()
        view.add_init_script(WATCH)
        view.goto(f"{site_url}/{page}.html")
        view.wait_for_function(FORMULAS)
        batches = view.evaluate("window.batches")
        count = sum(batch["count"] for batch in batches)
        assert count == view.evaluate("document.querySelectorAll('mjx-container').length") > 60
        assert all(batch["loaded"] for batch in batches)
        assert len(batches) <= 2 + count / 100
        assert batches[0]["screens"] < 2 < batches[-1]["screens"]  # what is read first comes first


@pytest.mark.parametrize("width", [1280, 390])
def test_no_line_begins_with_the_mark_after_a_formula(browser, site_url, width):
    with browser.new_context(viewport={"width": width, "height": 900}) as context:
        view = context.new_page()
        view.goto(f"{site_url}/{CHAPTERS[0]}.html")
        view.wait_for_function(FORMULAS)
        lines = view.evaluate(
            """() => [...document.querySelectorAll('.memnb-held')].map((box) => {
              const range = document.createRange();
              range.selectNodeContents(box.lastChild);
              const [formula, mark] = [box.querySelector('mjx-container'), range].map(
                (part) => part.getBoundingClientRect());
              return [box.lastChild.data, mark.left - formula.right, mark.top < formula.bottom];
            })"""
        )
        assert len(lines) > 20
        assert all(set(mark) <= set(".,;:!?)") for mark, _, _ in lines)
        assert all(abs(gap) < 2 and beside for _, gap, beside in lines)


def test_fonts_of_formulas_are_known_before_there_are_formulas(browser, site_url):
    folder = ROOT / "assets" / "mathjax"
    scripts = [folder / "output" / "chtml.js", folder / "output" / "chtml" / "fonts" / "tex.js"]
    known = re.findall(
        r""""font-family":"(MJX[\w-]*)",src:'url\("%%URL%%/([\w-]+\.woff)""",
        "".join(script.read_text() for script in scripts),
    )
    ours = re.findall(
        r'font-family: (\S+);\n  src: url\("output/chtml/fonts/woff-v2/(\S+)"\)',
        (folder / "fonts.css").read_text(),
    )
    assert len(known) == 22
    assert sorted(ours) == sorted(known)
    with browser.new_context() as context:
        view = context.new_page()
        view.goto(f"{site_url}/{CHAPTERS[0]}.html")
        view.wait_for_function(FORMULAS)
        late = (
            "[...document.getElementById('MJX-CHTML-styles').sheet.cssRules]"
            ".filter((rule) => rule instanceof CSSFontFaceRule).length"
        )
        assert view.evaluate(late) == 0
        view.wait_for_function(
            "[...document.fonts].filter((font) => font.family.includes('MJX')"
            " && font.status === 'loaded').length >= 2"
        )
