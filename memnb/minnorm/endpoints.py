r"""Chapters 1 to 4: where a flow ended.

At a training point, at a virtual point, or on the hyperbox between, or nowhere near it.

For orthogonal data the hyperbox :math:`B` is a cell complex: vertices lie in its boundary
:math:`\partial B`, the boundary lies in :math:`B`, and :math:`B` lies in :math:`\mathbb{R}^d`. An
endpoint belongs to the *smallest* of these that comes within a threshold of it:

1. **training** or **virtual**: the nearest vertex is within the threshold. It is a training point
   if it sums at most one nonzero :math:`x_n`, and a virtual point if it sums two or more.
2. **boundary**: not 1, and the boundary of the hyperbox is within the threshold.
3. **interior**: not 1 or 2, and the hyperbox itself is within the threshold.
4. **outside**: everything else.

So every point has exactly one class, and where two vertices are within the threshold (which needs
a threshold of half an edge or more) the nearer one decides.

Distances are measured in the box's own axes, so that turning data and points together changes
nothing. With :math:`z_n = u_n^\top (y - \bar x)` and :math:`q` the distance of y from the span of
the box, the distance to a point of the box with coordinates :math:`v` is
:math:`(\sum_n (z_n - v_n)^2 + q^2)^{1/2}` in L2 and :math:`\max(\max_n |z_n - v_n|, q)` in L∞. The
nearest vertex is found by rounding each coordinate, never by listing all :math:`2^{N-1}`.

**Simplex data** have a simplex in place of the box: the convex hull of the training points. The
classes and their order are the same, with the sums :math:`x_0 + \sum_{n \in I} (x_n - x_0)` (all of
them, stable or not) as vertices, the proper faces of the simplex as boundary and the rest of it as
interior. For the equilateral triangle the sums are those about the centroid: one for each vertex,
and the virtual points are the reflected vertices (two of them) and the centroid itself (none or all
three). Distances are in L2. The nearest sum is found among all of them for up to 12 edges, and by
rounding oblique coordinates beyond. Inside the simplex the distance to its boundary is that to the
nearest facet; outside, the distance to the simplex is a nonnegative least-squares problem, solved
for those points only whose class depends on it.

References
----------
Zeno et al., *When Diffusion Models Memorize*, ICML 2025, arXiv:2506.19031, Section 5 (threshold
0.2). The order of precedence is this project's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from memnb.stats import wilson
from memnb.validation import NORMS, check_choice, check_points, check_real

from .geometry import TrainingSet, check_training_set

__all__ = ["CLASSES", "Endpoints", "classify", "fractions_of"]

MAX_LISTED = 12  # edges; beyond that there are too many sums to list
LISTED_AT_ONCE = 2**22  # distances from points to sums in memory at a time
CLASSES = ("training", "virtual", "boundary", "interior", "outside")


@dataclass(frozen=True, eq=False)
class Endpoints:
    """Classes of a batch of points.

    Parameters
    ----------
    labels : Tensor of int64, shape (...)
        Index into :data:`CLASSES`.
    on : Tensor of bool, shape (..., K)
        The nearest vertex: which of the nonzero training points it sums.
    distance : Tensor, shape (...)
        Distance to that vertex.
    """

    labels: torch.Tensor
    on: torch.Tensor
    distance: torch.Tensor

    def counts(self) -> dict[str, int]:
        """Number of points in each class, a dict in the order of :data:`CLASSES`."""
        counts = torch.bincount(self.labels.flatten(), minlength=len(CLASSES))
        return dict(zip(CLASSES, counts.tolist(), strict=True))

    def fractions(self) -> dict[str, tuple[float, float]]:
        r"""Fraction of points in each class with its standard error.

        Returns
        -------
        dict
            Maps a class to ``(p, se)``, see :func:`memnb.stats.wilson`.

        Raises
        ------
        ValueError
            If there are no points.
        """
        return fractions_of(self.counts())


def fractions_of(counts: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    r"""Fraction of points in each class with its standard error, from their numbers.

    Parameters
    ----------
    counts : mapping of str to int
        Class to number of points.

    Returns
    -------
    dict
        Maps a class to ``(p, se)``, see :func:`memnb.stats.wilson`.

    Raises
    ------
    ValueError
        If there are no points.
    """
    n = sum(counts.values())
    if not n:
        raise ValueError("counts must hold at least one point to have fractions, got none")
    return {name: wilson(count, n) for name, count in counts.items()}


def classify(
    y: Any, training_set: TrainingSet, threshold: float = 0.2, norm: str = "l2"
) -> Endpoints:
    """Assign each point to one endpoint class, in O(N d) a point.

    Parameters
    ----------
    y : Tensor, array or nested sequence, shape (..., d)
        Endpoints of a flow.
    training_set : TrainingSet
        Orthogonal or simplex data.
    threshold : float
        Largest distance that counts as being there; positive.
    norm : {"l2", "linf"}
        Norm of the distance; "l2" only for simplex data.

    Returns
    -------
    Endpoints

    Raises
    ------
    TypeError
        If ``training_set`` is none, or y holds no real numbers.
    ValueError
        If the data are neither, y is not finite, the threshold is not positive or the norm is
        unknown.

    Examples
    --------
    >>> from .data import orthogonal_set
    >>> square = orthogonal_set(3, 2)
    >>> y = torch.tensor([[0, 0.1], [1, 1], [0.5, 1], [0.5, 0.5], [2, 0]], dtype=torch.float64)
    >>> [CLASSES[i] for i in classify(y, square).labels]
    ['training', 'virtual', 'boundary', 'interior', 'outside']
    """
    check_training_set(training_set)
    check_real("threshold", threshold, 0, open_low=True)
    check_choice("norm", norm, NORMS)
    y = check_points("y", y, training_set.dim, dtype=training_set.points.dtype)
    if not training_set.is_orthogonal:
        check_choice("norm", norm, ("l2",))
        return _classify_simplex(y, training_set, threshold)
    z, off_plane = training_set.coordinates(y), training_set.off_plane(y)
    length = training_set.lengths

    def distance(offsets):
        if norm == "l2":
            return torch.hypot(offsets.norm(dim=-1), off_plane)
        return torch.maximum(offsets.abs().amax(dim=-1), off_plane)

    on = z > length / 2
    to_vertex = distance(z - on * length)
    beyond = z - torch.minimum(z.clamp(min=0), length)  # zero inside the box
    to_box = distance(beyond)
    # From inside, the boundary is as far as the nearest face; from outside, as far as the box.
    face = torch.minimum(z, length - z).amin(dim=-1, keepdim=True)
    to_boundary = torch.where((face > 0).squeeze(-1), distance(face), to_box)

    return _label(on, on.sum(dim=-1) <= 1, to_vertex, to_boundary, to_box, threshold)


def _label(on, is_training, to_vertex, to_boundary, to_body, threshold):
    """The smallest cell within the threshold: vertex, boundary, body, or none."""
    labels = torch.full(to_vertex.shape, CLASSES.index("outside"), device=to_vertex.device)
    labels[to_body <= threshold] = CLASSES.index("interior")
    labels[to_boundary <= threshold] = CLASSES.index("boundary")
    kind = torch.where(is_training, CLASSES.index("training"), CLASSES.index("virtual"))
    return Endpoints(torch.where(to_vertex <= threshold, kind, labels), on, to_vertex)


def _nearest_sum(offset, training_set):
    """Which edges the sum nearest to center + offset (n, d) contains, bool (n, K)."""
    s = training_set
    if s.n_ramps > MAX_LISTED:
        oblique = offset @ torch.linalg.pinv(s.directions * s.lengths[:, None])
        return oblique > 0.5
    bits = torch.arange(2**s.n_ramps, device=offset.device)[:, None]
    all_sums = (bits >> torch.arange(s.n_ramps, device=offset.device)) & 1
    sums = (all_sums * s.lengths) @ s.directions
    chunk = max(1, LISTED_AT_ONCE // len(sums))
    # Matrix products would leave rounding of 1e-8 in distances that are zero.
    exact = "donot_use_mm_for_euclid_dist"
    nearest = [
        torch.cdist(part, sums, compute_mode=exact).argmin(dim=1) for part in offset.split(chunk)
    ]
    return all_sums[torch.cat(nearest)].bool()


def _to_simplex(offset, corners, undecided, threshold):
    r"""Distances to the boundary of a simplex and to the simplex, or more than the threshold.

    Both are in the span of the simplex, with the distance from the span added; offset (n, d) and
    corners (N, d) are relative to the same point.
    """
    size = (corners[1:] - corners[0]).norm(dim=1).max()
    edges = (corners[1:] - corners[0]) / size
    frame = torch.linalg.qr(edges.mT).Q  # the span of the simplex, so that few numbers are left
    flat = (offset - corners[0]) / size
    off_span = (flat - (flat @ frame) @ frame.mT).norm(dim=1)
    flat, edges = flat @ frame, edges @ frame
    inverse = torch.linalg.pinv(edges)
    heights = 1 / torch.cat([inverse.sum(dim=1).norm()[None], inverse.norm(dim=0)])
    share = flat @ inverse
    share = torch.cat([1 - share.sum(dim=1, keepdim=True), share], dim=1)  # barycentric
    facet = (share * heights).amin(dim=1)  # signed distance to the nearest plane of a facet
    # Outside, the distance to such a plane is a lower bound for that to the simplex.
    within = (-facet).clamp(min=0)
    rounding = 64 * torch.finfo(flat.dtype).eps
    close = undecided & (within > rounding) & (torch.hypot(within, off_span) * size <= threshold)
    within[close] = _outside(flat[close], torch.cat([torch.zeros_like(edges[:1]), edges]))
    to_hull = torch.hypot(within, off_span)
    return torch.hypot(facet.clamp(min=0), to_hull) * size, to_hull * size


def _outside(y, corners):
    r"""Distances of y (n, K) to the convex hull of corners (K + 1, K), by least squares.

    Of all multiples u of a convex combination :math:`\lambda`, the best one makes
    :math:`\lVert P u \rVert^2 + (1^\top u - 1)^2` equal to :math:`q / (1 + q)` with
    :math:`q = \lVert P\lambda \rVert^2`, for P the corners as seen from the point.
    """
    from scipy.optimize import nnls

    distance = torch.zeros(len(y), dtype=torch.float64)
    one = torch.ones(1, len(corners), dtype=torch.float64)
    goal = torch.zeros(corners.shape[1] + 1, dtype=torch.float64)
    goal[-1] = 1
    for row, point in enumerate(y):
        seen = (corners - point).mT.double().cpu()
        u = torch.as_tensor(nnls(torch.cat([seen, one]).numpy(), goal.numpy())[0])
        distance[row] = (seen @ (u / u.sum())).norm()
    return distance.to(y)


def _classify_simplex(y, training_set, threshold):
    points, center = training_set.points, training_set.center
    if torch.linalg.matrix_rank(points[1:] - points[0]) < len(points) - 1:
        raise ValueError(
            f"training_set must be orthogonal data or a simplex, got kind {training_set.kind!r}"
        )
    offset = y.reshape(-1, training_set.dim) - center
    on = _nearest_sum(offset, training_set)
    to_vertex = (offset - (on * training_set.lengths) @ training_set.directions).norm(dim=1)
    undecided = to_vertex > threshold
    to_boundary, to_hull = _to_simplex(offset, points - center, undecided, threshold)
    has_origin = (points == center).all(dim=1).any()  # the empty sum is a point
    count = on.sum(dim=1)
    is_training = (count == 1) | (has_origin & (count == 0))
    ends = _label(on, is_training, to_vertex, to_boundary, to_hull, threshold)
    shape = y.shape[:-1]
    return Endpoints(
        ends.labels.reshape(shape),
        on.reshape(*shape, training_set.n_ramps),
        to_vertex.reshape(shape),
    )
