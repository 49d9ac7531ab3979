r"""Chapter 7: nearest neighbors among many points, exactly and in blocks.

The search is exact: a metric that is to be calibrated must not depend on the recall of an
approximate index. On the CPU it is scikit-learn's blocked search, which holds one block of
distances at a time and never the whole matrix; on a GPU a block of distances is one matrix product.
Both expand :math:`\lVert q - x \rVert^2` into a product, which cancels where q is close to x
compared with its distance from the origin: just where copies are. So both search around the mean of
the base and expand in float64, and the distances of the neighbors found are computed again from the
differences.

Faiss would take about half the time on a CPU, in float32; in tight groups of points, such as copies
and near-duplicates form, it then finds the wrong neighbors (``python -m benchmarks.audit`` counts
them). Scikit-learn converts block by block to float64.

**Memory.** Beside the points as they came, which may be mapped files, a base holds them once more,
centered. Everything else is done for :data:`QUERY_BLOCK` points at a time.

**Duplicates.** If a training point occurs twice, its copies have two nearest neighbors at the same
distance, and a ratio :math:`d_1 / d_2` calls them new. :class:`Base` therefore keeps each point
once, and the second neighbor is the nearest one that is *distinct* from the first: farther from it
than a tenth of the median distance of training points to their nearest neighbors.

References
----------
Pedregosa et al., *Scikit-learn: machine learning in Python*, JMLR 12 (2011).
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from tqdm.auto import tqdm

from memnb.streams import numpy_stream
from memnb.validation import check_device

from .rows import chunks, row_keys

__all__ = ["DISTINCT_SHARE", "Base", "distances"]

DISTINCT_SHARE = 0.1  # of the median distance to the nearest neighbor
N_SPACING = 2000  # points from which that median is taken
FIRST_TRY = 4  # neighbors among which a distinct second one is sought at first
QUERY_BLOCK = 1000
DEVICE_BLOCK = 2**27  # numbers in a block of points or distances on a GPU, 1 GiB in float64


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    r"""Distances :math:`\lVert a_i - b_i \rVert` of rows, in float64.

    Parameters
    ----------
    a, b : ndarray, shape (n, d)

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    parts = [
        np.linalg.norm(a[part].astype(np.float64) - b[part].astype(np.float64), axis=1)
        for part in chunks(a)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


class Base:
    """The points among which neighbors are sought, each kept once.

    Parameters
    ----------
    points : ndarray, shape (n, d)
        Finite; may be a memory map.
    name : str
        Name of the set, for messages.
    seed : int
        Seed of the sample of points from which the typical spacing is taken.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"cuda:0"``.
    progress : bool
        Show a progress bar for each search.

    Attributes
    ----------
    rows : ndarray of int64, shape (m,)
        Which of the points are kept: the first of each group of equal ones.
    n_duplicates : int
        How many points are left out because they equal an earlier one.

    Raises
    ------
    ValueError
        If fewer than two distinct points are left, or there is no such device.
    """

    def __init__(
        self,
        points: np.ndarray,
        *,
        name: str = "training",
        seed: int = 0,
        device: str = "cpu",
        progress: bool = False,
    ):
        self.device = check_device("device", device)
        self.progress = progress
        self.rows = np.sort(np.unique(row_keys(points), return_index=True)[1])
        self.n_duplicates = len(points) - len(self.rows)
        if len(self.rows) < 2:
            raise ValueError(
                f"{name} must have at least two distinct points, got {len(self.rows)} "
                f"({self.n_duplicates} duplicates)"
            )
        self.points = points[self.rows] if self.n_duplicates else points
        self.center = np.mean([points[p].mean(axis=0, dtype=np.float64) for p in chunks(points)], 0)
        self.seed = seed
        self._searcher = None

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def distinct(self) -> float:
        """The distance beyond which two points count as distinct.

        A tenth of the median distance of a sample of points to their nearest neighbors.
        """
        sample = np.arange(len(self))
        if len(self) > N_SPACING:
            sample = numpy_stream(self.seed, "audit spacing").choice(
                len(self), N_SPACING, replace=False
            )
        spacing = float(np.median(self.spacing(np.sort(sample))))
        if spacing == 0:
            raise ValueError(
                "training must have points farther apart than 1e-160, since smaller squares vanish"
            )
        return DISTINCT_SHARE * spacing

    def spacing(self, rows: np.ndarray) -> np.ndarray:
        """Distance of points of the base to the nearest *other* point of the base.

        Parameters
        ----------
        rows : ndarray of int64, shape (r,)
            Which points, as indices into ``self.points``.

        Returns
        -------
        ndarray of float64, shape (r,)
        """

        def of(part):
            index, d = self._block(self.points[rows[part]], 2)
            return (np.where(index[:, 0] == rows[part], d[:, 1], d[:, 0]),)

        return self._in_blocks(len(rows), of)[0]

    def nearest(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest points of the base.

        Parameters
        ----------
        queries : ndarray, shape (m, d)
        k : int
            At most the number of points.

        Returns
        -------
        index : ndarray of int64, shape (m, k)
            Into ``self.points``.
        d : ndarray of float64, shape (m, k)
            Distances, increasing, accurate also where they are tiny.
        """
        return self._in_blocks(len(queries), lambda part: self._block(queries[part], k))

    def _in_blocks(
        self, count: int, look: Callable[[slice], tuple[np.ndarray, ...]]
    ) -> tuple[np.ndarray, ...]:
        """What ``look`` returns for each block of points, joined."""
        blocks = range(0, count, QUERY_BLOCK)
        bar = tqdm(blocks, desc="neighbors", unit="block", disable=not self.progress, leave=False)
        parts = [look(slice(first, first + QUERY_BLOCK)) for first in bar]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def _block(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        extra = min(k + 2, len(self))  # near ties may be in the wrong order before the second look
        search = self._search_cpu if self.device == "cpu" else self._search_device
        index = search(self._centered(queries), extra)
        d = self._to_each(queries, index)
        order = np.lexsort((index, d), axis=1)[:, :k]
        return np.take_along_axis(index, order, 1), np.take_along_axis(d, order, 1)

    def _to_each(self, points: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Distances of m points to k points of the base each, (m, k), a column at a time."""
        return np.stack([distances(points, self.points[column]) for column in index.T], axis=1)

    def _centered(self, points: np.ndarray) -> np.ndarray:
        """Points of the base or queries around the mean, which is rounded alike for both."""
        dtype = self.points.dtype
        return points.astype(dtype, copy=False) - self.center.astype(dtype)

    def _search_cpu(self, centered: np.ndarray, k: int) -> np.ndarray:
        if self._searcher is None:
            self._searcher = NearestNeighbors(algorithm="brute").fit(self._centered(self.points))
        return self._searcher.kneighbors(centered, k, return_distance=False)

    def _search_device(self, centered: np.ndarray, k: int) -> np.ndarray:
        """As :meth:`_search_cpu`, by torch: blocks of the base, each expanded in float64."""
        if self._searcher is None:
            self._searcher = torch.from_numpy(self._centered(self.points)).to(self.device)
        base = self._searcher
        query = torch.from_numpy(centered).to(self.device).double()
        size = max(1, DEVICE_BLOCK // max(*query.shape, 1))
        values = query.new_empty(len(query), 0)
        index = torch.empty(len(query), 0, dtype=torch.long, device=self.device)
        for first in range(0, len(base), size):
            block = base[first : first + size].double()
            # The square of the query itself is missing, which is the same for all points
            squares = torch.addmm(block.square().sum(dim=1), query, block.mT, alpha=-2)
            some, at = squares.topk(min(k, len(block)), largest=False)
            values, index = torch.cat([values, some], 1), torch.cat([index, at + first], 1)
            values, order = values.topk(min(k, values.shape[1]), largest=False)
            index = index.gather(1, order)
        return index.cpu().numpy()

    def two_distinct(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        r"""The nearest point, and the distances to it and to the nearest one distinct from it.

        Parameters
        ----------
        queries : ndarray, shape (m, d)

        Returns
        -------
        index : ndarray of int64, shape (m,)
            The nearest point, into ``self.points``.
        d1, d2 : ndarray of float64, shape (m,)
            :math:`d_2` is infinite where all points are within ``distinct`` of the nearest one.
        """
        return self._in_blocks(len(queries), lambda part: self._two_distinct(queries[part]))

    def _two_distinct(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As :meth:`two_distinct`, for one block."""
        index = np.empty(len(queries), dtype=np.int64)
        d1, d2 = np.empty(len(queries)), np.full(len(queries), np.inf)
        left, k = np.arange(len(queries)), min(FIRST_TRY, len(self))
        while len(left):
            near, d = self._block(queries[left], k)
            index[left], d1[left] = near[:, 0], d[:, 0]
            apart = self._to_each(self.points[near[:, 0]], near) > self.distinct
            d2[left] = np.where(apart, d, np.inf).min(axis=1)
            if k == len(self):
                break
            left, k = left[~apart.any(axis=1)], min(4 * k, len(self))
        return index, d1, d2
