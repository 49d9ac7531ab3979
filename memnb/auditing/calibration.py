"""Chapter 7: the measures on generators whose share of copies is known.

A generator here mixes copies of training points with other points, in any share. The copies are
exact or blurred; the others are new points of the right law, or drawn too wide, too narrow, or a
few new points over and over. Copies and others are looked at once, and every mixture is put
together from their features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from memnb.validation import check_choice, check_integer, check_real

from .generators import blurred_copies, gaussian_sets
from .measure import Measure
from .neighbors import DISTINCT_SHARE
from .reference import Features, Reference
from .runs import measures_of

__all__ = [
    "OTHERS",
    "SHARES",
    "Mixtures",
    "measured_shares",
    "measured_values",
    "null_bands",
]

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
OTHERS = ("as the data", "too wide", "too narrow", "collapsed")
WIDTHS = {"as the data": 1.0, "too wide": 1.3, "too narrow": 0.7}
N_COLLAPSED = 20  # new points that a collapsed generator makes


@dataclass(frozen=True, eq=False)
class Mixtures:
    """Copies and other points around one training set, ready to be mixed.

    Parameters
    ----------
    reference : Reference
    held_out : Features
        Of the held-out points.
    copies, others : dict of Features
        By blur, and by kind; each of n points.
    seed : int
    """

    reference: Reference
    held_out: Features
    copies: dict[float, Features]
    others: dict[str, Features]
    seed: int

    def measures(self, share: float, blur: float, other: str) -> dict[str, Measure]:
        """All measures of a generator with a share of copies.

        Parameters
        ----------
        share : float
            In [0, 1].
        blur : float
            One of those that were prepared.
        other : str
            One of :data:`OTHERS`.

        Returns
        -------
        dict of str to Measure

        Raises
        ------
        ValueError
            If a value is not allowed.
        """
        share = check_real("share", share, 0, 1)
        check_choice("blur", blur, tuple(self.copies))
        check_choice("other", other, OTHERS)
        rest = self.others[other]
        count = round(share * len(rest))
        mixed = self.copies[blur].take(slice(count)).joined(rest.take(slice(count, None)))
        return measures_of(self.reference, mixed, self.held_out, self.seed)


@lru_cache(maxsize=8)
def mixtures(
    n: int, dim: int, blurs: tuple[float, ...] = (0.0, 0.5, 1.0), seed: int = 0
) -> Mixtures:
    """Mixtures around n training points from a Gaussian in d dimensions.

    Parameters
    ----------
    n, dim : int
        Number of training, held-out and generated points, at least 50, and dimension.
    blurs : tuple of float
        Blurs of the copies, in units of the median distance between neighboring training points.
    seed : int

    Returns
    -------
    Mixtures
    """
    check_integer("n", n, 50)
    training, held_out, new = gaussian_sets(n, dim, seed)
    reference = Reference(training, held_out, seed=seed)
    unit = reference.base.distinct / DISTINCT_SHARE
    sets = {kind: width * new for kind, width in WIDTHS.items()}
    sets["collapsed"] = new[np.arange(n) % N_COLLAPSED]
    return Mixtures(
        reference,
        reference.look_at(held_out, pooled=False),
        {b: reference.look_at(blurred_copies(training, n, b * unit, seed)) for b in blurs},
        {kind: reference.look_at(points) for kind, points in sets.items()},
        seed,
    )


def measured_shares(
    known: Mixtures, blur: float, other: str, shares: Sequence[float] = SHARES
) -> dict[str, np.ndarray]:
    """The share of copies that each measure stands for, against the true share.

    Parameters
    ----------
    known : Mixtures
    blur : float
    other : str
    shares : sequence of float
        True shares.

    Returns
    -------
    dict of str to ndarray
        ``copies``, ``nearer`` and ``authenticity``: shares in [0, 1]; ``cells``: C_T.
    """
    rows = [known.measures(share, blur, other) for share in shares]
    names = ("copies", "nearer", "authenticity")
    result = {name: np.array([row[name].copied for row in rows]) for name in names}
    result["cells"] = np.array([row["cells"].value for row in rows])
    return result


def measured_values(
    known: Mixtures, blur: float, other: str, shares: Sequence[float] = SHARES
) -> dict[str, np.ndarray]:
    """The value of each measure, in its own unit, against the true share of copies.

    Parameters
    ----------
    found, blur, other, shares
        As for :func:`measured_shares`.

    Returns
    -------
    dict of str to ndarray
        By name of the measure, one value for each share.
    """
    rows = [known.measures(share, blur, other) for share in shares]
    return {name: np.array([row[name].value for row in rows]) for name in rows[0]}


def null_bands(known: Mixtures) -> dict[str, tuple[float, float]]:
    """Where the values of a generator without copies lie: the null and two errors around it.

    Parameters
    ----------
    known : Mixtures

    Returns
    -------
    dict of str to tuple of float
        By name of the measure, the lowest and the highest value.
    """
    bands = {}
    for name, m in known.measures(0.0, 0.0, "as the data").items():
        # Two samples are compared, unless theory says what the null is
        error = m.null_error if name in ("nearer", "cells") else np.hypot(m.error, m.null_error)
        bands[name] = (m.null - 2 * float(error), m.null + 2 * float(error))
    return bands
