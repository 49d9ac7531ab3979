r"""Two U-Nets side by side, and two ways to make one faster: ``python -m benchmarks.unet``.

One is the book's, diffusers' ``UNet2DModel`` as :mod:`memnb.unet.network` configures it; the other
is written by hand here, with the same channels, blocks and attention. The first one also runs in
bfloat16 (autocast) and through ``torch.compile``. Each row is one training step (noise, forward,
backward, Adam) on the same batch, in turns in one process on one thread; times are medians of the
CPU time, compiling not among it. With ``--keep`` the table goes to ``results/``, where the chapter
finds it. denoising-diffusion-pytorch is not in it: it cannot be imported without torchvision.
"""

import math
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from benchmarks import Compared, keep_table, quick_or_keep
from memnb.unet.network import HEAD, SIZES, UNet, count_parameters

__all__ = ["CASES", "WAYS", "HandWritten", "compare", "main", "measure"]

CASES = (("small", 8, 32), ("small", 8, 128), ("small", 16, 128), ("paper", 16, 128))
WAYS = ("diffusers", "by hand", "bfloat16", "compiled")


class _Residual(nn.Module):
    def __init__(self, inputs, outputs, time_channels, groups):
        super().__init__()
        self.norms = nn.ModuleList([nn.GroupNorm(groups, c) for c in (inputs, outputs)])
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(time_channels, outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x, e):
        h = self.first(F.silu(self.norms[0](x))) + self.time(e)[:, :, None, None]
        return self.skip(x) + self.second(F.silu(self.norms[1](h)))


class _Attention(nn.Module):
    def __init__(self, channels, groups):
        super().__init__()
        self.heads = channels // HEAD
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x, e=None):
        b, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w)
        q, k, v = qkv.transpose(-1, -2).unbind(1)
        y = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(b, c, h, w)
        return x + self.out(y)


class _Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2.0))


class HandWritten(nn.Module):
    """A U-Net in plain torch with the channels, blocks and attention of a size of the book."""

    def __init__(self, size):
        super().__init__()
        channels, blocks, groups = (SIZES[size][k] for k in ("channels", "blocks", "groups"))
        c = self.width = channels[0]
        n_time, last = 4 * c, len(channels) - 1
        self.time = nn.Sequential(
            nn.Linear(c, n_time), nn.SiLU(), nn.Linear(n_time, n_time), nn.SiLU()
        )
        self.inputs, skips = nn.Conv2d(1, c, 3, padding=1), [c]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()

        def level(inputs, outputs, i):
            attention = _Attention(outputs, groups) if i == last else nn.Identity()
            return nn.ModuleList([_Residual(inputs, outputs, n_time, groups), attention])

        for i, width in enumerate(channels):
            for _ in range(blocks):
                self.down.append(level(c, width, i))
                c = width
                skips.append(c)
            if i < last:
                self.down.append(nn.Conv2d(c, c, 3, stride=2, padding=1))
                skips.append(c)
        self.middle = level(c, c, last)
        self.after = _Residual(c, c, n_time, groups)
        for i, width in reversed(list(enumerate(channels))):
            for _ in range(blocks + 1):
                self.up.append(level(c + skips.pop(), width, i))
                c = width
            if i:
                self.up.append(_Upsample(c))
        self.outputs = nn.Sequential(
            nn.GroupNorm(groups, c), nn.SiLU(), nn.Conv2d(c, 1, 3, padding=1)
        )

    def forward(self, x, t):
        """Predicted noise for images (B, 1, S, S) and steps (B,)."""
        half = self.width // 2
        rate = torch.exp(-math.log(10_000) * torch.arange(half) / half)
        angle = t[:, None] * rate
        e = self.time(torch.cat([angle.cos(), angle.sin()], dim=1))
        x = self.inputs(x)
        features = [x]
        for part in self.down:
            x = part[1](part[0](x, e)) if isinstance(part, nn.ModuleList) else part(x)
            features.append(x)
        x = self.after(self.middle[1](self.middle[0](x, e)), e)
        for part in self.up:
            if isinstance(part, nn.ModuleList):
                x = part[1](part[0](torch.cat([x, features.pop()], dim=1), e))
            else:
                x = part(x)
        return self.outputs(x)


def _step(net, x, t, eps, optimizer, low):
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        loss = (net(x + eps, t).float() - eps).square().mean()
    loss.backward()
    optimizer.step()


def measure(size, image_size, batch, repeats, ways=WAYS):
    """Step times of both networks, and of the first one in other ways.

    Parameters
    ----------
    size : {"small", "paper"}
    image_size, batch : int
        Side of the images, images in a batch.
    repeats : int
        How often each takes a step, in turn.
    ways : sequence of str
        Which of ``WAYS``, the first of them among them.

    Returns
    -------
    list of dict
        Network, parameters, seconds (median), ratio to diffusers'.
    """
    generator = torch.Generator().manual_seed(0)
    x, eps = torch.randn(2, batch, 1, image_size, image_size, generator=generator)
    t = torch.randint(1, 101, (batch,), generator=generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nets = {k: HandWritten(size) if k == "by hand" else UNet(size, image_size) for k in ways}
    arms = {}
    for name, net in nets.items():
        run = torch.compile(net) if name == "compiled" else net
        arms[name] = run, torch.optim.Adam(net.parameters(), 1e-3, fused=True)
    seconds = {name: [] for name in arms}
    for repeat in range(repeats + 1):
        for name, (net, optimizer) in arms.items():
            began = time.process_time()
            _step(net, x, t, eps, optimizer, name == "bfloat16")
            if repeat:  # the first one is the warm-up
                seconds[name].append(time.process_time() - began)
    base = statistics.median(seconds["diffusers"])
    return [
        {
            "network": name,
            "parameters": count_parameters(nets[name]),
            "seconds": statistics.median(spent),
            "ratio": statistics.median(spent) / base,
        }
        for name, spent in seconds.items()
    ]


def compare(quick=False):
    """Rows of the page: the book's network beside the one that is written by hand.

    Parameters
    ----------
    quick : bool
        The smallest case, two repetitions.

    Returns
    -------
    list of Compared
    """
    table = []
    for size, image_size, batch in CASES[:1] if quick else CASES:
        repeats = 2 if quick else 5 if size == "paper" else 30
        base, hand = measure(size, image_size, batch, repeats, WAYS[:2])
        table.append(
            Compared(
                "A training step of the U-Net",
                f"{size} size, {base['parameters']} parameters, {batch} images of {image_size}"
                f" x {image_size}",
                "diffusers, as the book configures it",
                "written by hand in torch",
                base["seconds"],
                hand["seconds"],
                unit="CPU s",
            )
        )
    return table


def main(arguments=None):
    """Print the table, and keep it if asked to."""
    quick, keep = quick_or_keep(__doc__, "the smallest case, two repetitions", arguments)
    began, rows = time.perf_counter(), []
    print("| size | image | batch | network | parameters | ms a step | times diffusers |")
    print("|:--|--:|--:|:--|--:|--:|--:|")
    cases = CASES[:1] if quick else CASES
    for size, image_size, batch in tqdm(cases, desc="cases"):
        repeats = 2 if quick else 5 if size == "paper" else 30
        ways = WAYS[:2] if quick else WAYS  # compiling takes half a minute
        for row in measure(size, image_size, batch, repeats, ways):
            rows.append((row["seconds"], row["parameters"]))
            print(
                f"| {size} | {image_size} | {batch} | {row['network']} | {row['parameters']} "
                f"| {1000 * row['seconds']:.0f} | {row['ratio']:.2f} |"
            )
    if keep:
        seconds, parameters = torch.tensor(rows, dtype=torch.float64).unbind(1)
        shape = len(CASES), len(WAYS)
        arrays = {"seconds": seconds.reshape(shape), "parameters": parameters.long().reshape(shape)}
        about = {"cases": CASES, "ways": WAYS, "seconds": "CPU time, median of 30; paper 5"}
        keep_table("06-unet-transition/speed", arrays, "unet", about, began, ("diffusers",))


if __name__ == "__main__":
    main()
