"""Gradient flow of the linear model against an integrator, its limits, and random matrices."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memnb.linear import LinearModel, training_time
from memnb.linear import gradient_flow as flow
from memnb.streams import stream


def draw(n, model, seed=0, spike=1.0):
    g = stream(seed, "test of gradient flow", n)
    y, z = (torch.randn(n, model.dim, generator=g, dtype=torch.float64) for _ in range(2))
    y[:, 0] *= math.sqrt(spike)
    return y, model.noised(y, z)


def unit(model):
    """Variance v of a coordinate of X."""
    return model.shrink**2 + model.noise_variance


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 1000))
def test_closed_form_is_what_an_integrator_finds(n, d, seed):
    y, x = draw(n, LinearModel(d, T=0.5), seed)
    times = torch.tensor([0.01, 0.3, 2.0, 20.0])
    exact = flow.gradient_flow(y, x, times)
    torch.testing.assert_close(exact, flow.integrated(y, x, times), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("n", [5, 8, 30])
def test_it_starts_at_zero_solves_its_equation_and_ends_at_least_squares(n):
    y, x = draw(n, LinearModel(8, T=0.5))
    start, before, now, after, end = flow.gradient_flow(
        y, x, torch.tensor([0.0, 1 - 1e-4, 1.0, 1 + 1e-4, math.inf], dtype=torch.float64)
    )
    b, a = x - x.mean(0), y - y.mean(0)
    assert not start.any()
    torch.testing.assert_close((after - before) / 2e-4, (a - b @ now.mT).mT @ b / n,
                               rtol=1e-6, atol=1e-8)  # fmt: skip
    torch.testing.assert_close(end, (torch.linalg.pinv(b) @ a).mT, rtol=1e-8, atol=1e-10)


def test_test_error_is_the_error_on_fresh_pairs():
    model, spike = LinearModel(5, T=0.5), 9.0
    y, x = draw(20, model, spike=spike)
    theta = flow.gradient_flow(y, x, torch.tensor([1.0, math.inf]))
    fresh, noisy = draw(400_000, model, 1, spike)
    for outputs in (slice(None), slice(0, 1), slice(1, None)):
        _, test = flow.errors(theta, y, x, model, spike, outputs)
        sampled = (fresh - noisy @ theta.mT)[..., outputs].square().mean((1, 2))
        torch.testing.assert_close(test, sampled, rtol=0.02, atol=0)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9, 1.25, 4])
def test_errors_of_a_draw_tend_to_the_limit(ratio):
    """The mean over draws is within a few 1/d of the limit, which shrinks when d is doubled."""
    times, off = np.geomspace(0.03, 300, 15), []
    for d in (60, 240):
        model = LinearModel(d)
        n = round(d * ratio)
        limit = flow.limit_errors(times, d / n, model.signal_fraction)
        draws = [draw(n, model, seed) for seed in range(6)]
        at = torch.from_numpy(times) / unit(model)
        each = [
            torch.stack(flow.errors(flow.gradient_flow(y, x, at), y, x, model)) for y, x in draws
        ]
        mean = torch.stack(each).mean(0).numpy()
        off.append(np.abs(mean / np.stack(limit)[1] - np.stack(limit) / limit[1]).max())
    assert off[1] < 0.05 and off[1] < off[0]


@pytest.mark.parametrize("gamma", [0.3, 0.8, 1.5, 6.0])
def test_limit_of_the_errors_at_the_ends(gamma):
    c = 0.6
    train, test = flow.limit_errors(np.array([0, math.inf]), gamma, c)
    assert train[0] == pytest.approx(1) and test[0] == pytest.approx(1)
    if gamma < 1:
        assert train[1] == pytest.approx((1 - c) * (1 - gamma))
        assert test[1] == pytest.approx((1 - c) / (1 - gamma))
    else:
        assert train[1] == pytest.approx(0, abs=1e-9)
        expected = (1 - c) * gamma / (gamma - 1) + c * (1 - 1 / gamma)
        assert test[1] == pytest.approx(expected)


def test_train_error_never_rises_and_the_gap_never_shrinks():
    train, test = flow.limit_errors(np.geomspace(1e-3, 1e4, 200), 0.7, 0.5)
    assert (np.diff(train) <= 1e-12).all() and (np.diff(test - train) >= -1e-12).all()


def test_eigenvalues_lie_between_the_edges_and_the_outlier_above():
    model, n, spike = LinearModel(300), 75, 101.0
    v = unit(model)
    ell = 1 + model.signal_fraction * (spike - 1)
    tops = []
    for seed in range(20):
        _, x = draw(n, model, seed, spike)
        s = torch.linalg.svdvals(x - x.mean(0))[: n - 1].square() / (n * v)
        tops.append(s[0].item())
        low, high = flow.bulk_edges(300 / n)
        assert 0.75 * low < s[-1] and s[1] < 1.1 * high
    error = np.std(tops) / math.sqrt(20)
    assert abs(np.mean(tops) - flow.outlier(300 / n, ell)) < 4 * error


def test_few_points_are_fitted_in_a_time_proportional_to_their_number():
    """For n much smaller than d all eigenvalues are d/n, and the times follow by hand."""
    grid, c = training_time.training_times(n_times=2000), 0.5
    at = [
        training_time.milestones(grid, *flow.limit_errors(grid, g, c))[2] for g in (4000.0, 2000.0)
    ]
    assert at[1] / at[0] == pytest.approx(2, rel=0.01)
    # The train error is exp(-2 s t) of its start, and the test error does not move
    assert at[0] == pytest.approx(math.log(2) / 2 / 4000, rel=0.01)


def test_two_times_of_draws_are_those_of_the_theory():
    model, spike, n = LinearModel(300), 201.0, 75
    c = model.signal_fraction
    learned, memorized = training_time.two_times(n, model, spike, 0, 6)
    grid = training_time.training_times(n_times=1000)
    expected = training_time.milestones(grid, *flow.limit_errors(grid, 4.0, c))[2]
    assert memorized[0] == pytest.approx(expected, rel=0.06)
    # (1 - c) + c exp(-2 s t) is half way down at s t = log(2) / 2
    ell = 1 + c * (spike - 1)
    away = learned[0] - math.log(2) / 2 / flow.outlier(4.0, ell)
    assert abs(away) < 4 * learned[1]


def test_milestones_of_curves_that_are_known():
    """Test error falls like exp(-t), the gap grows like 1 - exp(-t/100)."""
    grid = training_time.training_times(n_times=4000)
    gap = 1 - np.exp(-grid / 100)
    test = np.exp(-grid) + gap
    learned, best, memorized = training_time.milestones(grid, test - gap, test)
    assert memorized == pytest.approx(100 * math.log(2), rel=1e-3)
    assert best == pytest.approx(math.log(100) / 0.99, rel=0.01)
    least = math.exp(-best) + 1 - math.exp(-best / 100)
    at_the_time = math.exp(-learned) + 1 - math.exp(-learned / 100)
    assert at_the_time == pytest.approx((1 + least) / 2, rel=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda y: flow.gradient_flow(y, y[:3], torch.ones(1)), "y and x must have one shape"),
        (lambda y: flow.gradient_flow(y, y, torch.tensor([-1.0])), "times must be"),
        (lambda y: flow.integrated(y, y, torch.tensor([2.0, 1.0])), "finite and rising"),
        (lambda y: flow.limit_errors(np.ones(1), 1, 0.5), "gamma must not be 1"),
        (lambda y: flow.limit_errors(np.ones(1), -1, 0.5), "gamma"),
        (lambda y: flow.outlier(4.0, 2.0), "ell"),
        (lambda y: training_time.milestones(np.ones(5), np.ones(5), np.ones(5)), "times must rise"),
        (lambda y: flow.errors(torch.zeros(1, 2, 2), y, y, LinearModel(5)), "dimension 5"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call(torch.randn(6, 4, generator=stream(0, "bad input"), dtype=torch.float64))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((-1, 2, 3), "first must be in"), ((2, 1), "last must be in"), ((1, 2, 1), "n_times must")],
)
def test_times_that_are_none_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        training_time.training_times(*arguments)
