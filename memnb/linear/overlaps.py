r"""Chapter 5: sums of many Gaussians as logarithms, signed sums of them, pairs and overlaps.

These are the three operations of :mod:`memnb.linear.criterion`. All are in double precision and in
blocks, so that no array of N x N x d numbers is formed.
"""

import math

import torch

from .model import Generated

__all__ = ["log_cross", "log_pairs", "signed_logsumexp"]

BLOCK = 100_000  # numbers in a block: it stays in the cache
ROUNDING = 1e-12  # allowed in an exponent before distances are formed from differences


def signed_logsumexp(logs: torch.Tensor, signs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Sign and logarithm of :math:`\lvert \sum_k s_k e^{l_k} \rvert` over the first axis.

    Parameters
    ----------
    logs, signs : Tensor, shape (K, ...)
        Logarithms, :math:`-\infty` allowed, and signs. :math:`+\infty` is allowed for positive
        terms and gives :math:`+\infty`.

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


def log_pairs(y: torch.Tensor, width: float) -> torch.Tensor:
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


def log_cross(y: torch.Tensor, generated: Generated, width: float) -> torch.Tensor:
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
