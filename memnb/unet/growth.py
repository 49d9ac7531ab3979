r"""Chapter 6: how the step at which something begins grows with n, as a power of n.

The exponent is the slope of a straight line through the logarithms of n and of the onsets
(:mod:`memnb.unet.onset`), which are means over the seeds of one n. A few n may lie near a line that
is none, so the slopes between neighbors are told beside it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from scipy.stats import t

from memnb.validation import check_real

from .onset import Onset

__all__ = ["PowerLaw", "power_law"]


@dataclass(frozen=True)
class PowerLaw:
    r"""A fit :math:`\tau = a\, n^b`.

    Parameters
    ----------
    exponent, error : float
        b and its standard error.
    factor : float
        a.
    n : tuple of int
        The n that it was fitted to.
    slopes : tuple of float
        From each of these n to the next; of a power of n they are all the same.
    """

    exponent: float
    error: float
    factor: float
    n: tuple[int, ...]
    slopes: tuple[float, ...] = ()

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Confidence interval of the exponent, by Student's t of ``len(n) - 2`` degrees."""
        wide = float(t.ppf((1 + level) / 2, len(self.n) - 2)) * self.error
        return self.exponent - wide, self.exponent + wide

    def __call__(self, n: float) -> float:
        """The fitted onset at n."""
        return self.factor * n**self.exponent


def power_law(onsets: Mapping[int, Onset]) -> PowerLaw:
    r"""Fit a power of n to onsets by least squares in the logarithms.

    All onsets count the same. The standard error of the exponent is the larger of what follows from
    the onsets' own errors and what follows from their distances from the line. An onset whose error
    is not known adds nothing to the first.

    Parameters
    ----------
    onsets : dict of int to Onset
        For each n; those that were not seen are left out.

    Returns
    -------
    PowerLaw
        Of nan if fewer than three were seen.

    Raises
    ------
    ValueError
        If an n is not positive.

    Examples
    --------
    >>> fit = power_law({n: Onset(5.0 * n**1.5, 0.1 * n**1.5) for n in (10, 100, 1000)})
    >>> round(fit.exponent, 3), round(fit.factor, 3), round(fit.error, 4)
    (1.5, 5.0, 0.0061)
    """
    for n in onsets:
        check_real("n", n, 0, math.inf, open_low=True, open_high=True)
    seen = {n: onset for n, onset in sorted(onsets.items()) if onset.kind == "at"}
    if len(seen) < 3:
        return PowerLaw(math.nan, math.nan, math.nan, tuple(seen))
    x = torch.tensor([math.log(n) for n in seen], dtype=torch.float64)
    y = torch.tensor([math.log(onset.step) for onset in seen.values()], dtype=torch.float64)
    own = torch.tensor([o.error / o.step for o in seen.values()], dtype=torch.float64).nan_to_num()
    weights = (x - x.mean()) / (x - x.mean()).square().sum()
    exponent = (weights @ y).item()
    rest = y - y.mean() - exponent * (x - x.mean())
    spread = (rest.square().sum() / (len(x) - 2)).sqrt() * weights.norm()
    error = max((weights * own).norm().item(), spread.item())
    factor = math.exp((y.mean() - exponent * x.mean()).item())
    slopes = tuple((y.diff() / x.diff()).tolist())
    return PowerLaw(exponent, error, factor, tuple(seen), slopes)
