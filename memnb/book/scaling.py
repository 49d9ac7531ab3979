r"""The book: the page on machines beyond one, computed from measured units and kept runs.

A long run consists of independent units. How long w workers take for them is the makespan of a
schedule: here each worker that is free takes the longest unit that is left, which is at most 4/3 of
the best one (Graham, *Bounds on multiprocessing timing anomalies*, SIAM J. Appl. Math. 17, 1969).
"""

import heapq
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import linear_regression
from typing import Any

__all__ = ["UNITS", "Unit", "exponents", "makespan", "scaling_page"]

WORKERS = (1, 16, 256)
SEEDS = 5  # of the paper's Figure 4


@dataclass(frozen=True)
class Unit:
    """A kind of unit.

    Parameters
    ----------
    what, part : str
        The unit, and the part of it that is measured.
    sizes : tuple of str
        Names of the sizes it depends on.
    base : tuple of int
        The sizes of which all but one are kept when growth is measured.
    """

    what: str
    part: str
    sizes: tuple[str, ...]
    base: tuple[int, ...]


UNITS = {
    "path": Unit(
        "a path of networks for one N and one method (Chapter 4)",
        "one step of one network",
        ("N", "d", "M"),
        (11, 30, 500),
    ),
    "U-Net": Unit(
        "a network of 12.9 million parameters for one n and one seed (Chapter 6)",
        "one gradient step",
        ("batch",),
        (128,),
    ),
    "linear": Unit(
        "a block of at most 25 simulations (Chapter 5)",
        "one simulation",
        ("n", "d", "N"),
        (1000, 100, 10_000),
    ),
}


def makespan(durations: Iterable[float], workers: int) -> float:
    """How long workers take that each begin the longest unit left whenever they are free.

    Parameters
    ----------
    durations : iterable of float
        Of independent units.
    workers : int
        At least 1.

    Returns
    -------
    float

    Examples
    --------
    >>> makespan([3, 3, 2, 2, 2], 2)
    7
    """
    busy = [0] * workers
    for duration in sorted(durations, reverse=True):
        heapq.heapreplace(busy, busy[0] + duration)
    return max(busy)


def _along(rows: Sequence[Mapping[str, Any]], kind: str, name: str) -> list[Mapping[str, Any]]:
    """Rows of one kind in which all sizes but one are those of the base, by that size."""
    unit = UNITS[kind]
    others = {k: v for k, v in zip(unit.sizes, unit.base, strict=True) if k != name}
    some = [r for r in rows if r["kind"] == kind and others.items() <= r["size"].items()]
    return sorted(some, key=lambda row: row["size"][name])


def _slope(x: Iterable[float], y: Iterable[float]) -> float:
    """Exponent of a power law, by least squares of logarithms."""
    return linear_regression([math.log(v) for v in x], [math.log(v) for v in y]).slope


def exponents(
    rows: Sequence[Mapping[str, Any]], kind: str, of: str = "seconds"
) -> dict[str, float]:
    """Exponents of power laws, by least squares of logarithms, one size at a time.

    Parameters
    ----------
    rows : sequence of dict
        ``kind``, ``size``, ``seconds`` and ``bytes``, as ``benchmarks.units`` measures them.
    kind : {"path", "U-Net", "linear"}
    of : {"seconds", "bytes"}
        What grows.

    Returns
    -------
    dict of str to float
        By the name of the size.
    """
    found = {}
    for name in UNITS[kind].sizes:
        some = _along(rows, kind, name)
        x, y = [row["size"][name] for row in some], [row[of] for row in some]
        found[name] = _slope(x, y)
    return found


def _paths(rows: Sequence[Mapping[str, Any]]) -> tuple[list[float], float]:
    """Seconds of the kept paths from the measured steps, and wall time of that run."""
    from memnb import results

    arrays, record = results.load("04-trained-denoisers/flows-d30-s150-continuation")
    told = record["parameters"]
    step = {row["size"]["N"]: row["seconds"] for row in _along(rows, "path", "N")}
    durations = []
    for N in told["counts"]:
        rounds, alive = (arrays[f"{name}_{N}"].double() for name in ("rounds", "units"))
        share = alive / (told["units_per_ramp"] * (N - 1))  # a step without the dead units
        durations.append(float((rounds * share).sum()) * told["steps"] * step[N])
    return durations, record["seconds"]


def _unets() -> dict[int, float]:
    """Wall time in seconds of the kept networks of the paper's size on a CPU core, by n."""
    from memnb import results

    told = results.load("06-unet-transition/bfloat16")[1]["parameters"]["networks"]
    by_n = {int(re.match(r"n(\d+)-", key)[1]): network["seconds"] for key, network in told.items()}
    return dict(sorted(by_n.items()))


def _blocks(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """Seconds of the blocks of ``onset`` with a fixed original set, by the power laws."""
    from memnb.linear.experiment import NUMBERS, SIMULATIONS
    from memnb.linear.runs import RUNS

    unit, power = UNITS["linear"], exponents(rows, "linear")
    base = dict(zip(unit.sizes, unit.base, strict=True))
    at_base = next(r["seconds"] for r in rows if r["kind"] == "linear" and r["size"] == base)
    run, durations = RUNS["onset"], []
    for setting in (s for part in run.parts for s in part.settings if s.originals == "fixed"):
        sizes = {"n": setting.n, "d": setting.dim, "N": setting.n_originals}
        one = at_base * math.prod((sizes[k] / base[k]) ** power[k] for k in base)
        size = max(1, min(SIMULATIONS, NUMBERS // (setting.n * setting.dim)))
        whole, left = divmod(run.n_simulations, size)
        durations += [size * one] * whole + [left * one] * (left > 0)
    return durations


def _figure(rows: Sequence[Mapping[str, Any]], unets: Mapping[int, float]) -> str:
    """Time against each size, both over those of the base, as HTML."""
    import torch

    from memnb.figures.curves import Curve, curves_figure
    from memnb.figures.display import plot_html
    from memnb.figures.style import setup

    setup()
    panels = {}
    for kind, title in (("path", "path: one step"), ("linear", "linear: one simulation")):
        curves = panels[title] = {}
        for name, base in zip(UNITS[kind].sizes, UNITS[kind].base, strict=True):
            some = _along(rows, kind, name)
            one = next(row["seconds"] for row in some if row["size"][name] == base)
            x, y = ([r["size"][name] / base for r in some], [r["seconds"] / one for r in some])
            curves[name] = Curve(torch.tensor(x), torch.tensor(y), mode="lines+markers")
    x, y = ([n / 1000 for n in unets], [s / unets[1000] for s in unets.values()])
    n = Curve(torch.tensor(x), torch.tensor(y), mode="lines+markers")
    panels["U-Net: one network"] = {"n, base 1000": n}
    figure = curves_figure(panels, "size, base = 1", "time, base = 1", log_y=True)
    alt = (
        "Time of one part against each of its sizes, both relative to the base and on "
        "logarithmic axes, in three panels. Curves rise along nearly straight lines, whose "
        "slopes are the exponents of the table; that for d in a path is flat where d is small, and "
        "that for n in the linear model gets steeper."
    )
    figure.update_layout(meta={"alt": alt})
    return plot_html(figure)


def _growth(unets: Mapping[int, float]) -> float:
    """Exponent of the time of a whole U-Net in n, from 100 on."""
    some = {n: seconds for n, seconds in unets.items() if n >= 100}
    return _slope(some, some.values())


def _table(columns: str, rows: Iterable[Iterable[str]]) -> list[str]:
    numbers = columns.count("|") if "Units" in columns else 0
    head = [f"| {columns} |", "|:--" * (columns.count("|") + 1 - numbers) + "|--:" * numbers + "|"]
    return [*head, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2g}" if seconds < 36_000 else f"{seconds / 3600:.0f}"


USE = """# Beyond one machine

Long runs consist of units that do not depend on each other: {units}. One option spreads them, and
nothing else about the commands or their results changes:

- `python -m memnb.shallow continuation --profile paper --jobs 2` has two processes on one machine.
- `--scheduler tcp://HOST:8786` hands the units to the workers of a Dask scheduler. They need this
  package, and the working folder (`--workdir`) under the same path.
- Under SLURM, `dask-jobqueue` starts the workers. In a Python process that stays alive:

```python
from dask_jobqueue import SLURMCluster

cluster = SLURMCluster(cores=1, memory="{memory} GB", walltime="12:00:00")
cluster.scale(jobs=16)
print(cluster.scheduler_address)  # for --scheduler
```

A unit whose worker dies is given to another one, which goes on from its last checkpoint; a run that
was stopped goes on when the same command is given again, with the units that are missing."""


def scaling_page(measured: Mapping[str, Any]) -> str:
    """Markdown of the page "Beyond one machine".

    Parameters
    ----------
    measured : dict
        ``rows``, ``machine``, ``date``, ``versions`` and ``command``, as
        ``python -m benchmarks.units --keep`` writes them to ``results/units.json``.

    Returns
    -------
    str
    """
    if not measured:
        return "# Beyond one machine\n\nNothing was measured: `python -m benchmarks.units --keep`."
    rows, unets = measured["rows"], _unets()
    most = {kind: max(r["bytes"] for r in rows if r["kind"] == kind) / 1e9 for kind in UNITS}
    units = "; ".join(unit.what for unit in UNITS.values())
    lines = [USE.format(units=units, memory=math.ceil(2 * max(most.values()))), ""]
    lines += ["## What a unit takes, and how it grows", ""]
    about = []
    for kind, unit in UNITS.items():
        base = dict(zip(unit.sizes, unit.base, strict=True))
        one = next(r for r in rows if r["kind"] == kind and r["size"] == base)
        seconds, memory = (exponents(rows, kind, of) for of in ("seconds", "bytes"))
        power = ", ".join(f"{k}: {seconds[k]:.2f} ({memory[k]:.2f})" for k in seconds)
        size = ", ".join(f"{k} = {v}" for k, v in base.items())
        took = f"{one['seconds']:.3g} s, {one['bytes'] / 1e9:.2f} GB"
        about.append((f"{kind}: {unit.part}", size, took, power))
    lines += _table("Part | Base | CPU time, memory at the base | Exponents: time (memory)", about)
    lines += [
        f"`{measured['command']}`, {measured['date']}; {measured['machine']}. Memory is all that "
        "the process holds, imports included.",
        "",
        f"```{{raw}} html\n{_figure(rows, unets)}\n```",
        "",
        "*What to look at.* Slopes. A step of a path grows with N faster than with d or M, since "
        "the number of units grows with N as that of the samples does. A U-Net is trained for as "
        f"many epochs whatever n is: its time grows with an exponent of {_growth(unets):.2f} for "
        "n from 100 on, where a constant part no longer counts. One exponent is a rough summary of "
        "a curve that bends: of the linear model's pairs, those of two training points take over "
        "when n is large.",
        "",
        "## What the papers' sizes cost",
        "",
    ]
    paths, kept = _paths(rows)
    grids = {
        "Figure 3 of {cite:t}`zeno2025memorize`, d = 30: one path for each N": paths,
        f"Figure 4 of {{cite:t}}`halder2025onset`: the n that were kept, {SEEDS} seeds": [
            x for x in unets.values() for _ in range(SEEDS)
        ],
        "Linear model, `onset` with a fixed original set: 200 simulations each": _blocks(rows),
    }
    cost = []
    for what, durations in grids.items():
        for times in (1, 10):
            some = durations * times
            cost.append((
                what if times == 1 else "ten times as many",
                str(len(some)),
                *(_hours(makespan(some, workers)) for workers in WORKERS),
                _hours(max(some)),
            ))  # fmt: skip
    head = "Grid | Units | " + " | ".join(f"{w} worker{'s' * (w > 1)}, h" for w in WORKERS)
    lines += _table(f"{head} | longest unit, h", cost)
    lines += [
        "Hours from a simulated schedule in which each free worker takes the longest unit left; "
        "starting the workers, and the network between them, are not in it. A grid is never done "
        "before its longest unit: more workers than units help nobody. Paths are computed from the "
        "measured steps and the kept rounds and living units "
        f"({_hours(sum(paths))} h in all; the kept run took {_hours(kept)} h of wall time on a "
        "busy machine, ends of the flows included), U-Nets are kept wall times of one core in "
        "bfloat16, and blocks follow the power laws above.",
        "",
    ]
    return "\n".join(lines)
