r"""Chapters 1 to 4: how many starts end in which endpoint class, as areas, dots and bars.

Colors and symbols of the classes are those of :mod:`memnb.figures.style`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from memnb.figures.style import CLASS_COLORS, class_marker, compact, legend_below
from memnb.minnorm.endpoints import CLASSES

__all__ = [
    "areas_in_time",
    "comparison_figure",
    "counts_text",
    "endpoint_areas",
    "fractions_figure",
    "sensitivity_figure",
    "shares_figure",
    "side_by_side",
]

Fractions = Mapping[str, tuple[Sequence[float], Sequence[float]]]


def counts_text(counts: Mapping[str, int]) -> str:
    """The classes that occur with their numbers, such as ``"12 training, 3 virtual"``."""
    return ", ".join(f"{int(n)} {name}" for name, n in counts.items() if n) or "none"


def endpoint_areas(
    x: torch.Tensor,
    counts: torch.Tensor,
    x_title: str,
    *,
    symbol: str,
    log_x: bool,
) -> go.Figure:
    r"""Number of starts in each endpoint class against a variable, stacked.

    Parameters
    ----------
    x : Tensor, shape (T,)
        The variable.
    counts : Tensor, shape (T, 5)
        Number of starts in each of :data:`memnb.minnorm.endpoints.CLASSES`; each row sums to their
        total.
    x_title : str
    symbol : str
        The variable's letter, for the labels under the pointer.
    log_x : bool
        Whether the axis of the variable is logarithmic.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    total = int(counts[-1].sum())
    figure = go.Figure()
    for name, column in zip(CLASSES, counts.T, strict=True):
        figure.add_scatter(
            x=compact(x), y=compact(column), name=name, mode="lines", stackgroup="all",
            line={"color": CLASS_COLORS[name], "width": 1},
            hovertemplate=f"%{{y}} at {symbol} = %{{x:.3g}}",
        )  # fmt: skip
    axis = {"type": "log", "dtick": 1} if log_x else {"type": "linear"}
    figure.update_xaxes(title=x_title, **axis)
    figure.update_yaxes(title="number of starts", range=[0, max(total, 1)])
    return figure


def areas_in_time(
    r: torch.Tensor,
    counts: torch.Tensor,
    exact: torch.Tensor | None = None,
    at: tuple[float, Mapping[str, int]] | None = None,
) -> go.Figure:
    r"""Number of starts in each endpoint class against time, stacked.

    Figures 1.6 and 3.9 of the book.

    Parameters
    ----------
    r : Tensor, shape (T,)
        Times, positive.
    counts : Tensor, shape (T, 5)
        As in :func:`memnb.figures.classes.endpoint_areas`.
    exact : Tensor, shape (T, 5), optional
        Expected counts, whose borders are drawn as dashed lines.
    at : (float, dict), optional
        A time and the counts there, which the axis spells out; by default the last ones.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    last = dict(zip(CLASSES, counts[-1].tolist(), strict=True))
    time, here = at or (float(r[-1]), last)
    title = f"time r<br>at r = {time:g}: {counts_text(here)}"
    figure = endpoint_areas(r, counts, title, symbol="r", log_x=True)
    if exact is not None:
        borders = exact.cumsum(dim=1)[:, :-1]
        for k, border in enumerate(borders.T):
            figure.add_scatter(
                x=compact(r), y=compact(border), mode="lines", name="exact", showlegend=k == 0,
                line={"color": "#000000", "width": 2, "dash": "dash"},
            )  # fmt: skip
    return figure


def fractions_figure(
    x: Sequence[float],
    fractions: Fractions,
    exact: Mapping[str, Sequence[float]],
    x_title: str,
) -> go.Figure:
    r"""Fractions of endpoint classes with error bars, and exact curves behind them.

    Figure 1.7 of the book.

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
            error_y={"array": compact(error), "thickness": 1.5}, marker=class_marker(name, 9),
        )  # fmt: skip
    figure.update_xaxes(title=x_title)
    figure.update_yaxes(title="fraction of starts", range=[-0.03, 1.03])
    return figure


def comparison_figure(fractions: Mapping[str, Mapping[str, tuple[float, float]]]) -> go.Figure:
    r"""Fractions of endpoint classes of several denoisers as bars side by side.

    Figures 1.8, 3.5 and 4.9 of the book.

    Parameters
    ----------
    fractions : dict
        Denoiser name to what :meth:`memnb.minnorm.endpoints.Endpoints.fractions` returns; at most
        four.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    patterns = ("", "/", ".", "x")
    figure = go.Figure()
    for (name, classes), pattern in zip(fractions.items(), patterns, strict=False):
        p, error = zip(*(classes[c] for c in CLASSES), strict=True)
        marker: dict[str, Any] = {"color": [CLASS_COLORS[c] for c in CLASSES]}
        figure.add_bar(
            x=list(CLASSES), y=p, name=name, error_y={"array": error},
            marker={**marker, "pattern": {"shape": pattern}},
        )  # fmt: skip
    figure.update_layout(barmode="group")
    figure.update_xaxes(title="endpoint class")
    figure.update_yaxes(title="fraction of starts", range=[0, 1.05])
    return figure


def side_by_side(left: go.Figure, right: go.Figure, titles: Sequence[str]) -> go.Figure:
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
    return legend_below(figure)


def shares_figure(
    x: Sequence[float],
    panels: Mapping[str, tuple[Fractions, Mapping[str, Sequence[float]]]],
    x_title: str,
) -> go.Figure:
    r"""Fractions of endpoint classes of two flows: dots with error bars, exact values as lines.

    Figures 2.6 and 3.4 of the book.

    Parameters
    ----------
    x : sequence of float, length T
    panels : dict
        Name of the flow to ``(fractions, exact)``, see
        :func:`fractions_figure`. Two entries.
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


def sensitivity_figure(counts: Mapping[str, Mapping[str, int]]) -> go.Figure:
    r"""Shares of the endpoint classes of one flow for several thresholds and norms, stacked.

    Figure 2.7 of the book.

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
