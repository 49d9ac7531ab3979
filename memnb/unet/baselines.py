r"""Chapter 6: denoisers known in closed form, as networks that nobody has to train.

A sampler asks for the noise :math:`\varepsilon_\theta(x_t, t)`. With a denoiser's guess
:math:`\hat x_0` it is
:math:`(x_t - \sqrt{\bar\alpha_t}\, \hat x_0) / \sqrt{1 - \bar\alpha_t}`. Beside a trained
network, run from the same noise through the same sampler, such networks say what a result is worth:
the minimum-norm and the empirical Bayes denoiser what it looks like to make sums of training images
or to copy them, and the best *linear* denoiser how far two means and covariances get.
"""

from collections.abc import Callable

import torch

from .diffusion import DiffusionSchedule
from .images import ImagesLike, check_images

__all__ = ["as_network", "linear_network"]


def _step(t: torch.Tensor) -> int:
    """The step that all entries of t are."""
    step = int(t[0])
    if step < 1 or (t != step).any():
        raise ValueError(f"t must hold one step of at least 1, got {t.unique().tolist()}")
    return step


def as_network(family: Callable, schedule: DiffusionSchedule) -> Callable:
    r"""The network :math:`\varepsilon_\theta(x_t, t)` that a family of denoisers is.

    A denoiser h of this book maps noisy images with values around [0, 1] and noise of standard
    deviation :math:`\sigma` to clean ones. With :math:`y = (x_t / \sqrt{\bar\alpha_t} + 1) / 2`,
    whose noise is :math:`\sigma_t / 2`, it predicts
    :math:`\varepsilon = 2 (y - h(y)) / \sigma_t`.

    Parameters
    ----------
    family : callable
        Maps a noise level :math:`\sigma > 0` to a denoiser of points (m, d), in float64.
    schedule : DiffusionSchedule

    Returns
    -------
    callable
        For :func:`~memnb.unet.sampling.sample`; all steps t of one call are the same.
    """
    sigmas, bars = schedule.sigmas.tolist(), schedule.alpha_bars.tolist()

    def net(x, t):
        step = _step(t)
        y = (x.double().flatten(1) / bars[step] ** 0.5 + 1) / 2
        eps = 2 * (y - family(sigmas[step] / 2)(y)) / sigmas[step]
        return eps.reshape(x.shape).to(x.dtype)

    return net


def linear_network(images: ImagesLike, schedule: DiffusionSchedule) -> Callable:
    r"""The network whose denoiser is the best linear one for a set of images.

    With the mean m and the covariance C of the images, as the network sees them,

    .. math:: \hat x_0 = m + \sqrt{\bar\alpha_t}\, C\,
              \big(\bar\alpha_t C + (1 - \bar\alpha_t) I\big)^{-1} (x_t - \sqrt{\bar\alpha_t}\, m),

    the posterior mean if the images were Gaussian. What it generates without clipping is Gaussian
    up to the error of the sampler.

    Parameters
    ----------
    images : Tensor, shape (n, 1, S, S)
        Images with values in [0, 1]; the covariance is divided by n and may be singular.
    schedule : DiffusionSchedule

    Returns
    -------
    callable
        For :func:`~memnb.unet.sampling.sample`; all steps t of one call are the same.
    """
    x = 2 * check_images("images", images).double().flatten(1) - 1
    mean = x.mean(0)
    # Singular vectors, so that a singular covariance costs no accuracy
    _, s, v = torch.linalg.svd(x - mean, full_matrices=False)
    variances, bars = s.square() / len(x), schedule.alpha_bars.tolist()

    def net(x, t):
        bar = bars[_step(t)]
        rows = x.double().flatten(1)
        gain = bar**0.5 * variances / (bar * variances + 1 - bar)
        clean = mean + ((rows - bar**0.5 * mean) @ v.mT * gain) @ v
        eps = (rows - bar**0.5 * clean) / (1 - bar) ** 0.5
        return eps.reshape(x.shape).to(x.dtype)

    return net
