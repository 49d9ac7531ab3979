"""One look for every figure: template, palette, shades and the symbols of endpoint classes.

Colors are those of Okabe and Ito, which readers with any common color blindness can tell apart;
each endpoint class also has its own marker symbol. Figures are shown with :func:`show` and tables
with :func:`table`, see :mod:`memnb.figures.display` and :mod:`memnb.figures.tables`.
"""

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
    "CLASS_COLORS",
    "CLASS_SYMBOLS",
    "PALETTE",
    "compact",
    "is_static",
    "setup",
    "show",
    "square",
    "table",
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

_AXIS = {"showline": True, "ticks": "outside", "zeroline": False, "automargin": True}


def _template():
    layout = go.Layout(
        colorway=list(PALETTE.values()),
        font={"family": "system-ui, sans-serif", "size": 14},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        height=420,
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        xaxis={**_AXIS, "gridcolor": "rgba(128,128,128,0.25)", "linecolor": "#888888"},
        yaxis={**_AXIS, "gridcolor": "rgba(128,128,128,0.25)", "linecolor": "#888888"},
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


def compact(values):
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


def square(figure, x_range, y_range):
    """Give both axes of a plane the same scale and fixed ranges; returns the figure."""
    figure.update_xaxes(range=list(x_range), constrain="domain")
    figure.update_yaxes(range=list(y_range), scaleanchor="x", scaleratio=1, constrain="domain")
    return figure
