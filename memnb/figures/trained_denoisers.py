r"""Chapter 4: figures on trained networks.

Every function is pure, as in :mod:`memnb.figures.score_flow`. Trained networks have solid lines and
plain bars, exact denoisers dashed lines and hatched bars.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from memnb.figures.style import CLASS_COLORS, CLASS_SYMBOLS, MARK, PALETTE, compact
from memnb.minnorm.endpoints import CLASSES
from memnb.stats import fraction_error

__all__ = [
    "METHOD_COLORS",
    "against_n_figure",
    "distance_figure",
    "level_ticks_figure",
    "methods_figure",
    "rays_figure",
    "residual_cost_figure",
    "stable_sums_bars",
    "training_figure",
]

METHOD_COLORS = dict(
    zip(
        ("lagrangian", "weight-decay", "adam", "dropout"),
        ("blue", "green", "orange", "pink"),
        strict=True,
    )
)
METHOD_SYMBOLS = dict(zip(METHOD_COLORS, ("circle", "square", "diamond", "x"), strict=True))
KINDS = {"rays": ("blue", "circle"), "faces": ("green", "square"), "random": ("orange", "diamond")}
SHOWN = ("training", "virtual", "boundary")  # the other classes share one curve


def _two_panels(titles: Sequence[str], **options: Any) -> go.Figure:
    figure = make_subplots(rows=1, cols=2, subplot_titles=titles, **options)
    figure.update_layout(
        legend={"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top"},
        height=440,
        margin={"l": 60, "r": 20, "t": 40, "b": 110},
    )
    return figure


def training_figure(history: torch.Tensor, closed_form: float) -> go.Figure:
    r"""Residual and cost of the first network during training.

    Figure 4.1 of the book.

    Parameters
    ----------
    history : Tensor, shape (rounds, 2, S)
        As in :class:`memnb.shallow.train.FitResult`.
    closed_form : float
        Cost of the closed form of the same samples.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    rounds = torch.arange(1, len(history) + 1)
    figure = _two_panels(("residual (rms)", "cost"), horizontal_spacing=0.14)
    for column, name in ((1, "residual"), (2, "cost")):
        figure.add_scatter(
            x=compact(rounds), y=compact(history[:, column - 1, 0]), mode="lines", name=name,
            showlegend=False, line={"color": PALETTE["blue"], "width": 2.5}, row=1, col=column,
        )  # fmt: skip
    figure.add_scatter(
        x=compact(rounds[[0, -1]]), y=compact([closed_form] * 2), mode="lines",
        name="closed form of the same samples", row=1, col=2,
        line={"color": PALETTE["orange"], "width": 2, "dash": "dash"},
    )  # fmt: skip
    figure.update_xaxes(title="round")
    figure.update_yaxes(type="log", dtick=1, exponentformat="power", row=1, col=1)
    figure.update_yaxes(rangemode="tozero", row=1, col=2)
    return figure


def rays_figure(
    t: torch.Tensor, curves: Mapping[str, tuple[torch.Tensor, torch.Tensor]]
) -> go.Figure:
    r"""Denoisers along lines through training points.

    Figure 4.2 of the book.

    Parameters
    ----------
    t : Tensor, shape (T,)
        Position on the line; 0 is :math:`x_0` and 1 its other end.
    curves : dict
        Panel title to a pair (trained, closed form) of tensors (T, lines): the component of h along
        the line.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = _two_panels(tuple(curves), shared_yaxes=True, horizontal_spacing=0.06)
    for column, (trained, closed) in enumerate(curves.values(), 1):
        for k, line in enumerate(trained.mT):
            figure.add_scatter(
                x=compact(t), y=compact(line), mode="lines", name="trained network",
                legendgroup="trained", showlegend=column == 1 and k == 0, row=1, col=column,
                line={"color": PALETTE["blue"], "width": 1.5}, hoverinfo="skip",
            )  # fmt: skip
        figure.add_scatter(
            x=compact(t), y=compact(closed.mean(dim=1)), mode="lines",
            name="closed form of the samples", legendgroup="closed", showlegend=column == 1,
            line={"color": PALETTE["orange"], "width": 2.5, "dash": "dash"}, row=1, col=column,
        )  # fmt: skip
    figure.update_xaxes(title="position")
    figure.update_yaxes(title="h along the line", row=1, col=1)
    return figure


def distance_figure(counts: Sequence[int], distance: torch.Tensor) -> go.Figure:
    r"""Distance of trained networks to the closed form against the number of samples.

    Figure 4.3 of the book.

    Parameters
    ----------
    counts : sequence of int
        Samples M of a point.
    distance : Tensor, shape (len(counts), draws, 3)
        Root mean square distances on rays, faces and random points of the box.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = go.Figure()
    mean, spread = distance.mean(dim=1), distance.std(dim=1) / distance.shape[1] ** 0.5
    for column, (name, (color, symbol)) in enumerate(KINDS.items()):
        figure.add_scatter(
            x=list(counts), y=compact(mean[:, column]), name=name, mode="lines+markers",
            error_y={"array": compact(spread[:, column])},
            line={"color": PALETTE[color]}, marker={"symbol": symbol, "size": 9},
        )  # fmt: skip
    figure.update_xaxes(
        title="noisy samples M of each point", type="log", tickvals=list(counts),
        ticktext=[str(c) for c in counts],
    )  # fmt: skip
    figure.update_yaxes(title="rms distance to the closed form", rangemode="tozero")
    return figure


def stable_sums_bars(shares: Mapping[str, Sequence[float]]) -> go.Figure:
    r"""Share of stable sums by their order.

    Figure 4.4 of the book.

    Parameters
    ----------
    shares : dict
        Name to a list of shares of the pairs, triples and quadruples.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    colors = ("gray", "blue", "sky", "green")
    patterns = ("", "", "/", ".")
    figure = go.Figure()
    for (name, values), color, pattern in zip(shares.items(), colors, patterns, strict=False):
        figure.add_bar(
            x=["pairs", "triples", "quadruples"], y=compact(values), name=name,
            marker={"color": PALETTE[color], "pattern": {"shape": pattern}},
        )  # fmt: skip
    figure.update_layout(barmode="group")
    figure.update_xaxes(title="sums of training points")
    figure.update_yaxes(title="share that is stable", range=[0, 1.05], tickformat=".0%")
    return figure


def against_n_figure(
    counts: Sequence[int],
    panels: Mapping[str, tuple[Sequence[Any], Sequence[Any]]],
    n_starts: int,
) -> go.Figure:
    r"""Fractions of endpoint classes against the number of training points, with error bars.

    Figures 4.6 and 4.11 of the book.

    Parameters
    ----------
    counts : sequence of int
        Values of N.
    panels : dict
        Title to a pair (trained, exact) of lists, one entry for each N, of what
        :meth:`memnb.minnorm.endpoints.Endpoints.fractions` returns.
    n_starts : int
        Starts behind each fraction, for the error of the sum of the classes shown as "other".

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = _two_panels(tuple(panels), shared_yaxes=True, horizontal_spacing=0.06)
    for column, pair in enumerate(panels.values(), 1):
        for name, series, dash in zip(("trained", "exact"), pair, ("solid", "dash"), strict=True):
            for kind in (*SHOWN, "other"):
                pairs = [_fraction(fractions, kind, n_starts) for fractions in series]
                p, error = zip(*pairs, strict=True)
                color = CLASS_COLORS.get(kind, PALETTE["gray"])
                symbol = CLASS_SYMBOLS.get(kind, "x")
                figure.add_scatter(
                    x=list(counts), y=compact(p), mode="lines+markers", name=f"{kind}, {name}",
                    error_y={"array": compact(error), "width": 3}, legendgroup=f"{kind}{name}",
                    showlegend=column == 1, line={"color": color, "dash": dash},
                    marker={"symbol": symbol, "size": 8 if name == "trained" else 6},
                    row=1, col=column,
                )  # fmt: skip
    figure.update_xaxes(title="training points N", tickvals=list(counts))
    figure.update_yaxes(range=[-0.03, 1.03])
    figure.update_yaxes(title="fraction of starts", row=1, col=1)
    return figure.update_layout(height=500, margin={"b": 160})


def _fraction(
    fractions: Mapping[str, tuple[float, float]], kind: str, n_starts: int
) -> tuple[float, float]:
    """A class's fraction and its error; "other" is what is in none of the three shown."""
    if kind in fractions:
        return fractions[kind]
    p = fractions["interior"][0] + fractions["outside"][0]
    return p, fraction_error(p, n_starts)


def methods_figure(panels: Mapping[str, Mapping[str, Any]]) -> go.Figure:
    r"""Endpoint classes of several training methods and both flows.

    Figure 4.7 of the book.

    Parameters
    ----------
    panels : dict
        Title to a dict of method to what
        :meth:`memnb.minnorm.endpoints.Endpoints.fractions` returns.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = _two_panels(tuple(panels), shared_yaxes=True, horizontal_spacing=0.06)
    for column, methods in enumerate(panels.values(), 1):
        for kind in CLASSES:
            figure.add_bar(
                x=list(methods), y=compact([f[kind][0] for f in methods.values()]), name=kind,
                marker={"color": CLASS_COLORS[kind]}, legendgroup=kind, showlegend=column == 1,
                row=1, col=column,
            )  # fmt: skip
    figure.update_layout(barmode="stack", legend={"y": -0.35})
    figure.update_xaxes(tickangle=-30)
    figure.update_yaxes(range=[0, 1.02])
    figure.update_yaxes(title="fraction of starts", row=1, col=1)
    return figure.update_layout(height=480, margin={"b": 150})


def residual_cost_figure(
    points: Mapping[str, tuple[torch.Tensor, torch.Tensor]],
) -> go.Figure:
    r"""Residual against cost of every trained network at low noise.

    Figure 4.8 of the book.

    Parameters
    ----------
    points : dict
        Method to a pair of tensors: cost over that of the closed form, and residual over the noise
        level.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = go.Figure()
    for method, (cost, residual) in points.items():
        figure.add_scatter(
            x=compact(cost), y=compact(residual), mode="markers", name=method,
            marker={"color": PALETTE[METHOD_COLORS[method]], "symbol": METHOD_SYMBOLS[method],
                    "size": 8, "opacity": 0.8},
        )  # fmt: skip
    figure.add_vline(x=1, **MARK)
    ticks = [0.5, 1, 2, 4, 8, 16]
    figure.update_xaxes(title="cost / cost of the closed form", type="log", tickvals=ticks)
    figure.update_yaxes(
        title="residual rms / σ", type="log", dtick=1, exponentformat="power"
    )  # fmt: skip
    return figure


def level_ticks_figure(levels: Mapping[str, torch.Tensor], low: float) -> go.Figure:
    r"""Where noise levels lie, for several ways to choose them.

    Figure 4.5 of the book.

    Parameters
    ----------
    levels : dict
        Name to a tensor of levels.
    low : float
        Upper end of the low-noise regime.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = go.Figure()
    for name, sigma in levels.items():
        share = float((sigma <= low).double().mean())
        figure.add_scatter(
            x=compact(sigma), y=[f"{name}<br>{share:.0%} low"] * len(sigma), mode="markers",
            marker={"symbol": "line-ns-open", "size": 18, "color": PALETTE["blue"]},
            showlegend=False, hovertemplate="σ = %{x:.3f}<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=low, line={"dash": "dot", "color": PALETTE["orange"], "width": 2})
    figure.update_xaxes(
        title="noise level σ",
        type="log",
        tickvals=[0.03, 0.1, 0.3, 1],
    )
    figure.update_yaxes(title="how the levels are chosen", autorange="reversed")
    return figure.update_layout(height=300)
