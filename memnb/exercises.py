"""All chapters: exercises with a number for an answer, and whether a reader's answer is right.

Predict, then reveal: on the site the solution of an exercise is folded, and in JupyterLab
:func:`check` compares a number with the one that the package computes when it is asked, and says in
one line what is wrong with it. The name of an exercise is its label in the chapter; a second
question of the same exercise has a word more.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.stats import binom, binomtest, norm

from memnb import linear
from memnb.auditing import audit
from memnb.minnorm.data import orthogonal_set
from memnb.minnorm.denoisers import RampDenoiser, ramp_family
from memnb.minnorm.flows import critical_time, probability_flow, score_flow
from memnb.minnorm.grids import uniform_grid
from memnb.minnorm.simplex import obtuse_simplex
from memnb.minnorm.stability import subsets, sum_drift, sum_margin
from memnb.minnorm.stepped import probability_flow_stepped
from memnb.streams import stream
from memnb.validation import check_choice

__all__ = ["EXERCISES", "Answer", "Exercise", "check"]


@dataclass(frozen=True)
class Exercise:
    """A question of a chapter whose answer is a number, or some.

    Parameters
    ----------
    chapter : str
        File name of the chapter without extension.
    asks : str
        What is asked for, and in which unit.
    solve : callable
        Computes the answer: a number, or an array of shape (k,).
    relative, absolute : float
        An answer is right if no number is off by more than ``relative`` times the largest number of
        the solution, plus ``absolute``.
    share : bool
        Whether it is a number between 0 and 1, which somebody may give in percent.
    """

    chapter: str
    asks: str
    solve: Callable[[], Any]
    relative: float = 0.0
    absolute: float = 0.0
    share: bool = False

    @property
    def tolerance(self) -> str:
        """How far off an answer may be, in words."""
        parts = [f"{100 * self.relative:g} %"] * (self.relative > 0)
        parts += [f"{self.absolute:g}"] * (self.absolute > 0)
        return " + ".join(parts) or "exact"

    def solution(self) -> np.ndarray:
        """The answer as an array of float64, shape () or (k,)."""
        return np.asarray(self.solve(), dtype=float)

    def accepts(self, value: np.ndarray) -> bool:
        """Whether an answer of the shape of the solution is right."""
        truth = self.solution()
        limit = self.relative * np.abs(truth).max() + self.absolute + 1e-12
        return bool((np.abs(value - truth) <= limit).all())


@dataclass(frozen=True)
class Answer:
    """Whether an answer is right, and one line about it, which a notebook shows."""

    right: bool
    line: str

    def __repr__(self) -> str:
        return self.line


def _round_ends() -> np.ndarray:
    denoiser = RampDenoiser(orthogonal_set(4, 3), 0.1)
    return score_flow(torch.tensor([0.6, 0.45, -2.0]).double(), denoiser, math.inf).numpy()


def _leaves() -> float:
    """When the flow itself, not the formula, has carried z = 0.45 down to the ball."""
    denoiser = RampDenoiser(orthogonal_set(2, 1), 0.1)
    start = torch.tensor([0.45], dtype=torch.float64)
    return brentq(lambda r: score_flow(start, denoiser, r).item() - 0.1, 0, 50)


def _first_mostly_virtual() -> int:
    """Training endpoints are those with at most one of N - 1 independent coordinates at L = 1."""
    return next(n for n in range(2, 100) if binom.cdf(1, n - 1, norm.sf(0.5)) < 0.5)


def _flow_ends() -> np.ndarray:
    denoiser = RampDenoiser(orthogonal_set(4, 3), 0.3)
    start = torch.tensor([0.6, 0.45, -2.0], dtype=torch.float64)
    return probability_flow(start, denoiser, 1.0, 0.0).numpy()


def _critical_time() -> float:
    start = torch.tensor([0.6, 0.45, -2.0], dtype=torch.float64)
    return critical_time(start, orthogonal_set(4, 3), 0.3).item()


def _euler_steps() -> int:
    """Euler steps from 5 below the training point 0, by bisection: more steps end nearer."""
    family = ramp_family(orthogonal_set(2, 1), 0.3)
    start = torch.tensor([-5.0], dtype=torch.float64)

    def misses(steps: int) -> bool:
        grid = uniform_grid(1.0, 0.0, steps + 1).tolist()
        end = probability_flow_stepped(start, family, grid, "t", return_path=False)
        return abs(end.item()) >= 0.2

    low, high = 1, 1000
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if misses(middle) else (low, middle)
    return high


def _share_of_training(rho: float = 0.0, k: int = 10) -> float:
    """Among starts that reach a vertex: at most one of K coordinates at L = 1."""
    up, down = norm.sf(1 - rho), norm.cdf(rho)
    return float(binom.cdf(1, k, up / (up + down)))


def _radius(*on: int) -> float:
    return sum_margin(torch.tensor(on), obtuse_simplex(4, 3, angle=100)).item()


def _samples() -> float:
    """M at which the estimate of the reach, sqrt(2 log(MN)), is 3."""
    return brentq(lambda m: math.sqrt(2 * math.log(11 * m)) - 3, 1, 1000)


def _stable_sums() -> float:
    from memnb.shallow import readback

    network = readback.load_networks(readback.load_run("stability-d30")[0]).network(0)
    box = orthogonal_set(31, 30, dtype=torch.float32)
    on = subsets(30, 5, limit=500)
    return (sum_drift(network, box, on)[:, 0] <= 0.2).double().mean().item()


def _half_trained() -> float:
    """In units of n / d, in the limit of large n and d at d/n = 1000."""
    from memnb.linear import gradient_flow, training_time
    from memnb.stats import crossing

    times = training_time.training_times(n_times=400)
    train, _ = gradient_flow.limit_errors(times, 1000.0, 0.5)
    return 1000 * crossing(times[1:-1].tolist(), train[1:-1].tolist(), train[0] / 2)[0]


def _least_distance(dim: int, c: float) -> float:
    """Squared Hellinger distance of the Gaussian that is generated for n to infinity."""
    eye = torch.eye(dim, dtype=torch.float64)
    values = torch.full((dim,), c, dtype=torch.float64)
    fit = linear.Generated(torch.zeros(dim, dtype=torch.float64), eye, values, eye, dim)
    return linear.hellinger(fit).item()


def _first_dimension() -> int:
    c = linear.LinearModel(16).signal_fraction
    return next(dim for dim in range(1, 200) if _least_distance(dim, c) >= 0.5)


def _needed_signal() -> float:
    return brentq(lambda c: _least_distance(100, c) - 0.5, 0.1, 0.99)


def _false_copies() -> float:
    from memnb.unet import readback

    unseen = len(readback.split().held_out)
    return binomtest(0, unseen, alternative="less").proportion_ci(0.95).high


def _exponents() -> float:
    """Exponent of the step at which copying begins, batches of 16 less batches of n."""
    from memnb.unet import growth, history, onset, readback

    held_out = readback.split().held_out
    begins = {}
    for variant in ("time", "full"):
        for n, networks in readback.time_networks(variant).items():
            begins[variant, n] = [
                history.history(n, w.seed, readback.snapshots(w), w.images(), held_out, 1 / 3)
                for w in networks
            ]
    sizes = [n for variant, n in begins if variant == "full"]
    steps = {key: onset.log_mean([onset.copy_onset(h) for h in hs]) for key, hs in begins.items()}
    few = {16: steps["time", 16]} | {n: steps["time", n] for n in sizes}
    large = {16: steps["time", 16]} | {n: steps["full", n] for n in sizes}
    return growth.power_law(few).exponent - growth.power_law(large).exponent


def _copies_by_chance() -> float:
    """Share of 10,000 fresh points of the plane that the audit's criterion, 1/3, calls copies."""
    generator = stream(0, "exercise")
    draws = torch.randn(3, 10_000, 2, generator=generator, dtype=torch.float64)
    return audit(*draws)["copies"].value


def _nearer() -> float:
    """A copy tells if its original is among the 1000 of 10,000 that take part; else: chance."""
    copied, taking_part = 0.1, 1000 / 10_000
    return copied * taking_part + 0.5 * (1 - copied * taking_part)


EXERCISES: dict[str, Exercise] = {
    "ex-round": Exercise("01-score-flow", "the three coordinates of the end", _round_ends, 0.01),
    "ex-leave": Exercise("01-score-flow", "the time on the ramp, in units of r", _leaves, 0.02),
    "ex-half": Exercise("01-score-flow", "the first N, for starts from N(0, I)",
                        _first_mostly_virtual),
    "ex-pf-end": Exercise("02-probability-flow", "the three coordinates of the end", _flow_ends,
                          0.01),
    "ex-pf-end time": Exercise("02-probability-flow", "the least T that ends at a vertex",
                               _critical_time, 0.01),
    "ex-pf-steps": Exercise("02-probability-flow", "the number of Euler steps", _euler_steps, 0.01),
    "ex-pf-share": Exercise("02-probability-flow", "the share of training points for K = 10 at"
                            " rho = 0, between 0 and 1", _share_of_training, 0.02, share=True),
    "ex-angle": Exercise("03-simplex-data", "the radius above which the sum of all three edges is"
                         " stable", lambda: _radius(1, 1, 1), 0.01),
    "ex-angle pairs": Exercise("03-simplex-data", "the radius above which sums of two edges are"
                               " stable", lambda: _radius(1, 1, 0), 0.01),
    "ex-slack": Exercise("04-trained-denoisers", "the estimate of M for N = 11", _samples, 0.05),
    "ex-large-sums": Exercise("04-trained-denoisers", "the share of stable sums of five, between 0"
                              " and 1", _stable_sums, absolute=0.1, share=True),
    "ex-linear-stop": Exercise("05-linear-model", "the time at which half of the train error is"
                               " gone, in units of n / d", _half_trained, 0.02),
    "ex-linear-floor": Exercise("05-linear-model", "the first such dimension", _first_dimension),
    "ex-linear-floor c": Exercise("05-linear-model", "the signal fraction c for d = 100, between 0"
                                  " and 1", _needed_signal, 0.01, share=True),
    "ex-unet-null": Exercise("06-unet-transition", "the largest share of false copies at 95 %,"
                             " between 0 and 1", _false_copies, 0.05, share=True),
    "ex-unet-onset": Exercise("06-unet-transition", "the exponent with batches of 16 less that with"
                              " batches of n", _exponents, absolute=0.2),
    "ex-audit-two": Exercise("07-audit", "the share of points that count as copies, between 0 and"
                             " 1", _copies_by_chance, 0.08, share=True),
    "ex-audit-size": Exercise("07-audit", "the share nearer to training, between 0 and 1",
                              _nearer, 0.002, share=True),
}  # fmt: skip


@cache
def _solved(name: str) -> Exercise:
    """The exercise with its answer kept, so that a second attempt need not wait for it."""
    exercise = EXERCISES[name]
    truth = exercise.solution()
    return replace(exercise, solve=lambda: truth)


def _numbers(value: Any) -> np.ndarray:
    """The reader's numbers, shape () or (k,)."""
    try:
        numbers = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(f"value must be a number or some numbers, got {value!r}") from None
    return numbers[0] if numbers.ndim > 1 and len(numbers) == 1 else numbers


def _wrong(exercise: Exercise, value: np.ndarray) -> str:
    """What is wrong with an answer of the right shape."""
    truth = exercise.solution()
    if exercise.share and exercise.accepts(value / 100):
        return "right in percent; asked for is a number between 0 and 1"
    if exercise.share and exercise.accepts(1 - value):
        return "that is the share of the others, 1 minus the one that is asked for"
    if exercise.accepts(-value):
        return "the sign is wrong"
    if value.ndim:
        if exercise.accepts(value[::-1]) or np.allclose(np.sort(value), np.sort(truth)):
            return "the right numbers in another order"
        limit = exercise.relative * np.abs(truth).max() + exercise.absolute + 1e-12
        off = [str(k + 1) for k in np.flatnonzero(np.abs(value - truth) > limit)]
        return f"of {len(truth)} numbers not right: number {', '.join(off)}"
    side = "large" if value > truth else "small"
    if exercise.absolute or value * truth <= 0:
        return f"too {side} by {abs(value - truth):.2g}"
    ratio = max(value / truth, truth / value)
    return f"too {side} by a factor of {ratio:.3g}"


def check(name: str, value: Any) -> Answer:
    """Whether an answer to an exercise is right, by what the package computes.

    Parameters
    ----------
    name : str
        Label of the exercise in its chapter, a key of :data:`EXERCISES`.
    value : number, sequence of numbers, array or Tensor
        The answer. Three dots, ``...``, stand for none: nothing is computed.

    Returns
    -------
    Answer
        Shown as one line: right, with the solution, or what is wrong.

    Raises
    ------
    ValueError
        If there is no such exercise.
    TypeError
        If the value is no number.

    Examples
    --------
    >>> check("ex-angle", 0.35)
    Right. The solution is 0.347 (tolerance: 1 %).
    >>> check("ex-angle", 0.17)
    Not yet: too small by a factor of 2.04.
    >>> check("ex-angle", ...)
    Asked for: the radius above which the sum of all three edges is stable.
    """
    check_choice("name", name, tuple(EXERCISES))
    if value is ...:
        return Answer(False, f"Asked for: {EXERCISES[name].asks}.")
    numbers, exercise = _numbers(value), _solved(name)
    truth = exercise.solution()
    if numbers.shape != truth.shape:
        wanted = f"{truth.size} numbers are" if truth.ndim else "one number is"
        return Answer(False, f"Not yet: {wanted} asked for, got shape {numbers.shape}.")
    if not np.isfinite(numbers).all():
        return Answer(False, "Not yet: asked for is a finite number.")
    if not exercise.accepts(numbers):
        return Answer(False, f"Not yet: {_wrong(exercise, numbers)}.")
    shown = ", ".join(f"{x:.3g}" for x in np.atleast_1d(truth + 0.0))
    return Answer(True, f"Right. The solution is {shown} (tolerance: {exercise.tolerance}).")
