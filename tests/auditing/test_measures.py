"""Measures of memorization against other methods, known shares and exchanged labels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import binom, mannwhitneyu

from memnb.auditing import audit, neighbors
from memnb.auditing.copying import copies, representatives, smallest_share
from memnb.auditing.densities import delta_of_pixels, delta_of_points
from memnb.auditing.generators import (
    blurred_copies,
    flow_sets,
    gaussian_sets,
    linear_model_sets,
)
from memnb.auditing.measures import authenticity, cell_test, nearer_to_training, z_score
from memnb.auditing.neighbors import Base
from memnb.auditing.reference import Reference
from memnb.stats import more_often


@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 40))
def test_z_score_is_that_of_scipy(seed, n, m):
    rng = np.random.default_rng(seed)
    h, g = rng.random(n), rng.random(m) + 0.1
    u = mannwhitneyu(g, h).statistic
    expected = (u - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12)
    assert z_score(h, g) == pytest.approx(expected)
    assert z_score(h, h[:1].repeat(3)) == -z_score(-h, -h[:1].repeat(3))


@pytest.fixture(params=["scikit-learn", "torch"])
def search(request, monkeypatch):
    """Both searches, that of a GPU on the CPU and in more than one block."""
    if request.param == "torch":
        monkeypatch.setattr(Base, "_search_cpu", Base._search_device)
        monkeypatch.setattr(neighbors, "DEVICE_BLOCK", 20_000)
        monkeypatch.setattr(neighbors, "QUERY_BLOCK", 100)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1e-8, 0), (1e8, 0), (1, 1e3)])
@pytest.mark.usefixtures("search")
def test_neighbors_are_those_of_all_distances(dtype, scale, offset):
    x = np.random.default_rng(0).standard_normal((300, 6))
    x, queries = ((scale * part + offset).astype(dtype) for part in (x[:200], x[200:]))
    # Copies whose distance cancels in a product of matrices
    queries[:20] = x[:20] * dtype(1 + 1e-5)
    index, d = Base(x).nearest(queries, 3)
    true = cdist(queries.astype(float), x.astype(float))
    np.testing.assert_allclose(d, np.sort(true, axis=1)[:, :3], rtol=1e-9)
    assert (index[:, 0] == true.argmin(axis=1)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.usefixtures("search")
def test_the_nearest_of_a_tight_group_far_from_the_origin_is_found(dtype):
    """Groups of 12 points that a product of float32 matrices cannot tell apart."""
    rng = np.random.default_rng(6)
    centers = 1e3 + 100 * rng.standard_normal((40, 16))
    points = np.repeat(centers, 12, axis=0) + 0.01 * rng.standard_normal((480, 16))
    queries = points[::12] + 0.003 * rng.standard_normal((40, 16))
    points, queries = points.astype(dtype), queries.astype(dtype)
    true = cdist(queries.astype(float), points.astype(float))
    index, d = Base(points).nearest(queries, 4)
    np.testing.assert_allclose(d, np.sort(true, axis=1)[:, :4], rtol=1e-9)
    assert (index[:, 0] == true.argmin(axis=1)).all()
    in_float32 = points.astype(np.float32), queries.astype(np.float32)
    squares = np.square(in_float32[0]).sum(axis=1) - 2 * in_float32[1] @ in_float32[0].T
    assert (squares.argmin(axis=1) != true.argmin(axis=1)).any()  # the test is no easy one


def test_the_search_of_a_device_gives_the_same_audit(monkeypatch):
    training, held_out, new = gaussian_sets(300, 8, seed=7)
    generated = np.concatenate([training[:100] + 1e-5, new[100:]])
    sets = [x + 1e4 for x in (training, generated, held_out)]
    of_sklearn = audit(*sets)
    calls, of_device = [], Base._search_device

    def counted(base, *arguments):
        calls.append(base)
        return of_device(base, *arguments)

    monkeypatch.setattr(Base, "_search_cpu", counted)
    assert str(audit(*sets)) == str(of_sklearn) and of_sklearn.verdict == "copies" and calls


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_card_finds_the_same_neighbors_and_the_same_audit(dtype, monkeypatch):
    monkeypatch.setattr(neighbors, "DEVICE_BLOCK", 2_000_000)  # more than one block
    rng = np.random.default_rng(8)
    points = (1e2 + rng.standard_normal((5000, 100))).astype(dtype)
    queries = points[:1000] + (1e-3 * rng.standard_normal((1000, 100))).astype(dtype)
    for a, b in zip(
        Base(points).nearest(queries, 5), Base(points, device="cuda").nearest(queries, 5),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(a, b)
    training, held_out, new = (x.astype(dtype) for x in gaussian_sets(1000, 30, seed=7))
    generated = np.concatenate([training[:300] + dtype(1e-3), new[300:]])
    here = audit(training, generated, held_out)
    assert str(audit(training, generated, held_out, device="cuda")) == str(here)
    assert here.verdict == "copies"


def test_a_copy_of_a_duplicated_point_is_a_copy():
    training, held_out, _ = gaussian_sets(300, 5, seed=1)
    exact = np.concatenate([training, training[:50]])
    noisy = np.concatenate([training, training[:50] + 1e-4])
    for points in (exact, noisy):
        base = Base(points)
        _, d1, d2 = base.two_distinct(training[:50])
        assert (d1 < 1e-3).all() and (d2 > 0.1).all()
        assert len(base) + base.n_duplicates == 350
    assert Base(exact).n_duplicates == 50 and Base(noisy).n_duplicates == 0
    reference = Reference(exact, held_out)
    assert copies(reference.look_at(training[:50]), reference.look_at(held_out), 1 / 3).value == 1


def test_shares_of_copies_are_found():
    training, held_out, new = gaussian_sets(400, 16, seed=2)
    reference = Reference(training, held_out)
    held, fresh = reference.look_at(held_out), reference.look_at(new)
    copied = reference.look_at(blurred_copies(training, 400, 0.0, seed=2))
    for share in (0.0, 0.1, 0.5, 1.0):
        count = round(400 * share)
        mixed = copied.take(slice(count)).joined(fresh.take(slice(count, None)))
        by_ratio, near = copies(mixed, held, 1 / 3), nearer_to_training(mixed, 400, 400)
        assert by_ratio.copied == pytest.approx(share, abs=0.01)
        assert near.copied == pytest.approx(share, abs=6 * near.error)
        assert (by_ratio.p < 1e-3) == (share > 0)
        brute = 1 - (mixed.d1 <= mixed.own).mean()
        assert authenticity(mixed, held).value == pytest.approx(brute)


def test_by_chance_the_ratio_is_below_theta_to_the_dimension():
    """In a Poisson process of d dimensions P(d1/d2 < t) = t^d, whatever its density."""
    rng = np.random.default_rng(3)
    for dim in (1, 2, 3):
        base = Base(rng.random((20_000, dim)) ** 1.5)  # not uniform
        inside = 0.2 + 0.6 * rng.random((4000, dim))
        _, d1, d2 = base.two_distinct(inside)
        # Points closer than a tenth of the spacing count as one, which moves this by a little
        share = (d1 / d2 < 0.5).mean()
        assert share == pytest.approx(0.5**dim, abs=4 * (0.25 / 4000) ** 0.5 + 0.01)


@pytest.mark.parametrize("width", [0.2, 1.0])
def test_error_of_nearer_is_that_of_exchanged_labels(width):
    """Many generated points with few nearest ones: the binomial error would be far too small."""
    rng = np.random.default_rng(4)
    training, held_out, new = rng.standard_normal((3, 300, 4))
    generated = width * np.concatenate([new, rng.standard_normal((2700, 4))])
    reference = Reference(training, held_out)
    near = nearer_to_training(reference.look_at(generated), 300, 300)
    pool = np.concatenate([training, held_out])
    nearest = cdist(generated, pool).argmin(axis=1)
    weights = np.bincount(nearest, minlength=600)
    exchanged = [weights[rng.permutation(600)[:300]].sum() / 3000 for _ in range(4000)]
    assert near.error == pytest.approx(np.std(exchanged), rel=0.05)
    assert np.mean(exchanged) == pytest.approx(0.5, abs=0.01)
    assert near.error > 1.2 * 0.5 / 3000**0.5


def test_p_values_are_honest():
    """Over many perfect generators the p-values below 0.05 are 5 % of all, or fewer."""
    counts = {"copies": 0, "nearer": 0, "authenticity": 0}
    for seed in range(100):
        training, held_out, new = gaussian_sets(60, 3, seed)
        reference = Reference(training, held_out, seed=seed)
        held, fresh = reference.look_at(held_out), reference.look_at(new)
        for measure in (
            copies(fresh, held, 1 / 3),
            nearer_to_training(fresh, 60, 60),
            authenticity(fresh, held),
        ):
            counts[measure.name] += measure.p < 0.05
    assert max(counts.values()) <= 5 + 4 * 2.2  # 5 expected, standard deviation 2.2


@pytest.mark.parametrize(
    ("n", "h", "m", "dim", "width"),
    [(200, 200, 2000, 2, 1.0), (200, 200, 2000, 3, 1.0), (300, 300, 300, 2, 0.3),
     (150, 1500, 150, 2, 1.0)],
    ids=["many generated points", "in three dimensions", "narrow", "many held-out points"],
)  # fmt: skip
def test_no_false_copies_for_unequal_sizes_and_narrow_generators(n, h, m, dim, width):
    """In few dimensions many new points fall below the threshold, each training point often."""
    count = {0.05: 0, 0.001: 0}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        training, held_out = rng.standard_normal((n, dim)), rng.standard_normal((h, dim))
        reference = Reference(training, held_out, seed=seed)
        new = reference.look_at(width * rng.standard_normal((m, dim)))
        p = copies(new, reference.look_at(held_out, pooled=False), 1 / 3, seed).p
        for level in count:
            count[level] += p < level
    for level, alarms in count.items():
        assert binom.sf(alarms - 1, 60, level) > 1e-3, (level, alarms)


def test_one_point_is_drawn_for_each_nearest_training_point():
    training, held_out, new = gaussian_sets(50, 2, seed=1)
    points = Reference(training, held_out).look_at(np.concatenate([new, held_out]))
    drawn = [representatives(points, seed, "generated") for seed in range(200)]
    assert all((one.index == np.unique(points.index)).all() for one in drawn)
    most = np.bincount(points.index).argmax()
    those = points.d1[points.index == most]
    counts = [sum((one.d1 == d).sum() for one in drawn) for d in those]
    expected = 200 / len(those)
    assert np.abs(np.array(counts) - expected).max() < 4 * expected**0.5  # each as often


@pytest.mark.parametrize("dim", [6, 10, 16])
def test_ties_of_binary_data_favor_neither_set(dim):
    """Training and held-out points are often equally near, and often equal."""
    z, alarms = [], 0
    for seed in range(40):
        training, held_out, new = np.random.default_rng(seed).integers(0, 2, (3, 150, dim)) * 1.0
        reference = Reference(training, held_out, seed=seed)
        near = nearer_to_training(reference.look_at(new), reference.pool_size, reference.n_training)
        z.append((near.value - 0.5) / near.error)
        held = reference.look_at(held_out, pooled=False)
        alarms += copies(reference.look_at(new), held, 1 / 3, seed).p < 0.05
    assert abs(np.mean(z)) < 4 / 40**0.5 and np.std(z) < 1.3
    assert binom.sf(alarms - 1, 40, 0.05) > 1e-3


def test_error_of_cells_is_that_of_their_weights():
    """Cells of very different weights: C_T of perfect generators has the stated deviation."""
    values = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        # Nine tenths of the points in one group, the others in four
        group = np.where(rng.random((3, 800)) < 0.9, 0, rng.integers(1, 5, (3, 800)))
        sets = rng.standard_normal((3, 800, 2)) + 1000.0 * np.eye(5)[group][..., :2]
        sets[..., 0] += 300.0 * group
        training, held_out, new = sets
        reference = Reference(training, held_out, seed=seed)
        looked = [reference.look_at(x, pooled=False) for x in (new, held_out)]
        values.append(cell_test(*looked, reference.n_cells, seed, 0))
    z = np.array([one.value / one.null_error for one in values])
    assert 0.7 < z.std() < 1.35  # 1 within four errors, 1 / sqrt(2 * 60) each
    alarms = sum(one.p < 0.05 for one in values)
    assert binom.sf(alarms - 1, 60, 0.05) > 1e-3


@pytest.mark.parametrize(("m", "null", "h"), [(100, 0.0, 100), (1000, 0.1, 500), (60, 0.3, 60)])
def test_smallest_share_has_the_power_it_claims(m, null, h):
    share = smallest_share(m, null, h, 1e-3, 0.95)
    rate = null + (1 - null) * share
    counts = np.arange(m + 1)
    compatible = [more_often(int(k), m, round(null * h), h) < 1e-3 for k in counts]
    assert binom.pmf(counts, m, rate)[compatible].sum() == pytest.approx(0.95, abs=1e-6)


def test_delta_is_that_of_quadrature():
    rng = np.random.default_rng(5)
    t, o, g = rng.standard_normal((3, 6, 1))
    width, grid = 0.3, np.linspace(-9, 9, 20_001)
    density = [
        np.exp(-((grid - x) ** 2) / (2 * width**2)).mean(0) / np.sqrt(2 * np.pi) / width
        for x in (t, o, g)
    ]
    step = grid[1] - grid[0]
    tg, og = (((density[k] - density[2]) ** 2).sum() * step for k in (0, 1))
    factor = 36 * np.sqrt(4 * np.pi) * width
    assert delta_of_pixels(t, o, g, width) == pytest.approx(factor * (tg - og), rel=1e-9)
    # In units of its largest term
    scaled = delta_of_points(t, o, g, width)
    assert np.sign(scaled) == np.sign(tg - og)
    ratio = scaled / delta_of_points(o, t, g, width)
    assert ratio == pytest.approx(-1, rel=2)  # both sets exchanged: the sign turns


def test_delta_has_a_sign_where_its_largest_terms_cancel():
    """As in discrete data: both sets have a pair of equal points, and only one a near pair."""
    t, o, g = (np.array(x)[:, None] for x in ([0, 0, 3.0], [0, 0, 9.0], [20.0, 30.0, 40.0]))
    assert delta_of_points(t, o, g, 1.0) == pytest.approx(4 * np.exp(-9 / 4), rel=1e-6)
    assert delta_of_points(o, t, g, 1.0) == pytest.approx(-4 * np.exp(-9 / 4), rel=1e-6)


@pytest.mark.parametrize(
    ("flow", "scale"), [("score flow", 0.2), ("score flow", 0.3), ("probability flow", 0.04)]
)
def test_flows_end_at_training_points_as_often_as_computed(flow, scale):
    training, held_out, ends, shares = flow_sets(flow, 60, scale, 4000, seed=0)
    ends = ends[:, :59]  # the other coordinates fall to 0
    vertex = ((ends == 0) | (ends == 1)).all(axis=1)
    at_training = vertex & (ends.sum(axis=1) <= 1)
    counted = {"training": at_training, "virtual": vertex & ~at_training, "boundary": ~vertex}
    for name, share in shares.items():
        assert counted[name].mean() == pytest.approx(
            share, abs=4 * (share * (1 - share) / 4000) ** 0.5 + 1e-9
        )
    assert sum(shares.values()) == pytest.approx(1)
    if flow == "score flow":  # virtual points are no copies, and the measure knows it
        reference = Reference(training, held_out)
        held = reference.look_at(held_out, pooled=False)
        generated = _ends_with_rest(ends)
        assert copies(reference.look_at(generated), held, 1 / 3).value == at_training.mean()


def _ends_with_rest(ends):
    return np.concatenate([ends, np.zeros((len(ends), 60))], axis=1)


def test_the_linear_model_depends_on_few_points_and_not_on_many():
    values = {}
    for n in (20, 2000):
        training, held_out, generated = linear_model_sets(n, 16, 2000, seed=1)
        reference = Reference(training, held_out)
        near = nearer_to_training(reference.look_at(generated), n, n)
        values[n] = (near.value - 0.5) / near.error
    assert values[20] > 4 and abs(values[2000]) < 4
