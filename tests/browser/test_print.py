"""Chapters on paper: all figures, on white, none torn by the end of a page."""

import pytest
from visits import CHAPTERS, SITE, Visit

TALLEST = 1000  # pixels of a printed page of A4 without its margins
TORN = """() => [...document.querySelectorAll('.memnb-plot, .memnb-figure, .memnb-explorer')]
  .filter((e) => getComputedStyle(e).breakInside !== 'avoid').map((e) => e.className)"""
PRINTED = """() => addEventListener('beforeprint', () => {
  window.printed = [...document.querySelectorAll('.memnb-plot')].map((plot) => [
    plot.querySelectorAll('svg.main-svg .cartesianlayer .subplot').length,
    plot.getBoundingClientRect().width,
    plot.getBoundingClientRect().height,
  ]);
  window.theme = document.documentElement.dataset.theme;
})"""


@pytest.mark.parametrize("page", CHAPTERS)
def test_the_first_print_has_all_figures(browser, site_url, page):
    """The browser takes its picture as soon as the listeners of ``beforeprint`` have returned."""
    with Visit(browser, f"{site_url}/{page}.html", 1280, 900, "dark") as visit:
        view = visit.page
        drawn = view.evaluate("document.querySelectorAll('.memnb-plot[data-drawn]').length")
        view.emulate_media(media="print")
        assert view.evaluate(TORN) == []
        view.evaluate(PRINTED)
        view.pdf(format="A4")
        printed = view.evaluate("window.printed")
        assert len(printed) > drawn  # so some were drawn for the print
        for panels, width, height in printed:
            assert panels > 0 and width <= 640 and height <= TALLEST
        assert view.evaluate("window.theme") == "light"
        assert view.evaluate("document.documentElement.dataset.theme") == "dark"
        assert visit.complaints == []


@pytest.mark.parametrize("page", CHAPTERS[:1])
def test_the_first_print_without_a_server_has_all_figures(browser, page):
    with Visit(browser, (SITE / f"{page}.html").resolve().as_uri(), 1280, 900) as visit:
        visit.page.evaluate(PRINTED)
        visit.page.pdf(format="A4")
        assert all(panels > 0 for panels, _, _ in visit.page.evaluate("window.printed"))
