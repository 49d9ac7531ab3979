r"""Chapter 4: which sums of training points hold the score flow of a trained network.

In the theory every sum :math:`p = \sum_{n \in I} x_n` is a fixed point of the denoiser. A trained
network has none exactly there, so "stable" has to be said: the score flow that starts at p *rests
within 0.2 of it*. Two other readings are at hand. Fixed-point iterations
:math:`y \leftarrow h(y)` are Euler steps of length 1 of the same flow, with the same fixed points.
One application, :math:`\lVert h(p) - p \rVert \le 0.2`, asks only whether the flow is slow at p.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from memnb.minnorm.data import TrainingSet, orthogonal_set
from memnb.minnorm.stability import subsets, sum_drift
from memnb.streams import stream

from .readback import Arrays, NotReproduced, load_networks
from .runs import Stability

__all__ = [
    "ORDERS",
    "PAPER",
    "Recheck",
    "along",
    "check_again",
    "definitions",
    "iterated",
    "shares",
    "stable",
    "stable_pairs",
]

ORDERS = (2, 3, 4)
#: Stable sums and all sums in arXiv:2506.19031, Section 5: pairs, triples, quadruples
PAPER = {2: (429, 435), 3: (3390, 4060), 4: (6965, 27405)}
READINGS = ("iterated, L2", "iterated, L∞", "once, L2", "once, L∞")
LIMITS = (0.1, 0.2, 0.3)

Denoiser = Callable[[torch.Tensor], torch.Tensor]


def along(
    denoiser: Denoiser, training_set: TrainingSet, order: int, t: torch.Tensor
) -> torch.Tensor:
    r"""Component of h along the lines from :math:`x_0` to all sums of one order.

    Parameters
    ----------
    denoiser : callable
        In the dtype of the training set.
    training_set : TrainingSet
        Orthogonal data with :math:`x_0 = 0`.
    order : int
        Points in a sum; 1 gives the rays to the training points themselves.
    t : Tensor, shape (T,)
        Positions, 0 at :math:`x_0` and 1 at the sum p.

    Returns
    -------
    Tensor, shape (T, sums)
        :math:`p^\top h(t p) / \lVert p \rVert^2`.
    """
    ends = training_set.vertex(subsets(training_set.n_ramps, order))
    size = ends.square().sum(dim=1)
    with torch.no_grad():
        return (denoiser(t[:, None, None] * ends) * ends).sum(dim=-1) / size


def stable(arrays: Arrays, order: int, column: int = 0, limit: float = 0.2) -> torch.Tensor:
    """Which sums of a kept run are stable, bool (networks, sums).

    Parameters
    ----------
    arrays : dict of Tensor
        Of a run of :class:`memnb.shallow.runs.Stability`.
    order : int
        Points in a sum.
    column : int
        Reading: 0 and 1 for the flow in L2 and L∞, 2 and 3 for one application.
    limit : float
        Largest distance.
    """
    return arrays[f"drift_{order}"][..., column].float() <= limit


def shares(arrays: Arrays, column: int = 0, limit: float = 0.2) -> dict[int, torch.Tensor]:
    """Share of stable sums of every network by order, float64 (networks,), see :func:`stable`."""
    return {k: stable(arrays, k, column, limit).double().mean(dim=1) for k in ORDERS}


def stable_pairs(arrays: Arrays, N: int, d: int, most: float) -> torch.Tensor:
    """Share of stable pair sums of every kept network of a run of flows at low noise.

    Parameters
    ----------
    arrays : dict of Tensor
        Of a run of :class:`memnb.shallow.runs.Flows`.
    N, d : int
        Training points and dimension.
    most : float
        Highest noise level.

    Returns
    -------
    Tensor, float64 (networks,)
    """
    networks, data = load_networks(arrays, f"_{N}"), orthogonal_set(N, d, dtype=torch.float32)
    levels = arrays["sigma"][:: len(arrays["sigma"]) // networks.n_nets]
    drifts = [
        sum_drift(networks.network(int(k)), data, subsets(data.n_ramps, 2))[:, 0]
        for k in (levels <= most).nonzero()
    ]
    return (torch.stack(drifts) <= 0.2).double().mean(dim=1)


def definitions(arrays: Arrays) -> dict[tuple[str, float], list[float]]:
    """Shares of stable pairs, triples and quadruples for all readings and three thresholds."""
    return {
        (reading, limit): [float(x.mean()) for x in shares(arrays, column, limit).values()]
        for column, reading in enumerate(READINGS)
        for limit in LIMITS
    }


def iterated(
    denoiser: Denoiser,
    training_set: TrainingSet,
    on: torch.Tensor,
    counts: Sequence[int],
    limit: float = 0.2,
) -> list[float]:
    r"""Share of sums within a distance of themselves after k fixed-point iterations.

    Parameters
    ----------
    denoiser : callable
        In the dtype of the training set.
    training_set : TrainingSet
    on : Tensor of bool, shape (n, K)
        The sums.
    counts : sequence of int
        Increasing numbers of iterations :math:`y \leftarrow h(y)`.
    limit : float
        Largest distance, in L∞ as in arXiv:2506.19031.

    Returns
    -------
    list of float
        One share for each count.
    """
    p = training_set.vertex(on)
    y, result = p, []
    with torch.no_grad():
        for k in range(1, max(counts) + 1):
            y = denoiser(y)
            if k in counts:
                result.append(float(((y - p).abs().amax(dim=1) <= limit).double().mean()))
    return result


@dataclass(frozen=True)
class Recheck:
    """What was computed again from the weights of a kept network.

    Parameters
    ----------
    residual, kept_residual : float
        Root mean square residual on samples drawn again, and the kept one.
    checked : int
        Sums that drifted again.
    differ : int
        Those of them with another verdict than the kept one.
    later : int
        Those with another verdict after twice the flow time.
    """

    residual: float
    kept_residual: float
    checked: int
    differ: int
    later: int

    def __str__(self) -> str:
        return (
            f"residual {self.residual:.3e}, kept {self.kept_residual:.3e}\n"
            f"{self.checked} sums drifted again: {self.differ} with another verdict, "
            f"{self.later} after twice the time"
        )


def check_again(arrays: Arrays, run: Stability, part: float = 0.1, seed: int = 0) -> Recheck:
    """Compute a random part of a kept run of one network again.

    Parameters
    ----------
    arrays : dict of Tensor
        Of the run.
    run : Stability
        What it computed.
    part : float
        Share of the sums, 1 for all. Of all the quadruples none is followed twice as long.
    seed : int
        Of the choice.

    Raises
    ------
    NotReproduced
        If the residual differs by 1 %, or more than one sum and 0.5 % of them differ, or more than
        one and 0.1 % change later.
    """
    network = load_networks(arrays).network(0)
    points = orthogonal_set(run.N, run.d, dtype=torch.float32)
    samples = run.samples()
    with torch.no_grad():
        residual = float((network(samples.y[0]) - samples.targets).square().mean().sqrt())
    checked, differ, later = 0, 0, 0
    for order in ORDERS:
        on = subsets(run.N - 1, order)
        generator = stream(seed, "sums to check", order)
        chosen = torch.rand(len(on), generator=generator) < part
        if not chosen.any():
            continue
        verdict = sum_drift(network, points, on[chosen])[:, 0] <= 0.2
        checked += int(chosen.sum())
        differ += int((verdict != stable(arrays, order)[0, chosen]).sum())
        if order < 4 or part < 1:
            last = sum_drift(network, points, on[chosen], duration=80.0)[:, 0] <= 0.2
            later += int((last != verdict).sum())
    report = Recheck(residual, float(arrays["residual"][0]), checked, differ, later)
    same_residual = abs(report.residual / report.kept_residual - 1) < 0.01
    if not same_residual or differ > 1 + 0.005 * checked or later > 1 + 0.001 * checked:
        raise NotReproduced(f"a kept network is not what it was kept as: {report}")
    return report
