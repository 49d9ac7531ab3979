r"""The long runs of the chapter on the U-Net transition: ``python -m memnb.unet RUN``.

A RUN is one of those in :mod:`memnb.unet.runs`, whose networks are trained, or ``metric``, which
trains nothing and measures what networks on synthetic images have generated.

Each network is trained in turn and kept under ``--workdir`` when it is done, so a run that was
stopped goes on where it was; one that is killed loses a minute or two. At the end (with
``--partial``: now) the run is written to ``results/06-unet-transition/``. What a network generates
is kept, and for some its weights; what is trained on is not, because a seed brings it back.

A network that is kept there already is not trained again, on whichever device it was trained, as
long as its configuration is the same; ``--again`` trains all of them anew. The record of a run says
for each network where and when it was trained, and how its configuration differs from the others'.
"""

import argparse
import hashlib
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from tqdm import tqdm

from memnb import results
from memnb.streams import stream

from . import runs as networks
from .images import synthetic_images
from .resampling import Originals, resample
from .training import TrainingConfig, train

__all__ = [
    "CHAPTER",
    "GENERATORS",
    "MEASURED",
    "RULES",
    "main",
    "metric_rows",
    "originals",
    "run_job",
]

CHAPTER = "06-unet-transition"
MEASURED = ("synthetic", "protocol", "author", "paper", "float32", "rate")  # by the metric
KEEP_WEIGHTS = ("n1500-a-s0",)  # of digits: a third of a megabyte each, in float16
PACKAGES = ("diffusers", "scikit-learn")  # whose versions a record names beside torch's

# How many images a draw has, and how the integrals are done
RULES = {
    "10 training, 100 original": (100, "exact"),
    "10 training, 10 original": (10, "exact"),
    "10 and 100, sum over 16 points": (100, "grid"),
}
GENERATORS = ("network", "perfect", "copier")
N_SIMULATIONS = 60
N_POOL = 10_000


def run_job(job, workdir, device="cpu", again=False):
    """Train one network and generate with it, or read what an earlier call found.

    Parameters
    ----------
    job : Job
    workdir : path
        Where networks are kept, and checkpoints while they are trained.
    device : str
        What it is trained on, if it is.
    again : bool
        Train it also if it is there. A network of another configuration is trained in any case.

    Returns
    -------
    dict
        ``arrays``, and ``about``: ``device``, ``date`` and ``seconds``, which count from the start
        or, if the training was stopped and went on, from when it last went on. Of the networks in
        ``KEEP_WEIGHTS`` the arrays hold the weights, flat and in float16.
    """
    folder = Path(workdir) / job.run
    done = folder / f"{job.key}.pt"
    found = None if again else _finished(job, folder)
    if found is not None:
        return found
    folder.mkdir(parents=True, exist_ok=True)
    config = replace(networks.config_of(job), device=device)
    began = time.monotonic()
    checkpoint = folder / f"{job.key}.checkpoint"
    every = 20 if config.size == "paper" else 500  # a minute or two on a CPU core
    net, losses = train(networks.training_images(job), config, checkpoint=checkpoint, every=every)
    arrays = {"loss": losses.float(), **networks.generate(job, net, config)}
    if job.run == "digits" and job.key in KEEP_WEIGHTS:
        arrays["weights"] = torch.cat([v.flatten() for v in net.state_dict().values()]).half().cpu()
    about = {
        "device": _device_name(device),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seconds": round(time.monotonic() - began, 1),
    }
    fresh = folder / f"{job.key}.tmp"
    torch.save({"arrays": arrays, "about": about, "training": _settings(job)}, fresh)
    fresh.replace(done)
    checkpoint.unlink()
    return torch.load(done, weights_only=True)


def _finished(job, folder):
    """What a network of this configuration made, if it is in the folder."""
    path = folder / f"{job.key}.pt"
    found = torch.load(path, weights_only=True) if path.is_file() else {}
    return found if found.get("training") == _settings(job) else None


def _device_name(device):
    return results.cpu() if device == "cpu" else torch.cuda.get_device_name(torch.device(device))


def _settings(job):
    """The configuration of a job, ready for JSON, without the device."""
    return {k: v for k, v in asdict(networks.config_of(job)).items() if k != "device"}


def _kept(run):
    """The networks of a run that are kept with the configuration they have now, by key."""
    if not all(path.is_file() for path in results.where(f"{CHAPTER}/{run}")):
        return {}
    arrays, record = results.load(f"{CHAPTER}/{run}")
    common, found = record["parameters"]["training"], {}
    about = record["parameters"].get("networks", {})
    for job in (job for job in networks.RUNS[run] if job.key in about):
        entry = dict(about[job.key])
        if common | entry.pop("training") == _settings(job):
            start = f"{job.key}-"
            own = {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
            found[job.key] = {"arrays": own, "about": entry}
    return found


def originals(image_size):
    """Draws of synthetic original images for each of ``RULES``, from a pool of 10,000."""
    pool = synthetic_images(N_POOL, image_size, 0, purpose="pool of originals")
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
    training = networks.training_images(job)
    perfect = synthetic_images(
        networks.N_GENERATED, training.shape[-1], job.seed, purpose="perfect generator"
    )
    # Drawn, because which of them a simulation takes must not depend on their order
    generator = stream(job.seed, "copier")
    copier = training[torch.randint(len(training), (networks.N_GENERATED,), generator=generator)]
    rows = []
    for images in (generated, perfect, copier):
        for draws, rule in drawn:
            found = resample(images, training, draws, rule=rule)
            means = [found.mean(name)[0] for name in ("e_tg", "e_og", "delta")]
            rows.append([found.p_positive[0], *means])
    return torch.tensor(rows, dtype=torch.float64).reshape(3, 3, 4)


def _metric(workdir):
    """The run ``metric``: what :func:`metric_rows` gives, by run and key of the network."""
    folder = workdir / "metric"
    folder.mkdir(parents=True, exist_ok=True)
    table, seconds = {}, 0.0
    for run in (r for r in MEASURED if results.where(f"{CHAPTER}/{r}")[0].is_file()):
        arrays, _ = results.load(f"{CHAPTER}/{run}")
        there = [job for job in networks.RUNS[run] if f"{job.key}-images" in arrays]
        drawn = originals(16 if run in networks.PAPER_SIZE else 8)
        for job in tqdm(there, desc=f"metric of {run}", unit="net"):
            images = arrays[f"{job.key}-images"]
            content = images.numpy().tobytes() + repr((RULES, N_SIMULATIONS, N_POOL)).encode()
            digest = hashlib.sha256(content).hexdigest()[:12]
            done = folder / f"{run}-{job.key}-{digest}.pt"
            if not done.is_file():
                began = time.monotonic()
                rows = metric_rows(job, images.float(), drawn)
                found = {"rows": rows, "seconds": time.monotonic() - began}
                torch.save(found, done.with_suffix(".tmp"))
                done.with_suffix(".tmp").replace(done)
            found = torch.load(done, weights_only=True)
            table[f"{run}-{job.key}"] = found["rows"]
            seconds += found["seconds"]
    return table, seconds


def main(arguments=None):
    """Run one of the runs; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", choices=(*networks.RUNS, "metric"))
    parser.add_argument("--workdir", type=Path, default=Path("_build/transition"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--partial", action="store_true", help="write what there is, train no more")
    parser.add_argument("--max-n", type=int, default=None, help="leave out larger training sets")
    parser.add_argument("--max-seed", type=int, default=None, help="leave out higher seeds")
    parser.add_argument("--again", action="store_true", help="train also what is kept already")
    options = parser.parse_args(arguments)
    try:
        TrainingConfig(steps=1, device=options.device)
    except ValueError as error:
        parser.error(str(error))
    torch.set_num_threads(1)
    if options.run == "metric":
        arrays, seconds = _metric(options.workdir)
        parameters = {"n_simulations": N_SIMULATIONS, "n_pool": N_POOL}
        devices = [results.cpu()]
    else:
        arrays, parameters = _trained(options)
        seconds = sum(about["seconds"] for about in parameters["networks"].values())
        devices = sorted({about["device"] for about in parameters["networks"].values()})
    results.save(
        f"{CHAPTER}/{options.run}",
        arrays,
        command=f"python -m memnb.unet {options.run}",
        parameters=parameters,
        seed=0,
        device="; ".join(devices),
        seconds=seconds,
        packages=PACKAGES,
    )
    return 0


def _trained(options):
    """Train, or with ``--partial`` collect, the networks of a run: arrays and parameters."""
    kept = {} if options.again else _kept(options.run)
    folder = options.workdir / options.run
    there = {job for job in networks.RUNS[options.run] if job.key in kept}
    finished = {job for job in networks.RUNS[options.run] if _finished(job, folder) is not None}
    there |= finished
    n, seed = options.max_n, options.max_seed
    wanted = {
        job
        for job in networks.RUNS[options.run]
        if (n is None or job.n <= n) and (seed is None or job.seed <= seed)
    }
    jobs = [
        j for j in networks.RUNS[options.run] if j in there or (j in wanted and not options.partial)
    ]
    if not jobs:
        raise SystemExit(f"no network of the run {options.run!r} is in {options.workdir}")
    arrays, about = {}, {}
    settings = {job.key: _settings(job) for job in jobs}
    first, *others = settings.values()
    common = {k: v for k, v in first.items() if all(other[k] == v for other in others)}
    for job in tqdm(jobs, desc=options.run, unit="net"):
        if job.key in kept and job not in finished:
            found = kept[job.key]
        else:
            again = options.again and job in wanted and not options.partial
            found = run_job(job, options.workdir, options.device, again)
        own = {k: v for k, v in settings[job.key].items() if k not in common}
        about[job.key] = {"training": own, **found["about"]}
        arrays |= {f"{job.key}-{name}": value for name, value in found["arrays"].items()}
    missing = [job.key for job in networks.RUNS[options.run] if job not in jobs]
    given = {k: v for k, v in vars(options).items() if k not in ("run", "workdir", "device")}
    return arrays, {
        "arguments": given, "training": common, "networks": about, "missing": missing
    }  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
