"""The noised training set at late times against autograd, quadrature and differences."""

import itertools
import math

import pytest
import torch
from scipy import integrate, optimize

from memnb import linear
from memnb.linear import late_time
from memnb.streams import stream

PAIR = torch.tensor([[-1.3], [1.3]], dtype=torch.float64)


def at(x):
    return torch.tensor([x], dtype=torch.float64)


def cloud(n, d):
    return torch.randn(n, d, dtype=torch.float64, generator=stream(0, "cloud", n, d))


@pytest.mark.parametrize(
    ("t", "right", "printed"), [(0.5, 0.0447, 1.0283), (1.0, 5.4345, 5.6991), (2.0, 52.877, 52.908)]
)
def test_two_points_need_the_factor(t, right, printed):
    """Sigma_t from the second derivative of log rho-hat, by differences of a plain sum."""

    def log_density(x):
        delta = 1 - math.exp(-2 * t)
        return math.log(
            sum(math.exp(-((x - s * math.exp(-t)) ** 2) / (2 * delta)) for s in (-1.3, 1.3))
        )

    h = 1e-3
    second = (log_density(h) - 2 * log_density(0) + log_density(-h)) / h**2
    true = -second * math.exp(2 * t) * (1 - math.exp(-2 * t))
    assert true == pytest.approx(right, rel=1e-4, abs=1e-4)
    matrix = late_time.late_time_matrix(PAIR, t).item()
    assert matrix == pytest.approx(true, rel=1e-5, abs=1e-5)
    wrong = late_time.late_time_matrix(PAIR, t, as_printed=True).item()
    assert wrong == pytest.approx(printed, rel=1e-4) and abs(wrong - true) > 0.03


@pytest.mark.parametrize("d", [1, 3])
def test_curvature_against_autograd(d):
    points, x = cloud(7, d), cloud(1, d)[0]
    for t in (0.2, 1.0, 3.0):
        hessian = torch.autograd.functional.hessian(
            lambda at, t=t: late_time.log_density(points, t, at), x
        )
        expected = -hessian * math.exp(2 * t) * -math.expm1(-2 * t)
        torch.testing.assert_close(
            late_time.curvature(points, t, x), expected, rtol=1e-9, atol=1e-9
        )


def test_the_expansion_becomes_exact_at_late_times():
    """With the factor the error falls like exp(-2t); without it, like nothing of the kind."""
    points, x = cloud(9, 2), torch.zeros(2, dtype=torch.float64)
    gaps = [
        (late_time.late_time_matrix(points, t) - late_time.curvature(points, t, x)).abs().max()
        for t in (3.0, 4.0, 5.0)
    ]
    for one, other in itertools.pairwise(gaps):
        assert (one / other).item() == pytest.approx(math.exp(2), rel=0.05)


def test_density_has_mass_one():
    for t in (0.05, 1.0):
        mass, _ = integrate.quad(
            lambda x, t=t: late_time.log_density(PAIR, t, at(x)).exp().item(), -9, 9,
            points=(-1.3, 1.3), limit=200,
        )  # fmt: skip
        assert mass == pytest.approx(1, abs=1e-9)


def test_relaxation_time_is_where_the_smallest_eigenvalue_vanishes():
    for points in (PAIR, cloud(40, 3)):

        def smallest(t, points=points):
            return torch.linalg.eigvalsh(late_time.late_time_matrix(points, t))[0].item()

        root = optimize.brentq(smallest, 0.05, 3.0, xtol=1e-13)
        assert late_time.relaxation_time(points) == pytest.approx(root, rel=1e-9)
        assert smallest(0.99 * root) < 0 < smallest(1.01 * root)


def test_two_points_at_the_relaxation_time_have_one_maximum_or_two():
    grid = torch.linspace(-2, 2, 4001, dtype=torch.float64)[:, None]
    t = late_time.relaxation_time(PAIR)
    for share, maxima in ((0.9, 2), (1.1, 1)):
        slope = late_time.log_density(PAIR, share * t, grid).diff().sign()
        assert int(((slope[:-1] > 0) & (slope[1:] < 0)).sum()) == maxima


def test_total_variation_against_an_adaptive_integrator():
    t = 0.8
    variance = 1 - math.exp(-2 * t) + math.exp(-2 * t) * 1.69

    def gap(x):
        density = late_time.log_density(PAIR, t, at(x)).exp().item()
        return abs(density - math.exp(-x * x / (2 * variance)) / math.sqrt(2 * math.pi * variance))

    value, _ = integrate.quad(gap, -8, 8, limit=400)
    assert late_time.total_variation(PAIR, t) == pytest.approx(value / 2, abs=1e-6)
    assert late_time.total_variation(PAIR[:1], t) < 1e-12  # one point: a Gaussian already


def test_similarity_against_quadrature_and_its_limits():
    t = 0.3
    delta = 1 - math.exp(-2 * t)

    def mixture(x, shrink, variance):
        return sum(
            math.exp(-((x - shrink * s) ** 2) / (2 * variance)) / math.sqrt(8 * math.pi * variance)
            for s in (-1.3, 1.3)
        )

    def product(one, other):
        return integrate.quad(lambda x: mixture(x, *one) * mixture(x, *other), -12, 12, limit=200)[
            0
        ]

    noised, kernels = (math.exp(-t), delta), (1.0, 2 * t)
    cosine = product(noised, kernels)
    cosine /= math.sqrt(product(noised, noised) * product(kernels, kernels))
    assert math.exp(late_time.log_similarity(PAIR, t)) == pytest.approx(cosine, rel=1e-9)
    points = cloud(500, 2)
    assert late_time.log_similarity(points, 1e-6) == pytest.approx(0, abs=1e-5)
    crowded = late_time.log_similarity(cloud(500, 60), linear.mixing_time(500, 60))
    assert crowded < -5 < late_time.log_similarity(points, linear.mixing_time(500, 2)) < 0


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"t must be in \(0, inf\), got 0"):
        late_time.curvature(PAIR, 0.0, PAIR[0])
    with pytest.raises(ValueError, match=r"points must have shape \(n, d\), got \(1, 2, 1\)"):
        late_time.relaxation_time(PAIR[None])
    with pytest.raises(ValueError, match=r"points must have shape \(n, 1\), got \(4, 2\)"):
        late_time.total_variation(cloud(4, 2), 1.0)
