"""Chapter 6: what all networks on digits start from: the division of the digits, the noise."""

from functools import cache

import torch

from .images import Digits, digits
from .sampling import gaussian_noise

__all__ = ["NOISE_SEEDS", "PER_SEED", "Named", "as_bytes", "digit_split", "start_noise"]

NOISE_SEEDS = (1, 2, 3, 4)
PER_SEED = 64


class Named:
    """A network with a number n of images, a variant and a seed."""

    snapshots: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """Name of the network in the arrays of its run, as in ``n8-a-s0``."""
        return f"n{self.n}-{self.variant}-s{self.seed}"


def as_bytes(x: torch.Tensor) -> torch.Tensor:
    """Images with values in [0, 1] as uint8, on the CPU."""
    return (255 * x).round().clamp(0, 255).to(torch.uint8).cpu()


@cache
def digit_split() -> Digits:
    """The digits as they are divided for all networks on them."""
    return digits(0)


def start_noise() -> torch.Tensor:
    """The noise from which all networks on digits generate, shape (256, 1, 8, 8)."""
    return torch.cat([gaussian_noise(PER_SEED, 8, seed) for seed in NOISE_SEEDS])
