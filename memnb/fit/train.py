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
grow with M for the same balance.

The same method from the Lagrangian library ``cooper`` reached the same residual and cost at
d = 10 in about three times the time, for one network at a time; hence the loop below.

A fit ends when it has converged, never because a number of steps is used up: the cost (or the
objective) must have settled and, for the Augmented Lagrangian, the residual must be below the
tolerance. Otherwise :class:`NotConverged` is raised; numbers that are not finite raise
:class:`Diverged` at once.

References
----------
Zeno et al., *When Diffusion Models Memorize*, ICML 2025, arXiv:2506.19031, Section 5. Nocedal and
Wright, *Numerical Optimization*, 2nd ed., Section 17.3 (augmented Lagrangian).
"""

import hashlib
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm.auto import tqdm

from ..validation import check_choice, check_integer, check_real
from .networks import NetworkBatch, add_gradients
from .samples import NoisySamples, closed_form_cost

__all__ = ["METHODS", "Diverged", "FitResult", "NotConverged", "Trainer", "fit"]

METHODS = ("lagrangian", "weight-decay", "adam", "dropout")
WINDOW = 3  # rounds whose mean must agree with that of the rounds before
STEEPEST = 3.0  # mean slope of a closed form up to which its samples are to be interpolated
LAST_RATE = 0.02  # of the first learning rate, at the end of the cosine


class NotConverged(RuntimeError):
    """The rounds are used up; the message says how far the worst network is from its goal."""


class Diverged(RuntimeError):
    """A residual or a weight is not finite."""


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
        Largest residual of a converged Augmented Lagrangian, see :attr:`FitResult.residual`.
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
        If an argument is out of range, or the checkpoint belongs to another fit.

    Examples
    --------
    >>> from memnb.data import orthogonal_set
    >>> from memnb.fit import draw_samples
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
    trainer = Trainer(samples, settings)
    if checkpoint is not None and Path(checkpoint).exists():
        trainer.load(checkpoint)
    return trainer.run(rounds + extra, residual_tol, settle_tol, checkpoint, progress)


def _penalty(samples, given):
    """Penalty of each network, see the module."""
    if given is not None:
        return torch.full((len(samples.inputs),), given).to(samples.inputs)
    n_points = samples.training_set.n_points
    n_noisy = len(samples.point) / n_points
    least = 6 / (n_points * samples.sigma.square())
    return (least.clamp(min=200) / n_noisy).to(samples.inputs)


class Trainer:
    """State of one fit: weights, optimizer, multipliers and history."""

    def __init__(self, samples, settings):
        self.settings, self.inputs, self.targets = settings, samples.inputs, samples.targets
        self.closed_form = closed_form_cost(samples)
        self.n_ramps = samples.training_set.n_ramps
        n_nets = len(samples.inputs)
        self.nets = NetworkBatch.random(
            n_nets,
            settings["width"],
            samples.training_set.dim,
            settings["seed"],
            samples.inputs.dtype,
            samples.inputs.device,
        )
        for tensor in self.nets.parameters():
            tensor.grad = torch.zeros_like(tensor)
        rate = settings["learning_rate"]
        self.adam = torch.optim.Adam(self.nets.parameters(), lr=rate, betas=(0.9, 0.99), fused=True)
        self.residuals = torch.empty(n_nets, *self.targets.shape).to(self.inputs)
        self.method = settings["method"]
        self.multipliers, self.generator = None, None
        self.mu, self.on_cost = torch.ones(n_nets).to(self.inputs), 0.0
        self.dropout = 0.0
        if self.method == "lagrangian":
            self.mu, self.on_cost = _penalty(samples, settings["penalty"]), 1.0
            self.multipliers = torch.zeros_like(self.residuals)
        elif self.method == "weight-decay":
            self.on_cost = settings["weight_decay"]
        elif self.method == "dropout":
            self.dropout = settings["dropout"]
            self.generator = torch.Generator(self.inputs.device).manual_seed(settings["seed"])
        self.history, self.seconds = [], 0.0

    @property
    def interpolates(self):
        """Which networks have to interpolate: those whose closed form is not too steep."""
        if self.method != "lagrangian":
            return torch.zeros(self.nets.n_nets, dtype=torch.bool)
        return self.closed_form <= STEEPEST * 2 * self.n_ramps

    def _gradients(self, dropout):
        W, A, V = self.nets.parameters()
        W.grad.copy_(W).mul_(self.on_cost)
        W.grad[..., -1] = 0  # biases are free
        A.grad.copy_(A).mul_(self.on_cost)
        V.grad.zero_()
        add_gradients(
            self.nets,
            self.inputs,
            self.targets,
            self.multipliers,
            self.mu,
            (W.grad, A.grad, V.grad),
            self.residuals,
            dropout,
            self.generator,
        )

    def round(self):
        """One round of steps, then the multipliers and one line of history."""
        s = self.settings
        total = s["rounds"] * s["steps"]
        for step in range(s["steps"]):
            done = min(1, (len(self.history) * s["steps"] + step) / total)
            fall = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * done)) / 2
            self.adam.param_groups[0]["lr"] = s["learning_rate"] * fall
            self._gradients(self.dropout)
            self._check_finite(f"step {step + 1}")
            self.adam.step()
        self._gradients(0.0)  # residuals of the weights as they are now
        self._check_finite("its end")  # before multipliers and checkpoint take them up
        if self.multipliers is not None:
            ascent = self.mu * self.interpolates.to(self.mu)
            self.multipliers += ascent[:, None, None] * self.residuals
        rms = self.residuals.square().mean(dim=(1, 2)).sqrt()
        self.history.append(torch.stack([rms, self.nets.cost()]).double().cpu())

    def _check_finite(self, where):
        if not math.isfinite(self.residuals.sum()):
            raise Diverged(
                f"a residual is not finite in round {len(self.history) + 1}, {where}: "
                f"try a learning_rate below {self.settings['learning_rate']:g}"
            )

    def converged(self, residual_tol, settle_tol):
        """Which networks have converged, bool (S,), and the relative changes that decide it."""
        if len(self.history) < 2 * WINDOW:
            return torch.zeros(self.nets.n_nets, dtype=torch.bool), None
        last = torch.stack(self.history[-2 * WINDOW :])
        rms, cost = last[:, 0], last[:, 1]
        objective = self.mu.double().cpu() / 2 * self.targets.numel() * rms.square()
        if self.on_cost:
            objective = torch.where(self.interpolates, cost, objective + self.on_cost * cost)
        before, after = objective.view(2, WINDOW, -1).mean(1)
        change = (after / before - 1).abs()
        settled, fits = change <= settle_tol, rms[-1] <= residual_tol
        if not self.on_cost:  # the loss has no floor to settle at
            return settled | fits, change
        return settled & (fits | ~self.interpolates), change

    def run(self, last_round, residual_tol, settle_tol, checkpoint, progress):
        """Rounds until all networks have converged."""
        known = self.closed_form[self.closed_form.isfinite()]
        closed = f"{known.mean():.2f}" if len(known) else "none"
        with tqdm(
            total=last_round, initial=len(self.history), unit="round", disable=not progress
        ) as bar:
            done, change = self.converged(residual_tol, settle_tol)
            while not done.all():
                if len(self.history) >= last_round:
                    raise NotConverged(self._why(done, change, residual_tol, settle_tol))
                began = time.perf_counter()
                self.round()
                self.seconds += time.perf_counter() - began
                if checkpoint is not None:
                    self.save(checkpoint)
                rms, cost = self.history[-1]
                bar.set_postfix_str(
                    f"residual {rms.max():.1e}, cost {cost.mean():.2f}, closed form {closed}"
                )
                bar.update()
                done, change = self.converged(residual_tol, settle_tol)
        rms, cost = self.history[-1]
        networks = NetworkBatch(*(x.detach().clone() for x in self.nets.parameters()))
        return FitResult(
            networks, self.method, rms, cost, self.closed_form, torch.stack(self.history),
            self.seconds,
        )  # fmt: skip

    def _why(self, done, change, residual_tol, settle_tol):
        worst = int((change * ~done).argmax())
        rms, cost = self.history[-1][:, worst]
        return (
            f"{int((~done).sum())} of {len(done)} networks have not converged after "
            f"{len(self.history)} rounds; network {worst}: residual {rms:.1e} (allowed "
            f"{residual_tol:.1e}), cost {cost:.4g} still changing by {change[worst]:.1e} (allowed "
            f"{settle_tol:.1e}). Raise rounds or width, or lower the penalty."
        )

    def _state(self):
        return {
            "settings": json.dumps(self.settings, sort_keys=True),
            "weights": [x.detach() for x in self.nets.parameters()],
            "adam": self.adam.state_dict(),
            "multipliers": self.multipliers,
            "generator": self.generator and self.generator.get_state(),
            "history": self.history,
            "seconds": self.seconds,
        }

    def save(self, path):
        """Write the state, whole or not at all."""
        path = Path(path)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        torch.save(self._state(), fresh)
        os.replace(fresh, path)

    def load(self, path):
        """Go back to a state; one of another fit is refused."""
        state = torch.load(path, map_location=self.inputs.device, weights_only=True)
        theirs, ours = json.loads(state["settings"]), self.settings
        differs = [k for k in ours if theirs.get(k) != ours[k]]
        if differs:
            raise ValueError(
                f"checkpoint {Path(path).name} belongs to a fit with another {', '.join(differs)}"
            )
        for tensor, saved in zip(self.nets.parameters(), state["weights"], strict=True):
            tensor.copy_(saved)
        self.adam.load_state_dict(state["adam"])
        self.multipliers = state["multipliers"]
        if self.generator is not None:
            self.generator.set_state(state["generator"].cpu())
        self.history = [h.cpu() for h in state["history"]]
        self.seconds = state["seconds"]
