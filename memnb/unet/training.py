r"""Chapter 6: training of a diffusion model, which can be stopped at any time and resumed.

The loss is that of Ho et al., :math:`\mathbb{E} \lVert \varepsilon - \varepsilon_\theta(x_t, t)
\rVert^2` per pixel, with :math:`t` uniform on 1 to T. All random numbers come from one generator on
the CPU, and no device rounds more than it is told to
(:func:`~memnb.unet.network.full_precision`), so that a run is the same on every device up to
rounding and the same when it was stopped and resumed, and in float32 the same each time on one
device.

References
----------
Ho et al., *Denoising Diffusion Probabilistic Models*, NeurIPS 2020, arXiv:2006.11239.
"""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from memnb.results import replacing
from memnb.streams import stream
from memnb.validation import check_choice, check_device, check_integer, check_real

from .diffusion import SCHEDULES, make_schedule
from .images import ImagesLike, check_images
from .network import SIZES, UNet, full_precision

__all__ = ["PRECISIONS", "TrainingConfig", "train"]

PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class TrainingConfig:
    r"""How a network is trained.

    Parameters
    ----------
    size : {"small", "paper"}
        Size of the :class:`~memnb.unet.network.UNet`.
    schedule : {"cosine", "linear", "paper"}
        Noise schedule, see :func:`~memnb.unet.diffusion.make_schedule`.
    diffusion_steps : int, optional
        Its T.
    steps : int, optional
        Number of gradient steps on batches drawn with replacement. Either this or ``epochs``.
    epochs : int, optional
        Number of passes through the training set, each in a new order.
    batch_size : int
        Images in a batch. An epoch's last batch may be smaller.
    lr : float
        Learning rate of Adam.
    lr_decay : bool
        Let the learning rate fall to 0 along half a cosine.
    ema : float, optional
        Decay in (0, 1) of an exponential moving average of the weights, which is then what the
        training returns. It warms up as :math:`(1 + k) / (10 + k)` in step k.
    seed : int
        Seed of the weights and of all draws, which have streams of their own.
    precision : {"float32", "bfloat16", "float16"}
        Of the network's matrix products (autocast); float16 needs CUDA and scales its gradients. On
        a CPU with bfloat16 units a step of the ``"paper"`` size takes about 0.6 of the time in
        bfloat16, and one of the ``"small"`` size up to half as much again; ``python -m
        benchmarks.unet`` measures it.
    compile : bool
        Run the network through ``torch.compile``. On a CPU that saves a tenth or two of a step of
        the ``"small"`` size and a twentieth of the ``"paper"`` size, and costs half a minute and
        more at the start.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"cuda:0"`` and so on; nothing chooses it for you.

    Raises
    ------
    TypeError, ValueError
        If a value is no number where one is asked for, or outside its range, or if not exactly one
        of ``steps`` and ``epochs`` is given.
    """

    size: str = "small"
    schedule: str = "cosine"
    diffusion_steps: int | None = None
    steps: int | None = None
    epochs: int | None = None
    batch_size: int = 32
    lr: float = 2e-3
    lr_decay: bool = True
    ema: float | None = None
    seed: int = 0
    precision: str = "float32"
    compile: bool = False
    device: str = "cpu"

    def __post_init__(self):
        check_choice("size", self.size, tuple(SIZES))
        check_choice("schedule", self.schedule, SCHEDULES)
        make_schedule(self.schedule, self.diffusion_steps)
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(
                f"give either steps or epochs, got steps={self.steps}, epochs={self.epochs}"
            )
        name = "steps" if self.epochs is None else "epochs"
        check_integer(name, getattr(self, name), 1)
        check_integer("batch_size", self.batch_size, 1)
        check_real("lr", self.lr, 0, 1, open_low=True)
        if self.ema is not None:
            check_real("ema", self.ema, 0, 1, open_low=True, open_high=True)
        check_integer("seed", self.seed, 0)
        check_choice("precision", self.precision, PRECISIONS)
        check_device("device", self.device)
        if self.precision == "float16" and self.device == "cpu":
            raise ValueError("precision 'float16' needs a CUDA device; use 'bfloat16' on the CPU")

    def total_steps(self, n_images: int) -> int:
        """Number of gradient steps for n training images."""
        return self.steps or self.epochs * math.ceil(n_images / self.batch_size)


class _Run:
    """Everything that changes while a network is trained."""

    def __init__(self, config: TrainingConfig, images: ImagesLike):
        self.config, self.device = config, torch.device(config.device)
        images = check_images("images", images)
        self.x = (2 * images - 1).float().to(self.device)
        self.schedule = make_schedule(config.schedule, config.diffusion_steps)
        self.net = UNet(config.size, images.shape[-1], config.seed)
        self.net = self.net.to(self.device)
        self.average = None
        if config.ema is not None:
            self.average = [p.detach().clone() for p in self.net.parameters()]
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=config.lr, fused=True)
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=config.precision == "float16"
        )  # fmt: skip
        self.generator = stream(config.seed, "batches")
        self.order = torch.arange(len(images))
        self.step, self.losses = 0, []
        self.total = config.total_steps(len(images))
        self.forward = torch.compile(self.net) if config.compile else self.net

    def batch(self) -> torch.Tensor:
        """Indices of the next batch."""
        size = self.config.batch_size
        if self.config.epochs is None:
            return torch.randint(len(self.x), (size,), generator=self.generator)
        first = self.step * size % (math.ceil(len(self.x) / size) * size)
        if first == 0:
            self.order = torch.randperm(len(self.x), generator=self.generator)
        return self.order[first : first + size]

    @full_precision()
    def advance(self) -> torch.Tensor:
        """One gradient step; returns the loss as a tensor."""
        config = self.config
        if config.lr_decay:
            share = 0.5 * (1 + math.cos(math.pi * self.step / self.total))
            self.optimizer.param_groups[0]["lr"] = config.lr * share
        x = self.x[self.batch().to(self.device)]
        t = torch.randint(1, self.schedule.n_steps + 1, (len(x),), generator=self.generator)
        eps = torch.randn(x.shape, generator=self.generator)
        t, eps = t.to(self.device), eps.to(self.device)
        lower = config.precision != "float32"
        with torch.autocast(self.device.type, getattr(torch, config.precision), enabled=lower):
            guess = self.forward(self.schedule.add_noise(x, t, eps), t)
            loss = (guess.float() - eps).square().mean()
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            decay = min(config.ema, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                torch._foreach_lerp_(self.average, list(self.net.parameters()), 1 - decay)
        self.step += 1
        return loss.detach()

    def fingerprint(self) -> str:
        """Hash of the configuration and the images: what a checkpoint belongs to."""
        content = json.dumps(asdict(self.config) | {"device": None, "compile": None})
        digest = hashlib.sha256(content.encode())
        digest.update(self.x.cpu().numpy().tobytes())
        return digest.hexdigest()

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return {
            "fingerprint": self.fingerprint(),
            "step": self.step,
            "losses": self.losses,
            "net": self.net.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "generator": self.generator.get_state(),
            "order": self.order,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.step, self.losses = state["step"], state["losses"]
        self.net.load_state_dict(state["net"])
        if self.average is not None:
            self.average = [p.detach().to(self.device) for p in state["average"]]
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.generator.set_state(state["generator"].cpu())
        self.order = state["order"].cpu()


def _write(path: Path, state: dict[str, Any]) -> None:
    with replacing(path) as fresh:
        torch.save(state, fresh)


def _clear(path: Path) -> None:
    """Remove what killed writers of this checkpoint left behind."""
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink(missing_ok=True)


def _read(path: Path, run: _Run) -> dict[str, Any]:
    """The state in a checkpoint, if it is one and belongs to this run."""
    try:
        state = torch.load(path, map_location=run.device, weights_only=True)
    except Exception:  # torch names half a dozen, none of which says which file it was
        state = None
    if not isinstance(state, dict) or not set(run.state()) <= set(state):
        raise ValueError(f"{path} is not a checkpoint of a training, or is cut off")
    if state["fingerprint"] != run.fingerprint():
        raise ValueError(f"checkpoint {path.name} belongs to other images or another config")
    return state


def train(
    images: ImagesLike,
    config: TrainingConfig,
    *,
    checkpoint: str | Path | None = None,
    every: int = 500,
    until: int | None = None,
    progress: bool = True,
    on_step: Callable[[int, int], None] | None = None,
) -> tuple[UNet, torch.Tensor]:
    r"""Train a network on images.

    Parameters
    ----------
    images : Tensor or array, shape (n, 1, S, S)
        Training images with values in [0, 1].
    config : TrainingConfig
    checkpoint : path, optional
        Where the state is kept, every ``every`` steps and at the end. If the file exists, training
        goes on from it, to the same result.
    every : int
        See ``checkpoint``.
    until : int, optional
        Stop after this step; with a checkpoint the same training can go on from there. To the last
        step if not given.
    progress : bool
        Show a progress bar.
    on_step : callable, optional
        Called as ``on_step(step, total)`` after every step.

    Returns
    -------
    net : UNet
        In evaluation mode, on the configured device.
    losses : Tensor of float64, shape (K,)
        The mean loss of each of K equal parts of the run, K at most 100. With ``until`` of those
        up to it, the last one as far as it goes.

    Raises
    ------
    TypeError, ValueError
        If the images are not images, ``config`` is no :class:`TrainingConfig`, the folder of the
        checkpoint is not there, or the file is not a checkpoint, or is one of other images or
        another configuration, or ``until`` is not allowed or passed. Nothing is trained then.
    """
    if not isinstance(config, TrainingConfig):
        raise TypeError(f"config must be a TrainingConfig, got {type(config).__name__}")
    every = check_integer("every", every, 1)
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and not path.parent.is_dir():
        raise ValueError(f"checkpoint must be in a folder that is there, got {path}")
    if path is not None and path.is_dir():
        raise ValueError(f"checkpoint must be a file, got the folder {path}")
    run = _Run(config, images)
    last = run.total if until is None else check_integer("until", until, 1, run.total)
    if path is not None and path.is_file():
        run.restore(_read(path, run))
    if run.step > last:
        raise ValueError(f"until must be at least the checkpoint's step {run.step}, got {until}")
    if path is not None:
        _clear(path)
    part = math.ceil(run.total / 100)
    begun = run.step % part if run.step < run.total else 0
    # Where training was stopped within a part, its mean so far is the last loss
    recent = torch.full((), run.losses.pop() * begun if begun else 0.0, device=run.device)
    with tqdm(total=last, initial=run.step, disable=not progress, desc="Training",
              leave=None) as bar:  # fmt: skip
        while run.step < last:
            recent += run.advance()
            if run.step % part == 0 or run.step == run.total:
                run.losses.append(recent.item() / ((run.step - 1) % part + 1))
                recent.zero_()
                bar.set_postfix(loss=f"{run.losses[-1]:.4f}", refresh=False)
            bar.update()
            if on_step is not None:
                on_step(run.step, run.total)
            # Where a part ends, so that no half of its mean has to be kept
            if path is not None and run.step % (every + -every % part) == 0:
                _write(path, run.state())
    if last < run.total and last % part:
        run.losses.append(recent.item() / (last % part))
    if path is not None:
        _write(path, run.state())
    if run.average is not None:
        for p, mean in zip(run.net.parameters(), run.average, strict=True):
            p.data.copy_(mean)
    return run.net.eval(), torch.tensor(run.losses, dtype=torch.float64)
