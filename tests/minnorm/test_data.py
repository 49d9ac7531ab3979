"""Geometry of training sets and reproducible starts."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import memnb

sizes = st.integers(1, 12).flatmap(lambda d: st.tuples(st.integers(2, d + 1), st.just(d)))
norms = st.floats(1e-6, 1e6)


@given(sizes, st.integers(0, 2**31), st.data())
def test_orthogonal_points_have_their_norms(size, seed, data):
    n, d = size
    lengths = data.draw(st.lists(norms, min_size=n - 1, max_size=n - 1))
    s = memnb.orthogonal_set(n, d, lengths, seed=seed)
    gram = s.points[1:] @ s.points[1:].mT
    scale = torch.outer(s.lengths, s.lengths)
    expected = torch.diag(torch.tensor(lengths, dtype=torch.float64) ** 2)
    assert ((gram - expected) / scale).abs().max() < 1e-13
    assert (s.points[0] == 0).all() and s.is_orthogonal
    assert s.max_rho == pytest.approx(min(lengths) / 2, rel=1e-15)


@given(sizes, st.integers(0, 2**31), st.floats(1e-3, 1e3))
def test_coordinates_are_an_isometry_and_invert(size, seed, scale):
    n, d = size
    s = memnb.orthogonal_set(n, d, seed=seed)
    y = memnb.gaussian_starts(7, d, scale=scale, seed=1)
    z, q = s.coordinates(y), s.off_plane(y)
    norm = torch.hypot(z.norm(dim=1), q)
    torch.testing.assert_close(norm, y.norm(dim=1), rtol=1e-12, atol=0)
    torch.testing.assert_close(s.coordinates(s.from_coordinates(z)), z, rtol=0, atol=1e-12 * scale)
    if n == d + 1:
        assert q.max() < 1e-12 * scale


def test_the_random_rotation_is_uniform():
    """Under the Haar measure the entries of u_1 have mean 0, variance 1/d, fourth moment known."""
    d = 5
    u = torch.stack([memnb.orthogonal_set(3, d, seed=i).directions for i in range(4000)])
    entries = u[:, 0]
    assert entries.mean(dim=0).abs().max() < 5 / math.sqrt(4000 * d)
    assert (entries.square().mean(dim=0) * d - 1).abs().max() < 0.15
    fourth = entries.pow(4).mean() * d * (d + 2)  # E u^4 = 3 / (d (d + 2))
    assert abs(fourth - 3) < 0.2
    # Both signs of the determinant of the first two coordinates are equally likely.
    turn = torch.linalg.det(u[:, :, :2]).sign().mean()
    assert abs(turn) < 5 / math.sqrt(4000)


def test_a_seed_means_the_same_data_everywhere():
    a = memnb.orthogonal_set(5, 9, seed=3)
    b = memnb.orthogonal_set(5, 9, seed=3, dtype=torch.float32)
    assert torch.equal(a.points.float(), b.points)
    assert not torch.equal(a.points, memnb.orthogonal_set(5, 9, seed=4).points)
    x = memnb.gaussian_starts(50, 9, seed=3)
    assert torch.equal(x.float(), memnb.gaussian_starts(50, 9, seed=3, dtype=torch.float32))
    shifted = memnb.gaussian_starts(50, 9, 2.0, center=torch.ones(9).double(), seed=3)
    torch.testing.assert_close(shifted, 1 + 2 * x, rtol=0, atol=1e-15)


def test_starts_are_standard_normal():
    from scipy.stats import kstest

    x = memnb.gaussian_starts(2000, 10, seed=11).flatten().numpy()
    assert kstest(x, "norm").pvalue > 1e-3


def test_vertices_are_sums_of_training_points():
    s = memnb.orthogonal_set(5, 6, [1.0, 2.0, 0.5, 3.0], seed=8)
    for mask in range(16):
        on = torch.tensor([bool(mask >> i & 1) for i in range(4)])
        total = s.points[1:][on].sum(dim=0)
        torch.testing.assert_close(s.vertex(on), total, rtol=0, atol=1e-14)


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=9, unique=True))
def test_a_line_has_one_ramp_for_each_gap(values):
    s = memnb.line_set(values)
    ordered = sorted(values)
    assert s.points[:, 0].tolist() == ordered
    assert s.lengths.tolist() == np.diff(ordered).tolist()
    assert s.max_rho == min(np.diff(ordered)) / 2
    assert (s.high - s.low).tolist() == s.lengths.tolist()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: memnb.orthogonal_set(5, 3), ValueError, r"n_points must be at most .* 4, got 5"),
        (lambda: memnb.orthogonal_set(1, 3), ValueError, "n_points must be at least 2, got 1"),
        (lambda: memnb.orthogonal_set(3, 3.0), TypeError, "dim must be an integer, got 3.0"),
        (lambda: memnb.orthogonal_set(3, 3, [1, 2, 3]), ValueError, "norms must be one number or"),
        (lambda: memnb.orthogonal_set(3, 3, [1, -2]), ValueError, "norms must be positive"),
        (lambda: memnb.orthogonal_set(3, 3, math.nan), ValueError, "norms must be positive"),
        (lambda: memnb.orthogonal_set(3, 3, seed=-1), ValueError, "seed must be at least 0"),
        (lambda: memnb.orthogonal_set(3, 3, "a"), TypeError, "norms must be numbers, in rows of"),
        (lambda: memnb.orthogonal_set(3, 3, [1j, 1]), TypeError, "norms must be numbers"),
        (lambda: memnb.line_set("ab"), TypeError, "values must be numbers, in rows of one length"),
        (lambda: memnb.line_set([[1], [2, 3]]), TypeError, "values must be numbers, in rows of"),
        (lambda: memnb.obtuse_simplex(3, 2, gram="x"), TypeError, "gram must be numbers"),
        (lambda: memnb.obtuse_simplex(3, 2, gram=[[1], [1, 2]]), TypeError, "gram must be numbers"),
        (lambda: memnb.sum_margin("ab", memnb.orthogonal_set(3, 2)), TypeError, "on must be num"),
        (lambda: memnb.sum_margin([[1], [1, 0]], memnb.orthogonal_set(3, 2)), TypeError, "on must"),
        (lambda: memnb.line_set([1.0]), ValueError, "values must be two or more"),
        (lambda: memnb.line_set([1.0, 1.0]), ValueError, "values must be two or more"),
        (lambda: memnb.gaussian_starts(0, 3), ValueError, "n_starts must be at least 1, got 0"),
        (lambda: memnb.gaussian_starts(3, 3, scale=-1), ValueError, r"scale must be in \[0, inf"),
        (
            lambda: memnb.orthogonal_set(3, 3).coordinates(torch.ones(2).double()),
            ValueError,
            r"y must have shape \(\.\.\., 3\), got \(2,\)",
        ),
        (
            lambda: memnb.orthogonal_set(3, 3).coordinates([1.0, 2.0, math.nan]),
            ValueError,
            "y must be finite, got 1 infinite or nan of 3 values",
        ),
        (lambda: memnb.gaussian_starts(3, 3, scale=math.inf), ValueError, "scale must be in"),
        (
            lambda: memnb.line_set([1, 1 + 1e-9], dtype=torch.float32),
            ValueError,
            "values must differ in torch.float32",
        ),
        (
            lambda: memnb.line_set([1, 1 + 1e-9]).to(torch.float32),
            ValueError,
            "points must differ from one another in torch.float32, but points 0 and 1 are equal",
        ),
        (
            lambda: memnb.orthogonal_set(3, 3, [1, 1e-60], dtype=torch.float32),
            ValueError,
            "every ramp needs lengths > 0 and high > low in torch.float32",
        ),
        (
            lambda: memnb.orthogonal_set(3, 3).vertex([1, 2]),
            ValueError,
            "on must hold True and False, or 1 and 0",
        ),
        (
            lambda: memnb.TrainingSet(*[torch.ones(2, 2)] * 2, *[torch.ones(2).double()] * 4, "x"),
            TypeError,
            "directions must be a tensor of the dtype of points, torch.float32",
        ),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_rotation_and_starts_of_one_seed_are_uncorrelated(seed):
    """The Gaussian columns behind the rotation and the starts were once the same numbers."""
    d = 400
    directions = memnb.orthogonal_set(d + 1, d, seed=seed).directions
    starts = memnb.gaussian_starts(d, d, seed=seed)
    # Unit directions: each inner product with independent starts is N(0, 1). From the same
    # numbers the first direction would be the first column over its norm: sqrt(d) = 20.
    along = starts.mT @ directions[0]
    assert abs(along[0]) < 4.5 and abs(along.mean()) * d**0.5 < 4.5
    for rows in (starts, starts.mT):
        assert abs((rows * directions).sum(dim=1).mean()) * d**0.5 < 4.5


POINTS = [[0.0, 1.0, 0.0], [2.0, 0.5, -1.0]]


@pytest.mark.parametrize(
    "y",
    [
        POINTS,
        np.array(POINTS),
        np.array(POINTS, dtype=np.float32),
        torch.tensor(POINTS),
        [[0, 1, 0], torch.tensor([2.0, 0.5, -1.0])],
    ],
    ids=["list", "array", "float32 array", "float32 tensor", "mixed list"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_points_may_be_arrays_lists_and_of_another_dtype(y, dtype):
    s = memnb.orthogonal_set(3, 3, seed=2, dtype=dtype)
    z = s.coordinates(y)
    assert z.dtype == dtype
    assert torch.equal(z, s.coordinates(torch.tensor(POINTS, dtype=dtype)))
    assert s.off_plane(y).dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [2, 31, 500])
def test_orthogonal_means_orthogonal_within_rounding(d, dtype):
    """Rotations are orthogonal in both dtypes; an angle of 90 + 1e-12 degrees is not, in float64"""
    turned = memnb.orthogonal_set(d + 1, d, seed=d, dtype=dtype)
    assert turned.is_orthogonal
    assert (turned.to(torch.float64).directions.norm(dim=1) - 1).abs().max() < 1e-15
    step = 1e-12 if dtype == torch.float64 else 2e-4
    assert not memnb.obtuse_simplex(3, d, angle=90 + step, dtype=dtype).is_orthogonal


FAR = [(torch.float64, s, t) for s in (1e-8, 1.0, 1e8) for t in (0.0, 1e3, 1e6)]
FAR += [(torch.float32, s, t) for s in (1e-8, 1.0, 1e8) for t in (0.0, 1e3)]


@pytest.mark.parametrize(("dtype", "scale", "share"), FAR)
def test_distances_from_the_plane_do_not_depend_on_the_origin(dtype, scale, share):
    """Under x -> s x + t, where rounding of t is the only error."""
    here = memnb.orthogonal_set(4, 6, scale, seed=1, dtype=dtype)
    shift = torch.full((6,), share * scale, dtype=dtype)
    away = replace(here, points=here.points + shift, center=here.center + shift)
    y = memnb.gaussian_starts(50, 6, scale, seed=2, dtype=dtype)
    tolerance = 8 * torch.finfo(dtype).eps * scale * (1 + share)
    gap = away.off_plane(y + shift) - here.off_plane(y)
    assert gap.abs().max() <= tolerance
    assert (away.coordinates(y + shift) - here.coordinates(y)).abs().max() <= tolerance
    assert away.off_plane(away.points).max() <= tolerance
