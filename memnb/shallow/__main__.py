"""Chapter 4: the long runs on trained networks, ``python -m memnb.shallow RUN``.

A run shows its progress and is kept under ``results/04-trained-denoisers/``. One that is stopped
goes on from its checkpoints when it is started again with the same options.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from memnb import results
from memnb.commands import at_least, conclude, device_name, run_parser

from ._trainer import read_checkpoint
from .methods import METHODS
from .runs import CHAPTER, FLOWS, RUNS, Run, Stability, flow_run
from .train import Diverged, NotConverged

__all__ = ["keep", "main"]

PROG = "memnb.shallow"


def _choose(options: argparse.Namespace) -> tuple[str, Run]:
    """Name and run that were asked for."""
    if options.run == "flows":
        return flow_run(options.profile, options.method)
    sizes = RUNS[options.run]
    if options.profile not in sizes:
        raise ValueError(
            f"{options.run} has the profiles {', '.join(sizes)}, got {options.profile!r}"
        )
    return sizes[options.profile]


def _command(options: argparse.Namespace) -> str:
    """The command that repeats the run."""
    command = f"python -m {PROG} {options.run} --profile {options.profile}"
    if options.run == "flows":
        command += f" --method {options.method}"
    for name, default in (("device", "cpu"), ("threads", 1), ("jobs", 1)):
        value = getattr(options, name)
        if value not in (default, None):  # jobs are None where a scheduler has them
            command += f" --{name} {value}"
    return command


def _stored(name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """What is kept under a name, or nothing if there is none or it is damaged."""
    try:
        return results.load(f"{CHAPTER}/{name}")
    except results.ResultsCorrupt:
        return None


def keep(
    name: str,
    run: Run,
    command: str,
    workdir: Path | str,
    device: str = "cpu",
    jobs: int | None = 1,
) -> dict[str, Any]:
    """Do a run, go on from the checkpoints in ``workdir``, and keep what it returns.

    Parameters
    ----------
    name : str
        Of the run, under :data:`memnb.shallow.runs.CHAPTER`.
    run : Stability, Flows, Sweep or Decay
    command : str
        The command that repeats it.
    workdir : path
        Folder of the checkpoints; it is made if it is not there.
    device : str
        A torch device.
    jobs : int or None
        Processes, see :func:`memnb.commands.each`.

    Returns
    -------
    dict
        The provenance. Its wall time includes that of earlier calls which left checkpoints. If the
        same run is kept already with the same arrays, its files stay as they are.

    Raises
    ------
    NotConverged, Diverged
        If a training fails; nothing is written then.
    ValueError
        If a file in ``workdir`` is no checkpoint, or one of another run.
    """
    workdir = Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    spent = sum(read_checkpoint(path)["seconds"] for path in workdir.glob("*.pt"))
    began = time.perf_counter() - spent
    arrays = run.run(workdir, device, jobs)
    parameters, stored = asdict(run), _stored(name)
    if stored is not None and _same(stored, arrays, parameters):
        return stored[1]
    return results.save(
        f"{CHAPTER}/{name}",
        arrays,
        command=command,
        parameters=parameters,
        seed=run.seed,
        device=device_name(device),
        seconds=time.perf_counter() - began,
    )


def _same(
    stored: tuple[dict[str, torch.Tensor], dict[str, Any]],
    arrays: dict[str, torch.Tensor],
    parameters: dict[str, Any],
) -> bool:
    """Whether a stored run has these parameters and these arrays."""
    before, record = stored
    return (
        record["parameters"] == json.loads(json.dumps(parameters))
        and before.keys() == arrays.keys()
        and all(torch.equal(before[key], arrays[key].detach().cpu()) for key in before)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one run.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process if not given.

    Returns
    -------
    int
        Exit status, see :func:`memnb.commands.conclude`.

    Raises
    ------
    SystemExit
        If the arguments are not understood.
    """
    parser = run_parser("shallow", __doc__, RUNS)
    parser.add_argument("--profile", choices=tuple(FLOWS)[::-1], default="quick")
    parser.add_argument("--method", choices=tuple(METHODS), default="lagrangian", help="of flows")
    parser.add_argument("--threads", type=at_least(1), default=1, help="CPU threads (default 1)")
    options = parser.parse_args(arguments)
    failures = (NotConverged, Diverged)
    return conclude("shallow", lambda: _do(options), options.workdir, failures, options.scheduler)


def _do(options: argparse.Namespace) -> str:
    name, run = _choose(options)
    if options.jobs != 1 and isinstance(run, Stability):
        raise ValueError(
            "jobs must be 1 for stability, and no scheduler: its networks are one batch"
        )
    stored = None if options.again else _stored(name)
    if stored is not None and stored[1]["parameters"] == json.loads(json.dumps(asdict(run))):
        return f"{name} is kept already, from {stored[1]['date']}; --again does it once more"
    torch.set_num_threads(options.threads)
    workdir = options.workdir / name
    record = keep(name, run, _command(options), workdir, options.device, options.jobs)
    return f"kept {name} after {record['seconds']} s"


if __name__ == "__main__":
    sys.exit(main())
