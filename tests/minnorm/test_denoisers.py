"""Denoisers: closed forms against networks, quadrature-free references and derivatives."""

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import memnb
from memnb import (
    EmpiricalBayesDenoiser,
    RampDenoiser,
    ReLUNetwork,
    gaussian_starts,
    line_set,
    orthogonal_set,
    ramp_family,
)
from memnb.minnorm.certificate import certified_cost

examples = settings(deadline=None, max_examples=60, derandomize=True)

SETS = {
    "axes": (orthogonal_set(4, 4), 0.3),
    "rotated": (orthogonal_set(4, 5, norms=[1.0, 0.7, 2.5], seed=3), 0.2),
    "line": (line_set([3.0, -1.0, 0.5, 0.9]), 0.15),
}


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def in_balls(points, rho, n, seed=0):
    """n random points in each ball around a training point, a third of them on its boundary."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, points.n_points, points.dim, generator=generator, dtype=torch.float64)
    radius = torch.rand(n, points.n_points, 1, generator=generator, dtype=torch.float64) * 1.5
    return points.points + rho * radius.clamp(max=1) * noise / noise.norm(dim=-1, keepdim=True)


# --- ramps -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("share", [0.0, 0.01, 1.0])
def test_balls_go_to_their_centers(name, share):
    points, rho = SETS[name]
    y = in_balls(points, share * rho, 300)
    denoised = RampDenoiser(points, share * rho)(y)
    torch.testing.assert_close(denoised, points.points.expand_as(y), rtol=0, atol=1e-12)


@examples
@given(
    seed=st.integers(0, 10**6),
    n_ramps=st.integers(1, 5),
    exponent=st.floats(-6, 6),
    fraction=st.floats(0.01, 0.99),
)
def test_interpolation_and_network_at_every_scale(seed, n_ramps, exponent, fraction):
    scale = 10.0**exponent
    norms = scale * np.random.default_rng(seed).uniform(0.5, 2, n_ramps)
    points = orthogonal_set(n_ramps + 1, n_ramps + 1, norms=norms, seed=seed)
    rho = fraction * points.max_rho
    denoiser = RampDenoiser(points, rho)
    # A kink moved by one rounding error moves the value by its slope.
    slack = 1e-13 * scale * float(denoiser.slope.max())
    y = in_balls(points, rho, 20, seed)
    torch.testing.assert_close(denoiser(y), points.points.expand_as(y), rtol=0, atol=slack)
    far = gaussian_starts(50, points.dim, scale=2 * scale, seed=seed)
    torch.testing.assert_close(denoiser(far), denoiser.to_relu()(far), rtol=0, atol=10 * slack)
    # A change of scale changes h and y alike, and leaves the cost as it is.
    unit = orthogonal_set(n_ramps + 1, n_ramps + 1, norms=norms / scale, seed=seed)
    same = RampDenoiser(unit, rho / scale)
    torch.testing.assert_close(scale * same(far / scale), denoiser(far), rtol=0, atol=slack)
    assert same.cost() == pytest.approx(denoiser.cost(), rel=1e-10)


@pytest.mark.parametrize("name", SETS)
def test_network_equals_ramps(name):
    points, rho = SETS[name]
    denoiser = RampDenoiser(points, rho)
    network = denoiser.to_relu()
    y = gaussian_starts(500, points.dim, scale=1.5, center=points.points.mean(dim=0), seed=1)
    torch.testing.assert_close(network(y), denoiser(y), rtol=0, atol=1e-12)
    assert network.cost() == pytest.approx(denoiser.cost(), rel=1e-12)
    assert network.W.shape == (2 * points.n_ramps, points.dim)


def test_the_unbalanced_network_of_the_same_function_costs_more():
    network = RampDenoiser(*SETS["rotated"]).to_relu()
    stretched = ReLUNetwork(1.5 * network.W, 1.5 * network.b, network.A / 1.5, network.V, network.c)
    y = gaussian_starts(20, 5, seed=2)
    torch.testing.assert_close(stretched(y), network(y))
    assert stretched.cost() > 1.1 * network.cost()


def test_network_by_hand():
    network = ReLUNetwork(
        W=tensor([[1.0, 0.0], [0.0, -2.0]]),
        b=tensor([-1.0, 1.0]),
        A=tensor([[1.0, 3.0], [0.0, 1.0]]),
        V=tensor([[0.0, 1.0], [2.0, 0.0]]),
        c=tensor([10.0, 20.0]),
    )
    assert network(tensor([[3.0, -1.0], [0.0, 5.0]])).tolist() == [[20.0, 29.0], [15.0, 20.0]]
    assert network.cost() == 8.0


@pytest.mark.parametrize(
    ("points", "rho", "cost"),
    [
        (orthogonal_set(3, 2), 0.1, 5.0),
        (orthogonal_set(3, 2, norms=[1.0, 0.7]), 0.1, 5.3),
        (orthogonal_set(31, 30), 0.1, 75.0),
        (orthogonal_set(3, 2, seed=4), 0.0, 4.0),
        (line_set([0.0, 1.0, 3.0]), 0.25, 4 + 8 / 3),
    ],
)
def test_costs_by_hand(points, rho, cost):
    assert RampDenoiser(points, rho).cost() == pytest.approx(cost, abs=1e-12)
    assert RampDenoiser(points, rho).to_relu().cost() == pytest.approx(cost, abs=1e-12)


def test_values_by_hand():
    denoiser = RampDenoiser(orthogonal_set(3, 2, norms=[1.0, 2.0]), 0.25)
    y = tensor([[-5.0, 0.25], [0.5, 1.0], [0.375, 9.0], [0.75, 1.75]])
    assert denoiser(y).tolist() == [[0, 0], [0.5, 1.0], [0.25, 2.0], [1.0, 2.0]]
    staircase = RampDenoiser(line_set([0.0, 1.0, 3.0]), 0.25)
    y = tensor([-1.0, 0.25, 0.5, 0.75, 1.25, 2.0, 2.75, 7.0])[:, None]
    assert staircase(y)[:, 0].tolist() == [0, 0, 0.5, 1, 1, 2, 3, 3]


@pytest.mark.parametrize("name", SETS)
def test_jacobian_of_the_ramps(name):
    points, rho = SETS[name]
    denoiser = RampDenoiser(points, rho)
    y = gaussian_starts(60, points.dim, scale=1.2, center=points.points.mean(dim=0), seed=6)
    jacobian = denoiser.jacobian(y)
    assert (jacobian.flatten(1).norm(dim=1) > 0).sum() > 10
    torch.testing.assert_close(jacobian, finite_differences(denoiser, y), rtol=0, atol=1e-7)
    automatic = torch.func.vmap(torch.func.jacrev(denoiser))(y)
    torch.testing.assert_close(jacobian, automatic, rtol=0, atol=1e-12)


def test_kinks_count_as_flat():
    denoiser = RampDenoiser(orthogonal_set(3, 2), 0.25)
    y = tensor([[0.25, 0.5], [0.5, 0.75]])
    assert denoiser.jacobian(y).tolist() == [[[0, 0], [0, 2]], [[2, 0], [0, 0]]]


def finite_differences(function, y, step=1e-6):
    steps = step * torch.eye(y.shape[-1], dtype=torch.float64)
    return torch.stack([(function(y + e) - function(y - e)) / (2 * step) for e in steps], dim=-1)


@pytest.mark.parametrize(
    ("points", "rho", "limit"),
    [
        (orthogonal_set(3, 2, norms=[1.0, 0.75]), 0.375, "0.375"),
        (orthogonal_set(3, 2), 0.6, "0.5"),
        (line_set([0.0, 0.25, 2.0]), 0.2, "0.125"),
    ],
)
def test_overlapping_balls_are_refused_with_the_limit(points, rho, limit):
    with pytest.raises(ValueError, match=f"rho must be below {limit} .*got {rho}"):
        RampDenoiser(points, rho)
    assert RampDenoiser(points, 0.999 * float(limit)).rho < float(limit)


@pytest.mark.parametrize("rho", [-0.1, math.nan])
def test_bad_radii_are_refused(rho):
    with pytest.raises(ValueError, match="rho must be in"):
        RampDenoiser(orthogonal_set(3, 2), rho)


def test_points_of_another_dimension_are_refused():
    denoiser = RampDenoiser(orthogonal_set(3, 2), 0.1)
    for function in (denoiser, denoiser.jacobian, denoiser.to_relu()):
        with pytest.raises(ValueError, match=r"y must have shape \(..., 2\), got \(3,\)"):
            function(torch.zeros(3, dtype=torch.float64))
    whole = torch.tensor([0, 1])
    assert torch.equal(denoiser(whole), denoiser(whole.double()))


def test_family_shrinks_the_balls_with_the_noise():
    points = orthogonal_set(3, 2)
    family = ramp_family(points, 0.4)
    y = gaussian_starts(50, 2, seed=0)
    for sigma in (1.0, 0.25, 0.0):
        assert family(sigma).rho == pytest.approx(0.4 * sigma, abs=1e-15)
        assert torch.equal(family(sigma)(y), RampDenoiser(points, 0.4 * sigma)(y))
    with pytest.raises(ValueError, match=r"rho must be below 0.5"):
        family(1.3)
    with pytest.raises(ValueError, match="sigma must be in"):
        family(-0.1)
    with pytest.raises(ValueError, match="alpha must be in"):
        ramp_family(points, 0)


# --- empirical Bayes -------------------------------------------------------------------------


def posterior_mean(y, points, sigma):
    """E[x | y] in 60 digits."""
    with mpmath.workdps(60):
        x = [[mpmath.mpf(v) for v in row] for row in points.tolist()]
        weights = [
            mpmath.exp(
                -sum((mpmath.mpf(a) - b) ** 2 for a, b in zip(y.tolist(), row, strict=True))
                / (2 * mpmath.mpf(sigma) ** 2)
            )
            for row in x
        ]
        total = sum(weights)
        return [
            float(sum(w * row[i] for w, row in zip(weights, x, strict=True)) / total)
            for i in range(points.shape[1])
        ]


@pytest.mark.parametrize("sigma", [0.05, 0.3, 1.0, 30.0])
def test_posterior_mean_in_many_digits(sigma):
    points = gaussian_starts(6, 3, seed=1)
    y = gaussian_starts(8, 3, scale=1.5, seed=2)
    expected = tensor([posterior_mean(point, points, sigma) for point in y])
    torch.testing.assert_close(
        EmpiricalBayesDenoiser(points, sigma)(y), expected, rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_posterior_mean_is_tweedies_formula(sigma):
    # h(y) = y + sigma^2 grad log p(y), with the gradient taken automatically.
    points, y = gaussian_starts(6, 3, seed=1), gaussian_starts(8, 3, seed=2)

    def log_density(y):
        return torch.logsumexp(-(y - points).square().sum(dim=1) / (2 * sigma**2), dim=0)

    score = torch.func.vmap(torch.func.grad(log_density))(y)
    torch.testing.assert_close(EmpiricalBayesDenoiser(points, sigma)(y), y + sigma**2 * score)


def test_posterior_of_two_points_by_hand():
    denoiser = EmpiricalBayesDenoiser(tensor([[-1.0], [1.0]]), 0.5)
    y = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    torch.testing.assert_close(denoiser(y), torch.tanh(y / 0.25), rtol=0, atol=1e-14)
    assert denoiser.weights(y).sum(dim=1).allclose(torch.ones(9, dtype=torch.float64))


@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_jacobian_of_the_posterior_mean(sigma):
    points, y = gaussian_starts(6, 3, seed=1), gaussian_starts(8, 3, seed=2)
    denoiser = EmpiricalBayesDenoiser(points, sigma)
    jacobian = denoiser.jacobian(y)
    torch.testing.assert_close(jacobian, finite_differences(denoiser, y), rtol=1e-6, atol=1e-7)
    automatic = torch.func.vmap(torch.func.jacrev(denoiser))(y)
    torch.testing.assert_close(jacobian, automatic, rtol=0, atol=1e-12)


def test_extreme_noise_levels():
    points, y = gaussian_starts(6, 3, seed=1), gaussian_starts(40, 3, seed=2)
    nearest = points[torch.cdist(y, points).argmin(dim=1)]
    for sigma in (1e-8, 1e-150):
        denoiser = EmpiricalBayesDenoiser(points, sigma)
        assert torch.equal(denoiser(y), nearest)
        assert torch.equal(denoiser.jacobian(y), torch.zeros(40, 3, 3, dtype=torch.float64))
    mean = points.mean(dim=0).expand_as(y)
    torch.testing.assert_close(EmpiricalBayesDenoiser(points, 1e8)(y), mean, rtol=0, atol=1e-14)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan])
def test_bad_noise_levels_are_refused(sigma):
    with pytest.raises(ValueError, match="sigma must be in"):
        EmpiricalBayesDenoiser(torch.zeros(2, 3), sigma)


def test_bad_points_are_refused():
    for points in (torch.zeros(3), torch.zeros(0, 3)):
        with pytest.raises(ValueError, match=r"points must have shape \(N, d\)"):
            EmpiricalBayesDenoiser(points, 1.0)
    with pytest.raises(ValueError, match="points must be finite"):
        EmpiricalBayesDenoiser([[0.0], [math.inf]], 1.0)
    denoiser = EmpiricalBayesDenoiser([[0.0], [1.0]], 0.1)
    for function in (denoiser, denoiser.weights, denoiser.jacobian):
        with pytest.raises(ValueError, match="y must be finite"):
            function([math.nan])
    assert denoiser([0.5]).tolist() == [0.5]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 1e8])
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_posterior_mean_at_every_scale_and_offset(dtype, scale, offset):
    """The reference gets the same rounded points, so that only the arithmetic can differ."""
    if offset * torch.finfo(dtype).eps > 0.1:
        offset = 0.0  # float32 does not hold such points
    shift = offset * scale
    points = (shift + scale * gaussian_starts(6, 3, seed=1)).to(dtype)
    y = (shift + scale * gaussian_starts(20, 3, seed=2)).to(dtype)
    denoiser = EmpiricalBayesDenoiser(points, 0.3 * scale)
    expected = tensor([posterior_mean(point, points, 0.3 * scale) for point in y])
    slack = 100 * torch.finfo(dtype).eps * (scale + shift)
    torch.testing.assert_close(denoiser(y).double(), expected, rtol=0, atol=slack)
    unit = EmpiricalBayesDenoiser((points.double() - shift) / scale, 0.3)
    torch.testing.assert_close(
        denoiser.jacobian(y).double(),
        unit.jacobian((y.double() - shift) / scale),
        rtol=0,
        atol=300 * torch.finfo(dtype).eps,
    )


def test_ties_are_averaged_however_small_the_noise():
    points = tensor([[1e6, 1.0], [1e6, -1.0], [1e6 + 5, 0.0]])
    for sigma in (1e-3, 1e-150, 1e-300):
        denoiser = EmpiricalBayesDenoiser(points, sigma)
        assert denoiser(tensor([1e6 - 3, 0.0])).tolist() == [1e6, 0.0]
        assert denoiser(tensor([1e6 - 3, 0.1])).tolist() == [1e6, 1.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sigma", [1e-3, 1e-12])
def test_points_that_are_equally_near_have_equal_weights(dtype, sigma):
    """Whatever their last digits are: no pair of products may be rounded differently."""
    half = torch.full((2,), 0.5, dtype=dtype)
    for x in gaussian_starts(200, 5, seed=4, dtype=dtype):
        antipodal = EmpiricalBayesDenoiser(torch.stack([x, -x]), sigma)
        assert antipodal.weights(torch.zeros_like(x)).equal(half)
        swapped = EmpiricalBayesDenoiser(torch.stack([x, x[[1, 0, 2, 3, 4]]]), sigma)
        middle = x.clone()
        middle[:2] = x[2]
        assert swapped.weights(middle).equal(half)
    corners = EmpiricalBayesDenoiser(torch.eye(7, dtype=dtype), sigma)
    weights = corners.weights(torch.full((7,), 0.3, dtype=dtype))
    assert weights.equal(weights[0].expand(7))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_that_of_single_but_for_rounding(dtype):
    points = gaussian_starts(6, 4, seed=1).to(dtype)
    y = gaussian_starts(30, 4, seed=2).to(dtype)
    low, high = EmpiricalBayesDenoiser(points, 0.7), EmpiricalBayesDenoiser(points.float(), 0.7)
    atol = 50 * torch.finfo(dtype).eps
    torch.testing.assert_close(low(y).float(), high(y.float()), rtol=0, atol=atol)


@pytest.mark.parametrize(("dtype", "scale"), [(torch.float32, 1e20), (torch.float64, 1e160)])
def test_on_a_line_no_scale_is_too_large(dtype, scale):
    points = scale * gaussian_starts(8, 1, seed=1, dtype=dtype)
    y = scale * gaussian_starts(50, 1, seed=2, dtype=dtype)
    nearest = points[(y - points.mT).abs().argmin(dim=1)]
    assert EmpiricalBayesDenoiser(points, 1e-3 * scale)(y).isfinite().all()
    torch.testing.assert_close(EmpiricalBayesDenoiser(points, 1e-9 * scale)(y), nearest)


def test_blocks_do_not_change_the_posterior_mean(monkeypatch):
    points, y = gaussian_starts(6, 3, seed=1), gaussian_starts(50, 3, seed=2)
    denoiser = EmpiricalBayesDenoiser(points, 0.3)
    whole = [f(y) for f in (denoiser, denoiser.weights, denoiser.jacobian)]
    monkeypatch.setattr("memnb.minnorm.denoisers.BLOCK", 18 * 7)
    for f, before in zip((denoiser, denoiser.weights, denoiser.jacobian), whole, strict=True):
        torch.testing.assert_close(f(y), before, rtol=0, atol=1e-15)


def test_a_ramp_as_narrow_as_rounding_is_refused():
    for dtype, near, far in (
        (torch.float64, 0.5 - 1e-16, 0.5 - 1e-13),
        (torch.float32, 0.5 - 1e-8, 0.5 - 1e-5),
    ):
        points = orthogonal_set(3, 2, dtype=dtype)
        with pytest.raises(ValueError, match=r"rho must be below 0\.5 .*rounding"):
            RampDenoiser(points, near)
        assert RampDenoiser(points, far)(points.points).isfinite().all()


def test_mixed_dtypes_have_the_common_one():
    points, rho = SETS["rotated"]
    y = gaussian_starts(10, 5, seed=1)
    for denoiser, single in (
        (RampDenoiser(points, rho), RampDenoiser(points.to(torch.float32), rho)),
        (
            EmpiricalBayesDenoiser(points.points, 0.5),
            EmpiricalBayesDenoiser(points.points.float(), 0.5),
        ),
        (
            RampDenoiser(points, rho).to_relu(),
            RampDenoiser(points.to(torch.float32), rho).to_relu(),
        ),
    ):
        assert single(y).dtype == denoiser(y.float()).dtype == torch.float64
        torch.testing.assert_close(single(y), denoiser(y), rtol=0, atol=1e-5)
        torch.testing.assert_close(denoiser(y.float()), denoiser(y), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sigma", [1e-300, 1e-160, 5e-324])
def test_a_noise_level_below_the_dtype_gives_the_nearest_point(dtype, sigma):
    h = memnb.EmpiricalBayesDenoiser(torch.eye(3, dtype=dtype), sigma)
    y = torch.tensor([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0]], dtype=dtype)
    nearest = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]], dtype=dtype)
    torch.testing.assert_close(h(y), nearest)  # the tie is averaged


@pytest.mark.parametrize(("dtype", "far"), [(torch.float32, 1e30), (torch.float64, 1e200)])
def test_far_from_all_points_the_nearest_one_is_known(dtype, far):
    h = memnb.EmpiricalBayesDenoiser(torch.eye(3, dtype=dtype), 0.1)
    torch.testing.assert_close(h(far * torch.eye(3, dtype=dtype)), torch.eye(3, dtype=dtype))


def test_points_in_the_place_of_a_training_set_are_named():
    points = [[0.0, 0.0], [1.0, 0.0]]
    for call in (
        lambda: memnb.RampDenoiser(points, 0.1),
        lambda: memnb.ramp_family(points, 0.3),
        lambda: certified_cost(points, 0.1),
    ):
        with pytest.raises(TypeError, match=r"memnb\.training_set\(points\)"):
            call()


def test_vmap_over_numerical_flows_is_refused_in_one_line():
    h = memnb.RampDenoiser(memnb.orthogonal_set(3, 2), 0.1)
    y = torch.zeros(4, 2, dtype=torch.float64)
    with pytest.raises(TypeError, match=r"y must be no batch of torch\.vmap"):
        torch.vmap(lambda start: memnb.score_flow_stepped(start, h, [0.0, 0.5]))(y)
