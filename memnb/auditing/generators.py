r"""Chapter 7: generators whose memorization is known.

Each function returns generated points, and what is true of them is known without any measure: the
share of copies is the one asked for, or follows from a closed form.

- **Gaussian data** with copies in any share, exact or blurred, beside new points that may be too
  wide, too narrow, or a few points over and over.
- **Minimum-norm flows** (chapters 1 to 3): training points on half of the axes of a space, held-out
  points on the other half, so that the two are exchangeable. Starts have independent coordinates
  :math:`z_n \sim \mathcal{N}(0, s^2)`, and each of the K = N - 1 ramps, of length L = 1, moves
  its own: the score flow to 0 or 1, whichever is nearer; the probability flow to 0 up to
  :math:`\rho`, to 1 from :math:`1 - \rho` on, and to a point between otherwise. With the
  probabilities a and b of 0 and 1,

  .. math:: P(\text{training point}) &= a^K + K b a^{K-1} , \\
            P(\text{virtual point}) &= (a + b)^K - P(\text{training point}) ,

  and all other ends are on the boundary of the box or in it. Virtual points are *not* copies.
- **The linear model** (chapter 5): a Gaussian fitted to n points. It copies none of them, but
  depends on them the more, the fewer they are.
"""

import math

import numpy as np
import torch
from scipy.stats import norm

from memnb.linear import LinearModel
from memnb.minnorm.data import gaussian_starts, orthogonal_set
from memnb.minnorm.denoisers import RampDenoiser
from memnb.minnorm.flows import probability_flow, score_flow
from memnb.streams import numpy_stream
from memnb.validation import check_choice, check_integer, check_real

__all__ = ["blurred_copies", "flow_sets", "gaussian_sets", "linear_model_sets"]


def gaussian_sets(n: int, dim: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Three independent sets of n points from :math:`\mathcal{N}(0, I_d)`.

    Parameters
    ----------
    n, dim : int
        At least 1.
    seed : int

    Returns
    -------
    training, held_out, new : ndarray of float64, shape (n, d)
    """
    check_integer("n", n, 1)
    check_integer("dim", dim, 1)
    names = ("training", "held out", "new")
    return tuple(numpy_stream(seed, f"audit {name}").standard_normal((n, dim)) for name in names)


def blurred_copies(training: np.ndarray, count: int, blur: float, seed: int) -> np.ndarray:
    r"""Copies of random training points, with Gaussian noise of a given length.

    Parameters
    ----------
    training : ndarray, shape (n, d)
    count : int
        How many, at least 1.
    blur : float
        The root mean square length of the noise, in the unit of the points; 0 for exact copies.
    seed : int

    Returns
    -------
    ndarray, shape (count, d)
    """
    check_integer("count", count, 1)
    blur = check_real("blur", blur, 0, math.inf, open_high=True)
    n, dim = training.shape
    rows = numpy_stream(seed, "audit copied rows").integers(n, size=count)
    noise = numpy_stream(seed, "audit blur").standard_normal((count, dim))
    return training[rows] + blur / math.sqrt(dim) * noise


def flow_sets(
    flow: str, n: int, scale: float, count: int, seed: int, rho: float = 0.1
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, float]]:
    r"""Ends of a minimum-norm flow, and the shares of training, virtual and boundary points.

    Parameters
    ----------
    flow : {"score flow", "probability flow"}
        To its end: r to infinity, or the noise level to 0.
    n : int
        Number of training points, :math:`x_0 = 0` included, and of held-out points; the dimension
        is 2 n - 1.
    scale : float
        Standard deviation s of each coordinate of the starts.
    count : int
        Number of starts.
    seed : int
        Seed of the starts.
    rho : float
        Ball radius at the start, below 1/2.

    Returns
    -------
    training, held_out, ends : ndarray
        Unit vectors of the first n - 1 axes and the origin; of the other n axes; the ends.
    shares : dict of str to float
        Probabilities of ``training``, ``virtual`` and ``boundary``; see the module.

    References
    ----------
    arXiv:2506.19031, Theorem 4.3: each start of the score flow goes to the nearest sum. The ends of
    the probability flow are those of :func:`memnb.minnorm.flows.probability_flow`.
    """
    check_choice("flow", flow, ("score flow", "probability flow"))
    check_integer("n", n, 2)
    scale = check_real("scale", scale, 0, math.inf, open_low=True, open_high=True)
    dim, ramps = 2 * n - 1, n - 1
    data = orthogonal_set(n, dim)
    starts = gaussian_starts(count, dim, scale, seed=seed)
    denoiser = RampDenoiser(data, rho)
    if flow == "score flow":
        ends, first, last = score_flow(starts, denoiser, math.inf), 0.5, 0.5
    else:
        ends, first, last = probability_flow(starts, denoiser, 1.0, 0.0), rho, 1 - rho
    low, high = float(norm.cdf(first / scale)), float(norm.sf(last / scale))
    training = low**ramps + ramps * high * low ** (ramps - 1)
    vertices = (low + high) ** ramps
    shares = {"training": training, "virtual": vertices - training, "boundary": 1 - vertices}
    return data.points.numpy(), np.eye(dim)[n - 1 :], ends.numpy(), shares


def linear_model_sets(
    n: int, dim: int, count: int, seed: int, n_held_out: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points generated by the linear diffusion model that was fitted to n points.

    Parameters
    ----------
    n, dim, count : int
        Training points, dimension, generated points.
    seed : int
    n_held_out : int, optional
        Number of held-out points; n if not given.

    Returns
    -------
    training, held_out, generated : ndarray
    """
    model = LinearModel(dim)
    training = numpy_stream(seed, "audit training").standard_normal((n, dim))
    held_out = numpy_stream(seed, "audit held out").standard_normal((n_held_out or n, dim))
    y = torch.from_numpy(training)
    z = torch.from_numpy(numpy_stream(seed, "audit noise").standard_normal((n, dim)))
    law = model.fit(y[None], model.noised(y, z)[None])
    root = torch.linalg.cholesky(
        law.covariance[0] + 1e-12 * law.covariance[0].trace() / dim * torch.eye(dim).double()
    ).numpy()
    standard = numpy_stream(seed, "audit generated").standard_normal((count, dim))
    return training, held_out, law.mean[0].numpy() + standard @ root.T
