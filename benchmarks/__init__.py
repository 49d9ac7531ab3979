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
