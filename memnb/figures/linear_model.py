r"""Chapter 5: figures on the linear model.

Every function is pure, as in :mod:`memnb.figures.score_flow`. Curves differ by color, dash and
symbol; error bars are one standard error. Most figures of the chapter are panels of curves,
:func:`memnb.figures.curves.curves_figure`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from memnb.figures.curves import Curve, curves_figure
from memnb.figures.style import DASHES, MARK, PALETTE, SERIES, compact

__all__ = [
    "MARK",
    "Curve",
    "curves_figure",
    "onset_curves",
    "phase_diagram_figure",
    "spectrum_figure",
]


def onset_curves(
    n: Sequence[int],
    hellinger: Sequence[tuple[float, float]],
    generalizing: Sequence[tuple[float, float]],
) -> dict[str, Curve]:
    r"""The two curves of the onset, for :func:`memnb.figures.curves.curves_figure`.

    Parameters
    ----------
    n : sequence of int
        Numbers of training points.
    hellinger, generalizing : sequence of (float, float)
        Mean of :math:`H^2` and :math:`P(\Delta > 0)`, with standard errors.

    Returns
    -------
    dict of str to Curve
    """
    return {
        name: Curve(n, *zip(*pairs, strict=True))
        for name, pairs in (("E[H²]", hellinger), ("P(Δ > 0)", generalizing))
    }


def phase_diagram_figure(
    dimensions: Sequence[int],
    n: Sequence[int],
    shares: Sequence[torch.Tensor],
    curves: Mapping[str, Sequence[float]],
    titles: Sequence[str],
) -> go.Figure:
    r"""Maps of :math:`P(\Delta > 0)` over d and n, one for each N.

    Figure 5.8 of the book.

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
                line={"color": PALETTE[("orange", "pink")[k]], "width": 3, "dash": DASHES[k]},
                legendgroup=name, showlegend=column == 1, row=1, col=column,
            )  # fmt: skip
    figure.update_xaxes(title="dimension d", type="log", tickvals=list(dimensions), showgrid=False)
    figure.update_yaxes(type="log", dtick=1, exponentformat="power", showgrid=False)
    figure.update_yaxes(title="training points n", row=1, col=1)
    for column in range(2, len(titles) + 1):  # all panels have the ticks of the first
        figure.update_yaxes(showticklabels=False, row=1, col=column)
    return figure.update_layout(
        height=540, margin={"t": 120, "b": 90},
        legend={"yref": "container", "y": 0, "yanchor": "bottom"},
    )  # fmt: skip


def spectrum_figure(
    values: torch.Tensor,
    limit: float,
    c: float,
    rank: int,
    curve: tuple[Sequence[float], Sequence[float]],
) -> go.Figure:
    r"""Eigenvalues of the generated covariance, the largest first.

    Figure 5.1 of the book.

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
    curve : tuple of sequence
        The limit of large n and d: eigenvalues, and the share of the spectrum that is larger, as
        from :func:`memnb.linear.limit.spectral_curve`. May be empty.

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
    x, y = 0.5 + d * np.array(curve[1]), np.clip(curve[0], floor, None)
    figure.add_scatter(
        x=compact(x), y=compact(y), mode="lines", name="limit of large n and d",
        line={"color": SERIES[1], "width": 2},
    )  # fmt: skip
    for name, color, symbol, part in (
        ("generated", SERIES[0], "circle", slice(0, rank)),
        ("generated, zero", SERIES[0], "triangle-down-open", slice(rank, d)),
    ):
        figure.add_scatter(
            x=index[part], y=compact(values[part].clamp(min=floor)), mode="markers", name=name,
            marker={"color": color, "size": 8, "symbol": symbol},
        )  # fmt: skip
    figure.update_xaxes(title="eigenvalue, by size")
    figure.update_yaxes(
        title="variance, in units of σ²", type="log", range=[-6.2, 3], exponentformat="power",
        dtick=1,
    )  # fmt: skip
    return figure.update_layout(height=440)
