r"""Chapter 1: exact probabilities of the endpoint classes of score flow, at every time.

Let the data be orthogonal with K edges of one length L, and the starts be drawn from
:math:`\mathcal{N}(0, I_d)`. The coordinates :math:`z_n` are then independent and keep being so,
because each moves on its own; what is orthogonal to the data shrinks to :math:`e^{-r} \chi_\nu`
with :math:`\nu = d - K`. The map :math:`z(0) \mapsto z(r)` increases and is symmetric about L/2, so
one function v of :math:`u \le L/2` has all of it: a coordinate that starts low, at u, is
:math:`v(u)` from the end 0, and one that starts high, at :math:`L - u`, is as far from the end L.

**L∞.** A class is a product of events in the single coordinates: normal distribution functions.

**L2.** A distance is a sum of independent terms: to the nearest vertex :math:`D^2 = \sum_n v_n^2 +
q^2`, to the hyperbox the same with only the coordinates outside it. The Laplace transform of the
sum is the product

.. math::

   \mathbb{E}\, e^{-\lambda D^2} &= (1 + 2 \lambda e^{-2r})^{-\nu / 2}\, (a + b)^K, \\
   a &= \mathbb{E}\, e^{-\lambda v^2} 1_{z < L/2}, \quad
   b = \mathbb{E}\, e^{-\lambda v^2} 1_{z > L/2}

(a training point is the part :math:`a^K + K a^{K-1} b`), with one-dimensional integrals by
Gauss-Legendre rules on the pieces on which v is smooth. :math:`P(D^2 \le t^2)` follows by the
numerical inversion of Abate and Whitt, and the interior of the box is one integral over q. With
:data:`NODES` nodes a piece the probabilities are exact to 1e-4, and to 1e-6 for most settings:
less than the chance error of a million starts.

References
----------
J. Abate and W. Whitt, *Numerical inversion of Laplace transforms of probability distributions*,
ORSA Journal on Computing 7, 1995 (the algorithm EULER). Its use for these flows is this project's.
"""

import itertools
import math

import numpy as np
from scipy.special import gammainc, gammaln, ndtr

from memnb.validation import NORMS, check_choice, check_integer, check_real

__all__ = ["score_flow_probabilities"]

NODES, WEIGHTS = np.polynomial.legendre.leggauss(48)
FAR = 9.0  # standard deviations; what lies beyond has probability 1e-19
A, TERMS, AVERAGED = 18.4, 15, 11  # of the inversion: error, terms, terms that are averaged


def score_flow_probabilities(
    n_edges: int,
    dim: int,
    rho: float,
    r: float,
    threshold: float = 0.2,
    norm: str = "l2",
    length: float = 1.0,
) -> np.ndarray:
    r"""Probabilities of the five classes for starts from :math:`\mathcal{N}(0, I_d)`.

    Parameters
    ----------
    n_edges : int
        K = N - 1, at least 1.
    dim : int
        Dimension d, at least K.
    rho : float
        Ball radius, in (0, L / 2).
    r : float
        Time of the flow, at least 0; may be infinite.
    threshold, norm
        As in :func:`memnb.minnorm.endpoints.classify`, with a threshold below L / 2.
    length : float
        Length L of all edges, positive.

    Returns
    -------
    array of float64, shape (5,)
        In the order of :data:`memnb.minnorm.endpoints.CLASSES`; of sum 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of its kind or out of its range.

    Examples
    --------
    >>> score_flow_probabilities(10, 30, 0.1, math.inf).round(6).tolist()
    [0.136473, 0.863527, 0.0, 0.0, 0.0]
    """
    K = check_integer("n_edges", n_edges, 1)
    nu = check_integer("dim", dim, K) - K
    length = check_real("length", length, 0, math.inf, open_low=True, open_high=True)
    rho = check_real("rho", rho, 0, length / 2, open_low=True, open_high=True)
    r = check_real("r", r, 0)
    t = check_real("threshold", threshold, 0, length / 2, open_low=True, open_high=True)
    check_choice("norm", norm, NORMS)
    coordinate = _Coordinate(rho, r, length)
    classes = _in_linf if norm == "linf" else _in_l2
    training, vertex, body, interior = (
        (*_trainings(ndtr(length / 2), ndtr(-length / 2), K), 1.0, 0.0)
        if r == math.inf
        else classes(coordinate, t, K, nu)
    )
    parts = np.array([training, vertex - training, body - vertex - interior, interior, 1 - body])
    return np.maximum(parts, 0)  # rounding and the inversion leave -1e-8


class _Coordinate:
    """How far a coordinate is from its end at time r, as a function of its start u <= L / 2."""

    def __init__(self, rho: float, r: float, length: float) -> None:
        self.rho, self.r, self.length = rho, r, length
        self.half = length / 2 - rho
        self.rate = rho / self.half  # at which it leaves the middle of the ramp

    def start(self, v: float) -> float:
        """The start from which v is reached, from -FAR to L / 2: the inverse of the flow."""
        if v <= self.rho * math.exp(-self.r):
            return max(-FAR, v * math.exp(min(self.r, 700.0)))
        if v <= self.rho:
            leave = self.r + math.log(v / self.rho)
            return self.length / 2 - self.half * math.exp(-self.rate * leave)
        left = max(0.0, self.length / 2 - v)
        return self.length / 2 - left * math.exp(-self.rate * self.r)

    def within(self, low: float, high: float) -> tuple[float, float]:
        """Probabilities to start low or high, and to be from low to high away from that end."""
        a, b = self.start(low), self.start(high)
        return ndtr(b) - ndtr(a), ndtr(b - self.length) - ndtr(a - self.length)

    def quadrature(self, top: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Nodes u, weights, and v(u), of a rule for all starts with abs(v) <= top."""
        rho, r, rate, middle = self.rho, self.r, self.rate, self.length / 2
        shrink, least = math.exp(-r), rho * math.exp(-r)
        reached = min(top, rho)  # by those that have left the ramp
        u, weights, v = [], [], []

        def rule(a, b):
            weights.append(max(0.0, b - a) / 2 * WEIGHTS)
            return (a + b) / 2 + (b - a) / 2 * NODES

        bottom, fallen = self.start(-top), min(rho, self.start(top))
        for a, b in itertools.pairwise((bottom, bottom / 2, 0.0, fallen / 2, fallen)):
            u.append(rule(a, b))  # has not been on the ramp
            v.append(shrink * u[-1])
        if least < reached:
            # Below the first mark v changes fast but is next to nothing; above, log v is smooth.
            marks = [max(least, reached * math.exp(-x)) for x in (8, 1.5, 0)]
            u.append(rule(rho, self.start(marks[0])))
            v.append(rho * np.exp(np.log(self.half / (middle - u[-1])) / rate - r))
            for a, b in itertools.pairwise(marks):
                x = rule(math.log(a), math.log(b))
                left = self.half * np.exp(-rate * (r + x - math.log(rho)))
                weights[-1] = weights[-1] * rate * left
                u.append(middle - left)
                v.append(np.exp(x))
        if rho < top:  # still on the ramp
            a, b = self.start(rho), self.start(top)
            for begin, end in ((a, (a + b) / 2), ((a + b) / 2, b)):
                u.append(rule(begin, end))
                v.append(middle - (middle - u[-1]) * math.exp(min(rate * r, 700.0)))
        return np.concatenate(u), np.concatenate(weights), np.concatenate(v)


def _trainings(low, high, K):
    """Transforms of the sums with at most one edge, and of all sums, from those of one edge."""
    return low**K + K * low ** (K - 1) * high, (low + high) ** K


def _in_linf(coordinate, t, K, nu):
    low, high = coordinate.within(-t, t)
    training, vertex = _trainings(low, high, K)
    near = 1.0 if nu == 0 else gammainc(nu / 2, 0.5 * (t * math.exp(min(coordinate.r, 300.0))) ** 2)
    box = sum(coordinate.within(-t, coordinate.length / 2)) ** K
    inside = sum(coordinate.within(t, coordinate.length / 2)) ** K
    return near * training, near * vertex, near * box, near * inside


def _density(x):
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _in_l2(coordinate, t, K, nu):
    """By the inversion of Laplace transforms at t^2, and an integral for the interior."""
    k = np.arange(TERMS + AVERAGED + 1)
    s = (A + 2j * np.pi * k) / (2 * t * t)
    # Where the distance of one coordinate is 2 t the transforms are below exp(-2 A) = 1e-16.
    u, w, v = coordinate.quadrature(2 * t)
    falls = np.exp(-s[:, None] * v**2)
    low = falls @ (w * _density(u))
    high = falls @ (w * _density(coordinate.length - u))
    out = u < 0  # of the box
    outside = falls[:, out] @ (w * (_density(u) + _density(coordinate.length - u)))[out]
    box = outside + sum(coordinate.within(0.0, coordinate.length / 2))
    off = (1 + 2 * s * math.exp(-2 * coordinate.r)) ** (-nu / 2) / s
    terms = np.array([x * off for x in (*_trainings(low, high, K), box**K)]).real
    terms *= np.exp(A / 2) / (t * t) * (-1.0) ** k
    terms[:, 0] /= 2
    share = [math.comb(AVERAGED, j) / 2**AVERAGED for j in range(AVERAGED + 1)]
    return *(terms.cumsum(axis=1)[:, TERMS:] @ share), _interior_in_l2(coordinate, t, K, nu)


def _interior_in_l2(coordinate, t, K, nu):
    """Inside the box, and farther than t from its boundary, of which q is a part."""
    middle = coordinate.length / 2
    if nu == 0:
        return sum(coordinate.within(t, middle)) ** K
    shrink = math.exp(-min(coordinate.r, 300.0))
    low = min(t / shrink, max(0.0, math.sqrt(nu) - FAR))
    high = min(t / shrink, math.sqrt(nu) + FAR)
    q = (low + high) / 2 + (high - low) / 2 * NODES
    log_density = (nu - 1) * np.log(q) - 0.5 * q * q - (nu / 2 - 1) * math.log(2) - gammaln(nu / 2)
    faces = np.sqrt(np.maximum(0.0, t * t - (shrink * q) ** 2))
    inside = np.array([sum(coordinate.within(face, middle)) ** K for face in faces])
    return float((high - low) / 2 * (WEIGHTS * np.exp(log_density)) @ inside)
