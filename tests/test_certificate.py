"""An independent convex program finds the cost of the closed form, and no cheaper network."""

import pytest
import torch

import memnb
from memnb.certificate import certified_cost


@pytest.mark.parametrize(
    ("norms", "seed", "rho", "known"),
    [
        ((1.0, 1.0), None, 0.1, 5.0),
        ((1.0, 0.7), None, 0.1, 5.3),
        ((1.3, 0.8), 4, 0.2, None),
        ((0.6, 1.1), 9, 0.15, None),
    ],
)
def test_closed_form_is_the_convex_optimum(norms, seed, rho, known):
    data = memnb.orthogonal_set(3, 2, norms, seed=seed)
    closed = memnb.RampDenoiser(data, rho).cost()
    if known is not None:
        assert closed == pytest.approx(known, abs=1e-12)
    assert certified_cost(data, rho) == pytest.approx(closed, abs=1e-3)


def test_a_poorer_dictionary_costs_more_or_the_same():
    data = memnb.orthogonal_set(3, 2, seed=1)
    closed = memnb.RampDenoiser(data, 0.1).cost()
    costs = [certified_cost(data, 0.1, n, 8) for n in (1, 4, 12)]
    assert all(cost > closed - 1e-3 for cost in costs)


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
