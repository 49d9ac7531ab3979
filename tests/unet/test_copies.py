"""Copies, sums and agreement of images: cases whose answer is known."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memnb.unet import copies as copies_module
from memnb.unet.copies import THRESHOLD, agreement, nearest_neighbors, project_on_sums, similarity
from memnb.unet.images import digits, synthetic_images


@given(st.integers(2, 30), st.integers(1, 10), st.integers(0, 1000))
def test_neighbors_are_those_of_brute_force(n, m, seed):
    training, x = synthetic_images(n, 4, seed), synthetic_images(m, 4, seed + 1)
    near = nearest_neighbors(x, training)
    gaps = (x.double()[:, None] - training.double()[None]).flatten(2).norm(dim=2)
    ordered, index = gaps.sort(dim=1)
    torch.testing.assert_close(near.d1, ordered[:, 0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(near.d2, ordered[:, 1], rtol=1e-9, atol=1e-12)
    assert torch.equal(near.index, index[:, 0])
    assert ((near.ratio >= 0) & (near.ratio <= 1)).all()


@given(st.integers(3, 20), st.integers(0, 500), st.floats(0.0, 0.24))
def test_an_image_on_the_way_to_another_counts_up_to_a_quarter(n, seed, share):
    """On the segment from x1 to its nearest neighbor, d1/d2 = share / (1 - share)."""
    training = synthetic_images(n, 4, seed)
    gaps = torch.cdist(training.flatten(1), training.flatten(1)).fill_diagonal_(math.inf)
    i = int(gaps.amin(1).argmin())
    j = int(gaps[i].argmin())
    x = (1 - share) * training[i : i + 1] + share * training[j : j + 1]
    near = nearest_neighbors(x, training)
    assert near.index.item() == i and near.memorized(THRESHOLD).item()
    # Another image may be nearer than x_j, never farther
    assert near.ratio.item() >= share / (1 - share) - 1e-5
    assert not near.memorized(1e-9).item() or share < 1e-6


def test_held_out_digits_are_a_null_that_grows_with_the_threshold():
    data = digits()
    near = nearest_neighbors(data.held_out, data.train)
    shares = [near.memorized(t).double().mean().item() for t in (0.05, 1 / 3, 0.6, 0.9, 1.0)]
    assert shares == sorted(shares) and shares[1] < 0.01 and shares[-1] > 0.9
    copies = nearest_neighbors(data.train[:50], data.train)
    assert copies.memorized(1e-6).all() and copies.d1.max() == 0


def test_copies_of_duplicated_images_are_copies():
    """The case of the fault: with d1 = d2 the ratio was 1, and every copy new."""
    x = digits().train[:40]
    near = nearest_neighbors(x[:5], torch.cat([x, x[:5]]))
    once = nearest_neighbors(x[:5], x)
    assert near.memorized().all() and near.d1.max() == 0
    torch.testing.assert_close(near.d2, once.d2, rtol=0, atol=0)
    # Other images are judged as without the duplicates: the distances are the same
    others = digits().held_out[:100]
    twice, once = (nearest_neighbors(others, t) for t in (torch.cat([x, x[:20], x[:5]]), x))
    assert torch.equal(twice.ratio, once.ratio)


@pytest.mark.parametrize("noise", [1e-6, 1e-3, 0.01, 0.02])
def test_noisy_duplicates_count_once(noise):
    """Noise s in each pixel puts two versions s sqrt(2 d) apart, below 0.1 rms = 0.39 here."""
    x = digits().train[:40].double()
    rms = (2 * x.flatten(1).var(0).sum()).sqrt().item()
    assert rms == pytest.approx(torch.pdist(x.flatten(1)).square().mean().sqrt().item())
    assert noise * math.sqrt(2 * 64) * 1.3 < 0.1 * rms
    generator = torch.Generator().manual_seed(0)
    extra = noise * torch.randn(3, *x.shape, generator=generator, dtype=torch.float64)
    training = torch.cat([x, *(x + e for e in extra)])
    copies = x + noise * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    near = nearest_neighbors(copies, training)
    assert torch.equal(near.index % 40, torch.arange(40)) and near.memorized().all()
    # Without the rule none of these would count once the noise is larger than the copy's own error
    assert not nearest_neighbors(copies, training, duplicate=0).memorized().any() or noise < 1e-5
    # The second neighbor is another image, up to the noise of both
    once = nearest_neighbors(copies, x)
    assert ((near.d2 - once.d2).abs() <= 2 * noise * math.sqrt(64) * 1.3).all()


def test_digits_hold_no_duplicates():
    """So that for them the rule is the plain one: the two nearest training images."""
    data = digits()
    for n in (4, 64, 750, 1500):
        training = data.train[:n]
        near = nearest_neighbors(data.held_out, training)
        plain = torch.cdist(
            data.held_out.double().flatten(1),
            training.double().flatten(1),
            compute_mode="donot_use_mm_for_euclid_dist",
        ).topk(2, largest=False)
        assert torch.equal(torch.stack([near.d1, near.d2], 1), plain.values)
        untied = near.d1 < near.d2
        assert torch.equal(near.index[untied], plain.indices[untied, 0])


def test_chunks_change_nothing_and_bound_the_memory(monkeypatch):
    x, training = synthetic_images(50, 4, 1), synthetic_images(30, 4, 2)
    whole = nearest_neighbors(x, training)
    sizes = []
    distances = copies_module._distances
    monkeypatch.setattr(copies_module, "CHUNK", 100)
    monkeypatch.setattr(
        copies_module,
        "_distances",
        lambda a, b: sizes.append(len(a) * len(b)) or distances(a, b),
    )
    parts = nearest_neighbors(x, training)
    assert max(sizes) <= 100 and len(sizes) >= 2 * 50 * 30 / 100
    for name in ("index", "d1", "d2"):
        assert torch.equal(getattr(parts, name), getattr(whole, name))


@given(
    st.floats(-8, 8),
    st.sampled_from([0.0, 1.0, -1e3, 1e6]),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_scale_and_offset_change_no_verdict(log_scale, offset, dtype):
    """x -> s x + t, judged on the numbers as they are after rounding, in exact fractions."""
    s = 10.0**log_scale
    x, training = (
        (s * synthetic_images(n, 3, k).double() + offset).to(dtype) for n, k in ((4, 1), (6, 2))
    )
    if len(training.flatten(1).unique(dim=0)) < 2:
        with pytest.raises(ValueError, match="at least 2 different images"):
            nearest_neighbors(x, training)
        return
    near = nearest_neighbors(x, training, duplicate=0)
    rows, points = (
        [[*map(Fraction, r)] for r in y.double().flatten(1).tolist()] for y in (x, training)
    )
    for k, row in enumerate(rows):
        squares = [sum((a - b) ** 2 for a, b in zip(row, p, strict=True)) for p in points]
        first = min(squares)
        second = min(
            q for q, p in zip(squares, points, strict=True) if p != points[squares.index(first)]
        )
        assert near.d1[k].item() == pytest.approx(math.sqrt(first), rel=1e-12, abs=0)
        assert near.d2[k].item() == pytest.approx(math.sqrt(second), rel=1e-12, abs=0)
    if offset == 0:
        shares = nearest_neighbors(x, training).ratio
        plain = nearest_neighbors(synthetic_images(4, 3, 1), synthetic_images(6, 3, 2)).ratio
        torch.testing.assert_close(shares, plain, rtol=1e-4, atol=1e-5)
        a, b = x, training[:4]
        unit = similarity(synthetic_images(4, 3, 1), synthetic_images(6, 3, 2)[:4])
        torch.testing.assert_close(similarity(a, b), unit, rtol=1e-4, atol=1e-5)


def test_arrays_and_lists_are_images():
    x, training = synthetic_images(3, 4, 1), synthetic_images(5, 4, 2)
    plain = nearest_neighbors(x, training)
    for convert in (torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.double):
        near = nearest_neighbors(convert(x), training)
        assert torch.equal(near.d2, plain.d2) and torch.equal(near.index, plain.index)
        assert torch.equal(similarity(convert(x), training[:3]), similarity(x, training[:3]))
        assert torch.equal(
            project_on_sums(convert(x), convert(training)).miss, project_on_sums(x, training).miss
        )
    with pytest.raises(TypeError, match=r"x must be of floating-point numbers, got torch\.uint8"):
        nearest_neighbors((255 * x).to(torch.uint8), training)
    with pytest.raises(TypeError, match="training must be a tensor, an array or lists, got str"):
        nearest_neighbors(x, "digits")
    with pytest.raises(TypeError, match="x must be an array of numbers, got"):
        nearest_neighbors([[[[0.0, 1.0], [0.0]]]], training)
    with pytest.raises(ValueError, match=r"with n >= 1, got \(0, 1, 4, 4\)"):
        nearest_neighbors(x[:0], training)
    with pytest.raises(ValueError, match="x must have finite values"):
        nearest_neighbors(x / 0, training)
    with pytest.raises(ValueError, match="the number of images of b must be between 3 and 3"):
        agreement(x, training)


@given(st.integers(2, 20), st.integers(0, 500), st.floats(0.1, 0.9), st.floats(0, 0.1))
def test_similarity_ignores_brightness_and_contrast(m, seed, scale, shift):
    a, b = synthetic_images(m, 4, seed), synthetic_images(m, 4, seed + 1)
    once = similarity(a, b)
    again = similarity(a * scale + shift, b)
    torch.testing.assert_close(once, again, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(similarity(a, a), torch.ones(m).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(similarity(a, 1 - a), -torch.ones(m).double(), rtol=0, atol=1e-6)
    assert (similarity(a, torch.full_like(a, 0.3)).abs() < 1e-5).all()


@given(st.integers(2, 40), st.integers(0, 100))
def test_the_shuffle_moves_every_image(m, seed):
    eye = torch.zeros(m, 1, 7, 7)
    eye.flatten(1)[torch.arange(m), torch.arange(m)] = 1.0
    paired, shuffled = agreement(eye, eye, seed)
    assert (paired > 0.99).all() and (shuffled < 0.5).all()


def test_independent_images_do_not_agree():
    a, b = synthetic_images(400, 8, 1), synthetic_images(400, 8, 2)
    for values in agreement(a, b):
        # The cosine of two random directions has mean 0 and variance 1 / (d - 1)
        assert abs(values.mean()) < 4 / math.sqrt(400 * 63)
        assert values.std().item() == pytest.approx(1 / math.sqrt(63), rel=0.15)


@given(st.integers(3, 12), st.integers(0, 500), st.integers(0, 2))
def test_sums_are_recognized(n, seed, origin):
    training = synthetic_images(n, 4, seed, std=0.01)
    generator = torch.Generator().manual_seed(seed)
    on = torch.rand(6, n - 1, generator=generator) < 0.4
    others = torch.cat([training[:origin], training[origin + 1 :]])
    steps = (others - training[origin]).flatten(1)
    x = (training[origin].flatten(1) + on.float() @ steps).reshape(-1, 1, 4, 4).clamp(0, 1)
    projection = project_on_sums(x, training, origin)
    assert torch.equal(projection.subset, on)
    assert projection.miss.max() < 1e-4 and projection.residual.max() < 1e-4
    assert torch.equal(projection.kinds(), (on.sum(1) >= 2).long())


def test_mixtures_and_strangers_are_neither():
    data = digits()
    training = data.subset(5)
    middle = training[1:3].mean(0, keepdim=True)
    projection = project_on_sums(middle, training)
    torch.testing.assert_close(projection.coefficients[0, :2], torch.tensor([0.5, 0.5]).double())
    assert projection.residual.item() < 1e-6 and projection.kinds().item() == 2
    strangers = project_on_sums(data.held_out[:50], training)
    assert strangers.residual.median() > 0.5 and (strangers.kinds() == 2).all()
    assert (strangers.miss >= strangers.residual - 1e-9).all()


def test_errors():
    x = synthetic_images(20, 4, 1)
    with pytest.raises(ValueError, match="at least 2 different images, got 1 equal"):
        nearest_neighbors(x, x[:1])
    with pytest.raises(ValueError, match="at least 2 different images, got 3 equal"):
        nearest_neighbors(x, x[:1].repeat(3, 1, 1, 1))
    with pytest.raises(ValueError, match=r"duplicate must be in \[0, 1\), got 1"):
        nearest_neighbors(x, x, duplicate=1)
    with pytest.raises(ValueError, match="x must have 64 pixels, got 16"):
        nearest_neighbors(x, synthetic_images(3, 8, 1))
    with pytest.raises(ValueError, match=r"threshold must be in \(0, 1\], got 0"):
        nearest_neighbors(x, x).memorized(0)
    with pytest.raises(ValueError, match="same shape, got 20 and 19 images"):
        similarity(x, x[1:])
    with pytest.raises(ValueError, match="linearly independent differences"):
        project_on_sums(x, x)
    with pytest.raises(ValueError, match="origin must be between 0 and 4, got 5"):
        project_on_sums(x, x[:5], origin=5)
