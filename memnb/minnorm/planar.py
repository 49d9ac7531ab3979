r"""Chapter 3: the cheapest denoiser of any points in the plane, by convex programming.

Closed forms exist for few training sets only. For any other set in the plane whose balls
:math:`B(x_n, \rho)` do not touch, the minimum-norm denoiser is the solution of a small convex
program. Two observations make it small and its solution fit the *whole* balls:

1. *No kink crosses a ball.* A network of finitely many units that is constant on a ball has no net
   kink inside it. Units whose kinks cancel on a line add a linear function at most, which the skip
   connection provides free of cost. So only gates :math:`[w^\top y - \tau]_+` are needed whose
   line misses every ball, and on each ball such a gate is either 0 or linear. Interpolation of a
   ball then is six equations: the linear part of h is zero and its value is :math:`x_n`.
2. *The ends suffice.* For a direction w, a threshold :math:`\tau` between two neighboring balls
   enters the equations through a and :math:`\tau a` only. It can be replaced, at equal cost, by the
   two ends of the gap.

This leaves two gates for each direction and gap. The program

.. math::

    & \min_{a_k, V, c} \sum_k \lVert a_k \rVert \quad\text{subject to} \\
    & V + \sum_{k:\, w_k^\top x_n > \tau_k} a_k w_k^\top = 0, \quad
    c - \sum_{k:\, w_k^\top x_n > \tau_k} \tau_k a_k = x_n \quad\text{for all } n

is exact up to the grid of directions. Its solution need not be unique as a function (an end of a
gap may be traded for thresholds inside); the cost is.

:mod:`memnb.minnorm.certificate` bounds the cost from below by another program, which knows the
balls only from samples and allows kinks anywhere.

References
----------
Zeno et al., *How do Minimum-Norm Shallow Denoisers Look in Function Space?*, NeurIPS 2023,
arXiv:2311.06748 (the variational problem). The reduction is this project's.
"""

import math

import numpy as np
import torch

from memnb.validation import check_integer, check_points, check_real

from .networks import ReLUNetwork

__all__ = ["minimum_norm_planar"]


def normalized(points: torch.Tensor, rho: float) -> tuple[np.ndarray, float, np.ndarray, float]:
    r"""Points moved to the origin and scaled to size one, and the radius that belongs to them.

    The cost of a network does not depend on origin and unit; the solver's tolerances do. The scale
    is a power of two, so that it rounds nothing.

    Parameters
    ----------
    points : Tensor, shape (N, d)
    rho : float
        Ball radius.

    Returns
    -------
    x : ndarray of float64, shape (N, d)
    rho : float
    center : ndarray, shape (d,)
    scale : float
        The points are ``center + scale * x``.

    Raises
    ------
    ValueError
        If two balls touch.
    """
    exact = points.detach().cpu().double()
    center = exact.mean(dim=0)
    least = float(torch.pdist(exact - center).min())
    if least <= 2 * rho:
        raise ValueError(
            f"rho must be below half the least distance of two points, {least / 2:g}, got {rho:g}"
        )
    scale = 2.0 ** round(math.log2(float((exact - center).norm(dim=1).max())))
    return ((exact - center) / scale).numpy(), rho / scale, center.numpy(), scale


def _directions(x: np.ndarray, rho: float, n_directions: int) -> np.ndarray:
    """Angles on the half-circle: a grid, edges, their normals, and where a gap of balls closes."""
    angles = [np.arange(n_directions) * math.pi / n_directions]
    for n in range(len(x)):
        for m in range(n):
            edge = x[n] - x[m]
            at = math.atan2(edge[1], edge[0])
            closes = math.acos(2 * rho / math.hypot(*edge))
            angles.append(np.array([at, at + math.pi / 2, at + closes, at - closes]) % math.pi)
    return np.unique(np.concatenate(angles).round(12))


def _gates(x: np.ndarray, rho: float, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit directions (G, 2) and thresholds (G,) of the lines that graze two balls or more."""
    w, tau = [], []
    for angle in angles:
        direction = np.array([math.cos(angle), math.sin(angle)])
        t = np.sort(x @ direction)
        for low, high in zip(t[:-1] + rho, t[1:] - rho, strict=True):
            if high >= low - 1e-10:
                ends = [low, high] if high > low + 1e-10 else [(low + high) / 2]
                w += [direction] * len(ends)
                tau += ends
    return np.array(w).reshape(-1, 2), np.array(tau)


def _polish(x: np.ndarray, w: np.ndarray, tau: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The smallest change of the weights (G + 3, 2) that makes them fit the balls to rounding."""
    rows, target = [], []
    for point in x:
        on = (w @ point > tau).astype(float)
        linear = np.hstack([(on[:, None] * w).T, np.eye(2), np.zeros((2, 1))])
        rows += [*linear, np.concatenate([-on * tau, [0, 0, 1]])]
        target += [np.zeros(2), np.zeros(2), point]
    rows, target = np.array(rows), np.array(target)
    return weights + np.linalg.lstsq(rows, target - rows @ weights, rcond=None)[0]


def minimum_norm_planar(points: torch.Tensor, rho: float, n_directions: int = 180) -> ReLUNetwork:
    r"""The cheapest shallow ReLU network that maps balls in the plane to their centers.

    Parameters
    ----------
    points : Tensor, shape (N, 2)
        Training points, at least two, further than :math:`2\rho` apart.
    rho : float
        Ball radius :math:`\rho > 0`.
    n_directions : int
        Equally spaced gate directions on the half-circle; the directions of the edges, of their
        normals, and those in which a gap between two balls closes are added.

    Returns
    -------
    ReLUNetwork
        Constant on each ball, to rounding, in the dtype of the points. Units that are not needed
        are left out.

    Raises
    ------
    ValueError
        If the points are not in the plane, the balls touch, or no line separates some ball from
        the others, so that no network of finitely many units fits.
    RuntimeError
        If the solver fails.

    Examples
    --------
    >>> from .data import orthogonal_set
    >>> round(minimum_norm_planar(orthogonal_set(3, 2).points, 0.1).cost(), 5)
    5.0
    """
    import cvxpy

    points = check_points("points", points, 2)
    rho = check_real("rho", rho, 0, math.inf, open_low=True, open_high=True)
    check_integer("n_directions", n_directions, 1)
    if points.ndim != 2 or len(points) < 2:
        raise ValueError(f"points must have shape (N, 2) with N >= 2, got {tuple(points.shape)}")
    x, rho, center, scale = normalized(points, rho)
    w, tau = _gates(x, rho, _directions(x, rho, n_directions))
    if not len(tau):
        raise ValueError(
            f"no network fits: at rho = {rho * scale:g} no line passes between the balls"
        )

    a = cvxpy.Variable((len(tau), 2))
    v, c = cvxpy.Variable((2, 2)), cvxpy.Variable(2)
    constraints = []
    for point in x:
        on = (w @ point > tau).astype(float)
        constraints += [v + a.T @ (on[:, None] * w) == 0, c - a.T @ (on * tau) == point]
    problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum(cvxpy.norm(a, axis=1))), constraints)
    try:
        problem.solve(solver=cvxpy.CLARABEL)
    except cvxpy.error.SolverError as error:
        raise RuntimeError(f"the solver failed: {error}") from error
    if problem.status in (cvxpy.INFEASIBLE, cvxpy.INFEASIBLE_INACCURATE):
        raise ValueError(
            f"no network fits: at rho = {rho * scale:g} too few lines pass between the balls"
        )
    if problem.status != cvxpy.OPTIMAL:
        raise RuntimeError(f"the solver stopped with status {problem.status!r}")

    size = np.linalg.norm(a.value, axis=1)
    keep = size > 1e-6 * size.max()
    weights = _polish(x, w[keep], tau[keep], np.vstack([a.value[keep], v.value.T, c.value]))
    a, v, c = weights[:-3], weights[-3:-1].T, weights[-1]
    root = np.sqrt(np.linalg.norm(a, axis=1))[:, None]
    w, tau = w[keep], scale * tau[keep] + w[keep] @ center
    c = center + scale * c - v @ center
    units = {"W": root * w, "b": -root[:, 0] * tau, "A": (a / root).T, "V": v, "c": c}
    as_tensor = {name: torch.as_tensor(np.ascontiguousarray(m)) for name, m in units.items()}
    return ReLUNetwork(**{name: tensor.to(points) for name, tensor in as_tensor.items()})
