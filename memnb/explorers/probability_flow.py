r"""Chapter 2: explorers of probability flow.

All data lie on the axes, and the starts stay the same while N, the radius or the threshold moves.
The dimension decides nothing about the endpoints: its slider draws other starts, so that the
counts change by chance only. The unit edge makes every ball radius below one half possible, and
the noise level scales out: only :math:`\rho_T` matters.
"""

import math
from functools import cache

import torch

from memnb.explorers.base import Axis, Explorer
from memnb.figures import probability_flow as figures
from memnb.minnorm.data import gaussian_starts, orthogonal_set
from memnb.minnorm.denoisers import RampDenoiser
from memnb.minnorm.endpoints import classify
from memnb.minnorm.flows import probability_flow, score_flow
from memnb.minnorm.grids import uniform_grid
from memnb.streams import stream

__all__ = ["EXPLORERS", "early_stopping", "two_flows"]

MAX_DIM = 100
D_AXIS = Axis("d", "dimension d", (30, 60, MAX_DIM), 30, (30, MAX_DIM))


@cache
def _starts(n_starts, d, seed):
    return gaussian_starts(n_starts, d, seed=seed)


def two_flows(n_starts: int = 160, seed: int = 0, spread: float = 0.05) -> Explorer:
    r"""Endpoints of score flow and probability flow from the same starts, side by side.

    Parameters
    ----------
    n_starts : int
        Number of starts from :math:`\mathcal{N}(0, I_d)`.
    seed : int
        Seed of the starts.
    spread : float
        Radius of the disk over which points are scattered *in the picture*, because most of them
        lie on the same four corners. The counts are those of the unscattered points.

    Returns
    -------
    Explorer
        Controls: ``N``, ``d``, ball radius ``rho`` and ``threshold``.
    """
    generator = stream(seed, "scatter in the picture")
    radius, turn = torch.rand(2, n_starts, generator=generator, dtype=torch.float64)
    radius, turn = spread * radius.sqrt(), 2 * math.pi * turn
    scatter = torch.stack([radius * turn.cos(), radius * turn.sin()], dim=-1)

    def frame(N, d, rho, threshold):
        data = orthogonal_set(N, d)
        y = _starts(n_starts, d, seed)
        denoiser = RampDenoiser(data, rho)
        panels = {}
        for name, end in (
            ("score flow", score_flow(y, denoiser, math.inf)),
            ("probability flow", probability_flow(y, denoiser, 1.0, 0.0)),
        ):
            z = (data.coordinates(end)[:, :2] + scatter).round(decimals=3)
            panels[name] = (z, classify(end, data, threshold))
        return figures.planes_figure(panels)

    axes = (
        Axis("N", "training points N", (3, 6, 16, 31), 6),
        D_AXIS,
        Axis(
            "rho", "ball radius ρ", (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.48), 0.3,
            (0.02, 0.1, 0.2, 0.3, 0.48),
        ),
        Axis("threshold", "threshold", (0.05, 0.1, 0.2, 0.3, 0.4), 0.2, (0.05, 0.2, 0.4)),
    )  # fmt: skip
    alt = (
        "Endpoints of two flows from the same starts in their first two coordinates, colored by "
        "endpoint class and scattered a little. Score flow ends at the four corners only; "
        "probability flow also ends along the edges and inside the square, fewer points at "
        "corners the smaller the ball radius is."
    )
    return Explorer(frame, axes, alt, "Two flows from the same starts", number="2.1", play="N")


def early_stopping(n_starts: int = 500, seed: int = 0) -> Explorer:
    r"""Endpoint classes of probability flow against the initial ball radius.

    Parameters
    ----------
    n_starts : int
        Number of starts from :math:`\mathcal{N}(0, I_d)`.
    seed : int
        Seed of the starts.

    Returns
    -------
    Explorer
        Controls: ``N``, ``d`` and ``threshold``.
    """
    radii = uniform_grid(0.02, 0.48, 24)
    now = int((radii - 0.3).abs().argmin())

    def frame(N, d, threshold):
        data = orthogonal_set(N, d)
        y = _starts(n_starts, d, seed)
        table = []
        for rho in radii.tolist():
            end = probability_flow(y, RampDenoiser(data, rho), 1.0, 0.0)
            table.append(list(classify(end, data, threshold).counts().values()))
        return figures.early_stopping_figure(radii, torch.tensor(table), now)

    axes = (
        Axis("N", "training points N", (2, 3, 4, 6, 8, 11, 16, 21, 26, 31), 11),
        D_AXIS,
        Axis(
            "threshold", "threshold", (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4), 0.2,
            (0.02, 0.1, 0.2, 0.3, 0.4),
        ),
    )  # fmt: skip
    alt = (
        "Stacked counts of probability-flow endpoints against the initial ball radius. With a "
        "small radius most starts stop on the boundary of the hyperbox or inside it; as the "
        "radius nears one half all of them reach training or virtual points."
    )
    return Explorer(frame, axes, alt, "Early stopping", number="2.5", play="N")


EXPLORERS = {"two-flows": two_flows, "early-stopping": early_stopping}
