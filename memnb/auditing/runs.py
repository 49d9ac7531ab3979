r"""Chapter 7: what the long runs compute, ``python -m memnb.auditing RUN``.

``detection``
    For each measure the probability of finding a share of copies at 5 % false alarms, over
    dimensions, numbers of points and blurs. Gaussian data; copies are blurred by a multiple of the
    median distance between neighboring training points.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from memnb.commands import each, finished
from memnb.streams import numpy_stream

from .copying import copies
from .densities import MAX_DIM, density_criterion
from .generators import blurred_copies, gaussian_sets
from .inputs import Sets
from .measure import Measure
from .measures import authenticity, cell_test, nearer_to_training
from .neighbors import DISTINCT_SHARE
from .reference import Features, Reference

__all__ = ["CHAPTER", "MEASURES", "RUNS", "Detection", "measures_of"]

CHAPTER = "07-audit"
MEASURES = ("copies", "nearer", "cells", "authenticity", "densities")
THRESHOLD = 1 / 3


def measures_of(
    reference: Reference,
    generated: Features,
    held_out: Features,
    seed: int = 0,
    n_bootstrap: int = 0,
) -> dict[str, Measure]:
    """All measures that need no densities, by name.

    Parameters
    ----------
    reference : Reference
    generated, held_out : Features
    seed, n_bootstrap : int
        Seed of the draws of the measures, and number of draws of the bootstrap of C_T; none by
        default.

    Returns
    -------
    dict of str to Measure
    """
    values = (
        copies(generated, held_out, THRESHOLD, seed),
        nearer_to_training(generated, reference.pool_size, reference.n_training),
        cell_test(generated, held_out, reference.n_cells, seed, n_bootstrap),
        authenticity(generated, held_out),
    )
    return {measure.name: measure for measure in values}


@dataclass(frozen=True)
class Detection:
    """How large a share of copies has to be for a measure to find it.

    Parameters
    ----------
    dims, sizes : tuple of int
        Dimensions d, and numbers n of training, generated and held-out points each.
    blurs : tuple of float
        Blur of the copies, in units of the median distance between neighbors.
    blurred_up_to : int
        Largest n for which blurred copies are looked at, and not only exact ones.
    shares : tuple of float
        Shares of copies, 0 first.
    repeats : tuple of int
        How often each n is repeated with fresh data.
    seed : int
    """

    dims: tuple[int, ...] = (2, 8, 64, 784)
    sizes: tuple[int, ...] = (100, 1000, 10_000)
    blurs: tuple[float, ...] = (0.0, 0.5, 1.0)
    blurred_up_to: int = 1000
    shares: tuple[float, ...] = (0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1,
                                 0.15, 0.2, 0.3, 0.5, 0.7, 1)  # fmt: skip
    repeats: tuple[int, ...] = (40, 10, 5)
    seed: int = 0

    def units(self) -> list[tuple[int, int, int]]:
        """n, d and number of each repetition, in the order in which they are kept."""
        return [
            (n, dim, repeat)
            for n, count in zip(self.sizes, self.repeats, strict=True)
            for dim in self.dims
            for repeat in range(count)
        ]

    def one(self, n: int, dim: int, repeat: int, device: str = "cpu") -> np.ndarray:
        """p-values of one repetition, shape (blurs, shares, measures); nan where not computed."""
        seed = int(numpy_stream(self.seed, "audit repetition", n, dim, repeat).integers(2**31))
        training, held_out, new = gaussian_sets(n, dim, seed)
        reference = Reference(training, held_out, seed=seed, device=device)
        held, fresh = reference.look_at(held_out, pooled=False), reference.look_at(new)
        unit = reference.base.distinct / DISTINCT_SHARE
        p = np.full((len(self.blurs), len(self.shares), len(MEASURES)), np.nan)
        for i, blur in enumerate(self.blurs if n <= self.blurred_up_to else self.blurs[:1]):
            points = blurred_copies(training, n, blur * unit, seed)
            copied = reference.look_at(points)
            for j, share in enumerate(self.shares):
                count = round(share * n)
                if not count and i:  # no copies: as with the first blur
                    p[i, j] = p[0, j]
                    continue
                mixed = copied.take(slice(count)).joined(fresh.take(slice(count, None)))
                values = measures_of(reference, mixed, held, seed)
                p[i, j, :4] = [values[name].p for name in MEASURES[:4]]
                if dim <= MAX_DIM and not i:  # the slow one, for the first blur only
                    generated = np.concatenate([points[:count], new[count:]])
                    sets = Sets(training, generated, held_out, None)
                    p[i, j, 4] = density_criterion(sets, seed).p
        return p

    def _finished(self, unit: tuple[int, int, int], workdir: Path, device: str) -> tuple:
        n, dim, repeat = unit
        path = workdir / f"{n}_{dim}_{repeat}.pt"
        # 2 stands for "not computed", since kept arrays hold no nan
        return finished(
            path,
            repr((self, unit)),
            lambda: torch.from_numpy(self.one(*unit, device)).nan_to_num(nan=2.0).float(),
        )

    def run(
        self, workdir: Path, device: str = "cpu", jobs: int | None = 1, progress: bool = True
    ) -> tuple[dict[str, torch.Tensor], float]:
        """All repetitions; those that are finished are read.

        Parameters
        ----------
        workdir : path
            Folder of the finished repetitions; it is made if it is not there.
        device : str
            Where neighbors are searched.
        jobs : int or None
            Number of processes, see :func:`memnb.commands.each`.
        progress : bool
            Show a progress bar.

        Returns
        -------
        arrays : dict of str to Tensor of float32
            p-values ``p_<n>_<d>``, shape (repeats, blurs, shares, measures).
        seconds : float
            Of all repetitions together.

        Raises
        ------
        ValueError
            If a file in ``workdir`` is no finished repetition of this run.
        """
        workdir.mkdir(parents=True, exist_ok=True)
        units = self.units()
        calls = [(unit, workdir, device) for unit in units]
        parts = each(self._finished, calls, jobs, "detection", "repetition", progress)
        rows = {}
        for (n, dim, _), (values, _) in zip(units, parts, strict=True):
            rows.setdefault(f"p_{n}_{dim}", []).append(values)
        arrays = {name: torch.stack(some) for name, some in rows.items()}
        return arrays, sum(took for _, took in parts)


RUNS = {"detection": Detection()}
