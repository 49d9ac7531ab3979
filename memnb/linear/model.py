r"""Chapter 5: the linear diffusion model, its least-squares fit, and what it generates.

The forward process noises :math:`Y \sim \mathcal{N}(\mu, \sigma^2 I_d)` in one step,

.. math:: X = e^{-T} Y + \sqrt{\Delta_T}\, Z, \qquad \Delta_T = \lambda (1 - e^{-2T}),

and :math:`Y \approx \theta_0 + \theta_1 X` is fitted to n pairs by least squares. Generation draws
:math:`X \sim \mathcal{N}(\mu_X, \sigma_X^2 I)` with :math:`\mu_X = e^{-T} \bar Y` and
:math:`\sigma_X^2 = e^{-2T}\, \overline{\lVert Y - \bar Y \rVert^2} / d + \Delta_T`, and returns
:math:`\theta_0 + \theta_1 X`. What is generated is therefore exactly

.. math:: \rho_G = \mathcal{N}(\theta_0 + \theta_1 \mu_X,\; \sigma_X^2\, \theta_1 \theta_1^\top).

**The mean never matters.** A shift of all Y by :math:`\mu` shifts :math:`\rho_G` by :math:`\mu`, so
everything here works with deviations from :math:`\mu`: no digits are lost to a large mean.

**Few points.** For n <= d the centered inputs have rank n - 1 < d, the least-squares problem has
many solutions, and the one of least norm (the pseudo-inverse) is taken. :math:`\theta_1` then has
rank n - 1 exactly, and :math:`\rho_G` lives on a plane of that dimension.

**One number for T and lambda.** They enter only through the **signal fraction**

.. math:: c = \frac{e^{-2T} \sigma^2}{e^{-2T} \sigma^2 + \Delta_T} :

at the same c and the same draws the inputs X are multiples of one another, and the fit undoes the
factor. Up to the sampling error of :math:`\sigma_X`, the covariance
:math:`\sigma_X^2 \theta_1 \theta_1^\top` has the law of :math:`\sigma^2 M M^\top` with

.. math:: M = \sqrt{c}\, I + \sqrt{1 - c}\; G W^{-1/2},

G a matrix of independent standard normal entries and W an independent Wishart matrix with n - 1
degrees of freedom.

References
----------
*On the Onset of Memorization to Generalization Transition in Diffusion Models* (P2), Section 3.1,
with the covariance in the right order, see the chapter's appendix. The reduction to c is this
project's.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch

from memnb.validation import check_integer, check_points, check_real

__all__ = ["Generated", "LinearModel"]

# Relative size below which a singular value of the inputs is rounding: that of the means is up to
# 1e-16 |x| / |x - mean|, and true ones are above 1e-8 but for one training set in millions.
RANK = 1e-11


@dataclass(frozen=True)
class Generated:
    r"""A batch of Gaussians, by mean and eigendecomposition of the covariance.

    Parameters
    ----------
    mean : Tensor, shape (..., d)
        Means, as deviations from :math:`\mu`.
    vectors : Tensor, shape (..., d, d)
        Orthonormal eigenvectors of the covariance, in columns.
    values : Tensor, shape (..., d)
        Its eigenvalues, falling. Those beyond the rank are exactly 0.
    right_vectors : Tensor, shape (..., d, d)
        Eigenvectors of the transposed product :math:`\theta_1^\top \theta_1`, for
        :meth:`transposed`.
    rank : int
        Rank of the covariance.
    """

    mean: torch.Tensor
    vectors: torch.Tensor
    values: torch.Tensor
    right_vectors: torch.Tensor
    rank: int

    @property
    def dim(self) -> int:
        """Dimension d."""
        return self.mean.shape[-1]

    @property
    def covariance(self) -> torch.Tensor:
        r""":math:`\sigma_X^2 \theta_1 \theta_1^\top`, shape (..., d, d)."""
        return (self.vectors * self.values[..., None, :]) @ self.vectors.mT

    def transposed(self) -> "Generated":
        r"""The Gaussian with :math:`\sigma_X^2 \theta_1^\top \theta_1` in place of the covariance.

        That is how P2 prints it. The eigenvalues are the same, the eigenvectors are not.
        """
        return Generated(self.mean, self.right_vectors, self.values, self.vectors, self.rank)

    def __getitem__(self, index: Any) -> "Generated":
        """One Gaussian, or a part of the batch."""
        parts = (self.mean, self.vectors, self.values, self.right_vectors)
        return Generated(*(part[index] for part in parts), self.rank)


@dataclass(frozen=True)
class LinearModel:
    r"""The linear diffusion model in d dimensions.

    Parameters
    ----------
    dim : int
        Dimension :math:`d \ge 1`.
    T : float
        Diffusion time, positive. P2 uses 2.
    lam : float
        Noise scale :math:`\lambda`, positive. P2 uses :math:`e^{-4}`.
    sigma : float
        Standard deviation :math:`\sigma` of the data, positive. P2 uses 1.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of its range; the message names it.

    Notes
    -----
    Every value works for which :math:`e^{-2T} \sigma^2`, its sum with :math:`\Delta_T` and the
    signal fraction are positive and finite in double precision; for P2's other values that is T up
    to 372. The signal fraction then lies anywhere in (0, 1]: it is 1 where rounding hides the
    noise.

    Examples
    --------
    >>> model = LinearModel(16)
    >>> round(model.noise_variance, 6), round(model.signal_fraction, 4)
    (0.01798, 0.5046)
    """

    dim: int
    T: float = 2.0
    lam: float = math.exp(-4)
    sigma: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", check_integer("dim", self.dim, 1))
        for name in ("T", "lam", "sigma"):
            value = check_real(
                name, getattr(self, name), 0, math.inf, open_low=True, open_high=True
            )
            object.__setattr__(self, name, value)
        signal = math.exp(-2 * self.T) * self.sigma**2
        total = signal + self.noise_variance
        if not 0 < signal < math.inf or not total < math.inf or signal / total == 0:
            raise ValueError(
                f"T, lam and sigma must leave a signal and a noise that floating point can hold, "
                f"got T = {self.T:g}, lam = {self.lam:g}, sigma = {self.sigma:g}"
            )

    @property
    def shrink(self) -> float:
        r""":math:`e^{-T}`, what the forward process leaves of the data."""
        return math.exp(-self.T)

    @property
    def noise_variance(self) -> float:
        r""":math:`\Delta_T = \lambda (1 - e^{-2T})`."""
        return -self.lam * math.expm1(-2 * self.T)

    @property
    def signal_fraction(self) -> float:
        r"""c, the squared correlation between a coordinate of Y and the same one of X."""
        signal = (self.shrink * self.sigma) ** 2
        return signal / (signal + self.noise_variance)

    def noised(self, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        r"""Inputs :math:`X = e^{-T} Y + \sqrt{\Delta_T} Z` of points and noise, both (..., d)."""
        return self.shrink * y + math.sqrt(self.noise_variance) * z

    def fit(self, y: torch.Tensor, x: torch.Tensor) -> Generated:
        r"""Fit :math:`\theta_0, \theta_1` by least squares; return what the model then generates.

        Parameters
        ----------
        y : Tensor of float64, shape (..., n, d)
            Training points as deviations from :math:`\mu`; :math:`n \ge 2`.
        x : Tensor of float64, shape (..., n, d)
            Their inputs as deviations from :math:`e^{-T} \mu`.

        Returns
        -------
        Generated
            :math:`\rho_G`, with batch shape (...).

        Raises
        ------
        TypeError
            If an argument is not a float64 tensor.
        ValueError
            If shapes differ, n < 2, or a value is not finite.
        """
        y, x = (check_points(name, value, self.dim) for name, value in (("y", y), ("x", x)))
        for name, value in (("y", y), ("x", x)):
            if value.dtype != torch.float64:
                raise TypeError(f"{name} must be float64, got {value.dtype}")
        if y.shape != x.shape or y.ndim < 2 or y.shape[-2] < 2:
            raise ValueError(
                f"y and x must have one shape (..., n, {self.dim}) with n at least 2, "
                f"got {tuple(y.shape)} and {tuple(x.shape)}"
            )
        n, d = y.shape[-2:]
        mean_y, mean_x = y.mean(dim=-2), x.mean(dim=-2)
        centered_y, centered_x = y - mean_y[..., None, :], x - mean_x[..., None, :]
        # Both scaled to order one, so that a long T neither underflows nor spoils the rank test.
        spread = math.hypot(self.shrink * self.sigma, math.sqrt(self.noise_variance))
        # Complete orthogonal decomposition: least norm for n <= d, and no squared condition number
        theta = torch.linalg.lstsq(
            centered_x / spread, centered_y, rcond=RANK, driver="gelsy"
        ).solution.mT
        variance = centered_y.square().sum(dim=(-2, -1)) / (n * d)
        variance_x = (self.shrink**2 * variance + self.noise_variance) / spread**2
        left, singular, right = torch.linalg.svd(theta)
        rank = min(n - 1, d)
        singular[..., rank:] = 0
        shift = (self.shrink * mean_y - mean_x) / spread
        return Generated(
            mean=mean_y + (theta @ shift[..., None])[..., 0],
            vectors=left,
            values=variance_x[..., None] * singular.square(),
            right_vectors=right.mT,
            rank=rank,
        )
