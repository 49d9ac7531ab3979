"""Code that is out of the way, and claims that are found."""

from urllib.parse import urlsplit

import pytest
from visits import CHAPTERS, SITE, Visit

SCREENS = 8  # of the page of claims, at 1280 by 900
SHOWN = """() => [...document.querySelectorAll('.memnb-code-panel')]
  .filter((panel) => !panel.hasAttribute('hidden')).length"""


@pytest.mark.parametrize("page", CHAPTERS)
def test_hidden_code_has_one_control_for_each_figure_and_one_for_the_page(browser, site_url, page):
    source = (SITE / f"{page}.html").read_text()
    with Visit(browser, f"{site_url}/{page}.html", 1280, 900) as visit:
        view = visit.page
        panels = view.locator(".memnb-code-panel")
        # All code is there, and no bar of the theme.
        assert view.locator("div.cell > details").count() == 0
        inside = view.locator(".memnb-code-panel .cell_input").count()
        assert inside == source.count('<details class="admonition hide above-input">') > 0
        twice = view.evaluate(
            "[...document.querySelectorAll('.memnb-figure')]"
            ".filter((f) => f.querySelectorAll('button.memnb-code').length > 1).length"
        )
        assert twice == 0 and panels.count() < inside
        # Two controls in a row are always kept apart by a figure or text.
        assert view.locator(".memnb-code-panel + button.memnb-code").count() == 0
        button = view.locator(".memnb-figure > button.memnb-code").first
        panel = view.locator(f"#{button.get_attribute('aria-controls')}")
        assert button.inner_text() == "code"
        assert button.get_attribute("aria-label").startswith("code of Figure")
        for key, state in (("Enter", "true"), ("Space", "false")):
            button.focus()
            view.keyboard.press(key)
            assert button.get_attribute("aria-expanded") == state
            assert panel.locator("pre").first.is_visible() == (state == "true")
        switch = view.locator("button.memnb-all-code")
        for words, shown in (("hide all code", panels.count()), ("show all code", 0)):
            switch.click()
            assert switch.inner_text() == words
            assert view.evaluate(SHOWN) == shown
        for words in ("NBVAL_CHECK_OUTPUT", "fmt: skip"):
            assert words not in source


def test_hidden_code_is_found_without_scripts(browser, site_url):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site_url}/{CHAPTERS[0]}.html")
    bars = page.locator("details.above-input > summary")
    assert bars.count() > 0 and bars.first.is_visible()
    context.close()


def test_the_page_of_claims_is_short_and_filters(browser, site_url):
    with Visit(browser, f"{site_url}/book/claims.html", 1280, 900) as visit:
        view = visit.page
        assert view.evaluate("document.documentElement.scrollHeight") < SCREENS * 900
        rows = view.locator(".memnb-row")
        total = rows.count()
        headings = view.locator("h3").all_inner_texts()
        assert len(headings) > 12
        for part in ("Section 5", "Appendix C", "Section 4", "Equations", "Chapter 6"):
            assert any(heading.startswith(part) for heading in headings), part
        counts = view.locator(".memnb-verdicts .memnb-verdict").all_inner_texts()
        assert sum(int(text.split()[0]) for text in counts) == total > 50
        parts = view.locator("article section section:has(.memnb-row)")
        left = view.locator("article section section:has(.memnb-row:not([hidden]))")
        emptied = 0
        for text in counts:
            number, verdict = text.split(" ", 1)
            view.locator("select[name=verdict]").select_option(verdict)
            assert view.locator(".memnb-row:visible").count() == int(number)
            assert view.locator(".memnb-filter output").inner_text().startswith(f"{number} of")
            # A part of a group goes with its last claim, a group with its last part
            assert parts.filter(visible=True).count() == left.count() > 0
            emptied += parts.count() - left.count()
        assert emptied > 0
        view.locator("select[name=verdict]").select_option("")
        first = rows.first.locator("summary")
        first.focus()
        view.keyboard.press("Enter")
        assert rows.first.get_by_text("Would notice").is_visible()
        assert "`" not in view.locator("article").inner_text()


def test_claims_and_chapters_lead_to_each_other(browser, site_url):
    with Visit(browser, f"{site_url}/book/claims.html", 1280, 900) as visit:
        links = visit.page.eval_on_selector_all(
            ".memnb-row", "(rows) => rows.map((row) => [row.querySelector('summary').firstChild"
            ".textContent.trim(), row.querySelector('a').href])",
        )  # fmt: skip
    assert len({link for _, link in links}) == len(links)
    for page in CHAPTERS:
        with Visit(browser, f"{site_url}/{page}.html", 1280, 900) as visit:
            here = [(text, link) for text, link in links if f"{page}.html" in link]
            for text, link in here:
                place = visit.page.locator(f"#{urlsplit(link).fragment}.memnb-claim")
                assert text in place.inner_text()
            visit.page.locator("p.memnb-verdicts a").click()
            visit.page.wait_for_selector(".memnb-filter select")
            assert visit.page.locator(".memnb-row:visible").count() == len(here)
