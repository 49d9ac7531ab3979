"""The sweeps of the chapter on the linear model: ``python -m memnb.linear RUN``."""

import argparse
import time

import torch

from memnb import results

from .runs import RUNS, SEED, SIMULATIONS, N, name

__all__ = ["main"]


def main():
    """Run a sweep and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", choices=RUNS, default="onset")
    parser.add_argument("--jobs", type=int, default=1, help="joblib workers")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    arrays = dict(RUNS[arguments.run](arguments.jobs))
    results.save(
        name(arguments.run),
        arrays,
        command=f"python -m memnb.linear {arguments.run}",
        parameters={"N": N, "n_simulations": SIMULATIONS},
        seed=SEED,
        device=results.cpu(),
        seconds=time.perf_counter() - began,
    )


if __name__ == "__main__":
    main()
