"""Tables of all chapters: real HTML on the page, padded text everywhere else.

A table is one object with two representations, and both depend on nothing but its cells, neither on
where it is shown nor on the width of a window. In a cell tagged ``keep_output`` nbval compares both
with the committed ones, so that a changed number in a table fails as one in printed text does.
"""

import re
import unicodedata
from collections.abc import Sequence
from html import escape
from numbers import Integral, Real
from typing import Any

import torch

__all__ = ["Table", "table"]

EMPTY = "–"  # a cell in which nothing can stand
SHORT = 8  # letters of a column's heading that stays on one line, as "N = 100" does
SHORT_ROW = 22  # those of a row's
_SIDES = {"l": "left", "r": "right", "c": "center"}
_NUMBER = re.compile(r"[<>≤≥≈~]?\s*[-+−]?\d[\d.,]*(e[-+−]?\d+)?(\s?%|°)?")
_SEPARATOR = re.compile(r"\s*(?:±|/|–|\bto\b|…)\s*")


def _text(value: Any, where: str) -> str:
    """A cell's text: strings as they are, four significant digits of a float, a dash for None."""
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    if value is None:
        return EMPTY
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        return f"{float(value):.4g}"
    raise TypeError(
        f"{where} must be a string, a number, a bool or None, got {type(value).__name__}"
    )


def _is_number(text: str) -> bool:
    """Whether a text is a number, or several, as in ``0.44 ± 0.01``, ``100 / 94 %``."""
    return all(_NUMBER.fullmatch(part) for part in _SEPARATOR.split(text.strip()))


def _width(text: str) -> int:
    return sum(not unicodedata.combining(c) for c in text)


def _pad(text: str, width: int, side: str) -> str:
    gap = width - _width(text)
    left = {"l": 0, "r": gap, "c": gap // 2}[side]
    return " " * left + text + " " * (gap - left)


class Table:
    """A table that knows how to display itself; made by :func:`table`.

    Parameters
    ----------
    columns : sequence of str
        Headings.
    rows : sequence of sequences of str
        Cells, row by row.
    align : str
        One of ``l``, ``r``, ``c`` for each column.
    caption : str
        What the table shows.
    """

    def __init__(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], align: str, caption: str
    ) -> None:
        self.columns, self.rows = tuple(columns), tuple(tuple(row) for row in rows)
        self.align, self.caption = align, caption

    def html(self) -> str:
        """The table as HTML, one line for each row; the first cell of a row is its heading."""

        def cell(tag: str, text: str, side: str) -> str:
            name = tag.split()[0]
            return f'<{tag} style="text-align: {_SIDES[side]}">{escape(text)}</{name}>'

        def line(tags: Sequence[str], cells: Sequence[str]) -> str:
            parts = (cell(*each) for each in zip(tags, cells, self.align, strict=True))
            return f"<tr>{''.join(parts)}</tr>"

        def whole(text: str, length: int) -> str:
            return text.replace(" ", "\N{NO-BREAK SPACE}") if len(text) <= length else text

        names = [whole(name, SHORT) for name in self.columns]
        head = line(['th scope="col"'] * len(names), names)
        tags = ['th scope="row"', *["td"] * (len(self.columns) - 1)]
        caption = f"<caption>{escape(self.caption)}</caption>"
        return "\n".join(
            [
                '<div class="memnb-scroll" tabindex="0" role="region" '
                f'aria-label="{escape(self.caption)}">',
                f'<table class="memnb-table">{caption}',
                f"<thead>{head}</thead>",
                "<tbody>",
                *(line(tags, (whole(row[0], SHORT_ROW), *row[1:])) for row in self.rows),
                "</tbody></table></div>",
            ]
        )

    def __str__(self) -> str:
        grid = (self.columns, *self.rows)
        widths = [max(map(_width, column)) for column in zip(*grid, strict=True)]
        lines = [
            "  ".join(map(_pad, row, widths, self.align)).rstrip()  # no spaces at ends of lines
            for row in grid
        ]
        return "\n".join([self.caption, lines[0], "  ".join("-" * w for w in widths), *lines[1:]])

    __repr__ = __str__

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": str(self)}


def table(
    rows: Sequence[Sequence[Any]],
    *,
    columns: Sequence[str],
    caption: str,
    align: str | None = None,
) -> Table:
    """Show a table; the last expression of its cell (or ``display(table(...))``).

    Parameters
    ----------
    rows : sequence of sequences
        Cells, row by row: strings (shown as they are), integers, floats (four significant digits:
        format them where other digits are meant), bools (yes, no), tensors with one of these, and
        None (a dash).
    columns : sequence of str
        Headings, one for each column; one may be empty.
    caption : str
        What the table shows, in a sentence or less; not empty.
    align : str, optional
        ``l``, ``r`` or ``c`` for each column, as in ``"lrr"``. By default columns of numbers
        (also such as ``0.44 ± 0.01`` and ``12 %``) are aligned right, all others left.

    Returns
    -------
    Table
        With an HTML and a text representation, both the same wherever it is shown.

    Raises
    ------
    TypeError
        If a cell is something else.
    ValueError
        If there are no rows or columns, a row has another number of cells than there are columns,
        ``align`` does not fit, or ``caption`` is empty.

    Examples
    --------
    >>> table([["score", 0.5, None], ["probability", 12, "3 ± 1"]],
    ...       columns=["flow", "share", "error"], caption="Two flows")
    Two flows
    flow         share  error
    -----------  -----  -----
    score          0.5      –
    probability     12  3 ± 1
    """
    if not isinstance(caption, str) or not caption.strip():
        raise ValueError(f"caption must be a short text that says what is shown, got {caption!r}")
    if isinstance(columns, str) or not all(isinstance(name, str) for name in columns):
        raise TypeError(f"columns must be a sequence of strings, got {columns!r}")
    names, count = list(columns), len(list(columns))
    if not count:
        raise ValueError("columns must name at least one column, got none")
    cells: list[list[str]] = []
    for number, row in enumerate(rows):
        if isinstance(row, str) or not isinstance(row, Sequence | torch.Tensor):
            raise TypeError(f"row {number} must be a sequence of cells, got {row!r}")
        if len(row) != count:
            raise ValueError(f"row {number} must have {count} cells as columns, got {len(row)}")
        cells.append(
            [_text(v, f"row {number}, column {n!r}") for n, v in zip(names, row, strict=True)]
        )
    if not cells:
        raise ValueError("rows must hold at least one row, got none")
    if align is None:
        align = "".join(
            "r" if any(t != EMPTY for t in column)
            and all(t == EMPTY or _is_number(t) for t in column) else "l"
            for column in zip(*cells, strict=True)
        )  # fmt: skip
    if not isinstance(align, str) or len(align) != count or set(align) - set(_SIDES):
        raise ValueError(f"align must be {count} letters of 'l', 'r', 'c', got {align!r}")
    return Table(names, cells, align, caption.strip())
