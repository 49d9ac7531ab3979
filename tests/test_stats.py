"""Intervals and crossings against their formulas."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memnb import stats


@given(st.integers(1, 10**6), st.data())
def test_wilson_is_where_the_score_test_gives_one_sigma(n, data):
    count = data.draw(st.integers(0, n))
    p, half = stats.wilson(count, n)
    center = (p + 1 / (2 * n)) / (1 + 1 / n)
    for q in (center - half, center + half):
        assert (p - q) ** 2 == pytest.approx(q * (1 - q) / n, rel=1e-6, abs=1e-14)
    assert stats.fraction_error(p, n) == half


def test_crossing_of_a_line_in_log_x():
    x = [1.0, 10.0, 100.0]
    at, error = stats.crossing(x, [0.0, 1.0, 2.0], 1.5, [0.1, 0.1, 0.1])
    assert at == pytest.approx(10**1.5)
    assert error == pytest.approx(at * math.log(10) * 0.1 / math.sqrt(2))
    assert all(math.isnan(v) for v in stats.crossing(x, [0.0, 0.1, 0.2], 1.0))


def test_error_of_a_mean():
    mean, error = stats.mean_error(torch.tensor([1.0, 3.0]))
    assert (mean, error) == (2.0, pytest.approx(1.0))
    assert math.isnan(stats.mean_error(torch.tensor([1.0]))[1])


@pytest.mark.parametrize(
    "call",
    [
        lambda: stats.wilson(3, 2),
        lambda: stats.wilson(0, 0),
        lambda: stats.fraction_error(0.55, 10),
    ],
)
def test_what_is_no_count_of_n_is_refused(call):
    with pytest.raises(ValueError, match="must be"):
        call()
