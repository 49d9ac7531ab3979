"""The built site in headless Chromium, for benchmarks of its pages."""

import functools
import http.server
import shutil
import threading
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

from memnb.book.layout import Layout

__all__ = ["opened"]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args):
        pass


@contextmanager
def opened():
    """A browser, and the address of the site's notebooks on loopback.

    Yields
    ------
    browser : playwright.sync_api.Browser
    address : str
        Without a slash at its end.

    Raises
    ------
    RuntimeError
        If there is no site or no Chromium.
    """
    site, chromium = Layout.here().site, shutil.which("chromium")
    if not (site / "index.html").is_file():
        raise RuntimeError("there is no site yet: run `make book` first")
    if chromium is None:
        raise RuntimeError("there is no chromium to open the site with")
    handler = functools.partial(_Quiet, directory=str(site))
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        sync_playwright() as playwright,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser, f"http://127.0.0.1:{server.server_address[1]}/notebooks"
        finally:
            browser.close()
            server.shutdown()
