r"""Chapter 6: networks on digits that generate while they are trained: the run ``time``.

Each network is trained once, with a constant learning rate, so that nothing but the step tells two
snapshots of it apart, and at each of 8 to 19 steps the average of its weights generates 256 images
from the same noise. Networks of larger n are trained for longer, because they begin to copy later.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from memnb.validation import check_choice

from .diffusion import DiffusionSchedule, make_schedule
from .images import check_images
from .network import full_precision
from .sampling import gaussian_noise, sample
from .start import Named, as_bytes, digit_split, start_noise
from .training import TrainingConfig

__all__ = ["LAST", "NETWORKS", "OVER_TIME", "SAMPLE_STEPS", "STEPS", "OverTime", "denoising_error"]

OVER_TIME = TrainingConfig(steps=24000, batch_size=16, lr_decay=False, ema=0.99)
LONGER = 64000  # steps, for more than 256 digits
STEPS = (
    *(80, 160, 240, 320, 480, 640, 960, 1280, 1920, 2560, 3840, 5120),
    *(7680, 11520, 15360, 23040, 30720, 46080, 61440),
)
LAST = {16: 1280, 32: 1920, 64: 3840, 128: 7680, 256: 23040, 512: 61440}
LAST_FULL = {32: 1280, 64: 2560, 128: 1920}
SAMPLE_STEPS = 25  # of DDIM
N_ERRORS = 256  # pairs of image and noise, of which each denoising error is the mean
LEVELS = range(5, 100, 10)  # and steps of the diffusion


def denoising_error(net: Callable, schedule: DiffusionSchedule, images: torch.Tensor) -> float:
    r"""Mean of :math:`\lVert \varepsilon - \varepsilon_\theta(x_t, t) \rVert^2` per pixel.

    Over 256 pairs of image and noise and over ten steps of the diffusion, evenly spaced. The noise
    is the same at every call.

    Parameters
    ----------
    net : callable
        ``net(x, t)`` guesses the noise in x of shape (B, 1, S, S) at the steps t of shape (B,).
    schedule : DiffusionSchedule
        Of 95 steps or more.
    images : Tensor, shape (n, 1, S, S)
        Clean images with values in [0, 1]; each is taken :math:`256 / n` times, rounded up or down.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If images are none.
    """
    images = check_images("images", images)
    x = 2 * images.repeat(-(-N_ERRORS // len(images)), 1, 1, 1)[:N_ERRORS] - 1
    noise = gaussian_noise(N_ERRORS, x.shape[-1], 0, purpose="noise of errors").to(x.device)
    total = 0.0
    with torch.inference_mode(), full_precision():
        for level in LEVELS:
            t = torch.full((N_ERRORS,), level, device=x.device)
            guess = net(schedule.add_noise(x, t, noise), t)
            total += (guess - noise).double().square().mean().item()
    return total / len(LEVELS)


@dataclass(frozen=True)
class OverTime(Named):
    """A network on digits with snapshots.

    Parameters
    ----------
    n : int
        Number of digits, a key of ``LAST``; those of all networks of one n are the same.
    seed : int
        Seed of weights and batches.
    variant : {"time", "full"}
        With batches of 16, or of n, for which n is a key of ``LAST_FULL``.
    base : TrainingConfig
        The configuration but for its seed, and for the batches if they are of n.

    Raises
    ------
    ValueError
        If there is no such variant, or no such n in it.
    """

    n: int
    seed: int = 0
    variant: str = "time"
    base: TrainingConfig = OVER_TIME

    def __post_init__(self) -> None:
        check_choice("variant", self.variant, ("time", "full"))
        check_choice("n", self.n, tuple(LAST_FULL if self.variant == "full" else LAST))

    @property
    def snapshots(self) -> tuple[int, ...]:
        """The steps at which it generates; training ends with the last."""
        last = LAST_FULL if self.variant == "full" else LAST
        return tuple(step for step in STEPS if step <= last[self.n])

    def config(self) -> TrainingConfig:
        """How it is trained."""
        size = self.n if self.variant == "full" else self.base.batch_size
        # The learning rate is constant: the number of steps decides only where training ends
        steps = LONGER if self.n > 256 else self.base.steps
        return replace(self.base, seed=self.seed, batch_size=size, steps=steps)

    def images(self) -> torch.Tensor:
        """The digits, shape (n, 1, 8, 8)."""
        return digit_split().subset(self.n)

    def generate(self, net: Callable, config: TrainingConfig) -> dict[str, torch.Tensor]:
        """``images``: uint8 of shape (256, 1, 8, 8), 255 for the value 1, from the noise that all
        networks on digits have; ``errors``: :func:`denoising_error` on training digits and on
        held-out ones.
        """
        schedule = make_schedule(config.schedule, config.diffusion_steps)
        x = sample(net, schedule, start_noise().to(config.device), n_steps=SAMPLE_STEPS)
        sets = (self.images(), digit_split().held_out)
        errors = [denoising_error(net, schedule, s.to(config.device)) for s in sets]
        return {"images": as_bytes((x + 1) / 2), "errors": torch.tensor(errors).double()}


# In the order of training: one that is stopped early still spans most sizes
NETWORKS = (
    *(OverTime(n, 0) for n in (16, 32, 64, 128)),
    *(OverTime(n, 1) for n in (16, 32, 64)),
    *(OverTime(n, 0, "full") for n in (32, 64)),
    OverTime(128, 1),
    OverTime(128, 0, "full"),
    OverTime(512, 0),
    *(OverTime(n, 2) for n in (16, 32, 64)),
    OverTime(256, 0),
    OverTime(128, 2),
    OverTime(256, 1),
)
