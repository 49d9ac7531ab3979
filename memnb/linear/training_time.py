"""Chapter 5: times read off a training: half generalized, best, half memorized."""

import math

import numpy as np
import torch

from memnb.stats import crossing, mean_error
from memnb.streams import stream
from memnb.validation import check_integer, check_real

from .gradient_flow import errors, gradient_flow
from .model import LinearModel

__all__ = ["milestones", "training_times", "two_times"]


def training_times(first: float = 1e-5, last: float = 1e5, n_times: int = 80) -> np.ndarray:
    """Times from 0 to infinity, evenly spaced in their logarithm between ``first`` and ``last``.

    Raises
    ------
    ValueError
        If not 0 < first < last, or there are fewer than two times.
    """
    first = check_real("first", first, 0, math.inf, open_low=True, open_high=True)
    check_real("last", last, first, math.inf, open_low=True, open_high=True)
    check_integer("n_times", n_times, 2)
    return np.concatenate([[0.0], np.geomspace(first, last, n_times), [math.inf]])


def milestones(
    times: np.ndarray, train: np.ndarray, test: np.ndarray
) -> tuple[float, float, float]:
    r"""Three times of a training: half generalized, best, half memorized.

    Parameters
    ----------
    times : array, shape (K,)
        Rising from 0 to infinity.
    train, test : array, shape (K,)
        Errors at these times, as :func:`~memnb.linear.gradient_flow.limit_errors` gives them.

    Returns
    -------
    learned : float
        When the test error has gone half of its way from its first to its least value.
    best : float
        The time of the least test error; infinity if that is the end.
    memorized : float
        When test minus train error has gone half of its way from its first to its last value.

    Raises
    ------
    ValueError
        If the times do not begin with 0 and end with infinity, or the lengths differ.
    """
    times, train, test = (np.asarray(part, dtype=float) for part in (times, train, test))
    if not len(times) == len(train) == len(test) > 3 or times[0] != 0 or times[-1] != math.inf:
        raise ValueError("times must rise from 0 to infinity and be as many as the errors")
    inner, gap = times[1:-1], test - train
    learned = crossing(inner, test[1:-1].tolist(), (test[0] + test.min()) / 2)[0]
    best = times[test.argmin()]
    memorized = crossing(inner, gap[1:-1].tolist(), (gap[0] + gap[-1]) / 2)[0]
    return learned, float(best), memorized


def two_times(
    n: int, model: LinearModel, spike: float, seed: int, n_draws: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    r"""When a direction of more variance is learned and when the rest is memorized, by simulation.

    The first coordinate of Y has ``spike`` times the variance of the others. It counts as learned
    when its test error is half way down, see :func:`milestones`, and the other coordinates as
    memorized when their gap is half way up.

    Parameters
    ----------
    n : int
        Number of training points, at least 2.
    model : LinearModel
        Of dimension at least 2.
    spike : float
        At least 1.
    seed : int
    n_draws : int
        Training sets to draw, at least 2.

    Returns
    -------
    learned, memorized : (float, float)
        Geometric mean over the draws, in units of :math:`1/v`, and its standard error.

    Raises
    ------
    TypeError, ValueError
        If a number is not allowed.
    """
    n, n_draws = check_integer("n", n, 2), check_integer("n_draws", n_draws, 2)
    check_integer("model.dim", model.dim, 2)
    check_real("spike", spike, 1, math.inf, open_high=True)
    v = model.shrink**2 * model.sigma**2 + model.noise_variance
    times, log_times = training_times(), []
    for k in range(n_draws):
        generator = stream(seed, "gradient flow", n, k)
        y, z = torch.randn(2, n, model.dim, generator=generator, dtype=torch.float64)
        y = model.sigma * y
        y[:, 0] *= math.sqrt(spike)
        x = model.noised(y, z)
        theta = gradient_flow(y, x, torch.from_numpy(times) / v)
        first, rest = (
            milestones(times, *errors(theta, y, x, model, spike, outputs))
            for outputs in (slice(0, 1), slice(1, None))
        )
        log_times.append((math.log(first[0]), math.log(rest[2])))
    pairs = [mean_error(torch.tensor(logs)) for logs in zip(*log_times, strict=True)]
    first, rest = ((math.exp(m), math.exp(m) * e) for m, e in pairs)
    return first, rest
