r"""Chapter 1: explorers of score flow.

All starts are the first d columns of one fixed set of Gaussian numbers and all data lie on the
axes, so that moving one slider changes one thing: the same points stay on the screen.
"""

import math
from functools import cache

import torch

from memnb.explorers.base import Axis, Explorer
from memnb.figures import score_flow as figures
from memnb.minnorm.data import gaussian_starts, orthogonal_set
from memnb.minnorm.denoisers import RampDenoiser
from memnb.minnorm.endpoints import CLASSES, classify
from memnb.minnorm.flows import score_flow, score_flow_trajectory
from memnb.minnorm.grids import log_uniform_grid
from memnb.streams import stream

__all__ = ["EXPLORERS", "counts", "field", "plane"]

MAX_DIM = 100
N_AXIS = Axis("N", "training points N", (3, 4, 6, 8, 11, 16, 21, 26, 31), 11, (3, 6, 11, 31))
D_AXIS = Axis("d", "dimension d", (30, 40, 60, 80, MAX_DIM), 30, (30, 60, MAX_DIM))
THRESHOLD_AXIS = Axis(
    "threshold", "threshold", (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4), 0.2, (0.05, 0.2, 0.4)
)


@cache
def _starts(n_starts, seed):
    return gaussian_starts(n_starts, MAX_DIM, seed=seed)


def field(n_starts: int = 60, seed: int = 0) -> Explorer:
    r"""The plane of three points: vector field, and starts at a chosen time of the flow.

    Parameters
    ----------
    n_starts : int
        Number of starts, drawn uniformly from the window.
    seed : int
        Seed of the starts.

    Returns
    -------
    Explorer
        Sliders: ball radius ``rho`` and time ``r``.
    """
    data = orthogonal_set(3, 2)
    generator = stream(seed, "starts in the window")
    starts = 2.3 * torch.rand(n_starts, 2, generator=generator, dtype=torch.float64) - 0.65
    bends = torch.cat([torch.zeros(1), log_uniform_grid(0.05, 40, 40)])

    def frame(rho, r):
        denoiser = RampDenoiser(data, rho)
        paths = score_flow_trajectory(starts, denoiser, bends).transpose(0, 1)
        labels = classify(score_flow(starts, denoiser, math.inf), data).labels
        now = score_flow(starts, denoiser, r)
        return figures.field_figure(data, denoiser, rho, paths, now, labels)

    axes = (
        Axis("rho", "ball radius ρ", (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.45), 0.1),
        Axis("r", "time r", (0, 0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 20, 40), 0),
    )
    alt = (
        "The plane of three training points with arrows of the score flow. Starts fall onto the "
        "unit square, then slide along it to a corner; three corners are training points and "
        "the fourth, their sum, is a virtual point."
    )
    return Explorer(frame, axes, alt, "Score flow in the plane", number="1.2")


def plane(n_starts: int = 150, seed: int = 0) -> Explorer:
    r"""Points of a d-dimensional score flow at time r, in their first two coordinates.

    Parameters
    ----------
    n_starts : int
        Number of starts from :math:`\mathcal{N}(0, I_d)`.
    seed : int
        Seed of the starts.

    Returns
    -------
    Explorer
        Sliders: ``N``, ``d``, time ``r`` and ``threshold``; :math:`\rho = 0.1`.
    """

    def frame(N, d, r, threshold):
        data = orthogonal_set(N, d)
        y = score_flow(_starts(n_starts, seed)[:, :d], RampDenoiser(data, 0.1), r)
        ends = classify(y, data, threshold)
        return figures.plane_figure(data.coordinates(y)[:, :2], ends)

    axes = (
        N_AXIS,
        D_AXIS,
        Axis("r", "time r", (0, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 20), 4, (0, 1, 2, 3, 4, 6, 12, 20)),
        THRESHOLD_AXIS,
    )
    alt = (
        "Starts of a score flow in their first two coordinates, colored by endpoint class. As r "
        "grows they reach the unit square, first its boundary, and then its corners; with more "
        "training points fewer of them end at a training point."
    )
    return Explorer(frame, axes, alt, "Where the points are at time r", number="1.5")


def counts(n_starts: int = 500, seed: int = 0) -> Explorer:
    r"""How many points of a score flow are in each endpoint class, against time.

    Parameters
    ----------
    n_starts : int
        Number of starts from :math:`\mathcal{N}(0, I_d)`.
    seed : int
        Seed of the starts.

    Returns
    -------
    Explorer
        Sliders: ``N``, ``d``, ball radius ``rho`` and ``threshold``.
    """
    times = log_uniform_grid(0.1, 300, 22)

    def frame(N, d, rho, threshold):
        data = orthogonal_set(N, d)
        y = _starts(n_starts, seed)[:, :d]
        path = score_flow_trajectory(y, RampDenoiser(data, rho), times)
        labels = classify(path, data, threshold).labels
        table = torch.stack([(labels == i).sum(dim=1) for i in range(len(CLASSES))], dim=1)
        return figures.areas_in_time(times, table)

    axes = (
        N_AXIS,
        D_AXIS,
        Axis(
            "rho", "ball radius ρ", (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.48), 0.1,
            (0.02, 0.1, 0.3, 0.48),
        ),
        THRESHOLD_AXIS,
    )  # fmt: skip
    alt = (
        "Stacked counts of starts in five endpoint classes against time r on a logarithmic axis. "
        "All start outside, pass through the boundary of the hyperbox, and end at training or "
        "virtual points; more training points mean more virtual endpoints."
    )
    return Explorer(frame, axes, alt, "Endpoint classes against time", number="1.6")


EXPLORERS = {"field": field, "plane": plane, "counts": counts}
