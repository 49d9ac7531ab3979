r"""Chapter 5: the formulas of P2 as printed, transcribed to NumPy without any care.

They are here to be compared with: no log space, no cancellation before the subtraction, the
covariance :math:`\theta_1^\top \theta_1`, in any precision. Distances are in units of
:math:`(4\pi\sigma^2)^{-d/2}`, without which single precision would hold none of them at d = 100,
and lack :math:`\int\rho_G^2`, which both share. No N x N x d array is formed.

Beside them are two checks that use no formula in question: the covariance of a sample, and a sum
over a grid.

References
----------
P2, eqs. (16) to (21).
"""

import functools
import math

import numpy as np
import torch
from numpy.typing import DTypeLike

from memnb.streams import numpy_stream
from memnb.validation import check_choice, check_integer

from .draws import Setting, draw_originals, draw_training, fixed_originals
from .model import Generated, LinearModel

__all__ = [
    "delta_direct",
    "hellinger_on_grid",
    "hellinger_printed",
    "pair_term",
    "sampled_covariance",
    "signs",
]


def pair_term(y: np.ndarray, width: float, sigma: float = 1.0) -> np.floating:
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
    y: np.ndarray,
    x: np.ndarray,
    originals: np.ndarray,
    model: LinearModel,
    dtype: DTypeLike = np.float64,
    covariance: str = "transposed",
    pairs_of_originals: float | None = None,
) -> np.floating:
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
    covariance : {"transposed", "right"}
        Order of the product of :math:`\theta_1` and its transpose.
    pairs_of_originals : scalar, optional
        ``pair_term`` of the original set, if it is known already.

    Returns
    -------
    scalar of that dtype
        In units of :math:`(4\pi\sigma^2)^{-d/2}`.

    Raises
    ------
    ValueError
        If ``covariance`` is neither.
    """
    check_choice("covariance", covariance, ("transposed", "right"))
    kind = np.dtype(dtype).type
    y, x, originals = (np.asarray(part, dtype=dtype) for part in (y, x, originals))
    n, d = y.shape
    mean_y, mean_x = y.mean(axis=0), x.mean(axis=0)
    cut = max(n, d) * np.finfo(dtype).eps
    theta = (np.linalg.pinv(x - mean_x, cut) @ (y - mean_y)).T  # Y = theta_0 + theta_1 X
    spread = ((y - mean_y) ** 2).sum() / kind(n * d)
    variance = kind(model.shrink**2) * spread + kind(model.noise_variance)
    product = theta.T @ theta if covariance == "transposed" else theta @ theta.T
    mean = mean_y + theta @ (kind(model.shrink) * mean_y - mean_x)
    distances = []
    for points, known in ((y, None), (originals, pairs_of_originals)):
        width = kind(model.sigma) * kind(len(points)) ** kind(-1 / d)
        pairs = pair_term(points, width, model.sigma) if known is None else known
        cross = _cross_term(points, mean, variance * product, width, model.sigma)
        distances.append(pairs - kind(2) * cross)
    return distances[0] - distances[1]


def hellinger_printed(y: np.ndarray, x: np.ndarray, model: LinearModel) -> float:
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


@functools.lru_cache(maxsize=4)
def _pairs_of_originals(seed, dim, n_originals, sigma):
    """Pair term of the fixed original set in single precision; it is the same for all n."""
    originals = (sigma * fixed_originals(seed, dim, n_originals)).numpy().astype(np.float32)
    width = np.float32(n_originals) ** np.float32(-1 / dim)
    return pair_term(originals, width, sigma)


def signs(setting: Setting, n_simulations: int, seed: int) -> torch.Tensor:
    r"""Signs of :math:`\Delta` by :func:`delta_direct` in single precision, as printed.

    Parameters
    ----------
    setting : Setting
        With a fixed original set.
    n_simulations, seed : int
        As for :func:`memnb.linear.experiment.simulate`, whose draws these are.

    Returns
    -------
    Tensor of float32, shape (n_simulations,)

    Raises
    ------
    TypeError, ValueError
        If a number is out of its range, or the original set is not fixed.
    """
    check_integer("n_simulations", n_simulations, 1)
    check_choice("originals", setting.originals, ("fixed",))
    originals = draw_originals(setting, seed).numpy().astype(np.float32)
    pairs = _pairs_of_originals(seed, setting.dim, setting.n_originals, setting.sigma)
    values = [
        delta_direct(
            *(part.numpy() for part in draw_training(setting, seed, k)),
            originals,
            setting.model,
            np.float32,
            pairs_of_originals=pairs,
        )
        for k in range(n_simulations)
    ]
    return torch.tensor(np.sign(values))


def sampled_covariance(
    y: torch.Tensor, x: torch.Tensor, model: LinearModel, count: int, seed: int = 0
) -> np.ndarray:
    r"""Covariance of draws :math:`\theta_0 + \theta_1 X`, with NumPy's least squares.

    Parameters
    ----------
    y, x : Tensor of float64, shape (n, d)
        Training points and inputs, n > d.
    model : LinearModel
        Where they are from.
    count, seed : int
        Number of draws, and seed.

    Returns
    -------
    array, shape (d, d)
    """
    y, x = (part.numpy() - part.numpy().mean(axis=0) for part in (y, x))
    theta = np.linalg.lstsq(x, y, rcond=None)[0].T
    spread = math.sqrt(model.shrink**2 * y.var(axis=0).mean() + model.noise_variance)
    draws = numpy_stream(seed, "inputs to generate from").standard_normal((count, y.shape[1]))
    return np.cov(theta @ (spread * draws).T)


def hellinger_on_grid(generated: Generated, reach: float = 12.0, nodes: int = 1201) -> float:
    r""":math:`H^2` of a generated Gaussian in the plane and the standard normal, by summation.

    Parameters
    ----------
    generated : Generated
        In two dimensions, without batch axis and of full rank.
    reach, nodes : float, int
        Half width of the grid, and its nodes to a side.

    Returns
    -------
    float
    """
    axis = np.linspace(-reach, reach, nodes)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    covariance = generated.covariance.numpy()
    away = grid - generated.mean.numpy()
    inner = np.einsum("...i,ij,...j", away, np.linalg.inv(covariance), away)
    density = np.exp(-inner / 2) / (2 * math.pi * math.sqrt(np.linalg.det(covariance)))
    true = np.exp(-(grid**2).sum(axis=-1) / 2) / (2 * math.pi)
    return 1 - float(np.sqrt(density * true).sum()) * (axis[1] - axis[0]) ** 2
