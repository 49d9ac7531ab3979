"""The book: where things are, and which chapters there are."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memnb import checkout
from memnb.parameters import check_names

__all__ = ["Layout", "NotebookBroken"]


class NotebookBroken(RuntimeError):
    """A file among the chapters is no notebook; the message is one line."""


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
    def here(cls) -> "Layout":
        """The book named by ``MEMNB_ROOT``, or the one this package stands in.

        Returns
        -------
        Layout

        Raises
        ------
        NoCheckout
            If there is none, as where the package was installed without its book.
        """
        return cls(checkout.root())

    @property
    def notebooks(self) -> Path:
        """The chapters, which are never written."""
        return self.root / "notebooks"

    @property
    def build(self) -> Path:
        """All that is built."""
        return self.root / "_build"

    @property
    def executed(self) -> Path:
        """Executed chapters and their records."""
        return self.build / "executed"

    @property
    def site(self) -> Path:
        """The site: a link to the last one that was finished."""
        return self.build / "site"

    def load(self, chapter: str) -> dict[str, Any]:
        """The notebook of a chapter in its JSON form.

        Parameters
        ----------
        chapter : str
            Name of the chapter.

        Returns
        -------
        dict
            With at least a list of ``cells``.

        Raises
        ------
        NotebookBroken
            If the file is cut off, or is something else.
        """
        path = self.notebooks / f"{chapter}.ipynb"
        try:
            notebook = json.loads(path.read_text())
            for cell in notebook["cells"]:
                _ = cell["source"], cell["metadata"]
                _ = cell["cell_type"] != "code" or cell["outputs"]
        except (ValueError, KeyError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise NotebookBroken(
                f"chapter {chapter}: {path} is no whole notebook ({reason})"
            ) from None
        return notebook

    def chapters(self) -> list[str]:
        """Chapter names (file names without extension) in reading order."""
        return sorted(path.stem for path in self.notebooks.glob("[0-9][0-9]-*.ipynb"))

    def resolve(self, names: Sequence[str]) -> list[str]:
        """Chapters by name or number.

        Parameters
        ----------
        names : sequence of str
            As in ``"2"``, ``"02-probability-flow"`` or the path of the notebook; all if empty.

        Returns
        -------
        list of str
            Each chapter once.

        Raises
        ------
        SystemExit
            If there is no such chapter; the message lists all.
        """
        chapters = self.chapters()
        chosen = []
        for name in names or chapters:
            stem = re.sub(r"\.ipynb$", "", Path(name).name)
            match = [c for c in chapters if c == stem or c.split("-")[0] == stem.zfill(2)]
            if not match:
                raise SystemExit(f"memnb: unknown chapter {name!r}, allowed: {', '.join(chapters)}")
            chosen.append(match[0])
        return list(dict.fromkeys(chosen))

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
        cells = self.load(chapter)["cells"]
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
