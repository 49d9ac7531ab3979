"""All chapters: a figure as a plain picture (SVG), for a reader without scripts.

An explorer that the page computes shows this picture of its first frame until its script runs, and
for good where none does: with scripts switched off, in a feed reader, or in an archive. Only what
such first frames consist of is drawn: lines, areas, symbols and heat maps on linear or logarithmic
axes, in one or more panels.
"""

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from memnb.figures.display import escape

__all__ = ["picture"]

SIZE = 960  # whole units: fine enough for a picture half as many pixels wide, and short to write
MARGIN = 40
POINT = 2  # units of a pixel
SYMBOLS = {  # corners in radii
    "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "triangle-down": ((0, 1.2), (1.1, -0.9), (-1.1, -0.9)),
    "triangle-up": ((0, -1.2), (1.1, 0.9), (-1.1, 0.9)),
    "x": ((-1, -1), (1, 1), (0, 0), (1, -1), (-1, 1), (0, 0)),
}


class _Panel:
    """Axes of one panel: from its numbers to units of the picture."""

    def __init__(self, figure: go.Figure, x: Any, y: Any, traces: list[Any]) -> None:
        self.x, self.y = x, y
        left, right = x.domain or (0, 1)
        width = SIZE * (right - left) - 2 * MARGIN
        self.ranges = [
            self._range(axis, [t[n] for t in traces]) for n, axis in (("x", x), ("y", y))
        ]
        spans = [high - low for low, high in self.ranges]
        height = width * (spans[1] / spans[0] if y.scaleanchor else 0.7)
        self.box = (SIZE * left + MARGIN, MARGIN, width, height)

    @staticmethod
    def _range(axis: Any, numbers: list[Any]) -> tuple[float, float]:
        if axis.range is not None:
            return tuple(axis.range)  # of a logarithmic axis: exponents
        values = [float(v) for some in numbers if some is not None for v in some]
        values = [v for v in values if math.isfinite(v)]
        low, high = min(values), max(values)
        return (math.log10(low), math.log10(high)) if axis.type == "log" else (low, high)

    def place(self, x: float, y: float) -> tuple[int, int] | None:
        """Where a point lies, or None for a gap in a line."""
        left, top, width, height = self.box
        shares = []
        for value, axis, (low, high) in zip((x, y), (self.x, self.y), self.ranges, strict=True):
            if value is None or not math.isfinite(value) or (axis.type == "log" and value <= 0):
                return None
            shares.append(
                ((math.log10(value) if axis.type == "log" else value) - low) / (high - low)
            )
        return round(left + width * shares[0]), round(top + height * (1 - shares[1]))


def _path(places: Iterable[tuple[int, int] | None]) -> str:
    """Steps from point to point; points that fall on one another are written once."""
    parts, last = [], None
    for place in places:
        if place is None:
            last = None
        elif last is None:
            parts.append(f"M{place[0]} {place[1]}")
            last = place
        elif place != last:
            parts.append(f"l{place[0] - last[0]} {place[1] - last[1]}")
            last = place
    return "".join(parts).replace(" -", "-")


def _scatter(trace: Any, panel: _Panel, below: list[float] | None) -> Iterator[str]:
    xs, ys = list(trace.x), [float("nan") if y is None else float(y) for y in trace.y]
    floor = below or [0.0] * len(ys)
    if trace.stackgroup:
        ys = [a + b for a, b in zip(floor, ys, strict=True)]
    places = [panel.place(x, y) for x, y in zip(xs, ys, strict=True)]
    mode = trace.mode or "lines"
    line, marker = trace.line, trace.marker
    if trace.stackgroup or trace.fill == "tozeroy":
        back = [panel.place(x, y) for x, y in zip(xs[::-1], floor[::-1], strict=True)]
        color = trace.fillcolor or line.color
        yield f'<path d="{_path([*places, *back])}z" fill="{color}" stroke="none"/>'
    if "lines" in mode and not trace.stackgroup:
        dash = {"dot": "3 5", "dash": "10 8", "dashdot": "10 6 3 6"}.get(line.dash)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        color = "currentColor" if line.color in (None, "ink") else line.color
        width, opacity = POINT * (line.width or 2), trace.opacity or 1
        yield (
            f'<path d="{_path(places)}" fill="none" stroke="{color}" stroke-width="{width:g}" '
            f'opacity="{opacity:g}"{dashed}/>'
        )
    if "markers" in mode:
        yield _symbols([p for p in places if p], marker, trace.opacity or marker.opacity or 1)


def _symbols(places: list[tuple[int, int]], marker: Any, opacity: float) -> str:
    symbol = str(marker.symbol or "circle")
    open_ = symbol.endswith("-open")
    name, radius = symbol.removesuffix("-open"), POINT * (marker.size or 6) / 2
    color = "currentColor" if marker.color in (None, "ink") else marker.color
    if name == "arrow":
        corners = ((0, 0), (0.7, 1.6), (0, 1.2), (-0.7, 1.6))
        turns = [math.radians(angle) for angle in marker.angle]
    else:
        corners, turns = SYMBOLS.get(name, ()), [0.0] * len(places)
    parts = []
    for (x, y), turn in zip(places, turns, strict=True):
        if corners:
            cosine, sine = radius * math.cos(turn), radius * math.sin(turn)
            shape = [(round(x + a * cosine - b * sine), round(y + a * sine + b * cosine))
                     for a, b in corners]  # fmt: skip
            parts.append(f"{_path(shape)}z")
        else:
            r = round(radius)
            parts.append(f"M{x - r} {y}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0-{2 * r} 0z")
    width = POINT * (marker.line.width or 2)
    paint = f'fill="none" stroke="{color}" stroke-width="{width:g}"' if open_ else f'fill="{color}"'
    return f'<path d="{"".join(parts)}" {paint} opacity="{opacity:g}"/>'


def _heatmap(trace: Any, panel: _Panel) -> Iterator[str]:
    z = trace.z
    steps = [(float(at), color) for at, color in trace.colorscale]
    low, high = float(trace.zmin), float(trace.zmax)

    def color(value: float) -> str:
        share = (value - low) / (high - low)
        return next(c for (_, c), (b, _) in pairwise(steps) if share <= b)

    for row, values in enumerate(z):
        column = 0
        while column < len(values):  # one rectangle for each run of one color
            stop = column
            while stop < len(values) and values[stop] == values[column]:
                stop += 1
            corners = [
                (trace.x0 + (column - 0.5) * trace.dx, trace.y0 + (row + 0.5) * trace.dy),
                (trace.x0 + (stop - 0.5) * trace.dx, trace.y0 + (row - 0.5) * trace.dy),
            ]
            (x, y), (right, bottom) = (panel.place(*c) for c in corners)
            yield f'<path d="M{x} {y}H{right}V{bottom}H{x}z" fill="{color(values[column])}"/>'
            column = stop


def picture(figure: go.Figure, alt: str) -> str:
    """A figure as SVG text that stands by itself.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Of scatter traces and heat maps.
    alt : str
        Alternative text.

    Returns
    -------
    str
        An ``<svg>`` element without size: it fills the width that it is given.

    Raises
    ------
    ValueError
        If a trace is of another type.
    """
    panels: dict[str, _Panel] = {}
    stacks: dict[tuple[str, str], list[float]] = {}
    parts = []
    for trace in figure.data:
        if trace.type not in ("scatter", "heatmap"):
            raise ValueError(f"figure may hold scatter and heatmap traces, got {trace.type!r}")
        key = (trace.xaxis or "x").removeprefix("x")
        if key not in panels:
            same = [t for t in figure.data if (t.xaxis or "x") == (trace.xaxis or "x")]
            layout = figure.layout
            panels[key] = _Panel(figure, layout[f"xaxis{key}"], layout[f"yaxis{key}"], same)
        panel = panels[key]
        if trace.type == "heatmap":
            parts += _heatmap(trace, panel)
            continue
        stack = (key, trace.stackgroup)
        parts += _scatter(trace, panel, stacks.get(stack))
        if trace.stackgroup:
            below = stacks.get(stack, [0.0] * len(trace.y))
            stacks[stack] = [a + float(b) for a, b in zip(below, trace.y, strict=True)]
    frames, words = [], []
    for key, panel in panels.items():
        x, y, width, height = (round(v) for v in panel.box)
        frames.append(f'<path d="M{x} {y}h{width}v{height}h-{width}z"/>')
        title = figure.layout[f"xaxis{key}"].title.text
        if title:
            middle, low = x + width // 2, y + height + 30
            words.append(f'<text x="{middle}" y="{low}">{escape(title.split("<br>")[0])}</text>')
    height = round(max(panel.box[3] for panel in panels.values())) + 2 * MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {height}" role="img" '
        f'aria-label="{escape(alt)}">{"".join(parts)}<g fill="none" stroke="#888">'
        f'{"".join(frames)}</g><g fill="currentColor" font-size="26" text-anchor="middle">'
        f"{''.join(words)}</g></svg>"
    )
