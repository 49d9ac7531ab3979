"""Summaries of networks on digits: generators whose shares and cosines are known."""

import math

import pytest
import torch

from memnb.stats import mean_error
from memnb.unet.copies import nearest_neighbors
from memnb.unet.diffusion import make_schedule
from memnb.unet.digit_transition import (
    copy_shares,
    copy_shares_by_threshold,
    linear_images,
    perfect_shares,
    positive_shares,
    two_networks,
)
from memnb.unet.images import STD, synthetic_images
from memnb.unet.sampling import gaussian_noise

SIZES = (4, 16, 200)


def images(n, seed, purpose="test"):
    return synthetic_images(n, 8, seed, purpose=purpose)


def test_shares_of_copies_of_a_copier_of_halves_and_of_strangers():
    training = {n: images(n, n) for n in SIZES}
    new = images(50, 1, "new")
    networks = {n: (torch.cat([t[torch.arange(30) % n], new]), t) for n, t in training.items()}
    shares = copy_shares(networks, new)
    assert shares.n == SIZES and shares.generated[0] == (30 / 80,) * 3
    assert shares.held_out[0] == (0.0,) * 3
    # The Wilson interval of 30 of 80 at one sigma, from its closed form
    p, n = 30 / 80, 80
    error = math.sqrt(p * (1 - p) / n + 1 / (4 * n * n)) / (1 + 1 / n)
    assert shares.generated[1][0] == pytest.approx(error, rel=1e-12)


def test_shares_by_threshold_are_the_distribution_of_the_ratio():
    x, training = images(60, 1), images(9, 2)
    ratio = nearest_neighbors(x, training).ratio
    thresholds = torch.tensor([0.01, ratio.median().item() + 1e-9, 1.0])
    low, middle, high = copy_shares_by_threshold(x, training, thresholds).tolist()
    assert low == 0 and high == 1 and middle == pytest.approx(0.5, abs=0.02)


def test_densities_see_a_copier_only_while_the_set_is_small():
    networks = {n: (images(100, n, "new"), images(n, n)) for n in (4, 20, 400)}
    shares = positive_shares(networks, images(200, 7, "held out"), STD, 100, seed=0)
    # A perfect network is the perfect generator: equal sides, one half. (Not at small n, where all
    # draws share most of their training images.)
    for name in ("network", "perfect"):
        assert abs(shares[name][0][-1] - 0.5) < 0.2
    copier = shares["copier"][0]
    assert copier[0] == 0 and copier[1] < 0.1 and copier[2] > 0.3
    assert all(e > 0 for e in shares["copier"][1])
    with pytest.raises(ValueError, match="number of held-out images must be at least 20"):
        positive_shares(networks, images(19, 0), STD, 100, seed=0)


def test_the_same_training_images_make_two_equal_networks():
    """Of which nothing is left beyond linear if they are the linear denoisers themselves."""
    schedule, noise = make_schedule(), gaussian_noise(40, 8, 0)
    training = {n: images(n, n) for n in (16, 64)}
    sets = {n: (linear_images(t, schedule, noise), t) for n, t in training.items()}
    same = two_networks(sets, sets, schedule, noise, seed=0)
    for n_curve in (same.paired, same.linear, same.own):
        assert all(v == pytest.approx(1, abs=1e-6) for v in n_curve[0])
    assert all(v == pytest.approx(0, abs=1e-12) for v in same.beyond[0])
    assert same.closer == (1.0, 1.0)

    copier = {n: (t[torch.arange(40) % n], t) for n, t in training.items()}
    other = {n: (images(40, n, "b"), images(n, n, "c")) for n in (16, 64)}
    apart = two_networks(copier, other, schedule, noise, seed=0)
    assert all(v == pytest.approx(1, abs=1e-9) for v in apart.nearest[0])
    # Independent images: cosines of mean 0 and variance 1 / (d - 1), over 40 pairs
    for curve in (apart.paired, apart.shuffled, apart.chance):
        assert all(abs(v) < 5 / math.sqrt(40 * 63) for v in curve[0])
    assert apart.closer == (0.0, 0.0)
    with pytest.raises(ValueError, match=r"second must have the n of first, \[16, 64\]"):
        two_networks(copier, {}, schedule, noise, seed=0)


def test_a_perfect_generator_is_at_one_half_over_training_sets():
    """Training and original images are exchangeable; one small set is not at one half."""
    x, held_out = images(800, 1), images(80, 2)
    shares = perfect_shares(x, held_out, STD, (4, 20), 40, 40, 0)
    for n, share in shares.items():
        mean, error = mean_error(share)
        assert share.shape == (40,) and abs(mean - 0.5) < 3 * error, n
    assert shares[4].std() > shares[20].std()
    again = perfect_shares(x, held_out, STD, (4, 20), 40, 40, 0)
    assert torch.equal(shares[4], again[4])
    with pytest.raises(ValueError, match="n_sets must be"):
        perfect_shares(x, held_out, STD, (4, 20), 41, 40, 0)
