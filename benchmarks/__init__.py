"""Side-by-side timings. Each is a ratio measured in one process, never a test.

A module prints its own table, ``python -m benchmarks.NAME``. Its function ``compare`` gives the
rows of the book's page of benchmarks, which ``python -m benchmarks`` collects.
"""

import argparse
import statistics
import time
from dataclasses import dataclass

import torch

from memnb import results


@dataclass(frozen=True)
class Compared:
    """Two ways to do the same thing, measured side by side: one row of the page of benchmarks.

    Parameters
    ----------
    kind : str
        Title of the table.
    case : str
        What both do, and its size.
    ours, reference : str
        The two ways.
    of_ours, of_reference : float
        What they took.
    target : float, optional
        The ratio ``of_reference / of_ours`` is to be at least this.
    unit : str
        Of both measurements.
    note : str
        What else is to be known, such as how far both results are apart.
    """

    kind: str
    case: str
    ours: str
    reference: str
    of_ours: float
    of_reference: float
    target: float | None = None
    unit: str = "s"
    note: str = ""


def in_turns(arms, repeats):
    """Median wall times of functions that run in turns, and what each returned.

    Parameters
    ----------
    arms : dict of str to callable
        Functions without arguments; the first call of each is a warm-up.
    repeats : int
        How often each is timed.

    Returns
    -------
    tuple of dict
        Seconds and values by name.
    """
    values, seconds = {name: run() for name, run in arms.items()}, {name: [] for name in arms}
    for _ in range(repeats):
        for name, run in arms.items():
            began = time.perf_counter()
            values[name] = run()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(spent) for name, spent in seconds.items()}, values


def is_quick(doc, help):
    """Read ``--quick`` from the command line, and let torch use one thread.

    Parameters
    ----------
    doc : str
        Docstring of the benchmark; its first line describes the command.
    help : str
        What a quick run is.
    """
    quick = _parser(doc, help).parse_args().quick
    torch.set_num_threads(1)
    return quick


def _parser(doc, help):
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=help)
    return parser


def quick_or_keep(doc, help, arguments=None):
    """As :func:`is_quick`, with ``--keep`` beside it: whether the table goes to ``results/``.

    Parameters
    ----------
    doc, help : str
        See :func:`is_quick`.
    arguments : list of str, optional
        Instead of the command line.

    Returns
    -------
    tuple of bool
        Quick, keep; not both.
    """
    parser = _parser(doc, help)
    parser.add_argument("--keep", action="store_true", help="write the table to results/")
    options = parser.parse_args(arguments)
    if options.quick and options.keep:
        parser.error("a quick run is not worth keeping: give --quick or --keep")
    torch.set_num_threads(1)
    return options.quick, options.keep


def keep_table(name, arrays, benchmark, parameters, began, packages=()):
    """Keep what a benchmark measured, for the chapter that shows it.

    Parameters
    ----------
    name : str
        As for :func:`memnb.results.save`; likewise ``arrays``, ``parameters`` and ``packages``.
    benchmark : str
        Name of its module, as in ``python -m benchmarks.NAME --keep``.
    began : float
        Reading of ``time.perf_counter`` at the start.
    """
    return results.save(
        name,
        arrays,
        command=f"python -m benchmarks.{benchmark} --keep",
        parameters=parameters,
        seed=0,
        device=results.cpu(),
        seconds=time.perf_counter() - began,
        packages=packages,
    )
