r"""Flows of trained denoisers: one network for each of S noise levels.

The networks know S levels; the flow asks for any. A :class:`TrainedFamily` answers with the network
of the nearest level in :math:`\log\sigma`, so that it takes the place of
:func:`memnb.minnorm.denoisers.ramp_family` in :func:`memnb.minnorm.flows.probability_flow_stepped`.
"""

import torch

from memnb.minnorm.flows import probability_flow_stepped, score_flow_stepped
from memnb.minnorm.grids import log_uniform_grid
from memnb.validation import check_integer, check_real

__all__ = ["TrainedFamily", "noise_levels", "trained_probability_flow", "trained_score_flow"]


def noise_levels(n_levels, sigma_T=1.0, sigma_min=0.03, low=0.1, low_share=0.5):
    r"""Noise levels of S denoisers, in equal ratios within each of two regimes.

    Parameters
    ----------
    n_levels : int
        Number S of levels, at least 4.
    sigma_T, sigma_min : float
        Highest and lowest level.
    low : float
        Upper end of the low-noise regime.
    low_share : float
        Share of the levels in :math:`[\sigma_{\min}, \text{low}]`.

    Returns
    -------
    Tensor, shape (S,)
        Decreasing, float64.

    Examples
    --------
    >>> levels = noise_levels(30)
    >>> int((levels <= 0.1).sum()), bool((levels.diff() < 0).all())
    (15, True)
    """
    n_low = round(check_integer("n_levels", n_levels, 4) * check_real("low_share", low_share, 0, 1))
    n_low = min(max(n_low, 2), n_levels - 2)
    below = log_uniform_grid(low, sigma_min, n_low)
    above = log_uniform_grid(sigma_T, low, n_levels - n_low + 1)[:-1]
    return torch.cat([above, below])


class TrainedFamily:
    r"""Denoisers of all noise levels, from networks trained at some of them.

    Parameters
    ----------
    networks : list of ReLUNetwork
        One for each level.
    sigma : Tensor, shape (S,)
        Their noise levels.
    """

    def __init__(self, networks, sigma):
        if len(networks) != len(sigma):
            raise ValueError(
                f"networks and sigma must be of one length, got {len(networks)} and {len(sigma)}"
            )
        self.networks = list(networks)
        self.log_sigma = torch.as_tensor(sigma, dtype=torch.float64).log()

    @classmethod
    def of(cls, batch, sigma, every=1):
        """The family of a batch of networks, or of every k-th of them."""
        chosen = range(0, batch.n_nets, every)
        return cls([batch.network(s) for s in chosen], torch.as_tensor(sigma)[list(chosen)])

    def __call__(self, sigma):
        """The network of the nearest level in log sigma."""
        level = torch.tensor(check_real("sigma", sigma, 0, open_low=True), dtype=torch.float64)
        return self.networks[int((self.log_sigma - level.log()).abs().argmin())]


def trained_score_flow(y, network, duration=40.0, step=0.1):
    """Score flow of one network, by Euler steps; the end only."""
    grid = torch.arange(0, duration + step / 2, step, dtype=torch.float64)
    return score_flow_stepped(y, network, grid, "euler", return_path=False)


def trained_probability_flow(y, family, sigma_T=1.0, sigma_min=0.03, n_steps=100, pause=None):
    r"""Probability flow of a family from :math:`\sigma_T` to zero noise, by DDIM steps.

    The :math:`T` noise levels fall in equal ratios to ``sigma_min``; the last step goes from there
    to 0 and returns the denoised point. (Equal steps in :math:`t = \sigma^2` would spend one of 100
    steps below :math:`\sigma = 0.1 \sigma_T`, where memorization is decided.)

    Parameters
    ----------
    y : Tensor, shape (..., d)
        Points at noise level :math:`\sigma_T`.
    family : callable
        Maps a noise level to a denoiser.
    sigma_T, sigma_min : float
        Highest and lowest level of the steps.
    n_steps : int
        Number of steps T.
    pause : float, optional
        Also return the points at the first level at or below this one.

    Returns
    -------
    Tensor, shape (..., d)
        The end; with ``pause`` a tuple of the end, the points on the way, and their level.
    """
    grid = torch.cat([log_uniform_grid(sigma_T, sigma_min, n_steps), torch.zeros(1).double()])
    if pause is None:
        return probability_flow_stepped(y, family, grid, "sigma", "euler", return_path=False)
    path = probability_flow_stepped(y, family, grid, "sigma", "euler")
    at = int((grid <= pause).nonzero()[0, 0])
    return path[-1], path[at], float(grid[at])
