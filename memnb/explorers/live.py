r"""All chapters: live explorers, which the reader's browser computes.

A :class:`Live` explorer is declared like any other (title, number, alternative text, controls,
start values), and Python computes its first frame, which is what a headless execution checks and
what an executed notebook shows offline. On the website and in JupyterLab the same small script,
``assets/live``, computes every other frame without server or kernel. The script holds formulas
and views only; ``tests/browser/test_live.py`` holds them against this package.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import anywidget
import plotly.graph_objects as go
import traitlets

from memnb.explorers.base import Axis, Explorer
from memnb.figures.display import (
    ASSETS,
    caption_html,
    embed_json,
    escape,
    framed,
    live_script,
)
from memnb.figures.picture import picture

__all__ = ["Live", "Range"]

PAYLOAD_LIMIT = 30_000  # bytes of data of one live explorer; the script comes once for all


@dataclass(frozen=True)
class Range:
    """A slider over all numbers between two ends, for an explorer that the page computes.

    Parameters
    ----------
    name : str
        Argument of the frame function that the slider sets.
    label : str
        What the reader sees.
    low, high : float
        The ends.
    start : float
        The value shown first, between them.
    digits : int
        Decimals of the values; 0 for whole numbers.
    log : bool
        Whether the slider moves evenly in log(1 + value), for which ``low`` must not be negative.

    Raises
    ------
    ValueError
        If the ends are not in order or the start is not between them.
    """

    name: str
    label: str
    low: float
    high: float
    start: float
    digits: int = 2
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low < 0):
            raise ValueError(
                f"low and high of range {self.name!r} must be in order, and not negative on a "
                f"logarithmic slider, got {self.low!r} and {self.high!r}"
            )
        if not self.low <= self.start <= self.high:
            raise ValueError(
                f"start of range {self.name!r} must be between {self.low!r} and {self.high!r}, "
                f"got {self.start!r}"
            )

    @property
    def values(self) -> tuple[float, ...]:
        """The ends, the start and what lies half-way between, in order."""
        some = {self.low, (self.low + self.start) / 2, self.start, self.high}
        some |= {(self.start + self.high) / 2}
        kind = int if self.digits == 0 else float
        return tuple(sorted({kind(round(v, self.digits)) for v in some}))

    def declared(self) -> dict[str, Any]:
        """What the page has to know, a dict ready for JSON."""
        names = ("name", "label", "low", "high", "start", "digits", "log")
        return {**{n: getattr(self, n) for n in names}, "step": 10.0**-self.digits}


class _Page(anywidget.AnyWidget):
    """The explorer in JupyterLab: the same script, drawn into the output of a cell."""

    spec = traitlets.Dict().tag(sync=True)


@cache
def _page_class() -> type[_Page]:
    """The widget with the script, which is read when it is first needed."""
    mount = (
        "export default { render({ model, el }) {\n"
        "  const box = document.createElement('div');\n"
        "  box.className = 'memnb-live';\n"
        # Else JupyterLab takes the arrow keys, to go from cell to cell and to fold sections
        "  box.addEventListener('keydown', (event) => {\n"
        "    if (event.key.startsWith('Arrow')) event.stopPropagation();\n"
        "  });\n"
        "  el.append(box);\n"
        "  mount(box, model.get('spec'));\n"
        "} };\n"
    )
    styles = (ASSETS / "live" / "live.css").read_text()
    return type("LivePage", (_Page,), {"_esm": live_script() + mount, "_css": styles})


class Live(Explorer):
    """An explorer whose frames are computed where it is shown.

    Parameters
    ----------
    frame : callable
        As for :class:`memnb.explorers.base.Explorer`. It is the reference for what the page shows
        at the start values, and what is shown where no script runs.
    axes : sequence of Range or Axis
        Sliders, and choices among words.
    alt, title, number
        As for :class:`memnb.explorers.base.Explorer`; here a title is needed.
    view : str
        Name of the view in ``assets/live/live.js``.
    given : mapping
        What the view has to know beside the controls, ready for JSON.
    state : mapping
        Start values of what is not moved by a control but by hand, such as points; ready for JSON.
    play : str, optional
        The range that the play button moves.
    compact : bool
        Whether the controls stand beside the picture where there is room, not above it.

    Raises
    ------
    ValueError
        As for :class:`memnb.explorers.base.Explorer`; if there is no title, or no range ``play``;
        or if the data exceed the limit.
    """

    kinds = (Axis, Range)

    def __init__(
        self,
        frame: Callable[..., go.Figure],
        axes: Sequence[Range | Axis],
        alt: str,
        title: str,
        number: str | None = None,
        *,
        view: str,
        given: Mapping[str, Any],
        state: Mapping[str, Any],
        play: str | None = None,
        compact: bool = False,
    ) -> None:
        super().__init__(frame, axes, alt, title, number)
        if not title.strip():
            raise ValueError(f"title of a live explorer must not be empty, got {title!r}")
        ranges = [axis.name for axis in self.axes if isinstance(axis, Range)]
        if play is not None and play not in ranges:
            raise ValueError(f"play must be one of the ranges {ranges}, got {play!r}")
        self.view, self.given, self.state, self.play = view, dict(given), dict(state), play
        self.compact = compact

    def payload(self) -> dict[str, Any]:
        """What the page needs to compute the frames, as a dict ready for JSON.

        Returns
        -------
        dict
            Title, alternative text, controls, start values and what the view is given.

        Raises
        ------
        ValueError
            If it exceeds the limit.
        """
        controls = [
            axis.declared()
            if isinstance(axis, Range)
            else {
                "name": axis.name,
                "label": axis.label,
                "values": [str(v) for v in axis.values],
                "start": str(axis.start),
            }
            for axis in self.axes
        ]
        payload = {
            "id": self.anchor,
            "title": self.title,
            "view": self.view,
            "play": self.play,
            "compact": self.compact,
            "controls": controls,
            "state": self.state,
            "given": {**self.given, "alt": self.alt},
        }
        size = len(embed_json(payload))
        if size > PAYLOAD_LIMIT:
            raise ValueError(
                f"explorer {self.title!r} carries {size} bytes, allowed: {PAYLOAD_LIMIT}"
            )
        return payload

    def html(self) -> str:
        """The explorer as HTML, with its caption.

        Until its script runs, and where none does, it shows a picture of the first frame, which is
        computed here; the script takes the picture away.
        """
        content = (
            f'<div class="memnb-live" id="explorer-{self.anchor}" role="group" '
            f'aria-label="{escape(self.title)}">'
            f'<div class="memnb-live-first">{picture(self.figure(), self.alt)}</div>'
            f'<script type="application/json">{embed_json(self.payload())}</script></div>'
        )
        return framed(content, self.number, self.title)

    def widget(self, first: go.Figure | None = None) -> Any:
        """The explorer for JupyterLab, with its caption.

        Parameters
        ----------
        first : plotly.graph_objects.Figure, optional
            Not needed, as the page draws it.

        Returns
        -------
        ipywidgets.VBox
        """
        import ipywidgets

        page = _page_class()(spec={**self.payload(), "id": ""})
        below = [ipywidgets.HTML(caption_html(self.number, self.title, "p"))] if self.number else []
        return ipywidgets.VBox([page, *below])
