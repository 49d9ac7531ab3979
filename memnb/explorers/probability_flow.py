r"""Chapter 2: explorers of probability flow.

All data lie on the axes, and the starts stay the same while N, the radius or the threshold moves.
The dimension decides nothing about the endpoints. The unit edge makes every ball radius below one
half possible, and the noise level scales out: only :math:`\rho_T` matters.
"""

import math
from functools import cache, lru_cache

import torch

from memnb.explorers.base import Axis, Explorer
from memnb.explorers.live import Live, Range
from memnb.figures import probability_flow as figures
from memnb.minnorm.data import gaussian_starts, orthogonal_set
from memnb.minnorm.denoisers import RampDenoiser
from memnb.minnorm.endpoints import classify
from memnb.minnorm.flows import probability_flow, score_flow
from memnb.minnorm.grids import uniform_grid
from memnb.streams import portable_normals, stream

__all__ = ["EXPLORERS", "early_stopping", "two_flows"]

MAX_DIM = 100
STARTS = "starts drawn by the page"
SPREAD = 0.06  # of points in the picture, as in assets/live/two.js
D_AXIS = Axis("d", "dimension d", (30, 60, MAX_DIM), 30, (30, MAX_DIM))


@cache
def _starts(n_starts, d, seed):
    return gaussian_starts(n_starts, d, seed=seed)


def two_flows() -> Live:
    r"""Score flow and probability flow from the same starts, side by side.

    The starts are drawn where the explorer is shown, from :math:`\mathcal{N}(0, I_d)` by
    :func:`memnb.streams.portable_normals`, one coordinate of all starts after another. In the
    picture points are scattered by two more numbers each, which come first, times 0.06 and the
    share of the noise that is gone, because most of them end on the same four corners. The counts
    are those of the unscattered points.

    Returns
    -------
    Live
        Controls: ``N``, ``d``, ball radius ``rho`` at the start, how much of the noise is ``gone``,
        which is :math:`1 - \sigma / \sigma_T`, ``threshold``, number of starts ``n`` and their
        ``seed``. Score flow has run for the time :math:`\log(\sigma_T / \sigma)`. As N - 1 edges at
        right angles have no room in fewer dimensions, d is held there.
    """
    width, most = MAX_DIM + 2, 500

    @lru_cache(maxsize=2)
    def drawn(seed):
        return portable_normals(stream(seed, STARTS), width * most).reshape(width, most).T

    def frame(N, d, rho, gone, threshold, n, seed):
        d = max(d, N - 1)
        data, numbers = orthogonal_set(N, d), drawn(seed)[:n]
        scatter, y = numbers[:, :2], numbers[:, 2 : d + 2]
        denoiser, left = RampDenoiser(data, rho), 1 - gone
        time = -math.log(left) if left > 0 else math.inf
        panels = {}
        for name, now in (
            ("score flow", score_flow(y, denoiser, time)),
            ("probability flow", probability_flow(y, denoiser, 1.0, left)),
        ):
            z = data.coordinates(now)[:, :2] + SPREAD * gone * scatter
            panels[name] = (z, classify(now, data, threshold))
        return figures.planes_figure(panels)

    axes = (
        Range("N", "training points N", 3, 31, 6, digits=0),
        Range("d", "dimension d", 2, MAX_DIM, 30, digits=0),
        Range("rho", "initial radius ρ", 0.01, 0.49, 0.3),
        Range("gone", "noise removed", 0, 1, 1),
        Range("threshold", "threshold", 0.05, 0.4, 0.2),
        Range("n", "starts", 50, most, 160, digits=0),
        Range("seed", "seed of the starts", 0, 99, 0, digits=0),
    )
    alt = (
        "Points of two flows from the same starts in their first two coordinates, colored by "
        "endpoint class and scattered a little. Score flow ends at the four corners only; "
        "probability flow also ends along the edges and inside the square, fewer points at "
        "corners the smaller the ball radius is."
    )
    return Live(
        frame,
        axes,
        alt,
        "Two flows",
        number="2.1",
        view="two",
        given={
            "window": list(figures.WINDOW), "width": width, "most": most,
            "states": [stream(seed, STARTS).initial_seed() for seed in range(100)],
        },
        state={},
        play="gone",
    )  # fmt: skip


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
