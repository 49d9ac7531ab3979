r"""Chapter 5: settings of the linear model, and the random sets that they need.

**The original set** is one of

- ``"fixed"``: N points, drawn once from the seed for all simulations and all n;
- ``"fresh"``: N points of its own for every simulation;
- ``"expected"``: no set; :math:`\Delta` is replaced by its expectation over the original set.

**The training set** is ``"independent"`` of the original set, so that n may exceed N, or a random
``"subset"`` of it. P2 does not say; the chapter uses independent sets unless it says otherwise.

**Streams.** Simulation k of a setting draws from its own stream, which the seed, d, n and k
determine; settings that differ in something else, such as T, N or the kernels, see the same
training sets. The rule is that of :mod:`memnb.streams`, a spawn key that begins with the purpose,

.. math:: \operatorname{SeedSequence}\big(\text{seed},\,
          \text{spawn key} = (\text{purpose}, k_1, k_2, \dots)\big),

but the three purposes are numbered 0, 1, 2 and not hashed: the kept runs were drawn so. No purpose
of :mod:`memnb.streams` used in the book has one of these three numbers as its CRC-32.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch

from memnb.validation import check_choice, check_integer, check_real

from .kernels import KERNELS
from .model import LinearModel

__all__ = ["ORIGINALS", "PURPOSES", "TRAINING", "Setting", "draw_originals", "draw_training"]

ORIGINALS = ("fixed", "fresh", "expected")
TRAINING = ("independent", "subset")
PURPOSES = {"training set": 0, "fixed original set": 1, "fresh original set": 2}


@dataclass(frozen=True)
class Setting:
    r"""One point of a sweep.

    Parameters
    ----------
    n, dim, n_originals : int
        Numbers n of training points and N of original points, both at least 2, and dimension d.
    T, lam, sigma : float
        See :class:`memnb.linear.model.LinearModel`.
    originals : {"fixed", "fresh", "expected"}
        Original set, see the module.
    training : {"independent", "subset"}
        Training set; ``"subset"`` needs n <= N and an original set.
    kernel : str
        See :func:`memnb.linear.kernels.kernel_width`.
    factor : float
        Factor of both kernel widths.
    transposed : bool
        Evaluate :math:`\Delta` also with :math:`\theta_1^\top \theta_1`, the covariance that P2
        prints.

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
    transposed: bool = False

    def __post_init__(self) -> None:
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


def _random(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    key = (PURPOSES[purpose], *numbers)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _normal(generator: np.random.Generator, *shape: int) -> torch.Tensor:
    return torch.from_numpy(generator.standard_normal(shape))


def fresh_originals(seed: int, dim: int, n_originals: int, simulation: int) -> torch.Tensor:
    """Original set of unit variance for one simulation."""
    generator = _random(seed, "fresh original set", dim, n_originals, simulation)
    return _normal(generator, n_originals, dim)


@functools.lru_cache(maxsize=4)
def fixed_originals(seed: int, dim: int, n_originals: int) -> torch.Tensor:
    """Original set of unit variance for all simulations."""
    return _normal(_random(seed, "fixed original set", dim, n_originals), n_originals, dim)


def draw_originals(setting: Setting, seed: int, simulation: int = 0) -> torch.Tensor | None:
    """Original set of a simulation, as deviations from the mean, or None if only expected.

    Parameters
    ----------
    setting : Setting
    seed : int
        Seed of all random numbers.
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
        return setting.sigma * fixed_originals(seed, d, N)
    return setting.sigma * fresh_originals(seed, d, N, simulation)


def draw_training(
    setting: Setting, seed: int, simulation: int, originals: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Training points and inputs of a simulation, as deviations from their means.

    Parameters
    ----------
    setting : Setting
    seed, simulation : int
        Seed of all random numbers, and number of the simulation.
    originals : Tensor, shape (N, d), optional
        Needed if the training set is a subset of it.

    Returns
    -------
    y, x : Tensor of float64, shape (n, d)

    Raises
    ------
    ValueError
        If the training set is a subset and ``originals`` is not given.
    """
    generator = _random(seed, "training set", setting.dim, setting.n, simulation)
    y = setting.sigma * _normal(generator, setting.n, setting.dim)
    z = _normal(generator, setting.n, setting.dim)
    if setting.training == "subset":
        if originals is None:
            raise ValueError("originals must be given if the training set is a subset of it")
        index = generator.choice(setting.n_originals, setting.n, replace=False)
        y = originals[np.sort(index)]
    return y, setting.model.noised(y, z)
