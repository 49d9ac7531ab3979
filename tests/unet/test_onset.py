"""Onsets of known curves, and exponents of known power laws."""

import math
from dataclasses import replace

import pytest
import torch

from memnb.stats import wilson
from memnb.unet.growth import power_law
from memnb.unet.history import History
from memnb.unet.onset import (
    GONE,
    MARGIN,
    Onset,
    closer_than,
    copy_onset,
    first_crossing,
    generalization,
    log_mean,
    overfit_onset,
    ratio,
)

STEPS = (10, 20, 40, 80, 160, 320)


def known(n=32, steps=STEPS, copies=(0,) * 6, total=256, null=(0, 297), distance=None, ratio=None):
    flat = (0.0,) * len(steps)
    distance = flat if distance is None else distance
    test = (1.0,) * len(steps) if ratio is None else ratio
    return History(
        n, 0, steps, copies, total, null, (distance, flat), (1.0,) * len(steps), test
    )  # fmt: skip


def test_a_crossing_is_where_a_line_over_the_logarithm_has_it():
    """A line over log step is interpolated exactly, whatever the grid."""
    values = [0.3 * math.log2(s) - 1 for s in STEPS]
    for level in (0.2, 0.75, 1.4):
        onset = first_crossing(STEPS, values, level)
        assert onset.kind == "at" and math.isnan(onset.error)
        assert onset.step == pytest.approx(2 ** ((level + 1) / 0.3), rel=1e-12)


def test_the_first_crossing_counts_and_not_a_later_one():
    values = [0.0, 0.4, 0.0, 1.0, 0.0, 1.0]
    assert first_crossing(STEPS, values, 0.5).step == pytest.approx(40 * 2**0.5)
    assert first_crossing(STEPS, values, 0.2).step == pytest.approx(10 * 2**0.5)
    # At the level is not above it: the curve leaves the level at 20 and has it again at 40 * 2^0.4
    assert first_crossing(STEPS, values, 0.4).step == pytest.approx(40 * 2**0.4)
    assert first_crossing(STEPS, [0.0, 0.5, 1.0, 1, 1, 1], 0.5).step == pytest.approx(20)


def test_what_is_not_seen_is_a_bound():
    late = first_crossing(STEPS, [0.0] * 6, 0.5)
    assert (late.step, late.kind) == (320, "after") and math.isnan(late.error)
    early = first_crossing(STEPS, [1.0] * 6, 0.5)
    assert (early.step, early.kind) == (10, "before")
    assert (str(early), str(late)) == ("< 10", "> 320")


def test_the_error_of_a_crossing_is_that_of_many_noisy_curves():
    values, errors = torch.tensor([0.0, 0.1, 0.3, 0.7, 0.9, 1.0]).double(), [0.02] * 6
    onset = first_crossing(STEPS, values.tolist(), 0.5, errors)
    noise = 0.02 * torch.randn(4000, 6, generator=torch.Generator().manual_seed(0)).double()
    steps = [first_crossing(STEPS, (values + e).tolist(), 0.5).step for e in noise]
    assert onset.error == pytest.approx(torch.tensor(steps).std().item(), rel=0.1)


def test_copying_begins_above_what_held_out_images_have():
    """The level is p + 2 s + margin, with the Wilson error of the null, and between two counts."""
    for null, total in (((0, 297), 256), ((12, 297), 100)):
        share, error = wilson(*null)
        level = share + 2 * error + MARGIN
        below, above = math.floor(level * total), math.floor(level * total) + 4
        onset = copy_onset(known(copies=(0, 0, below, above, total, total), null=null, total=total))
        part = (level * total - below) / (above - below)
        assert onset.step == pytest.approx(40 * 2**part, rel=1e-9) and 0 < onset.error < 40
        never = copy_onset(known(copies=(0,) * 5 + (below,), null=null, total=total))
        assert never.kind == "after"
    late = copy_onset(known(copies=(0, 0, 30, 60, 120, 256)), margin=0.4)
    assert late.step > copy_onset(known(copies=(0, 0, 30, 60, 120, 256))).step


def test_generalization_is_nine_tenths_of_the_way_to_the_least_distance():
    """D falls along a line over log step to 0 and rises again: the level is known."""
    fall = [1 - math.log2(s / 10) / 4 for s in STEPS[:5]]
    onset = generalization(known(distance=(*fall, 0.5)))
    assert onset.step == pytest.approx(10 * 2 ** (4 * GONE), rel=1e-12)
    # Another unit and another zero of the distance change nothing
    moved = generalization(known(distance=tuple(3 * v + 7 for v in (*fall, 0.5))))
    assert moved.step == pytest.approx(onset.step, rel=1e-9)


def test_a_level_of_the_distance_is_reached_where_the_line_has_it():
    fall = tuple(1 - math.log2(s / 10) / 4 for s in STEPS)
    for level in (0.9, 0.5, 0.1):
        onset = closer_than(known(distance=fall), level)
        assert onset.step == pytest.approx(10 * 2 ** (4 * (1 - level)), rel=1e-12)
    assert closer_than(known(distance=fall), 1.1).kind == "before"
    assert closer_than(known(distance=fall), -0.5).kind == "after"


def test_overfitting_begins_where_the_errors_differ_by_the_factor():
    ratio = [1.0, 1.0, 1.5, 2.5, 4.0, 8.0]
    assert overfit_onset(known(ratio=ratio)).step == pytest.approx(40 * 2**0.5)
    assert overfit_onset(known(ratio=ratio), ratio=6.0).step == pytest.approx(160 * 2**0.5)
    same = replace(known(ratio=[3 * r for r in ratio]), train=(3.0,) * 6)
    assert overfit_onset(same).step == pytest.approx(40 * 2**0.5)


def test_a_mean_over_seeds_is_geometric_with_the_larger_error():
    two = log_mean([Onset(100, 1.0), Onset(400, 4.0)])
    assert two.step == pytest.approx(200)
    assert two.error == pytest.approx(200 * math.log(4) / 2)  # the spread
    same = log_mean([Onset(100, 10.0), Onset(100, 10.0)])
    assert same.error == pytest.approx(10 / 2**0.5)  # what each of them has
    one = log_mean([Onset(100, 10.0)])
    assert (one.step, one.error) == (pytest.approx(100), pytest.approx(10))
    unknown = log_mean([Onset(100, math.nan), Onset(400, math.nan)])
    assert unknown.error == pytest.approx(two.error)
    bound = log_mean([Onset(100, 1.0), Onset(400, math.nan, "after")])
    assert (bound.step, bound.kind) == (pytest.approx(200), "after")


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 1.7])
def test_an_exact_power_is_found(exponent):
    onsets = {n: Onset(7 * n**exponent, 0.0) for n in (256, 16, 32, 64)}
    fit = power_law(onsets | {512: Onset(1.0, math.nan, "after")})
    assert fit.n == (16, 32, 64, 256)
    assert fit.exponent == pytest.approx(exponent, abs=1e-10) and fit.error < 1e-10
    assert fit(512) == pytest.approx(7 * 512**exponent)


def test_two_onsets_are_no_power_law():
    late = Onset(9, math.nan, "after")
    for onsets in ({}, {8: late}, {8: Onset(1, 0), 9: Onset(2, 0), 10: late}):
        fit = power_law(onsets)
        assert all(map(math.isnan, (fit.exponent, fit.error, fit.factor, fit(8))))
        assert fit.n == tuple(n for n in onsets if onsets[n] is not late)


@pytest.mark.parametrize("own", [0.1, 0.001])
def test_the_error_of_the_exponent_is_that_of_many_noisy_power_laws(own):
    """Also where the errors that the onsets come with are far too small."""
    sizes, generator = (16, 32, 64, 128, 256), torch.Generator().manual_seed(1)
    exponents, errors = [], []
    for noise in 0.1 * torch.randn(2000, 5, generator=generator).double():
        onsets = {
            n: Onset(30 * n**0.9 * math.exp(e), own * 30 * n**0.9 * math.exp(e))
            for n, e in zip(sizes, noise.tolist(), strict=True)
        }
        fit = power_law(onsets)
        exponents.append(fit.exponent)
        errors.append(fit.error)
    exponents, errors = torch.tensor(exponents), torch.tensor(errors)
    spread = exponents.std().item()
    assert exponents.mean().item() == pytest.approx(0.9, abs=4 * spread / 2000**0.5)
    # Known beforehand: 0.1 over the root of the sum of squares of log n
    logs = torch.tensor([math.log(n) for n in sizes])
    assert spread == pytest.approx(0.1 / (logs - logs.mean()).norm().item(), rel=0.05)
    assert errors.square().mean().sqrt().item() == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize("call, message", [
    (lambda: first_crossing([], [], 0.5), "must have one length >= 1, got"),
    (lambda: first_crossing([1, 2], [0.0], 0.5), r"must have one length >= 1, got \[2, 1\]"),
    (lambda: first_crossing([1, 2], [0, 1], 0.5, [0.1]), r"one length >= 1, got \[2, 2, 1\]"),
    (lambda: first_crossing([2, 2], [0, 1], 0.5), r"steps must be positive and increase"),
    (lambda: first_crossing([0, 2], [0, 1], 0.5), r"steps must be positive and increase"),
    (lambda: copy_onset(known(), margin=1.5), "margin must be"),
    (lambda: generalization(known(), gone=1.0), "gone must be"),
    (lambda: overfit_onset(known(), ratio=1.0), "ratio must be"),
    (lambda: log_mean([]), "onsets must hold at least one, got none"),
    (lambda: log_mean([Onset(1, 0, "before"), Onset(2, 0, "after")]), "must not be both"),
])  # fmt: skip
def test_what_is_not_allowed_is_one_line(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_interval_holds_the_exponent_as_often_as_it_says():
    """Three onsets only: with two errors instead of Student's t it would hold it far less often."""
    g = torch.Generator().manual_seed(0)
    inside = 0
    for _ in range(400):
        steps = {n: 3 * n * math.exp(0.2 * torch.randn((), generator=g)) for n in (16, 32, 64)}
        fit = power_law({n: Onset(float(v), math.nan) for n, v in steps.items()})
        low, high = fit.interval()
        inside += low < 1 < high
    assert abs(inside / 400 - 0.95) < 4 * (0.95 * 0.05 / 400) ** 0.5


def test_slopes_are_those_between_neighbors():
    fit = power_law({n: Onset(float(v), 1.0) for n, v in ((10, 1), (20, 4), (40, 8))})
    assert fit.slopes == pytest.approx((2, 1))
    with pytest.raises(ValueError, match="n must be in"):
        power_law({0: Onset(1.0, 0.1), 1: Onset(1.0, 0.1), 2: Onset(1.0, 0.1)})


def test_a_ratio_is_one_of_onsets_that_were_seen():
    assert ratio(Onset(90.0, math.nan), Onset(30.0, 3.0)) == pytest.approx((3, 0.3))
    with pytest.raises(ValueError, match="both onsets must have been seen, got > 30"):
        ratio(Onset(90.0, 1.0), Onset(30.0, 3.0, "after"))


def test_values_that_are_no_numbers_cross_nothing():
    with pytest.raises(ValueError, match="values must be finite"):
        first_crossing([1, 2, 3], [0.0, math.nan, 1.0], 0.5)
