"""A claim fails when its measurement does, and its record survives the notebook."""

import json

import pytest

from memnb import claims
from memnb.book.verdicts import claims_of

FACTS = {
    "statement": "Water boils at 100 °C.",
    "source": "a kettle",
    "chapter": "01",
    "measured": "99.9",
    "notices": "half a kelvin",
}


@pytest.mark.parametrize("expect", ["reproduced", "differs"])
def test_verdict_is_kept_only_while_it_holds(expect):
    assert claims.check(**FACTS, holds=True, expect=expect).verdict == expect
    with pytest.raises(claims.ClaimChanged, match=r"Water boils .* 99\.9"):
        claims.check(**FACTS, holds=False, expect=expect)


def test_records_round_trip_through_a_notebook():
    cards = [
        claims.check(**FACTS, holds=True, evidence="a thermometer"),
        claims.not_attempted("It freezes.", source="a freezer", chapter="01", why="no freezer"),
    ]
    outputs = [{"output_type": "execute_result", "data": c._repr_mimebundle_()} for c in cards]
    cells = [{"cell_type": "markdown", "source": "x"}]
    cells += [{"cell_type": "code", "outputs": [output]} for output in outputs]
    assert claims_of(json.loads(json.dumps({"cells": cells}))) == cards
    assert cards[1].verdict == "not attempted" and cards[1].measured == "no freezer"


def test_html_is_escaped():
    claim = claims.check(
        "a < b & c", source="<s>", chapter="1", measured="1 > 0", holds=True, notices="any"
    )
    html = claim._repr_mimebundle_()["text/html"]
    assert "a &lt; b &amp; c" in html and "&lt;s&gt;" in html and "1 &gt; 0" in html
    assert "<s>" not in html


def test_bad_records():
    with pytest.raises(ValueError, match="measured must not be empty"):
        claims.check("a", source="b", chapter="c", measured=" ", holds=True, notices="x")
    for judged in (True, False):
        with pytest.raises(ValueError, match="notices must not be empty"):
            claims.check(**FACTS | {"notices": ""}, holds=True, judged=judged)
    with pytest.raises(TypeError, match="notices"):
        claims.check("a", source="b", chapter="c", measured="d", holds=True)
    with pytest.raises(ValueError, match="expect must be one of 'reproduced', 'differs'"):
        claims.check(**FACTS, holds=True, expect="not attempted")


def test_a_claim_about_other_parameters_is_shown_and_not_judged():
    claim = claims.check(**FACTS, holds=False, judged=False)
    assert claim.verdict == "not judged" and claim.measured == FACTS["measured"]
    assert "half a kelvin" in claim._repr_mimebundle_()["text/html"]
