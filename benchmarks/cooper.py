r"""The written-out Augmented Lagrangian against cooper: ``python -m benchmarks.cooper``.

Cooper is a library for constrained optimization in torch. Both minimize the same Lagrangian of one
network on the same samples, from the same weights, with the same learning rates and the same steps
of the multipliers, in turns in one process on one thread. In float64 both follow the same path up
to rounding, and the difference is shown. Cooper keeps one vector of multipliers, so that S networks
are trained one after another. With ``--keep`` the table goes to ``results/``, where the chapter
finds it.
"""

import math
import statistics
import time

import cooper
import torch
from tqdm import tqdm

import memnb
from benchmarks import Compared, keep_table, quick_or_keep
from memnb.shallow import AugmentedLagrangian, NetworkBatch, NoisySamples, Training, draw_samples
from memnb.shallow._trainer import LAST_RATE, Trainer
from memnb.shallow.runs import CHAPTER

__all__ = ["compare", "main", "measure"]

# N, d, M, width, rounds: the small network of the chapter and one as in its flows
SIZES = ((11, 10, 100, 128, 60), (11, 10, 100, 340, 60))
PENALTY, RATE, STEPS = 2.0, 1e-2, 50


class Interpolation(cooper.ConstrainedMinimizationProblem):
    """Minimize the cost so that every residual is zero."""

    def __init__(self, targets: torch.Tensor) -> None:
        super().__init__()
        self.targets = targets
        count, like = targets.numel(), {"dtype": targets.dtype}
        self.interpolates = cooper.Constraint(
            constraint_type=cooper.ConstraintType.EQUALITY,
            formulation_type=cooper.formulations.AugmentedLagrangian,
            multiplier=cooper.multipliers.DenseMultiplier(num_constraints=count, **like),
            penalty_coefficient=cooper.penalty_coefficients.DensePenaltyCoefficient(
                init=torch.tensor(PENALTY, **like)
            ),
        )

    def compute_cmp_state(self, nets: NetworkBatch, y: torch.Tensor) -> cooper.CMPState:
        """Cost and residuals."""
        residuals = (nets(y)[0] - self.targets).flatten()
        constraint = cooper.ConstraintState(violation=residuals)
        return cooper.CMPState(
            loss=nets.cost().sum(), observed_constraints={self.interpolates: constraint}
        )


def by_cooper(samples: NoisySamples, width: int, rounds: int, steps: int) -> NetworkBatch:
    """Train with cooper; returns the network."""
    dtype, d = samples.inputs.dtype, samples.training_set.dim
    nets = NetworkBatch.random(1, width, d, dtype=dtype)
    for weights in nets.parameters():
        weights.requires_grad_()
    problem = Interpolation(samples.targets)
    primal = torch.optim.Adam(nets.parameters(), lr=RATE, betas=(0.9, 0.99), fused=True)
    dual = torch.optim.SGD(problem.dual_parameters(), lr=PENALTY, maximize=True)
    both = cooper.optim.AlternatingPrimalDualOptimizer(
        cmp=problem, primal_optimizers=primal, dual_optimizers=dual
    )
    for step in range(rounds * steps):
        done = step / (rounds * steps)
        fall = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * done)) / 2
        primal.param_groups[0]["lr"] = RATE * fall
        # the multipliers move at the end of a round only
        dual.param_groups[0]["lr"] = PENALTY if (step + 1) % steps == 0 else 0.0
        both.roll(compute_cmp_state_kwargs={"nets": nets, "y": samples.y})
    return NetworkBatch(*(x.detach() for x in nets.parameters()))


def by_hand(samples: NoisySamples, width: int, rounds: int, steps: int) -> NetworkBatch:
    """Train with the loop of :mod:`memnb.shallow._trainer`; returns the network."""
    training = Training(
        width, AugmentedLagrangian(PENALTY), learning_rate=RATE, rounds=rounds, steps=steps
    )
    trainer = Trainer(samples, training)
    for _ in range(rounds):
        trainer.round()
    return trainer.nets


def measure(
    N: int,
    d: int,
    M: int,
    width: int,
    rounds: int,
    repeats: int,
    steps: int = STEPS,
    dtype: torch.dtype = torch.float32,
) -> list[dict]:
    """Times and results of both for one size.

    Parameters
    ----------
    N, d, M, width, rounds : int
        Training points, dimension, samples of a point, hidden units and rounds.
    repeats : int
        How often both run in turn.
    steps : int
        Steps in a round.
    dtype : torch.dtype
        Of samples and weights.

    Returns
    -------
    list of dict
        Arm, seconds (median), ratio to the arm by hand, residual, cost, cost of the closed form,
        and the largest difference of a weight from the arm by hand.
    """
    samples = draw_samples(memnb.orthogonal_set(N, d), 0.05, M, dtype=dtype)
    arms = {"by hand": by_hand, "cooper": by_cooper}
    seconds, nets = {name: [] for name in arms}, {}
    for _ in range(repeats):
        for name, arm in arms.items():
            began = time.perf_counter()
            nets[name] = arm(samples, width, rounds, steps)
            seconds[name].append(time.perf_counter() - began)
    base, rows = statistics.median(seconds["by hand"]), []
    for name, trained in nets.items():
        with torch.no_grad():
            residual = (trained(samples.y) - samples.targets).square().mean().sqrt()
        pairs = zip(trained.parameters(), nets["by hand"].parameters(), strict=True)
        rows.append({
            "arm": name,
            "seconds": statistics.median(seconds[name]),
            "ratio": statistics.median(seconds[name]) / base,
            "residual": float(residual),
            "cost": float(trained.cost()[0]),
            "closed form": float(memnb.shallow.closed_form_cost(samples)[0]),
            "difference": max(float((a - b).abs().max()) for a, b in pairs),
        })  # fmt: skip
    return rows


def compare(quick: bool = False) -> list[Compared]:
    """Rows of the page: the written-out loop beside cooper.

    Parameters
    ----------
    quick : bool
        Two rounds of a small network, once.
    """
    table = []
    for size in [(3, 3, 8, 12, 2)] if quick else SIZES:
        hand, library = measure(*size, 1 if quick else 3)
        N, d, M, width, rounds = size
        table.append(
            Compared(
                "Augmented Lagrangian against cooper",
                f"N = {N}, d = {d}, M = {M}, {width} units, {rounds} rounds",
                "written out",
                "cooper",
                hand["seconds"],
                library["seconds"],
                note=f"costs {hand['cost']:.2f} and {library['cost']:.2f}",
            )
        )
    return table


def main() -> None:
    """Print the table, and keep it if asked to."""
    quick, keep = quick_or_keep(__doc__, "ten rounds of one size, one repetition")
    sizes, repeats = (((*SIZES[0][:4], 10),), 1) if quick else (SIZES, 3)
    began, rows_of = time.perf_counter(), []
    print("| N | d | M | width | rounds | arm | seconds | times by hand | residual | cost |")
    print("|--:|--:|--:|--:|--:|:--|--:|--:|--:|--:|")
    for size in tqdm(sizes, desc="sizes"):
        rows = measure(*size, repeats)
        rows_of.append([[row[name] for name in ("seconds", "residual", "cost")] for row in rows])
        for row in rows:
            print(
                f"| {' | '.join(map(str, size))} | {row['arm']} | {row['seconds']:.2f} "
                f"| {row['ratio']:.2f} | {row['residual']:.2e} | {row['cost']:.3f} |"
            )
    if keep:
        seconds, residual, cost = torch.tensor(rows_of, dtype=torch.float64).unbind(-1)
        parameters = {"sizes": SIZES, "arms": [row["arm"] for row in rows], "repeats": repeats}
        arrays = {"seconds": seconds, "residual": residual, "cost": cost}
        keep_table(f"{CHAPTER}/speed-cooper", arrays, "cooper", parameters, began)


if __name__ == "__main__":
    main()
