"""The event-driven flows against an integrator that restarts at every kink, and against theory."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import memnb
from memnb.minnorm._coupled import CoupledFlow
from memnb.minnorm._events import move
from memnb.minnorm._ramps import Ramps, growth, response

SETS = {
    "pair": memnb.obtuse_simplex(3, 2, angle=130),
    "narrow": memnb.obtuse_simplex(3, 4, [1.0, 1.6], angle=170, seed=2),
    "simplex": memnb.obtuse_simplex(6, 8, torch.linspace(0.8, 1.3, 5), angle=97, seed=1),
    "equal": memnb.obtuse_simplex(6, 8, angle=100, seed=1),
    "large": memnb.obtuse_simplex(31, 100, angle=91.5, seed=1),
    "triangle": memnb.equilateral_triangle(2),
    "turned triangle": memnb.equilateral_triangle(5, 1.3, seed=4),
    "line": memnb.line_set([-1.0, 0.0, 0.4, 1.9]),
}


def integrate(y, velocity, edges, span, positions):
    """DOP853 from kink to kink: velocity(s, y), kinks where positions(s, y) meets edges(s)."""

    def crossing(n, side):
        def event(s, y):
            return positions(s, y)[n] - edges(s)[side][n]

        event.terminal = True
        return event

    events = [crossing(n, side) for n in range(len(edges(span[0])[0])) for side in (0, 1)]
    s, end = span
    while s < end:
        done = solve_ivp(
            velocity, (s, end), y, "DOP853", rtol=1e-12, atol=1e-13, events=events, max_step=0.2
        )
        s, y = done.t[-1], done.y[:, -1]
        if s < end:  # a short smooth-enough step beyond the kink, so that it does not fire again
            h = min(1e-7, end - s)
            y = y + h * velocity(s, y)
            s += h
    return y


def reference_score(y, h, r):
    s = h.training_set
    u, x = s.directions.numpy(), s.center.numpy()
    a, b, length = h.start.numpy(), h.stop.numpy(), s.lengths.numpy()

    def velocity(_, y):
        return x + (length * np.clip(((y - x) @ u.T - a) / (b - a), 0, 1)) @ u - y

    return integrate(y, velocity, lambda _: (a, b), (0, r), lambda _, y: (y - x) @ u.T)


def reference_probability(y, s, alpha, sigma_0, sigma_1):
    u, x = s.directions.numpy(), s.center.numpy()
    low, high, length = s.low.numpy(), s.high.numpy(), s.lengths.numpy()

    def edges(r):
        rho = alpha * math.exp(-r)
        return low + rho, high - rho

    def velocity(r, y):
        a, b = edges(r)
        return x + (length * np.clip(((y - x) @ u.T - a) / (b - a), 0, 1)) @ u - y

    span = (-math.log(sigma_0), -math.log(sigma_1))
    return integrate(y, velocity, edges, span, lambda _, y: (y - x) @ u.T)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("share", [0.1, 0.7])
def test_score_flow_agrees_with_an_integrator(name, share):
    data = SETS[name]
    h = memnb.RampDenoiser(data, share * data.max_rho)
    y = memnb.gaussian_starts(3, data.dim, scale=0.8, seed=5)
    for r in (0.3, 4.0):
        exact = memnb.score_flow(y, h, r)
        for start, end in zip(y, exact, strict=True):
            expected = reference_score(start.numpy(), h, r)
            np.testing.assert_allclose(end.numpy(), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["pair", "equal", "large", "triangle", "turned triangle"])
@pytest.mark.parametrize("share", [0.1, 0.7])
def test_probability_flow_agrees_with_an_integrator(name, share):
    data = SETS[name]
    sigma_0, alpha = 0.5, 2 * share * data.max_rho
    h = memnb.RampDenoiser(data, alpha * sigma_0)
    y = memnb.gaussian_starts(3, data.dim, scale=0.8, seed=6)
    for sigma_1 in (0.3, 0.01):
        exact = memnb.probability_flow(y, h, sigma_0, sigma_1)
        for start, end in zip(y, exact, strict=True):
            expected = reference_probability(start.numpy(), data, alpha, sigma_0, sigma_1)
            np.testing.assert_allclose(end.numpy(), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", SETS)
def test_two_short_flows_are_one_long_flow(name):
    data = SETS[name]
    h = memnb.RampDenoiser(data, 0.4 * data.max_rho)
    y = memnb.gaussian_starts(50, data.dim, seed=7)
    for first, second in ((0.5, 1.5), (3.0, 0.001), (2.0, math.inf)):
        once = memnb.score_flow(y, h, first + second)
        twice = memnb.score_flow(memnb.score_flow(y, h, first), h, second)
        torch.testing.assert_close(once, twice, rtol=0, atol=1e-9)
    grid = [0.0, 0.5, 2.0, 5.0]
    path = memnb.score_flow_trajectory(y, h, grid)
    for r, point in zip(grid, path, strict=True):
        torch.testing.assert_close(point, memnb.score_flow(y, h, r), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["pair", "equal", "large", "triangle"])
def test_two_short_probability_flows_are_one_long_flow(name):
    data = SETS[name]
    h = memnb.RampDenoiser(data, 0.5 * data.max_rho)
    y = memnb.gaussian_starts(50, data.dim, seed=8)
    for last in (0.1, 0.0):
        half = memnb.probability_flow(y, h, 1.0, 0.4)
        twice = memnb.probability_flow(half, h.with_rho(0.4 * h.rho), 0.4, last)
        once = memnb.probability_flow(y, h, 1.0, last)
        torch.testing.assert_close(once, twice, rtol=0, atol=1e-10)
    path = memnb.probability_flow_trajectory(y, h, [1.0, 0.4, 0.0])
    torch.testing.assert_close(path[0], y, rtol=0, atol=1e-12)
    torch.testing.assert_close(path[1], half, rtol=0, atol=1e-12)
    torch.testing.assert_close(path[2], once, rtol=0, atol=1e-12)


@given(
    st.integers(2, 12), st.floats(0.02, 0.98), st.floats(0.02, 0.95), st.integers(0, 99),
    st.floats(1e-3, 1e3),
)  # fmt: skip
@settings(deadline=None, max_examples=40, derandomize=True)
def test_the_limit_is_stationary_and_scales(n_edges, opening, share, seed, scale):
    """Scaling data, radius and starts together scales the limit; it is a fixed point of h."""
    angle = 90 + opening * (memnb.widest_angle(n_edges + 1) - 90)
    data = memnb.obtuse_simplex(n_edges + 1, n_edges + 1, angle=angle, seed=seed)
    large = memnb.obtuse_simplex(n_edges + 1, n_edges + 1, scale, angle=angle, seed=seed)
    h = memnb.RampDenoiser(data, share * data.max_rho)
    y = memnb.gaussian_starts(5, data.dim, seed=seed)
    end = memnb.score_flow(y, h, math.inf)
    assert (h(end) - end).norm(dim=1).max() < 1e-10
    scaled = memnb.score_flow(scale * y, memnb.RampDenoiser(large, scale * h.rho), math.inf)
    torch.testing.assert_close(scaled / scale, end, rtol=0, atol=1e-8)


def test_the_energy_falls_along_the_flow():
    """h - y is minus the gradient of |y|^2 / 2 - sum of the integrals of the ramps."""
    data = SETS["simplex"]
    h = memnb.RampDenoiser(data, 0.1)

    def energy(y):
        z = data.coordinates(y)
        width = h.stop - h.start
        inside = (z - h.start).clamp(min=0).minimum(width)
        integral = data.lengths * (inside.square() / (2 * width) + (z - h.stop).clamp(min=0))
        return (y - data.center).square().sum(dim=-1) / 2 - integral.sum(dim=-1)

    y = memnb.gaussian_starts(40, data.dim, seed=3).requires_grad_()
    slope = torch.autograd.grad(energy(y).sum(), y)[0]
    torch.testing.assert_close(slope, y - h(y), rtol=0, atol=1e-12)
    path = memnb.score_flow_trajectory(y.detach(), h, memnb.uniform_grid(0, 30, 61))
    assert (energy(path).diff(dim=0) <= 1e-12).all()


def test_orthogonal_data_are_a_special_case():
    data = memnb.orthogonal_set(6, 9, [1.0, 0.8, 1.5, 0.6, 1.1], seed=2)
    h = memnb.RampDenoiser(data, 0.2)
    y = memnb.gaussian_starts(200, 9, seed=4)
    z = data.coordinates(y)
    for r in (0.1, 2.0, 30.0, math.inf):
        flow = CoupledFlow.score(h, r)
        expected = memnb.score_flow(y, h, r)
        torch.testing.assert_close(flow.solve(y)[0], expected, rtol=0, atol=1e-12)
        z_end = move(z, flow.ramps, r).z
        torch.testing.assert_close(z_end, data.coordinates(expected), rtol=0, atol=1e-12)


def test_events_are_counted_and_symmetric_points_stay():
    triangle = SETS["triangle"]
    h = memnb.RampDenoiser(triangle, 0.2)
    zero = torch.zeros(1, 2).double()
    assert memnb.score_flow(zero, h, math.inf).norm() < 1e-12
    saddle = -0.5 * triangle.points  # midpoints of the sides
    torch.testing.assert_close(memnb.score_flow(saddle, h, math.inf), saddle, rtol=0, atol=1e-12)
    ramps = Ramps.of(memnb.obtuse_simplex(3, 2, angle=120), 0.1)
    z = torch.tensor([[0.95, -1.0], [0.6, -1.0], [2.0, 2.0]]).double()
    moved = move(z, ramps, math.inf)
    assert moved.events.tolist()[:2] == [0, 1]  # flat all the way; once over the top
    torch.testing.assert_close(moved.z[:2], torch.tensor([[1.0, -0.5]] * 2).double())
    assert move(z, ramps, 0.0).events.tolist() == [0, 0, 0]


@given(st.floats(0, 10), st.floats(0, 60))
@settings(deadline=None)
def test_growth_is_the_integral(mu, r):
    import mpmath

    with mpmath.workdps(60):
        m, t = mpmath.mpf(mu), mpmath.mpf(r)
        e = mpmath.expm1((m - 1) * t) / (m - 1) if m != 1 else t
        small = 1 - (1 + t) * mpmath.exp(-t)
        exact = float((e + mpmath.expm1(-t)) / m) if mu > 1e-30 else float(small)
        fall = float(
            (mpmath.exp((m - 1) * t) - mpmath.exp(-t)) / m if mu > 1e-30 else t * mpmath.exp(-t)
        )
    rate, r = torch.tensor([[[mu - 1]], [[r]]], dtype=torch.float64)
    assert float(growth(rate, r)) == pytest.approx(exact, rel=1e-11, abs=1e-14)
    assert float(response(rate, r)) == pytest.approx(fall, rel=1e-11, abs=1e-14)


def test_single_precision_and_shapes():
    data = memnb.obtuse_simplex(4, 5, angle=100, seed=1, dtype=torch.float32)
    double = memnb.obtuse_simplex(4, 5, angle=100, seed=1)
    y = memnb.gaussian_starts(6, 5, seed=1)
    low = memnb.score_flow(y.float().reshape(2, 3, 5), memnb.RampDenoiser(data, 0.1), 2.0)
    high = memnb.score_flow(y, memnb.RampDenoiser(double, 0.1), 2.0)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low.reshape(6, 5), high.float(), rtol=0, atol=1e-5)


def test_single_precision_tells_neutral_from_growing():
    """At zero radius the edges are lines of rest; rounding of float32 data must not move a point.

    Probability flow to zero noise ends there, so that its classes depend on it.
    """
    for data in (SETS["equal"], SETS["triangle"]):
        h = memnb.RampDenoiser(data, 0.1)
        low = memnb.RampDenoiser(data.to(dtype=torch.float32), 0.1)
        y = memnb.gaussian_starts(100, data.dim, seed=3)
        exact = memnb.probability_flow(y, h, 1.0, 0.0)
        gap = (memnb.probability_flow(y.float(), low, 1.0, 0.0) - exact).abs()
        assert gap.max() < 1e-4
        halfway = torch.cdist(exact, data.points).amin(dim=1) > 0.05
        assert halfway.sum() > 5  # not a test of vertices only


def test_starts_on_kinks_agree_with_an_integrator():
    data = memnb.obtuse_simplex(3, 2, [1.0, 1.4], angle=120)
    h = memnb.RampDenoiser(data, 0.2)
    places = [torch.stack([a, a.new_tensor(0.5), b]) for a, b in zip(h.start, h.stop, strict=True)]
    z = torch.cartesian_prod(*places)
    y = z @ torch.linalg.inv(data.directions).mT
    for r in (0.5, 5.0):
        exact = memnb.score_flow(y, h, r)
        for start, end in zip(y, exact, strict=True):
            # from a kink an integrator may start with either piece: begin with one tiny step
            first = start + 1e-9 * (h(start) - start)
            expected = reference_score(first.numpy(), h, r - 1e-9)
            np.testing.assert_allclose(end.numpy(), expected, rtol=0, atol=1e-8)


def test_far_starts_tiny_noise_and_bad_numbers():
    data = SETS["equal"]
    h = memnb.RampDenoiser(data, 0.1)
    y = memnb.gaussian_starts(20, 8, seed=3)
    for far in (1e3, 1e12, 1e100):
        end = memnb.score_flow(far * y, h, math.inf)
        assert (h(end) - end).abs().max() < 1e-13
    limit = memnb.probability_flow(y, h, 1.0, 0.0)
    for last in (1e-20, 1e-300):
        end = memnb.probability_flow(y, h, 1.0, last)
        torch.testing.assert_close(end, limit, rtol=0, atol=1e-12)
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="y must be finite"):
            memnb.score_flow(torch.full((2, 8), bad).double(), h, math.inf)


def test_a_flow_that_does_not_settle_is_reported(monkeypatch):
    monkeypatch.setattr("memnb.minnorm._events.MAX_STEPS", 2)
    h = memnb.RampDenoiser(SETS["equal"], 0.1)
    with pytest.raises(RuntimeError, match=r"\d+ starts did not settle within 2 steps"):
        memnb.score_flow(memnb.gaussian_starts(5, 8), h, math.inf)
