r"""What happens inside :func:`memnb.shallow.fit`: rounds, multipliers, convergence, checkpoints."""

import json
import math
import os
import pickle
import struct
import time
from pathlib import Path

import torch
from tqdm.auto import tqdm

from memnb.streams import stream

from .networks import NetworkBatch, add_gradients
from .samples import closed_form_cost

__all__ = ["METHODS", "Diverged", "NotConverged", "Trainer", "read_checkpoint"]

METHODS = ("lagrangian", "weight-decay", "adam", "dropout")
WINDOW = 3  # rounds whose mean must agree with that of the rounds before
STEEPEST = 3.0  # mean slope of a closed form up to which its samples are to be interpolated
STATE = {"settings", "weights", "adam", "multipliers", "generator", "history", "seconds"}
LAST_RATE = 0.02  # of the first learning rate, at the end of the cosine


class NotConverged(RuntimeError):
    """The rounds are used up; the message says how far the worst network is from its goal."""


class Diverged(RuntimeError):
    """A residual or a weight is not finite."""


def _penalty(samples, given):
    """Penalty of each network, see the module."""
    if given is not None:
        return torch.full((len(samples.inputs),), given).to(samples.inputs)
    n_points = samples.training_set.n_points
    n_noisy = len(samples.point) / n_points
    least = 6 / (n_points * samples.sigma.square())
    return (least.clamp(min=200) / n_noisy).to(samples.inputs)


def read_checkpoint(path, device="cpu"):
    """The state that :meth:`Trainer.save` wrote, or a ``ValueError`` that names the file."""
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (OSError, EOFError, RuntimeError, struct.error, pickle.UnpicklingError) as error:
        raise ValueError(f"checkpoint {path} cannot be read: {error}") from error
    if not isinstance(state, dict) or set(state) != STATE:
        raise ValueError(f"checkpoint {path} does not hold the state of a fit")
    return state


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
            self.generator = stream(
                settings["seed"], "dropout", settings["width"], device=self.inputs.device
            )
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
        settled, fits = change <= settle_tol, rms[-WINDOW:].amax(dim=0) <= residual_tol
        if not self.on_cost:  # the loss has no floor to settle at
            return settled | fits, change
        return settled & (fits | ~self.interpolates), change

    def run(self, last_round, residual_tol, settle_tol, checkpoint, progress):
        """Rounds until all networks have converged."""
        known = self.closed_form[self.closed_form.isfinite()]
        fitted = self.interpolates if self.interpolates.any() else slice(None)
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
                worst = rms[fitted].max()
                bar.set_postfix_str(
                    f"residual {worst:.1e}, cost {cost.mean():.2f}, closed form {closed}"
                )
                bar.update()
                done, change = self.converged(residual_tol, settle_tol)

    def _why(self, done, change, residual_tol, settle_tol):
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
        state = read_checkpoint(path, self.inputs.device)
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
