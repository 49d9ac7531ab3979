"""All chapters: explorers, one pure function of a few sliders, for three audiences.

An :class:`Explorer` wraps ``frame(**values) -> Figure``. In JupyterLab, sliders recompute the
frame. On the website there is no Python, so the frames of a (thinner) grid are computed in advance
and a small script swaps them; most frames share traces and layouts, so each distinct one is stored
once.
Executed headlessly, an explorer computes its first frame.
"""

import hashlib
import itertools
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.io.json import to_json_plotly

from memnb.figures.display import (
    caption_html,
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


@dataclass(frozen=True)
class Axis:
    """One slider.

    Parameters
    ----------
    name : str
        Argument of the frame function that the slider sets.
    label : str
        What the reader sees.
    values : sequence
        Increasing values in JupyterLab.
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


class Explorer:
    """A figure with sliders.

    Parameters
    ----------
    frame : callable
        ``frame(**values) -> plotly.graph_objects.Figure``: a pure function that always returns the
        same number of traces, of the same types in the same order.
    axes : sequence of Axis
    alt : str
        Alternative text.
    title : str
        Short name, read out and printed as the caption.
    number : str, optional
        Chapter and place in it, such as ``"1.2"``: how the text refers to the figure.

    Raises
    ------
    TypeError
        If ``frame`` is not callable, or ``axes`` holds something else than axes.
    ValueError
        If ``alt`` is empty, two axes share a name, or ``number`` has another form or comes without
        a title.
    """

    kinds: tuple[type, ...] = (Axis,)  # of axes

    def __init__(
        self,
        frame: Callable[..., go.Figure],
        axes: Sequence[Axis],
        alt: str,
        title: str = "",
        number: str | None = None,
    ) -> None:
        if not callable(frame):
            raise TypeError(f"frame must be callable, got {type(frame).__name__}")
        self.frame, self.axes, self.alt = frame, tuple(axes), check_alt(alt)
        self.title, self.number = title, number
        check_number(number, title)
        for axis in self.axes:
            if not isinstance(axis, self.kinds):
                raise TypeError(f"axes must hold Axis objects, got {type(axis).__name__}")
        names = [axis.name for axis in self.axes]
        if len(set(names)) != len(names) or not names:
            raise ValueError(f"axes must have distinct names, got {names}")

    @property
    def start(self) -> dict[str, Any]:
        """The values shown first, by the names of the sliders."""
        return {axis.name: axis.start for axis in self.axes}

    def figure(self, **values: Any) -> go.Figure:
        """The figure for these slider values; those not given stay at their start.

        Parameters
        ----------
        **values
            By the names of the sliders.

        Returns
        -------
        plotly.graph_objects.Figure

        Raises
        ------
        ValueError
            If there is no slider of that name.
        """
        unknown = set(values) - set(self.start)
        if unknown:
            raise ValueError(f"unknown slider {sorted(unknown)}, allowed: {list(self.start)}")
        figure = self.frame(**{**self.start, **values})
        figure.update_layout(meta={"alt": self.alt})
        return figure

    def corners(self) -> Iterator[dict[str, Any]]:
        """Every combination of the ends of the sliders, as dicts."""
        ends = [(axis.values[0], axis.values[-1]) for axis in self.axes]
        for combination in itertools.product(*ends):
            yield dict(zip(self.start, combination, strict=True))

    def random(self, n: int, seed: int) -> Iterator[dict[str, Any]]:
        """n random combinations of slider values, as dicts."""
        generator = random.Random(seed)
        for _ in range(n):
            yield {axis.name: generator.choice(axis.values) for axis in self.axes}

    def payload(self) -> dict[str, Any]:
        """Everything the website needs, as a dict ready for JSON.

        Returns
        -------
        dict
            ``pool`` lists every distinct trace and layout once; ``frames`` lists, for each
            combination of static values in row-major order, the place of its layout in the pool and
            those of its traces.

        Raises
        ------
        ValueError
            If two frames differ in the types of their traces, or the whole exceeds the limit.
        """
        pool: dict[str, Any] = {}
        frames: list[list[str]] = []
        kinds = None

        def store(part: Any) -> str:
            text = json.dumps(part, separators=(",", ":"), sort_keys=True)
            key = hashlib.sha256(text.encode()).hexdigest()[:10]
            pool[key] = part
            return key

        for combination in itertools.product(*(axis.static_values for axis in self.axes)):
            values = dict(zip(self.start, combination, strict=True))
            figure = json.loads(self.figure(**values).to_json())
            here = [trace["type"] for trace in figure["data"]]
            kinds = here if kinds is None else kinds
            if here != kinds:
                raise ValueError(f"frame at {values} has traces {here}, the first one {kinds}")
            figure["layout"].pop("template", None)
            frames.append([store(figure["layout"]), *(store(t) for t in figure["data"])])
        template = json.loads(self.figure().to_json())["layout"].get("template")
        sliders = [
            {
                "name": axis.name,
                "label": axis.label,
                "values": [_text(v) for v in axis.static_values],
                "start": axis.static_values.index(axis.start),
            }
            for axis in self.axes
        ]
        # Short numbers instead of hashes: the page carries each key once for every frame.
        number = {key: i for i, key in enumerate(pool)}
        payload = {
            "sliders": sliders,
            "template": template,
            "pool": list(pool.values()),
            "frames": [[number[key] for key in frame] for frame in frames],
        }
        size = len(json.dumps(payload, separators=(",", ":")))
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
            f'<div class="memnb-explorer" role="group" aria-label="{escape(self.title)}">'
            f'<div class="memnb-controls"></div>'
            f'<div class="memnb-plot" role="img" aria-label="{escape(self.alt)}" '
            f'style="min-height:{height}px"></div>'
            f'<script type="application/json">{embed_json(self.payload())}</script></div>'
        )
        return framed(content, self.number, self.title)

    def widget(self) -> "ipywidgets.VBox":
        """Sliders, a live figure and its caption for JupyterLab."""
        import ipywidgets

        live = go.FigureWidget(self.figure())
        sliders = {
            axis.name: ipywidgets.SelectionSlider(
                options=[(_text(v), v) for v in axis.values],
                value=axis.start,
                description=axis.label,
                style={"description_width": "11em"},
                layout={"width": "95%", "max_width": "560px"},
            )
            for axis in self.axes
        }

        def redraw(_change: Any) -> None:
            new = self.figure(**{name: slider.value for name, slider in sliders.items()})
            with live.batch_update():
                for old, trace in zip(live.data, new.data, strict=True):
                    _change_to(old, trace)
                _change_to(live.layout, new.layout)

        for slider in sliders.values():
            slider.observe(redraw, names="value")
        below = [ipywidgets.HTML(caption_html(self.number, self.title, "p"))] if self.number else []
        return ipywidgets.VBox([*sliders.values(), live, *below])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Static HTML in the build; in Lab the widget, and its first frame for pages without it."""
        if is_static():
            return {"text/html": self.html(), "text/plain": self.alt}
        first = framed(plot_html(self.figure()), self.number, self.title)
        return {**self.widget()._repr_mimebundle_(), "text/html": first, "text/plain": self.alt}


def _change_to(old: Any, new: Any) -> None:
    """Make one trace or layout equal to another, touching only what differs.

    Every property that is set travels to the browser and is drawn again, changed or not.
    """
    before, after = old.to_plotly_json(), new.to_plotly_json()
    for key in (before.keys() | after.keys()) - {"type", "uid"}:
        if to_json_plotly(before.get(key)) != to_json_plotly(after.get(key)):
            old[key] = after.get(key)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
