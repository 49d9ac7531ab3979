r"""Chapter 6: distances between sets of images through their per-pixel densities.

A set of m images gives each pixel p a density, a sum of Gaussian kernels at the m values there,

.. math:: \rho_A(x; p) &= \frac1m \sum_{i=1}^m \mathcal{N}\big(x \mid a_i(p), \epsilon_A^2\big), \\
          E_{AB} &= \frac1d \sum_p \int \big(\rho_A(x; p) - \rho_B(x; p)\big)^2 dx .

The kernels are of width :math:`\epsilon = \sigma / m` with :math:`\sigma` the standard deviation of
a pixel (P2, Section 4, equations 23 and 24). Then the terms i = j of :math:`\int \rho_A^2`, each
:math:`1 / (2 \sqrt\pi\, m^2 \epsilon)`, sum to :math:`1 / (2 \sqrt\pi\, \sigma)` in every set.

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

import torch

from memnb.validation import check_integer, check_real

from .images import MEAN, STD, ImagesLike, check_images

__all__ = [
    "density_on_grid",
    "diagonal",
    "distance",
    "distance_on_grid",
    "grid_points",
    "kernel_width",
    "overlap",
    "overlap_of_pixels",
    "pixels",
    "same_pixels",
    "square_without_diagonal",
]

GRID_POINTS, GRID_STDS = 16, 5
CHUNK = 2**24  # differences of pixels in memory at a time


def pixels(name: str, x: ImagesLike, bounded: bool = False) -> torch.Tensor:
    """Images as float64, (m, d)."""
    return check_images(name, x, bounded=bounded).double().flatten(1)


def kernel_width(m: int, std: float, width: float | None) -> float:
    """The width that is given, or std / m for m images."""
    check_real("std", std, 0, math.inf, open_low=True, open_high=True)
    if width is None:
        return std / m
    return check_real("width", width, 0, math.inf, open_low=True, open_high=True)


def overlap_of_pixels(a: torch.Tensor, b: torch.Tensor, variance: float) -> float:
    """Mean over pixels and pairs of N(a - b | 0, variance); rows of pixels, float64."""
    total = 0.0
    for rows in a.split(max(1, CHUNK // b.numel())):
        difference = rows[:, None] - b[None]
        total += difference.square_().mul_(-0.5 / variance).exp_().sum().item()
    return total / (len(a) * b.numel()) / math.sqrt(2 * math.pi * variance)


def square_without_diagonal(a: torch.Tensor, width: float) -> float:
    """Mean over pixels of the integral of the squared density, less the terms i = j."""
    m, total = len(a), 0.0
    for shift in range(1, m // 2 + 1):
        # Images i and i + shift around a circle: every pair once, twice if shift is half of m
        difference = a - a.roll(shift, 0)
        kernel = difference.square_().mul_(-0.25 / width**2).exp_().sum().item()
        total += kernel / (2 if 2 * shift == m else 1)
    return 2 * total / (m * a.numel()) / math.sqrt(4 * math.pi * width**2)


def diagonal(m: int, width: float) -> float:
    """What the terms i = j add to the integral of the squared density of m images."""
    return 1 / (2 * math.sqrt(math.pi) * m * width)


def overlap(
    a: ImagesLike,
    b: ImagesLike,
    std: float = STD,
    width_a: float | None = None,
    width_b: float | None = None,
) -> float:
    r"""Mean over pixels of :math:`\int \rho_A \rho_B\, dx`, exactly.

    Parameters
    ----------
    a, b : Tensor, shape (m, 1, S, S)
        Images with finite values, of any floating-point dtypes; computed in float64.
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
        If a or b is no images with finite values, their sizes differ, or a width is not positive.
    """
    a, b = pixels("a", a), pixels("b", b)
    same_pixels(a, b)
    wide = kernel_width(len(a), std, width_a) ** 2 + kernel_width(len(b), std, width_b) ** 2
    return overlap_of_pixels(a, b, wide)


def same_pixels(a: torch.Tensor, b: torch.Tensor) -> None:
    """Raise ``ValueError`` if images have different sizes."""
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"b must have {a.shape[1]} pixels as a has, got {b.shape[1]}")


def distance(
    a: ImagesLike,
    b: ImagesLike,
    std: float = STD,
    width_a: float | None = None,
    width_b: float | None = None,
) -> float:
    r"""The distance :math:`E_{AB}`, exactly.

    Parameters
    ----------
    a, b, std, width_a, width_b
        As for :func:`overlap`.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        As :func:`overlap` does.

    Examples
    --------
    Two single images that differ by one width everywhere:

    >>> x = torch.full((1, 1, 2, 2), 0.5)
    >>> e = distance(x, x + 0.1, std=0.1)
    >>> abs(e - (1 - math.exp(-0.25)) / (math.sqrt(math.pi) * 0.1)) < 1e-5
    True
    """
    one, two = pixels("a", a), pixels("b", b)
    same_pixels(one, two)
    first, second = kernel_width(len(one), std, width_a), kernel_width(len(two), std, width_b)
    total = square_without_diagonal(one, first) + diagonal(len(one), first)
    total += square_without_diagonal(two, second) + diagonal(len(two), second)
    return total - 2 * overlap_of_pixels(one, two, first**2 + second**2)


def density_on_grid(a: torch.Tensor, width: float, grid: torch.Tensor) -> torch.Tensor:
    """Densities on a grid, shape (points, d)."""
    z = (grid[:, None, None] - a[None]) / width
    return z.square_().mul_(-0.5).exp_().mean(1) / (math.sqrt(2 * math.pi) * width)


def grid_points(points: int, mean: float, std: float) -> torch.Tensor:
    """The points of the grid, evenly spaced over five standard deviations on both sides."""
    spread = GRID_STDS * std
    return torch.linspace(mean - spread, mean + spread, points, dtype=torch.float64)


def distance_on_grid(
    a: ImagesLike,
    b: ImagesLike,
    std: float = STD,
    mean: float = MEAN,
    points: int = GRID_POINTS,
    width_a: float | None = None,
    width_b: float | None = None,
) -> float:
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

    Raises
    ------
    TypeError, ValueError
        As :func:`overlap` does, and if the mean is no number or there are fewer than 2 points.
    """
    one, two = pixels("a", a), pixels("b", b)
    same_pixels(one, two)
    grid = grid_points(
        check_integer("points", points, 2),
        check_real("mean", mean, open_low=True, open_high=True),
        std,
    )
    gap = density_on_grid(one, kernel_width(len(one), std, width_a), grid)
    gap = gap - density_on_grid(two, kernel_width(len(two), std, width_b), grid)
    return gap.square().sum(0).mean().item() * (grid[1] - grid[0]).item()
