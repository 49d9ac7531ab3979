r"""Chapter 6: is what the long runs kept what the code gives?

A network of :data:`memnb.unet.runs.RUNS` is trained again from its seed, and what it generates is
compared with what was kept. Another order of additions, as on another machine, changes the last
digits of a sum; a thousand steps of Adam let such differences grow, so that networks of more steps
agree less.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from memnb.validation import check_choice

from .diffusion import DiffusionSchedule
from .over_time import OverTime
from .sampling import sample
from .training import train

__all__ = ["Retrained", "resampling_gap", "retrain", "retrain_to"]


@dataclass(frozen=True, eq=False)
class Retrained:
    """What a network generates that was trained again, and what was kept of the first.

    Parameters
    ----------
    images, kept : Tensor, shape (m, 1, S, S)
        Generated from the same noise; 1 is white.
    losses, kept_losses : Tensor of float64, shape (steps,)
        Losses of the training steps.
    """

    images: torch.Tensor
    stored: torch.Tensor
    losses: torch.Tensor
    stored_losses: torch.Tensor

    @property
    def gaps(self) -> torch.Tensor:
        """Mean difference of a pixel, for each image; shape (m,)."""
        return (self.images - self.stored).abs().flatten(1).mean(1)

    @property
    def largest_gap(self) -> float:
        """The largest difference of any pixel."""
        return (self.images - self.stored).abs().max().item()

    @property
    def loss_gap(self) -> float:
        """The largest difference of a loss, as a share of its kept value."""
        return (self.losses / self.stored_losses - 1).abs().max().item()


def retrain(network: Any, arrays: Mapping[str, torch.Tensor]) -> Retrained:
    """Train a network again and compare it with what was kept of it.

    Parameters
    ----------
    network : OnDigits or OnSynthetic
        One of :data:`memnb.unet.runs.RUNS`; of those on digits the images of 25 steps are compared.
    arrays : dict of str to Tensor
        What was kept of its run.

    Returns
    -------
    Retrained

    Raises
    ------
    KeyError
        If nothing was kept of this network.
    """
    config = network.config()
    net, losses = train(network.images(), config, progress=False)
    generated = network.generate(net, config)
    name = "images" if "images" in generated else "ddim25"
    images, stored = (_values(x) for x in (generated[name], arrays[f"{network.key}-{name}"]))
    return Retrained(images, stored, losses.double(), arrays[f"{network.key}-loss"].double())


def retrain_to(network: OverTime, arrays: Mapping[str, torch.Tensor], step: int) -> Retrained:
    """Train a network with snapshots again as far as to one of them, and compare with that one.

    Parameters
    ----------
    network : OverTime
    arrays : dict of str to Tensor
        What was kept of the run ``time``.
    step : int
        One of its snapshots.

    Returns
    -------
    Retrained
        Its losses are the two denoising errors, on training and on held-out digits.

    Raises
    ------
    ValueError
        If there is no such snapshot.
    KeyError
        If nothing was kept of this network.
    """
    check_choice("step", step, network.snapshots)
    config, start = network.config(), f"{network.key}-step{step}_"
    net, _ = train(network.images(), config, until=step, progress=False)
    generated = network.generate(net, config)
    images, stored = (_values(x) for x in (generated["images"], arrays[f"{start}images"]))
    return Retrained(images, stored, generated["errors"], arrays[f"{start}errors"])


def _values(x: torch.Tensor) -> torch.Tensor:
    """Values of images that are kept as bytes or in half precision."""
    return x / 255 if x.dtype == torch.uint8 else x.float()


def resampling_gap(
    net: Any, schedule: DiffusionSchedule, noise: torch.Tensor, stored: torch.Tensor
) -> float:
    """Mean difference of a pixel between what kept weights generate and what was kept.

    Parameters
    ----------
    net : UNet
        With the weights that were kept.
    schedule : DiffusionSchedule
    noise : Tensor, shape (m, 1, S, S)
        For DDIM in 25 steps.
    stored : Tensor, shape (m, 1, S, S)
        Images with values in [0, 1] that it generated of this noise.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If the noise is none.
    """
    x = (sample(net, schedule, noise, n_steps=25) + 1) / 2
    return (x.clamp(0, 1) - stored).abs().mean().item()
