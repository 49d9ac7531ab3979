r"""Chapter 5: many simulations of the linear model, reproducible, on any joblib backend.

One simulation draws a training set (:mod:`memnb.linear.draws`), fits, and evaluates closed forms.
Results depend neither on the order nor on the number of workers nor on the backend.

**Backends.** :func:`sweep` runs its blocks through :class:`joblib.Parallel`. In the context of
``joblib.parallel_config(backend=..., n_jobs=...)`` they go to that backend, for instance to a
Dask cluster:

.. code-block:: python

        from dask.distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster, Client(cluster):
        with joblib.parallel_config(backend="dask"):
            results = sweep(settings, 200, seed=0, n_jobs=None)
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch

from memnb.commands import each
from memnb.stats import fraction_error, mean_error
from memnb.validation import check_device, check_integer

from .criterion import log_delta, log_delta_expected, log_distance_expected
from .divergences import hellinger, kl_divergence, log_affinity
from .draws import Setting, draw_originals, draw_training, fixed_originals, fresh_originals
from .kernels import kernel_width
from .overlaps import log_pairs

__all__ = ["Difference", "Simulations", "share_positive", "simulate", "sweep"]

NUMBERS = 400_000  # in the training sets of one block
SIMULATIONS = 25  # in one block


def share_positive(sign: torch.Tensor) -> tuple[float, float]:
    r"""Estimate of :math:`P(\Delta > 0)` from the signs of simulations.

    Parameters
    ----------
    sign : Tensor, shape (n,)
        Signs in {-1, 0, 1}; a zero does not count as positive.

    Returns
    -------
    share, half_width : float
        Half-width of the one-sigma Wilson interval.
    """
    share = (sign > 0).double().mean().item()
    return share, fraction_error(share, sign.numel())


@dataclass(frozen=True)
class Difference:
    r"""The differences :math:`\Delta` of many simulations.

    Parameters
    ----------
    sign, log_abs : Tensor of float64, shape (n_simulations,)
        Signs in {-1, 0, 1}, and logarithms of :math:`\lvert\Delta\rvert`.
    """

    sign: torch.Tensor
    log_abs: torch.Tensor

    def generalizing(self) -> tuple[float, float]:
        r""":math:`P(\Delta > 0)`, and the half-width of its one-sigma Wilson interval."""
        return share_positive(self.sign)


@dataclass(frozen=True)
class Simulations:
    r"""What was computed in many simulations of one setting.

    Parameters
    ----------
    log_affinity, hellinger, kl_from, kl_to : Tensor of float64, shape (n_simulations,)
        Logarithm of the affinity, :math:`H^2`, :math:`\mathrm{KL}(\rho_G \Vert \rho)` and
        :math:`\mathrm{KL}(\rho \Vert \rho_G)`.
    log_distance : Tensor of float64, shape (n_simulations,)
        Logarithm of :math:`E_{OG}` in expectation over the original set, infinite for n <= d.
    delta : Difference
        :math:`\Delta` for the original set of the setting.
    expected : Difference or None
        Its expectation over the original set; None if the training set is a subset of it.
    transposed, transposed_expected : Difference or None
        The same with the covariance :math:`\theta_1^\top \theta_1`, if the setting asks for it. The
        divergences do not need that: the eigenvalues are the same.
    """

    log_affinity: torch.Tensor
    hellinger: torch.Tensor
    kl_from: torch.Tensor
    kl_to: torch.Tensor
    log_distance: torch.Tensor
    delta: Difference
    expected: Difference | None = None
    transposed: Difference | None = None
    transposed_expected: Difference | None = None

    def mean_hellinger(self) -> tuple[float, float]:
        r"""Mean of :math:`H^2` and its standard error."""
        return mean_error(self.hellinger)

    def generalizing(self) -> tuple[float, float]:
        r""":math:`P(\Delta > 0)`, and the half-width of its one-sigma Wilson interval."""
        return self.delta.generalizing()

    def __len__(self) -> int:
        return len(self.hellinger)


def _joined(parts: Sequence[Simulations] | Sequence[Difference]) -> Simulations | Difference:
    """One batch of simulations from several, field by field."""
    first = parts[0]
    values = {}
    for field in fields(first):
        pieces = [getattr(part, field.name) for part in parts]
        if pieces[0] is None:
            values[field.name] = None
        elif isinstance(pieces[0], torch.Tensor):
            values[field.name] = torch.cat(pieces).cpu()
        else:
            values[field.name] = _joined(pieces)
    return type(first)(**values)


@functools.lru_cache(maxsize=4096)
def _pairs_of_originals(seed, dim, n_originals, width, simulation):
    """Pair term of an original set of unit variance; it is the same for all n."""
    if simulation is None:
        return log_pairs(fixed_originals(seed, dim, n_originals), width)
    return log_pairs(fresh_originals(seed, dim, n_originals, simulation), width)


def _pairs(setting, seed, simulation=None):
    """Pair term of the original set: the fixed one, or that of a simulation."""
    N, d, sigma = setting.n_originals, setting.dim, setting.sigma
    width = kernel_width(setting.kernel, N, d, sigma, setting.factor) / sigma
    return _pairs_of_originals(seed, d, N, width, simulation) - d * math.log(sigma)


def _block(setting, seed, first, count, pairs, device="cpu"):
    """Simulations first, ..., first + count - 1 of a setting; drawn on the CPU, so everywhere."""
    numbers = range(first, first + count)
    fixed = draw_originals(setting, seed) if setting.originals == "fixed" else None
    fresh = setting.originals == "fresh"
    sets = [draw_originals(setting, seed, k) if fresh else fixed for k in numbers]
    drawn = [
        draw_training(setting, seed, k, original) for k, original in zip(numbers, sets, strict=True)
    ]
    y, x = (torch.stack(part).to(device) for part in zip(*drawn, strict=True))
    generated = setting.model.fit(y, x)
    common = {"sigma": setting.sigma, "kernel": setting.kernel, "factor": setting.factor}
    width = kernel_width(setting.kernel, setting.n, setting.dim, setting.sigma, setting.factor)
    known = common | {"pairs_of_training": log_pairs(y, width)}
    if fresh:
        pairs = torch.stack([_pairs(setting, seed, k) for k in numbers])
    originals = torch.stack(sets) if fresh else fixed
    if originals is not None:
        originals, pairs = originals.to(device), torch.as_tensor(pairs).to(device)

    def differences(gaussian):
        """Delta for the setting's original set, and in expectation over original sets."""
        expected = None
        if setting.training == "independent":
            expected = log_delta_expected(y, setting.n_originals, gaussian, **known)
            expected = Difference(*expected)
        if setting.originals == "expected":
            return expected, expected
        if setting.training == "subset" and setting.n == setting.n_originals:
            zero = Difference(y.new_zeros(count), y.new_full((count,), -math.inf))
            return zero, None  # the same set twice
        delta = log_delta(y, originals, gaussian, pairs_of_originals=pairs, **known)
        return Difference(*delta), expected

    delta, expected = differences(generated)
    transposed = differences(generated.transposed()) if setting.transposed else (None, None)
    return Simulations(
        log_affinity=log_affinity(generated, setting.sigma),
        hellinger=hellinger(generated, setting.sigma),
        kl_from=kl_divergence(generated, setting.sigma, "from_generated"),
        kl_to=kl_divergence(generated, setting.sigma, "to_generated"),
        log_distance=log_distance_expected(setting.n_originals, generated, **common),
        delta=delta,
        expected=expected,
        transposed=transposed[0],
        transposed_expected=transposed[1],
    )


def _blocks(setting, n_simulations, first=0):
    """Split into blocks by sizes alone, so that every backend computes the same blocks."""
    points = setting.n + (setting.n_originals if setting.originals == "fresh" else 0)
    size = max(1, min(SIMULATIONS, NUMBERS // (points * setting.dim)))
    last = first + n_simulations
    return [(begin, min(size, last - begin)) for begin in range(first, last, size)]


def simulate(setting: Setting, n_simulations: int, seed: int = 0, first: int = 0) -> Simulations:
    r"""Simulate one setting.

    Parameters
    ----------
    setting : Setting
    n_simulations : int
        Number of simulations.
    seed : int
        Seed of all random numbers.
    first : int
        Number of the first simulation: those from 100 on are the same whether or not the ones
        before are simulated too, up to rounding.

    Returns
    -------
    Simulations

    Raises
    ------
    TypeError, ValueError
        If a number is no integer, or out of its range.

    Examples
    --------
    >>> some = simulate(Setting(n=8, dim=16, n_originals=100), 5)
    >>> some.hellinger.tolist(), some.delta.sign.tolist()
    ([1.0, 1.0, 1.0, 1.0, 1.0], [-1.0, -1.0, -1.0, -1.0, -1.0])
    """
    check_integer("n_simulations", n_simulations, 1)
    check_integer("seed", seed, 0)
    check_integer("first", first, 0)
    pairs = _pairs(setting, seed) if setting.originals == "fixed" else None
    blocks = _blocks(setting, n_simulations, first)
    return _joined([_block(setting, seed, *block, pairs) for block in blocks])


def sweep(
    settings: Sequence[Setting],
    n_simulations: int,
    seed: int = 0,
    n_jobs: int | None = 1,
    progress: bool = True,
    device: str = "cpu",
) -> list[Simulations]:
    """Simulate many settings through joblib.

    Parameters
    ----------
    settings : sequence of Setting
    n_simulations : int
        Simulations of each.
    seed : int
        Seed of all random numbers.
    n_jobs : int or None
        Workers; None takes what ``joblib.parallel_config`` says.
    progress : bool
        Show a progress bar.
    device : str
        Where matrices are computed; what is drawn does not depend on it.

    Returns
    -------
    list of Simulations
        For each setting what :func:`simulate` returns, whatever the backend (up to the last digits,
        in which linear algebra libraries depend on where an array lies in memory).

    Raises
    ------
    TypeError, ValueError
        If a number is no integer or out of its range, or there is no such device.
    """
    check_integer("n_simulations", n_simulations, 1)
    check_integer("seed", seed, 0)
    device = check_device("device", device)
    settings = list(settings)
    pairs = [_pairs(s, seed) if s.originals == "fixed" else None for s in settings]
    blocks = [_blocks(setting, n_simulations) for setting in settings]
    tasks = [
        (setting, seed, *block, known, device)
        for setting, known, parts in zip(settings, pairs, blocks, strict=True)
        for block in parts
    ]
    done = iter(each(_block, tasks, n_jobs, "simulations", "block", progress))
    return [_joined([next(done) for _ in parts]) for parts in blocks]
