r"""Chapters 1 to 3: endpoint classes of many starts, in memory that does not grow with them.

Starts are drawn from :math:`\mathcal{N}(\bar x, s^2 I_d)`, moved and classified chunk by chunk.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch

from memnb.streams import stream
from memnb.validation import check_integer, check_real

from .denoisers import RampDenoiser
from .endpoints import CLASSES, classify, fractions_of
from .flows import probability_flow, score_flow
from .geometry import TrainingSet, check_training_set

__all__ = ["count_endpoint_pairs", "count_endpoints", "exact_flows", "pair_fractions"]

Flow = Callable[[torch.Tensor], torch.Tensor]


def _chunks(
    training_set: TrainingSet, n_starts: int, scale: float, seed: int, chunk: int, progress: bool
) -> Iterator[torch.Tensor]:
    """The starts, at most ``chunk`` at a time."""
    from tqdm.auto import tqdm

    check_training_set(training_set)
    check_integer("n_starts", n_starts, 1)
    check_integer("chunk", chunk, 1)
    scale = check_real("scale", scale, 0, math.inf, open_high=True)
    generator = stream(seed, "starts")
    with tqdm(total=n_starts, unit="start", disable=not progress) as bar:
        for begin in range(0, n_starts, chunk):
            shape = (min(chunk, n_starts - begin), training_set.dim)
            noise = torch.randn(shape, generator=generator, dtype=torch.float64)
            yield training_set.center + scale * noise.to(training_set.center)
            bar.update(len(noise))


def _ends(flow: Flow, y: torch.Tensor) -> torch.Tensor:
    """Where a flow takes the starts, one end for each."""
    ends = flow(y)
    if getattr(ends, "shape", None) != y.shape:
        raise ValueError(
            f"the flow must take starts of shape {tuple(y.shape)} to ends of this shape, got "
            f"{tuple(ends.shape) if isinstance(ends, torch.Tensor) else type(ends).__name__}"
        )
    return ends


def count_endpoints(
    flow: Flow,
    training_set: TrainingSet,
    n_starts: int,
    *,
    scale: float = 1.0,
    seed: int = 0,
    threshold: float = 0.2,
    norm: str = "l2",
    chunk: int = 16384,
    progress: bool = False,
) -> dict[str, int]:
    r"""Count the endpoint classes of many starts without holding them all in memory.

    Parameters
    ----------
    flow : callable
        Maps starting points (n, d) to endpoints (n, d).
    training_set : TrainingSet
        Orthogonal or simplex data; its dtype and device are used throughout.
    n_starts : int
        Number of starts.
    scale : float
        Standard deviation s of the starts.
    seed : int
        Seed of the starts. The counts depend on it and on ``chunk``.
    threshold, norm
        As in :func:`memnb.minnorm.endpoints.classify`.
    chunk : int
        Starts in memory at a time.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    dict
        Class to count, in the order of :data:`memnb.minnorm.endpoints.CLASSES`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of its kind or out of its range.
    """
    totals = dict.fromkeys(CLASSES, 0)
    for y in _chunks(training_set, n_starts, scale, seed, chunk, progress):
        for name, count in classify(_ends(flow, y), training_set, threshold, norm).counts().items():
            totals[name] += count
    return totals


def count_endpoint_pairs(
    first: Flow,
    second: Flow,
    training_set: TrainingSet,
    n_starts: int,
    *,
    scale: float = 1.0,
    seed: int = 0,
    threshold: float = 0.2,
    norm: str = "l2",
    chunk: int = 16384,
    progress: bool = False,
) -> torch.Tensor:
    r"""Count the pairs of classes in which two flows end from the same starts.

    Parameters
    ----------
    first, second : callable
        Two flows, as in :func:`count_endpoints`.
    training_set, n_starts, scale, seed, threshold, norm, chunk, progress
        As in :func:`count_endpoints`.

    Returns
    -------
    Tensor of int64, shape (5, 5)
        Entry (i, j): starts that the first flow takes to class i and the second to class j, in the
        order of :data:`memnb.minnorm.endpoints.CLASSES`. Its row sums are the counts of the first
        flow.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of its kind or out of its range.
    """
    n = len(CLASSES)
    table = torch.zeros(n * n, dtype=torch.int64)
    for y in _chunks(training_set, n_starts, scale, seed, chunk, progress):
        i, j = (
            classify(_ends(f, y), training_set, threshold, norm).labels for f in (first, second)
        )
        table += torch.bincount((n * i + j).cpu(), minlength=n * n)
    return table.reshape(n, n)


def exact_flows(denoiser: RampDenoiser, sigma: float = 1.0) -> tuple[Flow, Flow]:
    r"""Score flow to its end and probability flow to noise level 0, from the same ball radius.

    Parameters
    ----------
    denoiser : RampDenoiser
        Denoiser of the score flow, and of the probability flow at its start.
    sigma : float
        Noise level at which the probability flow starts; positive. Its end does not depend on it.

    Returns
    -------
    score, probability : callable
        Map starting points (n, d) to endpoints (n, d).
    """
    score = partial(score_flow, denoiser=denoiser, r=math.inf)
    return score, partial(probability_flow, denoiser=denoiser, sigma_0=sigma, sigma_1=0.0)


def pair_fractions(
    pairs: torch.Tensor,
) -> tuple[dict[str, tuple[float, float]], dict[str, tuple[float, float]]]:
    """Fractions of the classes of both flows from the counts of pairs.

    Parameters
    ----------
    pairs : Tensor of int64, shape (5, 5)
        As from :func:`count_endpoint_pairs`.

    Returns
    -------
    first, second : dict
        Map a class to ``(p, se)``, see :func:`memnb.minnorm.endpoints.fractions_of`.

    Raises
    ------
    ValueError
        If there are no pairs.
    """
    first, second = (
        fractions_of(dict(zip(CLASSES, sums.tolist(), strict=True)))
        for sums in (pairs.sum(dim=1), pairs.sum(dim=0))
    )
    return first, second
