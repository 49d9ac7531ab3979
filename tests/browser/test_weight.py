"""What a page loads first is light, and its icons are in the fonts that it loads."""

import gzip
import json

import pytest
from fontTools.ttLib import TTFont
from visits import CHAPTERS, PAGES, SITE

FIRST_LOAD = 800_000  # bytes of a page and all that it loads before it is scrolled, compressed
FONTS = SITE / "_static" / "vendor" / "fontawesome" / "webfonts"
ICONS = """() => [...document.querySelectorAll('[class*="fa-"], .admonition-title')]
  .flatMap((box) => ['::before', '::after'].map((part) => getComputedStyle(box, part)))
  .filter((style) => style.fontFamily.startsWith('"Font Awesome') && style.content !== 'none')
  .map((style) => [style.content, style.fontWeight])"""


@pytest.mark.parametrize("page", PAGES)
def test_the_first_load_is_light(browser, site_url, page):
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        view = context.new_page()
        answers = []
        view.on("response", lambda answer: answers.append(answer))
        view.goto(f"{site_url}/{page}.html", wait_until="networkidle")
        sizes = {answer.url: len(gzip.compress(answer.body(), 6)) for answer in answers}
        assert sum(sizes.values()) <= FIRST_LOAD, sizes
        for unused in ("fontawesome.js", "searchindex.js", "searchtools.js", "ui/menu"):
            assert not any(unused in url for url in sizes)


@pytest.mark.parametrize("page", ["book/intro", *CHAPTERS])
def test_each_icon_has_its_glyph(browser, site_url, page):
    solid = TTFont(FONTS / "fa-solid-900.ttf").getBestCmap()
    with browser.new_context() as context:
        view = context.new_page()
        view.goto(f"{site_url}/{page}.html", wait_until="networkidle")
        icons = view.evaluate(ICONS)
    assert len(icons) >= 8
    for content, weight in icons:
        assert weight == "900"
        assert all(ord(character) in solid for character in json.loads(content)), content


def test_the_contents_mark_the_section_that_is_read(browser, site_url):
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        view = context.new_page()
        view.goto(f"{site_url}/{CHAPTERS[0]}.html", wait_until="networkidle")
        links = view.locator("#pst-page-toc-nav a")
        hashes = [link.get_attribute("href") for link in links.all()]
        # Down through all sections, then back up by the wheel, to the middle of a long section
        # whose heading does not come into view.
        for hash_ in [*hashes, *reversed(hashes)]:
            view.evaluate(
                "(id) => window.scrollTo({top: document.getElementById(id).getBoundingClientRect()"
                ".top + window.scrollY + 40, behavior: 'instant'})",
                hash_[1:],
            )
            view.wait_for_function(
                "(hash) => { const on = document.querySelectorAll('#pst-page-toc-nav a.active');"
                "return on.length === 1 && (on[0].hash === hash || window.scrollY + 950 >"
                "document.documentElement.scrollHeight); }",
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
