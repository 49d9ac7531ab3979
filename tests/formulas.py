"""To call functions of the script of live explorers in a page; see the fixture ``page``."""

import math

import torch

N_CASES = 200
CLOSE = 1e-9

# Infinity has no JSON, and a set is made once for all its cases.
CALL = """async ({ module, name, cases, points }) => {
  const { [name]: f } = await import(`/${module}.js`);
  const { trainingSet } = await import("/sets.js");
  const set = points && trainingSet(points);
  const value = (x) => (x === "inf" ? Infinity : x === "set" ? set : x);
  return cases.map((c) => f(...c.map(value)));
}"""


def plain(value):
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return "inf" if value == math.inf else value


def call(page, module, name, cases, points=None):
    """One function of the page for many cases; the argument "set" is the set of the points."""
    assert len(cases) > 0
    sent = [[plain(x) for x in case] for case in cases]
    points = None if points is None else points.tolist()
    given = {"module": module, "name": name, "cases": sent, "points": points}
    return torch.tensor(page.evaluate(CALL, given), dtype=torch.float64)
