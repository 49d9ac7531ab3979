r"""Chapter 6: generating from a network: starting noise, two samplers, and a perfect network.

Sampling starts from :math:`x_T \sim \mathcal{N}(0, I)`, which is right only if the forward process
of :mod:`memnb.unet.diffusion` reaches noise, :math:`\bar\alpha_T \approx 0`.

References
----------
Ho et al., *Denoising Diffusion Probabilistic Models*, NeurIPS 2020, arXiv:2006.11239; Song et al.,
*Denoising Diffusion Implicit Models*, ICLR 2021, arXiv:2010.02502.
"""

import itertools
import math
from collections.abc import Callable

import torch

from memnb.streams import stream
from memnb.validation import check_choice, check_integer, check_real

from .diffusion import DiffusionSchedule
from .images import ImagesLike, check_images
from .network import full_precision

__all__ = ["METHODS", "gaussian_noise", "ideal_gaussian", "sample"]

METHODS = ("ddim", "ddpm")


def gaussian_noise(
    n_images: int,
    image_size: int,
    seed: int,
    dtype: torch.dtype = torch.float32,
    purpose: str = "start noise",
) -> torch.Tensor:
    """Standard normal noise, shape (n_images, 1, S, S), the same on every device.

    Parameters
    ----------
    n_images, image_size : int
        How many, and their side S; at least 1.
    seed : int
        Seed, at least 0.
    dtype : torch.dtype
        Floating-point type.
    purpose : str
        Name of the stream, see :mod:`memnb.streams`.

    Returns
    -------
    Tensor, shape (n_images, 1, S, S)
    """
    check_integer("n_images", n_images, 1)
    check_integer("image_size", image_size, 1)
    generator = stream(seed, purpose)
    return torch.randn(n_images, 1, image_size, image_size, generator=generator, dtype=dtype)


def ddim_steps(T: int, n_steps: int) -> list[int]:
    """n_steps of the steps 1 to T, evenly spaced, T among them, from T down; then 0."""
    chosen = torch.linspace(T, T / n_steps, n_steps, dtype=torch.float64).round().long()
    return [*chosen.tolist(), 0]


@torch.no_grad()
@full_precision()
def sample(
    net: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    schedule: DiffusionSchedule,
    noise: ImagesLike,
    method: str = "ddim",
    n_steps: int | None = None,
    *,
    seed: int | None = None,
    clip: bool = True,
    variance: str = "beta",
    until: int = 0,
    batch: int = 500,
) -> torch.Tensor:
    r"""Generate images from noise.

    DDIM is deterministic: with :math:`\varepsilon_\theta` and :math:`\hat x_0` at step t it goes to
    an earlier step s by
    :math:`x_s = \sqrt{\bar\alpha_s}\, \hat x_0 + \sqrt{1 - \bar\alpha_s}\, \varepsilon_\theta`, one
    Euler step of the probability flow in :math:`\sigma`. DDPM goes through all T steps and adds
    noise,

    .. math:: x_{t-1} = \frac{\sqrt{\bar\alpha_{t-1}} \beta_t}{1 - \bar\alpha_t} \hat x_0
              + \frac{\sqrt{\alpha_t} (1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t} x_t
              + \sqrt{v_t}\, z, \qquad t > 1,

    and no noise in the last step.

    Parameters
    ----------
    net : callable
        ``net(x, t)`` predicts the noise; x of shape (B, 1, S, S), t of int64 and shape (B,).
    schedule : DiffusionSchedule
    noise : Tensor, shape (n, 1, S, S)
        :math:`x_T`, n >= 1. The device and the dtype of the computation; an array or lists of
        floats are taken as well.
    method : {"ddim", "ddpm"}
    n_steps : int, optional
        Number of DDIM steps, at most T; T if not given.
    seed : int, optional
        Seed of DDPM's noise; needed by DDPM, refused by DDIM.
    clip : bool
        Clip :math:`\hat x_0` to [-1, 1], the range of images, as is common. If false nothing is
        clipped.
    variance : {"beta", "posterior"}
        DDPM's :math:`v_t`: :math:`\beta_t`, or that times
        :math:`(1 - \bar\alpha_{t-1}) / (1 - \bar\alpha_t)`.
    until : int
        Stop at :math:`x_t` of this step, 0 to T - 1. Only for DDPM; 0 goes to the end.
    batch : int
        Images in one call of the network. What is generated does not depend on it.

    Returns
    -------
    Tensor, shape (n, 1, S, S)
        :math:`x_0`, or :math:`x_t` for t = ``until``.

    Raises
    ------
    TypeError
        If the noise is no array of floating-point numbers, or the schedule is none.
    ValueError
        If the method is unknown, DDIM has more steps than the schedule or is to stop early, a seed
        is missing, ``batch`` is below 1, there is no noise or it is not finite, or the network
        returns another shape.
    """
    check_choice("method", method, METHODS)
    check_choice("variance", variance, ("beta", "posterior"))
    check_integer("batch", batch, 1)
    if not isinstance(schedule, DiffusionSchedule):
        raise TypeError(f"schedule must be a DiffusionSchedule, got {type(schedule).__name__}")
    noise = check_images("noise", noise, bounded=False)
    T = schedule.n_steps
    check_integer("until", until, 0, T - 1)
    if method == "ddim":
        if until:
            raise ValueError(f"until must be 0 for DDIM, which skips steps, got {until}")
        if seed is not None:
            raise ValueError(f"seed must be None for DDIM, which adds no noise, got {seed}")
        count = T if n_steps is None else check_integer("n_steps", n_steps, 1, T)
        return torch.cat([_ddim(net, schedule, x, count, clip) for x in noise.split(batch)])
    if n_steps not in (None, T):
        raise ValueError(f"n_steps must be {T} for DDPM, which takes every step, got {n_steps}")
    if seed is None:
        raise ValueError("seed must be an integer for DDPM, got None")
    x = noise
    for t in range(T, until, -1):
        z = None
        if t > 1:  # a stream of its own for each step, apart from that of the starting noise
            z = torch.randn(x.shape, generator=stream(seed, "step noise", t), dtype=x.dtype)
        parts = []
        for first in range(0, len(x), batch):
            rows = slice(first, first + batch)
            part = None if z is None else z[rows]
            parts.append(_ddpm_step(net, schedule, x[rows], t, part, clip, variance))
        x = torch.cat(parts)
    return x


def _predict(net, x, t, bar, clip):
    """Predicted noise and clean image; consistent with each other after clipping."""
    eps = net(x, torch.full((len(x),), t, dtype=torch.long, device=x.device)).to(x.dtype)
    if eps.shape != x.shape:
        raise ValueError(f"net must return shape {tuple(x.shape)}, got {tuple(eps.shape)}")
    clean = (x - math.sqrt(1 - bar) * eps) / math.sqrt(bar)
    if clip:
        clean = clean.clamp(-1, 1)
        eps = (x - math.sqrt(bar) * clean) / math.sqrt(1 - bar)
    return eps, clean


def _ddim(net, schedule, x, n_steps, clip):
    bars = schedule.alpha_bars.tolist()
    times = ddim_steps(schedule.n_steps, n_steps)
    for t, s in itertools.pairwise(times):
        eps, clean = _predict(net, x, t, bars[t], clip)
        x = math.sqrt(bars[s]) * clean + math.sqrt(1 - bars[s]) * eps
    return x


def _ddpm_step(net, schedule, x, t, z, clip, variance):
    """From step t to t - 1, with the noise z (None in the last step)."""
    beta, bar, before = schedule.betas[t - 1].item(), *schedule.alpha_bars[[t, t - 1]].tolist()
    _, clean = _predict(net, x, t, bar, clip)
    x = (math.sqrt(before) * beta * clean + math.sqrt(1 - beta) * (1 - before) * x) / (1 - bar)
    if z is None:
        return x
    spread = beta if variance == "beta" else beta * (1 - before) / (1 - bar)
    return x + math.sqrt(check_real("variance", spread, 0)) * z.to(x.device)


def ideal_gaussian(
    schedule: DiffusionSchedule, mean: float, std: float, method: str = "ddpm"
) -> tuple[float, float]:
    r"""What a *perfect* network generates for Gaussian data: mean and standard deviation.

    For pixels :math:`\mathcal{N}(m, s^2)` the best prediction of the noise is linear,

    .. math:: \varepsilon^*(x_t, t) = \frac{\sqrt{1 - \bar\alpha_t}}{v_t}
              (x_t - \sqrt{\bar\alpha_t}\, m), \qquad v_t = \bar\alpha_t s^2 + 1 - \bar\alpha_t,

    so that each step of the sampler maps a Gaussian to a Gaussian, and two numbers tell the result.
    Nothing is clipped. What differs from (m, s) is the schedule's doing alone.

    Parameters
    ----------
    schedule : DiffusionSchedule
    mean, std : float
        m and s > 0, in the network's range, where images have values in [-1, 1].
    method : {"ddim", "ddpm"}
        The sampler, all steps of it; DDPM with :math:`v_t = \beta_t`.

    Returns
    -------
    mean, std : float

    Raises
    ------
    TypeError, ValueError
        If the method is unknown, or a number is not allowed.

    Examples
    --------
    >>> from memnb.unet.diffusion import make_schedule
    >>> "%.2f %.2f" % ideal_gaussian(make_schedule("paper"), 0.0, 0.2)
    '0.00 0.34'
    """
    check_choice("method", method, METHODS)
    check_real("mean", mean)
    check_real("std", std, 0, math.inf, open_low=True, open_high=True)
    bars, betas = schedule.alpha_bars.tolist(), schedule.betas.tolist()
    m, v = 0.0, 1.0
    for t in range(schedule.n_steps, 0, -1):
        bar, before = bars[t], bars[t - 1]
        spread = bar * std**2 + 1 - bar
        # eps = e (x - sqrt(bar) mean); the step is x -> a x + b eps, plus noise for DDPM
        e = math.sqrt(1 - bar) / spread
        if method == "ddim":
            a = math.sqrt(before / bar)
            b = math.sqrt(1 - before) - a * math.sqrt(1 - bar)
            noise = 0.0
        else:
            a = 1 / math.sqrt(1 - betas[t - 1])
            b = -a * betas[t - 1] / math.sqrt(1 - bar)
            noise = betas[t - 1] if t > 1 else 0.0
        m = (a + b * e) * m - b * e * math.sqrt(bar) * mean
        v = (a + b * e) ** 2 * v + noise
    return m, math.sqrt(v)
