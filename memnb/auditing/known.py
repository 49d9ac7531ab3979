r"""Chapter 7: the audit on generators whose truth is known, one row of a table each.

- :func:`known_generators`: copies in known shares, exact or blurred, beside new points of several
  kinds.
- :func:`linear_transition`: the linear model of chapter 5 over the number n of training points. It
  makes no copies at any n, but depends on its training points while n is not much larger than d.
- :func:`photo_patches`: patches of photographs, some of them copied and mirrored, as a model copies
  that was trained with random mirror images. Pixel by pixel a mirrored patch is another patch; the
  feature :func:`mirror_invariant` is the same for both.

References
----------
The photographs are those that scikit-learn ships (:func:`sklearn.datasets.load_sample_images`).
"""

from collections.abc import Sequence

import numpy as np
from sklearn.datasets import load_sample_images

from memnb.streams import numpy_stream

from .calibration import N_COLLAPSED, WIDTHS
from .copying import copies
from .densities import MAX_DIM, density_criterion
from .generators import blurred_copies, gaussian_sets, linear_model_sets
from .inputs import Sets
from .measures import nearer_to_training
from .neighbors import DISTINCT_SHARE, Base
from .reference import Reference
from .runs import THRESHOLD

__all__ = ["known_generators", "linear_transition", "mirror_invariant", "photo_patches"]

PATCH = 8  # pixels
N_GENERATED, N_DENSITIES = 500, 64


def known_generators(
    n: int, dim: int, seed: int
) -> tuple[np.ndarray, np.ndarray, dict[str, tuple[float, np.ndarray]]]:
    """Generators around one training set of Gaussian points.

    Parameters
    ----------
    n, dim : int
        Training, held-out and generated points each, and dimension.
    seed : int

    Returns
    -------
    training, held_out : ndarray, shape (n, d)
    generators : dict
        Name to the share of points made from a training point, and the points, shape (n, d).
    """
    training, held_out, new = gaussian_sets(n, dim, seed)
    spacing = Base(training, seed=seed).distinct / DISTINCT_SHARE
    copied, half_blur, full_blur = (
        blurred_copies(training, n, blur * spacing, seed) for blur in (0.0, 0.5, 1.0)
    )
    wide, narrow = (WIDTHS[kind] * new for kind in ("too wide", "too narrow"))
    half = n // 2

    def mixed(rest):
        return half / n, np.concatenate([copied[:half], rest[half:]])

    return training, held_out, {
        "perfect": (0.0, new),
        "too wide": (0.0, wide),
        "too narrow": (0.0, narrow),
        f"{N_COLLAPSED} new points, over and over": (0.0, new[np.arange(n) % N_COLLAPSED]),
        "copies only": (1.0, copied),
        "half copies": mixed(new),
        "half copies, rest too wide": mixed(wide),
        "half copies, rest too narrow": mixed(narrow),
        "copies, noise of half a spacing": (1.0, half_blur),
        "copies, noise of a spacing": (1.0, full_blur),
    }  # fmt: skip


def linear_transition(
    dim: int, sizes: Sequence[int], repeats: int, seed: int
) -> dict[str, np.ndarray]:
    r"""What three measures say of the linear model, over the number of its training points.

    Parameters
    ----------
    dim : int
        Dimension, at most 16.
    sizes : sequence of int
        Numbers n of training points, and of held-out points too.
    repeats : int
        Models per n, each with data of its own.
    seed : int

    Returns
    -------
    dict of str to ndarray, shape (sizes, repeats)
        ``copies`` and ``held_out``: shares of generated and of held-out points with
        :math:`d_1 / d_2` below 1/3; ``nearer``; ``densities``: :math:`P(\\Delta > 0)`, nan where n
        is below 64.
    """
    values = {k: np.full((len(sizes), repeats), np.nan) for k in
             ("copies", "held_out", "nearer", "densities")}  # fmt: skip
    for i, n in enumerate(sizes):
        for k in range(repeats):
            one = int(numpy_stream(seed, "audit linear", n, k).integers(2**31))
            training, held_out, generated = linear_model_sets(n, dim, N_GENERATED, one)
            reference = Reference(training, held_out, seed=one)
            points = reference.look_at(generated)
            held = reference.look_at(held_out, pooled=False)
            by_ratio = copies(points, held, THRESHOLD, one)
            values["copies"][i, k], values["held_out"][i, k] = by_ratio.value, by_ratio.null
            values["nearer"][i, k] = nearer_to_training(points, n, n).value
            if n >= N_DENSITIES and dim <= MAX_DIM:
                sets = Sets(training, generated, held_out, None)
                values["densities"][i, k] = density_criterion(sets, one).value
    return values


def photo_patches(
    n: int, count: int, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patches of two photographs, and a generator that mirrors some of its training patches.

    Parameters
    ----------
    n, count : int
        Training and held-out patches each; generated patches. 2 n + count is at most 8480.
    share : float
        The share of generated patches that are mirrored training patches. The others are patches
        of neither set.
    seed : int
        Seed of the order of the patches.

    Returns
    -------
    training, held_out, generated : ndarray of float32, shape (n, 8, 8, 3), (count, 8, 8, 3)
        With values from 0 to 1.

    Raises
    ------
    ValueError
        If there are not that many patches.
    """
    parts = []
    for image in load_sample_images().images:
        rows, columns = (size // PATCH for size in image.shape[:2])
        grid = image[: rows * PATCH, : columns * PATCH].reshape(rows, PATCH, columns, PATCH, 3)
        parts.append(grid.swapaxes(1, 2).reshape(-1, PATCH, PATCH, 3))
    patches = np.concatenate(parts).astype(np.float32) / np.float32(255)
    if 2 * n + count > len(patches):
        raise ValueError(
            f"2 n + count must be at most {len(patches)}, the number of patches, got "
            f"{2 * n + count}"
        )
    patches = patches[numpy_stream(seed, "audit patches").permutation(len(patches))]
    training, held_out, generated = np.split(patches[: 2 * n + count], [n, 2 * n])
    copied = round(share * count)
    generated[:copied] = training[:copied, :, ::-1]
    return training, held_out, generated


def mirror_invariant(rows: np.ndarray) -> np.ndarray:
    """The mean of each patch and its mirror image, which is the same for both.

    Parameters
    ----------
    rows : ndarray, shape (n, 192)
        Patches as rows.

    Returns
    -------
    ndarray, shape (n, 192)

    Examples
    --------
    >>> patches = np.arange(2 * 192.0).reshape(2, 8, 8, 3)
    >>> one, other = (mirror_invariant(x.reshape(2, 192)) for x in (patches, patches[:, :, ::-1]))
    >>> bool((one == other).all())
    True
    """
    patches = rows.reshape(-1, PATCH, PATCH, 3)
    return ((patches + patches[:, :, ::-1]) / 2).reshape(rows.shape)
