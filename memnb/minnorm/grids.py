r"""Noise schedules: how noise falls, and how two conventions are one process.

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

import torch

from memnb.validation import check_integer, check_real

__all__ = [
    "log_uniform_grid",
    "ou_from_ve",
    "ou_time",
    "sigma_derivative",
    "sigma_from_ou_time",
    "sigma_from_t",
    "t_from_sigma",
    "uniform_grid",
    "ve_from_ou",
]


def _nonnegative(name, value):
    value = torch.as_tensor(value, dtype=None if torch.is_tensor(value) else torch.float64)
    if not value.is_floating_point():
        value = value.to(torch.float64)
    if not (value >= 0).all():
        raise ValueError(f"{name} must be at least 0, got a minimum of {value.min().item():g}")
    return value


def sigma_from_t(t):
    r"""Noise level :math:`\sigma_t = \sqrt{t}` at time :math:`t \ge 0` (any shape)."""
    return _nonnegative("t", t).sqrt()


def t_from_sigma(sigma):
    r"""Time :math:`t = \sigma^2` at which the noise level is :math:`\sigma \ge 0` (any shape)."""
    return _nonnegative("sigma", sigma).square()


def sigma_derivative(t):
    r"""Derivative :math:`d\sigma_t/dt = 1 / (2 \sqrt{t})`; infinite at :math:`t = 0`."""
    return 0.5 / _nonnegative("t", t).sqrt()


def sigma_from_ou_time(s):
    r"""Noise level :math:`\sigma = \sqrt{e^{2s} - 1}` at Ornstein-Uhlenbeck time s, s >= 0."""
    return torch.expm1(2 * _nonnegative("s", s)).sqrt()


def ou_time(sigma):
    r"""Ornstein-Uhlenbeck time :math:`s = \tfrac12 \log(1 + \sigma^2)` of a noise level."""
    return 0.5 * torch.log1p(_nonnegative("sigma", sigma).square())


def ve_from_ou(x, s):
    r"""Carry :math:`X_s` of the Ornstein-Uhlenbeck process to the variance-exploding one.

    Parameters
    ----------
    x : Tensor, shape (..., d)
        A point :math:`X_s`.
    s : float
        Ornstein-Uhlenbeck time :math:`s \ge 0`.

    Returns
    -------
    y : Tensor, shape (..., d)
        :math:`y = e^{s} X_s`.
    sigma : float
        The noise level :math:`\sqrt{e^{2s} - 1}` of y.

    Examples
    --------
    >>> x = torch.tensor([0.5, -1.0], dtype=torch.float64)
    >>> back, s = ou_from_ve(*ve_from_ou(x, 2.0))
    >>> bool((back - x).abs().max() < 1e-15), round(s, 12)
    (True, 2.0)
    """
    s = check_real("s", s, 0)
    time = torch.tensor(s, dtype=torch.float64)
    return x * time.exp().item(), sigma_from_ou_time(time).item()


def ou_from_ve(y, sigma):
    r"""Inverse of :func:`ve_from_ou`.

    Parameters
    ----------
    y : Tensor, shape (..., d)
        A point of the variance-exploding process.
    sigma : float
        Its noise level :math:`\sigma \ge 0`.

    Returns
    -------
    x : Tensor, shape (..., d)
        :math:`X_s = y / \sqrt{1 + \sigma^2}`.
    s : float
        The Ornstein-Uhlenbeck time :math:`\tfrac12 \log(1 + \sigma^2)`.
    """
    sigma = check_real("sigma", sigma, 0)
    s = ou_time(sigma)
    return y * (-s).exp().item(), s.item()


def uniform_grid(start, stop, n):
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
    """
    start, stop = check_real("start", start), check_real("stop", stop)
    return torch.linspace(start, stop, check_integer("n", n, 2), dtype=torch.float64)


def log_uniform_grid(start, stop, n):
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

    Examples
    --------
    >>> log_uniform_grid(1.0, 0.01, 3)
    tensor([1.0000, 0.1000, 0.0100], dtype=torch.float64)
    """
    start = check_real("start", start, 0, open_low=True)
    stop = check_real("stop", stop, 0, open_low=True)
    ends = torch.tensor([start, stop], dtype=torch.float64)
    grid = uniform_grid(*ends.log().tolist(), n).exp()
    grid[0], grid[-1] = ends  # exp(log(x)) is off by a rounding error
    return grid
