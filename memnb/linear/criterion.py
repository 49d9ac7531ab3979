r"""Memorizing or generalizing: the sign of a difference of distances, without cancellation.

Put a Gaussian kernel of width :math:`\varepsilon_T` on each of the n training points, and of width
:math:`\varepsilon_O` on each of the N points of the original set, and call the two densities
:math:`\rho_T` and :math:`\rho_O`. The model memorizes if what it generates is closer to
:math:`\rho_T`: with

.. math:: E_{TG} = \int (\rho_T - \rho_G)^2, \quad E_{OG} = \int (\rho_O - \rho_G)^2, \quad
   \Delta = E_{TG} - E_{OG},

it memorizes if :math:`P(\Delta > 0) \le \tfrac12`. As
:math:`\int \mathcal{N}(x | a, A)\, \mathcal{N}(x | b, B)\, dx = \mathcal{N}(a - b | 0, A + B)`, all
integrals are in closed form. Three steps keep them exact.

1. :math:`\int \rho_G^2` is in both distances and is dropped. (It is infinite for n <= d.)
2. Each pair sum is its diagonal, :math:`D = (4\pi\varepsilon^2)^{-d/2} / n`, plus the rest.
   For :math:`\varepsilon \propto n^{-1/d}` the diagonals of both sets are equal and are dropped.
   For other kernels their difference is formed as one logarithm.
3. What is left are sums of positive terms, each of which is taken as a logarithm,

   .. math:: \Delta = (D_T - D_O) + P_T - P_O - 2 C_T + 2 C_O

   with :math:`P = \frac{1}{n^2} \sum_{i \ne j} \mathcal{N}(y_i - y_j | 0, 2 \varepsilon^2 I)` and
   :math:`C = \frac1n \sum_i \mathcal{N}(y_i | m, \Sigma + \varepsilon^2 I)`,
   and they are combined with their signs relative to the largest.

Over a random original set the expectation needs no set at all:

.. math:: \mathbb{E} P_O = \Big(1 - \frac1N\Big) (4\pi(\sigma^2 + \varepsilon_O^2))^{-d/2}, \qquad
   \mathbb{E} C_O = \mathcal{N}(m | 0, \Sigma + (\sigma^2 + \varepsilon_O^2) I).

References
----------
P2, Section 3.2, eqs. (19) to (21). The cancellation is this project's.
"""

import math

import torch

from .kernels import kernel_width

__all__ = ["log_cross", "log_delta", "log_delta_expected", "log_pairs", "signed_logsumexp"]

BLOCK = 100_000  # numbers in a block: it stays in the cache
ROUNDING = 1e-12  # allowed in an exponent before distances are formed from differences


def signed_logsumexp(logs, signs):
    r"""Sign and logarithm of :math:`\lvert \sum_k s_k e^{l_k} \rvert` over the first axis.

    Parameters
    ----------
    logs, signs : Tensor, shape (K, ...)
        Logarithms, :math:`-\infty` allowed, and signs.

    Returns
    -------
    tuple of Tensor, shape (...)
        Sign in {-1, 0, 1} and logarithm, :math:`-\infty` where the sum is 0.

    Examples
    --------
    >>> logs = torch.tensor([1000.0, 1000.0, 999.0], dtype=torch.float64)
    >>> [x.item() for x in signed_logsumexp(logs, torch.tensor([1.0, -1.0, -1.0]))]
    [-1.0, 999.0]
    """
    top = logs.amax(dim=0)
    top = torch.where(top.isinf(), torch.zeros_like(top), top)
    total = (signs * (logs - top).exp()).sum(dim=0)
    return total.sign(), top + total.abs().log()


def log_pairs(y, width):
    r"""Log of :math:`\frac{1}{n^2} \sum_{i \ne j} \mathcal{N}(y_i - y_j | 0, 2\varepsilon^2 I)`.

    Each pair is visited once, in blocks; no array of more than ``BLOCK`` pairs is formed.

    Parameters
    ----------
    y : Tensor of float64, shape (..., n, d)
    width : float
        Kernel width :math:`\varepsilon`.

    Returns
    -------
    Tensor of float64, shape (...)
    """
    n, d = y.shape[-2:]
    z = y.reshape(-1, n, d) / (2 * width)
    total = torch.cat([_log_pair_sum(part) for part in z.split(max(1, BLOCK // n**2))])
    total = total + math.log(2) - 2 * math.log(n) - 0.5 * d * math.log(4 * math.pi * width**2)
    return total.reshape(y.shape[:-2])


def _log_pair_sum(z):
    r"""Log of the sum over i < j of :math:`e^{-\lVert z_i - z_j \rVert^2}`, for z (B, n, d)."""
    batch, n, d = z.shape
    squares = z.square().sum(dim=-1, keepdim=True)
    by_difference = squares.max().item() * torch.finfo(z.dtype).eps > ROUNDING
    one = torch.ones_like(squares)
    # (2 z_i, -|z_i|^2, 1) . (z_j, 1, -|z_j|^2) = -|z_i - z_j|^2 in one matrix product
    left = torch.cat([2 * z, -squares, one], dim=-1)
    right = torch.cat([z, one, -squares], dim=-1).mT
    rows = max(1, BLOCK // (batch * n))
    total = z.new_full((batch,), -math.inf)
    for begin in range(0, n - 1, rows):
        end = min(begin + rows, n)
        if by_difference:
            exponent = z.new_zeros(batch, end - begin, n - begin)
            for k in range(d):
                exponent -= (z[:, begin:end, None, k] - z[:, None, begin:, k]).square_()
        else:
            exponent = left[:, begin:end] @ right[:, :, begin:]
        # The square at the left holds pairs i < j above its diagonal only.
        square = torch.ones(end - begin, end - begin, dtype=torch.bool, device=z.device).tril_()
        exponent[:, :, : end - begin].masked_fill_(square, -math.inf)
        top = exponent.amax(dim=(1, 2), keepdim=True)
        block = exponent.sub_(top).exp_().sum(dim=(1, 2)).log_().add_(top[:, 0, 0])
        total = torch.logaddexp(total, block)
    return total


def log_cross(y, generated, width):
    r"""Log of :math:`\frac1n \sum_i \mathcal{N}(y_i | m, \Sigma + \varepsilon^2 I)`.

    Parameters
    ----------
    y : Tensor of float64, shape (B, n, d) or (n, d)
        Points; without a batch axis the same for all Gaussians.
    generated : Generated
        Batch shape (B,).
    width : float
        Kernel width :math:`\varepsilon`.

    Returns
    -------
    Tensor of float64, shape (B,)
    """
    n, d = y.shape[-2:]
    spread = generated.values + width**2
    exponent = y.new_empty(len(spread), n)
    rows = max(1, BLOCK // d)
    for k, one in enumerate(spread):
        points = y if y.ndim == 2 else y[k]
        basis = generated.vectors[k] / (2 * one).sqrt()
        center = generated.mean[k] @ basis
        for begin in range(0, n, rows):
            z = torch.addmm(-center, points[begin : begin + rows], basis)
            exponent[k, begin : begin + rows] = torch.linalg.vector_norm(z, dim=-1)
    exponent = -exponent.square_()
    norm = 0.5 * (d * math.log(2 * math.pi) + spread.log().sum(dim=-1))
    return torch.logsumexp(exponent, dim=-1) - math.log(n) - norm


def _diagonals(kernel, n, n_originals, dim, widths):
    """Log and sign of the difference of the diagonals, exactly (-inf, 0) where they cancel."""
    if kernel == "leading" or n == n_originals:
        return -math.inf, 0.0
    logs = [
        -math.log(size) - 0.5 * dim * math.log(4 * math.pi * width**2)
        for size, width in zip((n, n_originals), widths, strict=True)
    ]
    gap = logs[0] - logs[1]
    if gap == 0:
        return -math.inf, 0.0
    return max(logs) + math.log(-math.expm1(-abs(gap))), math.copysign(1.0, gap)


def _combine(kernel, n, n_originals, dim, widths, pairs, pairs_o, cross, cross_o):
    diagonal, sign = _diagonals(kernel, n, n_originals, dim, widths)
    two = math.log(2)
    terms = [pairs.new_full(pairs.shape, diagonal), pairs, pairs_o, two + cross, two + cross_o]
    signs = torch.tensor([sign, 1, -1, -1, 1], dtype=pairs.dtype, device=pairs.device)
    shape = (5,) + (1,) * pairs.ndim
    return signed_logsumexp(torch.stack([t.expand_as(pairs) for t in terms]), signs.view(shape))


def log_delta(
    y,
    originals,
    generated,
    sigma=1.0,
    kernel="leading",
    factor=1.0,
    pairs_of_training=None,
    pairs_of_originals=None,
):
    r"""Sign and logarithm of :math:`\lvert\Delta\rvert`.

    Parameters
    ----------
    y : Tensor of float64, shape (B, n, d)
        Training points as deviations from :math:`\mu`.
    originals : Tensor of float64, shape (N, d) or (B, N, d)
        Original set, one for all or one for each.
    generated : Generated
        What the model fitted to y generates, batch shape (B,).
    sigma : float
        Standard deviation of the data, for the kernel widths.
    kernel, factor
        See :func:`memnb.linear.kernel_width`.
    pairs_of_training : Tensor of float64, shape (B,), optional
        ``log_pairs(y, width)`` if it is known already.
    pairs_of_originals : Tensor of float64, shape () or (B,), optional
        ``log_pairs(originals, width)`` if it is known already: it depends on neither y nor the fit.

    Returns
    -------
    tuple of Tensor, shape (B,)
        Sign in {-1, 0, 1} and logarithm.
    """
    n, n_originals, dim = y.shape[-2], originals.shape[-2], y.shape[-1]
    widths = [kernel_width(kernel, size, dim, sigma, factor) for size in (n, n_originals)]
    if pairs_of_training is None:
        pairs_of_training = log_pairs(y, widths[0])
    if pairs_of_originals is None:
        pairs_of_originals = log_pairs(originals, widths[1])
    return _combine(
        kernel, n, n_originals, dim, widths,
        pairs_of_training, pairs_of_originals,
        log_cross(y, generated, widths[0]), log_cross(originals, generated, widths[1]),
    )  # fmt: skip


def log_delta_expected(
    y, n_originals, generated, sigma=1.0, kernel="leading", factor=1.0, pairs_of_training=None
):
    r"""Sign and logarithm of :math:`\lvert\mathbb{E}\Delta\rvert` over random original sets.

    The training set is held fixed, and the N points of the original set are independent of it.

    Parameters
    ----------
    y : Tensor of float64, shape (B, n, d)
        Training points as deviations from :math:`\mu`.
    n_originals : int
        Size N of the original set, at least 2.
    generated, sigma, kernel, factor, pairs_of_training
        As for :func:`log_delta`.

    Returns
    -------
    tuple of Tensor, shape (B,)
    """
    n, dim = y.shape[-2:]
    widths = [kernel_width(kernel, size, dim, sigma, factor) for size in (n, n_originals)]
    total = sigma**2 + widths[1] ** 2
    pairs_o = math.log1p(-1 / n_originals) - 0.5 * dim * math.log(4 * math.pi * total)
    spread = generated.values + total
    z = (generated.vectors.mT @ generated.mean[..., None])[..., 0]
    cross_o = -0.5 * (z.square() / spread + spread.log() + math.log(2 * math.pi)).sum(dim=-1)
    pairs = log_pairs(y, widths[0]) if pairs_of_training is None else pairs_of_training
    return _combine(
        kernel, n, n_originals, dim, widths,
        pairs, pairs.new_tensor(pairs_o), log_cross(y, generated, widths[0]), cross_o,
    )  # fmt: skip
