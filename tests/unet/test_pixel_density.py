"""The metric of per-pixel densities, against quadrature, expectations and its own null models."""

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from memnb.unet import pixel_density
from memnb.unet.images import synthetic_images
from memnb.unet.pixel_density import (
    distance,
    distance_on_grid,
    overlap,
    square_without_diagonal,
)
from memnb.unet.resampling import Originals, _exactly, resample


def density(values, width):
    return lambda x: (
        np.mean(np.exp(-0.5 * ((x - values) / width) ** 2)) / (math.sqrt(2 * math.pi) * width)
    )


def by_quadrature(a, b, std):
    """Distance and overlap, pixel by pixel; the kinks' neighborhoods are told to the integrator."""
    a, b = a.double().flatten(1).numpy(), b.double().flatten(1).numpy()
    distances, overlaps = [], []
    for p in range(a.shape[1]):
        f, g = density(a[:, p], std / len(a)), density(b[:, p], std / len(b))
        centers = np.unique(np.concatenate([a[:, p], b[:, p]]))
        span = (centers[0] - std * 8, centers[-1] + std * 8)
        options = {"points": centers, "limit": 400, "epsabs": 1e-11, "epsrel": 1e-10}
        distances.append(quad(lambda x, f=f, g=g: (f(x) - g(x)) ** 2, *span, **options)[0])
        overlaps.append(quad(lambda x, f=f, g=g: f(x) * g(x), *span, **options)[0])
    return np.mean(distances), np.mean(overlaps)


@settings(max_examples=25)
@given(
    st.integers(1, 5), st.integers(1, 7), st.integers(0, 1000), st.sampled_from([0.05, 0.1, 0.3])
)
def test_the_closed_form_is_the_integral(m, k, seed, std):
    a, b = synthetic_images(m, 2, seed, std=std), synthetic_images(k, 2, seed + 1, std=std)
    expected = by_quadrature(a, b, std)
    assert distance(a, b, std) == pytest.approx(expected[0], rel=1e-7, abs=1e-8)
    assert overlap(a, b, std) == pytest.approx(expected[1], rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_generated_values_may_be_outside_the_range_of_images(dtype):
    """As networks after 20 epochs make them: some near, some hundreds of widths away."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(6, 1, 2, 2, generator=generator, dtype=torch.float64)
    g = (0.5 + z * torch.tensor([0.1, 0.3, 0.8, 3.0]).reshape(2, 2)).to(dtype)
    assert g.min() < -1 and g.max() > 2
    t, o = synthetic_images(3, 2, 1), synthetic_images(5, 2, 2)
    tg, og = (by_quadrature(x, g, 0.1)[0] for x in (t, o))
    assert distance(t, g) == pytest.approx(tg, rel=1e-7)
    assert distance(o, g) == pytest.approx(og, rel=1e-7)
    drawn = resample(g, t, Originals(o, 2, 5), n_generated=6, n_training=3)
    torch.testing.assert_close(drawn.e_tg, torch.full((2,), tg).double(), rtol=1e-7, atol=0)
    torch.testing.assert_close(drawn.e_og, torch.full((2,), og).double(), rtol=1e-7, atol=0)
    torch.testing.assert_close(drawn.delta, drawn.e_tg - drawn.e_og, rtol=0, atol=1e-9)


def test_values_set_to_the_ends_of_the_range_change_the_distance():
    """Why nothing is clamped: equal values pile up, and their kernels are narrow."""
    wide = 0.5 + 2 * torch.randn(50, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    original = synthetic_images(10, 4, 2)
    assert distance(original, wide.clamp(0, 1)) > 3 * distance(original, wide)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 100))
def test_it_is_a_squared_distance(m, k, seed):
    a, b = synthetic_images(m, 3, seed), synthetic_images(k, 3, seed + 500)
    c = synthetic_images(4, 3, seed + 900)
    ab, ba = distance(a, b), distance(b, a)
    assert ab == pytest.approx(ba, rel=1e-12) and ab >= 0
    assert abs(distance(a, a.flip(0))) < 1e-12 * 5  # the order of images does not matter
    root = [math.sqrt(max(0, distance(*pair))) for pair in ((a, c), (a, b), (b, c))]
    assert root[0] <= root[1] + root[2] + 1e-9


def test_the_grid_converges_to_the_closed_form_and_sixteen_points_do_not_resolve_it():
    a, b = synthetic_images(4, 4, 1), synthetic_images(3, 4, 2)
    exact = distance(a, b)
    assert distance_on_grid(a, b, points=2001) == pytest.approx(exact, rel=1e-6)
    # Kernels a hundredth of sigma wide: the sum depends on where values fall between its points
    a, b = synthetic_images(100, 4, 3), synthetic_images(100, 4, 4)
    exact = distance(a, b)
    coarse = [
        distance_on_grid((a + s).clamp(0, 1), (b + s).clamp(0, 1)) for s in np.linspace(0, 0.05, 8)
    ]
    assert np.std(coarse) > 0.05 * exact
    fine = distance_on_grid(a, b, points=20001)
    assert fine == pytest.approx(exact, rel=1e-4)


def test_delta_has_no_cancellation():
    """Exact in 50 digits, where the difference of the two distances has lost all of them."""
    t = torch.tensor([[0.1], [0.9]], dtype=torch.float64)
    o = torch.tensor([[0.2], [0.8], [0.5]], dtype=torch.float64)
    g = torch.tensor([[0.35], [0.65]], dtype=torch.float64)
    std = 0.03
    tg, og, delta = _exactly(g, t, o, std, square_without_diagonal(o, std / 3))
    mpmath.mp.dps = 50

    def cross(a, b):
        wide = (mpmath.mpf(std) / len(a)) ** 2 + (mpmath.mpf(std) / len(b)) ** 2
        terms = [mpmath.npdf(mpmath.mpf(x) - mpmath.mpf(y), 0, mpmath.sqrt(wide))
                 for x in a.flatten().tolist() for y in b.flatten().tolist()]  # fmt: skip
        return mpmath.fsum(terms) / len(terms)

    expected = cross(t, t) - 2 * cross(t, g) - cross(o, o) + 2 * cross(o, g)
    mpmath.mp.dps = 15
    assert 0 < abs(expected) < 1e-14 * og and abs(tg - og - expected) > 0.01 * expected
    assert delta == pytest.approx(float(expected), rel=1e-8)


def gaussian(v):
    """N(0 | 0, v): the mean of N(a - b | 0, w) over independent a, b is N(0 | 0, w + 2 sigma²)."""
    return 1 / math.sqrt(2 * math.pi * v)


@pytest.mark.parametrize("n_original", [10, 40])
def test_expectation_for_images_of_the_true_law(n_original):
    """A perfect generator: unbiased for equal numbers of images, biased otherwise."""
    s2, g2, t2, o2 = 0.01, 1e-4, 1e-4, (0.1 / n_original) ** 2
    expected = (
        0.9 * gaussian(2 * t2 + 2 * s2)
        - (1 - 1 / n_original) * gaussian(2 * o2 + 2 * s2)
        - 2 * gaussian(t2 + g2 + 2 * s2)
        + 2 * gaussian(o2 + g2 + 2 * s2)
    )
    pools = [synthetic_images(4000, 4, seed) for seed in (1, 2, 3)]
    drawn = resample(*pools[:2], Originals(pools[2], 400, n_original, seed=5), seed=6)
    mean, error = drawn.mean("delta")
    assert abs(mean - expected) < 4 * error
    if n_original == 10:
        assert expected == 0
        p, error = drawn.p_positive
        assert abs(p - 0.5) < 4 * error
    else:
        assert expected < 0 and drawn.p_positive[0] < 0.4
    torch.testing.assert_close(drawn.e_tg - drawn.e_og, drawn.delta, rtol=0, atol=1e-10)


def test_copies_are_memorized_and_only_while_the_draws_can_find_them():
    original = synthetic_images(500, 4, 1)
    few, many = synthetic_images(10, 4, 2), synthetic_images(500, 4, 3)
    copies = resample(few.flip(0), few, Originals(original, 60, 10))
    assert copies.p_positive[0] == 0 and copies.mean("e_tg")[0] < 1e-12
    # All images are copies here too, but 10 of them rarely meet the same 10 of 500
    copies = resample(many, many, Originals(original, 300, 10))
    assert 0.2 < copies.p_positive[0] < 0.55


def test_rules_agree_where_kernels_are_wide():
    pools = [synthetic_images(30, 4, seed) for seed in (1, 2, 3)]
    draws = Originals(pools[2], 20, 1)
    exact, grid = (
        resample(*pools[:2], draws, rule=rule, n_generated=1, n_training=1)
        for rule in ("exact", "grid")
    )
    torch.testing.assert_close(exact.e_og, grid.e_og, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(exact.delta, grid.delta, rtol=1e-3, atol=2e-4)


def test_draws_follow_their_seed_and_leave_the_global_state():
    pools = [synthetic_images(20, 4, seed) for seed in (1, 2, 3)]
    state = torch.get_rng_state()
    draws = Originals(pools[2], 5, 10, seed=3)
    a, b = (resample(*pools[:2], draws, seed=4) for _ in range(2))
    assert torch.equal(a.delta, b.delta)
    again, other = Originals(pools[2], 5, 10, seed=3), Originals(pools[2], 5, 10, seed=4)
    assert torch.equal(torch.stack(again.draws), torch.stack(draws.draws))
    for changed in (resample(*pools[:2], other, seed=4), resample(*pools[:2], draws, seed=5)):
        assert not torch.equal(a.delta, changed.delta)
    assert torch.equal(torch.get_rng_state(), state)


@given(st.floats(-8, 8), st.sampled_from([0.0, -3.0, 1e3]), st.integers(0, 50))
def test_under_scale_and_offset_distances_are_divided_by_the_scale(log_scale, offset, seed):
    """Densities of s x + s t are those of x, divided by s: so is the integral of a product."""
    s = 10.0**log_scale
    a, b = (synthetic_images(m, 3, seed, purpose=f"{m} images").double() for m in (4, 7))
    moved = [s * (x + offset) for x in (a, b)]
    # Adding the offset rounds a pixel by 2e-16 of it, and the narrowest kernel is 0.1 / 7 wide
    close = {"rel": 1e-9 * max(1, abs(offset)), "abs": 0}
    assert s * overlap(*moved, std=0.1 * s) == pytest.approx(overlap(a, b), **close)
    assert s * distance(*moved, std=0.1 * s) == pytest.approx(distance(a, b), **close)
    on_grid = s * distance_on_grid(*moved, std=0.1 * s, mean=s * (0.5 + offset))
    assert on_grid == pytest.approx(distance_on_grid(a, b), **close)


def test_chunks_change_nothing(monkeypatch):
    a, b = synthetic_images(9, 4, 1), synthetic_images(14, 4, 2)
    whole = overlap(a, b)
    monkeypatch.setattr(pixel_density, "CHUNK", 1)
    assert overlap(a, b) == pytest.approx(whole, rel=1e-13)


def test_arrays_lists_and_dtypes_are_one_set_of_images():
    a, b = synthetic_images(4, 3, 1), synthetic_images(5, 3, 2)
    for convert in (torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.double):
        assert distance(convert(a), b) == distance(a, b)
        draws = Originals(convert(b), 3, 4)
        drawn = resample(convert(a), b, draws, n_generated=2)
        assert torch.equal(drawn.delta, resample(a, b, Originals(b, 3, 4), n_generated=2).delta)
    with pytest.raises(ValueError, match="n >= 1"):
        distance(a[:0], b)
    with pytest.raises(TypeError, match="originals must be Originals, got Tensor"):
        resample(a, b, b)
    with pytest.raises(ValueError, match="name must be one of 'e_tg', 'e_og', 'delta', got 'p'"):
        drawn.mean("p")


def test_originals_in_other_units_leave_the_square_of_the_generated_density():
    """As in the author's script: multiplied by 255 they are off the grid, and rho_O is 0 there."""
    t, g, o = (synthetic_images(12, 3, seed, purpose="units") for seed in (1, 2, 3))
    draws = Originals(255 * o, 5, 6, bounded=False)
    drawn = resample(g, t, draws, n_generated=12, n_training=12, rule="grid")
    grid = torch.linspace(0, 1, 16, dtype=torch.float64)
    kernels = torch.distributions.Normal(g.double().flatten(1), 0.1 / 12)
    rho = kernels.log_prob(grid[:, None, None]).exp().mean(1)
    square = rho.square().sum(0).mean() / 15
    torch.testing.assert_close(drawn.e_og, square.expand(5), rtol=1e-12, atol=0)
    with pytest.raises(ValueError, match=r"original must have values in \[0, 1\], got"):
        Originals(255 * o, 5, 6)


def test_errors():
    x, y = synthetic_images(12, 4, 1), synthetic_images(12, 8, 1)
    with pytest.raises(ValueError, match="b must have 16 pixels as a has, got 64"):
        distance(x, y)
    with pytest.raises(ValueError, match=r"std must be in \(0, inf\), got 0"):
        distance(x, x, std=0)
    with pytest.raises(ValueError, match="a must have finite values"):
        overlap(x / 0, x)
    draws = Originals(x, 3, 5)
    with pytest.raises(ValueError, match=r"training must have values in \[0, 1\], got"):
        resample(x, x + 1, draws)
    with pytest.raises(ValueError, match=r"original must have values in \[0, 1\], got"):
        Originals(x - 1, 3, 5)
    with pytest.raises(ValueError, match="generated must have finite values"):
        resample(x * math.nan, x, draws)
    with pytest.raises(ValueError, match="rule must be one of 'exact', 'grid', got 'sum'"):
        resample(x, x, draws, rule="sum")
    with pytest.raises(ValueError, match=r"n_original must be at most 12, .* got 100"):
        Originals(x)
    with pytest.raises(ValueError, match=r"n_generated must be at most 12, .* got 20"):
        resample(x, x, draws, n_generated=20)
    with pytest.raises(ValueError, match="b must have 64 pixels as a has, got 16"):
        resample(y, y, draws)
    with pytest.raises(ValueError, match="n_simulations must be at least 2"):
        Originals(x, 1, 5)
    with pytest.raises(ValueError, match="points must be at least 2"):
        distance_on_grid(x, x, points=1)
    for mean in (math.nan, math.inf):
        with pytest.raises(ValueError, match="mean must be in"):
            resample(x, x, draws, mean=mean, rule="grid")
    with pytest.raises(TypeError, match="mean must be a real number, got 'a'"):
        distance_on_grid(x, x, mean="a")
    with pytest.raises(ValueError, match=r"width must be in \(0, inf\), got inf"):
        overlap(x, x, width_a=math.inf)
