"""Intervals and crossings against their formulas."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memnb import stats
from memnb.streams import stream


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


def test_onsets_align_within_the_factor_beyond_their_errors():
    def verdict(ratio, error, factor=2.0):
        return stats.alignment((ratio, ratio * error), (1.0, 0.0), factor).verdict

    assert [verdict(r, 0.01) for r in (1, 1.9, 1 / 1.9)] == ["aligned"] * 3
    assert [verdict(r, 0.01) for r in (2.1, 0.4, 2.5)] == ["apart"] * 3
    assert verdict(2.0, 0.001) == verdict(1.9, 0.1) == verdict(2.5, 0.2) == "open"
    assert verdict(2.5, 0.01, 3.0) == "aligned"
    assert stats.alignment((1.0, 0.0), (1.0, 0.0)).verdict == "aligned"
    assert stats.alignment((math.nan, math.nan), (1.0, 0.0)).verdict == "open"


def test_the_error_of_a_ratio_of_onsets_covers_it():
    """Noisy onsets of ratio exactly 2 are called aligned or apart with the chance of 2 sigma."""
    draws = torch.randn(4000, 2, generator=stream(0, "noisy onsets"), dtype=torch.float64)
    verdicts = [
        stats.alignment((20 + 0.6 * a, 0.6), (10 + 0.4 * b, 0.4)).verdict for a, b in draws.tolist()
    ]
    expected, spread = 0.0228, (0.0228 * 0.9772 / 4000) ** 0.5
    for verdict in ("aligned", "apart"):
        assert abs(verdicts.count(verdict) / 4000 - expected) < 4 * spread + 0.003


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.floats(0, 1), st.floats(0, 1))
def test_alignment_is_symmetric_and_has_no_unit(a, b, ea, eb):
    one = stats.alignment((a, a * ea), (b, b * eb))
    other = stats.alignment((7 * b, 7 * b * eb), (7 * a, 7 * a * ea))
    assert one.ratio * other.ratio == pytest.approx(1)
    assert one.error == pytest.approx(other.error)
    near = abs(abs(abs(math.log(one.ratio)) - math.log(2)) - 2 * one.error) < 1e-9
    assert near or one.verdict == other.verdict


@pytest.mark.parametrize("first", [(0.0, 0.1), (-1.0, 0.1), (3.0, -0.1), (3.0, math.nan)])
def test_what_is_no_onset_is_refused(first):
    with pytest.raises(ValueError, match="first onset"):
        stats.alignment(first, (1.0, 0.1))
    with pytest.raises(ValueError, match="factor must be in"):
        stats.alignment((1.0, 0.1), (1.0, 0.1), 1.0)


def test_the_largest_rise_is_in_errors_of_two_shares():
    """250 of 256 after 243: 2.7 % more; by hand with the normal error, Wilson's to a tenth."""
    shares = torch.tensor([[243, 100], [250, 90], [0, 0]]) / 256
    rise, errors = stats.largest_rise(shares, 256)
    assert rise == pytest.approx(7 / 256)
    p, q = 243 / 256, 250 / 256
    by_hand = (7 / 256) / math.sqrt((p * (1 - p) + q * (1 - q)) / 256)
    assert errors == pytest.approx(by_hand, rel=0.1)
    falling = torch.tensor([[4, 2], [3, 1], [0, 0]]) / 4
    assert stats.largest_rise(falling, 4)[0] == -0.25
    with pytest.raises(ValueError, match="fraction must be a multiple of 1/n"):
        stats.largest_rise(shares, 100)
