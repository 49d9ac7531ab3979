"""Chapter 6: how trained networks are kept, one by one in a working folder, then as a run.

A *finished* network is one file of the working folder, ``RUN/KEY.pt``: its arrays, what is told
about its training, and the configuration. A *stored* network is a part of the committed results of
its run, ``results/06-unet-transition/RUN.npz`` and ``.json``. Files are written whole or not at
all, and results only if something has changed.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from memnb import results

from .metric import N_POOL, N_SIMULATIONS
from .runs import CHAPTER, RUNS, Network

__all__ = [
    "PACKAGES",
    "finished",
    "finished_path",
    "read_metric",
    "read_snapshots",
    "read_stored",
    "settings",
    "write",
    "write_metric",
    "write_run",
    "write_snapshots",
]

PACKAGES = ("diffusers", "scikit-learn")  # whose versions a record names beside torch's

Kept = dict[str, Any]  # "arrays": names to tensors, "about": device, date, seconds


def settings(network: Network) -> dict[str, Any]:
    """The configuration of a network, ready for JSON, without the device."""
    return {k: v for k, v in asdict(network.config()).items() if k != "device"}


def finished_path(run: str, network: Network, workdir: Path) -> Path:
    """The file of a finished network."""
    return Path(workdir) / run / f"{network.key}.pt"


def finished(run: str, network: Network, workdir: Path) -> Kept | None:
    """A finished network of the configuration of now, if there is one.

    Parameters
    ----------
    run : str
        Name of the run.
    network : Network
    workdir : path

    Returns
    -------
    dict or None
        ``arrays`` and ``about``.

    Raises
    ------
    ValueError
        If the file is cut off, or is none of a finished network.
    """
    path = finished_path(run, network, workdir)
    if not path.is_file():
        return None
    try:
        whole = torch.load(path, map_location="cpu", weights_only=True)
        right = isinstance(whole, dict) and {"arrays", "about", "training"} <= set(whole)
        right = right and {"device", "date", "seconds"} <= set(whole["about"])
    except Exception:  # torch names half a dozen, none of which says which file it was
        right = False
    if not right:
        raise ValueError(
            f"{path} is not a finished network, or is cut off; remove it, and the network is "
            f"trained anew"
        )
    if whole["training"] != settings(network):
        return None
    return {"arrays": whole["arrays"], "about": whole["about"]}


def write(
    run: str,
    network: Network,
    workdir: Path,
    arrays: Mapping[str, torch.Tensor],
    device: str,
    seconds: float,
) -> None:
    """Write a finished network, in place of one that may be there.

    Parameters
    ----------
    run, network, workdir
        As for :func:`finished`.
    arrays : dict of str to Tensor
    device : str
        The kind of device that it was trained on.
    seconds : float
        Wall time from the start, or from when a stopped training last went on.
    """
    date = time.strftime("%Y-%m-%d", time.gmtime())
    about = {"device": device, "date": date, "seconds": round(seconds, 1)}
    about["torch"] = str(torch.__version__)  # networks of a run may be from several machines
    with results.replacing(finished_path(run, network, workdir)) as fresh:
        torch.save(
            {"arrays": dict(arrays), "about": about, "training": settings(network)}, fresh
        )  # fmt: skip


def read_snapshots(path: Path, network: Network) -> dict[str, torch.Tensor]:
    """What a network that is still trained has generated so far, by name.

    Parameters
    ----------
    path : path
    network : Network

    Returns
    -------
    dict of str to Tensor
        Empty if there is no file, or one of another configuration.

    Raises
    ------
    ValueError
        If the file is cut off, or is none of this kind.
    """
    if not path.is_file():
        return {}
    try:
        whole = torch.load(path, map_location="cpu", weights_only=True)
        return whole["arrays"] if whole["training"] == settings(network) else {}
    except Exception as error:  # as in finished()
        raise ValueError(
            f"{path} holds no snapshots, or is cut off; remove it and the checkpoint beside it, "
            f"and the network is trained anew"
        ) from error


def write_snapshots(path: Path, network: Network, arrays: Mapping[str, torch.Tensor]) -> None:
    """Write what a network has generated so far, whole or not at all.

    Parameters
    ----------
    path : path
    network : Network
    arrays : dict of str to Tensor
    """
    with results.replacing(path) as fresh:
        torch.save({"arrays": dict(arrays), "training": settings(network)}, fresh)


def read_stored(run: str) -> tuple[dict[str, Kept], list[str]]:
    """The stored networks of a run.

    Parameters
    ----------
    run : str
        Name of the run.

    Returns
    -------
    stored : dict of str to dict
        ``arrays`` and ``about`` by key, of the networks that have the configuration of now.
    others : list of str
        Keys of stored networks that have another one, or that the run no longer has.

    Raises
    ------
    ResultsCorrupt
        If one of the two files is missing or damaged.
    """
    if not any(path.is_file() for path in results.where(f"{CHAPTER}/{run}")):
        return {}, []
    arrays, record = results.load(f"{CHAPTER}/{run}")
    common = record["parameters"]["training"]
    right = {network.key: settings(network) for network in RUNS[run]}
    stored, others = {}, []
    for key, entry in record["parameters"]["networks"].items():
        about = dict(entry)
        if common | about.pop("training") != right.get(key):
            others.append(key)
            continue
        start = f"{key}-"
        own = {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
        stored[key] = {"arrays": own, "about": about}
    return stored, others


def write_run(run: str, stored: Mapping[str, Kept], missing: Sequence[str]) -> bool:
    """Write the results of a run, unless they are there as they are.

    The record says what the configurations of all networks share, and for each network what its
    own has besides, where, when and with which torch it was trained, and for how long.

    Parameters
    ----------
    run : str
        Name of the run.
    stored : dict of str to dict
        ``arrays`` and ``about`` of each network, by key.
    missing : sequence of str
        Keys of the networks that the run has and ``stored`` has not.

    Returns
    -------
    bool
        Whether anything was written.
    """
    configs = {n.key: settings(n) for n in RUNS[run] if n.key in stored}
    first, *others = configs.values()
    common = {k: v for k, v in first.items() if all(other[k] == v for other in others)}
    arrays, networks = {}, {}
    for key, config in configs.items():
        own = {k: v for k, v in config.items() if k not in common}
        networks[key] = {"training": own, **stored[key]["about"]}
        arrays |= {f"{key}-{name}": value for name, value in stored[key]["arrays"].items()}
    parameters = {"training": common, "networks": networks, "missing": list(missing)}
    about = networks.values()
    return _save(
        run,
        arrays,
        parameters,
        device="; ".join(sorted({entry["device"] for entry in about})),
        seconds=sum(entry["seconds"] for entry in about),
    )


def read_metric(prints: Mapping[str, str]) -> dict[str, tuple[torch.Tensor, float]]:
    """The stored rows of the run ``metric`` that were measured on the images of now.

    Parameters
    ----------
    prints : dict of str to str
        What :func:`memnb.unet.metric.fingerprint` returns for each network, by run and key.

    Returns
    -------
    dict of str to (Tensor, float)
        Rows, and the seconds that they took.

    Raises
    ------
    ResultsCorrupt
        If one of the two files is missing or damaged.
    """
    if not any(path.is_file() for path in results.where(f"{CHAPTER}/metric")):
        return {}
    arrays, record = results.load(f"{CHAPTER}/metric")
    about = record["parameters"].get("networks", {})
    return {
        name: (arrays[name], about[name]["seconds"])
        for name in prints
        if name in arrays and about.get(name, {}).get("images") == prints[name]
    }


def write_metric(
    measured: Mapping[str, tuple[torch.Tensor, float]], prints: Mapping[str, str]
) -> bool:
    """Write the results of the run ``metric``, unless they are there as they are.

    Parameters
    ----------
    measured : dict of str to (Tensor, float)
        Rows and seconds, as :func:`read_metric` returns them.
    prints : dict of str to str
        As for :func:`read_metric`.

    Returns
    -------
    bool
        Whether anything was written.
    """
    arrays = {name: rows for name, (rows, _) in measured.items()}
    about = {
        name: {"images": prints[name], "seconds": round(seconds, 1)}
        for name, (_, seconds) in measured.items()
    }
    parameters = {"n_simulations": N_SIMULATIONS, "n_pool": N_POOL, "networks": about}
    seconds = sum(entry["seconds"] for entry in about.values())
    return _save("metric", arrays, parameters, device=results.cpu(), seconds=seconds)


def _save(
    run: str,
    arrays: Mapping[str, torch.Tensor],
    parameters: Mapping[str, Any],
    device: str,
    seconds: float,
) -> bool:
    name = f"{CHAPTER}/{run}"
    if all(path.is_file() for path in results.where(name)):
        old, record = results.load(name)
        if record["parameters"] == parameters and _same(old, arrays):
            return False
    results.save(
        name,
        arrays,
        command=f"python -m memnb.unet {run}",
        parameters=parameters,
        seed=0,
        device=device,
        seconds=seconds,
        packages=PACKAGES,
    )
    return True


def _same(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor]) -> bool:
    """Whether two sets of arrays are the same, bit by bit and in dtype."""
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a
    )
