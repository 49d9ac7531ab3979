"""Flows: the exact maps against independent integrators, and the order of every stepper."""

import math
from itertools import product

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from memnb import (
    EmpiricalBayesDenoiser,
    RampDenoiser,
    TrainingSet,
    count_events,
    critical_time,
    gaussian_starts,
    log_uniform_grid,
    obtuse_simplex,
    orthogonal_set,
    probability_flow,
    probability_flow_stepped,
    probability_flow_trajectory,
    ramp_family,
    score_flow,
    score_flow_stepped,
    score_flow_trajectory,
    uniform_grid,
)

examples = settings(deadline=None, max_examples=80, derandomize=True)

# A set on the axes with room off its plane, and a rotated one with unequal norms.
SETS = {
    "axes": orthogonal_set(4, 4),
    "rotated": orthogonal_set(4, 5, norms=[1.0, 0.7, 2.5], seed=3),
    "full": orthogonal_set(4, 3, norms=[0.9, 1.3, 0.8], seed=8),
}
RADII = (0.01, 0.1, 0.3)  # in units of the shortest length


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def starts_of(points, rho):
    """Starts whose coordinates run over kinks, midpoints, vertices, far and negative values."""
    length = points.lengths
    special = torch.stack(
        [
            torch.full_like(length, rho),
            length - rho,
            length / 2,
            0.0 * length,
            length,
            length + 1.5,
            -0.8 * length,
            0.3 * length,
            length / 2 + 1e-3,
            0.95 * length,
        ]
    )
    shifted = torch.stack([special[:, n].roll(3 * n) for n in range(points.n_ramps)], dim=1)
    z = torch.cat([special, shifted])
    noise = gaussian_starts(len(z), points.dim, seed=5)
    off_plane = noise - points.coordinates(noise) @ points.directions
    return points.from_coordinates(z) + off_plane


def integrate(y, points, radius, duration, max_step=0.01):
    """dy/dr = h(y) - y by DOP853, with a denoiser written from the training points alone."""
    x = points.points[1:].numpy()
    length = np.linalg.norm(x, axis=1)
    u = x / length[:, None]

    def velocity(r, flat):
        rho, y = radius(r), flat.reshape(-1, points.dim)
        h = (length * np.clip((y @ u.T - rho) / (length - 2 * rho), 0, 1)) @ u
        return (h - y).ravel()

    start = y.numpy().ravel()
    tight = {"rtol": 1e-11, "atol": 1e-13, "max_step": max_step}
    end = solve_ivp(velocity, (0, duration), start, method="DOP853", **tight).y[:, -1]
    return torch.from_numpy(end.reshape(y.shape))


def radius_of(name, fraction):
    return fraction * float(SETS[name].lengths.min())


def obtuse_set(degrees=120):
    """Two points at an obtuse angle as seen from the origin: the coordinates are coupled."""
    angle = math.radians(degrees)
    u = tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]])
    one, zero = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    return TrainingSet(torch.cat([zero[None], u]), zero, u, one, zero, one, "obtuse")


# --- exact maps against an 8th-order integrator ---------------------------------------------


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("fraction", RADII)
@pytest.mark.parametrize("r", [0.4, 3.0])
def test_score_flow_solves_its_ode(name, fraction, r):
    points, rho = SETS[name], radius_of(name, fraction)
    y = starts_of(points, rho)
    expected = integrate(y, points, lambda s: rho, r)
    torch.testing.assert_close(
        score_flow(y, RampDenoiser(points, rho), r), expected, rtol=0, atol=1e-9
    )


def test_score_flow_solves_its_ode_over_a_long_slide_through_both_kinks():
    points, rho = orthogonal_set(3, 2, norms=[1.0, 0.8], seed=1), 0.05
    y = points.from_coordinates(tensor([[0.501, 0.39], [0.45, 0.41], [0.6, 0.05]]))
    end = score_flow(y, RampDenoiser(points, rho), 40.0)
    torch.testing.assert_close(end, integrate(y, points, lambda s: rho, 40.0), rtol=0, atol=1e-9)
    start, stop = points.coordinates(y), points.coordinates(end)
    assert (start[:2] > rho).all() and (start[:2] < points.lengths - rho).all()
    assert ((stop[:2] < rho) | (stop[:2] > points.lengths - rho)).any(), "no kink was crossed"


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("fraction", RADII)
@pytest.mark.parametrize("levels", [(1.0, 1e-3), (0.2, 0.15)])
def test_probability_flow_solves_its_ode(name, fraction, levels):
    points, rho, (sigma_0, sigma_1) = SETS[name], radius_of(name, fraction), levels
    y = starts_of(points, rho)
    # In r = -log(sigma / sigma_0) the radius falls as exp(-r).
    expected = integrate(y, points, lambda r: rho * math.exp(-r), math.log(sigma_0 / sigma_1))
    torch.testing.assert_close(
        probability_flow(y, RampDenoiser(points, rho), sigma_0, sigma_1),
        expected,
        rtol=0,
        atol=1e-9,
    )


def test_slow_slide_keeps_its_digits_at_small_radii():
    # k = 2 rho / (L - 2 rho) must not be formed by a difference of numbers near 1.
    length, rho, z = 0.7, 1e-9, 0.3
    with mpmath.workdps(50):
        half = mpmath.mpf(length) / 2
        k = mpmath.mpf(rho) / (half - mpmath.mpf(rho))
        r = float(1 / k)
        expected = float(half + (mpmath.mpf(z) - half) * mpmath.exp(k * mpmath.mpf(r)))
    points = orthogonal_set(2, 1, norms=length)
    moved = score_flow(tensor([z]), RampDenoiser(points, rho), r)
    assert moved.item() == pytest.approx(expected, rel=1e-13)


# --- structure of the maps -------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("r", [(0.3, 0.9), (2.0, 5.0)])
def test_score_flow_is_a_semigroup(name, r):
    for fraction in RADII:
        rho = radius_of(name, fraction)
        denoiser = RampDenoiser(SETS[name], rho)
        y = starts_of(SETS[name], rho)
        twice = score_flow(score_flow(y, denoiser, r[0]), denoiser, r[1])
        torch.testing.assert_close(twice, score_flow(y, denoiser, sum(r)), rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("last", [0.0, 0.01])
def test_probability_flow_composes_between_noise_levels(name, last):
    for fraction in RADII:
        rho = radius_of(name, fraction)
        denoiser = RampDenoiser(SETS[name], rho)
        y = starts_of(SETS[name], rho)
        half_way = probability_flow(y, denoiser, 0.5, 0.2)
        twice = probability_flow(half_way, denoiser.with_rho(rho * 0.2 / 0.5), 0.2, last)
        once = probability_flow(y, denoiser, 0.5, last)
        torch.testing.assert_close(twice, once, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SETS)
def test_nothing_moves_in_no_time(name):
    denoiser = RampDenoiser(SETS[name], 0.1)
    y = starts_of(SETS[name], 0.1)
    torch.testing.assert_close(score_flow(y, denoiser, 0.0), y, rtol=0, atol=1e-15)
    assert torch.equal(probability_flow(y, denoiser, 0.3, 0.3), y)


@examples
@given(
    seed=st.integers(0, 10**6),
    n_ramps=st.integers(1, 5),
    extra=st.integers(0, 3),
    fraction=st.floats(1e-6, 0.999),
)
def test_infinite_score_flow_ends_at_the_nearest_vertex(seed, n_ramps, extra, fraction):
    rng = np.random.default_rng(seed)
    norms = rng.uniform(0.3, 3, n_ramps)
    points = orthogonal_set(n_ramps + 1, n_ramps + extra, norms=norms, seed=seed)
    y = gaussian_starts(20, points.dim, scale=2.0, seed=seed)
    end = score_flow(y, RampDenoiser(points, fraction * points.max_rho), math.inf)
    on = tensor(list(product([0.0, 1.0], repeat=n_ramps)))
    vertices = on @ points.points[1:]
    nearest = vertices[torch.cdist(y, vertices).argmin(dim=1)]
    torch.testing.assert_close(end, nearest, rtol=0, atol=1e-12)


def test_infinite_score_flow_agrees_with_a_very_long_one():
    points = SETS["axes"]
    for rho in RADII:
        y, denoiser = starts_of(points, rho), RampDenoiser(points, rho)
        forever = score_flow(y, denoiser, math.inf)
        torch.testing.assert_close(score_flow(y, denoiser, 1e5), forever, rtol=0, atol=1e-12)


def test_the_midpoint_is_stationary_and_unstable():
    denoiser = RampDenoiser(orthogonal_set(3, 2), 0.2)
    for r in (0.0, 1.0, 1e300, math.inf):
        assert torch.equal(score_flow(tensor([0.5, 0.5]), denoiser, r), tensor([0.5, 0.5]))
    nudged = score_flow(tensor([0.5 - 1e-9, 0.5 + 1e-9]), denoiser, math.inf)
    assert torch.equal(nudged, tensor([0.0, 1.0]))


def test_zero_radius_is_the_projection_onto_the_box():
    points = SETS["rotated"]
    projector = RampDenoiser(points, 0)
    y = starts_of(points, 0.1)
    z = points.coordinates(y)
    projection = points.from_coordinates(torch.minimum(z.clamp(min=0), points.lengths))
    for r in (0.7, math.inf):
        expected = projection + (y - projection) * math.exp(-r)
        torch.testing.assert_close(score_flow(y, projector, r), expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(
        probability_flow(y, projector, 1.0, 0.0), projection, rtol=0, atol=1e-14
    )


def test_both_flows_tend_to_the_projection_linearly_in_the_radius():
    points = SETS["rotated"]
    z = tensor([[0.37, 0.2, 2.1], [0.81, 0.6, 0.4]])
    y = points.from_coordinates(z)
    for flow in (
        lambda rho: score_flow(y, RampDenoiser(points, rho), 2.0),
        lambda rho: probability_flow(y, RampDenoiser(points, rho), 1.0, 0.1),
    ):
        errors = [float((flow(rho) - flow(0.0)).norm()) for rho in (1e-4, 1e-5, 1e-6)]
        assert errors[0] / errors[1] == pytest.approx(10, rel=1e-2)
        assert errors[1] / errors[2] == pytest.approx(10, rel=1e-3)


def test_directions_off_the_span_only_decay():
    points = SETS["rotated"]
    y = starts_of(points, 0.1)
    denoiser = RampDenoiser(points, 0.1)
    before = points.off_plane(y)
    assert before.min() > 0.1
    torch.testing.assert_close(
        points.off_plane(score_flow(y, denoiser, 1.3)), before * math.exp(-1.3)
    )
    torch.testing.assert_close(
        points.off_plane(probability_flow(y, denoiser, 0.8, 0.2)), before / 4
    )


@pytest.mark.parametrize("name", SETS)
def test_probability_flow_moves_along_straight_lines_in_sigma(name):
    points, sigma = SETS[name], (0.5, 0.35, 0.1)
    family = ramp_family(points, 0.4)
    y0 = starts_of(points, 0.2)
    # Each leg starts from the denoiser at its own beginning, so that a bend would show.
    y1 = probability_flow(y0, family(sigma[0]), sigma[0], sigma[1])
    y2 = probability_flow(y1, family(sigma[1]), sigma[1], sigma[2])
    on_chord = y0 + (y2 - y0) * (sigma[0] - sigma[1]) / (sigma[0] - sigma[2])
    torch.testing.assert_close(y1, on_chord, rtol=0, atol=1e-12)
    velocity = [(y - family(s)(y)) / s for y, s in zip((y0, y1, y2), sigma, strict=True)]
    torch.testing.assert_close(velocity[1], velocity[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(velocity[2], velocity[0], rtol=0, atol=1e-11)


def test_one_step_is_not_exact_when_the_directions_are_not_orthogonal():
    family, y = ramp_family(obtuse_set(), 1.0), tensor([0.35, 0.5])
    fine = probability_flow_stepped(
        y, family, [0.2, 1e-6], variable="log_sigma", method="dopri8", rtol=1e-10, atol=1e-10
    )[-1]
    one_step = family(0.2)(y)
    assert (fine - one_step).norm() > 1e-2


# --- critical time ---------------------------------------------------------------------------


@examples
@given(
    seed=st.integers(0, 10**6),
    n_ramps=st.integers(1, 4),
    alpha=st.floats(0.05, 20),
    fraction=st.floats(1e-3, 0.999),
)
def test_probability_flow_reaches_a_vertex_from_the_critical_time_on(
    seed, n_ramps, alpha, fraction
):
    norms = np.random.default_rng(seed).uniform(0.5, 2, n_ramps)
    points = orthogonal_set(n_ramps + 1, n_ramps, norms=norms)
    y = gaussian_starts(50, n_ramps, scale=1.0, seed=seed)
    rho = fraction * points.max_rho
    time = (rho / alpha) ** 2
    tau = critical_time(y, points, alpha)
    end = points.coordinates(probability_flow(y, RampDenoiser(points, rho), rho / alpha, 0))
    at_vertex = ((end == 0) | (end == points.lengths)).all(dim=1)
    decided = (tau / time - 1).abs() > 1e-9
    assert decided.sum() > 40
    assert torch.equal(at_vertex[decided], (time > tau)[decided])


def test_critical_time_by_hand():
    points = orthogonal_set(3, 2, norms=[1.0, 2.0])
    y = tensor([[0.25, 2.5], [0.25, 1.5], [-1.0, 2.0], [0.875, 1.0]])
    assert critical_time(y, points, 0.5).tolist() == [0.25, 1.0, 0.0, 4.0]
    # At T = tau itself the start lies on the kink, and ends at the vertex.
    end = probability_flow(y[0], RampDenoiser(points, 0.5 * math.sqrt(0.25)), 0.5, 0)
    assert end.tolist() == [0.0, 2.0]
    short = probability_flow(y[0], RampDenoiser(points, 0.5 * math.sqrt(0.24)), 0.24**0.5, 0)
    assert 0 < short[0] < 0.02


# --- order of the steppers -------------------------------------------------------------------


def gaussian_family(sigma):
    """E[x | y] for x ~ N(0, s^2 I), s = 0.7."""
    return lambda y: y * 0.49 / (0.49 + sigma**2)


def order(error, n):
    """Slope of the error in the number of steps, between n and 2n."""
    return math.log2(error(n) / error(2 * n))


STEPPERS = [("euler", 200, 1, 0.1), ("rk4", 12, 4, 0.25)]


@pytest.mark.parametrize("variable", ["t", "sigma", "log_sigma"])
@pytest.mark.parametrize(("method", "n", "expected", "slack"), STEPPERS)
def test_order_of_the_probability_flow_steppers(variable, method, n, expected, slack):
    y = tensor([[1.5, -0.4], [0.2, 3.0]])
    first, last = 1.2, 0.25
    exact = y * math.sqrt((0.49 + last**2) / (0.49 + first**2))

    def error(n):
        if variable == "t":
            grid = uniform_grid(first**2, last**2, n + 1)
        elif variable == "sigma":
            grid = uniform_grid(first, last, n + 1)
        else:
            grid = log_uniform_grid(first, last, n + 1)
        end = probability_flow_stepped(
            y, gaussian_family, grid, variable=variable, method=method, return_path=False
        )
        return float((end - exact).norm())

    assert order(error, n) == pytest.approx(expected, abs=slack)


@pytest.mark.parametrize(
    ("method", "n", "expected", "slack"), [*STEPPERS, ("midpoint", 60, 2, 0.1)]
)
def test_order_of_the_score_flow_steppers(method, n, expected, slack):
    matrix = torch.randn(3, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    y, r = tensor([[1.0, -2.0, 0.5], [0.3, 0.1, 1.0]]), 1.5
    exact = y @ torch.from_numpy(expm((matrix - torch.eye(3)).numpy() * r)).mT

    def error(n):
        end = score_flow_stepped(
            y, lambda y: y @ matrix.mT, uniform_grid(0, r, n + 1), method, return_path=False
        )
        return float((end - exact).norm())

    assert order(error, n) == pytest.approx(expected, abs=slack)


@pytest.mark.parametrize("steps", [1, 4, 100])
def test_euler_in_t_leaves_a_residual_that_is_a_central_binomial(steps):
    # From t_i = i T / n to t_{i-1} a step multiplies the distance to the target by 1 - 1/(2i), so
    # that n steps down to 0 leave binom(2n, n) / 4^n of it. A coordinate stays on its side of the
    # ramp if it starts below 0.88 rho = rho sqrt(pi) / 2.
    points, alpha, time = orthogonal_set(3, 4, norms=[1.0, 0.7], seed=2), 0.2, 0.5
    rho = alpha * math.sqrt(time)
    z = tensor([[-0.5, 0.8 * rho], [1.9, 0.7 - 0.8 * rho], [1.0 - 0.5 * rho, -2.0]])
    target = tensor([[0.0, 0.0], [1.0, 0.7], [1.0, 0.0]])
    noise = gaussian_starts(3, 4, seed=9)
    off_plane = noise - points.coordinates(noise) @ points.directions
    y = points.from_coordinates(z) + off_plane
    end = probability_flow_stepped(
        y, ramp_family(points, alpha), uniform_grid(time, 0, steps + 1), return_path=False
    )
    left = math.comb(2 * steps, steps) / 4**steps
    expected = points.from_coordinates(target + left * (z - target)) + left * off_plane
    torch.testing.assert_close(end, expected, rtol=0, atol=1e-12)


def test_euler_in_t_down_to_zero_has_order_one_half():
    family = ramp_family(orthogonal_set(3, 2), 0.2)
    y = tensor([[-0.5, 1.3]])
    exact = probability_flow(y, family(1.0), 1.0, 0.0)

    def error(n):
        end = probability_flow_stepped(y, family, uniform_grid(1, 0, n + 1), return_path=False)
        return float((end - exact).norm())

    assert order(error, 200) == pytest.approx(0.5, abs=0.01)
    assert error(400) == pytest.approx(
        float((y - exact).norm()) / math.sqrt(math.pi * 400), rel=1e-3
    )


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("grid", [[0.5, 0.0], [0.5, 0.1], [0.5, 0.4, 0.39, 0.05, 0.0]])
def test_euler_in_sigma_is_exact_for_orthogonal_ramps(name, grid):
    family = ramp_family(SETS[name], 0.4)
    y = starts_of(SETS[name], 0.2)
    path = probability_flow_stepped(y, family, grid, variable="sigma")
    exact = probability_flow_trajectory(y, family(0.5), grid)
    torch.testing.assert_close(path, exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", ["dopri5", "dopri8"])
def test_adaptive_steppers_reach_the_exact_maps_on_whole_paths(method):
    points = SETS["rotated"]
    family, y = ramp_family(points, 0.4), gaussian_starts(15, 5, seed=4)
    tolerances = {"rtol": 1e-9, "atol": 1e-10}
    sigma = tensor([0.5, 0.3, 0.02])
    exact = probability_flow_trajectory(y, family(0.5), sigma)
    for variable, grid in (("t", sigma.square()), ("sigma", sigma), ("log_sigma", sigma)):
        path = probability_flow_stepped(y, family, grid, variable, method, **tolerances)
        torch.testing.assert_close(path, exact, rtol=0, atol=1e-5)  # between steps: interpolated
        torch.testing.assert_close(path[-1], exact[-1], rtol=0, atol=1e-8)
    r = tensor([0.0, 0.5, 2.0])
    path = score_flow_stepped(y, family(0.5), r, method, **tolerances)
    torch.testing.assert_close(path, score_flow_trajectory(y, family(0.5), r), rtol=0, atol=1e-6)


@pytest.mark.parametrize("variable", ["t", "sigma"])
@pytest.mark.parametrize("offset", [0.3, 1e-7, 0.0])
def test_adaptive_steppers_ask_for_no_noise_level_beyond_the_grid(variable, offset):
    asked = []

    def family(sigma):
        asked.append(sigma)
        return lambda y: torch.zeros_like(y)

    end = probability_flow_stepped(
        tensor([offset]), family, [1.0, 0.01], variable, "dopri5", rtol=1e-5, atol=1e-5
    )[-1]
    assert min(asked) >= (0.1 if variable == "t" else 0.01) * (1 - 1e-12)
    assert end.item() == pytest.approx(offset * min(asked), abs=1e-4)


def test_the_trial_step_of_a_slow_start_stays_on_the_grid():
    family = ramp_family(orthogonal_set(2, 2, norms=100.0), 1.0)  # no value below sigma = 0
    y = tensor([100.0, 0.01])
    end = probability_flow_stepped(y, family, [1.0, 0.9], "sigma", "dopri5", rtol=1e-6, atol=1e-6)[
        -1
    ]
    torch.testing.assert_close(end, tensor([100.0, 0.009]), rtol=0, atol=1e-6)


def test_steppers_run_any_denoiser():
    # Every probability flow of the empirical Bayes denoiser ends at a training point.
    points = SETS["axes"].points
    y = gaussian_starts(20, 4, seed=1)
    end = probability_flow_stepped(
        y,
        lambda sigma: EmpiricalBayesDenoiser(points, sigma),
        log_uniform_grid(1.0, 1e-3, 200),
        variable="sigma",
        return_path=False,
    )
    assert torch.cdist(end, points).amin(dim=1).max() < 1e-2


# --- shapes, dtypes, devices -----------------------------------------------------------------


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)])
def test_a_batch_is_its_points_one_by_one(batch):
    points = SETS["rotated"]
    denoiser = RampDenoiser(points, 0.1)
    y = gaussian_starts(6, 5, scale=1.5, seed=7)[: math.prod(batch)].reshape(*batch, 5)
    maps = {
        "score": lambda y: score_flow(y, denoiser, 1.0),
        "probability": lambda y: probability_flow(y, denoiser, 0.5, 0.1),
        "tau": lambda y: critical_time(y, points, 0.5),
        "stepped": lambda y: score_flow_stepped(y, denoiser, [0, 0.5, 1], return_path=False),
    }
    for name, flow in maps.items():
        if math.prod(batch):
            single = torch.stack([flow(point) for point in y.reshape(-1, 5)])
        else:
            single = torch.empty(0, *([] if name == "tau" else [5]), dtype=torch.float64)
        together = flow(y)
        assert together.shape[: len(batch)] == batch
        torch.testing.assert_close(together, single.reshape(together.shape), rtol=0, atol=1e-14)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_trajectories_are_the_maps_at_each_grid_point(batch):
    denoiser = RampDenoiser(SETS["full"], 0.15)
    y = gaussian_starts(6, 3, seed=2)[: math.prod(batch)].reshape(*batch, 3)
    r = [0.0, 0.2, 1.7, 30.0]
    expected = torch.stack([score_flow(y, denoiser, s) for s in r])
    torch.testing.assert_close(score_flow_trajectory(y, denoiser, r), expected, rtol=0, atol=1e-15)
    sigma = [0.8, 0.5, 0.01, 0.0]
    expected = torch.stack([probability_flow(y, denoiser, sigma[0], s) for s in sigma])
    torch.testing.assert_close(
        probability_flow_trajectory(y, denoiser, sigma), expected, rtol=0, atol=1e-15
    )


@pytest.mark.parametrize("rho", [0.0, 1e-4, 0.1])
def test_float32_agrees_with_float64(rho):
    points = SETS["rotated"]
    denoiser, single = RampDenoiser(points, rho), RampDenoiser(points.to(torch.float32), rho)
    y = starts_of(points, 0.2)
    for flow in (
        lambda y, h: score_flow(y, h, 0.5),
        lambda y, h: score_flow(y, h, 3.0),
        lambda y, h: probability_flow(y, h, 1.0, 0.2),
    ):
        low = flow(y.float(), single)
        assert low.dtype == torch.float32
        torch.testing.assert_close(low.double(), flow(y, denoiser), rtol=0, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu():
    points = SETS["rotated"]
    on_card = points.to(device="cuda")
    y = starts_of(points, 0.1)
    for flow in (
        lambda y, h: score_flow(y, h, 1.0),
        lambda y, h: score_flow(y, h, math.inf),
        lambda y, h: probability_flow(y, h, 1.0, 0.1),
        lambda y, h: critical_time(y, h.training_set, 0.5),
        lambda y, h: score_flow_stepped(y, h, [0.0, 0.5, 1.0], return_path=False),
        lambda y, h: score_flow_trajectory(y, h, [0.0, 1.0]),
    ):
        result = flow(y.cuda(), RampDenoiser(on_card, 0.1))
        assert result.is_cuda
        torch.testing.assert_close(
            result.cpu(), flow(y, RampDenoiser(points, 0.1)), rtol=0, atol=1e-12
        )


# --- errors ----------------------------------------------------------------------------------

SQUARE = RampDenoiser(orthogonal_set(3, 2), 0.1)
Y = tensor([0.3, 0.4])
FAMILY = ramp_family(SQUARE.training_set, 0.1)
UNEQUAL = obtuse_simplex(3, 2, [1.0, 1.5], angle=120)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: score_flow(Y, torch.zeros_like, 1.0),
         ValueError, "denoiser must be a RampDenoiser.*score_flow_stepped"),
        (lambda: score_flow_trajectory(Y, torch.zeros_like, [0, 1]),
         ValueError, "denoiser must be a RampDenoiser"),
        (lambda: probability_flow(Y, torch.zeros_like, 1, 0),
         ValueError, "denoiser must be a RampDenoiser.*probability_flow_stepped"),
        (lambda: probability_flow_trajectory(Y, RampDenoiser(UNEQUAL, 0.1), [1, 0]),
         ValueError, r"of one width .* widths from 1 to 1\.5: use probability_flow_stepped"),
        (lambda: critical_time(Y, obtuse_set(), 1), ValueError, "training_set must be orthogonal"),
        (lambda: critical_time(Y, SQUARE.training_set, 0), ValueError, "alpha must be in"),
        (lambda: score_flow(Y, SQUARE, -1.0), ValueError, "r must be in"),
        (lambda: score_flow(Y, SQUARE, math.nan), ValueError, "r must be in"),
        (lambda: score_flow(Y, SQUARE, "1"), TypeError, "r must be a real number"),
        (lambda: score_flow(tensor([0.3]), SQUARE, 1), ValueError, r"y must have shape \(..., 2\)"),
        (lambda: score_flow(["a", "b"], SQUARE, 1), TypeError, "y must"),
        (lambda: score_flow([0.3, math.inf], SQUARE, 1), ValueError, "y must be finite"),
        (lambda: probability_flow([0.3, math.nan], SQUARE, 1, 0), ValueError, "y must be finite"),
        (lambda: score_flow_stepped([0.3, math.nan], SQUARE, [0, 1]),
         ValueError, "y must be finite"),
        (lambda: probability_flow_stepped([0.3, math.nan], FAMILY, [1, 0.5]),
         ValueError, "y must be finite"),
        (lambda: critical_time([0.3, math.nan], SQUARE.training_set, 1),
         ValueError, "y must be finite"),
        (lambda: critical_time(Y, SQUARE.training_set, math.inf), ValueError, "alpha must be in"),
        (lambda: probability_flow_trajectory(Y, SQUARE, [math.inf, 1, 0]),
         ValueError, "sigma_grid must be finite"),
        (lambda: score_flow_trajectory(Y, SQUARE, [0, math.nan]),
         ValueError, "r_grid must be finite"),
        (lambda: score_flow_stepped(Y, SQUARE, [0, math.inf]), ValueError, "r_grid must be finite"),
        (lambda: probability_flow_stepped(Y, FAMILY, [math.inf, 1]),
         ValueError, "grid must be finite"),
        (lambda: probability_flow(Y, SQUARE, math.inf, 1), ValueError, "sigma_0 must be in"),
        (lambda: probability_flow(Y, SQUARE, 1, math.nan), ValueError, "sigma_1 must be in"),
        (lambda: count_events(Y, SQUARE, -1), ValueError, "r must be in"),
        (lambda: count_events([0.3, math.nan], SQUARE, 1), ValueError, "y must be finite"),
        (lambda: score_flow_stepped(Y, SQUARE, [0, 1], "dopri5", rtol=0.0),
         ValueError, "rtol must be in"),
        (lambda: score_flow_stepped(Y, SQUARE, [0, 1], "dopri5", tol=1e-3),
         ValueError, "tolerance must be one of 'rtol', 'atol'"),
        (lambda: probability_flow(tensor([0.3]), SQUARE, 1, 0), ValueError, "y must have shape"),
        (lambda: probability_flow(Y, SQUARE, 0, 0), ValueError, "sigma_0 must be in"),
        (lambda: probability_flow(Y, SQUARE, 0.5, 0.6), ValueError, "sigma_1 must be in"),
        (lambda: probability_flow(Y, SQUARE, 0.5, -0.1), ValueError, "sigma_1 must be in"),
        (lambda: score_flow_trajectory(Y, SQUARE, [1, 0]), ValueError, "r_grid must be .*incr"),
        (lambda: score_flow_trajectory(Y, SQUARE, [0]), ValueError, "r_grid must be"),
        (lambda: score_flow_stepped(Y, SQUARE, [0, 0]), ValueError, "r_grid must be .*incr"),
        (lambda: score_flow_stepped(Y, SQUARE, [-1, 0]), ValueError, "r_grid must be"),
        (lambda: probability_flow_trajectory(Y, SQUARE, [0.1, 1]),
         ValueError, "sigma_grid must be a strictly decreasing"),
        (lambda: probability_flow_trajectory(Y, SQUARE, [[1, 0]]), ValueError, "sigma_grid must"),
        (lambda: probability_flow_stepped(Y, FAMILY, [0.1, 1]), ValueError, "grid must be .*decr"),
        (lambda: probability_flow_stepped(Y, FAMILY, [1, 0], method="rk4"),
         ValueError, "grid must end above 0"),
        (lambda: probability_flow_stepped(Y, FAMILY, [1, 0], variable="log_sigma"),
         ValueError, "grid must end above 0"),
        (lambda: probability_flow_stepped(Y, FAMILY, [1, 0], variable="s"),
         ValueError, "variable must be one of 't'"),
        (lambda: probability_flow_stepped(Y, FAMILY, [1, 0.5], method="heun"),
         ValueError, "method must be one of 'euler'"),
        (lambda: score_flow_stepped(Y, SQUARE, [0, 1], rtol=1e-3), ValueError, "rtol and atol"),
        (lambda: probability_flow_stepped(Y, SQUARE, [1, 0.5]),
         TypeError, "family must map a noise level to a denoiser, got a denoiser, RampDenoiser"),
        (lambda: critical_time(Y, SQUARE.training_set.points, 0.1),
         TypeError, r"training_set must be a TrainingSet, got Tensor: memnb.training_set\(points"),
    ],
)  # fmt: skip
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("method", ["euler", "rk4"])
def test_a_denoiser_that_returns_no_numbers_is_named(value, method):
    y = gaussian_starts(3, 2)

    def broken(y):
        return torch.full_like(y, value)

    with pytest.raises(ValueError, match="denoiser led to points that are not finite"):
        score_flow_stepped(y, broken, [0.0, 1.0, 2.0], method)
    with pytest.raises(ValueError, match="family led to points that are not finite"):
        probability_flow_stepped(y, lambda sigma: broken, [1.0, 0.5, 0.1], method=method)


def test_steps_that_are_too_long_end_in_one_line():
    """Euler multiplies the distance by |1 - step * 1001|, hundreds of times."""
    y = torch.ones(1, dtype=torch.float64)
    grid = [float(k) for k in range(200)]
    with pytest.raises(ValueError, match="the steps of 'euler' on this grid are too long"):
        score_flow_stepped(y, lambda y: -1000 * y, grid, "euler")
