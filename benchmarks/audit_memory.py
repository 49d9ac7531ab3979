r"""Memory of the audit on large memory-mapped sets: ``python -m benchmarks.audit_memory``.

Three ``.npy`` files of 50 000 images of 3 x 32 x 32 in float32 (600 MB each), and one of 10^6 x 64
beside two of 10 000 x 64, are audited in a process of their own each. What counts is the anonymous
memory, which the process asked for, above what it had after its imports; the pages of the mapped
files are the system's to drop. A thread reads it from ``/proc`` every 20 ms, so this runs on Linux
only.

All of 50 000 x 50 000 takes an hour on one core. Unless ``--full`` is given, the neighbors of only
the first 1000 generated and held-out points are sought among *all* training and held-out points,
and the time of all 50 000 is extrapolated from the time that these took. The search holds one block
of 1000 points at a time, so that more of them need no more memory but six numbers each. Times are
those of the CPU, of one thread.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from tqdm import tqdm

from memnb.streams import numpy_stream

__all__ = ["Anonymous", "main", "measure", "write_sets"]

CASES = {
    "50 000 x 50 000 images, d = 3072": (50_000, 50_000, (3, 32, 32), 1000),
    "10^6 x 10 000, d = 64": (10**6, 10_000, (64,), 10_000),
}


class Anonymous:
    """The largest anonymous memory of this process while a block runs, above that before it."""

    def __enter__(self):
        self._done = threading.Event()
        self.peak = self._before = self._now()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._done.set()
        self._thread.join()

    @property
    def bytes(self):
        """The largest so far, in bytes."""
        return self.peak - self._before

    @staticmethod
    def _now():
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return 1024 * int(line.split()[1])
        raise RuntimeError("no RssAnon in /proc/self/status: this needs Linux")

    def _watch(self):
        while not self._done.wait(0.02):
            self.peak = max(self.peak, self._now())


def write_sets(folder, n_training, n_others, shape, progress=False):
    """Files of Gaussian points, float32, block by block; a tenth of the generated are copies.

    Parameters
    ----------
    folder : Path
    n_training, n_others : int
        Training points; generated and held-out points each.
    shape : tuple of int
        Of one point.

    Returns
    -------
    list of Path
        Training, generated, held out.
    """
    paths = []
    for name, n in (("training", n_training), ("generated", n_others), ("held_out", n_others)):
        paths.append(folder / f"{name}.npy")
        rows = open_memmap(paths[-1], "w+", np.float32, (n, *shape))
        random = numpy_stream(0, name)
        for first in tqdm(range(0, n, 1000), desc=name, disable=not progress, leave=False):
            rows[first : first + 1000] = random.standard_normal(
                (min(1000, n - first), *shape), np.float32
            )
        if name == "generated":
            rows[: n // 10] = np.load(paths[0], mmap_mode="r")[: n // 10]
        rows.flush()
    return paths


def measure(paths, queries):
    """Memory and time of an audit of three files, with the neighbors of some points only.

    Parameters
    ----------
    paths : list of path
        Training, generated, held out.
    queries : int
        Of how many generated and held-out points the neighbors are sought.

    Returns
    -------
    dict
        ``bytes``, the largest anonymous memory above that before; CPU ``seconds`` of all;
        ``search`` seconds of the search; ``extrapolated`` seconds for all points; the share of
        ``copies``.
    """
    from memnb.auditing import densities, measures
    from memnb.auditing.copying import copies
    from memnb.auditing.inputs import read_sets
    from memnb.auditing.reference import Reference

    began = time.process_time()
    with Anonymous() as memory:
        sets = read_sets(*paths)
        reference = Reference(sets.training, sets.held_out)
        densities.density_criterion(sets, 0)
        # What does not depend on the number of queries, before the clock of the search starts
        reference.look_at(sets.generated[:2])
        search_began = time.process_time()
        points = reference.look_at(sets.generated[:queries])
        held = reference.look_at(sets.held_out[:queries], pooled=False)
        search = time.process_time() - search_began
        copied = copies(points, held, 1 / 3)
        measures.nearer_to_training(points, reference.pool_size, reference.n_training)
        measures.authenticity(points, held)
        measures.cell_test(points, held, reference.n_cells, 0)
    seconds = time.process_time() - began
    most = max(len(sets.generated), len(sets.held_out))
    return {
        "bytes": memory.bytes,
        "seconds": seconds,
        "search": search,
        "extrapolated": seconds + search * (most / min(queries, most) - 1),
        "copies": copied.value,
    }


def main(arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit_memory", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the neighbors of all points")
    parser.add_argument("--files", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--queries", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.files:
        print(json.dumps(measure(options.files, options.queries)))
        return
    print("| training x others | queries | GB | CPU s | CPU s for all queries |")
    print("|:--|--:|--:|--:|--:|")
    for title, (n, others, shape, some) in CASES.items():
        queries = others if options.full else some
        with tempfile.TemporaryDirectory() as folder:
            files = write_sets(Path(folder), n, others, shape, progress=sys.stderr.isatty())
            command = [sys.executable, "-m", "benchmarks.audit_memory", "--queries", str(queries)]
            done = subprocess.run(
                [*command, "--files", *map(str, files)],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        measured = json.loads(done.stdout)
        print(
            f"| {title} | {queries} | {measured['bytes'] / 1e9:.2f} | {measured['seconds']:.0f} "
            f"| {measured['extrapolated']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
