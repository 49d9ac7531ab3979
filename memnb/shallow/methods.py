r"""Chapter 4: what trained denoisers minimize: an Augmented Lagrangian, and three ablations.

**Augmented Lagrangian** (:class:`AugmentedLagrangian`). The minimum-norm problem

.. math:: \min_\theta\; C(\theta) \quad\text{subject to}\quad r_i = h(y_i) - x_i = 0
          \text{ for all samples } i

is solved by minimizing :math:`C + \sum_i (\lambda_i^\top r_i + \tfrac\mu2 \lVert r_i \rVert^2)`
with Adam while, after every round of 50 steps, :math:`\lambda_i \leftarrow \lambda_i + \mu r_i`.
The penalty :math:`\mu` stays constant, and decides the result. The network first solves a strongly
regularized problem and then tightens the fit; a penalty that is large from the start
freezes it at a much more expensive interpolant. One that is too small lets it do without
ramps: a linear h saves about 2 in cost for each ramp and pays about
:math:`\tfrac\mu2 N M \sigma^2`, its units die, and dead units have no gradient. The default,
:math:`\mu = \max(200, 6 / (N \sigma^2)) / M` for unit norms, lies between. Where the samples of two
points overlap or nearly do (high noise), interpolation is out of reach; there the multipliers stay
zero and the network minimizes the penalized problem.

**Ablations** minimize :math:`\tfrac12 \sum_i \lVert r_i \rVert^2 + \lambda C` with Adam:
:class:`WeightDecay` with :math:`\lambda > 0`, :class:`Plain` with :math:`\lambda = 0`, and
:class:`Dropout` with :math:`\lambda = 0` and hidden values dropped. arXiv:2506.19031 gives
:math:`\lambda = 0.25` at M = 500 and not the convention. Here losses are summed over samples, so
that :math:`\lambda` has to grow with M for the same balance, and only what C counts is decayed: not
biases, V and offset, which the option ``weight_decay`` of an optimizer in torch would decay too.

References
----------
Zeno et al., *When Diffusion Models Memorize*, ICML 2025, arXiv:2506.19031, Section 5. Nocedal and
Wright, *Numerical Optimization*, 2nd ed., Section 17.3 (augmented Lagrangian).
"""

import math
from dataclasses import dataclass

import torch

from memnb.validation import check_real

from .samples import NoisySamples

__all__ = ["METHODS", "AugmentedLagrangian", "Dropout", "Method", "Plain", "WeightDecay"]


@dataclass(frozen=True)
class Method:
    r"""What a batch minimizes: a sum over samples plus a multiple of the cost.

    The subclasses are the methods; this one says what the loop asks of them.
    """

    @property
    def on_cost(self) -> float:
        """The multiple of the cost C."""
        return 0.0

    @property
    def dropped(self) -> float:
        """Probability with which a hidden value is dropped."""
        return 0.0

    @property
    def has_multipliers(self) -> bool:
        """Whether every residual has a multiplier."""
        return False

    def penalties(self, samples: NoisySamples) -> torch.Tensor:
        r"""Factor :math:`\mu` of the squared residuals of each network, shape (S,)."""
        return torch.ones(len(samples.inputs)).to(samples.inputs)


@dataclass(frozen=True)
class AugmentedLagrangian(Method):
    r"""Minimize the cost subject to :math:`r_i = 0` for all samples.

    Parameters
    ----------
    penalty : float, optional
        :math:`\mu > 0` of all networks; :math:`\max(200, 6 / (N \sigma^2)) / M` if not given.

    Raises
    ------
    TypeError, ValueError
        If the penalty is not a positive finite number.
    """

    penalty: float | None = None

    def __post_init__(self) -> None:
        if self.penalty is not None:
            check_real("penalty", self.penalty, 0, math.inf, open_low=True, open_high=True)

    @property
    def on_cost(self) -> float:
        """1: what is minimized is C itself."""
        return 1.0

    @property
    def has_multipliers(self) -> bool:
        """Every residual has one."""
        return True

    def penalties(self, samples: NoisySamples) -> torch.Tensor:
        """``penalty``, or if it is not given the default for these samples, shape (S,)."""
        if self.penalty is not None:
            return torch.full((len(samples.inputs),), self.penalty).to(samples.inputs)
        n_points = samples.training_set.n_points
        n_noisy = len(samples.point) / n_points
        least = 6 / (n_points * samples.sigma.square())
        return (least.clamp(min=200) / n_noisy).to(samples.inputs)


@dataclass(frozen=True)
class WeightDecay(Method):
    r"""Minimize :math:`\tfrac12 \sum_i \lVert r_i \rVert^2 + \lambda C`.

    Parameters
    ----------
    strength : float
        :math:`\lambda \ge 0`.

    Raises
    ------
    TypeError, ValueError
        If the strength is not a finite number of at least 0.
    """

    strength: float = 0.25

    def __post_init__(self) -> None:
        check_real("strength", self.strength, 0, math.inf, open_high=True)

    @property
    def on_cost(self) -> float:
        """``strength``."""
        return self.strength


@dataclass(frozen=True)
class Plain(Method):
    r"""Minimize :math:`\tfrac12 \sum_i \lVert r_i \rVert^2` alone."""


@dataclass(frozen=True)
class Dropout(Method):
    """The loss of :class:`Plain`, with hidden values dropped in every step.

    Parameters
    ----------
    p : float
        Probability in (0, 1) with which a hidden value is dropped.

    Raises
    ------
    TypeError, ValueError
        If p is not a number in (0, 1).
    """

    p: float = 0.1

    def __post_init__(self) -> None:
        check_real("p", self.p, 0, 1, open_low=True, open_high=True)

    @property
    def dropped(self) -> float:
        """``p``."""
        return self.p


METHODS: dict[str, type[Method]] = {
    "lagrangian": AugmentedLagrangian,
    "weight-decay": WeightDecay,
    "adam": Plain,
    "dropout": Dropout,
}
