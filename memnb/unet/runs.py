r"""The networks of the chapter on the U-Net transition, in runs of a few to dozens each.

========== ======================================================================================
run        what it trains
========== ======================================================================================
digits     small nets on n digits, all for the same number of steps; twice on disjoint digits
synthetic  small nets on n synthetic images of 8 by 8 pixels, for the same number of steps
protocol   small nets on synthetic images, 20 epochs in 10 diffusion steps (P2's protocol)
paper      the same protocol with the network of 12.9 million parameters on 16 by 16 pixels,
           in bfloat16
float32    a few of those in float32
author     the same with the choices of the author's script: 90 % of the n images are trained on,
           the image kept is that of step 5 of the 10, and it is clamped to [0, 1]
rate       small nets of the protocol with other learning rates
simplex    small nets on 7 images whose sums are images, for a short and for a long time
live       one small net on 4 digits, for a few seconds: what the chapter trains again
========== ======================================================================================

Each network is a :class:`Job`, which decides its configuration, what it trains on and what is
generated with it. :mod:`memnb.unet.__main__` trains them.
"""

from dataclasses import dataclass, replace
from functools import cache

import torch

from .diffusion import DiffusionSchedule, gaussian_noise, make_schedule, sample
from .images import Digits, check_images, digits, synthetic_images
from .training import TrainingConfig
from .virtual_points import KINDS, POINTS, denoise_from, points_of, simplex_images

__all__ = ["RUNS", "Job", "config_of", "generate", "split_of", "start_noise", "training_images"]

ON_DIGITS = ("digits", "live")
PAPER_SIZE = ("paper", "float32")
SAMPLE_STEPS = (5, 10, 25, 50)  # of DDIM
NOISE_SEEDS = (1, 2, 3, 4)
PER_SEED = 64
N_GENERATED = 100  # of each network on synthetic images
N_BACK, BACK_STEPS = 30, (10, 20, 40)  # of the run simplex: points of a kind, steps to noise them
FREE_FROM = 95
AUTHOR_SHARE, AUTHOR_STEP = 0.9, 5  # of the run author

DIGITS = TrainingConfig(steps=2000, batch_size=32, ema=0.995, streams="shared")
SIMPLEX = TrainingConfig(steps=1, batch_size=16, lr=3e-3, ema=0.95)
LIVE = TrainingConfig(steps=400, batch_size=8, lr=5e-3, ema=0.95)
SYNTHETIC = TrainingConfig(steps=1000, batch_size=32, ema=0.995, streams="shared")
PROTOCOL = TrainingConfig(
    schedule="paper", diffusion_steps=10, epochs=20, batch_size=128, lr=2e-4, lr_decay=False
)


@dataclass(frozen=True)
class Job:
    """One network of a run; its variant is a half of the digits, a schedule, a learning rate, or
    a kind of image and a number of training steps, as in ``blocks_1600``."""

    run: str
    n: int
    variant: str
    seed: int

    @property
    def key(self):
        """Name of the network in the arrays of its run, as in ``n8-a-s0``."""
        return f"n{self.n}-{self.variant}-s{self.seed}"


# The order in which networks are trained: a run that is stopped early still spans all sizes
DIGIT_SETS = ("8a", "8b", "64a", "750a", "1500a", "64b", "750b", "256a", "32a", "16a", "128a",
              "256b", "4a", "512a", "32b", "128b", "16b", "4b", "512b")  # fmt: skip

RUNS = {
    "digits": [Job("digits", int(name[:-1]), name[-1], 0) for name in DIGIT_SETS],
    "synthetic": [
        Job("synthetic", n, "cosine", seed)
        for seed in range(5)
        for n in (10, 15, 20, 30, 50, 70, 100, 300, 1000)
    ],
    "protocol": [
        Job("protocol", n, schedule, seed)
        for seed in range(5)
        for n in (10, 30, 100, 300, 1000)
        for schedule in ("paper", "cosine")
    ],
    "paper": [
        *(Job("paper", n, "paper", 0) for n in (10, 30, 100, 300, 1000, 3000)),
        *(Job("paper", n, "paper", seed) for seed in (1, 2) for n in (10, 30, 100, 300, 1000)),
        *(Job("paper", 10000, "paper", seed) for seed in range(3)),
        *(Job("paper", 3000, "paper", seed) for seed in (1, 2)),
    ],
    "float32": [Job("float32", n, "paper", 0) for n in (10, 100, 300)],
    "author": [
        Job("author", n, "paper", seed) for seed in range(5) for n in (10, 30, 100, 300, 1000)
    ],
    "rate": [Job("rate", n, lr, 0) for lr in ("5e-5", "1e-3", "5e-3") for n in (10, 100, 1000)],
    "simplex": [
        Job("simplex", 7, f"{kind}_{steps}", seed)
        for seed in range(2)
        for kind in KINDS
        for steps in (100, 400, 1600)
    ],
    "live": [Job("live", 4, "a", 0)],
}  # fmt: skip


def config_of(job):
    """The :class:`~memnb.unet.training.TrainingConfig` of a job."""
    if job.run == "digits":
        # Two networks on disjoint digits also start from different weights
        return replace(DIGITS, seed=2 * job.seed + (job.variant == "b"))
    if job.run == "synthetic":
        return replace(SYNTHETIC, seed=job.seed)
    if job.run == "live":
        return replace(LIVE, seed=job.seed)
    if job.run == "simplex":
        return replace(SIMPLEX, steps=int(job.variant.split("_")[1]), seed=job.seed)
    if job.run == "rate":
        return replace(PROTOCOL, lr=float(job.variant), seed=job.seed)
    config = replace(PROTOCOL, schedule=job.variant, seed=job.seed)
    if job.run in PAPER_SIZE:
        precision = "float32" if job.run == "float32" else "bfloat16"
        return replace(config, size="paper", precision=precision)
    return config


def training_images(job):
    """The training set of a job, shape (n, 1, S, S)."""
    if job.run in ON_DIGITS:
        return split_of(config_of(job)).subset(job.n, half=int(job.variant == "b"))
    if job.run == "simplex":
        return simplex_images(job.variant.split("_")[0], job.n - 1)
    n = round(AUTHOR_SHARE * job.n) if job.run == "author" else job.n
    size = 16 if job.run in PAPER_SIZE else 8
    purpose = config_of(job).purpose("training images")
    # Seeds from 1000 on, where plain seeds are shared, so that few of them are
    return synthetic_images(n, size, job.seed + (0 if purpose else 1000), purpose=purpose)


@cache
def _split(purpose):
    return digits(0, purpose)


def split_of(config: TrainingConfig) -> Digits:
    """The digits as they are divided for networks of a configuration."""
    return _split(config.purpose("split of digits"))


def start_noise(config: TrainingConfig, n_images: int, image_size: int, seed: int) -> torch.Tensor:
    """The noise from which networks of a configuration generate, shape (n_images, 1, S, S)."""
    return gaussian_noise(n_images, image_size, seed, purpose=config.purpose("start noise"))


def generate(job, net, config):
    r"""What the network of a job generates, as arrays.

    Parameters
    ----------
    job : Job
    net : UNet
    config : TrainingConfig

    Returns
    -------
    dict of str to Tensor
        For digits ``ddim5`` and so on, uint8 of shape (256, 1, 8, 8), 255 for the value 1. For
        the run ``simplex`` ``images``, from noise, and ``back``, of shape (3, 4, 30, 1, 8, 8), from
        ``POINTS`` with the noise of ``BACK_STEPS``, both uint8; and ``free``, float16 and from
        noise, where nothing was clipped or clamped. For synthetic images ``images``, float16 of
        shape (100, 1, S, S), not clamped to [0, 1]: the nets of 20 epochs leave it by far. Those of
        the run ``synthetic`` do not, because their sampler clips :math:`\hat x_0`, without which it
        diverges.

    Raises
    ------
    ValueError
        If an image is not finite, also as float16.
    """
    schedule = make_schedule(config.schedule, config.diffusion_steps)
    if job.run in ON_DIGITS:
        noise = torch.cat([start_noise(config, PER_SEED, 8, seed) for seed in NOISE_SEEDS])
        noise = noise.to(config.device)
        found = {}
        for count in SAMPLE_STEPS if job.run == "digits" else (25,):
            found[f"ddim{count}"] = _bytes((sample(net, schedule, noise, n_steps=count) + 1) / 2)
        return found
    if job.run == "simplex":
        return _with_sums(job, net, schedule, config.device)
    noise = start_noise(config, N_GENERATED, net.image_size, job.seed).to(config.device)
    if job.run == "synthetic":
        x = sample(net, schedule, noise, n_steps=25)
    else:
        until = AUTHOR_STEP if job.run == "author" else 0
        x = sample(net, schedule, noise, "ddpm", seed=job.seed, clip=False, until=until, batch=50)
    images = (x + 1) / 2
    if job.run == "author":
        images = images.clamp(0, 1)
    images = images.half().cpu()
    return {"images": check_images(f"what {job.key} generated", images, bounded=False)}


def _bytes(x):
    """Images with values in [0, 1] as uint8, on the CPU."""
    return (255 * x).round().clamp(0, 255).to(torch.uint8).cpu()


def _with_sums(job, net, schedule, device):
    noise = gaussian_noise(N_GENERATED, net.image_size, seed=1).to(device)
    found = {"images": _bytes((sample(net, schedule, noise, n_steps=25) + 1) / 2)}
    # Not from the last step, where dividing by the root of its small alpha bar makes any error huge
    rest = DiffusionSchedule(schedule.betas[:FREE_FROM])
    free = (sample(net, rest, noise, n_steps=25, clip=False) + 1) / 2
    found["free"] = check_images(f"what {job.key} generated", free.half().cpu(), bounded=False)
    known = training_images(job)
    points = torch.cat([points_of(known, kind, N_BACK) for kind in POINTS]).to(device)
    back = [denoise_from(net, schedule, points, step) for step in BACK_STEPS]
    found["back"] = _bytes(torch.stack(back)).unflatten(1, (len(POINTS), N_BACK))
    return found
