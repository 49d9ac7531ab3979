r"""Chapter 6: :math:`P(\Delta > 0)` in the units of the author's script.

In the public script behind Figure 4 of P2 the original images stay multiplied by 255. At the 16
points of (0, 1) their density is then 0, so that

.. math:: E_{OG} = \int \rho_G^2, \qquad
          \Delta = E_{TG} - E_{OG} = \int \rho_T^2 - 2 \int \rho_T\, \rho_G ,

which does not depend on the original images: it is positive if the generated images are far enough
from the training images, for whatever reason.

References
----------
https://github.com/I-Halder/a-solvable-generative-model-with-a-linear-one-step-denoiser, as of
September 2024.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from memnb.stats import mean_error
from memnb.streams import stream
from memnb.validation import check_choice

from .images import MEAN, synthetic_images
from .resampling import Originals, resample

__all__ = ["GENERATORS", "positive_share", "positive_shares"]

GENERATORS = ("network", "perfect", "copier", "wide")


def positive_share(
    generated: torch.Tensor, training: torch.Tensor, originals: torch.Tensor, seed: int = 0
) -> float:
    r"""Share of draws with :math:`\Delta > 0` in these units.

    Parameters
    ----------
    generated, training, originals : Tensor, shape (m, 1, S, S)
        Images; 60 draws of 10 generated and 10 training ones. (One original image a draw, not the
        script's 100, because it does not matter.)
    seed : int
        Of the draws.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If images are none, or fewer than are drawn.
    """
    draws = Originals(255 * originals, 60, 1, seed, bounded=False)
    return resample(generated, training, draws, seed=seed, rule="grid").p_positive[0]


def positive_shares(
    networks: Sequence[Any],
    arrays: Mapping[str, torch.Tensor],
    originals: torch.Tensor,
    generator: str = "network",
) -> dict[int, tuple[float, float]]:
    r""":func:`positive_share` for the networks of a run, or for a known generator beside each.

    Parameters
    ----------
    networks : sequence
        Of a run of :data:`memnb.unet.runs.RUNS` on synthetic images; those without images in
        ``arrays`` are left out.
    arrays : dict of str to Tensor
        Of that run.
    originals : Tensor, shape (m, 1, S, S)
        Original images.
    generator : {"network", "perfect", "copier", "wide"}
        Whose images: the network's, new ones of the true law, training images, or new ones whose
        pixels are five times as far from their mean.

    Returns
    -------
    dict of int to (float, float)
        For each n the mean over seeds and its standard error, nan for a single seed.

    Raises
    ------
    ValueError
        If the generator is unknown.
    """
    check_choice("generator", generator, GENERATORS)
    shares: dict[int, list] = {}
    for network in networks:
        key = f"{network.key}-images"
        if key not in arrays:
            continue
        x, known, seed = arrays[key].float(), network.images(), network.seed
        if generator == "copier":
            chosen = torch.randint(len(known), (len(x),), generator=stream(seed, "copier"))
            x = known[chosen]
        elif generator != "network":
            x = synthetic_images(len(x), x.shape[-1], seed, purpose="perfect generator")
            x = MEAN + 5 * (x - MEAN) if generator == "wide" else x
        share = positive_share(x, known, originals, seed)
        shares.setdefault(network.n, []).append(share)
    return {n: mean_error(torch.tensor(values)) for n, values in sorted(shares.items())}
