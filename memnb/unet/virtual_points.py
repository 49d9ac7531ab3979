r"""Chapter 6: training images whose sums are images, a test for virtual points.

The minimum-norm denoisers of the first chapters are stationary not only at training points but at
their *sums*, :math:`x_0 + \sum_{n \in I} (x_n - x_0)` with two or more terms. A network can be seen
to make sums only if sums are images it could make, with values in [0, 1]. Here they are: to a
plain gray image :math:`x_0` each of k others adds its own pattern, the patterns are orthogonal and
of one norm, and the sums of up to three lie in [0, 1]. Two kinds of pattern tell two reasons for
sums apart:

- ``"blocks"``: 2 by 2 bright pixels, each in its own place. What looks only at neighborhoods, as
  convolutions do, could decide on every block by itself, and so make sums without being
  minimum-norm.
- ``"waves"``: plus or minus one in every pixel (rows of a Hadamard matrix). No neighborhood tells
  which are there.

Sums can be looked for in what a network makes from noise, and, as the stationary points they are,
by starting at them: a little noise is added to a point, and the network removes it again.

References
----------
Zeno et al., *When Diffusion Models Memorize*, ICML 2025, arXiv:2506.19031.
"""

import itertools
from collections.abc import Callable

import torch

from memnb.minnorm.data import TrainingSet
from memnb.streams import stream
from memnb.validation import check_choice, check_integer, check_real

from .diffusion import DiffusionSchedule
from .images import ImagesLike, check_images
from .sampling import gaussian_noise, sample

__all__ = [
    "KINDS",
    "POINTS",
    "denoise_from",
    "points_of",
    "simplex_images",
    "stayed",
    "training_set",
]

KINDS = ("blocks", "waves")
POINTS = ("training", "pairs", "triples", "random")
SIDE = 8
CORNERS = ((0, 0), (0, 4), (2, 6), (4, 2), (6, 0), (6, 4), (2, 2), (4, 6))  # of the blocks
WAVES = (9, 18, 27, 36, 45, 54, 63, 10)  # rows of the Hadamard matrix
BASE = {"blocks": 0.1875, "waves": 0.5}
HEIGHT = {"blocks": 0.625, "waves": 0.15625}  # exact in float32; both patterns have norm 1.25


def simplex_images(kind: str, n_terms: int = 6) -> torch.Tensor:
    r"""The image :math:`x_0` and k images that add one pattern each.

    Parameters
    ----------
    kind : {"blocks", "waves"}
        See the module.
    n_terms : int
        k, 1 to 8.

    Returns
    -------
    Tensor of float32, shape (k + 1, 1, 8, 8)
        :math:`x_0` first. The differences :math:`x_n - x_0` are orthogonal and of equal norm.

    Examples
    --------
    >>> x = simplex_images("blocks", 3).double().flatten(1)
    >>> d = x[1:] - x[0]
    >>> torch.equal(d @ d.mT, 1.25**2 * torch.eye(3, dtype=torch.float64))
    True
    """
    check_choice("kind", kind, KINDS)
    check_integer("n_terms", n_terms, 1, len(WAVES))
    x = torch.full((n_terms + 1, 1, SIDE, SIDE), BASE[kind])
    if kind == "blocks":
        for image, (row, column) in zip(x[1:], CORNERS, strict=False):
            image[0, row : row + 2, column : column + 2] += HEIGHT[kind]
        return x
    bits = torch.arange(SIDE * SIDE)
    for image, wave in zip(x[1:], WAVES, strict=False):
        ones = sum((bits & wave) >> shift & 1 for shift in range(6))
        image += HEIGHT[kind] * (1 - 2 * (ones % 2)).reshape(1, SIDE, SIDE)
    return x


def training_set(images: ImagesLike) -> TrainingSet:
    r"""The images as a :class:`~memnb.minnorm.geometry.TrainingSet`, of known denoisers.

    Parameters
    ----------
    images : Tensor, shape (k + 1, 1, S, S)
        With orthogonal differences to the first one.

    Returns
    -------
    TrainingSet
        In dimension :math:`S^2`, float64, with center :math:`x_0`.

    Raises
    ------
    TypeError, ValueError
        If images are none, or a number or a name is not allowed.
    """
    x = check_images("images", images).double().flatten(1)
    difference = x[1:] - x[0]
    lengths = difference.norm(dim=1)
    return TrainingSet(
        points=x,
        center=x[0],
        directions=difference / lengths[:, None],
        lengths=lengths,
        low=torch.zeros_like(lengths),
        high=lengths,
        kind="orthogonal",
    )


def points_of(images: ImagesLike, kind: str, count: int, seed: int = 0) -> torch.Tensor:
    r"""Points to start from: training images, sums, or neither.

    Parameters
    ----------
    images : Tensor, shape (k + 1, 1, S, S)
        As :func:`simplex_images` returns them, k at least 3.
    kind : {"training", "pairs", "triples", "random"}
        The images :math:`x_n`; sums of two or of three terms; or :math:`x_0` plus a random
        combination with positive coefficients and the norm of a sum of two, drawn again until it is
        an image with values in [0, 1].
    count : int
        How many; the sums are repeated in their order if there are fewer.
    seed : int
        Of the random ones.

    Returns
    -------
    Tensor of float32, shape (count, 1, S, S)

    Raises
    ------
    TypeError, ValueError
        If images are none, or a number or a name is not allowed.
    """
    check_choice("kind", kind, POINTS)
    check_integer("count", count, 1)
    x = check_images("images", images).double()
    k = check_integer("the number of terms", len(x) - 1, 3)
    if kind == "random":
        generator = stream(seed, "random points")
        c = torch.empty(0, k, dtype=torch.float64)
        while len(c) < count:
            new = torch.randn(k, generator=generator, dtype=torch.float64).abs()
            new *= 2**0.5 / new.norm()
            image = x[0] + torch.tensordot(new, x[1:] - x[0], dims=1)
            if 0 <= image.min() and image.max() <= 1:
                c = torch.cat([c, new[None]])
    else:
        terms = {"training": 1, "pairs": 2, "triples": 3}[kind]
        sums = list(itertools.combinations(range(k), terms))
        c = torch.zeros(count, k, dtype=torch.float64)
        for row, chosen in zip(c, itertools.cycle(sums), strict=False):
            row[list(chosen)] = 1
    return (x[0] + torch.tensordot(c, x[1:] - x[0], dims=1)).float()


def denoise_from(
    net: Callable,
    schedule: DiffusionSchedule,
    images: ImagesLike,
    step: int,
    seed: int = 0,
    n_steps: int = 25,
) -> torch.Tensor:
    """Add noise to images up to a step of the schedule, and remove it by DDIM from there.

    Parameters
    ----------
    net : callable
        As for :func:`~memnb.unet.sampling.sample`.
    schedule : DiffusionSchedule
    images : Tensor, shape (m, 1, S, S)
        Images with values in [0, 1].
    step : int
        1 to T.
    seed : int
        Of the noise.
    n_steps : int
        Number of DDIM steps; ``step`` if that is smaller.

    Returns
    -------
    Tensor, shape (m, 1, S, S)
        Images with values in [0, 1].

    Raises
    ------
    TypeError, ValueError
        If images are none, or a number or a name is not allowed.
    """
    check_integer("step", step, 1, schedule.n_steps)
    check_integer("n_steps", n_steps, 1)
    x = 2 * check_images("images", images) - 1
    noise = gaussian_noise(len(x), x.shape[-1], seed, x.dtype, "added noise").to(x.device)
    noisy = schedule.add_noise(x, torch.full((len(x),), step), noise)
    rest = DiffusionSchedule(schedule.betas[:step], schedule.name)
    return (sample(net, rest, noisy, n_steps=min(n_steps, step)) + 1) / 2


def stayed(
    ends: ImagesLike, points: ImagesLike, images: ImagesLike, threshold: float = 0.2
) -> torch.Tensor:
    """Which points the denoising of :func:`denoise_from` has brought back to where they were.

    Parameters
    ----------
    ends, points : Tensor, shape (m, 1, S, S)
        Images after and before, with finite values.
    images : Tensor, shape (n, 1, S, S)
        Training images, n >= 2; their median distance is the unit.
    threshold : float
        In that unit.

    Returns
    -------
    Tensor of bool, shape (m,)

    Raises
    ------
    TypeError, ValueError
        If images are none, or a number or a name is not allowed.
    """
    check_real("threshold", threshold, 0, open_low=True)
    known = check_images("images", images).double()
    check_integer("the number of training images", len(known), 2)
    before, after = (
        check_images(name, x, known.shape[-1], bounded=False).double()
        for name, x in (("points", points), ("ends", ends))
    )
    if len(after) != len(before):
        raise ValueError(f"ends and points must be as many, got {len(after)} and {len(before)}")
    unit = torch.pdist(known.flatten(1)).median()
    return (after - before).flatten(1).norm(dim=1) < threshold * unit
