r"""Score flow and probability flow: how a point moves under a denoiser.

**Score flow** follows the score at one fixed noise level; in the time in which it has unit speed,

.. math:: \frac{dy}{dr} = h(y) - y.

**Probability flow** lets the noise fall as well. With :math:`\sigma_t = \sqrt t` and ball radius
:math:`\rho_t = \alpha\sigma_t`,

.. math::

    \frac{dy}{dt} = -\frac12 \frac{d\sigma_t^2}{dt}\, \frac{h_{\rho_t}(y) - y}{\sigma_t^2}
    \quad\Longleftrightarrow\quad \frac{dy}{dr} = h_{\rho(r)}(y) - y, \qquad r = -\log\sigma.

For orthogonal data and the minimum-norm denoiser both are solved **exactly**, coordinate by
coordinate. Write :math:`z = u_n^\top y` and :math:`L = L_n`.

*Score flow.* With :math:`k = 2\rho / (L - 2\rho)`, the middle of the ramp is an unstable linear
flow, :math:`z(r) - L/2 = (z(0) - L/2)\, e^{kr}`, until it reaches :math:`\rho` or
:math:`L - \rho`; from there (or if it starts there) z decays to 0 or L as :math:`e^{-r}`.

*Probability flow.* The position of z inside its shrinking ramp does not change, so

.. math:: y(\sigma_1) = \frac{\sigma_1}{\sigma_0} y(\sigma_0)
          + \Big(1 - \frac{\sigma_1}{\sigma_0}\Big) h^*_{\rho_0}(y(\sigma_0)):

a straight line in :math:`\sigma`, one DDIM step, whose end at :math:`\sigma = 0` is the denoiser
at the start.

For simplex data the coordinates are coupled; :mod:`memnb.minnorm._coupled` solves those flows
exactly too, from event to event. For any other denoiser, :func:`score_flow_stepped` and
:func:`probability_flow_stepped` integrate numerically, with the solvers of torchdiffeq.

References
----------
Zeno et al., *When Diffusion Models Memorize*, ICML 2025, arXiv:2506.19031, Section 4 and
Theorems 4.2-4.4. The exact solution of the probability flow is this project's own.
"""

import math

import torch
from torchdiffeq import odeint

from memnb.validation import check_choice, check_points, check_real

from ._coupled import probability_flow_coupled, score_flow_coupled
from .denoisers import RampDenoiser

__all__ = [
    "critical_time",
    "probability_flow",
    "probability_flow_stepped",
    "probability_flow_trajectory",
    "score_flow",
    "score_flow_stepped",
    "score_flow_trajectory",
]

FIXED_STEP = ("euler", "midpoint", "rk4")
ADAPTIVE = ("dopri5", "dopri8")


def _require_ramps(denoiser, instead):
    if not isinstance(denoiser, RampDenoiser):
        raise ValueError(
            f"denoiser must be a RampDenoiser for the exact flow, got {denoiser!r}: "
            f"use {instead} for other denoisers"
        )


def _require_one_width(denoiser):
    _require_ramps(denoiser, "probability_flow_stepped")
    widths = denoiser.training_set.high - denoiser.training_set.low
    if not denoiser.training_set.is_orthogonal and (widths / widths[0] - 1).abs().max() > 1e-12:
        raise ValueError(
            "denoiser must have orthogonal ramps or ramps of one width for the exact probability "
            f"flow, got {denoiser!r} with widths from {float(widths.min()):g} to "
            f"{float(widths.max()):g}: use probability_flow_stepped"
        )


def _check_grid(name, grid, *, decreasing):
    grid = torch.as_tensor(grid, dtype=torch.float64)
    steps = -grid.diff() if decreasing else grid.diff()
    order = "decreasing" if decreasing else "increasing"
    if grid.ndim != 1 or len(grid) < 2 or not (steps > 0).all() or grid.min() < 0:
        raise ValueError(
            f"{name} must be a strictly {order} 1-D grid of at least 2 numbers >= 0, "
            f"got {grid.tolist() if grid.numel() < 8 else f'shape {tuple(grid.shape)}'}"
        )
    return grid


def _score_flow_coordinates(z, denoiser, r):
    """Exact score flow of coordinates z (..., K) for a duration r (broadcast against z)."""
    length = denoiser.training_set.lengths
    middle, half = length / 2, length / 2 - denoiser.rho  # center and half-width of the ramp
    k = denoiser.rho / half  # = slope - 1, without its cancellation for small rho
    offset = z - middle
    # Time until z leaves the ramp: 0 outside it, infinite at its midpoint or if k = 0.
    leave = ((half / offset.abs()).log() / k).clamp(min=0)
    leave = torch.where(offset.abs() >= half, 0.0, leave)
    left = (r >= leave) & leave.isfinite()  # r may be infinite too
    # Inside, z is repelled from the midpoint at rate k; outside, it is attracted to 0 or L.
    upper = offset > 0
    target = torch.where(left, torch.where(upper, length, 0.0), middle)
    edge = torch.where(upper, z.clamp(min=length - denoiser.rho), z.clamp(max=denoiser.rho))
    begin = torch.where(left, edge, z) - target
    growth = torch.where(k > 0, k * r, 0.0)  # 0, not nan, for rho = 0 and r = inf
    exponent = torch.where(left, leave - r, growth)
    # At the unstable midpoint begin = 0 stays 0 even when the exponent is infinite.
    return target + torch.where(begin == 0, 0.0, begin * exponent.exp())


def _score_flow(y, denoiser, r):
    """Closed form for orthogonal data; r is a tensor that broadcasts against y."""
    points = denoiser.training_set
    z = points.coordinates(y)
    off_plane = y - points.from_coordinates(z)
    moved = _score_flow_coordinates(z, denoiser, r)
    return points.from_coordinates(moved) + off_plane * torch.exp(-r)


def score_flow(y, denoiser, r):
    r"""Exact score flow :math:`dy/dr = h^*_\rho(y) - y`.

    For orthogonal data each coordinate has a closed form. For other sums of ramps the flow is
    solved exactly from event to event, see :mod:`memnb.minnorm._coupled`.

    Parameters
    ----------
    y : Tensor, shape (..., d)
        Starting points, in the dtype and on the device of the denoiser.
    denoiser : RampDenoiser
        A sum of ramps.
    r : float
        Duration :math:`r \ge 0`; ``math.inf`` gives the stationary point that is reached. For
        orthogonal data that is the nearest vertex of the hyperbox, or the midpoint in a coordinate
        that starts exactly there.

    Returns
    -------
    Tensor, shape (..., d)

    Raises
    ------
    ValueError
        If the denoiser is not a sum of ramps, or ``r < 0``.

    References
    ----------
    arXiv:2506.19031, Theorems 4.2 and 4.3.

    Examples
    --------
    >>> from .data import orthogonal_set
    >>> h = RampDenoiser(orthogonal_set(3, 2), rho=0.1)
    >>> score_flow(torch.tensor([0.9, 0.51], dtype=torch.float64), h, math.inf)
    tensor([1., 1.], dtype=torch.float64)
    """
    _require_ramps(denoiser, "score_flow_stepped")
    check_points("y", y, denoiser.training_set.dim)
    r = check_real("r", r, 0)
    if not denoiser.training_set.is_orthogonal:
        return score_flow_coupled(y, denoiser, r)
    return _score_flow(y, denoiser, torch.tensor(r, dtype=y.dtype, device=y.device))


def score_flow_trajectory(y, denoiser, r_grid):
    r"""Exact score flow at each duration of a grid.

    Parameters
    ----------
    y, denoiser
        As in :func:`score_flow`.
    r_grid : sequence of float, length T
        Increasing durations :math:`r \ge 0`.

    Returns
    -------
    Tensor, shape (T, ..., d)
    """
    _require_ramps(denoiser, "score_flow_stepped")
    check_points("y", y, denoiser.training_set.dim)
    r = _check_grid("r_grid", r_grid, decreasing=False).to(y)
    if not denoiser.training_set.is_orthogonal:
        path = [score_flow_coupled(y, denoiser, float(r[0]))]
        for step in r.diff().tolist():
            path.append(score_flow_coupled(path[-1], denoiser, step))
        return torch.stack(path)
    return _score_flow(y, denoiser, r.reshape(-1, *[1] * y.ndim))


def _check_levels(sigma_0, sigma_1):
    sigma_0 = check_real("sigma_0", sigma_0, 0, math.inf, open_low=True, open_high=True)
    return sigma_0, check_real("sigma_1", sigma_1, 0, sigma_0)


def probability_flow(y, denoiser, sigma_0, sigma_1):
    r"""Exact probability flow from noise level :math:`\sigma_0` down to :math:`\sigma_1`.

    The ball radius falls with the noise, :math:`\rho(\sigma) = \rho_0 \sigma / \sigma_0`.

    Parameters
    ----------
    y : Tensor, shape (..., d)
        Points at noise level :math:`\sigma_0`.
    denoiser : RampDenoiser
        Minimum-norm denoiser **at** :math:`\sigma_0`, so that its radius is
        :math:`\rho_0 = \alpha\sigma_0`. Its ramps must be orthogonal or all of one width.
    sigma_0, sigma_1 : float
        Noise levels, :math:`\sigma_0 > 0` and :math:`0 \le \sigma_1 \le \sigma_0`.

    Returns
    -------
    Tensor, shape (..., d)

    Raises
    ------
    ValueError
        If the denoiser is not such a sum of ramps, or the levels are out of order.

    References
    ----------
    The ODE is arXiv:2506.19031, Section 4.2; its closed form is this project's own.

    Examples
    --------
    >>> from .data import orthogonal_set
    >>> h = RampDenoiser(orthogonal_set(3, 2), rho=0.1)
    >>> probability_flow(torch.tensor([0.95, 0.3], dtype=torch.float64), h, 0.1, 0.0)
    tensor([1.0000, 0.2500], dtype=torch.float64)
    """
    _require_one_width(denoiser)
    check_points("y", y, denoiser.training_set.dim)
    sigma_0, sigma_1 = _check_levels(sigma_0, sigma_1)
    if not denoiser.training_set.is_orthogonal:
        return probability_flow_coupled(y, denoiser, sigma_0, sigma_1)
    return torch.lerp(denoiser(y), y, sigma_1 / sigma_0)


def probability_flow_trajectory(y, denoiser, sigma_grid):
    r"""Exact probability flow at each noise level of a grid.

    Parameters
    ----------
    y, denoiser
        As in :func:`probability_flow`; both are at the first noise level of the grid.
    sigma_grid : sequence of float, length T
        Decreasing noise levels; the last one may be 0.

    Returns
    -------
    Tensor, shape (T, ..., d)
    """
    _require_one_width(denoiser)
    check_points("y", y, denoiser.training_set.dim)
    sigma = _check_grid("sigma_grid", sigma_grid, decreasing=True)
    if not denoiser.training_set.is_orthogonal:
        levels = sigma.tolist()
        ends = [probability_flow_coupled(y, denoiser, levels[0], level) for level in levels]
        return torch.stack(ends)
    kept = (sigma / sigma[0]).to(y).reshape(-1, *[1] * y.ndim)
    return torch.lerp(denoiser(y), y, kept)


def critical_time(y, training_set, alpha):
    r"""Time :math:`\tau` from which a probability flow started at y reaches a vertex.

    A flow that starts at time :math:`T` with :math:`\rho_T = \alpha\sqrt T` ends at a vertex if
    and only if every coordinate starts outside the open ramp, that is, if and only if
    :math:`T \ge \tau` with

    .. math:: \tau = \max_n \frac{\max(0, \min(z_n, L_n - z_n))^2}{\alpha^2}.

    Otherwise it stops on the hyperbox, strictly between vertices. (The low-noise regime also
    needs :math:`\alpha\sqrt T < L_n / 2`.)

    Parameters
    ----------
    y : Tensor, shape (..., d)
        Starting points.
    training_set : TrainingSet
        Orthogonal data.
    alpha : float
        :math:`\alpha = \rho_t / \sigma_t > 0`.

    Returns
    -------
    Tensor, shape (...)

    References
    ----------
    arXiv:2506.19031, Theorem 4.4.
    """
    if not training_set.is_orthogonal:
        raise ValueError(f"training_set must be orthogonal data, got kind {training_set.kind!r}")
    alpha = check_real("alpha", alpha, 0, open_low=True)
    z = training_set.coordinates(y)
    depth = torch.minimum(z, training_set.lengths - z).clamp(min=0)
    return (depth.amax(dim=-1) / alpha).square()


def _integrate(velocity, y, grid, method, return_path, tolerances):
    """Solve dy/ds = velocity(s, y) on the grid with torchdiffeq; fixed methods step on it."""
    check_choice("method", method, FIXED_STEP + ADAPTIVE)
    grid = grid.to(y.device)
    if method in FIXED_STEP:
        if tolerances:
            raise ValueError(f"rtol and atol have no meaning for method {method!r}")
        tolerances = {"options": {"grid_constructor": lambda func, y0, t: grid}}
    else:  # end the last step on the grid: beyond it the velocity may have no value
        tolerances = {"options": {"step_t": grid[-1:]}, **tolerances}
    with torch.no_grad():
        path = odeint(
            velocity, y, grid if return_path else grid[[0, -1]], method=method, **tolerances
        )
    return path if return_path else path[-1]


def score_flow_stepped(y, denoiser, r_grid, method="rk4", return_path=True, **tolerances):
    r"""Score flow of any denoiser, by a numerical method.

    Parameters
    ----------
    y : Tensor, shape (..., d)
        Starting points, at ``r_grid[0]``.
    denoiser : callable
        Maps (..., d) to (..., d).
    r_grid : sequence of float, length T
        Increasing times r; the steps of the fixed-step methods.
    method : {"euler", "midpoint", "rk4", "dopri5", "dopri8"}
        Fixed-step methods of order 1, 2 and 4, or adaptive ones with ``rtol`` and ``atol``.
    return_path : bool
        Whether to return the path on the grid or its last point only.
    **tolerances : float
        ``rtol`` and ``atol`` of the adaptive methods.

    Returns
    -------
    Tensor, shape (T, ..., d) or (..., d)

    Examples
    --------
    >>> y = torch.tensor([1.0], dtype=torch.float64)
    >>> decay = score_flow_stepped(y, torch.zeros_like, [0.0, 0.5, 1.0], return_path=False)
    >>> round(decay.item(), 3), round(math.exp(-1), 3)
    (0.368, 0.368)
    """
    grid = _check_grid("r_grid", r_grid, decreasing=False)
    return _integrate(lambda r, y: denoiser(y) - y, y, grid, method, return_path, tolerances)


def probability_flow_stepped(
    y, family, grid, variable="t", method="euler", return_path=True, **tolerances
):
    r"""Probability flow of any family of denoisers, by a numerical method.

    The same ODE can be stepped in three variables, which differ in their errors:

    - ``"t"``: :math:`dy/dt = -(h_\sigma(y) - y) / (2t)` with :math:`\sigma = \sqrt t`; Euler in it
      is the discretization of arXiv:2506.19031;
    - ``"sigma"``: :math:`dy/d\sigma = -(h_\sigma(y) - y) / \sigma`; Euler in it is DDIM;
    - ``"log_sigma"``: :math:`dy/dr = h_\sigma(y) - y` with :math:`r = -\log\sigma`; the grid still
      lists noise levels :math:`\sigma`.

    Parameters
    ----------
    y : Tensor, shape (..., d)
        Points at the first time or noise level of the grid.
    family : callable
        Maps a noise level :math:`\sigma` (float) to a denoiser, see
        :func:`memnb.minnorm.denoisers.ramp_family`.
    grid : sequence of float, length T
        Decreasing times t or noise levels :math:`\sigma`; the steps of the fixed-step methods. It
        may end at 0 only for Euler in t or :math:`\sigma`, which never evaluates the end.
    variable : {"t", "sigma", "log_sigma"}
        Variable of the grid and of the steps.
    method : {"euler", "midpoint", "rk4", "dopri5", "dopri8"}
        As in :func:`score_flow_stepped`.
    return_path : bool
        Whether to return the path on the grid or its last point only.
    **tolerances : float
        ``rtol`` and ``atol`` of the adaptive methods.

    Returns
    -------
    Tensor, shape (T, ..., d) or (..., d)
    """
    check_choice("variable", variable, ("t", "sigma", "log_sigma"))
    grid = _check_grid("grid", grid, decreasing=True)
    if grid[-1] == 0 and (method != "euler" or variable == "log_sigma"):
        raise ValueError(
            f"grid must end above 0 for method {method!r} in {variable!r}: "
            "the velocity has no value at zero noise"
        )

    last = float(grid[-1])

    def velocity(s, y):
        s = float(s)
        if variable != "log_sigma":
            s = max(s, last)  # the trial step that sets the first step's size may go too far
        if variable == "t":
            return (y - family(math.sqrt(s))(y)) / (2 * s)
        if variable == "sigma":
            return (y - family(s)(y)) / s
        return family(math.exp(-s))(y) - y

    if variable == "log_sigma":
        grid = -grid.log()
    return _integrate(velocity, y, grid, method, return_path, tolerances)
