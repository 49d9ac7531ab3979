r"""Figures of the chapter on score flow.

Every function is pure: tensors in, one ``plotly.graph_objects.Figure`` out, and the number, order
and types of its traces do not depend on the values. Colors and symbols of endpoint classes are
those of :mod:`memnb.figures.style`; a path takes the color of the class in which it ends.
"""

import math

import plotly.graph_objects as go
import torch

from memnb.figures.style import CLASS_COLORS, CLASS_SYMBOLS, PALETTE, compact, square
from memnb.minnorm.endpoints import CLASSES

__all__ = [
    "comparison_figure",
    "coordinate_figure",
    "denoiser_figure",
    "endpoint_areas",
    "field_figure",
    "fractions_figure",
    "phase_figure",
    "plane_figure",
    "with_note",
]

NEUTRAL = "#888888"  # legible on white and on black
CURVES = (PALETTE["pink"], PALETTE["sky"], NEUTRAL)
DASHES = ("solid", "dash", "dot")
WINDOW = (-0.75, 1.75)  # of the plane, in units of the longest training point


def with_note(figure, text):
    """The figure with a note in its middle, for combinations that do not exist."""
    return figure.add_annotation(
        text=text, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"size": 16}
    )


def _joined(lines):
    """Lines (n, T, 2) as one (n (T + 1), 2) list of points, with nan where the pen lifts."""
    gap = torch.full((lines.shape[0], 1, 2), math.nan, dtype=lines.dtype)
    return torch.cat([lines, gap], dim=1).reshape(-1, 2)


def _lines(xy, **style):
    return go.Scatter(x=compact(xy[:, 0]), y=compact(xy[:, 1]), mode="lines", **style)


def _dots(xy, **style):
    return go.Scatter(x=compact(xy[:, 0]), y=compact(xy[:, 1]), mode="markers", **style)


def denoiser_figure(training_set, x, curves, rho):
    r"""Denoisers of data on a line, :math:`h(y)` against y.

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
    """
    if training_set.dim != 1:
        raise ValueError(f"training_set must have d = 1, got {training_set.dim}")
    points = training_set.points[:, 0]
    figure = go.Figure(
        go.Scatter(
            x=compact(x[[0, -1]]), y=compact(x[[0, -1]]), mode="lines", name="h(y) = y",
            line={"color": NEUTRAL, "width": 1, "dash": "dot"}, hoverinfo="skip",
        )
    )  # fmt: skip
    for (name, values), color, dash in zip(curves.items(), CURVES, DASHES, strict=False):
        line = {"color": color, "width": 3, "dash": dash}
        figure.add_scatter(x=compact(x), y=compact(values), mode="lines", name=name, line=line)
    marker = {"color": CLASS_COLORS["training"], "symbol": CLASS_SYMBOLS["training"], "size": 10}
    figure.add_scatter(
        x=compact(points), y=compact(points), mode="markers", name="training points", marker=marker
    )
    for point in points.tolist():
        figure.add_vrect(
            x0=point - rho, x1=point + rho, fillcolor="rgba(128,128,128,0.18)", line_width=0,
            layer="below",
        )  # fmt: skip
    figure.update_xaxes(title="noisy point y")
    figure.update_yaxes(title="denoised h(y)")
    return figure


def coordinate_figure(r, exact, stepped_r, stepped, rho, length=1.0):
    r"""One coordinate under score flow: exact curves, and dots from a numerical integrator.

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
    dots = torch.stack([stepped_r[:, None].expand_as(stepped), stepped], dim=-1).reshape(-1, 2)
    figure = go.Figure(
        [
            _lines(_joined(curves), name="exact", line={"color": PALETTE["pink"], "width": 2}),
            _dots(dots, name="integrator", marker={"color": NEUTRAL, "size": 5}),
        ]
    )
    figure.add_hrect(
        y0=rho, y1=length - rho, fillcolor="rgba(128,128,128,0.18)", line_width=0, layer="below"
    )
    for level, label in ((0.0, "0"), (length / 2, "L/2"), (length, "L")):
        figure.add_hline(
            y=level, line={"color": NEUTRAL, "width": 1, "dash": "dot"},
            annotation_text=label, annotation_position="top right",
        )  # fmt: skip
    figure.update_xaxes(title="time r")
    figure.update_yaxes(title="coordinate z")
    return figure


def _circles(centers, radius, n=49):
    angle = torch.linspace(0, 2 * math.pi, n, dtype=centers.dtype)
    circle = radius * torch.stack([angle.cos(), angle.sin()], dim=-1)
    return centers[:, None] + circle


def _field_traces(velocity, window, n):
    """Arrows of a vector field on an n by n grid: shafts and heads."""
    ticks = torch.linspace(*window, n, dtype=torch.float64)
    grid = torch.cartesian_prod(ticks, ticks)
    v = velocity(grid)
    speed = v.norm(dim=-1, keepdim=True)
    # Lengths saturate, so that slow sliding along the box stays visible beside the fast fall.
    shaft = 0.9 * (ticks[1] - ticks[0]) * v / (speed + 0.25)
    tip = grid + shaft
    angle = torch.rad2deg(torch.atan2(v[:, 0], v[:, 1]))
    color = "rgba(136,136,136,0.7)"
    lines = _joined(torch.stack([grid, tip], dim=1))
    return [
        _lines(lines, line={"color": color, "width": 1}, hoverinfo="skip", showlegend=False),
        _dots(
            tip, name="h(y) − y", hoverinfo="skip",
            marker={"color": color, "symbol": "arrow", "size": 6, "angle": compact(angle)},
        ),
    ]  # fmt: skip


def field_figure(training_set, denoiser, rho, paths, now, labels, n_arrows=15):
    r"""A plane with the vector field :math:`h(y) - y`, the hyperbox and paths of score flow.

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
    """
    if training_set.dim != 2 or training_set.n_ramps != 2:
        raise ValueError("training_set must be three orthogonal points in the plane")
    scale = float(training_set.lengths.max())
    window = (WINDOW[0] * scale, WINDOW[1] * scale)
    figure = go.Figure(_field_traces(lambda y: denoiser(y) - y, window, n_arrows))
    figure.add_trace(
        _lines(
            _joined(_circles(training_set.points, rho)), name="balls of radius ρ",
            line={"color": NEUTRAL, "width": 1, "dash": "dot"}, hoverinfo="skip",
        )
    )  # fmt: skip
    corners = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
    figure.add_trace(
        _lines(
            training_set.vertex(corners), name="hyperbox", hoverinfo="skip",
            line={"color": CLASS_COLORS["boundary"], "width": 2},
        )
    )  # fmt: skip
    names = {"training": "to a training point", "virtual": "to a virtual point"}
    for name, text in names.items():
        chosen = labels == CLASSES.index(name)
        color = CLASS_COLORS[name]
        figure.add_trace(
            _lines(
                _joined(paths[chosen]), line={"color": color, "width": 1.2}, opacity=0.6,
                hoverinfo="skip", showlegend=False, legendgroup=name,
            )
        )  # fmt: skip
        marker = {"color": color, "symbol": CLASS_SYMBOLS[name], "size": 8}
        figure.add_trace(_dots(now[chosen], name=text, marker=marker, legendgroup=name))
    for name, n_on in (("training", (0, 1)), ("virtual", (2,))):
        on = torch.tensor([c for c in ((0, 0), (1, 0), (0, 1), (1, 1)) if sum(c) in n_on])
        marker = {
            "color": CLASS_COLORS[name], "symbol": f"{CLASS_SYMBOLS[name]}-open", "size": 16,
            "line": {"width": 2.5},
        }  # fmt: skip
        figure.add_trace(_dots(training_set.vertex(on), name=f"{name} point", marker=marker))
    figure.update_layout(height=520, legend={"font": {"size": 12}})
    figure.update_xaxes(title="coordinate z₁")
    figure.update_yaxes(title="coordinate z₂")
    return square(figure, window, window)


def _band(r, values, q):
    low, high = torch.quantile(values, torch.tensor(q, dtype=values.dtype), dim=1)
    return torch.stack([torch.cat([r, r.flip(0)]), torch.cat([high, low.flip(0)])], dim=-1)


def phase_figure(r, to_box, to_vertex, threshold, body="hyperbox"):
    r"""Distance to the hyperbox and to the nearest vertex against time, both on log scales.

    The lines are medians over the starts, the bands run from the 5 % to the 95 % quantile. The
    markers stand where a median falls below the threshold.

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
            _lines(
                _band(r, distance, (0.05, 0.95)), fill="toself", line={"width": 0, "color": color},
                opacity=0.25, hoverinfo="skip", showlegend=False,
            )
        )  # fmt: skip
        median = distance.median(dim=1).values
        dash = "solid" if kind == "virtual" else "dash"
        figure.add_trace(
            _lines(
                torch.stack([r, median], dim=-1), name=name,
                line={"color": color, "width": 3, "dash": dash},
            )
        )  # fmt: skip
        below = (median <= threshold).nonzero()
        arrivals.append(r[below[0, 0]] if len(below) else torch.tensor(math.nan).to(r))
    line = torch.stack([r[[0, -1]], torch.full((2,), threshold).to(r)], dim=-1)
    style = {"color": NEUTRAL, "width": 1, "dash": "dot"}
    figure.add_trace(_lines(line, name="threshold", line=style, hoverinfo="skip"))
    stars = torch.stack([torch.stack(arrivals), torch.full((2,), threshold).to(r)], dim=-1)
    marker = {"color": NEUTRAL, "symbol": "star", "size": 14}
    figure.add_trace(_dots(stars, name="median arrival", marker=marker))
    figure.update_xaxes(type="log", title="time r", dtick=1)
    figure.update_yaxes(
        type="log",
        title="distance",
        dtick=1,
        range=[math.log10(floor), 1.2],
        exponentformat="power",
    )
    return figure


def endpoint_areas(r, counts, log=True):
    r"""Number of starts in each endpoint class against time, stacked.

    Parameters
    ----------
    r : Tensor, shape (T,)
        Times.
    counts : Tensor, shape (T, 5)
        Number of starts in each of :data:`memnb.minnorm.endpoints.CLASSES`; each row sums to their
        total.
    log : bool
        Whether the axis of time is logarithmic.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    total = int(counts[-1].sum())
    figure = go.Figure()
    for name, column in zip(CLASSES, counts.T, strict=True):
        figure.add_scatter(
            x=compact(r), y=compact(column), name=name, mode="lines", stackgroup="all",
            line={"color": CLASS_COLORS[name], "width": 1}, hovertemplate="%{y} at r = %{x:.3g}",
        )  # fmt: skip
    last = dict(zip(CLASSES, counts[-1].int().tolist(), strict=True))
    ends = ", ".join(f"{count} {name}" for name, count in last.items() if count) or "none"
    figure.update_xaxes(
        title=f"time r<br>at r = {float(r[-1]):g}: {ends}", dtick=1 if log else None
    )
    figure.update_xaxes(type="log" if log else "linear")
    figure.update_yaxes(title="number of starts", range=[0, max(total, 1)])
    return figure


def fractions_figure(x, fractions, exact, x_title):
    r"""Fractions of endpoint classes with error bars, and exact curves behind them.

    Parameters
    ----------
    x : sequence of float, length T
    fractions : dict
        Class to (p, standard error), each of length T.
    exact : dict
        Class to exact probabilities, length T.
    x_title : str

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = go.Figure()
    for name, values in exact.items():
        line = {"color": CLASS_COLORS[name], "width": 1.5}
        figure.add_scatter(
            x=compact(x), y=compact(values), mode="lines", name=f"{name}, exact", line=line
        )
    for name, (p, error) in fractions.items():
        figure.add_scatter(
            x=compact(x), y=compact(p), mode="markers", name=f"{name}, measured",
            error_y={"array": compact(error), "thickness": 1.5},
            marker={"color": CLASS_COLORS[name], "symbol": CLASS_SYMBOLS[name], "size": 9},
        )  # fmt: skip
    figure.update_xaxes(title=x_title)
    figure.update_yaxes(title="fraction of starts", range=[-0.03, 1.03])
    return figure


def plane_figure(z, endpoints):
    r"""Points in their first two coordinates, one trace for each endpoint class.

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
    corners = torch.tensor([[0.0, 0.0], [1, 0], [1, 1], [0, 1], [0, 0]])
    style = {"color": NEUTRAL, "width": 1.5}
    figure = go.Figure(_lines(corners, line=style, hoverinfo="skip", showlegend=False))
    for index, (name, count) in enumerate(endpoints.counts().items()):
        marker = {
            "color": CLASS_COLORS[name], "symbol": CLASS_SYMBOLS[name], "size": 8, "opacity": 0.75,
        }  # fmt: skip
        chosen = z[endpoints.labels == index]
        figure.add_trace(
            _dots(chosen, name=f"{name}: {count}", marker=marker, hoverinfo="skip", showlegend=True)
        )
    figure.update_layout(height=520)
    figure.update_xaxes(title="coordinate z₁")
    figure.update_yaxes(title="coordinate z₂")
    return square(figure, (-3, 3.5), (-3, 3.5))


def comparison_figure(fractions):
    r"""Fractions of endpoint classes of several denoisers as bars side by side.

    Parameters
    ----------
    fractions : dict
        Denoiser name to what :meth:`memnb.minnorm.endpoints.Endpoints.fractions` returns.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    patterns = ("", "/", ".", "x")
    figure = go.Figure()
    for (name, classes), pattern in zip(fractions.items(), patterns, strict=False):
        p, error = zip(*(classes[c] for c in CLASSES), strict=True)
        figure.add_bar(
            x=list(CLASSES), y=p, name=name, error_y={"array": error},
            marker={"color": [CLASS_COLORS[c] for c in CLASSES], "pattern": {"shape": pattern}},
        )  # fmt: skip
    figure.update_layout(barmode="group")
    figure.update_xaxes(title="endpoint class")
    figure.update_yaxes(title="fraction of starts", range=[0, 1.05])
    return figure
