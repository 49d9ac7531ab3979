r"""Figures of the chapter on the linear model.

Every function is pure, as in :mod:`memnb.figures.score_flow`. Curves differ by color, dash and
symbol; error bars are one standard error.
"""

import math

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from memnb.figures.score_flow import NEUTRAL
from memnb.figures.style import PALETTE, compact

__all__ = ["curves_figure", "onset_traces", "phase_figure", "spectrum_figure"]

COLORS = [PALETTE[name] for name in ("blue", "orange", "green", "pink", "amber", "sky")]
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x")
MARK = {"line": {"color": NEUTRAL, "width": 1, "dash": "dot"}}
DASH = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def _curve(x, values, errors=None, *, name, index, mode="lines+markers", width=2):
    bars = None if errors is None else {"array": compact(errors), "thickness": 1, "width": 2}
    return go.Scatter(
        x=compact(x), y=compact(values), error_y=bars, mode=mode, name=name,
        line={"color": COLORS[index], "width": width, "dash": DASH[index]},
        marker={"color": COLORS[index], "symbol": SYMBOLS[index], "size": 7},
    )  # fmt: skip


def _log_axis(values):
    """A logarithmic axis with ticks at 1, 2, 5, 10, ..., or at powers of 10 if it is long."""
    least, most = (pick(v for v in values if v > 0) for pick in (min, max))
    if most / least > 300:
        return {"type": "log", "dtick": 1, "exponentformat": "power"}
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    return {"type": "log", "tickvals": [m * 10.0**k for k in powers for m in (1, 2, 5)]}


def curves_figure(
    panels, x_title, y_title, *, log_x=True, log_y=False, y_range=None, marks=None, height=430
):
    r"""Curves in one panel or in several side by side, with one legend below.

    Parameters
    ----------
    panels : dict
        Title of a panel to its curves, a dict of name to ``(x, values, errors)`` or ``(x, values,
        errors, mode)``; errors may be None. A name has the same look in every panel.
    x_title, y_title : str
    log_x, log_y : bool
        Logarithmic axes.
    y_range : sequence of two float, optional
        Range of the vertical axis, in its own units.
    marks : dict, optional
        Title of a panel to a dict of label to position, drawn as vertical lines.
    height : int
        Height in pixels.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    several = len(panels) > 1
    figure = go.Figure()
    if several:
        titles = tuple(panels)
        figure = make_subplots(1, len(panels), subplot_titles=titles, horizontal_spacing=0.09)
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    shown = set()
    for column, (title, curves) in enumerate(panels.items(), start=1):
        where = {"row": 1, "col": column} if several else {}
        for name, curve in curves.items():
            mode = {"mode": curve[3]} if len(curve) > 3 else {}
            trace = _curve(*curve[:3], name=name, index=names.index(name), **mode)
            trace.update(legendgroup=name, showlegend=name not in shown)
            shown.add(name)
            figure.add_trace(trace, **where)
        for k, (label, at) in enumerate((marks or {}).get(title, {}).items()):
            figure.add_vline(x=float(at), **where, **MARK)
            figure.add_annotation(
                x=math.log10(at) if log_x else at, y=1, yref="y domain", text=label,
                showarrow=False, xanchor=("right", "left")[k % 2], yanchor="top",
                font={"size": 12}, **where,
            )  # fmt: skip
    xs = [x for curves in panels.values() for curve in curves.values() for x in curve[0]]
    figure.update_xaxes(title=x_title, **(_log_axis(xs) if log_x else {}))
    if log_y:
        figure.update_yaxes(type="log", exponentformat="power", dtick=1)
    if y_range is not None:
        figure.update_yaxes(range=list(y_range))
    figure.update_yaxes(title=y_title, **({"row": 1, "col": 1} if several else {}))
    lines = -(-len(names) // 2)
    return figure.update_layout(
        height=height + 20 * lines,
        margin={"t": 45 if several else 25, "b": 75 + 20 * lines},
        legend={"yref": "container", "y": 0, "yanchor": "bottom", "font": {"size": 12}},
    )


def onset_traces(n, hellinger, generalizing):
    r"""The two curves of the onset, for :func:`curves_figure`.

    Parameters
    ----------
    n : sequence of int
        Numbers of training points.
    hellinger, generalizing : sequence of (float, float)
        Mean of :math:`H^2` and :math:`P(\Delta > 0)`, with standard errors.

    Returns
    -------
    dict
    """
    return {
        name: (n, *zip(*pairs, strict=True))
        for name, pairs in (("E[H²]", hellinger), ("P(Δ > 0)", generalizing))
    }


def phase_figure(dimensions, n, shares, curves, titles):
    r"""Maps of :math:`P(\Delta > 0)` over d and n, one for each N.

    Parameters
    ----------
    dimensions, n : sequence of int
        The axes, on logarithmic scales.
    shares : sequence of array, shape (len(n), len(dimensions))
        One for each panel.
    curves : dict
        Name to n at each d, drawn over every panel; at most two.
    titles : sequence of str
        Titles of the panels.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = make_subplots(1, len(titles), subplot_titles=titles, horizontal_spacing=0.09)
    for column, share in enumerate(shares, start=1):
        figure.add_trace(
            go.Heatmap(
                x=list(dimensions), y=list(n), z=compact(share), zmin=0, zmax=1,
                colorscale="Cividis", showscale=column == 1,
                colorbar={"title": "P(Δ > 0)", "orientation": "h", "y": 1.12, "yanchor": "bottom",
                          "thickness": 12, "len": 0.6},
                hovertemplate="d = %{x}, n = %{y}: %{z:.2f}<extra></extra>",
            ),
            row=1, col=column,
        )  # fmt: skip
        for k, (name, values) in enumerate(curves.items()):
            figure.add_scatter(
                x=compact(dimensions), y=compact(values), mode="lines", name=name,
                line={"color": PALETTE[("orange", "pink")[k]], "width": 3, "dash": DASH[k]},
                legendgroup=name, showlegend=column == 1, row=1, col=column,
            )  # fmt: skip
    figure.update_xaxes(title="dimension d", type="log", tickvals=list(dimensions), showgrid=False)
    figure.update_yaxes(type="log", dtick=1, exponentformat="power", showgrid=False)
    figure.update_yaxes(title="training points n", row=1, col=1)
    return figure.update_layout(
        height=540, margin={"t": 120, "b": 90},
        legend={"yref": "container", "y": 0, "yanchor": "bottom"},
    )  # fmt: skip


def spectrum_figure(values, limit, c, rank):
    r"""Eigenvalues of the generated covariance, the largest first.

    Parameters
    ----------
    values : Tensor, shape (d,)
        Eigenvalues of one simulation, in units of :math:`\sigma^2`.
    limit : float
        What all of them are for the true distribution.
    c : float
        What all of them tend to for many training points.
    rank : int
        Number of eigenvalues that are not zero.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    d = len(values)
    index = np.arange(1, d + 1, dtype=np.int16)
    floor = 1e-6
    figure = go.Figure()
    for name, level, color, dash in (
        ("true", limit, PALETTE["green"], "dash"),
        ("n → ∞", c, PALETTE["pink"], "dot"),
    ):
        figure.add_scatter(
            x=[1, d], y=[level, level], mode="lines", name=name,
            line={"color": color, "width": 2, "dash": dash},
        )  # fmt: skip
    for name, color, symbol, part in (
        ("generated", COLORS[0], "circle", slice(0, rank)),
        ("generated, zero", COLORS[1], "triangle-down-open", slice(rank, d)),
    ):
        figure.add_scatter(
            x=index[part], y=compact(values[part].clamp(min=floor)), mode="markers", name=name,
            marker={"color": color, "size": 8, "symbol": symbol},
        )  # fmt: skip
    figure.update_xaxes(title="eigenvalue, by size")
    figure.update_yaxes(
        title="variance, in units of σ²", type="log", range=[-6.2, 2.2], exponentformat="power",
        dtick=1,
    )  # fmt: skip
    return figure.update_layout(height=440)
