"""A figure carries its number, caption and alternative text wherever it is shown."""

import base64
import gzip
import json
import re

import plotly.graph_objects as go
import pytest
from support import ROOT

from memnb.explorers import Axis, Explorer
from memnb.figures import display, style


def figure():
    return go.Figure(go.Scatter(x=[0, 1], y=[0, 1]))


def outputs(shown, monkeypatch):
    """What the notebook would store."""
    stored = []
    monkeypatch.setattr(display, "display", lambda bundle, raw: stored.append(bundle))
    shown._ipython_display_()
    return stored


CAPTION = "What <b> & c show"


def test_on_the_site_a_figure_is_one_element_with_an_anchor(monkeypatch):
    monkeypatch.setenv("MEMNB_STATIC", "1")
    (bundle,) = outputs(
        style.show(figure(), 'An "alt" text.', number="5.3", caption=CAPTION), monkeypatch
    )
    html = bundle["text/html"]
    assert html.startswith('<figure class="memnb-figure" id="figure-5-3"')
    assert 'aria-label="An &quot;alt&quot; text."' in html
    assert "<strong>Figure 5.3.</strong> What &lt;b&gt; &amp; c show</figcaption>" in html
    assert bundle["text/plain"].splitlines() == [f"Figure 5.3. {CAPTION}", 'An "alt" text.']
    assert set(bundle) == {"text/html", "text/plain"}


def test_in_lab_the_caption_follows_the_figure(monkeypatch):
    monkeypatch.delenv("MEMNB_STATIC", raising=False)
    plot, caption = outputs(
        style.show(figure(), "Alt.", number="5.3", caption=CAPTION), monkeypatch
    )
    data = plot["application/vnd.plotly.v1+json"]
    inert = re.search(r'<script type="application/json">(.*)</script>', plot["text/html"])[1]
    assert json.loads(inert) == data and data["layout"]["meta"]["alt"] == "Alt."
    assert "figcaption" not in plot["text/html"]
    assert "Figure 5.3." in caption["text/html"] and "&lt;b&gt;" in caption["text/html"]
    assert len(outputs(style.show(figure(), "Alt."), monkeypatch)) == 1


def test_an_explorer_has_its_caption_in_all_three_places(monkeypatch):
    explorer = Explorer(
        lambda a: figure(), [Axis("a", "first", (0, 1), 0)], "Alt.", "What moves", number="1.2"
    )
    monkeypatch.setenv("MEMNB_STATIC", "1")
    assert "<strong>Figure 1.2.</strong> What moves" in explorer._repr_mimebundle_()["text/html"]
    monkeypatch.delenv("MEMNB_STATIC")
    assert "Figure 1.2." in explorer.widget().children[-1].value
    bundle = explorer._repr_mimebundle_()
    assert "<strong>Figure 1.2.</strong> What moves" in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "memnb-controls" not in bundle["text/html"]


def test_the_offline_library_is_whole_and_inert():
    html = display.offline_scripts()
    packed = re.search(r'<script type="text/plain" id="memnb-plotly">([\w+/=]+)</script>', html)[1]
    library = ROOT / "assets" / "plotly" / "plotly-cartesian.min.js"
    assert gzip.decompress(base64.b64decode(packed)) == library.read_bytes()
    assert len(html) < 800_000
    assert html.count("<script") == html.count("</script>") == 2


def test_it_is_left_out_where_it_is_not_beside_the_package(monkeypatch, tmp_path):
    monkeypatch.setattr(display, "ASSETS", tmp_path)
    display.offline_scripts.cache_clear()
    assert display.offline_scripts() == ""
    display.offline_scripts.cache_clear()


def test_bad_input_is_named():
    with pytest.raises(TypeError, match="figure must be a plotly Figure, got dict"):
        style.show({}, "Alt.")
    for number in ("5", "5.", "0.1", "5.03", 5.3, "Figure 5.3"):
        with pytest.raises(ValueError, match=r"number must be of the form '5\.3'"):
            style.show(figure(), "Alt.", number=number, caption="c")
    with pytest.raises(ValueError, match=r"caption of figure 5\.3 must not be empty"):
        style.show(figure(), "Alt.", number="5.3")
    with pytest.raises(ValueError, match="alt must be a sentence"):
        style.show(figure(), None)
    axis = Axis("a", "first", (0, 1), 0)
    with pytest.raises(TypeError, match="frame must be callable, got Figure"):
        Explorer(figure(), [axis], "Alt.")
    with pytest.raises(TypeError, match="axes must hold Axis objects, got str"):
        Explorer(lambda a: figure(), ["a"], "Alt.")
    with pytest.raises(ValueError, match=r"caption of figure 1\.2 must not be empty"):
        Explorer(lambda a: figure(), [axis], "Alt.", number="1.2")
