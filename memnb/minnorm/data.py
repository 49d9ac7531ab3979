r"""Chapters 1 to 3: orthogonal data, data on a line, and starting points.

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
from collections.abc import Sequence
from typing import Any

import torch

from memnb.streams import stream
from memnb.validation import check_integer, check_numbers, check_points, check_real

from .geometry import TrainingSet

__all__ = ["TrainingSet", "gaussian_starts", "line_set", "orthogonal_set"]


def check_lengths(name: str, values: Any, count: int) -> torch.Tensor:
    """Return one positive number or ``count`` of them as a tensor (count,), or raise."""
    lengths = check_numbers(name, values).to("cpu", torch.float64)
    if lengths.ndim == 0:
        lengths = lengths.expand(count).clone()
    if lengths.shape != (count,):
        raise ValueError(
            f"{name} must be one number or {count} numbers, got shape {tuple(lengths.shape)}"
        )
    if not (torch.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError(f"{name} must be positive and finite, got {lengths.tolist()}")
    return lengths


def orthogonal_set(
    n_points: int,
    dim: int,
    norms: float | Sequence[float] = 1.0,
    seed: int | None = None,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> TrainingSet:
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


def line_set(
    values: Sequence[float],
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> TrainingSet:
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
        If there are fewer than two values, or two are equal; also if two are equal in ``dtype``.

    References
    ----------
    Zeno et al., *How do Minimum-Norm Shallow Denoisers Look in Function Space?*, NeurIPS 2023,
    arXiv:2311.06748, Section 3 (univariate data).
    """
    x = check_numbers("values", values).to("cpu", torch.float64).flatten().sort().values
    if x.numel() < 2 or not torch.isfinite(x).all() or not (x.diff() > 0).all():
        raise ValueError(f"values must be two or more different finite numbers, got {values!r}")
    if not (x.to(dtype).diff() > 0).all():
        raise ValueError(f"values must differ in {dtype}, got {values!r}, two of which are equal")
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
    n_starts: int,
    dim: int,
    scale: float = 1.0,
    center: Any = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    r"""Starting points of a flow, drawn from :math:`\mathcal{N}(c, s^2 I_d)`.

    Parameters
    ----------
    n_starts : int
        Number of points.
    dim : int
        Dimension d.
    scale : float
        Standard deviation :math:`s \ge 0` of each entry.
    center : Tensor, array or sequence, shape (d,), optional
        Mean :math:`c`; the origin if not given.
    seed : int
        Seed. The numbers are drawn in float64 on the CPU whatever dtype and device are.
    dtype, device
        As in :func:`orthogonal_set`.

    Returns
    -------
    Tensor, shape (n_starts, dim)

    Raises
    ------
    TypeError, ValueError
        If a number is not of its kind or out of its range, or the center has another shape.
    """
    check_integer("n_starts", n_starts, 1)
    check_integer("dim", dim, 1)
    scale = check_real("scale", scale, 0, math.inf, open_high=True)
    noise = torch.randn(n_starts, dim, generator=stream(seed, "starts"), dtype=torch.float64)
    starts = scale * noise
    if center is not None:
        starts = starts + check_points("center", center, dim, dtype=torch.float64).cpu()
    return starts.to(dtype=dtype, device=device)
