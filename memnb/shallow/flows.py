r"""Chapter 4: flows of trained denoisers, one network for each of S noise levels.

The networks know S levels; the flow asks for any. A :class:`TrainedFamily` answers with the network
of the nearest level in :math:`\log\sigma`, so that it takes the place of
:func:`memnb.minnorm.denoisers.ramp_family` in
:func:`memnb.minnorm.stepped.probability_flow_stepped`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from memnb.minnorm.data import orthogonal_set
from memnb.minnorm.denoisers import RampDenoiser
from memnb.minnorm.flows import score_flow
from memnb.minnorm.grids import log_uniform_grid
from memnb.minnorm.networks import ReLUNetwork
from memnb.minnorm.stepped import probability_flow_stepped, score_flow_stepped
from memnb.validation import check_integer, check_real

from .networks import NetworkBatch
from .samples import sample_ramps

if TYPE_CHECKING:
    from .runs import Flows

__all__ = [
    "LOW",
    "TrainedFamily",
    "endpoints",
    "exact_endpoints",
    "noise_levels",
    "reach",
    "trained_probability_flow",
    "trained_score_flow",
]

LOW = 0.1  # upper end of the low-noise regime


def noise_levels(
    n_levels: int,
    sigma_T: float = 1.0,
    sigma_min: float = 0.03,
    low: float = LOW,
    low_share: float = 0.5,
) -> torch.Tensor:
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

    Raises
    ------
    TypeError, ValueError
        If not ``0 < sigma_min < low < sigma_T``, or another argument is out of range.

    Examples
    --------
    >>> levels = noise_levels(30)
    >>> int((levels <= 0.1).sum()), bool((levels.diff() < 0).all())
    (15, True)
    """
    low = check_real("low", low, 0, math.inf, open_low=True, open_high=True)
    check_real("sigma_min", sigma_min, 0, low, open_low=True, open_high=True)
    check_real("sigma_T", sigma_T, low, math.inf, open_low=True, open_high=True)
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

    Raises
    ------
    ValueError
        If networks and levels differ in number, or a level is not positive.
    """

    def __init__(
        self, networks: Sequence[ReLUNetwork], sigma: torch.Tensor | Sequence[float]
    ) -> None:
        if len(networks) != len(sigma):
            raise ValueError(
                f"networks and sigma must be of one length, got {len(networks)} and {len(sigma)}"
            )
        for level in torch.as_tensor(sigma).tolist():
            check_real("sigma", level, 0, math.inf, open_low=True, open_high=True)
        self.networks = list(networks)
        self.log_sigma = torch.as_tensor(sigma, dtype=torch.float64).log()

    @classmethod
    def of(
        cls, batch: NetworkBatch, sigma: torch.Tensor | Sequence[float], every: int = 1
    ) -> TrainedFamily:
        """The family of a batch of networks, or of every k-th of them."""
        chosen = range(0, batch.n_nets, every)
        return cls([batch.network(s) for s in chosen], torch.as_tensor(sigma)[list(chosen)])

    def __call__(self, sigma: float) -> ReLUNetwork:
        """The network of the nearest level in log sigma."""
        level = torch.tensor(check_real("sigma", sigma, 0, open_low=True), dtype=torch.float64)
        return self.networks[int((self.log_sigma - level.log()).abs().argmin())]


def trained_score_flow(
    y: torch.Tensor,
    network: Callable[[torch.Tensor], torch.Tensor],
    duration: float = 40.0,
    step: float = 0.1,
) -> torch.Tensor:
    """Score flow of one network, by Euler steps; the end only.

    Parameters
    ----------
    y : Tensor, shape (..., d)
        Starts.
    network : callable
        A denoiser, in the dtype of the starts.
    duration, step : float
        Flow time r, and the length of a step, both positive.

    Returns
    -------
    Tensor, shape (..., d)

    Raises
    ------
    TypeError, ValueError
        If a number is not positive and finite.
    """
    duration = check_real("duration", duration, 0, math.inf, open_low=True, open_high=True)
    step = check_real("step", step, 0, duration, open_low=True)
    grid = torch.arange(0, duration + step / 2, step, dtype=torch.float64)
    return score_flow_stepped(y, network, grid, "euler", return_path=False)


def trained_probability_flow(
    y: torch.Tensor,
    family: Callable[[float], Callable[[torch.Tensor], torch.Tensor]],
    sigma_T: float = 1.0,
    sigma_min: float = 0.03,
    n_steps: int = 100,
    pause: float | None = None,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor, float]:
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

    Raises
    ------
    TypeError, ValueError
        If a level is not positive, or ``pause`` is negative.
    """
    grid = torch.cat([log_uniform_grid(sigma_T, sigma_min, n_steps), torch.zeros(1).double()])
    if pause is None:
        return probability_flow_stepped(y, family, grid, "sigma", "euler", return_path=False)
    pause = check_real("pause", pause, 0)
    path = probability_flow_stepped(y, family, grid, "sigma", "euler")
    at = int((grid <= pause).nonzero()[0, 0])
    return path[-1], path[at], float(grid[at])


def endpoints(
    networks: NetworkBatch,
    levels: torch.Tensor,
    run: Flows,
    every: int = 1,
    starts: torch.Tensor | slice = slice(None),
) -> dict[str, torch.Tensor]:
    r"""Ends of both flows of a run's starts, and the second flow where it enters low noise.

    Parameters
    ----------
    networks : NetworkBatch
        One network for each level.
    levels : Tensor, shape (S,)
        Noise levels.
    run : Flows
        Says how many starts and steps there are.
    every : int
        Use every k-th network only.
    starts : Tensor of int64, or slice
        Which starts.

    Returns
    -------
    dict of Tensor, shape (n, d)
        ``"score"``, ``"probability"`` and ``"paused"``, the last at the first step with
        :math:`\sigma \le 0.1`.
    """
    device = networks.W.device
    y = run.starts().to(dtype=torch.float32, device=device)[starts]
    family = TrainedFamily.of(networks, levels, every)
    end, paused, _ = trained_probability_flow(
        y, family, run.sigma_T, run.sigma_min, run.n_steps, pause=LOW
    )
    score = trained_score_flow(y, family(run.sigma_score))
    return {"score": score, "probability": end, "paused": paused}


def exact_endpoints(run: Flows, N: int, paused: torch.Tensor) -> dict[str, torch.Tensor]:
    r"""Ends of the exact flows beside those of trained networks, a dict of tensors (n, d).

    The balls reach as far as the samples do on average, :math:`\rho = \alpha\sigma` with
    :math:`\alpha` measured. Score flow has the same starts. The exact probability flow knows low
    noise only: it takes over where the trained flow enters that regime.

    Parameters
    ----------
    run : Flows
    N : int
        Number of training points.
    paused : Tensor, shape (n, d)
        Where the trained probability flow is when it enters the low-noise regime.
    """
    data = orthogonal_set(N, run.d)
    y = run.starts()
    grid = log_uniform_grid(run.sigma_T, run.sigma_min, run.n_steps)
    level, alpha = float(grid[grid <= LOW][0]), reach(run, N)
    return {
        "score": score_flow(y, RampDenoiser(data, alpha * run.sigma_score), math.inf),
        "probability": RampDenoiser(data, alpha * level)(paused.double()),
    }


def reach(run: Flows, N: int) -> float:
    r"""Mean reach of the samples along the ramps, in units of :math:`\sigma`.

    If all levels share their noise they have the same reach, and the lowest one is looked at.
    """
    samples = run.samples(N, part=slice(-1, None) if run.shared_noise else slice(None))
    reached = [
        torch.cat([ramp.start, 1 - ramp.stop]).mean() / sigma
        for ramp, sigma in zip(sample_ramps(samples), samples.sigma, strict=True)
        if ramp is not None
    ]
    return float(torch.stack(reached).mean())
