r"""All chapters: errors of fractions and means, crossings of a curve, and whether two onsets align.

The one-sigma **Wilson interval** of k successes in n trials holds the probabilities p for which k
is within one standard deviation of n p. Unlike :math:`\sqrt{p(1-p)/n}` its half-width stays
positive at k = 0 and k = n.

**When two onsets align.** An onset is where a curve crosses a level, with a standard error. Two
onsets a and b *align* if they agree within a factor of 2 beyond their errors, and are *apart* if
they differ by more than that beyond their errors:

.. math:: \lvert \log \tfrac{a}{b} \rvert + 2 s \le \log 2, \qquad
   \lvert \log \tfrac{a}{b} \rvert - 2 s > \log 2, \qquad
   s^2 = (s_a / a)^2 + (s_b / b)^2 .

Otherwise the errors leave it open. The factor is a convention of the book, used wherever it judges
a statement of this kind: onsets are read off grids whose steps are factors of up to 2, and
a statement such as "at n ~ d" says no more.

References
----------
Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22 (1927).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from scipy.stats import binomtest, fisher_exact, norm

from .validation import check_integer, check_real

__all__ = [
    "Alignment",
    "alignment",
    "crossing",
    "fraction_error",
    "largest_rise",
    "mean_error",
    "more_often",
    "wilson",
]

ONE_SIGMA = float(norm.cdf(1) - norm.cdf(-1))


@lru_cache(maxsize=10_000)  # frames of explorers ask for the same ones thousands of times
def _half_width(count: int, n: int) -> float:
    interval = binomtest(count, n).proportion_ci(ONE_SIGMA, method="wilson")
    return float(interval.high - interval.low) / 2


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
    return count / n, _half_width(count, n)


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


def more_often(a: int, n: int, b: int, m: int) -> float:
    """p-value of Fisher's exact test for a of n being more than b of m.

    Parameters
    ----------
    a, n, b, m : int
        Successes and trials, n and m at least 1.

    Returns
    -------
    float
        Probability of at least a successes among the n, if all a + b are distributed at random.

    Examples
    --------
    >>> round(more_often(3, 3, 0, 3), 3)  # one of the 20 ways to choose three of six
    0.05
    """
    return float(fisher_exact([[a, n - a], [b, m - b]], alternative="greater").pvalue)


def largest_rise(fractions: torch.Tensor, n: int) -> tuple[float, float]:
    """By how much fractions of n rise from one row to the next, at most.

    Parameters
    ----------
    fractions : Tensor, shape (rows, columns)
        Multiples of 1/n.
    n : int
        Number of trials of each.

    Returns
    -------
    rise, errors : float
        The largest difference, and the largest one in standard errors of a difference of two
        independent fractions. Both are negative if all fall.

    Raises
    ------
    ValueError
        If a fraction is not one of n trials.

    Examples
    --------
    >>> largest_rise(torch.tensor([[1.0, 0.5], [0.5, 0.75]]), 4)[0]
    0.25
    """
    rise = fractions.double().diff(dim=0)
    errors = [[fraction_error(float(fraction), n) for fraction in row] for row in fractions]
    error = torch.tensor(errors, dtype=torch.float64)
    return rise.max().item(), (rise / torch.hypot(error[1:], error[:-1])).max().item()


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


@dataclass(frozen=True)
class Alignment:
    """How two onsets lie to one another; see the module for the criterion.

    Parameters
    ----------
    ratio : float
        First onset over the second.
    error : float
        Standard error of the ratio's logarithm.
    factor : float
        Factor within which onsets align.
    verdict : {"aligned", "apart", "open"}
        What follows.
    """

    ratio: float
    error: float
    factor: float
    verdict: str

    def __str__(self) -> str:
        return f"{self.ratio:.2f} ± {self.ratio * self.error:.2f} ({self.verdict})"


def alignment(
    first: tuple[float, float], second: tuple[float, float], factor: float = 2.0
) -> Alignment:
    """Whether two onsets align.

    Parameters
    ----------
    first, second : (float, float)
        An onset and its standard error, as :func:`crossing` returns them. An onset of nan, one
        that was never reached, leaves everything open.
    factor : float
        Factor within which they align, above 1.

    Returns
    -------
    Alignment

    Raises
    ------
    TypeError, ValueError
        If the factor is not above 1, an onset is not positive, or an onset has no error of at
        least 0.

    Examples
    --------
    >>> print(alignment((30.0, 1.0), (24.0, 0.5)), alignment((60.0, 2.0), (24.0, 0.5)), sep="; ")
    1.25 ± 0.05 (aligned); 2.50 ± 0.10 (apart)
    """
    factor = check_real("factor", factor, 1, math.inf, open_low=True, open_high=True)
    if math.isnan(first[0]) or math.isnan(second[0]):
        return Alignment(math.nan, math.nan, factor, "open")
    shares = []
    for name, (at, error) in (("first", first), ("second", second)):
        at = check_real(f"{name} onset", at, 0, math.inf, open_low=True, open_high=True)
        shares.append(check_real(f"error of the {name} onset", error, 0) / at)
    ratio, error = first[0] / second[0], math.hypot(*shares)
    away, bound = abs(math.log(ratio)), math.log(factor)
    verdict = "open"
    if away + 2 * error <= bound:
        verdict = "aligned"
    elif away - 2 * error > bound:
        verdict = "apart"
    return Alignment(ratio, error, factor, verdict)
