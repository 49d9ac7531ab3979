"""The book: the page of claims and verdicts, and how chapters and that page refer to each other."""

import html
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from memnb.claims import MIME, STYLE, VERDICTS, Claim

__all__ = ["anchored", "claims_of", "with_claims"]

# Who states a claim: how its source begins, and the heading of its group
GROUPS = (
    ("Zeno et al. 2025", "Zeno et al. 2025"),
    ("Zeno et al. 2023", "Zeno et al. 2023"),
    ("P2", "P2: Halder 2025"),
    ("this book", "This book"),
    ("", "Other papers"),
)
MEANINGS = {
    "reproduced": "the measurement supports the statement.",
    "differs": "the measurement does not support it, or only in part; see the chapter.",
    "not attempted": "the chapters do not test it, for the reason given.",
    "not judged": "the chapter was executed with other parameters than those of which the "
    "statement speaks.",
}


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
    return [Claim(**output["data"][MIME]) for output in _outputs(notebook)]


def _outputs(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    outputs = (o for cell in notebook["cells"] for o in cell.get("outputs", []))
    return [o for o in outputs if MIME in o.get("data", {})]


def _anchor(number: int) -> str:
    return f"claim-{number}"


def _badge(verdict: str, text: str = "") -> str:
    style = verdict.replace(" ", "-")
    return f'<span class="memnb-verdict memnb-{style}">{text or verdict}</span>'


def _counts(claims: Iterable[Claim]) -> list[str]:
    """A badge with the number of claims of each verdict that occurs."""
    counts = Counter(claim.verdict for claim in claims)
    return [_badge(v, f"{counts[v]} {v}") for v in VERDICTS if counts[v]]


def anchored(notebook: dict[str, Any]) -> dict[str, Any]:
    """A chapter whose claims can be linked to, and whose first lines count its verdicts.

    Parameters
    ----------
    notebook : dict
        Executed notebook in its JSON form; it is changed.

    Returns
    -------
    dict
        The same notebook.
    """
    for number, output in enumerate(_outputs(notebook), 1):
        text = "".join(output["data"]["text/html"]).removeprefix(STYLE)
        output["data"]["text/html"] = text.replace(
            '<div class="memnb-claim"', f'<div class="memnb-claim" id="{_anchor(number)}"', 1
        )
    claims = claims_of(notebook)
    first = notebook["cells"][0]
    title, _, rest = "".join(first["source"]).partition("\n")
    if claims and first["cell_type"] == "markdown" and title.startswith("# "):
        page = f"../book/claims.html?chapter={claims[0].chapter}"
        link = f'<a href="{page}">Claims of this chapter</a>'
        line = f'<p class="memnb-verdicts">{link}: {" ".join(_counts(claims))}</p>'
        first["source"] = f"{title}\n\n{line}\n{rest}"
    return notebook


def _text(text: str) -> str:
    """Text as HTML, with names of code between backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def _part(claim: Claim, place: str) -> str:
    """Where in its source a claim stands: a section, a chapter of this book, or a kind of place."""
    if claim.source.startswith("this book"):
        return f"Chapter {int(claim.chapter.split('-')[0])}"
    section = re.search(r"Sections? \d( and \d)?|Appendix \w", place, re.IGNORECASE)
    if section:
        return section.group()[0].upper() + section.group()[1:]
    theorem = re.search(r"Theorems? (\d)\.", place)  # numbered by section
    if theorem:
        return f"Section {theorem.group(1)}"
    kinds = {"abstract": "Abstract", "contribution": "Abstract", "conclusion": "Abstract",
             "Figure": "Figures", "eq": "Equations"}  # fmt: skip
    return next((name for start, name in kinds.items() if place.startswith(start)), "Elsewhere")


def _source(claim: Claim) -> tuple[str, str, str]:
    """Who states a claim, in which part of that source, and its place there in words."""
    start, heading = next(group for group in GROUPS if claim.source.startswith(group[0]))
    place = claim.source.removeprefix(start).lstrip(",; ")
    return heading, _part(claim, place) if start else "", place


def _row(claim: Claim, number: int, titles: dict[str, str]) -> str:
    """A claim: its verdict, its statement, which opens what was measured, and where it stands."""
    _, part, place = _source(claim)
    # What the heading of the part says already is not said again
    source = "" if place in ("", part) else f" <small>({_text(place)})</small>"
    details = [f"<p><strong>Measured:</strong> {_text(claim.measured)}</p>"]
    if claim.evidence:
        details.append(f"<p>{_text(claim.evidence)}</p>")
    if claim.notices:
        details.append(f"<p><strong>Would notice:</strong> {_text(claim.notices)}</p>")
    digits = claim.chapter.split("-")[0]
    title = html.escape(titles[claim.chapter])
    return (
        f'<li class="memnb-row" data-verdict="{claim.verdict}" data-chapter="{claim.chapter}">'
        f"{_badge(claim.verdict)}"
        f"<details><summary>{_text(claim.statement)}{source}</summary>{''.join(details)}</details>"
        f'<a href="../notebooks/{claim.chapter}.html#{_anchor(number)}" '
        f'title="{title}">chapter&nbsp;{int(digits)}</a></li>'
    )


def _place(words: str) -> list[tuple[bool, float, str]]:
    """Key that puts places of a source in order: words by the alphabet, numbers by their size."""
    parts = re.findall(r"\d+|[a-z]+", words.lower())
    return [(p.isalpha(), 0 if p.isalpha() else int(p), p) for p in parts]


def _title(notebook: dict[str, Any], chapter: str) -> str:
    cells = notebook["cells"]
    text = "".join(cells[0]["source"]) if cells and "source" in cells[0] else ""
    heading = re.match(r"# (.+)", text)
    return heading.group(1) if heading else chapter


def with_claims(text: str, notebooks: dict[str, dict[str, Any]]) -> str:
    """Markdown whose end, from a line ``% claims`` on, is replaced by all claims.

    First come their counts, then every claim, grouped by who states it and by section, those of
    this book by chapter. What follows the line is
    for readers of the file itself, before the chapters were executed.

    Parameters
    ----------
    text : str
        Markdown; without such a line it stays as it is.
    notebooks : dict
        Chapter name to executed notebook.

    Returns
    -------
    str
    """
    before, line, _ = text.partition("\n% claims\n")
    return f"{before}\n{_all_claims(notebooks)}" if line else text


def _all_claims(notebooks: dict[str, dict[str, Any]]) -> str:
    titles = {chapter: _title(notebook, chapter) for chapter, notebook in notebooks.items()}
    numbered = [
        (claim, number)
        for notebook in notebooks.values()
        for number, claim in enumerate(claims_of(notebook), 1)
    ]
    lines = [
        f'<p class="memnb-verdicts">{" ".join(_counts(c for c, _ in numbered))}</p>',
        "",
        *(f"- **{verdict}**: {meaning}" for verdict, meaning in MEANINGS.items()),
        "",
        '<div class="memnb-filter"></div>',
        "",
    ]
    groups: dict[str, dict[str, list[str]]] = {heading: {} for _, heading in GROUPS}
    for claim, number in sorted(numbered, key=lambda row: [*map(_place, _source(row[0])[1:])]):
        heading, part, _ = _source(claim)
        groups[heading].setdefault(part, []).append(_row(claim, number, titles))
    for heading, parts in groups.items():
        if parts:
            lines += [f"## {heading}", ""]
        for part, rows in parts.items():
            if len(parts) > 1:
                lines += [f"### {part}", ""]
            lines += ['<ul class="memnb-rows">', *rows, "</ul>", ""]
    return "\n".join(lines)
