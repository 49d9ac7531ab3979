r"""Chapter 4: networks for many noise levels by continuation in sigma.

The minimum-norm problems of neighboring noise levels have neighboring solutions, provided that
their samples are neighbors, too. So the noise is drawn once and scaled,

.. math:: y_{n,m}(\sigma) = x_n + \sigma \varepsilon_{n,m} \quad
          \text{with the same } \varepsilon_{n,m} \text{ at all levels},

one network is trained from random weights at the highest level, and goes from level to level with
its weights, the multipliers :math:`\lambda_{n,m}` and the moments of Adam, for a few rounds at a
small constant learning rate each. A sample keeps its multiplier, for it stays the same sample.

**Downward.** At high noise the penalized problem uses all hidden units; the lower the noise, the
fewer are alive, until about 2 (N - 1) carry the ramps. A dead unit has no gradient and never comes
back. Hence the path leads from high noise to low; upward it would lack the units that the next
level needs. For the same reason dead units are left out of all further steps, which by then cost a
fraction of the first ones.

**Drift.** A few rounds do not bring a network all the way to the solution of its level, so that it
could fall behind. Every k-th level is *refreshed*: further rounds at the same rate, and the
relative change of the objective during them is kept as the drift. Where samples have to be
interpolated, rounds are added until the residual allows it.
"""

import json
import math
import time
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path

import torch
from torch.nn.functional import pad
from tqdm.auto import tqdm

from memnb.results import replacing
from memnb.validation import check_integer, check_real

from ._trainer import NotConverged, Trainer, digest, read_checkpoint
from .methods import AugmentedLagrangian
from .networks import NetworkBatch
from .samples import NoisySamples
from .train import Training

__all__ = ["Continuation", "ContinuedFit", "fit_continued"]

# of the path, in a checkpoint beside the state of the trainer
KEPT = ("settings", "networks", "numbers", "first_seconds", "seconds")


@dataclass(frozen=True)
class Continuation:
    """How a network goes from one noise level to the next.

    Parameters
    ----------
    rounds : int
        Rounds at every level, each of :attr:`memnb.shallow.train.Training.steps` steps.
    learning_rate : float
        Constant rate of Adam.
    extra_rounds : int
        Most further rounds at a level whose residual is still too large.
    refresh_every, refresh_rounds : int
        Every how many levels there are how many further rounds, after which the drift is measured.

    Raises
    ------
    TypeError, ValueError
        If a value is of another type or out of range; the message names it.
    """

    rounds: int = 2
    learning_rate: float = 2e-3
    extra_rounds: int = 60
    refresh_every: int = 10
    refresh_rounds: int = 8

    def __post_init__(self) -> None:
        for name in ("rounds", "refresh_every", "refresh_rounds"):
            check_integer(name, getattr(self, name), 1)
        check_integer("extra_rounds", self.extra_rounds, 0)
        check_real("learning_rate", self.learning_rate, 0, math.inf, open_low=True, open_high=True)


@dataclass(frozen=True, eq=False)
class ContinuedFit:
    """Networks of all levels of a continuation.

    Parameters
    ----------
    networks : NetworkBatch
        The S networks; those with fewer units than the first have zeros in their place.
    residual, cost, closed_form : Tensor, shape (S,)
        As in :class:`memnb.shallow.train.FitResult`.
    interpolates : Tensor of bool, shape (S,)
        Which networks had to fit their samples.
    rounds : Tensor of int64, shape (S,)
        Rounds at each level.
    drift : Tensor, shape (S,)
        Relative change of the objective during the refreshing rounds, the cost where samples are
        interpolated; nan where there were none, and at the first level to be interpolated, whose
        objective is another one than that of the level before.
    units : Tensor of int64, shape (S,)
        Hidden units that were alive when a level was entered.
    seconds : float
        Wall time, over all resumptions.
    """

    networks: NetworkBatch
    residual: torch.Tensor
    cost: torch.Tensor
    closed_form: torch.Tensor
    interpolates: torch.Tensor
    rounds: torch.Tensor
    drift: torch.Tensor
    units: torch.Tensor
    seconds: float


class _Chain:
    """The trainer on its way, and what it has left behind at each level."""

    def __init__(self, samples: NoisySamples, training: Training, how: Continuation) -> None:
        self.samples, self.how, self.training = samples, how, training
        self.trainer = Trainer(samples.at(0), training)
        self.networks: list[list[torch.Tensor]] = []
        self.numbers: list[list[float]] = []
        self.first_seconds = self.seconds = 0.0
        path = {"levels": digest(samples.inputs), "continuation": asdict(how)}
        self.settings = json.dumps(self.trainer.settings | path, sort_keys=True)

    def first(self, checkpoint: Path | None, progress: bool) -> None:
        """Train the network of the first level until it has converged."""
        if checkpoint is not None and checkpoint.exists():
            self.trainer.load(checkpoint)
        self.trainer.run(checkpoint, progress)
        self.first_seconds = self.trainer.seconds
        self.leave(math.nan)

    def leave(self, drift: float) -> None:
        """Note what was reached at this level."""
        trainer = self.trainer
        residual, cost = trainer.history[-1][:, 0].tolist()
        self.networks.append([x.detach().clone() for x in trainer.nets.parameters()])
        self.numbers.append([
            residual, cost, float(trainer.closed_form), float(trainer.interpolates),
            len(trainer.history), drift, trainer.nets.W.shape[1],
        ])  # fmt: skip

    def objective(self) -> float:
        """What the last round has reached: the cost, with the penalty where it remains."""
        residual, cost = self.trainer.history[-1][:, 0].tolist()
        if self.trainer.interpolates:
            return cost
        mu, n = float(self.trainer.mu), self.trainer.targets.numel()
        return mu / 2 * n * residual**2 + self.training.method.on_cost * cost

    def fits(self) -> bool:
        """Whether the samples are interpolated, if they have to be."""
        residual = float(self.trainer.history[-1][0])
        return not self.trainer.interpolates or residual <= self.training.residual_tol

    def level(self, k: int) -> None:
        """Go to level k: a few rounds, some more to refresh, and as many as the samples need."""
        began = time.perf_counter()
        self.trainer.drop_dead()
        self.trainer.move(self.samples.at(k))
        self.rounds(self.how.rounds)
        drift = math.nan
        if k % self.how.refresh_every == 0:
            before = self.objective()
            self.rounds(self.how.refresh_rounds)
            drift = self.objective() / before - 1
        extra = 0
        while not self.fits():
            if extra == self.how.extra_rounds:
                raise NotConverged(
                    f"the residual at level {k}, sigma = {float(self.samples.sigma[k]):.4g}, is "
                    f"{float(self.trainer.history[-1][0]):.1e} after {len(self.trainer.history)} "
                    f"rounds (allowed {self.training.residual_tol:.1e}): raise extra_rounds, or "
                    "take more levels"
                )
            self.rounds(1)
            extra += 1
        self.leave(drift)
        self.seconds += time.perf_counter() - began

    def rounds(self, count: int) -> None:
        """That many rounds at the small rate."""
        for _ in range(count):
            self.trainer.round(self.how.learning_rate)

    def save(self, path: Path) -> None:
        """Write the state, whole or not at all."""
        state = self.trainer.state() | {name: getattr(self, name) for name in KEPT}
        with replacing(path) as fresh:
            torch.save(state, fresh)

    def load(self, path: Path) -> None:
        """Go back to a state."""
        state = read_checkpoint(path, self.samples.inputs.device)
        if state["settings"] != self.settings:
            raise ValueError(f"checkpoint {path.name} belongs to another continuation")
        for name in KEPT:
            setattr(self, name, state[name])
        self.trainer.move(self.samples.at(len(self.networks) - 1))
        self.trainer.restore(state)

    def result(self) -> ContinuedFit:
        """All levels together."""
        width = self.training.width
        parts = []
        for W, A, V in self.networks:
            missing = width - W.shape[1]
            parts.append((pad(W, (0, 0, 0, missing)), pad(A, (0, missing)), V))
        networks = NetworkBatch(*(torch.cat(x) for x in zip(*parts, strict=True)))
        residual, cost, closed_form, interpolates, rounds, drift, units = torch.tensor(
            self.numbers, dtype=torch.float64
        ).unbind(1)
        begins = interpolates.diff(prepend=interpolates[:1]) > 0  # another objective than before
        return ContinuedFit(
            networks=networks,
            residual=residual,
            cost=cost,
            closed_form=closed_form,
            interpolates=interpolates.bool(),
            rounds=rounds.long(),
            drift=drift.masked_fill(begins, math.nan),
            units=units.long(),
            seconds=self.first_seconds + self.seconds,
        )


def fit_continued(
    samples: NoisySamples,
    training: Training,
    how: Continuation,
    *,
    checkpoint: str | PathLike[str] | None = None,
    progress: bool = True,
) -> ContinuedFit:
    r"""Train one network at the first noise level, and go on from level to level.

    Parameters
    ----------
    samples : NoisySamples
        Decreasing levels with shared noise, see :func:`memnb.shallow.samples.draw_samples`.
    training : Training
        Of the first network, by an Augmented Lagrangian, and the tolerance for the residuals of
        all.
    how : Continuation
    checkpoint : path, optional
        File that holds the state after each level; that of the first network lies beside it, with
        ``-first`` in its name. If they exist, the fit goes on from there.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    ContinuedFit

    Raises
    ------
    NotConverged, Diverged
        If the first network does not converge, the samples of a level cannot be fitted, or a
        number is not finite.
    ValueError
        If the levels do not decrease, their noise is not shared, the method is another, or the
        checkpoint belongs to something else.

    Examples
    --------
    >>> from memnb.minnorm.data import orthogonal_set
    >>> from . import draw_samples
    >>> samples = draw_samples(orthogonal_set(2, 1), [0.1, 0.095, 0.09], n_noisy=30, shared=True)
    >>> training = Training(width=64, rounds=40, steps=40)
    >>> done = fit_continued(samples, training, Continuation(), progress=False)
    >>> bool((done.residual < 1e-3).all()), bool((done.cost < 1.02 * done.closed_form).all())
    (True, True)
    """
    _check(samples, training)
    chain = _Chain(samples, training, how)
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.exists():
        chain.load(path)
    else:
        chain.first(None if path is None else path.with_stem(f"{path.stem}-first"), progress)
    levels = len(samples.sigma)
    with tqdm(total=levels, initial=len(chain.networks), unit="level", disable=not progress) as bar:
        for k in range(len(chain.networks), levels):
            chain.level(k)
            if path is not None:
                chain.save(path)
            residual, cost, closed, *_, units = chain.numbers[-1]
            bar.set_postfix_str(
                f"sigma {float(samples.sigma[k]):.3f}, residual {residual:.1e}, cost {cost:.2f}, "
                f"closed form {closed:.2f}, {units} units"
            )
            bar.update()
    return chain.result()


def _check(samples: NoisySamples, training: Training) -> None:
    """What a path needs: decreasing levels, shared noise, and the method of its multipliers."""
    if not isinstance(training.method, AugmentedLagrangian):
        kind = type(training.method).__name__
        raise ValueError(f"method must be AugmentedLagrangian for a continuation, got {kind}")
    sigma = samples.sigma
    if not (sigma.diff() < 0).all():
        raise ValueError(f"sigma must decrease from level to level, got {sigma.tolist()}")
    first, last = (
        (samples.y[s] - samples.targets).double() / float(sigma[s]) for s in (0, len(sigma) - 1)
    )
    if not torch.allclose(first, last, atol=1e-4):
        raise ValueError("samples must share their noise: draw them with shared=True")
