r"""Chapter 6: the networks of the long runs, a few to dozens in each.

========== ======================================================================================
run        what it trains
========== ======================================================================================
digits     small nets on n digits, all for the same number of steps; twice on disjoint digits
synthetic  small nets on n synthetic images of 8 by 8 pixels, for the same number of steps
protocol   small nets on synthetic images, 20 epochs in 10 diffusion steps (P2's protocol)
author     the same with the choices of the author's script: 90 % of the n images are trained on,
           the image kept is that of step 5 of the 10, and it is clamped to [0, 1]
rate       small nets of the protocol with other learning rates
paper      the protocol with the network of 12.9 million parameters on 16 by 16 pixels
bfloat16   those of ``paper`` of one seed once more, with matrix products in bfloat16
cpu        those of ``paper`` of two seeds and up to 1000 images once more, for a CPU
simplex    small nets on 7 images whose sums are images, for a short and for a long time
time       small nets on digits, with what they generate at 8 to 19 steps of their training, see
           :mod:`memnb.unet.over_time`
live       one small net on 4 digits, for a few seconds: what the chapter trains again
========== ======================================================================================

Each network is a frozen dataclass of its kind, which says how it is trained (``config``), on what
(``images``) and what is generated with it (``generate``). Every use of random numbers has a stream
of its own by the network's seed and the purpose (:mod:`memnb.streams`): weights, batches, training
images, starting noise, the noise of each step.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from .diffusion import DiffusionSchedule, make_schedule
from .images import check_images, synthetic_images
from .over_time import NETWORKS
from .sampling import gaussian_noise, sample
from .start import Named, as_bytes, digit_split, start_noise
from .training import TrainingConfig
from .virtual_points import KINDS, POINTS, denoise_from, points_of, simplex_images

__all__ = ["CHAPTER", "RUNS", "Network", "OnDigits", "OnSimplex", "OnSynthetic"]

CHAPTER = "06-unet-transition"
SAMPLE_STEPS = (5, 10, 25, 50)  # of DDIM
N_GENERATED = 100  # of each network on synthetic images
N_BACK, BACK_STEPS = 30, (10, 20, 40)  # of the run simplex: points of a kind, steps to noise them
FREE_FROM = 95

DIGITS = TrainingConfig(steps=2000, batch_size=32, ema=0.995)
SIMPLEX = TrainingConfig(steps=1600, batch_size=16, lr=3e-3, ema=0.95)
LIVE = TrainingConfig(steps=400, batch_size=8, lr=5e-3, ema=0.95)
SYNTHETIC = TrainingConfig(steps=1000, batch_size=32, ema=0.995)
PROTOCOL = TrainingConfig(
    schedule="paper", diffusion_steps=10, epochs=20, batch_size=128, lr=2e-4, lr_decay=False
)
PAPER = replace(PROTOCOL, size="paper")


class Network(Protocol):
    """One network of a run."""

    @property
    def n(self) -> int:
        """The number n of training images that the network stands for."""

    @property
    def seed(self) -> int:
        """Seed of all that is drawn for it."""

    @property
    def variant(self) -> str:
        """What tells it from networks of the same run, n and seed: one curve of a figure."""

    @property
    def key(self) -> str:
        """Name of the network in the arrays of its run, as in ``n8-a-s0``."""

    @property
    def snapshots(self) -> tuple[int, ...]:
        """Steps of training at which it generates; none if it does so only at the end."""

    def config(self) -> TrainingConfig:
        """How it is trained."""

    def images(self) -> torch.Tensor:
        """What it is trained on, shape (m, 1, S, S) with values in [0, 1]."""

    def generate(self, net: Callable, config: TrainingConfig) -> dict[str, torch.Tensor]:
        """What the trained network generates, as arrays by name."""


@dataclass(frozen=True)
class OnDigits(Named):
    """A network on handwritten digits.

    Parameters
    ----------
    n : int
        Number of digits.
    half : {"a", "b"}
        Which half of the digits they are from.
    seed : int
        Two networks on disjoint digits also start from different weights.
    base : TrainingConfig
        The configuration but for its seed.
    sample_steps : tuple of int
        Numbers of DDIM steps to generate with.
    keep_weights : bool
        Keep the weights, flat and in float16: a third of a megabyte.
    """

    n: int
    half: str = "a"
    seed: int = 0
    base: TrainingConfig = DIGITS
    sample_steps: tuple[int, ...] = SAMPLE_STEPS
    keep_weights: bool = False

    @property
    def variant(self) -> str:
        """The half."""
        return self.half

    def config(self) -> TrainingConfig:
        """How it is trained."""
        return replace(self.base, seed=2 * self.seed + (self.half == "b"))

    def images(self) -> torch.Tensor:
        """The digits, shape (n, 1, 8, 8)."""
        return digit_split().subset(self.n, half=int(self.half == "b"))

    def generate(self, net: Callable, config: TrainingConfig) -> dict[str, torch.Tensor]:
        """``ddim5`` and so on: uint8 of shape (256, 1, 8, 8), 255 for the value 1; ``weights``."""
        schedule = make_schedule(config.schedule, config.diffusion_steps)
        noise, arrays = start_noise().to(config.device), {}
        for count in self.sample_steps:
            x = sample(net, schedule, noise, n_steps=count)
            arrays[f"ddim{count}"] = as_bytes((x + 1) / 2)
        if self.keep_weights:
            flat = torch.cat([v.flatten() for v in net.state_dict().values()])
            arrays["weights"] = flat.half().cpu()
        return arrays


@dataclass(frozen=True)
class OnSynthetic(Named):
    r"""A network on synthetic images.

    Parameters
    ----------
    n : int
        Number of images, of which ``share`` are trained on.
    variant : str
        Name of the curve: the schedule, or for the run ``rate`` the learning rate.
    seed : int
        Of all that is drawn for it, its training images among them.
    base : TrainingConfig
        The configuration but for its seed.
    image_size : int
        Side S.
    share : float
        Share of the n images that is trained on.
    until : int
        The step of which the image is kept; 0 is the end. Only for DDPM.
    clamp : bool
        Clamp what is generated to [0, 1].
    ddim : bool
        Generate by DDIM in 25 steps and clip :math:`\hat x_0`, without which networks of many steps
        diverge; if false by DDPM, where nothing is clipped.
    """

    n: int
    variant: str
    seed: int
    base: TrainingConfig
    image_size: int = 8
    share: float = 1.0
    until: int = 0
    clamp: bool = False
    ddim: bool = False

    def config(self) -> TrainingConfig:
        """How it is trained."""
        return replace(self.base, seed=self.seed)

    def images(self) -> torch.Tensor:
        """Training images, shape (m, 1, S, S), m the share of n."""
        count = round(self.share * self.n)
        return synthetic_images(count, self.image_size, self.seed, purpose="training images")

    def generate(self, net: Callable, config: TrainingConfig) -> dict[str, torch.Tensor]:
        """``images``: float16 of shape (100, 1, S, S), also outside [0, 1] if not clamped.

        Raises
        ------
        ValueError
            If an image is not finite, also as float16.
        """
        schedule = make_schedule(config.schedule, config.diffusion_steps)
        noise = gaussian_noise(N_GENERATED, self.image_size, self.seed).to(config.device)
        if self.ddim:
            x = sample(net, schedule, noise, n_steps=25)
        else:
            x = sample(net, schedule, noise, "ddpm", seed=self.seed, clip=False, until=self.until)
        x = (x + 1) / 2
        x = x.clamp(0, 1) if self.clamp else x
        name = f"what {self.key} generated"
        return {"images": check_images(name, x.half().cpu(), bounded=False)}


@dataclass(frozen=True)
class OnSimplex(Named):
    """A network on an image and six that add one pattern each.

    Parameters
    ----------
    kind : {"blocks", "waves"}
        Of the patterns.
    steps : int
        Gradient steps.
    seed : int
        Seed.
    n : int
        Number of images.
    """

    kind: str
    steps: int
    seed: int
    n: int = 7

    @property
    def variant(self) -> str:
        """Kind and steps, as in ``blocks_1600``."""
        return f"{self.kind}_{self.steps}"

    def config(self) -> TrainingConfig:
        """How it is trained."""
        return replace(SIMPLEX, steps=self.steps, seed=self.seed)

    def images(self) -> torch.Tensor:
        """The plain image first, shape (7, 1, 8, 8)."""
        return simplex_images(self.kind, self.n - 1)

    def generate(self, net: Callable, config: TrainingConfig) -> dict[str, torch.Tensor]:
        """``images`` from noise and ``back``, shape (3, 4, 30, 1, 8, 8), from ``POINTS`` with the
        noise of ``BACK_STEPS``, both uint8; ``free``, float16, from noise and nothing clipped.

        Raises
        ------
        ValueError
            If an image is not finite, also as float16.
        """
        schedule = make_schedule(config.schedule, config.diffusion_steps)
        noise = gaussian_noise(N_GENERATED, net.image_size, 1).to(config.device)
        arrays = {"images": as_bytes((sample(net, schedule, noise, n_steps=25) + 1) / 2)}
        # Not from the last step: dividing by the root of its small alpha bar makes any error huge
        rest = DiffusionSchedule(schedule.betas[:FREE_FROM])
        free = ((sample(net, rest, noise, n_steps=25, clip=False) + 1) / 2).half().cpu()
        arrays["free"] = check_images(f"what {self.key} generated", free, bounded=False)
        points = torch.cat([points_of(self.images(), kind, N_BACK) for kind in POINTS])
        back = [denoise_from(net, schedule, points.to(config.device), s) for s in BACK_STEPS]
        arrays["back"] = as_bytes(torch.stack(back)).unflatten(1, (len(POINTS), N_BACK))
        return arrays


# Within a run in the order of training: one that is stopped early still spans all sizes
_SIZES = (10, 30, 100, 300, 1000)
_DIGIT_SETS = ("8a", "8b", "64a", "750a", "1500a", "64b", "750b", "256a", "32a", "16a", "128a",
               "256b", "4a", "512a", "32b", "128b", "16b", "4b", "512b")  # fmt: skip
_RATES = {"5e-5": 5e-5, "1e-3": 1e-3, "5e-3": 5e-3}


def _large(n: int, seed: int, precision: str = "float32") -> OnSynthetic:
    return OnSynthetic(n, "paper", seed, replace(PAPER, precision=precision), image_size=16)


RUNS: dict[str, list[Network]] = {
    "digits": [
        OnDigits(int(name[:-1]), name[-1], keep_weights=name == "1500a") for name in _DIGIT_SETS
    ],
    "synthetic": [
        OnSynthetic(n, "cosine", seed, SYNTHETIC, ddim=True)
        for seed in range(5)
        for n in (10, 15, 20, 30, 50, 70, 100, 300, 1000)
    ],
    "protocol": [
        OnSynthetic(n, schedule, seed, replace(PROTOCOL, schedule=schedule))
        for seed in range(5)
        for n in _SIZES
        for schedule in ("paper", "cosine")
    ],
    "author": [
        OnSynthetic(n, "paper", seed, PROTOCOL, share=0.9, until=5, clamp=True)
        for seed in range(5)
        for n in _SIZES
    ],
    "rate": [
        OnSynthetic(n, name, 0, replace(PROTOCOL, lr=lr))
        for name, lr in _RATES.items()
        for n in (10, 100, 1000)
    ],
    "paper": [
        *(_large(n, seed) for seed in range(3) for n in (*_SIZES, 3000, 10_000)),
        *(_large(n, seed) for seed in (3, 4) for n in (*_SIZES, 3000)),
    ],
    "bfloat16": [_large(n, 0, "bfloat16") for n in (*_SIZES, 3000, 10_000)],
    "cpu": [_large(n, seed) for seed in (3, 4) for n in _SIZES],
    "simplex": [
        OnSimplex(kind, steps, seed)
        for seed in range(2)
        for kind in KINDS
        for steps in (100, 400, 1600)
    ],
    "time": list(NETWORKS),
    "live": [OnDigits(4, base=LIVE, sample_steps=(25,))],
}  # fmt: skip
