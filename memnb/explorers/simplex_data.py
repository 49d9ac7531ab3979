r"""Chapter 3: explorers of simplex data.

In the plane the whole window is shown, each start colored by where its score flow ends. For simplex
data the ends are exact; for other points the denoiser is the solution of a convex program and the
flow is integrated, and the figure says so.
"""

import math
from collections.abc import Sequence
from functools import cache

import torch

from memnb.explorers.base import Axis, Explorer
from memnb.explorers.live import Live, Range
from memnb.figures import score_flow as figures
from memnb.figures import simplex_data as planes
from memnb.figures.display import is_static
from memnb.figures.style import with_note
from memnb.minnorm.data import gaussian_starts
from memnb.minnorm.denoisers import RampDenoiser
from memnb.minnorm.endpoints import classify
from memnb.minnorm.flows import probability_flow, score_flow
from memnb.minnorm.planar import minimum_norm_planar
from memnb.minnorm.recognize import training_set
from memnb.minnorm.simplex import equilateral_triangle, obtuse_simplex, widest_angle
from memnb.minnorm.stability import stationary_points
from memnb.minnorm.stepped import score_flow_stepped

__all__ = ["EXPLORERS", "any_points", "ends", "opening_angle", "triangle"]


def _window(low, high, n):
    ticks = torch.linspace(low, high, n, dtype=torch.float64)
    return ticks, torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), dim=-1)


def _nearest(ends, attractors, tolerance):
    """Index of the attractor at which each end is, counted from 1, or 0 for none."""
    distance, index = torch.cdist(ends, attractors).min(dim=-1)
    return torch.where(distance < tolerance, index + 1, planes.UNDECIDED)


def _ramp_plane(data, rho, window):
    denoiser = RampDenoiser(data, rho)
    stationary = stationary_points(denoiser)
    attractors = stationary.points[stationary.stable]
    is_training = torch.cdist(attractors, data.points).amin(dim=1) < 1e-6
    ticks, grid = window
    ends = score_flow(grid.reshape(-1, 2), denoiser, math.inf).reshape(grid.shape)
    basins = _nearest(ends, attractors, 1e-3)
    return planes.basin_figure(
        denoiser, (ticks, ticks), basins, attractors, is_training, data.points, rho
    )


def opening_angle(n_grid: int = 38) -> Live:
    r"""Three points at an opening angle: field, attractors and basins of the score flow.

    Parameters
    ----------
    n_grid : int
        Starts along each axis of the frame that is computed in Python.

    Returns
    -------
    Live
        Controls: ``angle`` between the edges, from right to straight, edge ``ratio``
        :math:`L_2 / L_1` and ball radius ``rho``. The end of the second edge can be moved. A radius
        beyond the limit, half the shorter edge, is held at 0.98 of it.
    """
    low, high = -1.6, 2.0
    window = _window(low, high, n_grid)

    def frame(angle, ratio, rho):
        turn = math.radians(angle)
        third = {90: (0.0, ratio), 180: (-ratio, 0.0)}.get(
            angle, (ratio * math.cos(turn), ratio * math.sin(turn))
        )
        data = training_set([(0.0, 0.0), (1.0, 0.0), third])
        return _ramp_plane(data, rho if rho < data.max_rho else 0.98 * data.max_rho, window)

    axes = (
        Range("angle", "angle, degrees", 90, 180, 94, digits=1),
        Range("ratio", "edge ratio L₂ / L₁", 0.5, 1.5, 1),
        Range("rho", "ball radius ρ", 0.01, 0.5, 0.1),
    )
    alt = (
        "The plane of three points with two edges at an obtuse angle, colored by where the score "
        "flow ends. Near 90 degrees the sum of the two edges attracts a quarter of the plane; as "
        "the angle opens its basin disappears and only the three training points attract."
    )
    return Live(
        frame,
        axes,
        alt,
        "Opening the angle",
        number="3.1",
        view="basins",
        given={"window": [low, high]},
        state={},
        play="angle",
    )


def triangle(n_grid: int = 40) -> Explorer:
    r"""The equilateral triangle: field, attractors and basins of the score flow.

    Parameters
    ----------
    n_grid : int
        Starts along each axis.

    Returns
    -------
    Explorer
        Slider: ball radius ``rho``, in units of the circumradius.
    """
    data = equilateral_triangle(2)
    window = _window(-1.7, 1.7, n_grid)

    def frame(rho):
        return _ramp_plane(data, rho, window)

    rho = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.48, 0.52, 0.55, 0.6, 0.63, 0.66)
    alt = (
        "The plane of an equilateral triangle, colored by where the score flow ends. For ball "
        "radii below half the circumradius the three vertices share the plane; above it the "
        "centroid and the three reflected vertices attract as well."
    )
    axes = (Axis("rho", "ball radius ρ / R", rho, 0.1),)
    return Explorer(frame, axes, alt, "The triangle", number="3.7", play="rho")


SHOWN = (30, 100)  # dimensions on the website


@cache
def _ends(N, dimensions, opening, rho, n_starts, seed):
    """Angle, and for each dimension the data and the ends of both flows.

    In more dimensions a start has more coordinates that only decay. So the starts of all of them
    are followed at once, in the largest, where those of the others have zeros.
    """
    angle = 90 + opening * (widest_angle(N) - 90)
    data = {d: obtuse_simplex(N, d, angle=angle) for d in dimensions}
    most = max(dimensions)
    y = torch.zeros(len(dimensions), n_starts, most, dtype=torch.float64)
    for part, d in zip(y, dimensions, strict=True):
        part[:, :d] = gaussian_starts(n_starts, d, seed=seed)
    denoiser = RampDenoiser(data[most], rho)
    both = {
        "score flow": score_flow(y, denoiser, math.inf),
        "probability flow": probability_flow(y, denoiser, 1.0, 0.0),
    }
    ends = {
        d: {name: end[k, :, :d] for name, end in both.items()} for k, d in enumerate(dimensions)
    }
    return angle, data, ends


def ends(n_starts: int = 60, seed: int = 0) -> Explorer:
    r"""Endpoint classes of both flows on an obtuse simplex with equal edges and angles.

    The simplex lies along the first axes, so that, as in the chapter on probability flow, another
    dimension draws other starts.

    Parameters
    ----------
    n_starts : int
        Number of starts from :math:`\mathcal{N}(0, I_d)`.
    seed : int
        Seed of the starts.

    Returns
    -------
    Explorer
        Controls: ``N``, ``d``, ``opening`` (0: right angles, 1: the widest angle that exists), ball
        radius ``rho`` and ``threshold``.
    """

    def frame(N, d, opening, rho, threshold):
        # The website needs all, JupyterLab the one that is asked for
        dimensions = SHOWN if is_static() and d in SHOWN else (d,)
        angle, data, reached = _ends(N, dimensions, opening, rho, n_starts, seed)
        shares = {
            name: classify(y, data[d], threshold).fractions() for name, y in reached[d].items()
        }
        figure = figures.comparison_figure(shares)
        cosine = math.cos(math.radians(angle))
        return figure.update_xaxes(
            title=f"endpoint class<br>angle {angle:.1f}°, |cos| = {-cosine:.3f}"
        )

    axes = (
        Axis("N", "training points N", (3, 4, 6, 8, 11, 16, 31), 6, (3, 6, 11, 31)),
        Axis("d", "dimension d", (30, 60, 100), 30, SHOWN),
        Axis(
            "opening", "opening of the angle", (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9), 0.3,
            (0.02, 0.1, 0.3, 0.5, 0.9),
        ),
        Axis("rho", "ball radius ρ", (0.02, 0.05, 0.1, 0.2, 0.3, 0.4), 0.1),
        Axis("threshold", "threshold", (0.05, 0.1, 0.2, 0.3, 0.4), 0.2, (0.05, 0.2, 0.4)),
    )  # fmt: skip
    alt = (
        "Bars of endpoint classes for both flows on an obtuse simplex. Score flow ends at training "
        "or virtual points, more often at virtual ones when the angle is near 90 degrees and the "
        "balls are large; probability flow ends at training points or on the boundary."
    )
    return Explorer(frame, axes, alt, "Where both flows end", number="3.5", play="opening")


SPOTS = ((1.0, 0.0), (0.0, 1.0), (-0.7, 0.5))


def any_points(
    n_grid: int = 28, n_directions: int = 60, spots: Sequence[tuple[float, float]] = SPOTS
) -> Explorer:
    r"""Three to five points in the plane: the cheapest denoiser and its flow, all numerical.

    The points are :math:`(0, 0)`, some of the spots, and one that the reader moves.

    Parameters
    ----------
    n_grid : int
        Starts along each axis.
    n_directions : int
        Gate directions of the convex program.
    spots : sequence of pairs of float
        Three places for further points, used from the first on.

    Returns
    -------
    Explorer
        Controls: ``n_points``, position ``x`` and ``y`` of the last point, and ball radius ``rho``
        as a ``share`` of half the least distance.
    """
    ticks, grid = _window(-1.8, 2.0, n_grid)
    starts = grid.reshape(-1, 2)
    times = torch.cat([torch.linspace(0, 6, 25), torch.linspace(6, 60, 55)[1:]]).double()

    room = {"height": 590, "margin": {"b": 100}}  # for a title of two lines

    def frame(n_points, x, y, share):
        points = torch.tensor([(0.0, 0.0), *spots[: n_points - 2], (x, y)], dtype=torch.float64)
        rho = share * float(torch.pdist(points).min()) / 2
        try:
            network = minimum_norm_planar(points, rho, n_directions)
        except ValueError:  # no network fits: keep the traces, say so
            attractors, is_training = points, torch.ones(n_points, dtype=torch.bool)
            basins = torch.zeros(grid.shape[:2], dtype=torch.long)
            figure = planes.basin_figure(
                lambda y: y, (ticks, ticks), basins, attractors, is_training, points, rho
            )
            figure.update_layout(**room)
            return with_note(figure, "No network fits these balls:<br>too few lines pass between.")
        reached = score_flow_stepped(starts, network, times, "rk4", return_path=False)
        attractors, is_training = _attractors(reached, points, network)
        basins = _nearest(reached, attractors, 0.05).reshape(grid.shape[:2])
        figure = planes.basin_figure(
            network, (ticks, ticks), basins, attractors, is_training, points, rho
        )
        label = f"numerical; ρ = {rho:.2f}, cost {network.cost():.2f}"
        return figure.update_layout(**room).update_xaxes(title=f"y₁<br>{label}")

    axes = (
        Axis("n_points", "points", (3, 4, 5), 3),
        Axis("x", "last point, x", (0.5, 0.65, 0.8, 1.0, 1.2, 1.4), 0.8, (0.5, 0.8, 1.4)),
        Axis("y", "last point, y", (0.4, 0.6, 0.8, 1.0, 1.2, 1.4), 0.4, (0.4, 0.8, 1.4)),
        Axis("share", "ball radius / largest", (0.2, 0.35, 0.5, 0.65, 0.8), 0.2,
             (0.2, 0.8)),
    )  # fmt: skip
    alt = (
        "The plane of three to five points, colored by where the numerical score flow ends. Beside "
        "the training points other points can attract, many of them the fourth corner of a "
        "parallelogram on three training points."
    )
    title = "Any points in the plane (numerical)"
    return Explorer(frame, axes, alt, title, number="3.10", play="n_points")


def _attractors(reached, points, network):
    """The training points, and clusters of ends at which the flow has come to rest."""
    slow = (network(reached) - reached).norm(dim=1) < 1e-3
    away = torch.cdist(reached, points).amin(dim=1) > 0.05
    others = reached[slow & away]
    means = []
    while len(others):
        near = (others - others[0]).norm(dim=1) < 0.05
        if near.sum() >= 3:  # a single start may rest on a ridge between two basins
            means.append(others[near].mean(dim=0))
        others = others[~near]
    attractors = torch.cat([points, torch.stack(means)]) if means else points
    is_training = torch.arange(len(attractors)) < len(points)
    return attractors, is_training


EXPLORERS = {
    "opening-angle": opening_angle,
    "triangle": triangle,
    "simplex-ends": ends,
    "any-points": any_points,
}
