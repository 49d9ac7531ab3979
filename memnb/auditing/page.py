"""Chapter 7: an audit as HTML: a table for notebooks, and one page that needs no other file."""

import base64
import html
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .verdict import VERDICTS

if TYPE_CHECKING:
    from .audit import Audit

__all__ = ["body", "page"]

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}th,td{padding:.3rem .7rem;text-align:left}
td.words{min-width:10rem}
tr{border-bottom:1px solid #ccc;vertical-align:top}.verdict{font-size:1.3rem;font-weight:600}
figure{display:inline-block;margin:.3rem;text-align:center}figcaption{font-size:.75rem}
img{image-rendering:pixelated;width:64px;height:64px;object-fit:contain;background:#eee}
.scroll{overflow-x:auto}
"""


WORDS = 40  # characters, from which a cell is prose and its column gets some width


def _cell(text: str) -> str:
    """A cell, in which a number and its error stay on one line."""
    kind = ' class="words"' if len(text) > WORDS else ""
    unbroken = html.escape(text).replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")
    return f"<td{kind}>{unbroken}</td>"


def _table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    first = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in head)
    rest = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    table = f"<table><thead><tr>{first}</tr></thead>{rest}</table>"
    return f'<div class="scroll" tabindex="0">{table}</div>'


def _picture(row: np.ndarray, shape: tuple[int, ...], low: float, high: float) -> str:
    """One image as the source of an ``<img>``: values from ``low`` to ``high`` as gray or color."""
    x = row.reshape(shape)
    if x.ndim == 3:
        x = x if x.shape[-1] < x.shape[0] else np.moveaxis(x, 0, -1)  # channels are the fewer
        if x.shape[-1] != 3:  # one, or channels that are no colors, side by side
            x = np.concatenate(list(np.moveaxis(x, -1, 0)), axis=1)
    x = np.clip((x - low) / (high - low), 0, 1) if high > low else np.zeros_like(x)
    buffer = io.BytesIO()
    Image.fromarray((255 * x).round().astype(np.uint8)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _pairs(result: "Audit") -> str:
    """The most suspicious pairs: pictures of images, rows of a table otherwise."""
    shown = result.sets.pictures or result.sets
    shape = shown.image_shape
    if shape is None:
        rows = [
            [str(p.generated), str(p.training), f"{p.distance:.3g}", f"{p.ratio:.3f}"]
            for p in result.pairs
        ]
        return _table(("generated", "training", "distance", "d1/d2"), rows)
    picked = np.concatenate(
        [shown.training[[p.training for p in result.pairs]],
         shown.generated[[p.generated for p in result.pairs]]]
    )  # fmt: skip
    low, high = float(picked.min()), float(picked.max())
    parts = []
    for p in result.pairs:
        sources = [
            (_picture(x, shape, low, high), word)
            for x, word in (
                (shown.generated[p.generated], f"generated image {p.generated}"),
                (shown.training[p.training], f"training image {p.training}"),
            )
        ]
        images = "".join(f'<img src="{source}" alt="{word}">' for source, word in sources)
        caption = f"{p.generated} and {p.training}, d1/d2 = {p.ratio:.2f}"
        parts.append(f"<figure>{images}<figcaption>{caption}</figcaption></figure>")
    return "".join(parts)


def curve_svg(result: "Audit") -> str:
    """Share of points with d1/d2 below a threshold, generated and held out, against it."""
    curve = result["copies"].curve
    left, top, width, height = 50, 10, 400, 220
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        x, y = left + width * share, top + height * (1 - share)
        parts.append(
            f'<line x1="{left}" x2="{left + width}" y1="{y}" y2="{y}" stroke="currentColor" '
            f'stroke-opacity=".2"/>'
            f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{share:g}</text>'
            f'<text x="{x}" y="{top + height + 18}" text-anchor="middle">{share:g}</text>'
        )
    lines = (("generated", "#D55E00", ""), ("held_out", "#0072B2", "6 3"))
    for row, (name, color, dash) in enumerate(lines):
        points = " ".join(
            f"{left + width * x:.1f},{top + height * (1 - y):.1f}"
            for x, y in zip(curve["threshold"], curve[name], strict=True)
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>'
        )
        x, y = left + 12, top + 18 * (row + 1)
        parts.append(
            f'<line x1="{x}" x2="{x + 24}" y1="{y - 4}" y2="{y - 4}" stroke="{color}" '
            f'stroke-width="2" stroke-dasharray="{dash}"/>'
            f'<text x="{x + 30}" y="{y}">{name.replace("_", " ")}</text>'
        )
    at = top + height + 36
    parts.append(
        f'<text x="{left + width / 2}" y="{at}" text-anchor="middle">threshold on d1/d2</text>'
    )
    return (
        f'<svg role="img" aria-label="Share of points with d1/d2 below a threshold, generated and '
        f'held out" viewBox="0 0 {left + width + 20} {at + 8}" style="max-width:30rem;width:100%" '
        f'font-size="13" fill="currentColor">{"".join(parts)}</svg>'
    )


def body(result: "Audit", level: int = 2) -> str:
    """The audit as HTML without a page around it, for notebooks too.

    Parameters
    ----------
    result : Audit
    level : int
        Of its headings.

    Returns
    -------
    str
    """
    head = ("measure", "generated", "held out or null", "p", "share of copies")
    sizes = ", ".join(f"{count} {name}" for name, count in result.sizes.items())
    parts = [
        f'<p class="verdict">{html.escape(VERDICTS[result.verdict])}</p>',
        f"<p>{html.escape(result.reason)}</p><p>{html.escape(sizes)}</p>",
        _table(head, result.rows()),
        *(f"<p>Note: {html.escape(note)}</p>" for note in result.notes),
    ]

    def titled(title: str, content: str) -> list[str]:
        return [f"<h{level}>{title}</h{level}>", content]

    parts += titled("Share of points against the threshold", curve_svg(result))
    if result.pairs:
        parts += titled("The most suspicious pairs", _pairs(result))
    rows = [[m.title, m.sees, m.blind, m.note] for m in result.measures]
    head = ("measure", "sees", "blind to", "here")
    parts += titled("What each measure can see", _table(head, rows))
    return "\n".join(parts)


def page(result: "Audit") -> str:
    """The audit as one HTML page that loads nothing.

    Parameters
    ----------
    result : Audit

    Returns
    -------
    str
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Audit of a generator</title><style>{STYLE}</style></head><body>"
        f"<h1>Does this generator copy its training data?</h1>{body(result)}</body></html>"
    )
