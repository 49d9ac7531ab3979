r"""Is a generated image a copy of a training image?

An image memorizes if it is much closer to one training image than to all others: with
:math:`d_1 \le d_2 \le \dots` its distances to the training images, if
:math:`d_1 / d_2 < \theta`, with :math:`\theta = 1/3` (Yoon et al. 2023). Whether a threshold means
something shows in images that cannot be copies, held-out ones: their share below the threshold is
its false-positive rate.

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

from dataclasses import dataclass

import torch

from memnb.validation import check_integer, check_real

from .images import check_images

__all__ = [
    "THRESHOLD",
    "Neighbors",
    "SumsOfImages",
    "agreement",
    "nearest_neighbors",
    "project_on_sums",
    "similarity",
]

THRESHOLD = 1 / 3


def _rows(name, x, like=None, bounded=True):
    """Images as float64, (m, d), of the same size as others."""
    x = check_images(name, x, bounded=bounded).double().flatten(1)
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
        Distances (L2 over pixels) to the nearest and the second nearest.
    """

    index: torch.Tensor
    d1: torch.Tensor
    d2: torch.Tensor

    @property
    def ratio(self):
        r""":math:`d_1 / d_2`, in [0, 1]; 1 if both are 0."""
        return torch.where(self.d2 > 0, self.d1 / self.d2.clamp(min=1e-300), 1.0)

    def memorized(self, threshold=THRESHOLD):
        """Which images are closer to one training image, by the threshold in (0, 1], than to all
        others; bool, shape (m,)."""
        check_real("threshold", threshold, 0, 1, open_low=True)
        return self.ratio < threshold


def nearest_neighbors(x, training):
    """Find the two nearest training images.

    Parameters
    ----------
    x : Tensor, shape (m, 1, S, S)
        Images with values in [0, 1].
    training : Tensor, shape (n, 1, S, S)
        Training images, n >= 2.

    Returns
    -------
    Neighbors

    Raises
    ------
    ValueError
        If there are fewer than two training images, or the sizes differ.

    Examples
    --------
    >>> training = torch.tensor([0.0, 0.5, 1.0]).reshape(3, 1, 1, 1)
    >>> near = nearest_neighbors(torch.tensor(0.9).reshape(1, 1, 1, 1), training)
    >>> near.index.item(), round(near.ratio.item(), 2)
    (2, 0.25)
    """
    rows, points = _rows("x", x), _rows("training", training)
    _rows("x", x, points)
    if len(points) < 2:
        raise ValueError("training must hold at least 2 images: a second nearest one is needed")
    # Differences, not a matrix product: a copy must be at distance 0 and not at rounding error
    way = "donot_use_mm_for_euclid_dist"
    near = torch.cdist(rows, points, compute_mode=way).topk(2, largest=False)
    return Neighbors(near.indices[:, 0], near.values[:, 0], near.values[:, 1])


def similarity(a, b):
    r"""Cosine of the angle between images, row by row, after subtracting each image's mean.

    Parameters
    ----------
    a, b : Tensor, shape (m, 1, S, S)
        Images with values in [0, 1].

    Returns
    -------
    Tensor of float64, shape (m,)
        In [-1, 1]; 0 if one of the two images is constant.
    """
    a, b = _rows("a", a), _rows("b", b)
    if a.shape != b.shape:
        raise ValueError(f"a and b must have the same shape, got {len(a)} and {len(b)} images")
    a, b = (x - x.mean(1, keepdim=True) for x in (a, b))
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-12)


def agreement(a, b, seed=0):
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
    """
    check_integer("the number of images", len(a), 2)
    generator = torch.Generator().manual_seed(check_integer("seed", seed, 0))
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

    def kinds(self, threshold=0.2):
        r"""What each image is: 0 training image, 1 virtual point, 2 neither; int64, shape (m,).

        It is a training image or a virtual point if the sum of its subset is closer than
        ``threshold`` times the median distance between training images; a virtual point if the
        subset has two or more members.
        """
        check_real("threshold", threshold, 0, open_low=True)
        kind = (self.subset.sum(1) >= 2).long()
        return torch.where(self.miss < threshold, kind, 2)


def project_on_sums(x, training, origin=0):
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
    ValueError
        If the differences :math:`x_n - x_0` are linearly dependent, as for n > d + 1.
    """
    points = _rows("training", training)
    rows = _rows("x", x, points, bounded=False)
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
