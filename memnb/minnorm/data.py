r"""Training sets, and the geometry that a minimum-norm denoiser sees in them.

The closed-form minimum-norm denoisers are sums of ramps: one ramp for each unit direction
:math:`u_n`, measured from a center :math:`\bar x`. A :class:`TrainingSet` therefore holds, beside
its points :math:`x_0, \dots, x_{N-1} \in \mathbb{R}^d`,

- the center :math:`\bar x` and the directions :math:`u_1, \dots, u_K`,
- the height :math:`L_n` by which ramp :math:`n` rises, and
- the two positions :math:`\ell_n < h_n` along :math:`u_n` between which it rises. Balls of radius
  :math:`\rho` around the training points shorten this to
  :math:`[a_n, b_n] = [\ell_n + \rho,\, h_n - \rho]`.

For **orthogonal data**, :math:`x_0 = 0` and :math:`x_n^\top x_m = 0`, the center is :math:`x_0`,
:math:`u_n = x_n / \lVert x_n \rVert`, :math:`L_n = h_n = \lVert x_n \rVert` and
:math:`\ell_n = 0`. The sums of subsets of the training points are then the :math:`2^{N-1}`
vertices of a **hyperbox**. A vertex is a *training point* if it sums at most one nonzero
:math:`x_n`, and a *virtual point* if it sums two or more.

References
----------
Zeno et al., *When Diffusion Models Memorize*, ICML 2025, arXiv:2506.19031, Section 3.
"""

import math
from dataclasses import dataclass, replace

import torch

from memnb.streams import stream
from memnb.validation import check_integer, check_points, check_real

__all__ = ["TrainingSet", "gaussian_starts", "line_set", "orthogonal_set"]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    r"""Training points and the ramp geometry they imply.

    Parameters
    ----------
    points : Tensor, shape (N, d)
        The training points :math:`x_n`.
    center : Tensor, shape (d,)
        The center :math:`\bar x`.
    directions : Tensor, shape (K, d)
        Unit directions :math:`u_n`.
    lengths : Tensor, shape (K,)
        Ramp heights :math:`L_n > 0`.
    low, high : Tensor, shape (K,)
        Ramp ends :math:`\ell_n < h_n` along :math:`u_n` at :math:`\rho = 0`.
    kind : str
        Name of the geometry, for messages.
    rho_limit : float
        Radius up to which the sum of ramps is the minimum-norm denoiser, if it is below half the
        width of a ramp.

    Raises
    ------
    ValueError
        If shapes disagree, a direction is not of unit length, or a ramp is empty.
    """

    points: torch.Tensor
    center: torch.Tensor
    directions: torch.Tensor
    lengths: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    kind: str
    rho_limit: float = math.inf

    def __post_init__(self):
        n_ramps, dim = self.directions.shape
        if self.points.ndim != 2 or self.points.shape[1] != dim or self.center.shape != (dim,):
            raise ValueError(
                f"points, center and directions must share their last dimension, got "
                f"{tuple(self.points.shape)}, {tuple(self.center.shape)}, "
                f"{tuple(self.directions.shape)}"
            )
        for name in ("lengths", "low", "high"):
            if getattr(self, name).shape != (n_ramps,):
                raise ValueError(
                    f"{name} must have shape ({n_ramps},), got {tuple(getattr(self, name).shape)}"
                )
        slack = 100 * torch.finfo(self.points.dtype).eps
        if (self.directions.norm(dim=1) - 1).abs().max() > slack:
            raise ValueError("directions must have unit length")
        if not (self.lengths > 0).all() or not (self.high > self.low).all():
            raise ValueError("every ramp needs lengths > 0 and high > low")

    @property
    def n_points(self) -> int:
        """Number of training points N."""
        return self.points.shape[0]

    @property
    def dim(self) -> int:
        """Dimension d of the data space."""
        return self.points.shape[1]

    @property
    def n_ramps(self) -> int:
        """Number of ramps K."""
        return self.directions.shape[0]

    @property
    def max_rho(self) -> float:
        r"""Supremum of the radii :math:`\rho`: half the narrowest ramp, or ``rho_limit``."""
        return min(float((self.high - self.low).min()) / 2, self.rho_limit)

    @property
    def is_orthogonal(self) -> bool:
        r"""Whether the set is orthogonal data: orthonormal :math:`u_n`, ramps from 0 to L_n.

        This is what makes the coordinates of the flows independent of one another.
        """
        gram = self.directions @ self.directions.mT
        slack = 100 * torch.finfo(gram.dtype).eps
        orthonormal = (gram - torch.eye(len(gram)).to(gram)).abs().max() <= slack
        return bool(orthonormal and (self.low == 0).all() and (self.high == self.lengths).all())

    def coordinates(self, y):
        r"""Coordinates :math:`z_n = u_n^\top (y - \bar x)`.

        Parameters
        ----------
        y : Tensor, shape (..., d)

        Returns
        -------
        Tensor, shape (..., K)
        """
        check_points("y", y, self.dim)
        return (y - self.center) @ self.directions.mT

    def from_coordinates(self, z):
        r"""The point :math:`\bar x + \sum_n z_n u_n`, for z of shape (..., K)."""
        check_points("z", z, self.n_ramps)
        return self.center + z @ self.directions

    def off_plane(self, y):
        r"""Distance of y to the affine span of center and directions (orthogonal data).

        Parameters
        ----------
        y : Tensor, shape (..., d)

        Returns
        -------
        Tensor, shape (...)
        """
        return (y - self.from_coordinates(self.coordinates(y))).norm(dim=-1)

    def vertex(self, on):
        r"""The sum of training points :math:`\bar x + \sum_n \mathrm{on}_n L_n u_n`.

        Parameters
        ----------
        on : Tensor of bool, shape (..., K)
            Which of the :math:`x_1, \dots, x_K` the sum contains.

        Returns
        -------
        Tensor, shape (..., d)
        """
        return self.from_coordinates(on * self.lengths)

    def to(self, dtype=None, device=None) -> "TrainingSet":
        """A copy in another dtype or on another device."""
        names = ("points", "center", "directions", "lengths", "low", "high")
        moved = {name: getattr(self, name).to(device=device, dtype=dtype) for name in names}
        return replace(self, **moved)


def check_lengths(name, values, count):
    """Return one positive number or ``count`` of them as a tensor (count,), or raise."""
    lengths = torch.as_tensor(values, dtype=torch.float64).cpu()
    if lengths.ndim == 0:
        lengths = lengths.expand(count).clone()
    if lengths.shape != (count,):
        raise ValueError(
            f"{name} must be one number or {count} numbers, got shape {tuple(lengths.shape)}"
        )
    if not (torch.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError(f"{name} must be positive and finite, got {lengths.tolist()}")
    return lengths


def orthogonal_set(n_points, dim, norms=1.0, seed=None, dtype=torch.float64, device="cpu"):
    r"""Orthogonal training data: :math:`x_0 = 0` and mutually orthogonal :math:`x_n`.

    Parameters
    ----------
    n_points : int
        Number of points :math:`N \ge 2`, the origin included; at most ``dim + 1``.
    dim : int
        Dimension d.
    norms : float or sequence of N-1 floats
        The norms :math:`L_n = \lVert x_n \rVert > 0`.
    seed : int, optional
        Seed of a random (Haar) rotation. ``None`` puts the points on the coordinate axes.
    dtype : torch.dtype
        Floating-point type of the result. The rotation is always drawn in float64 on the CPU, so
        that a seed means the same data everywhere.
    device : torch.device or str
        Where the result lives.

    Returns
    -------
    TrainingSet

    Raises
    ------
    ValueError
        If ``n_points - 1 > dim`` (that many orthogonal points do not fit) or a norm is not
        positive.

    Examples
    --------
    >>> orthogonal_set(3, 2, norms=[1.0, 0.7]).points
    tensor([[0.0000, 0.0000],
            [1.0000, 0.0000],
            [0.0000, 0.7000]], dtype=torch.float64)
    """
    check_integer("dim", dim, 1)
    check_integer("n_points", n_points, 2)
    n_ramps = n_points - 1
    if n_ramps > dim:
        raise ValueError(
            f"n_points must be at most dim + 1 = {dim + 1}, got {n_points}: "
            f"R^{dim} holds only {dim} orthogonal nonzero points"
        )
    lengths = check_lengths("norms", norms, n_ramps)
    if seed is None:
        directions = torch.eye(n_ramps, dim, dtype=torch.float64)
    else:
        generator = stream(seed, "rotation")
        gaussian = torch.randn(dim, n_ramps, generator=generator, dtype=torch.float64)
        q, r = torch.linalg.qr(gaussian)
        # Fixing the signs makes the distribution of the rotation exactly uniform (Haar).
        directions = (q * r.diagonal().sign()).mT.contiguous()
    zeros = torch.zeros(n_ramps, dtype=torch.float64)
    center = torch.zeros(dim, dtype=torch.float64)
    points = torch.cat([center[None], lengths[:, None] * directions])
    exact = TrainingSet(points, center, directions, lengths, zeros, lengths.clone(), "orthogonal")
    return exact.to(dtype=dtype, device=device)


def line_set(values, dtype=torch.float64, device="cpu"):
    r"""Training data on a line (d = 1), whose minimum-norm denoiser is a staircase.

    Between neighbors :math:`x_{n-1} < x_n` the denoiser rises by :math:`L_n = x_n - x_{n-1}`, so
    the staircase is one ramp for each gap, all along the same direction :math:`u_n = 1`.

    Parameters
    ----------
    values : sequence of float
        At least two different numbers, in any order.
    dtype, device
        As in :func:`orthogonal_set`.

    Returns
    -------
    TrainingSet

    Raises
    ------
    ValueError
        If there are fewer than two values, or two are equal.

    References
    ----------
    Zeno et al., *How do Minimum-Norm Shallow Denoisers Look in Function Space?*, NeurIPS 2023,
    arXiv:2311.06748, Section 3 (univariate data).
    """
    x = torch.as_tensor(values, dtype=torch.float64).cpu().flatten().sort().values
    if x.numel() < 2 or not torch.isfinite(x).all() or not (x.diff() > 0).all():
        raise ValueError(f"values must be two or more different finite numbers, got {values!r}")
    gaps = x.diff()
    exact = TrainingSet(
        points=x[:, None],
        center=x[:1],
        directions=torch.ones(len(gaps), 1, dtype=torch.float64),
        lengths=gaps,
        low=x[:-1] - x[0],
        high=x[1:] - x[0],
        kind="line",
    )
    return exact.to(dtype=dtype, device=device)


def gaussian_starts(
    n_starts, dim, scale=1.0, center=None, seed=0, dtype=torch.float64, device="cpu"
):
    r"""Starting points of a flow, drawn from :math:`\mathcal{N}(c, s^2 I_d)`.

    Parameters
    ----------
    n_starts : int
        Number of points.
    dim : int
        Dimension d.
    scale : float
        Standard deviation :math:`s \ge 0` of each entry.
    center : Tensor, shape (d,), optional
        Mean :math:`c`; the origin if not given.
    seed : int
        Seed. The numbers are drawn in float64 on the CPU whatever dtype and device are.
    dtype, device
        As in :func:`orthogonal_set`.

    Returns
    -------
    Tensor, shape (n_starts, dim)
    """
    check_integer("n_starts", n_starts, 1)
    check_integer("dim", dim, 1)
    scale = check_real("scale", scale, 0)
    noise = torch.randn(n_starts, dim, generator=stream(seed, "starts"), dtype=torch.float64)
    starts = scale * noise
    if center is not None:
        starts = starts + check_points("center", center, dim).cpu()
    return starts.to(dtype=dtype, device=device)
