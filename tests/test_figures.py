"""Figures are numbered in the order of the page, and every number that a text names exists."""

import ast
import json
import re

import pytest
from support import ROOT

from memnb.explorers import (
    linear_model,
    probability_flow,
    score_flow,
    simplex_data,
    trained_denoisers,
    unet_transition,
)

CHAPTERS = {
    "01-score-flow": score_flow,
    "02-probability-flow": probability_flow,
    "03-simplex-data": simplex_data,
    "04-trained-denoisers": trained_denoisers,
    "05-linear-model": linear_model,
    "06-unet-transition": unet_transition,
}


def cells(chapter):
    return json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text())["cells"]


def shown(chapter):
    """Every figure of a chapter in the order of the page, as (number, caption)."""
    factories = {make.__name__: make for make in CHAPTERS[chapter].EXPLORERS.values()}
    for cell in cells(chapter):
        if cell["cell_type"] != "code":
            continue
        code = "".join(line for line in cell["source"] if not line.startswith(("%", "!")))
        calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
        for call in sorted(calls, key=lambda node: (node.end_lineno, node.end_col_offset)):
            name = ast.unparse(call.func)
            if name == "style.show":
                given = {word.arg: ast.literal_eval(word.value) for word in call.keywords
                         if word.arg in ("number", "caption")}  # fmt: skip
                yield given.get("number"), given.get("caption")
            elif name.startswith("explorers.") and name.split(".")[1] in factories:
                explorer = factories[name.split(".")[1]]()
                yield explorer.number, explorer.title


@pytest.fixture(scope="module")
def figures():
    return {chapter: list(shown(chapter)) for chapter in CHAPTERS}


def test_every_figure_has_the_next_number_and_a_caption(figures):
    for chapter, pairs in figures.items():
        numbers = [number for number, _ in pairs]
        assert numbers == [f"{int(chapter[:2])}.{k}" for k in range(1, len(pairs) + 1)], chapter
        assert all(caption and caption.strip() for _, caption in pairs), chapter
        assert len({caption for _, caption in pairs}) == len(pairs), chapter


def test_every_explorer_of_a_chapter_is_shown_in_it(figures):
    for chapter, module in CHAPTERS.items():
        numbers = [number for number, _ in figures[chapter]]
        for make in module.EXPLORERS.values():
            assert make().number in numbers, (chapter, make.__name__)


def test_every_figure_that_a_text_names_exists(figures):
    """Numbers with a point are the book's own; the papers' figures have none."""
    existing = {number for pairs in figures.values() for number, _ in pairs}
    texts = {path: path.read_text() for path in sorted((ROOT / "book").rglob("*.md"))}
    texts |= {path: path.read_text() for path in sorted((ROOT / "memnb").rglob("*.py"))}
    for chapter in CHAPTERS:
        texts[chapter] = "\n".join("".join(cell["source"]) for cell in cells(chapter))
    for where, text in texts.items():
        for number in re.findall(r"\b[Ff]igures?\s+(\d+\.\d+)\b", text):
            assert number in existing, f"{where}: figure {number}"
