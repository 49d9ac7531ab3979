"""Where E_OG begins to fall: known curves, errors that are right, and the kept run."""

import math

import numpy as np
import pytest
import torch

from memnb import stats
from memnb.linear import runs
from memnb.linear.distances import Distances, distances, peak

X = (10, 14, 20, 28, 40, 56, 80)


def rows(top, height=4.0, noise=0.5, m=400, seed=0):
    """Values about a parabola in log x with its maximum at ``top``."""
    g = np.random.default_rng(seed)
    return [torch.from_numpy(-height * math.log(x / top) ** 2 + noise * g.standard_normal(m))
            for x in X]  # fmt: skip


@pytest.mark.parametrize("top", [17.0, 28.0, 50.0])
def test_the_top_of_a_parabola_is_found_exactly(top):
    at, error = peak(X, rows(top, noise=0.0))
    assert at == pytest.approx(top, rel=1e-12) and error < 1e-9


def test_the_error_is_that_of_repeated_draws():
    peaks = np.array([peak(X, rows(30.0, seed=k)) for k in range(60)])
    logs, errors = np.log(peaks[:, 0]), peaks[:, 1] / peaks[:, 0]
    assert abs(logs.mean() - math.log(30)) < 4 * logs.std() / math.sqrt(60) + 0.01
    assert 0.7 < errors.mean() / logs.std(ddof=1) < 1.5


def test_a_curve_that_only_rises_or_falls_has_no_peak():
    assert all(math.isnan(v) for v in peak(X, rows(1000.0)))
    assert all(math.isnan(v) for v in peak(X, rows(1.0)))
    with pytest.raises(ValueError, match="rows must be as many as x, at least 3, got 2 and 7"):
        peak(X, rows(30.0)[:2])


def test_medians_between_the_grid_and_their_error():
    """Lines over log x; the error of a Gaussian median is sqrt(pi / 2) s / sqrt(m)."""
    d = Distances(X, tuple(rows(30.0, m=4000)), ((0.5, 0.1),) * len(X))
    for n in (10, 17, 80):
        middle, error = d.median(n)
        x = np.log(X)
        line = np.interp(math.log(n), x, -4 * (x - math.log(30)) ** 2)
        assert middle == pytest.approx(line, abs=4 * error)
        assert error == pytest.approx(math.sqrt(math.pi / 2) * 0.5 / math.sqrt(4000), rel=0.1)


@pytest.mark.parametrize("dim", [16, 100])
def test_the_kept_distances_rise_above_d_and_fall_from_the_transition_on(dim):
    stored = distances(dim)
    assert stored.n == runs.DISTANCE_GRIDS[dim] and len(stored.values[0]) == 1000
    at, error = stored.peak()
    top = max(stored.quantiles(0.5))
    assert stored.median(stored.n[0])[0] < top - 2  # it rises by two orders of magnitude or more
    last, last_error = stored.median(stored.n[-1])
    assert top - last > 10 * last_error and top - last < 1  # and falls by less than one
    assert stats.alignment(stored.onset(), (at, error)).verdict == "aligned"
