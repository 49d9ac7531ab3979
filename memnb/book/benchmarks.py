"""The book: the page of benchmarks, made from what ``make bench`` has kept."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["benchmarks_page", "slower_than_target"]

INTRODUCTION = """# Benchmarks

Each row is two ways to do the same thing, measured one after the other in one run, each on one
thread (the book is built with two), and what is compared is their ratio: how many times as long the
reference takes as what this book uses. Absolute times depend on the machine and on what else it is
doing, ratios much less. `make bench` measures all of it again; the sizes are in `benchmarks/`.
The last table alone compares with what does nothing: a bare slider, which shows what any move of
the mouse costs."""


# Why some of them miss their targets
WHY = {
    "Exact flows against their floor": "Besides the two products, the flow passes over all "
    "coordinates several times, one by one (thresholds, powers, the part off the span), which the "
    "memory limits and not the arithmetic.",
    "Event-driven flows against integrators": "Between two events each start follows a linear "
    "system of its own: a step takes an eigendecomposition or products with one matrix for each "
    "start, where an integrator multiplies all starts by the same matrix. Starts are moved "
    "together already. The exact solution has no tolerance to choose, and an integrator that is "
    "nearly as exact takes longer.",
}


def _number(value: float) -> str:
    """Three digits that count, without an exponent where it is not needed."""
    return f"{value:#.3g}".rstrip(".") if 1e-3 <= value < 1e3 else f"{value:.3g}"


def _ratio(row: Mapping[str, Any]) -> float:
    return row["of_reference"] / row["of_ours"]


def slower_than_target(tables: Iterable[Mapping[str, Any]]) -> list[str]:
    """One line for each row whose ratio is below its target.

    Parameters
    ----------
    tables : iterable of dict
        What the file of benchmarks has for each of them; only the ``rows`` are read.

    Returns
    -------
    list of str
    """
    return [
        f"{row['kind']}: {row['case']}; {row['ours']} against {row['reference']}: ratio"
        f" {_number(_ratio(row))}, target at least {row['target']:g}"
        for table in tables
        for row in table["rows"]
        if row["target"] is not None and _ratio(row) < row["target"]
    ]


def _table(table: Mapping[str, Any]) -> Iterable[str]:
    """A heading for each kind, its table, and where it was measured."""
    for kind in dict.fromkeys(row["kind"] for row in table["rows"]):
        rows = [row for row in table["rows"] if row["kind"] == kind]
        yield f"## {kind}\n"
        if kind in WHY and slower_than_target([{"rows": rows}]):
            yield f"{WHY[kind]}\n"
        yield "| What | Ours | Reference | Ratio | Target |\n|:--|:--|:--|--:|--:|"
        for row in rows:
            what = row["case"] + (f" <br><small>{row['note']}</small>" if row["note"] else "")
            ours, reference = (
                f"{row[name]}: {_number(row[f'of_{name}'])} {row['unit']}"
                for name in ("ours", "reference")
            )
            ratio, target = _number(_ratio(row)), "–"
            if row["target"] is not None:
                target = f"≥ {row['target']:g}"
                ratio += ", met" if _ratio(row) >= row["target"] else ", **missed**"
            yield f"| {what} | {ours} | {reference} | {ratio} | {target} |"
        yield (
            f"\n`{table['command']}`, {table['date']}, {table['seconds']:.0f} s."
            f" {table['machine']}; load average {table['load']:g} at the start.\n"
        )


def benchmarks_page(kept: Mapping[str, Any]) -> str:
    """Markdown of the page of benchmarks.

    Parameters
    ----------
    kept : dict
        Name of a benchmark to its ``command``, ``machine``, ``load``, ``date``, ``seconds``,
        ``versions`` and ``rows``, as ``python -m benchmarks`` writes them to
        ``results/benchmarks.json``. A row has the fields of ``benchmarks.Compared``.

    Returns
    -------
    str
    """
    lines = [INTRODUCTION, "", "## Slower than the target", ""]
    slow = slower_than_target(kept.values())
    none = "Nothing that was measured." if kept else "Nothing was measured yet."
    lines += [f"- {line}." for line in slow] or [none]
    lines.append("")
    for table in kept.values():
        lines += _table(table)
    versions = {
        ", ".join(f"{name} {number}" for name, number in table["versions"].items())
        for table in kept.values()
    }
    lines += [f"Versions: {'; '.join(sorted(versions))}." if versions else "", ""]
    return "\n".join(lines)
