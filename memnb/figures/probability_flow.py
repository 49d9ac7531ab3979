r"""Figures of the chapter on probability flow.

As in :mod:`memnb.figures.score_flow`, every function is pure: tensors in, one
``plotly.graph_objects.Figure`` out, and the number, order and types of its traces do not depend on
the values. Colors and symbols of endpoint classes are those of :mod:`memnb.figures.style`.
"""

import math

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from memnb.figures.score_flow import (
    CURVES,
    DASHES,
    NEUTRAL,
    _dots,
    _joined,
    _lines,
    fractions_figure,
)
from memnb.figures.score_flow import endpoint_areas as areas_against_time
from memnb.figures.style import CLASS_COLORS, CLASS_SYMBOLS, PALETTE, compact
from memnb.minnorm.endpoints import CLASSES

__all__ = [
    "critical_time_figure",
    "endpoint_areas",
    "euler_figure",
    "levels_figure",
    "lines_figure",
    "planes_figure",
    "sensitivity_figure",
    "shares_figure",
    "side_by_side",
]

WINDOW = (-0.25, 1.25)  # of the plane of endpoints, in units of the edge
BAND = "rgba(128,128,128,0.18)"


def side_by_side(left, right, titles):
    """Two figures as two panels with one legend.

    Parameters
    ----------
    left, right : plotly.graph_objects.Figure
        Figures with one pair of axes and the same traces in the same order.
    titles : sequence of two str
        Titles of the panels.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = make_subplots(1, 2, subplot_titles=tuple(titles), horizontal_spacing=0.09)
    for column, panel in enumerate((left, right), start=1):
        for trace in panel.data:
            trace.update(legendgroup=trace.name)
            if column == 2:
                trace.update(showlegend=False)
            figure.add_trace(trace, row=1, col=column)
        figure.update_xaxes(panel.layout.xaxis, row=1, col=column)
        figure.update_yaxes(panel.layout.yaxis, row=1, col=column)
    figure.update_yaxes(title=None, row=1, col=2)
    figure.update_layout(barmode=left.layout.barmode)
    return _legend_below(figure)


def _legend_below(figure):
    """The legend under the axes, because the titles of panels take the place above them."""
    return figure.update_layout(
        legend={"yref": "container", "y": 0, "yanchor": "bottom", "font": {"size": 12}},
        margin={"t": 60, "b": 120},
        height=480,
    )


def shares_figure(x, panels, x_title):
    r"""Fractions of endpoint classes of two flows: dots with error bars, exact values as lines.

    Parameters
    ----------
    x : sequence of float, length T
    panels : dict
        Name of the flow to ``(fractions, exact)``, see
        :func:`memnb.figures.score_flow.fractions_figure`. Two entries.
    x_title : str

    Returns
    -------
    plotly.graph_objects.Figure
    """
    drawn = [fractions_figure(x, *panel, x_title) for panel in panels.values()]
    for panel in drawn:
        for trace in panel.data:
            name, kind = trace.name.split(", ")
            trace.update(name=name, showlegend=kind == "measured")
    return side_by_side(*drawn, tuple(panels))


def lines_figure(sigma, curves, marks_sigma, marks, names, rho=None, length=1.0):
    r"""One coordinate under probability flow, against :math:`\sigma` and against :math:`t`.

    Parameters
    ----------
    sigma : Tensor, shape (T,)
        Noise levels of the curves.
    curves : Tensor, shape (T, n)
        Coordinate z of n starts.
    marks_sigma, marks : Tensor, shapes (S,) and (S, n)
        The same from another method, drawn as dots.
    names : sequence of two str
        What the curves and the dots are.
    rho : float, optional
        Ball radius at ``sigma[0]``; the ramp between :math:`\rho\sigma/\sigma_0` and
        :math:`L - \rho\sigma/\sigma_0` is shaded.
    length : float
        Length L of the ramp.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = make_subplots(
        1, 2, shared_yaxes=True, horizontal_spacing=0.06,
        subplot_titles=("in the noise σ", "in the time t = σ²"),
    )  # fmt: skip
    radius = sigma * ((rho or 0.0) / sigma[0])
    low = radius if rho is not None else torch.full_like(sigma, math.nan)
    for column, power in ((1, 1), (2, 2)):
        show = column == 1
        x, x_marks = sigma**power, marks_sigma**power
        band = torch.stack(
            [torch.cat([x, x.flip(0)]), torch.cat([low, (length - low).flip(0)])], dim=-1
        )
        lines = torch.stack([x[:, None].expand_as(curves), curves], dim=-1).transpose(0, 1)
        dots = torch.stack([x_marks[:, None].expand_as(marks), marks], dim=-1).reshape(-1, 2)
        for trace in (
            _lines(
                band, name="ramp", fill="toself", fillcolor=BAND, line={"width": 0},
                hoverinfo="skip", showlegend=show and rho is not None,
            ),
            _lines(
                _joined(lines), name=names[0], showlegend=show,
                line={"color": PALETTE["pink"], "width": 2},
            ),
            _dots(dots, name=names[1], marker={"color": NEUTRAL, "size": 5}, showlegend=show),
        ):  # fmt: skip
            figure.add_trace(trace.update(legendgroup=trace.name), row=1, col=column)
        end = float(x[0])
        figure.update_xaxes(range=[1.03 * end, -0.03 * end], row=1, col=column)
    figure.update_xaxes(title="noise level σ", row=1, col=1)
    figure.update_xaxes(title="time t", row=1, col=2)
    figure.update_yaxes(title="coordinate z", row=1, col=1)
    return _legend_below(figure)


def euler_figure(steps, errors, rate):
    r"""Error of a numerical method against its number of steps, both on log scales.

    Parameters
    ----------
    steps : sequence of int, length S
    errors : dict
        Name of the method to errors, each of length S; at most three.
    rate : Tensor, shape (S,)
        The expected errors :math:`1/\sqrt{\pi m}`, drawn as a thin line.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    steps = torch.as_tensor(steps, dtype=torch.float64)
    figure = go.Figure()
    symbols = ("circle", "square", "diamond")
    colors = (PALETTE["orange"], PALETTE["green"], PALETTE["blue"])
    for (name, error), color, dash, symbol in zip(
        errors.items(), colors, DASHES, symbols, strict=False
    ):
        # An error of exactly zero has no place on a logarithmic axis.
        error = torch.as_tensor(error, dtype=torch.float64).clamp(min=1e-17)
        figure.add_scatter(
            x=compact(steps), y=compact(error), mode="lines+markers", name=name,
            line={"color": color, "dash": dash}, marker={"symbol": symbol, "size": 8},
        )  # fmt: skip
    figure.add_scatter(
        x=compact(steps), y=compact(rate), mode="lines", name="1/√(πm)",
        line={"color": NEUTRAL, "width": 1.5},
    )  # fmt: skip
    figure.update_xaxes(type="log", title="number of steps m", tickvals=[int(s) for s in steps])
    figure.update_yaxes(
        type="log", title="error / distance traveled", exponentformat="power", dtick=2
    )
    return figure


def sensitivity_figure(counts):
    r"""Shares of the endpoint classes of one flow for several thresholds and norms, stacked.

    Parameters
    ----------
    counts : dict
        Label of a threshold and norm to what
        :meth:`memnb.minnorm.endpoints.Endpoints.counts` returns.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = go.Figure()
    patterns = ("", "/", ".", "x", "-")
    for name, pattern in zip(CLASSES, patterns, strict=True):
        share = [row[name] / max(sum(row.values()), 1) for row in counts.values()]
        figure.add_bar(
            x=list(counts), y=share, name=name, hovertemplate="%{y:.3f}",
            marker={"color": CLASS_COLORS[name], "pattern": {"shape": pattern}},
        )  # fmt: skip
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="threshold", tickangle=-40)
    figure.update_yaxes(title="fraction of starts", range=[0, 1])
    return figure


def levels_figure(levels, limits, n_bins=24):
    r"""How the noise levels of two grids are spread, and where low noise begins.

    Parameters
    ----------
    levels : dict
        Name of the grid to its noise levels; at most two.
    limits : dict
        Label to a noise level :math:`\sigma = L / (2 \alpha)`, drawn as a vertical line; at most
        three.
    n_bins : int
        Bins of equal width in :math:`\log\sigma`.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    every = torch.cat(list(levels.values())).log10()
    edges = torch.linspace(float(every.min()), float(every.max()), n_bins + 1, dtype=torch.float64)
    colors = (PALETTE["blue"], PALETTE["amber"])
    figure, top = go.Figure(), 1
    for (name, sigma), color, dash in zip(levels.items(), colors, DASHES, strict=False):
        # The ends of the grid are the ends of the bins, up to rounding.
        inside = sigma.log10().clamp(float(edges[0]), float(edges[-1])).double()
        bins = (torch.bucketize(inside, edges, right=True) - 1).clamp(0, n_bins - 1)
        count = torch.bincount(bins, minlength=n_bins)
        top = max(top, int(count.max()))
        stairs = torch.cat([torch.zeros(1), count, torch.zeros(1)])
        figure.add_scatter(
            x=compact(10 ** torch.cat([edges[:1], edges])), y=compact(stairs), name=name,
            mode="lines", line={"shape": "hv", "color": color, "dash": dash, "width": 2},
            fill="tozeroy", opacity=0.8,
        )  # fmt: skip
    lines = zip(limits.items(), (CURVES[2], CURVES[0], CURVES[1]), DASHES, strict=False)
    for (name, sigma), color, dash in lines:
        figure.add_scatter(
            x=compact([sigma, sigma]), y=[0, 1.05 * top], mode="lines", name=name,
            line={"color": color, "dash": dash, "width": 3},
        )  # fmt: skip
    figure.update_xaxes(type="log", title="noise level σ", exponentformat="power", dtick=1)
    figure.update_yaxes(title="number of levels", range=[0, 1.1 * top])
    return _legend_below(figure)


def critical_time_figure(times, measured, exact, now):
    r"""Fraction of starts that end exactly at a vertex, :math:`P(\tau \le T)`, against T.

    Parameters
    ----------
    times : Tensor, shape (S,)
        Starting times T.
    measured : tuple of two sequences
        Fractions and their standard errors.
    exact : Tensor, shape (S,)
        The exact probability.
    now : float
        The chapter's T, marked by a vertical line.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    p, error = measured
    figure = go.Figure(
        [
            go.Scatter(
                x=compact(times), y=compact(exact), mode="lines", name="exact",
                line={"color": PALETTE["pink"], "width": 2.5},
            ),
            go.Scatter(
                x=compact(times), y=compact(p), mode="markers", name="measured",
                error_y={"array": compact(error), "thickness": 1.5},
                marker={"color": NEUTRAL, "size": 7},
            ),
            go.Scatter(
                x=compact([now, now]), y=[0, 1], mode="lines", name="this chapter's T",
                line={"color": NEUTRAL, "width": 1.5, "dash": "dot"},
            ),
        ]
    )  # fmt: skip
    figure.update_xaxes(title="starting time T")
    figure.update_yaxes(title="fraction that ends at a vertex", range=[-0.03, 1.03])
    return figure


def _told(counts):
    """Counts of the five classes on three short lines."""
    told = [f"{name} {count}" for name, count in counts.items()]
    return "<br>".join((" · ".join(told[:2]), " · ".join(told[2:4]), told[4]))


def planes_figure(panels):
    r"""Endpoints of two flows in their first two coordinates, with the counts as titles.

    Parameters
    ----------
    panels : dict
        Name of the flow to ``(z, endpoints)``: coordinates :math:`z_1, z_2` of shape (n, 2) in
        units of the edge, and their :class:`memnb.minnorm.endpoints.Endpoints`. Two entries.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    titles = [f"<b>{name}</b><br>{_told(ends.counts())}" for name, (_, ends) in panels.items()]
    figure = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.08)
    corners = torch.tensor([[0.0, 0.0], [1, 0], [1, 1], [0, 1], [0, 0]])
    style = {"color": NEUTRAL, "width": 1}
    for column, (z, ends) in enumerate(panels.values(), start=1):
        figure.add_trace(
            _lines(corners, line=style, hoverinfo="skip", showlegend=False), row=1, col=column
        )
        # From the last class to the first: many boundary points must not hide a few vertices.
        for index, name in reversed(list(enumerate(CLASSES))):
            # An empty trace would have no entry in the legend.
            chosen = torch.cat([z[ends.labels == index], torch.full((1, 2), math.nan).to(z)])
            marker = {
                "color": CLASS_COLORS[name], "symbol": CLASS_SYMBOLS[name], "size": 6,
                "opacity": 0.75,
            }  # fmt: skip
            trace = _dots(
                chosen, name=name, marker=marker, hoverinfo="skip", legendgroup=name,
                showlegend=column == 1,
            )  # fmt: skip
            figure.add_trace(trace, row=1, col=column)
        anchor = "x" if column == 1 else "x2"
        figure.update_xaxes(
            title="coordinate z₁", range=WINDOW, constrain="domain", row=1, col=column
        )
        figure.update_yaxes(
            title="coordinate z₂" if column == 1 else None, range=WINDOW, constrain="domain",
            scaleanchor=anchor, row=1, col=column,
        )  # fmt: skip
    figure.update_annotations(font={"size": 12})
    figure = _legend_below(figure).update_layout(height=520, margin={"t": 90})
    return figure.update_layout(legend={"traceorder": "reversed"})


def endpoint_areas(rho, counts, now):
    r"""Number of probability-flow endpoints in each class against the initial radius, stacked.

    Parameters
    ----------
    rho : Tensor, shape (S,)
        Initial ball radii :math:`\rho_T`.
    counts : Tensor, shape (S, 5)
        Number of endpoints in each of :data:`memnb.minnorm.endpoints.CLASSES`.
    now : int
        Index of the radius that the title of the axis spells out.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = areas_against_time(rho, counts, log=False)
    figure.update_traces(hovertemplate="%{y} at ρ = %{x:.3g}")
    named = zip(CLASSES, counts[now].int().tolist(), strict=True)
    ends = ", ".join(f"{count} {name}" for name, count in named if count) or "none"
    told = f'<span style="font-size:12px">at {float(rho[now]):.2g}: {ends}</span>'
    figure.update_xaxes(title=f"initial ball radius ρ_T<br>{told}")
    return figure
