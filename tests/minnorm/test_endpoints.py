"""Endpoint classes: one each, against brute force over vertices, faces and the box."""

import math
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, lsq_linear

from memnb import (
    CLASSES,
    Endpoints,
    RampDenoiser,
    classify,
    count_endpoint_pairs,
    count_endpoints,
    equilateral_triangle,
    gaussian_starts,
    line_set,
    obtuse_simplex,
    orthogonal_set,
    probability_flow,
    score_flow,
)
from memnb.minnorm.counting import exact_flows, pair_fractions

examples = settings(deadline=None, max_examples=60, derandomize=True)
cases = {
    "seed": st.integers(0, 10**6),
    "n_ramps": st.integers(1, 5),
    "extra": st.integers(0, 2),
    "threshold": st.floats(0.02, 0.9),
    "norm": st.sampled_from(["l2", "linf"]),
}


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def problem(seed, n_ramps, extra, n=60, scale=0.5):
    """A rotated box and points of which many lie near its vertices, faces and inside."""
    rng = np.random.default_rng(seed)
    norms = rng.uniform(0.6, 1.6, n_ramps)
    points = orthogonal_set(n_ramps + 1, n_ramps + extra, norms=norms, seed=seed)
    corner = tensor(norms) * tensor(rng.choice([0.0, 0.5, 1.0], size=(n, n_ramps)))
    y = points.from_coordinates(corner) + scale * rng.uniform(0, 1) * gaussian_starts(
        n, points.dim, seed=seed
    )
    return points, y


def names(result):
    return [CLASSES[label] for label in result.labels]


# --- brute force -----------------------------------------------------------------------------


def box_distance(y, low, high, axes, norm):
    """Distance of y to {z axes: low <= z <= high}, by an optimizer that knows no closed form.

    L-infinity is taken in the box's own axes, completed by one for the rest of the space.
    """
    if norm == "l2":
        free = high > low
        fixed = y - low[~free] @ axes[~free]
        if not free.any():
            return float(np.linalg.norm(fixed))
        fit = lsq_linear(axes[free].T, fixed, (low[free], high[free]), tol=1e-14)
        return math.sqrt(2 * fit.cost)
    z = axes @ y
    off_plane = np.linalg.norm(y - z @ axes)
    k = len(z)
    # Minimize m subject to |z - v| <= m in each coordinate, off_plane <= m and low <= v <= high.
    rows = np.block([[-np.eye(k), -np.ones((k, 1))], [np.eye(k), -np.ones((k, 1))]])
    bounds = [*zip(low, high, strict=True), (off_plane, None)]
    fit = linprog(np.eye(k + 1)[k], rows, np.concatenate([-z, z]), bounds=bounds)
    return float(fit.fun)


def brute_force(y, points, threshold, norm):
    """Class by listing all vertices and all faces; None where two answers are within rounding."""
    axes, length = points.directions.numpy(), points.lengths.numpy()
    k = len(length)
    vertices = np.array(list(product([0, 1], repeat=k)))
    gaps = [box_distance(y, v * length, v * length, axes, norm) for v in vertices]
    faces = []
    for n, side in product(range(k), (0, 1)):
        low, high = np.zeros(k), length.copy()
        low[n] = high[n] = side * length[n]
        faces.append(box_distance(y, low, high, axes, norm))
    to_box = box_distance(y, np.zeros(k), length, axes, norm)
    distances = [min(gaps), min(faces), to_box]
    if min(abs(d - threshold) for d in distances) < 1e-5:
        return None, None
    if distances[0] <= threshold:
        tied = [v for v, g in zip(vertices, gaps, strict=True) if g < distances[0] + 1e-6]
        kinds = {"training" if v.sum() <= 1 else "virtual" for v in tied}
        label = kinds.pop() if len(kinds) == 1 else None
    elif distances[1] <= threshold:
        label = "boundary"
    else:
        label = "interior" if to_box <= threshold else "outside"
    return label, distances[0]


@settings(deadline=None, max_examples=25, derandomize=True)
@given(**cases)
def test_classes_by_enumeration(seed, n_ramps, extra, threshold, norm):
    points, y = problem(seed, n_ramps, extra, n=6)
    result = classify(y, points, threshold, norm)
    for i, point in enumerate(y.numpy()):
        label, gap = brute_force(point, points, threshold, norm)
        if label is not None:
            assert CLASSES[result.labels[i]] == label
            assert result.distance[i].item() == pytest.approx(gap, abs=1e-6)


@examples
@given(**cases)
def test_nearest_vertex_by_enumeration(seed, n_ramps, extra, threshold, norm):
    points, y = problem(seed, n_ramps, extra)
    result = classify(y, points, threshold, "l2")
    on = tensor(list(product([0.0, 1.0], repeat=n_ramps)))
    distance = torch.cdist(y, on @ points.points[1:])
    torch.testing.assert_close(result.distance, distance.amin(dim=1), rtol=0, atol=1e-7)
    reached = (y - points.vertex(result.on)).norm(dim=1)
    torch.testing.assert_close(reached, distance.amin(dim=1), rtol=0, atol=1e-7)


# --- properties ------------------------------------------------------------------------------


@examples
@given(**cases)
def test_every_point_has_one_class_and_the_counts_say_so(seed, n_ramps, extra, threshold, norm):
    points, y = problem(seed, n_ramps, extra)
    result = classify(y, points, threshold, norm)
    counts = result.counts()
    assert list(counts) == list(CLASSES) and sum(counts.values()) == len(y)
    for i, name in enumerate(CLASSES):
        assert counts[name] == sum(label == i for label in result.labels.tolist())


@examples
@given(**cases)
def test_turning_data_and_points_together_changes_nothing(seed, n_ramps, extra, threshold, norm):
    points, y = problem(seed, n_ramps, extra)
    dim = points.dim
    turn = orthogonal_set(dim + 1, dim, seed=seed + 1).directions
    straight = orthogonal_set(n_ramps + 1, dim, norms=points.lengths)
    inside = torch.cat([points.coordinates(y), points.off_plane(y)[:, None]], dim=1)
    on_axes = torch.zeros(len(y), dim, dtype=torch.float64)
    on_axes[:, : min(dim, n_ramps + 1)] = inside[:, :dim]
    turned = type(points)(
        points.points @ turn, points.center @ turn, points.directions @ turn,
        points.lengths, points.low, points.high, points.kind,
    )  # fmt: skip
    expected = classify(y, points, threshold, norm)
    for other in (classify(y @ turn, turned, threshold, norm),
                  classify(on_axes, straight, threshold, norm)):  # fmt: skip
        near = (other.distance - expected.distance).abs() < 1e-12
        assert near.all()
        assert torch.equal(other.labels, expected.labels)
        assert torch.equal(other.on, expected.on)


@examples
@given(**cases, factor=st.floats(1, 4))
def test_a_larger_threshold_loses_no_vertex(seed, n_ramps, extra, threshold, norm, factor):
    points, y = problem(seed, n_ramps, extra)
    order = {"training": 0, "virtual": 0, "boundary": 1, "interior": 2, "outside": 3}
    tight = names(classify(y, points, threshold, norm))
    loose = names(classify(y, points, factor * threshold, norm))
    for before, after in zip(tight, loose, strict=True):
        assert order[after] <= order[before]
        if before in ("training", "virtual"):
            assert after == before


@examples
@given(**cases)
def test_the_maximum_norm_is_the_more_generous_one(seed, n_ramps, extra, threshold, norm):
    points, y = problem(seed, n_ramps, extra)
    rank = torch.tensor([0, 0, 1, 2, 3])
    l2 = rank[classify(y, points, threshold, "l2").labels]
    linf = rank[classify(y, points, threshold, "linf").labels]
    assert (linf <= l2).all()


# --- by hand ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "norm", "expected"),
    [
        ([0.0, 0.0, 0.0], "l2", "training"),
        ([1.1, 0.1, 0.0], "l2", "training"),
        ([0.9, 1.1, 0.1], "l2", "virtual"),
        ([1.0, 1.0, 0.21], "l2", "boundary"),
        ([0.5, 1.0, 1.0], "l2", "boundary"),
        ([0.5, 0.5, 0.81], "l2", "boundary"),
        ([0.5, 0.5, 1.19], "l2", "boundary"),
        ([0.5, 0.5, 0.79], "l2", "interior"),
        ([0.5, 0.5, 1.21], "l2", "outside"),
        ([0.15, 0.15, 0.0], "l2", "boundary"),
        ([0.15, 0.15, 0.0], "linf", "training"),
        ([1.15, 1.15, 1.15], "l2", "outside"),
        ([1.15, 1.15, 1.15], "linf", "virtual"),
        ([1.19, 0.5, 1.19], "l2", "outside"),
        ([1.19, 0.5, 1.19], "linf", "boundary"),
        ([-0.19, 0.3, 0.3], "l2", "boundary"),
        ([-0.19, -0.1, 0.3], "l2", "outside"),
    ],
)
def test_precedence_by_hand(y, norm, expected):
    assert names(classify(tensor([y]), orthogonal_set(4, 3), 0.2, norm)) == [expected]


def test_distance_off_the_plane_counts():
    square = orthogonal_set(3, 3)
    y = tensor([[0, 0, 0.19], [0, 0, 0.21], [0.5, 0.5, 0.19], [0.5, 0, 0.19], [0.15, 0, 0.15]])
    expected = ["training", "outside", "interior", "boundary", "boundary"]
    assert names(classify(y, square, 0.2, "l2")) == expected
    expected[-1] = "training"
    assert names(classify(y, square, 0.2, "linf")) == expected


def test_the_threshold_itself_is_inside():
    square = orthogonal_set(3, 2)
    assert names(classify(tensor([[0.25, 0.0]]), square, 0.25)) == ["training"]
    assert names(classify(tensor([[0.25, 0.0]]), square, 0.2499)) == ["boundary"]


def test_beyond_half_an_edge_the_nearer_vertex_decides():
    square = orthogonal_set(3, 2)
    y = tensor([[0.51, 0.9], [0.49, 0.9]])
    assert names(classify(y, square, 2.0)) == ["virtual", "training"]


def test_batches_keep_their_shape():
    points, y = problem(3, 3, 1)
    flat = classify(y, points)
    shaped = classify(y.reshape(3, 20, -1), points)
    assert torch.equal(shaped.labels, flat.labels.reshape(3, 20))
    assert shaped.counts() == flat.counts()
    assert classify(y[0], points).labels.item() == flat.labels[0].item()


# --- errors of the fractions -----------------------------------------------------------------


@pytest.mark.parametrize(("count", "n"), [(0, 50), (50, 50), (13, 50), (1, 1), (400, 1000)])
def test_fractions_carry_the_wilson_error(count, n):
    labels = torch.tensor([0] * count + [4] * (n - count))
    fractions = Endpoints(labels, labels[:, None] > 0, labels.double()).fractions()
    p, error = fractions["training"]
    assert p == count / n
    # The ends of the interval solve (p - q)^2 = q (1 - q) / n.
    ends = np.roots([1 + 1 / n, -2 * p - 1 / n, p**2])
    assert error == pytest.approx((ends.max() - ends.min()) / 2, rel=1e-7)
    assert error > 0
    assert fractions["outside"][0] == pytest.approx(1 - p)


# --- counting in chunks ----------------------------------------------------------------------

BOX = orthogonal_set(4, 5, norms=[1.0, 0.8, 1.2], seed=2)


def flow(y):
    return probability_flow(y, RampDenoiser(BOX, 0.3), 1.0, 0.0)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_one_chunk_is_a_direct_classification(norm):
    options = {"threshold": 0.3, "norm": norm}
    counted = count_endpoints(flow, BOX, 700, scale=1.3, seed=5, chunk=700, **options)
    direct = classify(flow(gaussian_starts(700, 5, scale=1.3, seed=5)), BOX, **options)
    assert counted == direct.counts()
    assert min(counted["training"], counted["virtual"]) > 20
    assert count_endpoints(flow, BOX, 700, scale=1.3, seed=5, **options) == counted


def test_chunks_cover_every_start_once():
    sizes = []

    def recorded(y):
        sizes.append(len(y))
        return flow(y)

    counted = count_endpoints(recorded, BOX, 1003, seed=1, chunk=250)
    assert sizes == [250, 250, 250, 250, 3]
    assert sum(counted.values()) == 1003
    assert counted == count_endpoints(flow, BOX, 1003, seed=1, chunk=250)
    assert counted != count_endpoints(flow, BOX, 1003, seed=2, chunk=250)


def test_a_progress_bar_changes_no_count(capsys):
    quiet = count_endpoints(flow, BOX, 500, chunk=100)
    assert capsys.readouterr().err == ""
    assert count_endpoints(flow, BOX, 500, chunk=100, progress=True) == quiet
    assert "500/500" in capsys.readouterr().err


def test_starts_are_drawn_about_the_center():
    seen = []
    count_endpoints(lambda y: (seen.append(y), y)[1], BOX, 20000, scale=0.5, chunk=20000)
    assert seen[0].mean().item() == pytest.approx(0, abs=0.01)
    assert seen[0].std().item() == pytest.approx(0.5, abs=0.01)


# --- errors ----------------------------------------------------------------------------------

ORIGIN = torch.zeros(1, 5, dtype=torch.float64)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: classify(ORIGIN[:, :1], line_set([0, 1, 2])), ValueError, "training_set must be"),
        (lambda: classify(ORIGIN, BOX, 0.0), ValueError, "threshold must be in"),
        (lambda: classify(ORIGIN, BOX, math.nan), ValueError, "threshold must be in"),
        (lambda: classify(ORIGIN, BOX, norm="l1"), ValueError, "norm must be one of 'l2', 'linf'"),
        (lambda: classify(ORIGIN * math.nan, BOX), ValueError, "y must be finite"),
        (lambda: classify(ORIGIN + math.inf, BOX), ValueError, "y must be finite"),
        (lambda: classify(ORIGIN[:, :4], BOX), ValueError, "y must have shape"),
        (lambda: count_endpoints(flow, BOX, 0), ValueError, "n_starts must be at least 1"),
        (lambda: count_endpoints(flow, BOX, 1e3), TypeError, "n_starts must be an integer"),
        (lambda: count_endpoints(flow, BOX, 9, chunk=0), ValueError, "chunk must be at least 1"),
        (lambda: count_endpoints(flow, BOX, 9, scale=-1), ValueError, "scale must be in"),
        (lambda: count_endpoints(flow, BOX, 9, seed=-1), ValueError, "seed must be at least 0"),
        (
            lambda: count_endpoints(lambda y: y[:1], BOX, 9),
            ValueError,
            r"the flow must take starts of shape \(9, 5\) to ends of this shape, got \(1, 5\)",
        ),
        (
            lambda: count_endpoint_pairs(flow, lambda y: None, BOX, 9),
            ValueError,
            "to ends of this shape, got NoneType",
        ),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- simplex data -----------------------------------------------------------------------------


def hull_distance(y, points):
    """Distance to the convex hull by listing all faces: the nearest feasible projection."""
    best = torch.full(y.shape[:1], math.inf, dtype=y.dtype)
    for size in range(1, len(points) + 1):
        for face in combinations(range(len(points)), size):
            corners = points[list(face)]
            edges = corners[1:] - corners[0]
            weights = (y - corners[0]) @ torch.linalg.pinv(edges) if size > 1 else y[:, :0]
            inside = (weights >= -1e-12).all(dim=1) & (weights.sum(dim=1) <= 1 + 1e-12)
            gap = (y - corners[0] - weights @ edges).norm(dim=1)
            best = torch.where(inside, torch.minimum(best, gap), best)
    return best


@pytest.mark.parametrize(
    "data",
    [
        obtuse_simplex(3, 2, [1.0, 1.4], angle=120),
        obtuse_simplex(5, 6, [1.0, 1.4, 0.8, 1.1], angle=100, seed=3),
        equilateral_triangle(2),
        equilateral_triangle(4, 1.5, seed=1),
    ],
    ids=lambda s: f"{s.kind}-{s.dim}",
)
@pytest.mark.parametrize("threshold", [0.05, 0.2])
def test_simplex_classes_against_brute_force(data, threshold):
    g = torch.Generator().manual_seed(0)
    weights = torch.rand(400, data.n_points, generator=g, dtype=torch.float64) ** 3
    weights = weights / weights.sum(dim=1, keepdim=True)
    noise = torch.randn(400, data.dim, generator=g, dtype=torch.float64)
    near = weights @ data.points + 0.1 * noise * torch.rand(400, 1, generator=g)
    corners = data.vertex(torch.randint(0, 2, (100, data.n_ramps), generator=g))
    y = torch.cat([near, corners + 0.05 * noise[:100]])
    result = classify(y, data, threshold)

    body = hull_distance(y, data.points)
    facets = [torch.cat([data.points[:i], data.points[i + 1 :]]) for i in range(data.n_points)]
    boundary = torch.stack([hull_distance(y, facet) for facet in facets]).amin(dim=0)
    to_points = torch.cdist(y, data.points).amin(dim=1)
    on = torch.tensor(list(product((0, 1), repeat=data.n_ramps)))
    virtual = on.sum(dim=1) > 1
    if data.kind == "equilateral triangle":  # the empty sum is the centroid
        virtual[0] = True
    to_sums = torch.cdist(y, data.vertex(on[virtual])).amin(dim=1)
    expected = torch.full_like(result.labels, CLASSES.index("outside"))
    expected[body <= threshold] = CLASSES.index("interior")
    expected[boundary <= threshold] = CLASSES.index("boundary")
    expected[to_sums <= threshold] = CLASSES.index("virtual")
    expected[(to_points <= threshold) & (to_points <= to_sums)] = CLASSES.index("training")
    assert torch.equal(result.labels, expected)
    seen = {CLASSES[i] for i in expected.unique()}
    assert {"training", "boundary"} <= seen and len(seen) >= 3


def test_rounding_oblique_coordinates_finds_the_sums_of_a_large_simplex():
    data = obtuse_simplex(31, 40, angle=91, seed=2)
    g = torch.Generator().manual_seed(1)
    on = torch.rand(200, 30, generator=g) < 0.1
    noise = torch.randn(200, 40, generator=g, dtype=torch.float64)
    result = classify(data.vertex(on) + 0.01 * noise, data, 0.2)
    assert torch.equal(result.on, on)
    virtual = result.labels == CLASSES.index("virtual")
    assert torch.equal(virtual, on.sum(dim=1) > 1)


def test_simplex_errors():
    y = torch.zeros(2, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="norm must be one of 'l2', got 'linf'"):
        classify(y, equilateral_triangle(2), norm="linf")
    with pytest.raises(ValueError, match="orthogonal data or a simplex, got kind 'line'"):
        classify(y[:, :1], line_set([0.0, 1.0, 2.5]))


SETS = {
    "orthogonal": lambda **kw: orthogonal_set(4, 6, [1.0, 0.7, 1.3], seed=1, **kw),
    "obtuse": lambda **kw: obtuse_simplex(4, 6, [1.0, 0.7, 1.3], angle=97, seed=1, **kw),
    "triangle": lambda **kw: equilateral_triangle(6, seed=1, **kw),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 1e8])
@pytest.mark.parametrize("share", [0.0, 1e3, 1e6])
def test_classes_do_not_depend_on_scale_and_origin(name, dtype, scale, share):
    """Under x -> s x + t the classes are the same, but for points within rounding of a border."""
    here = SETS[name]()
    y = torch.cat([gaussian_starts(150, 6, seed=2), 0.4 * gaussian_starts(150, 6, seed=3)])
    y[:50] = 0.02 * y[:50] + here.vertex(torch.arange(150).reshape(50, 3) % 2 == 0)
    y[50:100] = here.points.mean(dim=0) + 0.3 * (here.points[1] - here.points[0])
    y[50:100] += 0.05 * gaussian_starts(50, 6, seed=4)
    rounding = 64 * torch.finfo(dtype).eps * (1 + share)
    if rounding > 0.1:  # float32 points of size 1, 1e6 from the origin, have no digits left
        share, rounding = 1e3, 64 * torch.finfo(dtype).eps * 1e3
    low, expected, high = (classify(y, here, 0.2 + x).labels for x in (-rounding, 0, rounding))
    clear = (low == expected) & (high == expected)
    assert clear.float().mean() > 0.9 and len(expected.unique()) >= 4
    shift = torch.full((6,), share * scale, dtype=torch.float64)
    moved = {
        "points": scale * here.points + shift,
        "center": scale * here.center + shift,
        "lengths": scale * here.lengths,
        "low": scale * here.low,
        "high": scale * here.high,
    }
    away = replace(here, **moved).to(dtype)
    result = classify((scale * y + shift).to(dtype), away, 0.2 * scale)
    assert torch.equal(result.labels[clear], expected[clear])


def test_points_may_be_lists_and_arrays_and_a_training_set_is_needed():
    square = orthogonal_set(3, 2)
    y = [[0, 0.1], [1, 1], [0.5, 1]]
    expected = classify(torch.tensor(y, dtype=torch.float64), square).labels
    for points in (y, np.array(y), torch.tensor(y)):
        assert torch.equal(classify(points, square).labels, expected)
    message = r"training_set must be a TrainingSet, got Tensor: memnb.training_set\(points\)"
    with pytest.raises(TypeError, match=message):
        classify(y, square.points)
    with pytest.raises(TypeError, match=message):
        count_endpoints(lambda y: y, square.points, 5)


def test_no_points_have_no_fractions():
    none = classify(torch.empty(0, 2, dtype=torch.float64), orthogonal_set(3, 2))
    assert sum(none.counts().values()) == 0
    with pytest.raises(ValueError, match="counts must hold at least one point"):
        none.fractions()
    empty = classify(torch.empty(0, 3, dtype=torch.float64), obtuse_simplex(3, 3, angle=100))
    assert empty.labels.shape == (0,)


def test_nearest_sums_are_the_same_in_one_piece_and_in_many(monkeypatch):
    data = obtuse_simplex(7, 8, angle=94, seed=1)
    y = gaussian_starts(300, 8, seed=5)
    whole = classify(y, data)
    monkeypatch.setattr("memnb.minnorm.endpoints.LISTED_AT_ONCE", 2**6 * 7)
    parts = classify(y, data)
    assert torch.equal(whole.on, parts.on) and torch.equal(whole.labels, parts.labels)


def test_pairs_of_classes_have_the_counts_of_both_flows():
    data = orthogonal_set(6, 8, seed=1)
    h = RampDenoiser(data, 0.25)
    score, prob = exact_flows(h)
    table = count_endpoint_pairs(score, prob, data, 1000, seed=3, chunk=300)
    options = {"seed": 3, "chunk": 300}
    assert table.sum(dim=1).tolist() == [*count_endpoints(score, data, 1000, **options).values()]
    assert table.sum(dim=0).tolist() == [*count_endpoints(prob, data, 1000, **options).values()]
    # Independently, start by start; and what probability flow memorizes score flow does.
    y = gaussian_starts(1000, 8, seed=3)
    whole = count_endpoint_pairs(score, prob, data, 1000, seed=3)
    first = classify(score_flow(y, h, math.inf), data)
    second = classify(probability_flow(y, h, 0.7, 0.0), data)
    a, b = first.labels, second.labels
    for i, j in product(range(5), repeat=2):
        assert whole[i, j] == ((a == i) & (b == j)).sum()
    assert pair_fractions(whole) == (first.fractions(), second.fractions())
    assert table[1, 0] == table[0, 1] == 0 < min(table[0, 0], table[0, 2], table[1, 2])
