"""Every chapter as JupyterLab shows it, and one of them end to end."""

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from support import ROOT
from visits import ARTIFACTS, CHAPTERS

from memnb.book.dialect import sources

TOASTS = ".Toastify__toast, .jp-Dialog"  # questions before the start
PLOT = ".js-plotly-plot"
PROMPTS = "[...document.querySelectorAll('.jp-InputPrompt')].map((e) => e.textContent)"
STATE = "(p) => JSON.stringify(p._fullData.map((t) => [t.name, t.x && Array.from(t.x)]))"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab as ``make lab`` starts it, with private settings and a copy of the chapters."""
    home = tmp_path_factory.mktemp("lab")
    for folder in ("notebooks", "book"):
        shutil.copytree(ROOT / folder, home / "root" / folder)
    # Cells outside the window are drawn, too, so that their text can be read
    tracker = home / "s" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    tracker.parent.mkdir(parents=True)
    tracker.write_text('{"windowingMode": "none"}')
    rule = re.search(
        r"^lab: .*\n\t.*jupyter lab (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = {
        name: str(home / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    }
    folders |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "s"), "IPYTHONDIR": str(home / "i")}
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        *("--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1"),
        *("--IdentityProvider.token=", f"--ServerApp.root_dir={home / 'root'}"),
        *rule[1].split(),
    ]
    with open(home / "log", "w") as log:
        job = subprocess.Popen(command, env={**os.environ, **folders}, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{url}/api", timeout=2)
            break
        except OSError:
            time.sleep(0.5)
    else:
        job.kill()
        pytest.fail("JupyterLab did not start:\n" + (home / "log").read_text()[-2000:])
    yield url
    job.terminate()
    job.wait()


def test_a_slider_in_lab_moves_the_plot(browser, lab):
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.goto(f"{lab}/lab/tree/notebooks/01-score-flow.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    # A click before the kernel has answered is lost: the status bar knows, the toolbar does not
    page.get_by_text(re.compile(r"\| Idle$")).wait_for(timeout=120_000)
    assert page.locator(TOASTS).count() == 0, "a question before the start"
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text(re.compile("^Run All Cells$")).first.click()
    page.wait_for_selector(".jp-OutputArea .noUi-handle", timeout=300_000, state="attached")
    explorer = page.locator(".jp-OutputArea-output:has(.noUi-handle)").first
    explorer.scroll_into_view_if_needed()
    plot = explorer.locator(PLOT).first
    plot.wait_for(timeout=60_000)
    # Run All is over when no cell is marked as busy.
    page.wait_for_function(f"!{PROMPTS}.some((p) => p.includes('*'))", timeout=300_000)
    errors = page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']")
    assert errors.count() == 0, errors.first.inner_text()
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
