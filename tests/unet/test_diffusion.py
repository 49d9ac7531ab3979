"""Schedules and samplers against diffusers' and against Gaussian data, where all is known."""

import itertools
import math

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

from memnb.streams import stream
from memnb.unet.diffusion import DiffusionSchedule, make_schedule
from memnb.unet.sampling import gaussian_noise, ideal_gaussian, sample

NAMES = ("paper", "linear", "cosine")


def toy(x, t):
    """Some network: nonlinear, and different at every step."""
    return torch.tanh(x + 0.3 * x.roll(1, -1)) * (0.5 + 0.01 * t.reshape(-1, 1, 1, 1))


def optimal(schedule, mean, std):
    """The best noise prediction for pixels N(mean, std²)."""
    bars = schedule.alpha_bars

    def net(x, t):
        bar = bars[t].reshape(-1, 1, 1, 1).to(x)
        return (1 - bar).sqrt() * (x - bar.sqrt() * mean) / (bar * std**2 + 1 - bar)

    return net


def test_a_schedule_is_kept_in_double_precision():
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    exact = DiffusionSchedule(betas).alpha_bars
    for dtype in (torch.float32, torch.float16):
        schedule = DiffusionSchedule(betas.to(dtype))
        assert schedule.betas.dtype == schedule.alpha_bars.dtype == torch.float64
        rounded = (1 - betas.to(dtype).double()).cumprod(0)
        assert torch.equal(schedule.alpha_bars[1:], rounded)
    torch.testing.assert_close(
        DiffusionSchedule(betas.float()).alpha_bars, exact, rtol=1e-6, atol=0
    )
    for bad in (torch.tensor([1]), [0.1, 0.2]):
        with pytest.raises(TypeError, match="betas must be a floating-point tensor, got"):
            DiffusionSchedule(bad)


def test_what_the_schedules_reach():
    paper, linear, cosine = (make_schedule(name) for name in NAMES)
    product = math.prod(1 - (1e-4 + k * (0.02 - 1e-4) / 9) for k in range(10))
    assert paper.n_steps == 10
    assert paper.alpha_bars[-1].item() == pytest.approx(product, rel=1e-12) and 0.9 < product < 0.91
    ho = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).log().sum()
    assert make_schedule("linear", 1000).alpha_bars[-1].log().item() == pytest.approx(ho.item())
    for schedule in (linear, cosine, make_schedule("cosine", 10), make_schedule("linear", 50)):
        assert schedule.alpha_bars[-1] < 0.01
        assert (schedule.alpha_bars.diff() < 0).all() and schedule.alpha_bars[0] == 1


@given(st.integers(2, 400), st.sampled_from(NAMES))
def test_noise_levels_are_those_of_the_variance_exploding_process(n_steps, name):
    schedule = make_schedule(name, max(n_steps, 50))
    t = torch.arange(schedule.n_steps + 1)
    x = torch.linspace(-1, 1, len(t), dtype=torch.float64).reshape(-1, 1, 1, 1)
    noise = torch.linspace(3, -2, len(t), dtype=torch.float64).reshape(-1, 1, 1, 1)
    scale = schedule.alpha_bars.sqrt().reshape(-1, 1, 1, 1)
    expected = x + schedule.sigmas.reshape(-1, 1, 1, 1) * noise
    gap = schedule.add_noise(x, t, noise) / scale - expected
    assert (gap.abs() <= 1e-12 * (1 + expected.abs())).all()


@pytest.mark.parametrize(
    ("variance", "theirs"), [("beta", "fixed_large"), ("posterior", "fixed_small")]
)
# (cosine unclipped divides by 1e-8 in the first step, which their float32 schedule cannot resolve)
@pytest.mark.parametrize(
    ("name", "clip"),
    [("paper", False), ("paper", True), ("linear", False), ("linear", True), ("cosine", True)],
)
def test_ddpm_agrees_with_diffusers(name, variance, theirs, clip):
    schedule = make_schedule(name)
    other = DDPMScheduler(
        schedule.n_steps, trained_betas=schedule.betas.numpy(), variance_type=theirs,
        clip_sample=clip,
    )  # fmt: skip
    x = gaussian_noise(4, 4, seed=1, dtype=torch.float64)
    mine = sample(toy, schedule, x, "ddpm", seed=7, clip=clip, variance=variance)
    for t in range(schedule.n_steps - 1, -1, -1):
        eps = toy(x, torch.full((4,), t + 1))
        own = stream(7, "step noise", t + 1)
        x = other.step(eps, t, x, generator=own).prev_sample
    # Theirs keeps its schedule in float32 for some of the terms
    torch.testing.assert_close(mine, x.double(), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("n_steps", [5, 20, 100])
@pytest.mark.parametrize("clip", [False, True])
def test_ddim_agrees_with_diffusers(n_steps, clip):
    schedule = make_schedule("linear", 100)
    other = DDIMScheduler(
        100, trained_betas=schedule.betas.numpy(), clip_sample=clip, timestep_spacing="trailing"
    )
    other.set_timesteps(n_steps)
    x = gaussian_noise(4, 4, seed=1, dtype=torch.float64)
    mine = sample(toy, schedule, x, "ddim", n_steps, clip=clip)
    for t in other.timesteps.tolist():
        eps = toy(x, torch.full((4,), t + 1))
        x = other.step(eps, t, x, use_clipped_model_output=clip).prev_sample
    torch.testing.assert_close(mine, x.double(), rtol=2e-4, atol=2e-4)


def test_ddim_converges_at_first_order_to_the_probability_flow_of_gaussian_data():
    mean, std, errors = 0.1, 0.2, []
    for T in (200, 400, 800):
        schedule = make_schedule("linear", T)
        x = gaussian_noise(3, 4, seed=2, dtype=torch.float64)
        bar = schedule.alpha_bars[-1]
        exact = mean + std * (x - bar.sqrt() * mean) / (bar * std**2 + 1 - bar).sqrt()
        y = sample(optimal(schedule, mean, std), schedule, x, clip=False)
        errors.append((y - exact).abs().max().item())
    assert errors[-1] < 0.01
    for coarse, fine in itertools.pairwise(errors):
        assert 1.7 < coarse / fine < 2.3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["ddim", "ddpm"])
def test_ideal_gaussian_is_what_the_best_network_generates(name, method):
    mean, std, schedule = 0.05, 0.2, make_schedule(name)
    x = gaussian_noise(2000, 8, seed=3, dtype=torch.float64)
    seed = 4 if method == "ddpm" else None
    y = sample(optimal(schedule, mean, std), schedule, x, method, seed=seed, clip=False)
    found_mean, found_std = ideal_gaussian(schedule, mean, std, method)
    n = y.numel()
    assert abs(y.mean().item() - found_mean) < 4 * found_std / math.sqrt(n)
    assert abs(y.std().item() / found_std - 1) < 4 / math.sqrt(2 * n)


def test_only_a_schedule_that_reaches_noise_gives_the_data_back():
    for name in ("cosine", "linear"):
        _, std = ideal_gaussian(make_schedule(name, 1000), 0.0, 0.2, "ddpm")
        assert std == pytest.approx(0.2, rel=0.02)
    _, std = ideal_gaussian(make_schedule("paper"), 0.0, 0.2, "ddpm")
    assert std > 0.3


def test_batches_do_not_matter_and_nothing_is_random_but_the_seed():
    schedule = make_schedule("cosine", 20)
    x = gaussian_noise(7, 4, seed=5)
    state = torch.get_rng_state()
    one, three = sample(toy, schedule, x), sample(toy, schedule, x, batch=3)
    torch.testing.assert_close(one, three, rtol=0, atol=1e-6)
    whole, parts = (sample(toy, schedule, x, "ddpm", seed=1, batch=b) for b in (500, 3))
    torch.testing.assert_close(whole, parts, rtol=0, atol=1e-6)
    first, again = (sample(toy, schedule, x, "ddpm", seed=1) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, sample(toy, schedule, x, "ddpm", seed=2))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_noise_of_the_steps_is_apart_from_the_start_and_from_each_other():
    """With the same seed for both, as the long runs have it: step T once added x_T to itself."""
    mean, std, schedule = 0.0, 0.2, make_schedule("paper")
    _, right = ideal_gaussian(schedule, mean, std)
    assert right / 2 == pytest.approx(0.170, abs=1e-3)  # in units of images, which are (x + 1) / 2
    for seed in range(4):
        x = gaussian_noise(100, 8, seed, dtype=torch.float64)
        y = sample(optimal(schedule, mean, std), schedule, x, "ddpm", seed=seed, clip=False,
                   batch=50)  # fmt: skip
        pixels = y[0].numel() * 50
        halves = [part.std().item() / right for part in y.split(50)]
        assert all(abs(ratio - 1) < 4 / math.sqrt(2 * pixels) for ratio in halves)
        # What the steps have added to what a linear network makes of the start, per step and pixel
        steps = [torch.randn(x.shape, generator=stream(seed, "step noise", t), dtype=x.dtype)
                 for t in range(2, schedule.n_steps + 1)]  # fmt: skip
        rows = torch.stack([x, *steps]).flatten(1)
        off = torch.corrcoef(rows) - torch.eye(len(rows), dtype=rows.dtype)
        assert off.abs().max() < 4.5 / math.sqrt(rows.shape[1])


def test_ddpm_stops_where_it_is_told():
    schedule, x = make_schedule("paper"), gaussian_noise(3, 4, 1)
    end = sample(toy, schedule, x, "ddpm", seed=2)
    half = sample(toy, schedule, x, "ddpm", seed=2, until=5)
    assert not torch.equal(half, end)
    # The last five steps by hand, with the streams of their own
    bars = schedule.alpha_bars
    for t in range(5, 0, -1):
        beta, bar, before = schedule.betas[t - 1].item(), bars[t].item(), bars[t - 1].item()
        eps = toy(half, torch.full((3,), t))
        clean = ((half - (1 - bar) ** 0.5 * eps) / bar**0.5).clamp(-1, 1)
        half = (
            before**0.5 * beta / (1 - bar) * clean
            + (1 - beta) ** 0.5 * (1 - before) / (1 - bar) * half
        )
        if t > 1:
            z = torch.randn(half.shape, generator=stream(2, "step noise", t))
            half = half + beta**0.5 * z
    torch.testing.assert_close(half, end, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="until must be between 0 and 9, got 10"):
        sample(toy, schedule, x, "ddpm", seed=2, until=10)
    with pytest.raises(ValueError, match="until must be 0 for DDIM"):
        sample(toy, schedule, x, until=5)


@pytest.mark.parametrize(("T", "left"), [(50, 7.7e-6), (100, 2.0e-5), (1000, 4.0e-5)])
def test_the_linear_schedule_leaves_what_its_documentation_says(T, left):
    assert make_schedule("linear", T).alpha_bars[-1].item() == pytest.approx(left, rel=0.02)


def test_errors():
    schedule, x = make_schedule("paper"), gaussian_noise(2, 4, seed=0)
    with pytest.raises(ValueError, match="schedule must be one of 'cosine', 'linear', 'paper'"):
        make_schedule("quadratic")
    with pytest.raises(ValueError, match="n_steps must be at least 50, got 10"):
        make_schedule("linear", 10)
    with pytest.raises(ValueError, match=r"betas must be in \(0, 1\)"):
        DiffusionSchedule(torch.tensor([0.1, 1.0]))
    for t in (-1, 11):
        with pytest.raises(ValueError, match=f"t must be between 0 and 10, got {t} to {t}"):
            schedule.add_noise(x, torch.tensor([t, t]), x)
    with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
        sample(toy, schedule, x, batch=0)
    with pytest.raises(ValueError, match="method must be one of"):
        sample(toy, schedule, x, "euler")
    with pytest.raises(ValueError, match="n_steps must be between 1 and 10, got 11"):
        sample(toy, schedule, x, n_steps=11)
    with pytest.raises(ValueError, match="takes every step"):
        sample(toy, schedule, x, "ddpm", 5, seed=0)
    with pytest.raises(ValueError, match="seed must be an integer for DDPM"):
        sample(toy, schedule, x, "ddpm")
    with pytest.raises(ValueError, match="seed must be None for DDIM"):
        sample(toy, schedule, x, seed=1)
    with pytest.raises(
        ValueError, match=r"noise must have shape \(n, 1, S, S\) with n >= 1, got \(2, 16\)"
    ):
        sample(toy, schedule, x.flatten(1))


def test_noise_that_is_none_is_refused_and_arrays_are_noise():
    schedule = make_schedule("cosine", 10)
    noise = gaussian_noise(3, 4, 0)
    whole = sample(toy, schedule, noise)
    for same in (noise.numpy(), noise.double().tolist()):
        torch.testing.assert_close(sample(toy, schedule, same).float(), whole)
    with pytest.raises(
        TypeError, match=r"noise must be of floating-point numbers, got torch\.int64"
    ):
        sample(toy, schedule, torch.ones(2, 1, 4, 4, dtype=torch.long))
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="noise must have finite values"):
            sample(toy, schedule, torch.full((2, 1, 4, 4), bad))
    with pytest.raises(ValueError, match=r"with n >= 1, got \(0, 1, 4, 4\)"):
        sample(toy, schedule, noise[:0])
    with pytest.raises(TypeError, match="schedule must be a DiffusionSchedule, got str"):
        sample(toy, "cosine", noise)
    with pytest.raises(ValueError, match=r"net must return shape \(3, 1, 4, 4\), got"):
        sample(lambda x, t: x[..., :1], schedule, noise)
    with pytest.raises(ValueError, match=r"noise must have the shape of x, \(3, 1, 4, 4\), got"):
        schedule.add_noise(noise, torch.tensor([1, 2, 3]), noise[:1])
