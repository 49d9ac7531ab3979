"""One look for every figure, and one way to show it.

A figure is shown in two places that need different things. JupyterLab understands plotly's own
MIME type. The website must work without a server and without any request to the outside, so there
a figure is a ``<div>`` with its data as inert JSON, drawn by one local script
(``assets/memnb-plots.js``) when the reader scrolls to it.

Colors are those of Okabe and Ito, which readers with any common color blindness can tell apart;
each endpoint class also has its own marker symbol.
"""

import json
import os

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import torch

from memnb.figures.tables import table
from memnb.minnorm.endpoints import CLASSES

__all__ = [
    "CLASS_COLORS",
    "CLASS_SYMBOLS",
    "PALETTE",
    "compact",
    "is_static",
    "mimebundle",
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


def is_static():
    """True while the website is being built (environment variable ``MEMNB_STATIC=1``)."""
    return os.environ.get("MEMNB_STATIC") == "1"


def setup():
    """Prepare a notebook: register the template, and run torch on one thread.

    One thread, because the chapters' tensors are small and the book runs two chapters at a time.
    """
    pio.templates["memnb"] = _template()
    pio.templates.default = "memnb"
    torch.set_num_threads(1)


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


def embed_json(data):
    """JSON text that is safe inside a ``<script>`` element."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return text.replace("</", "<\\/").replace("<!--", "<\\!--")


def escape(text):
    """Text that is safe inside an HTML attribute."""
    for raw, safe in (("&", "&amp;"), ('"', "&quot;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(raw, safe)
    return text


def mimebundle(figure):
    """What a notebook stores for a figure: static HTML in the build, plotly's MIME type in Lab."""
    alt = (figure.layout.meta or {}).get("alt", "")
    if not is_static():
        return {
            "application/vnd.plotly.v1+json": json.loads(figure.to_json()),
            "text/plain": alt,
        }
    height = figure.layout.height or 420
    html = (
        f'<div class="memnb-plot" role="img" aria-label="{escape(alt)}" '
        f'style="min-height:{height}px">'
        f'<script type="application/json">{embed_json(figure.to_json())}</script></div>'
    )
    return {"text/html": html, "text/plain": alt}


class Shown:
    """A figure that knows how to display itself in Lab and on the website."""

    def __init__(self, figure):
        self.figure = figure

    def _repr_mimebundle_(self, include=None, exclude=None):
        return mimebundle(self.figure)


def show(figure, alt):
    """Show a figure with its alternative text; the last expression of its cell.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
    alt : str
        What a reader who cannot see the figure should know; not empty.

    Returns
    -------
    Shown

    Raises
    ------
    ValueError
        If ``alt`` is empty.
    """
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"alt must be a sentence that describes the figure, got {alt!r}")
    figure.update_layout(meta={"alt": alt.strip()})
    return Shown(figure)
