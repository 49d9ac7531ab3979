"""One text of the chapters for JupyterLab and for Sphinx."""

import re

import pytest
from support import ROOT

from memnb.book.dialect import faults, for_sphinx, sources
from memnb.claims import STYLE, VERDICTS

KNOWN = sources(ROOT / "book" / "references.bib")
BY_KEY = {source.key: (address, source) for address, source in KNOWN.items()}


def test_every_entry_of_the_bibliography_can_be_cited_in_every_form():
    entries = re.findall(r"^@\w+\{(\w+),", (ROOT / "book" / "references.bib").read_text(), re.M)
    assert sorted(BY_KEY) == sorted(entries) and len(KNOWN) == len(entries)
    for key, (address, source) in BY_KEY.items():
        authors, year = source.authors, source.year
        forms = {
            f"[{authors} ({year})]({address})": f"{{cite:t}}`{key}`",
            f"([{authors} ({year})]({address}))": f"({{cite:t}}`{key}`)",
            f"([{authors} {year}]({address}))": f"{{cite:p}}`{key}`",
            f"([{authors} {year}, Theorem 4.2]({address}))": f"{{cite:p}}`{key}{{Theorem 4.2}}`",
        }
        for link, role in forms.items():
            broken = link.replace(" ", "\n", 1)  # as lines of a paragraph are
            for text in (link, broken):
                assert for_sphinx(f"As {text}, so.", KNOWN) == f"As {role}, so."
                assert not list(faults(text, KNOWN))


def test_authors_are_named_like_on_the_site():
    names = {key: BY_KEY[key][1].authors for key in BY_KEY}
    assert names["halder2025onset"] == "Halder"
    assert names["szekely2013energy"] == "Székely and Rizzo"
    assert names["alaa2022faithful"] == "Alaa et al."


def test_other_links_stay():
    text = "[script](https://github.com/a/b) ([chapter 1](01-score-flow.ipynb)) [](#sec-densities)"
    assert for_sphinx(text, KNOWN) == text and not list(faults(text, KNOWN))


def test_the_number_of_a_proof_is_switched_off_for_jupyterlab_alone():
    proof = "````{prf:proof}\n:nonumber:\nClear.\n````"
    assert for_sphinx(proof, KNOWN) == "````{prf:proof}\nClear.\n````"
    assert not list(faults(proof, KNOWN))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{cite:t}`zeno2023minimum`", "{cite} is an error in JupyterLab"),
        ("[](../book/claims.md)", "JupyterLab shows as ../book/claims.md"),
        ("```{prf:proof}\nClear.\n```", "begin it with :nonumber:"),
        ("[Zeno (2023)](https://arxiv.org/abs/2311.06748)", "write [Zeno et al. (2023)]"),
        ("[Zeno et al. (2024)](https://arxiv.org/abs/2311.06748)", "is no citation"),
        ("[Zeno et al. 2023](https://arxiv.org/abs/2311.06748)", "parentheses around the link"),
        ("([Zeno et al. 2023, ](https://arxiv.org/abs/2311.06748))", "is no citation"),
    ],
)
def test_what_one_reader_would_not_show_is_a_fault(text, said):
    (fault,) = faults(text, KNOWN)
    assert said in fault


def test_badges_have_one_look_on_the_site_and_in_a_notebook():
    sheet = (ROOT / "assets" / "memnb.css").read_text()
    for verdict in VERDICTS:
        rule = rf"\.memnb-{verdict.replace(' ', '-')}\b[^{{]*\{{ background: (#\w+); \}}"
        assert re.search(rule, STYLE)[1] == re.search(rule, sheet)[1]
