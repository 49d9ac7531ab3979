r"""Chapter 4: two runs on what decides a trained network: samples of a point, and weight decay.

They belong to :mod:`memnb.shallow.runs`, which lists all runs.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from memnb.commands import each
from memnb.minnorm.data import gaussian_starts, orthogonal_set
from memnb.minnorm.endpoints import classify
from memnb.minnorm.networks import ReLUNetwork
from memnb.minnorm.stability import function_distance, subsets, sum_drift

from .flows import trained_score_flow
from .methods import WeightDecay
from .samples import draw_samples, sample_ramps
from .train import FitResult, Training, fit

__all__ = ["Decay", "Sweep"]


@dataclass(frozen=True)
class Sweep:
    """How distance to the closed form and stable sums change with the samples of a point.

    Parameters
    ----------
    N, d, sigma : int, int, float
        Training points, dimension, noise level.
    counts, n_draws : tuple of int, int
        Values of M; draws of samples, and so networks, for each.
    width, rounds, steps, seed : int
        See :class:`memnb.shallow.train.Training`.
    """

    N: int = 11
    d: int = 10
    sigma: float = 0.05
    counts: tuple[int, ...] = (25, 100, 200, 500)
    n_draws: int = 8
    width: int = 680
    rounds: int = 60
    steps: int = 50
    seed: int = 0

    def one(
        self, M: int, workdir: Path, device: str = "cpu", progress: bool = True
    ) -> dict[str, torch.Tensor]:
        """Train for one M; return distances, shares of stable pairs and triples, and costs."""
        data, sigma = orthogonal_set(self.N, self.d), [self.sigma] * self.n_draws
        training = Training(self.width, rounds=self.rounds, steps=self.steps, seed=self.seed)
        done = fit(
            draw_samples(data, sigma, M, self.seed, device=device),
            training,
            checkpoint=workdir / f"sweep-{M}.pt",
            progress=progress,
        )
        # the comparison below is in float64 on the CPU, wherever the networks are trained
        nets = done.networks.to(torch.float64, "cpu")
        ramps = sample_ramps(draw_samples(data, sigma, M, self.seed))
        distance, stable = [], []
        for s, ramp in enumerate(ramps):
            net = nets.network(s)
            distance.append(list(function_distance(net, ramp, data).values()))
            drifts = [sum_drift(net, data, subsets(data.n_ramps, order)) for order in (2, 3)]
            stable.append([(drift[:, 0] <= 0.2).double().mean() for drift in drifts])
        return {
            "distance": torch.tensor(distance),
            "stable": torch.tensor(stable),
            "cost": done.cost,
            "closed_form": done.closed_form,
            "residual": done.residual,
        }

    def run(
        self, workdir: Path, device: str = "cpu", jobs: int | None = 1
    ) -> dict[str, torch.Tensor]:
        """Arrays of all M, the first axis; one job for each M."""
        calls = [(M, workdir, device, jobs == 1) for M in self.counts]
        return _stacked(each(self.one, calls, jobs, "sweep", "M"))


@dataclass(frozen=True)
class Decay:
    r"""Weight decay at several strengths and noise levels: what a given lambda means.

    Losses here are sums, :math:`\tfrac12 \sum_i \lVert r_i \rVert^2 + \lambda C`. Where the loss is
    a mean over the samples of a point, or over all samples, the same 0.25 stands for the M-fold or
    the N M-fold here: 125 and 1000 at N = 8 and M = 500.

    Parameters
    ----------
    N, d, n_noisy : int
        Training points, dimension, samples M of each point.
    sigma, decays : tuple of float
        Noise levels, and values of lambda.
    units_per_ramp, n_starts : int
        Hidden units for each of the N - 1 ramps; starts of score flow.
    rounds, steps, settle_tol, seed
        See :class:`memnb.shallow.train.Training`.
    """

    N: int = 8
    d: int = 10
    n_noisy: int = 500
    sigma: tuple[float, ...] = (0.1, 0.07, 0.05, 0.03)
    decays: tuple[float, ...] = (0.25, 2.5, 25.0, 125.0, 1000.0)
    units_per_ramp: int = 34
    rounds: int = 40
    steps: int = 50
    n_starts: int = 500
    settle_tol: float = 1e-2
    seed: int = 0

    def fit(
        self,
        strength: float,
        sigma: tuple[float, ...] | None = None,
        checkpoint: Path | None = None,
        device: str = "cpu",
        progress: bool = True,
    ) -> FitResult:
        """Train the networks of one strength, at all noise levels or at the first few."""
        data = orthogonal_set(self.N, self.d)
        training = Training(
            self.units_per_ramp * (self.N - 1),
            WeightDecay(strength),
            rounds=self.rounds,
            extra_rounds=6 * self.rounds,
            steps=self.steps,
            settle_tol=self.settle_tol,
            seed=self.seed,
        )
        samples = draw_samples(data, sigma or self.sigma, self.n_noisy, self.seed, device=device)
        return fit(samples, training, checkpoint=checkpoint, progress=progress)

    def best_linear(self) -> torch.Tensor:
        r"""Residual of the best linear denoiser over :math:`\sigma` at each level, float64 (S,)."""
        data = orthogonal_set(self.N, self.d)
        samples = draw_samples(data, self.sigma, self.n_noisy, self.seed, dtype=torch.float64)
        residuals = []
        for y, sigma in zip(samples.inputs, self.sigma, strict=True):
            best = y @ torch.linalg.lstsq(y, samples.targets).solution
            residuals.append((best - samples.targets).square().mean().sqrt() / sigma)
        return torch.stack(residuals)

    def virtual(self, network: ReLUNetwork) -> torch.Tensor:
        """Shares of stable pair sums, and of starts whose score flow ends at a virtual point."""
        data = orthogonal_set(self.N, self.d, dtype=torch.float32).to(device=network.W.device)
        pairs = sum_drift(network, data, subsets(data.n_ramps, 2))[:, 0] <= 0.2
        y = gaussian_starts(self.n_starts, self.d, seed=self.seed, dtype=torch.float32)
        ends = classify(trained_score_flow(y.to(data.points), network), data)
        return torch.tensor([pairs.double().mean(), ends.fractions()["virtual"][0]])

    def one(
        self, strength: float, workdir: Path, device: str = "cpu", progress: bool = True
    ) -> dict[str, torch.Tensor]:
        """Train for one strength; return its arrays."""
        path = workdir / f"decay-{strength}.pt"
        done = self.fit(strength, checkpoint=path, device=device, progress=progress)
        shares = [self.virtual(done.networks.network(s)) for s in range(len(self.sigma))]
        return {
            "residual": done.residual,
            "cost": done.cost,
            "closed_form": done.closed_form,
            "virtual": torch.stack(shares),
        }

    def run(
        self, workdir: Path, device: str = "cpu", jobs: int | None = 1
    ) -> dict[str, torch.Tensor]:
        """Arrays of shape (strengths, levels), and (strengths, levels, 2); one job a strength."""
        calls = [(strength, workdir, device, jobs == 1) for strength in self.decays]
        return _stacked(each(self.one, calls, jobs, "decay", "strength"))


def _stacked(parts: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.stack([part[name] for part in parts]).float() for name in parts[0]}
