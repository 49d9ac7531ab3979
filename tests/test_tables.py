"""Tables: what a reader sees in HTML and in text is what the cells hold."""

import doctest
from html.parser import HTMLParser

import pytest
import torch

from memnb.figures import style, tables


class Cells(HTMLParser):
    """Texts, tags and sides of the cells of an HTML table, row by row."""

    def __init__(self):
        super().__init__()
        self.rows, self.caption, self.open = [], "", None

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            side = attrs["style"].removeprefix("text-align: ")
            self.rows[-1].append([tag, attrs.get("scope"), side, ""])
        self.open = tag

    def handle_data(self, data):
        if self.open in ("th", "td"):
            self.rows[-1][-1][3] += data
        elif self.open == "caption":
            self.caption += data

    def handle_endtag(self, tag):
        self.open = None


def parsed(shown):
    reader = Cells()
    reader.feed(shown._repr_mimebundle_()["text/html"])
    return reader


ROWS = [["a < b & c", 3, 0.123456, None], ["ᾱ̄", -12, torch.tensor(2.5), "0.4 ± 0.1"]]
COLUMNS = ["case", "n", "share", "error"]


def test_html_holds_the_cells_with_their_headings():
    reader = parsed(style.table(ROWS, columns=COLUMNS, caption="Cases & <shares>"))
    assert reader.caption == "Cases & <shares>"
    texts = [[cell[3] for cell in row] for row in reader.rows]
    assert texts == [
        COLUMNS,
        ["a < b & c".replace(" ", "\N{NO-BREAK SPACE}"), "3", "0.1235", "–"],  # on one line
        ["ᾱ̄", "-12", "2.5", "0.4 ± 0.1"],
    ]
    assert [cell[:2] for cell in reader.rows[0]] == [["th", "col"]] * 4
    for row in reader.rows[1:]:
        assert [cell[:2] for cell in row] == [["th", "row"], *[["td", None]] * 3]


def test_numbers_are_aligned_right_and_texts_left():
    reader = parsed(style.table(ROWS, columns=COLUMNS, caption="Cases"))
    assert [[cell[2] for cell in row] for row in reader.rows] == [
        ["left", "right", "right", "right"]
    ] * 3
    reader = parsed(style.table([["x", "n = 3"]], columns=["a", "b"], caption="c", align="rc"))
    assert [cell[2] for cell in reader.rows[1]] == ["right", "center"]
    for text in ("12", "-0.5", "1e-05", "0.44 ± 0.01", "98.6 / 83.5 %", "< 0.1", "1 to 3", "94°"):
        assert style.table([["x", text]], columns=["a", "b"], caption="c").align == "lr", text
    for text in ("N = 3", "reproduced", "", "3 of 4", "d/2"):
        assert style.table([["x", text]], columns=["a", "b"], caption="c").align == "ll", text


def test_short_headings_stay_on_one_line():
    shown = style.table([[1, 2]], columns=["N = 100", "number of starts"], caption="c")
    assert [cell[3] for cell in parsed(shown).rows[0]] == ["N\xa0=\xa0100", "number of starts"]
    assert "N = 100  number of starts" in str(shown)


def test_text_is_padded_by_what_is_seen():
    text = str(style.table(ROWS, columns=COLUMNS, caption="Cases"))
    assert text.splitlines() == [
        "Cases",
        "case         n   share      error",
        "---------  ---  ------  ---------",
        "a < b & c    3  0.1235          –",
        "ᾱ̄          -12     2.5  0.4 ± 0.1",
    ]
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_the_same_in_the_build_and_in_lab(monkeypatch):
    shown = style.table(ROWS, columns=COLUMNS, caption="Cases")
    bundle = shown._repr_mimebundle_()
    monkeypatch.setenv("MEMNB_STATIC", "1")
    assert shown._repr_mimebundle_() == bundle
    assert set(bundle) == {"text/html", "text/plain"}


def test_bad_input_is_named():
    good = {"columns": ["a", "b"], "caption": "c"}
    with pytest.raises(ValueError, match="row 1 must have 2 cells as columns, got 1"):
        style.table([[1, 2], [1]], **good)
    with pytest.raises(ValueError, match="at least one row"):
        style.table([], **good)
    with pytest.raises(ValueError, match="at least one column"):
        style.table([[]], columns=[], caption="c")
    with pytest.raises(ValueError, match="caption must be"):
        style.table([[1, 2]], columns=["a", "b"], caption=" ")
    with pytest.raises(ValueError, match="align must be 2 letters"):
        style.table([[1, 2]], **good, align="lx")
    with pytest.raises(TypeError, match=r"row 0, column 'b' must be .* got list"):
        style.table([[1, [2]]], **good)
    with pytest.raises(TypeError, match="columns must be a sequence of strings"):
        style.table([[1, 2]], columns="ab", caption="c")
    with pytest.raises(TypeError, match="row 0 must be a sequence of cells, got 'ab'"):
        style.table(["ab"], **good)
    with pytest.raises(TypeError, match="row 0 must be a sequence of cells, got 3"):
        style.table([3], **good)


def test_examples():
    assert doctest.testmod(tables).failed == 0
