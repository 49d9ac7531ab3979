"""Chapter 5: the long runs of the linear model, ``python -m memnb.linear RUN``.

Each part of a run (a curve or a map) is kept under ``--workdir`` when it is done, so that a run
that was stopped goes on with the next part. At the end it is written to ``results/``.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from memnb import results
from memnb.commands import conclude, device_name, finished, run_parser

from .experiment import sweep
from .readback import QUANTITIES
from .runs import RUNS, SEED, Part, Run, name

__all__ = ["compute", "main"]


def _one(part: Part, run: Run, device: str, jobs: int | None) -> dict[str, torch.Tensor]:
    """The arrays of one part."""
    done = sweep(part.settings, run.n_simulations, SEED, n_jobs=jobs, device=device)
    arrays = {}
    for quantity in run.quantities:
        rows = torch.stack([QUANTITIES[quantity](some) for some in done])
        rows = rows.to(torch.int8) if quantity.startswith("sign") else rows
        arrays[f"{quantity}_{part.label}"] = rows.reshape(*part.shape, run.n_simulations)
    return arrays


def compute(
    run: Run, workdir: Path, device: str = "cpu", jobs: int | None = 1
) -> tuple[dict[str, torch.Tensor], float]:
    """All arrays of a run, and how many seconds they took; finished parts are read.

    Parameters
    ----------
    run : Run
        What to compute.
    workdir : path
        Folder of the finished parts; it is made if it is not there.
    device : str
        Where matrices are computed.
    jobs : int or None
        Number of processes, see :func:`memnb.commands.each`.

    Returns
    -------
    arrays : dict of str to Tensor
        ``<quantity>_<part>``; signs as int8, everything else as float64.
    seconds : float
        Wall time of all parts.

    Raises
    ------
    ValueError
        If a file in ``workdir`` is not a finished part of this run.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    arrays, seconds = {}, 0.0
    for part in run.parts:
        what = repr((part, run.quantities, run.n_simulations, SEED))
        path = workdir / f"{part.label}.pt"
        some, took = finished(path, what, partial(_one, part, run, device, jobs))
        arrays |= some
        seconds += took
    return arrays, seconds


def _is_kept(run: str) -> bool:
    try:
        results.load(name(run))
    except results.ResultsCorrupt:
        return False
    return True


def _do(options: argparse.Namespace) -> str:
    if _is_kept(options.run) and not options.again:
        return f"{name(options.run)} is kept already; --again computes it anew"
    run = RUNS[options.run]
    torch.set_num_threads(1)
    workdir = options.workdir / options.run
    arrays, seconds = compute(run, workdir, options.device, options.jobs)
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
        device=device_name(options.device),
        seconds=seconds,
    )
    for part in run.parts:
        (workdir / f"{part.label}.pt").unlink()
    return f"kept {name(options.run)} after {seconds:.1f} s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute a run and keep it; what is kept already stays, unless ``--again`` is given.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line without the program's name; that of the process if not given.

    Returns
    -------
    int
        Exit status, see :func:`memnb.commands.conclude`.

    Raises
    ------
    SystemExit
        If the arguments are not understood.
    """
    options = run_parser("linear", __doc__, RUNS).parse_args(arguments)
    return conclude("linear", lambda: _do(options), options.workdir, scheduler=options.scheduler)


if __name__ == "__main__":
    sys.exit(main())
