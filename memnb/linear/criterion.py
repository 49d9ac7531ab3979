r"""Chapter 5: memorizing or generalizing, the sign of a difference of two distances.

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

**The distances themselves.** :math:`E_{OG}` and :math:`E_{TG}` need the term that was dropped,

.. math:: \int \rho_G^2 = (4\pi)^{-d/2} (\det \Sigma)^{-1/2},

which is infinite for n <= d. :func:`log_distance` has them for a given set, and
:func:`log_distance_expected` the expectation of :math:`E_{OG}` over original sets.

References
----------
P2, Section 3.2, eqs. (19) to (21). The cancellation is this project's.
"""

import math

import torch

from .kernels import kernel_width
from .model import Generated
from .overlaps import log_cross, log_pairs, signed_logsumexp

__all__ = ["log_delta", "log_delta_expected", "log_distance", "log_distance_expected"]


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
    y: torch.Tensor,
    originals: torch.Tensor,
    generated: Generated,
    sigma: float = 1.0,
    kernel: str = "leading",
    factor: float = 1.0,
    pairs_of_training: torch.Tensor | None = None,
    pairs_of_originals: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
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
        See :func:`memnb.linear.kernels.kernel_width`.
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
    y: torch.Tensor,
    n_originals: int,
    generated: Generated,
    sigma: float = 1.0,
    kernel: str = "leading",
    factor: float = 1.0,
    pairs_of_training: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
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
    pairs_o, cross_o = _expected_terms(n_originals, generated, sigma, widths[1])
    pairs = log_pairs(y, widths[0]) if pairs_of_training is None else pairs_of_training
    return _combine(
        kernel, n, n_originals, dim, widths,
        pairs, pairs.new_tensor(pairs_o), log_cross(y, generated, widths[0]), cross_o,
    )  # fmt: skip


def _expected_terms(n_originals, generated, sigma, width):
    """Logs of the expected pair term and cross term of N points."""
    total = sigma**2 + width**2
    pairs = math.log1p(-1 / n_originals) - 0.5 * generated.dim * math.log(4 * math.pi * total)
    spread = generated.values + total
    z = (generated.vectors.mT @ generated.mean[..., None])[..., 0]
    cross = -0.5 * (z.square() / spread + spread.log() + math.log(2 * math.pi)).sum(dim=-1)
    return pairs, cross


def _distance(size, generated, width, pairs, cross):
    """Log of the squared distance from its pair term without diagonal and its cross term."""
    dim = generated.dim
    own = -0.5 * (dim * math.log(4 * math.pi) + generated.values.log().sum(dim=-1))
    diagonal = -math.log(size) - 0.5 * dim * math.log(4 * math.pi * width**2)
    terms = [own.new_tensor(diagonal), own.new_tensor(pairs), own, math.log(2) + cross]
    signs = own.new_tensor([1, 1, 1, -1]).view((4,) + (1,) * own.ndim)
    return signed_logsumexp(torch.stack([t.expand_as(own) for t in terms]), signs)[1]


def log_distance(
    points: torch.Tensor,
    generated: Generated,
    sigma: float = 1.0,
    kernel: str = "leading",
    factor: float = 1.0,
) -> torch.Tensor:
    r"""Log of :math:`\int (\rho_P - \rho_G)^2`, with :math:`\rho_P` kernels on points.

    With the training points it is :math:`\log E_{TG}`, with the original points
    :math:`\log E_{OG}`.

    Parameters
    ----------
    points : Tensor of float64, shape (n, d)
        Points as deviations from :math:`\mu`.
    generated : Generated
        Batch shape (B,).
    sigma, kernel, factor
        As for :func:`log_delta`.

    Returns
    -------
    Tensor of float64, shape (B,)
        Infinite where the rank of the generated Gaussian is below d.

    Raises
    ------
    ValueError
        If the kernel is unknown, or a number is out of its range.
    """
    n, dim = points.shape
    width = kernel_width(kernel, n, dim, sigma, factor)
    pairs = log_pairs(points, width).item()
    return _distance(n, generated, width, pairs, log_cross(points, generated, width))


def log_distance_expected(
    n_originals: int,
    generated: Generated,
    sigma: float = 1.0,
    kernel: str = "leading",
    factor: float = 1.0,
) -> torch.Tensor:
    r"""Log of the expectation of :math:`E_{OG}` over random original sets.

    Parameters
    ----------
    n_originals : int
        Size N of the original set, at least 2.
    generated : Generated
        Batch shape (...).
    sigma, kernel, factor
        As for :func:`log_delta`.

    Returns
    -------
    Tensor of float64, shape (...)
        Infinite where the rank of the generated Gaussian is below d.

    Raises
    ------
    ValueError
        If the kernel is unknown, or a number is out of its range.
    """
    width = kernel_width(kernel, n_originals, generated.dim, sigma, factor)
    pairs, cross = _expected_terms(n_originals, generated, sigma, width)
    return _distance(n_originals, generated, width, pairs, cross)
