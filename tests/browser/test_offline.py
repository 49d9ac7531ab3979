"""An executed chapter that nbconvert turns into one HTML file shows its figures without network."""

import json
import re

import nbformat
import pytest
from nbconvert import HTMLExporter
from support import ROOT

from memnb.book.execute import execute
from memnb.book.layout import Layout

CHAPTER = "02-probability-flow"
PLOTLY = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    execute(Layout(ROOT), [CHAPTER], {"n_starts": 20}, destination=folder)
    return folder / f"{CHAPTER}.ipynb"


def bundles(path):
    for cell in json.loads(path.read_text())["cells"]:
        for output in cell.get("outputs", []):
            yield output.get("data", {})


def test_a_static_figure_lies_beside_every_live_one(executed):
    assert executed.stat().st_size < 2_000_000
    assert "widgets" not in json.loads(executed.read_text())["metadata"]
    live = [data for data in bundles(executed) if {PLOTLY, WIDGET} & set(data)]
    assert {PLOTLY in data for data in live} == {True, False}
    for data in live:
        html = "".join(data["text/html"])
        figure = json.loads(re.search(r"<script type=.application/json.>(.*)</script>", html)[1])
        assert figure["data"] and figure["layout"]["meta"]["alt"]


def test_nbconvert_draws_all_figures_with_the_network_blocked(executed, browser, tmp_path):
    html, _ = HTMLExporter().from_notebook_node(nbformat.read(executed, as_version=4))
    page_file = tmp_path / "chapter.html"
    page_file.write_text(html)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.route(
        re.compile("^(?!file:|data:|blob:)"), lambda route: route.abort("internetdisconnected")
    )
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(page_file.as_uri(), wait_until="domcontentloaded")
    plots = page.locator(".memnb-plot")
    expected = [data for data in bundles(executed) if {PLOTLY, WIDGET} & set(data)]
    assert plots.count() == len(expected) > 0
    for k in range(plots.count()):
        plot = plots.nth(k)
        plot.scroll_into_view_if_needed()
        page.wait_for_function("(p) => p.dataset.drawn", arg=plot.element_handle(), timeout=30_000)
        drawn = plot.evaluate("(p) => p._fullData.filter((t) => t.visible === true).length")
        assert drawn > 0 and plot.locator("svg.main-svg").count() > 0
        assert plot.bounding_box()["height"] > 200
    captions = page.locator(".memnb-caption").all_inner_texts()
    assert [text.split(". ")[0] for text in captions] == [
        f"Figure 2.{k}" for k in range(1, len(captions) + 1)
    ]
    assert len(captions) == plots.count()
    # Without network jQuery, RequireJS and MathJax are missing; nothing of ours may need them.
    assert not [e for e in errors if "memnb" in e or "Plotly" in e]
    context.close()
