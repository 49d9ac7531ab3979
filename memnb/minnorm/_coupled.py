r"""Chapter 3: exact flows of sums of ramps whose directions are not orthogonal.

**Score flow.** The coordinates :math:`z_n = u_n^\top (y - \bar x)` obey
:math:`dz/dr = G \varphi(z) - z`, which :mod:`memnb.minnorm._events` solves, and

.. math:: y(r) = \bar x + e^{-r} (y(0) - \bar x) + \sum_n c_n(r)\, u_n .

**Probability flow.** Let all ramps have the same width :math:`W = h_n - \ell_n` at
:math:`\rho = 0`, and let :math:`\rho = \alpha\sigma`. Where z is relative to its ramp,
:math:`w_n = (z_n - \ell_n - \rho) / (W - 2\rho)`, then obeys

.. math:: \sigma (W - 2\alpha\sigma)\, \frac{dw_n}{d\sigma}
          = \ell_n + W w_n - (G \varphi)_n

with :math:`\varphi_n = L_n \operatorname{clip}(w_n, 0, 1)`. In the time
:math:`\theta = \log \frac{W - 2\alpha\sigma}{\sigma}` and for the point
:math:`\tilde z_n = \ell_n + W w_n` this is

.. math:: \frac{d\tilde z}{d\theta} = G\, \varphi_0(\tilde z) - \tilde z,

the *score flow at zero radius*: the same exact solution serves both. Since
:math:`dr = -d\log\sigma = (1 - 2\rho / W)\, d\theta`, its coefficients :math:`\tilde c` give

.. math:: y(\sigma_1) = \bar x + \frac{\sigma_1}{\sigma_0} (y(\sigma_0) - \bar x)
          + \Big(1 - \frac{2 \rho_1}{W}\Big) \sum_n \tilde c_n\, u_n .

Ramps of different widths have different clocks, and no such reduction is known to us.

**Derivatives.** Both flows are differentiable once, by reverse and by forward mode, and can be
batched by :func:`torch.func.vmap`; the derivative is exact too. On a kink it is one-sided.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch

from memnb.validation import check_points, check_real

from ._events import CHUNK, move
from ._ramps import Ramps
from .denoisers import RampDenoiser

__all__ = ["CoupledFlow", "count_events", "probability_flow_coupled", "score_flow_coupled"]


@dataclass(frozen=True, eq=False)
class CoupledFlow:
    r"""An exact flow map: affine, then the score flow of coupled ramps, then affine.

    With :math:`z = U (y - \bar x)` and the solution c of the ramps from
    :math:`\ell + f\,(z - \ell - \rho_0)`, the end is :math:`\bar x + k (y - \bar x) + s\, U^\top
    c`.

    Parameters
    ----------
    denoiser : RampDenoiser
        Center, directions :math:`U` and radius :math:`\rho_0`.
    ramps : Ramps
        The ramps in the time of the solution.
    duration : float
        Time of the solution.
    shrink : float
        What is left of the starting point, :math:`k`.
    stretch, scale : float
        The factors :math:`f` and :math:`s`.
    """

    denoiser: RampDenoiser
    ramps: Ramps
    duration: float
    shrink: float
    stretch: float
    scale: float

    @classmethod
    def score(cls, denoiser: RampDenoiser, r: float) -> "CoupledFlow":
        """The score flow for a duration r."""
        ramps = Ramps.of(denoiser.training_set, denoiser.rho)
        return cls(denoiser, ramps, r, math.exp(-r), 1.0, 1.0)

    @classmethod
    def probability(cls, denoiser: RampDenoiser, sigma_0: float, sigma_1: float) -> "CoupledFlow":
        """The probability flow between two noise levels, for ramps of one width."""
        s = denoiser.training_set
        shrink = sigma_1 / sigma_0
        # The width is the same for all ramps; its first value sets the clock.
        width = float(s.high.double()[0] - s.low.double()[0])
        first, last = (width - 2 * denoiser.rho * k for k in (1.0, shrink))
        theta = math.log(last / first) - math.log(shrink) if shrink > 0 else math.inf
        return cls(denoiser, Ramps.of(s, 0.0), max(theta, 0.0), shrink, width / first, last / width)

    def solve(
        self, y: torch.Tensor, jacobian: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        r"""Move points, in chunks.

        Parameters
        ----------
        y : Tensor, shape (..., d)
            Starting points.
        jacobian : bool
            Whether to solve for the derivative too.

        Returns
        -------
        end : Tensor, shape (..., d)
            In the common dtype of y and the training set.
        events : Tensor of int64, shape (...)
        jacobian : Tensor of float64, shape (..., K, K), or None
            :math:`\partial c_n / \partial z_m`.
        """
        s = self.denoiser.training_set
        u, center = s.directions.double(), s.center.double()
        flat, n_ramps = y.reshape(-1, s.dim), s.n_ramps
        end = torch.empty_like(flat, dtype=torch.promote_types(y.dtype, s.points.dtype))
        events = flat.new_empty(len(flat), dtype=torch.long)
        matrices = u.new_empty(len(flat), n_ramps, n_ramps) if jacobian else None
        size = max(1, CHUNK // n_ramps**2)
        for first in range(0, len(flat), size):
            block = slice(first, first + size)
            offset = flat[block].double() - center
            z = offset @ u.mT
            if self.stretch != 1:
                z = self.ramps.start + self.stretch * (z - self.denoiser.start.double())
            moved = move(z, self.ramps, self.duration, jacobian)
            end[block] = center + self.shrink * offset + self.scale * (moved.c @ u)
            events[block] = moved.events
            if matrices is not None:
                matrices[block] = moved.jacobian
        batch = y.shape[:-1]
        if matrices is not None:
            matrices = matrices.reshape(*batch, n_ramps, n_ramps)
        return end.reshape(*batch, s.dim), events.reshape(batch), matrices

    def differential(
        self, jacobian: torch.Tensor, vector: torch.Tensor, *, transposed: bool
    ) -> torch.Tensor:
        """The derivative of the map, or its transpose, times vectors (..., d)."""
        u = self.denoiser.training_set.directions.double()
        vector = vector.double()
        matrix = jacobian if transposed else jacobian.mT
        inner = ((vector @ u.mT)[..., None, :] @ matrix).squeeze(-2)
        return self.shrink * vector + self.scale * self.stretch * (inner @ u)


class _Sensitivity(torch.autograd.Function):
    """The derivative of the coefficients; a function of its own, so that it can be batched."""

    @staticmethod
    def forward(y: torch.Tensor, flow: CoupledFlow) -> torch.Tensor:
        return flow.solve(y, jacobian=True)[2]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple:
        raise RuntimeError("exact flows can be differentiated once, not twice")

    @staticmethod
    def jvp(ctx: Any, *tangents: torch.Tensor) -> tuple:
        raise RuntimeError("exact flows can be differentiated once, not twice")

    @staticmethod
    def vmap(info: Any, in_dims: tuple, y: torch.Tensor, flow: CoupledFlow) -> tuple:
        return _Sensitivity.apply(y.movedim(in_dims[0], 0), flow), 0


class _Exact(torch.autograd.Function):
    """The flow map, with its exact derivative."""

    @staticmethod
    def forward(y: torch.Tensor, flow: CoupledFlow) -> torch.Tensor:
        return flow.solve(y)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
        y, ctx.flow = inputs
        ctx.save_for_backward(y)
        ctx.save_for_forward(y)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple:
        (y,) = ctx.saved_tensors
        jacobian = _Sensitivity.apply(y, ctx.flow)
        return ctx.flow.differential(jacobian, gradient, transposed=True).to(y.dtype), None

    @staticmethod
    def jvp(ctx: Any, tangent: torch.Tensor, _: None) -> torch.Tensor:
        (y,) = ctx.saved_tensors
        jacobian = _Sensitivity.apply(y, ctx.flow)
        dtype = torch.promote_types(y.dtype, ctx.flow.denoiser.training_set.points.dtype)
        return ctx.flow.differential(jacobian, tangent, transposed=False).to(dtype)

    @staticmethod
    def vmap(info: Any, in_dims: tuple, y: torch.Tensor, flow: CoupledFlow) -> tuple:
        return _Exact.apply(y.movedim(in_dims[0], 0), flow), 0


def score_flow_coupled(y: torch.Tensor, denoiser: RampDenoiser, r: float) -> torch.Tensor:
    """Exact score flow of any sum of ramps; see :func:`memnb.minnorm.flows.score_flow`."""
    return _Exact.apply(y, CoupledFlow.score(denoiser, r))


def probability_flow_coupled(
    y: torch.Tensor, denoiser: RampDenoiser, sigma_0: float, sigma_1: float
) -> torch.Tensor:
    """Probability flow, ramps of one width; see :func:`memnb.minnorm.flows.probability_flow`."""
    return _Exact.apply(y, CoupledFlow.probability(denoiser, sigma_0, sigma_1))


def count_events(y: torch.Tensor, denoiser: RampDenoiser, r: float) -> torch.Tensor:
    r"""How many times a coordinate passes the foot or top of its ramp in a score flow.

    Parameters
    ----------
    y, denoiser, r
        As in :func:`memnb.minnorm.flows.score_flow`.

    Returns
    -------
    Tensor of int64, shape (...)
        Events of each start; crossings at the same time count once.

    Raises
    ------
    TypeError, ValueError
        If the points are not finite of shape (..., d), or ``r < 0``.

    Examples
    --------
    >>> from .data import orthogonal_set
    >>> from .denoisers import RampDenoiser
    >>> y = torch.tensor([[0.95, -1.0], [0.6, -1.0], [0.7, 0.4]], dtype=torch.float64)
    >>> count_events(y, RampDenoiser(orthogonal_set(3, 2), 0.1), math.inf)
    tensor([0, 1, 2])
    """
    y = check_points("y", y, denoiser.training_set.dim)
    return CoupledFlow.score(denoiser, check_real("r", r, 0)).solve(y.detach())[1]
