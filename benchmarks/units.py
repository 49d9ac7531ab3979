r"""Time and memory of the units of the long runs: ``python -m benchmarks.units [--keep]``.

One unit is what a worker does on its own: a path of networks for one N, a U-Net for one n, a block
of simulations of the linear model. For each kind a small part is measured at several sizes, each in
a process of its own on one thread: a round of the training of one network, a gradient step, a
block. Times are those of the CPU, which other work on the machine hardly changes, and memory is the
largest resident memory of the process, imports included. With ``--keep`` the table goes to
``results/units.json``, from which the page "Beyond one machine" is made.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from importlib.metadata import version

import torch
from tqdm import tqdm

from memnb import checkout, results
from memnb.book.scaling import UNITS
from memnb.book.site import UNITS as WHERE

__all__ = ["main", "measure"]

PARTS = {
    # N, d, M
    "path": [(N, 30, 500) for N in (5, 8, 11, 21, 31)]
    + [(11, d, 500) for d in (10, 20, 60)]
    + [(11, 30, M) for M in (125, 250, 1000)],
    # images in the batch
    "U-Net": [(16,), (32,), (64,), (128,)],
    # n, d, N
    "linear": [(n, 100, 10_000) for n in (500, 1000, 2000, 5000, 10_000)]
    + [(1000, d, 10_000) for d in (25, 50, 200)]
    + [(1000, 100, N) for N in (2500, 5000, 20_000)],
}
QUICK = {"path": [(3, 2, 10)], "U-Net": [(2,)], "linear": [(20, 4, 50)]}


def _path(N, d, M):
    """One round of the kind that a path takes at a level, and its number of steps.

    The samples of all levels are held, and the residuals of networks at all of them are computed
    before, as they are at the end of a path, so that the memory is that of a whole path.
    """
    from memnb.shallow import NetworkBatch
    from memnb.shallow._trainer import Trainer
    from memnb.shallow.runs import Continued, _residuals

    run = Continued(d=d, counts=(N,), n_noisy=M, n_levels=150)
    samples, training = run.samples(N), run.training(N)
    _residuals(NetworkBatch.random(run.n_levels, training.width, d), samples)
    return Trainer(samples.at(0), training).round, run.steps


def _unet(batch):
    """One gradient step of the paper's size, and its number of steps."""
    from dataclasses import replace

    from memnb.unet.runs import PAPER
    from memnb.unet.training import _Run

    images = torch.rand(batch, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    return _Run(replace(PAPER, batch_size=batch), images).advance, 1


def _linear(n, d, N):
    """One block of simulations beside a fixed original set, and how many they are."""
    from memnb.linear.draws import Setting
    from memnb.linear.experiment import _block, _blocks, _pairs

    setting = Setting(n, d, N, originals="fixed", transposed=True)
    first, count = _blocks(setting, 200)[0]
    pairs = _pairs(setting, 0)
    return lambda: _block(setting, 0, first, count, pairs), count


def measure(kind, size, repeats=3):
    """CPU time of one step or simulation, and memory of this process, which should be a fresh one.

    Parameters
    ----------
    kind : {"path", "U-Net", "linear"}
    size : sequence of int
        See ``PARTS``.
    repeats : int
        How often the part is done after a first time, which does not count; a round once.

    Returns
    -------
    dict
        ``kind``, ``size``, ``seconds`` (the median) and ``bytes``.
    """
    do, count = {"path": _path, "U-Net": _unet, "linear": _linear}[kind](*size)
    spent, repeats = [], 1 if kind == "path" else repeats  # a round is the mean of many steps
    for _ in range(repeats + 1):
        began = time.process_time()
        do()
        spent.append((time.process_time() - began) / count)
    return {
        "kind": kind,
        "size": dict(zip(UNITS[kind].sizes, size, strict=True)),
        "seconds": statistics.median(spent[1:]),
        "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def main(arguments=None):
    """Print the table, and keep it if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.units", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the smallest sizes")
    parser.add_argument("--keep", action="store_true", help="write results/units.json")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.quick and options.keep:
        parser.error("a quick run is not worth keeping: give --quick or --keep")
    if options.one:
        print(json.dumps(measure(*json.loads(options.one))))
        return
    parts = [
        [kind, size]
        for kind, sizes in (QUICK if options.quick else PARTS).items()
        for size in sizes
    ]
    rows = []
    for part in tqdm(parts, desc="units"):
        command = [sys.executable, "-m", "benchmarks.units", "--one", json.dumps(part)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows.append(json.loads(done.stdout))
    for row in rows:
        size = ", ".join(f"{name} = {value}" for name, value in row["size"].items())
        print(f"{row['kind']}: {size}: {row['seconds']:.3g} s, {row['bytes'] / 1e9:.2f} GB")
    if options.keep:
        record = {
            "command": "python -m benchmarks.units --keep",
            "machine": results.cpu(),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "versions": {"python": platform.python_version(), "torch": version("torch")},
            "rows": rows,
        }
        with results.replacing(checkout.root() / WHERE) as fresh:
            fresh.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
