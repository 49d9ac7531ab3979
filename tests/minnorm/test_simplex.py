"""Simplex data: geometry, what cannot exist, the fit of the balls and the certified cost."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import memnb
from memnb.minnorm.certificate import certified_cost

OBTUSE = [
    (95.0, (1.0, 1.0), 0.1),
    (105.0, (1.0, 0.7), 0.15),
    (115.0, (0.8, 1.3), 0.05),
    (120.0, (1.0, 1.2), 0.1),
    (135.0, (1.5, 1.1), 0.2),
    (150.0, (1.0, 0.6), 0.1),
    (150.0, (1.0, 1.0), 0.3),
]
TRIANGLES = [(1.0, 0.1, None), (1.0, 0.4, None), (0.8, 0.15, 5)]


@st.composite
def simplices(draw):
    n = draw(st.integers(3, 9))
    opening = draw(st.floats(0.02, 0.98))
    angle = 90 + opening * (memnb.widest_angle(n) - 90)
    lengths = draw(st.lists(st.floats(0.3, 3), min_size=n - 1, max_size=n - 1))
    dim = n - 1 + draw(st.integers(0, 4))
    return memnb.obtuse_simplex(n, dim, lengths, angle=angle, seed=draw(st.integers(0, 99))), angle


@given(simplices())
@settings(deadline=None)
def test_edges_have_their_lengths_and_angles(case):
    s, angle = case
    edges = s.points[1:] - s.points[0]
    torch.testing.assert_close(edges.norm(dim=1), s.lengths, rtol=1e-13, atol=0)
    cosines = (edges @ edges.mT) / torch.outer(s.lengths, s.lengths)
    off = cosines[~torch.eye(s.n_ramps, dtype=torch.bool)]
    assert (off - math.cos(math.radians(angle))).abs().max() < 1e-13
    assert not s.is_orthogonal


@given(simplices())
@settings(deadline=None)
def test_a_gram_matrix_gives_the_same_simplex_up_to_a_rotation(case):
    s, _ = case
    gram = s.points[1:] @ s.points[1:].mT
    again = memnb.obtuse_simplex(s.n_points, s.dim, gram=gram, seed=7)
    torch.testing.assert_close(
        again.points @ again.points.mT, s.points @ s.points.mT, rtol=0, atol=1e-12
    )


def in_balls(points, rho, n, seed):
    """n points in every ball, a quarter of them on its sphere: (N, n, d)."""
    g = torch.Generator().manual_seed(seed)
    shape = (*points.shape[:1], n, points.shape[1])
    unit = torch.randn(shape, generator=g, dtype=torch.float64)
    unit = unit / unit.norm(dim=-1, keepdim=True)
    radius = torch.rand(shape[:2], generator=g, dtype=torch.float64) ** (1 / shape[2])
    radius[:, : n // 4] = 1
    return points[:, None] + rho * radius[..., None] * unit


@pytest.mark.parametrize(
    "data",
    [memnb.obtuse_simplex(3, 2, norms, angle=angle) for angle, norms, _ in OBTUSE]
    + [
        memnb.obtuse_simplex(8, 12, torch.linspace(0.7, 1.4, 7), angle=97, seed=3),
        memnb.obtuse_simplex(31, 40, angle=91.9, seed=4),
        memnb.obtuse_simplex(4, 3, gram=[[1, -0.1, -0.3], [-0.1, 2, -0.9], [-0.3, -0.9, 1.5]]),
        memnb.equilateral_triangle(2),
        memnb.equilateral_triangle(7, 2.5, seed=1),
    ],
    ids=lambda s: f"{s.kind}-{s.n_points}",
)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_every_ball_is_mapped_to_its_center(data, share):
    rho = share * data.max_rho
    y = in_balls(data.points, 0.999999 * rho, 1000, seed=0)
    gap = (memnb.RampDenoiser(data, rho)(y) - data.points[:, None]).norm(dim=-1)
    assert gap.max() < 1e-12


@pytest.mark.parametrize(("angle", "norms", "rho"), OBTUSE)
def test_the_convex_program_confirms_the_cost_of_obtuse_simplices(angle, norms, rho):
    data = memnb.obtuse_simplex(3, 2, norms, angle=angle)
    closed = memnb.RampDenoiser(data, rho).cost()
    assert closed == pytest.approx(sum(2 * n / (n - 2 * rho) for n in norms), rel=1e-14)
    assert closed - 1e-3 < certified_cost(data, rho) <= closed
    assert memnb.minimum_norm_planar(data.points, rho).cost() == pytest.approx(closed, abs=1e-5)


@pytest.mark.parametrize(("radius", "rho", "seed"), TRIANGLES)
def test_the_convex_program_confirms_the_cost_of_triangles(radius, rho, seed):
    data = memnb.equilateral_triangle(2, radius, seed=seed)
    closed = memnb.RampDenoiser(data, rho).cost()
    assert closed == pytest.approx(6 * radius / (1.5 * radius - 2 * rho), rel=1e-14)
    assert closed - 1e-3 < certified_cost(data, rho) <= closed
    assert memnb.minimum_norm_planar(data.points, rho).cost() == pytest.approx(closed, abs=1e-5)


def test_widest_angles_exist_and_wider_ones_do_not():
    for n in (3, 4, 6, 11, 31):
        widest = memnb.widest_angle(n)
        memnb.obtuse_simplex(n, n, angle=90 + 0.999 * (widest - 90))
        with pytest.raises(ValueError, match=rf"angle must be in \(90, {widest:g}\)"):
            memnb.obtuse_simplex(n, n, angle=widest + 1e-9)


def test_too_large_balls_on_the_triangle_are_refused():
    limit = (12 + 3 * math.sqrt(3)) / 26
    triangle = memnb.equilateral_triangle(2, 2.0)
    memnb.RampDenoiser(triangle, 2 * limit - 1e-9)
    with pytest.raises(ValueError, match=r"rho must be below 1\.32278 .* or a cheaper network"):
        memnb.RampDenoiser(triangle, 2 * limit)


GRAM = [[1.0, -0.2, -0.2], [-0.2, 1.0, -0.3], [-0.2, -0.3, 1.0]]


def gram(n, m, value):
    g = torch.tensor(GRAM, dtype=torch.float64)
    g[n, m] = g[m, n] = value
    return g


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: memnb.obtuse_simplex(4, 3, angle=90), r"angle must be in \(90, 120\), got 90"),
        (lambda: memnb.obtuse_simplex(4, 3, angle=60), "angle must be in"),
        (lambda: memnb.obtuse_simplex(4, 2, angle=100), "n_points must be at most dim"),
        (lambda: memnb.obtuse_simplex(4, 3), "either angle or gram"),
        (lambda: memnb.obtuse_simplex(4, 3, angle=100, gram=GRAM), "either angle or gram"),
        (lambda: memnb.obtuse_simplex(4, 3, 2.0, gram=GRAM), "lengths must not be given"),
        (lambda: memnb.obtuse_simplex(4, 3, [1, 2], angle=100), "lengths must be one number or 3"),
        (lambda: memnb.obtuse_simplex(4, 3, [1, 2, 0], angle=100), "lengths must be positive"),
        (lambda: memnb.obtuse_simplex(3, 3, gram=GRAM), r"gram must have shape \(2, 2\)"),
        (lambda: memnb.obtuse_simplex(4, 3, gram=gram(0, 2, 0.1)),
         r"points 1 and 3 are at 84\.26 degrees \(inner product 0\.1"),
        (lambda: memnb.obtuse_simplex(4, 3, gram=gram(1, 2, 0.0)), "points 2 and 3 are at 90 deg"),
        (lambda: memnb.obtuse_simplex(4, 3, gram=gram(1, 2, -1.2)),
         r"points 2 and 3 would need the cosine -1\.2"),
        (lambda: memnb.obtuse_simplex(4, 3, gram=gram(0, 1, -0.95)),
         "together too wide .* the widest is between points 1 and 2"),
        (lambda: memnb.obtuse_simplex(4, 3, gram=gram(1, 1, -1.0)), "positive diagonal"),
        (lambda: memnb.obtuse_simplex(3, 2, gram=[[1, -0.5], [-0.2, 1]]), "gram must be symmetric"),
        (lambda: memnb.equilateral_triangle(1), "dim must be at least 2"),
        (lambda: memnb.equilateral_triangle(2, 0), "radius must be in"),
        (lambda: memnb.widest_angle(1), "n_points must be at least 2"),
    ],
)  # fmt: skip
def test_errors_name_the_pair_or_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("n", [3, 4, 7, 31])
@pytest.mark.parametrize("step", [1e-12, 1e-9, 1e-6, 1e-3])
def test_angles_at_both_ends_of_the_range(n, step):
    """Cosines and the smallest singular value to relative precision, not lost in rounding."""
    widest = memnb.widest_angle(n)
    k = n - 1
    near = memnb.obtuse_simplex(n, n, angle=90 + step, seed=1)
    off = near.directions @ near.directions.mT
    off = off[~torch.eye(k, dtype=torch.bool)]
    # 90 + 1e-12 is itself rounded by 7e-15; the rotation adds rounding of a few 1e-16.
    expected = -math.sin(math.radians((90 + step) - 90))
    assert (off / expected - 1).abs().max() < 1e-10 + 2e-15 / abs(expected)
    assert not near.is_orthogonal
    if step >= 1e-6:
        wide = memnb.obtuse_simplex(n, n, angle=widest - step)
        least = torch.linalg.svdvals(wide.directions)[-1].item() ** 2
        # 1 + (K - 1) cos at widest - x is (K - 1) sin(widest) x to first order.
        first = (k - 1) * math.sin(math.radians(widest)) * math.radians(step)
        second = (k - 1) * abs(math.cos(math.radians(widest))) * math.radians(step) ** 2 / 2
        assert least == pytest.approx(first + second, rel=1e-3 * step + 2e-6)


def test_a_simplex_that_is_flat_in_its_dtype_is_refused():
    memnb.obtuse_simplex(3, 5, angle=180 - 1e-6, seed=0)
    with pytest.raises(ValueError, match=r"angle must leave the edges linearly .* torch.float32"):
        memnb.obtuse_simplex(3, 5, angle=180 - 1e-6, seed=0, dtype=torch.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_gram_matrices_of_any_scale_and_dtype(dtype, scale):
    g = torch.tensor(GRAM, dtype=dtype) * scale**2
    s = memnb.obtuse_simplex(4, 3, gram=g)
    edges = s.points[1:] - s.points[0]
    tolerance = 4 * torch.finfo(dtype).eps * scale**2
    assert (edges @ edges.mT - g.double()).abs().max() < tolerance
