"""One look for every figure: template, palette, shades and the symbols of endpoint classes.

Colors are those of Okabe and Ito, which readers with any common color blindness can tell apart;
each endpoint class also has its own marker symbol. Figures are shown with :func:`show` and tables
with :func:`table`, see :mod:`memnb.figures.display` and :mod:`memnb.figures.tables`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import torch
from IPython import get_ipython
from IPython.display import display

from memnb.figures.display import is_static, offline_scripts, show
from memnb.figures.tables import table
from memnb.minnorm.endpoints import CLASSES

__all__ = [
    "ARROW",
    "ARROW_ON_SHADE",
    "BAND",
    "CLASS_COLORS",
    "CLASS_SYMBOLS",
    "DASHES",
    "MARK",
    "NEUTRAL",
    "PALETTE",
    "SERIES",
    "SYMBOLS",
    "TRAINING_SHADES",
    "UNDECIDED_SHADE",
    "VIRTUAL_SHADES",
    "class_marker",
    "compact",
    "is_static",
    "legend_below",
    "setup",
    "show",
    "square",
    "table",
    "with_note",
]

PALETTE = {
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#009E73",
    "amber": "#E69F00",
    "sky": "#56B4E9",
    "pink": "#CC79A7",
    "gray": "#999999",
}
_BY_CLASS = ("orange", "blue", "green", "amber", "gray")
CLASS_COLORS = {c: PALETTE[name] for c, name in zip(CLASSES, _BY_CLASS, strict=True)}
CLASS_SYMBOLS = dict(zip(CLASSES, ("circle", "diamond", "square", "triangle-up", "x"), strict=True))

# The looks of curves, one after another
SERIES = tuple(PALETTE[name] for name in ("blue", "orange", "green", "pink", "amber", "sky"))
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x")

NEUTRAL = "#888888"  # for what the curves are compared with; legible on white and on black
BAND = "rgba(128,128,128,0.18)"
GRID = "rgba(128,128,128,0.25)"
ARROW = "rgba(136,136,136,0.7)"
MARK = {"line": {"color": NEUTRAL, "width": 1, "dash": "dot"}}  # a line at a value of interest

# Basins are pale enough for dark arrows on them, in light and in dark mode.
ARROW_ON_SHADE = "rgba(60,60,60,0.75)"
INK_ON_SHADE = "#222222"
UNDECIDED_SHADE = "#C8C8C8"
TRAINING_SHADES = ("#F0B184", "#FBDFCA", "#D8935F", "#F6CBA9", "#C98350")
VIRTUAL_SHADES = ("#86BCDD", "#C9E3F3", "#5C9FC9", "#A6D0EA", "#3F88B7", "#74B3DA")
GAP_SHADE = "#8c8c8c"  # between small images

_AXIS = {
    "showline": True, "ticks": "outside", "zeroline": False, "automargin": True,
    "gridcolor": GRID, "linecolor": NEUTRAL,
}  # fmt: skip


def _template() -> go.layout.Template:
    layout = go.Layout(
        colorway=list(PALETTE.values()),
        font={"family": "system-ui, sans-serif", "size": 14},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        height=420,
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        xaxis=_AXIS,
        yaxis=_AXIS,
        hovermode="closest",
    )
    return go.layout.Template(layout=layout)


def setup() -> None:
    """Prepare a notebook: register the template, and run torch on one thread.

    One thread, because the chapters' tensors are small and the book runs two chapters at a time.
    In a notebook that is not executed for the website it also stores the scripts that draw its
    figures in a page without network, :func:`memnb.figures.display.offline_scripts`.
    """
    pio.templates["memnb"] = _template()
    pio.templates.default = "memnb"
    torch.set_num_threads(1)
    if get_ipython() is not None and not is_static() and offline_scripts():
        display({"text/html": offline_scripts(), "text/plain": ""}, raw=True)


def compact(values: Any) -> np.ndarray:
    """Array or tensor as float32, which halves the bytes that a page has to carry.

    Parameters
    ----------
    values : array-like or Tensor

    Returns
    -------
    numpy.ndarray, dtype float32
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=np.float32)


def class_marker(name: str, size: float = 8, **more: Any) -> dict[str, Any]:
    """Marker of an endpoint class: its color and its symbol.

    Parameters
    ----------
    name : str
        One of :data:`memnb.minnorm.endpoints.CLASSES`.
    size : float
    **more
        Other properties of the marker.

    Returns
    -------
    dict
    """
    return {"color": CLASS_COLORS[name], "symbol": CLASS_SYMBOLS[name], "size": size, **more}


def square(figure: go.Figure, x_range: Sequence[float], y_range: Sequence[float]) -> go.Figure:
    """Give both axes of each panel the same scale and fixed ranges; returns the figure.

    Their margins are fixed: a margin that makes room for the labels narrows the panels, which moves
    the labels, and so on without end.
    """
    figure.update_xaxes(range=list(x_range), constrain="domain", automargin=False)
    figure.update_yaxes(range=list(y_range), scaleratio=1, constrain="domain", automargin=False)
    for trace in figure.data:
        x, y = trace.xaxis or "x", trace.yaxis or "y"
        figure.update_layout({y.replace("y", "yaxis"): {"scaleanchor": x}})
    return figure


def legend_below(figure: go.Figure) -> go.Figure:
    """Put the legend under the axes, because titles of panels take the place above them."""
    return figure.update_layout(
        legend={"yref": "container", "y": 0, "yanchor": "bottom", "font": {"size": 12}},
        margin={"t": 60, "b": 120},
        height=480,
    )


def with_note(figure: go.Figure, text: str) -> go.Figure:
    """Put a note in the middle of a figure, for combinations that do not exist; returns it."""
    return figure.add_annotation(
        text=text, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"size": 16}
    )
