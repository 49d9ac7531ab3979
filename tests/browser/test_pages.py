"""Every page, opened once at each width: light, self-contained, complete, legible, accessible.

The rules of accessibility are those of axe-core, whose script is kept beside this file for this
test only.
"""

import gzip
import json
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont
from visits import (
    ARTIFACTS,
    CHAPTERS,
    CONTRAST,
    EXPLORERS_FIT,
    PAGES,
    SCREENSHOTS,
    SITE,
    WIDTHS,
    Visit,
    switch,
)

FIRST_LOAD = 800_000  # bytes of a page and all that it loads before it is scrolled, compressed
AXE = Path(__file__).parent / "axe" / "axe.min.js"
SERIOUS = """async (only) => (await axe.run(document, {
  resultTypes: ['violations'], ...(only && { runOnly: only }) })).violations
  .filter((v) => ['serious', 'critical'].includes(v.impact))
  .flatMap((v) => v.nodes.map((node) => `${v.id}: ${node.html.slice(0, 120)}`))"""
COLORS = ["color-contrast", "link-in-text-block"]  # the rules that depend on the scheme
FONTS = SITE / "_static" / "vendor" / "fontawesome" / "webfonts"
ICONS = """() => [...document.querySelectorAll('[class*="fa-"], .admonition-title')]
  .flatMap((box) => ['::before', '::after'].map((part) => getComputedStyle(box, part)))
  .filter((style) => style.fontFamily.startsWith('"Font Awesome') && style.content !== 'none')
  .map((style) => [style.content, style.fontWeight])"""
# How many explorers each chapter has
EXPLORERS = {
    "01-score-flow": 3,
    "02-probability-flow": 2,
    "03-simplex-data": 4,
    "04-trained-denoisers": 1,
    "05-linear-model": 2,
    "06-unet-transition": 4,
    "07-audit": 1,
}
MAX_PAGE, MAX_DATA = 8e6, 1.5e6
# Texts of figures that stick out of them
CUT = """() => [...document.querySelectorAll('.memnb-plot')].flatMap((plot) => {
  const box = plot.getBoundingClientRect();
  return [...plot.querySelectorAll('svg.main-svg text')].filter((t) => t.textContent.trim())
    .map((t) => [plot.closest('figure').id, t.textContent, t.getBoundingClientRect()])
    .filter(([, , r]) => r.width && (r.left < box.left - 1 || r.right > box.right + 1
      || r.top < box.top - 1 || r.bottom > box.bottom + 1))
    .map(([id, text]) => `${id}: ${text}`);
})"""
# How much higher than its axes' common scale allows each figure with such axes is, in pixels
BANDS = """() => [...document.querySelectorAll('.memnb-plot')].flatMap((plot) => {
  const full = plot._fullLayout;
  return Object.keys(full).filter((k) => /^yaxis/.test(k) && full[k].scaleanchor).map((k) => {
    const { domain, _inputDomain } = full[k];
    const used = (domain[1] - domain[0]) / (_inputDomain[1] - _inputDomain[0]);
    return (1 - used) * full._size.h;
  });
})"""


def check_first_load(visit):
    """Compressed as every server does it."""
    sizes = {answer.url: len(gzip.compress(answer.body(), 6)) for answer in visit.first_answers}
    assert sum(sizes.values()) <= FIRST_LOAD, sizes
    for unused in ("fontawesome.js", "searchindex.js", "searchtools.js", "ui/menu"):
        assert not any(unused in url for url in sizes)


def check_icons(view):
    """Each is in the part of the font that the page loads."""
    solid = TTFont(FONTS / "fa-solid-900.ttf").getBestCmap()
    icons = view.evaluate(ICONS)
    assert len(icons) >= 8
    for content, weight in icons:
        assert weight == "900"
        assert all(ord(character) in solid for character in json.loads(content)), content


def check_access(view, schemes):
    view.evaluate(AXE.read_text())
    # Colors are judged as they are in the end, not on their way from one scheme to the other.
    still = view.add_style_tag(content="* { transition: none !important; }")
    findings = {}
    for scheme in schemes:
        switch(view, scheme)
        findings[scheme] = view.evaluate(SERIOUS, None if scheme == schemes[0] else COLORS)
    assert not {scheme: what for scheme, what in findings.items() if what}
    switch(view, "light")
    still.evaluate("(e) => e.remove()")


def check_tab_stops(view):
    """Two links lead past all that comes first, one of them to the controls of an explorer."""
    stops = []
    for _ in range(2):
        view.keyboard.press("Tab")
        stops.append(view.evaluate("document.activeElement.textContent"))
    assert stops == ["Skip to main content", "Skip to the first explorer"]
    view.keyboard.press("Enter")
    view.keyboard.press("Tab")
    reached = "article :is(.memnb-explorer, .memnb-live) :is(input, select, button)"
    assert view.evaluate("(s) => document.activeElement.matches(s)", reached)


def check_figures(view, page, device):
    """All are there, numbered in the order of the page, and nothing is cut off."""
    assert view.evaluate("document.querySelectorAll('mjx-container').length") > 20
    count = EXPLORERS[page.removeprefix("notebooks/")]
    explorers = "document.querySelectorAll('.memnb-explorer, .memnb-live').length"
    assert view.evaluate(explorers) == count
    size = view.evaluate(
        "[...document.querySelectorAll('script[type=\"application/json\"]')]"
        ".reduce((n, s) => n + s.textContent.length, 0)"
    )
    assert 10_000 < size <= MAX_DATA
    unnamed = view.evaluate(
        "[...document.querySelectorAll('.memnb-plot')]"
        ".filter((p) => !(p.getAttribute('aria-label') || '').trim()).length"
    )
    assert unnamed == 0
    # What a cell prints is in one box, and nothing is shown that a cell only returns.
    torn = ".output.stream + .output.stream, .output.text_plain"
    assert view.evaluate("(s) => document.querySelectorAll(s).length", torn) == 0
    captions = view.locator("figure.memnb-figure > figcaption").all_inner_texts()
    plots = view.evaluate("document.querySelectorAll('.memnb-plot, .memnb-live').length")
    chapter = int(page.removeprefix("notebooks/")[:2])
    expected = [f"Figure {chapter}.{k + 1}" for k in range(plots)]
    assert [caption.split(". ")[0] for caption in captions] == expected
    # A wide table scrolls in itself; its caption stays in view.
    loose = view.evaluate(
        "[...document.querySelectorAll('.memnb-table')].filter((t) => "
        "(t.getBoundingClientRect().right > innerWidth && !t.closest('.memnb-scroll'))"
        " || t.caption?.getBoundingClientRect().right > innerWidth).length"
    )
    assert loose == 0
    # Nothing in a figure sticks out of it, and planes and galleries leave no empty bands.
    clipped = view.evaluate(
        "[...document.querySelectorAll('.memnb-plot svg.main-svg')]"
        ".filter((s) => s.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert clipped == 0
    assert view.evaluate(CUT) == []
    assert device == "desktop" or all(band < 6 for band in view.evaluate(BANDS))


def check_formulas_fit(view):
    """On a wide window none has to be scrolled."""
    wide = view.evaluate(
        "[...document.querySelectorAll('mjx-container[display=true]')]"
        ".filter((e) => e.scrollWidth > e.clientWidth + 3).map((e) => e.textContent)"
    )
    assert wide == []


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("device", WIDTHS)
def test_page(browser, site_url, page, device):
    with Visit(browser, f"{site_url}/{page}.html", *WIDTHS[device]) as visit:
        view = visit.page
        check_first_load(visit)
        if page in ("book/intro", *CHAPTERS):
            check_icons(view)
        # Pages of the API are long, and all made alike: each width and each scheme once
        once = {"desktop": ["light"], "phone": ["dark"]}
        if page in CHAPTERS and device == "desktop":
            check_tab_stops(view)
        check_access(view, once[device] if "/api-" in page else ["light", "dark"])
        visit.scroll()
        outside = [u for u in visit.requests if not u.startswith((site_url, "data:", "blob:"))]
        assert outside == []
        assert visit.complaints == []
        assert visit.weight <= MAX_PAGE
        assert view.evaluate("document.querySelectorAll('mjx-merror').length") == 0
        assert view.evaluate("document.documentElement.scrollWidth") <= WIDTHS[device][0]
        assert view.evaluate(EXPLORERS_FIT)
        if page in CHAPTERS:
            check_figures(view, page, device)
        if device == "desktop":
            check_formulas_fit(view)
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        name = page.replace("/", "-")
        if SCREENSHOTS:
            view.screenshot(path=ARTIFACTS / f"{name}-{device}.png", full_page=True)
        weight = {"first load": visit.first_load, "scrolled": visit.weight}
        (ARTIFACTS / f"{name}-{device}-weight.json").write_text(json.dumps(weight))
        if device == "desktop":
            switch(view, "dark")
            view.wait_for_timeout(300)
            assert view.evaluate(CONTRAST) == []
            if SCREENSHOTS:
                view.screenshot(path=ARTIFACTS / f"{name}-dark.png", full_page=True)


@pytest.mark.parametrize("page", ["search.html?q=hyperbox", "404.html", "genindex.html"])
def test_a_page_that_is_not_in_the_contents(browser, site_url, page):
    with Visit(browser, f"{site_url}/{page}", *WIDTHS["phone"]) as visit:
        visit.page.wait_for_timeout(500)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= WIDTHS["phone"][0]
        visit.page.evaluate(AXE.read_text())
        for scheme in ("light", "dark"):
            visit.page.emulate_media(color_scheme=scheme)
            visit.page.wait_for_timeout(500)
            assert visit.page.evaluate(SERIOUS) == []
