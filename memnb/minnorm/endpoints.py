r"""Where a flow ended: at a training point, at a virtual point, or on the hyperbox between.

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
rounding oblique coordinates beyond. The distance to the simplex is a nonnegative least-squares
problem.

References
----------
Zeno et al., *When Diffusion Models Memorize*, ICML 2025, arXiv:2506.19031, Section 5 (threshold
0.2). The order of precedence is this project's.
"""

from dataclasses import dataclass

import torch

from memnb.streams import stream
from memnb.validation import NORMS, check_choice, check_integer, check_real

from .data import TrainingSet

__all__ = ["CLASSES", "Endpoints", "classify", "count_endpoints", "standard_error"]

MAX_LISTED = 12  # edges; beyond that there are too many sums to list
CLASSES = ("training", "virtual", "boundary", "interior", "outside")


def standard_error(p, n):
    r"""Half-width of the one-sigma Wilson interval of a fraction p of n points.

    It is :math:`\sqrt{p(1-p)/n + 1/(4n^2)} / (1 + 1/n)`, which stays positive at p = 0 and p = 1.

    Examples
    --------
    >>> round(standard_error(0.5, 100), 3), standard_error(0.0, 100) > 0
    (0.05, True)
    """
    return (p * (1 - p) / n + 0.25 / n**2) ** 0.5 / (1 + 1 / n)


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

    def counts(self) -> dict:
        """Number of points in each class, a dict in the order of :data:`CLASSES`."""
        counts = torch.bincount(self.labels.flatten(), minlength=len(CLASSES))
        return dict(zip(CLASSES, counts.tolist(), strict=True))

    def fractions(self) -> dict:
        r"""Fraction of points in each class with its standard error.

        Returns
        -------
        dict
            Maps a class to ``(p, se)``, see :func:`standard_error`.
        """
        n = self.labels.numel()
        result = {}
        for name, count in self.counts().items():
            p = count / n
            result[name] = (p, standard_error(p, n))
        return result


def classify(y, training_set: TrainingSet, threshold=0.2, norm="l2") -> Endpoints:
    """Assign each point to one endpoint class, in O(N d) a point.

    Parameters
    ----------
    y : Tensor, shape (..., d)
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
    check_real("threshold", threshold, 0, open_low=True)
    check_choice("norm", norm, NORMS)
    z = training_set.coordinates(y)
    if not torch.isfinite(y).all():
        raise ValueError("y must be finite, got nan or inf")
    if not training_set.is_orthogonal:
        check_choice("norm", norm, ("l2",))
        return _classify_simplex(y, training_set, threshold)
    off_plane = training_set.off_plane(y)
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


def _nearest_sum(y, training_set):
    """Which edges the sum nearest to each point of y (n, d) contains, bool (n, K)."""
    s = training_set
    if s.n_ramps <= MAX_LISTED:
        bits = torch.arange(2**s.n_ramps, device=y.device)[:, None]
        all_sums = (bits >> torch.arange(s.n_ramps, device=y.device)) & 1
        # Matrix products would leave rounding of 1e-8 in distances that are zero.
        exact = "donot_use_mm_for_euclid_dist"
        to_sums = torch.cdist(y, s.vertex(all_sums), compute_mode=exact)
        return all_sums[to_sums.argmin(dim=1)].bool()
    oblique = (y - s.center) @ torch.linalg.pinv(s.directions * s.lengths[:, None])
    return oblique > 0.5


def _to_simplex(y, points):
    r"""Distances of y (n, d) to the boundary of the convex hull of points (N, d), and to the hull.

    The nearest point of the hull solves a nonnegative least-squares problem, exactly: of all
    multiples u of a convex combination :math:`\lambda`, the best one makes
    :math:`\lVert P u \rVert^2 + (1^\top u - 1)^2` equal to :math:`q / (1 + q)` with
    :math:`q = \lVert P\lambda \rVert^2`.
    """
    from scipy.optimize import nnls

    edges = points[1:] - points[0]
    frame = torch.linalg.qr(edges.mT).Q  # the span of the simplex, so that few numbers are left
    flat, corners = (y - points[0]) @ frame, (points - points[0]) @ frame
    off_span = (y - points[0] - flat @ frame.mT).norm(dim=1)
    height = 1 / torch.linalg.pinv(edges).norm(dim=0)  # of corners 1 to N-1 over the facets
    height_0 = 1 / torch.linalg.pinv(edges).sum(dim=1).norm()
    heights = torch.cat([height_0[None], height])

    weights = torch.zeros(len(y), len(points), dtype=torch.float64)
    one = torch.ones(1, len(points), dtype=torch.float64)
    goal = torch.zeros(len(edges) + 1, dtype=torch.float64)
    goal[-1] = 1
    for row, point in enumerate(flat):
        system = torch.cat([(corners - point).mT.double().cpu(), one])
        u = torch.as_tensor(nnls(system.numpy(), goal.numpy())[0])
        weights[row] = u / u.sum()
    weights = weights.to(y)
    within = (weights @ corners - flat).norm(dim=1)
    to_hull = torch.hypot(within, off_span)
    # From inside, the nearest facet is as far as its barycentric coordinate times its height.
    to_boundary = torch.hypot((weights * heights).amin(dim=1), to_hull)
    return to_boundary, to_hull


def _classify_simplex(y, training_set, threshold):
    points = training_set.points
    if torch.linalg.matrix_rank(points[1:] - points[0]) < len(points) - 1:
        raise ValueError(
            f"training_set must be orthogonal data or a simplex, got kind {training_set.kind!r}"
        )
    flat = y.reshape(-1, training_set.dim)
    on = _nearest_sum(flat, training_set)
    to_vertex = (flat - training_set.vertex(on)).norm(dim=1)
    to_boundary, to_hull = _to_simplex(flat, points)
    has_origin = (points == training_set.center).all(dim=1).any()  # the empty sum is a point
    count = on.sum(dim=1)
    is_training = (count == 1) | (has_origin & (count == 0))
    found = _label(on, is_training, to_vertex, to_boundary, to_hull, threshold)
    shape = y.shape[:-1]
    return Endpoints(
        found.labels.reshape(shape),
        on.reshape(*shape, training_set.n_ramps),
        to_vertex.reshape(shape),
    )


def count_endpoints(
    flow,
    training_set: TrainingSet,
    n_starts,
    *,
    scale=1.0,
    seed=0,
    threshold=0.2,
    norm="l2",
    chunk=16384,
    progress=False,
) -> dict:
    r"""Count the endpoint classes of many starts without holding them all in memory.

    Starts are drawn from :math:`\mathcal{N}(\bar x, s^2 I_d)`, moved and classified ``chunk`` at a
    time, so that memory does not grow with ``n_starts``.

    Parameters
    ----------
    flow : callable
        Maps starting points (n, d) to endpoints (n, d).
    training_set : TrainingSet
        Orthogonal or simplex data; its dtype and device are used throughout.
    n_starts : int
        Number of starts.
    scale : float
        Standard deviation s of the starts.
    seed : int
        Seed of the starts. The counts depend on it and on ``chunk``.
    threshold, norm
        As in :func:`classify`.
    chunk : int
        Starts in memory at a time.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    dict
        Class to count, in the order of :data:`CLASSES`.
    """
    from tqdm.auto import tqdm

    check_integer("n_starts", n_starts, 1)
    check_integer("chunk", chunk, 1)
    scale = check_real("scale", scale, 0)
    generator = stream(seed, "starts")
    totals = dict.fromkeys(CLASSES, 0)
    with tqdm(total=n_starts, unit="start", disable=not progress) as bar:
        for begin in range(0, n_starts, chunk):
            size = min(chunk, n_starts - begin)
            shape = (size, training_set.dim)
            noise = torch.randn(shape, generator=generator, dtype=torch.float64)
            y = training_set.center + scale * noise.to(training_set.center)
            for name, count in classify(flow(y), training_set, threshold, norm).counts().items():
                totals[name] += count
            bar.update(size)
    return totals
