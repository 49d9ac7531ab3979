"""Streams of one seed are independent of one another and reproducible."""

import itertools

import pytest
import torch

from memnb.streams import numpy_stream, stream

PURPOSES = ("starts", "noise", "rotation", "weights", "batches")


def test_streams_of_one_seed_are_uncorrelated():
    n = 200_000
    draws = {p: torch.randn(n, generator=stream(0, p), dtype=torch.float64) for p in PURPOSES}
    draws |= {
        k: torch.randn(n, generator=stream(0, "noise", k), dtype=torch.float64) for k in (0, 1)
    }
    for a, b in itertools.combinations(draws.values(), 2):
        # 21 pairs: 5 standard deviations of a correlation of n independent pairs
        assert abs(torch.corrcoef(torch.stack([a, b]))[0, 1]) < 5 / n**0.5


def test_neighboring_seeds_and_numbers_are_other_streams():
    states = {
        stream(seed, purpose, *numbers).initial_seed()
        for seed in range(50)
        for purpose in PURPOSES
        for numbers in ((), (0,), (1,), (0, 0), (0, 1))
    }
    assert len(states) == 50 * len(PURPOSES) * 5


def test_a_stream_is_reproducible_and_leaves_the_global_state():
    before = torch.random.get_rng_state()
    a, b = (torch.rand(5, generator=stream(7, "starts", 3)) for _ in range(2))
    assert torch.equal(a, b) and torch.equal(before, torch.random.get_rng_state())
    assert (numpy_stream(7, "a").random(5) == numpy_stream(7, "a").random(5)).all()


@pytest.mark.parametrize("arguments", [(-1, "a"), (0, ""), (0, "a", -1), (0.5, "a"), (True, "a")])
def test_bad_arguments(arguments):
    with pytest.raises((TypeError, ValueError), match=r"seed|purpose|numbers"):
        stream(*arguments)
