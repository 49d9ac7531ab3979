"""Chapter 6: where a use of random numbers takes them from, by the two rules of kept networks.

Every use has a stream of its own, by the seed and the name of its purpose (:mod:`memnb.streams`).
Networks that were kept before this rule shared plain seeds between purposes: the numbers of seed 1
were, say, weights, batches and starting noise. Where a stream is named, the name ``None`` gives
those numbers, so that such results can still be computed again.
"""

import torch

from memnb.streams import stream
from memnb.validation import check_integer

__all__ = ["source"]


def source(seed: int, purpose: str | None) -> torch.Generator:
    """A generator of its own for a purpose, or one that is seeded with the seed alone.

    Parameters
    ----------
    seed : int
        At least 0.
    purpose : str or None
        Name of the stream; None for the seed alone.

    Returns
    -------
    torch.Generator

    Raises
    ------
    TypeError, ValueError
        If the seed is not an integer of at least 0, or the purpose is empty.

    Examples
    --------
    >>> same = [torch.randn(2, generator=source(1, None)) for _ in range(2)]
    >>> own = [torch.randn(2, generator=source(1, purpose)) for purpose in ("noise", "weights")]
    >>> torch.equal(*same), torch.equal(*own)
    (True, False)
    """
    if purpose is None:
        return torch.Generator().manual_seed(check_integer("seed", seed, 0))
    return stream(seed, purpose)
