"""The convex certificate: the closed form is as cheap as the best network of a dense dictionary."""

import math

import pytest
import torch

from memnb import RampDenoiser, TrainingSet, orthogonal_set
from memnb.certificate import certified_cost

RIGHT_ANGLES = orthogonal_set(3, 2)
UNEQUAL = orthogonal_set(3, 2, norms=[1.0, 0.7])


@pytest.mark.parametrize(("points", "printed"), [(RIGHT_ANGLES, 5.0), (UNEQUAL, 5.3)])
def test_known_costs(points, printed):
    assert RampDenoiser(points, 0.1).cost() == pytest.approx(printed, abs=1e-12)
    assert certified_cost(points, 0.1) == pytest.approx(printed, abs=1e-3)


@pytest.mark.parametrize(
    ("norms", "seed", "rho"), [([0.83, 1.41], 11, 0.17), ([1.9, 0.62], 23, 0.06)]
)
def test_rotated_sets_of_other_norms(norms, seed, rho):
    points = orthogonal_set(3, 2, norms=norms, seed=seed)
    closed_form = RampDenoiser(points, rho).cost()
    assert certified_cost(points, rho) == pytest.approx(closed_form, abs=1e-3)


def test_finer_dictionaries_find_nothing_cheaper():
    coarse = certified_cost(UNEQUAL, 0.1, n_directions=8, n_biases=8)
    fine = certified_cost(UNEQUAL, 0.1, n_directions=24, n_biases=40)
    assert coarse == pytest.approx(5.3, abs=1e-3)
    assert fine == pytest.approx(5.3, abs=1e-3)


def test_the_certificate_can_refuse_a_sum_of_ramps():
    # At an acute angle a sum of ramps is not the cheapest network: the certificate must show it.
    angle = math.radians(80)
    u = torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    one, zero = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    acute = TrainingSet(torch.cat([zero[None], u]), zero, u, one, zero, one, "acute")
    assert certified_cost(acute, 0.1) < RampDenoiser(acute, 0.1).cost() - 0.4


def test_an_obtuse_angle_has_the_published_cost():
    # Points at 120 degrees of norms 1 and 1.2, at rho = 0.1: 2 / 0.8 + 2.4 / 1.0.
    u = torch.tensor([[1.0, 0.0], [-0.5, 0.75**0.5]], dtype=torch.float64)
    length = torch.tensor([1.0, 1.2], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    x = torch.cat([zero[None], length[:, None] * u])
    obtuse = TrainingSet(x, zero, u, length, zero, length, "obtuse")
    assert certified_cost(obtuse, 0.1) == pytest.approx(4.9, abs=1e-3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: certified_cost(orthogonal_set(3, 3), 0.1), ValueError, "training_set .* d = 2"),
        (lambda: certified_cost(UNEQUAL, 0.0), ValueError, "rho must be in"),
        (lambda: certified_cost(UNEQUAL, 0.1, 0), ValueError, "n_directions must be at least 1"),
        (lambda: certified_cost(UNEQUAL, 0.1, 4, 1), ValueError, "n_biases must be at least 2"),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()
