r"""Chapter 3: simplex data, obtuse simplices and the equilateral triangle.

The points :math:`x_0, \dots, x_{N-1}` form an **obtuse simplex** as seen from :math:`x_0` if all
edges that leave :math:`x_0` are at obtuse angles to one another,
:math:`(x_n - x_0)^\top (x_m - x_0) < 0` for :math:`n \ne m`. The minimum-norm denoiser is then a
sum of ramps along the edges, about :math:`x_0`, just as for orthogonal data:
:math:`u_n = (x_n - x_0) / L_n` and :math:`L_n = \lVert x_n - x_0 \rVert`.

Wide angles do not fit many times into one space: K directions at a common angle :math:`\theta`
exist if and only if :math:`\cos\theta \ge -1/(K-1)`. With equality they are linearly dependent,
so that a simplex needs more.

The **equilateral triangle** of circumradius R has its ramps along the three medians, about the
centroid, from :math:`\ell_n = -R/2` to :math:`h_n = R`. For balls of radius up to
:math:`\rho^* = \tfrac{12 + 3\sqrt 3}{26} R \approx 0.661 R` this is the cheapest network; for
larger balls there are cheaper ones, and from :math:`\rho = \tfrac34 R` on none fits at all.

References
----------
Zeno et al., *How do Minimum-Norm Shallow Denoisers Look in Function Space?*, NeurIPS 2023,
arXiv:2311.06748, Section 4. The radius :math:`\rho^*` is this project's, derived in the chapter on
simplex data.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch

from memnb.validation import check_integer, check_numbers, check_real

from .data import check_lengths, orthogonal_set
from .geometry import TrainingSet

__all__ = ["equilateral_triangle", "obtuse_simplex", "widest_angle"]


def widest_angle(n_points: int) -> float:
    r"""Supremum of the common angle of an obtuse simplex, in degrees.

    With :math:`K = N - 1` edges at x_0 this is :math:`\arccos(-1/(K-1))`; 180 for up to two edges.

    Parameters
    ----------
    n_points : int
        Number of points :math:`N \ge 2`.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If ``n_points`` is not an integer of at least 2.

    Examples
    --------
    >>> [round(widest_angle(n), 1) for n in (3, 4, 31)]
    [180.0, 120.0, 92.0]
    """
    check_integer("n_points", n_points, 2)
    return math.degrees(math.acos(-1 / max(n_points - 2, 1)))


def _rotate(directions, dim, seed):
    """Directions (K, k) embedded in R^dim, turned at random if there is a seed."""
    frame = orthogonal_set(directions.shape[1] + 1, dim, seed=seed).directions
    return directions @ frame


def _directions_of_angle(angle, n_points):
    """Unit directions at one angle, lower triangular, exact up to the ends of the range."""
    n_edges, widest = n_points - 1, widest_angle(n_points)
    angle = check_real("angle", angle, 90, widest, open_low=True, open_high=True)
    cosine = math.sin(math.radians(90 - angle))  # cos(90 + x) without losing a small x
    # Eigenvalues of the cosines: 1 - c, and 1 + (K - 1) c for the vector of ones. Near the widest
    # angle the second one is the difference of two cosines, written as a product of sines.
    product = math.sin(math.radians(angle + widest) / 2) * math.sin(
        math.radians(widest - angle) / 2
    )
    together = 2 * (n_edges - 1) * product if n_edges > 1 else 1.0
    ones = torch.full((n_edges, n_edges), 1 / n_edges, dtype=torch.float64)
    apart = torch.eye(n_edges, dtype=torch.float64) - ones
    root = math.sqrt(1 - cosine) * apart + math.sqrt(together) * ones
    triangle = torch.linalg.qr(root).R.mT
    return triangle * triangle.diagonal().sign()


def _directions_of_gram(gram, n_points):
    gram = check_numbers("gram", gram)
    eps = torch.finfo(gram.dtype if gram.is_floating_point() else torch.float64).eps
    gram = gram.double().cpu()
    n_edges = n_points - 1
    if gram.shape != (n_edges, n_edges):
        raise ValueError(
            f"gram must have shape ({n_edges}, {n_edges}) for n_points = {n_points}, "
            f"got {tuple(gram.shape)}"
        )
    if not torch.isfinite(gram).all() or not (gram.diagonal() > 0).all():
        raise ValueError("gram must be finite with a positive diagonal (the squared edge lengths)")
    lengths = gram.diagonal().sqrt()
    cosines = gram / torch.outer(lengths, lengths)
    skew = (cosines - cosines.mT).abs()
    if skew.max() > 100 * eps:
        n, m = divmod(int(skew.argmax()), n_edges)
        raise ValueError(
            f"gram must be symmetric, got {gram[n, m]:g} and {gram[m, n]:g} for points "
            f"{n + 1} and {m + 1}"
        )
    cosines = (cosines + cosines.mT) / 2
    off = cosines.masked_fill(torch.eye(n_edges, dtype=torch.bool), -0.5)
    n, m = divmod(int(off.argmax()), n_edges)
    if off[n, m] >= 0:
        raise ValueError(
            f"gram must have obtuse angles only, but points {n + 1} and {m + 1} are at "
            f"{math.degrees(math.acos(min(off[n, m], 1))):.4g} degrees (inner product "
            f"{gram[n, m]:g}, allowed are negative ones)"
        )
    return _factor(cosines, eps), lengths


def _factor(cosines, eps):
    """The Cholesky factor of the cosines, or an error that names the widest pair."""
    least = torch.linalg.eigvalsh(cosines)[0]
    if least > 8 * len(cosines) * eps:
        return torch.linalg.cholesky(cosines)
    n, m = divmod(int(cosines.argmin()), len(cosines))
    cosine = float(cosines[n, m])
    if cosine <= -1:
        why = f"points {n + 1} and {m + 1} would need the cosine {cosine:.4g}"
    else:
        why = (
            f"the angles are together too wide (smallest eigenvalue of the cosines {least:.2g}); "
            f"the widest is between points {n + 1} and {m + 1}, "
            f"{math.degrees(math.acos(cosine)):.4g} degrees"
        )
    raise ValueError(f"gram must be that of a simplex, but {why}")


def obtuse_simplex(
    n_points: int,
    dim: int,
    lengths: float | Sequence[float] | None = None,
    *,
    angle: float | None = None,
    gram: Any = None,
    seed: int | None = None,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> TrainingSet:
    r"""Obtuse simplex: :math:`x_0 = 0`, and edges to the other points at obtuse angles.

    Give either one common ``angle`` or the Gram matrix of all edges.

    Parameters
    ----------
    n_points : int
        Number of points :math:`N \ge 2`, :math:`x_0` included; at most ``dim + 1``.
    dim : int
        Dimension d.
    lengths : float or sequence of N-1 floats, optional
        Edge lengths :math:`L_n > 0`; 1 if not given. Not together with ``gram``.
    angle : float, optional
        Angle between every two edges in degrees, above 90 and below :func:`widest_angle`.
    gram : array-like, shape (N-1, N-1), optional
        Inner products :math:`(x_n - x_0)^\top (x_m - x_0)`: positive definite, negative off the
        diagonal.
    seed : int, optional
        Seed of a random (Haar) rotation. ``None`` puts :math:`x_1` on the first axis,
        :math:`x_2` in the plane of the first two, and so on.
    dtype, device
        As in :func:`memnb.minnorm.data.orthogonal_set`.

    Returns
    -------
    TrainingSet

    Raises
    ------
    ValueError
        If there are too many points for the dimension, a length is not positive, or the angles
        are not obtuse or do not exist; the message names the pair. Also if the edges are linearly
        dependent in ``dtype``, so that the simplex is flat.

    References
    ----------
    arXiv:2311.06748, Section 4.

    Examples
    --------
    >>> obtuse_simplex(3, 2, [1.0, 1.2], angle=120).points
    tensor([[ 0.0000,  0.0000],
            [ 1.0000,  0.0000],
            [-0.6000,  1.0392]], dtype=torch.float64)
    >>> obtuse_simplex(3, 2, gram=[[1, 0.1], [0.1, 1]])
    Traceback (most recent call last):
        ...
    ValueError: gram must have obtuse angles only, but points 1 and 2 are at 84.26 degrees (inner product 0.1, allowed are negative ones)
    """  # noqa: E501
    check_integer("dim", dim, 1)
    check_integer("n_points", n_points, 2)
    if n_points > dim + 1:
        raise ValueError(
            f"n_points must be at most dim + 1 = {dim + 1}, got {n_points}: "
            f"a simplex in R^{dim} has at most {dim + 1} points"
        )
    if (angle is None) == (gram is None):
        raise ValueError("give either angle or gram, not both and not neither")
    n_edges = n_points - 1
    if gram is not None:
        if lengths is not None:
            raise ValueError("lengths must not be given together with gram, which contains them")
        triangle, lengths = _directions_of_gram(gram, n_points)
    else:
        triangle = _directions_of_angle(angle, n_points)
        lengths = check_lengths("lengths", 1.0 if lengths is None else lengths, n_edges)
    directions = _rotate(triangle, dim, seed)
    directions = directions / directions.norm(dim=1, keepdim=True)
    least = float(torch.linalg.svdvals(directions.to(dtype).double())[-1])
    if least < 8 * torch.finfo(dtype).eps:
        raise ValueError(
            f"{'angle' if gram is None else 'gram'} must leave the edges linearly independent in "
            f"{dtype}, but their directions have the singular value {least:.2g}"
        )
    center = torch.zeros(dim, dtype=torch.float64)
    exact = TrainingSet(
        points=torch.cat([center[None], lengths[:, None] * directions]),
        center=center,
        directions=directions,
        lengths=lengths,
        low=torch.zeros(n_edges, dtype=torch.float64),
        high=lengths.clone(),
        kind="obtuse simplex",
    )
    return exact.to(dtype=dtype, device=device)


def triangle_limit(radius: float) -> float:
    r"""The ball radius :math:`\rho^*` up to which the ramps of a triangle are the cheapest."""
    return (12 + 3 * math.sqrt(3)) / 26 * radius


def equilateral_triangle(
    dim: int,
    radius: float = 1.0,
    *,
    seed: int | None = None,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> TrainingSet:
    r"""Equilateral triangle with its centroid at the origin, in a plane of :math:`\mathbb{R}^d`.

    Parameters
    ----------
    dim : int
        Dimension :math:`d \ge 2`.
    radius : float
        Circumradius :math:`R > 0`; the sides are :math:`\sqrt 3 R`.
    seed : int, optional
        Seed of a random (Haar) rotation. ``None`` puts the triangle into the plane of the first
        two axes, with a vertex on the second.
    dtype, device
        As in :func:`memnb.minnorm.data.orthogonal_set`.

    Returns
    -------
    TrainingSet
        Its ``max_rho`` is :math:`\rho^* = \tfrac{12 + 3\sqrt 3}{26} R`, up to which the sum of
        ramps is the cheapest network.

    Raises
    ------
    TypeError, ValueError
        If a number is not of its kind or out of its range.

    References
    ----------
    arXiv:2311.06748, Section 4.

    Examples
    --------
    >>> from .denoisers import RampDenoiser
    >>> triangle = equilateral_triangle(2)
    >>> round(RampDenoiser(triangle, 0.1).cost(), 5), round(triangle.max_rho, 5)
    (4.61538, 0.66139)
    """
    check_integer("dim", dim, 2)
    radius = check_real("radius", radius, 0, math.inf, open_low=True, open_high=True)
    angles = math.pi / 2 + 2 * math.pi / 3 * torch.arange(3, dtype=torch.float64)
    directions = _rotate(torch.stack([angles.cos(), angles.sin()], dim=1), dim, seed)
    size = torch.full((3,), radius, dtype=torch.float64)
    exact = TrainingSet(
        points=radius * directions,
        center=torch.zeros(dim, dtype=torch.float64),
        directions=directions / directions.norm(dim=1, keepdim=True),
        lengths=size,
        low=-size / 2,
        high=size,
        kind="equilateral triangle",
        rho_limit=triangle_limit(radius),
    )
    return exact.to(dtype=dtype, device=device)
