r"""Chapter 4: the loop of :func:`memnb.shallow.train.fit`, its end, and its checkpoints."""

from __future__ import annotations

import hashlib
import json
import math
import time
import warnings
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm.auto import tqdm

from memnb.results import replacing
from memnb.streams import stream

from .networks import NetworkBatch, add_gradients, living_units
from .samples import NoisySamples, closed_form_cost

if TYPE_CHECKING:
    from .train import Training

__all__ = ["Diverged", "NotConverged", "Trainer", "read_checkpoint"]

WINDOW = 3  # rounds whose mean must agree with that of the rounds before
STEEPEST = 3.0  # mean slope of a closed form up to which its samples are to be interpolated
STATE = {"settings", "weights", "adam", "multipliers", "generator", "history", "seconds"}
LAST_RATE = 0.02  # of the first learning rate, at the end of the cosine


class NotConverged(RuntimeError):
    """The rounds are used up; the message says how far the worst network is from its goal."""


class Diverged(RuntimeError):
    """A residual or a weight is not finite."""


def read_checkpoint(path: str | PathLike[str], device: torch.device | str = "cpu") -> dict:
    """The state that :meth:`Trainer.save` wrote.

    Raises
    ------
    ValueError
        If the file cannot be read or holds something else; one line that names it.
    """
    try:
        with warnings.catch_warnings():  # about foreign files, which are refused anyway
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # whatever foreign bytes lead the reader to
        raise ValueError(
            f"checkpoint {path} cannot be read ({type(error).__name__}): it is no state of a fit"
        ) from error
    whole = isinstance(state, dict) and STATE <= set(state)
    if not whole or not isinstance(state["settings"], str):
        raise ValueError(f"checkpoint {path} does not hold the state of a fit")
    return state


def digest(values: torch.Tensor) -> str:
    """By which other values are noticed."""
    return hashlib.sha256(values.cpu().numpy().tobytes()).hexdigest()


class Trainer:
    """State of one fit: weights, optimizer, multipliers and history.

    Parameters
    ----------
    samples : NoisySamples
    training : Training
    """

    def __init__(self, samples: NoisySamples, training: Training) -> None:
        self.training, self.method = training, training.method
        self.inputs, self.targets = samples.inputs, samples.targets
        self.closed_form = closed_form_cost(samples)
        self.n_ramps = samples.training_set.n_ramps
        n_nets, device = len(samples.inputs), samples.inputs.device
        dim, dtype = samples.training_set.dim, samples.inputs.dtype
        self._take(NetworkBatch.random(n_nets, training.width, dim, training.seed, dtype, device))
        self.residuals = torch.empty(n_nets, *self.targets.shape).to(self.inputs)
        self.mu = self.method.penalties(samples)
        self.multipliers = torch.zeros_like(self.residuals) if self.method.has_multipliers else None
        self.generator = None
        if self.method.dropped:
            self.generator = stream(training.seed, "dropout", training.width, device=device)
        self.history: list[torch.Tensor] = []
        self.seconds = 0.0

    def _take(self, nets: NetworkBatch) -> None:
        """Go on with these networks, with an optimizer that has not seen a gradient yet."""
        self.nets, rate = nets, self.training.learning_rate
        for tensor in nets.parameters():
            tensor.grad = torch.zeros_like(tensor)
        self.adam = torch.optim.Adam(nets.parameters(), lr=rate, betas=(0.9, 0.99), fused=True)

    @property
    def interpolates(self) -> torch.Tensor:
        """Which networks have to interpolate: those whose closed form is not too steep."""
        if self.multipliers is None:
            return torch.zeros(self.nets.n_nets, dtype=torch.bool)
        return self.closed_form <= STEEPEST * 2 * self.n_ramps

    def _gradients(self, dropped: float) -> None:
        W, A, V = self.nets.parameters()
        W.grad.copy_(W).mul_(self.method.on_cost)
        W.grad[..., -1] = 0  # biases are free
        A.grad.copy_(A).mul_(self.method.on_cost)
        V.grad.zero_()
        add_gradients(
            self.nets,
            self.inputs,
            self.targets,
            self.multipliers,
            self.mu,
            (W.grad, A.grad, V.grad),
            self.residuals,
            dropped,
            self.generator,
        )

    def move(self, samples: NoisySamples) -> None:
        """Go on with these samples; weights, moments of Adam and multipliers stay.

        Where the new samples are not to be interpolated the multipliers are zero.
        """
        self.inputs, self.closed_form = samples.inputs, closed_form_cost(samples)
        self.mu = self.method.penalties(samples)
        if self.multipliers is not None:
            self.multipliers *= self.interpolates.to(self.mu)[:, None, None]
        self.history = []

    def drop_dead(self) -> None:
        """Go on without the units that are dead in all networks; they have no gradient."""
        alive = living_units(self.nets)
        if alive.all():
            return
        W, A, V = self.nets.parameters()
        state = self.adam.state_dict()
        for moment in ("exp_avg", "exp_avg_sq"):
            for number, axis in ((0, 1), (1, 2)):  # W and A; V has no units
                values = state["state"][number][moment]
                state["state"][number][moment] = values.index_select(axis, alive.nonzero()[:, 0])
        self._take(NetworkBatch(W[:, alive], A[..., alive], V))
        self.adam.load_state_dict(state)

    def round(self, rate: float | None = None) -> None:
        """One round of steps, then the multipliers and one line of history.

        Parameters
        ----------
        rate : float, optional
            Learning rate of all its steps, instead of the cosine.

        Raises
        ------
        Diverged
            If a residual is not finite.
        """
        steps = self.training.steps
        total = self.training.rounds * steps
        for step in range(steps):
            done = min(1, (len(self.history) * steps + step) / total)
            fall = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * done)) / 2
            cosine = self.training.learning_rate * fall
            self.adam.param_groups[0]["lr"] = cosine if rate is None else rate
            self._gradients(self.method.dropped)
            self._check_finite(f"step {step + 1}")
            self.adam.step()
        self._gradients(0.0)  # residuals of the weights as they are now
        self._check_finite("its end")  # before multipliers and checkpoint take them up
        if self.multipliers is not None:
            ascent = self.mu * self.interpolates.to(self.mu)
            self.multipliers += ascent[:, None, None] * self.residuals
        rms = self.residuals.square().mean(dim=(1, 2)).sqrt()
        self.history.append(torch.stack([rms, self.nets.cost()]).double().cpu())

    def _check_finite(self, where: str) -> None:
        if not math.isfinite(self.residuals.sum()):
            raise Diverged(
                f"a residual is not finite in round {len(self.history) + 1}, {where}: "
                f"try a learning_rate below {self.training.learning_rate:g}"
            )

    def converged(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Which networks have converged, bool (S,), and the relative changes that decide it."""
        if len(self.history) < 2 * WINDOW:
            return torch.zeros(self.nets.n_nets, dtype=torch.bool), None
        last = torch.stack(self.history[-2 * WINDOW :])
        rms, cost = last[:, 0], last[:, 1]
        objective = self.mu.double().cpu() / 2 * self.targets.numel() * rms.square()
        on_cost = self.method.on_cost
        if on_cost:
            objective = torch.where(self.interpolates, cost, objective + on_cost * cost)
        before, after = objective.view(2, WINDOW, -1).mean(1)
        change = (after / before - 1).abs()
        settled = change <= self.training.settle_tol
        fits = rms[-WINDOW:].amax(dim=0) <= self.training.residual_tol
        if not on_cost:  # the loss has no floor to settle at
            return settled | fits, change
        return settled & (fits | ~self.interpolates), change

    def run(self, checkpoint: str | PathLike[str] | None, progress: bool) -> None:
        """Rounds until all networks have converged.

        Raises
        ------
        NotConverged
            If the rounds are used up before.
        Diverged
            If a residual is not finite.
        """
        last_round = self.training.last_round
        known = self.closed_form[self.closed_form.isfinite()]
        fitted = self.interpolates if self.interpolates.any() else slice(None)
        closed = f"{known.mean():.2f}" if len(known) else "none"
        with tqdm(
            total=last_round, initial=len(self.history), unit="round", disable=not progress
        ) as bar:
            done, change = self.converged()
            while not done.all():
                if len(self.history) >= last_round:
                    raise NotConverged(self._why(done, change))
                began = time.perf_counter()
                self.round()
                self.seconds += time.perf_counter() - began
                if checkpoint is not None:
                    self.save(checkpoint)
                rms, cost = self.history[-1]
                worst = rms[fitted].max()
                bar.set_postfix_str(
                    f"residual {worst:.1e}, cost {cost.mean():.2f}, closed form {closed}"
                )
                bar.update()
                done, change = self.converged()

    def _why(self, done: torch.Tensor, change: torch.Tensor) -> str:
        residual_tol, settle_tol = self.training.residual_tol, self.training.settle_tol
        last = torch.stack(self.history[-WINDOW:])[:, 0].amax(dim=0)
        need = torch.maximum(change / settle_tol, last / residual_tol * self.interpolates)
        worst = int((need * ~done).argmax())
        fitted = bool(self.interpolates[worst])
        why = []
        if fitted and last[worst] > residual_tol:
            why.append(
                f"its residual was up to {last[worst]:.1e} in the last {WINDOW} rounds (allowed "
                f"{residual_tol:.1e})"
            )
        if change[worst] > settle_tol:
            why.append(
                f"its {'cost' if fitted else 'objective'} still changes by {change[worst]:.1e} "
                f"(allowed {settle_tol:.1e})"
            )
        return (
            f"{int((~done).sum())} of {len(done)} networks have not converged after "
            f"{len(self.history)} rounds; network {worst}, cost {self.history[-1][1, worst]:.4g}: "
            f"{' and '.join(why)}. Raise extra_rounds, with which a checkpoint goes on, or begin "
            "anew with more rounds, more width or another penalty."
        )

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What a checkpoint must agree with: all that the path of the weights depends on."""
        t = self.training
        return {
            "width": t.width,
            "method": repr(t.method),
            "learning_rate": t.learning_rate,
            "rounds": t.rounds,
            "steps": t.steps,
            "seed": t.seed,
            "samples": digest(self.inputs),
        }

    def state(self) -> dict[str, Any]:
        """All that the fit goes on from."""
        return {
            "settings": json.dumps(self.settings, sort_keys=True),
            "weights": [x.detach() for x in self.nets.parameters()],
            "adam": self.adam.state_dict(),
            "multipliers": self.multipliers,
            "generator": self.generator and self.generator.get_state(),
            "history": self.history,
            "seconds": self.seconds,
        }

    def save(self, path: str | PathLike[str]) -> None:
        """Write the state, whole or not at all."""
        with replacing(path) as fresh:
            torch.save(self.state(), fresh)

    def load(self, path: str | PathLike[str]) -> None:
        """Go back to a state.

        Raises
        ------
        ValueError
            If the file is no checkpoint, or one of another fit.
        """
        state = read_checkpoint(path, self.inputs.device)
        try:
            theirs = dict(json.loads(state["settings"]))
        except (TypeError, ValueError) as error:
            raise ValueError(f"checkpoint {path} does not hold the state of a fit") from error
        ours = self.settings
        differs = [k for k in ours | theirs if theirs.get(k) != ours.get(k)]
        if differs:
            raise ValueError(
                f"checkpoint {Path(path).name} belongs to a fit with another {', '.join(differs)}"
            )
        self.restore(state)

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state that :meth:`state` returned."""
        self._take(NetworkBatch(*state["weights"]))
        self.adam.load_state_dict(state["adam"])
        self.multipliers = state["multipliers"]
        if self.generator is not None:
            self.generator.set_state(state["generator"].cpu())
        self.history = [h.cpu() for h in state["history"]]
        self.seconds = state["seconds"]
