"""Curves: what is drawn is what was given, in one look for each name."""

import math

import numpy as np
import pytest
import torch

from memnb.figures import style
from memnb.figures.curves import Curve, curves_figure
from memnb.figures.planes import arrows, circles


def test_points_errors_and_modes_are_those_given():
    n = [1, 2, 4]
    curves = {
        "pair": (n, [0.1, 0.2, 0.3]),
        "bars": (n, torch.tensor([1.0, 2.0, 3.0]), [0.1, 0.1, 0.2]),
        "line": Curve(n, [3, 2, 1], mode="lines"),
    }
    figure = curves_figure({"": curves}, "n", "y", level=0.5)
    pair, bars, line = figure.data
    assert [t.name for t in figure.data] == ["pair", "bars", "line"]
    np.testing.assert_allclose(pair.y, [0.1, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(bars.error_y.array, [0.1, 0.1, 0.2], rtol=1e-6)
    assert pair.error_y.array is None and line.mode == "lines" and pair.mode == "lines+markers"
    assert [s.y0 for s in figure.layout.shapes] == [0.5]


def test_a_name_has_one_look_in_all_panels_and_one_entry_in_the_legend():
    one = {"a": ([1, 2], [1, 2]), "b": ([1, 2], [2, 1])}
    two = {"b": ([1, 2], [3, 1]), "c": ([1, 2], [2, 3])}
    figure = curves_figure({"left": one, "right": two}, "n", "y", marks={"right": {"n = 2": 2}})
    looks = {}
    for trace in figure.data:
        look = (trace.line.color, trace.line.dash, trace.marker.symbol)
        assert looks.setdefault(trace.name, look) == look
    assert len(set(looks.values())) == 3
    assert [t.name for t in figure.data if t.showlegend] == ["a", "b", "c"]
    (line,) = figure.layout.shapes
    assert (line.x0, line.xref) == (2, "x2")
    note = next(a for a in figure.layout.annotations if a.text == "n = 2")
    assert note.x == pytest.approx(math.log10(2))  # annotations of log axes take exponents


def test_reference_curves_are_gray_and_take_no_color_from_the_others():
    curves = {"null": Curve([1, 2], [0, 0], reference=True), "a": ([1, 2], [1, 2])}
    null, a = curves_figure({"": curves}, "n", "y", log_x=False).data
    assert (null.line.color, null.line.dash) == (style.NEUTRAL, "dot")
    assert a.line.color == style.SERIES[0]


def test_bad_curves_are_named():
    with pytest.raises(TypeError, match="panel 'a' must map names to curves"):
        curves_figure({"a": ([1, 2], [1, 2])}, "n", "y")
    with pytest.raises(TypeError, match="curve 'a' must be a Curve"):
        curves_figure({"": {"a": [1, 2, 3, 4]}}, "n", "y")
    with pytest.raises(ValueError, match=r"must have one length, got \[2, 3\]"):
        curves_figure({"": {"a": ([1, 2], [1, 2, 3])}}, "n", "y")
    with pytest.raises(ValueError, match="mode must be one of"):
        Curve([1], [1], mode="line")
    with pytest.raises(ValueError, match="at least one curve"):
        curves_figure({"": {}}, "n", "y")
    with pytest.raises(ValueError, match="needs a positive x"):
        curves_figure({"": {"a": ([0, -1], [1, 2])}}, "n", "y")


def test_circles_have_their_radius_and_close():
    centers = torch.tensor([[0.0, 0.0], [3.0, -1.0]], dtype=torch.float64)
    ring = circles(centers, 0.3)
    torch.testing.assert_close(
        (ring - centers[:, None]).norm(dim=-1), torch.full((2, 49), 0.3).double()
    )
    torch.testing.assert_close(ring[:, 0], ring[:, -1])


def test_arrows_point_along_the_field_in_a_shifted_window():
    v = torch.tensor([0.6, -0.8], dtype=torch.float64)
    shafts, heads = arrows(lambda at: v.expand_as(at), (0, 1), (5, 6), 3)
    x, y = (np.asarray(part, dtype=float).reshape(9, 3) for part in (shafts.x, shafts.y))
    assert (y[:, 0].min(), y[:, 0].max()) == (5, 6) and np.isnan(x[:, 2]).all()
    length = 0.9 * 0.5 / 1.25  # of a vector of norm 1 at spacing 1/2
    np.testing.assert_allclose(x[:, 1] - x[:, 0], 0.6 * length, atol=1e-6)
    np.testing.assert_allclose(y[:, 1] - y[:, 0], -0.8 * length, atol=1e-6)
    # plotly turns its arrow clockwise from "up"
    np.testing.assert_allclose(heads.marker.angle, math.degrees(math.atan2(0.6, -0.8)), rtol=1e-6)
