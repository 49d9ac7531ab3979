r"""Chapters 1 to 4: grids of times and noise levels, and two conventions that are one process.

**Variance exploding** (minimum-norm denoisers): :math:`y = x + \sigma_t \varepsilon` with
:math:`\sigma_t = \sqrt{t}`.

**Ornstein-Uhlenbeck** (linear model): :math:`X_s = e^{-s} X_0 + \sqrt{1 - e^{-2s}}\, Z`. Dividing
by :math:`e^{-s}` gives :math:`X_0 + \sigma Z` with :math:`\sigma^2 = e^{2s} - 1`, so the two are
one process seen through a change of scale:

.. math:: X_s = e^{-s} (X_0 + \sigma Z), \qquad \sigma = \sqrt{e^{2s} - 1}.

Throughout, ``t`` is the variance-exploding time, ``s`` the Ornstein-Uhlenbeck time, and
:math:`r = -\log \sigma` the time in which both flows have unit speed.

References
----------
Zeno et al., arXiv:2506.19031, Section 2; Song et al., *Score-Based Generative Modeling through
Stochastic Differential Equations*, ICLR 2021, arXiv:2011.13456.
"""

import math
from typing import Any

import torch

from memnb.validation import check_integer, check_points, check_real

__all__ = ["log_uniform_grid", "ou_from_ve", "uniform_grid", "ve_from_ou"]


def ve_from_ou(x: Any, s: float) -> tuple[torch.Tensor, float]:
    r"""Carry :math:`X_s` of the Ornstein-Uhlenbeck process to the variance-exploding one.

    Parameters
    ----------
    x : Tensor, array or nested sequence, shape (..., d)
        A point :math:`X_s`.
    s : float
        Ornstein-Uhlenbeck time :math:`s \ge 0`.

    Returns
    -------
    y : Tensor, shape (..., d)
        :math:`y = e^{s} X_s`.
    sigma : float
        The noise level :math:`\sqrt{e^{2s} - 1}` of y.

    Raises
    ------
    TypeError, ValueError
        If x is not finite, or s is not at least 0 and finite.

    Examples
    --------
    >>> x = torch.tensor([0.5, -1.0], dtype=torch.float64)
    >>> back, s = ou_from_ve(*ve_from_ou(x, 2.0))
    >>> bool((back - x).abs().max() < 1e-15), round(s, 12)
    (True, 2.0)
    """
    s = check_real("s", s, 0, math.inf, open_high=True)
    return check_points("x", x) * math.exp(s), math.sqrt(math.expm1(2 * s))


def ou_from_ve(y: Any, sigma: float) -> tuple[torch.Tensor, float]:
    r"""Inverse of :func:`ve_from_ou`.

    Parameters
    ----------
    y : Tensor, array or nested sequence, shape (..., d)
        A point of the variance-exploding process.
    sigma : float
        Its noise level :math:`\sigma \ge 0`.

    Returns
    -------
    x : Tensor, shape (..., d)
        :math:`X_s = y / \sqrt{1 + \sigma^2}`.
    s : float
        The Ornstein-Uhlenbeck time :math:`\tfrac12 \log(1 + \sigma^2)`.

    Raises
    ------
    TypeError, ValueError
        If y is not finite, or sigma is not at least 0 and finite.
    """
    sigma = check_real("sigma", sigma, 0, math.inf, open_high=True)
    return check_points("y", y) / math.hypot(1, sigma), 0.5 * math.log1p(sigma**2)


def uniform_grid(start: float, stop: float, n: int) -> torch.Tensor:
    r"""n numbers from ``start`` to ``stop`` (both included) in equal steps, float64.

    Parameters
    ----------
    start, stop : float
        Ends; a decreasing grid has ``start > stop``.
    n : int
        Number of grid points, at least 2.

    Returns
    -------
    Tensor, shape (n,)

    Raises
    ------
    TypeError, ValueError
        If an end is not finite, or n is not an integer of at least 2.
    """
    finite = {"open_low": True, "open_high": True}
    start = check_real("start", start, **finite)
    stop = check_real("stop", stop, **finite)
    return torch.linspace(start, stop, check_integer("n", n, 2), dtype=torch.float64)


def log_uniform_grid(start: float, stop: float, n: int) -> torch.Tensor:
    r"""n positive numbers from ``start`` to ``stop`` (both included) in equal ratios, float64.

    Parameters
    ----------
    start, stop : float
        Positive ends; a decreasing grid has ``start > stop``.
    n : int
        Number of grid points, at least 2.

    Returns
    -------
    Tensor, shape (n,)

    Raises
    ------
    TypeError, ValueError
        If an end is not positive and finite, or n is not an integer of at least 2.

    Examples
    --------
    >>> log_uniform_grid(1.0, 0.01, 3)
    tensor([1.0000, 0.1000, 0.0100], dtype=torch.float64)
    """
    start = check_real("start", start, 0, open_low=True, open_high=True)
    stop = check_real("stop", stop, 0, open_low=True, open_high=True)
    ends = torch.tensor([start, stop], dtype=torch.float64)
    grid = uniform_grid(*ends.log().tolist(), n).exp()
    grid[0], grid[-1] = ends  # exp(log(x)) is off by a rounding error
    return grid
