"""What is kept of a long run: rounded networks, what is true of them, and the run itself.

Weights are kept in half precision. Networks whose weights are kept are rounded to it right after
training, and all that is told of them (residual, cost, ends of flows) is of the rounded networks.
"""

import time
from dataclasses import asdict
from pathlib import Path

import torch

from memnb import results

from ._trainer import read_checkpoint
from .networks import NetworkBatch

__all__ = ["CHAPTER", "keep", "load_networks", "quality", "rounded", "weights"]

CHAPTER = "04-trained-denoisers"


def rounded(networks: NetworkBatch):
    """The networks as they are kept: weights rounded to half precision."""
    return NetworkBatch(*(x.half().float() for x in networks.parameters()))


def quality(networks, samples, done):
    """Residual and cost of rounded networks, and the cost of the closed form."""
    with torch.no_grad():
        r = networks(samples.y) - samples.targets
    return {
        "residual": r.square().mean(dim=(1, 2)).sqrt().cpu(),
        "cost": networks.cost().cpu(),
        "closed_form": done.closed_form.float(),
    }


def weights(networks, every=1):
    """Weights of every k-th network to keep, without the units that are dead in all of them."""
    W, A, V = (x[::every].cpu().half() for x in networks.parameters())
    size = A.float().norm(dim=1) * W.float().norm(dim=2)
    alive = (size > 1e-6 * size.amax(dim=1, keepdim=True)).any(dim=0)
    return {"W": W[:, alive], "A": A[..., alive], "V": V}


def load_networks(arrays, suffix=""):
    """The networks of a run that :func:`memnb.results.load` returned."""
    return NetworkBatch(*(arrays[f"{name}{suffix}"].float() for name in "WAV"))


def keep(name, run, command, workdir, device):
    """Do a run, go on from the checkpoints in ``workdir``, and keep what it returns.

    The wall time that is told includes that of earlier calls.
    """
    workdir = Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    spent = sum(read_checkpoint(path)["seconds"] for path in workdir.glob("*.pt"))
    began = time.perf_counter() - spent
    arrays = run.run(workdir, device)
    return results.save(
        f"{CHAPTER}/{name}",
        arrays,
        command=command,
        parameters=asdict(run),
        seed=run.seed,
        device=results.cpu() if device == "cpu" else torch.cuda.get_device_name(device),
        seconds=time.perf_counter() - began,
    )
