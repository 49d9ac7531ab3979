"""Chapter 7: the audit as a whole and what it returns.

Its verdict is that of :mod:`memnb.auditing.verdict`.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memnb.results import replacing
from memnb.validation import check_device, check_integer, check_real

from .copying import copies, smallest_share
from .densities import density_criterion
from .inputs import Sets, read_sets
from .measure import Measure
from .measures import authenticity, cell_test, nearer_to_training
from .reference import Reference
from .verdict import LEVEL, POWER, VERDICTS, Evidence, judge

__all__ = ["Audit", "Pair", "audit"]


@dataclass(frozen=True)
class Pair:
    r"""A generated point and the training point that it may be a copy of.

    Parameters
    ----------
    generated, training : int
        Rows of the sets as they were given.
    distance, ratio : float
        :math:`d_1`, and :math:`d_1 / d_2`.
    """

    generated: int
    training: int
    distance: float
    ratio: float


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found.

    Printed it is a short text; in a notebook, a table; :meth:`save` writes JSON or a page.

    Parameters
    ----------
    verdict : {"copies", "unclear", "depends", "none", "few"}
        See :mod:`memnb.auditing.verdict`.
    reason : str
        Why, in one sentence with the numbers.
    measures : tuple of Measure
    pairs : tuple of Pair
        The most suspicious ones, the lowest ratio first.
    smallest : float
        The smallest share of exact copies, spread over the training set, that would have been
        found.
    sizes : dict of str to int
        Number of training, generated and held-out points and dimensions.
    notes : tuple of str
        What else to know.
    sets : Sets
        What was audited, as rows.
    """

    verdict: str
    reason: str
    measures: tuple[Measure, ...]
    pairs: tuple[Pair, ...]
    smallest: float
    sizes: dict[str, int]
    notes: tuple[str, ...]
    sets: Sets

    def __getitem__(self, name: str) -> Measure:
        """A measure by its name."""
        for measure in self.measures:
            if measure.name == name:
                return measure
        names = ", ".join(measure.name for measure in self.measures)
        raise KeyError(f"no measure {name!r}, there are: {names}")

    def rows(self) -> list[list[str]]:
        """The measures as a table: title, generated, held out, p, share of copies."""
        return [
            [
                m.title,
                f"{m.value:.3f} ± {m.error:.3f}",
                f"{m.null:.3f} ± {m.null_error:.3f}",
                f"{m.p:.2g}",
                "" if np.isnan(m.copied) else f"{m.copied:.1%}",
            ]
            for m in self.measures
        ]

    def __str__(self) -> str:
        head = ("measure", "generated", "held out or null", "p", "copied")
        rows = [head, *self.rows()]
        widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
        lines = [
            "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        sizes = ", ".join(f"{count} {name}" for name, count in self.sizes.items())
        notes = [f"Note: {note}" + ("" if note.endswith("?") else ".") for note in self.notes]
        return "\n".join([f"{VERDICTS[self.verdict]} {self.reason}", sizes, *lines, *notes])

    def _repr_html_(self) -> str:
        from .page import body

        return f'<div class="memnb-audit">{body(self, level=3)}</div>'

    def to_dict(self) -> dict[str, Any]:
        """Everything but the points themselves, ready for JSON; nan becomes None."""
        content = {
            "verdict": self.verdict,
            "statement": VERDICTS[self.verdict],
            "reason": self.reason,
            "smallest_share_found": self.smallest,
            "sizes": self.sizes,
            "notes": list(self.notes),
            "measures": [asdict(m) for m in self.measures],
            "pairs": [asdict(p) for p in self.pairs],
        }
        return json.loads(json.dumps(content), parse_constant=lambda _: None)

    def save(self, path: str | Path) -> Path:
        """Write the audit as ``.json``, or as one ``.html`` page that needs no other file.

        Parameters
        ----------
        path : path
            Its folder must exist.

        Returns
        -------
        Path

        Raises
        ------
        ValueError
            If the name ends in neither, its folder does not exist, or it is one itself; nothing is
            written then.
        """
        path = check_report(path)
        if path.suffix == ".json":
            text = json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"
        else:
            from .page import page

            text = page(self)
        with replacing(path) as fresh:
            fresh.write_text(text, encoding="utf-8")
        return path


def check_report(path: str | Path) -> Path:
    """Where a report is to be written, if it can be."""
    path = Path(path)
    if path.suffix not in (".json", ".html"):
        raise ValueError(f"report must end in .json or .html, got {path.name!r}")
    if path.is_dir():
        raise ValueError(f"report must be a file, but {str(path)!r} is a folder")
    if not path.parent.is_dir():
        raise ValueError(f"report must go to a folder that exists, got {str(path.parent)!r}")
    return path


def audit(
    training: Any,
    generated: Any,
    held_out: Any,
    *,
    features: Callable[[np.ndarray], Any] | int | None = None,
    threshold: float = 1 / 3,
    n_pairs: int = 12,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = False,
) -> Audit:
    r"""Ask whether a generator copies its training data.

    Parameters
    ----------
    training : Tensor, array, nested list, or path of a ``.npy`` or ``.npz`` file
        What the model was trained on, shape (n, d), or a stack of images.
    generated : likewise, shape (m, d)
        What it generated.
    held_out : likewise, shape (h, d)
        Points of the same source that it was *not* trained on. As many as there are training points
        are best.
    features : callable or int, optional
        Map rows to features first; or a number of principal components of training and held-out
        points. The verdict can depend on it. See :func:`memnb.auditing.inputs.read_sets`.
    threshold : float
        :math:`\theta` in (0, 1]: points with :math:`d_1 / d_2 < \theta` count as copies.
    n_pairs : int
        Number of suspicious pairs to return.
    seed : int
        Seed of all that is random.
    device : str
        Where neighbors are sought: ``"cpu"``, ``"cuda"`` or ``"cuda:0"``.
    progress : bool
        Show progress bars.

    Returns
    -------
    Audit

    Raises
    ------
    TypeError, ValueError
        If a set is not what :func:`memnb.auditing.inputs.read_sets` takes, or another argument is
        out of its range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> training, held_out, new = rng.standard_normal((3, 500, 8))
    >>> generated = np.concatenate([training[:100], new[:400]])
    >>> audit(training, generated, held_out).verdict
    'copies'
    >>> audit(training, new, held_out).verdict
    'none'
    """
    threshold = check_real("threshold", threshold, 0, 1, open_low=True)
    check_integer("n_pairs", n_pairs, 0)
    check_integer("seed", seed, 0)
    check_device("device", device)
    sets = read_sets(training, generated, held_out, features)
    reference = Reference(sets.training, sets.held_out, seed=seed, device=device, progress=progress)
    queries, held = (
        reference.look_at(sets.generated),
        reference.look_at(sets.held_out, pooled=False),
    )
    measures = [
        copies(queries, held, threshold, seed),
        nearer_to_training(queries, reference.pool_size, reference.n_training),
        cell_test(queries, held, reference.n_cells, seed),
        authenticity(queries, held),
        density_criterion(sets, seed),
    ]
    measures = {m.name: m for m in measures if m is not None}
    base = reference.base
    order = np.lexsort((queries.d1, queries.ratio))[:n_pairs]
    pairs = tuple(
        Pair(
            int(i), int(base.rows[queries.index[i]]), float(queries.d1[i]), float(queries.ratio[i])
        )
        for i in order
    )
    smallest = smallest_share(
        len(np.unique(queries.index)),
        measures["copies"].null,
        len(np.unique(held.index)),
        LEVEL,
        POWER,
    )
    evidence = Evidence.of(
        measures,
        queries,
        held,
        threshold,
        reference.pool_size / reference.n_training,
        smallest,
        sets.equal,
        sets.doubts,
    )
    verdict, reason = judge(evidence)
    notes = [*sets.notes, *(f"{doubt}?" for doubt in evidence.doubts if doubt not in reason)]
    for name, points in (("training", base), ("held-out", reference.held_out)):
        if points.n_duplicates:
            notes.append(
                f"{points.n_duplicates} {name} points equal an earlier one; each counts once"
            )
    if "densities" not in measures:
        notes.append("P(Δ > 0) needs images or at most 16 dimensions")
    sizes = {name.replace("_", " "): len(x) for name, x in sets.items()}
    return Audit(
        verdict=verdict,
        reason=reason,
        measures=tuple(measures.values()),
        pairs=pairs,
        smallest=smallest,
        sizes=sizes | {"dimensions": sets.training.shape[1]},
        notes=tuple(notes),
        sets=sets,
    )
