"""Figures show the numbers they are given: what is stacked, binned or marked is computed right."""

import math

import numpy as np
import torch

from memnb.figures import classes, probability_flow, score_flow, simplex_data, trained_denoisers
from memnb.minnorm.data import line_set, orthogonal_set
from memnb.minnorm.denoisers import RampDenoiser
from memnb.minnorm.endpoints import CLASSES, classify

R = torch.tensor([0.1, 1.0, 10.0, 100.0], dtype=torch.float64)


def heights(trace):
    return np.asarray(trace.y, dtype=float)


def test_coordinates_are_drawn_as_paths_with_gaps_and_dots():
    exact = torch.arange(8, dtype=torch.float64).reshape(4, 2)
    paths, marks = score_flow.coordinate_figure(R, exact, R[::2], exact[::2], 0.1).data
    np.testing.assert_array_equal(heights(paths), [0, 2, 4, 6, math.nan, 1, 3, 5, 7, math.nan])
    np.testing.assert_array_equal(heights(marks), [0, 1, 4, 5])
    np.testing.assert_allclose(np.asarray(marks.x), [0.1, 0.1, 10, 10], rtol=1e-6)


def test_arrivals_stand_where_the_medians_fall_below_the_threshold():
    to_box = torch.tensor([[3.0], [0.1], [0.1], [0.1]], dtype=torch.float64).expand(4, 5)
    to_vertex = torch.tensor([[3.0], [1.0], [1.0], [0.1]], dtype=torch.float64).expand(4, 5)
    stars = score_flow.phase_figure(R, to_box, to_vertex, 0.2).data[-1]
    np.testing.assert_allclose(np.asarray(stars.x), [1.0, 100.0])
    never = score_flow.phase_figure(R, to_box + 1, to_vertex, 0.2).data[-1]
    np.testing.assert_allclose(np.asarray(never.x), [math.nan, 100.0])


def test_denoiser_curves_and_bands_are_where_the_data_are():
    line = line_set([-1.0, 0.0, 1.5])
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    ramp = RampDenoiser(line, 0.2)(x[:, None])[:, 0]
    figure = score_flow.denoiser_figure(line, x, {"ramp": ramp}, 0.2)
    np.testing.assert_allclose(heights(figure.data[1]), ramp.numpy(), rtol=1e-6)
    bands = [(shape.x0, shape.x1) for shape in figure.layout.shapes]
    np.testing.assert_allclose(bands, [(-1.2, -0.8), (-0.2, 0.2), (1.3, 1.7)])


def test_areas_spell_out_the_row_they_name():
    counts = torch.tensor([[0, 0, 0, 0, 9], [1, 2, 6, 0, 0], [4, 5, 0, 0, 0]])
    figure = score_flow.areas_in_time(R[:3], counts)
    assert [t.name for t in figure.data] == list(CLASSES)
    np.testing.assert_array_equal(sum(heights(t) for t in figure.data), 9)
    assert figure.layout.xaxis.title.text == "time r<br>at r = 10: 4 training, 5 virtual"
    stopped = probability_flow.early_stopping_figure(R[:3], counts, 1)
    assert "at 1: 1 training, 2 virtual, 6 boundary" in stopped.layout.xaxis.title.text
    assert classes.counts_text({"training": 0}) == "none"


def test_bins_hold_every_noise_level_once():
    levels = {"a": torch.logspace(-2, 0, 30).double(), "b": torch.linspace(0.01, 1, 30).double()}
    figure = probability_flow.levels_figure(levels, {"limit": 0.1}, n_bins=8)
    for trace in figure.data[:2]:
        assert heights(trace).sum() == 30
    np.testing.assert_allclose(np.asarray(figure.data[2].x), [0.1, 0.1], rtol=1e-6)


def test_shares_of_a_threshold_add_up_to_one():
    counts = {"0.1": (1, 2, 3, 4, 0), "0.2": (5, 0, 0, 5, 0)}
    rows = {name: dict(zip(CLASSES, row, strict=True)) for name, row in counts.items()}
    figure = classes.sensitivity_figure(rows)
    np.testing.assert_allclose(sum(heights(t) for t in figure.data), 1)
    both = classes.side_by_side(figure, classes.sensitivity_figure(rows), ("left", "right"))
    assert [t.showlegend for t in both.data] == [None] * 5 + [False] * 5


def test_lines_against_noise_and_against_time_are_the_same_paths():
    sigma = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    z = torch.tensor([[0.2, 0.9], [0.1, 0.95], [0.0, 1.0]], dtype=torch.float64)
    figure = probability_flow.lines_figure(sigma, z, sigma, z, ("exact", "steps"), 0.3)
    band, paths, marks, band_t, paths_t, marks_t = figure.data
    np.testing.assert_array_equal(heights(paths), heights(paths_t))
    np.testing.assert_allclose(np.asarray(paths_t.x)[:3], [1, 0.25, 0])
    np.testing.assert_allclose(heights(band), [0.3, 0.15, 0, 1, 0.85, 0.7], rtol=1e-6)
    assert len(marks.x) == len(marks_t.x) == 6 and band_t.showlegend is False


def test_points_are_drawn_in_the_class_they_are_counted_in():
    data = orthogonal_set(3, 2)
    points = torch.tensor([[0.0, 0], [1, 1], [0.5, 1], [3, 3]], dtype=torch.float64)
    ends, z = classify(points, data), data.coordinates(points)
    traces = score_flow.plane_figure(z, ends).data[1:]
    assert traces[-1].name == "training: 1"  # on top of all others
    for trace in traces:
        name, count = trace.name.split(": ")
        assert len(trace.x) == int(count) == ends.counts()[name]
        chosen = points[ends.labels == CLASSES.index(name)]
        np.testing.assert_allclose(np.stack([trace.x, trace.y], axis=1), chosen)


def test_basins_have_the_shades_of_their_attractors():
    basins = torch.tensor([[0, 1], [2, 3]])
    attractors = torch.tensor([[0.0, 0], [1, 0], [1, 1]], dtype=torch.float64)
    ticks = torch.tensor([0.0, 1.0], dtype=torch.float64)
    figure = simplex_data.basin_figure(
        lambda y: y, (ticks, ticks), basins, attractors, torch.tensor([True, True, False]),
        attractors[:2], 0.1,
    )  # fmt: skip
    np.testing.assert_array_equal(figure.data[0].z, [[0, 1], [2, 6]])
    training, virtual = figure.data[-2:]
    assert (len(training.x), len(virtual.x)) == (2, 1)


def test_other_classes_share_one_fraction_with_the_error_of_their_sum():
    shares = (0.5, 0.1, 0.2, 0.15, 0.05)
    fractions = {c: (p, 0.0) for c, p in zip(CLASSES, shares, strict=True)}
    figure = trained_denoisers.against_n_figure([3], {"a": ([fractions], [fractions])}, 100)
    other = next(t for t in figure.data if t.name == "other, trained")
    np.testing.assert_allclose(heights(other), [0.2], rtol=1e-6)
    wilson = math.sqrt(0.2 * 0.8 / 100 + 1 / (4 * 100**2)) / (1 + 1 / 100)  # half width, 1 sigma
    np.testing.assert_allclose(other.error_y.array, [wilson], rtol=1e-6)
