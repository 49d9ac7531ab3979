"""Small books to test with."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def notebook(*sources, parameters="x = 1"):
    """A small chapter: a title, a parameters cell and code cells."""

    def code(number, text, tags=()):
        return {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {"tags": list(tags)} if tags else {},
            "execution_count": None,
            "outputs": [],
            "source": text,
        }

    title = {"cell_type": "markdown", "id": "t", "metadata": {}, "source": "# A small chapter"}
    cells = [title, code(0, parameters, ["parameters"])]
    cells += [code(i, text) for i, text in enumerate(sources, 1)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": cells,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


class Book:
    """A book of two small chapters in a folder of its own, driven by the command line."""

    def __init__(self, root):
        self.root = root
        if root.exists():  # a copy of another one
            return
        for folder in ("notebooks", "book"):
            (root / folder).mkdir(parents=True)
        shutil.copytree(ROOT / "assets", root / "assets", ignore=shutil.ignore_patterns("mathjax"))
        config = (ROOT / "_config.yml").read_text()
        (root / "_config.yml").write_text(config.replace("mathjax_path:", "# mathjax_path:"))
        (root / "_toc.yml").write_text(
            "format: jb-book\nroot: book/intro\nchapters:\n"
            "  - file: notebooks/01-a\n  - file: notebooks/02-b\n  - file: book/claims\n"
        )
        (root / "book" / "intro.md").write_text("# A small book\n")
        shutil.copy(ROOT / "book" / "claims.md", root / "book" / "claims.md")
        (root / "book" / "references.bib").write_text("")
        self.write("01-a", "print(x + 1)")
        self.write("02-b", "print(x + 2)")

    def write(self, name, *sources):
        (self.root / "notebooks" / f"{name}.ipynb").write_text(json.dumps(notebook(*sources)))

    def copy(self, root):
        """The same book elsewhere, built as far as this one is."""
        shutil.copytree(self.root, root, symlinks=True)
        return Book(root)

    @property
    def site(self):
        return self.root / "_build" / "site"

    def command(self, *arguments):
        return [sys.executable, "-m", "memnb", *map(str, arguments)]

    @property
    def environment(self):
        return {**os.environ, "MEMNB_ROOT": str(self.root)}

    def cli(self, *arguments):
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=ROOT,
        )
