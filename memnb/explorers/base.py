"""All chapters: explorers, one pure function of a few controls, for three audiences.

An :class:`Explorer` wraps ``frame(**values) -> Figure``. In JupyterLab, its controls recompute the
frame. On the website there is no Python, so the frames of a (thinner) grid are computed in advance
and a small script swaps them, see :mod:`memnb.explorers.payload`. Executed headlessly, an explorer
computes its first frame.

A value has the control that fits it: a slider for numbers, buttons for words and for so few numbers
that all of them can be seen at once, a list for many or long words. Combinations of values for
which there is no frame cannot be reached, and the explorer says why.
"""

import itertools
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from memnb.explorers.payload import frames_of
from memnb.figures.display import (
    check_alt,
    check_number,
    embed_json,
    escape,
    framed,
    is_static,
    plot_html,
)

if TYPE_CHECKING:
    import ipywidgets

__all__ = ["Axis", "Explorer"]

PAYLOAD_LIMIT = 700_000  # bytes an explorer may add to a page
FEW = 4  # numbers that are buttons, all seen at once, rather than a slider
WIDE = 26  # letters of all words together that fit in a row of buttons on a phone


@dataclass(frozen=True)
class Axis:
    """One control: what it sets and the values it can have.

    Parameters
    ----------
    name : str
        Argument of the frame function that the control sets.
    label : str
        What the reader sees.
    values : sequence
        The values in JupyterLab: numbers or words. Numbers that increase have an order.
    start
        The value shown first; one of ``values`` and of ``static_values``.
    static_values : sequence, optional
        Subset of ``values`` for the website; all of them by default. It keeps both ends.

    Raises
    ------
    ValueError
        If ``static_values`` are fewer than two or not among ``values``, or ``start`` is not among
        them.
    """

    name: str
    label: str
    values: Sequence[Any]
    start: Any
    static_values: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        values = tuple(self.values)
        static = values if self.static_values is None else tuple(self.static_values)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "static_values", static)
        if len(static) < 2 or not set(static) <= set(values):
            raise ValueError(
                f"static_values of axis {self.name!r} must be at least 2 of its values {values}, "
                f"got {static}"
            )
        if self.start not in static:
            raise ValueError(
                f"start of axis {self.name!r} must be one of {static}, got {self.start!r}"
            )

    def kind(self, values: Sequence[Any]) -> str:
        """The control that fits some of the values, by what they are.

        Parameters
        ----------
        values : sequence
            All of them, or those on the website.

        Returns
        -------
        str
            ``"slider"`` for increasing numbers, unless they are few; ``"buttons"`` for those, and
            for other values if they fit in one row; else ``"select"``, a list that opens.
        """
        numbers = all(isinstance(v, (int, float)) for v in values)
        if numbers and list(values) == sorted(values):
            return "buttons" if len(values) <= FEW else "slider"
        return "buttons" if sum(len(text_of(v)) for v in values) <= WIDE else "select"


class Explorer:
    """A figure with controls.

    Parameters
    ----------
    frame : callable
        ``frame(**values) -> plotly.graph_objects.Figure``: a pure function that always returns the
        same number of traces, of the same types in the same order.
    axes : sequence of Axis
    alt : str
        Alternative text.
    title : str
        Short name, written above the controls, read out and printed as the caption.
    number : str, optional
        Chapter and place in it, such as ``"1.2"``: how the text refers to the figure.
    play : str, optional
        The axis that a button moves through, from its first value to its last.
    missing : callable, optional
        ``missing(**values) -> str``: why there is no frame for these values, as a clause for the
        reader, or an empty text if there is one. All combinations have one by default.

    Raises
    ------
    TypeError
        If ``frame`` or ``missing`` is not callable, or ``axes`` holds something else than axes.
    ValueError
        If ``alt`` is empty, two axes share a name, ``play`` is the name of none, there is no frame
        at the start, or ``number`` has another form or comes without a title.
    """

    kinds: tuple[type, ...] = (Axis,)  # of axes

    def __init__(
        self,
        frame: Callable[..., go.Figure],
        axes: Sequence[Axis],
        alt: str,
        title: str = "",
        number: str | None = None,
        *,
        play: str | None = None,
        missing: Callable[..., str] | None = None,
    ) -> None:
        if not callable(frame):
            raise TypeError(f"frame must be callable, got {type(frame).__name__}")
        if missing is not None and not callable(missing):
            raise TypeError(f"missing must be callable, got {type(missing).__name__}")
        self.frame, self.axes, self.alt = frame, tuple(axes), check_alt(alt)
        self.title, self.number, self.play = title, number, play
        self._missing = missing
        check_number(number, title)
        for axis in self.axes:
            if not isinstance(axis, self.kinds):
                raise TypeError(f"axes must hold Axis objects, got {type(axis).__name__}")
        names = [axis.name for axis in self.axes]
        if len(set(names)) != len(names) or not names:
            raise ValueError(f"axes must have distinct names, got {names}")
        if play is not None and play not in names:
            raise ValueError(f"play must be one of the axes {names}, got {play!r}")
        if why := self.missing():
            raise ValueError(f"there is no frame at the start {self.start}: {why}")

    @property
    def start(self) -> dict[str, Any]:
        """The values shown first, by the names of the axes."""
        return {axis.name: axis.start for axis in self.axes}

    @property
    def anchor(self) -> str:
        """Name of the explorer in the address of a page, from its title.

        The id of its element begins with ``explorer-``, as a heading may have the same name.
        """
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    def missing(self, **values: Any) -> str:
        """Why there is no frame for these values, or an empty text; others are at their start."""
        return "" if self._missing is None else self._missing(**{**self.start, **values})

    def figure(self, **values: Any) -> go.Figure:
        """The figure for these values; those not given stay at their start.

        Parameters
        ----------
        **values
            By the names of the axes.

        Returns
        -------
        plotly.graph_objects.Figure

        Raises
        ------
        ValueError
            If there is no axis of that name, or no frame for these values.
        """
        unknown = set(values) - set(self.start)
        if unknown:
            raise ValueError(f"unknown axis {sorted(unknown)}, allowed: {list(self.start)}")
        if why := self.missing(**values):
            raise ValueError(f"there is no frame at {values}: {why}")
        figure = self.frame(**{**self.start, **values})
        figure.update_layout(meta={"alt": self.alt})
        return figure

    def corners(self) -> Iterator[dict[str, Any]]:
        """Every combination of the first and last values that has a frame, as dicts."""
        ends = [(axis.values[0], axis.values[-1]) for axis in self.axes]
        for combination in itertools.product(*ends):
            values = dict(zip(self.start, combination, strict=True))
            if not self.missing(**values):
                yield values

    def random(self, n: int, seed: int) -> Iterator[dict[str, Any]]:
        """n random combinations of values that have a frame, as dicts."""
        generator = random.Random(seed)
        while n > 0:
            values = {axis.name: generator.choice(axis.values) for axis in self.axes}
            if not self.missing(**values):
                n -= 1
                yield values

    def grid(self) -> Iterator[dict[str, Any]]:
        """Every combination of the values on the website, with a frame or not, as dicts."""
        for combination in itertools.product(*(axis.static_values for axis in self.axes)):
            yield dict(zip(self.start, combination, strict=True))

    def payload(self) -> dict[str, Any]:
        """Everything the website needs, as a dict ready for JSON.

        Returns
        -------
        dict
            What :func:`memnb.explorers.payload.frames_of` returns, with frames for the
            combinations of static values in row-major order; ``id``, ``title``, ``play`` and
            ``controls``.

        Raises
        ------
        ValueError
            If two frames differ in the types of their traces, or the whole exceeds the limit.
        """
        frames = frames_of(
            self.figure(),
            ((v, self.missing(**v) or partial(self.figure, **v)) for v in self.grid()),
        )
        controls = [
            {
                "name": axis.name,
                "label": axis.label,
                "kind": axis.kind(axis.static_values),
                "values": [text_of(v) for v in axis.static_values],
                "start": axis.static_values.index(axis.start),
            }
            for axis in self.axes
        ]
        payload = {
            "id": self.anchor,
            "title": self.title,
            "play": self.play,
            "controls": controls,
            **frames,
        }
        size = len(embed_json(payload))
        if size > PAYLOAD_LIMIT:
            raise ValueError(
                f"explorer {self.title!r} carries {size} bytes, allowed: {PAYLOAD_LIMIT}; thin "
                "static_values or the traces"
            )
        return payload

    def html(self) -> str:
        """The static explorer as HTML, with its caption."""
        height = self.figure().layout.height or 420
        content = (
            f'<div class="memnb-explorer" id="explorer-{self.anchor}" role="group" '
            f'aria-label="{escape(self.title)}">'
            f'<div class="memnb-plot" role="img" aria-label="{escape(self.alt)}" '
            f'style="min-height:{height}px"></div>'
            f'<script type="application/json">{embed_json(self.payload())}</script></div>'
        )
        return framed(content, self.number, self.title)

    def widget(self, first: go.Figure | None = None) -> "ipywidgets.VBox":
        """The controls, a figure that follows them and its caption, for JupyterLab.

        Parameters
        ----------
        first : plotly.graph_objects.Figure, optional
            The frame at the start, if it has been computed.

        Returns
        -------
        ipywidgets.VBox
        """
        from memnb.explorers.widget import widget

        return widget(self, first or self.figure())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Static HTML in the build; in Lab the widget, and its first frame for pages without it."""
        if is_static():
            return {"text/html": self.html(), "text/plain": self.alt}
        first = self.figure()
        page = framed(plot_html(first), self.number, self.title)
        widget = self.widget(first)._repr_mimebundle_()
        return {**widget, "text/html": page, "text/plain": self.alt}


def text_of(value: Any) -> str:
    """A value as the reader sees it."""
    return f"{value:g}" if isinstance(value, float) else str(value)
