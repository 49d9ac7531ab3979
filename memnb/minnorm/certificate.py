r"""Chapters 1 and 3: a convex program that certifies the cost of a denoiser in the plane.

With *all* gates :math:`[w^\top y - \tau]_+` of a dense dictionary of unit directions w and
thresholds :math:`\tau` at hand, the cheapest network that fits the balls needs no training. Its
output weights solve a convex program,

.. math::

    & \min_{a_k, V, c} \sum_k \lVert a_k \rVert \quad\text{subject to} \\
    & \Big\lvert \sum_k a_k [w_k^\top y - \tau_k]_+ + V y + c - x_n \Big\rvert \le \epsilon
    \quad\text{for } y \text{ on the ball around } x_n,

in which the skip connection V and the offset c are free. (For a unit :math:`w_k` rescaled to
balance, :math:`\tfrac12(\lVert a_k \rVert^2 + \lVert w_k \rVert^2)` becomes
:math:`\lVert a_k \rVert`.) A closed form that claims to be cheapest must have this cost.

The program's dual turns any multipliers :math:`\lambda_y \in \mathbb{R}^2` of the sampled points
into a lower bound of the cost,

.. math::

    & \sum_y \lambda_y^\top x_{n(y)} - \epsilon \sum_y \lVert \lambda_y \rVert_1 \le
    \sum_k \lVert a_k \rVert \quad\text{if} \\
    & \Big\lVert \sum_y [w_k^\top y - \tau_k]_+ \lambda_y \Big\rVert \le 1,\;
    \sum_y \lambda_y = 0,\; \sum_y \lambda_y y^\top = 0.

The solver's multipliers are projected and scaled until these conditions hold, so that the bound
does not rest on the solver having converged.

The solver knows nothing of ramps, orthogonality or the closed form.

References
----------
Zeno et al., *How do Minimum-Norm Shallow Denoisers Look in Function Space?*, NeurIPS 2023,
arXiv:2311.06748 (the variational problem).
"""

import math
import warnings

import numpy as np

from memnb.validation import check_integer, check_real

from .geometry import TrainingSet, check_training_set
from .planar import normalized

__all__ = ["certified_cost"]

TOLERANCE = 1e-6  # |residual|; interior-point solvers fail on exact equalities on a fine grid
GAP = 1e-3  # largest relative gap between the solver's cost and the proven bound


def _angles(x: np.ndarray, n_directions: int) -> np.ndarray:
    """A grid on the half-circle, and the directions of the edges and of their normals."""
    first, second = np.triu_indices(len(x), 1)
    edges = x[first] - x[second]
    along = np.arctan2(edges[:, 1], edges[:, 0])
    extra = np.concatenate([along, along + math.pi / 2]) % math.pi
    # Opposite gates are equal up to a linear function, which is free, so half a circle will do.
    angles = np.sort(np.concatenate([np.arange(n_directions) * math.pi / n_directions, extra]))
    return angles[np.concatenate([[True], np.diff(angles) > 1e-9])]


def _dual_bound(
    multipliers: np.ndarray, gates: np.ndarray, y: np.ndarray, target: np.ndarray
) -> float:
    """A lower bound of the cost that holds for any multipliers: they are made feasible first."""
    free = np.linalg.qr(np.column_stack([y, np.ones(len(y))]))[0]
    m = multipliers - free @ (free.T @ multipliers)  # V and c are free
    m = m / max(1.0, np.linalg.norm(gates.T @ m, axis=1).max())
    return float((m * target).sum() - TOLERANCE * np.abs(m).sum())


def certified_cost(
    training_set: TrainingSet, rho: float, n_directions: int = 16, n_biases: int = 24
) -> float:
    r"""Least cost of a shallow ReLU network that maps balls in the plane to their centers.

    The balls are sampled at their centers and at their extreme points in every direction of the
    dictionary; the thresholds include the ends of every ball along every direction.

    Parameters
    ----------
    training_set : TrainingSet
        Points with d = 2.
    rho : float
        Ball radius :math:`\rho > 0`.
    n_directions : int
        Equally spaced gate directions on the half-circle; those of the edges and
        of their normals are added.
    n_biases : int
        Equally spaced thresholds for each direction; the ends of the balls are added.

    Returns
    -------
    float
        A proven lower bound of the cost of every network of the dictionary with residuals of at
        most 1e-6 of the size of the training set (rounded to a power of two), within a relative
        1e-3 of the least cost that the solver found.

    Raises
    ------
    TypeError, ValueError
        If the points are not in the plane, or two balls touch.
    RuntimeError
        If the solver fails, or its cost and the bound are further apart than that.
    """
    import cvxpy

    if check_training_set(training_set).dim != 2:
        raise ValueError(f"training_set must have d = 2, got {training_set.dim}")
    rho = check_real("rho", rho, 0, math.inf, open_low=True, open_high=True)
    check_integer("n_directions", n_directions, 1)
    check_integer("n_biases", n_biases, 2)
    x, rho, _, _ = normalized(training_set.points, rho)
    angles = _angles(x, n_directions)
    w = np.stack([np.cos(angles), np.sin(angles)], axis=1)

    offsets = rho * np.concatenate([np.zeros((1, 2)), w, -w])
    y = (x[:, None] + offsets).reshape(-1, 2)
    target = np.repeat(x, len(offsets), axis=0)

    features = []
    for direction in w:
        t = x @ direction
        ends = np.concatenate([t - rho, t + rho])
        grid = np.linspace(ends.min(), ends.max(), n_biases)
        thresholds = np.unique(np.concatenate([grid, ends]).round(12))
        features.append(np.maximum((y @ direction)[:, None] - thresholds, 0))
    gates = np.concatenate(features, axis=1)
    gates = gates[:, gates.any(axis=0)]

    a = cvxpy.Variable((gates.shape[1], 2))
    v, c = cvxpy.Variable((2, 2)), cvxpy.Variable((1, 2))
    residual = gates @ a + y @ v + np.ones((len(y), 1)) @ c - target
    constraints = [residual <= TOLERANCE, -residual <= TOLERANCE]
    problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum(cvxpy.norm(a, axis=1))), constraints)
    gap = {"tol_gap_abs": 1e-7, "tol_gap_rel": 1e-7, "tol_feas": 1e-7}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Solution may be inaccurate")  # judged by the bound
        try:
            problem.solve(solver=cvxpy.CLARABEL, **gap)
        except cvxpy.error.SolverError as error:
            raise RuntimeError(f"the solver failed: {error}") from error
    if problem.status not in (cvxpy.OPTIMAL, cvxpy.OPTIMAL_INACCURATE):
        raise RuntimeError(f"the solver stopped with status {problem.status!r}")
    above, below = (constraint.dual_value for constraint in constraints)
    bound = _dual_bound(below - above, gates, y, target)
    if not problem.value - bound <= GAP * bound:
        raise RuntimeError(
            f"the solver left a gap: cost {problem.value:.6g}, proven bound {bound:.6g}"
        )
    return bound
