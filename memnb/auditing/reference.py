r"""Chapter 7: what the measures need to know of points, from the training and the held-out set.

A :class:`Reference` is built once from the two sets; :meth:`Reference.look_at` then gives the
:class:`Features` of any points. Features of several sets can be joined, so that a generator that
mixes copies and new points in any share needs each of its parts to be looked at only once.
"""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from memnb.streams import numpy_stream

from .neighbors import Base
from .rows import chunks

__all__ = ["IN_CELL", "Features", "Reference"]

IN_CELL = 20  # points of either set that a cell of C_T needs
MAX_CELLS = 20
TIE = 1e-9  # relative difference up to which two distances are equal


@dataclass(frozen=True, eq=False)
class Features:
    r"""What the measures need to know of m points.

    Parameters
    ----------
    index : ndarray of int64, shape (m,)
        The nearest training point.
    d1, ratio : ndarray of float64, shape (m,)
        The distance to it, and :math:`d_1 / d_2` with the nearest point distinct from it.
    own : ndarray of float64, shape (m,)
        Distance of that training point to its own nearest neighbor in the training set.
    cell : ndarray of int64, shape (m,)
        The cell of the data space.
    pooled : ndarray of int64, shape (m,)
        The nearest of as many training as held-out points; the first ``Reference.pool_size`` are
        training points.
    """

    index: np.ndarray
    d1: np.ndarray
    ratio: np.ndarray
    own: np.ndarray
    cell: np.ndarray
    pooled: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: np.ndarray | slice) -> "Features":
        """The features of some of the points."""
        return Features(*(getattr(self, f.name)[rows] for f in fields(self)))

    def joined(self, other: "Features") -> "Features":
        """The features of both sets of points, these first."""
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Features(*(np.concatenate(pair) for pair in pairs))


class Reference:
    """A training and a held-out set, prepared for looking at points.

    Parameters
    ----------
    training, held_out : ndarray, shape (n, d), (h, d)
        As rows, finite.
    seed : int
        Seed of the cells, and of the part of the larger set that "nearer to training" uses.
    device, progress
        Of :class:`memnb.auditing.neighbors.Base`.

    Attributes
    ----------
    n_training, pool_size : int
        Number of distinct training points, and how many points of each set "nearer to training"
        uses.
    base, held_out : Base
        The distinct training and held-out points.
    """

    def __init__(
        self,
        training: np.ndarray,
        held_out: np.ndarray,
        *,
        seed: int = 0,
        device: str = "cpu",
        progress: bool = False,
    ):
        self.seed = seed
        self._search = {"seed": seed, "device": device, "progress": progress}
        self._training, self._held_out = training, held_out
        self.base = Base(training, **self._search)
        self.held_out = Base(held_out, name="held_out", **self._search)
        self.n_training = len(self.base)
        self.pool_size = min(len(self.base), len(self.held_out))
        self._spacing: dict[int, float] = {}

    @cached_property
    def _pool(self) -> tuple[Base, Base]:
        """As many training as held-out points, those of the larger set drawn at random."""
        random = numpy_stream(self.seed, "audit equal size")
        bases = []
        for base in (self.base, self.held_out):
            if len(base) > self.pool_size:
                rows = np.sort(random.permutation(len(base))[: self.pool_size])
                base = Base(base.points[rows], **self._search)
            bases.append(base)
        return tuple(bases)

    def _pooled(self, points: np.ndarray, index: np.ndarray, d1: np.ndarray) -> np.ndarray:
        """The nearest point of the pool; ``index`` and ``d1`` are the nearest training point.

        A coin decides between a training and a held-out point that are equally near.
        """
        training, held_out = self._pool
        if training is not self.base:
            index, d1 = (x[:, 0] for x in training.nearest(points, 1))
        other, d = (x[:, 0] for x in held_out.nearest(points, 1))
        coin = numpy_stream(self.seed, "audit ties").random(len(d)) < 0.5
        tied = np.abs(d1 - d) <= TIE * d
        return np.where(np.where(tied, coin, d1 < d), index, self.pool_size + other)

    @cached_property
    def _cells(self) -> MiniBatchKMeans:
        count = max(1, min(MAX_CELLS, len(self._held_out) // (4 * IN_CELL)))
        random = numpy_stream(self.seed, "audit cells")
        means = MiniBatchKMeans(count, random_state=int(random.integers(2**31)), n_init=3)
        return means.fit(self._training)

    @property
    def n_cells(self) -> int:
        """Number of cells of the data space."""
        return self._cells.n_clusters

    def _own(self, index: np.ndarray) -> np.ndarray:
        """Spacing of training points, each computed once."""
        new = np.setdiff1d(np.unique(index), np.fromiter(self._spacing, np.int64))
        if len(new):
            self._spacing |= dict(zip(new.tolist(), self.base.spacing(new).tolist(), strict=True))
        return np.array([self._spacing[i] for i in index.tolist()])

    def look_at(self, points: np.ndarray, *, pooled: bool = True) -> Features:
        """The features of points.

        Parameters
        ----------
        points : ndarray, shape (m, d)
        pooled : bool
            Seek the nearest point of the pool too. Held-out points do not need it, since they are
            in the pool themselves; ``Features.pooled`` is -1 then.

        Returns
        -------
        Features
        """
        index, d1, d2 = self.base.two_distinct(points)
        dtype = self._training.dtype
        cells = [self._cells.predict(points[part].astype(dtype)) for part in chunks(points)]
        return Features(
            index=index,
            d1=d1,
            ratio=np.divide(d1, d2, out=np.zeros(len(d1)), where=d2 > 0),
            own=self._own(index),
            cell=np.concatenate(cells).astype(np.int64),
            pooled=self._pooled(points, index, d1) if pooled else np.full(len(index), -1),
        )
