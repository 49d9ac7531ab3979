"""Stationary points against brute force: fixed points of h, stability by pushing and flowing."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import memnb
from memnb.minnorm.stability import function_distance


def all_sums(n_ramps):
    bits = torch.arange(2**n_ramps)[:, None]
    return ((bits >> torch.arange(n_ramps)) & 1).bool()


def simplex(n_edges, opening, seed, equal=True):
    angle = 90 + opening * (memnb.widest_angle(n_edges + 1) - 90)
    g = torch.Generator().manual_seed(seed)
    lengths = 1.0 if equal else 0.6 + torch.rand(n_edges, generator=g, dtype=torch.float64)
    return memnb.obtuse_simplex(n_edges + 1, n_edges + 2, lengths, angle=angle, seed=seed)


def random_simplex(n_edges, seed):
    """Unequal lengths and unequal obtuse angles, a third of the way to degenerate."""
    g = torch.Generator().manual_seed(seed)
    off = -torch.rand(n_edges, n_edges, generator=g, dtype=torch.float64) / (n_edges - 1)
    cosines = (off + off.mT) / 2
    cosines.fill_diagonal_(1)
    lengths = 0.6 + torch.rand(n_edges, generator=g, dtype=torch.float64)
    gram = cosines * torch.outer(lengths, lengths)
    return memnb.obtuse_simplex(n_edges + 1, n_edges + 1, gram=gram, seed=seed)


@pytest.mark.parametrize("n_edges", range(2, 11))
@pytest.mark.parametrize("seed", range(6))
def test_the_criterion_for_sums_against_brute_force(n_edges, seed):
    """Every subset of up to 10 edges: is the sum a fixed point, and does it attract?"""
    data = random_simplex(n_edges, seed)
    on = all_sums(n_edges)
    margin = memnb.sum_margin(on, data)
    # A radius in the widest gap between the margins, so that no case is a tie.
    steps = torch.cat([margin[margin < data.max_rho].unique(), torch.tensor([data.max_rho])])
    widest = steps.diff().argmax()
    rho = float(steps[widest] + steps[widest + 1]) / 2
    h = memnb.RampDenoiser(data, rho)
    sums = data.vertex(on)
    fixed = (h(sums) - sums).norm(dim=1) < 1e-12
    assert torch.equal(fixed, margin <= rho)
    assert 0 < (~fixed).sum() and fixed.sum() > n_edges
    g = torch.Generator().manual_seed(seed)
    push = 1e-3 * float(steps.diff()[widest]) * torch.randn(sums.shape, generator=g).double()
    back = memnb.score_flow(sums + push, h, math.inf)
    returns = (back - sums).norm(dim=1) < 1e-9
    assert torch.equal(returns, fixed)


@given(st.integers(2, 5), st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.integers(0, 50))
@settings(deadline=None, max_examples=40, derandomize=True)
def test_enumeration_finds_fixed_points_and_their_stability(n_edges, opening, share, seed):
    data = simplex(n_edges, opening, seed, equal=False)
    h = memnb.RampDenoiser(data, share * data.max_rho)
    stationary = memnb.stationary_points(h)
    assert (h(stationary.points) - stationary.points).norm(dim=1).max() < 1e-8
    on = all_sums(n_edges)
    margin = memnb.sum_margin(on, data)
    clear = (margin - h.rho).abs() > 1e-6
    expected = data.vertex(on[(margin < h.rho) & clear])
    stable = stationary.points[stationary.stable]
    if clear.all():
        assert len(stable) == len(expected)
        assert torch.cdist(stable, expected).amin(dim=1).max() < 1e-7
    # Starts end at points of the list, and generic ones at stable points.
    ends = memnb.score_flow(memnb.gaussian_starts(30, data.dim, seed=seed), h, math.inf)
    assert torch.cdist(ends, stationary.points).amin(dim=1).max() < 1e-6
    if clear.all():
        assert torch.cdist(ends, stable).amin(dim=1).max() < 1e-6


@pytest.mark.parametrize("rho", [0.05, 0.2, 0.45, 0.499])
def test_the_triangle_has_three_stable_points_and_four_others(rho):
    triangle = memnb.equilateral_triangle(3, 1.7, seed=2)
    h = memnb.RampDenoiser(triangle, 1.7 * rho)
    stationary = memnb.stationary_points(h)
    assert len(stationary.points) == 7
    stable = stationary.points[stationary.stable]
    assert len(stable) == 3
    assert torch.cdist(stable, triangle.points).amin(dim=1).max() < 1e-10
    # The others are the centroid and one point on each median.
    rest = stationary.points[~stationary.stable]
    along = triangle.coordinates(rest).amin(dim=1)
    assert (along.abs() < 1e-9).sum() == 1
    # Reflected vertices, the sums of two about the centroid, are no fixed points.
    assert (h(-triangle.points) + triangle.points).norm(dim=1).min() > 1e-3


@pytest.mark.parametrize("rho", [0.501, 0.55, 0.65])
def test_large_balls_make_virtual_points_around_the_triangle(rho):
    """For R/2 < rho < rho* the reflected vertices and the centroid are stable as well."""
    triangle = memnb.equilateral_triangle(3, 1.7, seed=2)
    h = memnb.RampDenoiser(triangle, 1.7 * rho)
    stationary = memnb.stationary_points(h)
    stable = stationary.points[stationary.stable]
    expected = torch.cat([triangle.points, -triangle.points, torch.zeros(1, 3).double()])
    assert len(stationary.points) == 19 and len(stable) == 7
    assert torch.cdist(stable, expected).amin(dim=1).max() < 1e-10
    start = expected + 1e-5 * memnb.gaussian_starts(7, 3)
    ends = memnb.score_flow(start, h, math.inf)
    torch.testing.assert_close(ends, expected, rtol=0, atol=1e-9)


def test_stability_is_the_jacobian():
    data = simplex(4, 0.5, 3, equal=False)
    h = memnb.RampDenoiser(data, 0.3 * data.max_rho)
    stationary = memnb.stationary_points(h)
    J = h.jacobian(stationary.points) - torch.eye(data.dim).double()
    largest = torch.linalg.eigvalsh(J)[:, -1]
    torch.testing.assert_close(stationary.growth, largest, rtol=0, atol=1e-9)


def test_a_sum_exactly_on_a_kink_is_stationary_and_unstable():
    data = memnb.obtuse_simplex(3, 2, angle=120)
    h = memnb.RampDenoiser(data, 0.4999999)
    both = torch.tensor([True, True])
    assert memnb.sum_margin(both, data) == pytest.approx(0.5, abs=1e-15)
    gram = [[1, -0.25], [-0.25, 1]]
    data = memnb.obtuse_simplex(3, 2, gram=gram)
    h = memnb.RampDenoiser(data, float(memnb.sum_margin(both, data)))
    total = data.vertex(both)
    assert (h(total) - total).norm() < 1e-15
    stationary = memnb.stationary_points(h)
    nearest = (stationary.points - total).norm(dim=1).argmin()
    assert (stationary.points[nearest] - total).norm() < 1e-12 and not stationary.stable[nearest]


@given(st.integers(2, 5), st.floats(0.02, 0.98), st.integers(0, 50))
@settings(deadline=None, max_examples=30, derandomize=True)
def test_at_zero_radius_every_flow_ends_on_an_edge(n_edges, opening, seed):
    """Also with edges of different lengths, and the edges themselves are at rest."""
    data = simplex(n_edges, opening, seed, equal=False)
    h = memnb.RampDenoiser(data, 0.0)
    end = memnb.score_flow(memnb.gaussian_starts(40, data.dim, seed=seed), h, math.inf)
    z = data.coordinates(end).clamp(min=0).minimum(data.lengths)
    away = (data.directions * z[..., None] - end[:, None]).norm(dim=-1).amin(dim=1)
    assert away.max() < 1e-9
    share = torch.linspace(0, 1, 11).double()[:, None, None]
    edges = (share * data.points[1:]).reshape(-1, data.dim)
    assert (h(edges) - edges).abs().max() < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 1e8])
@pytest.mark.parametrize("share", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("name", ["orthogonal", "obtuse", "triangle"])
def test_stationary_points_and_margins_do_not_depend_on_scale_and_origin(name, share, scale, dtype):
    """Under x -> s x + t the points move along, and the same ones are stable, in both dtypes."""
    here = {
        "orthogonal": lambda: memnb.orthogonal_set(4, 5, [1.0, 0.8, 1.3], seed=1),
        "obtuse": lambda: memnb.obtuse_simplex(4, 5, [1.0, 0.8, 1.3], angle=98, seed=1),
        "triangle": lambda: memnb.equilateral_triangle(5, seed=1),
    }[name]()
    share = share if dtype == torch.float64 else min(share, 1e3)  # else points have no digits
    moved = {k: scale * getattr(here, k) for k in ("points", "center", "lengths", "low", "high")}
    moved["points"] = moved["points"] + share * scale
    moved["center"] = moved["center"] + share * scale
    away = replace(here, rho_limit=here.rho_limit * scale, **moved).to(dtype)
    expected = memnb.stationary_points(memnb.RampDenoiser(here, 0.15))
    points = memnb.stationary_points(memnb.RampDenoiser(away, 0.15 * scale))
    assert len(points.points) == len(expected.points)
    assert torch.equal(points.pieces, expected.pieces)
    assert torch.equal(points.stable, expected.stable)
    tolerance = 32 * torch.finfo(dtype).eps * (1 + share)
    gap = (points.points.double() - share * scale) / scale - expected.points
    assert gap.abs().max() < tolerance
    if name != "triangle":
        on = all_sums(3)
        margin = memnb.sum_margin(on, away)
        assert margin.dtype == dtype
        expected = memnb.sum_margin(on, here)
        assert (margin.double() / scale - expected).abs().max() < 8 * torch.finfo(dtype).eps
        assert (margin[expected == 0] == 0).all()


def test_radius_zero_and_wrong_arguments_are_one_clear_error():
    data = memnb.orthogonal_set(3, 2)
    with pytest.raises(ValueError, match="rho > 0, got 0: its stationary points are not isolated"):
        memnb.stationary_points(memnb.RampDenoiser(data, 0))
    with pytest.raises(TypeError, match="denoiser must be a RampDenoiser, got TrainingSet"):
        memnb.stationary_points(data)
    with pytest.raises(TypeError, match=r"memnb.training_set\(points\) makes one of points"):
        memnb.sum_margin([True, True], data.points)
    with pytest.raises(ValueError, match="must be orthogonal data, got kind 'equilateral triangle"):
        function_distance(lambda y: y, lambda y: y, memnb.equilateral_triangle(2))
    assert memnb.sum_margin([True, True], data) == 0
    assert memnb.sum_margin(np.array([1, 0]), data) == 0


def test_errors():
    with pytest.raises(ValueError, match="at most 10 ramps, got 11"):
        memnb.stationary_points(memnb.RampDenoiser(memnb.orthogonal_set(12, 12), 0.1))
    with pytest.raises(ValueError, match="training_set must be an obtuse simplex, got kind 'equi"):
        memnb.sum_margin(torch.ones(3), memnb.equilateral_triangle(2))
    with pytest.raises(ValueError, match=r"on must have shape \(..., 2\)"):
        memnb.sum_margin(torch.ones(3), memnb.obtuse_simplex(3, 2, angle=120))
