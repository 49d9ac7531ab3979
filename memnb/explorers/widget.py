"""All chapters: an explorer in JupyterLab, with the controls that ipywidgets has.

Its buttons and lists cannot show a value that is not allowed, as those of the website do. Here a
value without a frame is left out, and a line below says which and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets
import plotly.graph_objects as go
import traitlets
from plotly.io.json import to_json_plotly

from memnb.explorers.base import Axis, text_of
from memnb.figures.display import caption_html, escape

if TYPE_CHECKING:
    from memnb.explorers.base import Explorer

__all__ = ["LabFigure", "widget"]

PAUSE = 900  # milliseconds between the frames that the play button shows
# The label above its control, as ipywidgets has it for buttons only
STYLE = """<style>
.memnb-lab-controls .widget-inline-hbox { flex-flow: row wrap; height: auto; }
.memnb-lab-controls .widget-label { width: 100%; text-align: left; }
.memnb-lab-controls .slider-container { flex: 1 1 0; min-width: 0; }
.memnb-lab-controls select { height: var(--jp-widgets-inline-height); }
</style>"""
KINDS = {
    "slider": ipywidgets.SelectionSlider,
    "buttons": ipywidgets.ToggleButtons,
    "select": ipywidgets.Dropdown,
}
# A figure of plotly listens once its script is there. What Python has told it before is kept until
# then: a message that no one hears is lost, as each sends only what differs.
SHARED = """const load = async (model) => {
  const script = await model.widget_manager.get_model(model.get('_script').split('_').pop());
  if (!script.loaded) {
    const url = URL.createObjectURL(new Blob([script.get('text')], { type: 'text/javascript' }));
    script.loaded = import(url).finally(() => URL.revokeObjectURL(url));
  }
  return script.loaded;
};
export default () => {
  let figure;
  return {
    async initialize(context) {
      const { model } = context;
      const told = [];
      const keep = ({ changed }) => {
        if (changed._widget_data || changed._widget_layout) told.length = 0; // told in full, again
        told.push(...Object.entries(changed)
          .filter(([name, message]) => name.startsWith('_py2js_') && message));
      };
      model.on('change', keep);
      figure = (await load(model)).default();
      figure.initialize(context);
      model.off('change', keep);
      for (const [name, message] of told) {
        model.set(name, message);
        model.set(name, null);
      }
    },
    render: (context) => figure.render(context),
  };
};"""


class _Script(ipywidgets.Widget):
    """Plotly's script, which the figures of a notebook share."""

    text = traitlets.Unicode().tag(sync=True)
    sent: ClassVar[_Script | None] = None

    @classmethod
    def shared(cls) -> _Script:
        """The one that was sent, unless the user has closed all widgets since."""
        if cls.sent is None or cls.sent.comm is None:
            cls.sent = cls(text=str(go.FigureWidget._esm))
        return cls.sent


class LabFigure(go.FigureWidget):
    """A figure that keeps what it is told, and as wide as its place when the window changes.

    Plotly's own figure brings its script, 5 MB, once more each time, which takes a page some
    seconds; this one asks for the copy that is there.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
    """

    _esm = SHARED
    _script = traitlets.Instance(_Script).tag(sync=True, **ipywidgets.widget_serialization)

    @traitlets.default("_script")
    def _default_script(self) -> _Script:
        return _Script.shared()

    def __init__(self, figure: go.Figure) -> None:
        super().__init__(figure)
        self._config = {**self._config, "responsive": True}

    @staticmethod
    def _remove_overlapping_props(*_parts: Any) -> list[Any]:
        """Nothing: the page tells what it has drawn, arrays too, at which plotly's own fails.

        It would take from the figure what the page has told, which then were set at each frame.
        """
        return []


class _Controls:
    """The controls of an explorer, which never leave the combinations that have a frame."""

    def __init__(self, explorer: Explorer, figure: go.FigureWidget) -> None:
        self.explorer, self.figure, self.busy = explorer, figure, False
        self.of = {axis.name: _control(axis) for axis in explorer.axes}
        self.why = ipywidgets.HTML()
        self.player = ipywidgets.Play(interval=PAUSE, repeat=False)
        self.reset = ipywidgets.Button(description="Reset", icon="undo")
        for control in self.of.values():
            control.observe(self._moved, names="value")
        self.reset.on_click(lambda _button: self.set(explorer.start))
        self.player.observe(self._played, names="value")
        self._offer(explorer.start)

    @property
    def values(self) -> dict[str, Any]:
        return {name: control.value for name, control in self.of.items()}

    def set(self, values: dict[str, Any]) -> None:
        """Select these values and draw their frame."""
        self._offer(values)
        new = self.explorer.figure(**values)
        with self.figure.batch_update():
            for old, trace in zip(self.figure.data, new.data, strict=True):
                _change_to(old, trace)
            _change_to(self.figure.layout, new.layout)

    def _offer(self, values: dict[str, Any]) -> None:
        """Select these values, and offer those that can be combined with them."""
        reasons: dict[str, list[str]] = {}
        self.busy = True
        for axis in self.explorer.axes:
            control, options = self.of[axis.name], []
            for value in axis.values:
                if why := self.explorer.missing(**{**values, axis.name: value}):
                    reasons.setdefault(why, []).append(f"{axis.label} {text_of(value)}")
                else:
                    options.append((text_of(value), value))
            if control.options != tuple(options):
                control.options = options
            control.value = values[axis.name]
        if self.explorer.play:
            played = self.of[self.explorer.play]
            self.player.max, self.player.value = len(played.options) - 1, played.index
        self.busy = False
        self.why.value = "<br>".join(
            f"<em>Not here: {escape(', '.join(where))}. {escape(why)}</em>"
            for why, where in reasons.items()
        )

    def _moved(self, _change: Any) -> None:
        if not self.busy:
            self.set(self.values)

    def _played(self, change: Any) -> None:
        if not self.busy:
            self.of[self.explorer.play].index = change.new


def widget(explorer: Explorer, first: go.Figure) -> ipywidgets.VBox:
    """Title, controls, a figure that follows them, and its caption.

    Parameters
    ----------
    explorer : memnb.explorers.base.Explorer
    first : plotly.graph_objects.Figure
        Its frame at the start.

    Returns
    -------
    ipywidgets.VBox
    """
    figure = LabFigure(first)
    controls = _Controls(explorer, figure)
    rows = ipywidgets.GridBox(
        list(controls.of.values()),
        layout={
            "grid_template_columns": "repeat(auto-fit, minmax(14em, 1fr))",
            "grid_gap": "0.3em 1.5em",
            "max_width": "700px",
        },
    )
    rows.add_class("memnb-lab-controls")
    buttons = ipywidgets.HBox([controls.player] * bool(explorer.play) + [controls.reset])
    title = ipywidgets.HTML(f"{STYLE}<b>{escape(explorer.title)}</b>")
    below = (
        [ipywidgets.HTML(caption_html(explorer.number, explorer.title, "p"))]
        if explorer.number
        else []
    )
    # What cannot be had stands below the figure, which must not move with its lines
    return ipywidgets.VBox([title, rows, buttons, figure, controls.why, *below])


def _control(axis: Axis) -> Any:
    kind = axis.kind(axis.values)
    return KINDS[kind](
        options=[(text_of(v), v) for v in axis.values],
        value=axis.start,
        description=axis.label,
        style={"button_width": "auto"} if kind == "buttons" else {},
        layout={"width": "auto"},
    )


def _change_to(old: Any, new: Any) -> None:
    """Make one trace or layout equal to another, touching only what differs.

    Every property that is set travels to the browser and is drawn again, changed or not.
    """
    before, after = old.to_plotly_json(), new.to_plotly_json()
    for key in (before.keys() | after.keys()) - {"type", "uid"}:
        if to_json_plotly(before.get(key)) != to_json_plotly(after.get(key)):
            old[key] = after.get(key)
