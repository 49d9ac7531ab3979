r"""Chapter 6: the U-Net, residual blocks, time embedding and attention, in two sizes.

The network is diffusers' ``UNet2DModel``; this module only chooses its sizes and seeds its weights.
Both sizes are ResNet blocks with group normalization, a sinusoidal embedding of the step that is
added in every block, and self-attention at the lowest resolution:

============ ================ ============= ============ =============
size         channels         blocks/level  parameters   image size
============ ================ ============= ============ =============
``"small"``  16, 32           1             0.18 million multiple of 2
``"paper"``  64, 128, 224     2             12.9 million multiple of 4
============ ================ ============= ============ =============

``python -m benchmarks.unet`` compares its speed with that of a U-Net written by hand.

References
----------
Ronneberger et al., MICCAI 2015, arXiv:1505.04597; Ho et al., NeurIPS 2020, arXiv:2006.11239.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from memnb.streams import stream
from memnb.validation import check_choice, check_integer

__all__ = ["SIZES", "UNet", "count_parameters", "full_precision"]

SIZES = {
    "small": {"channels": (16, 32), "blocks": 1, "groups": 8},
    "paper": {"channels": (64, 128, 224), "blocks": 2, "groups": 16},
}
HEAD = 32  # channels of one attention head


def _diffusers_unet(image_size, channels, blocks, groups):
    # Imported here: it takes two seconds, and most of the book does without.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from diffusers.models.unets.unet_2d import UNet2DModel

    low = len(channels) - 1
    return UNet2DModel(
        sample_size=image_size,
        in_channels=1,
        out_channels=1,
        layers_per_block=blocks,
        block_out_channels=channels,
        down_block_types=("DownBlock2D",) * low + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * low,
        norm_num_groups=groups,
        attention_head_dim=HEAD,
        dropout=0.0,
    )


class UNet(nn.Module):
    r"""A U-Net that predicts the noise :math:`\varepsilon_\theta(x_t, t)`.

    Parameters
    ----------
    size : {"small", "paper"}
        See the table of the module.
    image_size : int
        Side S of the images, at least 4 and a multiple of 2 (``"small"``) or 4 (``"paper"``).
    seed : int
        Seed of the initial weights. The global random state is left as it was.

    Raises
    ------
    ValueError
        If the size is unknown or the image size does not fit; when called, if the images have
        another size.

    Examples
    --------
    >>> net = UNet("small", 8, seed=0)
    >>> net(torch.zeros(3, 1, 8, 8), torch.tensor([1, 2, 3])).shape
    torch.Size([3, 1, 8, 8])
    """

    def __init__(
        self,
        size: str = "small",
        image_size: int = 8,
        seed: int = 0,
    ):
        super().__init__()
        check_choice("size", size, tuple(SIZES))
        factor = 2 ** (len(SIZES[size]["channels"]) - 1)
        check_integer("image_size", image_size, 4)
        if image_size % factor:
            raise ValueError(
                f"image_size must be a multiple of {factor} for size {size!r}, got {image_size}"
            )
        weights = stream(seed, "weights")
        self.size, self.image_size = size, image_size
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from the global state
            torch.random.default_generator.set_state(weights.get_state())
            self.net = _diffusers_unet(image_size, **SIZES[size])

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        r"""Predicted noise, shape (B, 1, S, S).

        Parameters
        ----------
        x : Tensor, shape (B, 1, S, S)
            Noisy images :math:`x_t`, computed in float32.
        t : Tensor of int64, shape (B,)
            Steps, 1 to T.
        """
        if x.ndim != 4 or x.shape[1:] != (1, self.image_size, self.image_size):
            raise ValueError(
                f"x must have shape (B, 1, {self.image_size}, {self.image_size}), "
                f"got {tuple(x.shape)}"
            )
        return self.net(x.float(), t, return_dict=False)[0]


@contextmanager
def full_precision() -> Iterator[None]:
    """In this block float32 on a CUDA device is float32, and the same in every run.

    By default cuDNN rounds what it multiplies to the ten bits of TF32, matrix products do where a
    program asked for it, and convolutions and the memory-efficient attention may add up in an order
    that differs from run to run. Here they do none of this (attention takes the plain way, two
    matrix products). On a CPU nothing changes. The settings of the process are as they were when
    the block ends.
    """
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    before = cuda.mem_efficient_sdp_enabled(), cuda.matmul.allow_tf32
    cuda.enable_mem_efficient_sdp(False)
    cuda.matmul.allow_tf32 = False
    try:
        with cudnn.flags(enabled=cudnn.enabled, deterministic=True, allow_tf32=False):
            yield
    finally:
        cuda.enable_mem_efficient_sdp(before[0])
        cuda.matmul.allow_tf32 = before[1]


def count_parameters(net: nn.Module) -> int:
    """Number of trainable parameters of a network."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)
