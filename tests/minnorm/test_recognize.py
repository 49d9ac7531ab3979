"""Points are recognized wherever they lie: moved, turned, scaled and in any order."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import memnb
from memnb.streams import stream

examples = settings(deadline=None, max_examples=60, derandomize=True)


def normal(seed, purpose, *shape):
    return torch.randn(*shape, generator=stream(seed, purpose), dtype=torch.float64)


def orthogonal(n, dim, seed):
    lengths = 0.5 + torch.rand(n - 1, generator=stream(seed, "lengths"), dtype=torch.float64)
    return memnb.orthogonal_set(n, dim, lengths, seed=seed)


def obtuse(n, dim, seed):
    """Unequal lengths and angles."""
    k = n - 1
    off = torch.rand(k, k, generator=stream(seed, "cosines"), dtype=torch.float64)
    cosines = -torch.triu(off, 1) / k
    cosines = cosines + cosines.mT + torch.eye(k, dtype=torch.float64)
    lengths = 0.5 + torch.rand(k, generator=stream(seed, "lengths"), dtype=torch.float64)
    return memnb.obtuse_simplex(n, dim, gram=cosines * torch.outer(lengths, lengths), seed=seed)


def triangle(n, dim, seed):
    return memnb.equilateral_triangle(max(dim, 2), seed=seed)


def on_a_line(n, dim, seed):
    """The constructor knows lines in d = 1 only: embedded along a random direction, by hand."""
    gaps = 0.5 + torch.rand(n, generator=stream(seed, "gaps"), dtype=torch.float64)
    line = memnb.line_set(gaps.cumsum(0))
    u = normal(seed, "direction", 1, dim)
    u = u / u.norm()
    return memnb.TrainingSet(
        line.points @ u, (line.center @ u), line.directions @ u, line.lengths, line.low,
        line.high, "line",
    )  # fmt: skip


FAMILIES = {
    "orthogonal": orthogonal,
    "obtuse simplex": obtuse,
    "equilateral triangle": triangle,
    "line": on_a_line,
}


def moved(data, scale, shift, seed):
    """The points under a rotation, a change of scale, a translation and a permutation."""
    turn = memnb.orthogonal_set(data.dim + 1, data.dim, seed=seed + 1).directions
    order = torch.randperm(len(data.points), generator=stream(seed, "order"))
    return turn, order, (scale * data.points @ turn + shift)[order]


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@given(
    n=st.integers(3, 7),
    extra=st.integers(0, 4),
    seed=st.integers(0, 10**6),
    power=st.floats(-8, 8),
    far=st.sampled_from([0.0, 1.0, 20.0]),
    share=st.floats(0.05, 0.9),
)
@examples
def test_every_family_is_recognized_and_has_the_same_denoiser(
    kind, dtype, n, extra, seed, power, far, share
):
    data = FAMILIES[kind](n, n - 1 + extra, seed)
    scale = 10.0**power
    shift = far * scale * normal(seed, "shift", data.dim)
    turn, _, points = moved(data, scale, shift, seed)
    again = memnb.training_set(points.to(dtype))
    assert again.kind == kind and again.points.dtype == dtype
    assert again.is_orthogonal == data.is_orthogonal
    eps = torch.finfo(dtype).eps
    assert again.max_rho == pytest.approx(scale * data.max_rho, rel=1e3 * eps * (1 + far))
    h = memnb.RampDenoiser(data, share * data.max_rho)
    h_again = memnb.RampDenoiser(again, share * again.max_rho)
    y = data.center + normal(seed, "queries", 40, data.dim)
    expected = scale * h(y) @ turn + shift
    gap = h_again((scale * y @ turn + shift).to(dtype)).double() - expected
    steepest = float(h.slope.max())
    narrowest = float(data.lengths.max() / (2 * data.max_rho * (1 - share)))
    assert gap.abs().max() <= 200 * eps * scale * (1 + far) * max(steepest, narrowest, 1)


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_points_come_in_the_order_of_the_theory(kind):
    data = FAMILIES[kind](5, 6, 3)
    _, _, points = moved(data, 1.0, 0.0, 3)
    again = memnb.training_set(points)
    assert torch.equal(again.points.sort(dim=0).values, points.sort(dim=0).values)
    if kind != "equilateral triangle":
        assert torch.equal(again.points[0], again.center)
        ramps = again.center + again.high[:, None] * again.directions
        torch.testing.assert_close(again.points[1:], ramps, rtol=0, atol=1e-14)
    else:
        torch.testing.assert_close(again.vertex(torch.eye(3)), again.points, rtol=0, atol=1e-14)


@given(st.integers(2, 6), st.integers(0, 10**6), st.floats(1e-3, 0.4))
@examples
def test_points_off_by_more_than_rounding_are_another_family_or_refused(n, seed, bend):
    """Right angles closed a little have no closed form; opened a little they are obtuse."""
    u = torch.eye(n, dtype=torch.float64)
    turn = memnb.orthogonal_set(n + 1, n, seed=seed).directions
    acute = torch.cat([torch.zeros(1, n).double(), u.index_add(0, torch.tensor([1]), bend * u[:1])])
    with pytest.raises(ValueError, match="points 1 and 2 seen from point 0 are at"):
        memnb.training_set(acute @ turn)
    wide = acute.clone()
    wide[2, 0] *= -1
    assert memnb.training_set(wide @ turn).kind == "obtuse simplex"


def test_the_limit_of_right_angles_is_that_of_the_dtype():
    def points(degrees):
        return memnb.obtuse_simplex(3, 4, angle=degrees, seed=1).points

    assert memnb.training_set(points(90 + 1e-10)).kind == "obtuse simplex"
    assert memnb.training_set(points(90 + 1e-10).float()).kind == "orthogonal"
    assert memnb.training_set(points(90.01).float()).kind == "obtuse simplex"


def test_arrays_and_lists_are_points():
    values = [[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]]
    for points in (values, np.array(values), torch.tensor(values), [[0, 0], [2, 0], [0, 1]]):
        data = memnb.training_set(points)
        assert data.is_orthogonal and data.lengths.tolist() == [2, 1]
    assert memnb.training_set(np.array(values, dtype=np.float32)).points.dtype == torch.float32
    assert memnb.training_set([[1.0], [4.0], [2.0]]).points.flatten().tolist() == [1, 2, 4]


HALF = 3**0.5 / 2


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[0, 0], [1, 0], [0.1, 1]],
         "points 1 and 2 seen from point 0 are at 84.29 degrees, and from every other point"),
        ([[0, 0], [1, 0], [0, 1], [1, 1]], "seen from point 0 are at 45 degrees"),
        ([[0, 0], [1, 0], [-0.5, HALF], [-0.5, -HALF]],
         "the 3 edges from point 0, none of them at acute angles, span only 2 dimensions"),
        ([[0, 0], [1, 0], [0, 0]], "but points 0 and 2 are 0 apart"),
        ([[1e6, 0], [1e6 + 1e-8, 0]], "points must be apart from one another by more than 7.1e-06"),
        ([[0.0, 0.0]], r"points must have shape \(N, d\) with N >= 2, got \(1, 2\)"),
        ([1.0, 2.0], r"points must have shape \(N, d\)"),
        ([[0, 0], [1, float("nan")]], "points must be finite"),
    ],
)  # fmt: skip
def test_errors_say_why_no_closed_form_is_known(points, message):
    with pytest.raises(ValueError, match=message):
        memnb.training_set(points)


def test_a_line_in_space_has_the_cost_of_a_line():
    """The ramps of collinear points in the plane against the convex program."""
    points = torch.tensor([[0.0, 0.0], [0.6, 0.8], [1.5, 2.0]], dtype=torch.float64)
    closed = memnb.RampDenoiser(memnb.training_set(points), 0.2).cost()
    assert closed == pytest.approx(2 * (1 / 0.6 + 1.5 / 1.1), rel=1e-12)
    assert memnb.minimum_norm_planar(points, 0.2, 90).cost() == pytest.approx(closed, abs=1e-4)


def test_right_angles_among_obtuse_ones_are_an_obtuse_simplex():
    points = torch.tensor([[0, 0, 0], [1, 0, 0], [-0.3, 1, 0], [0, 0, 0.8]], dtype=torch.float64)
    data = memnb.training_set(points)
    assert data.kind == "obtuse simplex" and not data.is_orthogonal
    h = memnb.RampDenoiser(data, 0.3)
    unit = torch.nn.functional.normalize(normal(0, "in balls", 500, 1, 3), dim=-1)
    assert (h(points + 0.299 * unit) - points).abs().max() < 1e-12
    assert memnb.sum_margin([1, 0, 1], data) == 0 < memnb.sum_margin([1, 1, 0], data)


@pytest.mark.parametrize("offset", [0.0, 1e2, 1e4, 1e6])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("kind", ["simplex", "line"])
def test_equal_lengths_stay_equal_far_from_the_origin(kind, scale, offset):
    """Their exact probability flow is known for ramps of one width only; ends move with the set."""
    if kind == "simplex":
        exact = memnb.obtuse_simplex(4, 5, angle=97, seed=1)
    else:
        exact = memnb.training_set([[0.0, 0.0], [0.6, 0.8], [1.2, 1.6], [1.8, 2.4]])
    y = normal(1, "starts", 60, exact.dim)
    ends = memnb.probability_flow(y, memnb.RampDenoiser(exact, 0.1), 1.0, 0.0)
    data = memnb.training_set(scale * (exact.points + offset))
    assert data.kind == exact.kind and len(data.lengths.unique()) == 1
    h = memnb.RampDenoiser(data, 0.1 * scale)
    moved = memnb.probability_flow(scale * (y + offset), h, scale, 0.0) / scale - offset
    assert (moved - ends).abs().max() < 1e-13 + 4e-15 * offset


def test_lengths_that_differ_by_more_than_rounding_stay_apart():
    points = memnb.obtuse_simplex(3, 2, [1.0, 1.0 + 1e-9], angle=100).points
    assert memnb.training_set(points).lengths.diff().abs().item() == pytest.approx(1e-9, rel=1e-5)
