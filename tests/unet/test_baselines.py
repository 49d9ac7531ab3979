"""Closed-form networks: against linear algebra written out, and against what they must generate."""

import pytest
import torch

from memnb.minnorm.denoisers import EmpiricalBayesDenoiser
from memnb.unet.baselines import as_network, linear_network
from memnb.unet.diffusion import make_schedule
from memnb.unet.images import digits, synthetic_images
from memnb.unet.sampling import gaussian_noise, ideal_gaussian, sample


def test_a_denoiser_as_a_network_predicts_the_noise():
    known = digits().subset(5)
    schedule = make_schedule()
    noise = gaussian_noise(5, 8, seed=1, dtype=torch.float64)
    x = 2 * known.double() - 1
    for step in (1, 10, 100):
        t = torch.full((5,), step)
        # Told the truth, it returns the noise that was added
        net = as_network(lambda _: lambda y: known.double().flatten(1), schedule)
        noisy = schedule.add_noise(x, t, noise)
        torch.testing.assert_close(net(noisy, t), noise, rtol=1e-9, atol=1e-9)


def test_a_denoiser_is_told_the_noise_of_its_own_scale():
    """One training point: the posterior mean is that point, at every noise; two: their mean."""
    schedule = make_schedule()
    one = digits().subset(1)
    bayes = as_network(
        lambda s: EmpiricalBayesDenoiser(one.double().flatten(1), s), schedule
    )  # fmt: skip
    x = (sample(bayes, schedule, gaussian_noise(3, 8, 2), n_steps=5) + 1) / 2
    torch.testing.assert_close(x, one.expand(3, 1, 8, 8), rtol=0, atol=1e-5)
    seen = []
    family = as_network(lambda s: seen.append(s) or (lambda y: y), schedule)
    family(torch.zeros(1, 1, 8, 8), torch.tensor([40]))
    assert seen == [schedule.sigmas[40].item() / 2]


@pytest.mark.parametrize("n", [5, 200])
@pytest.mark.parametrize("step", [1, 50, 100])
def test_the_linear_network_is_the_posterior_mean_of_a_gaussian(n, step):
    known, schedule = digits().subset(n), make_schedule()
    x = 2 * known.double().flatten(1) - 1
    mean, covariance = x.mean(0), torch.cov(x.T, correction=0)
    noisy = gaussian_noise(4, 8, 3, dtype=torch.float64)
    bar = schedule.alpha_bars[step]
    inner = bar * covariance + (1 - bar) * torch.eye(64, dtype=torch.float64)
    rows = noisy.flatten(1)
    gap = torch.linalg.solve(inner, (rows - bar.sqrt() * mean).T).T
    # Predicted noise: sqrt(1 - bar) times the inverse covariance of x_t times the deviation
    expected = (1 - bar).sqrt() * gap
    result = linear_network(known, schedule)(noisy, torch.full((4,), step)).flatten(1)
    torch.testing.assert_close(result, expected, rtol=1e-6, atol=1e-8)


def test_what_the_linear_network_generates_has_the_moments_of_the_images():
    known, schedule = synthetic_images(20_000, 4, 1), make_schedule()
    net = linear_network(known, schedule)
    noise = gaussian_noise(4000, 4, 2, dtype=torch.float64)
    x = sample(net, schedule, noise, clip=False)
    mean, std = ideal_gaussian(schedule, 0.0, 0.2, "ddim")
    assert x.mean().item() == pytest.approx(mean, abs=0.01)
    assert x.std().item() == pytest.approx(std, rel=0.03)


@pytest.mark.parametrize("t", [[3, 4], [0, 0]])
def test_steps_that_differ_or_are_no_steps_are_refused(t):
    schedule, x = make_schedule(), torch.zeros(2, 1, 8, 8)
    flat = digits().train[:5].double().flatten(1)
    nets = (
        linear_network(digits().train[:5], schedule),
        as_network(lambda sigma: EmpiricalBayesDenoiser(flat, sigma), schedule),
    )
    for net in nets:
        with pytest.raises(ValueError, match="t must hold one step of at least 1"):
            net(x, torch.tensor(t))
