"""Long runs of the chapter on trained networks: what they compute and where it is kept.

``python -m memnb.shallow stability | flows | sweep | decay`` does one run with a progress bar and
keeps it under ``results/04-trained-denoisers/``. A run that is stopped goes on from its checkpoints
when it is started again with the same options.
"""

import math
from dataclasses import dataclass

import torch
from tqdm.auto import tqdm

from memnb.minnorm.data import gaussian_starts, orthogonal_set
from memnb.minnorm.denoisers import RampDenoiser
from memnb.minnorm.endpoints import classify
from memnb.minnorm.flows import score_flow
from memnb.minnorm.grids import log_uniform_grid
from memnb.minnorm.stability import function_distance, subsets, sum_drift

from .flows import TrainedFamily, noise_levels, trained_probability_flow, trained_score_flow
from .networks import NetworkBatch
from .readback import quality, rounded, weights
from .samples import draw_samples, sample_ramps
from .train import fit

__all__ = [
    "LOW",
    "Decay",
    "Flows",
    "Stability",
    "Sweep",
    "endpoints",
    "exact_endpoints",
    "reach",
]

LOW = 0.1  # upper end of the low-noise regime
FAR = 1e4  # a flow that leaves for good is kept up to here


@dataclass(frozen=True)
class Stability:
    """Networks at one noise level, one for each draw of samples, and how far sums drift.

    The defaults are the size of arXiv:2506.19031, Section 5.

    Parameters
    ----------
    N, d, n_noisy, sigma : int, int, int, float
        Training points, dimension, samples M of each point, and their noise level.
    width, n_draws : int
        Hidden units; number of networks.
    rounds, steps, penalty, settle_tol, seed
        See :func:`memnb.shallow.fit`.
    orders, limit : tuple of int, int or None
        Sizes of the sums; how many of each are drawn, or all.
    """

    N: int = 31
    d: int = 30
    n_noisy: int = 500
    sigma: float = 0.05
    width: int = 1024
    n_draws: int = 1
    rounds: int = 60
    steps: int = 100
    penalty: float | None = 1.0
    settle_tol: float = 3e-3
    orders: tuple = (2, 3, 4)
    limit: int | None = None
    seed: int = 0

    def run(self, workdir, device="cpu"):
        """Train, let the sums drift, and return the arrays to keep."""
        data = orthogonal_set(self.N, self.d)
        samples = draw_samples(
            data, [self.sigma] * self.n_draws, self.n_noisy, self.seed, device=device
        )
        done = fit(
            samples,
            self.width,
            penalty=self.penalty,
            rounds=self.rounds,
            steps=self.steps,
            settle_tol=self.settle_tol,
            seed=self.seed,
            checkpoint=workdir / f"stability-{self.N}-{self.n_noisy}-{self.n_draws}.pt",
        )
        nets = rounded(done.networks)
        arrays = {**weights(nets), **quality(nets, samples, done)}
        arrays["history"] = done.history.float()
        points = data.to(dtype=torch.float32, device=device)
        for order in tqdm(self.orders, desc="sums", unit="order"):
            on = subsets(data.n_ramps, order, self.limit, self.seed).to(device)
            drift = [sum_drift(nets.network(s), points, on) for s in range(self.n_draws)]
            arrays[f"drift_{order}"] = torch.stack(drift).half()
        return arrays


@dataclass(frozen=True)
class Flows:
    r"""S networks of one method for each N, and where the starts of both flows end.

    Parameters
    ----------
    method : str
        See :func:`memnb.shallow.fit`; likewise ``rounds`` (for N = 1), ``steps``, tolerances,
        ``seed``.
    d, counts, n_noisy : int, tuple of int, int
        Dimension, values of N, samples M of each point.
    n_levels, sigma_T, sigma_min : int, float, float
        Number S of noise levels and their range, see :mod:`memnb.shallow.flows`.
    sigma_score : float
        Noise level of the network that score flow uses.
    units_per_ramp : int
        Hidden units for each of the N - 1 ramps.
    n_starts, n_steps : int
        Starts from :math:`\mathcal{N}(0, \sigma_T^2 I)`; steps T of the probability flow.
    thin : tuple of int
        Flows are run with every k-th network for these k.
    keep_every : int
        Weights of every k-th network are kept.
    """

    method: str = "lagrangian"
    d: int = 10
    counts: tuple = (3, 5, 8, 11)
    n_noisy: int = 100
    n_levels: int = 30
    sigma_T: float = 1.0
    sigma_min: float = 0.03
    sigma_score: float = 0.05
    units_per_ramp: int = 34  # 17 for each of the two that the optimum has
    rounds: int = 300  # divided by N, at least 60
    steps: int = 50
    residual_tol: float = 1e-3
    settle_tol: float = 3e-3
    n_starts: int = 500
    n_steps: int = 100
    thin: tuple = (1, 3)  # flows with every network, with every third
    keep_every: int = 1  # weights of these networks are kept
    seed: int = 0

    def levels(self):
        """The S noise levels."""
        return noise_levels(self.n_levels, self.sigma_T, self.sigma_min, LOW)

    def samples(self, N, device="cpu"):
        """Training data of the networks for N points."""
        return draw_samples(orthogonal_set(N, self.d), self.levels(), self.n_noisy, self.seed,
                            device=device)  # fmt: skip

    def run(self, workdir, device="cpu"):
        """Train, move the starts, and return the arrays to keep."""
        arrays = {"sigma": self.levels()}
        for N in self.counts:
            rounds = max(60, self.rounds // N)  # small problems need more of their cheap rounds
            samples = self.samples(N, device)
            done = fit(
                samples,
                self.units_per_ramp * (N - 1),
                self.method,
                weight_decay=0.25 * self.n_noisy / 500,  # for each sample as strong as at M = 500
                rounds=rounds,
                steps=self.steps,
                extra_rounds=6 * rounds,
                residual_tol=self.residual_tol,
                settle_tol=self.settle_tol,
                seed=self.seed,
                checkpoint=workdir / f"flows-{self.method}-{self.d}-{self.n_levels}-{N}.pt",
            )
            nets = rounded(done.networks)
            kept = quality(nets, samples, done) | {"interpolates": done.interpolates}
            kept |= weights(nets, self.keep_every)
            for every in self.thin:
                for flow, end in endpoints(nets, self.levels(), self, every).items():
                    # half precision ends at 65504; what has left so far is outside anyway
                    arrays[f"{flow}_{N}_every{every}"] = end.clamp(-FAR, FAR).half()
            arrays |= {f"{name}_{N}": values for name, values in kept.items()}
        return arrays


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
        See :func:`memnb.shallow.fit`.
    """

    N: int = 11
    d: int = 10
    sigma: float = 0.05
    counts: tuple = (25, 100, 200, 500)
    n_draws: int = 3
    width: int = 680
    rounds: int = 60
    steps: int = 50
    seed: int = 0

    def run(self, workdir, device="cpu"):
        """Train for each M; return distances, shares of stable pairs and triples, and costs."""
        data = orthogonal_set(self.N, self.d)
        sums = [subsets(data.n_ramps, order) for order in (2, 3)]
        kept = {"distance": [], "stable": [], "cost": [], "closed_form": [], "residual": []}
        for M in self.counts:
            # the comparison below is in float64 on the CPU, wherever the networks are trained
            samples = draw_samples(data, [self.sigma] * self.n_draws, M, self.seed)
            done = fit(
                draw_samples(data, [self.sigma] * self.n_draws, M, self.seed, device=device),
                self.width,
                rounds=self.rounds,
                steps=self.steps,
                seed=self.seed,
                checkpoint=workdir / f"sweep-{M}.pt",
            )
            nets = done.networks.to(torch.float64, "cpu")
            ramps = sample_ramps(samples)
            gaps = [
                list(function_distance(nets.network(s), ramps[s], data).values())
                for s in range(self.n_draws)
            ]
            stable = [
                [(sum_drift(nets.network(s), data, on)[:, 0] <= 0.2).double().mean() for on in sums]
                for s in range(self.n_draws)
            ]
            kept["distance"].append(torch.tensor(gaps))
            kept["stable"].append(torch.tensor(stable))
            kept["cost"].append(done.cost)
            kept["closed_form"].append(done.closed_form)
            kept["residual"].append(done.residual)
        return {name: torch.stack(values).float() for name, values in kept.items()}


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
        See :func:`memnb.shallow.fit`.
    """

    N: int = 8
    d: int = 10
    n_noisy: int = 500
    sigma: tuple = (0.1, 0.07, 0.05, 0.03)
    decays: tuple = (0.25, 2.5, 25.0, 125.0, 1000.0)
    units_per_ramp: int = 34
    rounds: int = 40
    steps: int = 50
    n_starts: int = 500
    settle_tol: float = 1e-2
    seed: int = 0

    def fit(self, weight_decay, sigma=None, checkpoint=None, device="cpu", progress=True):
        """Train the networks of one strength, at all noise levels or at the first few."""
        samples = draw_samples(
            orthogonal_set(self.N, self.d), sigma or self.sigma, self.n_noisy, self.seed,
            device=device,
        )  # fmt: skip
        return fit(
            samples,
            self.units_per_ramp * (self.N - 1),
            "weight-decay",
            weight_decay=weight_decay,
            rounds=self.rounds,
            extra_rounds=6 * self.rounds,
            steps=self.steps,
            settle_tol=self.settle_tol,
            seed=self.seed,
            checkpoint=checkpoint,
            progress=progress,
        )

    def virtual(self, network):
        """Shares of stable pair sums, and of starts whose score flow ends at a virtual point."""
        data = orthogonal_set(self.N, self.d, dtype=torch.float32).to(device=network.W.device)
        pairs = sum_drift(network, data, subsets(data.n_ramps, 2))[:, 0] <= 0.2
        y = gaussian_starts(self.n_starts, self.d, seed=self.seed, dtype=torch.float32)
        ends = classify(trained_score_flow(y.to(data.points), network), data)
        return torch.tensor([pairs.double().mean(), ends.fractions()["virtual"][0]])

    def run(self, workdir, device="cpu"):
        """Train all; return arrays of shape (strengths, levels), and (strengths, levels, 2)."""
        kept = {"residual": [], "cost": [], "closed_form": [], "virtual": []}
        for strength in self.decays:
            path = workdir / f"decay-{strength}.pt"
            done = self.fit(strength, checkpoint=path, device=device)
            for name in ("residual", "cost", "closed_form"):
                kept[name].append(getattr(done, name))
            found = [self.virtual(done.networks.network(s)) for s in range(len(self.sigma))]
            kept["virtual"].append(torch.stack(found))
        return {name: torch.stack(values).float() for name, values in kept.items()}


def endpoints(networks: NetworkBatch, levels, run: Flows, every=1, starts=slice(None)):
    """Ends of both flows for some starts, and the second flow at low noise: a dict of (n, d)."""
    device = networks.W.device
    y = gaussian_starts(run.n_starts, run.d, run.sigma_T, seed=run.seed, dtype=torch.float32)
    y = y.to(device)[starts]
    family = TrainedFamily.of(networks, levels, every)
    end, paused, _ = trained_probability_flow(
        y, family, run.sigma_T, run.sigma_min, run.n_steps, pause=LOW
    )
    score = trained_score_flow(y, family(run.sigma_score))
    return {"score": score, "probability": end, "paused": paused}


def exact_endpoints(run: Flows, N, paused):
    r"""Ends of the exact flows beside those of trained networks, a dict of tensors (n, d).

    The balls reach as far as the samples do on average, :math:`\rho = \alpha\sigma` with
    :math:`\alpha` measured. Score flow has the same starts. The exact probability flow knows low
    noise only: it takes over where the trained flow enters that regime.

    Parameters
    ----------
    run : Flows
    N : int
        Number of training points.
    paused : Tensor, shape (n, d)
        Where the trained probability flow is when it enters the low-noise regime.
    """
    data = orthogonal_set(N, run.d)
    y = gaussian_starts(run.n_starts, run.d, run.sigma_T, seed=run.seed)
    grid = log_uniform_grid(run.sigma_T, run.sigma_min, run.n_steps)
    level, alpha = float(grid[grid <= LOW][0]), reach(run, N)
    return {
        "score": score_flow(y, RampDenoiser(data, alpha * run.sigma_score), math.inf),
        "probability": RampDenoiser(data, alpha * level)(paused.double()),
    }


def reach(run: Flows, N):
    r"""Mean reach of the samples along the ramps, in units of :math:`\sigma`."""
    samples = run.samples(N)
    reached = [
        torch.cat([ramp.start, 1 - ramp.stop]).mean() / sigma
        for ramp, sigma in zip(sample_ramps(samples), samples.sigma, strict=True)
        if ramp is not None
    ]
    return float(torch.stack(reached).mean())
