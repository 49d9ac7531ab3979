r"""Distances between sets of images through their per-pixel densities.

A set of m images gives each pixel p a density, a sum of Gaussian kernels at the m values there,

.. math:: \rho_A(x; p) = \frac1m \sum_{i=1}^m \mathcal{N}\big(x \mid a_i(p), \epsilon_A^2\big),
          \qquad E_{AB} = \frac1d \sum_p \int \big(\rho_A(x; p) - \rho_B(x; p)\big)^2 dx .

With T, O, G for training, original and generated images, a model is said to memorize if
:math:`\Delta = E_{TG} - E_{OG} > 0` in less than half of all draws of images (P2, Section 4,
equations 23 and 24). The kernels are of width :math:`\epsilon = \sigma / m` with :math:`\sigma` the
standard deviation of a pixel. Then the terms i = j of :math:`\int \rho_A^2`, each
:math:`1 / (2 \sqrt\pi\, m^2 \epsilon)`, sum to :math:`1 / (2 \sqrt\pi\, \sigma)` in every set, and
cancel in :math:`\Delta`; here they are left out before subtracting, not subtracted.

Generated images are taken as they are, also where a value is outside [0, 1]: set to the ends of
that range, the values of many pixels would coincide, and narrow kernels on top of each other would
dominate :math:`\int \rho_G^2`. Training and original images have values in [0, 1].

No integral has to be done on a grid, because

.. math:: \int \mathcal{N}(x \mid a, \epsilon_1^2)\, \mathcal{N}(x \mid b, \epsilon_2^2)\, dx
          = \mathcal{N}(a - b \mid 0, \epsilon_1^2 + \epsilon_2^2) .

The sum over 16 points of :math:`[\mu - 5\sigma, \mu + 5\sigma]` that the paper's simulations use
is here for comparison: kernels of width :math:`\sigma/100` fall between points
:math:`0.67\,\sigma` apart.

References
----------
P2 (*On the Onset of Memorization to Generalization Transition in Diffusion Models*, ICLR 2025
submission), Section 4, and its author's script at
https://github.com/I-Halder/a-solvable-generative-model-with-a-linear-one-step-denoiser.
"""

import math
from dataclasses import dataclass

import torch
from tqdm.auto import tqdm

from memnb.streams import stream
from memnb.validation import check_choice, check_integer, check_real

from .images import MEAN, STD, check_images

__all__ = [
    "RULES",
    "Originals",
    "Resampled",
    "distance",
    "distance_on_grid",
    "overlap",
    "resample",
    "wilson",
]

RULES = ("exact", "grid")
GRID_POINTS, GRID_STDS = 16, 5


def _pixels(name, x, bounded=False):
    """Images as float64, (m, d)."""
    return check_images(name, x, bounded=bounded).double().flatten(1)


def _width(m, std, width):
    check_real("std", std, 0, math.inf, open_low=True, open_high=True)
    return std / m if width is None else check_real("width", width, 0, math.inf, open_low=True)


def _overlap(a, b, variance):
    """Mean over pixels and pairs of N(a - b | 0, variance)."""
    difference = a[:, None] - b[None]
    kernel = difference.square_().mul_(-0.5 / variance).exp_()
    return kernel.mean().item() / math.sqrt(2 * math.pi * variance)


def _without_diagonal(a, width):
    """Mean over pixels of the integral of the squared density, less the terms i = j."""
    m = len(a)
    if m == 1:
        return 0.0
    i, j = torch.triu_indices(m, m, 1)
    kernel = (a[i] - a[j]).square_().mul_(-0.25 / width**2).exp_().mean().item()
    return (m - 1) / m * kernel / math.sqrt(4 * math.pi * width**2)


def _diagonal(m, width):
    return 1 / (2 * math.sqrt(math.pi) * m * width)


def overlap(a, b, std=STD, width_a=None, width_b=None):
    r"""Mean over pixels of :math:`\int \rho_A \rho_B\, dx`, exactly.

    Parameters
    ----------
    a, b : Tensor, shape (m, 1, S, S)
        Images with finite values, of any floating-point dtype; computed in float64.
    std : float
        :math:`\sigma`; the kernel widths are :math:`\sigma / m` unless given.
    width_a, width_b : float, optional
        Kernel widths.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If a or b is not a tensor of images with finite values, or their sizes differ.
    """
    a, b = _pixels("a", a), _pixels("b", b)
    _same_pixels(a, b)
    wide = _width(len(a), std, width_a) ** 2 + _width(len(b), std, width_b) ** 2
    return _overlap(a, b, wide)


def _same_pixels(a, b):
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"b must have {a.shape[1]} pixels as a has, got {b.shape[1]}")


def distance(a, b, std=STD, width_a=None, width_b=None):
    r"""The distance :math:`E_{AB}`, exactly; see :func:`overlap` for the arguments.

    Examples
    --------
    Two single images that differ by one width everywhere:

    >>> x = torch.full((1, 1, 2, 2), 0.5)
    >>> e = distance(x, x + 0.1, std=0.1)
    >>> abs(e - (1 - math.exp(-0.25)) / (math.sqrt(math.pi) * 0.1)) < 1e-5
    True
    """
    one, two = _pixels("a", a), _pixels("b", b)
    _same_pixels(one, two)
    first, second = _width(len(one), std, width_a), _width(len(two), std, width_b)
    total = _without_diagonal(one, first) + _diagonal(len(one), first)
    total += _without_diagonal(two, second) + _diagonal(len(two), second)
    return total - 2 * _overlap(one, two, first**2 + second**2)


def _density(a, width, grid):
    """Densities on a grid, shape (points, d)."""
    z = (grid[:, None, None] - a[None]) / width
    return z.square_().mul_(-0.5).exp_().mean(1) / (math.sqrt(2 * math.pi) * width)


def _grid(points, mean, std):
    spread = GRID_STDS * std
    return torch.linspace(mean - spread, mean + spread, points, dtype=torch.float64)


def distance_on_grid(a, b, std=STD, mean=MEAN, points=GRID_POINTS, width_a=None, width_b=None):
    r"""The distance :math:`E_{AB}` as a sum over a grid, as in the paper's simulations.

    Parameters
    ----------
    a, b, std, width_a, width_b
        As for :func:`overlap`.
    mean : float
        The center of the grid, which spans :math:`\mu \pm 5\sigma`.
    points : int
        Number of points; the paper's script has 16.

    Returns
    -------
    float
        :math:`\frac1d \sum_p \sum_x \delta x\, (\rho_A - \rho_B)^2` with the spacing
        :math:`\delta x`. (The script divides by the number of points instead, a constant factor.)
    """
    one, two = _pixels("a", a), _pixels("b", b)
    _same_pixels(one, two)
    grid = _grid(
        check_integer("points", points, 2),
        check_real("mean", mean, open_low=True, open_high=True),
        std,
    )
    gap = _density(one, _width(len(one), std, width_a), grid)
    gap = gap - _density(two, _width(len(two), std, width_b), grid)
    return gap.square().sum(0).mean().item() * (grid[1] - grid[0]).item()


def wilson(count, n):
    """Fraction and the half-width of its one-sigma Wilson interval, for count of n >= 1."""
    check_integer("n", n, 1)
    p = check_integer("count", count, 0, n) / n
    return p, math.sqrt(p * (1 - p) / n + 1 / (4 * n * n)) / (1 + 1 / n)


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
    def p_positive(self):
        r"""Share of the draws with :math:`\Delta > 0`, and its standard error (Wilson)."""
        return wilson(int((self.delta > 0).sum()), len(self.delta))

    def mean(self, name):
        """Mean of ``e_tg``, ``e_og`` or ``delta`` over the draws, and its standard error."""
        values = getattr(self, name)
        return values.mean().item(), values.std().item() / math.sqrt(len(values))


def _draw(pool, m, generator):
    return pool[torch.randperm(len(pool), generator=generator)[:m]]


def _check_count(name, count, pool):
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
        Original images to draw from, without replacement; values in [0, 1].
    n_simulations, n_original : int
        Number of draws, and images in each.
    seed : int
        Seed of the draws.
    std : float
        Standard deviation :math:`\sigma` of a pixel.
    """

    def __init__(self, pool, n_simulations=100, n_original=100, seed=0, std=STD):
        pixels = _pixels("original", pool, bounded=True)
        _check_count("n_original", n_original, pixels)
        check_integer("n_simulations", n_simulations, 2)
        generator = stream(seed, "draws of originals")
        self.std, self.width = std, _width(n_original, std, None)
        self.draws = [_draw(pixels, n_original, generator) for _ in range(n_simulations)]
        self.within = [_without_diagonal(o, self.width) for o in self.draws]


def resample(
    generated, training, originals, *, seed=0, n_generated=10, n_training=10, mean=MEAN,
    rule="exact", progress=False,
):  # fmt: skip
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
    ValueError
        If a set is smaller than what is drawn from it, a value is not allowed, or the rule is
        unknown.
    """
    check_choice("rule", rule, RULES)
    check_real("mean", mean, open_low=True, open_high=True)
    generator = stream(seed, "draws of generated and training images")
    g, t = _pixels("generated", generated), _pixels("training", training, bounded=True)
    for x in (t, originals.draws[0]):
        _same_pixels(g, x)
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


def _exactly(g, t, o, std, within_o):
    """E_TG, E_OG and their difference, in which the diagonal terms do not appear."""
    wide_g, wide_t, wide_o = (std / len(x) for x in (g, t, o))
    tg = _without_diagonal(t, wide_t) - 2 * _overlap(t, g, wide_t**2 + wide_g**2)
    og = within_o - 2 * _overlap(o, g, wide_o**2 + wide_g**2)
    same = _without_diagonal(g, wide_g) + _diagonal(len(g), wide_g) + _diagonal(len(t), wide_t)
    return tg + same, og + same, tg - og


def _on_grid(g, t, o, std, mean):
    grid = _grid(GRID_POINTS, mean, std)
    spacing = (grid[1] - grid[0]).item()
    pg, pt, po = (_density(x, std / len(x), grid) for x in (g, t, o))
    tg = (pt - pg).square().sum(0).mean().item() * spacing
    og = (po - pg).square().sum(0).mean().item() * spacing
    return tg, og, tg - og
