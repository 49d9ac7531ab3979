"""Snapshots in numbers: copies and distances that are known."""

import math

import pytest
import torch

from memnb.unet.copies import nearest_neighbors
from memnb.unet.history import History, distance_of_few, energy_distance, history, pooled
from memnb.unet.images import synthetic_images


def images(n, seed, purpose="test", **law):
    return synthetic_images(n, 4, seed, purpose=purpose, **law)


def pairs(x, y):
    """All distances, one by one."""
    return torch.stack([(a - b).square().sum().sqrt() for a in x.double() for b in y.double()])


def test_the_distance_is_its_formula_term_by_term():
    x, y = images(7, 1), images(5, 2, mean=0.6)
    own, others = (pairs(v, v).sum() / (len(v) * (len(v) - 1)) for v in (x, y))
    expected = (2 * pairs(x, y).mean() - own) / others - 1
    assert energy_distance(x, y)[0] == pytest.approx(expected.item(), rel=1e-9)


def test_the_distance_of_one_law_is_0_on_average_and_its_error_is_the_spread():
    y = images(400, 0, "held out")
    values = torch.tensor([energy_distance(images(60, k), y)[0] for k in range(150)])
    # Against one set of y the mean is not exactly 0: it has the error of that set as well
    assert abs(values.mean().item()) < 3 * values.std().item() / 150**0.5 + 0.002
    far = [energy_distance(images(60, k, mean=0.55), y) for k in range(150)]
    shifted, error = (torch.tensor(part) for part in zip(*far, strict=True))
    assert (shifted > values.max()).all()
    assert error.mean().item() == pytest.approx(shifted.std().item(), rel=0.15)


def test_the_distance_has_no_unit():
    x, y = images(20, 1), images(30, 2, mean=0.4)
    flipped = energy_distance(1 - x, 1 - y)
    assert energy_distance(x, y) == pytest.approx(flipped, rel=1e-5)
    assert energy_distance(0.5 * x, 0.5 * y) == pytest.approx(flipped, rel=1e-5)


def test_a_history_counts_copies_and_keeps_the_errors():
    training, held_out, new = images(12, 1), images(40, 2), images(50, 3)
    mixed = torch.cat([training[torch.arange(30) % 12], new[:20]])
    errors = {10: (0.5, 0.6), 20: (0.1, 0.7)}
    measured = history(
        12, 4, {step: (x, torch.tensor(errors[step])) for step, x in ((10, new), (20, mixed))},
        training, held_out,
    )  # fmt: skip
    assert (measured.n, measured.seed, measured.steps, measured.copies, measured.total) == (
        12,
        4,
        (10, 20),
        (0, 30),
        50,
    )
    assert measured.null == (int(nearest_neighbors(held_out, training).memorized().sum()), 40)
    assert measured.train == pytest.approx((0.5, 0.1)) and measured.test == pytest.approx(
        (0.6, 0.7)
    )
    assert measured.distance[0][1] == energy_distance(mixed, held_out)[0]
    shares, spread = measured.shares
    assert shares == (0.0, 0.6) and all(0 < e < 0.1 for e in spread)


def test_any_threshold_moves_the_copies_and_the_null_alike():
    training, x = images(12, 1), images(50, 3)
    one = {1: (x, torch.ones(2))}
    strict, lax = (history(12, 0, one, training, x, t) for t in (0.01, 1.0))
    assert (strict.copies[0], lax.copies[0]) == (strict.null[0], lax.null[0]) == (0, 50)
    assert not math.isnan(strict.distance[1][0])


def test_networks_of_several_seeds_as_one():
    rows = [
        History(8, seed, (1, 2), copies, 50, (3, 40), ((0.2, d), (0.03, e)), (1.0, t), (1.0, 2 * t))
        for seed, copies, d, e, t in ((0, (0, 10), 0.1, 0.03, 0.5), (1, (5, 30), 0.3, 0.04, 0.7))
    ]
    both = pooled(rows)
    assert (both.n, both.copies, both.total, both.null) == (8, (5, 40), 100, (3, 40))
    assert both.distance[0] == pytest.approx((0.2, 0.2))
    assert both.distance[1] == pytest.approx((0.03 / 2**0.5, 0.025))
    assert both.train == pytest.approx((1, 0.6)) and both.test == pytest.approx((1, 1.2))
    assert pooled(rows[:1]) == rows[0]
    other = history(9, 0, {1: (images(3, 1), torch.ones(2))}, images(9, 1), images(4, 2))
    for wrong in ([], [rows[0], other]):
        with pytest.raises(ValueError, match="at least one, and all of the same n and steps"):
            pooled(wrong)


@pytest.mark.parametrize("x, y, message", [
    (images(1, 1), images(5, 2), "number of images of x must be at least 2"),
    (images(5, 1), images(1, 2), "number of images of y must be at least 2"),
    (images(5, 1), images(1, 2).expand(3, 1, 4, 4), "y must hold at least 2 different images"),
    (images(5, 1), synthetic_images(5, 8, 1), "y must have images of 4 pixels a side, got 8"),
    (images(5, 1)[:, 0], images(5, 2), "x must have shape"),
])  # fmt: skip
def test_what_is_no_two_sets_of_images_is_one_line(x, y, message):
    with pytest.raises(ValueError, match=message):
        energy_distance(x, y)


def test_a_few_images_over_and_over_are_as_far_as_theory_says():
    """x uniform on k points of a law: E|X - X'| is smaller by 1 / k, so D = 1 / k on average."""
    g = torch.Generator().manual_seed(1)
    x, y = torch.rand(2, 400, 1, 6, 6, generator=g)
    for count in (4, 16):
        mean, spread = distance_of_few(x, y, count, 60, 0)
        assert mean == pytest.approx(1 / count, abs=4 * spread / 60**0.5 + 0.01)
    assert distance_of_few(x, y, 4, 5, 0) == distance_of_few(x, y, 4, 5, 0)
    assert distance_of_few(x, y, 4, 5, 0) != distance_of_few(x, y, 4, 5, 1)
    with pytest.raises(ValueError, match="count must be between 2 and 400, got 401"):
        distance_of_few(x, y, 401, 5, 0)


def test_no_snapshots_are_refused():
    images = torch.rand(4, 1, 6, 6)
    with pytest.raises(ValueError, match="the number of snapshots must be at least 1, got 0"):
        history(4, 0, {}, images, images)
