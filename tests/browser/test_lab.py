"""Every chapter as JupyterLab shows it, and one of them end to end."""

import json
import re
import statistics
import time
from pathlib import Path

import pytest
from lab import TOASTS, run_all
from support import ROOT
from visits import ARTIFACTS, CHAPTERS

from memnb.book.dialect import sources

PLOT = ".js-plotly-plot"
STATE = "(p) => JSON.stringify(p._fullData.map((t) => [t.name, t.x && Array.from(t.x)]))"


def test_a_slider_in_lab_moves_the_plot(browser, lab):
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    run_all(page, f"{lab}/lab/tree/notebooks/01-score-flow.ipynb?reset")
    explorer = page.locator(".jp-OutputArea-output:has(.noUi-handle)").first
    explorer.scroll_into_view_if_needed()
    plot = explorer.locator(PLOT).first
    plot.wait_for(timeout=60_000)
    claim = page.locator(".jp-OutputArea .memnb-claim").first
    assert claim.evaluate("(e) => getComputedStyle(e).borderLeftWidth") == "4px"
    badge = claim.locator(".memnb-reproduced").first
    assert badge.evaluate("(e) => getComputedStyle(e).backgroundColor") == "rgb(0, 105, 77)"
    claim.scroll_into_view_if_needed()
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / "jupyterlab-claim.png")
    handle = explorer.locator(".noUi-handle").first
    handle.scroll_into_view_if_needed()
    latencies = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        before = plot.evaluate(STATE)
        handle.focus()
        began = time.perf_counter()
        page.keyboard.press(key)
        while plot.evaluate(STATE) == before:
            assert time.perf_counter() - began < 20, "the plot did not change"
        latencies.append(1000 * (time.perf_counter() - began))
    page.screenshot(path=ARTIFACTS / "jupyterlab.png")
    record = {"median_ms": round(statistics.median(latencies)), "all_ms": latencies}
    (ARTIFACTS / "lab-latency.json").write_text(json.dumps(record, indent=1))
    context.close()


# What the Markdown cells show, without code and formulas; links; headings of proofs
READ = """() => [...document.querySelectorAll('.jp-MarkdownCell .myst')].map((cell) => {
  const words = cell.cloneNode(true);
  words.querySelectorAll('pre, code, .katex').forEach((e) => e.remove());
  return {
    text: words.textContent,
    links: [...cell.querySelectorAll('a')].map((e) => e.textContent),
    proofs: [...cell.querySelectorAll('aside')].map((e) => e.textContent)
      .filter((t) => /^\\s*Proof/.test(t)),
  };
})"""

RESOLVED = """(proofs) => !document.querySelector(".myst [title$='Not Found']")
  && [...document.querySelectorAll('.myst aside')]
    .filter((e) => /^\\s*Proof/.test(e.textContent)).length === proofs"""


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_reads_like_a_page_in_lab(browser, lab, chapter):
    """Nothing is executed; the first two screens are kept in ``_build/screenshots``."""
    cells = json.loads((ROOT / f"{chapter}.ipynb").read_text())["cells"]
    kinds = [cell["cell_type"] for cell in cells]
    source = "".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{lab}/doc/tree/{chapter}.ipynb?reset")
    page.wait_for_function(
        "(n) => document.querySelectorAll('.jp-MarkdownCell .myst').length === n",
        arg=kinds.count("markdown"),
        timeout=60_000,
    )
    # References are resolved once the last cell has been drawn
    page.wait_for_function(RESOLVED, arg=source.count("{prf:proof}"), timeout=20_000)
    page.wait_for_timeout(500)
    assert page.locator(TOASTS).count() == 0
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    for screen in (1, 2):
        page.screenshot(path=ARTIFACTS / f"lab-{Path(chapter).name}-{screen}.png")
        page.evaluate("document.querySelector('.jp-WindowedPanel-outer').scrollTop += 780")
        page.wait_for_timeout(300)
    read = page.evaluate(READ)
    shown = "\n".join(cell["text"] for cell in read)
    assert shown.count(" ") > 0.5 * len(source.split()), "most of the text is not there"
    raw = re.findall(r".{0,30}(?:\{[a-z]+(?::[a-z]+)?\}|:::|```|`\S*`).{0,30}", shown)
    assert not raw, raw
    keys = [s.key for s in sources(ROOT / "book" / "references.bib").values()]
    assert not [key for key in keys if key in shown], "citations that were not resolved"
    links = [text for cell in read for text in cell["links"]]
    assert links and not [t for t in links if not t.strip() or re.search(r"\.(md|ipynb)\b", t)]
    proofs = [text for cell in read for text in cell["proofs"]]
    assert len(proofs) == source.count("{prf:proof}")
    assert not [text[:20] for text in proofs if re.match(r"\s*Proof\s*\d", text)]
    hidden = page.locator(".jp-CodeCell .jp-InputPlaceholder")
    folded = sum("hide-input" in c["metadata"].get("tags", []) for c in cells)
    assert folded and hidden.count() == folded
    page.close()
