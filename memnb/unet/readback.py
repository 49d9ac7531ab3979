r"""Chapter 6: what the networks of the long runs generated, as the chapter reads it.

The runs themselves are described in :mod:`memnb.unet.runs`, and the metric in
:mod:`memnb.unet.metric`; their arrays are checked by :func:`memnb.results.load`. Nothing here
trains.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from memnb import results
from memnb.stats import crossing, fraction_error
from memnb.validation import check_choice

from .diffusion import DiffusionSchedule, make_schedule
from .images import Digits
from .metric import GENERATORS, MEASURED, N_SIMULATIONS, RULES
from .network import UNet
from .over_time import OverTime
from .runs import CHAPTER, RUNS, SAMPLE_STEPS, OnDigits
from .start import NOISE_SEEDS, PER_SEED, digit_split, start_noise

__all__ = [
    "digit_images",
    "digit_network",
    "digit_sizes",
    "half_point",
    "load",
    "noise",
    "pixel_spread",
    "record",
    "scaled",
    "snapshots",
    "split",
    "time_networks",
    "training_digits",
    "transition",
]


@cache
def load(run: str) -> dict[str, torch.Tensor]:
    """Arrays of a run by name: see :func:`memnb.results.load`."""
    return results.load(f"{CHAPTER}/{run}")[0]


def record(run: str) -> dict[str, Any]:
    """Parameters of a run: what its networks share and, by key, what each took and where."""
    return results.load(f"{CHAPTER}/{run}")[1]["parameters"]


def pixel_spread(run: str, variant: str) -> list[tuple[int, float, float]]:
    """How far the pixels spread that networks on synthetic images made.

    Parameters
    ----------
    run, variant : str
        As for :func:`transition`.

    Returns
    -------
    list of (int, float, float)
        For each n in order: n, the standard deviation of a pixel, and the share of pixels outside
        [0, 1], over all seeds.

    Raises
    ------
    ValueError
        If the run is none that is measured.
    """
    check_choice("run", run, MEASURED)
    arrays, images = load(run), {}
    for network in (network for network in RUNS[run] if network.variant == variant):
        if f"{network.key}-images" in arrays:
            images.setdefault(network.n, []).append(arrays[f"{network.key}-images"].double())
    rows = []
    for n, parts in sorted(images.items()):
        x = torch.cat(parts)
        outside = ((x < 0) | (x > 1)).double().mean().item()
        rows.append((n, x.std().item(), outside))
    return rows


@cache
def digit_sizes(halves: str = "a") -> tuple[int, ...]:
    """The n for which a network was trained on each of these halves, in order."""
    arrays = load("digits")

    def has_all(n: int) -> bool:
        return all(f"{OnDigits(n, half).key}-loss" in arrays for half in halves)

    return tuple(sorted(filter(has_all, {network.n for network in RUNS["digits"]})))


def split() -> Digits:
    """The digits as the kept networks have them: which are trained on, which are held out."""
    return digit_split()


def noise() -> torch.Tensor:
    """The noise from which all networks on digits generated, shape (256, 1, 8, 8)."""
    return start_noise()


@cache
def _training(n: int, half: str) -> torch.Tensor:
    return OnDigits(n, half).images()


def training_digits(n: int, half: str = "a") -> torch.Tensor:
    """The digits that the network of this n and half was trained on, shape (n, 1, 8, 8)."""
    check_choice("n", n, digit_sizes(half))
    return _training(n, half)


@cache
def digit_images(
    n: int, half: str = "a", n_steps: int = 25, noise_seed: int | None = None
) -> torch.Tensor:
    """Digits that a network generated from the same noise as all others, by DDIM.

    Parameters
    ----------
    n : int
        Number of training images, one of :func:`digit_sizes`.
    half : {"a", "b"}
        Which half of the digits it was trained on.
    n_steps : {5, 10, 25, 50}
        Number of DDIM steps.
    noise_seed : {1, 2, 3, 4}, optional
        Only the 64 images from this noise; all 256 if not given.

    Returns
    -------
    Tensor of float32, shape (256 or 64, 1, 8, 8)
        Values in [0, 1], multiples of 1/255.

    Raises
    ------
    ValueError
        If there is no such network, or no such images of it.
    """
    check_choice("half", half, ("a", "b"))
    check_choice("n", n, digit_sizes(half))
    check_choice("n_steps", n_steps, SAMPLE_STEPS)
    x = load("digits")[f"{OnDigits(n, half).key}-ddim{n_steps}"].float() / 255
    if noise_seed is None:
        return x
    k = NOISE_SEEDS.index(check_choice("noise_seed", noise_seed, NOISE_SEEDS))
    return x[k * PER_SEED : (k + 1) * PER_SEED]


def digit_network(n: int) -> tuple[UNet, DiffusionSchedule]:
    """A network on digits with the weights that were kept, in float16, and its schedule.

    Parameters
    ----------
    n : int
        1500; the weights of the others were not kept.

    Returns
    -------
    net : UNet
    schedule : DiffusionSchedule

    Raises
    ------
    ValueError
        If its weights were not kept.
    """
    arrays = load("digits")
    check_choice(
        "n", n, tuple(sorted({w.n for w in RUNS["digits"] if f"{w.key}-weights" in arrays}))
    )
    network = OnDigits(n)
    config = network.config()
    net = UNet(config.size, 8, config.seed)
    flat = arrays[f"{network.key}-weights"].float()
    shapes = {name: value.shape for name, value in net.state_dict().items()}
    parts = flat.split([shape.numel() for shape in shapes.values()])
    net.load_state_dict(
        {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)}
    )
    return net.eval(), make_schedule(config.schedule, config.diffusion_steps)


@cache
def time_networks(variant: str = "time") -> dict[int, tuple[OverTime, ...]]:
    """The networks with snapshots that were kept, by n in order; of one n in the order of seeds.

    Parameters
    ----------
    variant : {"time", "full"}
        Those with batches of 16, or of n.

    Returns
    -------
    dict of int to tuple of OverTime

    Raises
    ------
    ValueError
        If there is no such variant.
    """
    check_choice("variant", variant, ("time", "full"))
    arrays, by_n = load("time"), {}
    for network in sorted(RUNS["time"], key=lambda network: (network.n, network.seed)):
        if network.variant == variant and f"{network.key}-loss" in arrays:
            by_n.setdefault(network.n, []).append(network)
    return {n: tuple(networks) for n, networks in by_n.items()}


def snapshots(network: OverTime) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """What a network generated while it was trained.

    Parameters
    ----------
    network : OverTime
        One of :func:`time_networks`.

    Returns
    -------
    dict of int to (Tensor, Tensor)
        For each step in order: images, float32 of shape (256, 1, 8, 8) with values in [0, 1], and
        the denoising errors on training and on held-out digits.

    Raises
    ------
    KeyError
        If it was not kept.
    """
    arrays = load("time")
    starts = {step: f"{network.key}-step{step}_" for step in network.snapshots}
    return {
        step: (arrays[f"{start}images"].float() / 255, arrays[f"{start}errors"])
        for step, start in starts.items()
    }


def transition(run: str, variant: str, rule: str, generator: str = "network") -> dict[str, Any]:
    r"""Figure 4 of one run: P(Δ > 0) and distances against n, with errors over seeds.

    Parameters
    ----------
    run : str
        One of :data:`memnb.unet.metric.MEASURED`.
    variant : str
        The schedule, ``"cosine"`` or ``"paper"``; for ``"rate"`` the learning rate.
    rule : str
        One of :data:`memnb.unet.metric.RULES`.
    generator : {"network", "perfect", "copier"}
        Whose images.

    Returns
    -------
    dict
        ``n``: list of int; ``seeds``: how many for each n; ``p``, ``e_og``, ``e_tg``, ``delta``:
        pairs of tensors, means over seeds and their standard errors over seeds. With a single seed
        the error of P is that of its draws (Wilson), which is too small: draws from one training
        set and one network are not independent. Those of the distances are then 0. ``each``: the
        same four names to tensors (seeds, n), for the seeds that have every n.

    Raises
    ------
    ValueError
        If a name is unknown, or there is no such network in the results.
    """
    check_choice("run", run, MEASURED)
    check_choice("rule", rule, tuple(RULES))
    check_choice("generator", generator, GENERATORS)
    table, rows = load("metric"), {}
    picked = GENERATORS.index(generator), list(RULES).index(rule)
    for network in (network for network in RUNS[run] if network.variant == variant):
        if f"{run}-{network.key}" in table:
            values = table[f"{run}-{network.key}"][picked]
            rows.setdefault(network.n, {})[network.seed] = values
    sizes = sorted(rows)
    if not sizes:
        raise ValueError(f"run {run!r} and variant {variant!r} has no network in the results")
    curves = {"n": sizes, "seeds": [len(rows[n]) for n in sizes], "each": {}}
    whole = sorted(set.intersection(*(set(row) for row in rows.values())))
    for k, name in enumerate(("p", "e_tg", "e_og", "delta")):
        values = [torch.stack(list(rows[n].values()))[:, k] for n in sizes]
        means = torch.stack([v.mean() for v in values])
        errors = torch.stack([_error(v, name) for v in values])
        curves[name] = (means, errors)
        curves["each"][name] = torch.stack(
            [torch.stack([rows[n][seed][k] for n in sizes]) for seed in whole]
        )
    return curves


def _error(values: torch.Tensor, name: str) -> torch.Tensor:
    if len(values) > 1:
        return values.std() / math.sqrt(len(values))
    if name != "p":
        return torch.zeros_like(values[0])
    return torch.tensor(fraction_error(values.item(), N_SIMULATIONS), dtype=values.dtype)


def scaled(pair: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and errors divided by the first value, that of the smallest n."""
    values, errors = pair
    return values / values[0], errors / values[0]


def half_point(n: Sequence[int], values: torch.Tensor) -> float:
    """Where a curve has gone half of its way from its first to its last value, for the first time.

    Parameters
    ----------
    n : sequence of int, length K
    values : Tensor, shape (K,)

    Returns
    -------
    float
        Between two n by straight lines over log n. NaN if the last value is the first one, so that
        there is no way to go, as for a curve that is flat.

    Examples
    --------
    >>> round(half_point([10, 100, 1000], torch.tensor([0.0, 1.0, 1.0])), 1)
    31.6
    """
    first, last = float(values[0]), float(values[-1])
    return math.nan if first == last else crossing(n, values.tolist(), (first + last) / 2)[0]
