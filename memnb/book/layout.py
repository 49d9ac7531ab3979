"""Where things are, and which chapters there are."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

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
