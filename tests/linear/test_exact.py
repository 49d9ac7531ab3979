"""The linear model against 50 digits, quadrature and Monte Carlo; nothing overflows or warns."""

import itertools
import math
import random

import mpmath
import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from memnb import linear
from memnb.linear.draws import draw_originals, draw_training
from memnb.linear.overlaps import log_cross, log_pairs, signed_logsumexp
from memnb.streams import numpy_stream
from tests.linear.reference import Exact, context, tensors


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


@pytest.mark.parametrize("kernel", linear.KERNELS)
@pytest.mark.parametrize(("n", "d", "N"), [(3, 1, 9), (9, 2, 5), (6, 7, 6), (5, 60, 8), (8, 3, 30)])
def test_diagonals_are_kept_where_they_do_not_cancel(kernel, n, d, N):
    setting, originals, y, x, generated = one(n, d, N, sigma=1.3, kernel=kernel)
    exact = Exact(y[0].numpy(), x[0].numpy(), setting.model)
    widths = [linear.kernel_width(kernel, size, d, 1.3, 0.8) for size in (n, N)]
    if kernel == "leading":  # rounded widths would leave the diagonals of the reference uncanceled
        widths = [exact.c.mpf(0.8) * exact.width(size) for size in (n, N)]
    compare(
        exact.delta(originals.numpy(), widths),
        *linear.log_delta(y, originals, generated, 1.3, kernel, 0.8),
    )


def test_the_printed_covariance_is_the_transposed_product():
    for n, d in ((9, 4), (5, 6)):
        setting, originals, y, x, generated = one(n, d, 12, seed=4)
        exact = Exact(y[0].numpy(), x[0].numpy(), setting.model, transposed=True)
        product = np.array(exact.core.tolist(), dtype=float)
        np.testing.assert_allclose(generated.transposed().covariance[0], product, atol=1e-13)
        delta = exact.delta(originals.numpy(), (exact.width(n), exact.width(12)))
        compare(delta, *linear.log_delta(y, originals, generated.transposed()))


@pytest.mark.parametrize(("n", "d"), [(2, 1), (3, 1), (3, 2), (7, 3), (9, 8), (40, 8)])
def test_divergences_against_50_digits(n, d):
    setting, _, y, x, generated = one(n, d, 5, sigma=0.7, seed=2)
    exact = Exact(y[0].numpy(), x[0].numpy(), setting.model)
    affinity = exact.affinity()
    log_affinity = linear.log_affinity(generated, 0.7).item()
    assert log_affinity == pytest.approx(float(mpmath.log(affinity)), rel=1e-9)
    assert linear.hellinger(generated, 0.7).item() == pytest.approx(float(1 - affinity), rel=1e-9)
    assert linear.kl_divergence(generated, 0.7).item() == pytest.approx(
        float(exact.kl_from()), rel=1e-9
    )


def normal(x, mean, covariance):
    away = np.asarray(x) - mean
    total = np.atleast_2d(covariance)
    exponent = -0.5 * np.einsum("...i,ij,...j->...", away, np.linalg.inv(total), away)
    return np.exp(exponent) / math.sqrt(np.linalg.det(2 * math.pi * total))


@pytest.mark.parametrize(("n", "d"), [(3, 1), (12, 1), (6, 2), (15, 2)])
def test_everything_against_quadrature_on_a_grid(n, d):
    """No closed form at all: densities on a grid, and the trapezoidal rule, which is spectral."""
    N = 8
    _, originals, y, _, generated = one(n, d, N, seed=1)
    reach = 7 + max(y.abs().max().item(), originals.abs().max().item())
    narrow = math.sqrt(generated.values.min().item())
    finest = min(narrow, max(n, N) ** (-1 / d)) / (4 if d == 1 else 1.5)
    axis = np.arange(-reach, reach, finest)
    step = finest**d
    grid = np.stack(np.meshgrid(*[axis] * d, indexing="ij"), axis=-1)
    fitted = normal(grid, generated.mean[0].numpy(), generated.covariance[0].numpy())
    true = normal(grid, np.zeros(d), np.eye(d))
    squares = []
    for points in (y[0].numpy(), originals.numpy()):
        width = len(points) ** (-1 / d)
        kernels = sum(normal(grid, p, width**2 * np.eye(d)) for p in points) / len(points)
        squares.append(((kernels - fitted) ** 2).sum() * step)
    sign, log_abs = linear.log_delta(y, originals, generated)
    assert (sign * log_abs.exp()).item() == pytest.approx(squares[0] - squares[1], abs=1e-9)
    affinity = np.sqrt(fitted * true).sum() * step
    assert linear.hellinger(generated).item() == pytest.approx(1 - affinity, abs=1e-9)
    ratio = np.log(np.maximum(fitted, 1e-300) / np.maximum(true, 1e-300))
    assert linear.kl_divergence(generated).item() == pytest.approx(
        (fitted * ratio).sum() * step, abs=1e-6
    )
    ratio = np.log(np.maximum(true, 1e-300) / np.maximum(fitted, 1e-300))
    if narrow > 0.3:
        assert linear.kl_divergence(generated, direction="to_generated").item() == pytest.approx(
            (true * ratio).sum() * step, rel=1e-4
        )


def test_the_affinity_against_an_adaptive_integrator():
    _, _, _, _, generated = one(4, 1, 5, seed=3)
    mean, spread = generated.mean.item(), math.sqrt(generated.values.item())

    def root(t):
        return math.sqrt(
            math.exp(-0.5 * t * t - 0.5 * ((t - mean) / spread) ** 2) / (2 * math.pi * spread)
        )

    value, _ = integrate.quad(root, -12, 12, epsabs=1e-13, limit=200)
    assert linear.hellinger(generated).item() == pytest.approx(1 - value, abs=1e-11)


@pytest.mark.parametrize(("n", "d"), [(7, 3), (3, 4)])
def test_what_is_generated_has_the_right_mean_and_covariance_and_not_the_transposed_one(n, d):
    """Two million draws through theta_0 + theta_1 X, with theta by numpy's own least squares."""
    setting, _, y, x, generated = one(n, d, 5, seed=7)
    y, x = y[0].numpy(), x[0].numpy()
    inputs = np.column_stack([np.ones(n), x])
    # Least norm of theta_1 only: the constant is free, so center first.
    theta = np.linalg.lstsq(x - x.mean(0), y - y.mean(0), rcond=1e-10)[0]
    if n > d:
        np.testing.assert_allclose(np.linalg.lstsq(inputs, y, rcond=None)[0][1:], theta, atol=1e-12)
    constant = y.mean(0) - x.mean(0) @ theta
    model = setting.model
    spread = math.sqrt(model.shrink**2 * y.var(axis=0).mean() + model.noise_variance)
    draws = np.random.default_rng(0).standard_normal((2_000_000, d))
    out = constant + (model.shrink * y.mean(0) + spread * draws) @ theta
    covariance = np.cov(out.T)
    scale = np.abs(covariance).max()
    np.testing.assert_allclose(generated.mean[0], out.mean(0), atol=4e-3 * math.sqrt(scale))
    np.testing.assert_allclose(generated.covariance[0], covariance, atol=6e-3 * scale)
    wrong = generated.transposed().covariance[0].numpy()
    assert np.abs(wrong - covariance).max() > 0.1 * scale


@pytest.mark.parametrize(("d", "n"), [(2, 2), (3, 2), (5, 2), (5, 4), (16, 16)])
def test_rounding_of_the_means_adds_no_direction(d, n):
    """Few points, fitted without means: by contrasts, which are at right angles to them."""
    generator = np.random.default_rng((d, n))
    y, z = (torch.from_numpy(generator.standard_normal((400, n, d))) for _ in range(2))
    model = linear.LinearModel(d)
    x = model.noised(y, z)
    fit = model.fit(y, x)
    contrasts = torch.from_numpy(scipy.linalg.helmert(n))
    slope = torch.linalg.pinv(contrasts @ x) @ contrasts @ y
    spread = model.shrink**2 * (contrasts @ y).square().sum(dim=(1, 2)) / (n * d)
    values = (spread + model.noise_variance)[:, None] * torch.linalg.svdvals(slope) ** 2
    torch.testing.assert_close(fit.values[:, : n - 1], values[:, : n - 1], rtol=1e-9, atol=0)


def test_expected_delta_is_the_mean_over_original_sets():
    _, _, y, _, generated = one(12, 3, 6, seed=3)
    sets = torch.from_numpy(np.random.default_rng(1).standard_normal((10_000, 6, 3)))
    many = generated[torch.zeros(len(sets), dtype=torch.long)]
    pairs = log_pairs(y, linear.kernel_width("leading", 12, 3)).expand(len(sets))
    sign, log_abs = linear.log_delta(
        y.expand(len(sets), -1, -1), sets, many, pairs_of_training=pairs
    )
    values = sign * log_abs.exp()
    error = values.std().item() / math.sqrt(len(values))
    expected, log_expected = linear.log_delta_expected(y, 6, generated)
    exact = (expected * log_expected.exp()).item()
    assert abs(values.mean().item() - exact) < 4 * error
    assert error < 0.05 * abs(exact)


@pytest.mark.parametrize(("n", "d"), [(3, 1), (12, 1), (6, 2), (15, 2)])
def test_the_distances_against_quadrature_on_a_grid(n, d):
    """E_TG, E_OG and its mean over original sets, with densities on a grid."""
    N = 8
    _, originals, y, _, generated = one(n, d, N, seed=1)
    reach = 7 + max(y.abs().max().item(), originals.abs().max().item())
    narrow = math.sqrt(generated.values.min().item())
    axis = np.arange(-reach, reach, min(narrow, max(n, N) ** (-1 / d)) / (4 if d == 1 else 1.5))
    grid = np.stack(np.meshgrid(*[axis] * d, indexing="ij"), axis=-1)
    fitted = normal(grid, generated.mean[0].numpy(), generated.covariance[0].numpy())
    for points in (y[0], originals):
        width = len(points) ** (-1 / d)
        kernels = sum(normal(grid, p, width**2 * np.eye(d)) for p in points.numpy()) / len(points)
        square = ((kernels - fitted) ** 2).sum() * (axis[1] - axis[0]) ** d
        assert linear.log_distance(points, generated).exp().item() == pytest.approx(
            square, rel=1e-8
        )
    drawn = torch.from_numpy(numpy_stream(3, "original sets").standard_normal((4000, N, d)))
    values = torch.cat([linear.log_distance(points, generated) for points in drawn]).exp()
    expected = linear.log_distance_expected(N, generated).exp().item()
    error = values.std().item() / math.sqrt(len(values))
    assert abs(values.mean().item() - expected) < 4 * error < 0.3 * expected


def test_their_difference_is_delta():
    """Where nothing cancels, E_TG - E_OG is what log_delta says; for n <= d both are infinite."""
    _, originals, y, _, generated = one(30, 3, 12, sigma=1.4)
    distances = [linear.log_distance(p, generated, 1.4).exp().item() for p in (y[0], originals)]
    sign, log_abs = linear.log_delta(y, originals, generated, 1.4)
    assert (sign * log_abs.exp()).item() == pytest.approx(distances[0] - distances[1], rel=1e-9)
    _, originals, y, _, generated = one(3, 3, 12)
    assert linear.log_distance(originals, generated).item() == math.inf
    assert linear.log_distance_expected(12, generated).item() == math.inf


@pytest.mark.parametrize(
    ("d", "medians"),
    [(16, {17: 0.35, 20: 1.48, 24: 2.38, 32: 2.55}), (100, {101: 0.31, 125: 9.9, 200: 15.5})],
)
def test_the_distance_to_the_originals_rises_from_n_above_d(d, medians):
    """Median log10 E_OG (4 pi)^(d/2), of an independent implementation with its own draws."""
    unit = 0.5 * d * math.log(4 * math.pi)
    rows = {
        n: (linear.simulate(linear.Setting(n, d, originals="expected"), 60).log_distance + unit)
        / math.log(10)
        for n in medians
    }
    for n, values in rows.items():
        quartiles = values.quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
        error = 1.25 * (quartiles[2] - quartiles[0]).item() / 1.35 / math.sqrt(60)
        assert abs(quartiles[1].item() - medians[n]) < 4 * error + 0.05, n
    assert sorted(rows) == sorted(rows, key=lambda n: rows[n].median())


def test_pairs_by_products_and_by_differences_agree():
    """Large sets in blocks and narrow kernels against the plain sum."""
    y = torch.from_numpy(np.random.default_rng(2).standard_normal((2, 700, 2)))
    for width in (1e-7, 1e-3, 0.05, 1.0):
        squares = (y[:, :, None] - y[:, None]).square().sum(-1) / (4 * width**2)
        squares.diagonal(dim1=1, dim2=2).fill_(math.inf)
        plain = torch.logsumexp(-squares.flatten(1), 1) - 2 * math.log(700)
        plain -= math.log(4 * math.pi * width**2)
        torch.testing.assert_close(log_pairs(y, width), plain, rtol=1e-12, atol=1e-11)


def test_the_same_set_twice_gives_exactly_zero():
    setting = linear.Setting(30, 4, 30, training="subset")
    some = linear.simulate(setting, 3)
    assert some.delta.sign.tolist() == [0.0] * 3
    assert some.delta.log_abs.tolist() == [-math.inf] * 3
    assert some.generalizing()[0] == 0 and some.expected is None


@pytest.mark.parametrize("d", [1, 2, 16, 100, 1000])
def test_no_size_overflows_or_warns(d):
    """n from 2 to beyond N, all kernels; warnings of this package are errors in the tests."""
    cases = itertools.product((2, 3, 17, 60), linear.KERNELS)
    for n, kernel in cases if d < 1000 else ((2, "leading"), (60, "mise"), (40, "noise")):
        setting = linear.Setting(n, d, 40, kernel=kernel)
        some = linear.simulate(setting, 1, seed=3)
        for name, value in tensors(some).items():
            assert not value.isnan().any(), (n, kernel, name)
        assert some.delta.log_abs.isfinite().all() and some.delta.sign.abs().eq(1).all()
        assert (some.hellinger == 1).all() == (n <= d or some.log_affinity.item() < -37)
        assert some.kl_from.isinf().all() == some.log_distance.isinf().all() == (n <= d)


@given(
    d=st.integers(1, 9),
    n=st.integers(2, 14),
    T=st.floats(0.01, 8),
    lam=st.floats(1e-4, 1e3),
    sigma=st.floats(1e-3, 1e3),
    seed=st.integers(0, 1000),
)
def test_invariants(d, n, T, lam, sigma, seed):
    setting, originals, y, x, generated = one(n, d, 7, seed, T=T, lam=lam, sigma=sigma)
    h2 = linear.hellinger(generated, sigma).item()
    assert 0 < h2 <= 1 and (n > d or h2 == 1)
    assert generated.rank == min(n - 1, d)
    assert (generated.values[..., generated.rank :] == 0).all()
    values = generated.values
    assert (values >= 0).all() and (values.diff() <= 0).all()
    kl = linear.kl_divergence(generated, sigma).item()
    assert kl >= -linear.log_affinity(generated, sigma).item()  # KL >= -2 log A >= -log A
    # The distances do not depend on a rotation, nor on a shift of everything.
    turn = torch.linalg.qr(torch.from_numpy(np.random.default_rng(seed).standard_normal((d, d))))[0]
    fit = setting.model.fit(y @ turn, x @ turn)
    sign, log_abs = linear.log_delta(y, originals, generated, sigma)
    turned = linear.log_delta(y @ turn, originals @ turn, fit, sigma)
    condition = 1e-9 + 1e-6 * (abs(n - 1 - d) < 2)  # nearly singular fits amplify rounding
    term = log_cross(y, generated, linear.kernel_width("leading", n, d, sigma)).item()
    difference = (sign * (log_abs - term).exp() - turned[0] * (turned[1] - term).exp()).item()
    assert abs(difference) < condition * (1 + (log_abs - term).exp().item())


@given(st.lists(st.tuples(st.floats(-700, 700), st.sampled_from([-1, 1])), min_size=1, max_size=6))
def test_signed_logsumexp(terms):
    c = context()
    exact = c.fsum(s * c.exp(c.mpf(v)) for v, s in terms)
    logs, signs = (torch.tensor(part, dtype=torch.float64) for part in zip(*terms, strict=True))
    sign, log_abs = signed_logsumexp(logs, signs)
    largest = float(logs.max())
    error = c.mpf(sign.item()) * c.exp(c.mpf(log_abs.item())) - exact if sign else exact
    assert abs(error) <= c.mpf(1e-12) * c.exp(largest)


def test_errors_name_the_argument():
    model = linear.LinearModel(3)
    good = torch.zeros(4, 3, dtype=torch.float64)
    with pytest.raises(ValueError, match="dim must be at least 1, got 0"):
        linear.LinearModel(0)
    with pytest.raises(ValueError, match=r"T must be in \(0, inf\), got -1"):
        linear.LinearModel(3, T=-1)
    with pytest.raises(ValueError, match="floating point can hold"):
        linear.LinearModel(3, T=500)
    with pytest.raises(ValueError, match="floating point can hold"):
        linear.LinearModel(3, T=372, lam=1e6)
    with pytest.raises(TypeError, match=r"y must be float64, got torch.float32"):
        model.fit(good.float(), good)
    with pytest.raises(ValueError, match="n at least 2"):
        model.fit(good[:1], good[:1])
    with pytest.raises(ValueError, match="x must be finite"):
        model.fit(good, good / 0)
    with pytest.raises(ValueError, match="y must have shape"):
        model.fit(good[:, :2], good)
    with pytest.raises(ValueError, match="kernel must be one of 'leading'"):
        linear.kernel_width("epanechnikov", 4, 3)
    with pytest.raises(ValueError, match="direction must be one of"):
        linear.kl_divergence(model.fit(good + torch.eye(4, 3).double(), good), direction="x")
