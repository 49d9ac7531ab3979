r"""Chapter 5: what the long runs found, read back from ``results/``.

The arrays of a run are named ``<quantity>_<part>``, with the quantities and parts of
:mod:`memnb.linear.runs`.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from memnb import results
from memnb.results import ResultsCorrupt
from memnb.stats import crossing, mean_error
from memnb.streams import numpy_stream

from .experiment import Simulations, share_positive, simulate
from .runs import RUNS, SEED, name

__all__ = ["QUANTITIES", "Curve", "curve", "difference", "phase_map", "verify"]

QUANTITIES: dict[str, Callable[[Simulations], torch.Tensor]] = {
    "hellinger": lambda some: some.hellinger,
    "log_abs": lambda some: some.delta.log_abs,
    "log_distance": lambda some: some.log_distance,
    "sign": lambda some: some.delta.sign,
    "sign_expected": lambda some: some.expected.sign,
    "sign_printed": lambda some: some.transposed.sign,
}


@dataclass(frozen=True)
class Curve:
    r"""One curve of a run: :math:`\mathbb{E} H^2` and :math:`P(\Delta > 0)` against n.

    Parameters
    ----------
    n : tuple of int
        Numbers of training points.
    hellinger, generalizing : tuple of (float, float)
        Mean of :math:`H^2` and :math:`P(\Delta > 0)`, each with its one-sigma error.
    """

    n: tuple[int, ...]
    hellinger: tuple[tuple[float, float], ...]
    generalizing: tuple[tuple[float, float], ...]

    def onset(self, level: float = 0.5) -> tuple[float, float]:
        r"""The n at which :math:`P(\Delta > 0)` first crosses a level, with its error."""
        return crossing(self.n, *_apart(self.generalizing, level))

    def fall(self, level: float = 0.99) -> tuple[float, float]:
        r"""The n at which :math:`\mathbb{E} H^2` first drops below a level, with its error."""
        return crossing(self.n, *_apart(self.hellinger, level))

    def at(self, n: int) -> tuple[float, float]:
        r""":math:`P(\Delta > 0)` at one n of the curve, with its error."""
        return self.generalizing[self.n.index(n)]


def _apart(pairs, level):
    values, errors = zip(*pairs, strict=True)
    return values, level, errors


@functools.cache
def _load(run: str) -> dict[str, torch.Tensor]:
    return results.load(name(run))[0]


def curve(run: str, label: str, sign: str = "sign") -> Curve:
    """One part of ``onset``, ``alignment`` or ``equal``.

    Parameters
    ----------
    run : {"onset", "alignment", "equal"}
    label : str
        Label of the part, as in ``"fixed_16"`` or ``"16"``.
    sign : {"sign", "sign_expected", "sign_printed"}
        Which signs to count; the last two are in ``onset`` only.

    Returns
    -------
    Curve

    Raises
    ------
    ResultsCorrupt
        If the run is not there or damaged.
    KeyError
        If the run has no such part or signs.
    """
    arrays = _load(run)
    part = {part.label: part for part in RUNS[run].parts}[label]
    return Curve(
        tuple(setting.n for setting in part.settings),
        tuple(mean_error(row) for row in arrays[f"hellinger_{label}"]),
        tuple(share_positive(row) for row in arrays[f"{sign}_{label}"]),
    )


def phase_map(n_originals: int) -> torch.Tensor:
    r""":math:`P(\Delta > 0)` over d and n from the run ``phase``.

    Parameters
    ----------
    n_originals : {1000, 10000}
        Size N of the original set.

    Returns
    -------
    Tensor of float64, shape (number of d, number of n)
        For ``PHASE_DIMENSIONS`` and ``PHASE_POINTS`` of :mod:`memnb.linear.runs`.
    """
    return (_load("phase")[f"sign_{n_originals}"] > 0).double().mean(dim=-1)


def difference(run: str, label: str, row: int, first: int, count: int) -> float:
    """Compute a part of a run again, and say how far it is from what was kept.

    Parameters
    ----------
    run, label : str
        Run and part.
    row : int
        Which setting of the part, counted in the order of ``Part.settings``.
    first, count : int
        Which simulations.

    Returns
    -------
    float
        Largest difference of any kept number; signs, logarithms and distances alike.
    """
    part = {part.label: part for part in RUNS[run].parts}[label]
    again = simulate(part.settings[row], count, SEED, first)
    gaps = []
    for quantity in RUNS[run].quantities:
        value = QUANTITIES[quantity](again)
        array = _load(run)[f"{quantity}_{label}"].flatten(0, len(part.shape) - 1)
        gaps.append(float((value - array[row, first : first + count]).abs().max()))
    return max(gaps)


def verify(
    run: str,
    seed: int,
    *,
    count: int = 10,
    largest: int = 1000,
    originals: Sequence[str] = ("fixed", "expected"),
) -> tuple[str, ...]:
    """Compute one setting of each part of a run again, drawn at random, and compare.

    Parameters
    ----------
    run : str
        The run.
    seed : int
        Seed of the choice.
    count : int
        Simulations of each.
    largest : int
        Settings with n above it are left out, as they take long.
    originals : sequence of str
        Kinds of original set; fresh ones take a sum over all their pairs for each simulation.

    Returns
    -------
    tuple of str
        What was computed and the largest difference, one line a part.

    Raises
    ------
    ResultsCorrupt
        If any number differs by 1e-8 or more from what was kept.
    """
    pick = numpy_stream(seed, f"part of {run} to compute again")
    lines = []
    for part in RUNS[run].parts:
        rows = [
            k
            for k, setting in enumerate(part.settings)
            if setting.n <= largest and setting.originals in originals
        ]
        if not rows:
            continue
        row = int(pick.choice(rows))
        first = int(pick.integers(RUNS[run].n_simulations - count + 1))
        gap, setting = difference(run, part.label, row, first, count), part.settings[row]
        what = (
            f"d = {setting.dim}, n = {setting.n}, N = {setting.n_originals}, "
            f"{setting.originals} original set, simulations {first} to {first + count - 1}"
        )
        if not gap < 1e-8:  # nan included
            raise ResultsCorrupt(f"{name(run)} is off by {gap:.1e} at {what}")
        lines.append(f"{what}: largest difference {gap:.0e}")
    return tuple(lines)
