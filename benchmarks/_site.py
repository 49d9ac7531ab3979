"""The built site in headless Chromium, for benchmarks of its pages."""

import shutil
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

from memnb.book.layout import Layout
from memnb.book.site import served

__all__ = ["opened"]


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
    with served(site) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser, f"{address}/notebooks"
        finally:
            browser.close()
