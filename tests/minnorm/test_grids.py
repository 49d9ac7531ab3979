"""Grids, and the bridge between two conventions of one process."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memnb.minnorm import grids as sch

levels = st.floats(1e-6, 1e6)


@given(st.floats(1e-8, 15.0), st.integers(0, 100))
def test_bridge_round_trip(s, seed):
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    y, sigma = sch.ve_from_ou(x, s)
    back, s_back = sch.ou_from_ve(y, sigma)
    torch.testing.assert_close(back, x, rtol=1e-12, atol=0)
    assert s_back == pytest.approx(s, rel=1e-12)


@given(st.floats(1e-150, 1e150))
def test_noise_levels_are_kept_at_all_scales(sigma):
    y, s = sch.ou_from_ve([[1.0, -2.0]], sigma)
    again = sch.ve_from_ou(y, s)[1]
    assert again == pytest.approx(sigma, rel=1e-12 * max(1, s))


def test_bridge_is_the_ornstein_uhlenbeck_process():
    """Moments: X_s = e^-s X_0 + sqrt(1 - e^-2s) Z has variance 1 - e^-2s around e^-s X_0."""
    s = 0.7
    _, sigma = sch.ve_from_ou(torch.zeros(1, dtype=torch.float64), s)
    assert (math.exp(-s) * sigma) ** 2 == pytest.approx(1 - math.exp(-2 * s), rel=1e-14)


@given(levels, levels, st.integers(2, 200))
def test_grids(start, stop, n):
    uniform, log = sch.uniform_grid(start, stop, n), sch.log_uniform_grid(start, stop, n)
    for grid in (uniform, log):
        assert grid.shape == (n,) and grid.dtype == torch.float64
        assert grid[0].item() == start and grid[-1].item() == stop
    if n > 2:
        steps, ratios = uniform.diff(), log.log().diff()
        assert (steps - steps.mean()).abs().max() <= 1e-12 * max(start, stop)
        assert (ratios - ratios.mean()).abs().max() <= 1e-11


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sch.ou_from_ve(torch.ones(2), math.nan), r"sigma must be in \[0, inf"),
        (lambda: sch.ou_from_ve([1.0, math.nan], 1), "y must be finite"),
        (lambda: sch.uniform_grid(0.0, math.inf, 3), r"stop must be in \(-inf, inf"),
        (lambda: sch.ve_from_ou(torch.ones(2), -1), r"s must be in \[0, inf"),
        (lambda: sch.log_uniform_grid(0.0, 1.0, 5), r"start must be in \(0, inf"),
        (lambda: sch.uniform_grid(0.0, 1.0, 1), "n must be at least 2, got 1"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()
