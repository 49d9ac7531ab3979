r"""Figures of the chapter on the U-Net transition.

Every function is pure, as in :mod:`memnb.figures.score_flow`. Small images are tiles of one heatmap
of bytes, which keeps a page light; the value 255 marks the gaps between them.
"""

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from memnb.figures.score_flow import NEUTRAL
from memnb.figures.style import CLASS_COLORS, CLASS_SYMBOLS, PALETTE, compact

__all__ = [
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
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x")
SERIES = tuple(PALETTE[name] for name in ("orange", "blue", "green", "pink", "amber", "sky"))
MEMORIZED = (CLASS_COLORS["training"], CLASS_SYMBOLS["training"])
NEW = (CLASS_COLORS["virtual"], CLASS_SYMBOLS["virtual"])


def tiles(rows):
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


def _sheet(rows, labels):
    z = tiles(rows)
    scale = [[0, "#000000"], [250 / 255, "#ffffff"], [251 / 255, "#8c8c8c"], [1, "#8c8c8c"]]
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


def gallery_figure(rows, labels, memorized=None, note=""):
    r"""Images in rows, and under each column whether its image is a copy.

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


def curves_figure(curves, x_title, y_title, log_x=True, y_range=None, level=None):
    r"""Named curves with error bars.

    Parameters
    ----------
    curves : dict
        Name to (x, y) or (x, y, error); at most five. A name may end in ``"|null"``, which is
        dropped and draws the curve gray and dotted.
    x_title, y_title : str
    log_x : bool
    y_range : pair of float, optional
    level : float, optional
        A horizontal line.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    figure = go.Figure()
    number = 0
    for name, (x, y, *error) in curves.items():
        null = name.endswith("|null")
        color = NEUTRAL if null else SERIES[number]
        dash = "dot" if null else DASHES[number % len(DASHES)]
        symbol = "line-ns-open" if null else SYMBOLS[number % len(SYMBOLS)]
        number += not null
        bars = {"type": "data", "array": compact(error[0]), "thickness": 1.2} if error else None
        figure.add_scatter(
            x=compact(x), y=compact(y), error_y=bars, mode="lines+markers",
            name=name.removesuffix("|null"), line={"color": color, "width": 2.5, "dash": dash},
            marker={"symbol": symbol, "size": 8},
        )  # fmt: skip
    if level is not None:
        figure.add_hline(y=level, line={"color": NEUTRAL, "width": 1, "dash": "dot"})
    figure.update_xaxes(title=x_title, type="log" if log_x else "linear")
    if log_x:
        figure.update_xaxes(dtick=1 if _decades(curves) > 1 else "D2")
    figure.update_yaxes(title=y_title, range=None if y_range is None else list(y_range))
    return figure


def _decades(curves):
    low = min(float(min(x)) for x, *_ in curves.values())
    high = max(float(max(x)) for x, *_ in curves.values())
    return np.log10(high / low)


def sweep_figure(thresholds, shares, null):
    r"""Share of images that count as copies, against the threshold.

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
    curves = {name: (thresholds, y) for name, y in shares.items()}
    curves["held-out images|null"] = (thresholds, null)
    figure = curves_figure(
        curves, "threshold θ on d₁ / d₂", "share that counts as copies", False, (-0.03, 1.03)
    )
    for trace in figure.data:
        trace.mode = "lines"
    figure.add_vline(
        x=1 / 3, line={"color": NEUTRAL, "width": 1, "dash": "dot"}, annotation_text="1/3",
        annotation_position="top right",
    )  # fmt: skip
    return figure


def agreement_figure(n, paired, shuffled, nearest, linear, beyond):
    r"""Similarity of the images that two networks make from the same noise.

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
        "two networks, same noise": (n, *paired),
        "with the nearest training image": (n, *nearest),
        "two linear denoisers, same noise": (n, *linear),
        "two networks less linear": (n, *beyond),
        "two networks, shuffled|null": (n, *shuffled),
    }
    return curves_figure(curves, "training images n", "similarity (cosine)", y_range=(0, 1.03))


def transition_figure(panels):
    r"""P(Δ > 0) and the scaled E_OG and E_TG against n, side by side for several generators.

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
        ("p", "P(Δ > 0)", SERIES[1], "circle", "solid"),
        ("e_og", "scaled E_OG", SERIES[0], "diamond", "solid"),
        ("e_tg", "scaled E_TG", SERIES[2], "square", "dash"),
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
        figure.add_hline(
            y=0.5, line={"color": NEUTRAL, "width": 1, "dash": "dot"}, row=1, col=column
        )
    figure.update_xaxes(type="log", title="n", dtick=1)
    figure.update_yaxes(title="P(Δ > 0), scaled E", col=1)
    figure.update_layout(legend={"y": 1.12})
    return figure


def schedule_figure(schedules):
    r"""How much of the image is left in step t: :math:`\sqrt{\bar\alpha_t}` against t / T.

    Parameters
    ----------
    schedules : sequence of DiffusionSchedule
        At most five.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    curves = {
        f"{s.name}, T = {s.n_steps}": (
            np.arange(s.n_steps + 1) / s.n_steps, s.alpha_bars.sqrt()
        )
        for s in schedules
    }  # fmt: skip
    figure = curves_figure(curves, "step t / T", "share of the image, √ᾱ", False, (-0.03, 1.05))
    for trace in figure.data:
        trace.mode = "lines"
    return figure


def resolution_figure(shifts, exact, grid):
    r"""The distance of two sets of images, shifted together in brightness.

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
    figure = curves_figure(curves, "added to every pixel", "distance E", False)
    figure.update_traces(marker={"size": 5})
    figure.update_yaxes(rangemode="tozero")
    return figure


def bars_figure(names, groups, y_title):
    r"""Grouped bars.

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
