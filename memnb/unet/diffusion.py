r"""Chapter 6: diffusion in discrete steps: schedules and the forward process.

A schedule is a sequence :math:`\beta_1, \dots, \beta_T`. With :math:`\alpha_t = 1 - \beta_t` and
:math:`\bar\alpha_t = \prod_{s \le t} \alpha_s` the forward process is

.. math:: x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \varepsilon,
          \qquad \varepsilon \sim \mathcal{N}(0, I).

Divided by :math:`\sqrt{\bar\alpha_t}` this is :math:`x_0 + \sigma_t \varepsilon` with
:math:`\sigma_t^2 = (1 - \bar\alpha_t) / \bar\alpha_t`, the variance-exploding process of the other
chapters. A network :math:`\varepsilon_\theta(x_t, t)` that predicts the noise implies a denoiser,
:math:`\hat x_0 = (x_t - \sqrt{1 - \bar\alpha_t}\, \varepsilon_\theta) / \sqrt{\bar\alpha_t}`.

Generating from a network is in :mod:`memnb.unet.sampling`.

References
----------
Ho et al., *Denoising Diffusion Probabilistic Models*, NeurIPS 2020, arXiv:2006.11239; Nichol and
Dhariwal, *Improved Denoising Diffusion Probabilistic Models*, ICML 2021, arXiv:2102.09672.
"""

import math
from dataclasses import dataclass

import torch

from memnb.validation import check_choice, check_integer

__all__ = ["SCHEDULES", "DiffusionSchedule", "make_schedule"]

SCHEDULES = ("cosine", "linear", "paper")
PAPER_STEPS = 10


@dataclass(frozen=True, eq=False)
class DiffusionSchedule:
    r"""A schedule of noise.

    Parameters
    ----------
    betas : Tensor, shape (T,)
        :math:`\beta_1, \dots, \beta_T`, each in (0, 1), of a floating-point dtype; kept in
        float64, because a product of many :math:`1 - \beta` loses digits in less.
    name : str
        For messages.

    Raises
    ------
    TypeError
        If betas is not a floating-point tensor.
    ValueError
        If a beta is outside (0, 1).
    """

    betas: torch.Tensor
    name: str = "own"

    def __post_init__(self):
        if not isinstance(self.betas, torch.Tensor) or not self.betas.is_floating_point():
            kind = getattr(self.betas, "dtype", type(self.betas).__name__)
            raise TypeError(f"betas must be a floating-point tensor, got {kind}")
        object.__setattr__(self, "betas", self.betas.double().cpu())
        if self.betas.ndim != 1 or not len(self.betas):
            raise ValueError(f"betas must have shape (T,), got {tuple(self.betas.shape)}")
        if not ((self.betas > 0) & (self.betas < 1)).all():
            raise ValueError(
                f"betas must be in (0, 1), got {self.betas.min():g} to {self.betas.max():g}"
            )

    @property
    def n_steps(self) -> int:
        """Number of steps T."""
        return len(self.betas)

    @property
    def alpha_bars(self) -> torch.Tensor:
        r""":math:`\bar\alpha_0 = 1, \bar\alpha_1, \dots, \bar\alpha_T`, shape (T + 1,)."""
        one = torch.ones(1, dtype=self.betas.dtype)
        return torch.cat([one, (1 - self.betas).cumprod(0)])

    @property
    def sigmas(self) -> torch.Tensor:
        r"""Noise levels :math:`\sigma_0 = 0, \dots, \sigma_T` of the variance-exploding process."""
        bars = self.alpha_bars
        return ((1 - bars) / bars).sqrt()

    def add_noise(self, x: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        r"""The forward process :math:`x_t`.

        Parameters
        ----------
        x : Tensor, shape (B, ...)
            Clean :math:`x_0`.
        t : Tensor of int64, shape (B,)
            Steps, 0 to T.
        noise : Tensor, shape (B, ...)
            :math:`\varepsilon`.

        Returns
        -------
        Tensor, shape (B, ...)

        Raises
        ------
        ValueError
            If a step is outside 0 to T, or x and noise differ in shape.
        """
        if x.shape != noise.shape:
            raise ValueError(
                f"noise must have the shape of x, {tuple(x.shape)}, got {tuple(noise.shape)}"
            )
        if t.numel() and not 0 <= t.min() <= t.max() <= self.n_steps:
            raise ValueError(
                f"t must be between 0 and {self.n_steps}, got {t.min().item()} to {t.max().item()}"
            )
        bars = self.alpha_bars.to(x.device)[t].to(x.dtype)
        bars = bars.reshape(-1, *[1] * (x.ndim - 1))
        return bars.sqrt() * x + (1 - bars).sqrt() * noise


def make_schedule(name: str = "cosine", n_steps: int | None = None) -> DiffusionSchedule:
    r"""A schedule by name.

    Parameters
    ----------
    name : {"cosine", "linear", "paper"}
        ``"paper"``: 10 evenly spaced values of :math:`\beta` from 1e-4 to 0.02, which leaves
        :math:`\bar\alpha_{10} \approx 0.9`: the images never become noise. ``"linear"``: the same
        two ends times 1000/T, which reaches noise for any T of at least 50:
        :math:`\bar\alpha_T` is 4.0e-5 for Ho et al.'s thousand steps, and smaller for fewer, 2.0e-5
        for 100 and 7.7e-6 for 50. ``"cosine"``: Nichol and Dhariwal's,
        :math:`\bar\alpha_t \propto \cos^2(\tfrac{\pi}{2} \tfrac{t/T + 0.008}{1.008})`, each beta at
        most 0.999.
    n_steps : int, optional
        T; 10 for ``"paper"``, 100 for the others if not given.

    Returns
    -------
    DiffusionSchedule

    Raises
    ------
    ValueError
        If the name is unknown, or T is too small for ``"linear"``.

    Examples
    --------
    >>> round(make_schedule("paper").alpha_bars[-1].item(), 3)
    0.904
    >>> make_schedule("cosine").alpha_bars[-1].item() < 1e-4
    True
    """
    check_choice("schedule", name, SCHEDULES)
    low = {"cosine": 2, "linear": 50, "paper": 2}[name]
    T = PAPER_STEPS if name == "paper" else 100
    T = T if n_steps is None else check_integer("n_steps", n_steps, low)
    if name == "paper":
        betas = torch.linspace(1e-4, 0.02, T, dtype=torch.float64)
    elif name == "linear":
        betas = torch.linspace(1e-4, 0.02, T, dtype=torch.float64) * 1000 / T
    else:
        grid = torch.arange(T + 1, dtype=torch.float64) / T
        bars = torch.cos(math.pi / 2 * (grid + 0.008) / 1.008).square()
        betas = (1 - bars[1:] / bars[:-1]).clamp(max=0.999)
    return DiffusionSchedule(betas, name)
