"""The book: rules that every chapter keeps, checked without executing anything."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from memnb.book import dialect
from memnb.book.layout import Layout, NotebookBroken

__all__ = ["STRIP_KEYS", "check"]

MAX_WIDTH, MAX_LINES, MAX_BYTES = 75, 30, 300_000
STRIP_KEYS = (
    "metadata.papermill metadata.widgets metadata.language_info cell.metadata.papermill "
    "cell.metadata.execution cell.metadata.exception cell.metadata.duration cell.metadata.status "
    "cell.metadata.start_time cell.metadata.end_time"
)
_OUTSIDE = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\bsrc\s*=\s*[\"']?(?:https?:)?//"
    r"|<link\b(?=[^>]*rel=[\"'](?:stylesheet|preload|icon|modulepreload|preconnect))"
    r"[^>]*?\bhref\s*=\s*[\"'](?:https?:)?//",
    re.IGNORECASE,
)


def _folded(metadata: dict[str, Any]) -> str | None:
    """What is wrong if a cell is folded on the site or in JupyterLab, but not in both."""
    tagged = {"hide-input", "hide-cell", "remove-input"} & set(metadata.get("tags", []))
    hidden = metadata.get("jupyter", {}).get("source_hidden", False)
    if bool(tagged) == hidden:
        return None
    if hidden:
        return "folded in JupyterLab only: tag it `hide-input`"
    return 'folded on the site only: add "jupyter": {"source_hidden": true} to its metadata'


def _chapter(layout: Layout, chapter: str, sources: Mapping[str, dialect.Source]) -> Iterator[str]:
    """Yield the faults of one notebook."""
    path = layout.notebooks / f"{chapter}.ipynb"
    if path.stat().st_size > MAX_BYTES:
        yield f"is {path.stat().st_size} bytes, allowed: {MAX_BYTES}"
    cells = layout.load(chapter)["cells"]
    tags = [cell["metadata"].get("tags", []) for cell in cells]
    if sum("parameters" in t for t in tags) != 1:
        yield "needs exactly one cell tagged `parameters`"
    for number, (cell, tag) in enumerate(zip(cells, tags, strict=True)):
        text = "".join(cell["source"])
        if cell["cell_type"] != "code":
            if re.search(r"!\[\s*\]\(", text):
                yield f"cell {number}: an image without alt text"
            for fault in dialect.faults(text, sources):
                yield f"cell {number}: {fault}"
            continue
        unequal = _folded(cell["metadata"])
        if unequal:
            yield f"cell {number}: {unequal}"
        lines = text.splitlines()
        if len(lines) > MAX_LINES:
            yield f"cell {number}: {len(lines)} lines of code, allowed: {MAX_LINES}"
        for line in lines:
            if len(line) > MAX_WIDTH:
                yield f"cell {number}: a line of {len(line)} characters, allowed: {MAX_WIDTH}"
        if cell["outputs"] and "keep_output" not in tag:
            yield f"cell {number}: outputs outside a cell tagged `keep_output`"
        if "keep_output" in tag and "nbval-check-output" not in tag:
            yield f"cell {number}: kept outputs that nbval does not check"
        if re.search(r"^\s*assert\b", text, re.MULTILINE):
            yield f"cell {number}: a bare assert: say what failed, with claims.check(...)"
        if re.search(r"\.show\(\)|\bfig(ure)?\s*$", text):
            yield f"cell {number}: a figure without alt text: use style.show(figure, alt)"


def check(layout: Layout) -> list[str]:
    """The faults of the chapters, and of the site if it is built.

    Parameters
    ----------
    layout : Layout
        The book. Nothing in it is written.

    Returns
    -------
    list of str
        One line for each fault.
    """
    faults, paths = [], []
    sources = dialect.sources(layout.root / "book" / "references.bib")
    for chapter in layout.chapters():
        try:
            faults += [f"{chapter}.ipynb: {fault}" for fault in _chapter(layout, chapter, sources)]
            paths.append(layout.notebooks / f"{chapter}.ipynb")
        except NotebookBroken as error:
            faults.append(str(error))
    if paths:
        command = [sys.executable, "-m", "nbstripout", "--verify", "--keep-count", "--keep-id"]
        command += ["--extra-keys", STRIP_KEYS, *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            faults.append("nbstripout: " + (done.stdout + done.stderr).strip())
    for page in sorted(Path(layout.site).rglob("*.html")) if layout.site.exists() else []:
        outside = _OUTSIDE.search(page.read_text())
        if outside:
            what = outside.group()[:120]
            faults.append(f"{page.name}: loads something from outside: {what}")
    return faults
