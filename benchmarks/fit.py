r"""Training S networks as one batch against one after another: ``python -m benchmarks.fit``.

Each row runs the same rounds of the Augmented Lagrangian on the same samples, in turns in one
process on one thread: all S networks as one batch, then each network on its own. Times are medians.
Both arms end at the same weights up to rounding, and the largest difference is shown. The third arm
computes the batch's gradients by automatic differentiation instead of the written-out products.
With ``--keep`` the table goes to ``results/``, where the chapter finds it.
"""

import statistics
import time

import torch
from tqdm import tqdm

import memnb
from benchmarks import Compared, keep_table, quick_or_keep
from memnb.shallow import AugmentedLagrangian, NetworkBatch, NoisySamples, Training, draw_samples
from memnb.shallow._trainer import Trainer
from memnb.shallow.runs import CHAPTER

__all__ = ["compare", "main", "measure"]

# S, N, d, M, width: the smallest and the largest networks of the chapter's flows, and its eight
# networks for sums
SIZES = ((30, 3, 10, 100, 68), (30, 11, 10, 100, 340), (8, 11, 10, 100, 680))


class Differentiated(Trainer):
    """The same training with gradients by automatic differentiation."""

    def _gradients(self, _dropped: float) -> None:
        leaves = [x.detach().requires_grad_() for x in self.nets.parameters()]
        nets = NetworkBatch(*leaves)
        r = nets(self.inputs[..., :-1]) - self.targets
        penalty = (self.multipliers * r).sum() + (self.mu[:, None, None] / 2 * r.square()).sum()
        gradients = torch.autograd.grad(penalty + self.method.on_cost * nets.cost().sum(), leaves)
        for tensor, gradient in zip(self.nets.parameters(), gradients, strict=True):
            tensor.grad.copy_(gradient)
        self.residuals.copy_(r.detach())


def measure(
    S: int, N: int, d: int, M: int, width: int, repeats: int, rounds: int = 2, steps: int = 25
) -> list[dict]:
    """Times of the three arms for one size.

    Parameters
    ----------
    S, N, d, M, width : int
        Networks, training points, dimension, samples of a point and hidden units.
    repeats : int
        How often all arms run in turn.
    rounds, steps : int
        Length of each run.

    Returns
    -------
    list of dict
        Arm, seconds (median), ratio to the batch, largest difference of a weight.
    """
    data = memnb.orthogonal_set(N, d)
    sigma = memnb.log_uniform_grid(0.1, 0.03, S)
    together = draw_samples(data, sigma, M, dtype=torch.float64)
    training = Training(
        width, AugmentedLagrangian(5.0), learning_rate=1e-3, rounds=rounds, steps=steps
    )
    first = NetworkBatch.random(S, width, d, dtype=torch.float64)

    def run(
        samples: NoisySamples, nets: NetworkBatch, kind: type[Trainer] = Trainer
    ) -> NetworkBatch:
        trainer = kind(samples, training)
        for tensor, start in zip(trainer.nets.parameters(), nets.parameters(), strict=True):
            tensor.copy_(start)
        for _ in range(rounds):
            trainer.round()
        return trainer.nets

    def part(s: int) -> tuple[NoisySamples, NetworkBatch]:
        one = slice(s, s + 1)
        return together.at(s), NetworkBatch(*(x[one] for x in first.parameters()))

    parts = [part(s) for s in range(S)]
    arms = {
        "one batch": lambda: run(together, first),
        "one after another": lambda: [run(*p) for p in parts],
        "one batch, autograd": lambda: run(together, first, Differentiated),
    }
    seconds, ends = {name: [] for name in arms}, {}
    for repeat in range(repeats + 1):
        for name, arm in arms.items():
            began = time.perf_counter()
            ends[name] = arm()
            if repeat:  # the first time is the warm-up
                seconds[name].append(time.perf_counter() - began)
    ends["one after another"] = NetworkBatch(
        *(
            torch.cat(x)
            for x in zip(*(n.parameters() for n in ends["one after another"]), strict=True)
        )
    )
    base = statistics.median(seconds["one batch"])
    return [
        {
            "arm": name,
            "seconds": statistics.median(spent),
            "ratio": statistics.median(spent) / base,
            "difference": max(
                float((a - b).abs().max())
                for a, b in zip(
                    ends[name].parameters(), ends["one batch"].parameters(), strict=True
                )
            ),
        }
        for name, spent in seconds.items()
    ]


def compare(quick: bool = False) -> list[Compared]:
    """Rows of the page: one batch beside the other two ways.

    Parameters
    ----------
    quick : bool
        One round of two small networks, once.
    """
    table = []
    for size in [(2, 3, 4, 5, 8)] if quick else SIZES:
        rows = measure(*size, 1, 1, 5) if quick else measure(*size, 3)
        S, N, d, M, width = size
        table += [
            Compared(
                "Training many networks",
                f"S = {S} networks, N = {N}, d = {d}, M = {M}, {width} units",
                "one batch, gradients written out",
                row["arm"],
                rows[0]["seconds"],
                row["seconds"],
                note=f"weights differ by {row['difference']:.0e} at most",
            )
            for row in rows[1:]
        ]
    return table


def main() -> None:
    """Print the table, and keep it if asked to."""
    quick, keep = quick_or_keep(__doc__, "one size, one repetition")
    sizes, repeats = (SIZES[:1], 1) if quick else (SIZES, 5)
    began, seconds = time.perf_counter(), []
    print("| S | N | d | M | width | arm | seconds | times one batch | difference |")
    print("|--:|--:|--:|--:|--:|:--|--:|--:|--:|")
    for size in tqdm(sizes, desc="sizes"):
        rows = measure(*size, repeats)
        seconds.append([row["seconds"] for row in rows])
        for row in rows:
            print(
                f"| {' | '.join(map(str, size))} | {row['arm']} | {row['seconds']:.3f} "
                f"| {row['ratio']:.2f} | {row['difference']:.0e} |"
            )
    if keep:
        parameters = {"sizes": SIZES, "arms": [row["arm"] for row in rows], "repeats": repeats}
        seconds = torch.tensor(seconds, dtype=torch.float64)
        keep_table(f"{CHAPTER}/speed-batch", {"seconds": seconds}, "fit", parameters, began)


if __name__ == "__main__":
    main()
