"""Chapters 1 to 3: what pictures of a plane share: circles, arrows, the unit square."""

import math
from collections.abc import Callable

import plotly.graph_objects as go
import torch

from memnb.figures.curves import dots, joined, lines
from memnb.figures.style import ARROW, compact

__all__ = ["SQUARE", "arrows", "circles"]

SQUARE = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])  # around the unit square


def circles(centers: torch.Tensor, radius: float, n: int = 49) -> torch.Tensor:
    """Circles around points.

    Parameters
    ----------
    centers : Tensor, shape (N, 2)
    radius : float
    n : int
        Points of each circle; the last is the first.

    Returns
    -------
    Tensor, shape (N, n, 2)
    """
    angle = torch.linspace(0, 2 * math.pi, n, dtype=centers.dtype)
    circle = radius * torch.stack([angle.cos(), angle.sin()], dim=-1)
    return centers[:, None] + circle


def arrows(
    velocity: Callable[[torch.Tensor], torch.Tensor],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    n: int,
    color: str = ARROW,
    legend: bool = True,
) -> tuple[go.Scatter, go.Scatter]:
    r"""Arrows of a vector field on an n by n grid: a trace of shafts and one of heads.

    A vector :math:`v` is drawn with the length :math:`0.9\, \delta\, |v| / (|v| + 1/4)`, where
    :math:`\delta` is the spacing of the grid: lengths saturate, so that slow sliding stays visible
    beside a fast fall.

    Parameters
    ----------
    velocity : callable
        Maps (n * n, 2) to (n * n, 2).
    x_range, y_range : pair of float
        The window, of equal width and height.
    n : int
        Arrows along each axis.
    color : str
    legend : bool
        Whether the legend names the field.

    Returns
    -------
    tuple of two plotly.graph_objects.Scatter
    """
    x, y = (torch.linspace(*ends, n, dtype=torch.float64) for ends in (x_range, y_range))
    grid = torch.cartesian_prod(x, y)
    v = velocity(grid)
    speed = v.norm(dim=-1, keepdim=True)
    tip = grid + 0.9 * (x[1] - x[0]) * v / (speed + 0.25)
    angle = torch.rad2deg(torch.atan2(v[:, 0], v[:, 1]))
    shafts = lines(
        joined(torch.stack([grid, tip], dim=1)), line={"color": color, "width": 1},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    heads = dots(
        tip, name="h(y) − y", hoverinfo="skip", showlegend=legend,
        marker={"color": color, "symbol": "arrow", "size": 6, "angle": compact(angle)},
    )  # fmt: skip
    return shafts, heads
