"""The sweep at the paper's sizes, kept under ``results/``: ``python -m memnb.linear.record``.

N = 10000 original points, 200 simulations of each n, for d = 16 and d = 100: with one fixed
original set up to n = N, and with a fresh set for each simulation up to n = 1000. It takes minutes,
because the pair term of n = 10000 training points is a sum over 5e7 pairs in each simulation. The
chapter loads the run and recomputes a random part of it.
"""

import argparse
import time

import torch

from memnb import results

from .experiment import Setting, sweep

__all__ = ["GRIDS", "NAME", "SEED", "SIMULATIONS", "settings"]

NAME = "05-linear-model/onset"
SEED, SIMULATIONS, N = 0, 200, 10_000
GRIDS = {
    16: (4, 8, 12, 16, 17, 20, 24, 28, 32, 40, 48, 64, 100, 200, 500, 1000, 2000, 5000, 10_000),
    100: (25, 50, 75, 90, 100, 110, 125, 150, 200, 250, 300, 400, 500, 700, 1000, 2000, 5000,
          10_000),
}  # fmt: skip
FRESH_UP_TO = 1000


def settings(dim, originals):
    """The settings of one dimension, in the order in which the run keeps them.

    Parameters
    ----------
    dim : {16, 100}
    originals : {"fixed", "fresh"}

    Returns
    -------
    list of Setting
    """
    last = N if originals == "fixed" else FRESH_UP_TO
    return [Setting(n, dim, N, originals=originals, printed=True) for n in GRIDS[dim] if n <= last]


def main():
    """Run the sweeps and keep them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1, help="joblib workers")
    jobs = parser.parse_args().jobs
    torch.set_num_threads(1)
    began = time.perf_counter()
    arrays = {}
    for dim in GRIDS:
        for originals in ("fixed", "fresh"):
            found = sweep(settings(dim, originals), SIMULATIONS, SEED, n_jobs=jobs)
            for name in ("hellinger", "log_abs", "sign", "sign_expected", "sign_printed"):
                part = torch.stack([one[name] for one in found])
                part = part.to(torch.int8) if name.startswith("sign") else part
                arrays[f"{name}_{originals}_{dim}"] = part
    results.save(
        NAME,
        arrays,
        command="python -m memnb.linear.record",
        parameters={"N": N, "n_simulations": SIMULATIONS, "grids": GRIDS, "fresh_up_to": 1000},
        seed=SEED,
        device=results.cpu(),
        seconds=time.perf_counter() - began,
    )


if __name__ == "__main__":
    main()
