"""Chapter 4: the long runs on trained networks, ``python -m memnb.shallow RUN``.

A run shows its progress and is kept under ``results/04-trained-denoisers/``. One that is stopped
goes on from its checkpoints when it is started again with the same options.
"""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from memnb import results
from memnb.validation import check_device

from ._trainer import read_checkpoint
from .methods import METHODS
from .runs import CHAPTER, FLOWS, RUNS, Run, Stability, flow_run
from .train import Diverged, NotConverged

__all__ = ["keep", "main"]

PROG = "memnb.shallow"


class Terminated(BaseException):
    """SIGTERM came."""


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
        if value != default:
            command += f" --{name} {value}"
    return command


def _stored(name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """What is kept under a name, or nothing if there is none or it is damaged."""
    try:
        return results.load(f"{CHAPTER}/{name}")
    except results.ResultsCorrupt:
        return None


def keep(
    name: str, run: Run, command: str, workdir: Path | str, device: str = "cpu", jobs: int = 1
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
    jobs : int
        Processes.

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
        device=results.cpu() if device == "cpu" else torch.cuda.get_device_name(device),
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


def _terminate(_number: int, _frame: object) -> None:
    raise Terminated


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one run.

    Returns
    -------
    int
        0 if the run is kept, 1 if it failed, 130 after Ctrl-C and 143 after SIGTERM, each with one
        line.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {PROG}", description=__doc__)
    parser.add_argument("run", choices=tuple(RUNS))
    parser.add_argument("--profile", choices=tuple(FLOWS)[::-1], default="quick")
    parser.add_argument("--method", choices=tuple(METHODS), default="lagrangian", help="of flows")
    parser.add_argument("--device", default="cpu", help="a torch device (default cpu)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes, one unit each (default 1)")
    parser.add_argument(
        "--workdir", type=Path, default=Path("_build/fit"), help="checkpoints (default _build/fit)"
    )
    parser.add_argument("--again", action="store_true", help="even if the same run is kept already")
    options = parser.parse_args(arguments)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    try:
        return _do(options)
    except (NotConverged, Diverged, OSError, TypeError, ValueError) as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _stopped("interrupted", options, 130)
    except Terminated:
        return _stopped("terminated", options, 143)


def _stopped(how: str, options: argparse.Namespace, status: int) -> int:
    print(f"{PROG}: {how}; checkpoints are in {options.workdir}", file=sys.stderr)
    return status


def _do(options: argparse.Namespace) -> int:
    for number in ("threads", "jobs"):
        if getattr(options, number) < 1:
            raise ValueError(f"{number} must be at least 1, got {getattr(options, number)}")
    name, run = _choose(options)
    if options.jobs > 1 and isinstance(run, Stability):
        raise ValueError("jobs must be 1 for stability, whose networks are trained as one batch")
    device = check_device("device", options.device)
    stored = None if options.again else _stored(name)
    if stored is not None and stored[1]["parameters"] == json.loads(json.dumps(asdict(run))):
        print(f"{name} is kept already, from {stored[1]['date']}; --again does it once more")
        return 0
    torch.set_num_threads(options.threads)
    record = keep(name, run, _command(options), options.workdir / name, device, options.jobs)
    print(f"kept {name} after {record['seconds']} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
