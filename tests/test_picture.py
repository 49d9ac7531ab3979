"""Figures as plain pictures: what lies where, and that every live explorer has one."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import plotly.graph_objects as go
import pytest

from memnb.explorers import ALL
from memnb.explorers.live import Live
from memnb.figures.picture import MARGIN, SIZE, picture

LIVE = [name for name, make in ALL.items() if isinstance(make(), Live)]


def paths(figure):
    root = ET.fromstring(picture(figure, "A <figure>."))
    assert root.get("aria-label") == "A <figure>."
    name = "{http://www.w3.org/2000/svg}path"
    return list(root.iter(name))


def corners(path):
    """Corners of a path of absolute and relative steps, as an array."""
    at, found = np.zeros(2), []
    for kind, x, y in re.findall(r"([Ml])(-?\d+)[ ]?(-?\d+)", path.get("d")):
        step = np.array([int(x), int(y)])
        at = step if kind == "M" else at + step
        found.append(at)
    return np.array(found)


def test_points_lie_where_the_axes_put_them():
    figure = go.Figure(go.Scatter(x=[0, 1, 1, None, 0.5], y=[0, 0, 1, None, 0.5], mode="lines"))
    figure.update_layout(xaxis={"range": [0, 1]}, yaxis={"range": [0, 1], "scaleanchor": "x"})
    line, frame = paths(figure)
    low, high = MARGIN, SIZE - MARGIN
    middle = (low + high) / 2
    wanted = [(low, high), (high, high), (high, low), (middle, middle)]
    np.testing.assert_allclose(corners(line), wanted, atol=1)
    assert frame.get("d") == f"M{low} {low}h{high - low}v{high - low}h-{high - low}z"


def test_logarithmic_axes():
    figure = go.Figure(go.Scatter(x=[1, 10, 100], y=[0, 0.5, 1], mode="lines"))
    figure.update_layout(xaxis={"type": "log", "range": [0, 2]}, yaxis={"range": [0, 1]})
    x = corners(paths(figure)[0])[:, 0]
    np.testing.assert_allclose(np.diff(x), (SIZE - 2 * MARGIN) / 2, atol=1)


def test_stacked_areas_fill_what_they_measure():
    heights = np.array([[0.25, 0.5, 0.25], [0.75, 0.5, 0.75]])
    figure = go.Figure()
    for row in heights:
        figure.add_scatter(x=[0, 1, 2], y=row, stackgroup="one", fillcolor="#000000")
    figure.update_layout(xaxis={"range": [0, 2]}, yaxis={"range": [0, 1]})
    areas = []
    for path in paths(figure)[:2]:
        x, y = corners(path).T
        areas.append(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)
    wanted = [np.trapezoid(row) for row in heights]
    np.testing.assert_allclose(np.array(areas) / sum(areas), np.array(wanted) / 2, atol=2e-3)


def test_heat_maps_are_runs_of_one_color():
    z = np.array([[0, 0, 1], [1, 1, 1]])
    scale = [[0, "#000000"], [0.5, "#000000"], [0.5, "#ffffff"], [1, "#ffffff"]]
    figure = go.Figure(go.Heatmap(z=z, x0=0, dx=1, y0=0, dy=1, zmin=-0.5, zmax=1.5,
                                  colorscale=scale))  # fmt: skip
    figure.update_layout(xaxis={"range": [-0.5, 2.5]}, yaxis={"range": [-0.5, 1.5]})
    colors = [path.get("fill") for path in paths(figure)[:-1] if path.get("fill")]
    assert colors == ["#000000", "#ffffff", "#ffffff"]


@pytest.mark.parametrize("name", LIVE)
def test_every_live_explorer_has_a_picture(name):
    explorer = ALL[name]()
    assert f'aria-label="{explorer.alt[:20]}' in explorer.html().split("<svg")[1]
    assert sum(bool(path.get("d")) for path in paths(explorer.figure())) > 3


def test_errors():
    with pytest.raises(ValueError, match="scatter and heatmap traces, got 'pie'"):
        picture(go.Figure(go.Pie(values=[1])), "A pie.")
