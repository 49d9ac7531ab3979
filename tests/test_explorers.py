"""Explorers survive all their corners; what the website shows is what Python computes."""

import base64
import itertools
import json

import numpy as np
import plotly.graph_objects as go
import pytest

from memnb.explorers import ALL, Axis, Explorer
from memnb.explorers.base import PAYLOAD_LIMIT
from memnb.explorers.live import Live, Range
from memnb.figures import style

style.setup()


@pytest.fixture(params=sorted(ALL), scope="module")
def explorer(request):
    """Of one explorer for all tests the frames that several of them draw are computed once."""
    return ALL[request.param]()


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


def test_every_corner(explorer):
    check(explorer, explorer.corners())


def test_random_combinations(explorer):
    check(explorer, explorer.random(200, seed=1))


def test_counts_add_up_to_the_number_of_starts():
    for name, total in (("counts", 500), ("early-stopping", 500)):
        for values in itertools.islice(ALL[name]().corners(), 8):
            stacked = [t for t in ALL[name]().figure(**values).data if t.stackgroup]
            heights = sum(np.asarray(t.y, dtype=float) for t in stacked)
            np.testing.assert_array_equal(heights, total)


def test_the_payload_holds_the_frames(explorer):
    payload = explorer.payload()
    if isinstance(explorer, Live):  # the page computes them, see tests/browser/test_live_page.py
        controls = {c["name"]: c["start"] for c in payload["controls"]}
        assert controls == explorer.start
        return
    assert len(json.dumps(payload, separators=(",", ":"))) <= PAYLOAD_LIMIT
    grids = [axis.static_values for axis in explorer.axes]
    frames = list(itertools.product(*grids))
    assert len(frames) == len(payload["frames"])
    for index in (0, len(frames) // 3, len(frames) - 1):
        values = dict(zip(explorer.start, frames[index], strict=True))
        expected = json.loads(explorer.figure(**values).to_json())
        layout, *traces = (payload["pool"][i] for i in payload["frames"][index])
        assert traces == expected["data"]
        assert layout == {k: v for k, v in expected["layout"].items() if k != "template"}


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
    for _, trace in payload["frames"]:
        y = payload["pool"][trace]["y"]
        values = np.frombuffer(base64.b64decode(y["bdata"]), y["dtype"])
        heights.append(tuple(values))
    assert heights == list(itertools.product((0, 1, 2), (0.5, 1.5)))
    assert [s["start"] for s in payload["sliders"]] == [1, 0]
    html = explorer.html()
    assert 'aria-label="A line from a to b."' in html
    assert "</script" not in html.split("<script", 1)[1].rsplit("</script>", 1)[0]


def test_widget_sliders_redraw_the_live_figure():
    box = Explorer(line, AXES, "A line from a to b.").widget()
    *sliders, live = box.children
    sliders[0].value, sliders[1].value = 2, 1.5
    np.testing.assert_array_equal(live.data[0].y, [2, 1.5])
    sliders[0].value = 0
    np.testing.assert_array_equal(live.data[0].y, [0, 1.5])


def test_the_live_figure_is_the_new_one_and_only_what_differs_is_sent(monkeypatch):
    def frame(a, b):
        figure = go.Figure(go.Scatter(x=[0, 1], y=[a, b], name="line"))
        if a == 2:  # properties that other frames do not have
            figure.update_traces(marker={"color": "red"})
            figure.add_vline(x=b)
        return figure.update_layout(title=f"a = {a}")

    explorer = Explorer(frame, AXES, "A line from a to b.")
    *sliders, live = explorer.widget().children
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
    with pytest.raises(ValueError, match="start of axis 'a'"):
        Axis("a", "first", (0, 1), 5)
    with pytest.raises(ValueError, match="static_values of axis 'a'"):
        Axis("a", "first", (0, 1), 0, (0, 7))
    with pytest.raises(ValueError, match=r"unknown slider \['c'\], allowed: \['a', 'b'\]"):
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
    assert 'id="figure-2-3"' in html and 'id="a-line"' in html
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
