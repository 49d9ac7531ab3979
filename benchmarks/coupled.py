r"""Event-driven flows of simplex data against an integrator: ``python -m benchmarks.coupled``.

Each row moves the same 500 starts on an obtuse simplex with unit edges, half way to the widest
angle, with the exact solution from event to event and with torchdiffeq's ``dopri5`` at
``rtol = atol`` of 1e-6 and of 1e-10, in turns in one process on one thread; times are medians.
Score flow runs for r = 10, probability flow from :math:`\sigma = 1` to 0.01 (dopri5 in
:math:`\log\sigma`), both with :math:`\rho = 0.1` at the start.

Errors are the largest and the median distance to the exact solution; that solution's own error is
estimated by going the same way in two pieces. The largest error of dopri5 belongs to a start near
the border of two basins, where errors grow. Steps are, for the exact solution, the mean number of
events of a start (a coordinate passes the foot or top of its ramp), and for dopri5 the number of
evaluations of the denoiser, six for each step that it tries.
"""

import statistics
import time

from tqdm import tqdm

import memnb
from benchmarks import Compared, is_quick
from memnb.minnorm._coupled import CoupledFlow

__all__ = ["compare", "main", "measure"]

SIZES = ((3, 2), (3, 100), (11, 30), (31, 30), (31, 100))
RHO, R, LAST = 0.1, 10.0, 0.01


class _Counted:
    """Count the calls of a denoiser, or of the denoisers of a family."""

    def __init__(self):
        self.calls = 0

    def __call__(self, denoiser):
        def counted(y):
            self.calls += 1
            return denoiser(y)

        return counted


def _arms(data, count):
    h, family = memnb.RampDenoiser(data, RHO), memnb.ramp_family(data, RHO)

    def steps(tolerance):
        options = {"return_path": False, "rtol": tolerance, "atol": tolerance}
        return (
            lambda y: memnb.score_flow_stepped(y, count(h), [0.0, R], "dopri5", **options),
            lambda y: memnb.probability_flow_stepped(
                y, lambda sigma: count(family(sigma)), [1.0, LAST], "log_sigma", "dopri5", **options
            ),
        )

    def in_two(y):
        half = memnb.probability_flow(y, h, 1.0, 0.1)
        return memnb.probability_flow(half, h.with_rho(0.1 * RHO), 0.1, LAST)

    exact = (
        lambda y: memnb.score_flow(y, h, R),
        lambda y: memnb.probability_flow(y, h, 1.0, LAST),
    )
    pieces = (lambda y: memnb.score_flow(memnb.score_flow(y, h, R / 3), h, 2 * R / 3), in_two)
    loose, tight = steps(1e-6), steps(1e-10)
    return {
        name: {"exact": exact[k], "dopri5 1e-6": loose[k], "dopri5 1e-10": tight[k]}
        for k, name in enumerate(("score flow", "probability flow"))
    }, dict(zip(("score flow", "probability flow"), pieces, strict=True))


def measure(n_points, dim, n_starts, repeats):
    """Times, errors and steps of one simplex.

    Parameters
    ----------
    n_points, dim, n_starts : int
        Numbers of points N, dimensions d and starts.
    repeats : int
        How often all methods run in turn.

    Returns
    -------
    list of dict
        Flow, method, N, d, seconds (median), ratio to the exact solution, error (largest), median
        error, steps.
    """
    angle = 90 + 0.5 * (memnb.widest_angle(n_points) - 90)
    data = memnb.obtuse_simplex(n_points, dim, angle=angle, seed=0)
    y = memnb.gaussian_starts(n_starts, dim, seed=0)
    count = _Counted()
    arms, in_pieces = _arms(data, count)
    h = memnb.RampDenoiser(data, RHO)
    exact_flows = {
        "score flow": CoupledFlow.score(h, R),
        "probability flow": CoupledFlow.probability(h, 1.0, LAST),
    }
    rows = []
    for flow, methods in arms.items():
        seconds, ends, steps = {name: [] for name in methods}, {}, {}
        for name, method in methods.items():  # also the warm-up
            count.calls = 0
            ends[name], steps[name] = method(y), count.calls
        steps["exact"] = exact_flows[flow].solve(y)[1].double().mean().item()
        exact = ends["exact"]
        for _ in range(repeats):
            for name, method in methods.items():
                began = time.perf_counter()
                method(y)
                seconds[name].append(time.perf_counter() - began)
        ends["exact"] = in_pieces[flow](y)  # what is left is the exact solution's own error
        base = statistics.median(seconds["exact"])
        for name, spent in seconds.items():
            errors = (ends[name] - exact).norm(dim=1)
            rows.append(
                {
                    "flow": flow,
                    "method": name,
                    "N": n_points,
                    "d": dim,
                    "seconds": statistics.median(spent),
                    "ratio": statistics.median(spent) / base,
                    "error": errors.max().item(),
                    "median error": errors.median().item(),
                    "steps": steps[name],
                }
            )
    return rows


def compare(quick=False):
    """Rows of the page: the exact solution beside dopri5 at both tolerances.

    Parameters
    ----------
    quick : bool
        The smallest simplex, 20 starts, one repetition.

    Returns
    -------
    list of Compared
    """
    sizes, n_starts = (SIZES[:1], 20) if quick else (SIZES, 500)
    table = []
    for n_points, dim in tqdm(sizes, desc="coupled flows"):
        rows = measure(n_points, dim, n_starts, 1 if quick else 3)
        exact = {row["flow"]: row for row in rows if row["method"] == "exact"}
        table += [
            Compared(
                "Event-driven flows against integrators",
                f"{row['flow']}, {n_starts} starts, N = {n_points}, d = {dim}",
                "exact, from event to event",
                f"dopri5, rtol = atol = {row['method'].split()[1]}",
                exact[row["flow"]]["seconds"],
                row["seconds"],
                1,
                note=f"{exact[row['flow']]['steps']:.0f} events a start; the integrator is off by"
                f" {row['median error']:.0e} in the median, {row['error']:.0e} at most",
            )
            for row in rows
            if row["method"] != "exact"
        ]
    return table


def main():
    """Print the table."""
    quick = is_quick(__doc__, "one size, one repetition")
    sizes, repeats = (SIZES[:1], 1) if quick else (SIZES, 5)
    print("| flow | method | N | d | steps | seconds | times exact | error | median error |")
    print("|:--|:--|--:|--:|--:|--:|--:|--:|--:|")
    for n_points, dim in tqdm(sizes, desc="sizes"):
        for row in measure(n_points, dim, 500, repeats):
            print(
                f"| {row['flow']} | {row['method']} | {row['N']} | {row['d']} "
                f"| {row['steps']:.4g} | {row['seconds']:.4f} | {row['ratio']:.1f} "
                f"| {row['error']:.0e} | {row['median error']:.0e} |"
            )


if __name__ == "__main__":
    main()
