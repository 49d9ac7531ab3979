"""All chapters: the folder of the book, which an installed package is not part of.

Notebooks, results and the style of the pages stand beside the package in a checkout. Where the
package was installed without them, ``MEMNB_ROOT`` names a checkout; nothing is ever written into an
installation.
"""

import os
from pathlib import Path

__all__ = ["NoCheckout", "root"]


class NoCheckout(OSError):
    """There is no book; the message is one line that says what to do."""


def root() -> Path:
    """Root of the checkout: the folder that ``MEMNB_ROOT`` names, or that this package stands in.

    Returns
    -------
    Path

    Raises
    ------
    NoCheckout
        If it holds no book.
    """
    folder = os.environ.get("MEMNB_ROOT") or Path(__file__).resolve().parents[1]
    folder = Path(folder).resolve()
    if not (folder / "_toc.yml").is_file():
        raise NoCheckout(f"{folder} holds no book: name the folder of a checkout in MEMNB_ROOT")
    return folder
