r"""Chapter 7: the book's criterion P(Δ > 0) for any three sets of points.

Chapters 5 and 6 compare densities: :math:`\Delta = E_{TG} - E_{OG}` is the squared distance of the
generated density from that of the training set, minus its squared distance from that of the
original points, here the held-out ones. All are sums of Gaussian kernels of one width
:math:`\epsilon`, so that

.. math:: \int \rho_A \rho_B &= \frac{1}{|A| |B|} \sum_{ij} \mathcal{N}(a_i - b_j \mid 0, 2
          \epsilon^2), \\
          \Delta &= \int \rho_T^2 - \int \rho_O^2 - 2 \int \rho_G \rho_T
          + 2 \int \rho_G \rho_O .

Each draw takes the same number m of points of each set, so the terms i = j of the first two
integrals are equal and are left out before subtracting. A generator that has seen neither set has
:math:`P(\Delta > 0) = \tfrac12`; one that copies has less. Two kinds of densities:

- **in few dimensions** (up to 16), of points, with :math:`\epsilon = \sigma m^{-1/d}` (chapter 5);
- **for images**, of each pixel on its own, with :math:`\epsilon = \sigma / m`, and
  :math:`\Delta` is the mean over pixels (chapter 6).

Columns are divided by their standard deviation in the training set for the first kind, and
:math:`\sigma` is the mean standard deviation of a pixel for the second.
"""

import numpy as np
from scipy.stats import norm

from memnb.stats import wilson
from memnb.streams import numpy_stream

from .inputs import Sets
from .measure import Measure
from .rows import chunks

__all__ = ["MAX_DIM", "delta_of_pixels", "delta_of_points", "density_criterion"]

MAX_DIM = 16
N_DRAWS, N_POINTS = 200, 25
AT_ONCE = 10  # draws whose differences of points are formed together; they stay in the cache


def delta_of_points(t: np.ndarray, o: np.ndarray, g: np.ndarray, width: float) -> np.ndarray:
    r"""Sign-preserving :math:`\Delta` of three sets of m points each in d dimensions.

    Parameters
    ----------
    t, o, g : ndarray, shape (..., m, d)
        Training, original and generated points, of one draw or of many.
    width : float
        Width :math:`\epsilon` of all kernels.

    Returns
    -------
    ndarray, shape (...)
        :math:`m^2 (4\pi\epsilon^2)^{d/2} \Delta` divided by its largest term, so that it neither
        overflows nor vanishes.
    """
    logs, signs = [], []
    off = ~np.eye(t.shape[-2], dtype=bool)
    for a, b, keep, sign in ((t, t, off, 1), (o, o, off, -1), (g, t, None, -2), (g, o, None, 2)):
        apart = a[..., :, None, :] - b[..., None, :, :]
        squares = np.square(apart, out=apart).sum(axis=-1)
        some = squares.reshape(*squares.shape[:-2], -1) if keep is None else squares[..., keep]
        logs.append(-some / (4 * width**2))
        signs.append(np.full(some.shape[-1], float(sign)))
    logs, signs = np.concatenate(logs, axis=-1), np.concatenate(signs)
    top = logs.max(axis=-1, keepdims=True)
    # The largest ones apart, which are whole numbers: so they cancel exactly where they do
    whole = np.where(logs == top, signs, 0.0).sum(axis=-1)
    rest = np.where(logs == top, 0.0, signs * np.exp(logs - top)).sum(axis=-1)
    return whole + rest


def delta_of_pixels(t: np.ndarray, o: np.ndarray, g: np.ndarray, width: float) -> float:
    r""":math:`\Delta` of densities of single pixels, up to a positive factor.

    Parameters
    ----------
    t, o, g : ndarray, shape (m, d)
        Images as rows.
    width : float
        Width :math:`\epsilon` of all kernels.

    Returns
    -------
    float
        The mean over pixels of :math:`m^2 \sqrt{4\pi}\,\epsilon\, \Delta`.
    """

    def pairs(a, b):
        terms = a[:, None] - b[None]  # many numbers, so all is done in their place
        np.square(terms, out=terms)
        np.divide(terms, -4 * width**2, out=terms)
        return np.exp(terms, out=terms).sum() / a.shape[1]

    # The terms i = j are m in both of the first two sums and cancel
    return float(pairs(t, t) - pairs(o, o) - 2 * pairs(g, t) + 2 * pairs(g, o))


def _spread(x: np.ndarray) -> np.ndarray:
    """Standard deviation of each column in float64, chunk by chunk."""
    center = np.sum([x[part].sum(axis=0, dtype=np.float64) for part in chunks(x)], axis=0) / len(x)
    squares = [np.square(x[part] - center).sum(axis=0) for part in chunks(x)]
    return np.sqrt(np.sum(squares, axis=0) / len(x))


def density_criterion(sets: Sets, seed: int) -> Measure | None:
    r"""P(Δ > 0) over random draws of points.

    Parameters
    ----------
    sets : Sets
    seed : int
        Seed of the draws.

    Returns
    -------
    Measure or None
        None if the points are no images and have more than 16 dimensions, where kernel densities of
        a few points say nothing. The null is P for a random half of the held-out points in the
        place of generated ones, with the other half as original points.
    """
    dim = sets.training.shape[1]
    pixels = sets.image_shape is not None
    if not pixels and dim > MAX_DIM:
        return None
    spread = _spread(sets.training)
    scale = np.ones(dim) if pixels else np.where(spread > 0, spread, 1.0)
    width = float(spread.mean()) / N_POINTS if pixels else N_POINTS ** (-1 / dim)
    training, new, held_out = (np.arange(len(x)) for _, x in sets.items())
    # At random, since held-out points may be sorted
    mixed = numpy_stream(seed, "audit halves").permutation(held_out)
    half = len(mixed) // 2
    values = {}
    for name, generated, originals in (
        ("generated", (sets.generated, new), held_out),
        ("held_out", (sets.held_out, mixed[:half]), mixed[half:]),
    ):
        random = numpy_stream(seed, f"audit densities of {name}")
        count = 0
        for _ in range(N_DRAWS // AT_ONCE):
            draws = [
                [
                    x[random.choice(rows, N_POINTS, replace=False)] / scale
                    for x, rows in (
                        (sets.training, training),
                        (sets.held_out, originals),
                        generated,
                    )
                ]
                for _ in range(AT_ONCE)
            ]
            if pixels:
                count += sum(delta_of_pixels(*picked, width) > 0 for picked in draws)
            else:
                picked = (np.stack(x) for x in zip(*draws, strict=True))
                count += int((delta_of_points(*picked, width) > 0).sum())
        values[name] = wilson(count, N_DRAWS)
    (g, g_error), (h, h_error) = values["generated"], values["held_out"]
    return Measure(
        name="densities",
        title="P(Δ > 0), densities of " + ("pixels" if pixels else "points"),
        value=g,
        error=g_error,
        null=h,
        null_error=h_error,
        p=float(norm.cdf((g - h) / np.hypot(g_error, h_error))),
        copied=np.nan,
        sees="a generated density that is closer to that of the training set than to that of new "
        "points",
        blind="most copies in more than a few dimensions, where the kernels of two points hardly "
        "meet; draws from one training set are not independent, so the error is too small",
        note=f"{N_DRAWS} draws of {N_POINTS} points of each set",
    )
