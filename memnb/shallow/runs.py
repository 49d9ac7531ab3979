r"""Chapter 4: the long runs on trained networks, and what each of them computes.

A run is a frozen dataclass: its fields are all that its arrays depend on, and ``run`` computes
them. :data:`RUNS` has the kept ones by name. ``python -m memnb.shallow`` does a run, and
:mod:`memnb.shallow.readback` reads what was kept.

All draws of a run are streams of its one seed (:mod:`memnb.streams`): samples, weights, dropped
values and starts are independent of one another, and so are samples of different N or M and weights
of different widths. Runs of different methods have samples, first weights and starts in common, so
that they differ by the method alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from tqdm.auto import tqdm

from memnb.commands import each
from memnb.minnorm.data import gaussian_starts, orthogonal_set
from memnb.minnorm.stability import subsets, sum_drift
from memnb.validation import check_choice

from .continuation import Continuation, ContinuedFit, fit_continued
from .flows import LOW, endpoints, noise_levels
from .methods import METHODS, AugmentedLagrangian, Method, WeightDecay
from .networks import NetworkBatch, rounded, weights
from .samples import NoisySamples, draw_samples
from .studies import Decay, Sweep
from .train import FitResult, Training, fit

__all__ = ["CHAPTER", "RUNS", "Continued", "Decay", "Flows", "Stability", "Sweep", "flow_run"]

CHAPTER = "04-trained-denoisers"
FAR = 1e4  # a flow that leaves for good is kept up to here


def _residuals(networks: NetworkBatch, samples: NoisySamples) -> torch.Tensor:
    """Root mean square residuals (S,), one network after the other.

    The hidden units of 150 networks at once take 10 GB for N = 31 in thirty dimensions.
    """
    found = []
    with torch.no_grad():
        for s in range(networks.n_nets):
            one, level = NetworkBatch(*(x[s : s + 1] for x in networks.parameters())), samples.at(s)
            found.append((one(level.y) - level.targets).square().mean().sqrt())
    return torch.stack(found)


def _quality(networks: NetworkBatch, samples: NoisySamples, done: FitResult) -> dict:
    """Residual and cost of rounded networks, and the cost of the closed form."""
    return {
        "residual": _residuals(networks, samples).cpu(),
        "cost": networks.cost().cpu(),
        "closed_form": done.closed_form.float(),
    }


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
        See :class:`memnb.shallow.train.Training` and
        :class:`memnb.shallow.methods.AugmentedLagrangian`.
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
    orders: tuple[int, ...] = (2, 3, 4)
    limit: int | None = None
    seed: int = 0

    def samples(self, device: str = "cpu") -> NoisySamples:
        """Training data of the networks."""
        return draw_samples(
            orthogonal_set(self.N, self.d),
            [self.sigma] * self.n_draws,
            self.n_noisy,
            self.seed,
            device=device,
        )

    def run(
        self, workdir: Path, device: str = "cpu", jobs: int | None = 1
    ) -> dict[str, torch.Tensor]:
        """Train, let the sums drift, and return the arrays to keep.

        The networks are one batch, so that there is nothing for more than one job to do.
        """
        data, samples = orthogonal_set(self.N, self.d), self.samples(device)
        training = Training(
            self.width,
            AugmentedLagrangian(self.penalty),
            rounds=self.rounds,
            steps=self.steps,
            settle_tol=self.settle_tol,
            seed=self.seed,
        )
        done = fit(
            samples,
            training,
            checkpoint=workdir / f"stability-{self.N}-{self.n_noisy}-{self.n_draws}.pt",
        )
        nets = rounded(done.networks)
        arrays = {**weights(nets), **_quality(nets, samples, done)}
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
        A key of :data:`memnb.shallow.methods.METHODS`.
    rounds, steps, residual_tol, settle_tol, seed
        See :class:`memnb.shallow.train.Training`; ``rounds`` is for N = 1.
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

    shared_noise: ClassVar[bool] = False
    method: str = "lagrangian"
    d: int = 10
    counts: tuple[int, ...] = (3, 5, 8, 11)
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
    thin: tuple[int, ...] = (1, 3)  # flows with every network, with every third
    keep_every: int = 1  # weights of these networks are kept
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("method", self.method, tuple(METHODS))

    def levels(self) -> torch.Tensor:
        """The S noise levels."""
        return noise_levels(self.n_levels, self.sigma_T, self.sigma_min, LOW)

    def samples(
        self, N: int, device: str = "cpu", part: slice | Sequence[int] = slice(None)
    ) -> NoisySamples:
        """Training data of the networks for N points, at all levels or a part of them."""
        return draw_samples(
            orthogonal_set(N, self.d),
            self.levels()[part],
            self.n_noisy,
            self.seed,
            device=device,
            shared=self.shared_noise,
        )

    def starts(self) -> torch.Tensor:
        r"""Starts of both flows from :math:`\mathcal{N}(0, \sigma_T^2 I)`, float64 (n, d)."""
        return gaussian_starts(self.n_starts, self.d, self.sigma_T, seed=self.seed)

    def training(self, N: int) -> Training:
        """How the networks for N points are trained."""
        method: Method = METHODS[self.method]()
        if isinstance(method, WeightDecay):
            method = WeightDecay(0.25 * self.n_noisy / 500)  # for each sample as at M = 500
        rounds = max(60, self.rounds // N)  # small problems need more of their cheap rounds
        return Training(
            self.units_per_ramp * (N - 1),
            method,
            rounds=rounds,
            steps=self.steps,
            extra_rounds=6 * rounds,
            residual_tol=self.residual_tol,
            settle_tol=self.settle_tol,
            seed=self.seed,
        )

    def trained(
        self, samples: NoisySamples, N: int, path: Path, progress: bool
    ) -> tuple[FitResult | ContinuedFit, dict[str, torch.Tensor]]:
        """The networks of all levels for N points, and what else is kept of their training."""
        return fit(samples, self.training(N), checkpoint=path, progress=progress), {}

    def one(
        self, N: int, workdir: Path, device: str = "cpu", progress: bool = True
    ) -> dict[str, torch.Tensor]:
        """Train for one N, move the starts, and return its arrays."""
        samples = self.samples(N, device)
        path = workdir / f"flows-{self.method}-{self.d}-{self.n_levels}-{N}.pt"
        done, told = self.trained(samples, N, path, progress)
        nets, arrays = rounded(done.networks), {}
        for every in self.thin:
            for flow, end in endpoints(nets, self.levels(), self, every).items():
                # half precision ends at 65504; what has left so far is outside anyway
                arrays[f"{flow}_{N}_every{every}"] = end.clamp(-FAR, FAR).half()
        stored = _quality(nets, samples, done) | {"interpolates": done.interpolates}
        stored |= weights(nets, self.keep_every) | told
        return arrays | {f"{name}_{N}": values for name, values in stored.items()}

    def run(
        self, workdir: Path, device: str = "cpu", jobs: int | None = 1
    ) -> dict[str, torch.Tensor]:
        """Train, move the starts, and return the arrays to keep; one job for each N."""
        arrays = {"sigma": self.levels()}
        calls = [(N, workdir, device, jobs == 1) for N in self.counts]
        for part in each(self.one, calls, jobs, "flows", "N"):
            arrays |= part
        return arrays


@dataclass(frozen=True)
class Continued(Flows):
    """Flows with networks that are trained by continuation in sigma.

    Parameters
    ----------
    residual_tol
        See :class:`memnb.shallow.train.Training`.
    level_rounds, level_rate, refresh_every, refresh_rounds
        See :class:`memnb.shallow.continuation.Continuation`; the others as for :class:`Flows`.
    """

    residual_tol: float = 8e-4  # which leaves room for the rounding to half precision
    shared_noise: ClassVar[bool] = True
    level_rounds: int = 2
    level_rate: float = 2e-3
    refresh_every: int = 10
    refresh_rounds: int = 8

    def trained(
        self, samples: NoisySamples, N: int, path: Path, progress: bool
    ) -> tuple[ContinuedFit, dict[str, torch.Tensor]]:
        """The networks of all levels for N points, their rounds, units, and drifts if any."""
        how = Continuation(
            rounds=self.level_rounds,
            learning_rate=self.level_rate,
            refresh_every=self.refresh_every,
            refresh_rounds=self.refresh_rounds,
        )
        done = fit_continued(samples, self.training(N), how, checkpoint=path, progress=progress)
        refreshed = done.drift.isfinite()
        return done, {"rounds": done.rounds, "units": done.units, "drift": done.drift[refreshed]}


FLOWS: dict[str, tuple[str, dict[str, Any]]] = {
    # The size of the paper. Days on a CPU: the run "continuation" takes hours.
    "paper": ("flows-d30-s150", {"d": 30, "counts": (5, 11, 21, 31), "n_noisy": 500,
                                 "n_levels": 150, "steps": 100, "thin": (1, 5), "keep_every": 5}),
    # As many levels as the paper has, in ten dimensions
    "levels": ("flows-d10-s150", {"n_levels": 150, "counts": (3, 5, 8), "thin": (1, 5),
                                  "keep_every": 5}),
    "quick": ("flows-d10", {}),
    "small": ("flows-d5", {"d": 5, "counts": (3, 5)}),
}  # fmt: skip


def flow_run(profile: str, method: str) -> tuple[str, Flows]:
    """Name and run of one training method at one size.

    Parameters
    ----------
    profile : {"paper", "levels", "quick", "small"}
    method : {"lagrangian", "weight-decay", "adam", "dropout"}

    Raises
    ------
    ValueError
        If there is no such size or method.
    """
    name, values = FLOWS[check_choice("profile", profile, tuple(FLOWS))]
    if method != "lagrangian":  # without multipliers the last digits take very long
        values = values | {"residual_tol": 5e-3, "settle_tol": 1e-2}
    if method == "dropout":  # noise in the gradients
        values = values | {"settle_tol": 5e-2}
    return f"{name}-{method}", Flows(method=method, **values)


Run = Stability | Flows | Sweep | Decay  # a Continued is a Flows
#: Runs other than flows, by kind and profile: their names and what they compute
RUNS: dict[str, dict[str, tuple[str, Run]]] = {
    "stability": {
        "paper": ("stability-d30", Stability()),
        "quick": ("stability-d10", Stability(N=11, d=10, n_noisy=100, width=680, n_draws=8,
                                             penalty=None)),
    },
    "flows": {},
    "continuation": {
        # The size of the paper: S = 150 levels, of which 75 are below sigma = 0.1
        "paper": ("flows-d30-s150-continuation", Continued(
            d=30, counts=(5, 8, 11, 21, 31), n_noisy=500, n_levels=150, thin=(1, 5), keep_every=5)),
        "quick": ("flows-d10-s150-continuation", Continued(
            n_levels=150, counts=(3, 5, 8), thin=(1, 5), keep_every=5)),
    },
    "sweep": {"quick": ("sweep-d10", Sweep())},
    "decay": {"quick": ("decay-d10", Decay())},
}  # fmt: skip
