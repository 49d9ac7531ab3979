r"""The long runs of the chapter on the U-Net transition: ``python -m memnb.transition RUN``.

========== ======================================================================================
run        what it trains
========== ======================================================================================
digits     small nets on n digits, all for the same number of steps; twice on disjoint digits
synthetic  small nets on n synthetic images of 8 by 8 pixels, for the same number of steps
protocol   small nets on synthetic images, 20 epochs in 10 diffusion steps (P2's protocol)
paper      the same protocol with the network of 12.9 million parameters on 16 by 16 pixels
live       one small net on 4 digits, for a few seconds: what the chapter trains again
metric     nothing: measures what the networks of the runs on synthetic images generate
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
from .marginals import Originals, resample
from .training import TrainingConfig, train
from .validation import PROFILES, check_choice, check_integer, check_real

__all__ = [
    "GENERATORS",
    "RULES",
    "RUNS",
    "Job",
    "check_chapter",
    "config_of",
    "generate",
    "main",
    "metric_rows",
    "originals",
    "run_job",
    "training_images",
]

CHAPTER = "06-unet-transition"
ON_DIGITS = ("digits", "live")
KEEP_WEIGHTS = ("n8-a-s0", "n1500-a-s0")  # of digits: half a megabyte each, in float16
SAMPLE_STEPS = (5, 10, 25, 50)  # of DDIM
NOISE_SEEDS = (1, 2, 3, 4)
PER_SEED = 64
N_GENERATED = 100  # of each network on synthetic images

DIGITS = TrainingConfig(steps=2000, batch_size=32, ema=0.995)
LIVE = TrainingConfig(steps=400, batch_size=8, lr=5e-3, ema=0.95)
SYNTHETIC = TrainingConfig(steps=1000, batch_size=32, ema=0.995)
PROTOCOL = TrainingConfig(
    schedule="paper", diffusion_steps=10, epochs=20, batch_size=128, lr=2e-4, lr_decay=False
)


class Job(tuple):
    """One network of a run: (run, n, variant), variant a half of the digits or a schedule."""

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
              "256b", "4a", "512a", "32b", "128b", "16b", "4b", "512b")  # fmt: skip

RUNS = {
    "digits": [Job("digits", int(name[:-1]), name[-1], 0) for name in DIGIT_SETS],
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
        *(Job("paper", n, "paper", 0) for n in (10, 30, 100, 300)),
        *(Job("paper", n, "paper", seed) for seed in (1, 2) for n in (10, 30, 100)),
        *(Job("paper", n, "paper", 0) for n in (1000, 3000, 10000)),
    ],
    "live": [Job("live", 4, "a", 0)],
}  # fmt: skip

# How many images a draw has, and how the integrals are done
RULES = {
    "10 training, 100 original": (100, "exact"),
    "10 training, 10 original": (10, "exact"),
    "10 and 100, sum over 16 points": (100, "grid"),
}
GENERATORS = ("network", "perfect", "copier")
N_SIMULATIONS = 60
N_POOL = 10_000


def config_of(job):
    """The :class:`~memnb.training.TrainingConfig` of a job."""
    if job.run == "digits":
        # Two networks on disjoint digits also start from different weights
        return replace(DIGITS, seed=2 * job.seed + (job.variant == "b"))
    if job.run == "synthetic":
        return replace(SYNTHETIC, seed=job.seed)
    if job.run == "live":
        return replace(LIVE, seed=job.seed)
    size = "paper" if job.run == "paper" else "small"
    return replace(PROTOCOL, size=size, schedule=job.variant, seed=job.seed)


def training_images(job):
    """The training set of a job, shape (n, 1, S, S)."""
    if job.run in ON_DIGITS:
        return digits().subset(job.n, half=int(job.variant == "b"))
    return synthetic_images(job.n, 16 if job.run == "paper" else 8, seed=1000 + job.seed)


def generate(job, net, config):
    """What the network of a job generates, as arrays: uint8 for digits, float16 otherwise."""
    schedule = make_schedule(config.schedule, config.diffusion_steps)
    if job.run in ON_DIGITS:
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


def check_chapter(theta, n_live, n_draws, seed, profile):
    r"""Check the parameters of the chapter, before any work.

    Parameters
    ----------
    theta : float
        Threshold on :math:`d_1 / d_2`, in (0, 1].
    n_live : int
        Number of synthetic images that a network of the run ``protocol`` has.
    n_draws : int
        Number of draws of images, at least 2.
    seed : int
        One of the seeds of that run, 0 to 4.
    profile : {"quick", "paper"}
        Size of the experiments.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not allowed; the message names it.
    """
    check_real("theta", theta, 0, 1, open_low=True)
    check_choice("n_live", n_live, tuple(sorted({job.n for job in RUNS["protocol"]})))
    check_integer("n_draws", n_draws, 2)
    check_integer("seed", seed, 0, max(job.seed for job in RUNS["protocol"]))
    check_choice("profile", profile, PROFILES)


def originals(image_size):
    """Draws of synthetic original images for each of ``RULES``, from a pool of 10,000."""
    pool = synthetic_images(N_POOL, image_size, seed=99)
    shared = {count: Originals(pool, N_SIMULATIONS, count) for count in (10, 100)}
    return [(shared[count], rule) for count, rule in RULES.values()]


def metric_rows(job, generated, drawn):
    r"""P(Δ > 0) and the distances for a job's network and for two generators that are known.

    The *perfect* generator draws new images from the true law, the *copier* returns training
    images.

    Parameters
    ----------
    job : Job
    generated : Tensor, shape (m, 1, S, S)
        What the network generated.
    drawn : list
        As :func:`originals` returns it.

    Returns
    -------
    Tensor of float64, shape (3, 3, 4)
        In the order of ``GENERATORS``, then of ``RULES``: the share of draws with
        :math:`\Delta > 0`, and the means of :math:`E_{TG}`, :math:`E_{OG}` and :math:`\Delta`.
    """
    training = training_images(job)
    perfect = synthetic_images(N_GENERATED, training.shape[-1], seed=2000 + job.seed)
    # Drawn, because which of them a simulation takes must not depend on their order
    generator = torch.Generator().manual_seed(3000 + job.seed)
    copier = training[torch.randint(job.n, (N_GENERATED,), generator=generator)]
    rows = []
    for images in (generated, perfect, copier):
        for draws, rule in drawn:
            found = resample(images, training, draws, rule=rule)
            means = [found.mean(name)[0] for name in ("e_tg", "e_og", "delta")]
            rows.append([found.p_positive[0], *means])
    return torch.tensor(rows, dtype=torch.float64).reshape(3, 3, 4)


def _metric(workdir):
    """The run ``metric``: its table, and the place of each row's network in ``RUNS``."""
    folder = workdir / "metric"
    folder.mkdir(parents=True, exist_ok=True)
    table, jobs, seconds = [], [], 0.0
    runs = ("synthetic", "protocol", "paper")
    for run in (r for r in runs if results.where(f"{CHAPTER}/{r}")[0].is_file()):
        arrays, _ = results.load(f"{CHAPTER}/{run}")
        there = [job for job in RUNS[run] if f"{job.key}-images" in arrays]
        drawn = originals(16 if run == "paper" else 8)
        for job in tqdm(there, desc=f"metric of {run}", unit="net"):
            done = folder / f"{run}-{job.key}.pt"
            if not done.is_file():
                began = time.monotonic()
                rows = metric_rows(job, arrays[f"{job.key}-images"].float(), drawn)
                found = {"rows": rows, "seconds": time.monotonic() - began}
                torch.save(found, done.with_suffix(".tmp"))
                done.with_suffix(".tmp").replace(done)
            found = torch.load(done, weights_only=True)
            table.append(found["rows"])
            seconds += found["seconds"]
            jobs.append([list(RUNS).index(run), RUNS[run].index(job)])
    return {"table": torch.stack(table), "jobs": torch.tensor(jobs)}, seconds


def main(arguments=None):
    """Run one of the runs; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", choices=(*RUNS, "metric"))
    parser.add_argument("--workdir", type=Path, default=Path("_build/transition"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--partial", action="store_true", help="write what there is, train no more")
    parser.add_argument("--max-n", type=int, default=None, help="leave out larger training sets")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.run == "metric":
        arrays, seconds = _metric(options.workdir)
        parameters = {"n_simulations": N_SIMULATIONS, "n_pool": N_POOL}
    else:
        arrays, parameters = _trained(options)
        seconds = sum(parameters["seconds"].values())
    on_cpu = options.device == "cpu" or options.run == "metric"
    results.save(
        f"{CHAPTER}/{options.run}",
        arrays,
        command=f"python -m memnb.transition {options.run}",
        parameters=parameters,
        seed=0,
        device=results.cpu() if on_cpu else torch.cuda.get_device_name(),
        seconds=seconds,
    )
    return 0


def _trained(options):
    """Train, or with ``--partial`` collect, the networks of a run: arrays and parameters."""
    jobs = [j for j in RUNS[options.run] if options.max_n is None or j.n <= options.max_n]
    if options.partial:
        folder = options.workdir / options.run
        jobs = [job for job in jobs if (folder / f"{job.key}.pt").is_file()]
    if not jobs:
        raise SystemExit(f"no network of the run {options.run!r} is in {options.workdir}")
    arrays, seconds = {}, {}
    for job in tqdm(jobs, desc=options.run, unit="net"):
        found = run_job(job, options.workdir, options.device)
        seconds[job.key] = round(found["seconds"], 1)
        arrays |= {f"{job.key}-{name}": value for name, value in found["arrays"].items()}
        if job.run == "digits" and job.key in KEEP_WEIGHTS:
            flat = torch.cat([value.flatten() for value in found["weights"].values()])
            arrays[f"{job.key}-weights"] = flat.half()
    config = {k: v for k, v in asdict(config_of(jobs[0])).items() if k not in ("seed", "device")}
    missing = [job.key for job in RUNS[options.run] if job not in jobs]
    return arrays, {"training": config, "seconds": seconds, "missing": missing}


if __name__ == "__main__":
    raise SystemExit(main())
