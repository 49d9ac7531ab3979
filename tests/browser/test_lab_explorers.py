"""Every explorer of every chapter in JupyterLab: every control at both of its ends.

How long each control takes to show what it was moved to is kept in ``_build/screenshots``.
"""

import base64
import json
import statistics

import numpy as np
import pytest
from lab import run_all
from playwright.sync_api import TimeoutError
from support import notebook
from visits import ARTIFACTS, EXPLORERS_FIT

from memnb.explorers import ALL
from memnb.explorers.base import text_of
from memnb.explorers.live import Live, Range
from memnb.explorers.score_flow import field
from memnb.figures import style

SETUP = """from memnb.explorers import ALL
from memnb.explorers.score_flow import field
from memnb.explorers.trained_denoisers import Retrain
from memnb.explorers.unet_transition import LiveTraining
from memnb.figures import style

style.setup()"""
FIRST_PAGE = "field, compact"  # as the book's first page has it
MAKE = {**ALL, FIRST_PAGE: lambda: field(compact=True)}
# What trains at a click: which of its controls are at their last values, the others at their first,
# and what it says then
TRAIN = {
    "Retrain": [((), "rounds: residual"), ((0,), "n_points must be at most dim + 1 = 2, got 11")],
    "LiveTraining": [((), "copies:"), ((0,), "copies:")],
}
STEPS = 10  # of a slider on its way, while it is timed
SCRIPT = 1_000_000  # bytes, which only a message with plotly's script exceeds
PATIENCE = 20_000  # milliseconds for a frame
# Once no noise is left, the dimension decides nothing: it is seen a little before
SEEN_AT = {("Two flows", "d"): ("gone", ("End", "ArrowLeft", "ArrowLeft", "ArrowLeft"))}

DRAWN = """(k) => {
  const box = document.querySelectorAll('.jp-CodeCell')[k]
    .querySelector('.memnb-live, .js-plotly-plot');
  return box && (box.dataset.drawn || box.querySelector('.main-svg'));
}"""

# What sticks out of the output of a cell, and words that are cut off
WIDER = """(output) => {
  const words = ['.widget-label', '.widget-readout', 'button', 'select', 'label', 'legend'];
  const right = output.getBoundingClientRect().right + 1;
  return [...output.querySelectorAll('*')].filter((e) => e.getClientRects().length
    && !e.closest('.draglayer') // where plotly listens, which cannot be seen
    && (e.getBoundingClientRect().right > right
      || e.matches(words.join()) && e.clientWidth && e.scrollWidth > e.clientWidth + 1))
    .map((e) => `${e.tagName} ${e.getAttribute('class')} ${e.textContent.slice(0, 40)}`);
}"""

# From an input on until what it changed has been painted
LIVE_TIMES = """async ([control, steps]) => {
  const box = control.closest('.memnb-live');
  const slider = control.querySelector('[type=range]');
  const choices = [...control.querySelectorAll('[type=radio]')];
  const times = [];
  for (let k = 0; k <= steps; k++) {
    const painted = new Promise((done) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = done;
      const watch = new MutationObserver(() => { watch.disconnect(); port2.postMessage(0); });
      watch.observe(box, { attributes: true, attributeFilter: ['data-drawn'] });
    });
    const began = performance.now();
    if (slider) {
      const [low, high] = [Number(slider.min), Number(slider.max)];
      slider.value = low + (high - low) * k / steps;
      slider.dispatchEvent(new Event('input'));
    } else choices[k % choices.length].click();
    await painted;
    times.push(performance.now() - began);
  }
  if (slider) slider.dispatchEvent(new Event('change'));
  return times;
}"""
LIVE_PICTURE = """(box) => JSON.stringify([
  ...[...box.querySelectorAll('canvas')].map((c) => c.getClientRects().length && c.toDataURL()),
  ...[...box.querySelectorAll('svg')].map((s) => s.innerHTML),
  box.querySelector('.memnb-live-note').textContent,
])"""

# Each control of what trains: the words that it stands at; and what the plot shows
CHOSEN = """(output) => [...output.querySelectorAll('.widget-readout, option:checked')]
  .map((e) => e.textContent)"""
TRAINED = """(output) => JSON.stringify(output.querySelector('.js-plotly-plot').data)"""

# Where a plot differs from a figure, or an empty text. What plotly adds of its own to a layout does
# not count, but what another frame has left in it does.
DIFFERENCE = """(figure, plot) => {
  const isList = (x) => Array.isArray(x) || ArrayBuffer.isView(x);
  const none = (x) => x === null || x === undefined || Number.isNaN(x);
  const seek = (a, b, where) => {
    if (none(a) && none(b)) return '';
    if (isList(a)) {
      if (!isList(b) || a.length !== b.length) return `length of ${where}`;
      return a.reduce((found, x, i) => found || seek(x, b[i], `${where}[${i}]`), '');
    }
    if (typeof a === 'object' && a !== null) {
      if (typeof b !== 'object' || b === null) return where;
      return Object.keys(a).reduce((found, k) => found || seek(a[k], b[k], `${where}.${k}`), '');
    }
    const near = typeof a === 'number' && Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(a));
    return near || a === b ? '' : `${where}: ${b}, not ${a}`;
  };
  for (const key of ['annotations', 'shapes', 'images']) {
    const counts = [figure, plot].map((part) => (part.layout[key] || []).length);
    if (counts[0] !== counts[1]) return `number of ${key}`;
  }
  for (const [k, trace] of plot.data.entries()) {
    const more = Object.keys(trace).filter((key) => !/^(uid|_.*)$/.test(key) && !none(trace[key])
      && none(figure.data[k][key]));
    if (more.length) return `left in trace ${k}: ${more}`;
  }
  return seek(figure.data, plot.data, 'data') || seek(figure.layout, plot.layout, 'layout');
}"""
# From a key or a click on until the plot is the figure
FRAME = f"""([plot, figure, patience]) => {{
  const difference = {DIFFERENCE};
  const asked = performance.now();
  let began = null;
  const begin = () => {{ began ??= performance.now(); }};
  for (const kind of ['keydown', 'click']) addEventListener(kind, begin, {{ capture: true }});
  window.frame = new Promise((done) => {{
    const look = () => {{
      const now = performance.now();
      const left = began === null ? 'no input' : difference(figure, plot);
      if (!left || now - (began ?? asked) > patience) done([now - began, left]);
      else requestAnimationFrame(look);
    }};
    look();
  }}).finally(() => {{
    for (const kind of ['keydown', 'click']) removeEventListener(kind, begin, {{ capture: true }});
  }});
}}"""

# What each control of ipywidgets has chosen, the last place of a slider, and the words to choose
# from; and all that the output says
CONTROLS = """(output) => {
  const text = (e) => e && e.textContent.split(/\\s+/).join(' ').trim();
  return [[...output.querySelectorAll('.memnb-lab-controls > *')].map((control) => [
    text(control.querySelector('.widget-readout, button.mod-active, option:checked')),
    Number(control.querySelector('.noUi-handle')?.ariaValueMax),
    [...control.querySelectorAll('button, option')].map(text),
  ]), output.innerText];
}"""


def plain(value):
    """A part of a figure as the page has it."""
    if isinstance(value, dict):
        if "bdata" in value:
            flat = np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"])
            shape = [int(n) for n in str(value.get("shape", flat.size)).split(",")]
            return plain(flat.reshape(shape))
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if value != value else value


class LiveSweep:
    """A live explorer in the output of a cell."""

    def __init__(self, page, cell, explorer):
        self.page, self.explorer = page, explorer
        self.box = cell.query_selector(".memnb-live")
        self.controls = self.box.query_selector_all(".memnb-live-controls > *")
        assert len(self.controls) == len(explorer.axes)

    def after(self, action):
        """Do something and wait for the whole frame that follows."""
        drawn = self.box.evaluate("(b) => b.dataset.drawn")
        action()
        whole = "([b, drawn]) => b.dataset.drawn !== drawn && !b.matches('[data-rough]')"
        self.page.wait_for_function(whole, arg=[self.box, drawn])

    def go(self, name, keys):
        """Move a slider by keys."""
        slider = self.box.query_selector(f"input[name={name}]")
        slider.focus()
        for key in keys:
            value = slider.input_value()
            self.page.keyboard.press(key)
            assert slider.input_value() != value or key in ("Home", "End")
        self.page.wait_for_function("(b) => !b.matches('[data-rough]')", arg=self.box)

    def picture(self):
        return self.box.evaluate(LIVE_PICTURE)

    def move(self, axis, control):
        """To both ends by keyboard or, between words, by mouse."""
        if isinstance(axis, Range):
            slider = control.query_selector("input")
            for key, end in (("Home", axis.low), ("End", axis.high)):
                slider.focus()
                if float(slider.get_attribute("aria-valuetext")) != end:
                    self.after(lambda key=key: self.page.keyboard.press(key))
                assert float(slider.get_attribute("aria-valuetext")) == end
                assert float(control.query_selector("output").inner_text()) == end
                yield self.picture()
            # JupyterLab has its own use for arrows, which must not take them from a slider
            self.after(lambda: self.page.keyboard.press("ArrowLeft"))
            assert float(slider.get_attribute("aria-valuetext")) != end
        else:
            for end in (axis.values[0], axis.values[-1]):
                radio = control.query_selector(f"input[value='{end}']")
                if not radio.is_checked():
                    self.after(lambda end=end: control.query_selector(f"text='{end}'").click())
                assert radio.is_checked()
                yield self.picture()

    def sweep(self):
        """Move every control; returns the times of each in milliseconds."""
        times, start = {}, self.picture()
        for axis, control in zip(self.explorer.axes, self.controls, strict=True):
            if seen_at := SEEN_AT.get((self.explorer.title, axis.name)):
                low, high = (json.loads(seen)[:-1] for seen in self.move(axis, control))
                assert low == high, axis.label  # but for the note
                self.go(*seen_at)
            low, high = list(self.move(axis, control))
            assert low != high, axis.label
            times[axis.label] = control.evaluate(
                f"(c, steps) => ({LIVE_TIMES})([c, steps])", STEPS if isinstance(axis, Range) else 4
            )
            self.page.wait_for_function("(b) => !b.matches('[data-rough]')", arg=self.box)
            self.after(self.box.query_selector("button:text-is('Reset')").click)
            assert self.picture() == start, axis.label
        for handle in self.box.query_selector_all(".memnb-live-handle"):
            if handle.is_visible():
                place = handle.get_attribute("aria-label")
                handle.focus()
                self.after(lambda: self.page.keyboard.press("ArrowLeft"))
                assert handle.get_attribute("aria-label") != place
        self.after(self.box.query_selector("button:text-is('Reset')").click)
        assert self.picture() == start, "handles"
        self.page.wait_for_function(
            "(b) => b.ariaLabel.endsWith(b.querySelector('.memnb-live-status').textContent)",
            arg=self.box,
        )
        return times


class KernelSweep:
    """An explorer whose frames the kernel computes, with the controls of ipywidgets."""

    def __init__(self, page, cell, explorer):
        self.page, self.explorer, self.now, self.figures = page, explorer, explorer.start, {}
        self.box, self.plot = cell, cell.query_selector(".js-plotly-plot")
        found = cell.query_selector_all(".memnb-lab-controls > *")
        names = [axis.name for axis in explorer.axes]
        self.controls = dict(zip(names, found, strict=True))

    def offered(self, axis, **values):
        """Values that can be combined with those of the other controls."""
        values = {**self.now, **values}
        return [v for v in axis.values if not self.explorer.missing(**{**values, axis.name: v})]

    def check_controls(self):
        """They stand at what was chosen, offer what there is, and what there is not has reasons."""
        reasons = set()
        shown, written = self.box.evaluate(CONTROLS)
        for axis, (chosen, last, words) in zip(self.explorer.axes, shown, strict=True):
            assert chosen == text_of(self.now[axis.name]), axis.label
            offered = self.offered(axis)
            if axis.kind(axis.values) == "slider":
                assert last == len(offered) - 1
            else:
                assert words == [text_of(v) for v in offered]
            for value in set(axis.values) - set(offered):
                reasons.add(self.explorer.missing(**{**self.now, axis.name: value}))
        assert ("Not here:" in written) == bool(reasons)
        assert all(reason in written for reason in reasons)

    def figure(self):
        """The figure of the values now, as Python computes it."""
        key = tuple(self.now.values())
        if key not in self.figures:
            figure = plain(self.explorer.figure(**self.now).to_plotly_json())
            figure["layout"].pop("template")
            self.figures[key] = figure
        return self.figures[key]

    def after(self, values, action):
        """Do something and wait until the plot is that of the values; returns how long it took."""
        self.now = {**self.now, **values}
        self.page.evaluate(FRAME, [self.plot, self.figure(), PATIENCE])
        action()
        took, difference = self.page.evaluate("window.frame")
        assert not difference, (self.explorer.title, self.now, difference)
        self.check_controls()
        return took

    def press(self, axis, place):
        """What moves a control to the first (0) or the last (-1) value that it offers."""
        control, kind = self.controls[axis.name], axis.kind(axis.values)
        if kind == "buttons":
            return lambda: control.query_selector_all("button")[place].click()
        one = control.query_selector(".noUi-handle, select")
        key = "End" if place else "Home"
        return lambda: (one.focus(), self.page.keyboard.press(key))

    def allow(self, axis, end):
        """Move another control to an end with which a value can be had."""
        for other in self.explorer.axes:
            for place in (0, -1):
                moved = {other.name: other.values[place]}
                if moved[other.name] in self.offered(other) and end in self.offered(axis, **moved):
                    self.after(moved, self.press(other, place))
                    return
        pytest.fail(f"{self.explorer.title}: {axis.label} {end} cannot be had")

    def sweep(self):
        times = {}
        self.check_controls()
        for axis in self.explorer.axes:
            pictures, took = [], []
            for place in (0, -1):
                end = axis.values[place]
                if end not in self.offered(axis):
                    self.allow(axis, end)
                moved = end != self.now[axis.name]
                time = self.after({axis.name: end}, self.press(axis, place))
                took += [time] * moved
                pictures.append(self.plot.inner_html())
            assert pictures[0] != pictures[1], axis.label
            reset = self.box.query_selector("button:has-text('Reset')")
            time = self.after(self.explorer.start, reset.click)
            times[axis.label] = took
        return times


def train_by_button(page, output, clicks):
    """Move every control to both ends, by keyboard, then train at some of them."""
    controls = output.query_selector_all(".noUi-handle, select")

    def go(key):
        for control in controls:
            control.focus()
            page.keyboard.press(key)
        return output.evaluate(CHOSEN)

    last, first = go("End"), go("Home")
    assert len(first) == len(controls) > 2
    assert not [word for word, other in zip(first, last, strict=True) if word == other]
    button = output.query_selector("button:text-is('Train')")
    for moved, said in clicks:
        for place in moved:
            controls[place].focus()
            page.keyboard.press("End")
        before = output.evaluate(TRAINED)
        button.click()
        done = f"""([o, b, said, before]) => !b.disabled && o.innerText.includes(said)
          && (({TRAINED})(o) === before) === said.includes('must be')"""
        page.wait_for_function(done, arg=[output, button, said, before], timeout=3 * PATIENCE)


def record(times):
    return {
        "median_ms": round(statistics.median(times), 1),
        "p95_ms": round(float(np.percentile(times, 95)), 1),
        "times": len(times),
    }


def complaints_of(sockets):
    """What the kernel says went wrong in the functions that follow the controls."""
    found = []

    def listen(frame):
        text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
        if '"msg_type": "error"' in text or '"name": "stderr"' in text:
            found.append(text[-2000:])

    for socket in sockets:
        socket.on("framereceived", listen)
    return found


EARLY = """import plotly.graph_objects as go

from memnb.explorers.widget import LabFigure

figure = LabFigure(go.Figure(go.Scatter(x=[0, 1], y=[0, 1])))
figure.add_scatter(x=[0, 1], y=[7, 7])
display(figure)
with figure.batch_update():
    figure.data[0].y = [0, 5]
    figure.layout.title.text = "first"
figure.add_scatter(x=[0, 1], y=[3, 3])
figure.data[2].y = [8, 9]
figure.layout.title.text = "last"
"""
EARLY_SEEN = """() => {
  const plot = document.querySelector('.jp-OutputArea-output .js-plotly-plot');
  const made = plot && plot.querySelector('.main-svg') && plot.layout.title;
  return made && JSON.stringify([plot.data.map((t) => [...t.y]), plot.layout.title.text]);
}"""


def test_a_figure_is_what_it_was_told_before_its_script_had_come(browser, lab, lab_folder):
    path = lab_folder / "root" / "notebooks" / "early.ipynb"
    path.write_text(json.dumps(notebook(EARLY)))
    page = browser.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    run_all(page, f"{lab}/lab/tree/notebooks/early.ipynb?reset", ".js-plotly-plot .main-svg")
    seen = json.loads(page.evaluate(EARLY_SEEN))
    assert seen == [[[0, 5], [7, 7], [8, 9]], "last"] and not errors
    page.close()


def test_every_control_of_every_explorer_at_both_ends(browser, lab, lab_folder):
    style.setup()
    cells = [f"ALL[{name!r}]()" for name in ALL] + ["field(compact=True)"]
    cells += [f"{name}()" for name in TRAIN]
    path = lab_folder / "root" / "notebooks" / "explorers.ipynb"
    path.write_text(json.dumps(notebook(SETUP, *cells)))
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    errors, sockets, sizes, times = [], [], [], {}

    def opened(socket):
        sockets.append(socket)
        socket.on("framereceived", lambda frame: sizes.append(len(frame)))

    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("websocket", opened)
    run_all(page, f"{lab}/lab/tree/notebooks/explorers.ipynb?reset")
    assert sum(size > SCRIPT for size in sizes) == 1
    complaints = complaints_of(sockets)
    outputs = {}
    for k, name in enumerate([*MAKE, *TRAIN], 2):  # after the cells of parameters and setup
        page.wait_for_function(DRAWN, arg=k, timeout=60_000)
        outputs[name] = page.query_selector_all(".jp-CodeCell")[k].query_selector(
            ".jp-OutputArea-output"
        )
    for name, clicks in TRAIN.items():
        outputs[name].scroll_into_view_if_needed()
        train_by_button(page, outputs[name], clicks)
        assert outputs[name].evaluate(WIDER) == [], name
    for name in MAKE:
        explorer, output = MAKE[name](), outputs[name]
        output.scroll_into_view_if_needed()
        kind = LiveSweep if isinstance(explorer, Live) else KernelSweep
        swept = kind(page, output, explorer).sweep()
        times[explorer.title] = {label: record(took) for label, took in swept.items()}
        assert output.evaluate(WIDER) == [], explorer.title
        assert page.evaluate(EXPLORERS_FIT), explorer.title
        assert errors == complaints == [], explorer.title
    page.set_viewport_size({"width": 1000, "height": 1000})  # all of them follow
    for name, output in outputs.items():
        try:
            page.wait_for_function(f"(o) => ({WIDER})(o).length === 0", arg=output, timeout=5000)
        except TimeoutError:
            pytest.fail(f"{name} is too wide: {output.evaluate(WIDER)[:5]}")
    assert page.evaluate(EXPLORERS_FIT) and errors == complaints == []
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    (ARTIFACTS / "lab-frames.json").write_text(json.dumps(times, indent=1, ensure_ascii=False))
    page.close()
