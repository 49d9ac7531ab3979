r"""Chapter 7: the measure of copies, its test, and the smallest share that the test finds.

With T the training set, G what was generated and H held-out points, the measure is the share of
points x for which :math:`d_1 / d_2 < \theta`, where :math:`d_1` and :math:`d_2` are the distances
to the nearest training point and to the nearest one distinct from it (Yoon et al. 2023, Gu et al.
2023). The share of H is the rate of false alarms. For points that have nothing to do with T it is
about :math:`\theta^k` in k (intrinsic) dimensions, whatever their density.

**The test.** Generated points with the same nearest training point are not independent evidence: a
model that makes one new point over and over makes one false alarm over and over. Nor can one count
the training points that are copied *at least once*, since they grow with the number of generated
points per training point. So one point is drawn at random for each nearest training point, of G and
of H alike, and Fisher's exact test compares how many of the points drawn are copies. Whatever a
training point has around it, copied or not, then counts once, and in a small cell around it the
ratio has the same law for all densities that are smooth there.

References
----------
Yoon et al., *Diffusion Probabilistic Models Generalize when They Fail to Memorize*, ICML 2023
workshop. Gu et al., *On Memorization in Diffusion Models*, 2023, arXiv:2310.02664. The test is this
project's.
"""

import numpy as np
from scipy.stats import beta

from memnb.stats import more_often, wilson
from memnb.streams import numpy_stream

from .measure import Measure
from .reference import Features

__all__ = ["THRESHOLDS", "copies", "representatives", "smallest_share"]

THRESHOLDS = np.round(np.linspace(0.02, 1.0, 50), 2)


def representatives(points: Features, seed: int, name: str) -> Features:
    """One of the points for each nearest training point, drawn at random.

    Parameters
    ----------
    points : Features
    seed : int
    name : str
        Name of the set, for its random numbers.

    Returns
    -------
    Features
        As many as there are nearest training points.
    """
    order = numpy_stream(seed, f"audit representatives of {name}").permutation(len(points))
    first = np.unique(points.index[order], return_index=True)[1]
    return points.take(order[first])


def _shares(ratio: np.ndarray) -> np.ndarray:
    """Share of the ratios below each threshold."""
    return np.searchsorted(np.sort(ratio), THRESHOLDS, side="left") / len(ratio)


def copies(generated: Features, held_out: Features, threshold: float, seed: int = 0) -> Measure:
    r"""Share of points with :math:`d_1 / d_2` below a threshold.

    Parameters
    ----------
    generated, held_out : Features
    threshold : float
        In (0, 1].
    seed : int
        Seed of the draw of one point for each nearest training point.

    Returns
    -------
    Measure
        Its ``copied`` is :math:`(g - h) / (1 - h)` with the two shares g and h, at least 0.
    """
    (g, g_error), (h, h_error) = (
        wilson(int((points.ratio < threshold).sum()), len(points))
        for points in (generated, held_out)
    )
    drawn = [
        representatives(points, seed, name)
        for name, points in (("generated", generated), ("held_out", held_out))
    ]
    counts = [(int((points.ratio < threshold).sum()), len(points)) for points in drawn]
    return Measure(
        name="copies",
        title=f"copies: d1/d2 < {threshold:.2g}",
        value=g,
        error=g_error,
        null=h,
        null_error=h_error,
        p=more_often(*counts[0], *counts[1]),
        copied=max(0.0, (g - h) / (1 - h)) if h < 1 else np.nan,
        sees="points that sit on one training point, much closer to it than to any other",
        blind="copies of several points, and copies blurred by more than a fraction of the "
        "distance between training points; in few dimensions new points fall below the threshold "
        "too",
        note="of one generated point drawn for each nearest training point {} of {} are copies, "
        "of one held-out point {} of {}".format(*counts[0], *counts[1]),
        curve={
            "threshold": THRESHOLDS.tolist(),
            "generated": _shares(generated.ratio).tolist(),
            "held_out": _shares(held_out.ratio).tolist(),
        },
    )


def smallest_share(m: int, null: float, h: int, level: float, power: float) -> float:
    """The smallest share of exact copies that the test of :func:`copies` would find.

    It is the share among the points drawn, one for each nearest training point. If the copies are
    spread over the training set, it is the share among all generated points or more: copies of
    points near which nothing else is generated add to the points drawn. If they are copies of a few
    points over and over, the test does not see them, at any share.

    Parameters
    ----------
    m, h : int
        Number of nearest training points of generated and of held-out points.
    null : float
        Share of the latter that are copied.
    level, power : float
        Level of the test and the probability of finding the share.

    Returns
    -------
    float
        1 if no share is found.
    """
    by_chance = round(null * h)
    low, high = 0, m + 1  # counts of copied points that are not and that are significant
    while high - low > 1:
        middle = (low + high) // 2
        if more_often(middle, m, by_chance, h) < level:
            high = middle
        else:
            low = middle
    if high > m:
        return 1.0
    # The share of copied nearest points at which ``high`` of them are exceeded with this power
    needed = float(beta.ppf(power, high, m - high + 1))
    return max(0.0, (needed - null) / (1 - null))
