r"""Chapter 4: a batch of shallow ReLU denoisers, trained until it has converged.

What is minimized is in :mod:`memnb.shallow.methods`, the loop in :mod:`memnb.shallow._trainer`.
The same steps taken by the Lagrangian library ``cooper`` end at about the same residual and cost.
They take longer for small networks, and train one network at a time (``benchmarks/cooper.py``);
hence the loop of this package.

A fit ends when it has converged, never because a number of steps is used up: the cost (or the
objective) must have settled and, for the Augmented Lagrangian, the residual must have been below
the tolerance in each of the last three rounds. Without a cost in the objective (:class:`Plain`,
:class:`Dropout`) the loss need not settle, and such a residual is enough. Otherwise
:class:`NotConverged` is raised; numbers that are not finite raise :class:`Diverged` at once.
"""

import math
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import torch

from memnb.validation import check_integer, check_real

from ._trainer import WINDOW, Diverged, NotConverged, Trainer
from .methods import METHODS, AugmentedLagrangian, Method
from .networks import NetworkBatch
from .samples import NoisySamples

__all__ = ["Diverged", "FitResult", "NotConverged", "Training", "fit"]


@dataclass(frozen=True)
class Training:
    r"""How a batch is trained, and when it has converged.

    Parameters
    ----------
    width : int
        Hidden units K. The closed form needs 2 (N - 1); about 17 for each of these are enough.
    method : Method
        :class:`AugmentedLagrangian`, :class:`WeightDecay`, :class:`Plain` or :class:`Dropout`.
    learning_rate : float
        First rate of Adam (betas 0.9 and 0.99), which falls to 2 % along a cosine.
    rounds : int
        Rounds of the cosine.
    extra_rounds : int, optional
        Further rounds at the last rate before giving up; as many as ``rounds`` if not given. Six
        rounds altogether are the least in which a fit can converge.
    steps : int
        Steps in a round.
    residual_tol : float
        Largest residual of a converged Augmented Lagrangian in each of its last three rounds, see
        :attr:`FitResult.residual`.
    settle_tol : float
        Largest relative change of the mean over three rounds against the three before: of the cost,
        or else of the objective.
    seed : int
        Seed of the first weights and of the dropped values, which have streams of their own.

    Raises
    ------
    TypeError, ValueError
        If a value is of another type or out of range; the message names it.
    """

    width: int
    method: Method = field(default_factory=AugmentedLagrangian)
    learning_rate: float = 1e-2
    rounds: int = 60
    extra_rounds: int | None = None
    steps: int = 50
    residual_tol: float = 1e-3
    settle_tol: float = 3e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.method, Method):
            names = ", ".join(kind.__name__ for kind in METHODS.values())
            raise TypeError(f"method must be one of {names}, got {self.method!r}")
        check_integer("width", self.width, 1)
        check_integer("rounds", self.rounds, 1)
        if self.extra_rounds is not None:
            check_integer("extra_rounds", self.extra_rounds, 0)
        check_integer("steps", self.steps, 1)
        check_integer("seed", self.seed, 0)
        for name in ("learning_rate", "residual_tol", "settle_tol"):
            check_real(name, getattr(self, name), 0, math.inf, open_low=True, open_high=True)

    @property
    def last_round(self) -> int:
        """Number of rounds after which a fit gives up."""
        return self.rounds + (self.rounds if self.extra_rounds is None else self.extra_rounds)


@dataclass(frozen=True, eq=False)
class FitResult:
    r"""A batch of trained networks that have all converged.

    Parameters
    ----------
    networks : NetworkBatch
        The S networks, in the dtype of the samples.
    training : Training
        How they were trained.
    residual : Tensor, shape (S,)
        Root mean square of the entries of :math:`h(y_i) - x_i`.
    cost : Tensor, shape (S,)
        Cost of each network.
    closed_form : Tensor, shape (S,)
        Cost of the closed form of the same samples, infinite where there is none.
    interpolates : Tensor of bool, shape (S,)
        Which networks had to fit their samples to the tolerance: those of the Augmented Lagrangian
        whose closed form exists and has a mean slope of at most 3. The others have settled at
        their objective, or fit all the same.
    history : Tensor, shape (rounds, 2, S)
        Residual and cost after each round.
    seconds : float
        Wall time, over all resumptions.
    """

    networks: NetworkBatch
    training: Training
    residual: torch.Tensor
    cost: torch.Tensor
    closed_form: torch.Tensor
    interpolates: torch.Tensor
    history: torch.Tensor
    seconds: float

    @property
    def rounds(self) -> int:
        """Number of rounds until convergence."""
        return len(self.history)


def fit(
    samples: NoisySamples,
    training: Training,
    *,
    checkpoint: str | PathLike[str] | None = None,
    progress: bool = True,
) -> FitResult:
    r"""Train one network for each noise level of the samples, all at once.

    Parameters
    ----------
    samples : NoisySamples
        Training data; their dtype and device are used throughout.
    training : Training
        Width, method, length and tolerances.
    checkpoint : path, optional
        File that holds the state after each round. If it exists the fit goes on from there, as if
        it had never stopped.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    FitResult

    Raises
    ------
    NotConverged
        If a network has not converged after all rounds; the checkpoint, if any, remains.
    Diverged
        If a number is not finite.
    TypeError
        If the samples or the training are something else.
    ValueError
        If the rounds are too few to converge, or the checkpoint belongs to another fit, is none, or
        its folder does not exist.

    Examples
    --------
    >>> from memnb.minnorm.data import orthogonal_set
    >>> from . import draw_samples
    >>> samples = draw_samples(orthogonal_set(2, 1), 0.1, n_noisy=30)
    >>> done = fit(samples, Training(width=64, rounds=40, steps=40), progress=False)
    >>> bool(done.residual < 1e-3), bool(abs(done.cost / done.closed_form - 1) < 0.02)
    (True, True)
    """
    if not isinstance(samples, NoisySamples):
        raise TypeError(f"samples must be NoisySamples, got {type(samples).__name__}")
    if not isinstance(training, Training):
        raise TypeError(f"training must be a Training, got {type(training).__name__}")
    if training.last_round < 2 * WINDOW:
        raise ValueError(
            f"rounds and extra_rounds must add up to at least {2 * WINDOW}, in which a fit can "
            f"converge, got {training.last_round}"
        )
    if checkpoint is not None and not Path(checkpoint).parent.is_dir():
        raise ValueError(f"checkpoint {checkpoint} lies in a folder that does not exist")
    trainer = Trainer(samples, training)
    if checkpoint is not None and Path(checkpoint).exists():
        trainer.load(checkpoint)
    trainer.run(checkpoint, progress)
    residual, cost = trainer.history[-1]
    return FitResult(
        networks=NetworkBatch(*(x.detach().clone() for x in trainer.nets.parameters())),
        training=training,
        residual=residual,
        cost=cost,
        closed_form=trainer.closed_form,
        interpolates=trainer.interpolates,
        history=torch.stack(trainer.history),
        seconds=trainer.seconds,
    )
