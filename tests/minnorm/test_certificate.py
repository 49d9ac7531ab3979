"""An independent convex program finds the cost of the closed form, and no cheaper network."""

import numpy as np
import pytest
import torch

import memnb
from memnb.minnorm.certificate import _dual_bound, certified_cost


@pytest.mark.parametrize(
    ("norms", "seed", "rho", "known"),
    [
        ((1.0, 1.0), None, 0.1, 5.0),
        ((1.0, 0.7), None, 0.1, 5.3),
        ((1.3, 0.8), 4, 0.2, None),
        ((0.6, 1.1), 9, 0.15, None),
        ((1.9, 0.62), 23, 0.06, None),
    ],
)
def test_closed_form_is_the_convex_optimum(norms, seed, rho, known):
    data = memnb.orthogonal_set(3, 2, norms, seed=seed)
    closed = memnb.RampDenoiser(data, rho).cost()
    if known is not None:
        assert closed == pytest.approx(known, abs=1e-12)
    # The closed form is in the dictionary, so that a proven lower bound cannot exceed its cost.
    assert closed - 1e-3 < certified_cost(data, rho) <= closed


def test_a_poorer_dictionary_costs_more_or_the_same():
    data = memnb.orthogonal_set(3, 2, seed=1)
    closed = memnb.RampDenoiser(data, 0.1).cost()
    costs = [certified_cost(data, 0.1, n, 8) for n in (1, 4, 12)]
    assert all(cost > closed - 1e-3 for cost in costs)


def test_a_finer_dictionary_finds_nothing_cheaper():
    data = memnb.orthogonal_set(3, 2, (1.0, 0.7))
    assert 5.299 < certified_cost(data, 0.1, n_directions=24, n_biases=40) <= 5.3


def test_an_obtuse_angle_has_the_cost_of_its_ramps():
    """Points of norms 1 and 1.2 at 120 degrees, rho = 0.1: 2 / 0.8 + 2.4 / 1.0 = 4.9."""
    u = torch.tensor([[1.0, 0.0], [-0.5, 0.75**0.5]], dtype=torch.float64)
    length = torch.tensor([1.0, 1.2], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    points = torch.cat([zero[None], length[:, None] * u])
    obtuse = memnb.TrainingSet(points, zero, u, length, zero, length, "obtuse")
    assert certified_cost(obtuse, 0.1) == pytest.approx(4.9, abs=1e-3)


def test_the_bound_holds_for_any_multipliers():
    """However bad the multipliers, the bound stays below the cost of a network that fits."""
    data, rho = memnb.orthogonal_set(3, 2, (1.0, 0.7)), 0.1
    h = memnb.RampDenoiser(data, rho)
    around = rho * torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]).double()
    y = (data.points[:, None] + around).reshape(-1, 2)
    target = data.points.repeat_interleave(4, dim=0)
    torch.testing.assert_close(h(y), target)
    z = data.coordinates(y)
    gates = torch.relu(torch.cat([z - h.start, z - h.stop], dim=1)).numpy()
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(500, len(y), 2))
    bounds = [_dual_bound(m, gates, y.numpy(), target.numpy()) for m in draws]
    assert 0.5 < max(bounds) <= h.cost()


def test_a_gap_between_cost_and_bound_is_reported(monkeypatch):
    monkeypatch.setattr("memnb.minnorm.certificate.GAP", 1e-12)
    with pytest.raises(RuntimeError, match=r"left a gap: cost \d.*, proven bound 4\.99"):
        certified_cost(memnb.orthogonal_set(3, 2), 0.1)


def test_the_program_does_not_assume_the_answer():
    """For an acute pair the sum of ramps does not even fit, and the optimum is another number."""
    u = torch.tensor([[1.0, 0.0], [0.5, 0.75**0.5]], dtype=torch.float64)
    zero, one = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    points = torch.cat([zero[None], u])
    acute = memnb.TrainingSet(points, zero, u, one, zero, one, "acute")
    wrong = memnb.RampDenoiser(acute, 0.1)
    assert (wrong(u) - u).norm(dim=1).max() > 0.1
    assert abs(certified_cost(acute, 0.1, 12, 16) - wrong.cost()) > 0.1


def test_bad_input():
    with pytest.raises(ValueError, match="training_set must have d = 2, got 3"):
        certified_cost(memnb.orthogonal_set(3, 3), 0.1)
    with pytest.raises(ValueError, match="rho"):
        certified_cost(memnb.orthogonal_set(3, 2), 0.0)
    for rho in (0.5, 0.6):
        with pytest.raises(ValueError, match=r"rho must be below half the least .*0\.5"):
            certified_cost(memnb.orthogonal_set(3, 2), rho)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scale_and_offset_change_nothing(scale, offset, dtype):
    if dtype == torch.float32:
        offset = min(offset, 10.0)  # float32 does not hold the points farther out
    data = memnb.orthogonal_set(3, 2, (1.0, 0.7))
    shift = torch.full((2,), scale * offset, dtype=torch.float64)
    moved = memnb.TrainingSet(
        scale * data.points + shift, shift, data.directions,
        scale * data.lengths, scale * data.low, scale * data.high, "moved",
    ).to(dtype=dtype)  # fmt: skip
    assert certified_cost(moved, 0.1 * scale, 8, 12) == pytest.approx(5.3, abs=2e-3)
