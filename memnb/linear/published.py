r"""The formulas of P2 as printed, transcribed to NumPy without any of this package's care.

They are here to be compared with: no log space, no cancellation before the subtraction, the
covariance :math:`\theta_1^\top \theta_1`, in any precision. Distances are in units of
:math:`(4\pi\sigma^2)^{-d/2}`, without which single precision would hold none of them at d = 100,
and lack :math:`\int\rho_G^2`, which both share. No N x N x d array is formed.

References
----------
P2, eqs. (16) to (21).
"""

import math

import numpy as np

__all__ = ["delta_direct", "hellinger_printed", "pair_term"]


def pair_term(y, width, sigma=1.0):
    r"""Pair term with its diagonal, :math:`(\varepsilon/\sigma)^{-d} \frac{1}{n^2} \sum_{ij}
    e^{-\lVert y_i - y_j \rVert^2 / 4\varepsilon^2}`, row by row.

    Parameters
    ----------
    y : array, shape (n, d)
        Points; the result has their dtype.
    width, sigma : float
        Kernel width, and standard deviation of the data.

    Returns
    -------
    scalar of y's dtype
    """
    kind = y.dtype.type
    n, d = y.shape
    total = kind(0)
    for row in y:
        total += np.exp(-((y - row) ** 2).sum(axis=1) / kind(4 * width**2)).sum()
    return (kind(width) / kind(sigma)) ** kind(-d) * total / kind(n) ** 2


def _cross_term(y, mean, covariance, width, sigma):
    kind = y.dtype.type
    d = y.shape[1]
    total = covariance + kind(width**2) * np.eye(d, dtype=y.dtype)
    away = y - mean
    exponent = -(away @ np.linalg.inv(total) * away).sum(axis=1) / kind(2)
    _, log_det = np.linalg.slogdet(total / kind(2 * sigma**2))
    return np.exp(exponent).mean() * np.exp(-log_det / kind(2))


def delta_direct(
    y, x, originals, model, dtype=np.float64, covariance="printed", pairs_of_originals=None
):
    r""":math:`\Delta = E_{TG} - E_{OG}` of one simulation, term by term as in eq. (21).

    Parameters
    ----------
    y, x : array, shape (n, d)
        Training points and inputs.
    originals : array, shape (N, d)
        Original set.
    model : LinearModel
    dtype : numpy dtype
        Precision of every step.
    covariance : {"printed", "right"}
        Order of the product of :math:`\theta_1` and its transpose.
    pairs_of_originals : scalar, optional
        ``pair_term`` of the original set, if it is known already.

    Returns
    -------
    scalar of that dtype
        In units of :math:`(4\pi\sigma^2)^{-d/2}`.
    """
    kind = np.dtype(dtype).type
    y, x, originals = (np.asarray(part, dtype=dtype) for part in (y, x, originals))
    n, d = y.shape
    mean_y, mean_x = y.mean(axis=0), x.mean(axis=0)
    cut = max(n, d) * np.finfo(dtype).eps
    theta = (np.linalg.pinv(x - mean_x, cut) @ (y - mean_y)).T  # Y = theta_0 + theta_1 X
    spread = ((y - mean_y) ** 2).sum() / kind(n * d)
    variance = kind(model.shrink**2) * spread + kind(model.noise_variance)
    product = theta.T @ theta if covariance == "printed" else theta @ theta.T
    mean = mean_y + theta @ (kind(model.shrink) * mean_y - mean_x)
    distances = []
    for points, known in ((y, None), (originals, pairs_of_originals)):
        width = kind(model.sigma) * kind(len(points)) ** kind(-1 / d)
        pairs = pair_term(points, width, model.sigma) if known is None else known
        cross = _cross_term(points, mean, variance * product, width, model.sigma)
        distances.append(pairs - kind(2) * cross)
    return distances[0] - distances[1]


def hellinger_printed(y, x, model) -> float:
    r""":math:`H^2` by eq. (18) as printed, whose exponent lacks :math:`\sigma_X^2`.

    Parameters
    ----------
    y, x : array, shape (n, d)
        Training points as deviations from :math:`\mu`, and inputs, n > d.
    model : LinearModel

    Returns
    -------
    float
    """
    n, d = y.shape
    mean_y, mean_x = y.mean(axis=0), x.mean(axis=0)
    theta = (np.linalg.pinv(x - mean_x) @ (y - mean_y)).T
    variance = model.shrink**2 * ((y - mean_y) ** 2).sum() / (n * d) + model.noise_variance
    mean = mean_y + theta @ (model.shrink * mean_y - mean_x)
    own, true = theta @ theta.T, model.sigma**2 * np.eye(d)
    log_det = np.linalg.slogdet(variance * own)[1] + np.linalg.slogdet(true)[1]
    log_half = np.linalg.slogdet((variance * own + true) / 2)[1]
    exponent = -mean @ np.linalg.solve(own + true, mean) / 4
    return 1 - math.exp(0.25 * log_det - 0.5 * log_half + exponent)
