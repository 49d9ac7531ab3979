"""Pages for readers with a keyboard, a screen reader, or eyes that need contrast.

The rules are those of axe-core, whose script is kept beside this file for this test only.
"""

from itertools import product
from pathlib import Path

import pytest
from visits import CHAPTERS, PAGES, WIDTHS, Visit

AXE = Path(__file__).parent / "axe" / "axe.min.js"
SERIOUS = """async () => (await axe.run(document, { resultTypes: ['violations'] })).violations
  .filter((v) => ['serious', 'critical'].includes(v.impact))
  .flatMap((v) => v.nodes.map((node) => `${v.id}: ${node.html.slice(0, 120)}`))"""


def test_the_first_control_of_a_chapter_is_within_ten_tab_stops(browser, site_url):
    with Visit(browser, f"{site_url}/{CHAPTERS[0]}.html", 1280, 900) as visit:
        keys = visit.page.keyboard
        keys.press("Tab")
        assert "main content" in visit.page.evaluate("document.activeElement.textContent")
        keys.press("Enter")
        stops = 1
        while not visit.page.evaluate("document.activeElement.matches('article button')"):
            keys.press("Tab")
            stops += 1
            assert stops <= 10


@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing_serious(browser, site_url, page):
    with Visit(browser, f"{site_url}/{page}.html", 1280, 900) as visit:
        view = visit.page
        view.evaluate(AXE.read_text())
        # Colors are judged as they are in the end, not on their way from one scheme to the other.
        view.add_style_tag(content="* { transition: none !important; }")
        view.evaluate("MathJax.startup.promise")  # formulas are set a few at a time
        views = list(product(WIDTHS, ("light", "dark")))
        if "/api-" in page:  # long, and all made alike: each width and each scheme once
            views = [views[0], views[-1]]
        findings = {}
        for device, scheme in views:
            width, height = WIDTHS[device]
            view.set_viewport_size({"width": width, "height": height})
            view.emulate_media(color_scheme=scheme)
            view.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
            findings[device, scheme] = view.evaluate(SERIOUS)
        assert not {where: what for where, what in findings.items() if what}
