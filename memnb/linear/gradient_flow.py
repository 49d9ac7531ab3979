r"""Chapter 5: when during training the linear model begins to memorize, by exact gradient flow.

The least-squares fit of :mod:`memnb.linear.model` is where gradient flow ends. Its way there is
known as well. With centered pairs, :math:`S = \frac1n \sum_k X_k X_k^\top` and
:math:`C = \frac1n \sum_k Y_k X_k^\top`, gradient flow on
:math:`\frac{1}{2n} \sum_k \lVert Y_k - \theta_1 X_k \rVert^2` from :math:`\theta_1 = 0` is

.. math:: \dot\theta_1 = C - \theta_1 S, \qquad
          \theta_1(\tau) = \sum_j \big(1 - e^{-s_j \tau}\big)\, \frac{C u_j}{s_j}\, u_j^\top,

with :math:`s_j, u_j` the eigenvalues and eigenvectors of S. Each eigendirection is learned by
itself in a time :math:`1/s_j`, null directions never, and the end is the solution of least norm.

**Errors.** Let :math:`v` be the variance of a coordinate of X and count time in units of
:math:`1/v`. As :math:`Y = bX + R` with R of variance :math:`(1 - c)\sigma^2`, independent of X, the
errors per coordinate over :math:`\sigma^2`, averaged over R, are for :math:`n, d \to \infty` at
:math:`\gamma = d/n`, with :math:`\mu` the Marchenko-Pastur law of S/v,

.. math:: \text{test}(\tau) &= 1 - c + c \int e^{-2 s \tau} d\mu
          + (1 - c)\, \gamma \int \frac{(1 - e^{-s\tau})^2}{s}\, d\mu, \\
          \text{train}(\tau) &= (1 - c) \Big[1 - \gamma \int (1 - e^{-2s\tau})\, d\mu\Big]
          + c \int s\, e^{-2 s \tau} d\mu .

What is left of the signal falls, and what is learned of the noise R grows.

**Time scales.** Eigenvalues of S/v other than 0 lie between :math:`(1 - \sqrt\gamma)^2` and
:math:`(1 + \sqrt\gamma)^2`. For few points, :math:`n \ll d`, all are near :math:`\gamma = d/n`:
each training point has a direction of its own, whose eigenvalue is its share of the mean, and all
are fitted after a time that is *proportional to n*: the train error is halved at
:math:`\frac{\log 2}{2} \frac{n}{d}`. A direction in which the data vary more, by a
factor :math:`\ell > 1 + \sqrt\gamma` in the variance of X, has the eigenvalue
:math:`\ell \big(1 + \frac{\gamma}{\ell - 1}\big)`. It is learned in a time that *does not depend on
n* as long as :math:`\gamma \ll \ell - 1`.

References
----------
Advani, Saxe and Sompolinsky, *High-dimensional dynamics of generalization error in neural
networks*, Neural Networks 132, 2020, arXiv:1710.03667, for the errors under gradient flow;
Baik and Silverstein, 2006, for the eigenvalue outside the bulk; Bonnaire et al., NeurIPS 2025,
arXiv:2505.17638, for the same two times in random features and U-Nets.
"""

import math

import numpy as np
import torch
from scipy.integrate import solve_ivp

from memnb.validation import check_points, check_real

from .limit import marchenko_pastur
from .model import LinearModel

__all__ = [
    "bulk_edges",
    "errors",
    "gradient_flow",
    "integrated",
    "limit_errors",
    "outlier",
]


def _centered(y: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    y, x = (check_points(name, value).double() for name, value in (("y", y), ("x", x)))
    if y.shape != x.shape or y.ndim != 2 or len(y) < 2:
        raise ValueError(
            f"y and x must have one shape (n, d) with n at least 2, got {tuple(y.shape)} and "
            f"{tuple(x.shape)}"
        )
    return y - y.mean(0), x - x.mean(0)


def _times(times: torch.Tensor) -> torch.Tensor:
    times = torch.as_tensor(times, dtype=torch.float64)
    if times.ndim != 1 or not (times >= 0).all():
        raise ValueError("times must be numbers of at least 0, in one dimension")
    return times


def gradient_flow(y: torch.Tensor, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    r"""The map :math:`\theta_1(\tau)` in closed form.

    Parameters
    ----------
    y, x : Tensor, shape (n, d)
        Training points and their inputs, n >= 2.
    times : Tensor, shape (K,)
        Times :math:`\tau \ge 0`; infinity is the least-squares solution of least norm.

    Returns
    -------
    Tensor of float64, shape (K, d, d)

    Raises
    ------
    ValueError
        If the shapes differ, a value is not finite or a time is negative.

    Examples
    --------
    >>> y = torch.tensor([[1.0], [-1.0]]).double()
    >>> theta = gradient_flow(y, 2 * y, torch.tensor([0.0, math.log(2) / 4, math.inf]))
    >>> theta.flatten().numpy().round(6).tolist()
    [0.0, 0.25, 0.5]
    """
    y, x = _centered(y, x)
    u, s, v = torch.linalg.svd(x / math.sqrt(len(x)), full_matrices=False)
    null = s <= s.max() * max(x.shape) * torch.finfo(s.dtype).eps
    s = torch.where(null, 1.0, s)
    # expm1 keeps the digits of directions that have hardly begun
    gain = torch.where(null, 0.0, -torch.expm1(-s.square() * _times(times)[:, None]) / s)
    return (y.mT @ u / math.sqrt(len(x)) * gain[:, None]) @ v


def integrated(y: torch.Tensor, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """The same by a Runge-Kutta method of order 8, which knows no eigenvalue.

    Parameters
    ----------
    y, x : Tensor, shape (n, d)
        As for :func:`gradient_flow`.
    times : Tensor, shape (K,)
        Finite and rising.

    Returns
    -------
    Tensor of float64, shape (K, d, d)

    Raises
    ------
    ValueError
        As for :func:`gradient_flow`, or if the times are not rising and finite.
    """
    y, x = _centered(y, x)
    times = _times(times)
    if not times.isfinite().all() or (times.diff() <= 0).any():
        raise ValueError("times must be finite and rising")
    a, b = y.numpy(), x.numpy()
    n, d = a.shape

    def force(_, flat):
        theta = flat.reshape(d, d)
        return ((a - b @ theta.T).T @ b / n).ravel()

    end = float(times[-1])
    solution = solve_ivp(force, (0, end), np.zeros(d * d), "DOP853", times.numpy(),
                      rtol=1e-10, atol=1e-12)  # fmt: skip
    return torch.from_numpy(solution.y.T.reshape(-1, d, d).copy())


def errors(
    theta: torch.Tensor,
    y: torch.Tensor,
    x: torch.Tensor,
    model: LinearModel,
    spike: float = 1.0,
    outputs: slice = slice(None),
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Train and test error of maps, per coordinate over :math:`\sigma^2`.

    The test error is an expectation over fresh pairs, exact; that of the means is left out.

    Parameters
    ----------
    theta : Tensor of float64, shape (K, d, d)
        Maps :math:`\theta_1`.
    y, x : Tensor, shape (n, d)
        Training points and their inputs.
    model : LinearModel
    spike : float
        Variance of the first coordinate of Y over that of the others, at least 1.
    outputs : slice
        Which coordinates of Y the errors are those of. Each is a regression of its own.

    Returns
    -------
    train, test : Tensor of float64, shape (K,)

    Raises
    ------
    TypeError, ValueError
        If shapes or values are not allowed.
    """
    y, x = _centered(y, x)
    check_real("spike", spike, 1, math.inf, open_high=True)
    if y.shape[1] != model.dim or theta.shape[1:] != (model.dim, model.dim):
        raise ValueError(
            f"theta, y and x must have the dimension {model.dim} of the model, got "
            f"{tuple(theta.shape)} and {tuple(y.shape)}"
        )
    variances = torch.full((model.dim,), model.sigma**2, dtype=torch.float64)
    variances[0] *= spike
    inputs = model.shrink**2 * variances + model.noise_variance
    train = (y - x @ theta.mT).square().mean(1)
    overlap = model.shrink * theta.diagonal(dim1=1, dim2=2) * variances
    test = variances - 2 * overlap + theta.square() @ inputs
    return tuple(e[:, outputs].mean(1) / model.sigma**2 for e in (train, test))


def _law(gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the Marchenko-Pastur law for any ratio but 1; a part at 0 if above."""
    if gamma < 1:
        return marchenko_pastur(gamma)
    s, weights = marchenko_pastur(1 / gamma)
    return np.append(gamma * s, 0.0), np.append(weights / gamma, 1 - 1 / gamma)


def limit_errors(times: np.ndarray, gamma: float, c: float) -> tuple[np.ndarray, np.ndarray]:
    r"""Train and test error for large n and d, by the formulas of the module.

    Parameters
    ----------
    times : array, shape (K,)
        In units of :math:`1/v`, v the variance of a coordinate of X; infinity is allowed.
    gamma : float
        Ratio d/n, positive and not 1.
    c : float
        Signal fraction in (0, 1].

    Returns
    -------
    train, test : array, shape (K,)
        Per coordinate, over :math:`\sigma^2`.

    Raises
    ------
    TypeError, ValueError
        If a number is out of its range.

    Examples
    --------
    >>> train, test = limit_errors(np.array([0.0, np.inf]), 0.5, 0.6)
    >>> train.round(6).tolist(), test.round(6).tolist()
    ([1.0, 0.2], [1.0, 0.8])
    """
    gamma = check_real("gamma", gamma, 0, math.inf, open_low=True, open_high=True)
    if gamma == 1:
        raise ValueError("gamma must not be 1, where the slowest time is infinite")
    c = check_real("c", c, 0, 1, open_low=True)
    times = _times(torch.as_tensor(times)).numpy()
    s, weights = _law(gamma)
    moving = s > 0
    left = np.ones((len(times), len(s)))
    left[:, moving] = np.exp(-times[:, None] * s[moving])
    learned = 1 - left
    over = np.where(moving, s, 1.0)
    test = 1 - c + c * (left**2 @ weights) + (1 - c) * gamma * ((learned**2 / over) @ weights)
    train = (1 - c) * (1 - gamma * ((1 - left**2) @ weights)) + c * (left**2 @ (weights * s))
    return train, test


def bulk_edges(gamma: float) -> tuple[float, float]:
    r"""Smallest and largest eigenvalue other than 0 of S/v, :math:`(1 \mp \sqrt\gamma)^2`.

    Parameters
    ----------
    gamma : float
        Ratio d/n, positive.

    Returns
    -------
    tuple of float
    """
    root = math.sqrt(check_real("gamma", gamma, 0, math.inf, open_low=True, open_high=True))
    return (1 - root) ** 2, (1 + root) ** 2


def outlier(gamma: float, ell: float) -> float:
    r"""Eigenvalue :math:`\ell (1 + \gamma / (\ell - 1))` of a direction of more variance.

    Parameters
    ----------
    gamma : float
        Ratio d/n, positive.
    ell : float
        Variance of X in this direction over v, above :math:`1 + \sqrt\gamma`.

    Returns
    -------
    float
        In units of v, above the bulk.

    Raises
    ------
    TypeError, ValueError
        If a number is out of its range; a smaller variance does not leave the bulk.
    """
    gamma = check_real("gamma", gamma, 0, math.inf, open_low=True, open_high=True)
    low = 1 + math.sqrt(gamma)
    ell = check_real("ell", ell, low, math.inf, open_low=True, open_high=True)
    return ell * (1 + gamma / (ell - 1))
