"""The book: one text of the chapters for Sphinx, which renders the site, and for JupyterLab.

Both read MyST, but JupyterLab knows no bibliography and numbers proofs. A chapter is therefore
written as any reader of notebooks shows it, and rewritten for Sphinx when the site is staged:

- a source is cited by a link to it, ``[Zeno et al. (2023)](https://arxiv.org/abs/2311.06748)`` in a
  sentence and ``([Zeno et al. 2023](...))`` or ``([Zeno et al. 2023, Theorem 1](...))`` in
  parentheses. Sphinx gets ``{cite:t}`` and ``{cite:p}``, and so the entry of the bibliography.
- a proof begins with ``:nonumber:``, which Sphinx does not know and need not be told.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pybtex.database import Entry, parse_file
from pybtex.richtext import Text

__all__ = ["Source", "faults", "for_sphinx", "sources"]

_LINK = re.compile(r"(\(?)\[([^\[\]]+)\]\((https://[^()\s]+)\)(\)?)")
_EMPTY = re.compile(r"\[\]\(([^)#\s]+)\)")
_PROOF = re.compile(r"^(`{3,}\{prf:proof\}\n)(:nonumber:\n)?", re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """An entry of the bibliography: its key, its authors as they are cited, and its year."""

    key: str
    authors: str
    year: str

    def cited(self, text: str, in_parentheses: bool) -> str | None:
        """The role that stands for a link of this text, or nothing if the text is no citation."""
        if text == f"{self.authors} ({self.year})":
            return f"{{cite:t}}`{self.key}`"
        short, comma, note = text.partition(", ")
        if in_parentheses and short == f"{self.authors} {self.year}" and (note or not comma):
            return f"{{cite:p}}`{self.key}{{{note}}}`" if note else f"{{cite:p}}`{self.key}`"
        return None


def _address(entry: Entry) -> str:
    """Where an entry can be read."""
    fields = entry.fields
    if "eprint" in fields:
        return f"https://arxiv.org/abs/{fields['eprint']}"
    return f"https://doi.org/{fields['doi']}" if "doi" in fields else fields["url"]


def sources(bibliography: Path) -> dict[str, Source]:
    """The entries of a bibliography, by the address that a chapter links to.

    Parameters
    ----------
    bibliography : Path
        A BibTeX file. Each entry has ``eprint`` (arXiv), ``doi`` or ``url``.

    Returns
    -------
    dict of str to Source

    Raises
    ------
    KeyError
        If an entry has no address.
    """
    entries = {}
    for key, entry in parse_file(str(bibliography)).entries.items():
        names = [
            str(Text.from_latex(" ".join([*person.prelast_names, *person.last_names])))
            for person in entry.persons["author"]
        ]
        authors = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
        entries[_address(entry)] = Source(key, authors, entry.fields["year"])
    return entries


def _citation(link: Sequence[str], known: Mapping[str, Source]) -> tuple[Source | None, str | None]:
    """The source that a link leads to and its role, each None if there is none."""
    before, words, address, after = link
    source = known.get(address)
    return source, source and source.cited(" ".join(words.split()), bool(before and after))


def for_sphinx(text: str, known: Mapping[str, Source]) -> str:
    """Markdown of a chapter as Sphinx is to read it.

    Parameters
    ----------
    text : str
        Markdown cell of a chapter.
    known : mapping of str to Source
        The bibliography, see :func:`sources`.

    Returns
    -------
    str

    Examples
    --------
    >>> known = {"https://arxiv.org/abs/2311.06748": Source("zeno2023", "Zeno et al.", "2023")}
    >>> link = "(https://arxiv.org/abs/2311.06748)"
    >>> for_sphinx(f"[Zeno et al. (2023)]{link} and ([Zeno et al. 2023, Section 2]{link})", known)
    '{cite:t}`zeno2023` and {cite:p}`zeno2023{Section 2}`'
    """

    def role(match: re.Match[str]) -> str:
        _, cited = _citation(match.groups(), known)
        if not cited:
            return match.group()
        return cited if cited.startswith("{cite:p}") else match[1] + cited + match[4]

    return _PROOF.sub(r"\1", _LINK.sub(role, text))


def faults(text: str, known: Mapping[str, Source]) -> Iterator[str]:
    """What one of the two readers would not show as it is meant.

    Parameters
    ----------
    text : str
        Markdown cell of a chapter.
    known : mapping of str to Source
        The bibliography, see :func:`sources`.

    Yields
    ------
    str
        One line for each fault.
    """
    if "{cite" in text:
        yield "{cite} is an error in JupyterLab: link to the source, [Authors (year)](address)"
    for address in _EMPTY.findall(text):
        yield f"a link without text, which JupyterLab shows as {address}"
    if any(not numberless for _, numberless in _PROOF.findall(text)):
        yield "a proof that JupyterLab numbers: begin it with :nonumber:"
    for link in _LINK.findall(text):
        source, cited = _citation(link, known)
        if source and not cited:
            yield (
                f"[{link[1]}]({link[2]}) is no citation: write [{source.authors} ({source.year})] "
                f"or, with parentheses around the link, [{source.authors} {source.year}, place]"
            )
