"""Chapter 7: points as rows: blocks of them, which are equal, and how fine their values are."""

import hashlib
from dataclasses import dataclass

import numpy as np

from memnb.stats import more_often

__all__ = ["CHUNK_BYTES", "Equal", "chunks", "equal_points", "row_keys", "step_of"]

CHUNK_BYTES = 64 * 2**20
N_STEP = 10_000, 64  # rows and columns from which the step of values is taken


def chunks(rows: np.ndarray) -> list[slice]:
    """Slices of rows of at most ``CHUNK_BYTES`` in float64."""
    size = max(1, CHUNK_BYTES // (8 * rows.shape[1]))
    return [slice(first, first + size) for first in range(0, len(rows), size)]


def row_keys(rows: np.ndarray, dtype: np.dtype | None = None) -> np.ndarray:
    """A 64-bit hash of each row in hexadecimal, equal for equal rows (0.0 and -0.0 are equal).

    Parameters
    ----------
    rows : ndarray, shape (n, d)
    dtype : dtype, optional
        Round to it first.

    Returns
    -------
    ndarray of bytes, shape (n,)
    """
    keys = np.empty(len(rows), dtype="S16")
    for part in chunks(rows):
        with np.errstate(over="ignore"):  # beyond a narrow dtype all are infinite
            block = np.ascontiguousarray(rows[part].astype(dtype or rows.dtype) + 0.0)
        keys[part] = [hashlib.blake2b(row.tobytes(), digest_size=8).hexdigest() for row in block]
    return keys


def step_of(rows: np.ndarray) -> float:
    """The smallest difference of two values in a column, of a part of the rows and columns."""
    rows = rows[: N_STEP[0], : N_STEP[1]]
    steps = [np.diff(np.unique(column)).min(initial=np.inf) for column in np.asarray(rows).T]
    return float(min(steps))


@dataclass(frozen=True)
class Equal:
    """How many points are equal to training points.

    Parameters
    ----------
    generated, n_generated : int
        Generated points that are equal to a training point, and all of them.
    training : int
        Distinct training points that they are equal to.
    held_out, n_held_out : int
        Held-out points that are equal to a training point, and all that were given.
    held_out_distinct : int
        Those that are equal to a training point, each counted once.
    in_training, n_training : int
        Training points that are equal to another one, two for each such point, and all of them.
    step : float
        The smallest difference of two values in a column.
    level : float
        Level of the tests.
    """

    generated: int
    n_generated: int
    training: int
    held_out: int
    n_held_out: int
    held_out_distinct: int
    in_training: int
    n_training: int
    step: float
    level: float

    @property
    def left_out(self) -> bool:
        """Whether held-out points are training points more often than chance makes them.

        If the values are few, points coincide by chance, and then training points do so among
        themselves as often. A point that was put in many times counts once here.
        """
        p = more_often(self.held_out_distinct, self.n_held_out, self.in_training, self.n_training)
        return p < self.level

    @property
    def kept_share(self) -> float:
        """Share of held-out points that are equal to training points by chance."""
        return 0.0 if self.left_out else self.held_out / self.n_held_out

    @property
    def generated_more(self) -> bool:
        """Whether generated points are training points more often than held-out ones."""
        p = more_often(self.generated, self.n_generated, self.held_out, self.n_held_out)
        return p < self.level

    @property
    def by_number(self) -> bool:
        """Whether they are too many for chance, none of the held-out points being equal to one."""
        p = more_often(self.generated, self.n_generated, self.in_training, self.n_training)
        return not self.held_out and self.generated_more and p < self.level


def equal_points(
    training: np.ndarray,
    generated: np.ndarray,
    held_out: np.ndarray,
    dtype: np.dtype,
    level: float,
) -> tuple[Equal, np.ndarray]:
    """Count the points that are equal to training points.

    Parameters
    ----------
    training, generated, held_out : ndarray, shape (n, d), (m, d), (h, d)
    dtype : dtype
        The narrowest dtype in which a set was given: in a wider one its points are rounded.
    level : float
        Level of the tests.

    Returns
    -------
    equal : Equal
    held_out : ndarray of bool, shape (h,)
        Which held-out points are.
    """
    seen, times = np.unique(row_keys(training, dtype), return_counts=True)
    of_generated, of_held_out = row_keys(generated, dtype), row_keys(held_out, dtype)
    is_copy, is_held_out = np.isin(of_generated, seen), np.isin(of_held_out, seen)
    equal = Equal(
        generated=int(is_copy.sum()),
        n_generated=len(generated),
        training=len(np.unique(of_generated[is_copy])),
        held_out=int(is_held_out.sum()),
        n_held_out=len(held_out),
        held_out_distinct=len(np.unique(of_held_out[is_held_out])),
        in_training=min(2 * int((times > 1).sum()), len(training)),
        n_training=len(training),
        step=step_of(training),
        level=level,
    )
    return equal, is_held_out
