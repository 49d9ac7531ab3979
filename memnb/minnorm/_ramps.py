r"""Chapter 3: coupled ramps, and the integrals that their exact solution consists of.

See :mod:`memnb.minnorm._events` for the solution.
"""

from dataclasses import dataclass

import torch

from .geometry import TrainingSet

__all__ = ["Ramps", "growth", "response", "span"]

EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Ramps:
    r"""Ramps of one radius along directions that are coupled, in float64.

    Parameters
    ----------
    coupling : Tensor, shape (K, K)
        :math:`E = G - I`, with zeros on the diagonal.
    start, stop, lengths : Tensor, shape (K,)
        Foot :math:`a_n`, top :math:`b_n > a_n` and height :math:`L_n > 0` of each ramp.
    excess : Tensor, shape (K,)
        Slope minus one, :math:`s_n - 1 = (L_n - b_n + a_n) / (b_n - a_n)`.
    beyond : Tensor, shape (K,)
        How far the end of a flat top, :math:`z_n = L_n`, lies beyond its foot, :math:`L_n - b_n`.
    eps : float
        Relative precision of the directions.
    """

    coupling: torch.Tensor
    start: torch.Tensor
    stop: torch.Tensor
    lengths: torch.Tensor
    excess: torch.Tensor
    beyond: torch.Tensor
    eps: float = EPS

    @classmethod
    def of(cls, training_set: TrainingSet, rho: float) -> "Ramps":
        """The ramps of a training set for balls of radius rho >= 0."""
        u = training_set.directions.detach().double()
        low, high, lengths = (
            t.detach().double() for t in (training_set.low, training_set.high, training_set.lengths)
        )
        width = high - low - 2 * rho
        return cls(
            coupling=(u @ u.mT).fill_diagonal_(0),
            start=low + rho,
            stop=high - rho,
            lengths=lengths,
            excess=((lengths - (high - low)) + 2 * rho) / width,
            beyond=(lengths - high) + rho,
            eps=torch.finfo(training_set.directions.dtype).eps,
        )

    @property
    def slope(self) -> torch.Tensor:
        r"""Slopes :math:`s_n = L_n / (b_n - a_n)`, shape (K,)."""
        return 1 + self.excess

    @property
    def unit(self) -> float:
        """The largest length, to which distances are compared."""
        return float(torch.stack([self.lengths, self.start.abs(), self.stop.abs()]).max())


def growth(rate: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    r"""The integral :math:`F(\mu, r)`, for rate = mu - 1 of shape (B, K) and r of shape (B, 1)."""
    mu, finite = 1 + rate, r.clamp(max=1e300)
    grown = torch.where(rate == 0, finite, torch.expm1(rate * finite) / rate)
    direct = (grown + torch.expm1(-r)) / mu.clamp(min=1e-3)
    if not (mu < 1e-3).any():
        return direct
    # Small mu cancels. There F = sum_k mu^(k-1) P(k+1, r) with the incomplete gamma function P.
    series = torch.zeros_like(direct)
    for k in range(6, 0, -1):
        series = series * mu + torch.special.gammainc(torch.full_like(r, k + 1.0), finite)
    return torch.where(mu < 1e-3, series, direct)


def response(rate: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    r"""The integral :math:`(e^{(\mu - 1) r} - e^{-r}) / \mu`, shapes as in :func:`growth`."""
    mu = 1 + rate
    short = r.clamp(max=745.0)  # beyond it exp(-r) is zero
    product = mu * short
    # The difference cancels for small mu r.
    small = torch.exp(-short) * torch.where(mu == 0, short, torch.expm1(product) / mu)
    finite = r.clamp(max=1e300)
    return torch.where(product < 1, small, (torch.exp(rate * finite) - torch.exp(-finite)) / mu)


def span(rate: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
    """The integral of exp(rate t) over the time left, infinite if it does not exist."""
    finite = left.clamp(max=1e300)
    return torch.where(rate == 0, left, torch.expm1(rate * finite) / rate)
