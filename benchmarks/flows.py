r"""Exact flows against numerical integrators: ``python -m benchmarks.flows``.

Each row moves the same starts with the exact map, with torchdiffeq's ``dopri5`` (rtol = atol =
1e-6) and with 100 Euler steps, one after the other in one process, and repeats that; the times
are medians. Score flow runs for r = 10 at :math:`\rho = 0.3`. Probability flow runs from
:math:`\sigma = 1`, where :math:`\rho = 0.3`, to :math:`\sigma = 10^{-3}`: dopri5 in
:math:`\log\sigma`, Euler in t. N = 31 orthogonal points in d = 30 dimensions, float64.

A second part counts the endpoints of many starts in a process of its own and reports its largest
resident memory.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time

import torch
from tqdm import tqdm

import memnb
from benchmarks import Compared

__all__ = ["compare", "main", "measure"]

N, D, RHO, R, LAST = 31, 30, 0.3, 10.0, 1e-3
TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}


def _arms():
    """Flow name to method name to a function of the starts."""
    data = memnb.orthogonal_set(N, D, seed=0)
    h = memnb.RampDenoiser(data, RHO)
    family = memnb.ramp_family(data, RHO)
    times = memnb.uniform_grid(0, R, 101)
    levels = memnb.uniform_grid(1.0, LAST**2, 101)

    def score(method, grid, **options):
        return lambda y: memnb.score_flow_stepped(y, h, grid, method, return_path=False, **options)

    def prob(variable, method, grid, **options):
        return lambda y: memnb.probability_flow_stepped(
            y, family, grid, variable, method, return_path=False, **options
        )

    return {
        "score flow": {
            "exact": lambda y: memnb.score_flow(y, h, R),
            "dopri5": score("dopri5", [0.0, R], **TOLERANCE),
            "Euler, 100 steps": score("euler", times),
        },
        "probability flow": {
            "exact": lambda y: memnb.probability_flow(y, h, 1.0, LAST),
            "dopri5": prob("log_sigma", "dopri5", [1.0, LAST], **TOLERANCE),
            "Euler, 100 steps": prob("t", "euler", levels),
        },
    }


def measure(n_starts, repeats, progress=True):
    """Times and errors of all methods.

    Parameters
    ----------
    n_starts : int
        Number of starts.
    repeats : int
        How often all methods run in turn.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    list of dict
        Flow, method, starts, seconds (median, least, most), ratio of the median to that of the
        exact map, and the largest distance to the exact map.
    """
    y = memnb.gaussian_starts(n_starts, D, seed=0)
    rows = []
    for flow, methods in _arms().items():
        seconds = {name: [] for name in methods}
        ends = {name: method(y) for name, method in methods.items()}  # also the warm-up
        for _ in tqdm(range(repeats), desc=f"{flow}, {n_starts} starts", disable=not progress):
            for name, method in methods.items():
                began = time.perf_counter()
                method(y)
                seconds[name].append(time.perf_counter() - began)
        exact = statistics.median(seconds["exact"])
        for name, taken in seconds.items():
            middle = statistics.median(taken)
            rows.append(
                {
                    "flow": flow,
                    "method": name,
                    "starts": n_starts,
                    "median": middle,
                    "least": min(taken),
                    "most": max(taken),
                    "ratio": middle / exact,
                    "error": (ends[name] - ends["exact"]).norm(dim=1).max().item(),
                }
            )
    return rows


def compare(quick=False):
    """Rows of the page: the exact map beside both integrators.

    Parameters
    ----------
    quick : bool
        1000 starts, one repetition.

    Returns
    -------
    list of Compared
    """
    rows = measure(*((1000, 1) if quick else (10**5, 3)))
    exact = {row["flow"]: row["median"] for row in rows if row["method"] == "exact"}
    return [
        Compared(
            "Exact flows against integrators",
            f"{row['flow']}, {row['starts']} starts, N = {N}, d = {D}",
            "exact map",
            row["method"] + (", rtol = atol = 1e-6" if row["method"] == "dopri5" else ""),
            exact[row["flow"]],
            row["median"],
            100 if row["method"] == "dopri5" else None,
            note=f"the integrator is off by {row['error']:.0e} at most",
        )
        for row in rows
        if row["method"] != "exact"
    ]


def _table(rows):
    lines = [
        "| flow | starts | method | median s | least to most | times exact | largest error |",
        "|:--|--:|:--|--:|:--|--:|--:|",
    ]
    for row in rows:
        lines.append(
            "| {flow} | {starts} | {method} | {median:.4f} | {least:.4f} to {most:.4f} "
            "| {ratio:.1f} | {error:.1e} |".format(**row)
        )
    return "\n".join(lines)


def _many(n_starts):
    """Run in a child process: count endpoints in chunks, print time and memory."""
    data = memnb.orthogonal_set(N, D, seed=0)
    h = memnb.RampDenoiser(data, RHO)
    began = time.perf_counter()
    counts = memnb.count_endpoints(
        lambda y: memnb.score_flow(y, h, R), data, n_starts, progress=sys.stderr.isatty()
    )
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"counts": counts, "seconds": seconds, "peak_bytes": peak}))


def main(arguments=None):
    """Print the tables; ``--quick`` for a short run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flows", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10^3 starts, 3 repeats")
    parser.add_argument("--many", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.many:
        return _many(options.many)
    sizes, repeats, many = ((1000,), 3, 10**5) if options.quick else ((1000, 10**5), 7, 10**7)
    print(f"Python {platform.python_version()}, torch {torch.__version__}, 1 thread, float64,")
    print(f"N = {N}, d = {D}, medians of {repeats}.\n")
    rows = [row for size in sizes for row in measure(size, repeats)]
    print(_table(rows))
    command = [sys.executable, "-m", "benchmarks.flows", "--many", str(many)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result = json.loads(done.stdout)
    print(
        f"\n{many:.0e} starts of score flow in chunks: {result['seconds']:.1f} s, "
        f"{result['peak_bytes'] / 1e9:.2f} GB at most, {result['counts']}"
    )


if __name__ == "__main__":
    main()
