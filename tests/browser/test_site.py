"""The built site in a real browser: what holds for some of its pages, see test_pages.py for all."""

import re

import pytest
from support import ROOT
from visits import CHAPTERS, CONTRAST, Visit

from memnb.book.api import api_pages
from memnb.book.layout import Layout

ELEMENTS = 12_000  # in a page of the API; what a browser does before it has opened grows with them


def test_public_names_are_documented_once_on_the_page_of_their_package(site_url):
    folder = Layout(ROOT).site / "book"
    pages = {name: (folder / f"{name}.html").read_text() for name in api_pages()}
    for name in ("minnorm.flows.score_flow", "linear.model.LinearModel", "claims.Claim"):
        package = name.split(".")[0].replace("claims", "shared")
        at = [page for page, text in pages.items() if f'id="memnb.{name}"' in text]
        assert at == [f"api-{package}"]
        assert f'href="api-{package}.html"' in pages["api"]


@pytest.mark.parametrize("name", api_pages())
def test_a_page_of_the_api_is_short_enough_to_open_quickly(site_url, name):
    text = (Layout(ROOT).site / "book" / f"{name}.html").read_text()
    assert 300 < len(re.findall(r"<[a-z]", text)) < ELEMENTS


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


NO_WIDTH = """addEventListener('DOMContentLoaded', () => {
  const style = document.head.appendChild(document.createElement('style'));
  style.id = 'no-width';
  style.textContent = '.memnb-plot { width: 0 !important; }';
})"""


def test_a_figure_that_comes_near_without_width_is_drawn_when_it_has_one(browser, site_url):
    with Visit(browser, f"{site_url}/{CHAPTERS[0]}.html", 1280, 900, script=NO_WIDTH) as visit:
        view, plot = visit.page, visit.page.locator(".memnb-plot").first
        plot.evaluate("(p) => p.scrollIntoView()")
        view.wait_for_function("window.Plotly")  # loaded by the first that is to be drawn
        view.wait_for_timeout(1000)
        assert plot.get_attribute("data-drawn") is None
        view.evaluate("document.getElementById('no-width').remove()")
        view.wait_for_function("(p) => p.dataset.drawn", arg=plot.element_handle())
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


def test_the_contents_mark_the_section_that_is_read(browser, site_url):
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        view = context.new_page()
        view.goto(f"{site_url}/{CHAPTERS[0]}.html", wait_until="networkidle")
        links = view.locator("#pst-page-toc-nav a")
        hashes = [link.get_attribute("href") for link in links.all()]
        # Down through all sections, then back up by the wheel, to the middle of a long section
        # whose heading does not come into view.
        # A figure that is drawn late moves the heading, to which the reader then goes again.
        for hash_ in [*hashes, *reversed(hashes)]:
            view.wait_for_function(
                """(hash) => {
                  const place = document.getElementById(hash.slice(1)).getBoundingClientRect().top;
                  const end = document.documentElement.scrollHeight - window.innerHeight;
                  const top = Math.max(0, Math.min(end, place + window.scrollY + 40));
                  if (Math.abs(top - window.scrollY) > 2) {
                    window.scrollTo({ top, behavior: "instant" });
                    return false;
                  }
                  const on = document.querySelectorAll("#pst-page-toc-nav a.active");
                  return on.length === 1 && (on[0].hash === hash || window.scrollY + 50 > end);
                }""",
                arg=hash_,
            )


@pytest.mark.parametrize(("words", "chapter"), [("score flow", "01-"), ("hyperbox", "01-")])
def test_the_search_finds_chapters_first_and_shows_no_commands(browser, site_url, words, chapter):
    with browser.new_context() as context:
        view = context.new_page()
        view.goto(f"{site_url}/search.html?q={words.replace(' ', '+')}", wait_until="networkidle")
        view.wait_for_function("document.querySelectorAll('#search-results li p').length > 5")
        view.wait_for_timeout(500)
        results = view.locator("#search-results")
        assert "\\(" not in results.inner_text() and "\\[" not in results.inner_text()
        places = [link.get_attribute("href") for link in results.locator("li > a").all()]
        first_api = min((i for i, place in enumerate(places) if "/api" in place), default=99)
        last_chapter = max(i for i, place in enumerate(places) if "notebooks/" in place)
        assert chapter in "".join(places[:4]) and last_chapter < first_api
