"""Where things are, and which chapters there are."""

import ast
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memnb.parameters import check_names

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """Folders of one book.

    Parameters
    ----------
    root : Path
        Folder with ``notebooks/``, ``book/``, ``_config.yml`` and ``_toc.yml``.
    """

    root: Path

    @classmethod
    def here(cls):
        """The book named by ``MEMNB_ROOT``, or the one this package stands in."""
        root = os.environ.get("MEMNB_ROOT") or Path(__file__).resolve().parents[2]
        root = Path(root).resolve()
        if not (root / "_toc.yml").is_file():
            raise SystemExit(f"{root} holds no _toc.yml: run from a checkout of the book")
        return cls(root)

    @property
    def notebooks(self):
        return self.root / "notebooks"

    @property
    def build(self):
        return self.root / "_build"

    @property
    def executed(self):
        return self.build / "executed"

    @property
    def site(self):
        return self.build / "site"

    def chapters(self):
        """Chapter names (file names without extension) in reading order."""
        return sorted(path.stem for path in self.notebooks.glob("[0-9][0-9]-*.ipynb"))

    def resolve(self, names):
        """Chapters by name or number; an unknown one is an error that lists all."""
        chapters = self.chapters()
        found = []
        for name in names or chapters:
            stem = re.sub(r"\.ipynb$", "", Path(name).name)
            match = [c for c in chapters if c == stem or c.split("-")[0] == stem.zfill(2)]
            if not match:
                raise SystemExit(f"unknown chapter {name!r}, allowed: {', '.join(chapters)}")
            found.append(match[0])
        return list(dict.fromkeys(found))

    def read(self, chapter: str, texts: Mapping[str, str]) -> dict[str, Any]:
        """Parameters, given as text, of a chapter of which :mod:`memnb.parameters` knows nothing.

        Parameters
        ----------
        chapter : str
            Name of the chapter.
        texts : mapping of str to str
            Python literals, or else strings, by name.

        Returns
        -------
        dict
            Their values.

        Raises
        ------
        ValueError
            If the chapter's parameters cell does not assign a name, or JSON cannot hold a value.
        """
        cells = json.loads((self.notebooks / f"{chapter}.ipynb").read_text())["cells"]
        tagged = [c for c in cells if "parameters" in c["metadata"].get("tags", [])]
        tree = ast.parse("".join(line for c in tagged for line in c["source"]))
        targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
        check_names(texts, [t.id for t in targets if isinstance(t, ast.Name)])
        values = {}
        for name, text in texts.items():
            try:
                value = ast.literal_eval(text)
            except (ValueError, SyntaxError):
                value = text
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError):
                raise ValueError(f"{name} must be a value that JSON can hold, got {text}") from None
            values[name] = value
        return values
