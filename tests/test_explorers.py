"""Explorers survive all their corners; what the website shows is what Python computes."""

import base64
import itertools
import json
import re

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plotly.io.json import to_json_plotly

from memnb.book.execute import fingerprint
from memnb.book.layout import Layout
from memnb.explorers import ALL, Axis, Explorer
from memnb.explorers.base import PAYLOAD_LIMIT, text_of
from memnb.explorers.live import Live, Range
from memnb.explorers.payload import merged, patch
from memnb.explorers.widget import LabFigure
from memnb.figures import style
from memnb.results import ResultsCorrupt
from memnb.shallow import readback

style.setup()


@pytest.fixture(params=sorted(ALL), scope="module")
def explorer(request):
    """Of one explorer for all tests the frames that several of them draw are computed once."""
    return ALL[request.param]()


@pytest.fixture(scope="module")
def chapters():
    """Of the last build the executed chapters that are those of this tree, as text."""
    layout, found = Layout.here(), []
    for record in layout.executed.glob("*.json"):
        digest = fingerprint(layout, record.stem, {"static": True})
        if json.loads(record.read_text())["fingerprint"] == digest:
            cells = json.loads(record.with_suffix(".ipynb").read_text())["cells"]
            outputs = [out for cell in cells for out in cell.get("outputs", ())]
            found += ["".join(out.get("data", {}).get("text/html", "")) for out in outputs]
    return found


@pytest.fixture(scope="module")
def payload(explorer, chapters):
    """What the website gets: from the page that was built, or computed once."""
    if isinstance(explorer, Live):
        return explorer.payload()
    script = rf'id="explorer-{explorer.anchor}".*<script type="application/json">(.*)</script>'
    found = [m[1] for html in chapters if (m := re.search(script, html, re.DOTALL))]
    return json.loads(found[0] if found else json.dumps(explorer.payload()))


def numbers(figure):
    """All coordinates of a figure's traces."""
    for trace in figure.data:
        for name in ("x", "y"):
            values = getattr(trace, name, None)
            if values is not None and len(values) and not isinstance(values[0], str):
                yield np.asarray(values, dtype=float)


def check(explorer, combinations):
    """Frames are pure functions of their values: each combination is drawn once."""
    first = [trace.type for trace in explorer.figure().data]
    distinct = {tuple(values.values()): values for values in combinations}
    for values in distinct.values():
        figure = explorer.figure(**values)
        assert [trace.type for trace in figure.data] == first
        assert figure.layout.meta["alt"]
        for part in numbers(figure):
            assert not np.isinf(part).any()
        json.loads(figure.to_json())


def extremes(explorer):
    """All values at one end, and one value at an end while the others stay at their start."""
    ends = {axis.name: (axis.values[0], axis.values[-1]) for axis in explorer.axes}
    for k in range(2):
        yield {name: both[k] for name, both in ends.items()}
        yield from (explorer.start | {name: both[k]} for name, both in ends.items())


def test_every_corner(explorer):
    """Of a live explorer the page draws all but the first frame; Python is only its reference."""
    check(explorer, extremes(explorer) if isinstance(explorer, Live) else explorer.corners())


def test_random_combinations(explorer):
    check(explorer, explorer.random(10 if isinstance(explorer, Live) else 100, seed=1))


def test_counts_add_up_to_the_number_of_starts():
    for name in ("counts", "early-stopping"):
        for values in itertools.islice(ALL[name]().corners(), 8):
            total = values.get("n", 500)
            stacked = [t for t in ALL[name]().figure(**values).data if t.stackgroup]
            heights = sum(np.asarray(t.y, dtype=float) for t in stacked)
            np.testing.assert_array_equal(heights, total)


def test_the_payload_holds_the_frames(explorer, payload):
    if isinstance(explorer, Live):  # the page computes them, see tests/browser/test_live_page.py
        controls = {c["name"]: c["start"] for c in payload["controls"]}
        assert controls == explorer.start
        return
    assert len(json.dumps(payload, separators=(",", ":"))) <= PAYLOAD_LIMIT
    grid = list(explorer.grid())
    assert len(grid) == len(payload["frames"])
    shown = [k for k, frame in enumerate(payload["frames"]) if isinstance(frame, list)]
    for index in (shown[0], shown[len(shown) // 3], shown[-1]):
        expected = json.loads(explorer.figure(**grid[index]).to_json())
        traces, layout = stored(payload, index)
        assert traces == expected["data"] and layout == expected["layout"]


def stored(payload, index):
    """Traces and layout of a frame, put together as the page does it."""
    figure = payload["first"]
    for piece in payload["frames"][index]:
        figure = merged(figure, payload["pool"][piece])
    return list(figure["data"].values()), figure["layout"]


def test_every_combination_has_a_frame_or_a_reason_and_can_be_reached(explorer, payload):
    """From the start, one control after another, without a combination that has no frame."""
    if isinstance(explorer, Live):
        return
    shape = [len(control["values"]) for control in payload["controls"]]
    places = np.empty(len(payload["frames"]), dtype=object)
    places[:] = payload["frames"]
    places = places.reshape(shape)
    for values, frame in zip(explorer.grid(), payload["frames"], strict=True):
        if why := explorer.missing(**values):
            assert payload["reasons"][frame] == why and why.endswith(".")
            with pytest.raises(ValueError, match="there is no frame at"):
                explorer.figure(**values)
        else:
            traces, _ = stored(payload, np.ravel_multi_index(
                [c["values"].index(text_of(values[c["name"]])) for c in payload["controls"]], shape
            ))  # fmt: skip
            # Something is drawn: no frame is an empty plot
            assert any(np.size(trace.get("z", trace.get("y", ()))) for trace in traces)
    has = np.vectorize(lambda frame: isinstance(frame, list))(places)
    reached, front = set(), [tuple(control["start"] for control in payload["controls"])]
    while front:
        at = front.pop()
        if at in reached or not has[at]:
            continue
        reached.add(at)
        for k, size in enumerate(shape):
            front.extend((*at[:k], place, *at[k + 1 :]) for place in range(size) if place != at[k])
    assert len(reached) == has.sum()


def test_no_kept_run_is_left_out():
    """What chapter 4 cannot show is exactly what its results do not hold."""
    explorer = ALL["trained-ends"]()
    for values in explorer.grid():
        try:
            readback.ends(values["d"], values["method"], values["N"], values["S"])
            kept = True
        except (KeyError, ResultsCorrupt):
            kept = False
        assert kept == (not explorer.missing(**values)), values


def test_axes_cover_their_ends(explorer):
    for axis in explorer.axes:
        if isinstance(axis, Range):
            assert (axis.values[0], axis.values[-1]) == (axis.low, axis.high)
            assert axis.start in axis.values
            continue
        assert axis.static_values[0] == axis.values[0]
        assert axis.static_values[-1] == axis.values[-1]


def line(a, b):
    return go.Figure(go.Scatter(x=np.array([0.0, 1.0]), y=np.array([a, b], dtype=float)))


AXES = (Axis("a", "first", (0, 1, 2), 1), Axis("b", "second", (0.5, 1.5), 0.5))


def test_html_holds_numbers_in_row_major_order():
    explorer = Explorer(line, AXES, "A line from a to b.", "Line")
    payload = explorer.payload()
    heights = []
    for index in range(len(payload["frames"])):
        y = stored(payload, index)[0][0]["y"]
        values = np.frombuffer(base64.b64decode(y["bdata"]), y["dtype"])
        heights.append(tuple(values))
    assert heights == list(itertools.product((0, 1, 2), (0.5, 1.5)))
    assert [c["start"] for c in payload["controls"]] == [1, 0]
    html = explorer.html()
    assert 'aria-label="A line from a to b."' in html
    assert "</script" not in html.split("<script", 1)[1].rsplit("</script>", 1)[0]


class Lab:
    """The parts of an explorer's widget."""

    def __init__(self, explorer):
        _title, controls, buttons, self.figure, self.why, *_ = explorer.widget().children
        self.of = dict(zip(explorer.start, controls.children, strict=True))
        *play, self.reset = buttons.children
        self.play = play[0] if play else None

    def words(self, name):
        return [text for text, _ in self.of[name].options]


def test_controls_in_lab_redraw_the_figure_and_reset_returns_to_the_start():
    lab = Lab(Explorer(line, AXES, "A line from a to b.", "Line"))
    lab.of["a"].value, lab.of["b"].value = 2, 1.5
    np.testing.assert_array_equal(lab.figure.data[0].y, [2, 1.5])
    lab.of["a"].value = 0
    np.testing.assert_array_equal(lab.figure.data[0].y, [0, 1.5])
    lab.reset.click()
    np.testing.assert_array_equal(lab.figure.data[0].y, [1, 0.5])


def test_play_in_lab_goes_through_an_axis():
    lab = Lab(Explorer(line, AXES, "A line from a to b.", "Line", play="a"))
    assert (lab.play.min, lab.play.value, lab.play.max) == (0, 1, 2) and not lab.play.repeat
    lab.play.value = 2
    np.testing.assert_array_equal(lab.figure.data[0].y, [2, 0.5])
    lab.of["a"].value = 0
    assert lab.play.value == 0


def not_both(a, b):
    return "Two and a half do not go together." if a == 2 and b == 1.5 else ""


def test_what_has_no_frame_is_not_offered_in_lab_and_the_reason_is_written():
    lab = Lab(Explorer(line, AXES, "A line from a to b.", "Line", missing=not_both, play="a"))
    assert lab.words("a") == ["0", "1", "2"] and lab.why.value == ""
    lab.of["b"].value = 1.5
    assert lab.words("a") == ["0", "1"] and lab.play.max == 1
    assert "first 2. Two and a half do not go together." in lab.why.value
    np.testing.assert_array_equal(lab.figure.data[0].y, [1, 1.5])
    lab.of["b"].value = 0.5
    lab.of["a"].value = 2
    assert lab.words("b") == ["0.5"] and lab.words("a") == ["0", "1", "2"]


def test_what_has_no_frame_is_left_out_everywhere():
    explorer = Explorer(line, AXES, "A line from a to b.", "Line", missing=not_both)
    payload = explorer.payload()
    assert payload["reasons"] == ["Two and a half do not go together."]
    assert [frame for frame in payload["frames"] if not isinstance(frame, list)] == [0]
    assert payload["frames"][-1] == 0
    assert all(not not_both(**values) for values in explorer.corners())
    drawn = list(explorer.random(50, seed=1))
    assert len(drawn) == 50 and not any(not_both(**values) for values in drawn)
    with pytest.raises(ValueError, match=r"there is no frame at .*Two and a half"):
        explorer.figure(a=2, b=1.5)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((1, 2, 3, 4), "buttons"),
        ((1, 2, 3, 4, 5), "slider"),
        ((0.1, 0.2, 0.3, 0.4, 0.5), "slider"),
        ((5, 1, 4, 2, 3), "buttons"),  # no order
        (("score", "probability"), "buttons"),
        (("20 epochs, paper's schedule", "20 epochs, cosine"), "select"),
    ],
)
def test_each_kind_of_value_has_its_control(values, kind):
    explorer = Explorer(lambda a: line(0, 1), (Axis("a", "first", values, values[0]),), "A line.")
    assert explorer.payload()["controls"][0]["kind"] == kind
    control = Lab(Explorer(explorer.frame, explorer.axes, "A line.", "Line")).of["a"]
    names = {"slider": "SelectionSlider", "buttons": "ToggleButtons", "select": "Dropdown"}
    assert type(control).__name__ == names[kind]


JSON = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=12,
)


@given(JSON, JSON)
def test_a_patch_leads_from_one_value_to_the_other(old, new):
    before = json.dumps(old)
    assert json.dumps(merged(old, patch(old, new)), sort_keys=True) == json.dumps(
        new, sort_keys=True
    )
    assert json.dumps(old) == before


def test_the_live_figure_is_the_new_one_and_only_what_differs_is_sent(monkeypatch):
    def frame(a, b):
        figure = go.Figure(go.Scatter(x=[0, 1], y=[a, b], name="line"))
        if a == 2:  # properties that other frames do not have
            figure.update_traces(marker={"color": "red"})
            figure.add_vline(x=b)
        return figure.update_layout(title=f"a = {a}")

    explorer = Explorer(frame, AXES, "A line from a to b.", "Line")
    lab = Lab(explorer)
    sliders, live = list(lab.of.values()), lab.figure
    sent = []
    monkeypatch.setattr(live, "_send_update_msg", lambda *a, **k: sent.append((a, k)))
    for a, b in ((2, 0.5), (2, 1.5), (0, 1.5), (1, 0.5)):
        sliders[0].value, sliders[1].value = a, b
        new = json.loads(explorer.figure(a=a, b=b).to_json())
        now = json.loads(go.Figure(live).to_json())
        now["data"][0].pop("uid", None)
        assert now["data"] == new["data"]
        now["layout"] = {k: v for k, v in now["layout"].items() if v or v == 0}
        assert now["layout"].pop("shapes", []) == new["layout"].pop("shapes", [])
        assert now["layout"] == new["layout"]
    assert sent and "name" not in repr(sent) and "alt" not in repr(sent)
    sent.clear()
    sliders[1].value = 1.5
    assert "title" not in repr(sent) and "y" in repr(sent)


def test_figures_of_a_notebook_share_one_script():
    def sent(widget):
        return len(to_json_plotly(widget.get_state()))

    one, other = LabFigure(line(0, 1)), LabFigure(line(1, 0))
    script = one._script
    assert script is other._script and script.text == str(go.FigureWidget._esm)
    assert max(sent(one), sent(other)) < 20_000 < 1_000_000 < sent(script)
    script.close()  # as the user does who closes all widgets
    assert LabFigure(line(0, 1))._script.comm is not None


def test_static_and_live_outputs(monkeypatch):
    explorer = Explorer(line, AXES, "A line from a to b.")
    monkeypatch.setenv("MEMNB_STATIC", "1")
    bundle = explorer._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    monkeypatch.delenv("MEMNB_STATIC")
    live = explorer._repr_mimebundle_()
    live = live[0] if isinstance(live, tuple) else live
    assert "application/vnd.jupyter.widget-view+json" in live


def test_errors():
    with pytest.raises(ValueError, match="alt must be a sentence"):
        Explorer(line, AXES, " ")
    with pytest.raises(ValueError, match="distinct names"):
        Explorer(line, (AXES[0], AXES[0]), "A line.")
    with pytest.raises(ValueError, match=r"play must be one of the axes \['a', 'b'\], got 'c'"):
        Explorer(line, AXES, "A line.", play="c")
    with pytest.raises(TypeError, match="missing must be callable, got str"):
        Explorer(line, AXES, "A line.", missing="no")
    with pytest.raises(ValueError, match=r"no frame at the start \{'a': 1, 'b': 0.5\}: Never."):
        Explorer(line, AXES, "A line.", missing=lambda a, b: "Never.")
    with pytest.raises(ValueError, match="start of axis 'a'"):
        Axis("a", "first", (0, 1), 5)
    with pytest.raises(ValueError, match="static_values of axis 'a'"):
        Axis("a", "first", (0, 1), 0, (0, 7))
    with pytest.raises(ValueError, match=r"unknown axis \['c'\], allowed: \['a', 'b'\]"):
        Explorer(line, AXES, "A line.").figure(c=1)

    def uneven(a, b):
        return line(a, b) if a else go.Figure()

    with pytest.raises(ValueError, match="the first one"):
        Explorer(uneven, AXES, "A line.").payload()

    def huge(a, b):
        return go.Figure(go.Scatter(y=np.arange(30_000) + a + b))

    with pytest.raises(ValueError, match="carries"):
        Explorer(huge, AXES, "A line.").payload()
    with pytest.raises(ValueError, match="alt must be a sentence"):
        style.show(line(0, 1), "")


RANGES = (Range("a", "first", 0, 10, 1.5), Range("b", "second", 0, 3, 1, digits=0, log=True))
PAGE = {"view": "plane", "given": {}, "state": {"points": [[0, 1]]}}


def test_a_live_explorer_is_declared_like_any_other(monkeypatch):
    explorer = Live(line, RANGES, "A line </script> a.", "A line", "2.3", play="a", **PAGE)
    assert RANGES[1].values == (0, 1, 2, 3) and explorer.anchor == "a-line"
    html = explorer.html()
    assert 'id="figure-2-3"' in html and 'id="explorer-a-line"' in html
    inside = html.split('<script type="application/json">')[1].rsplit("</script>", 1)[0]
    assert "</script" not in inside
    spec = json.loads(inside)
    assert spec == json.loads(json.dumps(explorer.payload()))
    assert [c["start"] for c in spec["controls"]] == [1.5, 1] and spec["play"] == "a"
    monkeypatch.delenv("MEMNB_STATIC", raising=False)
    page, caption = explorer.widget().children
    assert {**page.spec, "id": "a-line"} == explorer.payload() and "Figure 2.3" in caption.value
    assert "export default" in page._esm and "import" not in page._esm.split("{")[0]
    # An executed notebook shows the first frame, which Python drew, where no widget lives.
    first = explorer._repr_mimebundle_()
    assert "memnb-plot" in (first[0] if isinstance(first, tuple) else first)["text/html"]


def test_the_first_frame_of_a_live_explorer_is_computed_in_the_build():
    def broken(a, b):
        raise RuntimeError("no frame")

    with pytest.raises(RuntimeError, match="no frame"):
        Live(broken, RANGES, "A line.", "A line", **PAGE).html()


def test_errors_of_live_explorers():
    with pytest.raises(ValueError, match="low and high of range 'a' must be in order"):
        Range("a", "first", 1, 1, 1)
    with pytest.raises(ValueError, match="not negative on a logarithmic slider"):
        Range("a", "first", -1, 1, 0, log=True)
    with pytest.raises(ValueError, match="start of range 'a' must be between 0 and 1, got 2"):
        Range("a", "first", 0, 1, 2)
    with pytest.raises(TypeError, match="axes must hold Axis objects"):
        Explorer(line, RANGES, "A line.")
    with pytest.raises(ValueError, match="title of a live explorer must not be empty"):
        Live(line, RANGES, "A line.", " ", **PAGE)
    with pytest.raises(ValueError, match=r"play must be one of the ranges \['a', 'b'\], got 'c'"):
        Live(line, RANGES, "A line.", "A line", play="c", **PAGE)
    big = {**PAGE, "given": {"starts": [0.123] * 10_000}}
    with pytest.raises(ValueError, match="carries"):
        Live(line, RANGES, "A line.", "A line", **big).payload()
