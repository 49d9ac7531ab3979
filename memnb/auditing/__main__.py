"""Chapter 7: the long runs of the chapter on audits, ``python -m memnb.auditing RUN``."""

import argparse
import sys
import time
from dataclasses import asdict

import torch

from memnb import results

from .runs import CHAPTER, RUNS

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Do one run and keep it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m memnb.auditing", description=__doc__)
    parser.add_argument("run", choices=tuple(RUNS))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    run, began = RUNS[options.run], time.perf_counter()
    try:
        arrays = run.run()
    except KeyboardInterrupt:
        print("memnb.auditing: interrupted; nothing was written", file=sys.stderr)
        return 130
    results.save(
        f"{CHAPTER}/{options.run}",
        arrays,
        command=f"python -m memnb.auditing {options.run}",
        parameters=asdict(run),
        seed=run.seed,
        device=results.cpu(),
        seconds=time.perf_counter() - began,
        packages=("scikit-learn", "scipy"),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
