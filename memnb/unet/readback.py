"""What the networks of the long runs generated, as the chapter on the U-Net transition reads it.

The runs themselves are described in :mod:`memnb.unet.__main__`; their arrays are checked by
:func:`memnb.results.load`. Nothing here trains.
"""

import math
from functools import cache

import torch

from memnb import results
from memnb.stats import wilson
from memnb.validation import check_choice

from .__main__ import CHAPTER, GENERATORS, MEASURED, N_SIMULATIONS, RULES
from .diffusion import make_schedule
from .images import Digits
from .network import UNet
from .runs import (
    DIGITS,
    NOISE_SEEDS,
    PER_SEED,
    RUNS,
    SAMPLE_STEPS,
    Job,
    config_of,
    split_of,
    start_noise,
)

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
    "split",
    "training_digits",
    "transition",
]


@cache
def load(run):
    """Arrays of a run by name: see :func:`memnb.results.load`."""
    return results.load(f"{CHAPTER}/{run}")[0]


def record(run):
    """Parameters of a run: what its networks share and, by key, what each took and where."""
    return results.load(f"{CHAPTER}/{run}")[1]["parameters"]


def pixel_spread(run, variant):
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
    """
    check_choice("run", run, MEASURED)
    kept, rows = load(run), {}
    for job in (job for job in RUNS[run] if job.variant == variant):
        if f"{job.key}-images" in kept:
            rows.setdefault(job.n, []).append(kept[f"{job.key}-images"].double())
    found = []
    for n, images in sorted(rows.items()):
        x = torch.cat(images)
        outside = ((x < 0) | (x > 1)).double().mean().item()
        found.append((n, x.std().item(), outside))
    return found


@cache
def digit_sizes(halves="a"):
    """The n for which a network was trained on each of these halves, in order."""
    arrays = load("digits")
    sizes = {job.n for job in RUNS["digits"]}

    def there(n):
        return all(f"n{n}-{half}-s0-loss" in arrays for half in halves)

    return tuple(sorted(filter(there, sizes)))


def split() -> Digits:
    """The digits as the kept networks have them: which are trained on, which are held out."""
    return split_of(DIGITS)


def noise() -> torch.Tensor:
    """The noise from which all networks on digits generated, shape (256, 1, 8, 8)."""
    return torch.cat([start_noise(DIGITS, PER_SEED, 8, seed) for seed in NOISE_SEEDS])


@cache
def _subset(n, half):
    return split().subset(n, int(half == "b"))


def training_digits(n, half="a"):
    """The digits that the network of this n and half was trained on, shape (n, 1, 8, 8)."""
    check_choice("n", n, digit_sizes(half))
    return _subset(n, half)


@cache
def digit_images(n, half="a", n_steps=25, noise_seed=None):
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
    x = load("digits")[f"n{n}-{half}-s0-ddim{n_steps}"].float() / 255
    if noise_seed is None:
        return x
    k = NOISE_SEEDS.index(check_choice("noise_seed", noise_seed, NOISE_SEEDS))
    return x[k * PER_SEED : (k + 1) * PER_SEED]


def digit_network(n):
    """A network on digits with the weights that were kept, in float16, and its schedule.

    Parameters
    ----------
    n : int
        1500; the weights of the others were not kept.

    Returns
    -------
    net : UNet
    schedule : DiffusionSchedule
    """
    arrays = load("digits")
    kept = [int(k.split("-")[0][1:]) for k in arrays if k.endswith("-weights")]
    check_choice("n", n, tuple(sorted(kept)))
    config = config_of(Job("digits", n, "a", 0))
    net = UNet(config.size, 8, config.seed)
    flat = arrays[f"n{n}-a-s0-weights"].float()
    names = list(net.state_dict())
    parts = flat.split([net.state_dict()[name].numel() for name in names])
    shapes = [net.state_dict()[name].shape for name in names]
    state = {k: p.reshape(s) for k, p, s in zip(names, parts, shapes, strict=True)}
    net.load_state_dict(state)
    return net.eval(), make_schedule(config.schedule, config.diffusion_steps)


def transition(run, variant, rule, generator="network"):
    r"""Figure 4 of one run: P(Δ > 0) and distances against n, with errors over seeds.

    Parameters
    ----------
    run : str
        One of :data:`memnb.unet.__main__.MEASURED`.
    variant : str
        The schedule, ``"cosine"`` or ``"paper"``; for ``"rate"`` the learning rate.
    rule : str
        One of :data:`memnb.unet.__main__.RULES`.
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
    """
    check_choice("run", run, MEASURED)
    check_choice("rule", rule, tuple(RULES))
    check_choice("generator", generator, GENERATORS)
    table, rows = load("metric"), {}
    for job in (job for job in RUNS[run] if job.variant == variant):
        if f"{run}-{job.key}" in table:
            row = table[f"{run}-{job.key}"]
            picked = row[GENERATORS.index(generator), list(RULES).index(rule)]
            rows.setdefault(job.n, {})[job.seed] = picked
    sizes = sorted(rows)
    if not sizes:
        raise ValueError(f"run {run!r} and variant {variant!r} has no network in the results")
    found = {"n": sizes, "seeds": [len(rows[n]) for n in sizes], "each": {}}
    whole = sorted(set.intersection(*(set(row) for row in rows.values())))
    for k, name in enumerate(("p", "e_tg", "e_og", "delta")):
        values = [torch.stack(list(rows[n].values()))[:, k] for n in sizes]
        means = torch.stack([v.mean() for v in values])
        errors = torch.stack([_error(v, name) for v in values])
        found[name] = (means, errors)
        found["each"][name] = torch.stack(
            [torch.stack([rows[n][seed][k] for n in sizes]) for seed in whole]
        )
    return found


def _error(values, name):
    if len(values) > 1:
        return values.std() / math.sqrt(len(values))
    if name != "p":
        return torch.zeros_like(values[0])
    count = round(values.item() * N_SIMULATIONS)
    return torch.tensor(wilson(count, N_SIMULATIONS)[1], dtype=values.dtype)


def scaled(pair):
    """Values and errors divided by the first value, that of the smallest n."""
    values, errors = pair
    return values / values[0], errors / values[0]


def half_point(n, values):
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
    if values[-1] == values[0]:
        return math.nan
    share = (values - values[0]) / (values[-1] - values[0])
    k = int((share >= 0.5).nonzero()[0])
    low, high = math.log(n[k - 1]), math.log(n[k])
    part = (0.5 - share[k - 1]) / (share[k] - share[k - 1])
    return math.exp(low + float(part) * (high - low))
