r"""Chapters 1 to 6: curves, from a polyline to panels of named curves with error bars.

A :class:`Curve` is data with a look; :func:`curves_figure` draws named curves in one panel or in
several. :func:`lines` and :func:`dots` are the traces that figures of other kinds are put together
from.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from memnb.figures.style import DASHES, MARK, NEUTRAL, SERIES, SYMBOLS, compact

__all__ = ["Curve", "curves_figure", "dots", "joined", "lines"]

MODES = ("lines", "markers", "lines+markers")


@dataclass(frozen=True)
class Curve:
    """One curve of :func:`curves_figure`.

    Parameters
    ----------
    x, y : sequence of float, length T
        Its points.
    error : sequence of float, length T, optional
        Half lengths of the error bars.
    mode : {"lines+markers", "lines", "markers"}
        What is drawn.
    reference : bool
        Gray and dotted: what the other curves are compared with.

    Raises
    ------
    ValueError
        If lengths differ, or there is no such mode.
    """

    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] | None = None
    mode: str = "lines+markers"
    reference: bool = False

    def __post_init__(self) -> None:
        lengths = [len(part) for part in (self.x, self.y, self.error) if part is not None]
        if len(set(lengths)) != 1:
            raise ValueError(f"x, y and error must have one length, got {lengths}")
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")

    @classmethod
    def of(cls, value: "Curve | Sequence[Any]", name: str) -> "Curve":
        """A curve as it is, or one from ``(x, y)`` or ``(x, y, error)``; ``name`` is for errors.

        Raises
        ------
        TypeError
            If it is none of these.
        """
        if isinstance(value, cls):
            return value
        if not isinstance(value, tuple | list) or len(value) not in (2, 3):
            raise TypeError(
                f"curve {name!r} must be a Curve, (x, y) or (x, y, error), got {value!r:.80}"
            )
        return cls(*value)


def joined(paths: torch.Tensor) -> torch.Tensor:
    """Paths (n, T, 2) as one list of points (n (T + 1), 2), with nan where the pen lifts."""
    gap = torch.full((paths.shape[0], 1, 2), math.nan, dtype=paths.dtype)
    return torch.cat([paths, gap], dim=1).reshape(-1, 2)


def lines(xy: torch.Tensor, **look: Any) -> go.Scatter:
    """A polyline through points of shape (n, 2); ``look`` are properties of plotly's trace."""
    return go.Scatter(x=compact(xy[:, 0]), y=compact(xy[:, 1]), mode="lines", **look)


def dots(xy: torch.Tensor, **look: Any) -> go.Scatter:
    """Markers at points of shape (n, 2); ``look`` are properties of plotly's trace."""
    return go.Scatter(x=compact(xy[:, 0]), y=compact(xy[:, 1]), mode="markers", **look)


def _trace(curve: Curve, name: str, index: int) -> go.Scatter:
    bars = None
    if curve.error is not None:
        bars = {"array": compact(curve.error), "thickness": 1, "width": 2}
    color, dash, symbol = (part[index % len(part)] for part in (SERIES, DASHES, SYMBOLS))
    if curve.reference:
        color, dash, symbol = NEUTRAL, "dot", "line-ns-open"
    return go.Scatter(
        x=compact(curve.x), y=compact(curve.y), error_y=bars, mode=curve.mode, name=name,
        line={"color": color, "width": 2, "dash": dash},
        marker={"color": color, "symbol": symbol, "size": 7},
    )  # fmt: skip


def _log_axis(values: Sequence[float], narrow: bool) -> dict[str, Any]:
    """A logarithmic axis with ticks at 1, 2, 5, 10, ..., or at powers of 10 if it is long.

    At 1, 3, 10 or every second power if the panel is narrow, so that labels need not be turned.
    """
    positive = [float(v) for v in values if v > 0]
    if not positive:
        raise ValueError("a logarithmic axis needs a positive x, got none")
    least, most = min(positive), max(positive)
    if most / least > 300:
        return {
            "type": "log", "dtick": 1 + narrow, "tick0": 0, "exponentformat": "power",
            "tickangle": 0,
        }  # fmt: skip
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    steps = (1, 3) if narrow and most / least > 10 else (1, 2, 5)
    return {"type": "log", "tickvals": [m * 10.0**k for k in powers for m in steps]}


def curves_figure(
    panels: Mapping[str, Mapping[str, Curve | Sequence[Any]]],
    x_title: str,
    y_title: str,
    *,
    log_x: bool = True,
    log_y: bool = False,
    y_range: Sequence[float] | None = None,
    marks: Mapping[str, Mapping[str, float]] | None = None,
    level: float | None = None,
    height: int = 430,
) -> go.Figure:
    r"""Named curves in one panel or in several, with one legend below.

    Two or three panels stand side by side; four and more in rows of two.

    Parameters
    ----------
    panels : dict
        Title of a panel to its curves: a dict of name to :class:`Curve`, or to ``(x, y)`` or
        ``(x, y, error)`` for short. A name has the same look in every panel. A single panel's title
        is not shown and may be empty.
    x_title, y_title : str
    log_x, log_y : bool
        Logarithmic axes.
    y_range : sequence of two float, optional
        Range of the vertical axis, in its own units.
    marks : dict, optional
        Title of a panel to a dict of label to position, drawn as vertical lines.
    level : float, optional
        A horizontal line in every panel.
    height : int
        Height in pixels, without the legend.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    TypeError
        If a panel is no dict, or a curve none of the three.
    ValueError
        If there is no curve, the lengths of one differ, or a logarithmic axis has no positive x.
    """
    for title, curves in panels.items():
        if not isinstance(curves, Mapping):
            raise TypeError(f"panel {title!r} must map names to curves, got {curves!r:.80}")
    drawn = {
        title: {name: Curve.of(curve, name) for name, curve in curves.items()}
        for title, curves in panels.items()
    }
    names = list(dict.fromkeys(name for curves in drawn.values() for name in curves))
    if not names:
        raise ValueError("panels must hold at least one curve, got none")
    reference = {n for curves in drawn.values() for n, c in curves.items() if c.reference}
    looks = {name: k for k, name in enumerate(n for n in names if n not in reference)}
    several, n_rows, columns = len(drawn) > 1, 1, 1
    figure = go.Figure()
    if several:
        columns = len(drawn) if len(drawn) < 4 else 2
        n_rows = -(-len(drawn) // columns)
        figure = make_subplots(
            n_rows, columns, subplot_titles=list(drawn), horizontal_spacing=0.09,
            vertical_spacing=0.3 / n_rows,
        )  # fmt: skip
    shown: set[str] = set()
    for place, (title, curves) in enumerate(drawn.items()):
        where = {"row": 1 + place // columns, "col": 1 + place % columns} if several else {}
        for name, curve in curves.items():
            trace = _trace(curve, name, looks.get(name, 0))
            trace.update(legendgroup=name, showlegend=name not in shown)
            shown.add(name)
            figure.add_trace(trace, **where)
        marked = sorted((marks or {}).get(title, {}).items(), key=lambda mark: mark[1])
        for k, (label, at) in enumerate(marked):
            figure.add_vline(x=float(at), **where, **MARK)
            figure.add_annotation(
                x=math.log10(at) if log_x else at, y=1, yref="y domain", text=label,
                showarrow=False, xanchor=("right", "left")[k % 2], yanchor="top",
                font={"size": 12}, **where,
            )  # fmt: skip
        if level is not None:
            figure.add_hline(y=level, **where, **MARK)
    xs = [x for curves in drawn.values() for curve in curves.values() for x in curve.x]
    if log_x:
        figure.update_xaxes(**_log_axis(xs, narrow=several))
    figure.update_xaxes(title=x_title, **({"row": n_rows} if several else {}))
    if log_y:
        figure.update_yaxes(type="log", exponentformat="power", dtick=1)
    if y_range is not None:
        figure.update_yaxes(range=list(y_range))
    figure.update_yaxes(title=y_title, **({"col": 1} if several else {}))
    rows = -(-len(names) // 2)
    height += 220 * (n_rows - 1)
    return figure.update_layout(
        height=height + 20 * rows,
        margin={"t": 45 if several else 25, "b": 75 + 20 * rows},
        legend={"yref": "container", "y": 0, "yanchor": "bottom", "font": {"size": 12}},
    )
