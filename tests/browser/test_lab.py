"""One chapter, end to end, in JupyterLab itself."""

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

import pytest
from support import ROOT

ARTIFACTS = ROOT / "_build" / "screenshots"
PLOT = ".js-plotly-plot"
STATE = "(p) => JSON.stringify(p._fullData.map((t) => [t.name, t.x && Array.from(t.x)]))"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on loopback, with private settings and a copy of the chapters."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", home / "notebooks")
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
        *("--IdentityProvider.token=", f"--ServerApp.root_dir={home / 'notebooks'}"),
        "--LabApp.news_url=",
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
    page.goto(f"{lab}/lab/tree/01-score-flow.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    for name in ("Dismiss", "No", "Got it"):  # first-run questions, if any
        button = page.query_selector(f"button:has-text('{name}')")
        if button and button.is_visible():
            button.click()
    page.wait_for_timeout(2000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text(re.compile("^Run All Cells$")).first.click()
    page.wait_for_selector(".jp-OutputArea .noUi-handle", timeout=120_000, state="attached")
    explorer = page.locator(".jp-OutputArea-output:has(.noUi-handle)").first
    explorer.scroll_into_view_if_needed()
    plot = explorer.locator(PLOT).first
    plot.wait_for(timeout=60_000)
    # Run All is over when no cell is marked as busy.
    page.wait_for_function(
        "![...document.querySelectorAll('.jp-InputPrompt')].some("
        "(e) => e.textContent.includes('*'))",
        timeout=180_000,
    )
    errors = page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']")
    assert errors.count() == 0, errors.first.inner_text()
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
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / "jupyterlab.png")
    record = {"median_ms": round(statistics.median(latencies)), "all_ms": latencies}
    (ARTIFACTS / "lab-latency.json").write_text(json.dumps(record, indent=1))
    context.close()
