r"""Chapter 1: figures on score flow.

Every function is pure: tensors in, one ``plotly.graph_objects.Figure`` out, and the number, order
and types of its traces do not depend on the values. A path takes the color of the class in which it
ends.
"""

import math
from collections.abc import Callable, Mapping

import plotly.graph_objects as go
import torch

from memnb.figures.classes import areas_in_time, comparison_figure, fractions_figure
from memnb.figures.curves import dots, joined, lines
from memnb.figures.planes import SQUARE, arrows, circles
from memnb.figures.style import (
    BAND,
    CLASS_COLORS,
    CLASS_SYMBOLS,
    DASHES,
    MARK,
    NEUTRAL,
    PALETTE,
    class_marker,
    compact,
    square,
)
from memnb.minnorm.data import TrainingSet
from memnb.minnorm.endpoints import CLASSES, Endpoints

__all__ = [
    "areas_in_time",
    "comparison_figure",
    "coordinate_figure",
    "denoiser_figure",
    "field_figure",
    "fractions_figure",
    "phase_figure",
    "plane_figure",
]

CURVES = (PALETTE["pink"], PALETTE["sky"], NEUTRAL)
WINDOW = (-0.75, 1.75)  # of the plane, in units of the longest training point


def denoiser_figure(
    training_set: TrainingSet, x: torch.Tensor, curves: Mapping[str, torch.Tensor], rho: float
) -> go.Figure:
    r"""Denoisers of data on a line, :math:`h(y)` against y.

    Figure 1.1 of the book.

    Parameters
    ----------
    training_set : TrainingSet
        Data with d = 1.
    x : Tensor, shape (T,)
        Where the curves are drawn.
    curves : dict
        Name to values of h, shape (T,); at most three.
    rho : float
        Radius of the balls, drawn as vertical bands.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If the training set is not on a line.
    """
    if training_set.dim != 1:
        raise ValueError(f"training_set must have d = 1, got {training_set.dim}")
    points = training_set.points[:, 0]
    figure = go.Figure(
        go.Scatter(
            x=compact(x[[0, -1]]), y=compact(x[[0, -1]]), mode="lines", name="h(y) = y",
            hoverinfo="skip", **MARK,
        )
    )  # fmt: skip
    for (name, values), color, dash in zip(curves.items(), CURVES, DASHES, strict=False):
        line = {"color": color, "width": 3, "dash": dash}
        figure.add_scatter(x=compact(x), y=compact(values), mode="lines", name=name, line=line)
    figure.add_scatter(
        x=compact(points), y=compact(points), mode="markers", name="training points",
        marker=class_marker("training", 10),
    )  # fmt: skip
    for point in points.tolist():
        figure.add_vrect(
            x0=point - rho, x1=point + rho, fillcolor=BAND, line_width=0,
            layer="below",
        )  # fmt: skip
    figure.update_xaxes(title="noisy point y")
    figure.update_yaxes(title="denoised h(y)")
    return figure


def coordinate_figure(
    r: torch.Tensor,
    exact: torch.Tensor,
    stepped_r: torch.Tensor,
    stepped: torch.Tensor,
    rho: float,
    length: float = 1.0,
) -> go.Figure:
    r"""One coordinate under score flow: exact curves, and dots from a numerical integrator.

    Figures 1.3 and 3.3 of the book.

    Parameters
    ----------
    r : Tensor, shape (T,)
        Times of the exact curves.
    exact : Tensor, shape (T, n)
        Coordinate z of n starts.
    stepped_r, stepped : Tensor, shapes (S,) and (S, n)
        The same from the integrator, on a coarser grid.
    rho, length : float
        The ramp is the band between ``rho`` and ``length - rho``.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    curves = torch.stack([r[:, None].expand_as(exact), exact], dim=-1).transpose(0, 1)
    marks = torch.stack([stepped_r[:, None].expand_as(stepped), stepped], dim=-1).reshape(-1, 2)
    figure = go.Figure(
        [
            lines(joined(curves), name="exact", line={"color": PALETTE["pink"], "width": 2}),
            dots(marks, name="integrator", marker={"color": NEUTRAL, "size": 5}),
        ]
    )
    figure.add_hrect(y0=rho, y1=length - rho, fillcolor=BAND, line_width=0, layer="below")
    for level, label in ((0.0, "0"), (length / 2, "L/2"), (length, "L")):
        figure.add_hline(
            y=level, annotation_text=label, annotation_position="top right", **MARK,
        )  # fmt: skip
    figure.update_xaxes(title="time r")
    figure.update_yaxes(title="coordinate z")
    return figure


def field_figure(
    training_set: TrainingSet,
    denoiser: Callable[[torch.Tensor], torch.Tensor],
    rho: float,
    paths: torch.Tensor,
    now: torch.Tensor,
    labels: torch.Tensor,
    n_arrows: int = 15,
) -> go.Figure:
    r"""A plane with the vector field :math:`h(y) - y`, the hyperbox and paths of score flow.

    Figure 1.2 of the book.

    Parameters
    ----------
    training_set : TrainingSet
        The set :math:`\{0, L_1 e_1, L_2 e_2\}` in the plane.
    denoiser : callable
        Maps (..., 2) to (..., 2).
    rho : float
        Radius of the balls.
    paths : Tensor, shape (n, T, 2)
        Paths, drawn whole.
    now : Tensor, shape (n, 2)
        Where the points are.
    labels : Tensor of int64, shape (n,)
        Index into :data:`memnb.minnorm.endpoints.CLASSES` of the class in which each path ends.
    n_arrows : int
        Arrows along each axis.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If the training set is not that.
    """
    if training_set.dim != 2 or training_set.n_ramps != 2:
        raise ValueError("training_set must be three orthogonal points in the plane")
    scale = float(training_set.lengths.max())
    window = (WINDOW[0] * scale, WINDOW[1] * scale)
    figure = go.Figure(arrows(lambda y: denoiser(y) - y, window, window, n_arrows))
    figure.add_trace(
        lines(
            joined(circles(training_set.points, rho)), name="balls of radius ρ",
            hoverinfo="skip", **MARK,
        )
    )  # fmt: skip
    figure.add_trace(
        lines(
            training_set.vertex(SQUARE), name="hyperbox", hoverinfo="skip",
            line={"color": CLASS_COLORS["boundary"], "width": 2},
        )
    )  # fmt: skip
    names = {"training": "to a training point", "virtual": "to a virtual point"}
    for name, text in names.items():
        chosen = labels == CLASSES.index(name)
        color = CLASS_COLORS[name]
        figure.add_trace(
            lines(
                joined(paths[chosen]), line={"color": color, "width": 1.2}, opacity=0.6,
                hoverinfo="skip", showlegend=False, legendgroup=name,
            )
        )  # fmt: skip
        figure.add_trace(dots(now[chosen], name=text, marker=class_marker(name), legendgroup=name))
    for name, n_on in (("training", (0, 1)), ("virtual", (2,))):
        on = torch.tensor([c for c in ((0, 0), (1, 0), (0, 1), (1, 1)) if sum(c) in n_on])
        marker = {
            "color": CLASS_COLORS[name], "symbol": f"{CLASS_SYMBOLS[name]}-open", "size": 16,
            "line": {"width": 2.5},
        }  # fmt: skip
        figure.add_trace(dots(training_set.vertex(on), name=f"{name} point", marker=marker))
    figure.update_layout(height=520, legend={"font": {"size": 12}})
    figure.update_xaxes(title="coordinate z₁")
    figure.update_yaxes(title="coordinate z₂")
    return square(figure, window, window)


def _band(r: torch.Tensor, values: torch.Tensor, q: tuple[float, float]) -> torch.Tensor:
    """Outline (2 T, 2) of the region between two quantiles of the values (T, n)."""
    low, high = torch.quantile(values, torch.tensor(q, dtype=values.dtype), dim=1)
    return torch.stack([torch.cat([r, r.flip(0)]), torch.cat([high, low.flip(0)])], dim=-1)


def phase_figure(
    r: torch.Tensor,
    to_box: torch.Tensor,
    to_vertex: torch.Tensor,
    threshold: float,
    body: str = "hyperbox",
) -> go.Figure:
    r"""Distance to the hyperbox and to the nearest vertex against time, both on log scales.

    The lines are medians over the starts, the bands run from the 5 % to the 95 % quantile. The
    markers stand where a median falls below the threshold.

    Figure 1.4 of the book.

    Parameters
    ----------
    r : Tensor, shape (T,)
        Times, positive.
    to_box, to_vertex : Tensor, shape (T, n)
        Distances of n starts.
    threshold : float
        Height of the horizontal line.
    body : str
        What stands for the hyperbox, in the legend.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    floor, figure, arrivals = 1e-3, go.Figure(), []
    for name, distance, kind in (
        (f"to the {body}", to_box, "boundary"),
        ("to the nearest vertex", to_vertex, "virtual"),
    ):
        distance = distance.clamp(min=floor / 10)
        color = CLASS_COLORS[kind]
        figure.add_trace(
            lines(
                _band(r, distance, (0.05, 0.95)), fill="toself", line={"width": 0, "color": color},
                opacity=0.25, hoverinfo="skip", showlegend=False,
            )
        )  # fmt: skip
        median = distance.median(dim=1).values
        dash = "solid" if kind == "virtual" else "dash"
        figure.add_trace(
            lines(
                torch.stack([r, median], dim=-1), name=name,
                line={"color": color, "width": 3, "dash": dash},
            )
        )  # fmt: skip
        below = (median <= threshold).nonzero()
        arrivals.append(r[below[0, 0]] if len(below) else torch.tensor(math.nan).to(r))
    line = torch.stack([r[[0, -1]], torch.full((2,), threshold).to(r)], dim=-1)
    figure.add_trace(lines(line, name="threshold", hoverinfo="skip", **MARK))
    stars = torch.stack([torch.stack(arrivals), torch.full((2,), threshold).to(r)], dim=-1)
    marker = {"color": NEUTRAL, "symbol": "star", "size": 14}
    figure.add_trace(dots(stars, name="median arrival", marker=marker))
    figure.update_xaxes(type="log", title="time r", dtick=1)
    figure.update_yaxes(
        type="log",
        title="distance",
        dtick=1,
        range=[math.log10(floor), 1.2],
        exponentformat="power",
    )
    return figure


def plane_figure(z: torch.Tensor, endpoints: Endpoints) -> go.Figure:
    r"""Points in their first two coordinates, one trace for each endpoint class.

    Figure 1.5 of the book.

    Parameters
    ----------
    z : Tensor, shape (n, 2)
        Coordinates :math:`z_1, z_2` in units of the (common) edge of the hyperbox.
    endpoints : Endpoints
        Their classes, which the legend counts.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    style = {"color": NEUTRAL, "width": 1.5}
    figure = go.Figure(lines(SQUARE, line=style, hoverinfo="skip", showlegend=False))
    # From the last class to the first: many boundary points must not hide a few vertices.
    for index, (name, count) in reversed(list(enumerate(endpoints.counts().items()))):
        chosen, marker = z[endpoints.labels == index], class_marker(name)
        figure.add_trace(
            dots(chosen, name=f"{name}: {count}", marker=marker, hoverinfo="skip", showlegend=True)
        )
    figure.update_layout(height=520, legend={"traceorder": "reversed"})
    figure.update_xaxes(title="coordinate z₁")
    figure.update_yaxes(title="coordinate z₂")
    return square(figure, (-3, 3.5), (-3, 3.5))
