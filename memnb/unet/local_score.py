r"""Chapter 6: a denoiser that looks at neighborhoods: empirical Bayes, patch by patch.

The empirical Bayes denoiser weighs whole training images, and every flow that it drives ends at
one of them. A convolutional network sees little of an image when it decides on a pixel. The *local*
empirical Bayes denoiser weighs, for each pixel i by itself, only the patch :math:`\Omega_i` of side
P around it, at the same place in all training images :math:`x^k`:

.. math:: h(y)_i = \sum_k w_{ik}\, x^k_i, \qquad w_{ik} \propto
          \exp\Big({-\frac{\lVert y_{\Omega_i} - x^k_{\Omega_i} \rVert^2}{2 \sigma^2}}\Big).

It is the posterior mean :math:`\mathbb{E}[x_i \mid y_{\Omega_i}]` for x uniform on the training
images: the best of all denoisers that see no more than :math:`\Omega_i`. What it generates is a
mosaic, each part taken from another image. With P = 2S - 1 each patch is the whole image, and it is
the empirical Bayes denoiser.

Kamb and Ganguli call this the *local score machine*, Niedoba et al. a *patch set posterior
composite*.
In Kamb and Ganguli's *equivariant* one a patch may come from any place. The U-Net here knows where
it is (its convolutions are padded, and it has attention), so that patches keep their place, which
is also what makes it cheap.

**The side of the patch** depends on the noise: the more noise, the larger the patch that is
worth looking at. Both papers read it off the network that is to be explained. Here
:func:`best_patches` chooses, for each noise level, the side with the smallest error on held-out
digits, so that the baseline knows nothing of any network.

References
----------
Kamb and Ganguli, *An analytic theory of creativity in convolutional diffusion models*,
arXiv:2412.20292; Niedoba et al., *Towards a Mechanistic Explanation of Diffusion Model
Generalization*, arXiv:2411.19339.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import avg_pool2d

from memnb.streams import stream
from memnb.validation import check_integer, check_real

from .baselines import as_network
from .diffusion import DiffusionSchedule
from .digit_transition import linear_images
from .images import ImagesLike, check_images
from .sampling import ddim_steps, sample

__all__ = ["LocalBayesDenoiser", "baseline_images", "best_patches", "local_network"]

CHUNK = 2**22  # numbers in memory at a time
SIDES = (1, 3, 5, 9, 15)  # of patches of digits; the last one is the whole image
LEVELS = 8  # noise levels at which a side is chosen


class LocalBayesDenoiser:
    r"""The posterior mean of each pixel given the patch around it, for uniform training images.

    Parameters
    ----------
    images : Tensor, shape (n, 1, S, S)
        Training images with finite values.
    sigma : float
        Noise level :math:`\sigma > 0`.
    patch : int
        Side P of the patches, odd; what is beyond the border is left out. From 2S - 1 on a patch is
        the whole image.

    Raises
    ------
    TypeError, ValueError
        If the images are none, or a number is not allowed.

    Examples
    --------
    >>> images = torch.tensor([[0.0, 0.0], [1.0, 1.0]]).reshape(2, 1, 1, 2).expand(2, 1, 2, 2)
    >>> h = LocalBayesDenoiser(images, sigma=0.1, patch=1)
    >>> h(torch.tensor([[0.0, 1.0, 0.2, 0.5]])).round(decimals=3).tolist()
    [[0.0, 1.0, 0.0, 0.5]]
    """

    def __init__(self, images: ImagesLike, sigma: float, patch: int) -> None:
        self.images = check_images("images", images, bounded=False).double()
        self.sigma = check_real("sigma", sigma, 0, math.inf, open_low=True, open_high=True)
        self.patch = check_integer("patch", patch, 1)
        if patch % 2 == 0:
            raise ValueError(f"patch must be odd, got {patch}")

    def __call__(self, y: torch.Tensor) -> torch.Tensor:
        """Denoise points.

        Parameters
        ----------
        y : Tensor, shape (m, S * S)
            Noisy images, row by row.

        Returns
        -------
        Tensor of float64, shape (m, S * S)

        Raises
        ------
        ValueError
            If the points are not of the size of the images.
        """
        n, _, side, _ = self.images.shape
        if y.ndim != 2 or y.shape[1] != side * side:
            raise ValueError(f"y must have shape (m, {side * side}), got {tuple(y.shape)}")
        rows = y.double().reshape(-1, 1, side, side)
        parts = rows.split(max(1, CHUNK // (n * side * side)))
        return torch.cat([self._denoise(part) for part in parts]).flatten(1)

    def _denoise(self, y: torch.Tensor) -> torch.Tensor:
        known = self.images[:, 0]  # (n, S, S)
        reach = min(self.patch, 2 * known.shape[-1] - 1)
        squares = (y - known).square()  # (m, n, S, S)
        # The mean over a patch, zeros beyond the border counted, is its sum over P squared
        sums = avg_pool2d(squares, reach, stride=1, padding=reach // 2) * reach**2
        weights = (-sums / (2 * self.sigma**2)).softmax(dim=1)
        return (weights * known).sum(1)


def local_network(
    images: ImagesLike, schedule: DiffusionSchedule, patches: int | Sequence[int]
) -> Callable:
    r"""The network :math:`\varepsilon_\theta(x_t, t)` of the local empirical Bayes denoiser.

    Parameters
    ----------
    images : Tensor, shape (n, 1, S, S)
        Training images with values in [0, 1].
    schedule : DiffusionSchedule
    patches : int or sequence of int, length T
        Side of the patches, for all steps or for each of the steps 1 to T.

    Returns
    -------
    callable
        For :func:`~memnb.unet.sampling.sample`.

    Raises
    ------
    TypeError, ValueError
        If the images are none, or there is not one allowed side for each step.
    """
    images = check_images("images", images)
    sides = [patches] * schedule.n_steps if isinstance(patches, int) else list(patches)
    check_integer("the number of patches", len(sides), schedule.n_steps, schedule.n_steps)
    # as_network asks for a denoiser of the noise level, half of that of the schedule
    side_of = dict(zip((schedule.sigmas[1:] / 2).tolist(), sides, strict=True))
    for side in set(sides):
        LocalBayesDenoiser(images, 1.0, side)  # refuses what is not allowed before any work
    return as_network(lambda sigma: LocalBayesDenoiser(images, sigma, side_of[sigma]), schedule)


def best_patches(
    images: ImagesLike,
    held_out: ImagesLike,
    schedule: DiffusionSchedule,
    n_steps: int,
    sides: Sequence[int],
    seed: int,
) -> list[int]:
    r"""For each step, the side with which held-out images are denoised best.

    Parameters
    ----------
    images : Tensor, shape (n, 1, S, S)
        Training images.
    held_out : Tensor, shape (h, 1, S, S)
        Other images of the same kind.
    schedule : DiffusionSchedule
    n_steps : int
        Sides are chosen for as many steps, those of DDIM, and the others take that of the next one
        above.
    sides : sequence of int
        Odd numbers to choose from.
    seed : int
        Of the noise on the held-out images.

    Returns
    -------
    list of int, length T

    Raises
    ------
    TypeError, ValueError
        If images are none, or a number is not allowed.
    """
    held_out = check_images("held_out", held_out).double()
    check_integer("the number of sides", len(sides), 1)
    check_integer("n_steps", n_steps, 1, schedule.n_steps)
    noise = torch.randn(held_out.shape, generator=stream(seed, "noise on held-out images"),
                        dtype=torch.float64)  # fmt: skip
    sigmas = (schedule.sigmas / 2).tolist()
    visited = sorted(ddim_steps(schedule.n_steps, n_steps)[:-1])
    best = {}
    for step in visited:
        noisy = (held_out + sigmas[step] * noise).flatten(1)
        errors = [
            (LocalBayesDenoiser(images, sigmas[step], side)(noisy) - held_out.flatten(1))
            .square().mean().item()
            for side in sides
        ]  # fmt: skip
        best[step] = sides[errors.index(min(errors))]
    return [best[min(s for s in visited if s >= t)] for t in range(1, schedule.n_steps + 1)]


def baseline_images(
    training: ImagesLike,
    held_out: ImagesLike,
    schedule: DiffusionSchedule,
    noise: torch.Tensor,
    seed: int,
) -> dict[str, torch.Tensor]:
    """What three denoisers that nobody trained make of noise by DDIM in 25 steps.

    Parameters
    ----------
    training : Tensor, shape (n, 1, 8, 8)
        Digits with values in [0, 1].
    held_out : Tensor, shape (h, 1, 8, 8)
        Others, with which the sides of the patches are chosen.
    schedule : DiffusionSchedule
    noise : Tensor, shape (m, 1, 8, 8)
    seed : int
        For the choice of the sides.

    Returns
    -------
    dict of str to Tensor of shape (m, 1, 8, 8)
        ``"local"``, ``"linear"`` and ``"empirical Bayes"``, clamped to [0, 1].

    Raises
    ------
    TypeError, ValueError
        If images or noise are none.
    """
    sides = best_patches(training, held_out, schedule, LEVELS, SIDES, seed)
    images = {}
    for name, patches in (("local", sides), ("empirical Bayes", SIDES[-1])):
        x = sample(local_network(training, schedule, patches), schedule, noise, n_steps=25)
        images[name] = ((x + 1) / 2).clamp(0, 1)
    linear = linear_images(training, schedule, noise)
    return {"local": images["local"], "linear": linear,
            "empirical Bayes": images["empirical Bayes"]}  # fmt: skip
