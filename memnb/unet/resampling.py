r"""Chapter 6: how often generated images are closer to original than to training images.

Sets of images are compared through their per-pixel densities (:mod:`memnb.unet.pixel_density`).
With T, O, G for training, original and generated images, a model is said to memorize if
:math:`\Delta = E_{TG} - E_{OG} > 0` in at most half of all draws of images from the three (P2,
Section 4). The terms i = j of :math:`\int \rho_T^2` and :math:`\int \rho_O^2`, which cancel in
:math:`\Delta`, are left out before subtracting, not subtracted.

References
----------
P2 (*On the Onset of Memorization to Generalization Transition in Diffusion Models*, ICLR 2025
submission), Section 4, and its author's script at
https://github.com/I-Halder/a-solvable-generative-model-with-a-linear-one-step-denoiser.
"""

from dataclasses import dataclass

import torch
from tqdm.auto import tqdm

from memnb.stats import mean_error, wilson
from memnb.streams import stream
from memnb.validation import check_choice, check_integer, check_real

from .images import MEAN, STD, ImagesLike
from .pixel_density import (
    GRID_POINTS,
    density_on_grid,
    diagonal,
    grid_points,
    kernel_width,
    overlap_of_pixels,
    pixels,
    same_pixels,
    square_without_diagonal,
)

__all__ = ["RULES", "Originals", "Resampled", "resample"]

RULES = ("exact", "grid")


@dataclass(frozen=True, eq=False)
class Resampled:
    r"""Distances in many draws of images.

    Parameters
    ----------
    e_tg, e_og, delta : Tensor of float64, shape (n_simulations,)
        :math:`E_{TG}`, :math:`E_{OG}` and :math:`\Delta`.
    """

    e_tg: torch.Tensor
    e_og: torch.Tensor
    delta: torch.Tensor

    @property
    def p_positive(self) -> tuple[float, float]:
        r"""Share of the draws with :math:`\Delta > 0`, and its standard error (Wilson)."""
        return wilson(int((self.delta > 0).sum()), len(self.delta))

    def mean(self, name: str) -> tuple[float, float]:
        """Mean of ``e_tg``, ``e_og`` or ``delta`` over the draws, and its standard error.

        Raises
        ------
        ValueError
            If the name is none of these.
        """
        return mean_error(getattr(self, check_choice("name", name, ("e_tg", "e_og", "delta"))))


def _draw(pool: torch.Tensor, m: int, generator: torch.Generator) -> torch.Tensor:
    return pool[torch.randperm(len(pool), generator=generator)[:m]]


def _check_count(name: str, count: int, pool: torch.Tensor) -> int:
    check_integer(name, count, 1)
    if count > len(pool):
        raise ValueError(f"{name} must be at most {len(pool)}, the images there, got {count}")
    return count


class Originals:
    r"""Draws of original images that many calls of :func:`resample` can share.

    What they cost, the pairs within each draw, is paid once.

    Parameters
    ----------
    pool : Tensor, shape (m, 1, S, S)
        Original images to draw from, without replacement.
    n_simulations, n_original : int
        Number of draws, and images in each.
    seed : int
        Seed of the draws.
    std : float
        Standard deviation :math:`\sigma` of a pixel.
    bounded : bool
        Whether the pool must have values in [0, 1]. If false they need only be finite: in the
        author's script the original images stay multiplied by 255, so that :math:`\rho_O` is 0 at
        all points of its grid, and :math:`E_{OG} = \int \rho_G^2`.

    Raises
    ------
    TypeError, ValueError
        If the pool is no images of such values, or smaller than a draw, or a number is not allowed.
    """

    def __init__(
        self,
        pool: ImagesLike,
        n_simulations: int = 100,
        n_original: int = 100,
        seed: int = 0,
        std: float = STD,
        *,
        bounded: bool = True,
    ) -> None:
        images = pixels("original", pool, bounded)
        _check_count("n_original", n_original, images)
        check_integer("n_simulations", n_simulations, 2)
        generator = stream(seed, "draws of originals")
        self.std, width = std, kernel_width(n_original, std, None)
        self.draws = [_draw(images, n_original, generator) for _ in range(n_simulations)]
        self.within = [square_without_diagonal(o, width) for o in self.draws]


def resample(
    generated: ImagesLike,
    training: ImagesLike,
    originals: Originals,
    *,
    seed: int = 0,
    n_generated: int = 10,
    n_training: int = 10,
    mean: float = MEAN,
    rule: str = "exact",
    progress: bool = False,
) -> Resampled:
    r"""Draw generated, training and original images at random, many times over.

    Parameters
    ----------
    generated, training : Tensor, shape (m, 1, S, S)
        Images to draw from, without replacement. Values of generated images are finite, those of
        training images in [0, 1].
    originals : Originals
        The draws of original images; their number is that of the simulations.
    seed : int
        Seed of the other draws.
    n_generated, n_training : int
        Images in a draw; 10 in the paper, against 100 original ones. A training set of fewer than
        ``n_training`` images is used whole.
    mean : float
        The center of the grid.
    rule : {"exact", "grid"}
        Integrals in closed form, or the paper's sum over 16 points.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Resampled

    Raises
    ------
    TypeError
        If ``originals`` are not :class:`Originals`, or images are none.
    ValueError
        If a set is smaller than what is drawn from it, a value is not allowed, or the rule is
        unknown.
    """
    if not isinstance(originals, Originals):
        raise TypeError(f"originals must be Originals, got {type(originals).__name__}")
    check_choice("rule", rule, RULES)
    check_real("mean", mean, open_low=True, open_high=True)
    generator = stream(seed, "draws of generated and training images")
    g, t = pixels("generated", generated), pixels("training", training, bounded=True)
    for x in (t, originals.draws[0]):
        same_pixels(g, x)
    _check_count("n_generated", n_generated, g)
    n_training = min(check_integer("n_training", n_training, 1), len(t))
    rows = []
    draws = list(zip(originals.draws, originals.within, strict=True))
    for o, within in tqdm(draws, disable=not progress, desc="Resampling"):
        some = _draw(g, n_generated, generator), _draw(t, n_training, generator), o
        if rule == "exact":
            rows.append(_exactly(*some, originals.std, within))
        else:
            rows.append(_on_grid(*some, originals.std, mean))
    return Resampled(*torch.tensor(rows, dtype=torch.float64).unbind(1))


def _exactly(
    g: torch.Tensor, t: torch.Tensor, o: torch.Tensor, std: float, within_o: float
) -> tuple[float, float, float]:
    """E_TG, E_OG and their difference, in which the diagonal terms do not appear."""
    wide_g, wide_t, wide_o = (std / len(x) for x in (g, t, o))
    tg = square_without_diagonal(t, wide_t) - 2 * overlap_of_pixels(t, g, wide_t**2 + wide_g**2)
    og = within_o - 2 * overlap_of_pixels(o, g, wide_o**2 + wide_g**2)
    same = square_without_diagonal(g, wide_g) + diagonal(len(g), wide_g) + diagonal(len(t), wide_t)
    return tg + same, og + same, tg - og


def _on_grid(
    g: torch.Tensor, t: torch.Tensor, o: torch.Tensor, std: float, mean: float
) -> tuple[float, float, float]:
    grid = grid_points(GRID_POINTS, mean, std)
    spacing = (grid[1] - grid[0]).item()
    pg, pt, po = (density_on_grid(x, std / len(x), grid) for x in (g, t, o))
    tg = (pt - pg).square().sum(0).mean().item() * spacing
    og = (po - pg).square().sum(0).mean().item() * spacing
    return tg, og, tg - og
