r"""Chapters 1 to 3: denoisers :math:`h: \mathbb{R}^d \to \mathbb{R}^d`, which guess a clean point.

A shallow ReLU network with a skip connection,

.. math:: h(y) = \sum_k a_k [w_k^\top y + b_k]_+ + V y + c,

costs :math:`\tfrac12 \sum_k (\lVert a_k \rVert^2 + \lVert w_k \rVert^2)`, which rescaling within
units turns into :math:`C = \sum_k \lVert a_k \rVert \lVert w_k \rVert`. The **minimum-norm
denoiser** :math:`h^*_\rho` is the cheapest such function that maps every point of the ball
:math:`B(x_n, \rho)` to :math:`x_n`, for every training point. Its known closed forms are all a
**sum of ramps** about a center,

.. math::

    h^*_\rho(y) = \bar x + \sum_n u_n\, \varphi_n\big(u_n^\top (y - \bar x)\big), \qquad
    \varphi_n(t) = L_n \operatorname{clip}\Big(\frac{t - a_n}{b_n - a_n}, 0, 1\Big).

A ramp is a pair of ReLU units of cost :math:`s_n = L_n / (b_n - a_n)` each (its slope), so that
:math:`C = \sum_n 2 s_n`.

The **empirical Bayes denoiser** :math:`\mathbb{E}[x \mid y]` of the empirical distribution is the
baseline that memorizes everything: a softmax-weighted mean of the training points.

References
----------
Zeno et al., *How do Minimum-Norm Shallow Denoisers Look in Function Space?*, NeurIPS 2023,
arXiv:2311.06748; Zeno et al., *When Diffusion Models Memorize*, ICML 2025, arXiv:2506.19031.
"""

import math
from collections.abc import Callable

import torch

from memnb.validation import check_points, check_real

from .geometry import TrainingSet, check_training_set
from .networks import ReLUNetwork

__all__ = ["EmpiricalBayesDenoiser", "RampDenoiser", "ramp_family"]

NARROW = 64  # a ramp of less than this many machine epsilons has no slope
BLOCK = 150_000  # numbers in an array of differences, which then stays in the cache


class RampDenoiser:
    r"""The minimum-norm denoiser :math:`h^*_\rho` as a sum of ramps.

    Parameters
    ----------
    training_set : TrainingSet
        Center, directions and ramp ends. Dtype and device of the denoiser are those of the set.
    rho : float
        Ball radius :math:`\rho \ge 0`, below ``training_set.max_rho``. The limit
        :math:`\rho = 0` is, for orthogonal data, the projection onto the hyperbox.

    Raises
    ------
    ValueError
        If the balls overlap along a ramp, so that :math:`b_n \le a_n`, or if the sum of ramps is
        no longer the cheapest network (large balls on an equilateral triangle).

    References
    ----------
    arXiv:2311.06748 (orthogonal data, obtuse simplex, equilateral triangle); arXiv:2506.19031,
    Section 3.

    Examples
    --------
    >>> from .data import orthogonal_set
    >>> h = RampDenoiser(orthogonal_set(3, 2), rho=0.1)
    >>> h(torch.tensor([0.95, 0.5], dtype=torch.float64))
    tensor([1.0000, 0.5000], dtype=torch.float64)
    >>> round(h.cost(), 12)
    5.0
    """

    def __init__(self, training_set: TrainingSet, rho: float) -> None:
        check_training_set(training_set)
        rho = check_real("rho", rho, 0)
        if rho >= training_set.max_rho:
            raise ValueError(
                f"rho must be below {training_set.max_rho:g} for this training set, got {rho:g}: "
                "balls of this radius overlap along a ramp, or a cheaper network fits them"
            )
        self.training_set = training_set
        self.rho = rho
        self.start = training_set.low + rho
        self.stop = training_set.high - rho
        eps = torch.finfo(self.start.dtype).eps
        size = torch.maximum(self.start.abs(), self.stop.abs())
        if not (self.stop - self.start > NARROW * eps * size).all():
            raise ValueError(
                f"rho must be below {training_set.max_rho:g} for this training set by more than "
                f"the rounding of {self.start.dtype}, got {rho!r}"
            )
        self.slope = training_set.lengths / (self.stop - self.start)

    def __repr__(self) -> str:
        s = self.training_set
        return f"RampDenoiser({s.kind}, N={s.n_points}, d={s.dim}, rho={self.rho:g})"

    def with_rho(self, rho: float) -> "RampDenoiser":
        """The denoiser of the same training set at another radius."""
        return RampDenoiser(self.training_set, rho)

    def in_common_dtype(self, y: torch.Tensor) -> "tuple[torch.Tensor, RampDenoiser]":
        """Points (..., d), checked, and this denoiser, both in the wider of their dtypes."""
        s = self.training_set
        y = check_points("y", y, s.dim)
        dtype = torch.promote_types(y.dtype, s.points.dtype)
        if s.points.dtype == dtype:
            return y.to(dtype), self
        return y, RampDenoiser(s.to(dtype=dtype), self.rho)

    def ramps(self, z: torch.Tensor) -> torch.Tensor:
        r"""The ramps :math:`\varphi_n(z_n)` of coordinates z, shape (..., K)."""
        # The slope can be so large that (z - a) s overshoots; clip the fraction, then scale.
        fraction = (z - self.start) / (self.stop - self.start)
        return self.training_set.lengths * fraction.clamp(0, 1)

    def __call__(self, y: torch.Tensor) -> torch.Tensor:
        r"""Denoise: :math:`h^*_\rho(y)`.

        Parameters
        ----------
        y : Tensor, shape (..., d)

        Returns
        -------
        Tensor, shape (..., d)

        Raises
        ------
        TypeError, ValueError
            If the points are not finite of shape (..., d).
        """
        y, h = self.in_common_dtype(y)
        return h.training_set.from_coordinates(h.ramps(h.training_set.coordinates(y)))

    def jacobian(self, y: torch.Tensor) -> torch.Tensor:
        r"""Jacobian :math:`\sum_n s_n u_n u_n^\top \mathbb{1}[a_n < z_n < b_n]`.

        On a kink (:math:`z_n = a_n` or :math:`b_n`), where h has no derivative, the ramp counts
        as flat.

        Parameters
        ----------
        y : Tensor, shape (..., d)

        Returns
        -------
        Tensor, shape (..., d, d)
        """
        y, h = self.in_common_dtype(y)
        z, u = h.training_set.coordinates(y), h.training_set.directions
        slopes = h.slope * ((z > h.start) & (z < h.stop))
        return (u.mT * slopes[..., None, :]) @ u

    def cost(self) -> float:
        r"""The cost :math:`C = \sum_n 2 s_n = \sum_n 2 L_n / (b_n - a_n)`."""
        return 2 * float(self.slope.sum())

    def to_relu(self) -> ReLUNetwork:
        r"""Explicit weights of an equal ReLU network, two units for each ramp.

        The units of ramp n are :math:`\pm\sqrt{s_n} u_n [\sqrt{s_n}(u_n^\top y - \tau)]_+` with
        :math:`\tau = u_n^\top \bar x + a_n` and :math:`+ b_n`. They are balanced,
        :math:`\lVert a_k \rVert = \lVert w_k \rVert`, so their cost is the least possible.

        Returns
        -------
        ReLUNetwork
        """
        s = self.training_set
        u, root = s.directions, self.slope.sqrt()
        w = root[:, None] * u
        shift = u @ s.center
        kinks = torch.cat([shift + self.start, shift + self.stop])
        return ReLUNetwork(
            W=torch.cat([w, w]),
            b=-torch.cat([root, root]) * kinks,
            A=torch.cat([w, -w]).mT.contiguous(),
            V=torch.zeros(s.dim, s.dim).to(u),
            c=s.center.clone(),
        )


def ramp_family(training_set: TrainingSet, alpha: float) -> Callable[[float], RampDenoiser]:
    r"""The denoisers of all noise levels, :math:`\sigma \mapsto h^*_{\alpha\sigma}`.

    Parameters
    ----------
    training_set : TrainingSet
    alpha : float
        Ratio :math:`\alpha = \rho_t / \sigma_t > 0` of ball radius to noise level.

    Returns
    -------
    callable
        Maps a noise level :math:`\sigma \ge 0` (float) to a :class:`RampDenoiser`.

    Raises
    ------
    TypeError, ValueError
        If ``alpha`` is not positive and finite.

    References
    ----------
    arXiv:2506.19031, Section 4 (:math:`\rho_t = \alpha \sigma_t`).
    """
    check_training_set(training_set)
    alpha = check_real("alpha", alpha, 0, math.inf, open_low=True, open_high=True)

    def family(sigma: float) -> RampDenoiser:
        return RampDenoiser(training_set, alpha * check_real("sigma", sigma, 0))

    return family


class EmpiricalBayesDenoiser:
    r"""The posterior mean :math:`\mathbb{E}[x \mid y]` when x is uniform on the training points.

    .. math::

        h(y) = \sum_n w_n(y)\, x_n, \qquad
        w_n(y) \propto \exp\Big({-\frac{\lVert y - x_n \rVert^2}{2 \sigma^2}}\Big).

    It minimizes the denoising loss over all functions, and every flow it drives ends at a
    training point (up to ties): it memorizes everything.

    Parameters
    ----------
    points : Tensor, shape (N, d)
        The training points.
    sigma : float
        Noise level :math:`\sigma > 0`. For a very small one the result is the nearest point, or
        the mean of those that are equally near.

    Raises
    ------
    TypeError, ValueError
        If the points are not finite of shape (N, d) with N >= 1, or ``sigma`` is not positive.

    Examples
    --------
    >>> h = EmpiricalBayesDenoiser(torch.tensor([[0.0], [1.0]], dtype=torch.float64), sigma=0.1)
    >>> h(torch.tensor([[0.5], [0.9]], dtype=torch.float64))
    tensor([[0.5000],
            [1.0000]], dtype=torch.float64)
    """

    def __init__(self, points: torch.Tensor, sigma: float) -> None:
        self.points = check_points("points", points)
        if self.points.ndim != 2 or not len(self.points):
            raise ValueError(
                f"points must have shape (N, d) with N >= 1, got {tuple(self.points.shape)}"
            )
        self.sigma = check_real("sigma", sigma, 0, math.inf, open_low=True, open_high=True)

    def __repr__(self) -> str:
        n, d = self.points.shape
        return f"EmpiricalBayesDenoiser(N={n}, d={d}, sigma={self.sigma:g})"

    def _in_blocks(
        self, y: torch.Tensor, function: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Apply a function of points (n, d) to (..., d), so that n N d stays bounded."""
        y = check_points("y", y, self.points.shape[1])
        y = y.to(torch.promote_types(y.dtype, self.points.dtype))
        size = max(1, BLOCK // max(1, self.points.numel()))
        parts = [function(block) for block in y.reshape(-1, y.shape[-1]).split(size)]
        result = torch.cat(parts) if len(parts) > 1 else parts[0]
        return result.reshape(*y.shape[:-1], *result.shape[1:])

    def _weights(self, y: torch.Tensor) -> torch.Tensor:
        # With a_n = y - x_n and m the nearest point, |a_n|^2 - |a_m|^2 = (x_m - x_n) (a_n + a_m):
        # nothing cancels, whatever y and the points have in common, and nothing overflows. Products
        # are added up one by one, so that points that are equally near stay so.
        points = self.points.to(y.dtype)
        both = torch.cat([y, points]).detach().double()
        both = both / both.abs().amax().clamp(min=torch.finfo(both.dtype).tiny)
        exact = "donot_use_mm_for_euclid_dist"
        nearest = torch.cdist(*both.split([len(y), len(points)]), compute_mode=exact).argmin(dim=-1)
        closest = points[nearest][:, None]
        away = y[:, None] - points + (y[:, None] - closest)
        more = ((closest - points) * away).sum(dim=-1)
        # In float64, where a tiny sigma does not vanish
        more = (more - more.amin(dim=-1, keepdim=True)).double()
        return torch.softmax(-(more / self.sigma) / (2 * self.sigma), dim=-1).to(y.dtype)

    def weights(self, y: torch.Tensor) -> torch.Tensor:
        r"""Posterior weights :math:`w_n(y)`, shape (..., N), for y of shape (..., d)."""
        return self._in_blocks(y, self._weights)

    def __call__(self, y: torch.Tensor) -> torch.Tensor:
        """Denoise y of shape (..., d)."""
        return self._in_blocks(y, lambda y: self._weights(y) @ self.points.to(y.dtype))

    def jacobian(self, y: torch.Tensor) -> torch.Tensor:
        r"""Jacobian, the posterior covariance over :math:`\sigma^2`: shape (..., d, d)."""
        points = self.points - self.points.mean(dim=0)

        def covariance(y: torch.Tensor) -> torch.Tensor:
            w = self._weights(y)
            centered = points.to(y.dtype) - (w @ points.to(y.dtype))[:, None, :]
            return (centered / self.sigma).mT @ (w[..., None] * centered / self.sigma)

        return self._in_blocks(y, covariance)
