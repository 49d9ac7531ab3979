r"""Chapter 5: how :math:`E_{OG}` changes with n, from the kept run ``distance``.

:math:`E_{OG}` is taken in expectation over the original points, in units of
:math:`(4\pi)^{-d/2}`, as a logarithm to base 10. Its distribution over training sets has a heavy
tail just above n = d + 1, where a variance of what is generated may be huge, so medians are
compared and not means. Where the median is largest, the distance *begins to fall*: the maximum of
the parabola through the largest median and its two neighbors, over log n. Its standard error is
that of the logarithm of the maximum over 200 bootstrap samples of the simulations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from memnb import results
from memnb.stats import crossing
from memnb.streams import numpy_stream

from .experiment import share_positive
from .runs import RUNS, name

__all__ = ["Distances", "distances", "peak"]

N_BOOTSTRAP = 200
GAUSS = 1.2533  # of the standard error of a median to that of a mean, sqrt(pi / 2)


def _summit(log_x: np.ndarray, values: np.ndarray) -> float:
    """Where a curve is largest, by a parabola through three points; nan at its ends."""
    k = int(values.argmax())
    if k in (0, len(values) - 1):
        return math.nan
    a, b, c = log_x[k - 1 : k + 2]
    fa, fb, fc = values[k - 1 : k + 2]
    left, right = (fb - fa) / (b - a), (fc - fb) / (c - b)
    # the slope falls from left to right between the middles of the two intervals
    return (a + b) / 2 + left / (left - right) * (c - a) / 2


def peak(x: Sequence[float], rows: Sequence[torch.Tensor], seed: int = 0) -> tuple[float, float]:
    """Where the median of independent values is largest, and the standard error of that place.

    Parameters
    ----------
    x : sequence of float
        Positive, increasing; at least three.
    rows : sequence of Tensor, shape (m,)
        Independent values for each x.
    seed : int
        Of the bootstrap.

    Returns
    -------
    at, error : float
        (nan, nan) if the median is largest at an end, in one bootstrap sample in ten or more, or
        altogether.

    Raises
    ------
    ValueError
        If there are fewer than three x, or not as many rows.
    """
    if len(x) < 3 or len(rows) != len(x):
        raise ValueError(f"rows must be as many as x, at least 3, got {len(rows)} and {len(x)}")
    log_x = np.log(np.asarray(x, dtype=float))
    values = [np.asarray(row, dtype=float) for row in rows]
    at = _summit(log_x, np.array([np.median(v) for v in values]))
    random = numpy_stream(seed, "bootstrap of a peak")
    again = np.array(
        [
            _summit(log_x, np.array([np.median(random.choice(v, len(v))) for v in values]))
            for _ in range(N_BOOTSTRAP)
        ]
    )
    inside = again[np.isfinite(again)]
    if math.isnan(at) or len(inside) <= 0.9 * N_BOOTSTRAP:
        return math.nan, math.nan
    return math.exp(at), math.exp(at) * float(inside.std(ddof=1))


@dataclass(frozen=True, eq=False)
class Distances:
    r"""Logarithms of :math:`E_{OG}` and signs of :math:`\Delta` against n.

    Parameters
    ----------
    n : tuple of int
        Numbers of training points.
    values : tuple of Tensor of float64, shape (simulations,)
        :math:`\log_{10} E_{OG} (4\pi)^{d/2}` for each n.
    positive : tuple of (float, float)
        :math:`P(\Delta > 0)` with its error, for each n.
    """

    n: tuple[int, ...]
    values: tuple[torch.Tensor, ...]
    positive: tuple[tuple[float, float], ...]

    def quantiles(self, level: float) -> list[float]:
        """A quantile for each n."""
        return [v.quantile(level).item() for v in self.values]

    def median(self, n: float) -> tuple[float, float]:
        r"""Median at any n, by straight lines over log n, with its standard error.

        The error of a median of m values with quartiles q and Q is
        :math:`\sqrt{\pi / 2}\, (Q - q) / (1.349 \sqrt m)`, as for a Gaussian; the larger one of the
        two n around is taken.
        """
        x, at = np.log(self.n), math.log(n)
        middle = float(np.interp(at, x, self.quantiles(0.5)))
        k = int(np.searchsorted(x, at).clip(1, len(x) - 1))
        errors = [
            GAUSS * float(v.quantile(0.75) - v.quantile(0.25)) / (1.349 * math.sqrt(len(v)))
            for v in self.values[k - 1 : k + 1]
        ]
        return middle, max(errors)

    def peak(self) -> tuple[float, float]:
        """The n from which the median falls, with its standard error."""
        return peak(self.n, self.values)

    def onset(self) -> tuple[float, float]:
        r"""The n at which :math:`P(\Delta > 0)` crosses 1/2, with its standard error."""
        shares, errors = zip(*self.positive, strict=True)
        return crossing(self.n, shares, 0.5, errors)


def distances(dim: int) -> Distances:
    """What was kept of the run ``distance`` for one dimension.

    Parameters
    ----------
    dim : {16, 100}
        The dimension d.

    Returns
    -------
    Distances

    Raises
    ------
    ResultsCorrupt
        If the run is not there or damaged.
    KeyError
        If it has no such dimension.
    """
    arrays, _ = results.load(name("distance"))
    part = {part.label: part for part in RUNS["distance"].parts}[str(dim)]
    unit = 0.5 * dim * math.log(4 * math.pi)
    return Distances(
        tuple(setting.n for setting in part.settings),
        tuple((arrays[f"log_distance_{dim}"].double() + unit) / math.log(10)),
        tuple(share_positive(row) for row in arrays[f"sign_{dim}"]),
    )
