"""All chapters: the commands of the long runs, ``python -m memnb.<theory> RUN``.

They take the same options and end in the same ways. A run consists of independent units (a network,
a number of points, a repetition); :func:`each` is the one loop over them. What is finished of a run
lies in the working folder, so that the same command goes on where a stopped one was.

**Beyond one machine.** ``--scheduler tcp://HOST:PORT`` hands the units to the workers of a Dask
scheduler. They need this package and the working folder under the same path. A unit whose worker
dies is given to another one, which goes on from its last checkpoint. On a cluster with SLURM the
workers are those of `dask-jobqueue <https://jobqueue.dask.org>`_::

    from dask_jobqueue import SLURMCluster

    cluster = SLURMCluster(cores=1, memory="4GB", walltime="12:00:00")
    cluster.scale(jobs=30)
    print(cluster.scheduler_address)  # for --scheduler; keep this process alive
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed, parallel_config
from tqdm.auto import tqdm

from memnb.processes import Terminated, terminable
from memnb.results import ResultsCorrupt, cpu, replacing
from memnb.validation import check_device

__all__ = ["at_least", "conclude", "device_name", "each", "finished", "run_parser"]


def at_least(low: int) -> Callable[[str], int]:
    """Type of an argument that is an integer of at least ``low``.

    Examples
    --------
    >>> at_least(1)("3")
    3
    """

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < low:
            raise argparse.ArgumentTypeError(f"must be an integer of at least {low}, got {text!r}")
        return int(text)

    return number


def _device(text: str) -> str:
    try:
        return check_device("device", text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class _ToScheduler(argparse.Action):
    """Keep the address, and leave the number of processes to the scheduler."""

    def __call__(self, parser, namespace, values, option_string=None):
        namespace.scheduler, namespace.jobs = values, None


def run_parser(
    theory: str, description: str | None, runs: Iterable[str]
) -> argparse.ArgumentParser:
    """A parser of RUN, ``--device``, ``--workdir``, ``--jobs``, ``--scheduler`` and ``--again``.

    Parameters
    ----------
    theory : str
        Name of the package: ``python -m memnb.<theory>`` runs it, and ``_build/<theory>`` is its
        working folder.
    description : str or None
    runs : iterable of str
        Names of the runs.

    Returns
    -------
    ArgumentParser
    """
    parser = argparse.ArgumentParser(prog=f"python -m memnb.{theory}", description=description)
    parser.add_argument("run", choices=tuple(runs))
    parser.add_argument("--device", type=_device, default="cpu", help="cpu (default), cuda, cuda:0")
    parser.add_argument(
        "--workdir",
        type=lambda text: Path(text).absolute(),  # workers may stand in another folder
        default=f"_build/{theory}",
        metavar="DIR",
        help="what is finished of a run is here while it lasts (default %(default)s)",
    )
    parser.add_argument(
        "--jobs", type=at_least(1), default=1, metavar="N", help="processes (default 1)"
    )
    parser.add_argument(
        "--scheduler", action=_ToScheduler, metavar="ADDRESS",
        help="let the workers of this Dask scheduler do it, as tcp://host:8786",
    )  # fmt: skip
    parser.add_argument(
        "--again", action="store_true", help="compute anew what is kept already; all else stays"
    )
    return parser


def device_name(device: str) -> str:
    """The kind of a device, for the record of a run."""
    return cpu() if device == "cpu" else torch.cuda.get_device_name(torch.device(device))


def each(
    do: Callable,
    calls: Sequence[tuple],
    jobs: int | None,
    title: str,
    unit: str,
    progress: bool = True,
) -> list[Any]:
    """Do the units of a run, which do not depend on each other.

    Parameters
    ----------
    do : callable
        Does one unit.
    calls : sequence of tuple
        Its arguments, for each unit.
    jobs : int or None
        Number of processes; with 1 or a single unit all is done in this one. None leaves it to
        ``joblib.parallel_config``, as for the workers of a cluster.
    title, unit : str
        What the progress bar says.
    progress : bool
        Show it.

    Returns
    -------
    list
        What ``do`` returns, in the order of ``calls``.
    """
    if jobs == 1 or (jobs is not None and len(calls) < 2):
        values = (do(*call) for call in calls)
    else:
        workers = Parallel(jobs, return_as="generator", batch_size=1)
        values = workers(delayed(do)(*call) for call in calls)
    returned = []
    # A block, so that after a failure the bar is closed before the failure is told
    with tqdm(total=len(calls), desc=title, unit=unit, disable=not (progress and calls)) as bar:
        for value in values:
            returned.append(value)
            bar.update()
    return returned


def finished(path: Path, what: str, compute: Callable[[], Any]) -> tuple[Any, float]:
    """A part of a run: read if it is finished, else computed and kept, whole or not at all.

    Parameters
    ----------
    path : path
        Its file in the working folder.
    what : str
        What is computed, with all that it depends on.
    compute : callable
        Returns the part: tensors, or dicts and lists of them.

    Returns
    -------
    value
        What ``compute`` returns, or returned before.
    seconds : float
        How long that took.

    Raises
    ------
    ValueError
        If the file is no finished part, or that of something else.
    """
    if path.exists():
        try:
            state = torch.load(path, weights_only=True)
        except Exception as error:  # whatever foreign bytes lead the reader to
            raise ValueError(f"{path} cannot be read: it is no finished part of a run") from error
        if not isinstance(state, dict) or state.get("what") != what:
            raise ValueError(f"{path} belongs to another run: remove it, or take another --workdir")
    else:
        began = time.perf_counter()
        state = {"what": what, "value": compute(), "seconds": time.perf_counter() - began}
        with replacing(path) as new:
            torch.save(state, new)
    return state["value"], state["seconds"]


@contextmanager
def _workers(scheduler: str | None) -> Iterator[None]:
    """Where joblib's work goes in this block: to a Dask scheduler, if there is one."""
    if scheduler is None:
        yield
        return
    from dask.distributed import Client  # a second to import, and needed only here

    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise ValueError(f"no Dask scheduler answers at {scheduler!r}: {error}") from None
    with client, parallel_config(backend="dask"):
        yield


def conclude(
    theory: str,
    do: Callable[[], str],
    workdir: Path,
    failures: tuple[type[Exception], ...] = (),
    scheduler: str | None = None,
) -> int:
    """Do a run; one line on standard output says what was done, or on standard error why not.

    Parameters
    ----------
    theory : str
        Name of the package.
    do : callable
        Does the run and returns the line.
    workdir : path
        What it leaves when it is stopped.
    failures : tuple of exception types
        What may be raised beside ``OSError``, ``TypeError``, ``ValueError`` and
        :class:`memnb.results.ResultsCorrupt`.
    scheduler : str, optional
        Address of the Dask scheduler whose workers do the units.

    Returns
    -------
    int
        Exit status: 0, 1 after a failure, 130 after Ctrl-C, 143 after SIGTERM.
    """
    try:
        with terminable(), _workers(scheduler):
            print(do())
    except (OSError, TypeError, ValueError, ResultsCorrupt, *failures) as error:
        print(f"memnb.{theory}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, Terminated) as stop:
        interrupted = isinstance(stop, KeyboardInterrupt)
        how = "interrupted" if interrupted else "terminated"
        print(f"\nmemnb.{theory}: {how}; the same command goes on from {workdir}", file=sys.stderr)
        return 130 if interrupted else 143
    return 0
