"""All benchmarks of the book's page: ``python -m benchmarks [NAME ...] [--quick]``.

Each is run in this process, one after the other on one thread, and its rows go to
``results/benchmarks.json`` with machine, versions, date and load as soon as it is done; those of
other benchmarks stay. ``--quick`` prints rows of small sizes and keeps nothing.
"""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch
from tqdm import tqdm

from memnb import checkout, results
from memnb.book.benchmarks import benchmarks_page
from memnb.book.site import BENCHMARKS

__all__ = ["NAMES", "keep", "main"]

#: In the order of the page
NAMES = (
    *("flows", "floor", "coupled", "classification", "continuation", "fit", "cooper"),
    *("linear", "unet", "audit", "book", "slider", "frames"),
)
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "torchdiffeq", "diffusers")


def _processor():
    """Name of the processor, where Linux tells it."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def keep(name, rows, load, seconds, path):
    """Put the rows of one benchmark into the file of all, in the place of its former ones.

    Parameters
    ----------
    name : str
        One of :data:`NAMES`.
    rows : list of Compared
    load : float
        Load average of the machine when the benchmark began.
    seconds : float
        Wall time of the benchmark.
    path : Path
        The file; made if it is not there.
    """
    kept = json.loads(path.read_text()) if path.is_file() else {}
    kept[name] = {
        "command": f"python -m benchmarks {name}",
        "machine": f"{_processor()}, {results.cpu().removeprefix('CPU, ')}",
        "load": round(load, 1),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seconds": round(seconds, 1),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "rows": [asdict(row) for row in rows],
    }
    ordered = {name: kept[name] for name in NAMES if name in kept}
    with results.replacing(path) as fresh:
        fresh.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")


def main(arguments=None):
    """Run the benchmarks, keep what they measured, and print the page.

    Returns
    -------
    int
        Exit status: 1 if one of them could not be run, which a line then says.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--quick", action="store_true", help="small sizes, nothing kept")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"NAME must be among {', '.join(NAMES)}, got {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    path, failed = checkout.root() / BENCHMARKS, 0
    for name in tqdm([n for n in NAMES if n in (options.names or NAMES)], desc="benchmarks"):
        load, began = os.getloadavg()[0], time.perf_counter()
        try:
            rows = importlib.import_module(f"benchmarks.{name}").compare(options.quick)
        except (RuntimeError, ImportError, subprocess.CalledProcessError) as error:
            print(f"benchmarks.{name}: {error}", file=sys.stderr)
            failed = 1
            continue
        if options.quick:
            for row in rows:
                ratio = row.of_reference / row.of_ours
                print(f"{row.kind} | {row.case} | {row.ours} | {row.reference} | {ratio:.3g}")
        else:
            keep(name, rows, load, time.perf_counter() - began, path)
    if not options.quick and path.is_file():
        print(benchmarks_page(json.loads(path.read_text())))
    return failed


if __name__ == "__main__":
    sys.exit(main())
