"""Chapter 7: what an audit is given: three arrays, files or image stacks, and what is refused.

The three sets are **training**, what the model was trained on; **generated**, what it made; and
**held out**, points of the same source that it was not trained on. Held-out points are what every
number is compared with: they cannot be copies, so what a metric says of them is its null.
"""

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from memnb.validation import check_integer

from .rows import Equal, chunks, equal_points

__all__ = ["MIN_POINTS", "Sets", "load_array", "read_sets"]

MIN_POINTS = 50
LARGEST = {8: 1e150, 4: 1e15}  # by bytes of a number, so that sums of squares do not overflow
N_COMPONENTS = 20_000  # points to which principal components are fitted
LEVEL = 1e-3  # of the test for held-out points that are training points
RANGE_VALUES = 4_000_000


@dataclass(frozen=True, eq=False)
class Sets:
    """The three sets of an audit, as rows.

    Parameters
    ----------
    training, generated, held_out : ndarray, shape (n, d), (m, d), (h, d)
        float32 or float64, finite; possibly a memory map.
    image_shape : tuple of int or None
        Shape of one item before it was made a row, if the items are images and the rows are still
        their pixels.
    notes : tuple of str
        What a reader of the result must know: points that were left out, constant columns.
    equal : Equal or None
        How many points are equal to training points.
    doubts : tuple of str
        Likely mistakes in the sets, as questions.
    pictures : Sets or None
        The images that were mapped to features.
    """

    training: np.ndarray
    generated: np.ndarray
    held_out: np.ndarray
    image_shape: tuple[int, ...] | None
    notes: tuple[str, ...] = ()
    equal: Equal | None = None
    doubts: tuple[str, ...] = ()
    pictures: "Sets | None" = None

    def items(self) -> list[tuple[str, np.ndarray]]:
        """The sets with their names."""
        return [(name, getattr(self, name)) for name in ("training", "generated", "held_out")]


def load_array(name: str, value: Any) -> np.ndarray:
    """An array from a tensor, an array, a list, or a ``.npy`` or ``.npz`` file.

    Parameters
    ----------
    name : str
        Name of the argument, for messages.
    value : Tensor, array, nested list, or path
        A ``.npy`` file is mapped into memory, not read; a ``.npz`` file must hold one array.

    Returns
    -------
    ndarray
        Of a real dtype, with its shape as it came.

    Raises
    ------
    TypeError
        If the dtype is not real and numeric, or values are masked.
    ValueError
        If the file is missing or is no such file, or the rows of a list differ in length.
    """
    if isinstance(value, (str, Path)):
        value = _load_file(name, Path(value))
    elif isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must be an array without a mask, got a masked one")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be an array, got rows of different shapes") from error
    if array.dtype.kind not in "uif":
        raise TypeError(f"{name} must be an array of real numbers, got dtype {array.dtype}")
    return array


def _load_file(name: str, path: Path) -> np.ndarray:
    if not path.is_file():
        raise ValueError(f"{name} must name a file, but there is none at {path}")
    try:
        content = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        objects = "objects" in str(error) or "Object" in str(error)
        reason = "holds Python objects" if objects else "is no .npy or .npz file"
        raise ValueError(f"{name} must be an array of numbers, but {path.name} {reason}") from error
    if isinstance(content, np.ndarray):
        return content
    with content:
        if len(content.files) != 1:
            raise ValueError(
                f"{name} must be a .npz file of one array, but {path.name} holds "
                f"{', '.join(content.files) or 'none'}"
            )
        try:
            return content[content.files[0]]
        except ValueError as error:
            raise ValueError(f"{name}: {path.name} holds Python objects, not numbers") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise ValueError(f"{name}: the array in {path.name} cannot be read: {error}") from error


def _rows(name: str, array: np.ndarray) -> np.ndarray:
    if array.ndim == 0:
        raise ValueError(f"{name} must have shape (points, ...), got a single number")
    if len(array) < MIN_POINTS:
        raise ValueError(f"{name} must have at least {MIN_POINTS} points, got {len(array)}")
    rows = array.reshape(len(array), -1)
    if rows.shape[1] == 0:
        raise ValueError(f"{name} must have at least one column, got shape {array.shape}")
    return rows


def _check_finite(name: str, rows: np.ndarray) -> None:
    if rows.dtype.kind != "f":
        return
    bad = sum(int((~np.isfinite(rows[part]).all(axis=1)).sum()) for part in chunks(rows))
    if bad:
        raise ValueError(f"{name} must be finite, but {bad} of {len(rows)} points hold nan or inf")
    limit = LARGEST.get(min(rows.dtype.itemsize, 8), np.inf)
    most = max(float(np.abs(rows[part]).max()) for part in chunks(rows))
    if most > limit:
        raise ValueError(
            f"{name} must be at most {limit:g} in size, since larger squares overflow, got "
            f"{most:.3g}"
        )


def _common(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All sets in one floating-point dtype; uint8 images in [0, 1]."""
    small = [name for name, x in arrays.items() if x.dtype == np.uint8]
    if small and len(small) < 3:
        other = next(name for name in arrays if name not in small)
        raise TypeError(
            f"training, generated and held_out must share one scale, but {small[0]} is uint8 "
            f"(0 to 255) and {other} is {arrays[other].dtype}: divide by 255 where needed"
        )
    if small:
        floats = {name: x.astype(np.float32) for name, x in arrays.items()}
        for x in floats.values():
            x /= np.float32(255)  # in place: three sets of images may fill most of the memory
        return floats
    wide = any(x.dtype.itemsize >= 8 or x.dtype.kind in "ui" for x in arrays.values())
    dtype = np.float64 if wide else np.float32
    return {name: x if x.dtype == dtype else x.astype(dtype) for name, x in arrays.items()}


def _without_overlap(held_out: np.ndarray, equal: Equal, which: np.ndarray) -> tuple[Any, str]:
    """Held-out points without those that are training points, if these are no coincidences."""
    if not equal.held_out:
        return held_out, ""
    said = f"{equal.held_out} of {len(held_out)} held-out points are also training points"
    if not equal.left_out:
        return held_out, (
            f"{said}, no more than chance makes equal where values are few: they count as copies, "
            "as equal generated points do"
        )
    rest = len(held_out) - equal.held_out
    if rest < MIN_POINTS:
        raise ValueError(
            f"held_out must not overlap training: {said}, which leaves {rest}, and at least "
            f"{MIN_POINTS} are needed"
        )
    return held_out[~which], f"{said}; they were left out"


def _constant_columns(arrays: dict[str, np.ndarray]) -> str:
    """Columns that have one and the same value in all sets."""
    lows, highs = (
        [f([f(x[part], axis=0) for part in chunks(x)], axis=0) for x in arrays.values()]
        for f in (np.min, np.max)
    )
    constant = np.min(lows, axis=0) == np.max(highs, axis=0)
    count = int(constant.sum())
    if count == len(constant):
        raise ValueError("training, generated and held_out must vary, but every column is constant")
    return f"{count} of {len(constant)} columns are constant and say nothing" if count else ""


def _evenly(length: int, count: int) -> np.ndarray:
    """So many of the indices below ``length``, from the first to the last."""
    return np.linspace(0, length - 1, count).astype(int)


def _range(rows: np.ndarray) -> tuple[float, float]:
    """Where 99 % of the values of a set lie, from some of its rows."""
    count = min(len(rows), max(1, RANGE_VALUES // rows.shape[1]))
    some = rows[_evenly(len(rows), count)]
    return tuple(float(q) for q in np.quantile(some, (0.005, 0.995)))


def _scale_doubts(arrays: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Which sets seem to be on another scale than the training set."""
    low, high = _range(arrays["training"])
    doubts = []
    for name, rows in arrays.items():
        a, b = _range(rows)
        width = high - low
        beyond = a < low - width / 2 or b > high + width / 2
        shifted = abs(a + b - low - high) / 2 > width / 5
        if width > 0 and (beyond or shifted or 0 < b - a < width / 20):
            doubts.append(
                f"values of {name.replace('_', '-')} points lie from {a:.3g} to {b:.3g}, those of "
                f"training points from {low:.3g} to {high:.3g}: are they on one scale"
            )
    return tuple(doubts)


def _features(
    features: Callable[[np.ndarray], Any] | int | None, arrays: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], str]:
    """The sets in a feature space."""
    if features is None:
        return arrays, ""
    if callable(features):
        moved = {}
        for name, rows in arrays.items():
            label = f"features({name})"
            moved[name] = _rows(label, load_array(label, features(rows)))
            if len(moved[name]) != len(rows):
                raise ValueError(
                    f"features must return one row for each point, got {len(moved[name])} for the "
                    f"{len(rows)} points of {name}"
                )
            _check_finite(label, moved[name])
        width = {len(rows.T) for rows in moved.values()}
        if len(width) > 1:
            raise ValueError(f"features must return rows of one length, got {sorted(width)}")
        return _common(moved), f"features: {getattr(features, '__name__', 'a function')}"
    from sklearn.decomposition import PCA

    # Of both sets alike, which the components must not tell apart: fitted to the training set
    # alone, they would spread its points more than those of the other sets
    known = [arrays[name] for name in ("training", "held_out")]
    part = min(1.0, N_COMPONENTS / sum(map(len, known)))
    pooled = np.concatenate([x[_evenly(len(x), round(part * len(x)))] for x in known])
    count = check_integer("features", features, 1, min(pooled.shape))
    pca = PCA(count, random_state=0).fit(pooled)
    share = float(pca.explained_variance_ratio_.sum())
    moved = {
        name: np.concatenate([pca.transform(rows[part]) for part in chunks(rows)])
        for name, rows in arrays.items()
    }
    return moved, (
        f"{count} principal components of training and held-out points, {share:.1%} of their "
        "variance"
    )


def read_sets(
    training: Any,
    generated: Any,
    held_out: Any,
    features: Callable[[np.ndarray], Any] | int | None = None,
) -> Sets:
    """Load and check the three sets, and map them to features.

    Parameters
    ----------
    training, generated, held_out : Tensor, array, nested list, or path
        See :func:`load_array`; (points, d), or images (points, H, W), (points, C, H, W) or
        (points, H, W, C). One-dimensional arrays are points on a line.
    features : callable or int, optional
        A function of rows, shape (n, d), that returns rows; or a number of principal components of
        training and held-out points together. A function that was fitted to the training set but
        not to held-out points tells the two apart, and no null holds in its space.

    Returns
    -------
    Sets

    Raises
    ------
    TypeError, ValueError
        If a set is not an array of finite real numbers of at least 50 points, the sets differ in
        the shape of a point or in scale (uint8 and float), every column is constant, or held-out
        and training points are the same.
    """
    given = {"training": training, "generated": generated, "held_out": held_out}
    arrays = {name: load_array(name, value) for name, value in given.items()}
    shapes = {name: x.shape[1:] for name, x in arrays.items() if x.ndim}
    for name, shape in shapes.items():
        if shape != shapes.get("training", shape):
            raise ValueError(
                f"{name} must have points of the shape of training's, {shapes['training']}, "
                f"got {shape}"
            )
    rows = {name: _rows(name, x) for name, x in arrays.items()}
    for name, x in rows.items():
        _check_finite(name, x)
    rows = _common(rows)
    floats = [x.dtype for x in arrays.values() if x.dtype.kind == "f"] or [np.dtype(np.float32)]
    narrow = min(floats, key=lambda dtype: dtype.itemsize)
    equal, which = equal_points(**rows, dtype=narrow, level=LEVEL)
    rows["held_out"], overlap = _without_overlap(rows["held_out"], equal, which)
    constant, doubts = _constant_columns(rows), _scale_doubts(rows)
    item = arrays["training"].shape[1:]
    given = Sets(**rows, image_shape=item if len(item) in (2, 3) else None)
    rows, mapped = _features(features, rows)
    if mapped:  # distances between features are not in units of the values
        equal = replace(equal, step=np.inf)
    return Sets(
        **rows,
        image_shape=None if mapped else given.image_shape,
        notes=tuple(note for note in (overlap, constant, mapped) if note),
        equal=equal,
        doubts=doubts,
        pictures=given if mapped and given.image_shape else None,
    )
