r"""Endpoint classes against all vertices of the hyperbox: ``python -m benchmarks.classification``.

The nearest of the :math:`2^{N-1}` vertices is found coordinate by coordinate in O(N d) a point.
Beside it, the distances to all vertices are computed (``torch.cdist``, in blocks) and the least one
taken, in turns in one process on one thread; times are medians. Both name the same vertices, which
is checked. The class needs the distance from the boundary, too, which only the first one has.
"""

import torch

import memnb
from benchmarks import Compared, in_turns, is_quick

__all__ = ["compare", "main"]

SIZES = ((6, 5), (11, 10), (15, 14))
AT_ONCE = 2**22  # distances in a block


def _all_vertices(data):
    """Which edges a vertex has, and the vertices."""
    n = data.n_ramps
    on = (torch.arange(2**n)[:, None] >> torch.arange(n)) & 1 == 1
    return on, data.center + (on * data.lengths) @ data.directions


def _nearest(y, on, vertices):
    parts = y.split(max(1, AT_ONCE // len(vertices)))
    least = [torch.cdist(part, vertices).min(dim=1) for part in parts]
    return on[torch.cat([x.indices for x in least])], torch.cat([x.values for x in least])


def compare(quick=False):
    """Rows of the page: ``memnb.classify`` beside all vertices.

    Parameters
    ----------
    quick : bool
        The smallest size, 200 points, one repetition.

    Returns
    -------
    list of Compared

    Raises
    ------
    RuntimeError
        If the two name different vertices.
    """
    table = []
    for n_points, dim in SIZES[:1] if quick else SIZES:
        n, repeats = (200, 1) if quick else (10_000, 3)
        data = memnb.orthogonal_set(n_points, dim, seed=0)
        y = memnb.gaussian_starts(n, dim, seed=0)
        on, vertices = _all_vertices(data)
        arms = {
            "ours": lambda y=y, data=data: memnb.classify(y, data),
            "all": lambda y=y, on=on, vertices=vertices: _nearest(y, on, vertices),
        }
        seconds, ends = in_turns(arms, repeats)
        ours, (nearest, distance) = ends["ours"], ends["all"]
        if not torch.equal(ours.on, nearest):
            raise RuntimeError("the two ways name different vertices")
        apart = (ours.distance - distance).abs().max().item()
        table.append(
            Compared(
                "Endpoint classes against all vertices",
                f"{n} points, N = {n_points}, d = {dim}, {len(vertices)} vertices",
                "memnb.classify",
                "distances to all vertices",
                seconds["ours"],
                seconds["all"],
                note=f"the same vertices; distances differ by {apart:.0e} at most",
            )
        )
    return table


def main():
    """Print the table."""
    for row in compare(is_quick(__doc__, "one size, one repetition")):
        ratio = row.of_reference / row.of_ours
        print(f"{row.case}: {row.of_ours:.4f} s, all {row.of_reference:.4f} s, {ratio:.1f} times")


if __name__ == "__main__":
    main()
