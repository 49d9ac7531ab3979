r"""Exact flows against the least that they have to do: ``python -m benchmarks.floor``.

A flow of orthogonal data takes y to its coordinates along the edges, moves these one by one, and
takes them back. So it needs the two projections :math:`z = y U^\top` and :math:`z U` at least. Each
row has them alone, as plain matrix products, beside both flows of :mod:`benchmarks.flows`, in turns
in one process on one thread; times are medians.
"""

import memnb
from benchmarks import Compared, in_turns, is_quick
from benchmarks.flows import LAST, RHO, D, N, R

__all__ = ["compare", "main"]

# the two products over the flow: at least one half and one quarter
TARGETS = {"probability flow": 1 / 2, "score flow": 1 / 4}


def compare(quick=False):
    """Rows of the page: both flows beside the two products.

    Parameters
    ----------
    quick : bool
        1000 starts, one repetition.

    Returns
    -------
    list of Compared
    """
    n_starts, repeats = (1000, 1) if quick else (10**5, 15)
    h = memnb.RampDenoiser(memnb.orthogonal_set(N, D, seed=0), RHO)
    y, U = memnb.gaussian_starts(n_starts, D, seed=0), h.training_set.directions
    seconds, _ = in_turns(
        {
            "probability flow": lambda: memnb.probability_flow(y, h, 1.0, LAST),
            "score flow": lambda: memnb.score_flow(y, h, R),
            "products": lambda: (y @ U.mT) @ U,
        },
        repeats,
    )
    return [
        Compared(
            "Exact flows against their floor",
            f"{flow}, {n_starts} starts, N = {N}, d = {D}",
            "exact map",
            "the two projections alone, as matrix products",
            seconds[flow],
            seconds["products"],
            target,
            note=f"the flow takes {seconds[flow] / seconds['products']:.1f} times the products,"
            f" {1 / target:.0f} times at most is the target",
        )
        for flow, target in TARGETS.items()
    ]


def main():
    """Print the table."""
    for row in compare(is_quick(__doc__, "1000 starts, one repetition")):
        print(f"{row.case}: {row.of_ours:.4f} s, products {row.of_reference:.4f} s; {row.note}")


if __name__ == "__main__":
    main()
