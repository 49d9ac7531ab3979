"""Counts of sums, and points that stay, for images and denoisers whose answer is known."""

import itertools

import pytest
import torch

from memnb.unet import virtual_sums
from memnb.unet.images import digits
from memnb.unet.runs import BACK_STEPS, N_BACK, RUNS
from memnb.unet.virtual_points import KINDS, POINTS, points_of, simplex_images


@pytest.mark.parametrize("kind", KINDS)
def test_every_subset_is_counted_as_what_it_is(kind):
    training = simplex_images(kind)
    steps = training[1:] - training[0]
    x = torch.stack(
        [training[0] + steps[list(c)].sum(0) for r in range(4)
         for c in itertools.combinations(range(6), r)]
    )  # fmt: skip
    counts = virtual_sums.count_sums(x, training)
    assert counts == virtual_sums.SumCounts(training=1 + 6, pairs=15, larger=20, neither=0)
    middle = (training[1:2] + training[2:3]) / 2
    both = counts + virtual_sums.count_sums(middle, training)
    assert both.neither == 1 and both.total == 43


def test_sums_of_any_origin():
    """x1 + x2 - x3 has three terms with origin x0, and is a sum of two with origin x3."""
    training = simplex_images("waves", 4)
    x = torch.cat([training[1:2] + training[2:3] - training[3:4], training[2:3]]).clamp(0, 1)
    assert virtual_sums.count_sums_of_any_origin(x, training) == (1, 1, 0)


def test_which_sums_are_images():
    # Of blocks x_i + x_j - x_0 is an image; with another x_k a block is darker than black
    blocks = simplex_images("blocks", 3)
    share = virtual_sums.image_sums(blocks, 1e-6)
    assert share == pytest.approx(3 / (4 * 3 * 2 / 2))
    assert virtual_sums.image_sums(blocks, 10.0) == 1
    x = digits().train[:3].double()
    direct = []
    for i, j, k in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        total = x[i] + x[j] - x[k]
        distance = (total - total.clamp(0, 1)).norm()
        direct.append(distance < 0.5 * torch.pdist(x.flatten(1)).median())
    assert virtual_sums.image_sums(x, 0.5) == pytest.approx(sum(map(float, direct)) / 3)
    with pytest.raises(ValueError, match="number of training images must be at least 3, got 2"):
        virtual_sums.image_sums(x[:2])


def test_exact_denoisers_stay_where_theory_says():
    for denoiser, at_sums in (("minimum-norm", 1.0), ("empirical Bayes", 0.0)):
        stays = virtual_sums.exact_stays(denoiser)
        for kind in KINDS:
            assert stays[kind, "training"] == 1
            assert abs(stays[kind, "pairs"] - at_sums) < 0.1
            assert abs(stays[kind, "triples"] - at_sums) < 0.1
    with pytest.raises(ValueError, match="denoiser must be one of 'minimum-norm', 'empirical"):
        virtual_sums.exact_stays("Bayes")


def test_stays_of_kept_networks_are_read_by_kind_seed_and_step():
    """Networks that return their points for one seed, one kind and one step only."""
    arrays = {}
    for network in RUNS["simplex"]:
        training = network.variant.split("_")[0]
        x = torch.stack([points_of(simplex_images(training), p, N_BACK) for p in POINTS])
        back = torch.zeros(len(BACK_STEPS), *x.shape, dtype=torch.uint8)
        if network.seed == 1 and network.variant == "waves_400":
            back[1] = (255 * x).round().to(torch.uint8)
        arrays[f"{network.key}-back"] = back
    assert set(virtual_sums.network_stays(arrays, 400, BACK_STEPS[0]).values()) == {0.0}
    assert set(virtual_sums.network_stays(arrays, 100, BACK_STEPS[1]).values()) == {0.0}
    stays = virtual_sums.network_stays(arrays, 400, BACK_STEPS[1])
    assert all(value == (0.5 if kind == "waves" else 0) for (kind, _), value in stays.items())
    with pytest.raises(ValueError, match="steps must be one of 100, 400, 1600, got 200"):
        virtual_sums.kept_images(arrays, "waves", 200, "back")


def test_few_random_points_are_near_a_sum():
    assert 0 <= virtual_sums.random_near_sums(500, 0) < 0.05
