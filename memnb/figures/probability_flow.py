r"""Chapter 2: figures on probability flow.

As in :mod:`memnb.figures.score_flow`, every function is pure: tensors in, one
``plotly.graph_objects.Figure`` out, and the number, order and types of its traces do not depend on
the values.
"""

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from memnb.figures.classes import (
    counts_text,
    endpoint_areas,
    sensitivity_figure,
    shares_figure,
    side_by_side,
)
from memnb.figures.curves import dots, joined, lines
from memnb.figures.planes import SQUARE
from memnb.figures.style import (
    BAND,
    DASHES,
    MARK,
    NEUTRAL,
    PALETTE,
    class_marker,
    compact,
    legend_below,
    square,
)
from memnb.minnorm.endpoints import CLASSES, Endpoints

__all__ = [
    "critical_time_figure",
    "early_stopping_figure",
    "euler_figure",
    "levels_figure",
    "lines_figure",
    "planes_figure",
    "sensitivity_figure",
    "shares_figure",
    "side_by_side",
]

WINDOW = (-0.65, 1.75)  # of the plane of endpoints, in units of the edge


def lines_figure(
    sigma: torch.Tensor,
    curves: torch.Tensor,
    marks_sigma: torch.Tensor,
    marks: torch.Tensor,
    names: Sequence[str],
    rho: float | None = None,
    length: float = 1.0,
) -> go.Figure:
    r"""One coordinate under probability flow, against :math:`\sigma` and against :math:`t`.

    Figures 2.2 and 2.3 of the book.

    Parameters
    ----------
    sigma : Tensor, shape (T,)
        Noise levels of the curves.
    curves : Tensor, shape (T, n)
        Coordinate z of n starts.
    marks_sigma, marks : Tensor, shapes (S,) and (S, n)
        The same from another method, drawn as dots.
    names : sequence of two str
        What the curves and the dots are.
    rho : float, optional
        Ball radius at ``sigma[0]``; the ramp between :math:`\rho\sigma/\sigma_0` and
        :math:`L - \rho\sigma/\sigma_0` is shaded.
    length : float
        Length L of the ramp.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = make_subplots(
        1, 2, shared_yaxes=True, horizontal_spacing=0.06,
        subplot_titles=("in the noise σ", "in the time t = σ²"),
    )  # fmt: skip
    radius = sigma * ((rho or 0.0) / sigma[0])
    low = radius if rho is not None else torch.full_like(sigma, math.nan)
    for column, power in ((1, 1), (2, 2)):
        show = column == 1
        x, x_marks = sigma**power, marks_sigma**power
        band = torch.stack(
            [torch.cat([x, x.flip(0)]), torch.cat([low, (length - low).flip(0)])], dim=-1
        )
        paths = torch.stack([x[:, None].expand_as(curves), curves], dim=-1).transpose(0, 1)
        points = torch.stack([x_marks[:, None].expand_as(marks), marks], dim=-1).reshape(-1, 2)
        for trace in (
            lines(
                band, name="ramp", fill="toself", fillcolor=BAND, line={"width": 0},
                hoverinfo="skip", showlegend=show and rho is not None,
            ),
            lines(
                joined(paths), name=names[0], showlegend=show,
                line={"color": PALETTE["pink"], "width": 2},
            ),
            dots(points, name=names[1], marker={"color": NEUTRAL, "size": 5}, showlegend=show),
        ):  # fmt: skip
            figure.add_trace(trace.update(legendgroup=trace.name), row=1, col=column)
        end = float(x[0])
        figure.update_xaxes(range=[1.03 * end, -0.03 * end], row=1, col=column)
    figure.update_xaxes(title="noise level σ", row=1, col=1)
    figure.update_xaxes(title="time t", row=1, col=2)
    figure.update_yaxes(title="coordinate z", row=1, col=1)
    return legend_below(figure)


def euler_figure(
    steps: Sequence[int], errors: Mapping[str, Sequence[float]], rate: torch.Tensor
) -> go.Figure:
    r"""Error of a numerical method against its number of steps, both on log scales.

    Figure 2.8 of the book.

    Parameters
    ----------
    steps : sequence of int, length S
    errors : dict
        Name of the method to errors, each of length S; at most three.
    rate : Tensor, shape (S,)
        The expected errors :math:`1/\sqrt{\pi m}`, drawn as a thin line.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    steps = torch.as_tensor(steps, dtype=torch.float64)
    figure = go.Figure()
    symbols = ("circle", "square", "diamond")
    colors = (PALETTE["orange"], PALETTE["green"], PALETTE["blue"])
    for (name, error), color, dash, symbol in zip(
        errors.items(), colors, DASHES, symbols, strict=False
    ):
        # An error of exactly zero has no place on a logarithmic axis.
        error = torch.as_tensor(error, dtype=torch.float64).clamp(min=1e-17)
        figure.add_scatter(
            x=compact(steps), y=compact(error), mode="lines+markers", name=name,
            line={"color": color, "dash": dash}, marker={"symbol": symbol, "size": 8},
        )  # fmt: skip
    figure.add_scatter(
        x=compact(steps), y=compact(rate), mode="lines", name="1/√(πm)",
        line={"color": NEUTRAL, "width": 1.5},
    )  # fmt: skip
    figure.update_xaxes(type="log", title="number of steps m", tickvals=[int(s) for s in steps])
    figure.update_yaxes(
        type="log", title="error / distance traveled", exponentformat="power", dtick=2
    )
    return figure


def levels_figure(
    levels: Mapping[str, torch.Tensor], limits: Mapping[str, float], n_bins: int = 24
) -> go.Figure:
    r"""How the noise levels of two grids are spread, and where low noise begins.

    Figure 2.9 of the book.

    Parameters
    ----------
    levels : dict
        Name of the grid to its noise levels; at most two.
    limits : dict
        Label to a noise level :math:`\sigma = L / (2 \alpha)`, drawn as a vertical line; at most
        three.
    n_bins : int
        Bins of equal width in :math:`\log\sigma`.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    every = torch.cat(list(levels.values())).log10()
    edges = torch.linspace(float(every.min()), float(every.max()), n_bins + 1, dtype=torch.float64)
    colors = (PALETTE["blue"], PALETTE["amber"])
    figure, top = go.Figure(), 1
    for (name, sigma), color, dash in zip(levels.items(), colors, DASHES, strict=False):
        # The ends of the grid are the ends of the bins, up to rounding.
        inside = sigma.log10().clamp(float(edges[0]), float(edges[-1])).double()
        bins = (torch.bucketize(inside, edges, right=True) - 1).clamp(0, n_bins - 1)
        count = torch.bincount(bins, minlength=n_bins)
        top = max(top, int(count.max()))
        stairs = torch.cat([torch.zeros(1), count, torch.zeros(1)])
        figure.add_scatter(
            x=compact(10 ** torch.cat([edges[:1], edges])), y=compact(stairs), name=name,
            mode="lines", line={"shape": "hv", "color": color, "dash": dash, "width": 2},
            fill="tozeroy", opacity=0.8,
        )  # fmt: skip
    colors = (NEUTRAL, PALETTE["pink"], PALETTE["sky"])
    for (name, sigma), color, dash in zip(limits.items(), colors, DASHES, strict=False):
        figure.add_scatter(
            x=compact([sigma, sigma]), y=[0, 1.05 * top], mode="lines", name=name,
            line={"color": color, "dash": dash, "width": 3},
        )  # fmt: skip
    figure.update_xaxes(type="log", title="noise level σ", exponentformat="power", dtick=1)
    figure.update_yaxes(title="number of levels", range=[0, 1.1 * top])
    return legend_below(figure)


def critical_time_figure(
    times: torch.Tensor,
    measured: tuple[Sequence[float], Sequence[float]],
    exact: torch.Tensor,
    now: float,
) -> go.Figure:
    r"""Fraction of starts that end exactly at a vertex, :math:`P(\tau \le T)`, against T.

    Figure 2.4 of the book.

    Parameters
    ----------
    times : Tensor, shape (S,)
        Starting times T.
    measured : tuple of two sequences
        Fractions and their standard errors.
    exact : Tensor, shape (S,)
        The exact probability.
    now : float
        The chapter's T, marked by a vertical line.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    p, error = measured
    figure = go.Figure(
        [
            go.Scatter(
                x=compact(times), y=compact(exact), mode="lines", name="exact",
                line={"color": PALETTE["pink"], "width": 2.5},
            ),
            go.Scatter(
                x=compact(times), y=compact(p), mode="markers", name="measured",
                error_y={"array": compact(error), "thickness": 1.5},
                marker={"color": NEUTRAL, "size": 7},
            ),
            go.Scatter(
                x=compact([now, now]), y=[0, 1], mode="lines", name="this chapter's T", **MARK,
            ),
        ]
    )  # fmt: skip
    figure.update_xaxes(title="starting time T")
    figure.update_yaxes(title="fraction that ends at a vertex", range=[-0.03, 1.03])
    return figure


def _title(name: str, counts: Mapping[str, int]) -> str:
    """A panel's title: its name, and the counts of the five classes on three short lines."""
    parts = [f"{kind} {count}" for kind, count in counts.items()]
    rows = (" · ".join(parts[:2]), " · ".join(parts[2:4]), parts[4])
    return "<br>".join((f"<b>{name}</b>", *rows))


def planes_figure(panels: Mapping[str, tuple[torch.Tensor, Endpoints]]) -> go.Figure:
    r"""Endpoints of two flows in their first two coordinates, with the counts as titles.

    Figure 2.1 of the book.

    Parameters
    ----------
    panels : dict
        Name of the flow to ``(z, endpoints)``: coordinates :math:`z_1, z_2` of shape (n, 2) in
        units of the edge, and their :class:`memnb.minnorm.endpoints.Endpoints`. Two entries.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    titles = [_title(name, ends.counts()) for name, (_, ends) in panels.items()]
    figure = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.08)
    style = {"color": NEUTRAL, "width": 1}
    for column, (z, ends) in enumerate(panels.values(), start=1):
        figure.add_trace(
            lines(SQUARE, line=style, hoverinfo="skip", showlegend=False), row=1, col=column
        )
        # From the last class to the first: many boundary points must not hide a few vertices.
        for index, name in reversed(list(enumerate(CLASSES))):
            # An empty trace would have no entry in the legend.
            chosen = torch.cat([z[ends.labels == index], torch.full((1, 2), math.nan).to(z)])
            marker = class_marker(name, 6)
            trace = dots(
                chosen, name=name, marker=marker, hoverinfo="skip", legendgroup=name,
                showlegend=column == 1,
            )  # fmt: skip
            figure.add_trace(trace, row=1, col=column)
    figure.update_xaxes(title="coordinate z₁")
    figure.update_yaxes(title="coordinate z₂", row=1, col=1)
    figure.update_annotations(font={"size": 12})
    figure = legend_below(square(figure, WINDOW, WINDOW)).update_layout(
        height=520, margin={"t": 90}
    )
    return figure.update_layout(legend={"traceorder": "reversed"})


def early_stopping_figure(rho: torch.Tensor, counts: torch.Tensor, now: int) -> go.Figure:
    r"""Number of endpoints in each class against the initial radius, stacked.

    Figure 2.5 of the book.

    Parameters
    ----------
    rho : Tensor, shape (S,)
        Initial ball radii :math:`\rho_T`.
    counts : Tensor, shape (S, 5)
        Number of endpoints in each of :data:`memnb.minnorm.endpoints.CLASSES`.
    now : int
        Index of the radius that the title of the axis spells out.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    ends = counts_text(dict(zip(CLASSES, counts[now].tolist(), strict=True)))
    note = f'<span style="font-size:12px">at {float(rho[now]):.2g}: {ends}</span>'
    title = f"initial ball radius ρ_T<br>{note}"
    return endpoint_areas(rho, counts, title, symbol="ρ", log_x=False)
