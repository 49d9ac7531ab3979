"""The book: the page of execution times, which the build writes from executed chapters."""

import json
from pathlib import Path
from typing import Any

__all__ = ["times_page"]


def times_page(records: dict[str, dict[str, Any]], notebooks: dict[str, dict[str, Any]]) -> str:
    """Markdown of the page of execution times.

    Parameters
    ----------
    records : dict
        Chapter name to the record that :func:`memnb.book.execute.execute` keeps.
    notebooks : dict
        Chapter name to executed notebook.

    Returns
    -------
    str
    """
    lines = [
        "# Execution times",
        "",
        "Wall time of each chapter when this site was built, two chapters at a time and one thread "
        "each, the start of Python and torch included.",
        "",
        "| Chapter | Seconds | Code cells | Profile | Executed |",
        "|:--|--:|--:|:--|:--|",
    ]
    for chapter, record in records.items():
        cells = sum(c["cell_type"] == "code" for c in notebooks[chapter]["cells"])
        profile = record["parameters"].get("profile", "quick")
        lines.append(
            f"| [](../notebooks/{chapter}.ipynb) | {record['seconds']:.1f} | {cells} "
            f"| {profile} | {record['finished']} |"
        )
    first = next(iter(records.values()), None)
    if first:
        versions = ", ".join(f"{k} {v}" for k, v in first["versions"].items())
        lines += ["", f"Python {first['python']}, {versions}."]
    return "\n".join([*lines, ""])


def load(path: Path) -> Any:
    """A JSON file's content."""
    return json.loads(path.read_text())
