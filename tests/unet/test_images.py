"""Images: their law, their division, their errors."""

import math

import pytest
import torch

from memnb.unet.images import HELD_OUT, check_images, digits, synthetic_images


def test_synthetic_pixels_are_independent_gaussians():
    x = synthetic_images(4000, 8, seed=1)
    n = x.numel()
    assert abs(x.double().mean() - 0.5) < 4 * 0.1 / math.sqrt(n)
    assert abs(x.double().std() / 0.1 - 1) < 4 / math.sqrt(2 * n)
    rows = (x.flatten(1).double() - 0.5) / 0.1
    cov = rows.T @ rows / len(rows) - torch.eye(64)
    assert cov.abs().max() < 6 / math.sqrt(len(rows))
    assert (rows**4).mean().item() == pytest.approx(3, abs=4 * math.sqrt(96 / n))


def test_synthetic_images_stay_in_range_and_follow_their_seed():
    wide = synthetic_images(50, 4, seed=0, std=1.0)
    assert wide.min() == 0 and wide.max() == 1
    assert torch.equal(synthetic_images(5, 8, seed=3), synthetic_images(5, 8, seed=3))
    assert not torch.equal(synthetic_images(5, 8, seed=3), synthetic_images(5, 8, seed=4))


def test_digits_are_divided_without_overlap():
    data = digits(seed=0)
    assert data.train.shape == (1500, 1, 8, 8) and len(data.held_out) == HELD_OUT
    everything = torch.cat([data.train, data.held_out]).flatten(1)
    assert everything.min() == 0 and everything.max() == 1
    assert torch.equal((everything * 16).round() / 16, everything)
    labels = torch.cat([data.train_labels, data.held_out_labels])
    from sklearn.datasets import load_digits

    known = load_digits()
    mine = sorted(zip(labels.tolist(), (everything * 16).int().tolist(), strict=True))
    theirs = sorted(zip(known.target.tolist(), known.data.astype(int).tolist(), strict=True))
    assert mine == theirs


def test_subsets_are_nested_and_halves_disjoint():
    data = digits(seed=0)
    for half in (0, 1):
        assert torch.equal(data.subset(750, half)[:100], data.subset(100, half))
    both = torch.cat([data.subset(750, 0), data.subset(750, 1)])
    assert torch.equal(both, data.train) and torch.equal(data.subset(1500), data.train)
    other = digits(seed=1)
    assert not torch.equal(other.train, data.train)


def test_errors():
    data = digits()
    with pytest.raises(ValueError, match="n_images must be at most 1500, the number of digits"):
        data.subset(1501)
    with pytest.raises(ValueError, match=r"n_images must be at most 750, .* in half 1, got 751"):
        data.subset(751, half=1)
    with pytest.raises(ValueError, match="half must be between 0 and 1, got 2"):
        data.subset(5, half=2)
    with pytest.raises(ValueError, match=r"std must be in \(0, 1\], got 0"):
        synthetic_images(2, 8, 0, std=0)
    good = synthetic_images(2, 8, 0)
    with pytest.raises(ValueError, match=r"x must have values in \[0, 1\], got -1 to 2"):
        check_images("x", torch.tensor([-1.0, 2, 0, 0]).reshape(1, 1, 2, 2))
    with pytest.raises(ValueError, match="x must have finite values"):
        check_images("x", torch.full((1, 1, 2, 2), math.nan))
    with pytest.raises(ValueError, match=r"\(n, 1, 16, 16\) with n >= 1, got \(2, 1, 8, 8\)"):
        check_images("x", good, 16)
    with pytest.raises(ValueError, match=r"\(n, 1, S, S\) with n >= 1, got \(0, 1, 8, 8\)"):
        check_images("x", good[:0])
    with pytest.raises(TypeError, match=r"of floating-point numbers, got torch\.uint8"):
        check_images("x", torch.zeros(1, 1, 2, 2, dtype=torch.uint8))
