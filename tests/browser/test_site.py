"""Every page of the built site in a real browser: self-contained, complete, legible, alive."""

import json

import pytest
from support import ROOT
from visits import ARTIFACTS, CHAPTERS, PAGES, WIDTHS, Visit

from memnb.book.api import api_pages
from memnb.book.layout import Layout

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
CONTRAST = """() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const f = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0.5) return c;
    }
    return [255, 255, 255];
  };
  const ratio = (e, color) => {
    const [a, b] = [light(parse(color)), light(ground(e))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const pick = (selector, key) => [...document.querySelectorAll(selector)]
    .filter((e) => e.textContent.trim() && e.getClientRects().length)
    .map((e) => [e.textContent.trim().slice(0, 30), ratio(e, getComputedStyle(e)[key])]);
  return [
    ...pick("article p, article td, article th, article label, article output", "color"),
    ...pick(".memnb-verdict, .memnb-caption", "color"),
    ...pick(".memnb-plot svg text", "fill"),
  ].filter(([, r]) => r < 4.5);
}"""


def test_public_names_are_documented_once_on_the_page_of_their_package(site_url):
    folder = Layout(ROOT).site / "book"
    pages = {name: (folder / f"{name}.html").read_text() for name in api_pages()}
    for name in ("minnorm.flows.score_flow", "linear.model.LinearModel", "claims.Claim"):
        package = name.split(".")[0].replace("claims", "shared")
        at = [page for page, text in pages.items() if f'id="memnb.{name}"' in text]
        assert at == [f"api-{package}"]
        assert f'href="api-{package}.html"' in pages["api"]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("device", WIDTHS)
def test_page_is_self_contained_and_complete(browser, site_url, page, device):
    with Visit(browser, f"{site_url}/{page}.html", *WIDTHS[device]) as visit:
        visit.scroll()
        view = visit.page
        outside = [u for u in visit.requests if not u.startswith((site_url, "data:", "blob:"))]
        assert outside == []
        assert visit.complaints == []
        assert visit.weight <= MAX_PAGE
        assert view.evaluate("document.querySelectorAll('mjx-merror').length") == 0
        width = view.evaluate("document.documentElement.scrollWidth")
        assert width <= WIDTHS[device][0]
        if page in CHAPTERS:
            assert view.evaluate("document.querySelectorAll('mjx-container').length") > 20
            count = EXPLORERS[page.removeprefix("notebooks/")]
            explorers = "document.querySelectorAll('.memnb-explorer, .memnb-live').length"
            assert view.evaluate(explorers) == count
            unnamed = view.evaluate(
                "[...document.querySelectorAll('.memnb-plot')]"
                ".filter((p) => !(p.getAttribute('aria-label') || '').trim()).length"
            )
            assert unnamed == 0
            # Every figure is numbered, in the order of the page.
            captions = view.locator("figure.memnb-figure > figcaption").all_inner_texts()
            plots = view.evaluate("document.querySelectorAll('.memnb-plot, .memnb-live').length")
            chapter = int(page.removeprefix("notebooks/")[:2])
            expected = [f"Figure {chapter}.{k + 1}" for k in range(plots)]
            assert [caption.split(". ")[0] for caption in captions] == expected
            # A wide table scrolls in itself.
            loose = view.evaluate(
                "[...document.querySelectorAll('.memnb-table')].filter((t) => "
                "t.getBoundingClientRect().right > innerWidth && !t.closest('.memnb-scroll'))"
                ".length"
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
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        name = page.replace("/", "-")
        view.screenshot(path=ARTIFACTS / f"{name}-{device}.png", full_page=True)
        weight = {"first load": visit.first_load, "scrolled": visit.weight}
        (ARTIFACTS / f"{name}-{device}-weight.json").write_text(json.dumps(weight))


@pytest.mark.parametrize("page", CHAPTERS)
def test_figure_data_of_a_chapter_is_small(browser, site_url, page):
    with Visit(browser, f"{site_url}/{page}.html", 1280, 900) as visit:
        size = visit.page.evaluate(
            "[...document.querySelectorAll('script[type=\"application/json\"]')]"
            ".reduce((n, s) => n + s.textContent.length, 0)"
        )
        assert 10_000 < size <= MAX_DATA


@pytest.mark.parametrize("page", PAGES)
def test_dark_page_is_legible(browser, site_url, page):
    with Visit(browser, f"{site_url}/{page}.html", 1280, 900, "dark") as visit:
        visit.scroll()
        assert visit.page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert visit.page.evaluate(CONTRAST) == []
        name = page.replace("/", "-")
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        visit.page.screenshot(path=ARTIFACTS / f"{name}-dark.png", full_page=True)


@pytest.mark.parametrize("page", CHAPTERS[:1])
def test_figures_stay_as_wide_as_their_column(browser, site_url, page):
    fits = """[...document.querySelectorAll('.memnb-plot')].every(
      (p) => p._fullLayout.width === p.clientWidth)"""
    with Visit(browser, f"{site_url}/{page}.html", 1280, 900) as visit:
        visit.scroll()
        assert visit.page.evaluate(fits)
        before = visit.page.evaluate("document.querySelector('.memnb-plot').clientWidth")
        # Neither of these resizes the window: a narrower column, then a wider one.
        for style in ("max-width: 480px", ""):
            visit.page.evaluate(f"document.querySelector('article').style = '{style}'")
            visit.page.wait_for_function(fits)
            after = visit.page.evaluate("document.querySelector('.memnb-plot').clientWidth")
            assert (after < before) == bool(style)
        assert visit.complaints == []


def test_switching_to_dark_redraws_the_figures(browser, site_url):
    with Visit(browser, f"{site_url}/{CHAPTERS[0]}.html", 1280, 900) as visit:
        visit.scroll()
        color = "getComputedStyle(document.querySelector('.memnb-plot .xtitle')).fill"
        light = visit.page.evaluate(color)
        visit.page.evaluate("document.documentElement.dataset.theme = 'dark'")
        visit.page.wait_for_function(f"{color} !== '{light}'")
        assert visit.page.evaluate(CONTRAST) == []


def test_search_finds_the_hyperbox(browser, site_url):
    with Visit(browser, f"{site_url}/search.html?q=hyperbox", 1280, 900) as visit:
        visit.page.wait_for_selector("#search-results li a")
        titles = visit.page.eval_on_selector_all(
            "#search-results li a", "(links) => links.map((a) => a.textContent)"
        )
        assert any("Score flow" in title for title in titles)
        assert [u for u in visit.requests if not u.startswith((site_url, "data:"))] == []


def test_the_site_works_without_a_server(browser, site_url):
    index = ROOT / "_build" / "site" / f"{CHAPTERS[0]}.html"
    with Visit(browser, index.resolve().as_uri(), 1280, 900) as visit:
        visit.scroll()
        assert visit.page.evaluate("document.querySelectorAll('mjx-container').length") > 20
        assert all(u.startswith(("file:", "data:", "blob:")) for u in visit.requests)
