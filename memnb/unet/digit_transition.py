r"""Chapter 6: the transition on digits, by copies, by densities and by two networks that agree.

What networks generated is compared with what they were trained on, for each number n of training
images. A *set of networks* is a dict of n to the pair (generated images, training images).

- The share of copies, by :func:`~memnb.unet.copies.nearest_neighbors`, with held-out images as the
  control.
- :math:`P(\Delta > 0)`, by :mod:`memnb.unet.pixel_density`, with two controls: held-out images, as
  a perfect generator would make them, and a copier, which draws training images.
- The agreement of two networks without a common training image (Kadkhodaie et al. 2024), beside
  that of the best linear denoisers of the same images. With :math:`a, b` what the networks and
  :math:`\ell_a, \ell_b` what the linear denoisers make of the same noise,
  :math:`\cos(a - \ell_a, b - \ell_b)` is the agreement beyond means and covariances.

References
----------
Yoon et al., ICML 2023 workshop; Kadkhodaie et al., ICLR 2024, arXiv:2310.02557.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from memnb.stats import mean_error, wilson
from memnb.streams import stream
from memnb.validation import check_integer

from .baselines import linear_network
from .copies import THRESHOLD, agreement, nearest_neighbors, similarity
from .diffusion import DiffusionSchedule
from .resampling import Originals, resample
from .sampling import sample

__all__ = [
    "Agreement",
    "CopyShares",
    "copy_shares",
    "copy_shares_by_threshold",
    "linear_images",
    "perfect_shares",
    "positive_shares",
    "two_networks",
]

Networks = Mapping[int, tuple[torch.Tensor, torch.Tensor]]
Curve = tuple[tuple[float, ...], tuple[float, ...]]  # values and their errors


def _curve(pairs: Sequence[tuple[float, float]]) -> Curve:
    values, errors = zip(*pairs, strict=True)
    return values, errors


@dataclass(frozen=True)
class CopyShares:
    """Shares of copies against n.

    Parameters
    ----------
    n : tuple of int
        Numbers of training images.
    generated, held_out : pair of tuples of float
        Share of copies among generated and among held-out images, and its Wilson error.
    """

    n: tuple[int, ...]
    generated: Curve
    held_out: Curve


def copy_shares(
    networks: Networks, held_out: torch.Tensor, threshold: float = THRESHOLD
) -> CopyShares:
    """Share of copies among what each network generated, and among images that none has seen.

    Parameters
    ----------
    networks : dict of int to (Tensor, Tensor)
        For each n generated images, (m, 1, S, S), and training images, (n, 1, S, S).
    held_out : Tensor, shape (h, 1, S, S)
        The control.
    threshold : float
        In (0, 1].

    Returns
    -------
    CopyShares

    Raises
    ------
    TypeError, ValueError
        If images are none, or the threshold is outside (0, 1].
    """
    rows: tuple[list, list] = ([], [])
    for generated, training in networks.values():
        for row, x in zip(rows, (generated, held_out), strict=True):
            copied = nearest_neighbors(x, training).memorized(threshold)
            row.append(wilson(int(copied.sum()), len(copied)))
    return CopyShares(tuple(networks), _curve(rows[0]), _curve(rows[1]))


def copy_shares_by_threshold(
    x: torch.Tensor, training: torch.Tensor, thresholds: torch.Tensor
) -> torch.Tensor:
    """Share of images that count as copies, for each of several thresholds.

    Parameters
    ----------
    x : Tensor, shape (m, 1, S, S)
        Images.
    training : Tensor, shape (n, 1, S, S)
        Training images.
    thresholds : Tensor, shape (K,)

    Returns
    -------
    Tensor of float64, shape (K,)
        Never falls with the threshold.

    Raises
    ------
    TypeError, ValueError
        If images are none.
    """
    ratio = nearest_neighbors(x, training).ratio
    return (ratio[:, None] < thresholds[None].double()).double().mean(0)


def positive_shares(
    networks: Networks, held_out: torch.Tensor, std: float, n_draws: int, seed: int
) -> dict[str, Curve]:
    r"""The probability :math:`P(\Delta > 0)` against n, with two controls.

    A draw has 10 images of each kind, or n training and n original ones if n is smaller. The first
    half of the held-out images are the original ones, the second half what a perfect generator
    makes. A copier draws from the training images.

    Parameters
    ----------
    networks : dict of int to (Tensor, Tensor)
        For each n generated and training images.
    held_out : Tensor, shape (h, 1, S, S)
        Images from the same law, h at least 20.
    std : float
        Standard deviation of a pixel, for the widths of the kernels.
    n_draws : int
        At least 2.
    seed : int
        Of the draws.

    Returns
    -------
    dict of str to pairs of tuples
        ``"network"``, ``"perfect"`` and ``"copier"`` to :math:`P(\Delta > 0)` and its Wilson error,
        which is that of the draws alone.

    Raises
    ------
    TypeError, ValueError
        If images are none or too few, or a number is not allowed.
    """
    check_integer("the number of held-out images", len(held_out), 20)
    middle = (len(held_out) + 1) // 2
    truth, perfect = held_out[:middle], held_out[middle:]
    rows: dict[str, list] = {"network": [], "perfect": [], "copier": []}
    for n, (generated, training) in networks.items():
        originals = Originals(truth, n_draws, min(10, n), seed, std)
        chosen = torch.randint(n, (len(generated),), generator=stream(seed, "copier", n))
        for row, x in zip(rows.values(), (generated, perfect, training[chosen]), strict=True):
            row.append(resample(x, training, originals, seed=seed).p_positive)
    return {name: _curve(row) for name, row in rows.items()}


def perfect_shares(
    training: torch.Tensor,
    held_out: torch.Tensor,
    std: float,
    sizes: Sequence[int],
    n_sets: int,
    n_draws: int,
    seed: int,
) -> dict[int, torch.Tensor]:
    r""":math:`P(\Delta > 0)` of a perfect generator, for many training sets of each size n.

    It is ½ on average, since training and original images are exchangeable, but not for each
    training set: that is kept while the draws change.

    Parameters
    ----------
    training : Tensor, shape (m, 1, S, S)
        Images to take disjoint training sets from, the first n, the next n and so on.
    held_out, std, n_draws, seed
        As in :func:`positive_shares`; every set has draws of its own.
    sizes : sequence of int
        Values of n.
    n_sets : int
        Number of training sets of each size.

    Returns
    -------
    dict of int to Tensor of float64, shape (n_sets,)

    Raises
    ------
    ValueError
        If there are not images enough.
    """
    most = len(training) // max(sizes)
    check_integer("n_sets", n_sets, 2, most)
    middle = (len(held_out) + 1) // 2
    truth, perfect = held_out[:middle], held_out[middle:]
    rows = {}
    for n in sizes:
        shares = []
        for k, t in enumerate(training[: n * n_sets].split(n), start=seed * n_sets):
            originals = Originals(truth, n_draws, min(10, n), k, std)
            shares.append(resample(perfect, t, originals, seed=k).p_positive[0])
        rows[n] = torch.tensor(shares, dtype=torch.float64)
    return rows


def linear_images(
    training: torch.Tensor, schedule: DiffusionSchedule, noise: torch.Tensor, n_steps: int = 25
) -> torch.Tensor:
    """What the best linear denoiser of some images makes of noise by DDIM, clamped to [0, 1].

    Parameters
    ----------
    training : Tensor, shape (n, 1, S, S)
        Images with values in [0, 1].
    schedule : DiffusionSchedule
    noise : Tensor, shape (m, 1, S, S)
    n_steps : int
        Of DDIM.

    Returns
    -------
    Tensor, shape (m, 1, S, S)

    Raises
    ------
    TypeError, ValueError
        If images are none or the number of steps is not allowed.
    """
    x = sample(linear_network(training, schedule), schedule, noise, n_steps=n_steps)
    return ((x + 1) / 2).clamp(0, 1)


@dataclass(frozen=True)
class Agreement:
    """How much the images of two networks agree, against n; cosines with their standard errors.

    Parameters
    ----------
    n : tuple of int
        Number of training images of each of the two.
    paired, shuffled : pair of tuples
        Of images from the same noise, and of shuffled pairs.
    nearest : pair of tuples
        Of images of the first network with their nearest training images.
    linear : pair of tuples
        Of the images of the two linear denoisers.
    beyond, chance : pair of tuples
        Of what is left when the linear denoisers' images are subtracted; for pairs, and for pairs
        of different noise.
    own : pair of tuples
        Of a network's images and those of the linear denoiser of its own training images.
    closer : tuple of float
        Share of pairs that are more similar to each other than each of the two images to its
        nearest training image.
    """

    n: tuple[int, ...]
    paired: Curve
    shuffled: Curve
    nearest: Curve
    linear: Curve
    beyond: Curve
    chance: Curve
    own: Curve
    closer: tuple[float, ...]


def _nearest_similarity(x: torch.Tensor, training: torch.Tensor) -> torch.Tensor:
    return similarity(x, training[nearest_neighbors(x, training).index])


def _cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    a, b = (x.double().flatten(1) for x in (a, b))
    return torch.nn.functional.cosine_similarity(a, b)


def two_networks(
    first: Networks,
    second: Networks,
    schedule: DiffusionSchedule,
    noise: torch.Tensor,
    seed: int,
) -> Agreement:
    """Compare two networks for each n, and the linear denoisers of their training images.

    Parameters
    ----------
    first, second : dict of int to (Tensor, Tensor)
        For the same n what the two networks made of ``noise``, and their training images.
    schedule : DiffusionSchedule
        That of the networks.
    noise : Tensor, shape (m, 1, S, S)
    seed : int
        Of the shuffle.

    Returns
    -------
    Agreement

    Raises
    ------
    ValueError
        If the two have different n, or images do not fit the noise.
    """
    if tuple(first) != tuple(second):
        raise ValueError(f"second must have the n of first, {list(first)}, got {list(second)}")
    names = ("paired", "shuffled", "nearest", "linear", "beyond", "chance", "own")
    rows: dict[str, list] = {name: [] for name in names}
    closer = []
    for n, (a, known) in first.items():
        b, known_b = second[n]
        flat, flat_b = (linear_images(t, schedule, noise) for t in (known, known_b))
        near, far = _nearest_similarity(a, known), _nearest_similarity(b, known_b)
        rest, rest_b = a - flat, b - flat_b
        paired, shuffled = agreement(a, b, seed)
        closer.append((paired > torch.maximum(near, far)).double().mean().item())
        linear, own = similarity(flat, flat_b), similarity(a, flat)
        beyond, chance = _cosine(rest, rest_b), _cosine(rest, rest_b.roll(1, 0))
        values = (paired, shuffled, near, linear, beyond, chance, own)
        for name, value in zip(names, values, strict=True):
            rows[name].append(mean_error(value))
    curves = {name: _curve(row) for name, row in rows.items()}
    return Agreement(tuple(first), closer=tuple(closer), **curves)
