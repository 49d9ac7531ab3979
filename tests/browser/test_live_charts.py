"""Figures 1.6 and 5.1 on the site: what they show is what Python computes, however it is moved."""

import json
import math
from functools import cache
from urllib.parse import parse_qsl, urlencode

import numpy as np
import pytest
import torch
from visits import LivePage

import memnb
from memnb import linear
from memnb.explorers import linear_model, score_flow
from memnb.explorers.live import Range
from memnb.minnorm.probabilities import score_flow_probabilities
from memnb.streams import portable_normals, stream

COUNTS, SPECTRUM = score_flow.counts(), linear_model.spectrum()
PAGES = {"counts": "notebooks/01-score-flow.html", "spectrum": "notebooks/05-linear-model.html"}
EXPLORERS = {"counts": COUNTS, "spectrum": SPECTRUM}


class Chart(LivePage):
    """One of the two explorers in a page of its own."""

    def __init__(self, browser, site_url, view, query="", **options):
        self.name = EXPLORERS[view].anchor
        address = f"{site_url}/{PAGES[view]}{query and f'#{self.name}?{query}'}"
        super().__init__(browser, address, name=self.name, **options)

    def counts(self, panel=0):
        """What the picture says about itself: numbers behind the symbols."""
        chart = self.box.locator("svg").nth(panel)
        return {k: json.loads(v) for k, v in chart.evaluate("(s) => ({ ...s.dataset })").items()}


@cache
def drawn(view, seed):
    if view == "counts":
        return portable_normals(stream(seed, score_flow.STARTS), 300_000).reshape(5000, 60)
    return [portable_normals(stream(seed, purpose), 40_000).reshape(1000, 40)
            for purpose in (linear_model.POINTS, linear_model.NOISE)]  # fmt: skip


def check_counts(shown, N, d, rho, threshold, n, seed, r, norm):
    d = max(d, N - 1)  # N - 1 edges have no room in fewer dimensions
    data, norm = memnb.orthogonal_set(N, d), score_flow.NORM_OF[norm]
    y = memnb.score_flow(drawn("counts", seed)[:n, :d], memnb.RampDenoiser(data, rho), r)
    assert shown["counts"] == list(memnb.classify(y, data, threshold, norm).counts().values())
    exact = score_flow_probabilities(N - 1, d, rho, r, threshold, norm)
    np.testing.assert_allclose(shown["exact"], exact, rtol=0, atol=1e-9)


def check_spectrum(shown, n, d, T, log_lam, seed):
    y, z = (part[:n, :d] for part in drawn("spectrum", seed))
    model = linear.LinearModel(d, T, math.exp(log_lam))
    fit = model.fit(y, model.noised(y, z))
    found = torch.tensor(shown["values"], dtype=torch.float64)
    torch.testing.assert_close(found, fit.values, rtol=1e-9, atol=1e-15)
    affinity = 1 - linear.hellinger(fit).item()
    assert 1 - shown["hellinger"] == pytest.approx(affinity, rel=1e-9, abs=1e-14)


CHECKS = {"counts": check_counts, "spectrum": check_spectrum}


@pytest.mark.parametrize("view", EXPLORERS)
def test_every_slider_at_both_ends(browser, site_url, view):
    explorer, check = EXPLORERS[view], CHECKS[view]
    with Chart(browser, site_url, view) as live:
        now = dict(explorer.start)
        check(live.counts(), **now)
        for axis in [axis for axis in explorer.axes if isinstance(axis, Range)]:
            for end, place in (("low", -1e9), ("high", 1e9)):
                shown = live.after(lambda a=axis.name, p=place: live.slide(a, p))
                now[axis.name] = getattr(axis, end)
                assert live.setting(axis.name) == now[axis.name]
                check(shown, **now)
            live.after(lambda a=axis.name, p=-1e9: live.slide(a, p))
            now[axis.name] = axis.low
        if view == "counts":
            now["norm"] = "L∞"
            check(live.after(lambda: live.box.get_by_text("L∞", exact=True).click()), **now)
        check(live.after(lambda: live.button("Reset").click()), **explorer.start)
        if view == "counts":
            keys_move_a_slider_and_the_state_is_in_the_name(live)


MOVED = """async ([box, n]) => {
  const slider = box.querySelector("input[name=n]");
  slider.value = n;
  slider.dispatchEvent(new Event("input"));
  return [...box.querySelectorAll("svg path")].map((path) => path.getAttribute("d"));
}"""


def test_areas_do_not_depend_on_what_was_shown_before(browser, site_url):
    """Counts are kept while n moves, but not beyond another seed."""
    seen = []
    for before in (False, True):
        with Chart(browser, site_url, "counts", "n=500&seed=0") as live:
            if before:
                live.page.evaluate(MOVED, [live.box.element_handle(), 3000])
                live.page.wait_for_function("!document.querySelector('[data-rough]')")
                address = f"#{live.name}?n=3000&seed=5"
                live.after(lambda to=address: live.page.evaluate("(to) => location.hash = to", to))
                live.after(lambda: live.button("Reset").click())
            seen.append(live.page.evaluate(MOVED, [live.box.element_handle(), 600]))
    assert seen[0] == seen[1] and len(set(seen[0])) > 5


def keys_move_a_slider_and_the_state_is_in_the_name(live):
    live.box.locator("input[name=N]").focus()
    live.after(lambda: live.page.keyboard.press("ArrowRight"))
    now = dict(COUNTS.start) | {"N": 12}
    check_counts(live.counts(), **now)
    shown = live.after(lambda: live.page.keyboard.press("End"))
    check_counts(shown, **now | {"N": 31})
    words = f"{shown['counts'][0]} at training points"
    assert words in live.box.locator("svg").first.get_attribute("aria-label")
    live.page.wait_for_function(
        "([id, words]) => document.getElementById(id).ariaLabel.includes(words)",
        arg=[f"explorer-{live.name}", words],
    )
    shown = live.after(lambda: live.slide("d", -1e9))
    check_counts(shown, **now | {"N": 31, "d": 1})
    note = live.box.locator(".memnb-live-note").inner_text()
    assert note.endswith("31 points at right angles need 30 dimensions: d is held at 30.")


@pytest.mark.parametrize(
    ("view", "state"),
    [("counts", {"N": 31, "d": 60, "rho": 0.3, "n": 3210, "seed": 7, "r": 5.5, "norm": "L∞"}),
     ("spectrum", {"n": 77, "d": 33, "T": 0.5, "log_lam": -1.5, "seed": 42})],
)  # fmt: skip
def test_a_link_restores_the_state_and_a_button_makes_it(browser, site_url, view, state):
    """On a phone, which shows the whole explorer in its width."""
    explorer, check = EXPLORERS[view], CHECKS[view]
    with Chart(browser, site_url, view, urlencode(state), width=390) as live:
        check(live.counts(), **dict(explorer.start) | state)
        assert live.fits(390)
        live.after(lambda: live.button("Reset").click())
        # What makes no sense stays at the start, what is too large at the end.
        most = next(axis for axis in explorer.axes if axis.name == "n").high
        bad = f"'#{live.name}?d=none&n=1e9&seed=-3&norm=L7'"
        shown = live.after(lambda: live.page.evaluate(f"location.hash = {bad}"))
        check(shown, **dict(explorer.start) | {"n": most})
        live.after(lambda: live.page.evaluate(f"location.hash = '#{live.name}?{urlencode(state)}'"))
        live.button("Copy link").click()
        made = live.page.evaluate("location.hash").partition("?")[2]
        assert dict(parse_qsl(made)) == {key: str(value) for key, value in state.items()}
