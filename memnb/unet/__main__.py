r"""Chapter 6: the long runs of the U-Net transition, ``python -m memnb.unet RUN``.

A RUN is one of those in :mod:`memnb.unet.runs`, whose networks are trained, or ``metric``, which
trains nothing and measures what networks on synthetic images have generated.

Each network is kept under ``--workdir`` when it is done, so a run that was stopped goes on where it
was; one that is killed loses a minute or two. At the end (with ``--partial``: now) the run is
written to ``results/06-unet-transition/``, unless it is there already as it is.

A network that is kept there is not trained again, on whichever device it was trained, as long as
its configuration is the same. ``--again`` trains anew what ``--max-n`` and ``--max-seed`` select,
and all others stay; what is kept of a network is replaced when the new one is whole.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from memnb.commands import at_least, conclude, device_name, each, run_parser

from . import keeping, metric
from .plan import missing, plan, selection
from .runs import CHAPTER, RUNS, Network
from .training import train

__all__ = ["main"]


def train_network(
    run: str, network: Network, workdir: Path, device: str = "cpu", parent: int | None = None
) -> None:
    """Train one network, generate with it, and keep both in the working folder.

    Parameters
    ----------
    run : str
        Name of the run.
    network : Network
    workdir : path
        Where networks are kept, and checkpoints while they are trained.
    device : str
        What it is trained on.
    parent : int, optional
        The process that this one works for: it ends with it, and leaves interrupts to it.

    Raises
    ------
    ValueError
        If its checkpoint is not one, or one of another configuration.
    """
    torch.set_num_threads(1)
    if parent is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def with_parent(step: int, total: int) -> None:
        if parent is not None and os.getppid() != parent:
            os._exit(1)

    config = replace(network.config(), device=device)
    done = keeping.finished_path(run, network, workdir)
    done.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = done.with_suffix(".checkpoint")
    every = 20 if config.size == "paper" else 500  # a minute or two on a CPU core
    began = time.monotonic()
    partial = done.with_suffix(".snapshots")
    arrays = keeping.read_snapshots(partial, network)
    for step in network.snapshots or (None,):  # None: once, at the end
        mark = "" if step is None else f"step{step}_"
        if any(name.startswith(mark) for name in arrays):
            continue
        net, losses = train(
            network.images(), config, checkpoint=checkpoint, every=every, until=step,
            progress=parent is None, on_step=with_parent,
        )  # fmt: skip
        arrays |= {f"{mark}{k}": v for k, v in network.generate(net, config).items()}
        arrays["loss"] = losses.float()
        if step is not None:
            keeping.write_snapshots(partial, network, arrays)
    seconds = time.monotonic() - began
    keeping.write(run, network, workdir, arrays, device_name(device), seconds)
    for left in (checkpoint, partial):
        left.unlink(missing_ok=True)


def _train_run(options: argparse.Namespace) -> str:
    """Train what the plan says, and write the run; returns what was done."""
    run, workdir = options.run, options.workdir
    networks = RUNS[run]
    stored, others = keeping.read_stored(run)
    selected = {n.key for n in selection(networks, options.max_n, options.max_seed)}
    anew = selected if options.again and not options.partial else set()
    finished = {
        n.key for n in networks if n.key not in anew and keeping.finished(run, n, workdir)
    }  # fmt: skip
    steps = plan(
        networks, stored, finished, selected, again=options.again, partial=options.partial
    )  # fmt: skip
    left_out = missing(networks, steps)
    lost = [key for key in others if key in left_out]
    if lost:
        raise ValueError(
            f"the results keep {', '.join(lost)} with another configuration, and would lose them: "
            f"train them too, or remove results/{CHAPTER}/{run}.npz and .json first"
        )
    calls = [(run, s.network, workdir, options.device) for s in steps if s.source == "train"]
    if (options.jobs or 1) > 1 and len(calls) > 1:
        calls = [(*call, os.getpid()) for call in calls]
    each(train_network, calls, options.jobs, run, "net")
    complete = {
        s.network.key: stored[s.network.key]
        if s.source == "stored"
        else keeping.finished(run, s.network, workdir)
        for s in steps
    }
    written = keeping.write_run(run, complete, left_out)
    counts = f"{len(calls)} networks trained, {len(steps) - len(calls)} taken as they were"
    return f"{counts}; {'results written' if written else 'results unchanged'}"


def _measure(network: Network, images: torch.Tensor) -> tuple[torch.Tensor, float]:
    torch.set_num_threads(1)
    began = time.monotonic()
    rows = metric.rows(network, images.float(), metric.originals(images.shape[-1]))
    return rows, time.monotonic() - began


def _metric_run(options: argparse.Namespace) -> str:
    """Measure what kept networks on synthetic images generated; returns what was done."""
    images = {}
    for run in metric.MEASURED:
        stored, _ = keeping.read_stored(run)
        for network in (n for n in RUNS[run] if n.key in stored):
            images[f"{run}-{network.key}"] = network, stored[network.key]["arrays"]["images"]
    if not images:
        raise ValueError("no run that is measured has results")
    prints = {name: metric.fingerprint(*pair) for name, pair in images.items()}
    measured = {} if options.again else keeping.read_metric(prints)
    new = [name for name in images if name not in measured]
    calls = [images[name] for name in new]
    measured |= dict(zip(new, each(_measure, calls, options.jobs, "metric", "net"), strict=True))
    written = keeping.write_metric({name: measured[name] for name in images}, prints)
    counts = f"{len(new)} networks measured, {len(images) - len(new)} taken as they were"
    return f"{counts}; {'results written' if written else 'results unchanged'}"


def _parser() -> argparse.ArgumentParser:
    parser = run_parser("unet", "The long runs of chapter 6.", (*RUNS, "metric"))
    parser.add_argument("--partial", action="store_true", help="write what there is, train no more")
    parser.add_argument(
        "--max-n", type=at_least(1), metavar="N", help="train no networks of larger training sets"
    )
    parser.add_argument(
        "--max-seed", type=at_least(0), metavar="S", help="train no networks of higher seeds"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one of the runs.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process if not given.

    Returns
    -------
    int
        Exit status, see :func:`memnb.commands.conclude`.

    Raises
    ------
    SystemExit
        If the arguments are not understood.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    chosen = (options.partial, options.max_n is not None, options.max_seed is not None)
    if options.run == "metric" and any(chosen):
        parser.error("metric trains nothing: it takes --jobs and --again only")
    torch.set_num_threads(1)
    do = _metric_run if options.run == "metric" else _train_run
    return conclude(
        "unet", lambda: f"{options.run}: {do(options)}", options.workdir,
        scheduler=options.scheduler,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
