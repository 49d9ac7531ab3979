"""Sweeps at the paper's sizes, kept under ``results/``: ``python -m memnb.linear <run>``.

- ``onset``: N = 10000 original points, 200 simulations of each n, for d = 16 and 100: with one
  fixed original set up to n = N, and with a fresh set for each simulation up to n = 1000.
- ``alignment``: d = 8 to 128, n from d to 20 d, in expectation over the 10000 original points.
- ``phase``: a map of n and d for two sizes N, in expectation over the original points.

They take minutes: in ``onset`` the pair term of n = 10000 training points is a sum over 5e7 pairs
in each simulation. The chapter loads the runs and recomputes a random part of them.
"""

import torch

from .experiment import Setting, sweep

__all__ = ["RUNS", "SEED", "SIMULATIONS", "alignment", "name", "onset", "phase"]

SEED, SIMULATIONS, N = 0, 200, 10_000
GRIDS = {
    16: (4, 8, 12, 16, 17, 20, 24, 28, 32, 40, 48, 64, 100, 200, 500, 1000, 2000, 5000, 10_000),
    100: (25, 50, 75, 90, 100, 110, 125, 150, 200, 250, 300, 400, 500, 700, 1000, 2000, 5000,
          10_000),
}  # fmt: skip
FRESH_UP_TO = 1000
RATIOS = (1, 1.125, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 12, 16, 20)
DIMENSIONS = (8, 16, 32, 64, 128)
PHASE_N, PHASE_DIMENSIONS = (1000, 10_000), (2, 4, 8, 16, 32, 64)
PHASE_POINTS = (3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


def name(run):
    """Name of a run among the results."""
    return f"05-linear-model/{run}"


def onset(dim, originals):
    """Settings of the run ``onset`` for one d.

    Parameters
    ----------
    dim : {16, 100}
    originals : {"fixed", "fresh"}

    Returns
    -------
    list of Setting
    """
    last = N if originals == "fixed" else FRESH_UP_TO
    return [Setting(n, dim, N, originals=originals, printed=True) for n in GRIDS[dim] if n <= last]


def alignment(dim):
    """Settings of the run ``alignment`` for one d, a list of Setting."""
    return [Setting(round(ratio * dim), dim, N, originals="expected") for ratio in RATIOS]


def phase(n_originals, dim):
    """Settings of the run ``phase`` for one N and d, a list of Setting."""
    return [Setting(n, dim, n_originals, originals="expected") for n in PHASE_POINTS]


def _arrays(settings, names, jobs):
    found = sweep(settings, SIMULATIONS, SEED, n_jobs=jobs)
    stacked = {key: torch.stack([one[key] for one in found]) for key in names}
    return {k: v.to(torch.int8) if k.startswith("sign") else v for k, v in stacked.items()}


def _onset(jobs):
    names = ("hellinger", "log_abs", "sign", "sign_expected", "sign_printed")
    for dim in GRIDS:
        for kind in ("fixed", "fresh"):
            for key, value in _arrays(onset(dim, kind), names, jobs).items():
                yield f"{key}_{kind}_{dim}", value


def _alignment(jobs):
    for dim in DIMENSIONS:
        for key, value in _arrays(alignment(dim), ("hellinger", "log_abs", "sign"), jobs).items():
            yield f"{key}_{dim}", value


def _phase(jobs):
    for n_originals in PHASE_N:
        parts = [
            _arrays(phase(n_originals, dim), ("log_abs", "sign"), jobs) for dim in PHASE_DIMENSIONS
        ]
        for key in parts[0]:
            yield f"{key}_{n_originals}", torch.stack([part[key] for part in parts])


RUNS = {"onset": _onset, "alignment": _alignment, "phase": _phase}
