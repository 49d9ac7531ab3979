r"""Chapter 3: figures on simplex data.

Every function is pure, as in :mod:`memnb.figures.score_flow`. In pictures of the plane the
background is colored by where a start ends: shades of the training color for training points,
shades of the virtual color for other attractors.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
import torch

from memnb.figures.curves import dots, joined, lines
from memnb.figures.planes import arrows, circles
from memnb.figures.style import (
    ARROW_ON_SHADE,
    DASHES,
    INK_ON_SHADE,
    MARK,
    PALETTE,
    SERIES,
    SYMBOLS,
    TRAINING_SHADES,
    UNDECIDED_SHADE,
    VIRTUAL_SHADES,
    class_marker,
    compact,
    square,
)

__all__ = [
    "UNDECIDED",
    "basin_figure",
    "deviation_figure",
    "saving_figure",
    "stable_sums_figure",
]

UNDECIDED = 0  # codes of a basin: 0, then the training points, then the virtual points
N_SHADES = len(TRAINING_SHADES)


def _basin_colors() -> list[list[float | str]]:
    colors = (UNDECIDED_SHADE, *TRAINING_SHADES, *VIRTUAL_SHADES)
    edges = np.linspace(0, 1, len(colors) + 1)
    return [[float(e), c] for i, c in enumerate(colors) for e in (edges[i], edges[i + 1])]


def _codes(basins: torch.Tensor, is_training: torch.Tensor) -> np.ndarray:
    """Color codes: 0 undecided, 1 to 5 training points, 6 to 11 virtual points, repeated."""
    code = torch.zeros(len(is_training) + 1, dtype=torch.long)
    n_training = n_virtual = 0
    for index, training in enumerate(is_training.tolist(), 1):
        if training:
            code[index], n_training = 1 + n_training % N_SHADES, n_training + 1
        else:
            code[index] = 1 + N_SHADES + n_virtual % len(VIRTUAL_SHADES)
            n_virtual += 1
    return code[basins].numpy().astype(np.uint8)


def basin_figure(
    denoiser: Callable[[torch.Tensor], torch.Tensor],
    ticks: tuple[torch.Tensor, torch.Tensor],
    basins: torch.Tensor,
    attractors: torch.Tensor,
    is_training: torch.Tensor,
    points: torch.Tensor,
    rho: float,
    n_arrows: int = 10,
) -> go.Figure:
    r"""A plane with the vector field :math:`h(y) - y` over the basins of its attractors.

    Figures 3.1, 3.7 and 3.10 of the book.

    Parameters
    ----------
    denoiser : callable
        Maps (..., 2) to (..., 2).
    ticks : tuple of two tensors
        Positions of the columns and rows of ``basins``, equally spaced.
    basins : Tensor of int64, shape (rows, columns)
        For each start the attractor in which it ends, counted from 1; 0 is undecided.
    attractors : Tensor, shape (M, 2)
        The attractors.
    is_training : Tensor of bool, shape (M,)
        Which of them are training points.
    points : Tensor, shape (N, 2)
        The training points.
    rho : float
        Radius of the balls around them.
    n_arrows : int
        Arrows along each axis.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    x, y = ticks
    codes = _codes(basins, is_training)
    figure = go.Figure(
        go.Heatmap(
            x0=float(x[0]), dx=float(x[1] - x[0]), y0=float(y[0]), dy=float(y[1] - y[0]), z=codes,
            zmin=-0.5, zmax=N_SHADES + len(VIRTUAL_SHADES) + 0.5, colorscale=_basin_colors(),
            showscale=False, hoverinfo="skip",
        )
    )  # fmt: skip
    window = (float(x[0]), float(x[-1]))
    heights = (float(y[0]), float(y[-1]))
    # The legend leaves out the dark arrows, which could not be read on a dark page.
    figure.add_traces(
        arrows(
            lambda at: denoiser(at) - at, window, heights, n_arrows,
            color=ARROW_ON_SHADE, legend=False,
        )
    )  # fmt: skip
    figure.add_trace(
        lines(
            joined(circles(points, rho)), hoverinfo="skip", showlegend=False,
            line={"color": INK_ON_SHADE, "width": 1.5, "dash": "dot"},
        )
    )  # fmt: skip
    kinds = (("training", "training point"), ("virtual", "stable, not in the data"))
    for kind, text in kinds:
        chosen = attractors[is_training == (kind == "training")]
        marker = class_marker(kind, 14, line={"width": 2, "color": "white"})
        figure.add_trace(dots(chosen, name=text, marker=marker, showlegend=True))
    figure.update_layout(height=560, legend={"font": {"size": 12}})
    figure.update_xaxes(title="y₁", showgrid=False)
    figure.update_yaxes(title="y₂", showgrid=False)
    return square(figure, window, heights)


def stable_sums_figure(
    angles: Sequence[float], shares: Mapping[int, Sequence[float]], limit: float
) -> go.Figure:
    r"""Share of the sums of each size that are stable, against the angle.

    Figure 3.2 of the book.

    Parameters
    ----------
    angles : sequence of float, length T
        Common angle of the edges in degrees.
    shares : dict
        Size of the sum to shares, length T; at most five.
    limit : float
        The widest angle that exists, drawn as a vertical line.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = go.Figure()
    for (size, share), color, dash in zip(shares.items(), SERIES, DASHES, strict=False):
        figure.add_scatter(
            x=compact(angles), y=compact(share), mode="lines", name=f"sums of {size}",
            line={"color": color, "width": 3, "dash": dash},
        )  # fmt: skip
    figure.add_vline(x=limit, annotation_text="widest", annotation_position="top left", **MARK)
    figure.update_xaxes(title="angle between the edges, degrees")
    figure.update_yaxes(title="share that is stable", range=[-0.03, 1.03])
    return figure


def deviation_figure(angles: Sequence[float], curves: Mapping[str, Sequence[float]]) -> go.Figure:
    r"""How far the probability flow is from the closed form of orthogonal data.

    Figure 3.6 of the book.

    Parameters
    ----------
    angles : sequence of float, length T
        Angle of the edges in degrees.
    curves : dict
        Name to deviations, length T; at most three.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = go.Figure()
    for (name, values), color, symbol in zip(curves.items(), SERIES, SYMBOLS, strict=False):
        figure.add_scatter(
            x=compact(angles), y=compact(values), mode="lines+markers", name=name,
            line={"color": color, "width": 2}, marker={"symbol": symbol, "size": 8},
        )  # fmt: skip
    figure.update_xaxes(title="angle between the edges, degrees")
    figure.update_yaxes(title="deviation, in edges", rangemode="tozero")
    return figure


def saving_figure(rho: torch.Tensor, saving: torch.Tensor, marks: Mapping[str, float]) -> go.Figure:
    r"""What the cheapest network saves against a closed form, against the ball radius.

    Figure 3.8 of the book.

    Parameters
    ----------
    rho : Tensor, shape (T,)
        Ball radii.
    saving : Tensor, shape (T,)
        1 - cost / closed form.
    marks : dict
        Label to radius, drawn as vertical lines.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = go.Figure(
        go.Scatter(
            x=compact(rho), y=compact(100 * saving), mode="lines+markers", name="saving",
            line={"color": PALETTE["pink"], "width": 2},
        )
    )  # fmt: skip
    for label, value in marks.items():
        figure.add_vline(x=value, annotation_text=label, annotation_position="top left", **MARK)
    figure.update_xaxes(title="ball radius ρ / R")
    figure.update_yaxes(title="saving, % of the closed form's cost", range=[-0.5, 10])
    return figure
