"""A page of the built site that a test opens, scrolls through and listens to."""

from support import ROOT

from memnb.book.api import api_pages
from memnb.book.layout import Layout

SITE = ROOT / "_build" / "site"
ARTIFACTS = ROOT / "_build" / "screenshots"
PAGES = [
    *(f"notebooks/{chapter}" for chapter in Layout(ROOT).chapters()),
    *(
        f"book/{name}"
        for name in ("intro", "claims", "notation", *api_pages(), "execution-times", "bibliography")
    ),
]
CHAPTERS = [page for page in PAGES if page.startswith("notebooks/")]
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}


class Visit:
    """A page that was opened, scrolled through and listened to."""

    def __init__(self, browser, url, width, height, scheme="light"):
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        self.page = self.context.new_page()
        self.complaints, self.requests, self.weight = [], [], 0
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfinished", self._finished)
        self.page.on("requestfailed", lambda request: self.complaints.append(request.url))
        self.page.goto(url)
        self.page.wait_for_load_state("networkidle")
        self.first_load = self.weight

    def _console(self, message):
        if message.type in ("error", "warning", "trace"):  # plotly's warnings are traces
            self.complaints.append(message.text)

    def _finished(self, request):
        sizes = request.sizes()
        self.weight += sizes["responseBodySize"] + sizes["responseHeadersSize"]

    def scroll(self):
        """To the end and back, as figures are drawn when they come near."""
        height = self.page.evaluate("document.documentElement.scrollHeight")
        for y in range(0, height + 1, 750):
            self.page.evaluate(f"window.scrollTo(0, {y})")
            self.page.wait_for_timeout(40)
        self.page.wait_for_function(
            "[...document.querySelectorAll('.memnb-plot')].every((p) => p.dataset.drawn)"
        )
        self.page.evaluate("window.scrollTo(0, 0)")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()
