"""Chapter 7: what was kept of the long run ``detection``, see :mod:`memnb.auditing.runs`."""

import math
from collections.abc import Mapping, Sequence

import torch

from memnb import results

from .runs import CHAPTER

__all__ = ["detection", "detection_row", "false_alarms", "load", "smallest_found"]

LEVEL = 0.05


def load() -> dict[str, torch.Tensor]:
    """The p-values that were kept: arrays ``p_<n>_<d>``, (repeats, blurs, shares, measures).

    2 stands for "not computed".
    """
    return results.load(f"{CHAPTER}/detection")[0]


def smallest_found(
    p: torch.Tensor, shares: Sequence[float], level: float = LEVEL, power: float = 0.9
) -> tuple[float, float]:
    """The smallest share that a measure finds, and how often it finds copies where there are none.

    Parameters
    ----------
    p : Tensor, shape (repeats, shares)
        p-values; the first share is 0.
    shares : sequence of float
    level, power : float
        A share is found if p is below ``level`` in at least ``power`` of the repeats, for it and
        all larger ones.

    Returns
    -------
    share, false_alarms : float
        nan if no share is found.

    Examples
    --------
    >>> p = torch.tensor([[0.5, 0.04, 0.001], [0.3, 0.2, 0.01]])
    >>> smallest_found(p, (0, 0.1, 0.5))
    (0.5, 0.0)
    """
    rate = (p < level).double().mean(dim=0)
    smallest = float("nan")
    for k in range(len(shares) - 1, 0, -1):
        if rate[k] < power:
            break
        smallest = float(shares[k])
    return smallest, float(rate[0])


def detection(
    arrays: Mapping[str, torch.Tensor],
    n: int,
    dim: int,
    blur: int,
    shares: Sequence[float],
    measure: int,
) -> tuple[float, float]:
    """:func:`smallest_found` for one row of the kept run ``detection``.

    Parameters
    ----------
    arrays : mapping
        What :func:`load` returns.
    n, dim, blur, measure : int
        Which one; blur and measure by their place in the run.
    shares : sequence of float
        Those of the run.

    Returns
    -------
    share, false_alarms : float
        (nan, nan) where the measure was not computed.
    """
    p = arrays[f"p_{n}_{dim}"][:, blur, :, measure]
    if (p > 1).any():
        return float("nan"), float("nan")
    return smallest_found(p, shares)


def false_alarms(arrays: Mapping[str, torch.Tensor], measures: int) -> tuple[tuple[int, ...], int]:
    """How often the first measures sound the alarm without any copies, for all n and d together.

    Parameters
    ----------
    arrays : mapping
        What :func:`load` returns.
    measures : int
        How many.

    Returns
    -------
    alarms : tuple of int
        For each measure.
    repetitions : int
        Out of so many.
    """
    p = torch.cat([values[:, 0, 0, :measures] for values in arrays.values()])
    return tuple((p < LEVEL).sum(dim=0).tolist()), len(p)


def detection_row(
    arrays: Mapping[str, torch.Tensor],
    n: int,
    dim: int,
    blur: int,
    shares: Sequence[float],
    measures: int,
    *,
    alarms: bool = True,
) -> list[str]:
    """:func:`detection` of the first measures as the cells of a table, in percent.

    Parameters
    ----------
    arrays, n, dim, blur, shares
        See :func:`detection`.
    measures : int
        How many.
    alarms : bool
        Add the false alarms in brackets, and a star if they exceed the level.

    Returns
    -------
    list of str
        As in ``"7% (0%)"`` or ``"5% (10%)*"``; "none" where no share is found, "–" where nothing
        was computed.
    """
    row = []
    for k in range(measures):
        smallest, alarm = detection(arrays, n, dim, blur, shares, k)
        text = "none" if math.isnan(smallest) else f"{100 * smallest:g}%"
        text += f" ({alarm:.0%}){'*' if alarm > LEVEL else ''}" if alarms else ""
        row.append("–" if math.isnan(alarm) else text)
    return row
