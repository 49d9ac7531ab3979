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

References
----------
Zeno et al., *When Diffusion Models Memorize*, ICML 2025, arXiv:2506.19031, Section 5 (threshold
0.2). The order of precedence is this project's.
"""

from dataclasses import dataclass

import torch

from .data import TrainingSet
from .validation import NORMS, check_choice, check_integer, check_real

__all__ = ["CLASSES", "Endpoints", "classify", "count_endpoints"]

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

    def counts(self) -> dict:
        """Number of points in each class, a dict in the order of :data:`CLASSES`."""
        counts = torch.bincount(self.labels.flatten(), minlength=len(CLASSES))
        return dict(zip(CLASSES, counts.tolist(), strict=True))

    def fractions(self) -> dict:
        r"""Fraction of points in each class with its standard error.

        Returns
        -------
        dict
            Maps a class to ``(p, se)``. The error is the half-width of the one-sigma Wilson
            interval, :math:`\sqrt{p(1-p)/n + 1/(4n^2)} / (1 + 1/n)`, which stays positive at
            p = 0 and p = 1.
        """
        n = self.labels.numel()
        result = {}
        for name, count in self.counts().items():
            p = count / n
            se = (p * (1 - p) / n + 0.25 / n**2) ** 0.5 / (1 + 1 / n)
            result[name] = (p, se)
        return result


def classify(y, training_set: TrainingSet, threshold=0.2, norm="l2") -> Endpoints:
    """Assign each point to one endpoint class, in O(N d) a point.

    Parameters
    ----------
    y : Tensor, shape (..., d)
        Endpoints of a flow.
    training_set : TrainingSet
        Orthogonal data.
    threshold : float
        Largest distance that counts as being there; positive.
    norm : {"l2", "linf"}
        Norm of the distance.

    Returns
    -------
    Endpoints

    Raises
    ------
    ValueError
        If the data are not orthogonal, y is not finite, the threshold is not positive or the norm
        is unknown.

    Examples
    --------
    >>> from memnb.data import orthogonal_set
    >>> square = orthogonal_set(3, 2)
    >>> y = torch.tensor([[0, 0.1], [1, 1], [0.5, 1], [0.5, 0.5], [2, 0]], dtype=torch.float64)
    >>> [CLASSES[i] for i in classify(y, square).labels]
    ['training', 'virtual', 'boundary', 'interior', 'outside']
    """
    if not training_set.is_orthogonal:
        raise ValueError(f"training_set must be orthogonal data, got kind {training_set.kind!r}")
    check_real("threshold", threshold, 0, open_low=True)
    check_choice("norm", norm, NORMS)
    z = training_set.coordinates(y)
    if not torch.isfinite(y).all():
        raise ValueError("y must be finite, got nan or inf")
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

    labels = torch.full(z.shape[:-1], CLASSES.index("outside"), device=z.device)
    labels[to_box <= threshold] = CLASSES.index("interior")
    labels[to_boundary <= threshold] = CLASSES.index("boundary")
    kind = torch.where(on.sum(dim=-1) <= 1, CLASSES.index("training"), CLASSES.index("virtual"))
    return Endpoints(torch.where(to_vertex <= threshold, kind, labels), on, to_vertex)


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
        Orthogonal data; its dtype and device are used throughout.
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
    generator = torch.Generator().manual_seed(check_integer("seed", seed, 0))
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
