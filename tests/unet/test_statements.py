"""What chapter 6 says in words of its tables: the same statements of the kept results."""

import pytest
import torch

from memnb.unet import copies, figure_four, history, metric, readback, runs, virtual_sums
from memnb.unet.images import STD

UNEQUAL, EQUAL = list(metric.RULES)[:2]


def test_how_fast_a_training_step_is():
    speed = readback.load("speed")
    assert (speed["parameters"][:, :1] == speed["parameters"]).all()
    ratio = speed["seconds"] / speed["seconds"][:, :1]
    by_hand, low, compiled = ratio[:, 1:].T
    # "the same time, within a few percent"; "0.6 of the time ... the small one gets slower"
    assert ((by_hand - 1).abs() < 0.1).all() and low[-1] < 0.7
    assert (low[:-1] > 1).all() and (compiled < 1).all()


def test_pixels_spread_too_far_after_20_epochs_and_not_after_1000_steps():
    columns = {
        name: list(zip(*readback.pixel_spread(*which), strict=True))
        for name, which in {
            "paper": ("protocol", "paper"),
            "cosine": ("protocol", "cosine"),
            "longer": ("synthetic", "cosine"),
            "large": ("paper", "paper"),
        }.items()
    }
    # "two to five times too far", "values of tens and hundreds"
    assert 3 * STD < min(columns["paper"][1]) and max(columns["paper"][1]) < 5.5 * STD
    assert min(columns["cosine"][1]) > 50 * STD and min(columns["cosine"][2]) > 0.9
    # The schedule alone makes a perfect network's 1.7 STD wide, with 0.3 % outside [0, 1]
    assert 2 * STD < min(columns["large"][1]) and max(columns["large"][1]) < 5.5 * STD
    assert min(columns["large"][2]) > 8 * 0.003
    assert max(columns["longer"][1]) < 1.3 * STD and max(columns["longer"][2]) == 0


def test_after_20_epochs_p_is_lower_than_for_a_perfect_generator():
    net, perfect = (
        readback.transition("protocol", "paper", UNEQUAL, who) for who in ("network", "perfect")
    )
    later = figure_four.shortfall(net, perfect)[1:]  # "from n = 30 on"
    assert all(gap > 0 for _, gap, _ in later)
    assert sum(gap > 2 * error for _, gap, error in later) >= 3


def test_after_1000_steps_copies_disappear_between_10_and_100_images():
    shares = figure_four.copied_share(runs.RUNS["synthetic"], readback.load("synthetic"))
    values = [share for share, _ in shares.values()]
    assert shares[10][0] > 0.5 > shares[30][0] > shares[100][0] == 0
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("rate", ["5e-5", "2e-4", "1e-3", "5e-3"])
def test_at_no_learning_rate_p_rises_above_one_half(rate):
    which = ("protocol", "paper") if rate == "2e-4" else ("rate", rate)
    f, g = (readback.transition(*which, rule) for rule in (UNEQUAL, EQUAL))
    at = [f["n"].index(n) for n in (10, 100, 1000)]
    assert f["each"]["p"][0][at].max() < 0.5
    equal = g["each"]["p"][0][at]
    assert (equal[1:] - 0.5).abs().max() < 0.15 < (equal[0] - 0.5).abs()


def test_held_out_digits_pass_for_new():
    """A threshold means something only where they pass for new, here at every n."""
    held_out = readback.split().held_out
    for n in readback.digit_sizes():
        near = copies.nearest_neighbors(held_out, readback.training_digits(n))
        assert near.memorized().double().mean() < 0.05


def test_after_1600_steps_a_tenth_to_three_tenths_are_neither():
    arrays = readback.load("simplex")
    for kind in ("blocks", "waves"):
        for name in ("images", "free"):
            x = virtual_sums.kept_images(arrays, kind, 1600, name).flatten(0, 1)
            counts = virtual_sums.count_sums(x, virtual_sums.simplex_images(kind))
            assert 0.1 < counts.neither / counts.total < 0.3
            assert counts.pairs + counts.larger == 0
    early = virtual_sums.network_stays(arrays, 100)
    assert early["blocks", "pairs"] > 1 / 3 and early["blocks", "triples"] == 0
    assert early["waves", "pairs"] < 0.05
    assert virtual_sums.network_stays(arrays, 100, 20)["blocks", "pairs"] < 0.05


def test_networks_of_the_papers_size_show_no_trend_with_equal_numbers():
    """Between a third and a half throughout, without a trend beyond its errors."""
    p, error = readback.transition("paper", "paper", EQUAL)["p"]
    assert ((p > 0.3) & (p < 0.55)).all()
    assert (p[-1] - p[0]).abs() < 3 * torch.hypot(error[-1], error[0])


def test_while_digits_are_learned_none_is_a_copy_and_later_many_are():
    """ "After 240 there are digits, and none of them is a copy, whatever n is." """
    held_out = readback.split().held_out
    for n, (network, *_) in readback.time_networks().items():
        known, snapshots = network.images(), readback.snapshots(network)
        copied = {
            step: copies.nearest_neighbors(x, known).memorized().sum().item()
            for step, (x, _) in snapshots.items()
        }
        assert not any(copied[step] for step in (80, 160, 240))
        first, later = (history.energy_distance(snapshots[s][0], held_out)[0] for s in (80, 240))
        assert later < 0.75 * first
        # "The rows become twins", and "with 512 images they do not"
        last = copied[network.snapshots[-1]]
        assert n > 64 or last > 100
        assert n < 512 or last == 0
