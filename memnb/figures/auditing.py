"""Chapter 7: figures on audits: measured against true shares, thresholds, detection."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from memnb.figures.curves import Curve, curves_figure
from memnb.figures.style import BAND, DASHES, MARK, SERIES, SYMBOLS, compact

__all__ = [
    "audit_transition_figure",
    "blind_regions_figure",
    "cell_test_figure",
    "measured_shares_figure",
    "ratio_thresholds_figure",
]

NAMES = {
    "copies": "copies, d1/d2",
    "nearer": "nearer to training",
    "authenticity": "authenticity",
}


def measured_shares_figure(
    panels: Mapping[str, Mapping[str, Sequence[float]]], shares: Sequence[float]
) -> go.Figure:
    """The share of copies that each measure stands for, against the true one.

    Figures 7.2, 7.4 and 7.5 of the book.

    Parameters
    ----------
    panels : mapping of str to mapping
        Title of a panel to what :func:`memnb.auditing.calibration.measured_shares` returns.
    shares : sequence of float
        The true shares.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    curves = {
        title: {
            **{words: Curve(shares, values[name]) for name, words in NAMES.items()},
            "truth": Curve(shares, shares, mode="lines", reference=True),
        }
        for title, values in panels.items()
    }
    return curves_figure(
        curves,
        "true share of copies",
        "measured share",
        log_x=False,
        y_range=(-0.05, 1.08),
        height=430,
    )


def cell_test_figure(values: Mapping[str, Sequence[float]], shares: Sequence[float]) -> go.Figure:
    """C_T against the true share of copies, for several kinds of other points.

    Figure 7.3 of the book.

    Parameters
    ----------
    values : mapping of str to sequence of float
        Kind of the other points to C_T.
    shares : sequence of float
        The true shares.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    curves = {name: Curve(shares, y) for name, y in values.items()}
    return curves_figure({"": curves}, "true share of copies", "C_T", log_x=False, height=400)


def ratio_thresholds_figure(curve: Mapping[str, Sequence[float]], chance: np.ndarray) -> go.Figure:
    """Share of points with d1/d2 below a threshold: generated, held out, and by chance.

    Figure 7.1 of the book.

    Parameters
    ----------
    curve : mapping
        ``threshold``, ``generated`` and ``held_out``, as a measure has them.
    chance : ndarray
        The share that points in general position have, at the same thresholds.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    x = curve["threshold"]
    curves = {
        "generated": Curve(x, curve["generated"], mode="lines"),
        "held out": Curve(x, curve["held_out"], mode="lines"),
        "by chance": Curve(x, chance, mode="lines", reference=True),
    }
    return curves_figure(
        {"": curves},
        "threshold on d1/d2",
        "share below",
        log_x=False,
        y_range=(-0.03, 1.05),
        height=380,
    )


def blind_regions_figure(
    curves: Mapping[str, Mapping[str, Sequence[float]]],
    shares: Sequence[float],
    bands: Mapping[str, tuple[float, float]],
    smallest: Mapping[str, float],
) -> go.Figure:
    """Each measure against the true share of copies, with the region in which it is blind.

    Figure 7.6 of the book.

    Parameters
    ----------
    curves : mapping
        Name of a curve to the values of each measure: title of the measure to one value for each
        share.
    shares : sequence of float
        The true shares.
    bands : mapping
        Title of a measure to the lowest and highest value that tell nothing from no copies.
    smallest : mapping
        Title of a measure to the smallest share that it finds; nan if it finds none.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    titles = list(bands)
    figure = make_subplots(
        2, 2, subplot_titles=titles, horizontal_spacing=0.12, vertical_spacing=0.2
    )
    for k, title in enumerate(titles):
        where = {"row": 1 + k // 2, "col": 1 + k % 2}
        for i, (name, values) in enumerate(curves.items()):
            figure.add_scatter(
                x=compact(shares), y=compact(values[title]), name=name, legendgroup=name,
                showlegend=k == 0, line={"color": SERIES[i], "dash": DASHES[i]},
                marker={"color": SERIES[i], "symbol": SYMBOLS[i], "size": 6}, **where,
            )  # fmt: skip
        low, high = bands[title]
        figure.add_hrect(y0=low, y1=high, fillcolor=BAND, line_width=0, **where)
        if np.isfinite(smallest[title]):
            figure.add_vline(x=smallest[title], **MARK, **where)
    figure.update_xaxes(range=[-0.03, 1.03])
    figure.update_xaxes(title="true share of copies", row=2)
    return figure.update_layout(
        height=640,
        margin={"t": 40, "b": 110},
        legend={"yref": "container", "y": 0, "yanchor": "bottom", "font": {"size": 12}},
    )


def audit_transition_figure(
    sizes: Sequence[int], values: Mapping[str, np.ndarray], dim: int
) -> go.Figure:
    """What measures say of the linear model over its number of training points.

    Figure 7.7 of the book.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of training points.
    values : mapping
        What :func:`memnb.auditing.known.linear_transition` returns.
    dim : int
        The dimension, which is marked.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    curves = {}
    for key, name in (
        ("copies", "copies, d1/d2"),
        ("nearer", "nearer to training"),
        ("densities", "P(Δ > 0)"),
    ):
        rows = np.asarray(values[key])
        known = np.isfinite(rows).all(axis=1)
        error = rows.std(axis=1, ddof=1) / np.sqrt(rows.shape[1])
        curves[name] = Curve(np.asarray(sizes)[known], rows.mean(axis=1)[known], error[known])
    return curves_figure(
        {"": curves},
        "number n of training points",
        "value",
        y_range=(-0.05, 1.05),
        marks={"": {f"n = d = {dim}": dim}},
        level=0.5,
        height=400,
    )
