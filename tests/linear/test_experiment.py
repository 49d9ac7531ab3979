"""Kernels, sweeps on every backend, the printed formulas, and the limit of large n and d."""

import math

import joblib
import mpmath
import numpy as np
import pytest
import torch
from scipy import integrate

from memnb import linear
from memnb.linear import limit
from memnb.linear import published as printed
from memnb.linear.draws import draw_originals, draw_training
from memnb.linear.overlaps import log_pairs
from memnb.streams import numpy_stream
from tests.linear.reference import tensors


def same(one, other):
    """Equal signs, and equal numbers but for the last digits, in which BLAS is free."""
    one, other = tensors(one), tensors(other)
    assert one.keys() == other.keys()
    for name in one:
        if name.endswith("sign"):
            assert torch.equal(one[name], other[name]), name
        torch.testing.assert_close(one[name], other[name], rtol=1e-11, atol=1e-11)


SETTINGS = [
    linear.Setting(30, 8, 60),
    linear.Setting(5, 8, 60, originals="fresh", transposed=True),
    linear.Setting(12, 8, 60, originals="expected", kernel="mixing", T=1.0),
    linear.Setting(20, 3, 25, training="subset", sigma=2.0),
]


def test_results_do_not_depend_on_order_blocks_or_workers():
    result = linear.sweep(SETTINGS, 40, seed=3, progress=False)
    for setting, one in zip(SETTINGS, result, strict=True):
        same(one, linear.simulate(setting, 40, seed=3))
        assert len(one) == 40 and all(value.shape == (40,) for value in tensors(one).values())
        assert one.delta.log_abs.std() > 1e-3  # the simulations differ
    with joblib.parallel_config(backend="threading", n_jobs=2):
        again = linear.sweep(SETTINGS[::-1], 40, seed=3, n_jobs=None, progress=False)[::-1]
    for one, other in zip(result, again, strict=True):
        same(one, other)
    whole = tensors(result[0])
    for name, value in tensors(linear.simulate(SETTINGS[0], 7, seed=3, first=29)).items():
        torch.testing.assert_close(value, whole[name][29:36], rtol=1e-11, atol=1e-11)
    other = linear.simulate(SETTINGS[0], 40, seed=4)
    assert not torch.isclose(other.delta.log_abs, result[0].delta.log_abs).any()


def test_two_dask_workers_give_the_numbers_of_the_local_run():
    from dask.distributed import Client, LocalCluster

    local = linear.sweep(SETTINGS, 40, seed=3, progress=False)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
            memory_limit=0,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        with joblib.parallel_config(backend="dask"):
            remote = linear.sweep(SETTINGS, 40, seed=3, n_jobs=None, progress=False)
        done = client.run(lambda dask_worker: dask_worker.state.executed_count)
    assert len(done) == 2 and sum(done.values()) >= 8 and min(done.values()) >= 1
    for one, other in zip(local, remote, strict=True):
        same(one, other)


def test_the_fixed_set_is_one_and_fresh_sets_are_many():
    fixed, fresh = linear.Setting(9, 4, 50), linear.Setting(9, 4, 50, originals="fresh")
    assert torch.equal(draw_originals(fixed, 1, 0), draw_originals(fixed, 1, 5))
    assert not torch.isclose(draw_originals(fresh, 1, 0), draw_originals(fresh, 1, 5)).any()
    y, _ = draw_training(fixed, 1, 2)
    assert torch.equal(y, draw_training(fresh, 1, 2)[0])  # paired comparisons
    subset = linear.Setting(9, 4, 50, training="subset")
    originals = draw_originals(subset, 1)
    y, x = draw_training(subset, 1, 2, originals)
    rows = {tuple(row) for row in originals.tolist()}
    assert {tuple(row) for row in y.tolist()} < rows and len(y.unique(dim=0)) == 9
    noise = (x - math.exp(-2) * y) / math.sqrt(subset.model.noise_variance)
    assert 0.5 < noise.std() < 1.5


@pytest.mark.parametrize(
    ("n", "h2", "p"),
    [(17, 0.990, 0.0), (20, None, 0.0), (32, 0.893, 0.93), (48, 0.776, 1.0), (100, 0.582, 1.0)],
)
def test_reference_numbers_in_16_dimensions(n, h2, p):
    """Numbers of an independent implementation with its own draws, 200 simulations each."""
    some = linear.simulate(linear.Setting(n, 16, originals="expected"), 400)
    mean, error = some.mean_hellinger()
    if h2 is not None:
        assert abs(mean - h2) < 4 * error * math.sqrt(3) + 5e-4
    # That was a fixed set of 10000: the shares agree roughly, not within sampling error.
    assert abs(some.generalizing()[0] - p) < 0.15


def mise(width, n, d):
    """Mean integrated squared error times (4 pi)^(d/2), with 40 digits."""
    with mpmath.workdps(40):
        h = mpmath.mpf(width)
        value = 1 / (n * h**d) + (1 - mpmath.mpf(1) / n) * (1 + h**2) ** (-mpmath.mpf(d) / 2)
        return value - 2 * (1 + h**2 / 2) ** (-mpmath.mpf(d) / 2) + 1


@pytest.mark.parametrize(("n", "d"), [(2, 1), (100, 1), (1000, 16), (50, 100), (10**6, 3)])
def test_mise_kernel_is_the_minimum(n, d):
    best = linear.kernel_width("mise", n, d)
    least = mise(best, n, d)
    for factor in (0.2, 0.7, 0.999, 1.001, 1.5, 6):
        assert mise(factor * best, n, d) > least
    assert linear.kernel_width("mise", n, d, sigma=3.0) == pytest.approx(3 * best, rel=1e-12)
    assert all(least <= mise(linear.kernel_width(k, n, d), n, d) for k in linear.KERNELS)


def test_the_mise_formula_against_an_integral():
    """Bias and variance of a kernel estimate of a normal density, integrated in one dimension."""
    n, h = 5, 0.6

    def density(t, variance):
        return math.exp(-t * t / (2 * variance)) / math.sqrt(2 * math.pi * variance)

    def error(t):
        mean = density(t, 1 + h**2)
        second = density(t, 1 + h**2 / 2) / math.sqrt(4 * math.pi * h**2)
        return (mean - density(t, 1)) ** 2 + (second - mean**2) / n

    value, _ = integrate.quad(error, -12, 12, epsabs=1e-12)
    assert math.sqrt(4 * math.pi) * value == pytest.approx(float(mise(h, n, 1)), rel=1e-8)


def test_kernels_agree_where_they_should():
    for d in (1, 2, 5):  # many points: the mixing kernels tend to their leading order
        ratio = linear.kernel_width("mixing", 10**9, d) / linear.kernel_width("leading", 10**9, d)
        assert ratio == pytest.approx(1, abs=1e-3)
        ratio = linear.kernel_width("silverman", 10**9, d) / linear.kernel_width("mise", 10**9, d)
        assert ratio == pytest.approx(1, abs=0.02)
    for n, d in ((2, 1000), (10, 16), (10_000, 100)):
        t = linear.mixing_time(n, d)
        assert linear.kernel_width("mixing", n, d) == pytest.approx(math.sqrt(2 * t))
        noise = linear.kernel_width("noise", n, d)
        assert n * (1 + 1 / noise**2) ** (-d / 2) == pytest.approx(1, rel=1e-9)
        assert linear.kernel_width("leading", n, d) < linear.kernel_width("mixing", n, d) < noise


def test_mixing_time_balances_the_weights():
    """In high dimension the typical ratio of the weights passes 1 at the mixing time."""
    d, n = 200, 400
    points = torch.from_numpy(np.random.default_rng(0).standard_normal((n, d)))
    t = linear.mixing_time(n, d)
    early, late = (linear.log_weight_ratio(points, f * t, seed=1).median() for f in (0.8, 1.2))
    assert early > 1 and late < -0.5
    one = linear.log_weight_ratio(points[:2], 0.7, seed=3)
    z = torch.from_numpy(numpy_stream(3, "noise on points").standard_normal((2, d)))
    x = math.exp(-0.7) * points[:2] + math.sqrt(1 - math.exp(-1.4)) * z
    gaps = (x[:, None] - math.exp(-0.7) * points[None, :2]).square().sum(-1)
    plain = (gaps[[0, 1], [1, 0]] - gaps.diagonal()) / (2 * (1 - math.exp(-1.4)))
    torch.testing.assert_close(one, plain)


def test_the_direct_transcription_agrees_in_double_precision():
    """With the diagonals kept and subtracted in float64, as long as they leave enough digits."""
    for n, d, N in ((12, 3, 20), (40, 5, 30), (4, 6, 9)):
        setting = linear.Setting(n, d, N, sigma=1.5)
        originals = draw_originals(setting, 0)
        y, x = draw_training(setting, 0, 0)
        fit = setting.model.fit(y[None], x[None])
        for covariance, gaussian in (("right", fit), ("transposed", fit.transposed())):
            sign, log_abs = linear.log_delta(y[None], originals, gaussian, 1.5)
            unit = 0.5 * d * math.log(4 * math.pi * 1.5**2)
            arrays = (y.numpy(), x.numpy(), originals.numpy())
            direct = printed.delta_direct(*arrays, setting.model, covariance=covariance)
            assert direct == pytest.approx((sign * (log_abs + unit).exp()).item(), abs=1e-12)
            single = printed.delta_direct(*arrays, setting.model, np.float32, covariance)
            assert single.dtype == np.float32 and single == pytest.approx(direct, abs=1e-4)


def test_single_precision_decides_by_rounding():
    """At d = 100 all Deltas are negative; in float32 all of them are positive, or none, by n."""
    verdicts = {}
    for n in (110, 115, 125):
        setting = linear.Setting(n, 100, 300)
        originals = draw_originals(setting, 0).numpy()
        exact = linear.simulate(setting, 5)
        assert (exact.delta.sign == -1).all()
        size = (exact.delta.log_abs + 50 * math.log(4 * math.pi)).max()
        assert size < math.log(np.finfo(np.float32).eps / 30)
        single = {
            np.sign(
                printed.delta_direct(
                    *(part.numpy() for part in draw_training(setting, 0, k)),
                    originals, setting.model, np.float32, "right",
                )
            ).item()
            for k in range(5)
        }  # fmt: skip
        verdicts[n] = single
    assert all(len(names) == 1 for names in verdicts.values())
    assert {1.0} in verdicts.values()


def test_the_printed_exponent_lacks_a_variance():
    setting = linear.Setting(6, 2, 5)
    y, x = draw_training(setting, 1, 0)
    wrong = printed.hellinger_printed(y.numpy(), x.numpy(), setting.model)
    right = linear.hellinger(setting.model.fit(y[None], x[None])).item()
    assert abs(wrong - right) > 1e-3


def test_settings_with_one_signal_fraction_are_one():
    """At the same c the inputs are multiples of each other, and the fit undoes the factor."""
    runs = []
    for T in (0.3, 2.0, 9.0):
        lam = math.exp(-2 * T) / -math.expm1(-2 * T)
        runs.append(linear.simulate(linear.Setting(9, 6, 30, T=T, lam=lam), 20))
    same(runs[0], runs[1])
    same(runs[0], runs[2])


@pytest.mark.parametrize("c", [0.2, 0.5, 0.9])
def test_only_the_signal_fraction_matters(c):
    """Fits at a given c have the law of M M^T with M drawn from its formula."""
    n, d, count = 15, 6, 3000
    generator = np.random.default_rng(8)
    shape = (count, n - 1, d)
    wishart = generator.standard_normal(shape)
    wishart = np.einsum("bik,bil->bkl", wishart, wishart)
    values, vectors = np.linalg.eigh(wishart)
    root = (vectors / np.sqrt(values)[:, None]) @ vectors.transpose(0, 2, 1)
    noise = generator.standard_normal((count, d, d))
    product = math.sqrt(c) * np.eye(d) + math.sqrt(1 - c) * noise @ root
    expected = np.linalg.slogdet(product)[1]
    for T in (0.5, 3.0):
        lam = (1 / c - 1) * math.exp(-2 * T) / -math.expm1(-2 * T)
        setting = linear.Setting(n, d, 5, T=T, lam=lam, originals="expected")
        assert setting.model.signal_fraction == pytest.approx(c)
        y, x = (
            torch.stack(part)
            for part in zip(*(draw_training(setting, 2, k) for k in range(count)), strict=True)
        )
        fit = setting.model.fit(y, x)
        spread = fit.values[:, 0].new_tensor(math.exp(-2 * T)) * y.var(dim=1, correction=0).mean(1)
        scale = (spread + setting.model.noise_variance) * c / math.exp(-2 * T)
        # without sigma_X's error
        log_determinants = 0.5 * (fit.values.log().sum(1) - d * scale.log()).numpy()
        error = math.hypot(log_determinants.std(), expected.std()) / math.sqrt(count)
        assert abs(log_determinants.mean() - expected.mean()) < 4 * error


def test_marchenko_pastur_nodes():
    for gamma in (0.1, 0.5, 0.95):
        x, weights = limit.marchenko_pastur(gamma)
        assert weights @ x == pytest.approx(1, rel=1e-10)
        assert weights @ x**2 == pytest.approx(1 + gamma, rel=1e-10)
        assert weights @ (1 / x) == pytest.approx(1 / (1 - gamma), rel=1e-3)


@pytest.mark.parametrize(("n", "d"), [(500, 400), (600, 300), (1500, 150)])
def test_the_limit_against_large_matrices(n, d):
    """Both sides of the transition at n = d / c, for two signal fractions."""
    for lam in (math.exp(-4), 0.002):
        model = linear.LinearModel(d, lam=lam)
        generator = np.random.default_rng(n)
        y, z = (torch.from_numpy(generator.standard_normal((3, n, d))) for _ in range(2))
        fit = model.fit(y, model.noised(y, z))
        gamma, c = d / (n - 1), model.signal_fraction
        expected = linear.limit_rates(gamma, c)
        affinity = linear.log_affinity(fit).mean().item() / d
        assert affinity == pytest.approx(expected["log_affinity"], abs=1.2 / d)
        kl = linear.kl_divergence(fit).mean().item() / d
        assert kl == pytest.approx(expected["kl_from"], rel=0.05, abs=1.2 / d)
        for s in (0.1, 1.0):
            measured = (fit.values + s).log().mean().item()
            assert measured == pytest.approx(limit.log_determinant(s, gamma, c), abs=0.006)
        edges = torch.linspace(0.05, 2.0, 14, dtype=torch.float64)
        counts = torch.histogram(fit.values.flatten(), edges)[0] / fit.values.numel()
        fine = np.linspace(0.05, 2.0, 391)
        density = limit.spectral_density(fine, gamma, c)
        mass = [np.trapezoid(density[k : k + 31], fine[k : k + 31]) for k in range(0, 390, 30)]
        np.testing.assert_allclose(counts, mass, atol=0.012)


RATIOS = [(0.1, 0.5), (0.3, 0.1), (0.6, 0.9), (0.8, 0.5), (0.5, 0.5), (0.02, 3e-4)]


@pytest.mark.parametrize(("gamma", "c"), RATIOS)
def test_the_root_of_the_quartic_solves_the_two_equations(gamma, c):
    """On the real axis itself, down to eigenvalues of 1e-8."""
    x = limit.spectral_curve(gamma, c)[0][5:-5:10]
    nodes, weights = limit.marchenko_pastur(gamma, 4000)
    t = (1 - c) * gamma / nodes
    for z, density in zip(x, limit.spectral_density(x, gamma, c), strict=True):
        quartic = [(1 - gamma) * c**2, c * ((2 * gamma - 1) * z + gamma - c),
                   -gamma * z * (1 + c + z), z * ((1 + gamma) * z + c), -z * z]  # fmt: skip
        q = np.roots(quartic).astype(complex)
        q = q[(q / (c * q**2 - z)).imag.argmax()]
        delta, other = q / (c * q**2 - z), 1 / q - 1
        first = (weights / (-z * (1 + other) + c / (1 + delta * t))).sum()
        second = (weights * t / (-z * (1 + delta * t) + c / (1 + other))).sum()
        np.testing.assert_allclose([first, second], [delta, other], rtol=1e-11)
        assert delta.imag / np.pi == pytest.approx(density, rel=1e-9)


@pytest.mark.parametrize(("gamma", "c"), RATIOS[:-1])  # of the last, 4e-4 is below 1e-8
def test_the_quartic_is_the_limit_of_the_two_equations(gamma, c):
    """Near the real axis their solution, which is iterated, has the density of the quartic."""
    values, shares = limit.spectral_curve(gamma, c)
    x = values[20:-20:20]
    x = x[x > 1e-2]  # close to zero the iteration needs more than 100,000 steps

    def near(width):
        return limit.stieltjes(x * (1 + 1j * width), gamma, c, n_nodes=2000)[0].imag / np.pi

    # At a width w the density differs by a w + b w^2 + ...; two widths cancel the first term.
    found = 2 * near(0.5e-4) - near(1e-4)
    np.testing.assert_allclose(limit.spectral_density(x, gamma, c), found, rtol=1e-5)
    # All of the spectrum is there, with the mean of the covariance.
    assert shares[-1] == pytest.approx(1, abs=1e-4)
    mean = np.sum((values[1:] + values[:-1]) / 2 * np.diff(shares))
    assert mean == pytest.approx(c + (1 - c) * gamma / (1 - gamma), rel=2e-3)
    logs = np.sum(np.log1p((values[1:] + values[:-1]) / 2) * np.diff(shares))
    assert logs == pytest.approx(limit.log_determinant(1.0, gamma, c), abs=1e-3)
    assert (limit.spectral_density(np.array([values[0] * 1.001, 1e9]), gamma, c) == 0).all()


def test_log_determinant_at_zero_is_the_limit_of_small_s():
    for gamma, c in ((0.3, 0.5), (0.7, 0.5), (0.2, 0.1), (0.5, 0.5)):
        gaps = [
            abs(limit.log_determinant(s, gamma, c) - limit.log_determinant(0.0, gamma, c))
            for s in (1e-2, 1e-4, 1e-6)
        ]
        assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 5e-3


@pytest.mark.parametrize("T", [1e-12, 0.01, 20.0, 25.0, 50.0, 300.0, 350.0])
def test_every_diffusion_time_has_a_fit_and_a_limit(T):
    """A long time leaves a signal fraction near 0: rho_G is then noise around the mean alone."""
    for lam in (math.exp(-4), 1e-6, 1e6):
        model = linear.LinearModel(8, T, lam)
        c = model.signal_fraction
        assert 0 < c <= 1
        for ratio in (1.02, 1.5, 3.0, 90.0):
            rates = linear.limit_rates(1 / ratio, c)
            assert rates["log_affinity"] <= 1e-12 and rates["kl_from"] >= -1e-12
            assert all(math.isfinite(value) for value in rates.values())
        some = linear.simulate(linear.Setting(20, 8, 30, T=T, lam=lam), 3)
        assert all(not value.isnan().any() for value in tensors(some).values())
    one, other = (
        linear.limit_rates(0.5, linear.LinearModel(8, t).signal_fraction)["kl_from"]
        for t in (50.0, 60.0)
    )
    assert one == pytest.approx(other, rel=1e-6)  # the limit of no signal
    assert one == pytest.approx(linear.limit_rates(0.5, 1e-9)["kl_from"], rel=1e-3)


def test_without_noise_the_model_returns_what_it_was_given():
    assert linear.limit_rates(0.5, 1.0) == pytest.approx(
        {"log_affinity": 0, "kl_from": 0}, abs=1e-15
    )


def test_pair_terms_of_both_modules_agree():
    y = np.random.default_rng(0).standard_normal((300, 20))
    width = linear.kernel_width("leading", 300, 20)
    off = math.exp(log_pairs(torch.from_numpy(y), width).item() + 10 * math.log(4 * math.pi))
    assert printed.pair_term(y, width) == pytest.approx(1 + off, rel=1e-13)


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="n must be at least 2, got 1"):
        linear.Setting(1, 3)
    with pytest.raises(ValueError, match="originals must be one of 'fixed', 'fresh', 'expected'"):
        linear.Setting(5, 3, originals="new")
    with pytest.raises(ValueError, match="n must be at most n_originals = 4 if training is a sub"):
        linear.Setting(5, 3, 4, training="subset")
    with pytest.raises(ValueError, match="training must be 'independent' if originals"):
        linear.Setting(3, 3, 4, training="subset", originals="expected")
    with pytest.raises(ValueError, match="factor must be in"):
        linear.Setting(3, 3, factor=0.0)
    with pytest.raises(ValueError, match="n_simulations must be at least 1"):
        linear.simulate(linear.Setting(3, 3, 4), 0)
    with pytest.raises(ValueError, match="seed must be at least 0"):
        linear.sweep([linear.Setting(3, 3, 4)], 1, seed=-1)
    with pytest.raises(ValueError, match=r"gamma must be in \(0, 1\)"):
        linear.limit_rates(1.0, 0.5)
    with pytest.raises(ValueError, match="values must be positive and finite"):
        limit.spectral_density(np.array([0.0]), 0.5, 0.5)
    with pytest.raises(RuntimeError, match="no convergence in 3 iterations"):
        limit.stieltjes(np.array(-1.0), 0.5, 0.5, max_iterations=3)
