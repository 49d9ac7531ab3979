"""The book: pages that the build writes from executed chapters, claims and execution times."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from memnb.claims import MIME, VERDICTS, Claim

__all__ = ["claims_of", "claims_page", "times_page"]


def claims_of(notebook: dict[str, Any]) -> list[Claim]:
    """The claims recorded in the outputs of an executed notebook, in order.

    Parameters
    ----------
    notebook : dict
        Notebook in its JSON form.

    Returns
    -------
    list of Claim
    """
    outputs = (o for cell in notebook["cells"] for o in cell.get("outputs", []))
    records = (o["data"][MIME] for o in outputs if MIME in o.get("data", {}))
    return [Claim(**record) for record in records]


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")


def claims_page(notebooks: dict[str, dict[str, Any]]) -> str:
    """Markdown of the claims page.

    Parameters
    ----------
    notebooks : dict
        Chapter name to executed notebook.

    Returns
    -------
    str
    """
    claims = [claim for notebook in notebooks.values() for claim in claims_of(notebook)]
    counts = Counter(claim.verdict for claim in claims)
    summary = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
    lines = [
        "# Claims and verdicts",
        "",
        f"Each row is a statement of a source and what this book measured: {summary}. The rows are "
        "collected from the chapters when they are executed; a chapter whose measurement no longer "
        "supports its verdict stops the build.",
        "",
        "- **reproduced**: the measurement supports the statement.",
        "- **differs**: the measurement does not support it, or only in part; see the chapter.",
        "- **not attempted**: the chapters so far do not test it, for the reason given.",
        "- **not judged**: the chapter was executed with other parameters than those of which the "
        "statement speaks.",
        "",
        "*Would notice* says how wrong the statement would have to be for its check to fail: the "
        "tolerance, and the smallest effect that it would have noticed.",
        "",
        ":::{div} memnb-cards",
        "| Statement | Source | Chapter | Measured | Verdict |",
        "|:--|:--|:--|:--|:--|",
    ]
    for c in claims:
        badge = (
            f'<span class="memnb-verdict memnb-{c.verdict.replace(" ", "-")}">{c.verdict}</span>'
        )
        evidence = f"<br><small>{_cell(c.evidence)}</small>" if c.evidence else ""
        if c.notices:
            evidence += f"<br><small>*Would notice:* {_cell(c.notices)}</small>"
        link = f"[{c.chapter.split('-')[0]}](../notebooks/{c.chapter}.ipynb)"
        lines.append(
            f"| {_cell(c.statement)} | {_cell(c.source)} | {link} "
            f"| {_cell(c.measured)}{evidence} | {badge} |"
        )
    return "\n".join([*lines, ":::", ""])


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
            f"| [{chapter}](../notebooks/{chapter}.ipynb) | {record['seconds']:.1f} | {cells} "
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
