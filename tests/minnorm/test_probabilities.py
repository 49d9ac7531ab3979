"""Exact probabilities of the classes against formulas, integrals and counts."""

import functools
import math

import numpy as np
import pytest
from scipy import integrate
from scipy.special import ndtr
from scipy.stats import chi2

import memnb
from memnb.minnorm import probabilities
from memnb.minnorm.counting import count_endpoints
from memnb.minnorm.probabilities import score_flow_probabilities as exact

TIMES = (0.0, 0.7, 2.0, 4.0, 12.0, 60.0)


@functools.cache  # both norms are the same in one dimension
def one_edge(rho, r, t):
    """Classes of one coordinate, from the inverse of the flow, by bisection of memnb's own."""
    data = memnb.orthogonal_set(2, 1)
    denoiser = memnb.RampDenoiser(data, rho)
    # For each level the start that ends there, all of them in one call
    levels = np.array([t, -t, 1 + t, 1 - t])
    low, high = np.full(4, -60.0), np.full(4, 60.0)
    for _ in range(80):
        middle = (low + high) / 2
        below = memnb.score_flow(middle[:, None], denoiser, r)[:, 0].numpy() < levels
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    inner, outer, beyond, before = ndtr(low)  # probabilities to end below the levels
    near, inside = inner - outer + beyond - before, before - inner
    return [near, 0.0, 0.0, inside, 1 - near - inside]


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("rho", [0.02, 0.1, 0.3, 0.45])
def test_one_edge_by_the_inverse_flow(rho, norm):
    for r in TIMES:
        for t in (0.05, 0.4):
            expected = one_edge(rho, r, t)
            close = 1e-12 if norm == "linf" else 1e-4
            np.testing.assert_allclose(exact(1, 1, rho, r, t, norm), expected, atol=close)


@pytest.mark.parametrize("r", [0.0, 0.4, 0.8])
def test_one_edge_in_space_by_an_integral(r):
    """At first nothing is on the ramp to be seen: both parts of the distance are Gaussian."""
    rho, t, dim, shrink = 0.49, 0.2, 6, math.exp(-r)

    def within(center, radius):  # z / shrink is normal near 0; near 1 likewise, by symmetry
        return ndtr(center + radius / shrink) - ndtr(center - radius / shrink)

    def ring(q, center):
        return (
            chi2.pdf((q / shrink) ** 2, dim - 1)
            * 2
            * q
            / shrink**2
            * within(center, math.sqrt(t * t - q * q))
        )

    assert t <= rho * shrink
    near = sum(integrate.quad(ring, 0, t, args=(center,))[0] for center in (0.0, 1.0))
    assert exact(1, dim, rho, r, t)[:2].sum() == pytest.approx(near, abs=1e-6)


@pytest.mark.parametrize(("K", "dim"), [(2, 2), (2, 30), (10, 30), (30, 60)])
def test_counts_of_drawn_starts(K, dim):
    n, data = 10_000, memnb.orthogonal_set(K + 1, dim)
    worst = 0.0
    for rho in (0.02, 0.3):
        denoiser = memnb.RampDenoiser(data, rho)
        for r in (2.0, 4.0, 12.0):
            for t, norm in ((0.2, "l2"), (0.4, "l2"), (0.2, "linf")):
                counts = count_endpoints(
                    lambda y, d=denoiser, r=r: memnb.score_flow(y, d, r),
                    data, n, seed=1, threshold=t, norm=norm,
                )  # fmt: skip
                p = exact(K, dim, rho, r, t, norm)
                error = np.sqrt(np.maximum(p * (1 - p), 1e-5) / n)
                worst = max(worst, (np.abs(np.array(list(counts.values())) / n - p) / error).max())
    assert worst < 5


def test_at_the_end_the_formula_of_the_chapter():
    q = 0.5 * math.erfc(0.5 / math.sqrt(2))
    for K in (1, 4, 30):
        training = (1 - q) ** K + K * q * (1 - q) ** (K - 1)
        for r in (math.inf, 3000.0):
            p = exact(K, 40, 0.1, r)
            np.testing.assert_allclose(p, [training, 1 - training, 0, 0, 0], atol=1e-7)
            assert (p >= 0).all()


def test_more_nodes_change_nothing_that_could_be_seen(monkeypatch):
    cases = [(K, d, rho, r, t) for K, d in ((1, 5), (10, 30), (30, 30)) for rho in (0.02, 0.1, 0.49)
             for r in (0.7, 6.0, 12.0) for t in (0.05, 0.2, 0.4)]  # fmt: skip
    few = np.array([exact(*case) for case in cases])
    nodes, weights = np.polynomial.legendre.leggauss(160)
    monkeypatch.setattr(probabilities, "NODES", nodes)
    monkeypatch.setattr(probabilities, "WEIGHTS", weights)
    many = np.array([exact(*case) for case in cases])
    error = np.abs(few - many).max(axis=1)
    assert error.max() < 1e-4 and np.median(error) < 1e-6
    np.testing.assert_allclose(many.sum(axis=1), 1, atol=1e-7)


def test_errors_name_the_argument():
    for name, value in (("n_edges", 0), ("dim", 2), ("rho", 0.5), ("r", -1.0), ("threshold", 0.5)):
        given = {"n_edges": 3, "dim": 3, "rho": 0.1, "r": 1.0, "threshold": 0.2, name: value}
        with pytest.raises(ValueError, match=name):
            exact(**given)
    with pytest.raises(ValueError, match="norm"):
        exact(3, 3, 0.1, 1.0, norm="l1")
