"""Streams of one seed are independent of one another and reproducible."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
import torch

from memnb.streams import numpy_stream, portable_normals, stream

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


def test_portable_normals_are_normal_and_independent():
    x = portable_normals(stream(0, "a page"), 100_001)
    assert len(x) == 100_001 and scipy.stats.kstest(x.numpy(), "norm").pvalue > 1e-3
    pairs = x[:100_000].reshape(-1, 2)
    angle = torch.atan2(pairs[:, 1], pairs[:, 0]).numpy()
    assert scipy.stats.kstest(angle, "uniform", (-math.pi, 2 * math.pi)).pvalue > 1e-3
    assert abs(torch.corrcoef(pairs.square().mT)[0, 1]) < 0.02
    assert not torch.equal(x, portable_normals(stream(1, "a page"), 100_001))


def test_portable_normals_are_those_of_the_twister():
    """The uniform numbers behind them are those of NumPy's generator of that name."""
    generator = stream(5, "a page")
    words = np.random.MT19937()
    words._legacy_seeding(generator.initial_seed())
    high, low = words.random_raw(2000).reshape(-1, 2).T.astype(np.uint64)
    u, w = (((high & 0x1FFFFF) << 32 | low) / 2.0**53).reshape(-1, 2).T
    radius = np.sqrt(-2 * np.log1p(-u))
    expected = np.stack([radius * np.cos(2 * np.pi * w), radius * np.sin(2 * np.pi * w)], 1)
    found = portable_normals(generator, 1000).numpy()
    np.testing.assert_allclose(found, expected.ravel(), rtol=0, atol=1e-14)


def test_portable_normals_need_a_count():
    with pytest.raises(ValueError, match="count must be at least 1"):
        portable_normals(stream(0, "a page"), 0)
