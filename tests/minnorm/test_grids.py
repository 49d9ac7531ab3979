"""Schedules are inverses, derivatives and changes of scale of one another."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memnb.minnorm import grids as sch

levels = st.floats(1e-6, 1e6)


@given(levels)
def test_sigma_and_t_invert(sigma):
    assert float(sch.sigma_from_t(sch.t_from_sigma(sigma))) == pytest.approx(sigma, rel=1e-12)
    t = sigma
    assert float(sch.t_from_sigma(sch.sigma_from_t(t))) == pytest.approx(t, rel=1e-12)


@given(st.floats(1e-4, 1e4))
def test_derivative_is_that_of_sigma(t):
    h = 1e-5 * t
    central = (sch.sigma_from_t(t + h) - sch.sigma_from_t(t - h)) / (2 * h)
    assert float(sch.sigma_derivative(t)) == pytest.approx(float(central), rel=1e-8)
    # d(sigma^2)/dt = 1, the factor of the probability flow
    product = 2 * sch.sigma_from_t(t) * sch.sigma_derivative(t)
    assert float(product) == pytest.approx(1, rel=1e-12)


def test_derivative_is_infinite_at_zero():
    assert float(sch.sigma_derivative(0.0)) == math.inf


@given(st.floats(1e-8, 15.0), st.integers(0, 100))
def test_bridge_round_trip(s, seed):
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    y, sigma = sch.ve_from_ou(x, s)
    back, s_back = sch.ou_from_ve(y, sigma)
    torch.testing.assert_close(back, x, rtol=1e-12, atol=0)
    assert s_back == pytest.approx(s, rel=1e-12)


@given(st.floats(1e-150, 1e150))
def test_ou_time_inverts_at_all_scales(sigma):
    s = sch.ou_time(sigma)
    assert float(sch.sigma_from_ou_time(s)) == pytest.approx(sigma, rel=1e-12 * max(1, float(s)))


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
        (lambda: sch.sigma_from_t(-1.0), "t must be at least 0"),
        (lambda: sch.t_from_sigma(torch.tensor([1.0, math.nan])), "sigma must be at least 0"),
        (lambda: sch.ve_from_ou(torch.ones(2), -1), r"s must be in \[0, inf"),
        (lambda: sch.log_uniform_grid(0.0, 1.0, 5), r"start must be in \(0, inf"),
        (lambda: sch.uniform_grid(0.0, 1.0, 1), "n must be at least 2, got 1"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()
