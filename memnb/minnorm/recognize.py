r"""Chapters 1 to 3: the training set of given points, if a closed form is known for them.

Translations, rotations and a change of scale carry a minimum-norm denoiser along, and the order of
the points means nothing. So each family is recognized wherever it lies:

- **data on a line**: all points on one line of :math:`\mathbb{R}^d`. Projecting a network onto that
  line costs nothing and keeps its values there, so the cheapest one is the staircase along it.
- **orthogonal data**: a point :math:`x_0` from which the edges to all others are at right angles.
- **an obtuse simplex**: a point from which no two edges are at an acute angle, and which the edges
  leave in linearly independent directions. Right angles among obtuse ones are allowed: every such
  simplex is a limit of obtuse ones, and the least cost is continuous in the points.
- **an equilateral triangle**.

**Tolerance.** Points are given up to rounding. With :math:`\varepsilon` of their dtype and M the
largest norm of a point, an edge of length L is known up to the angle :math:`\varepsilon M / L`; 32
times that is what passes for a right angle, and so on. Nothing else is: points at 90.001 degrees
in float64 are not orthogonal.
"""

import math
from typing import Any

import torch

from memnb.validation import check_points

from .geometry import TrainingSet
from .simplex import triangle_limit

__all__ = ["training_set"]

ROUNDING = 32  # of the dtype's epsilon
UNKNOWN = 1e-3  # relative error of an edge beyond which nothing can be said about angles


def training_set(points: Any) -> TrainingSet:
    r"""The training set of given points, with the ramps of their minimum-norm denoiser.

    Parameters
    ----------
    points : Tensor, array or nested sequence, shape (N, d)
        At least two different points: orthogonal, an obtuse simplex, an equilateral triangle, or
        on one line, in any position and order.

    Returns
    -------
    TrainingSet
        In the dtype and on the device of the points. Its ``points`` are the given ones in the order
        of the theory: :math:`x_0` first for orthogonal data and obtuse simplices, and from one end
        to the other on a line.

    Raises
    ------
    TypeError
        If the points are not real numbers.
    ValueError
        If there are fewer than two points, two are equal or too close together for their dtype, or
        no closed form is known for them; the message says why.

    References
    ----------
    Zeno et al., *How do Minimum-Norm Shallow Denoisers Look in Function Space?*, NeurIPS 2023,
    arXiv:2311.06748, Sections 3 and 4.

    Examples
    --------
    >>> training_set([[2, 1], [1, 1], [1, 3]]).kind
    'orthogonal'
    >>> training_set([[0, 0], [1, 0], [0.1, 1]])
    Traceback (most recent call last):
        ...
    ValueError: points must be orthogonal, an obtuse simplex, an equilateral triangle or on a line, for which closed forms of the minimum-norm denoiser are known, but points 1 and 2 seen from point 0 are at 84.29 degrees, and from every other point some angle is at least as acute
    """  # noqa: E501
    given = check_points("points", points)
    if given.ndim != 2 or len(given) < 2:
        raise ValueError(f"points must have shape (N, d) with N >= 2, got {tuple(given.shape)}")
    given = given.detach()
    x = given.double()
    distance = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distance.clone().fill_diagonal_(math.inf)
    rounding = ROUNDING * torch.finfo(given.dtype).eps * float(x.norm(dim=1).max())
    if rounding >= UNKNOWN * nearest.min():
        n, m = divmod(int(nearest.argmin()), len(x))
        raise ValueError(
            f"points must be apart from one another by more than {rounding / UNKNOWN:.2g}, given "
            f"their size and {given.dtype}, but points {n} and {m} are {nearest.min():.2g} apart"
        )
    match = _line(x, distance, rounding) or _edges(x, rounding) or _triangle(x, distance, rounding)
    if match is None:
        raise ValueError(
            "points must be orthogonal, an obtuse simplex, an equilateral triangle or on a line, "
            "for which closed forms of the minimum-norm denoiser are known, but " + _why(x)
        )
    order, fields = match
    dtype = given.dtype
    tensors = {k: v.to(dtype) if isinstance(v, torch.Tensor) else v for k, v in fields.items()}
    return TrainingSet(points=given[order], **tensors)


def _line(x, distance, rounding):
    """Three or more points on a line; two are orthogonal data as well, and are left to those."""
    if len(x) < 3:
        return None
    ends = divmod(int(distance.argmax()), len(x))
    first, last = x[min(ends)], x[max(ends)]
    u = (last - first) / (last - first).norm()
    t = (x - first) @ u
    if (x - first - t[:, None] * u).norm(dim=1).max() > rounding:
        return None
    t, order = t.sort()
    gaps = _one_length(t.diff(), rounding)
    t = torch.cat([t.new_zeros(1), gaps.cumsum(0)])
    fields = {
        "center": x[order[0]],
        "directions": u.expand(len(gaps), -1),
        "lengths": gaps,
        "low": t[:-1],
        "high": t[1:],
        "kind": "line",
    }
    return order, fields


def _one_length(lengths, rounding):
    """The mean of lengths that only rounding tells apart, since equal ones have an exact flow."""
    if lengths.max() - lengths.min() <= 2 * rounding:
        return lengths.mean().expand(len(lengths)).clone()
    return lengths


def _seen_from(x, k):
    """Numbers of the other points, their unit directions from point k, and their distances."""
    others = torch.tensor([n for n in range(len(x)) if n != k], device=x.device)
    edges = x[others] - x[k]
    length = edges.norm(dim=1)
    return others, edges / length[:, None], length


def _edges(x, rounding):
    """Orthogonal data or an obtuse simplex, from whichever point all edges look so."""
    for k in range(len(x)):
        others, u, length = _seen_from(x, k)
        cosine = (u @ u.mT).fill_diagonal_(0)
        slack = rounding * (1 / length[:, None] + 1 / length)
        if (cosine > slack).any():
            continue
        if (cosine < -slack).any():
            independent = len(u) <= x.shape[1] and torch.linalg.svdvals(u)[-1] > slack.max()
            if not independent:
                continue
            kind = "obtuse simplex"
        else:
            if len(u) > x.shape[1]:
                continue
            # The nearest orthonormal directions: right angles are then right to the last digit.
            left, _, right = torch.linalg.svd(u, full_matrices=False)
            u, kind = left @ right, "orthogonal"
        length = _one_length(length, rounding)
        fields = {
            "center": x[k],
            "directions": u,
            "lengths": length,
            "low": torch.zeros_like(length),
            "high": length,
            "kind": kind,
        }
        return torch.cat([others.new_tensor([k]), others]), fields
    return None


def _triangle(x, distance, rounding):
    """An equilateral triangle: three sides of one length."""
    if len(x) != 3:
        return None
    sides = distance[[0, 1, 2], [1, 2, 0]]
    if sides.max() - sides.min() > 2 * rounding:
        return None
    center = x.mean(dim=0)
    radius = (sides.mean() / math.sqrt(3)).expand(3)
    u = (x - center) / (x - center).norm(dim=1, keepdim=True)
    fields = {
        "center": center,
        "directions": u,
        "lengths": radius,
        "low": -radius / 2,
        "high": radius,
        "kind": "equilateral triangle",
        "rho_limit": triangle_limit(float(radius[0])),
    }
    return torch.arange(3, device=x.device), fields


def _why(x):
    """What keeps the best candidate for x_0 from being one."""
    candidates = []
    for k in range(len(x)):
        others, u, _ = _seen_from(x, k)
        cosine = (u @ u.mT).fill_diagonal_(-math.inf)
        n, m = divmod(int(cosine.argmax()), len(u))
        candidates.append((float(cosine[n, m]), k, *sorted(others[[n, m]].tolist())))
    cosine, k, n, m = min(candidates)
    rank = int(torch.linalg.matrix_rank(x - x[k]))
    if cosine <= 1e-6 and rank < len(x) - 1:
        return (
            f"the {len(x) - 1} edges from point {k}, none of them at acute angles, span only "
            f"{rank} dimensions"
        )
    return (
        f"points {n} and {m} seen from point {k} are at {math.degrees(math.acos(cosine)):.4g} "
        "degrees, and from every other point some angle is at least as acute"
    )
