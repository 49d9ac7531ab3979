r"""Chapter 5: how wide a kernel around each point should be, the mixing time and five choices.

**Mixing time.** Noise the points with :math:`e^{-t}` and variance :math:`1 - e^{-2t}`, and compare
at a noised point the weight :math:`Z_1` of the point it came from with the weight
:math:`Z_{1^c}` of all others. For Gaussian data in high dimension the two balance when
:math:`n\, (1 + \sigma^2 / (e^{2t} - 1))^{-d/2} = 1`, that is at

.. math:: t_M = \tfrac12 \log\Big(1 + \frac{\sigma^2}{n^{2/d} - 1}\Big).

Before :math:`t_M` a noised point still knows where it came from.

**Kernel widths.** ``leading`` is :math:`\varepsilon = \sigma n^{-1/d}`, to which
:math:`\sqrt{2 t_M}` and :math:`\sqrt{e^{2 t_M} - 1}` tend when :math:`n^{2/d} \gg 1`, and which
makes the diagonal pair terms of two sets of different size equal. ``mixing`` is
:math:`\sqrt{2 t_M}` itself, ``noise`` is :math:`\sqrt{e^{2 t_M} - 1}`, the noise level at
:math:`t_M` in the variance-exploding convention. ``silverman`` minimizes the leading order for
large n of the mean integrated squared error (MISE) of the kernel density estimate, ``mise`` the
exact one,

.. math:: (4\pi)^{d/2}\, \mathrm{MISE}(\varepsilon) = \frac{1}{n \varepsilon^d}
   + \Big(1 - \frac1n\Big)(\sigma^2 + \varepsilon^2)^{-d/2}
   - 2 \Big(\sigma^2 + \frac{\varepsilon^2}{2}\Big)^{-d/2} + \sigma^{-d} .

References
----------
P2, eqs. (9) to (11); Silverman, *Density Estimation for Statistics and Data Analysis*, 1986; the
exact MISE of Gaussian kernels on Gaussian data: Marron and Wand, Annals of Statistics 20, 1992.
"""

import math

import numpy as np
import torch
from scipy.optimize import brentq

from memnb.streams import numpy_stream
from memnb.validation import check_choice, check_integer, check_real

__all__ = ["KERNELS", "kernel_width", "log_weight_ratio", "mixing_time"]

KERNELS = ("leading", "mixing", "noise", "silverman", "mise")


def mixing_time(n: int, dim: int, sigma: float = 1.0) -> float:
    r"""Mixing time :math:`t_M = \tfrac12 \log(1 + \sigma^2 / (n^{2/d} - 1))`.

    Parameters
    ----------
    n : int
        Number of points, at least 2.
    dim : int
        Dimension d.
    sigma : float
        Standard deviation of the data, positive.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If a number has the wrong type or is out of its range.

    Examples
    --------
    >>> round(mixing_time(1000, 100), 4)
    1.0238
    """
    n, dim = check_integer("n", n, 2), check_integer("dim", dim, 1)
    sigma = check_real("sigma", sigma, 0, math.inf, open_low=True, open_high=True)
    power = 2 * math.log(n) / dim
    # log1p(sigma^2 / expm1(p)) with expm1(p) = e^p (1 - e^-p), so that e^p cannot overflow
    return 0.5 * math.log1p(sigma**2 * math.exp(-power) / -math.expm1(-power))


def log_weight_ratio(points: torch.Tensor, t: float, seed: int = 0) -> torch.Tensor:
    r"""Log of :math:`Z_1 / Z_{1^c}` at noised points, one from each point of a set.

    With :math:`x = e^{-t} y_1 + \sqrt{\Delta}\, z` and :math:`\Delta = 1 - e^{-2t}`, the weight of
    point k is :math:`e^{-\lVert x - e^{-t} y_k \rVert^2 / 2\Delta}`; :math:`Z_1` is that of the
    point x came from, :math:`Z_{1^c}` the sum of all others.

    Parameters
    ----------
    points : Tensor of float64, shape (n, d)
        At least two points; about 1000 at most, as all pairs are formed.
    t : float
        Ornstein-Uhlenbeck time, positive.
    seed : int
        Seed of the noise.

    Returns
    -------
    Tensor of float64, shape (n,)

    Raises
    ------
    TypeError, ValueError
        If t is no positive number, the seed no integer, or fewer than two points are given.
    """
    t = check_real("t", t, 0, math.inf, open_low=True, open_high=True)
    n = check_integer("number of points", points.shape[0], 2)
    z = numpy_stream(seed, "noise on points").standard_normal(tuple(points.shape))
    spread = math.sqrt(-math.expm1(-2 * t))
    centers = math.exp(-t) / spread * points
    exponent = -0.5 * torch.cdist(centers + torch.from_numpy(z), centers).square()
    own = exponent.diagonal().clone()
    others = exponent.masked_fill(torch.eye(n, dtype=torch.bool), -math.inf)
    return own - torch.logsumexp(others, dim=1)


def kernel_width(kernel: str, n: int, dim: int, sigma: float = 1.0, factor: float = 1.0) -> float:
    r"""Width :math:`\varepsilon` of the Gaussian kernels around n points.

    Parameters
    ----------
    kernel : {"leading", "mixing", "noise", "silverman", "mise"}
        Which choice, see the module.
    n : int
        Number of points, at least 2.
    dim : int
        Dimension d.
    sigma : float
        Standard deviation of the data, positive.
    factor : float
        The width is multiplied by this positive factor.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If ``kernel`` is unknown or a number is out of its range.

    Examples
    --------
    >>> [round(kernel_width(k, 1000, 100), 3) for k in KERNELS]
    [0.933, 1.431, 2.598, 0.907, 1.245]
    """
    check_choice("kernel", kernel, KERNELS)
    n, dim = check_integer("n", n, 2), check_integer("dim", dim, 1)
    sigma = check_real("sigma", sigma, 0, math.inf, open_low=True, open_high=True)
    factor = check_real("factor", factor, 0, math.inf, open_low=True, open_high=True)
    if kernel == "leading":
        width = sigma * math.exp(-math.log(n) / dim)
    elif kernel == "mixing":
        width = math.sqrt(2 * mixing_time(n, dim, sigma))
    elif kernel == "noise":
        width = math.sqrt(math.expm1(2 * mixing_time(n, dim, sigma)))
    elif kernel == "silverman":
        width = sigma * math.exp(math.log(4 / ((dim + 2) * n)) / (dim + 4))
    else:
        width = sigma * _mise_optimum(n, dim)
    return factor * width


def _mise_optimum(n, dim):
    """Zero of the derivative of the MISE at sigma = 1, each of its three terms as a logarithm."""

    def slope(log_width):
        squared = math.exp(2 * log_width)
        power = dim / 2 + 1
        falling = -math.log(n) - (dim + 2) * log_width
        own = math.log1p(-1 / n) - power * math.log1p(squared)
        return -power * math.log1p(squared / 2) - np.logaddexp(falling, own)

    return math.exp(brentq(slope, -math.log(n) - 5, 5, xtol=1e-14))
