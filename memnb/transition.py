r"""The long runs of the chapter on the U-Net transition: ``python -m memnb.transition RUN``.

========== ======================================================================================
run        what it trains
========== ======================================================================================
digits     small nets on n digits, all for the same number of steps; twice on disjoint digits
patience   one small net on 128 digits, for longer and longer
synthetic  small nets on n synthetic images of 8 by 8 pixels, for the same number of steps
protocol   small nets on synthetic images, 20 epochs in 10 diffusion steps (P2's protocol)
paper      the same protocol with the network of 12.9 million parameters on 16 by 16 pixels
========== ======================================================================================

Each network is trained in turn and kept under ``--workdir`` when it is done, so a run that was
stopped goes on where it was. At the end (with ``--partial``: now) the run is written to
``results/06-unet-transition/``. What a network generates is kept, and for some its weights; what is
trained on is not, because a seed brings it back.
"""

import argparse
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from tqdm import tqdm

from . import results
from .diffusion import gaussian_noise, make_schedule, sample
from .images import digits, synthetic_images
from .training import TrainingConfig, train
from .validation import check_choice

__all__ = ["RUNS", "Job", "config_of", "main", "run_job", "training_images"]

CHAPTER = "06-unet-transition"
SAMPLE_STEPS = (5, 10, 25, 50)  # of DDIM
NOISE_SEEDS = (1, 2, 3, 4)
PER_SEED = 64
N_GENERATED = 100  # of each network on synthetic images

DIGITS = TrainingConfig(steps=2000, batch_size=32, ema=0.995)
SYNTHETIC = TrainingConfig(steps=1000, batch_size=32, ema=0.995)
PROTOCOL = TrainingConfig(
    schedule="paper", diffusion_steps=10, epochs=20, batch_size=128, lr=2e-4, lr_decay=False
)


class Job(tuple):
    """One network of a run: (run, n, variant), variant a half, a schedule or a number of steps."""

    __slots__ = ()

    def __new__(cls, run, n, variant, seed):
        return super().__new__(cls, (run, n, variant, seed))

    run = property(lambda self: self[0])
    n = property(lambda self: self[1])
    variant = property(lambda self: self[2])
    seed = property(lambda self: self[3])

    @property
    def key(self):
        """Name of the network in the arrays of its run, as in ``n8-a-s0``."""
        return f"n{self.n}-{self.variant}-s{self.seed}"


# The order in which networks are trained: a run that is stopped early still spans all sizes
DIGIT_SETS = ("8a", "8b", "64a", "750a", "1500a", "64b", "750b", "256a", "32a", "16a", "128a",
              "256b", "4a")  # fmt: skip

RUNS = {
    "digits": [Job("digits", int(name[:-1]), name[-1], 0) for name in DIGIT_SETS],
    "patience": [Job("patience", 128, str(steps), 0) for steps in (500, 1000, 4000, 8000)],
    "synthetic": [
        Job("synthetic", n, "cosine", seed) for seed in range(3) for n in (10, 30, 100, 300, 1000)
    ],
    "protocol": [
        Job("protocol", n, schedule, seed)
        for seed in range(5)
        for n in (10, 30, 100, 300, 1000)
        for schedule in ("paper", "cosine")
    ],
    "paper": [
        *(Job("paper", n, "paper", seed) for seed in range(3) for n in (10, 30, 100)),
        *(Job("paper", n, "paper", 0) for n in (300, 1000, 3000, 10000)),
    ],
}  # fmt: skip


def config_of(job):
    """The :class:`~memnb.training.TrainingConfig` of a job."""
    if job.run == "digits":
        # Two networks on disjoint digits also start from different weights
        return replace(DIGITS, seed=2 * job.seed + (job.variant == "b"))
    if job.run == "patience":
        return replace(DIGITS, steps=int(job.variant), seed=job.seed)
    if job.run == "synthetic":
        return replace(SYNTHETIC, seed=job.seed)
    size = "paper" if job.run == "paper" else "small"
    return replace(PROTOCOL, size=size, schedule=job.variant, seed=job.seed)


def training_images(job):
    """The training set of a job, shape (n, 1, S, S)."""
    if job.run in ("digits", "patience"):
        return digits().subset(job.n, half=int(job.variant == "b"))
    return synthetic_images(job.n, 16 if job.run == "paper" else 8, seed=1000 + job.seed)


def generate(job, net, config):
    """What the network of a job generates, as arrays: uint8 for digits, float16 otherwise."""
    schedule = make_schedule(config.schedule, config.diffusion_steps)
    if job.run in ("digits", "patience"):
        noise = torch.cat([gaussian_noise(PER_SEED, 8, seed) for seed in NOISE_SEEDS])
        noise = noise.to(config.device)
        found = {}
        for count in SAMPLE_STEPS if job.run == "digits" else (25,):
            x = (sample(net, schedule, noise, n_steps=count) + 1) / 2
            found[f"ddim{count}"] = (255 * x).round().clamp(0, 255).to(torch.uint8).cpu()
        return found
    noise = gaussian_noise(N_GENERATED, net.image_size, seed=job.seed).to(config.device)
    if job.run == "synthetic":
        x = sample(net, schedule, noise, n_steps=25)
    else:
        x = sample(net, schedule, noise, "ddpm", seed=job.seed, clip=False, batch=50)
    return {"images": ((x + 1) / 2).clamp(0, 1).half().cpu()}


def run_job(job, workdir, device="cpu"):
    """Train one network and generate with it, or read what an earlier call found.

    Returns
    -------
    dict
        ``arrays``, ``weights`` and ``seconds``.
    """
    folder = Path(workdir) / job.run
    done = folder / f"{job.key}.pt"
    if done.is_file():
        return torch.load(done, weights_only=True)
    folder.mkdir(parents=True, exist_ok=True)
    config = replace(config_of(job), device=device)
    began = time.monotonic()
    checkpoint = folder / f"{job.key}.checkpoint"
    net, losses = train(training_images(job), config, checkpoint=checkpoint, progress=False)
    arrays = {"loss": losses.float(), **generate(job, net, config)}
    seconds = time.monotonic() - began
    fresh = folder / f"{job.key}.tmp"
    weights = {name: value.cpu() for name, value in net.state_dict().items()}
    torch.save({"arrays": arrays, "weights": weights, "seconds": seconds}, fresh)
    fresh.replace(done)
    checkpoint.unlink()
    return torch.load(done, weights_only=True)


def main(arguments=None):
    """Run one of the runs; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", choices=tuple(RUNS))
    parser.add_argument("--workdir", type=Path, default=Path("_build/transition"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--partial", action="store_true", help="write what there is, train no more")
    parser.add_argument("--max-n", type=int, default=None, help="leave out larger training sets")
    options = parser.parse_args(arguments)
    check_choice("run", options.run, tuple(RUNS))
    torch.set_num_threads(1)
    jobs = [j for j in RUNS[options.run] if options.max_n is None or j.n <= options.max_n]
    if options.partial:
        folder = options.workdir / options.run
        jobs = [job for job in jobs if (folder / f"{job.key}.pt").is_file()]
    arrays, seconds = {}, {}
    for job in tqdm(jobs, desc=options.run, unit="net"):
        found = run_job(job, options.workdir, options.device)
        seconds[job.key] = round(found["seconds"], 1)
        arrays |= {f"{job.key}-{name}": value for name, value in found["arrays"].items()}
    config = {k: v for k, v in asdict(config_of(jobs[0])).items() if k not in ("seed", "device")}
    device = results.cpu() if options.device == "cpu" else torch.cuda.get_device_name()
    results.save(
        f"{CHAPTER}/{options.run}",
        arrays,
        command=f"python -m memnb.transition {options.run}",
        parameters={"training": config, "seconds": seconds},
        seed=0,
        device=device,
        seconds=sum(seconds.values()),
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
