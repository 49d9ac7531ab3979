r"""Chapter 6: figures on the U-Net transition.

Every function is pure, as in :mod:`memnb.figures.score_flow`. Small images are tiles of one heatmap
of bytes, which keeps a page light; the value 255 marks the gaps between them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from memnb.figures.curves import Curve, curves_figure
from memnb.figures.style import (
    CLASS_COLORS,
    CLASS_SYMBOLS,
    GAP_SHADE,
    MARK,
    PALETTE,
    SERIES,
    compact,
)
from memnb.unet.diffusion import DiffusionSchedule

__all__ = [
    "Curve",
    "agreement_figure",
    "bars_figure",
    "curves_figure",
    "gallery_figure",
    "resolution_figure",
    "schedule_figure",
    "sweep_figure",
    "transition_figure",
]

GAP = 255  # code of the space between two images
MEMORIZED = (CLASS_COLORS["training"], CLASS_SYMBOLS["training"])
NEW = (CLASS_COLORS["virtual"], CLASS_SYMBOLS["virtual"])
Pair = tuple[Sequence[float], Sequence[float]]


def tiles(rows: Sequence[torch.Tensor]) -> np.ndarray:
    """Rows of images as one array of bytes.

    Parameters
    ----------
    rows : sequence of Tensor, each of shape (m, 1, S, S)
        Images with values in [0, 1]; the first row comes on top.

    Returns
    -------
    numpy.ndarray of uint8, shape (R (S + 1) - 1, m (S + 1) - 1)
        Values 0 to 250, and ``GAP`` between images; row 0 is the lowest, as plotly draws it.
    """
    side, count = rows[0].shape[-1], len(rows[0])
    sheet = np.full((len(rows) * (side + 1) - 1, count * (side + 1) - 1), GAP, dtype=np.uint8)
    for r, images in enumerate(rows):
        for c, image in enumerate(images[:, 0]):
            top, left = r * (side + 1), c * (side + 1)
            part = (250 * image).round().clamp(0, 250).byte().numpy()
            sheet[top : top + side, left : left + side] = part
    return sheet[::-1]


def _sheet(rows: Sequence[torch.Tensor], labels: Sequence[str]) -> go.Figure:
    z = tiles(rows)
    scale = [[0, "black"], [250 / 255, "white"], [251 / 255, GAP_SHADE], [1, GAP_SHADE]]
    side = rows[0].shape[-1]
    figure = go.Figure(
        go.Heatmap(z=z, zmin=0, zmax=255, colorscale=scale, showscale=False, hoverinfo="skip")
    )
    middle = [(len(rows) - 1 - r) * (side + 1) + (side - 1) / 2 for r in range(len(rows))]
    figure.update_yaxes(
        tickvals=middle, ticktext=labels, ticks="", showgrid=False, showline=False,
        scaleanchor="x", scaleratio=1, constrain="domain", range=[-2.2, len(z) - 0.5 + 2.2],
    )  # fmt: skip
    figure.update_xaxes(
        showticklabels=False, ticks="", showgrid=False, showline=False, constrain="domain",
        range=[-0.5, z.shape[1] - 0.5],
    )  # fmt: skip
    return figure


def gallery_figure(
    rows: Sequence[torch.Tensor],
    labels: Sequence[str],
    memorized: torch.Tensor | None = None,
    note: str = "",
) -> go.Figure:
    r"""Images in rows, and under each column whether its image is a copy.

    Figures 6.2, 6.6, 6.11, 6.12, 6.15 and 6.16 of the book.

    Parameters
    ----------
    rows : sequence of Tensor, each of shape (m, 1, S, S)
        Images with values in [0, 1].
    labels : sequence of str
        One for each row.
    memorized : Tensor of bool, shape (m,), optional
        Marks below the columns: copies and new images. Without it there are none.
    note : str
        Written below the images.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    side, count = rows[0].shape[-1], len(rows[0])
    figure = _sheet(rows, labels)
    x = np.arange(count, dtype=np.float32) * (side + 1) + (side - 1) / 2
    on = np.zeros(count, dtype=bool) if memorized is None else memorized.numpy()
    for chosen, name, (color, symbol) in ((on, "copy", MEMORIZED), (~on, "new", NEW)):
        if memorized is None:
            chosen = on
        figure.add_scatter(
            x=x[chosen], y=np.full(chosen.sum(), -2.0, np.float32), mode="markers", name=name,
            marker={"color": color, "symbol": symbol, "size": 9}, hoverinfo="skip",
            showlegend=memorized is not None, cliponaxis=False,
        )  # fmt: skip
    figure.update_xaxes(title={"text": note, "standoff": 12})
    height = 100 + min(len(rows) * 85, 300)  # more rows are smaller: a phone has no width for them
    figure.update_layout(height=height, margin={"l": 70, "r": 10, "t": 30, "b": 50})
    return figure


def sweep_figure(
    thresholds: torch.Tensor, shares: Mapping[str, torch.Tensor], null: torch.Tensor
) -> go.Figure:
    r"""Share of images that count as copies, against the threshold.

    Figure 6.4 of the book.

    Parameters
    ----------
    thresholds : Tensor, shape (T,)
    shares : dict
        Name to shares, shape (T,); at most five.
    null : Tensor, shape (T,)
        The same for held-out images.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    curves = {name: Curve(thresholds, y, mode="lines") for name, y in shares.items()}
    curves["held-out images"] = Curve(thresholds, null, mode="lines", reference=True)
    return curves_figure(
        {"": curves}, "threshold θ on d₁ / d₂", "share that counts as copies",
        log_x=False, y_range=(-0.03, 1.03), marks={"": {"1/3": 1 / 3}},
    )  # fmt: skip


def agreement_figure(
    n: Sequence[int],
    paired: Pair,
    shuffled: Pair,
    nearest: Pair,
    linear: Pair,
    beyond: Pair,
) -> go.Figure:
    r"""Similarity of the images that two networks make from the same noise.

    Figure 6.7 of the book.

    Parameters
    ----------
    n : sequence of int, length K
    paired, shuffled, nearest, linear, beyond : pairs of sequences of float, length K
        Mean and standard error of the similarity of pairs, of shuffled pairs, of images with their
        nearest training image, of the pairs that the best linear denoisers make, and of the pairs
        after these were subtracted.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    curves = {
        "two networks, same noise": Curve(n, *paired),
        "with the nearest training image": Curve(n, *nearest),
        "two linear denoisers, same noise": Curve(n, *linear),
        "two networks less linear": Curve(n, *beyond),
        "two networks, shuffled": Curve(n, *shuffled, reference=True),
    }
    return curves_figure(
        {"": curves}, "training images n", "similarity (cosine)", y_range=(0, 1.03)
    )


def transition_figure(panels: Mapping[str, Mapping[str, Any]]) -> go.Figure:
    r"""P(Δ > 0) and the scaled E_OG and E_TG against n, side by side for several generators.

    Figure 6.10 of the book.

    Parameters
    ----------
    panels : dict
        Title to a dict with ``n`` and with ``p``, ``e_og`` and ``e_tg``, pairs of values and
        errors.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = make_subplots(
        rows=1, cols=len(panels), shared_yaxes=True, subplot_titles=list(panels),
        horizontal_spacing=0.04,
    )  # fmt: skip
    looks = (
        ("p", "P(Δ > 0)", PALETTE["blue"], "circle", "solid"),
        ("e_og", "scaled E_OG", PALETTE["orange"], "diamond", "solid"),
        ("e_tg", "scaled E_TG", PALETTE["green"], "square", "dash"),
    )
    for column, panel in enumerate(panels.values(), 1):
        for key, name, color, symbol, dash in looks:
            values, errors = panel[key]
            figure.add_scatter(
                x=compact(panel["n"]), y=compact(values), row=1, col=column,
                error_y={"type": "data", "array": compact(errors), "thickness": 1.2},
                mode="lines+markers", name=name, showlegend=column == 1,
                line={"color": color, "width": 2.5, "dash": dash},
                marker={"symbol": symbol, "size": 8},
            )  # fmt: skip
        figure.add_hline(y=0.5, row=1, col=column, **MARK)
    figure.update_xaxes(type="log", title="n", dtick=1)
    figure.update_yaxes(title="P(Δ > 0), scaled E", col=1)
    figure.update_layout(legend={"y": 1.12})
    return figure


def schedule_figure(schedules: Sequence[DiffusionSchedule]) -> go.Figure:
    r"""How much of the image is left in step t: :math:`\sqrt{\bar\alpha_t}` against t / T.

    Figure 6.1 of the book.

    Parameters
    ----------
    schedules : sequence of DiffusionSchedule
        At most five.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    curves = {
        f"{s.name}, T = {s.n_steps}": Curve(
            np.arange(s.n_steps + 1) / s.n_steps, s.alpha_bars.sqrt(), mode="lines"
        )
        for s in schedules
    }
    return curves_figure(
        {"": curves}, "step t / T", "share of the image, √ᾱ", log_x=False, y_range=(-0.03, 1.05)
    )


def resolution_figure(shifts: torch.Tensor, exact: torch.Tensor, grid: torch.Tensor) -> go.Figure:
    r"""The distance of two sets of images, shifted together in brightness.

    Figure 6.8 of the book.

    Parameters
    ----------
    shifts : Tensor, shape (T,)
        What is added to every pixel of both sets.
    exact, grid : Tensor, shape (T,)
        The distance in closed form, and as a sum over 16 points.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    curves = {"closed form": (shifts, exact), "sum over 16 points": (shifts, grid)}
    figure = curves_figure({"": curves}, "added to every pixel", "distance E", log_x=False)
    figure.update_traces(marker={"size": 5})
    figure.update_yaxes(rangemode="tozero")
    return figure


def bars_figure(
    names: Sequence[str], groups: Mapping[str, Sequence[float]], y_title: str
) -> go.Figure:
    r"""Grouped bars.

    Figure 6.13 of the book.

    Parameters
    ----------
    names : sequence of str
        Below the groups of bars.
    groups : dict
        Name to heights, one for each of ``names``; at most five.
    y_title : str

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = go.Figure()
    for (name, values), color in zip(groups.items(), SERIES, strict=False):
        figure.add_bar(x=list(names), y=compact(values), name=name, marker={"color": color})
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_yaxes(title=y_title)
    return figure
