"""Chapter 5: compute a long run of the linear model and keep it, ``python -m memnb.linear RUN``."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from memnb import results

from .experiment import sweep
from .readback import QUANTITIES
from .runs import RUNS, SEED, Run, name

__all__ = ["compute", "main"]


def compute(run: Run, jobs: int = 1) -> dict[str, torch.Tensor]:
    """All arrays of a run.

    Parameters
    ----------
    run : Run
        What to compute.
    jobs : int
        Number of joblib workers.

    Returns
    -------
    dict of str to Tensor
        ``<quantity>_<part>``; signs as int8, everything else as float64.
    """
    arrays = {}
    for part in run.parts:
        done = sweep(part.settings, run.n_simulations, SEED, n_jobs=jobs)
        for quantity in run.quantities:
            rows = torch.stack([QUANTITIES[quantity](some) for some in done])
            rows = rows.to(torch.int8) if quantity.startswith("sign") else rows
            arrays[f"{quantity}_{part.label}"] = rows.reshape(*part.shape, run.n_simulations)
    return arrays


def _kept(run: str, root: Path | None) -> bool:
    try:
        results.load(name(run), root)
    except results.ResultsCorrupt:
        return False
    return True


def _stop(*_):
    sys.exit(143)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute a run and keep it; what is kept already stays, unless ``--again`` is given.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line without the program's name; that of the process if not given.

    Returns
    -------
    int
        Exit status: 0, or 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="python -m memnb.linear", description=__doc__)
    parser.add_argument("run", choices=RUNS, help="the run")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="worker processes")
    parser.add_argument("--again", action="store_true", help="also if the run is kept already")
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="folder of results (default: results/)"
    )
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    if _kept(options.run, options.results) and not options.again:
        print(f"{name(options.run)} is kept already; --again computes it anew")
        return 0
    before = signal.signal(signal.SIGTERM, _stop)
    run = RUNS[options.run]
    torch.set_num_threads(1)
    began = time.perf_counter()
    try:
        arrays = compute(run, options.jobs)
    except KeyboardInterrupt:
        print(f"{options.run} stopped; nothing was written", file=sys.stderr)
        return 130
    except SystemExit:
        print(f"{options.run} stopped by SIGTERM; nothing was written", file=sys.stderr)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    results.save(
        name(options.run),
        arrays,
        command=f"python -m memnb.linear {options.run}",
        parameters={
            "n_simulations": run.n_simulations,
            "parts": {
                part.label: {
                    "n": sorted({s.n for s in part.settings}),
                    "d": sorted({s.dim for s in part.settings}),
                    "N": sorted({s.n_originals for s in part.settings}),
                    "originals": part.settings[0].originals,
                }
                for part in run.parts
            },
        },
        seed=SEED,
        device=results.cpu(),
        seconds=time.perf_counter() - began,
        root=options.results,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
