"""Chapter 7: the long runs of the chapter on audits, ``python -m memnb.auditing RUN``.

Each repetition is kept under ``--workdir`` when it is done, so that a run that was stopped goes on
with the next one. At the end the run is written to ``results/``.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict

import torch

from memnb import results
from memnb.commands import conclude, device_name, run_parser

from .runs import CHAPTER, RUNS

__all__ = ["main"]


def _is_kept(name: str, parameters: dict) -> bool:
    try:
        record = results.load(name)[1]
    except results.ResultsCorrupt:
        return False
    return record["parameters"] == json.loads(json.dumps(parameters))


def _do(options: argparse.Namespace) -> str:
    run, name = RUNS[options.run], f"{CHAPTER}/{options.run}"
    if _is_kept(name, asdict(run)) and not options.again:
        return f"{name} is kept already; --again computes it anew"
    torch.set_num_threads(1)
    workdir = options.workdir / options.run
    arrays, seconds = run.run(workdir, options.device, options.jobs)
    results.save(
        name,
        arrays,
        command=f"python -m memnb.auditing {options.run}",
        parameters=asdict(run),
        seed=run.seed,
        device=device_name(options.device),
        seconds=seconds,
        packages=("scikit-learn", "scipy"),
    )
    shutil.rmtree(workdir)
    return f"kept {name} after {seconds:.1f} s"


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
    options = run_parser("auditing", __doc__, RUNS).parse_args(arguments)
    return conclude("auditing", lambda: _do(options), options.workdir, scheduler=options.scheduler)


if __name__ == "__main__":
    sys.exit(main())
