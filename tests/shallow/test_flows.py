"""Flows and sums of any denoiser, against denoisers whose answers are known."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import memnb
from memnb.minnorm.stability import function_distance, subsets, sum_drift
from memnb.shallow.flows import (
    TrainedFamily,
    noise_levels,
    trained_probability_flow,
    trained_score_flow,
)
from memnb.shallow.networks import NetworkBatch


@given(K=st.integers(1, 9), order=st.integers(1, 9), limit=st.integers(1, 200))
def test_subsets_are_all_or_a_part_without_repeats(K, order, limit):
    if order > K:
        with pytest.raises(ValueError, match="order must be between"):
            subsets(K, order)
        return
    on = subsets(K, order)
    assert len(on) == math.comb(K, order) and (on.sum(dim=1) == order).all()
    part = subsets(K, order, limit)
    assert len(part) == min(limit, len(on)) == len(part.unique(dim=0))
    assert {tuple(r) for r in part.tolist()} <= {tuple(r) for r in on.tolist()}


def test_sums_rest_under_the_closed_form_and_leave_under_others():
    data = memnb.orthogonal_set(6, 7, seed=1)
    on = subsets(5, 3)
    assert sum_drift(memnb.RampDenoiser(data, 0.1), data, on).max() < 1e-12
    # The zero denoiser pulls everything to the origin, in one application or in forty units of r.
    drift = sum_drift(torch.zeros_like, data, on, chunk=3)
    assert torch.allclose(drift[:, [0, 2]], torch.full((10, 2), 3**0.5, dtype=torch.float64),
                          atol=1e-4)  # fmt: skip
    p = data.vertex(on)
    assert torch.allclose(drift[:, 3], p.abs().amax(dim=1))
    # Pairs of an obtuse simplex rest exactly if the criterion of the closed form says so.
    simplex = memnb.obtuse_simplex(4, 3, angle=94)
    pairs = subsets(3, 2)
    for rho in (0.06, 0.08):
        rests = memnb.sum_margin(pairs, simplex) <= rho
        h = memnb.RampDenoiser(simplex, rho)
        assert torch.equal(sum_drift(h, simplex, pairs)[:, 2] < 1e-9, rests)


def test_function_distance_of_known_gaps():
    data = memnb.orthogonal_set(4, 5, norms=[1, 2, 0.5], seed=3)
    h = memnb.RampDenoiser(data, 0.1)
    assert set(function_distance(h, h, data).values()) == {0.0}
    shifted = function_distance(lambda y: h(y) + 0.3, h, data)
    for value in shifted.values():
        assert math.isclose(value, 0.3 * 5**0.5)
    # |y|^2 on a random point of a ray, face and box: one, two and three coordinates of L^2/3 each.
    size = function_distance(lambda y: y, torch.zeros_like, data, n=20000)
    mean = (1 + 4 + 0.25) / 3 / 3
    for value, coordinates in zip(size.values(), (1, 2, 3), strict=True):
        assert math.isclose(value**2, coordinates * mean, rel_tol=0.05)


def test_the_flow_of_a_ramp_family_is_the_exact_one():
    data = memnb.orthogonal_set(5, 6, seed=2)
    y = memnb.gaussian_starts(200, 6, seed=1)
    family = memnb.ramp_family(data, 0.3)
    end = trained_probability_flow(y, family, 1.0, 0.05, n_steps=7)
    assert (end - memnb.probability_flow(y, family(1.0), 1.0, 0.0)).abs().max() < 1e-12
    rest = trained_score_flow(y, family(0.3))
    exact = memnb.score_flow(y, family(0.3), math.inf)
    settled = (rest - exact).norm(dim=1) < 1e-3
    assert settled.double().mean() > 0.95  # the others are still near the middle of a ramp


@given(st.integers(4, 200))
def test_noise_levels_fall_and_half_are_low(S):
    levels = noise_levels(S)
    assert len(levels) == S and (levels.diff() < 0).all()
    assert levels[0] == 1 and levels[-1] == 0.03
    assert int((levels <= 0.1).sum()) >= S / 3


def test_a_family_answers_with_the_nearest_level():
    batch = NetworkBatch.random(4, 5, 3)
    family = TrainedFamily.of(batch, [1.0, 0.5, 0.1, 0.05])
    for sigma, s in ((2.0, 0), (0.6, 1), (0.2, 2), (0.01, 3)):
        assert torch.equal(family(sigma).W, batch.network(s).W)
    thinned = TrainedFamily.of(batch, torch.tensor([1.0, 0.5, 0.1, 0.05]), every=3)
    assert torch.equal(thinned(0.2).W, batch.network(3).W)
    with pytest.raises(ValueError, match="must be of one length"):
        TrainedFamily([batch.network(0)], [1.0, 0.5])
