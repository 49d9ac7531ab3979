r"""Chapter 5: the limit of large n and d at a fixed ratio :math:`\gamma = d/n < 1`.

In units of :math:`\sigma` the generated covariance has the law of :math:`M M^\top` with
:math:`M = \sqrt c\, I + \sqrt{1 - c}\; G W^{-1/2}`, see :mod:`memnb.linear.model`: a known matrix
plus noise with a variance profile, the profile being :math:`W^{-1}`. The eigenvalues of W / n
follow the law of Marchenko and Pastur, and the Stieltjes transform
:math:`\delta(z) = \lim \frac1d \operatorname{tr} (M M^\top - z)^{-1}` solves two scalar equations
with :math:`a^2 = c` and :math:`t = (1 - c) \gamma / x`, x from that law:

.. math:: \delta = \mathbb{E}\, \frac{1}{-z (1 + \tilde\delta) + a^2 / (1 + \delta t)}, \qquad
   \tilde\delta = \mathbb{E}\, \frac{t}{-z (1 + \delta t) + a^2 / (1 + \tilde\delta)} .

**The density is algebraic.** As t is a constant over x, both expectations are Stieltjes transforms
of the law of Marchenko and Pastur, which solves a quadratic. With
:math:`q = 1 / (1 + \tilde\delta)` and both eliminated, :math:`\delta = q / (c q^2 - z)` and

.. math::

   & (1 - \gamma) c^2 q^4 + c \big((2 \gamma - 1) z + \gamma - c\big) q^3 \\
   & - \gamma z (1 + c + z) q^2 + z \big((1 + \gamma) z + c\big) q - z^2 = 0 .

On the spectrum it has one pair of complex roots, and the density is
:math:`\operatorname{Im} \delta / \pi` for one of them; elsewhere all four are real.

Log-determinants follow in closed form, for :math:`s > 0` and
:math:`\delta, \tilde\delta` at :math:`z = -s`:

.. math:: \lim \tfrac1d \log\det(s + M M^\top) =
   \mathbb{E} \log\!\big(s (1 + \tilde\delta)(1 + \delta t) + a^2\big) - s\, \delta \tilde\delta .

At s = 0 there are two cases. For :math:`\gamma \le c` the eigenvalues stay away from zero and
:math:`\tfrac1d \log\det M M^\top \to \log c`. For :math:`\gamma > c` their density grows like
:math:`\lambda^{-1/2}` at zero, and the limit is :math:`\mathbb{E} \log(u t + a^2) - u`, where u
solves :math:`\mathbb{E}\, t / (u t + a^2) = 1`. So **n = d/c** is a transition: with fewer points
the generated Gaussian has directions in which it hardly varies.

With these, :math:`\tfrac1d \log(1 - H^2)` and :math:`\tfrac1d \mathrm{KL}(\rho_G \Vert \rho)` have
limits; the means' contribution is of order 1/d. For :math:`\gamma \ge c`
:math:`\mathbb{E}\, 1/\lambda` is infinite, and with it the other divergence,
:math:`\tfrac1d \mathrm{KL}(\rho \Vert \rho_G)`.

References
----------
Marchenko and Pastur, 1967; the equations of matrices plus noise with a variance profile: Hachem,
Loubaton and Najim, *Deterministic equivalents for certain functionals of large random matrices*,
Annals of Applied Probability 17, 2007. Their use for this model is this project's.
"""

import math

import numpy as np
from scipy.optimize import brentq

from memnb.validation import check_integer, check_real

__all__ = [
    "limit_rates",
    "log_determinant",
    "marchenko_pastur",
    "spectral_curve",
    "spectral_density",
    "stieltjes",
]

REAL = 1e-7  # a root with a smaller imaginary part, relative to its size, is real


def marchenko_pastur(gamma: float, n_nodes: int = 400) -> tuple[np.ndarray, np.ndarray]:
    r"""Nodes and weights for expectations under the Marchenko-Pastur law of ratio :math:`\gamma`.

    Parameters
    ----------
    gamma : float
        Ratio d/n in (0, 1).
    n_nodes : int
        Number of nodes of the Gauss-Chebyshev rule of the second kind.

    Returns
    -------
    tuple of array, shape (n_nodes,)
        Nodes in :math:`((1 - \sqrt\gamma)^2, (1 + \sqrt\gamma)^2)` and weights of sum 1.

    Raises
    ------
    TypeError, ValueError
        If gamma is outside (0, 1), or there is no node.
    """
    gamma = check_real("gamma", gamma, 0, 1, open_low=True, open_high=True)
    check_integer("n_nodes", n_nodes, 1)
    angle = np.pi * np.arange(1, n_nodes + 1) / (n_nodes + 1)
    x = 1 + gamma + 2 * math.sqrt(gamma) * np.cos(angle)
    weights = 2 * np.sin(angle) ** 2 / (n_nodes + 1) / x
    return x, weights / weights.sum()


def stieltjes(
    z: np.ndarray,
    gamma: float,
    c: float,
    n_nodes: int = 400,
    tolerance: float = 1e-12,
    max_iterations: int = 100_000,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Solve the two equations for :math:`\delta` and :math:`\tilde\delta`.

    Parameters
    ----------
    z : array
        Points outside the positive axis: negative, or complex with positive imaginary part.
    gamma : float
        Ratio d/n in (0, 1).
    c : float
        Signal fraction in (0, 1].
    n_nodes : int
        Nodes of the quadrature.
    tolerance : float
        Relative change at which the iteration stops.
    max_iterations : int
        Most iterations.

    Returns
    -------
    tuple of array, the shape of z
        :math:`\delta` and :math:`\tilde\delta`.

    Raises
    ------
    TypeError, ValueError
        If gamma or c is out of its range.
    RuntimeError
        If the iteration has not converged.
    """
    c = check_real("c", c, 0, 1, open_low=True)
    x, weights = marchenko_pastur(gamma, n_nodes)
    t = (1 - c) * gamma / x
    z = np.asarray(z)[..., None]
    delta = -1 / z
    other = delta * (weights * t).sum()
    for _ in range(max_iterations):
        new = (weights / (-z * (1 + other) + c / (1 + delta * t))).sum(-1, keepdims=True)
        new = 0.5 * (new + delta)
        nxt = (weights * t / (-z * (1 + new * t) + c / (1 + other))).sum(-1, keepdims=True)
        nxt = 0.5 * (nxt + other)
        still = (np.abs(new - delta) <= tolerance * np.abs(new)).all()
        still &= (np.abs(nxt - other) <= tolerance * np.abs(nxt)).all()
        delta, other = new, nxt
        if still:
            return delta[..., 0], other[..., 0]
    raise RuntimeError(f"no convergence in {max_iterations} iterations")


def log_determinant(s: float, gamma: float, c: float) -> float:
    r"""Limit of :math:`\tfrac1d \log\det(s + M M^\top)`, for s >= 0.

    Parameters
    ----------
    s : float
        At least 0.
    gamma, c : float
        See :func:`stieltjes`.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    """
    s = check_real("s", s, 0, math.inf, open_high=True)
    c = check_real("c", c, 0, 1, open_low=True)
    x, weights = marchenko_pastur(gamma, 2000)
    t = (1 - c) * gamma / x
    if s == 0:

        def balance(v):
            """Sign of E t / (u t + c) - 1, in v = 1 - u to keep digits where u is almost 1."""
            scale = ((1 - v) + c) / ((1 - v) * t + c)  # times a positive number, against overflow
            return weights @ ((v * t - c) * scale)

        if gamma <= c or balance(1.0) <= 0:
            return math.log(c)
        u = 1 - brentq(balance, 0, 1, xtol=1e-15)
        return float(weights @ np.log(u * t + c) - u)
    delta, other = stieltjes(np.array(-s), gamma, c, n_nodes=2000)
    return float(weights @ np.log(s * (1 + other) * (1 + delta * t) + c) - s * delta * other)


def limit_rates(gamma: float, c: float) -> dict[str, float]:
    r"""Limits per dimension of the distances between the generated and the true Gaussian.

    Parameters
    ----------
    gamma : float
        Ratio d/n in (0, 1).
    c : float
        Signal fraction, see :attr:`memnb.linear.model.LinearModel.signal_fraction`.

    Returns
    -------
    dict of float
        ``log_affinity``: :math:`\lim \tfrac1d \log(1 - H^2)`; ``kl_from``:
        :math:`\lim \tfrac1d \mathrm{KL}(\rho_G \Vert \rho)`.
    """
    gamma = check_real("gamma", gamma, 0, 1, open_low=True, open_high=True)
    c = check_real("c", c, 0, 1, open_low=True)
    log_small = log_determinant(0.0, gamma, c)
    log_sum = log_determinant(1.0, gamma, c) - math.log(2)
    mean = c + (1 - c) * gamma / (1 - gamma)
    return {
        "log_affinity": 0.25 * log_small - 0.5 * log_sum,
        "kl_from": 0.5 * (mean - 1 - log_small),
    }


def spectral_density(values: np.ndarray, gamma: float, c: float) -> np.ndarray:
    r"""Limiting density of the eigenvalues of :math:`\rho_G`'s covariance, in units of
    :math:`\sigma^2`.

    From the complex root of the quartic; no iteration, and nothing is smoothed.

    Parameters
    ----------
    values : array
        Positive eigenvalues.
    gamma, c : float
        See :func:`stieltjes`.

    Returns
    -------
    array, the shape of values

    Raises
    ------
    TypeError, ValueError
        If gamma or c is out of its range, or a value is not positive and finite.
    """
    gamma = check_real("gamma", gamma, 0, 1, open_low=True, open_high=True)
    c = check_real("c", c, 0, 1, open_low=True)
    x = np.asarray(values, dtype=float)
    if not (np.isfinite(x) & (x > 0)).all():
        raise ValueError(f"values must be positive and finite, got {values!r}")
    lead = (1 - gamma) * c**2
    companion = np.zeros((*x.shape, 4, 4))
    companion[..., 1:, :3] = np.eye(3)
    companion[..., 0, 3] = x**2 / lead
    companion[..., 1, 3] = -x * ((1 + gamma) * x + c) / lead
    companion[..., 2, 3] = gamma * x * (1 + c + x) / lead
    companion[..., 3, 3] = -c * ((2 * gamma - 1) * x + gamma - c) / lead
    q = np.linalg.eigvals(companion).astype(complex)
    density = (q / (c * q**2 - x[..., None])).imag / np.pi
    density[np.abs(q.imag) < REAL * np.abs(q)] = 0
    return density.max(axis=-1).clip(min=0)


def spectral_curve(gamma: float, c: float, n_points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    r"""The limiting spectrum as a curve: what the sorted eigenvalues tend to.

    Parameters
    ----------
    gamma, c : float
        See :func:`stieltjes`.
    n_points : int
        Intervals, of even width in the angle of :math:`\log\lambda = m + h \cos\theta`, which
        makes them dense at the edges of the spectrum.

    Returns
    -------
    tuple of array, shape (n_points + 1,)
        Eigenvalues, the largest first, and the share of the spectrum that is larger. What is below
        1e-8 is left out.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    """
    n_points = check_integer("n_points", n_points, 2)

    def edge(within, beyond):
        if spectral_density(np.exp(beyond), gamma, c) > 0:
            return beyond
        for _ in range(30):
            middle = (within + beyond) / 2
            inside = spectral_density(np.exp(middle), gamma, c) > 0
            within, beyond = (middle, beyond) if inside else (within, middle)
        return within

    # The limit for many points, c, is always inside.
    low, high = (edge(math.log(c), math.log(end)) for end in (1e-8, 1e8))
    angle = np.linspace(0, math.pi, n_points + 1)
    values = np.exp((low + high) / 2 + (high - low) / 2 * np.cos(angle))
    mass = spectral_density(values, gamma, c) * values * (high - low) / 2 * np.sin(angle)
    steps = (mass[1:] + mass[:-1]) / 2 * math.pi / n_points
    return values, np.concatenate([[0.0], steps.cumsum()])
