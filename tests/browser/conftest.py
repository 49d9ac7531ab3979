"""A headless browser and the built site on loopback."""

import shutil

import pytest
from lab import started
from support import ROOT
from visits import SITE

from memnb.book.site import served

LIVE = ROOT / "assets" / "live"

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("NO CHROMIUM: the site was NOT tested in a browser; install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def site_url():
    if not (SITE / "index.html").is_file():
        pytest.fail("there is no site to test: run `make book` first")
    with served(SITE) as address:
        yield address


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="session")
def lab(lab_folder):
    with started(lab_folder) as url:
        yield url


@pytest.fixture(scope="module")
def page(browser):
    """An empty page that has the module, and nothing else to ask."""
    context = browser.new_context()

    def answer(route):
        name = route.request.url.rsplit("/", 1)[1]
        if route.request.url.startswith("http://live.test/") and (LIVE / name).is_file():
            route.fulfill(path=LIVE / name, content_type="text/javascript")
        elif name == "empty":
            route.fulfill(body="<!doctype html><title>t</title>", content_type="text/html")
        else:
            route.abort("internetdisconnected")

    context.route("**/*", answer)
    view = context.new_page()
    view.goto("http://live.test/empty")
    yield view
    context.close()
