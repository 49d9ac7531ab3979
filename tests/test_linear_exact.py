"""The linear model against 50 digits, quadrature and Monte Carlo; nothing overflows or warns."""

import itertools
import math
import random

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from linear_reference import Exact, context
from scipy import integrate

from memnb import linear
from memnb.linear.experiment import draw_originals, draw_training
from memnb.linear.memorization import log_cross, log_pairs, signed_logsumexp


def one(n, d, N, seed=0, **options):
    """Setting, originals, training points, inputs and fit of one simulation."""
    setting = linear.Setting(n, d, N, **options)
    originals = draw_originals(setting, seed)
    y, x = draw_training(setting, seed, 0, originals)
    return setting, originals, y[None], x[None], setting.model.fit(y[None], x[None])


def compare(exact, sign, log_abs, slack=1e-9):
    """The sign is right, and so is the logarithm, up to what float64 can hold of the terms."""
    assert sign.item() == float(mpmath.sign(exact))
    assert abs(log_abs.item() - float(mpmath.log(abs(exact)))) < slack


def random_cases(count):
    """Sizes, times and noise scales at random, many near n = d."""
    generator = random.Random(5)
    for k in range(count):
        d = generator.choice((1, 2, 3, 5, 8, 12))
        n = max(2, d + generator.randint(-3, 4)) if k % 2 else generator.randint(2, 20)
        yield (
            n, d, generator.randint(2, 25), generator.uniform(0.1, 5),
            10 ** generator.uniform(-4, 1), 10 ** generator.uniform(-2, 2),
        )  # fmt: skip


EXTREME = [
    # n, d, N, T, lam, sigma
    (2, 1000, 3, 2.0, math.exp(-4), 1.0),
    (5, 1000, 4, 2.0, math.exp(-4), 1.0),
    (4, 1000, 6, 2.0, math.exp(-4), 1e-3),
    (6, 400, 5, 0.01, 1e-3, 1.0),
    (6, 300, 9, 8.0, 1.0, 1.0),
    (3, 100, 30, 2.0, math.exp(-4), 1e4),
    (30, 1, 2, 2.0, math.exp(-4), 1.0),
    (2, 1, 40, 1e-4, 1e-6, 1e-6),
    (12, 12, 8, 2.0, math.exp(-4), 1.0),
    (13, 12, 8, 2.0, math.exp(-4), 1.0),
    (9, 4, 9, 15.0, 1e3, 1.0),
]


@pytest.mark.parametrize(
    "case", [*EXTREME, *random_cases(24)], ids=lambda c: "-".join(f"{v:.3g}" for v in c)
)
def test_delta_has_the_sign_and_size_that_50_digits_give(case):
    n, d, N, T, lam, sigma = case
    setting, originals, y, x, generated = one(n, d, N, T=T, lam=lam, sigma=sigma)
    exact = Exact(y[0].numpy(), x[0].numpy(), setting.model)
    widths = exact.width(n), exact.width(N)
    compare(
        exact.delta(originals.numpy(), widths), *linear.log_delta(y, originals, generated, sigma)
    )
    compare(exact.expected_delta(N, widths), *linear.log_delta_expected(y, N, generated, sigma))
