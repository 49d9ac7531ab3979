"""The explorer of endpoint classes against time: drawn starts, classes, exact probabilities."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from formulas import CLOSE, N_CASES, call

import memnb
from memnb.minnorm.probabilities import score_flow_probabilities
from memnb.streams import portable_normals, stream

TIMES = (0.0, 0.3, 2.0, 5.0, 20.0, 300.0)


@pytest.mark.parametrize("seed", [0, 99])
def test_the_page_draws_the_numbers_of_python(page, seed):
    generator = stream(seed, "a page")
    found = page.evaluate(
        """async ({ state }) => {
          const { Normals } = await import("/random.js");
          const normals = new Normals(100, 60).restart(7);
          normals.upTo(40, 60);
          normals.restart(state);
          normals.upTo(7, 9);
          normals.upTo(20, 31);
          return JSON.stringify([...normals.upTo(100)]);
        }""",
        {"state": generator.initial_seed()},
    )
    found = torch.tensor(json.loads(found), dtype=torch.float64)
    torch.testing.assert_close(found, portable_normals(generator, 6000), rtol=0, atol=1e-13)


def starts(K, dim, rho):
    """Random starts, and such with coordinates on all kinks: ends, middle, edges of the ramp."""
    generator = stream(0, "classes in time", K)
    y = torch.randn(2 * N_CASES, dim, generator=generator, dtype=torch.float64)
    y[::2, K:] *= 0.02  # near the span, so that all classes occur
    marks = torch.tensor([0.0, rho, 0.5, 1 - rho, 1.0, -0.1, 1.1, 0.3, 0.8], dtype=y.dtype)
    place = torch.randint(len(marks), (N_CASES, K), generator=generator)
    y[:N_CASES, :K] = marks[place]
    return y


CLASSES_AT = """async ({ y, K, rho, t, inf, times }) => {
  const { Flow, SquaredNorms, classesAt } = await import("/counts.js");
  const [n, width] = [y.length, y[0].length];
  const flow = new Flow(n, K).restart(rho).upTo(n, y.flat(), width);
  const off = new SquaredNorms(n).restart(K, width).upTo(n, y.flat(), width).values;
  return times.map((r) => [[0, 9], [9, n]].flatMap((rows) =>
    [...classesAt(flow, off, rows, K, r, t, inf)]));
}"""


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize(
    ("K", "dim", "rho"),
    [(1, 1, 0.1), (2, 2, 0.01), (2, 2, 0.49), (2, 5, 0.3), (10, 30, 0.1), (10, 30, 0.49)],
)
def test_starts_are_in_the_class_of_python(page, K, dim, rho, norm):
    data, y = memnb.orthogonal_set(K + 1, dim), starts(K, dim, rho)
    denoiser = memnb.RampDenoiser(data, rho)
    seen = set()
    for t in (0.05, 0.2, 0.4):
        given = {"y": y.tolist(), "K": K, "rho": rho, "t": t, "inf": norm == "linf"}
        found = torch.tensor(page.evaluate(CLASSES_AT, {**given, "times": TIMES}))
        for r, labels in zip(TIMES, found, strict=True):
            end = memnb.score_flow(y, denoiser, r)
            near = [
                memnb.classify(end, data, t + e, norm).labels for e in (-1e-12, 0.0, 1e-12)
            ]  # at a threshold rounding decides
            sure = (near[0] == near[1]) & (near[1] == near[2])
            assert sure.sum() >= N_CASES
            torch.testing.assert_close(labels[sure], near[1][sure], rtol=0, atol=0)
            seen |= set(labels.tolist())
    assert len(seen) >= {1: 3, 2: 5, 10: 4}[K]  # with ten edges hardly one start is inside


def test_probabilities(page):
    sizes = ((1, 1), (1, 6), (2, 2), (10, 30), (30, 30), (30, 60))
    settings = itertools.product(
        sizes, (0.01, 0.1, 0.3, 0.49), (*TIMES, math.inf), (0.05, 0.2, 0.4), ("l2", "linf")
    )
    cases, expected = [], []
    for (K, dim), rho, r, t, norm in settings:
        cases.append((K, dim, rho, r, t, norm == "linf"))
        expected.append(score_flow_probabilities(K, dim, rho, r, t, norm))
    assert len(cases) > N_CASES
    found = call(page, "chances", "chances", cases)
    torch.testing.assert_close(found, torch.tensor(np.array(expected)), rtol=0, atol=CLOSE)


def test_special_functions(page):
    from scipy.special import gammainc, ndtr

    x = torch.cat([torch.linspace(-9, 9, 301), torch.tensor([-30.0, 0.0, 6.0])]).double()
    found = call(page, "chances", "normal", [(v,) for v in x])
    torch.testing.assert_close(found, torch.tensor(ndtr(x.numpy())), rtol=1e-11, atol=1e-15)
    cases = [(x, n) for n in (1, 2, 3, 8, 29, 30, 59) for x in torch.linspace(0, 150, 40).double()]
    expected = torch.tensor([gammainc(n / 2, float(x) / 2) for x, n in cases], dtype=x.dtype)
    found = call(page, "chances", "chiSquared", cases)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
