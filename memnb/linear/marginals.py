r"""Chapter 5, appendix: ordinary and stochastic differential equations with one law.

Let :math:`x_t = a(t)\, y + b(t)\, z` with y from the data, z standard normal, :math:`a = e^{-t}`,
:math:`b = \sqrt{1 - e^{-2t}}`, and :math:`\rho_t` the density of :math:`x_t`. Then

.. math::

   \partial_t \rho_t &= -\nabla \cdot (v_t \rho_t), \\
   v_t(x) &= \dot a\, \mathbb{E}[y | x_t = x] + \dot b\, \mathbb{E}[z | x_t = x], \\
   s_t(x) &= \nabla \log \rho_t(x) = -\frac{\mathbb{E}[z | x_t = x]}{b} .

As :math:`\nabla \cdot (s \rho) = \Delta \rho`, for every :math:`\lambda(t) \ge 0` the equations

.. math:: dx = (v_t + \lambda s_t)\, dt + \sqrt{2 \lambda}\, dW, \qquad
   dx = (v_t - \lambda s_t)\, dt + \sqrt{2 \lambda}\, d\bar W

have the same marginals, the first forward in time and the second, with :math:`d\bar W` the noise of
reversed time, backward. :math:`\lambda = 0` is the probability flow and :math:`\lambda = 1`,
forward, the Ornstein-Uhlenbeck process :math:`dx = -x\, dt + \sqrt2\, dW`.

Here the data are a mixture of Gaussians on a line, for which everything is in closed form.

References
----------
P2, appendix A, eqs. (25) to (36); Albergo, Boffi and Vanden-Eijnden, *Stochastic interpolants*,
arXiv:2303.08797.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from memnb.streams import numpy_stream
from memnb.validation import check_choice, check_integer, check_real

__all__ = ["Carried", "Mixture", "compare", "solve"]


@dataclass(frozen=True)
class Mixture:
    r"""Data from a mixture of Gaussians on a line, and their law at every time.

    Parameters
    ----------
    weights, means, deviations : tuple of float
        Weights of sum 1, means and positive standard deviations.

    Raises
    ------
    ValueError
        If the lengths differ, the weights are no weights, or a deviation is not positive.
    """

    weights: tuple[float, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.weights) == len(self.means) == len(self.deviations) > 0:
            raise ValueError("weights, means and deviations must have one length, at least 1")
        if min(self.weights) < 0 or abs(sum(self.weights) - 1) > 1e-12:
            raise ValueError(f"weights must be at least 0 and have sum 1, got {self.weights}")
        if min(self.deviations) <= 0:
            raise ValueError(f"deviations must be positive, got {self.deviations}")

    def _components(self, t: float) -> tuple[np.ndarray, np.ndarray]:
        mean = math.exp(-t) * np.array(self.means)
        return mean, math.exp(-2 * t) * np.square(self.deviations) - math.expm1(-2 * t)

    def _posterior(self, t: float, x: np.ndarray) -> np.ndarray:
        mean, variance = self._components(t)
        logs = np.log(self.weights) - 0.5 * (x[:, None] - mean) ** 2 / variance
        logs -= 0.5 * np.log(variance)
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    def score(self, t: float, x: np.ndarray) -> np.ndarray:
        r"""Score :math:`\partial_x \log \rho_t` at x, shape (m,)."""
        mean, variance = self._components(t)
        return (self._posterior(t, x) * (mean - x[:, None]) / variance).sum(axis=1)

    def velocity(self, t: float, x: np.ndarray) -> np.ndarray:
        r""":math:`v_t(x)`, which for these a and b is :math:`-x - s_t(x)`, shape (m,)."""
        return -x - self.score(t, x)

    def distribution(self, t: float, x: np.ndarray) -> np.ndarray:
        r"""Distribution function of :math:`\rho_t` at x, shape (m,)."""
        mean, variance = self._components(t)
        return ndtr((x[:, None] - mean) / np.sqrt(variance)) @ np.array(self.weights)

    def moments(self, t: float) -> tuple[float, float]:
        """Mean and variance at time t."""
        mean, variance = self._components(t)
        weights = np.array(self.weights)
        total = float(weights @ mean)
        return total, float(weights @ (variance + mean**2)) - total**2

    def sample(self, t: float, count: int, generator: np.random.Generator) -> np.ndarray:
        """Independent draws from the law at time t, shape (count,)."""
        mean, variance = self._components(t)
        which = generator.choice(len(self.weights), count, p=self.weights)
        return mean[which] + np.sqrt(variance[which]) * generator.standard_normal(count)

    def distance(self, t: float, x: np.ndarray) -> float:
        """Kolmogorov-Smirnov distance of draws x, shape (m,), to the law at time t."""
        at = self.distribution(t, np.sort(x))
        steps = np.arange(len(x) + 1) / len(x)
        return float(max((steps[1:] - at).max(), (at - steps[:-1]).max()))


def solve(
    mixture: Mixture,
    noise: Callable[[float], float],
    *,
    direction: str,
    times: tuple[float, float] = (0.0, 1.0),
    steps: int = 400,
    count: int = 20_000,
    seed: int = 0,
) -> np.ndarray:
    r"""Draws that an equation carries from one end of a time interval to the other.

    It starts with exact draws from the law at its own end and takes steps of the stochastic
    Heun method, whose weak error is of second order for noise that does not depend on x.

    Parameters
    ----------
    mixture : Mixture
        Law of the data.
    noise : callable
        :math:`\lambda(t) \ge 0`.
    direction : {"forward", "backward"}
        From the first to the second time, or back.
    times : (float, float)
        Ends of the interval, at least 0 and increasing.
    steps, count, seed : int
        Number of steps, number of draws, and seed.

    Returns
    -------
    array, shape (count,)
        To be compared with the law at the second time (forward) or the first (backward).

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or the noise negative somewhere.
    """
    check_choice("direction", direction, ("forward", "backward"))
    check_integer("steps", steps, 1)
    check_integer("count", count, 1)
    first = check_real("times[0]", times[0], 0, math.inf, open_high=True)
    last = check_real("times[1]", times[1], first, math.inf, open_low=True, open_high=True)
    sign = 1 if direction == "forward" else -1
    grid = np.linspace(first, last, steps + 1)[::sign]
    x = mixture.sample(grid[0], count, numpy_stream(seed, f"starts {direction}"))
    kicks = numpy_stream(seed, f"noise of the equation {direction}")
    step = (last - first) / steps

    def drift(t, x, level):
        return -sign * x + (level - sign) * mixture.score(t, x)  # sign v + level s with one score

    for t, after in itertools.pairwise(grid):
        levels = [noise(at) for at in (t, after)]
        if min(levels) < 0:
            raise ValueError(f"noise must be at least 0, got {min(levels):g} near t = {t:g}")
        kick = math.sqrt(step * sum(levels)) * kicks.standard_normal(count)
        slope = drift(t, x, levels[0])
        ahead = x + step * slope + kick
        x = x + 0.5 * step * (slope + drift(after, ahead, levels[1])) + kick
    return x


@dataclass(frozen=True)
class Carried:
    """Draws that an equation carried, against the exact law at their end.

    Parameters
    ----------
    direction : {"forward", "backward"}
        Which equation.
    distance : float
        Kolmogorov-Smirnov distance to the exact law.
    mean_off : float
        Deviation of the mean, in standard errors of the mean of exact draws.
    variance_ratio : float
        Variance over the exact one.
    """

    direction: str
    distance: float
    mean_off: float
    variance_ratio: float


def compare(
    mixture: Mixture,
    noise: Callable[[float], float],
    direction: str,
    count: int,
    seed: int,
    *,
    steps: int = 100,
    times: tuple[float, float] = (0.0, 1.0),
) -> Carried:
    """Carry draws with one equation, and compare them with the exact law at their end.

    Parameters and errors as for :func:`solve`.

    Returns
    -------
    Carried
    """
    x = solve(mixture, noise, direction=direction, times=times, steps=steps, count=count, seed=seed)
    end = times[1] if direction == "forward" else times[0]
    mean, variance = mixture.moments(end)
    off = (float(x.mean()) - mean) / math.sqrt(variance / count)
    return Carried(direction, mixture.distance(end, x), off, float(x.var()) / variance)
