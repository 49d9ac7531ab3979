"""The planar convex program: exact fit of the balls, known optima, and where it has none."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import memnb
from tests.minnorm.test_simplex import in_balls


@given(st.integers(2, 5), st.floats(0.05, 0.45), st.integers(0, 1000))
@settings(deadline=None, max_examples=30, derandomize=True)
def test_every_ball_is_mapped_to_its_center(n_points, share, seed):
    g = torch.Generator().manual_seed(seed)
    points = 2 * torch.rand(n_points, 2, generator=g, dtype=torch.float64) - 1
    rho = share * float(torch.pdist(points).min())
    try:
        net = memnb.minimum_norm_planar(points, rho, 60)
    except ValueError as error:
        assert "no network fits" in str(error)
        return
    y = in_balls(points, rho, 1000, seed)
    assert (net(y) - points[:, None]).abs().max() < 1e-9 * max(1, net.cost())


def test_a_network_between_two_points_is_one_ramp():
    points = torch.tensor([[0.3, -0.2], [1.1, 0.4]]).double()
    net = memnb.minimum_norm_planar(points, 0.2)
    assert net.cost() == pytest.approx(2 / (1 - 0.4), abs=1e-6)


def test_collinear_points_cost_the_curvature_of_the_staircase():
    """On a line the cost is the total variation of the slope: |s_1| + |s_1 - 0| ..., known."""
    direction = torch.tensor([math.cos(0.3), math.sin(0.3)]).double()
    t = torch.tensor([0.0, 1.0, 2.5]).double()
    net = memnb.minimum_norm_planar(t[:, None] * direction, 0.2)
    assert net.cost() == pytest.approx(2 * 1 / 0.6 + 2 * 1.5 / 1.1, abs=1e-5)


@pytest.mark.parametrize(
    ("data", "rho"),
    [
        (memnb.orthogonal_set(3, 2, (1.0, 0.7), seed=1), 0.1),
        (memnb.obtuse_simplex(3, 2, angle=95, seed=2), 0.1),
        (memnb.obtuse_simplex(3, 2, [1.0, 1.2], angle=120), 0.2),
        (memnb.obtuse_simplex(3, 2, [1.0, 0.6], angle=150), 0.05),
        (memnb.equilateral_triangle(2, seed=3), 0.1),
        (memnb.equilateral_triangle(2), 0.4),
    ],
)
def test_the_function_is_the_closed_form_where_there_is_one(data, rho):
    y = memnb.gaussian_starts(2000, 2, scale=1.5, seed=0)
    net, h = memnb.minimum_norm_planar(data.points, rho, 180), memnb.RampDenoiser(data, rho)
    assert (net(y) - h(y)).norm(dim=1).max() < 1e-3


def test_cost_does_not_depend_on_rotation_translation_or_scale():
    points = torch.tensor([[0, 0], [1.0, 0.1], [0.3, 0.9], [-0.5, 0.4]]).double()
    turn = memnb.orthogonal_set(3, 2, seed=3).directions
    cost = memnb.minimum_norm_planar(points, 0.12, 720).cost()
    moved = 3 * points @ turn + torch.tensor([5.0, -2.0]).double()
    assert memnb.minimum_norm_planar(moved, 0.36, 720).cost() == pytest.approx(cost, rel=1e-4)


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 1e8])
@pytest.mark.parametrize("offset", [0.0, 1e4, 1e6])
def test_scale_and_offset_change_nothing(scale, offset):
    """x -> s x + t carries the network along; what is left is the precision of t + s x."""
    data = memnb.orthogonal_set(3, 2)
    shift = scale * offset
    points = (scale * data.points + shift).tolist()
    net = memnb.minimum_norm_planar(points, 0.1 * scale, 60)
    assert net.cost() == pytest.approx(5.0, abs=1e-5)
    y = memnb.gaussian_starts(200, 2, seed=0)
    moved = (net(scale * y + shift) - shift) / scale
    expected = memnb.RampDenoiser(data, 0.1)(y)
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-4 + 1e-14 * offset)


def test_single_precision():
    data = memnb.orthogonal_set(3, 2)
    net = memnb.minimum_norm_planar(data.points.float() * 1e3, 100.0, 60)
    assert net.W.dtype == torch.float32
    assert net.cost() == pytest.approx(5.0, abs=1e-4)


def test_the_triangle_formula_is_optimal_up_to_rho_star_and_not_beyond():
    """rho* = (12 + 3 sqrt 3) / 26 R: equal costs below, a cheaper network above, none from 3/4."""
    limit = (12 + 3 * math.sqrt(3)) / 26
    points = memnb.equilateral_triangle(2).points
    for rho in (0.1, 0.45, 0.5, 0.55, 0.6, 0.65, limit - 1e-3):
        cost = memnb.minimum_norm_planar(points, rho, 720).cost()
        assert cost == pytest.approx(6 / (1.5 - 2 * rho), rel=1e-6)
    for rho in (limit + 4e-3, 0.68, 0.7, 0.73):
        cost = memnb.minimum_norm_planar(points, rho, 720).cost()
        assert cost < 6 / (1.5 - 2 * rho) * (1 - 1e-4)
    with pytest.raises(ValueError, match="no network fits"):
        memnb.minimum_norm_planar(points, 0.76)


def test_an_acute_pair_is_cheaper_than_its_ramps_would_be_to_correct():
    """At 80 degrees the ramps along the edges do not fit; the optimum is known to 1e-4."""
    angle = math.radians(80)
    points = torch.tensor([[0, 0], [1, 0], [math.cos(angle), math.sin(angle)]]).double()
    coarse, fine = (memnb.minimum_norm_planar(points, 0.1, n).cost() for n in (90, 720))
    assert fine == pytest.approx(5.06781, abs=1e-4) and coarse == pytest.approx(fine, abs=1e-4)


@pytest.mark.parametrize(
    ("points", "rho", "message"),
    [
        (torch.zeros(3, 3).double(), 0.1, r"points must have shape \(..., 2\)"),
        (torch.zeros(1, 2).double(), 0.1, "N >= 2"),
        (torch.tensor([[0, 0], [1, math.nan]]).double(), 0.1, "points must be finite"),
        ([[0, 0], [1, 0]], math.inf, "rho must be in"),
        (torch.tensor([[0, 0], [1, 0]]).double(), 0.5, "rho must be below half the least distance"),
        (torch.tensor([[0, 0], [1, 0]]).double(), 0.0, "rho must be in"),
    ],
)
def test_bad_input(points, rho, message):
    with pytest.raises(ValueError, match=message):
        memnb.minimum_norm_planar(points, rho)
