"""The same seed gives the same numbers: bit for bit in two runs, to 1e-9 on 1 and 2 threads."""

import json
import subprocess
import sys

import numpy as np
import pytest

PROGRAM = """
import json, math, sys, torch
torch.set_num_threads(int(sys.argv[1]))
import memnb
state = torch.get_rng_state()
data = memnb.orthogonal_set(31, 100, seed=3)
h = memnb.RampDenoiser(data, 0.1)
y = memnb.gaussian_starts(4000, 100, seed=5)
bayes = memnb.EmpiricalBayesDenoiser(data.points, 0.2)
numbers = [
    data.points, y[:50], h(y).sum(dim=0), memnb.score_flow(y, h, 2.5)[:50],
    memnb.score_flow(y, h, math.inf).mean(dim=0), memnb.probability_flow(y, h, 1.0, 0.1)[:50],
    memnb.critical_time(y, data, 0.3), bayes(y)[:50],
    memnb.score_flow_stepped(y[:50], bayes, [0.0, 0.5, 1.0], "rk4")[-1],
]
counts = memnb.count_endpoints(
    lambda y: memnb.probability_flow(y, h, 1.0, 0.0), data, 3000, seed=2, chunk=700)
assert torch.equal(torch.get_rng_state(), state), "global random state was used"
print(json.dumps({"numbers": torch.cat([x.flatten() for x in numbers]).tolist(),
                  "counts": counts}))
"""


def run(threads):
    command = [sys.executable, "-c", PROGRAM, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def runs():
    return run(1), run(1), run(2)


def test_two_runs_are_identical(runs):
    first, again, _ = runs
    assert len(first["numbers"]) > 10_000 and np.std(first["numbers"]) > 0.1
    assert first == again


def test_threads_do_not_matter(runs):
    one, _, two = runs
    np.testing.assert_allclose(one["numbers"], two["numbers"], rtol=0, atol=1e-9)
    assert one["counts"] == two["counts"]
