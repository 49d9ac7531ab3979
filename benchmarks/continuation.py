r"""A path through the noise levels against cold starts: ``python -m benchmarks.continuation``.

Networks for the same samples at many noise levels, trained once by continuation in sigma and once
each from random weights, one after the other, in one process on one thread. Both go on until the
residual is as small as :class:`memnb.shallow.runs.Continued` wants it. The costs are compared.
"""

import time

import torch

from benchmarks import Compared, is_quick
from memnb.shallow import fit
from memnb.shallow.runs import Continued

__all__ = ["compare", "main"]


def compare(quick=False):
    """Rows of the page: the path beside the cold starts.

    Parameters
    ----------
    quick : bool
        Two levels in four dimensions.

    Returns
    -------
    list of Compared
    """
    size = {"d": 4, "n_noisy": 10, "n_levels": 4} if quick else {"n_levels": 30}
    N, run = (3, Continued(**size))
    samples, training = run.samples(N), run.training(N)
    began = time.perf_counter()
    path, _ = run.trained(samples, N, None, progress=False)
    on_path = time.perf_counter() - began
    began = time.perf_counter()
    cold = torch.cat(
        [fit(run.samples(N, part=[k]), training, progress=False).cost for k in range(run.n_levels)]
    )
    alone = time.perf_counter() - began
    must = path.interpolates
    cost = (path.cost[must] / cold[must]).log().mean().exp()
    return [
        Compared(
            "Continuation against cold starts",
            f"{run.n_levels} noise levels, N = {N}, d = {run.d}, M = {run.n_noisy}",
            "one path",
            "each from random weights",
            on_path,
            alone,
            note=f"cost of the path over that of the cold starts {cost:.3f}, geometric mean",
        )
    ]


def main():
    """Print the table."""
    for row in compare(is_quick(__doc__, "two levels in four dimensions")):
        print(f"{row.case}: {row.of_ours:.1f} s, cold {row.of_reference:.1f} s; {row.note}")


if __name__ == "__main__":
    main()
