"""Derivatives of the exact flows against finite differences, and batching by torch.func."""

import math

import pytest
import torch

import memnb
from memnb.minnorm.stepped import score_flow_stepped

SETS = {
    "orthogonal": memnb.orthogonal_set(4, 5, [1.0, 0.7, 1.4], seed=3),
    "simplex": memnb.obtuse_simplex(5, 6, angle=100, seed=1),
    "unequal": memnb.obtuse_simplex(4, 4, [1.0, 1.6, 0.8], angle=105, seed=2),
    "triangle": memnb.equilateral_triangle(3, 1.3, seed=4),
    "line": memnb.line_set([-1.0, 0.0, 0.4, 1.9]),
}
FLOWS = {
    "score, short": lambda y, h: memnb.score_flow(y, h, 0.4),
    "score, long": lambda y, h: memnb.score_flow(y, h, 6.0),
    "score, limit": lambda y, h: memnb.score_flow(y, h, math.inf),
    "probability": lambda y, h: memnb.probability_flow(y, h, 1.0, 0.2),
    "probability, limit": lambda y, h: memnb.probability_flow(y, h, 1.0, 0.0),
    "score, path": lambda y, h: memnb.score_flow_trajectory(y, h, [0.3, 2.0])[1],
    "probability, path": lambda y, h: memnb.probability_flow_trajectory(y, h, [1.0, 0.3])[1],
}
CASES = [
    (data, flow)
    for data in SETS
    for flow in FLOWS
    if data not in ("unequal", "line") or flow.startswith("score")
]


def finite_differences(function, y, step=1e-6):
    steps = step * torch.eye(y.shape[-1], dtype=torch.float64)
    return torch.stack([(function(y + e) - function(y - e)) / (2 * step) for e in steps], dim=-1)


@pytest.mark.parametrize(("name", "flow"), CASES)
def test_derivatives_agree_with_finite_differences(name, flow):
    """By reverse mode, forward mode, and one start at a time under vmap."""
    h = memnb.RampDenoiser(SETS[name], 0.25 * SETS[name].max_rho)

    def move(y):
        return FLOWS[flow](y, h)

    y = memnb.gaussian_starts(12, h.training_set.dim, scale=0.8, seed=11)
    expected = finite_differences(move, y)
    plain = y.clone().requires_grad_()
    end = move(plain)
    rows = [
        torch.autograd.grad(end[:, i].sum(), plain, retain_graph=True)[0]
        for i in range(end.shape[1])
    ]
    torch.testing.assert_close(torch.stack(rows, dim=1), expected, rtol=1e-6, atol=1e-6)
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        batched = torch.func.vmap(transform(move))(y)
        torch.testing.assert_close(batched, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(torch.func.vmap(move)(y), move(y), rtol=0, atol=1e-14)
    if "limit" not in flow:
        assert expected.flatten(1).norm(dim=1).max() > 0.5


def test_starts_pass_an_event_in_these_tests():
    h = memnb.RampDenoiser(SETS["simplex"], 0.25 * SETS["simplex"].max_rho)
    y = memnb.gaussian_starts(12, 6, scale=0.8, seed=11)
    assert memnb.count_events(y, h, 6.0).float().mean() > 1


@pytest.mark.parametrize("name", ["orthogonal", "simplex"])
def test_single_precision_derivatives(name):
    data = SETS[name]
    low = memnb.RampDenoiser(data.to(dtype=torch.float32), 0.1)
    y = memnb.gaussian_starts(12, data.dim, scale=0.8, seed=11)
    single, double = y.float().requires_grad_(), y.clone().requires_grad_()
    memnb.score_flow(single, low, 1.0).square().sum().backward()
    memnb.score_flow(double, memnb.RampDenoiser(data, 0.1), 1.0).square().sum().backward()
    assert single.grad.dtype == torch.float32
    torch.testing.assert_close(single.grad.double(), double.grad, rtol=1e-4, atol=1e-4)


def test_zero_radius_and_the_midpoint_of_a_ramp():
    data = memnb.orthogonal_set(3, 2)
    y = torch.tensor([[0.5, 0.3], [0.5, 1.4]], dtype=torch.float64, requires_grad=True)
    for rho, inside in ((0.0, 1.0), (0.2, math.exp(2 / 3))):  # k = 0.4 / 0.6
        end = memnb.score_flow(y, memnb.RampDenoiser(data, rho), 1.0)
        gradient = torch.autograd.grad(end.sum(), y)[0]
        assert gradient[:, 0].tolist() == pytest.approx([inside, inside])
        assert gradient[1, 1].item() == pytest.approx(math.exp(-1))


def test_second_derivatives_of_coupled_flows_are_refused():
    h = memnb.RampDenoiser(SETS["simplex"], 0.1)
    y = memnb.gaussian_starts(2, 6, seed=1).requires_grad_()
    gradient = torch.autograd.grad(
        memnb.score_flow(y, h, 1.0).square().sum(), y, create_graph=True
    )[0]
    with pytest.raises(RuntimeError, match="once, not twice"):
        torch.autograd.grad(gradient.sum(), y)


@pytest.mark.parametrize("method", ["rk4", "dopri8"])
def test_steppers_keep_the_gradient_of_their_starts(method):
    h = memnb.RampDenoiser(SETS["triangle"], 0.2)
    y = memnb.gaussian_starts(4, 3, seed=5)
    grid = memnb.uniform_grid(0, 1, 200) if method == "rk4" else [0.0, 1.0]
    options = {} if method == "rk4" else {"rtol": 1e-9, "atol": 1e-9}
    gradients = []
    for flow in (
        lambda y: memnb.score_flow(y, h, 1.0),
        lambda y: score_flow_stepped(y, h, grid, method, return_path=False, **options),
    ):
        start = y.clone().requires_grad_()
        gradients.append(torch.autograd.grad(flow(start).square().sum(), start)[0])
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-3)
    assert not score_flow_stepped(y, h, [0.0, 1.0]).requires_grad
