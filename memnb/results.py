r"""All chapters: committed results of long runs, their provenance, and a checksum as a guard.

A run that takes minutes or hours is done once and kept as two files under ``results/``,

- ``results/<chapter>/<run>.npz``, the arrays, compressed, and
- ``results/<chapter>/<run>.json``, their provenance: the command, its parameters and seed, the
  versions of Python and the libraries, the kind of device, the date, the wall time, and the SHA-256
  of the arrays' file.

A chapter loads a run with :func:`load`, which refuses arrays that are not the ones recorded, and
recomputes a random part of what they claim. Use the chapter's file name (``04-trained-denoisers``)
as ``<chapter>``: what is kept under it is part of what that chapter's outputs depend on, and a
change executes the chapter again.
"""

import hashlib
import io
import json
import math
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from memnb import checkout
from memnb.validation import check_real

__all__ = ["ResultsCorrupt", "cpu", "load", "replacing", "save", "where"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*/[a-z0-9][a-z0-9_-]*")
_FIELDS = ("command", "parameters", "seed", "device", "seconds")


class ResultsCorrupt(RuntimeError):
    """The arrays of a run are missing, or are not the ones that its provenance describes."""


def where(name: str, root: str | Path | None = None) -> tuple[Path, Path]:
    """The two files of a run.

    Parameters
    ----------
    name : str
        ``"<chapter>/<run>"``, lower-case letters, digits, ``-`` and ``_``.
    root : path, optional
        Folder of all results; ``results/`` of the checkout if not given.

    Returns
    -------
    data, record : Path
        The ``.npz`` and the ``.json`` file, whether they exist or not.

    Raises
    ------
    ValueError
        If the name is none.
    NoCheckout
        If no folder is given and the package was installed without the book.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"name must be '<chapter>/<run>' of lower-case letters, digits, - and _, got {name!r}"
        )
    folder = Path(root) if root is not None else checkout.root() / "results"
    return folder / f"{name}.npz", folder / f"{name}.json"


def cpu() -> str:
    """The kind of device when everything ran on the CPU, for provenance.

    Returns
    -------
    str
    """
    return f"CPU, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s) used"


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file so that it is there whole or not at all, also if two processes write it.

    Parameters
    ----------
    path : path
        The file; its folder is made if it is not there.

    Yields
    ------
    Path
        A name in the same folder, of this process alone, to write to. It takes the place of
        ``path`` when the block ends, and is removed if the block raises.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "a.txt") as fresh:
    ...         _ = fresh.write_text("whole")
    ...     [p.name for p in Path(folder).iterdir()]
    ['a.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield fresh
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def save(
    name: str,
    arrays: Mapping[str, Any],
    *,
    command: str,
    parameters: Mapping[str, Any],
    seed: int,
    device: str,
    seconds: float,
    packages: Sequence[str] = (),
    root: str | Path | None = None,
) -> dict[str, Any]:
    """Keep a run.

    Parameters
    ----------
    name : str
        ``"<chapter>/<run>"``, see :func:`where`.
    arrays : dict of str to Tensor or array
        What the run found; numeric or boolean, without NaN.
    command : str
        The command that repeats the run, as typed in the root of the book.
    parameters : dict
        All its parameters, ready for JSON.
    seed : int
        Its seed.
    device : str
        The kind of device, as :func:`cpu` says it.
    seconds : float
        Wall time of the run.
    packages : sequence of str
        Packages whose versions are recorded besides those of torch and numpy.
    root : path, optional
        Folder of all results; see :func:`where`.

    Returns
    -------
    dict
        The provenance that was written.

    Raises
    ------
    ValueError
        If an array is not numeric or holds NaN, or the provenance cannot be JSON; nothing is
        written then.
    NoCheckout
        See :func:`where`.
    """
    data_path, record_path = where(name, root)
    seconds = check_real("seconds", seconds, 0, math.inf, open_high=True)
    plain = {}
    for key, value in arrays.items():
        value = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
        plain[key] = value = np.asarray(value)
        if value.dtype.kind not in "biuf":
            raise ValueError(f"arrays[{key!r}] must be numeric or boolean, got {value.dtype}")
        if value.dtype.kind == "f" and np.isnan(value).any():
            raise ValueError(f"arrays[{key!r}] must not hold NaN")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **plain)
    content = buffer.getvalue()
    record = {
        "command": command,
        "parameters": parameters,
        "seed": seed,
        "device": device,
        "seconds": round(seconds, 1),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in ("torch", "numpy", *packages)},
        "arrays": {k: {"shape": list(v.shape), "dtype": str(v.dtype)} for k, v in plain.items()},
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    # Arrays first: a kill in between leaves a checksum that does not fit, which load() reports.
    for path, written in ((data_path, content), (record_path, text.encode())):
        with replacing(path) as fresh:
            fresh.write_bytes(written)
    return record


def load(
    name: str, root: str | Path | None = None
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Load a run, having compared its arrays with their checksum.

    Parameters
    ----------
    name : str
        ``"<chapter>/<run>"``.
    root : path, optional
        Folder of all results; see :func:`where`.

    Returns
    -------
    arrays : dict of str to Tensor
        On the CPU, in the dtypes they were saved in.
    provenance : dict
        As :func:`save` wrote it.

    Raises
    ------
    ResultsCorrupt
        If a file is missing or unreadable, or the checksum does not fit.
    NoCheckout
        See :func:`where`.
    """
    data_path, record_path = where(name, root)
    for path in (data_path, record_path):
        if not path.is_file():
            raise ResultsCorrupt(f"result {name!r} has no file {path.name}")
    try:
        record = json.loads(record_path.read_text())
        expected = record["sha256"]
        missing = [field for field in _FIELDS if field not in record]
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsCorrupt(f"{record_path.name} of result {name!r} is unreadable") from error
    if missing:
        raise ResultsCorrupt(f"{record_path.name} of result {name!r} lacks {', '.join(missing)}")
    content = data_path.read_bytes()
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise ResultsCorrupt(
            f"{data_path.name} of result {name!r} has SHA-256 {actual[:12]}..., "
            f"its provenance says {expected[:12]}..."
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {key: torch.from_numpy(archive[key]) for key in archive.files}, record
