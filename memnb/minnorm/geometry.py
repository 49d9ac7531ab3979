r"""Chapters 1 to 3: training sets, and the geometry that a minimum-norm denoiser sees in them.

The closed-form minimum-norm denoisers are sums of ramps: one ramp for each unit direction
:math:`u_n`, measured from a center :math:`\bar x`. A :class:`TrainingSet` therefore holds, beside
its points :math:`x_0, \dots, x_{N-1} \in \mathbb{R}^d`,

- the center :math:`\bar x` and the directions :math:`u_1, \dots, u_K`,
- the height :math:`L_n` by which ramp :math:`n` rises, and
- the two positions :math:`\ell_n < h_n` along :math:`u_n` between which it rises. Balls of radius
  :math:`\rho` around the training points shorten this to
  :math:`[a_n, b_n] = [\ell_n + \rho,\, h_n - \rho]`.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch

from memnb.validation import check_numbers, check_points

__all__ = ["TrainingSet"]

_TENSORS = ("points", "center", "directions", "lengths", "low", "high")


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
    TypeError
        If the tensors are not of one floating-point dtype.
    ValueError
        If shapes disagree, a value is not finite, a direction is not of unit length, a ramp is
        empty, or two points are equal: points that differ in float64 may be equal in float32.
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
        dtype = self.points.dtype
        for name in _TENSORS:
            value = check_points(name, getattr(self, name))
            if value is not getattr(self, name) or value.dtype != dtype:
                raise TypeError(f"{name} must be a tensor of the dtype of points, {dtype}")
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
        slack = 100 * torch.finfo(dtype).eps
        if (self.directions.norm(dim=1) - 1).abs().max() > slack:
            raise ValueError("directions must have unit length")
        if not (self.lengths > 0).all() or not (self.high > self.low).all():
            raise ValueError(f"every ramp needs lengths > 0 and high > low in {dtype}")
        _, group, size = self.points.unique(dim=0, return_inverse=True, return_counts=True)
        if (size > 1).any():
            first, second = (group == size.argmax()).nonzero()[:2, 0].tolist()
            raise ValueError(
                f"points must differ from one another in {dtype}, but points {first} and "
                f"{second} are equal"
            )

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

        This is what makes the coordinates of the flows independent of one another. Right means
        within rounding of the dtype: at 90 + 1e-12 degrees float64 data are not orthogonal.
        """
        orthonormal = (self.cosines().fill_diagonal_(0) == 0).all()
        return bool(orthonormal and (self.low == 0).all() and (self.high == self.lengths).all())

    def cosines(self) -> torch.Tensor:
        r"""Cosines :math:`u_n^\top u_m` between the directions, float64, shape (K, K).

        Off the diagonal, what is within rounding of the dtype of the set is 0.
        """
        u = self.directions.double()
        gram = u @ u.mT
        off = ~torch.eye(len(gram), dtype=torch.bool, device=gram.device)
        slack = 16 * torch.finfo(self.points.dtype).eps
        return gram.masked_fill(off & (gram.abs() <= slack), 0)

    def coordinates(self, y: Any) -> torch.Tensor:
        r"""Coordinates :math:`z_n = u_n^\top (y - \bar x)`.

        Parameters
        ----------
        y : Tensor, array or nested sequence, shape (..., d)
            Points; in another dtype than that of the set they are converted to it.

        Returns
        -------
        Tensor, shape (..., K)

        Raises
        ------
        TypeError, ValueError
            If y is no array of finite real numbers of that shape.
        """
        y = check_points("y", y, self.dim, dtype=self.points.dtype)
        return (y - self.center) @ self.directions.mT

    def from_coordinates(self, z: Any) -> torch.Tensor:
        r"""The point :math:`\bar x + \sum_n z_n u_n`.

        Parameters
        ----------
        z : Tensor, array or nested sequence, shape (..., K)

        Returns
        -------
        Tensor, shape (..., d)

        Raises
        ------
        TypeError, ValueError
            If z is no array of finite real numbers of that shape.
        """
        z = check_points("z", z, self.n_ramps, dtype=self.points.dtype)
        return self.center + z @ self.directions

    def off_plane(self, y: Any) -> torch.Tensor:
        r"""Distance of y to the affine span of center and directions (orthogonal data).

        Parameters
        ----------
        y : Tensor, array or nested sequence, shape (..., d)

        Returns
        -------
        Tensor, shape (...)

        Raises
        ------
        TypeError, ValueError
            If y is no array of finite real numbers of that shape.
        """
        y = check_points("y", y, self.dim, dtype=self.points.dtype)
        # Relative to the center: far from the origin its coordinates would round the distance.
        offset = y - self.center
        return (offset - (offset @ self.directions.mT) @ self.directions).norm(dim=-1)

    def vertex(self, on: Any) -> torch.Tensor:
        r"""The sum of training points :math:`\bar x + \sum_n \mathrm{on}_n L_n u_n`.

        Parameters
        ----------
        on : Tensor, array or nested sequence of bool or of 0 and 1, shape (..., K)
            Which of the :math:`x_1, \dots, x_K` the sum contains.

        Returns
        -------
        Tensor, shape (..., d)

        Raises
        ------
        ValueError
            If ``on`` has another shape.
        """
        return self.from_coordinates(check_subset(on, self) * self.lengths)

    def to(
        self, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> "TrainingSet":
        """A copy in another dtype or on another device.

        Parameters
        ----------
        dtype : torch.dtype, optional
            Floating-point dtype.
        device : torch.device or str, optional
            Where the copy lives.

        Returns
        -------
        TrainingSet

        Raises
        ------
        ValueError
            If points that differ are equal in that dtype.
        """
        moved = {name: getattr(self, name).to(device=device, dtype=dtype) for name in _TENSORS}
        if moved["points"].dtype.itemsize > self.points.dtype.itemsize:
            moved["directions"] /= moved["directions"].norm(dim=1, keepdim=True)  # were rounded
        return replace(self, **moved)


def check_training_set(value: Any) -> TrainingSet:
    """Return the argument ``training_set`` if it is one, or raise ``TypeError``."""
    if not isinstance(value, TrainingSet):
        raise TypeError(
            f"training_set must be a TrainingSet, got {type(value).__name__}: "
            "memnb.training_set(points) makes one of points"
        )
    return value


def check_subset(on: Any, training_set: TrainingSet) -> torch.Tensor:
    """Return the argument ``on`` as a tensor of 0 and 1, shape (..., K), or raise."""
    like = training_set.lengths
    on = check_points("on", check_numbers("on", on).to(like), len(like))
    if not ((on == 0) | (on == 1)).all():
        raise ValueError("on must hold True and False, or 1 and 0")
    return on
