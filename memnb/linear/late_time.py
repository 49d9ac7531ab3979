r"""Chapter 5: the noised training set at late times, and near the mixing time.

The Ornstein-Uhlenbeck process takes the n training points to the mixture

.. math:: \hat\rho(t, x) = \frac1n \sum_k \mathcal{N}\big(x \,\big|\, e^{-t} y_k,\, \delta_t I\big),
   \qquad \delta_t = 1 - e^{-2t} .

With :math:`\pi_k(x)` the probability that x came from point k, and the mean and covariance of the
points under it,

.. math::

   \nabla \log\hat\rho &= \frac{e^{-t} \langle y \rangle_\pi - x}{\delta_t}, \\
   \nabla^2 \log\hat\rho &= -\frac{e^{-2t}}{\delta_t} \Sigma_t(x), \qquad
   \Sigma_t(x) = e^{2t} I - \frac{1}{\delta_t} \operatorname{Cov}_\pi(y) .

**Late times.** For :math:`t \to \infty` the weights :math:`\pi_k` become 1/n for all x, and
:math:`\log\hat\rho` a quadratic form with the matrix :math:`\Sigma_t`. With weights 1/n it is
positive definite, so that the quadratic form belongs to a Gaussian, for

.. math:: t > t_R = \tfrac12 \log\big(1 + \lambda_{\max}(\operatorname{Cov}(y))\big) .

P2 prints :math:`\Sigma_t` without the factor :math:`1/\delta_t`.

**Near the mixing time.** P2 replaces :math:`\hat\rho(t_M)` by :math:`\rho_T`, kernels of variance
:math:`2 t_M` on the points themselves. Both are mixtures of n Gaussians of one width, and
:func:`log_similarity` is the cosine of the angle between them in :math:`L^2`.

References
----------
P2, eqs. (10) to (14). The exact curvature is this project's.
"""

import math

import torch

from memnb.validation import check_integer, check_points, check_real

__all__ = [
    "curvature",
    "late_time_matrix",
    "log_density",
    "log_similarity",
    "relaxation_time",
    "total_variation",
]


def _points(points: torch.Tensor) -> torch.Tensor:
    points = check_points("points", points, dtype=torch.float64)
    if points.ndim != 2:
        raise ValueError(f"points must have shape (n, d), got {tuple(points.shape)}")
    return points


def _time(t: float) -> float:
    return check_real("t", t, 0, math.inf, open_low=True, open_high=True)


def log_density(points: torch.Tensor, t: float, x: torch.Tensor) -> torch.Tensor:
    r"""Logarithm of :math:`\hat\rho(t, x)`.

    Parameters
    ----------
    points : Tensor of float64, shape (n, d)
        Training points.
    t : float
        Time, positive.
    x : Tensor of float64, shape (..., d)
        Where.

    Returns
    -------
    Tensor of float64, shape (...)

    Raises
    ------
    TypeError, ValueError
        If points or x are no finite points of the right shape, or t is not positive.
    """
    points, t = _points(points), _time(t)
    n, d = points.shape
    x = check_points("x", x, d, dtype=torch.float64)
    delta = -math.expm1(-2 * t)
    squares = (x[..., None, :] - math.exp(-t) * points).square().sum(dim=-1)
    norm = math.log(n) + 0.5 * d * math.log(2 * math.pi * delta)
    return torch.logsumexp(-squares / (2 * delta), dim=-1) - norm


def curvature(points: torch.Tensor, t: float, x: torch.Tensor) -> torch.Tensor:
    r"""The exact matrix :math:`\Sigma_t(x) = -e^{2t} \delta_t \nabla^2 \log\hat\rho(t, x)`.

    Parameters
    ----------
    points : Tensor of float64, shape (n, d)
        Training points.
    t : float
        Time, positive.
    x : Tensor of float64, shape (d,)
        Where.

    Returns
    -------
    Tensor of float64, shape (d, d)

    Raises
    ------
    TypeError, ValueError
        As for :func:`log_density`.
    """
    points, t = _points(points), _time(t)
    x = check_points("x", x, points.shape[1], dtype=torch.float64)
    delta = -math.expm1(-2 * t)
    squares = (x - math.exp(-t) * points).square().sum(dim=-1)
    weights = torch.softmax(-squares / (2 * delta), dim=0)
    away = points - weights @ points
    covariance = (weights[:, None] * away).mT @ away
    eye = torch.eye(points.shape[1], dtype=points.dtype)
    return math.exp(2 * t) * eye - covariance / delta


def late_time_matrix(points: torch.Tensor, t: float, as_printed: bool = False) -> torch.Tensor:
    r"""The matrix :math:`\Sigma_t = e^{2t} I - \operatorname{Cov}(y) / \delta_t` with weights 1/n.

    Parameters
    ----------
    points : Tensor of float64, shape (n, d)
        Training points.
    t : float
        Time, positive.
    as_printed : bool
        Without the factor :math:`1 / \delta_t`.

    Returns
    -------
    Tensor of float64, shape (d, d)

    Raises
    ------
    TypeError, ValueError
        As for :func:`log_density`.

    Examples
    --------
    >>> points = torch.tensor([[-1.3], [1.3]], dtype=torch.float64)
    >>> [round(late_time_matrix(points, 0.5, p).item(), 4) for p in (False, True)]
    [0.0447, 1.0283]
    """
    points, t = _points(points), _time(t)
    factor = 1.0 if as_printed else -math.expm1(-2 * t)
    covariance = torch.atleast_2d(torch.cov(points.mT, correction=0))
    eye = torch.eye(points.shape[1], dtype=points.dtype)
    return math.exp(2 * t) * eye - covariance / factor


def relaxation_time(points: torch.Tensor) -> float:
    r"""Time :math:`t_R` from which :math:`\Sigma_t` is positive definite, see the module.

    Parameters
    ----------
    points : Tensor of float64, shape (n, d)
        Training points.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        As for :func:`log_density`.
    """
    points = _points(points)
    covariance = torch.atleast_2d(torch.cov(points.mT, correction=0))
    return 0.5 * math.log1p(torch.linalg.eigvalsh(covariance)[-1].item())


def total_variation(points: torch.Tensor, t: float, nodes: int = 20_001) -> float:
    r"""Total variation distance of :math:`\hat\rho(t)` and the Gaussian of the same two moments.

    Parameters
    ----------
    points : Tensor of float64, shape (n, 1)
        Training points on a line.
    t : float
        Time, positive.
    nodes : int
        Nodes of the trapezoidal rule, over ten standard deviations to both sides.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    TypeError, ValueError
        As for :func:`log_density`, if the points are not on a line, or there are under 3 nodes.
    """
    points, t = _points(points), _time(t)
    nodes = check_integer("nodes", nodes, 3)
    if points.shape[1] != 1:
        raise ValueError(f"points must have shape (n, 1), got {tuple(points.shape)}")
    mean = math.exp(-t) * points.mean()
    variance = -math.expm1(-2 * t) + math.exp(-2 * t) * points.var(correction=0)
    reach = 10 * math.sqrt(variance) + math.exp(-t) * points.abs().max()
    x = mean + torch.linspace(-1, 1, nodes, dtype=points.dtype) * reach
    gaussian = torch.exp(-((x - mean) ** 2) / (2 * variance)) / torch.sqrt(2 * math.pi * variance)
    gap = (log_density(points, t, x[:, None]).exp() - gaussian).abs()
    return 0.5 * torch.trapezoid(gap, x).item()


def log_similarity(points: torch.Tensor, t: float) -> float:
    r"""Logarithm of the cosine between :math:`\hat\rho(t)` and kernels of variance 2t.

    .. math:: \cos = \frac{\int \hat\rho(t)\, \rho_T}
       {\big(\int \hat\rho(t)^2 \int \rho_T^2\big)^{1/2}}, \qquad
       \rho_T = \frac1n \sum_k \mathcal{N}(y_k, 2 t I) .

    Parameters
    ----------
    points : Tensor of float64, shape (n, d)
        Training points; about 1000 at most, as all pairs are formed.
    t : float
        Time, positive.

    Returns
    -------
    float
        At most 0, and 0 if the densities agree.

    Raises
    ------
    TypeError, ValueError
        As for :func:`log_density`.
    """
    points, t = _points(points), _time(t)
    d = points.shape[1]

    def log_product(one, other, variance):
        squares = torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist").square()
        total = torch.logsumexp((-squares / (2 * variance)).flatten(), dim=0)
        return total.item() - 0.5 * d * math.log(2 * math.pi * variance)

    moved, delta = math.exp(-t) * points, -math.expm1(-2 * t)
    both = log_product(moved, points, delta + 2 * t)
    return both - 0.5 * (log_product(moved, moved, 2 * delta) + log_product(points, points, 4 * t))
