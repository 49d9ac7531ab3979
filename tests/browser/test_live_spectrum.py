"""The explorer of the linear model: linear algebra, the fit, and the limit of large n and d."""

import json
import math

import numpy as np
import pytest
import torch
from formulas import CLOSE, N_CASES, call

from memnb import linear
from memnb.linear import limit

MAP = """async ({ name, cases }) => {
  const { [name]: f } = await import("/spectrum.js");
  return cases.map((c) => f(...c));
}"""


def symmetric():
    """Random matrices of many sizes and spectra: clustered, singular, graded, diagonal, zero."""
    generator = np.random.default_rng(0)
    for k in range(N_CASES):
        n = 1 + k % 25
        q = np.linalg.qr(generator.standard_normal((n, n)))[0]
        values = [
            generator.standard_normal(n),
            10.0 ** generator.uniform(-8, 8, n),
            generator.integers(-2, 3, n).astype(float),
            np.arange(n) * 1e-9 + 1,
        ][k % 4]
        matrix = (q * values) @ q.T
        yield (matrix + matrix.T) / 2
    yield np.zeros((5, 5))
    yield np.diag([3.0, -1.0, 0.0, 2.0])
    yield np.ones((7, 7))
    yield np.diag(np.ones(9), 1) + np.diag(np.ones(9), -1)
    big = generator.standard_normal((80, 80))
    yield big + big.T


def test_eigenvalues(page):
    matrices = list(symmetric())
    given = {"name": "eigenvalues", "cases": [[m.tolist()] for m in matrices]}
    for matrix, found in zip(matrices, page.evaluate(MAP, given), strict=True):
        expected = np.linalg.eigvalsh(matrix)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_small_singular_values_keep_their_digits(page):
    generator = np.random.default_rng(1)
    matrices = []
    for n in (1, 2, 8, 40):
        u, v = (np.linalg.qr(generator.standard_normal((n, n)))[0] for _ in range(2))
        matrices.append((u * np.geomspace(1, 1e-5, n)) @ v)
    given = {"name": "singularValues", "cases": [[m.tolist()] for m in matrices]}
    for matrix, found in zip(matrices, page.evaluate(MAP, given), strict=True):
        expected = np.linalg.svd(matrix, compute_uv=False)
        np.testing.assert_allclose(found, expected, rtol=CLOSE)


# n around the rank, where the fit is worst conditioned, and around 3 d, where the method changes
SHAPES = [(n, d) for d in (2, 5, 16, 40)
          for n in sorted({2, d - 1, d, d + 1, d + 2, 2 * d, 3 * d + 1, 3 * d + 2, 400})
          if n >= 2]  # fmt: skip


def test_what_is_generated(page):
    cases, expected = [], []
    for n, d in SHAPES:
        for T, lam in ((0.1, 1.0), (2.0, math.exp(-4)), (4.0, math.exp(-8)), (4.0, 1.0)):
            for seed in range(2):
                setting = linear.Setting(n, d, T=T, lam=lam)
                generator = np.random.default_rng((n, d, seed))
                y, z = (torch.from_numpy(generator.standard_normal((n, d))) for _ in range(2))
                fit = setting.model.fit(y, setting.model.noised(y, z))
                cases.append([y.mT.tolist(), z.mT.tolist(), T, lam])
                expected.append((fit.values, fit.rank, linear.hellinger(fit)))
    assert len(cases) > N_CASES
    # As text: so many numbers one by one take a browser's driver half a minute
    call_typed = """async (cases) => {
      const { generated } = await import("/spectrum.js");
      const typed = (rows) => rows.map((row) => Float64Array.from(row));
      return JSON.parse(cases).map(([y, z, T, lam]) => generated(typed(y), typed(z), T, lam));
    }"""
    for found, (values, rank, h2) in zip(
        page.evaluate(call_typed, json.dumps(cases)), expected, strict=True
    ):
        assert found["rank"] == rank
        mine = torch.tensor(found["values"], dtype=torch.float64)
        assert (mine[rank:] == 0).all()
        torch.testing.assert_close(mine, values, rtol=CLOSE, atol=0)
        affinity = torch.tensor(1 - found["hellinger"], dtype=torch.float64)
        torch.testing.assert_close(affinity, 1 - h2, rtol=CLOSE, atol=1e-14)


# Where c is almost 1 or n almost d + 1, roots of the quartic almost meet: digits are lost, in
# Python too.
RATIOS = [(gamma, c, CLOSE) for gamma in (0.04, 0.3, 0.5046, 0.7, 0.95)
          for c in (0.02, 0.3, 0.5046, 0.9)]  # fmt: skip
RATIOS += [(gamma, c, 1e-4) for gamma in (0.002, 0.3, 0.98) for c in (3e-4, 0.9999)]


def test_the_density_of_the_limit(page):
    count = 0
    for gamma, c, close in RATIOS:
        values = limit.spectral_curve(gamma, c, 16)[0]
        # Inside, where the density is not the root of rounding, and beyond
        x = np.concatenate([values[1:-1], [values[0] * 1.01, values[-1] / 1.01]])
        found = call(page, "spectrum", "limitDensity", [(float(v), gamma, c) for v in x])
        expected = torch.from_numpy(limit.spectral_density(x, gamma, c))
        torch.testing.assert_close(found, expected, rtol=close, atol=1e-12)
        count += len(x)
    assert count > N_CASES


def test_the_curve_of_the_limit_and_its_distance(page):
    for gamma, c, close in RATIOS:
        (found,) = page.evaluate(MAP, {"name": "limitCurve", "cases": [[gamma, c, 100]]})
        values, shares = limit.spectral_curve(gamma, c, 100)
        # The edges of the spectrum are where a pair of roots becomes real.
        np.testing.assert_allclose(found["values"], values, rtol=10 * close)
        np.testing.assert_allclose(found["shares"], shares, atol=10 * close)
        (affinity,) = call(page, "spectrum", "limitAffinity", [(gamma, c)]).tolist()
        expected = limit.limit_rates(gamma, c)["log_affinity"]
        assert affinity == pytest.approx(expected, rel=CLOSE, abs=CLOSE)


def test_while_something_moves_the_curve_is_right_to_a_part_of_a_pixel(page):
    pixel = math.log(1.6e9) / 322  # the chart's variances, and its height
    for gamma, c, _ in RATIOS:
        rough, whole = page.evaluate(
            MAP, {"name": "limitCurve", "cases": [[gamma, c, 40, True], [gamma, c, 40]]}
        )
        np.testing.assert_allclose(np.log(rough["values"]), np.log(whole["values"]), atol=pixel / 2)
        close = 5e-3 if gamma <= 0.95 else 2e-2  # where 40 points are few for either
        np.testing.assert_allclose(rough["shares"], whole["shares"], atol=close)


def test_rough_singular_values_are_right_to_the_floor_of_the_picture(page):
    generator = np.random.default_rng(3)
    matrices = [generator.standard_normal((n, n)) / math.sqrt(n) for n in (1, 2, 8, 40)]
    matrices += [(m * np.geomspace(1, 1e-5, len(m))) @ m.T for m in matrices]
    given = {"name": "singularValues", "cases": [[m.tolist(), True] for m in matrices]}
    for matrix, found in zip(matrices, page.evaluate(MAP, given), strict=True):
        expected = np.linalg.svd(matrix, compute_uv=False) ** 2
        np.testing.assert_allclose(np.square(found), expected, rtol=0, atol=1e-13 * expected[0])
