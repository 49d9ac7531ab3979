"""Figure 2.1: two flows from the same starts; what the page shows is what Python computes."""

import math

import torch
from formulas import CLOSE, N_CASES, call
from visits import LivePage

import memnb
from memnb.explorers import probability_flow
from memnb.streams import portable_normals, stream

EXPLORER = probability_flow.two_flows()
WIDTH, MOST = EXPLORER.given["width"], EXPLORER.given["most"]
PAGE = "notebooks/02-probability-flow.html"


def flows(y, denoiser, gone):
    """Both flows when a part of the noise is gone."""
    left = 1 - gone
    time = -math.log(left) if left > 0 else math.inf
    return memnb.score_flow(y, denoiser, time), memnb.probability_flow(y, denoiser, 1.0, left)


def test_coordinates_of_both_flows(page):
    """Kinks, middles and ends of the ramp included, from all of the noise to none."""
    line = memnb.orthogonal_set(2, 1)
    z = torch.randn(8, generator=stream(0, "coordinates"), dtype=torch.float64).tolist()
    for which in (0, 1):
        cases, expected = [], []
        for rho in (0.01, 0.1, 0.3, 0.49):
            denoiser = memnb.RampDenoiser(line, rho)
            at = torch.tensor([[0.0], [rho], [0.5], [1 - rho], [1.0], *([x] for x in z)]).double()
            for gone in (0.0, 0.2, 0.7, 0.99, 1.0):
                cases += [(which, x, rho, 1 - gone) for x in at.flatten().tolist()]
                expected.append(flows(at, denoiser, gone)[which].flatten())
        assert len(cases) > N_CASES
        found = call(page, "two", "moved", cases)
        torch.testing.assert_close(found, torch.cat(expected), rtol=0, atol=CLOSE)


def check(live, N, d, rho, gone, threshold, n, seed):
    d = max(d, N - 1)  # edges have no room in fewer dimensions
    numbers = portable_normals(stream(seed, probability_flow.STARTS), WIDTH * MOST)
    y = numbers.reshape(WIDTH, MOST)[2 : d + 2, :n].T
    data = memnb.orthogonal_set(N, d)
    for panel, now in enumerate(flows(y, memnb.RampDenoiser(data, rho), gone)):
        counts = memnb.classify(now, data, threshold).counts()
        assert live.counts(panel) == list(counts.values()), (panel, N, d, rho, gone)


def test_every_slider_at_both_ends_a_link_and_play(browser, site_url):
    start = dict(EXPLORER.start)
    state = {"N": 11, "d": 77, "rho": 0.21, "gone": 0.9, "threshold": 0.3, "n": 300, "seed": 3}
    link = "&".join(f"{key}={value}" for key, value in state.items())
    address = f"{site_url}/{PAGE}#two-flows?{link}"
    with LivePage(browser, address, name="two-flows") as live:
        check(live, **state)
        live.button("Copy link").click()
        assert live.page.evaluate("location.hash") == f"#two-flows?{link}"
        live.after(lambda: live.button("Reset").click())
        check(live, **start)
        for axis in EXPLORER.axes:
            for end, place in (("low", -1e9), ("high", 1e9)):
                live.after(lambda a=axis.name, p=place: live.slide(a, p))
                assert live.setting(axis.name) == getattr(axis, end)
                check(live, **start | {axis.name: getattr(axis, end)})
                held = "d is held at 5" in live.box.locator(".memnb-live-note").inner_text()
                assert held == (axis.name == "d" and end == "low")
            live.after(lambda: live.button("Reset").click())
        words = f"{live.counts(1)[0]} at training points"
        assert words in live.box.locator("canvas").nth(1).get_attribute("aria-label")
        live.button("Play").click()  # from the beginning, as it stands at the end
        gone = f"{live.selector} input[name=gone]"
        live.page.wait_for_function(
            "(s) => { const v = document.querySelector(s).value; return v > 0.02 && v < 0.9; }",
            arg=gone,
        )
        live.button("Pause").click()


def test_it_fits_a_phone(browser, site_url):
    with LivePage(browser, f"{site_url}/{PAGE}", name="two-flows", width=390) as live:
        assert live.fits(390)
        check(live, **EXPLORER.start)
