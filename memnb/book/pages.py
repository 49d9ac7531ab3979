"""The book: pages that the build writes or completes.

The page of execution times is written from executed chapters; a line ``% explorer: NAME`` of a page
is replaced by the explorer of that name, so far ``preface``.
"""

import json
import re
from pathlib import Path
from typing import Any

from memnb.validation import check_choice

__all__ = ["times_page", "with_explorers"]


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


def with_explorers(text: str) -> str:
    """Markdown in which each line ``% explorer: NAME`` is replaced by the explorer.

    Parameters
    ----------
    text : str
        Markdown, in which such a line is a comment.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If there is no explorer of a name.
    """

    explorers = {"preface": _preface}

    def html(found: re.Match[str]) -> str:
        name = check_choice("explorer", found[1], tuple(explorers))
        return f"```{{raw}} html\n{explorers[name]().html()}\n```"

    return re.sub(r"^% explorer: (\S+)$", html, text, flags=re.M)


def _preface() -> Any:
    from memnb.explorers.score_flow import field  # loads torch, which other pages do without

    return field(compact=True)


def load(path: Path) -> Any:
    """A JSON file's content."""
    return json.loads(path.read_text())
