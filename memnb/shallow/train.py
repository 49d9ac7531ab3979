r"""Train a batch of shallow ReLU denoisers: Augmented Lagrangian, weight decay, plain, dropout.

**Augmented Lagrangian** (``"lagrangian"``). The minimum-norm problem

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
``"weight-decay"`` with :math:`\lambda > 0`, ``"adam"`` with :math:`\lambda = 0`, and ``"dropout"``
with :math:`\lambda = 0` and hidden values dropped. arXiv:2506.19031 gives :math:`\lambda = 0.25` at
M = 500 and not the convention. Here losses are summed over samples, so that :math:`\lambda` has to
grow with M for the same balance, and only what C counts is decayed: not biases, V and offset,
which the option ``weight_decay`` of an optimizer in torch would decay as well.

The same steps taken by the Lagrangian library ``cooper`` end at about the same residual and cost.
They take longer for small networks, and train one network at a time (``benchmarks/cooper.py``);
hence the loop in :mod:`memnb.shallow._trainer`.

A fit ends when it has converged, never because a number of steps is used up: the cost (or the
objective) must have settled and, for the Augmented Lagrangian, the residual must have been below
the tolerance in each of the last three rounds. Without a cost in the objective (``"adam"``,
``"dropout"``) the loss need not settle, and such a residual is enough. Otherwise
:class:`NotConverged` is raised; numbers that are not finite raise :class:`Diverged` at once.

References
----------
Zeno et al., *When Diffusion Models Memorize*, ICML 2025, arXiv:2506.19031, Section 5. Nocedal and
Wright, *Numerical Optimization*, 2nd ed., Section 17.3 (augmented Lagrangian).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from memnb.validation import check_choice, check_integer, check_real

from ._trainer import METHODS, WINDOW, Diverged, NotConverged, Trainer
from .networks import NetworkBatch
from .samples import NoisySamples

__all__ = ["METHODS", "Diverged", "FitResult", "NotConverged", "fit"]


@dataclass(frozen=True, eq=False)
class FitResult:
    r"""A batch of trained networks that have all converged.

    Parameters
    ----------
    networks : NetworkBatch
        The S networks, in the dtype of the samples.
    method : str
        One of :data:`METHODS`.
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
    method: str
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
    width,
    method="lagrangian",
    *,
    penalty=None,
    weight_decay=0.25,
    dropout=0.1,
    learning_rate=1e-2,
    rounds=60,
    extra_rounds=None,
    steps=50,
    residual_tol=1e-3,
    settle_tol=3e-3,
    seed=0,
    checkpoint=None,
    progress=True,
):
    r"""Train one network for each noise level of the samples, all at once.

    Parameters
    ----------
    samples : NoisySamples
        Training data; their dtype and device are used throughout.
    width : int
        Hidden units K. The closed form needs 2 (N - 1); about 17 for each of these are enough.
    method : {"lagrangian", "weight-decay", "adam", "dropout"}
        See the module.
    penalty : float, optional
        :math:`\mu > 0` of all networks; :math:`\max(200, 6 / (N \sigma^2)) / M` if not given.
    weight_decay : float
        :math:`\lambda \ge 0` of ``"weight-decay"``.
    dropout : float
        Probability in (0, 1) of ``"dropout"``.
    learning_rate : float
        First rate of Adam (betas 0.9 and 0.99), which falls to 2 % along a cosine.
    rounds : int
        Rounds of the cosine.
    extra_rounds : int, optional
        Further rounds at the last rate before giving up; as many as ``rounds`` if not given.
    steps : int
        Steps in a round.
    residual_tol : float
        Largest residual of a converged Augmented Lagrangian in each of its last three rounds, see
        :attr:`FitResult.residual`.
    settle_tol : float
        Largest relative change of the mean over three rounds against the three before: of the cost,
        or else of the objective.
    seed : int
        Seed of the first weights and of the dropped values.
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
    ValueError
        If an argument is out of range, or the checkpoint belongs to another fit or is none.

    Examples
    --------
    >>> from memnb.minnorm.data import orthogonal_set
    >>> from . import draw_samples
    >>> samples = draw_samples(orthogonal_set(2, 1), 0.1, n_noisy=30)
    >>> done = fit(samples, width=64, rounds=40, steps=40, progress=False)
    >>> bool(done.residual < 1e-3), bool(abs(done.cost / done.closed_form - 1) < 0.02)
    (True, True)
    """
    check_choice("method", method, METHODS)
    check_integer("rounds", rounds, 2 * WINDOW)
    extra = rounds if extra_rounds is None else check_integer("extra_rounds", extra_rounds, 0)
    settings = {
        "width": check_integer("width", width, 1),
        "method": method,
        "penalty": None if penalty is None else check_real("penalty", penalty, 0, open_low=True),
        "weight_decay": check_real("weight_decay", weight_decay, 0),
        "dropout": check_real("dropout", dropout, 0, 1, open_low=True, open_high=True),
        "learning_rate": check_real("learning_rate", learning_rate, 0, open_low=True),
        "rounds": rounds,
        "steps": check_integer("steps", steps, 1),
        "seed": check_integer("seed", seed, 0),
        "samples": hashlib.sha256(samples.inputs.cpu().numpy().tobytes()).hexdigest(),
    }
    residual_tol = check_real("residual_tol", residual_tol, 0, open_low=True)
    settle_tol = check_real("settle_tol", settle_tol, 0, open_low=True)
    if checkpoint is not None and not Path(checkpoint).parent.is_dir():
        raise ValueError(f"checkpoint {checkpoint} lies in a folder that does not exist")
    trainer = Trainer(samples, settings)
    if checkpoint is not None and Path(checkpoint).exists():
        trainer.load(checkpoint)
    trainer.run(rounds + extra, residual_tol, settle_tol, checkpoint, progress)
    residual, cost = trainer.history[-1]
    return FitResult(
        networks=NetworkBatch(*(x.detach().clone() for x in trainer.nets.parameters())),
        method=method,
        residual=residual,
        cost=cost,
        closed_form=trainer.closed_form,
        interpolates=trainer.interpolates,
        history=torch.stack(trainer.history),
        seconds=trainer.seconds,
    )
