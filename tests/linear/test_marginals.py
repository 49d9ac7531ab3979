"""Ordinary and stochastic equations against the exact law of a mixture of Gaussians."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from memnb.linear.marginals import Mixture, compare, solve
from memnb.streams import numpy_stream

MIXTURE = Mixture((0.3, 0.7), (-2.0, 1.5), (0.5, 0.7))
ONE = Mixture((1.0,), (1.0,), (2.0,))


def density(t, x, power=0):
    """Joint integral over y of y^power p0(y) N(x | a y, b^2): no closed form of the module."""
    a, b = math.exp(-t), math.sqrt(-math.expm1(-2 * t))

    def integrand(y):
        data = sum(
            w * stats.norm.pdf(y, m, s)
            for w, m, s in zip(MIXTURE.weights, MIXTURE.means, MIXTURE.deviations, strict=True)
        )
        return y**power * data * stats.norm.pdf(x, a * y, b)

    return integrate.quad(integrand, -9, 9, points=(-2, 1.5, x / a), limit=400)[0]


@pytest.mark.parametrize("t", [0.1, 0.7, 2.0])
def test_score_and_velocity_are_conditional_expectations(t):
    """s = -E[z | x] / b, and v = a' E[y | x] + b' E[z | x], by integration over the data."""
    a, b = math.exp(-t), math.sqrt(-math.expm1(-2 * t))
    for x in (-1.5, 0.2, 1.8):
        y = density(t, x, 1) / density(t, x)
        z = (x - a * y) / b
        at = np.array([x])
        assert MIXTURE.score(t, at)[0] == pytest.approx(-z / b, rel=1e-6)
        assert MIXTURE.velocity(t, at)[0] == pytest.approx(-a * y + a**2 / b * z, rel=1e-6)
        h = 1e-4
        slope = (math.log(density(t, x + h)) - math.log(density(t, x - h))) / (2 * h)
        assert MIXTURE.score(t, at)[0] == pytest.approx(slope, rel=1e-4)


def test_the_law_solves_the_continuity_equation():
    """d rho / dt = -d(v rho)/dx, so that the distribution function moves by the flux -v rho."""
    x, t, h = np.linspace(-3, 3, 25), 0.4, 1e-5
    change = (MIXTURE.distribution(t + h, x) - MIXTURE.distribution(t - h, x)) / (2 * h)
    rho = (MIXTURE.distribution(t, x + h) - MIXTURE.distribution(t, x - h)) / (2 * h)
    np.testing.assert_allclose(change, -MIXTURE.velocity(t, x) * rho, atol=1e-6)


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("noise", [lambda t: 0.0, lambda t: 1.0, lambda t: 4 * t], ids="01t")
def test_every_noise_has_the_same_marginals(noise, direction):
    carried = compare(MIXTURE, noise, direction, 4000, seed=1)
    assert carried.distance < 1.95 / math.sqrt(4000)
    assert abs(carried.mean_off) < 4
    assert abs(carried.variance_ratio - 1) < 0.1


def test_a_wrong_score_would_be_noticed():
    """Noise without the score that balances it spreads the draws."""

    class Unbalanced(Mixture):
        def score(self, t, x):
            return 0.2 * super().score(t, x)

    wrong = Unbalanced(MIXTURE.weights, MIXTURE.means, MIXTURE.deviations)
    for direction in ("forward", "backward"):
        carried = compare(wrong, lambda t: 3.0, direction, 4000, seed=1)
        assert carried.distance > 2 * 1.95 / math.sqrt(4000), direction


def test_probability_flow_of_a_gaussian_is_a_scaling():
    """Every draw keeps its quantile; second order in the step."""
    errors = []
    for steps in (25, 50, 100):
        x = solve(ONE, lambda t: 0.0, direction="forward", steps=steps, count=200, seed=2)
        start = ONE.sample(0.0, 200, numpy_stream(2, "starts forward"))
        (mean, variance) = ONE.moments(1.0)
        exact = mean + math.sqrt(variance / 4) * (start - 1)
        errors.append(np.abs(x - exact).max())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)
    assert errors[2] < 1e-3


def test_expectations_solve_the_backward_equation():
    """Feynman-Kac for the Ornstein-Uhlenbeck process: E[X_T^2 | X_0 = x] from one start."""
    point = Mixture((1.0,), (1.7,), (1e-6,))
    x = solve(MIXTURE, lambda t: 1.0, direction="forward", count=1, steps=1)  # lambda = 1: drift -x
    assert x.shape == (1,)
    x = solve(point, lambda t: 1.0, direction="forward", times=(0.0, 0.5), steps=200, count=20_000)
    expected = math.exp(-1.0) * 1.7**2 - math.expm1(-1.0)
    error = (x**2).std() / math.sqrt(len(x))
    assert abs((x**2).mean() - expected) < 4 * error


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="noise must be at least 0, got -1"):
        solve(MIXTURE, lambda t: -1.0, direction="forward")
    with pytest.raises(ValueError, match="direction must be one of 'forward', 'backward'"):
        solve(MIXTURE, lambda t: 0.0, direction="up")
    with pytest.raises(ValueError, match=r"times\[1\] must be in \(1, inf\)"):
        solve(MIXTURE, lambda t: 0.0, direction="forward", times=(1.0, 1.0))
    with pytest.raises(ValueError, match="weights must be at least 0 and have sum 1"):
        Mixture((0.5, 0.4), (0.0, 1.0), (1.0, 1.0))
    with pytest.raises(ValueError, match="deviations must be positive"):
        Mixture((1.0,), (0.0,), (0.0,))
    with pytest.raises(ValueError, match="one length"):
        Mixture((1.0,), (0.0, 1.0), (1.0,))
