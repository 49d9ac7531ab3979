"""JupyterLab as ``make lab`` starts it, and a notebook that runs in it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

from support import ROOT

TOASTS = ".Toastify__toast, .jp-Dialog"  # questions before the start
PROMPTS = "[...document.querySelectorAll('.jp-InputPrompt')].map((e) => e.textContent)"
STDERR = ".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']"


@contextmanager
def started(home):
    """The address of JupyterLab with private settings and a copy of the chapters in a folder."""
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
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{url}/api", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        else:
            raise TimeoutError("JupyterLab did not start:\n" + (home / "log").read_text()[-2000:])
        yield url
    finally:
        job.terminate()
        job.wait()


def run_all(page, address, shown=".noUi-handle"):
    """Open a notebook and run its cells, none of which may ask or complain; one shows this."""
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    # A click before the kernel has answered is lost: the status bar knows, the toolbar does not
    page.get_by_text(re.compile(r"\| Idle$")).wait_for(timeout=120_000)
    assert page.locator(TOASTS).count() == 0, "a question before the start"
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text(re.compile("^Run All Cells$")).first.click()
    page.wait_for_selector(f".jp-OutputArea {shown}", timeout=300_000, state="attached")
    # It is over when no cell is marked as busy
    page.wait_for_function(f"!{PROMPTS}.some((p) => p.includes('*'))", timeout=300_000)
    errors = page.locator(STDERR)
    assert errors.count() == 0, errors.first.inner_text()
