"""Copies, sums and agreement of images: cases whose answer is known."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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


def test_two_equal_neighbors_are_not_a_copy_of_one():
    x = torch.full((2, 1, 2, 2), 0.5)
    near = nearest_neighbors(x[:1], x)
    assert near.ratio.item() == 1 and not near.memorized().item()


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
    found = project_on_sums(x, training, origin)
    assert torch.equal(found.subset, on)
    assert found.miss.max() < 1e-4 and found.residual.max() < 1e-4
    assert torch.equal(found.kinds(), (on.sum(1) >= 2).long())


def test_mixtures_and_strangers_are_neither():
    data = digits()
    training = data.subset(5)
    middle = training[1:3].mean(0, keepdim=True)
    found = project_on_sums(middle, training)
    torch.testing.assert_close(found.coefficients[0, :2], torch.tensor([0.5, 0.5]).double())
    assert found.residual.item() < 1e-6 and found.kinds().item() == 2
    strangers = project_on_sums(data.held_out[:50], training)
    assert (strangers.residual > 0.2).all() and (strangers.kinds() == 2).all()
    assert (strangers.miss >= strangers.residual - 1e-9).all()


def test_errors():
    x = synthetic_images(20, 4, 1)
    with pytest.raises(ValueError, match="training must hold at least 2 images"):
        nearest_neighbors(x, x[:1])
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
