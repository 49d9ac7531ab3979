r"""Chapter 5: how far the generated Gaussian is from the true one, in closed form and log space.

With :math:`\lambda_k` the eigenvalues of the covariance in units of :math:`\sigma^2` and
:math:`m_k` the mean's coordinates along the eigenvectors in units of :math:`\sigma`, the affinity
:math:`\int \sqrt{pq}` of :math:`\rho_G` and :math:`\mathcal{N}(\mu, \sigma^2 I)` is

.. math:: \log A = \sum_k \Big[ \tfrac14 \log \lambda_k - \tfrac12 \log \tfrac{1 + \lambda_k}{2}
   - \frac{m_k^2}{4 (1 + \lambda_k)} \Big], \qquad H^2 = 1 - A .

For n <= d some :math:`\lambda_k = 0`: then A = 0 and :math:`H^2 = 1` exactly, and both
Kullback-Leibler divergences are infinite.

References
----------
P2, eq. (18), with the missing :math:`\sigma_X^2` restored. Kullback-Leibler: Halder,
arXiv:2411.17807.
"""

import math

import torch

from memnb.validation import check_choice, check_real

from .model import Generated

__all__ = ["hellinger", "kl_divergence", "log_affinity"]


def _scaled(generated, sigma):
    sigma = check_real("sigma", sigma, 0, math.inf, open_low=True, open_high=True)
    mean = (generated.vectors.mT @ generated.mean[..., None])[..., 0] / sigma
    return generated.values / sigma**2, mean.square()


def log_affinity(generated: Generated, sigma: float = 1.0) -> torch.Tensor:
    r"""Log of the affinity :math:`\int \sqrt{\rho_G\, \rho}`, :math:`-\infty` for n <= d.

    Parameters
    ----------
    generated : Generated
        Batch shape (...).
    sigma : float
        Standard deviation of the true distribution, positive.

    Returns
    -------
    Tensor of float64, shape (...)

    Raises
    ------
    TypeError, ValueError
        If sigma is no positive number.
    """
    values, mean2 = _scaled(generated, sigma)
    terms = 0.25 * values.log() - 0.5 * ((1 + values) / 2).log() - mean2 / (4 * (1 + values))
    return terms.sum(dim=-1)


def hellinger(generated: Generated, sigma: float = 1.0) -> torch.Tensor:
    r"""Squared Hellinger distance :math:`H^2 = 1 - \int \sqrt{\rho_G\, \rho}`, in [0, 1].

    Parameters and shapes as for :func:`log_affinity`. Exactly 1 for n <= d; accurate for small
    distances too, as it is an ``expm1``.
    """
    return -torch.expm1(log_affinity(generated, sigma))


def kl_divergence(
    generated: Generated, sigma: float = 1.0, direction: str = "from_generated"
) -> torch.Tensor:
    r"""Kullback-Leibler divergence between :math:`\rho_G` and :math:`\mathcal{N}(\mu, \sigma^2 I)`.

    .. math::

        \mathrm{KL}(\rho_G \Vert \rho) &= \tfrac12 \sum_k (\lambda_k - 1 - \log\lambda_k + m_k^2) \\
        \mathrm{KL}(\rho \Vert \rho_G) &= \tfrac12 \sum_k
        \Big( \frac{1 + m_k^2}{\lambda_k} - 1 + \log \lambda_k \Big)

    Parameters
    ----------
    generated : Generated
        Batch shape (...).
    sigma : float
        Standard deviation of the true distribution, positive.
    direction : {"from_generated", "to_generated"}
        :math:`\mathrm{KL}(\rho_G \Vert \rho)` or :math:`\mathrm{KL}(\rho \Vert \rho_G)`.

    Returns
    -------
    Tensor of float64, shape (...)
        In nats; infinite for n <= d.

    Raises
    ------
    TypeError, ValueError
        If sigma is no positive number, or the direction unknown.
    """
    check_choice("direction", direction, ("from_generated", "to_generated"))
    values, mean2 = _scaled(generated, sigma)
    if generated.rank < generated.dim:
        return torch.full_like(values[..., 0], math.inf)
    if direction == "from_generated":
        terms = values - 1 - values.log() + mean2
    else:
        terms = (1 + mean2) / values - 1 + values.log()
    return 0.5 * terms.sum(dim=-1)
