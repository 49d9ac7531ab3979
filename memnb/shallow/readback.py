"""Chapter 4: what was kept of the long runs, read again.

Nothing here trains or writes: :mod:`memnb.shallow.runs` says what is computed and
``python -m memnb.shallow`` computes and keeps it.
"""

from functools import cache
from typing import Any

import torch

from memnb import results
from memnb.minnorm.data import TrainingSet, orthogonal_set

from .flows import exact_endpoints
from .networks import NetworkBatch
from .runs import CHAPTER, Continued, Flows, Run

__all__ = [
    "Arrays",
    "NotReproduced",
    "ends",
    "load_flows",
    "load_networks",
    "load_run",
    "overview",
    "run_of",
]

Arrays = dict[str, torch.Tensor]


class NotReproduced(RuntimeError):
    """A part of a kept run, computed again, is not what was kept."""


def load_run(name: str) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and provenance of a kept run of the chapter, by its name.

    Raises
    ------
    memnb.results.ResultsCorrupt
        If a file is missing or unreadable, or the checksum does not fit.
    """
    return results.load(f"{CHAPTER}/{name}")


@cache
def load_flows(d: int, method: str, S: int = 30) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and provenance of a run of flows in d dimensions with S noise levels.

    Ten levels are every third of the 30, so that both are one run. The method is a key of
    :data:`memnb.shallow.methods.METHODS` or ``"continuation"``.
    """
    return load_run(f"flows-d{d}{'-s150' if S == 150 else ''}-{method}")


def run_of(record: dict[str, Any], kind: type[Run] | None = None) -> Run:
    """The run that a provenance describes, of a kind or else of flows, continued or not."""
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in record["parameters"].items()}
    if kind is None:
        kind = Continued if "level_rounds" in values else Flows
    return kind(**values)


def load_networks(arrays: Arrays, suffix: str = "") -> NetworkBatch:
    """The networks of a run whose weights were kept, those for N points with suffix ``"_N"``."""
    return NetworkBatch(*(arrays[f"{name}{suffix}"].float() for name in "WAV"))


@cache
def ends(d: int, method: str, N: int, S: int = 30) -> tuple[TrainingSet, Arrays, Arrays]:
    """Training set, and ends of the trained and of the exact flows, by the name of the flow.

    Parameters
    ----------
    d, method, S
        As for :func:`load_flows`.
    N : int
        Number of training points.

    Returns
    -------
    training_set : TrainingSet
    trained : dict of Tensor, shape (n, d)
        ``"score"``, ``"probability"``, and ``"paused"`` where the latter enters low noise.
    exact : dict of Tensor, shape (n, d)
        As :func:`memnb.shallow.flows.exact_endpoints` returns.
    """
    arrays, record = load_flows(d, method, S)
    run, every = run_of(record), run_of(record).n_levels // S
    names = ("score", "probability", "paused")
    trained = {flow: arrays[f"{flow}_{N}_every{every}"].double() for flow in names}
    return orthogonal_set(N, d), trained, exact_endpoints(run, N, trained["paused"])


def overview() -> dict[str, dict[str, Any]]:
    """Provenance of all kept runs of the chapter but for the times of benchmarks, by name."""
    folder = results.where(f"{CHAPTER}/x")[0].parent
    names = sorted(path.stem for path in folder.glob("*.json"))
    return {name: load_run(name)[1] for name in names if not name.startswith("speed-")}
