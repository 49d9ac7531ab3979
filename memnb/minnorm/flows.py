r"""Chapters 1 to 3: score flow and probability flow, how a point moves under a denoiser.

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
exactly too, from event to event. For any other denoiser, :mod:`memnb.minnorm.stepped` integrates
numerically.

References
----------
Zeno et al., *When Diffusion Models Memorize*, ICML 2025, arXiv:2506.19031, Section 4 and
Theorems 4.2-4.4. The exact solution of the probability flow is this project's own.
"""

import math
from collections.abc import Callable, Sequence

import torch

from memnb.validation import check_points, check_real

from ._coupled import probability_flow_coupled, score_flow_coupled
from .denoisers import RampDenoiser
from .geometry import TrainingSet, check_training_set
from .stepped import check_grid

__all__ = [
    "critical_time",
    "probability_flow",
    "probability_flow_trajectory",
    "score_flow",
    "score_flow_trajectory",
]

BLOCK = 4096  # starts at a time


def _require_ramps(denoiser: object, instead: str) -> RampDenoiser:
    if not isinstance(denoiser, RampDenoiser):
        raise ValueError(
            f"denoiser must be a RampDenoiser for the exact flow, got {denoiser!r}: "
            f"use {instead} for other denoisers"
        )
    return denoiser


def _require_one_width(denoiser: object) -> RampDenoiser:
    s = _require_ramps(denoiser, "probability_flow_stepped").training_set
    widths = s.high - s.low
    slack = 64 * torch.finfo(widths.dtype).eps
    if not s.is_orthogonal and (widths / widths[0] - 1).abs().max() > slack:
        raise ValueError(
            "denoiser must have orthogonal ramps or ramps of one width for the exact probability "
            f"flow, got {denoiser!r} with widths from {float(widths.min()):g} to "
            f"{float(widths.max()):g}: use probability_flow_stepped"
        )
    return denoiser


def _in_blocks(
    y: torch.Tensor, change: Callable[[torch.Tensor], torch.Tensor], size: int = BLOCK
) -> torch.Tensor:
    """Apply a map (n, d) to (..., n, d) to points (..., d) in blocks that fit the cache."""
    parts = [change(block) for block in y.reshape(-1, y.shape[-1]).split(size)]
    result = torch.cat(parts, dim=-2) if len(parts) > 1 else parts[0]
    return result.reshape(*result.shape[:-2], *y.shape)


def _score_flow_coordinates(
    z: torch.Tensor, denoiser: RampDenoiser, r: torch.Tensor
) -> torch.Tensor:
    """Exact score flow of coordinates z (..., K) for a duration r (broadcast against z)."""
    length, rho = denoiser.training_set.lengths, denoiser.rho
    upper = z > length / 2
    target = torch.where(upper, length, 0.0)
    distance = z - target
    if rho == 0:
        edge = torch.where(upper, distance.clamp(min=0), distance.clamp(max=0))
        return z + edge * torch.expm1(-r)
    half = length / 2 - rho  # half the width of the ramp
    k = rho / half  # = slope - 1, without its cancellation for small rho
    offset = z - length / 2
    at_middle = offset == 0
    # Time until z leaves the ramp: 0 outside it. It is infinite at the midpoint.
    leave = torch.log(half / torch.where(at_middle, half, offset).abs()).clamp(min=0) / k
    stays = at_middle | (leave > r)
    # Inside, z is repelled from the midpoint at rate k; outside, it is attracted to 0 or L.
    edge = torch.where(upper, distance.clamp(min=-rho), distance.clamp(max=rho))
    # The midpoint itself stays however long, so that the growth must not become infinite.
    most = math.log(torch.finfo(z.dtype).max) - 1
    exponent = torch.where(stays, (k * r).clamp(max=most), leave - r)
    begin = torch.where(stays, offset, edge)
    return torch.where(stays, length / 2, target) + begin * exponent.exp()


def _score_flow(y: torch.Tensor, denoiser: RampDenoiser, r: torch.Tensor) -> torch.Tensor:
    """Closed form for orthogonal data; r is one duration, or (T, 1, 1) of them."""
    y, denoiser = denoiser.in_common_dtype(y)
    s, r = denoiser.training_set, r.to(y)
    share = torch.exp(-r)

    def change(block: torch.Tensor) -> torch.Tensor:
        offset = block - s.center
        z = offset @ s.directions.mT
        moved = _score_flow_coordinates(z, denoiser, r) - share * z
        return s.center + moved @ s.directions + share * offset

    return _in_blocks(y, change, max(1, BLOCK // r.numel()))


def score_flow(y: torch.Tensor, denoiser: RampDenoiser, r: float) -> torch.Tensor:
    r"""Exact score flow :math:`dy/dr = h^*_\rho(y) - y`.

    For orthogonal data each coordinate has a closed form. For other sums of ramps the flow is
    solved exactly from event to event, see :mod:`memnb.minnorm._coupled`.

    Parameters
    ----------
    y : Tensor, shape (..., d)
        Starting points, on the device of the denoiser.
    denoiser : RampDenoiser
        A sum of ramps.
    r : float
        Duration :math:`r \ge 0`; ``math.inf`` gives the stationary point that is reached. For
        orthogonal data that is the nearest vertex of the hyperbox, or the midpoint in a coordinate
        that starts exactly there.

    Returns
    -------
    Tensor, shape (..., d)
        In the common dtype of y and the denoiser. It can be differentiated with respect to y; a
        start that goes to an unstable point has no derivative for ``r = math.inf``.

    Raises
    ------
    TypeError, ValueError
        If the denoiser is not a sum of ramps, the points are not finite of shape (..., d), or
        ``r < 0``.

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
    y = check_points("y", y, denoiser.training_set.dim)
    r = check_real("r", r, 0)
    if not denoiser.training_set.is_orthogonal:
        return score_flow_coupled(y, denoiser, r)
    return _score_flow(y, denoiser, torch.tensor(r, dtype=torch.float64))


def score_flow_trajectory(
    y: torch.Tensor, denoiser: RampDenoiser, r_grid: Sequence[float]
) -> torch.Tensor:
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

    Raises
    ------
    TypeError, ValueError
        As in :func:`score_flow`, or if the grid is not finite and in order.
    """
    _require_ramps(denoiser, "score_flow_stepped")
    y = check_points("y", y, denoiser.training_set.dim)
    r = check_grid("r_grid", r_grid, decreasing=False)
    if not denoiser.training_set.is_orthogonal:
        path = [score_flow_coupled(y, denoiser, float(r[0]))]
        for step in r.diff().tolist():
            path.append(score_flow_coupled(path[-1], denoiser, step))
        return torch.stack(path)
    return _score_flow(y, denoiser, r[:, None, None])


def _check_levels(sigma_0: float, sigma_1: float) -> tuple[float, float]:
    sigma_0 = check_real("sigma_0", sigma_0, 0, math.inf, open_low=True, open_high=True)
    return sigma_0, check_real("sigma_1", sigma_1, 0, sigma_0)


def _probability_flow(y: torch.Tensor, denoiser: RampDenoiser, share: torch.Tensor) -> torch.Tensor:
    """Closed form for orthogonal data; share = sigma_1 / sigma_0 is one number, or (T, 1, 1)."""
    y, denoiser = denoiser.in_common_dtype(y)
    share = share.to(y)
    return _in_blocks(
        y, lambda block: torch.lerp(denoiser(block), block, share), max(1, BLOCK // share.numel())
    )


def probability_flow(
    y: torch.Tensor, denoiser: RampDenoiser, sigma_0: float, sigma_1: float
) -> torch.Tensor:
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
        In the common dtype of y and the denoiser. It can be differentiated with respect to y.

    Raises
    ------
    TypeError, ValueError
        If the denoiser is not such a sum of ramps, the points are not finite of shape (..., d), or
        the levels are out of order.

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
    y = check_points("y", y, denoiser.training_set.dim)
    sigma_0, sigma_1 = _check_levels(sigma_0, sigma_1)
    if not denoiser.training_set.is_orthogonal:
        return probability_flow_coupled(y, denoiser, sigma_0, sigma_1)
    return _probability_flow(y, denoiser, torch.tensor(sigma_1 / sigma_0, dtype=torch.float64))


def probability_flow_trajectory(
    y: torch.Tensor, denoiser: RampDenoiser, sigma_grid: Sequence[float]
) -> torch.Tensor:
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

    Raises
    ------
    TypeError, ValueError
        As in :func:`probability_flow`, or if the grid is not finite and in order.
    """
    _require_one_width(denoiser)
    y = check_points("y", y, denoiser.training_set.dim)
    sigma = check_grid("sigma_grid", sigma_grid, decreasing=True)
    if not denoiser.training_set.is_orthogonal:
        levels = sigma.tolist()
        ends = [probability_flow_coupled(y, denoiser, levels[0], level) for level in levels]
        return torch.stack(ends)
    return _probability_flow(y, denoiser, (sigma / sigma[0])[:, None, None])


def critical_time(y: torch.Tensor, training_set: TrainingSet, alpha: float) -> torch.Tensor:
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

    Raises
    ------
    TypeError, ValueError
        If the data are not orthogonal, the points not finite of shape (..., d), or ``alpha <= 0``.

    References
    ----------
    arXiv:2506.19031, Theorem 4.4.
    """
    if not check_training_set(training_set).is_orthogonal:
        raise ValueError(f"training_set must be orthogonal data, got kind {training_set.kind!r}")
    alpha = check_real("alpha", alpha, 0, math.inf, open_low=True, open_high=True)
    y = check_points("y", y, training_set.dim)
    dtype = torch.promote_types(y.dtype, training_set.points.dtype)
    z = training_set.to(dtype=dtype).coordinates(y.to(dtype))
    depth = torch.minimum(z, training_set.lengths - z).clamp(min=0)
    return (depth.amax(dim=-1) / alpha).square()
