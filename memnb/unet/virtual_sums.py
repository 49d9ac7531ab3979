r"""Chapter 6: are there sums of training images among what a network makes, and do sums stay?

The virtual points of the first chapters are sums, :math:`x_0 + \sum_{n \in I} (x_n - x_0)` with two
or more terms. Two questions about the images of :mod:`memnb.unet.virtual_points`:

- How many of the images that a network makes from noise are training images, sums, or neither? An
  image is *at* a point if it is nearer than 0.2 of the median distance between training images.
- Which points stay where they are if a little noise is added and the network removes it? Beside
  the networks two denoisers are asked whose answer is known: of the minimum-norm one sums are
  stationary points, of the empirical Bayes one only training images are.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from memnb.minnorm.denoisers import EmpiricalBayesDenoiser, ramp_family
from memnb.validation import check_choice, check_integer, check_real

from .baselines import as_network
from .copies import project_on_sums
from .diffusion import DiffusionSchedule, make_schedule
from .images import ImagesLike, check_images
from .runs import BACK_STEPS, N_BACK, RUNS
from .virtual_points import (
    KINDS,
    POINTS,
    denoise_from,
    points_of,
    simplex_images,
    stayed,
    training_set,
)

__all__ = [
    "BUDGETS",
    "SumCounts",
    "count_sums",
    "count_sums_of_any_origin",
    "exact_stays",
    "image_sums",
    "kept_images",
    "network_stays",
    "random_near_sums",
]

BUDGETS = (100, 400, 1600)  # training steps of the run simplex
ALPHA = 1.6  # of the minimum-norm denoiser: the radius of a ball over the noise level
Stays = dict[tuple[str, str], float]


@dataclass(frozen=True)
class SumCounts:
    """How many images are what.

    Parameters
    ----------
    training, pairs, larger, neither : int
        Training images, sums of two, sums of more than two, and none of these.
    """

    training: int
    pairs: int
    larger: int
    neither: int

    @property
    def total(self) -> int:
        """Number of images."""
        return self.training + self.pairs + self.larger + self.neither

    def __add__(self, other: "SumCounts") -> "SumCounts":
        return SumCounts(
            self.training + other.training,
            self.pairs + other.pairs,
            self.larger + other.larger,
            self.neither + other.neither,
        )


def count_sums(x: ImagesLike, training: ImagesLike, threshold: float = 0.2) -> SumCounts:
    """Count training images, sums with the first of them as origin, and neither.

    Parameters
    ----------
    x : Tensor, shape (m, 1, S, S)
        Images with finite values.
    training : Tensor, shape (n, 1, S, S)
        Training images with linearly independent differences.
    threshold : float
        How near an image must be, in median distances between training images.

    Returns
    -------
    SumCounts

    Raises
    ------
    TypeError, ValueError
        As :func:`~memnb.unet.copies.project_on_sums` does, and if the threshold is not positive.
    """
    check_real("threshold", threshold, 0, open_low=True)
    projected = project_on_sums(x, training)
    terms, near = projected.subset.sum(1), projected.miss < threshold
    kinds = (near & (terms <= 1), near & (terms == 2), near & (terms > 2), ~near)
    return SumCounts(*(int(kind.sum()) for kind in kinds))


def count_sums_of_any_origin(x: ImagesLike, training: ImagesLike) -> tuple[int, int, int]:
    """Count training images, sums with any of the training images as origin, and neither.

    Parameters
    ----------
    x, training : Tensor
        As for :func:`count_sums`.

    Returns
    -------
    training, sums, neither : int

    Raises
    ------
    TypeError, ValueError
        As :func:`~memnb.unet.copies.project_on_sums` does.
    """
    kinds = torch.stack(
        [project_on_sums(x, training, origin).kinds() for origin in range(len(training))]
    )
    copy = (kinds == 0).any(0)
    virtual = (kinds == 1).any(0) & ~copy
    counts = int(copy.sum()), int(virtual.sum())
    return *counts, len(copy) - sum(counts)


def image_sums(training: ImagesLike, threshold: float = 0.2) -> float:
    r"""Share of the sums of two, :math:`x_i + x_j - x_k`, that are images or near one.

    Parameters
    ----------
    training : Tensor, shape (n, 1, S, S)
        Images with values in [0, 1]; n at least 3, and at most about 50: there are
        :math:`n (n - 1) (n - 2) / 2` sums.
    threshold : float
        How near to values in [0, 1], in median distances between training images.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If images are none or fewer than 3, or the threshold is not positive.
    """
    check_real("threshold", threshold, 0, open_low=True)
    x = check_images("training", training).double().flatten(1)
    n = check_integer("the number of training images", len(x), 3)
    i, j, k = torch.cartesian_prod(*[torch.arange(n)] * 3).T
    different = (i < j) & (i != k) & (j != k)
    sums = (x[i] + x[j] - x[k])[different]
    outside = (sums - sums.clamp(0, 1)).norm(dim=1)
    return (outside < threshold * torch.pdist(x).median()).double().mean().item()


def random_near_sums(count: int, seed: int) -> float:
    """Share of random points of the simplices, as far from the origin as sums of two, near a sum.

    Parameters
    ----------
    count : int
        Number of points of each kind of image.
    seed : int
        Of the points.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If a number is not allowed.
    """
    total = SumCounts(0, 0, 0, 0)
    for kind in KINDS:
        training = simplex_images(kind)
        total += count_sums(points_of(training, "random", count, seed), training)
    return (total.pairs + total.larger) / total.total


def kept_images(
    arrays: Mapping[str, torch.Tensor], kind: str, steps: int, name: str
) -> torch.Tensor:
    """What the networks of a kind and a number of training steps made.

    Parameters
    ----------
    arrays : dict of str to Tensor
        Of the run ``simplex``.
    kind : {"blocks", "waves"}
        Of the training images.
    steps : {100, 400, 1600}
        Training steps.
    name : {"images", "free", "back"}
        From noise; from noise with nothing clipped; or from points with a little noise.

    Returns
    -------
    Tensor of float32, shape (2, ...)
        One row for each seed; 1 is white.

    Raises
    ------
    ValueError
        If a name or the number of steps is none of these.
    """
    check_choice("kind", kind, KINDS)
    check_choice("steps", steps, BUDGETS)
    check_choice("name", name, ("images", "free", "back"))
    keys = [w.key for w in RUNS["simplex"] if w.variant == f"{kind}_{steps}"]
    parts = [arrays[f"{key}-{name}"] for key in keys]
    return torch.stack([p / 255 if p.dtype == torch.uint8 else p.float() for p in parts])


def network_stays(
    arrays: Mapping[str, torch.Tensor], steps: int, back_step: int = BACK_STEPS[0]
) -> Stays:
    """Share of points at which the networks of the run ``simplex`` stay.

    Parameters
    ----------
    arrays : dict of str to Tensor
        Of that run.
    steps : {100, 400, 1600}
        Training steps.
    back_step : {10, 20, 40}
        The step of the schedule up to which noise was added.

    Returns
    -------
    dict of (kind, points) to float
        Mean over two seeds.

    Raises
    ------
    ValueError
        If a number is none of these.
    """
    row = BACK_STEPS.index(check_choice("back_step", back_step, BACK_STEPS))
    stays = {}
    for kind in KINDS:
        training = simplex_images(kind)
        ends = kept_images(arrays, kind, steps, "back")[:, row]
        for column, points in enumerate(POINTS):
            x = points_of(training, points, N_BACK)
            each = [stayed(end[column], x, training) for end in ends]
            stays[kind, points] = torch.stack(each).double().mean().item()
    return stays


def exact_stays(
    denoiser: str,
    back_step: int = BACK_STEPS[0],
    schedule: DiffusionSchedule | None = None,
) -> Stays:
    """The same for a denoiser that is known exactly, through the same sampler.

    Parameters
    ----------
    denoiser : {"minimum-norm", "empirical Bayes"}
        Which one.
    back_step : int
        The step of the schedule up to which noise is added.
    schedule : DiffusionSchedule, optional
        The cosine schedule if not given.

    Returns
    -------
    dict of (kind, points) to float

    Raises
    ------
    ValueError
        If the denoiser is unknown, or the step is not in the schedule.
    """
    check_choice("denoiser", denoiser, ("minimum-norm", "empirical Bayes"))
    schedule = make_schedule() if schedule is None else schedule
    stays = {}
    for kind in KINDS:
        training = simplex_images(kind)
        flat = training.double().flatten(1)
        if denoiser == "minimum-norm":
            family = ramp_family(training_set(training), ALPHA)
        else:
            family = _bayes(flat)
        net = as_network(family, schedule)
        for points in POINTS:
            x = points_of(training, points, N_BACK)
            ends = denoise_from(net, schedule, x, back_step)
            stays[kind, points] = stayed(ends, x, training).double().mean().item()
    return stays


def _bayes(points: torch.Tensor):
    return lambda sigma: EmpiricalBayesDenoiser(points, sigma)
