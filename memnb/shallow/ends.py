r"""Chapter 4: in which classes the flows of kept networks end, for every N, threshold and norm.

Both flows of a run have the same starts. Whether one ends in a class more often than the other is
therefore a question of *paired* differences: with :math:`\Delta_i \in \{-1, 0, 1\}` the difference
for start i, the mean of :math:`\Delta` and its standard error. "More often" and "less often" mean a
mean of more than two standard errors; everything between is "even".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from memnb.minnorm.data import orthogonal_set
from memnb.minnorm.endpoints import CLASSES, Endpoints, classify
from memnb.stats import mean_error
from memnb.streams import stream
from memnb.validation import check_choice

from .flows import LOW, endpoints
from .methods import METHODS
from .readback import NotReproduced, ends, load_flows, load_networks, run_of

__all__ = [
    "SETTINGS",
    "Difference",
    "check_again",
    "compare",
    "counts_of",
    "fall",
    "fit_and_cost",
    "fractions",
    "kinds",
    "totals",
]

#: Three thresholds in two norms
SETTINGS = tuple((limit, norm) for norm in ("l2", "linf") for limit in (0.1, 0.2, 0.3))
FLOWS = ("score", "probability")


def counts_of(d: int = 10, method: str = "lagrangian", S: int = 30) -> tuple[int, ...]:
    """Values of N of a kept run."""
    return run_of(load_flows(d, method, S)[1]).counts


def kinds(
    flow: str,
    N: int,
    threshold: float = 0.2,
    norm: str = "l2",
    *,
    method: str = "lagrangian",
    d: int = 10,
    S: int = 30,
    exact: bool = False,
) -> Endpoints:
    """Classes of the ends of one flow of a kept run.

    Parameters
    ----------
    flow : {"score", "probability"}
    N : int
        Number of training points.
    threshold, norm
        As in :func:`memnb.minnorm.endpoints.classify`.
    method, d, S
        The run, as in :func:`memnb.shallow.readback.load_flows`.
    exact : bool
        Take the exact flow instead, which for the probability flow takes over at low noise.

    Raises
    ------
    ValueError
        If there is no such flow.
    """
    check_choice("flow", flow, FLOWS)
    training_set, trained, theory = ends(d, method, N, S)
    return classify((theory if exact else trained)[flow], training_set, threshold, norm)


def fractions(
    flow: str, threshold: float = 0.2, norm: str = "l2", **options: Any
) -> dict[int, dict[str, tuple[float, float]]]:
    """For every N of a kept run the fractions of all classes with their errors.

    Parameters
    ----------
    flow, threshold, norm
        As for :func:`kinds`, and likewise ``method``, ``d``, ``S`` and ``exact``.

    Returns
    -------
    dict
        N to what :meth:`memnb.minnorm.endpoints.Endpoints.fractions` returns.
    """
    run = {name: options[name] for name in ("d", "method", "S") if name in options}
    return {N: kinds(flow, N, threshold, norm, **options).fractions() for N in counts_of(**run)}


def fall(by_n: dict[int, dict[str, tuple[float, float]]], kind: str = "training") -> float:
    """Fall of one class from the first N to the last, in standard errors.

    Parameters
    ----------
    by_n : dict
        As :func:`fractions` returns.
    kind : str
        The class.
    """
    (first, *_, last) = (of[kind] for of in by_n.values())
    return (first[0] - last[0]) / math.hypot(first[1], last[1])


@dataclass(frozen=True)
class Difference:
    """How often both flows of a run end in one class.

    Parameters
    ----------
    probability, score : float
        Fractions of the starts.
    error : float
        Standard error of their difference, from paired starts.
    """

    probability: float
    score: float
    error: float

    @property
    def verdict(self) -> str:
        """``"more"``, ``"less"`` or ``"even"``: probability flow against score flow."""
        difference = self.probability - self.score
        if abs(difference) <= 2 * self.error:
            return "even"
        return "more" if difference > 0 else "less"

    def __str__(self) -> str:
        return (
            f"{100 * self.probability:.0f} against {100 * self.score:.0f} %"
            f" (difference ± {100 * self.error:.1f})"
        )


def compare(
    kind: str, threshold: float = 0.2, norm: str = "l2", **options: Any
) -> dict[int, Difference]:
    """How often probability and score flow of a kept run end in one class, for every N.

    Parameters
    ----------
    kind : str
        One of :data:`memnb.minnorm.endpoints.CLASSES`.
    threshold, norm
        As for :func:`kinds`, and likewise ``method``, ``d`` and ``S``.

    Raises
    ------
    ValueError
        If there is no such class.
    """
    wanted = CLASSES.index(check_choice("kind", kind, CLASSES))
    result = {}
    for N in counts_of(**options):
        score, probability = (
            (kinds(flow, N, threshold, norm, **options).labels == wanted).double() for flow in FLOWS
        )
        result[N] = Difference(
            float(probability.mean()), float(score.mean()), mean_error(probability - score)[1]
        )
    return result


def totals(method: str, threshold: float = 0.2, norm: str = "l2", d: int = 10) -> dict[str, int]:
    """Number of ends in each class, both flows and all N together."""
    total = dict.fromkeys(CLASSES, 0)
    for N in counts_of(d, method):
        for flow in FLOWS:
            counts = kinds(flow, N, threshold, norm, method=method, d=d).counts()
            total = {name: total[name] + counts[name] for name in CLASSES}
    return total


def fit_and_cost(
    method: str, d: int = 10, counts: Sequence[int] | None = None, S: int = 30
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Cost over that of the closed form, and residual over the noise level, at low noise.

    Parameters
    ----------
    method : str
    d : int
        The kept run.
    counts : sequence of int, optional
        Values of N; all of the run if not given.
    S : int
        Noise levels of the kept run.

    Returns
    -------
    cost, residual : Tensor, float64
        One entry for each network with :math:`\sigma \le 0.1`.
    """
    arrays, record = load_flows(d, method, S)
    run = run_of(record)
    levels = run.levels()
    low = levels <= LOW
    cost, residual = [], []
    for N in run.counts if counts is None else counts:
        cost.append((arrays[f"cost_{N}"].double() / arrays[f"closed_form_{N}"].double())[low])
        residual.append((arrays[f"residual_{N}"].double() / levels)[low])
    return torch.cat(cost), torch.cat(residual)


def check_again(
    n: int | None = 50,
    seed: int = 0,
    d: int = 10,
    methods: Sequence[str] = tuple(METHODS),
    S: int = 30,
) -> dict[str, float]:
    """Move some starts of every method and N again, and compare their classes with the kept ones.

    They move with the networks that were kept, of all levels or of every k-th.

    Parameters
    ----------
    n : int, optional
        Starts of each run; all of them if not given.
    seed : int
        Of the choice.
    d, methods, S
        The runs, as in :func:`memnb.shallow.readback.load_flows`.

    Returns
    -------
    dict
        Method to the least share of equal classes of its flows and N.

    Raises
    ------
    NotReproduced
        If more than 5 % of the starts, and more than one, end in another class.
    """
    agree = {}
    for method in methods:
        arrays, record = load_flows(d, method, S)
        run, same = run_of(record), []
        part = torch.randperm(run.n_starts, generator=stream(seed, "starts to check"))[:n]
        for N in run.counts:
            training_set, networks = orthogonal_set(N, d), load_networks(arrays, f"_{N}")
            again = endpoints(networks, run.levels()[:: run.keep_every], run, starts=part)
            for flow in FLOWS:
                stored = arrays[f"{flow}_{N}_every{run.keep_every}"][part].double()
                now = classify(again[flow].double(), training_set).labels
                differ = int((now != classify(stored, training_set).labels).sum())
                if differ > max(1, 0.05 * len(part)):
                    raise NotReproduced(
                        f"{method}, N = {N}, {flow} flow: {differ} of {len(part)} starts end in "
                        "another class than the kept one"
                    )
                same.append(1 - differ / len(part))
        agree[method] = min(same)
    return agree
