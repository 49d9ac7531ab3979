r"""All chapters: independent random numbers for every purpose, from one seed.

A chapter or a run has one ``seed`` and many uses for random numbers: training data, starting
points, noise of a sampler, weights, draws of a bootstrap. Two generators that are seeded with the
same number give *the same* numbers, so that, for example, the noise of a sampler's first step would
be its starting point. Here every purpose has a name, and its stream is determined by the seed, the
name and, where there are many of a kind, their numbers:

.. math:: \text{stream} = \operatorname{SeedSequence}\big(&\text{seed}, \\
          & \text{spawn key} = (\text{CRC-32 of the purpose}, k_1, k_2, \dots)\big).

Streams of different purposes are independent in the sense of :class:`numpy.random.SeedSequence`;
the same arguments give the same stream on every machine, in every process and in any order. Nothing
here touches the global state of torch or NumPy.

Torch's generator on the CPU reads only the lowest 32 bits of a seed, so :func:`stream` seeds it
with 32 bits of the sequence. Two of n streams coincide with probability :math:`n^2 / 2^{33}`.
"""

import math
import zlib

import numpy as np
import torch

from .validation import check_integer

__all__ = ["numpy_stream", "portable_normals", "stream"]


def _sequence(seed: int, purpose: str, numbers: tuple[int, ...]) -> np.random.SeedSequence:
    seed = check_integer("seed", seed, 0)
    if not isinstance(purpose, str) or not purpose:
        raise TypeError(f"purpose must be a nonempty str, got {purpose!r}")
    key = [check_integer("numbers", number, 0) for number in numbers]
    return np.random.SeedSequence(seed, spawn_key=(zlib.crc32(purpose.encode()), *key))


def stream(
    seed: int, purpose: str, *numbers: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A torch generator of its own for one purpose.

    Parameters
    ----------
    seed : int
        Seed of the chapter or run, at least 0.
    purpose : str
        What the numbers are for, as in ``"starts"``.
    *numbers : int
        Which one, if there are many of a kind; each at least 0.
    device : torch.device or str
        Where the generator lives.

    Returns
    -------
    torch.Generator

    Raises
    ------
    TypeError, ValueError
        If the seed or a number is not an integer of at least 0, or the purpose is no text.

    Examples
    --------
    >>> starts, noise = (torch.randn(4, generator=stream(0, p)) for p in ("starts", "noise"))
    >>> bool((starts == noise).any())
    False
    >>> torch.equal(starts, torch.randn(4, generator=stream(0, "starts")))
    True
    """
    state = _sequence(seed, purpose, numbers).generate_state(1, np.uint32)
    return torch.Generator(device).manual_seed(int(state[0]))


def numpy_stream(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """The same as :func:`stream` for NumPy, with the whole of the sequence's entropy.

    Parameters
    ----------
    seed, purpose, *numbers
        As for :func:`stream`.

    Returns
    -------
    numpy.random.Generator
    """
    return np.random.default_rng(_sequence(seed, purpose, numbers))


def portable_normals(generator: torch.Generator, count: int) -> torch.Tensor:
    r"""Standard normal numbers that the script of a page draws too.

    Torch's own normal numbers depend on its version and on how many are drawn at once. These are
    pairs :math:`\sqrt{-2 \log(1 - u)}\, (\cos 2\pi w, \sin 2\pi w)` of uniform numbers with 53
    bits from the Mersenne twister, one pair after another (Box and Muller, *A note on the
    generation of random normal deviates*, Annals of Mathematical Statistics 29, 1958). So more
    numbers begin with the same ones, and ``assets/live/random.js`` needs the generator's
    ``initial_seed()`` only.

    Parameters
    ----------
    generator : torch.Generator
        Of the CPU, as from :func:`stream`.
    count : int
        How many, at least 1.

    Returns
    -------
    Tensor of float64, shape (count,)

    Raises
    ------
    TypeError, ValueError
        If the count is not an integer of at least 1.

    Examples
    --------
    >>> few, many = (portable_normals(stream(0, "starts"), n) for n in (2, 1000))
    >>> torch.equal(few, many[:2])
    True
    """
    count = check_integer("count", count, 1)
    u, w = torch.rand((count + 1) // 2, 2, generator=generator, dtype=torch.float64).mT
    radius, angle = (-2 * torch.log1p(-u)).sqrt(), 2 * math.pi * w
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1).flatten()[:count]
