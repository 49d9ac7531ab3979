r"""Chapter 1: explorers of score flow.

All starts are the first d columns of one fixed set of Gaussian numbers and all data lie on the
axes, so that moving one slider changes one thing: the same points stay on the screen.
"""

import math
from functools import cache, lru_cache, partial

import numpy as np
import torch

from memnb.explorers.base import Axis, Explorer
from memnb.explorers.live import Live, Range
from memnb.figures import score_flow as figures
from memnb.minnorm.data import gaussian_starts, orthogonal_set
from memnb.minnorm.denoisers import RampDenoiser
from memnb.minnorm.endpoints import classify
from memnb.minnorm.flows import score_flow, score_flow_trajectory
from memnb.minnorm.grids import log_uniform_grid, uniform_grid
from memnb.minnorm.probabilities import score_flow_probabilities
from memnb.streams import portable_normals, stream

__all__ = ["EXPLORERS", "counts", "field", "plane"]

MAX_DIM = 100
STARTS = "starts drawn by the page"
IN_WINDOW = "starts in the window"
NORM_OF = {"L2": "l2", "L∞": "linf"}
N_AXIS = Axis("N", "training points N", (3, 4, 6, 8, 11, 16, 21, 26, 31), 11, (3, 6, 11, 31))
D_AXIS = Axis("d", "dimension d", (30, 40, 60, 80, MAX_DIM), 30, (30, 60, MAX_DIM))
THRESHOLD_AXIS = Axis(
    "threshold", "threshold", (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4), 0.2, (0.05, 0.2, 0.4)
)


@cache
def _starts(n_starts, seed):
    return gaussian_starts(n_starts, MAX_DIM, seed=seed)


def window_starts(n_starts: int, seed: int) -> torch.Tensor:
    r"""Starts all over the plane's window but for its edge, which the page draws, too.

    Parameters
    ----------
    n_starts : int
        Their number n; more begin with the same ones.
    seed : int
        Seed of the starts.

    Returns
    -------
    Tensor of float64, shape (n, 2)
        Uniform numbers, at least 0.1 from the edges of the window.
    """
    low, high = figures.WINDOW
    numbers = torch.rand(n_starts, 2, generator=stream(seed, IN_WINDOW), dtype=torch.float64)
    return low + 0.1 + (high - low - 0.2) * numbers


def field(seed: int = 0, compact: bool = False) -> Live:
    r"""The plane of three points: vector field, starts at a chosen time, and where they end.

    Parameters
    ----------
    seed : int
        Seed of the starts, which are drawn uniformly from the window.
    compact : bool
        Whether there are only 40 starts, and no choice of their number and the flows, as on the
        book's first page.

    Returns
    -------
    Live
        Ball radius ``rho``, time ``r``, number of starts ``n``, and which flows to ``show``; the
        training points and one start can be moved. The first frame has the points at right angles
        and the score flow alone.
    """
    data, most = orthogonal_set(3, 2), 40 if compact else 500
    starts = window_starts(most, seed)
    bends = torch.cat([torch.zeros(1), log_uniform_grid(0.05, 40, 40)])

    def frame(rho, r, n, show):
        denoiser = RampDenoiser(data, rho)
        paths = score_flow_trajectory(starts[:n], denoiser, bends).transpose(0, 1)
        labels = classify(score_flow(starts[:n], denoiser, math.inf), data).labels
        now = score_flow(starts[:n], denoiser, r)
        return figures.field_figure(data, denoiser, rho, paths, now, labels)

    axes = (
        Range("rho", "ball radius ρ", 0.01, 0.49, 0.1, digits=3),
        Range("r", "time r", 0, 200, 0, log=True),
        Range("n", "starts", 1, 500, 60, digits=0),
        Axis("show", "flows", ("score flow", "both flows"), "score flow"),
    )
    alt = (
        "The plane of three training points with arrows of the score flow. Starts fall onto the "
        "unit square, then slide along it to a corner; three corners are training points and "
        "the fourth, their sum, is a virtual point."
    )
    return Live(
        partial(frame, n=most, show="score flow") if compact else frame,
        axes[:2] if compact else axes,
        alt,
        "Where do these starts end?" if compact else "Score flow in the plane",
        number=None if compact else "1.2",
        view="plane",
        given={
            "window": list(figures.WINDOW), "threshold": 0.2,
            "twister": stream(seed, IN_WINDOW).initial_seed(), "most": most,
        },
        state={"points": data.points.tolist(), "start": starts[:1].tolist()},
        play="r",
        compact=compact,
    )  # fmt: skip


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
        Controls: ``N``, ``d``, time ``r`` and ``threshold``; :math:`\rho = 0.1`.
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
    return Explorer(frame, axes, alt, "Where the points are at time r", number="1.5", play="r")


def counts() -> Live:
    r"""How many starts of a score flow are in each endpoint class, against time.

    The starts are drawn where the explorer is shown, from :math:`\mathcal{N}(0, I_d)` by
    :func:`memnb.streams.portable_normals`.

    Returns
    -------
    Live
        Controls: ``N``, ``d``, ball radius ``rho``, ``threshold``, number of starts ``n``, their
        ``seed``, the time ``r`` at which counts are spelled out, and the ``norm`` of distances.
        As N - 1 edges at right angles have no room in fewer dimensions, d is held there.
    """
    # The fall onto the box takes about log(sqrt(d) / threshold), 2.6 to 5.1, and is sudden.
    times = torch.cat([uniform_grid(1, 6, 21), log_uniform_grid(6, 300, 13)[1:]])
    width, edges, most = 60, 30, 5000  # largest d, N - 1 and n

    @lru_cache(maxsize=2)
    def drawn(seed):
        numbers = portable_normals(stream(seed, STARTS), most * width)
        return numbers.reshape(most, width)

    def frame(N, d, rho, threshold, n, seed, r, norm):
        d = max(d, N - 1)
        data, norm, y = orthogonal_set(N, d), NORM_OF[norm], drawn(seed)[:n, :d]
        denoiser = RampDenoiser(data, rho)

        def counted(time):  # one time after another: all of them at once need much memory
            return classify(score_flow(y, denoiser, time), data, threshold, norm).counts()

        table = [list(counted(time).values()) for time in times.tolist()]
        exact = [
            score_flow_probabilities(N - 1, d, rho, time, threshold, norm)
            for time in times.tolist()
        ]
        expected = n * torch.from_numpy(np.array(exact))
        return figures.areas_in_time(times, torch.tensor(table), expected, (r, counted(r)))

    axes = (
        Range("N", "training points N", 2, edges + 1, 11, digits=0),
        Range("d", "dimension d", 1, width, 30, digits=0),
        Range("rho", "ball radius ρ", 0.01, 0.49, 0.1),
        Range("threshold", "threshold", 0.05, 0.4, 0.2),
        Range("n", "starts", 500, most, 500, digits=0),
        Range("seed", "seed of the starts", 0, 99, 0, digits=0),
        Range("r", "counts at time r", 1, 300, 300, digits=1, log=True),
        Axis("norm", "norm", tuple(NORM_OF), "L2"),
    )
    alt = (
        "Stacked counts of starts in five endpoint classes against time r on a logarithmic axis, "
        "with dashed lines where the exact probabilities put the borders. "
        "All start outside, pass through the boundary of the hyperbox, and end at training or "
        "virtual points; more training points mean more virtual endpoints."
    )
    return Live(
        frame,
        axes,
        alt,
        "Endpoint classes against time",
        number="1.6",
        view="counts",
        given={
            "times": times.tolist(), "width": width, "edges": edges, "most": most,
            "states": [stream(seed, STARTS).initial_seed() for seed in range(100)],
        },
        state={},
        play="r",
    )  # fmt: skip


EXPLORERS = {"field": field, "plane": plane, "counts": counts}
