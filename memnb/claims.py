"""All chapters: what a paper states, what was measured here, and the verdict.

Every statement of a paper that a chapter relies on is one call of :func:`check`. It shows a line
in the notebook and carries the record along with the output, so that the book's claims page can
be generated from the executed chapters. The verdict is not a matter of taste: the notebook
declares the verdict it expects and computes whether the measurement supports it. If that ever
changes, the chapter fails.
"""

import html
from dataclasses import asdict, dataclass
from typing import Any

from memnb.validation import check_choice

__all__ = ["MIME", "STYLE", "VERDICTS", "Claim", "ClaimChanged", "check", "not_attempted"]

# A notebook has no style sheet; the site has its own, assets/memnb.css, and leaves this one out.
STYLE = """<style>
.memnb-claim { border-left: 4px solid #0072b2; padding: 0.4rem 0.8rem; margin: 0.5rem 0;
  background: var(--jp-layout-color2, rgba(128, 128, 128, 0.12)); }
.memnb-claim > p { margin: 0.15rem 0; }
.memnb-verdict { border-radius: 0.3rem; padding: 0 0.45rem; color: #fff; font-weight: 600; }
.memnb-reproduced { background: #00694d; }
.memnb-differs { background: #a34700; }
.memnb-not-attempted, .memnb-not-judged { background: #555; }
</style>"""
MIME = "application/vnd.memnb.claim+json"
VERDICTS = ("reproduced", "differs", "not attempted", "not judged")


class ClaimChanged(AssertionError):
    """A measurement no longer supports the verdict that the chapter declares."""


@dataclass(frozen=True)
class Claim:
    """One line of the claims page.

    Parameters
    ----------
    statement : str
        What the source states, in one sentence.
    source : str
        Paper and theorem, equation, figure or section.
    chapter : str
        File name of the chapter without extension.
    measured : str
        What was measured, with its error; or, if nothing was, why.
    verdict : {"reproduced", "differs", "not attempted", "not judged"}
        The verdict; "not judged" where the chapter runs with other parameters than those of which
        the claim speaks.
    evidence : str
        How it was measured, or what to look at.
    notices : str
        The tolerance of the check and the smallest effect that it would have noticed; empty only
        where nothing was attempted.

    Raises
    ------
    ValueError
        If the verdict is none, or a text is empty.
    """

    statement: str
    source: str
    chapter: str
    measured: str
    verdict: str
    evidence: str = ""
    notices: str = ""

    def __post_init__(self) -> None:
        check_choice("verdict", self.verdict, VERDICTS)
        needed = ("statement", "source", "chapter", "measured")
        for name in (*needed, *(() if self.verdict == "not attempted" else ("notices",))):
            if not getattr(self, name).strip():
                raise ValueError(f"{name} must not be empty")

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        text = {name: html.escape(value) for name, value in asdict(self).items()}
        style = self.verdict.replace(" ", "-")
        evidence = f"<br><small>{text['evidence']}</small>" if self.evidence else ""
        if self.notices:
            evidence += f"<br><small><strong>Would notice:</strong> {text['notices']}</small>"
        return {
            MIME: asdict(self),
            "text/plain": f"[{self.verdict}] {self.statement} ({self.source}): {self.measured}",
            "text/html": f'{STYLE}<div class="memnb-claim">'
            f'<p><span class="memnb-verdict memnb-{style}">'
            f"{text['verdict']}</span> {text['statement']} <cite>({text['source']})</cite></p>"
            f"<p><strong>Measured:</strong> {text['measured']}{evidence}</p></div>",
        }


def check(
    statement: str,
    *,
    source: str,
    chapter: str,
    measured: str,
    holds: bool,
    expect: str = "reproduced",
    notices: str,
    evidence: str = "",
    judged: bool = True,
) -> Claim:
    """Record a claim, and fail if the measurement does not support the expected verdict.

    Parameters
    ----------
    statement, source, chapter, measured, evidence, notices : str
        See :class:`Claim`; a check that does not say what it would notice is none.
    holds : bool
        Whether the measurement supports ``expect``. For ``"reproduced"`` this is the claim itself;
        for ``"differs"`` it is the fact that shows the difference.
    expect : {"reproduced", "differs"}
        The verdict that the chapter declares.
    judged : bool
        Whether the chapter runs with the parameters of which the claim speaks. If not, the claim
        shows what was measured, ``holds`` decides nothing, and the verdict is "not judged".

    Returns
    -------
    Claim
        To be the last value of its cell, or to be passed to ``display``.

    Raises
    ------
    ClaimChanged
        If ``holds`` is false.
    ValueError
        If a text is empty.

    Examples
    --------
    >>> check("Two is even", source="Euclid", chapter="01", measured="2 % 2 = 0",
    ...       holds=2 % 2 == 0, notices="any remainder").verdict
    'reproduced'
    """
    check_choice("expect", expect, VERDICTS[:2])
    if not judged:
        return Claim(statement, source, chapter, measured, "not judged", evidence, notices)
    claim = Claim(statement, source, chapter, measured, expect, evidence, notices)
    if not holds:
        raise ClaimChanged(f"verdict {expect!r} no longer holds: {statement} Measured: {measured}")
    return claim


def not_attempted(statement: str, *, source: str, chapter: str, why: str) -> Claim:
    """Record a claim that the chapter mentions and does not test.

    Parameters
    ----------
    statement, source, chapter : str
        See :class:`Claim`.
    why : str
        The reason.

    Returns
    -------
    Claim
        With the verdict "not attempted".
    """
    return Claim(statement, source, chapter, why, "not attempted")
