r"""Chapter 7: measures of memorization, each beside what it says of held-out points.

With T the training set, G what was generated and H held-out points, and :math:`d(x, A)` the
distance of x to the nearest point of A:

**Copies.** See :mod:`memnb.auditing.copying`.

**Nearer to training.** The share of G that is nearer to T than to H, both cut to the same size. A
generator that has not seen T more than H is as often nearer to either, whatever else is wrong with
it: the null is 1/2. A copy of a training point that is in the cut set is always nearer to T, so a
share c of copies gives :math:`P = \tfrac12 + \tfrac{c}{2} \tfrac{|T_\text{cut}|}{|T|}`. The nearest
point of :math:`T \cup H` decides, so that all generated points with the same nearest point decide
alike. If :math:`w_i` of the m generated points have point i of the 2 s points as their nearest,
exchanging the labels of T and H at random moves P around 1/2 with the standard deviation
:math:`\tfrac1m \sqrt{\tfrac s2}\, S_w`, where :math:`S_w` is the sample standard deviation of the
weights. This is the error here; it exceeds the binomial one, :math:`1/(2\sqrt m)`, if m is large
compared with s or a few points are nearest to many. Where a training and a held-out point are
equally near, as happens in discrete data, a coin decides: both are as likely to be the nearer one
after the labels are exchanged.

**C_T.** In cells of the data space, do the distances to T of generated points lie below those of
held-out points? The statistic is the Mann-Whitney z-score, averaged over the cells with the share
of H in each as weights :math:`w_c` (Meehan et al. 2020). The z-scores of a perfect generator have
the standard deviation 1, so that of :math:`C_T` is :math:`\sqrt{\sum_c w_c^2}`. Below -3 stands for
copying, above 3 for underfitting. Unlike the authors' program, which takes the distances to the
training points of the same cell, this one takes those to all of T, and only cells with 20 points of
both sets.

**Authenticity.** The share of points that are farther from their nearest training point than that
one is from its own nearest neighbor in T (Alaa et al. 2022). Of a perfect generator this share is
*not* 1 or 1/2, but that of H.

**P(Δ > 0).** This book's measure, see :mod:`memnb.auditing.densities`.

References
----------
Meehan, Chaudhuri, Dasgupta, *A Three Sample Hypothesis Test for Evaluating Generative Models*,
AISTATS 2020, arXiv:2004.05675. Alaa, van Breugel, Saveliev, van der Schaar, *How Faithful is your
Synthetic Data?*, ICML 2022, arXiv:2102.08921. The error of "nearer to training" is this project's.
"""

import numpy as np
from scipy.stats import binomtest, norm

from memnb.stats import fraction_error, more_often
from memnb.streams import numpy_stream

from .measure import Measure
from .reference import IN_CELL, Features

__all__ = ["authenticity", "cell_test", "nearer_to_training", "z_score"]


def nearer_to_training(generated: Features, pool_size: int, n_training: int) -> Measure:
    """Share of generated points whose nearest point is a training and not a held-out point.

    Parameters
    ----------
    generated : Features
    pool_size, n_training : int
        Points of each set among which the nearest was sought, and number of training points.

    Returns
    -------
    Measure
        ``value`` lies in [0, 1], ``error`` is the one of exchanged labels, and ``note`` has the
        exact binomial 95 % interval.
    """
    m = len(generated)
    count = int((generated.pooled < pool_size).sum())
    weights = np.bincount(generated.pooled, minlength=2 * pool_size)
    # Exchanging labels keeps as many of one kind as of the other: the variance of a sample without
    # replacement, in which only differences of the weights count
    error = float(np.sqrt(pool_size / 2 * weights.var(ddof=1))) / m
    low, high = binomtest(count, m).proportion_ci(0.95, method="exact")
    return Measure(
        name="nearer",
        title="nearer to training than to held-out points",
        value=count / m,
        error=error,
        null=0.5,
        null_error=error,
        p=float(norm.sf((count / m - 0.5) / error)),
        copied=float(np.clip((2 * count / m - 1) * n_training / pool_size, 0, 1)),
        sees="any dependence on the training set, copies blurred by up to the distance between "
        "points included, whatever else is wrong with the generator",
        blind="a small share of copies, since its error falls only with the root of the number of "
        "points; and it does not say which points are copies",
        note=f"binomial 95 % interval {low:.3f} to {high:.3f}; {pool_size} points of each set",
    )


def z_score(held_out: np.ndarray, generated: np.ndarray) -> float:
    r"""Mann-Whitney z-score of distances: negative if those of generated points are smaller.

    .. math:: z &= \frac{U - nm/2}{\sqrt{nm(n + m + 1)/12}}, \\
              U &= \#\{(i, j): g_j > h_i\} + \tfrac12 \#\{(i, j): g_j = h_i\} .

    Parameters
    ----------
    held_out, generated : ndarray, shape (n,), (m,)

    Returns
    -------
    float

    References
    ----------
    arXiv:2004.05675, Section 3.
    """
    n, m = len(held_out), len(generated)
    ordered = np.sort(held_out)
    u = sum(np.searchsorted(ordered, generated, side).sum() for side in ("left", "right")) / 2
    return float((u - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12))


def _cell_average(generated: Features, held_out: Features, usable: np.ndarray) -> float:
    """Mean of the z-scores of usable cells, weighted by their share of held-out points."""
    total, weight = 0.0, 0
    for cell in usable:
        h = held_out.d1[held_out.cell == cell]
        g = generated.d1[generated.cell == cell]
        if len(g):
            total += len(h) * z_score(h, g)
            weight += len(h)
    return total / weight


def cell_test(
    generated: Features, held_out: Features, n_cells: int, seed: int, n_bootstrap: int = 200
) -> Measure:
    r"""The statistic C_T of Meehan et al. (2020), over cells from k-means of the training set.

    Parameters
    ----------
    generated, held_out : Features
    n_cells : int
        Number of cells.
    seed : int
        Seed of the bootstrap.
    n_bootstrap : int
        Number of its draws; 0 leaves the error out (nan).

    Returns
    -------
    Measure
        ``value`` is C_T, ``error`` from a bootstrap over generated points, ``null`` 0 with error
        :math:`\sqrt{\sum_c w_c^2}`. nan if no cell holds 20 points of both sets.
    """
    counts = [np.bincount(points.cell, minlength=n_cells) for points in (generated, held_out)]
    usable = np.flatnonzero(np.minimum(*counts) >= IN_CELL)
    value = error = np.nan
    spread = 1.0
    if len(usable):
        weights = counts[1][usable] / counts[1][usable].sum()
        spread = float(np.sqrt(np.square(weights).sum()))
        value = _cell_average(generated, held_out, usable)
        random, m = numpy_stream(seed, "audit bootstrap"), len(generated)
        draws = [
            _cell_average(generated.take(random.integers(m, size=m)), held_out, usable)
            for _ in range(n_bootstrap)
        ]
        error = float(np.std(draws)) if draws else np.nan
    return Measure(
        name="cells",
        title="C_T, distances to the training set in cells",
        value=value,
        error=error,
        null=0.0,
        null_error=spread,
        p=float(norm.cdf(value / spread)),
        copied=np.nan,
        sees="generated points that lie closer to the training set than new points do",
        blind="copying that is made up for by blur elsewhere; and it takes a generator that is too "
        "narrow for one that copies",
        note=f"{len(usable)} of {n_cells} cells hold {IN_CELL} points of both sets",
    )


def authenticity(generated: Features, held_out: Features) -> Measure:
    """Share of points that are authentic in the sense of Alaa et al. (2022).

    Parameters
    ----------
    generated, held_out : Features

    Returns
    -------
    Measure
        ``copied`` is :math:`1 - g / h` with the shares g and h of authentic points, at least 0.
    """
    authentic = [points.d1 > points.own for points in (generated, held_out)]
    g, h = (float(x.mean()) for x in authentic)
    (a, n), (b, m) = ((int((~x).sum()), len(x)) for x in authentic)
    return Measure(
        name="authenticity",
        title="authenticity",
        value=g,
        error=fraction_error(g, n),
        null=h,
        null_error=fraction_error(h, m),
        p=more_often(a, n, b, m),
        copied=max(0.0, 1 - g / h) if h > 0 else np.nan,
        sees="points closer to a training point than its neighbors are",
        blind="the difference between a copy and a point of a generator that is too narrow, which "
        "lies where training points are dense",
    )
