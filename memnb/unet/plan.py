"""Chapter 6: which networks of a run are trained, and which are taken as they are.

A network can be *stored* in the committed results, or *finished* in the working folder, each with
the configuration that it has now. What is neither is *new*. Everything here is a pure function of
names, so that it can be tested whole; :mod:`memnb.unet.__main__` does what the plan says.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .runs import Network

__all__ = ["Step", "missing", "plan", "selection"]


@dataclass(frozen=True)
class Step:
    """What is done for one network.

    Parameters
    ----------
    network : Network
    source : {"train", "finished", "stored"}
        Train it, or take it from the working folder, or from the stored results.
    """

    network: Network
    source: str


def selection(
    networks: Sequence[Network], max_n: int | None = None, max_seed: int | None = None
) -> list[Network]:
    """The networks with at most so many images and a seed at most so high, in their order."""
    return [
        network
        for network in networks
        if (max_n is None or network.n <= max_n) and (max_seed is None or network.seed <= max_seed)
    ]


def plan(
    networks: Sequence[Network],
    stored: Collection[str],
    finished: Collection[str],
    selected: Collection[str],
    *,
    again: bool = False,
    partial: bool = False,
) -> list[Step]:
    """What is done for each network of a run.

    A selected network is trained if it is new, and with ``again`` in any case. All others are
    taken from where they are: the working folder first, since what is there came later. New ones
    that are not selected are left out.

    Parameters
    ----------
    networks : sequence of Network
        All networks of the run, in the order of training.
    stored, finished, selected : collection of str
        Keys of networks; ``stored`` and ``finished`` of those that have the configuration of now.
    again : bool
        Train also what is stored or finished, if it is selected.
    partial : bool
        Train nothing.

    Returns
    -------
    list of Step
        In the order of ``networks``, at most one for each.

    Raises
    ------
    ValueError
        If nothing is left to do or to take.
    """
    steps = []
    for network in networks:
        chosen = network.key in selected and not partial
        if chosen and again:
            source = "train"
        elif network.key in finished:
            source = "finished"
        elif network.key in stored:
            source = "stored"
        elif chosen:
            source = "train"
        else:
            continue
        steps.append(Step(network, source))
    if not steps:
        raise ValueError("no network of the run is selected, finished or stored")
    return steps


def missing(networks: Sequence[Network], steps: Sequence[Step]) -> list[str]:
    """Keys of the networks of which a plan says nothing."""
    planned = {step.network.key for step in steps}
    return [network.key for network in networks if network.key not in planned]
