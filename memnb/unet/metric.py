r"""Chapter 6: P2's metric of what networks on synthetic images have generated.

For each network the distances of :mod:`memnb.unet.pixel_density` are measured in 60 draws of
images, under three rules and beside two generators that are known. Nothing is trained here.
"""

import hashlib
from functools import cache

import torch

from memnb.streams import stream

from .images import synthetic_images
from .resampling import Originals, resample
from .runs import N_GENERATED, OnSynthetic

__all__ = [
    "GENERATORS",
    "MEASURED",
    "N_POOL",
    "N_SIMULATIONS",
    "RULES",
    "fingerprint",
    "originals",
    "rows",
]

MEASURED = ("synthetic", "protocol", "author", "paper", "rate")
# How many original images a draw has, and how the integrals are done
RULES = {
    "10 training, 100 original": (100, "exact"),
    "10 training, 10 original": (10, "exact"),
    "10 and 100, sum over 16 points": (100, "grid"),
}
GENERATORS = ("network", "perfect", "copier")
N_SIMULATIONS = 60
N_POOL = 10_000


@cache
def originals(image_size: int) -> list[tuple[Originals, str]]:
    """Draws of synthetic original images for each of ``RULES``, from a pool of 10,000.

    They are drawn once in a process, and not to be changed.

    Parameters
    ----------
    image_size : int
        Side S.

    Returns
    -------
    list of (Originals, str)
        The draws and how their integrals are done.
    """
    pool = synthetic_images(N_POOL, image_size, 0, purpose="pool of originals")
    shared = {count: Originals(pool, N_SIMULATIONS, count) for count in (10, 100)}
    return [(shared[count], rule) for count, rule in RULES.values()]


def fingerprint(network: OnSynthetic, generated: torch.Tensor) -> str:
    """Twelve hexadecimal digits of what is measured: the images generated and trained on."""
    digest = hashlib.sha256(repr((RULES, N_SIMULATIONS, N_POOL)).encode())
    for images in (generated, network.images()):
        digest.update(images.numpy().tobytes())
    return digest.hexdigest()[:12]


def rows(
    network: OnSynthetic, generated: torch.Tensor, drawn: list[tuple[Originals, str]]
) -> torch.Tensor:
    r"""P(Δ > 0) and the distances for a network and for two generators that are known.

    The *perfect* generator draws new images from the true law, the *copier* returns training
    images.

    Parameters
    ----------
    network : OnSynthetic
    generated : Tensor, shape (m, 1, S, S)
        What the network generated.
    drawn : list
        As :func:`originals` returns it.

    Returns
    -------
    Tensor of float64, shape (3, 3, 4)
        In the order of ``GENERATORS``, then of ``RULES``: the share of draws with
        :math:`\Delta > 0`, and the means of :math:`E_{TG}`, :math:`E_{OG}` and :math:`\Delta`.
    """
    known, seed = network.images(), network.seed
    perfect = synthetic_images(N_GENERATED, known.shape[-1], seed, purpose="perfect generator")
    # Drawn, because which of them a simulation takes must not depend on their order
    index = torch.randint(len(known), (N_GENERATED,), generator=stream(seed, "copier"))
    values = []
    for images in (generated, perfect, known[index]):
        for draws, rule in drawn:
            done = resample(images, known, draws, rule=rule)
            means = [done.mean(name)[0] for name in ("e_tg", "e_og", "delta")]
            values.append([done.p_positive[0], *means])
    return torch.tensor(values, dtype=torch.float64).reshape(3, 3, 4)
