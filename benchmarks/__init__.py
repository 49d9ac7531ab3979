"""Side-by-side timings. Each is a ratio measured in one process, never a test."""

import argparse
import time

import torch

from memnb import results


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
