r"""Errors of fractions and means, and where a curve crosses a level.

The one-sigma **Wilson interval** of k successes in n trials holds the probabilities p for which k
is within one standard deviation of n p. Unlike :math:`\sqrt{p(1-p)/n}` its half-width stays
positive at k = 0 and k = n.

References
----------
Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22 (1927).
"""

import math
from collections.abc import Sequence

import torch
from scipy.stats import binomtest, norm

from .validation import check_integer, check_real

__all__ = ["crossing", "fraction_error", "mean_error", "wilson"]

ONE_SIGMA = float(norm.cdf(1) - norm.cdf(-1))


def wilson(count: int, n: int) -> tuple[float, float]:
    r"""Fraction ``count / n`` and the half-width of its one-sigma Wilson interval.

    Parameters
    ----------
    count : int
        Number of successes, between 0 and n.
    n : int
        Number of trials, at least 1.

    Returns
    -------
    fraction, half_width : float

    Raises
    ------
    TypeError, ValueError
        If a number is no integer, or out of its range.

    Examples
    --------
    >>> p, error = wilson(50, 100)
    >>> p, round(error, 4), round(wilson(0, 100)[1], 4)
    (0.5, 0.0498, 0.005)
    """
    n = check_integer("n", n, 1)
    count = check_integer("count", count, 0, n)
    interval = binomtest(count, n).proportion_ci(ONE_SIGMA, method="wilson")
    return count / n, float(interval.high - interval.low) / 2


def fraction_error(fraction: float, n: int) -> float:
    """Half-width of :func:`wilson` for a fraction of n.

    Parameters
    ----------
    fraction : float
        Between 0 and 1, a multiple of 1/n up to rounding.
    n : int
        Number of trials, at least 1.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the fraction is no multiple of 1/n: it is not one of n trials.
    """
    n = check_integer("n", n, 1)
    fraction = check_real("fraction", fraction, 0, 1)
    count = round(fraction * n)
    if abs(fraction * n - count) > 1e-6 * n:
        raise ValueError(f"fraction must be a multiple of 1/n = 1/{n}, got {fraction:g}")
    return wilson(count, n)[1]


def mean_error(values: torch.Tensor) -> tuple[float, float]:
    r"""Mean of independent values and its standard error, :math:`s / \sqrt n`.

    Parameters
    ----------
    values : Tensor, shape (n,)

    Returns
    -------
    mean, error : float
        The error is nan for a single value, which tells nothing about it.
    """
    values = torch.as_tensor(values).double().flatten()
    n = check_integer("number of values", len(values), 1)
    error = float(values.std()) / math.sqrt(n) if n > 1 else math.nan
    return float(values.mean()), error


def crossing(
    x: Sequence[float],
    values: Sequence[float],
    level: float,
    errors: Sequence[float] | None = None,
) -> tuple[float, float]:
    r"""Where a curve first crosses a level, by linear interpolation in log x.

    Parameters
    ----------
    x : sequence of float
        Positive, increasing.
    values : sequence of float
        The curve.
    level : float
        The level; the curve crosses it when it is on the other side than its first value.
    errors : sequence of float, optional
        Standard errors of ``values``.

    Returns
    -------
    at, error : float
        The crossing and its standard error, from the errors of the two values around it and nan
        without ``errors``; (nan, nan) if there is no crossing.

    Examples
    --------
    >>> round(crossing([1, 10, 100], [0.0, 0.0, 1.0], 0.5)[0], 3)
    31.623
    """
    first = values[0] - level
    for k in range(1, len(x)):
        a, b = values[k - 1] - level, values[k] - level
        if b * first <= 0 and b != first:
            step = math.log(x[k] / x[k - 1])
            share = a / (a - b)
            at = math.exp(math.log(x[k - 1]) + share * step)
            if errors is None:
                return at, math.nan
            error = math.hypot((1 - share) * errors[k - 1], share * errors[k])
            return at, at * step * error / abs(b - a)
    return math.nan, math.nan
