r"""Chapter 6: what the text on Figure 4 says of its curves, in numbers.

Figure 4 of P2 shows :math:`P(\Delta > 0)`, which rises with the number n of training images, and
:math:`E_{OG}`, which falls. Where a curve has gone half of its way from its first to its last value
it *turns*. A turn is found for each seed, by straight lines over log n
(:func:`memnb.stats.crossing`), and averaged over seeds in log n, so that its standard error is one
over training sets and networks. Whether two turns align is judged by
:func:`memnb.stats.alignment`, as everywhere in the book.

References
----------
P2 (*On the Onset of Memorization to Generalization Transition in Diffusion Models*, ICLR 2025
submission), Section 4 and Figure 4.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch

from memnb.stats import Alignment, alignment, crossing, mean_error

from .copies import THRESHOLD, nearest_neighbors
from .images import synthetic_images
from .resampling import Originals, Resampled, resample
from .runs import OnSynthetic

__all__ = [
    "Gap",
    "Turns",
    "copied_share",
    "fall",
    "gaps",
    "pools",
    "rule_verdicts",
    "shortfall",
    "turns",
]


@dataclass(frozen=True)
class Turns:
    r"""Where the curves of one generator turn.

    Parameters
    ----------
    p, e_og : (float, float)
        The n at which :math:`P(\Delta > 0)` and :math:`E_{OG}` are half way, means over seeds in
        log n, and their standard errors.
    gap : (float, float)
        How many decades of n later P turns than :math:`E_{OG}`; mean over seeds, paired, and its
        standard error.
    """

    p: tuple[float, float]
    e_og: tuple[float, float]
    gap: tuple[float, float]

    @property
    def alignment(self) -> Alignment:
        """Whether the two turns align; its ratio is that of P to :math:`E_{OG}`."""
        return alignment(self.p, self.e_og)


def turns(curves: Mapping[str, Any]) -> Turns:
    r"""Where :math:`P(\Delta > 0)` and :math:`E_{OG}` turn, over seeds.

    Parameters
    ----------
    curves : dict
        As :func:`~memnb.unet.readback.transition` returns it, of at least two seeds.

    Returns
    -------
    Turns

    Raises
    ------
    ValueError
        If a curve ends where it began, so that it does not turn.
    """
    n = curves["n"]
    logs = {}
    for name in ("p", "e_og"):
        each = []
        for values in curves["each"][name].tolist():
            if values[0] == values[-1]:
                raise ValueError(f"{name} must not end where it began, got {values[0]:g} twice")
            each.append(math.log10(crossing(n, values, (values[0] + values[-1]) / 2)[0]))
        logs[name] = torch.tensor(each, dtype=torch.float64)

    def in_n(values: torch.Tensor) -> tuple[float, float]:
        mean, error = mean_error(values)
        return 10**mean, 10**mean * math.log(10) * error

    return Turns(in_n(logs["p"]), in_n(logs["e_og"]), mean_error(logs["p"] - logs["e_og"]))


def fall(curves: Mapping[str, Any]) -> tuple[float, float]:
    r"""By which share :math:`E_{OG}` falls from the smallest to the largest n.

    Parameters
    ----------
    curves : dict
        As :func:`~memnb.unet.readback.transition` returns it.

    Returns
    -------
    mean, error : float
        Over seeds.
    """
    each = curves["each"]["e_og"]
    return mean_error(1 - each[:, -1] / each[:, 0])


def shortfall(
    curves: Mapping[str, Any], perfect: Mapping[str, Any]
) -> list[tuple[int, float, float]]:
    r"""How much lower :math:`P(\Delta > 0)` is than for a perfect generator, paired by seed.

    Parameters
    ----------
    curves, perfect : dict
        As :func:`~memnb.unet.readback.transition` returns them, of the same seeds.

    Returns
    -------
    list of (int, float, float)
        n, the mean difference, and its standard error over seeds.
    """
    gaps = perfect["each"]["p"] - curves["each"]["p"]
    return [(n, *mean_error(gap)) for n, gap in zip(curves["n"], gaps.T, strict=True)]


def copied_share(
    networks: Sequence[Any], arrays: Mapping[str, torch.Tensor], threshold: float = THRESHOLD
) -> dict[int, tuple[float, float]]:
    """Share of copies among what networks on synthetic images made, by n.

    Parameters
    ----------
    networks : sequence
        Of a run of :data:`memnb.unet.runs.RUNS`; those without images in ``arrays`` are left out.
    arrays : dict of str to Tensor
        Of that run.
    threshold : float
        In (0, 1].

    Returns
    -------
    dict of int to (float, float)
        For each n the mean over seeds and its standard error, nan for a single seed.

    Raises
    ------
    TypeError, ValueError
        If the threshold is outside (0, 1].
    """
    shares: dict[int, list] = {}
    for network in networks:
        if f"{network.key}-images" in arrays:
            x = arrays[f"{network.key}-images"].float().clamp(0, 1)
            copied = nearest_neighbors(x, network.images()).memorized(threshold)
            shares.setdefault(network.n, []).append(copied.double().mean())
    return {n: mean_error(torch.stack(values)) for n, values in sorted(shares.items())}


def rule_verdicts(curves: Mapping[str, Any]) -> tuple[int, int]:
    r"""How often P2's rule calls a generator memorizing, :math:`P(\Delta > 0) \le \tfrac12`.

    Parameters
    ----------
    curves : dict
        As :func:`~memnb.unet.readback.transition` returns it.

    Returns
    -------
    memorizing, total : int
        Among all training sets, each of one n and one seed.
    """
    each = curves["each"]["p"]
    return int((each <= 0.5).sum()), each.numel()


@dataclass(frozen=True)
class Gap:
    """How far networks of one n are from those of another run with the same seeds.

    Parameters
    ----------
    seeds : int
        Number of pairs.
    loss : float
        Largest difference between their mean losses of one of the parts of a training.
    pixel : float
        Mean difference of a pixel of what the two generate, the mean over the seeds.
    std : float
        Standard deviation of a pixel of the second run, the mean over the seeds.
    """

    seeds: int
    loss: float
    pixel: float
    std: float


def gaps(
    networks: Iterable[OnSynthetic],
    some: Mapping[str, torch.Tensor],
    others: Mapping[str, torch.Tensor],
) -> dict[int, Gap]:
    """Compare networks of two runs that share their seeds, by n.

    Parameters
    ----------
    networks : iterable of OnSynthetic
        Those that are compared, as far as both runs have them.
    some, others : dict of str to Tensor
        Arrays of the two runs.

    Returns
    -------
    dict of int to Gap

    Raises
    ------
    KeyError
        If a run has the images of a network and not its losses.
    """
    found: dict[int, list[tuple[float, float, float]]] = {}
    for network in networks:
        images, losses = (f"{network.key}-{name}" for name in ("images", "loss"))
        if images in some and images in others:
            x, y = (run[images].double() for run in (some, others))
            loss = (some[losses] - others[losses]).abs().max().item()
            row = (loss, (x - y).abs().mean().item(), y.std().item())
            found.setdefault(network.n, []).append(row)
    columns = {n: list(zip(*rows, strict=True)) for n, rows in sorted(found.items())}
    return {
        n: Gap(len(loss), max(loss), fmean(pixel), fmean(std))
        for n, (loss, pixel, std) in columns.items()
    }


def pools(sizes: Sequence[int], seed: int = 0) -> list[Resampled]:
    """Draws for a perfect generator with original images from pools of several sizes.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of original images to draw 100 from.
    seed : int
        Of the images and of the draws.

    Returns
    -------
    list of Resampled
        60 draws each, of 8 by 8 pixels, from the same 1000 training and 1000 generated images.

    Raises
    ------
    TypeError, ValueError
        If a size is below 100, or a seed is none.
    """
    fresh, known = (
        synthetic_images(1000, 8, seed, purpose=name) for name in ("perfect pool", "training pool")
    )
    pool = synthetic_images(max(sizes), 8, seed, purpose="pool of originals")
    return [
        resample(fresh, known, Originals(pool[:size], 60, 100, seed), seed=seed) for size in sizes
    ]
