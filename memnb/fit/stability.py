r"""Which sums of training points attract the flow of any denoiser; distances between denoisers.

A sum :math:`p = \sum_{n \in I} x_n` is **stable** here if the score flow started at p is still
there when it has come to rest: :math:`\lVert y(r) - p \rVert \le 0.2` at :math:`r = 40` (twice as
long changes next to no verdict, as the chapter shows). For a trained network no sum is an exact
fixed point, so a threshold is unavoidable; what is not is to *iterate*. The laxer reading
:math:`\lVert h(p) - p \rVert \le 0.2`, one application of the denoiser, is met by nearly every
sum, since h moves a point a little at a time.
"""

import itertools
import math

import torch

from ..data import TrainingSet
from ..flows import score_flow_stepped
from ..validation import check_integer, check_real

__all__ = ["function_distance", "subsets", "sum_drift"]

DURATION, STEP = 40.0, 0.25


def subsets(n_ramps, order, limit=None, seed=0):
    r"""Subsets of :math:`x_1, \dots, x_K` of one size, all of them or a random part.

    Parameters
    ----------
    n_ramps : int
        K.
    order : int
        Size of the subsets, between 1 and K.
    limit : int, optional
        Draw this many without replacement if there are more.
    seed : int
        Seed of the draw.

    Returns
    -------
    Tensor of bool, shape (number, K)
        In lexicographic order if complete.

    Examples
    --------
    >>> subsets(3, 2).int()
    tensor([[1, 1, 0],
            [1, 0, 1],
            [0, 1, 1]], dtype=torch.int32)
    """
    check_integer("order", order, 1, check_integer("n_ramps", n_ramps, 1))
    members = torch.tensor(list(itertools.combinations(range(n_ramps), order)))
    if limit is not None and len(members) > check_integer("limit", limit, 1):
        generator = torch.Generator().manual_seed(seed)
        members = members[torch.randperm(len(members), generator=generator)[:limit]]
    return torch.zeros(len(members), n_ramps, dtype=torch.bool).scatter_(1, members, True)


def sum_drift(denoiser, training_set: TrainingSet, on, duration=DURATION, chunk=4096):
    r"""How far the score flow carries the sums of training points from themselves.

    Parameters
    ----------
    denoiser : callable
        Maps (n, d) to (n, d), in the dtype of the training set.
    training_set : TrainingSet
    on : Tensor of bool, shape (n, K)
        The sums.
    duration : float
        Flow time :math:`r > 0`.
    chunk : int
        Sums in memory at a time.

    Returns
    -------
    Tensor, shape (n, 4)
        :math:`\lVert y(r) - p \rVert` in L2 and L∞ (by Euler steps of 1/4, which share the fixed
        points of the flow), then :math:`\lVert h(p) - p \rVert` in L2 and L∞.
    """
    check_real("duration", duration, 0, math.inf, open_low=True, open_high=True)
    grid = torch.arange(0, duration + STEP / 2, STEP, dtype=torch.float64)
    parts = []
    for block in on.split(chunk):
        p = training_set.vertex(block.to(training_set.points.device))
        end = score_flow_stepped(p, denoiser, grid, "euler", return_path=False)
        with torch.no_grad():
            moved = (end - p, denoiser(p) - p)
        parts.append(
            torch.stack([x for m in moved for x in (m.norm(dim=1), m.abs().amax(dim=1))], dim=1)
        )
    return torch.cat(parts)


def function_distance(denoiser, reference, training_set: TrainingSet, n=500, seed=0):
    r"""Root mean square of :math:`\lVert h(y) - h^*(y) \rVert` over three kinds of points.

    Parameters
    ----------
    denoiser, reference : callable
        Two denoisers of the same dtype.
    training_set : TrainingSet
        Orthogonal data.
    n : int
        Points of each kind.
    seed : int
        Seed of the points.

    Returns
    -------
    dict
        ``"rays"``: uniform on the segments from :math:`x_0` to a random :math:`x_n`; ``"faces"``:
        uniform on the squares spanned by two random :math:`x_n, x_m` (on the only segment if there
        is one); ``"random"``: uniform in the hyperbox.
    """
    generator = torch.Generator().manual_seed(check_integer("seed", seed, 0))
    K, like = training_set.n_ramps, training_set.points
    uniform = torch.rand(n, K, generator=generator, dtype=torch.float64)
    rank = torch.rand(n, K, generator=generator, dtype=torch.float64).argsort(dim=1)
    distances = {}
    for kind, size in (("rays", 1), ("faces", min(2, K)), ("random", K)):
        fractions = (uniform * (rank < size)).to(like)
        y = training_set.from_coordinates(fractions * training_set.lengths)
        with torch.no_grad():
            gap = denoiser(y) - reference(y)
        distances[kind] = math.sqrt(gap.square().sum(dim=1).mean())
    return distances
