r"""Chapters 1, 3 and 4: stationary points of denoisers and their stability.

A stationary point of the flows is a fixed point of the denoiser, :math:`h(y) = y`. On a piece (each
ramp flat at 0, active, or flat at :math:`L_n`) h is affine, so that a piece has one candidate at
most, the solution of a linear system, and there are :math:`3^K` pieces.

**Stability.** With A the set of active ramps, the Jacobian of :math:`h(y) - y` is
:math:`J = \sum_{n \in A} s_n u_n u_n^\top - I`. Since :math:`u_n^\top J u_n \ge s_n - 1` for
every :math:`n \in A`, *one active ramp of slope* :math:`s_n > 1` *makes a stationary point
unstable*. On orthogonal data and on obtuse simplices :math:`s_n = L_n / (L_n - 2\rho) > 1`, so
that only sums :math:`x_0 + \sum_{n \in I} (x_n - x_0)` can be stable.

At :math:`\rho = 0` the slopes are 1, and stationary points are no longer isolated: every point of
the hyperbox, of the edges at :math:`x_0` of an obtuse simplex, and of the gaps on a line is one.

**Sums.** On an obtuse simplex :math:`h(y) = y` holds at the sum over :math:`I` if and only if

.. math:: \sum_{m \in I,\, m \ne n} \lvert u_n^\top (x_m - x_0) \rvert \le \rho
          \quad\text{for all } n \in I,

because :math:`z_n = L_n - \sum_{m \in I, m \ne n} \lvert u_n^\top (x_m - x_0) \rvert` must not
fall below the top :math:`L_n - \rho` of its ramp, and :math:`z_n \le 0` for :math:`n \notin I`
anyway. The sum is stable if and only if all these inequalities are strict: at equality a move off
the top of that ramp grows. Training points, :math:`\lvert I \rvert \le 1`, are always stable.

**Any denoiser.** A sum :math:`p = \sum_{n \in I} x_n` is **stable** here if the score flow started
at p is still there when it has come to rest: :math:`\lVert y(r) - p \rVert \le 0.2` at :math:`r =
40` (twice as long changes next to no verdict, as the chapter shows). For a trained network no sum
is an exact fixed point, so a threshold is unavoidable; what is not is to *iterate*. The laxer
reading :math:`\lVert h(p) - p \rVert \le 0.2`, one application of the denoiser, is met by nearly
every sum, since h moves a point a little at a time.

References
----------
Zeno et al., *When Diffusion Models Memorize*, ICML 2025, arXiv:2506.19031 (the stable points for
obtuse simplices and the equilateral triangle). Criterion and proof are this project's.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from memnb.streams import stream
from memnb.validation import check_integer, check_numbers, check_real

from .denoisers import RampDenoiser
from .geometry import TrainingSet, check_subset, check_training_set
from .stepped import score_flow_stepped

__all__ = [
    "StationaryPoints",
    "function_distance",
    "stationary_points",
    "subsets",
    "sum_drift",
    "sum_margin",
]

DURATION, STEP = 40.0, 0.25
MAX_RAMPS = 10


@dataclass(frozen=True, eq=False)
class StationaryPoints:
    """All isolated stationary points of a sum of ramps.

    Parameters
    ----------
    points : Tensor, shape (M, d)
        The points.
    pieces : Tensor of int64, shape (M, K)
        For each ramp: 0 flat at the foot, 1 active, 2 flat at the top.
    growth : Tensor, shape (M,)
        Largest eigenvalue of the Jacobian of :math:`h(y) - y`; of the pieces that meet in a point
        on a kink, the largest counts.
    """

    points: torch.Tensor
    pieces: torch.Tensor
    growth: torch.Tensor

    @property
    def stable(self) -> torch.Tensor:
        """Whether each point attracts all points near it, bool of shape (M,)."""
        return self.growth < 0


def sum_margin(on: Any, training_set: TrainingSet) -> torch.Tensor:
    r"""The least radius :math:`\rho` at which a sum over an obtuse simplex is stationary.

    .. math:: \max_{n \in I} \sum_{m \in I,\, m \ne n} \lvert u_n^\top (x_m - x_0) \rvert

    The sum is stationary if this is at most :math:`\rho`, and stable if it is below. It is 0 for
    training points.

    Parameters
    ----------
    on : Tensor, array or nested sequence of bool or of 0 and 1, shape (..., K)
        Which of :math:`x_1, \dots, x_K` the sum contains (the set :math:`I`).
    training_set : TrainingSet
        Obtuse simplex or orthogonal data.

    Returns
    -------
    Tensor, shape (...)

    Raises
    ------
    TypeError
        If ``training_set`` is none.
    ValueError
        If two edges are at an acute angle or the ramps do not start at :math:`x_0`, or ``on`` has
        another shape.

    Examples
    --------
    >>> from .simplex import obtuse_simplex
    >>> pair = torch.tensor([[True, True], [True, False]])
    >>> sum_margin(pair, obtuse_simplex(3, 2, [1.0, 1.2], angle=120))
    tensor([0.6000, 0.0000], dtype=torch.float64)
    """
    s = check_training_set(training_set)
    off = s.cosines().fill_diagonal_(0)
    if (off > 0).any() or (s.low != 0).any() or (s.high != s.lengths).any():
        raise ValueError(f"training_set must be an obtuse simplex, got kind {s.kind!r}")
    on = check_subset(on, s).double()
    return (on * (on @ (off.abs() * s.lengths).mT)).amax(dim=-1).to(s.lengths)


def stationary_points(denoiser: RampDenoiser) -> StationaryPoints:
    r"""Find every isolated stationary point by solving a linear system on each piece.

    Parameters
    ----------
    denoiser : RampDenoiser
        A sum of at most 10 ramps, with :math:`\rho > 0`.

    Returns
    -------
    StationaryPoints

    Raises
    ------
    TypeError
        If it is no sum of ramps.
    ValueError
        If there are more than 10 ramps (:math:`3^{10} = 59049` pieces), or :math:`\rho = 0`, where
        stationary points fill whole edges or boxes.

    Examples
    --------
    >>> from .data import orthogonal_set
    >>> found = stationary_points(RampDenoiser(orthogonal_set(3, 2), 0.1))
    >>> len(found.points), int(found.stable.sum())
    (9, 4)
    """
    if not isinstance(denoiser, RampDenoiser):
        raise TypeError(f"denoiser must be a RampDenoiser, got {type(denoiser).__name__}")
    dtype = denoiser.training_set.points.dtype
    s = denoiser.training_set
    if s.n_ramps > MAX_RAMPS:
        raise ValueError(f"denoiser must have at most {MAX_RAMPS} ramps, got {s.n_ramps}")
    if denoiser.rho == 0:
        raise ValueError(
            "denoiser must have rho > 0, got 0: its stationary points are not isolated there"
        )
    # In float64 whatever the dtype; only the last rounding is that of the data.
    gram = s.cosines()
    lengths, low_end, high_end = (x.double() for x in (s.lengths, s.low, s.high))
    start, stop = low_end + denoiser.rho, high_end - denoiser.rho
    eye = torch.eye(s.n_ramps).to(gram)
    pieces = torch.tensor(list(itertools.product(range(3), repeat=s.n_ramps)))
    pieces = pieces.to(gram.device)
    slope = (pieces == 1) * lengths / (stop - start)
    constant = (pieces == 2) * lengths - slope * start
    system = eye - gram * slope[:, None, :]
    z, info = torch.linalg.solve_ex(system, (constant @ gram)[..., None])
    z = z.squeeze(-1)
    slack = max(1e-10, 64 * torch.finfo(dtype).eps) * float((high_end - low_end).max())
    low = torch.where(pieces == 1, start, stop).masked_fill(pieces == 0, -torch.inf)
    high = torch.where(pieces == 1, stop, start).masked_fill(pieces == 2, torch.inf)
    inside = ((z >= low - slack) & (z <= high + slack)).all(dim=-1)
    inside &= (info == 0) & z.isfinite().all(dim=-1)
    z, pieces, slope, constant = z[inside], pieces[inside], slope[inside], constant[inside]
    root = slope.sqrt()
    growth = torch.linalg.eigvalsh(root[:, :, None] * gram * root[:, None, :])[:, -1] - 1

    offset = (slope * z + constant) @ s.directions.double()
    # The default of cdist, by matrix products, would round distances to 1e-8.
    exact = "donot_use_mm_for_euclid_dist"
    same = torch.cdist(offset, offset, compute_mode=exact) <= 10 * slack
    growth = torch.where(same, growth, -torch.inf).amax(dim=1)
    first = ~same.tril(-1).any(dim=1)
    points = (s.center.double() + offset[first]).to(dtype)
    return StationaryPoints(points, pieces[first], growth[first].to(dtype))


def subsets(n_ramps: int, order: int, limit: int | None = None, seed: int = 0) -> torch.Tensor:
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

    Raises
    ------
    TypeError, ValueError
        If a number is not an integer of its range.

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
        generator = stream(seed, "subsets")
        members = members[torch.randperm(len(members), generator=generator)[:limit]]
    return torch.zeros(len(members), n_ramps, dtype=torch.bool).scatter_(1, members, True)


def sum_drift(
    denoiser: Callable[[torch.Tensor], torch.Tensor],
    training_set: TrainingSet,
    on: torch.Tensor,
    duration: float = DURATION,
    chunk: int = 4096,
) -> torch.Tensor:
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

    Raises
    ------
    TypeError, ValueError
        If an argument is not of its kind or out of its range.
    """
    check_training_set(training_set)
    on = check_numbers("on", on)
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


def function_distance(
    denoiser: Callable[[torch.Tensor], torch.Tensor],
    reference: Callable[[torch.Tensor], torch.Tensor],
    training_set: TrainingSet,
    n: int = 500,
    seed: int = 0,
) -> dict[str, float]:
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

    Raises
    ------
    TypeError, ValueError
        If an argument is not of its kind or out of its range, or the data are not orthogonal.
    """
    check_integer("n", n, 1)
    if not check_training_set(training_set).is_orthogonal:
        raise ValueError(f"training_set must be orthogonal data, got kind {training_set.kind!r}")
    generator = stream(seed, "query points")
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
