"""Chapter 7: figures on audits: measured against true shares, thresholds, detection."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from memnb.figures.curves import Curve, curves_figure

__all__ = ["cell_test_figure", "measured_shares_figure", "ratio_thresholds_figure"]

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
