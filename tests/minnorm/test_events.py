"""Coupled flows where angles, radii or precision come to an edge, in seconds and right."""

import math

import mpmath
import pytest
import torch
from scipy.integrate import solve_ivp

import memnb
from memnb.minnorm import _events
from memnb.minnorm._coupled import CoupledFlow


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    """A flow that stalls fails in seconds."""
    monkeypatch.setattr(_events, "MAX_STEPS", 1000)


def simplex(n_points, excess, dim=None):
    return memnb.obtuse_simplex(n_points, dim or n_points, angle=90 + excess, seed=0)


@pytest.mark.parametrize("n_points", [4, 11])
@pytest.mark.parametrize("share", [1e-3, 0.2, 0.9999])
def test_the_limit_depends_smoothly_on_the_angle_down_to_right_angles(n_points, share):
    """Near right angles the slow part of the flow only takes longer, like 1 / (angle - 90)."""
    y = memnb.gaussian_starts(40, n_points, seed=1)
    ends = []
    for excess in (1e-4, 1e-5, 1e-7, 1e-9):
        h = memnb.RampDenoiser(simplex(n_points, excess), 0.5 * share)
        ends.append((memnb.probability_flow(y, h, 1.0, 0.0), memnb.score_flow(y, h, math.inf)))
        score = ends[-1][1]
        assert (h(score) - score).abs().max() < 1e-12
    for excess, pair in zip((1e-4, 1e-5, 1e-7), ends, strict=False):
        for end, last in zip(pair, ends[-1], strict=True):
            gap = (end - last).norm(dim=1)
            # At a border of two basins gaps are larger. At 90 + 1e-9 degrees the cosines, of
            # rounded directions, have five digits.
            assert gap.median() < 10 * excess + 1e-4
    # The directions are rounded, which at 90 + 1e-11 degrees changes the cosines by 1e-3.
    h = memnb.RampDenoiser(simplex(n_points, 1e-11), 0.5 * share)
    last = memnb.probability_flow(y, h, 1.0, 0.0)
    assert (last - ends[-1][0]).norm(dim=1).max() < 0.03
    assert (memnb.score_flow(y, h, math.inf) - ends[-1][1]).norm(dim=1).max() < 1e-8


@pytest.mark.parametrize("excess", [1e-12, 1e-10, 1e-8, 1e-6])
def test_finite_flows_tend_to_those_of_right_angles(excess):
    """At any fixed time the distance to the closed form for orthogonal data is O(angle - 90)."""
    square, data = memnb.orthogonal_set(5, 5), memnb.obtuse_simplex(5, 5, angle=90 + excess)
    y = memnb.gaussian_starts(60, 5, seed=2)
    for rho in (1e-6, 0.1, 0.45):
        h, right = memnb.RampDenoiser(data, rho), memnb.RampDenoiser(square, rho)
        for r in (0.5, 5.0):
            gap = memnb.score_flow(y, h, r) - memnb.score_flow(y, right, r)
            assert gap.norm(dim=1).median() < 2 * excess + 1e-13
        gap = memnb.probability_flow(y, h, 1.0, 0.1) - memnb.probability_flow(y, right, 1.0, 0.1)
        assert gap.norm(dim=1).max() < 2 * excess + 1e-13


@pytest.mark.parametrize("angle", [90.00001, 91.0, 120.0, 170.0, 179.0, 179.99])
@pytest.mark.parametrize("rho", [1e-9, 1e-3, 0.1, 0.4, 0.499999])
def test_a_pair_ends_where_its_inequality_says(angle, rho):
    """At the limit a coordinate rests at 0, at L, or is held below the top by its neighbor."""
    data = memnb.obtuse_simplex(3, 2, angle=angle, seed=0)
    h = memnb.RampDenoiser(data, rho)
    y = memnb.gaussian_starts(200, 2, seed=3)
    z = data.coordinates(memnb.score_flow(y, h, math.inf))
    pull = -math.cos(math.radians(angle))
    resting = [[0, 0], [1, -pull], [-pull, 1]]
    if pull < rho:  # the sum of both is stable
        resting.append([1 - pull, 1 - pull])
    resting = torch.tensor(resting, dtype=torch.float64)
    distance = torch.cdist(z, resting, compute_mode="donot_use_mm_for_euclid_dist").amin(dim=1)
    assert (distance < 1e-9).all()


def test_slow_growth_is_right_in_fifty_digits():
    """Two coordinates on their ramps: sum and difference move at rates -c and +c, c = 1.7e-7."""
    flow = CoupledFlow.score(memnb.RampDenoiser(memnb.obtuse_simplex(3, 2, angle=90.00001), 0), 1e6)
    coupling = -float(flow.ramps.coupling[0, 1])
    z = torch.tensor([[0.6, 0.3], [0.9, 0.7]], dtype=torch.float64)
    moved = _events.move(z, flow.ramps, flow.duration)
    assert moved.events.tolist() == [0, 0]
    for start, end in zip(z.tolist(), moved.z.tolist(), strict=True):
        with mpmath.workdps(50):
            factor = mpmath.exp(mpmath.mpf(coupling) * flow.duration)
            total = (mpmath.mpf(start[0]) + start[1]) / factor
            part = (mpmath.mpf(start[0]) - start[1]) * factor
            expected = [float((total + part) / 2), float((total - part) / 2)]
        assert abs(expected[0] - start[0]) > 0.01
        assert end == pytest.approx(expected, rel=1e-12)


def test_many_starts_and_the_smallest_opening():
    """The first stalled at 135 degrees, the second at an opening of 1e-6 of what exists."""
    h = memnb.RampDenoiser(memnb.obtuse_simplex(3, 2, angle=135, seed=0), 0.1)
    end = memnb.score_flow(memnb.gaussian_starts(20_000, 2, seed=0), h, math.inf)
    assert (h(end) - end).abs().max() < 1e-12
    for n_points in (4, 6):
        angle = 90 + 1e-6 * (memnb.widest_angle(n_points) - 90)
        h = memnb.RampDenoiser(memnb.obtuse_simplex(n_points, 10, angle=angle, seed=0), 0.1)
        y = memnb.gaussian_starts(500, 10, seed=0)
        end = memnb.score_flow(y, h, math.inf)
        assert (h(end) - end).abs().max() < 1e-12
        z = h.training_set.coordinates(memnb.probability_flow(y, h, 1.0, 0.0))
        on_ramp = ((z > 1e-9) & (z < 1 - 1e-9)).sum(dim=1)
        assert (on_ramp <= 1).all()  # where two are on their ramps, the larger grows


@pytest.mark.parametrize("seed", range(41))
def test_dependent_directions_in_single_precision(seed):
    single = memnb.equilateral_triangle(3, seed=seed, dtype=torch.float32)
    double = memnb.equilateral_triangle(3, seed=seed)
    expected = memnb.score_flow(torch.ones(3).double(), memnb.RampDenoiser(double, 0.1), 5.0)
    end = memnb.score_flow(torch.ones(3), memnb.RampDenoiser(single, 0.1), 5.0)
    torch.testing.assert_close(end.double(), expected, rtol=0, atol=2e-5)


def test_dependent_directions_by_an_integrator():
    h = memnb.RampDenoiser(memnb.equilateral_triangle(3, seed=3), 0.1)

    def velocity(_, y):
        return (h(torch.from_numpy(y)) - torch.from_numpy(y)).numpy()

    expected = solve_ivp(velocity, (0, 5), [1.0, 1.0, 1.0], "DOP853", rtol=1e-10, atol=1e-12)
    single = memnb.RampDenoiser(h.training_set.to(dtype=torch.float32), 0.1)
    end = memnb.score_flow(torch.ones(3), single, 5.0)
    assert end.tolist() == pytest.approx(expected.y[:, -1].tolist(), abs=1e-5)


@pytest.mark.parametrize("exponent", [-8, -3, 3, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scale_and_offset(exponent, dtype):
    """x -> s x + t carries the flows along, to the precision in which t + s x is held."""
    data, rho = memnb.obtuse_simplex(4, 5, angle=100, seed=1), 0.1
    y = memnb.gaussian_starts(30, 5, seed=1)
    s = 10.0**exponent
    for t in (0.0, s * 1e3, 1e6 if exponent > 0 and dtype == torch.float64 else s):
        shift = torch.full((5,), t, dtype=torch.float64)
        moved = memnb.TrainingSet(
            s * data.points + shift, s * data.center + shift, data.directions,
            s * data.lengths, s * data.low, s * data.high, data.kind,
        ).to(dtype=dtype)  # fmt: skip
        h = memnb.RampDenoiser(moved, s * rho)
        precision = torch.finfo(dtype).eps * (1 + t / s)
        for flow in (
            lambda y, h: memnb.score_flow(y, h, 2.0),
            lambda y, h: memnb.probability_flow(y, h, 1.0, 0.1),
        ):
            expected = flow(y, memnb.RampDenoiser(data, rho))
            end = (flow((s * y + shift).to(dtype), h).double() - shift) / s
            torch.testing.assert_close(end, expected, rtol=0, atol=200 * precision)


def test_mixed_dtypes_arrays_and_lists():
    for data in (memnb.obtuse_simplex(4, 5, angle=100, seed=1), memnb.orthogonal_set(4, 5)):
        h = memnb.RampDenoiser(data, 0.1)
        single = memnb.RampDenoiser(data.to(dtype=torch.float32), 0.1)
        y = memnb.gaussian_starts(6, 5, seed=1).float()
        for flow in (
            lambda y, h: memnb.score_flow(y, h, 1.0),
            lambda y, h: memnb.probability_flow(y, h, 1.0, 0.1),
            lambda y, h: memnb.score_flow_trajectory(y, h, [0.0, 1.0]),
        ):
            expected = flow(y.double(), h)
            assert flow(y, h).dtype == flow(y.double(), single).dtype == torch.float64
            assert torch.equal(flow(y, h), expected)
            assert torch.equal(flow(y.double().numpy(), h), expected)
            assert torch.equal(flow(y.tolist(), h), expected)
            torch.testing.assert_close(flow(y.double(), single), expected, rtol=0, atol=1e-5)


def test_chunks_do_not_change_the_result(monkeypatch):
    h = memnb.RampDenoiser(memnb.obtuse_simplex(4, 5, angle=100, seed=1), 0.1)
    y = memnb.gaussian_starts(50, 5, seed=1)
    whole = memnb.score_flow(y, h, 2.0)
    monkeypatch.setattr("memnb.minnorm._coupled.CHUNK", 9 * 7)
    torch.testing.assert_close(memnb.score_flow(y, h, 2.0), whole, rtol=0, atol=1e-14)


@pytest.mark.parametrize("far", [1e100, 1e200, 1e300])
def test_a_start_so_far_that_its_square_overflows_ends(far):
    """Before it meets a ramp it falls like e^-r, and after a long time it is at a sum."""
    denoiser = memnb.RampDenoiser(memnb.obtuse_simplex(3, 3, angle=100), 0.1)
    start = torch.full((3,), far, dtype=torch.float64)
    fallen = memnb.score_flow(start, denoiser, 5.0)
    torch.testing.assert_close(fallen, start * math.exp(-5), rtol=1e-12, atol=0)
    end = memnb.score_flow(start, denoiser, math.inf)
    torch.testing.assert_close(denoiser(end), end, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("rho", [1e-3, 0.1, 0.3])
def test_triangles_in_single_precision_settle(seed, rho):
    """Three directions in a plane have neutral modes, and rounding of float32 data blurs them.

    Without those modes a velocity may point to an edge from both sides: it must be a place of rest.
    """
    double, single = (
        memnb.RampDenoiser(memnb.equilateral_triangle(3, seed=seed, dtype=dtype), rho)
        for dtype in (torch.float64, torch.float32)
    )
    y = memnb.gaussian_starts(200, 3, seed=seed)
    rest = memnb.score_flow(y.float(), single, math.inf)
    assert (single(rest) - rest).abs().max() < 1e-5
    exact = memnb.probability_flow(y, double, 1.0, 0.0)
    gap = (memnb.probability_flow(y.float(), single, 1.0, 0.0) - exact).norm(dim=1)
    assert (gap < 1e-4).double().mean() >= 0.98  # but for starts at a border of two basins
