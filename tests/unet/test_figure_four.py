"""Numbers about curves whose turns, falls and copies are known."""

import math
from dataclasses import dataclass

import pytest
import torch

from memnb.unet import figure_four
from memnb.unet.images import synthetic_images
from memnb.unet.runs import PROTOCOL, OnSynthetic

N = [10, 100, 1000]


def curves(p, e_og):
    """Curves of several seeds, as they are read from kept runs."""
    each = {"p": torch.tensor(p).double(), "e_og": torch.tensor(e_og).double()}
    return {"n": N, "each": each}


def test_turns_of_straight_lines_over_log_n():
    """P: half way at 10^1.5 and 10^2; E_OG at 10^1.5 for both seeds."""
    turns = figure_four.turns(
        curves([[0.0, 0.4, 0.4], [0.0, 0.2, 0.4]], [[2.0, 1.0, 1.0], [4.0, 3.0, 3.0]])
    )
    assert turns.e_og == (pytest.approx(10**1.5), pytest.approx(0, abs=1e-9))
    error = 0.25  # of the mean of 1.5 and 2: half their difference
    assert turns.p == (
        pytest.approx(10**1.75),
        pytest.approx(10**1.75 * math.log(10) * error),
    )
    assert turns.gap == (pytest.approx(0.25), pytest.approx(error))
    assert turns.alignment.ratio == pytest.approx(10**0.25)
    assert turns.alignment.error == pytest.approx(math.log(10) * error)
    with pytest.raises(ValueError, match=r"e_og must not end where it began, got 1 twice"):
        figure_four.turns(curves([[0.0, 0.4, 0.4]], [[1.0, 0.5, 1.0]]))


def test_turns_that_differ_by_more_than_a_factor_of_two_are_apart():
    p = [[0.0, 0.0, 0.4], [0.0, 0.01, 0.4], [0.0, 0.02, 0.4]]
    e_og = [[2.0, 1.0, 1.0], [2.0, 1.01, 1.0], [2.0, 1.02, 1.0]]
    assert figure_four.turns(curves(p, e_og)).alignment.verdict == "apart"
    same = [[0.0, 0.4 - 0.01 * k, 0.4] for k in range(3)]
    falling = [[1 - v for v in row] for row in same]
    assert figure_four.turns(curves(same, falling)).alignment.verdict == "aligned"


def test_falls_and_shortfalls_are_means_over_seeds():
    ours = curves([[0.1, 0.2, 0.3], [0.3, 0.2, 0.5]], [[2.0, 1.5, 1.0], [4.0, 2.0, 3.0]])
    mean, error = figure_four.fall(ours)
    assert mean == pytest.approx((0.5 + 0.25) / 2) and error == pytest.approx(0.125)
    perfect = curves([[0.5] * 3] * 2, [[1.0] * 3] * 2)
    rows = figure_four.shortfall(ours, perfect)
    assert [n for n, *_ in rows] == N
    assert [m for _, m, _ in rows] == pytest.approx([0.3, 0.3, 0.1])
    assert [e for *_, e in rows] == pytest.approx([0.1, 0.0, 0.1])
    assert figure_four.rule_verdicts(ours) == (6, 6)
    assert figure_four.rule_verdicts(curves([[0.5, 0.51, 0.6]], [[1, 2, 3]])) == (1, 3)


@dataclass
class Network:
    """Stands for a network of a run."""

    n: int
    seed: int

    @property
    def key(self):
        return f"n{self.n}-s{self.seed}"

    def images(self):
        return synthetic_images(self.n, 8, self.seed, purpose="training")


def test_shares_of_copies_by_n():
    networks = [Network(n, seed) for n in (20, 10) for seed in range(2)] + [Network(30, 0)]
    new = synthetic_images(30, 8, 9, purpose="new")
    arrays = {}
    for network, copies in zip(networks, (0, 10, 30, 20), strict=False):
        x = torch.cat([network.images()[torch.arange(copies) % network.n], new[copies:]])
        arrays[f"{network.key}-images"] = x.half()
    shares = figure_four.copied_share(networks, arrays)
    assert list(shares) == [10, 20]
    assert shares[10] == (pytest.approx(25 / 30), pytest.approx(5 / 30))
    assert shares[20] == (pytest.approx(5 / 30), pytest.approx(5 / 30))


def test_a_larger_pool_changes_nothing_beyond_the_error():
    small, large = (drawn.mean("e_og") for drawn in figure_four.pools((500, 5000)))
    assert abs(small[0] - large[0]) < 4 * math.hypot(small[1], large[1])


def test_gaps_are_between_networks_of_one_n_and_one_seed():
    networks = [OnSynthetic(n, "x", seed, PROTOCOL) for n in (10, 30) for seed in (0, 1, 2)]
    some, others, means = {}, {}, {}
    for k, network in enumerate(networks):
        x, y = (synthetic_images(5, 4, 2 * k + j, purpose="gaps") for j in (0, 1))
        some |= {f"{network.key}-images": x, f"{network.key}-loss": torch.tensor([1.0, 2.0])}
        if network.seed < 2:  # the third is in one run only
            loss = torch.tensor([1.0 + k, 2.0 - k / 2])
            others |= {f"{network.key}-images": y, f"{network.key}-loss": loss}
            means.setdefault(network.n, []).append(((x - y).abs().mean().item(), y.std().item()))
    found = figure_four.gaps(networks, some, others)
    assert list(found) == [10, 30] and {gap.seeds for gap in found.values()} == {2}
    assert [gap.loss for gap in found.values()] == [1.0, 4.0]
    for n, gap in found.items():
        pixel, std = (sum(column) / 2 for column in zip(*means[n], strict=True))
        assert (gap.pixel, gap.std) == pytest.approx((pixel, std), rel=1e-6)
