r"""The audit against its measures transcribed directly: ``python -m benchmarks.audit``.

Three sets of n = 10 000 points each at d = 784, float32, a tenth of the generated ones copies.
``memnb.audit`` with all that it returns runs beside two transcriptions that compute only the values
of the four measures, once with scikit-learn's ``NearestNeighbors`` and once with whole matrices of
``torch.cdist``. All run in one process on one thread, one after the other. A second table has the
time of the audit over n, and a third the search alone: the nearest neighbors of n points among n
by scikit-learn, which the audit uses, and by faiss (``IndexFlatL2``) if it is installed.

The search is scikit-learn's, although faiss takes about half of its time, because faiss computes in
float32: where points have neighbors much closer than their distance from the mean, as copies and
near-duplicates do, its nearest neighbor is often another point than the true one. The third table
counts how often, for Gaussian points and for points in tight pairs. Scikit-learn converts each
block to float64, and no measure then depends on how the data are spread.
"""

import importlib.util
import time

import numpy as np
import torch
from scipy.stats import mannwhitneyu
from sklearn.cluster import MiniBatchKMeans
from sklearn.neighbors import NearestNeighbors

import memnb
from benchmarks import Compared, is_quick
from memnb.auditing.reference import IN_CELL, MAX_CELLS
from memnb.streams import numpy_stream

__all__ = ["compare", "main", "measure", "search", "three_sets"]

THRESHOLD = 1 / 3


def three_sets(n, dim, seed=0):
    """Training, generated and held-out points, float32; a tenth of the generated are copies."""
    sets = [numpy_stream(seed, name).standard_normal((n, dim), np.float32) for name in "tgh"]
    sets[1][: n // 10] = sets[0][: n // 10]
    return sets


def _nearest_sklearn(queries, points):
    near = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(points)
    return near.kneighbors(queries)


def _nearest_cdist(queries, points):
    all_distances = torch.cdist(torch.from_numpy(queries), torch.from_numpy(points))
    return [part.numpy() for part in all_distances.topk(2, largest=False)]


def _direct(training, generated, held_out, nearest):
    """Values of the four measures, term by term as their papers define them.

    ``nearest`` gives distances to and indices of the two nearest points.
    """
    spacing = nearest(training, training)[0][:, 1]
    of = {}
    for name, x in (("generated", generated), ("held out", held_out)):
        d, index = nearest(x, training)
        of[name] = d[:, 0], d[:, 0] / d[:, 1], spacing[index[:, 0]]
    count = max(1, min(MAX_CELLS, len(held_out) // (4 * IN_CELL)))
    state = int(numpy_stream(0, "audit cells").integers(2**31))
    cells = MiniBatchKMeans(count, random_state=state, n_init=3).fit(training)
    of_g, of_h = cells.predict(generated), cells.predict(held_out)
    total, weight = 0.0, 0
    for cell in range(count):
        g, h = of["generated"][0][of_g == cell], of["held out"][0][of_h == cell]
        if min(len(g), len(h)) >= IN_CELL:
            spread = (len(g) * len(h) * (len(g) + len(h) + 1) / 12) ** 0.5
            total += len(h) * (mannwhitneyu(g, h).statistic - len(g) * len(h) / 2) / spread
            weight += len(h)
    d1, ratio, own = of["generated"]
    return {
        "copies": float((ratio < THRESHOLD).mean()),
        "nearer": float((d1 <= nearest(generated, held_out)[0][:, 0]).mean()),
        "cells": total / weight,
        "authenticity": float((d1 > own).mean()),
    }


def _ours(training, generated, held_out):
    result = memnb.audit(training, generated, held_out)
    return {name: result[name].value for name in ("copies", "nearer", "cells", "authenticity")}


def measure(n, dim, arms=("audit", "scikit-learn", "torch.cdist")):
    """Times of the audit and of the two transcriptions, one after the other.

    Parameters
    ----------
    n, dim : int
        Points of each set, dimension.
    arms : tuple of str
        Which of the three.

    Returns
    -------
    list of dict
        Arm, seconds, ratio to the audit, and the largest difference of a value from the audit's.
    """
    sets = three_sets(n, dim)
    runs = {
        "audit": lambda: _ours(*sets),
        "scikit-learn": lambda: _direct(*sets, _nearest_sklearn),
        "torch.cdist": lambda: _direct(*sets, _nearest_cdist),
    }
    rows, values = [], {}
    for arm in arms:
        began = time.perf_counter()
        values[arm] = runs[arm]()
        rows.append({"arm": arm, "seconds": time.perf_counter() - began})
    for row in rows:
        row["ratio"] = row["seconds"] / rows[0]["seconds"]
        row["difference"] = max(
            abs(value - values["audit"][name]) for name, value in values[row["arm"]].items()
        )
    return rows


def search(n, dim, tight):
    """The nearest neighbors of n points among n others: time, and how many are the wrong ones.

    Parameters
    ----------
    n, dim : int
    tight : bool
        Whether the points come in pairs whose distance is 1e-4 of that to all others, instead of
        one by one.

    Returns
    -------
    list of dict
        Library, seconds, and the share of queries whose nearest neighbor is not the true one.
    """
    random = numpy_stream(0, "search")
    x, queries = random.standard_normal((2, n, dim), np.float32)
    if tight:
        offset = 1e-4 * random.standard_normal((2, n // 2, dim), np.float32)
        x[n // 2 :] = x[: n // 2] + offset[0]
        queries[: n // 2] = x[: n // 2] + 0.3 * offset[1]
        queries = queries[: n // 2]

    def of_sklearn():
        near = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(x)
        return near.kneighbors(queries, return_distance=False)[:, 0]

    def of_faiss():
        import faiss

        faiss.omp_set_num_threads(1)
        index = faiss.IndexFlatL2(dim)
        index.add(x)
        return index.search(queries, 1)[1][:, 0]

    arms = {"scikit-learn": of_sklearn}
    if importlib.util.find_spec("faiss"):
        arms["faiss"] = of_faiss
    rows, distance = [], {}
    for library, run in arms.items():
        began = time.perf_counter()
        index = run()
        rows.append({"library": library, "seconds": time.perf_counter() - began})
        neighbors = x[index].astype(np.float64)
        distance[library] = np.linalg.norm(queries - neighbors, axis=1)
    least = np.min(list(distance.values()), axis=0)
    for row in rows:
        row["wrong"] = float((distance[row["library"]] > least * (1 + 1e-9)).mean())
    return rows


def compare(quick=False):
    """Rows of the page: the audit beside both transcriptions.

    Parameters
    ----------
    quick : bool
        400 points at d = 10.

    Returns
    -------
    list of Compared
    """
    n, dim = (400, 10) if quick else (10_000, 784)
    base, *rows = measure(n, dim)
    return [
        Compared(
            "The audit against its measures transcribed",
            f"three sets of {n} points, d = {dim}",
            "memnb.audit, with all that it returns",
            f"values alone, by {row['arm']}",
            base["seconds"],
            row["seconds"],
            note=f"values differ by {row['difference']:.0e} at most",
        )
        for row in rows
    ]


def main():
    """Print the tables."""
    quick = is_quick(__doc__, "1000 points at d = 64")
    n, dim = (1000, 64) if quick else (10_000, 784)
    print(f"n = {n} in each set, d = {dim}, float32, one thread\n")
    print("| method | seconds | times the audit | largest difference of a value |")
    print("|:--|--:|--:|--:|")
    for row in measure(n, dim):
        print("| {arm} | {seconds:.1f} | {ratio:.2f} | {difference:.0e} |".format(**row))
    print("\n| n | audit, s | exponent of n |\n|--:|--:|--:|")
    last = None
    for size in (n // 8, n // 4, n // 2, n):
        seconds = measure(size, dim, ("audit",))[0]["seconds"]
        growth = "" if last is None else f"{np.log2(seconds / last):.2f}"
        print(f"| {size} | {seconds:.2f} | {growth} |")
        last = seconds
    print("\n| points | library | seconds | wrong nearest neighbors |\n|:--|:--|--:|--:|")
    for tight in (False, True):
        for row in search(n, dim, tight):
            points = "tight pairs" if tight else "Gaussian"
            print(f"| {points} | {row['library']} | {row['seconds']:.1f} | {row['wrong']:.2%} |")


if __name__ == "__main__":
    main()
