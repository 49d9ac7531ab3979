"""The book built again against the book built from nothing: ``python -m benchmarks.book``.

A copy of the book is built from nothing, again with nothing changed, and once more after a sentence
was added to the first chapter. The second time finds out that nothing is to be done; the third one
executes one chapter and renders the site. All are wall times of ``python -m memnb build``, which
executes two chapters at a time.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import Compared, is_quick
from memnb.book.layout import Layout

__all__ = ["compare", "main"]

PARTS = ("notebooks", "book", "assets", "results")


def _copy(source, root):
    for name in PARTS:
        shutil.copytree(source / name, root / name)
    for pattern in ("_*.yml", "requirements.*"):
        for path in source.glob(pattern):
            shutil.copy(path, root)


def _build(root):
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "memnb", "build"],
        cwd=root,
        env={**os.environ, "MEMNB_ROOT": str(root)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began


def compare(quick=False):
    """Rows of the page: a warm build and one after an edit beside the cold one.

    Parameters
    ----------
    quick : bool
        The first chapter only.

    Returns
    -------
    list of Compared
    """
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder))
        _copy(Layout.here().root, layout.root)
        first, *others = layout.chapters()
        if quick:
            for chapter in others:
                (layout.notebooks / f"{chapter}.ipynb").unlink()
            toc = f"format: jb-book\nroot: notebooks/{first}\n"
            (layout.root / "_toc.yml").write_text(toc)
        cold, warm = _build(layout.root), _build(layout.root)
        notebook, path = layout.load(first), layout.notebooks / f"{first}.ipynb"
        prose = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
        prose[-1]["source"] = [*prose[-1]["source"], "\n\nOne more sentence."]
        path.write_text(json.dumps(notebook))
        edited = _build(layout.root)
        count = len(layout.chapters())
    return [
        Compared(
            "The book built again",
            f"{count} chapters and the site",
            name,
            "built from nothing",
            seconds,
            cold,
        )
        for name, seconds in (
            ("nothing changed", warm),
            ("one sentence added to one chapter", edited),
        )
    ]


def main():
    """Print the table."""
    for row in compare(is_quick(__doc__, "one chapter")):
        print(f"{row.ours}: {row.of_ours:.1f} s, from nothing {row.of_reference:.1f} s")


if __name__ == "__main__":
    main()
