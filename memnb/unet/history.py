r"""Chapter 6: what a network on digits generates while it is trained, in numbers.

At each snapshot of its training (:mod:`memnb.unet.over_time`): how many of the generated images are
copies of training images, how far they are from held-out ones, and the denoising errors. The
distance is the energy distance of Székely and Rizzo, over the mean distance of two held-out images,

.. math:: D = \frac{2\, \mathbb{E} \lVert X - Y \rVert - \mathbb{E} \lVert X - X' \rVert}
              {\mathbb{E} \lVert Y - Y' \rVert} - 1,

0 only if generated X and held-out Y have the same law.

References
----------
Székely and Rizzo, *Energy statistics*, Journal of Statistical Planning and Inference 143, 2013.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from memnb.stats import wilson
from memnb.streams import stream
from memnb.validation import check_integer

from .copies import THRESHOLD, nearest_neighbors
from .images import ImagesLike, check_images

__all__ = ["History", "distance_of_few", "energy_distance", "history", "pooled"]


def energy_distance(x: ImagesLike, y: ImagesLike) -> tuple[float, float]:
    """Distance D of the module between the laws of two sets of images.

    Parameters
    ----------
    x : Tensor, shape (m, 1, S, S)
        Images, m >= 2.
    y : Tensor, shape (h, 1, S, S)
        What they are compared with, h >= 2, and not all equal.

    Returns
    -------
    distance, error : float
        Without bias, so that it can be below 0 where the laws are the same; and its standard error
        over the draw of x, to first order in 1/m.

    Raises
    ------
    TypeError, ValueError
        If x or y are no images, too few, or of different sizes.
    """
    x, y = (check_images(name, v, bounded=False) for name, v in (("x", x), ("y", y)))
    check_integer("the number of images of x", len(x), 2)
    check_integer("the number of images of y", len(y), 2)
    if x.shape[1:] != y.shape[1:]:
        raise ValueError(f"y must have images of {x.shape[-1]} pixels a side, got {y.shape[-1]}")
    x, y = x.double().flatten(1), y.double().flatten(1)
    unit = torch.pdist(y).mean().item()
    if unit == 0:
        raise ValueError("y must hold at least 2 different images")
    away = torch.cdist(x, y).mean(1)
    apart = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").sum(1) / (len(x) - 1)
    distance = (2 * away - apart).mean().item() / unit - 1
    error = 2 * (away - apart).std().item() / math.sqrt(len(x)) / unit
    return distance, error


def distance_of_few(
    x: ImagesLike, y: ImagesLike, count: int, draws: int, seed: int
) -> tuple[float, float]:
    """Distance of a generator that draws a few images over and over.

    Parameters
    ----------
    x : Tensor, shape (m, 1, S, S)
        From which the few are drawn, without replacement.
    y : Tensor, shape (h, 1, S, S)
    count : int
        How many there are, from 2 to m; 256 images are drawn from them with replacement.
    draws : int
        How often the few are drawn anew, at least 2.
    seed : int

    Returns
    -------
    mean, spread : float
        Mean of :func:`energy_distance` over the draws, and standard deviation from draw to draw.

    Raises
    ------
    TypeError, ValueError
        If x or y are no images, or a number is not allowed.
    """
    x = check_images("x", x)
    check_integer("count", count, 2, len(x))
    check_integer("draws", draws, 2)
    random = stream(seed, "a few images over and over")
    values = []
    for _ in range(draws):
        few = torch.randperm(len(x), generator=random)[:count]
        rows = few[torch.randint(count, (256,), generator=random)]
        values.append(energy_distance(x[rows], y)[0])
    values = torch.tensor(values, dtype=torch.float64)
    return values.mean().item(), values.std().item()


@dataclass(frozen=True)
class History:
    """What a network generated at each of its snapshots, in numbers.

    Parameters
    ----------
    n, seed : int
        Number of training images, and the network's seed.
    steps : tuple of int, length T
        Of training.
    copies : tuple of int, length T
        How many of the generated images are copies.
    total : int
        Of how many.
    null : (int, int)
        How many held-out images count as copies, and of how many.
    distance : pair of tuples of float, length T
        :func:`energy_distance` to held-out images, and its error.
    train, test : tuple of float, length T
        Denoising error on training and on held-out images.
    """

    n: int
    seed: int
    steps: tuple[int, ...]
    copies: tuple[int, ...]
    total: int
    null: tuple[int, int]
    distance: tuple[tuple[float, ...], tuple[float, ...]]
    train: tuple[float, ...]
    test: tuple[float, ...]

    @property
    def shares(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Share of copies at each snapshot, and its Wilson error."""
        values, errors = zip(*(wilson(c, self.total) for c in self.copies), strict=True)
        return values, errors


def history(
    n: int,
    seed: int,
    snapshots: Mapping[int, tuple[torch.Tensor, torch.Tensor]],
    training: torch.Tensor,
    held_out: torch.Tensor,
    threshold: float = THRESHOLD,
) -> History:
    """Measure the snapshots of a network.

    Parameters
    ----------
    n, seed : int
        As in :class:`History`.
    snapshots : dict of int to (Tensor, Tensor)
        For each step in order generated images, shape (m, 1, S, S), and the two denoising errors.
    training : Tensor, shape (n, 1, S, S)
    held_out : Tensor, shape (h, 1, S, S)
    threshold : float
        Below which an image is a copy, in (0, 1].

    Returns
    -------
    History

    Raises
    ------
    TypeError, ValueError
        If there are no snapshots, images are none, or the threshold is outside (0, 1].
    """
    check_integer("the number of snapshots", len(snapshots), 1)
    rows = []
    for x, (train, test) in snapshots.values():
        near = nearest_neighbors(x, training).memorized(threshold)
        distance = energy_distance(x, held_out)
        rows.append((int(near.sum()), len(x), *distance, float(train), float(test)))
    copies, totals, distance, error, train, test = zip(*rows, strict=True)
    null = nearest_neighbors(held_out, training).memorized(threshold)
    return History(
        n, seed, tuple(snapshots), copies, totals[0], (int(null.sum()), len(null)),
        (distance, error), train, test,
    )  # fmt: skip


def pooled(histories: Sequence[History]) -> History:
    """Networks that differ in their seeds, as one: copies of all of them, means of the rest.

    Parameters
    ----------
    histories : sequence of History
        At least one; of the same n and steps.

    Returns
    -------
    History
        With the seed of the first. Errors of the distance are those of a mean of independent
        values.

    Raises
    ------
    ValueError
        If there is none, or they differ in n or steps.
    """
    if not histories or len({(h.n, h.steps) for h in histories}) != 1:
        raise ValueError("histories must be at least one, and all of the same n and steps")
    first, count = histories[0], len(histories)

    def mean(rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
        return tuple(sum(column) / count for column in zip(*rows, strict=True))

    errors = zip(*(h.distance[1] for h in histories), strict=True)
    return History(
        first.n, first.seed, first.steps,
        tuple(sum(column) for column in zip(*(h.copies for h in histories), strict=True)),
        sum(h.total for h in histories),
        first.null,
        (mean([h.distance[0] for h in histories]), tuple(math.hypot(*e) / count for e in errors)),
        mean([h.train for h in histories]), mean([h.test for h in histories]),
    )  # fmt: skip
