r"""The linear model against its formulas transcribed directly: ``python -m benchmarks.linear``.

One simulation at d = 100 with n = 1000 training and N = 10000 original points, from the drawn
points to the sign of :math:`\Delta`: the fit, both pair terms and both cross terms. Both methods
run in one process on one thread in double precision. The direct one is NumPy, term by term as in
eq. (21), with a loop over the rows of each pair term, so that it forms no N x N x d array.

The pair term of the original set depends on neither the training set nor the fit. The table has
the times with it, and without it for both methods, as in the second and all later simulations with
the same original set. A third ratio is what a sweep gains: here the pair term is computed once,
there in each simulation.
"""

import math
import statistics
import time

from benchmarks import Compared, is_quick
from memnb import linear
from memnb.linear.draws import draw_originals, draw_training
from memnb.linear.overlaps import log_pairs
from memnb.linear.published import delta_direct, pair_term

__all__ = ["compare", "main", "measure"]


def _seconds(run, repeats):
    spent = []
    for _ in range(repeats):
        began = time.perf_counter()
        value = run()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent), value


def measure(n, dim, n_originals, repeats):
    """Times of one simulation, and how far the two methods are apart.

    Parameters
    ----------
    n, dim, n_originals : int
        Numbers of training points, dimensions and original points.
    repeats : int
        Repetitions; the direct transcription with all pair terms runs once, as it takes long.

    Returns
    -------
    dict
        Seconds of ``ours`` and ``direct``, without (``_later``) and with (``_first``) the pair term
        of the original set; ``difference`` of the two values of Delta in units of
        :math:`(4\\pi)^{-d/2}`.
    """
    setting = linear.Setting(n, dim, n_originals)
    originals = draw_originals(setting, 0)
    y, x = draw_training(setting, 0, 0)
    width = linear.kernel_width("leading", n_originals, dim)
    pairs = log_pairs(originals, width)
    arrays = y.numpy(), x.numpy(), originals.numpy()

    def ours(known):
        fit = setting.model.fit(y[None], x[None])
        return linear.log_delta(y[None], originals, fit, pairs_of_originals=known)

    def direct(known):
        return delta_direct(*arrays, setting.model, covariance="right", pairs_of_originals=known)

    ours(pairs)  # warm-up
    measured = {}
    measured["ours_later"], (sign, log_abs) = _seconds(lambda: ours(pairs), repeats)
    measured["ours_first"], _ = _seconds(lambda: ours(None), repeats)
    direct_pairs = pair_term(arrays[2], width)
    measured["direct_later"], value = _seconds(lambda: direct(direct_pairs), repeats)
    measured["direct_first"], _ = _seconds(lambda: direct(None), 1)
    unit = 0.5 * dim * math.log(4 * math.pi)
    measured["difference"] = abs(value - (sign * (log_abs + unit).exp()).item())
    return measured


# Who computes the pair term of the original set, and the names of both times
ROWS = (
    ("computed by both", "direct_first", "ours_first"),
    ("known to both", "direct_later", "ours_later"),
    ("computed by the direct one, known to ours", "direct_first", "ours_later"),
)


def _measured(quick):
    sizes = (100, 20, 500) if quick else (1000, 100, 10_000)
    return sizes, measure(*sizes, 1 if quick else 5)


def compare(quick=False):
    """Rows of the page: one simulation beside the direct transcription.

    Parameters
    ----------
    quick : bool
        A small size, one repetition.

    Returns
    -------
    list of Compared
    """
    sizes, measured = _measured(quick)
    return [
        Compared(
            "A simulation of the linear model",
            "n = {}, d = {}, N = {}; pair term of the original set {}".format(*sizes, label),
            "memnb.linear",
            "direct transcription in NumPy",
            measured[ours],
            measured[direct],
            note=f"values differ by {measured['difference']:.0e} (4π)^(-d/2)",
        )
        for label, direct, ours in ROWS
    ]


def main():
    """Print the table."""
    sizes, measured = _measured(is_quick(__doc__, "a small size, one repetition"))
    print("n = {}, d = {}, N = {}\n".format(*sizes))
    print("| pair term of the original set | direct, s | ours, s | ratio |")
    print("|:--|--:|--:|--:|")
    for label, direct, ours in ROWS:
        ratio = measured[direct] / measured[ours]
        print(f"| {label} | {measured[direct]:.3f} | {measured[ours]:.4f} | {ratio:.0f} |")
    print(f"\nThe two values differ by {measured['difference']:.0e} (4 pi)^(-d/2).")


if __name__ == "__main__":
    main()
