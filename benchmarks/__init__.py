"""Side-by-side timings. Each is a ratio measured in one process, never a test."""

import argparse

import torch


def is_quick(doc, help):
    """Read ``--quick`` from the command line, and let torch use one thread.

    Parameters
    ----------
    doc : str
        Docstring of the benchmark; its first line describes the command.
    help : str
        What a quick run is.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=help)
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    return quick


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
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=help)
    parser.add_argument("--keep", action="store_true", help="write the table to results/")
    options = parser.parse_args(arguments)
    if options.quick and options.keep:
        parser.error("a quick run is not worth keeping: give --quick or --keep")
    torch.set_num_threads(1)
    return options.quick, options.keep
