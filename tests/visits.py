"""A page of the built site that a test opens, scrolls through and listens to."""

import json
import os

from support import ROOT

from memnb.book.api import api_pages
from memnb.book.layout import Layout

SITE = ROOT / "_build" / "site"
ARTIFACTS = ROOT / "_build" / "screenshots"
# Whole pages, for those who look at them: they take a quarter of the time of the tests of pages
SCREENSHOTS = "MEMNB_SCREENSHOTS" in os.environ
PAGES = [
    *(f"notebooks/{chapter}" for chapter in Layout(ROOT).chapters()),
    *(
        f"book/{name}"
        for name in (
            "intro",
            "claims",
            "notation",
            *api_pages(),
            "beyond",
            "benchmarks",
            "execution-times",
            "bibliography",
        )
    ),
]
CHAPTERS = [page for page in PAGES if page.startswith("notebooks/")]
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
RATIO = """
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const f = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0.5) return c;
    }
    return [255, 255, 255];
  };
  const between = (one, other) => {
    const [a, b] = [light(one), light(other)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const ratio = (e, color) => between(parse(color), ground(e));
"""
# Words that stand out too little from what is behind them, of the page or of a part of it
CONTRAST = f"""(part) => {{
  {RATIO}
  const pick = (selector, key) => [...(part || document).querySelectorAll(selector)]
    .filter((e) => e.textContent.trim() && e.getClientRects().length)
    .map((e) => [e.textContent.trim().slice(0, 30), ratio(e, getComputedStyle(e)[key])]);
  return [
    ...pick("article p, article td, article th, article label, article output", "color"),
    ...pick(".memnb-verdict, .memnb-caption", "color"),
    ...pick(":is(.memnb-live, .memnb-explorer) :is(button, legend, select, span)", "color"),
    ...pick(":is(.memnb-plot, .memnb-live-chart) svg text", "fill"),
  ].filter(([, r]) => r < 4.5);
}}"""


PATIENCE = 120_000  # milliseconds, as other processes may take the machine
# All formulas are there, which are set when the rest of the page is.
FORMULAS = "() => !window.MathJax || document.documentElement.dataset.formulas === 'set'"


class Visit:
    """A page that was opened, scrolled through and listened to."""

    def __init__(self, browser, url, width, height, scheme="light", script=""):
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.page.add_init_script(script)
        self.complaints, self.requests, self.weight = [], [], 0
        self.answers = []
        self.page.on("response", lambda answer: self.answers.append(answer))
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfinished", self._finished)
        self.page.on("requestfailed", lambda request: self.complaints.append(request.url))
        self.page.goto(url)
        self.page.wait_for_function(FORMULAS)
        self.page.evaluate("document.fonts.ready.then(() => null)")
        self.page.wait_for_load_state("networkidle")
        self.first_load, self.first_answers = self.weight, list(self.answers)

    def _console(self, message):
        if message.type in ("error", "warning", "trace"):  # plotly's warnings are traces
            self.complaints.append(message.text)

    def _finished(self, request):
        sizes = request.sizes()
        self.weight += sizes["responseBodySize"] + sizes["responseHeadersSize"]

    def scroll(self):
        """To the end and back, as figures are drawn when they come near."""
        if not self.page.locator(".memnb-plot, [loading=lazy]").count():
            return
        height = self.page.evaluate("document.documentElement.scrollHeight")
        for y in range(0, height + 1, 750):
            self.page.evaluate(f"window.scrollTo(0, {y})")
            self.page.wait_for_timeout(40)
        # A busy machine may pass a figure between two frames: go there again
        self.page.wait_for_function(
            "() => { const left = [...document.querySelectorAll('.memnb-plot')]"
            ".find((p) => !p.dataset.drawn); left?.scrollIntoView(); return !left; }"
        )
        self.page.evaluate("window.scrollTo(0, 0)")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


def switch(view, scheme):
    view.emulate_media(color_scheme=scheme)
    view.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")


EXPLORERS_FIT = (
    "[...document.querySelectorAll('.memnb-live')].every((b) => b.scrollWidth <= b.clientWidth)"
)


class LivePage:
    """A live explorer of a page, by its name or the first, which nothing may complain about."""

    def __init__(self, browser, url, width=1280, name=None, **options):
        self.selector = f"#explorer-{name}" if name else ".memnb-live"
        self.drawn = f"document.querySelector('{self.selector}')?.dataset.drawn"
        self.context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.complaints = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)
        self.page.wait_for_function(FORMULAS)  # they move what comes after them
        self.page.wait_for_function(self.drawn)
        self.box = self.page.locator(self.selector).first
        self.box.scroll_into_view_if_needed()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()
        assert self.complaints == []

    def after(self, action):
        """Do something, wait for the whole frame that follows, and return the new counts."""
        before = self.page.evaluate(self.drawn)
        action()
        whole = f"!document.querySelector('{self.selector}').matches('[data-rough]')"
        self.page.wait_for_function(f"{self.drawn} !== '{before}' && {whole}")
        return self.counts()

    def fits(self, width):
        """Whether nothing is wider: neither the page, nor what an explorer keeps to itself."""
        return self.page.evaluate("document.documentElement.scrollWidth") <= width and (
            self.page.evaluate(EXPLORERS_FIT)
        )

    def counts(self, panel=0):
        return json.loads(self.box.locator("canvas").nth(panel).get_attribute("data-counts"))

    def slide(self, name, place):
        change = """(s, v) => {
          s.value = v;
          for (const name of ["input", "change"]) s.dispatchEvent(new Event(name));
        }"""
        self.box.locator(f"input[name={name}]").evaluate(change, place)

    def button(self, name):
        return self.box.get_by_role("button", name=name, exact=True)

    def setting(self, name):
        slider = self.box.locator(f"input[name={name}]")
        return float(slider.evaluate("(s) => s.getAttribute('aria-valuetext')"))

    def points(self, what="training point"):
        handles = self.box.locator(".memnb-live-stage").first.locator("button").all()
        labels = [h.get_attribute("aria-label").split(";")[0] for h in handles]
        places = [x.split(" at ")[1].split(", ") for x in labels if x.startswith(what)]
        return [[float(x) for x in place] for place in places]
