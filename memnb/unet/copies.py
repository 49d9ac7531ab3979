r"""Chapter 6: is a generated image a copy of a training image?

An image memorizes if it is much closer to one training image than to all others: with :math:`d_1`
its distance to the nearest training image and :math:`d_2` that to the nearest *other* one, if
:math:`d_1 / d_2 < \theta`, with :math:`\theta = 1/3` (Yoon et al. 2023). Whether a threshold means
something shows in images that cannot be copies, held-out ones: their share below the threshold is
its false-positive rate.

Training sets hold duplicates. If the nearest image is there twice, exactly or up to a little noise,
the second nearest is as near as the first, and a perfect copy would have the ratio 1. So *other*
means other than a duplicate: training images within

.. math:: r = \delta \sqrt{\tfrac{1}{n(n-1)} \textstyle\sum_{i \ne j} \|x_i - x_j\|^2}
          = \delta \sqrt{\tfrac{2}{n-1} \textstyle\sum_i \|x_i - \bar x\|^2}

of the nearest one are duplicates of it, with :math:`\delta = 0.1`. (The two digits of
scikit-learn's that are most alike are 0.15 of that root mean square distance apart: none are
duplicates.)

Two more questions about generated images: do two models make the same image from the same noise
(Kadkhodaie et al. 2024), and is an image a *sum* of training images,
:math:`x_0 + \sum_{n \in I} (x_n - x_0)` with two or more terms, the virtual points of minimum-norm
denoisers (Zeno et al. 2025)?

References
----------
Yoon et al., *Diffusion Probabilistic Models Generalize when They Fail to Memorize*, ICML 2023
workshop; Kadkhodaie et al., *Generalization in diffusion models arises from geometry-adaptive
harmonic representations*, ICLR 2024, arXiv:2310.02557; Zeno et al., ICML 2025, arXiv:2506.19031.
"""

import math
from dataclasses import dataclass

import torch

from memnb.streams import stream
from memnb.validation import check_integer, check_real

from .images import ImagesLike, check_images

__all__ = [
    "DUPLICATE",
    "THRESHOLD",
    "Neighbors",
    "SumsOfImages",
    "agreement",
    "nearest_neighbors",
    "project_on_sums",
    "similarity",
]

THRESHOLD = 1 / 3
DUPLICATE = 0.1
CHUNK = 2**22  # distances in memory at a time


def _rows(name: str, x: ImagesLike, like: torch.Tensor | None = None) -> torch.Tensor:
    """Images as float64, (m, d), of the same size as others."""
    x = check_images(name, x, bounded=False).double().flatten(1)
    if like is not None and x.shape[1] != like.shape[1]:
        raise ValueError(f"{name} must have {like.shape[1]} pixels, got {x.shape[1]}")
    return x


@dataclass(frozen=True, eq=False)
class Neighbors:
    r"""Distances of images to the two nearest training images.

    Parameters
    ----------
    index : Tensor of int64, shape (m,)
        The nearest training image.
    d1, d2 : Tensor of float64, shape (m,)
        Distances (L2 over pixels) to the nearest and to the nearest that is no duplicate of it.
    """

    index: torch.Tensor
    d1: torch.Tensor
    d2: torch.Tensor

    @property
    def ratio(self) -> torch.Tensor:
        r""":math:`d_1 / d_2`, in [0, 1]; 1 if both are 0."""
        return torch.where(self.d2 > 0, self.d1 / self.d2, 1.0)

    def memorized(self, threshold: float = THRESHOLD) -> torch.Tensor:
        """Which images are closer to one training image, by the threshold, than to all others.

        Parameters
        ----------
        threshold : float
            In (0, 1].

        Returns
        -------
        Tensor of bool, shape (m,)

        Raises
        ------
        TypeError, ValueError
            If the threshold is no number, or outside (0, 1].
        """
        check_real("threshold", threshold, 0, 1, open_low=True)
        return self.ratio < threshold


def nearest_neighbors(
    x: ImagesLike, training: ImagesLike, duplicate: float = DUPLICATE
) -> Neighbors:
    r"""Find the nearest training image and the nearest one that is no duplicate of it.

    Parameters
    ----------
    x : Tensor, shape (m, 1, S, S)
        Images with finite values.
    training : Tensor, shape (n, 1, S, S)
        Training images, at least two of them distinct; finite values.
    duplicate : float
        :math:`\delta` of the module's formula, in [0, 1); 0 ignores exact duplicates only.

    Returns
    -------
    Neighbors
        Does not change if all images are scaled by a number or shifted by one image. The memory
        does not grow with m n, only with m and n.

    Raises
    ------
    TypeError
        If images are not floating-point numbers.
    ValueError
        If all training images are equal, so that there is no second one, or the sizes differ.

    Examples
    --------
    >>> training = torch.tensor([0.0, 0.5, 1.0, 1.0]).reshape(4, 1, 1, 1)
    >>> near = nearest_neighbors(torch.tensor(0.9).reshape(1, 1, 1, 1), training)
    >>> near.index.item(), round(near.ratio.item(), 2)
    (2, 0.25)
    """
    rows, points = _rows("x", x), _rows("training", training)
    _rows("x", x, points)
    check_real("duplicate", duplicate, 0, 1, open_high=True)
    if (points == points[0]).all():
        raise ValueError(
            f"training must hold at least 2 different images, got {len(points)} equal: "
            "a second nearest one is needed"
        )
    radius = duplicate * math.sqrt(2 * points.var(dim=0).sum().item())
    parts = [
        _two_nearest(some, points, radius) for some in rows.split(max(1, CHUNK // len(points)))
    ]
    return Neighbors(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    # Differences, not a matrix product: a copy must be at distance 0 and not at rounding error
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def _two_nearest(
    rows: torch.Tensor, points: torch.Tensor, radius: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    away = _distances(rows, points)
    d1, index = away.min(dim=1)
    nearest, which = index.unique(return_inverse=True)
    duplicates = _distances(points[nearest], points) <= radius
    return index, d1, away.masked_fill(duplicates[which], math.inf).amin(dim=1)


def similarity(a: ImagesLike, b: ImagesLike) -> torch.Tensor:
    r"""Cosine of the angle between images, row by row, after subtracting each image's mean.

    Parameters
    ----------
    a, b : Tensor, shape (m, 1, S, S)
        Images with finite values.

    Returns
    -------
    Tensor of float64, shape (m,)
        In [-1, 1]; 0 if one of the two images is constant up to rounding.

    Raises
    ------
    TypeError, ValueError
        If a or b are no images with finite values, or not as many or as large as the other.
    """
    a, b = _rows("a", a), _rows("b", b)
    if a.shape != b.shape:
        raise ValueError(
            f"a and b must have the same shape, got {len(a)} and {len(b)} images of "
            f"{a.shape[1]} and {b.shape[1]} pixels"
        )
    return (_unit(a) * _unit(b)).sum(1).clamp(-1, 1)


def _unit(x: torch.Tensor) -> torch.Tensor:
    """Rows without their mean, of norm 1, or 0 where they are constant up to rounding."""
    centered = x - x.mean(1, keepdim=True)
    norm = centered.norm(dim=1, keepdim=True)
    rounding = x.shape[1] * torch.finfo(x.dtype).eps * x.abs().amax(1, keepdim=True)
    return torch.where(norm > rounding, centered / norm, 0.0)


def agreement(a: ImagesLike, b: ImagesLike, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Similarity of pairs of images, and the same after shuffling the pairs.

    The shuffle moves every image: it is a random rotation of a random order.

    Parameters
    ----------
    a, b : Tensor, shape (m, 1, S, S)
        Image i of both was made from the same noise; m >= 2.
    seed : int
        Seed of the shuffle.

    Returns
    -------
    paired, shuffled : Tensor of float64, shape (m,)

    Raises
    ------
    TypeError, ValueError
        If a or b are no images with finite values, fewer than two, or not as many as the other.
    """
    a, b = (check_images(name, x, bounded=False) for name, x in (("a", a), ("b", b)))
    check_integer("the number of images", len(a), 2)
    check_integer("the number of images of b", len(b), len(a), len(a))
    generator = stream(seed, "shuffle")
    order = torch.randperm(len(a), generator=generator)
    partner = torch.empty_like(order)
    partner[order] = order.roll(1)
    return similarity(a, b), similarity(a, b[partner])


@dataclass(frozen=True, eq=False)
class SumsOfImages:
    r"""Images as combinations :math:`x_0 + \sum_n c_n (x_n - x_0)` of training images.

    Parameters
    ----------
    coefficients : Tensor of float64, shape (m, n - 1)
        Least-squares :math:`c_1, \dots, c_{n-1}`.
    residual : Tensor of float64, shape (m,)
        Distance of the image to that combination, over the median distance between two training
        images.
    subset : Tensor of bool, shape (m, n - 1)
        The coefficients rounded to 0 or 1.
    miss : Tensor of float64, shape (m,)
        Distance of the image to the sum of that subset, in the same unit.
    """

    coefficients: torch.Tensor
    residual: torch.Tensor
    subset: torch.Tensor
    miss: torch.Tensor

    def kinds(self, threshold: float = 0.2) -> torch.Tensor:
        r"""What each image is: 0 training image, 1 virtual point, 2 neither.

        It is a training image or a virtual point if the sum of its subset is closer than
        ``threshold`` times the median distance between training images; a virtual point if the
        subset has two or more members.

        Parameters
        ----------
        threshold : float
            Positive.

        Returns
        -------
        Tensor of int64, shape (m,)

        Raises
        ------
        TypeError, ValueError
            If the threshold is no positive number.
        """
        check_real("threshold", threshold, 0, open_low=True)
        kind = (self.subset.sum(1) >= 2).long()
        return torch.where(self.miss < threshold, kind, 2)


def project_on_sums(x: ImagesLike, training: ImagesLike, origin: int = 0) -> SumsOfImages:
    r"""Write images as combinations of training images, and compare them with plain sums.

    Parameters
    ----------
    x : Tensor, shape (m, 1, S, S)
        Images with finite values, also outside [0, 1].
    training : Tensor, shape (n, 1, S, S)
        Training images, n >= 2, with linearly independent differences.
    origin : int
        Which training image is :math:`x_0`.

    Returns
    -------
    SumsOfImages

    Raises
    ------
    TypeError, ValueError
        If x or training are no images with finite values, or the differences :math:`x_n - x_0` are
        linearly dependent, as for n > d + 1.
    """
    points = _rows("training", training)
    rows = _rows("x", x, points)
    check_integer("the number of training images", len(points), 2)
    check_integer("origin", origin, 0, len(points) - 1)
    x0 = points[origin]
    others = torch.cat([points[:origin], points[origin + 1 :]])
    differences = others - x0
    rank = int(torch.linalg.matrix_rank(differences, rtol=1e-10))
    if rank < len(differences):
        raise ValueError(
            f"training must have linearly independent differences to image {origin}; {len(points)} "
            f"images gave rank {rank}"
        )
    c = torch.linalg.lstsq(differences.T, (rows - x0).T).solution.T
    unit = torch.pdist(points).median()
    subset = c > 0.5
    residual = (x0 + c @ differences - rows).norm(dim=1) / unit
    miss = (x0 + subset.double() @ differences - rows).norm(dim=1) / unit
    return SumsOfImages(c, residual, subset, miss)
