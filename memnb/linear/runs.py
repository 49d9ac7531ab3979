"""Chapter 5: what the long runs compute. ``python -m memnb.linear <run>`` computes and keeps them.

- ``onset``: N = 10000 original points, 200 simulations of each n, for d = 16 and 100: with one
  fixed original set up to n = N, and with a fresh set for each simulation up to n = 1000.
- ``alignment``: d = 8 to 128, n from d to 20 d, in expectation over the 10000 original points.
- ``phase``: a map of n and d for two sizes N, in expectation over the original points.
- ``distance``: :math:`E_{OG}` in expectation over the original points, from n = d + 1 on, 1000
  simulations of each n.
- ``equal``: as many training points as original points, n = N, with a fresh original set for each
  of 1000 simulations.

They take minutes: in ``onset`` the pair term of n = 10000 training points is a sum over 5e7 pairs
in each simulation. The chapter reads them (:mod:`memnb.linear.readback`) and computes a random part
of them again.
"""

from dataclasses import dataclass

from .draws import Setting

__all__ = [
    "RUNS",
    "SEED",
    "Part",
    "Run",
    "alignment",
    "distance",
    "equal",
    "name",
    "onset",
    "phase",
]

SEED, N = 0, 10_000
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
DISTANCE_GRIDS = {
    16: (17, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 40, 48, 64, 100, 300, 1000),
    100: (101, 105, 110, 125, 150, 175, 200, 225, 250, 275, 300, 350, 400, 500, 700, 1000),
}
EQUAL_SIZES = {16: (50, 100, 200, 500, 1000), 100: (200, 500, 1000)}


@dataclass(frozen=True)
class Part:
    """One curve or map of a run: settings that differ in one or two numbers.

    Parameters
    ----------
    label : str
        End of the names of its arrays, as in ``"fixed_16"``.
    settings : tuple of Setting
        What is simulated.
    shape : tuple of int
        Shape in which the settings are arranged; each array has the simulations after it.
    """

    label: str
    settings: tuple[Setting, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Run:
    """A long run.

    Parameters
    ----------
    parts : tuple of Part
        What is simulated.
    quantities : tuple of str
        What is kept of each simulation, see :data:`memnb.linear.readback.QUANTITIES`.
    n_simulations : int
        Simulations of each setting.
    """

    parts: tuple[Part, ...]
    quantities: tuple[str, ...]
    n_simulations: int = 200


def name(run: str) -> str:
    """Name of a run among the results."""
    return f"05-linear-model/{run}"


def onset(dim: int, originals: str) -> tuple[Setting, ...]:
    """Settings of the run ``onset`` for d = 16 or 100 and a ``"fixed"`` or ``"fresh"`` set."""
    last = N if originals == "fixed" else FRESH_UP_TO
    sizes = [n for n in GRIDS[dim] if n <= last]
    return tuple(Setting(n, dim, N, originals=originals, transposed=True) for n in sizes)


def alignment(dim: int) -> tuple[Setting, ...]:
    """Settings of the run ``alignment`` for one d."""
    return tuple(Setting(round(ratio * dim), dim, N, originals="expected") for ratio in RATIOS)


def phase(n_originals: int) -> tuple[Setting, ...]:
    """Settings of the run ``phase`` for one N, dimension after dimension."""
    return tuple(
        Setting(n, dim, n_originals, originals="expected")
        for dim in PHASE_DIMENSIONS
        for n in PHASE_POINTS
    )


def distance(dim: int) -> tuple[Setting, ...]:
    """Settings of the run ``distance`` for one d."""
    return tuple(Setting(n, dim, N, originals="expected") for n in DISTANCE_GRIDS[dim])


def equal(dim: int) -> tuple[Setting, ...]:
    """Settings of the run ``equal`` for one d."""
    return tuple(Setting(size, dim, size, originals="fresh") for size in EQUAL_SIZES[dim])


def _curve(label: str, settings: tuple[Setting, ...]) -> Part:
    return Part(label, settings, (len(settings),))


RUNS = {
    "onset": Run(
        tuple(
            _curve(f"{kind}_{dim}", onset(dim, kind))
            for dim in GRIDS
            for kind in ("fixed", "fresh")
        ),
        ("hellinger", "log_abs", "sign", "sign_expected", "sign_printed"),
    ),
    "alignment": Run(
        tuple(_curve(str(dim), alignment(dim)) for dim in DIMENSIONS),
        ("hellinger", "log_abs", "sign"),
    ),
    "phase": Run(
        tuple(
            Part(str(size), phase(size), (len(PHASE_DIMENSIONS), len(PHASE_POINTS)))
            for size in PHASE_N
        ),
        ("log_abs", "sign"),
    ),
    "distance": Run(
        tuple(_curve(str(dim), distance(dim)) for dim in DISTANCE_GRIDS),
        ("log_distance", "sign"),
        n_simulations=1000,
    ),
    "equal": Run(
        tuple(_curve(str(dim), equal(dim)) for dim in EQUAL_SIZES),
        ("hellinger", "log_abs", "sign"),
        n_simulations=1000,
    ),
}
