r"""Many simulations of the linear model: reproducible, in batches, on any joblib backend.

One simulation draws a training set, fits, and evaluates closed forms. Simulation k of a setting
draws from its own stream, which the seed, d, n and k determine (``numpy.random.SeedSequence``), so
results depend neither on the order nor on the number of workers nor on the backend; settings that
differ in something else, such as N or the kernels, see the same training sets.

**The original set** is one of

- ``"fixed"``: N points, drawn once from the seed for all simulations and all n;
- ``"fresh"``: N points of its own for every simulation;
- ``"expected"``: no set; :math:`\Delta` is replaced by its expectation over the original set.

**The training set** is ``"independent"`` of the original set, so that n may exceed N, or a random
``"subset"`` of it. P2 does not say; the chapter uses independent sets unless it says otherwise.

**Backends.** :func:`sweep` runs its blocks through :class:`joblib.Parallel`. In the context of
``joblib.parallel_config(backend=..., n_jobs=...)`` they go to that backend, for instance to a
Dask cluster:

.. code-block:: python

    import joblib
    from dask.distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster, Client(cluster):
        with joblib.parallel_config(backend="dask"):
            results = sweep(settings, 200, seed=0, n_jobs=None)
"""

import functools
import math
from dataclasses import dataclass

import joblib
import numpy as np
import torch
from tqdm.auto import tqdm

from memnb.validation import check_choice, check_integer, check_real

from .criterion import log_delta, log_delta_expected, log_pairs
from .divergences import hellinger, kl_divergence, log_affinity
from .kernels import KERNELS, kernel_width
from .model import LinearModel

__all__ = ["Setting", "crossing", "draw_originals", "draw_training", "simulate", "summary", "sweep"]

ORIGINALS = ("fixed", "fresh", "expected")
TRAINING = ("independent", "subset")
NUMBERS = 400_000  # in the training sets of one block
SIMULATIONS = 25  # in one block


@dataclass(frozen=True)
class Setting:
    r"""One point of a sweep.

    Parameters
    ----------
    n, dim, n_originals : int
        Numbers n of training points and N of original points, both at least 2, and dimension d.
    T, lam, sigma : float
        See :class:`memnb.linear.LinearModel`.
    originals : {"fixed", "fresh", "expected"}
    training : {"independent", "subset"}
        ``"subset"`` needs n <= N and an original set.
    kernel : str
        See :func:`memnb.linear.kernel_width`.
    factor : float
        Factor of both kernel widths.
    printed : bool
        Evaluate :math:`\Delta` also with the transposed covariance that P2 prints.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of its range; the message names it.
    """

    n: int
    dim: int
    n_originals: int = 10_000
    T: float = 2.0
    lam: float = math.exp(-4)
    sigma: float = 1.0
    originals: str = "fixed"
    training: str = "independent"
    kernel: str = "leading"
    factor: float = 1.0
    printed: bool = False

    def __post_init__(self):
        check_integer("n", self.n, 2)
        check_integer("n_originals", self.n_originals, 2)
        check_choice("originals", self.originals, ORIGINALS)
        check_choice("training", self.training, TRAINING)
        check_choice("kernel", self.kernel, KERNELS)
        check_real("factor", self.factor, 0, math.inf, open_low=True, open_high=True)
        if self.training == "subset" and self.originals == "expected":
            raise ValueError("training must be 'independent' if originals is 'expected'")
        if self.training == "subset" and self.n > self.n_originals:
            raise ValueError(
                f"n must be at most n_originals = {self.n_originals} if training is a subset, "
                f"got {self.n}"
            )
        _ = self.model  # checks the rest

    @property
    def model(self) -> LinearModel:
        """The model of this setting."""
        return LinearModel(self.dim, self.T, self.lam, self.sigma)


def _random(seed, *key):
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _normal(generator, *shape):
    return torch.from_numpy(generator.standard_normal(shape))


def _fresh_originals(seed, dim, n_originals, simulation):
    return _normal(_random(seed, 2, dim, n_originals, simulation), n_originals, dim)


@functools.lru_cache(maxsize=4)
def _fixed_originals(seed, dim, n_originals):
    return _normal(_random(seed, 1, dim, n_originals), n_originals, dim)


@functools.lru_cache(maxsize=4096)
def _pairs_of_originals(seed, dim, n_originals, width, simulation):
    """Pair term of an original set of unit variance; it is the same for all n."""
    if simulation is None:
        return log_pairs(_fixed_originals(seed, dim, n_originals), width)
    return log_pairs(_fresh_originals(seed, dim, n_originals, simulation), width)


def _pairs(setting, seed, simulation=None):
    """Pair term of the original set: the fixed one, or that of a simulation."""
    N, d, sigma = setting.n_originals, setting.dim, setting.sigma
    width = kernel_width(setting.kernel, N, d, sigma, setting.factor) / sigma
    return _pairs_of_originals(seed, d, N, width, simulation) - d * math.log(sigma)


def draw_originals(setting, seed, simulation=0):
    """Original set of a simulation, as deviations from the mean, or None if only expected.

    Parameters
    ----------
    setting : Setting
    seed : int
    simulation : int
        Number of the simulation; it matters for fresh sets only.

    Returns
    -------
    Tensor of float64, shape (N, d), or None
    """
    N, d = setting.n_originals, setting.dim
    if setting.originals == "expected":
        return None
    if setting.originals == "fixed":
        return setting.sigma * _fixed_originals(seed, d, N)
    return setting.sigma * _fresh_originals(seed, d, N, simulation)


def draw_training(setting, seed, simulation, originals=None):
    """Training points and inputs of a simulation, as deviations from their means.

    Parameters
    ----------
    setting : Setting
    seed, simulation : int
    originals : Tensor, shape (N, d), optional
        Needed if the training set is a subset of it.

    Returns
    -------
    tuple of two Tensor of float64, shape (n, d)
    """
    generator = _random(seed, 0, setting.dim, setting.n, simulation)
    y = setting.sigma * _normal(generator, setting.n, setting.dim)
    z = _normal(generator, setting.n, setting.dim)
    if setting.training == "subset":
        index = generator.choice(setting.n_originals, setting.n, replace=False)
        y = originals[np.sort(index)]
    return y, setting.model.noised(y, z)


def _block(setting, seed, first, count, pairs):
    """Simulations first, ..., first + count - 1 of a setting."""
    numbers = range(first, first + count)
    fixed = draw_originals(setting, seed) if setting.originals == "fixed" else None
    fresh = setting.originals == "fresh"
    sets = [draw_originals(setting, seed, k) if fresh else fixed for k in numbers]
    drawn = [
        draw_training(setting, seed, k, original) for k, original in zip(numbers, sets, strict=True)
    ]
    y, x = (torch.stack(part) for part in zip(*drawn, strict=True))
    generated = setting.model.fit(y, x)
    found = {
        "log_affinity": log_affinity(generated, setting.sigma),
        "hellinger": hellinger(generated, setting.sigma),
        "kl_from": kl_divergence(generated, setting.sigma, "from_generated"),
        "kl_to": kl_divergence(generated, setting.sigma, "to_generated"),
    }
    common = {"sigma": setting.sigma, "kernel": setting.kernel, "factor": setting.factor}
    width = kernel_width(setting.kernel, setting.n, setting.dim, setting.sigma, setting.factor)
    common["pairs_of_training"] = log_pairs(y, width)
    which = {"": generated}
    if setting.printed:
        which["_printed"] = generated.printed()
    if fresh:
        pairs = torch.stack([_pairs(setting, seed, k) for k in numbers])
    for suffix, gaussian in which.items():
        deltas = {}
        if setting.training == "independent":
            deltas["_expected"] = log_delta_expected(y, setting.n_originals, gaussian, **common)
        if setting.originals == "expected":
            deltas[""] = deltas.pop("_expected")
        elif setting.training == "subset" and setting.n == setting.n_originals:
            deltas[""] = y.new_zeros(count), y.new_full((count,), -math.inf)  # the same set twice
        else:
            originals = torch.stack(sets) if fresh else fixed
            deltas[""] = log_delta(y, originals, gaussian, pairs_of_originals=pairs, **common)
        for kind, (signs, logs) in deltas.items():
            found |= {f"sign{kind}{suffix}": signs, f"log_abs{kind}{suffix}": logs}
    return found


def _blocks(setting, n_simulations, first=0):
    """Split into blocks by sizes alone, so that every backend computes the same blocks."""
    points = setting.n + (setting.n_originals if setting.originals == "fresh" else 0)
    size = max(1, min(SIMULATIONS, NUMBERS // (points * setting.dim)))
    last = first + n_simulations
    return [(begin, min(size, last - begin)) for begin in range(first, last, size)]


def _joined(parts):
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def simulate(setting, n_simulations, seed=0, first=0):
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
    dict of Tensor of float64, shape (n_simulations,)
        ``log_affinity``, ``hellinger`` (:math:`H^2`), ``kl_from``
        (:math:`\mathrm{KL}(\rho_G \Vert \rho)`), ``kl_to``, and ``sign`` and ``log_abs`` of
        :math:`\Delta`. If there is an original set, independent of the training set, also
        ``sign_expected`` and ``log_abs_expected`` of its expectation; if the setting asks for it,
        all of these again with ``_printed`` at the end. The divergences do not need that: they
        hold for the right covariance.

    Examples
    --------
    >>> found = simulate(Setting(n=8, dim=16, n_originals=100), 5)
    >>> found["hellinger"].tolist(), found["sign"].tolist()
    ([1.0, 1.0, 1.0, 1.0, 1.0], [-1.0, -1.0, -1.0, -1.0, -1.0])
    """
    check_integer("n_simulations", n_simulations, 1)
    check_integer("seed", seed, 0)
    check_integer("first", first, 0)
    pairs = _pairs(setting, seed) if setting.originals == "fixed" else None
    blocks = _blocks(setting, n_simulations, first)
    return _joined([_block(setting, seed, *block, pairs) for block in blocks])


def sweep(settings, n_simulations, seed=0, n_jobs=1, progress=True):
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

    Returns
    -------
    list of dict
        For each setting what :func:`simulate` returns, whatever the backend (up to the last digits,
        in which linear algebra libraries depend on where an array lies in memory).
    """
    check_integer("n_simulations", n_simulations, 1)
    check_integer("seed", seed, 0)
    settings = list(settings)
    pairs = [_pairs(s, seed) if s.originals == "fixed" else None for s in settings]
    blocks = [_blocks(setting, n_simulations) for setting in settings]
    tasks = [
        joblib.delayed(_block)(setting, seed, *block, known)
        for setting, known, parts in zip(settings, pairs, blocks, strict=True)
        for block in parts
    ]
    running = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(tasks)
    bar = tqdm(running, total=len(tasks), desc="simulations", unit="block", disable=not progress)
    found = iter(list(bar))
    return [_joined([next(found) for _ in parts]) for parts in blocks]


def summary(found, kind=""):
    r"""Means and standard errors over simulations.

    Parameters
    ----------
    found : dict
        What :func:`simulate` returns.
    kind : {"", "_expected", "_printed", "_expected_printed"}
        Which of its signs to count.

    Returns
    -------
    dict of (float, float)
        ``hellinger``: mean of :math:`H^2` and its standard error. ``generalizing``:
        :math:`P(\Delta > 0)` with the half-width of the one-sigma Wilson interval.
    """
    h2 = found["hellinger"]
    count = len(h2)
    spread = h2.std().item() / math.sqrt(count) if count > 1 else math.nan
    p = (found[f"sign{kind}"] > 0).double().mean().item()
    wilson = math.sqrt(p * (1 - p) / count + 0.25 / count**2) / (1 + 1 / count)
    return {"hellinger": (h2.mean().item(), spread), "generalizing": (p, wilson)}


def crossing(x, values, level, errors=None):
    r"""Where a curve first crosses a level, by linear interpolation in log x.

    Parameters
    ----------
    x : sequence of float
        Positive, increasing.
    values : sequence of float
        The curve.
    level : float
        The level; the curve crosses it when it is on the other side than its first value.
    errors : sequence of float, optional
        Standard errors of ``values``.

    Returns
    -------
    tuple of float
        The crossing and its standard error, from the errors of the two values around it; (nan,
        nan) if there is none.

    Examples
    --------
    >>> round(crossing([1, 10, 100], [0.0, 0.0, 1.0], 0.5)[0], 3)
    31.623
    """
    first = values[0] - level
    for k in range(1, len(x)):
        a, b = values[k - 1] - level, values[k] - level
        if b * first <= 0 and b != first:
            step = math.log(x[k] / x[k - 1])
            share = a / (a - b)
            at = math.exp(math.log(x[k - 1]) + share * step)
            if errors is None:
                return at, math.nan
            error = math.hypot((1 - share) * errors[k - 1], share * errors[k])
            return at, at * step * error / abs(b - a)
    return math.nan, math.nan
