"""Figures are numbered in the order of the page, and every number that a text names exists."""

import ast
import importlib
import inspect
import json
import pkgutil
import re

import pytest
from support import ROOT

from memnb import figures as package
from memnb.explorers import (
    auditing,
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
    "07-audit": auditing,
}


def cells(chapter):
    return json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text())["cells"]


GENERAL = {"curves_figure", "side_by_side"}  # too general to name what they draw


def functions():
    """Public functions of all modules of figures, by name."""
    result = {}
    for entry in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"memnb.figures.{entry.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                assert name not in result, f"{name} in {module.__name__} and {result[name]}"
                result[name] = function
    return result


def shown(chapter):
    """Every figure of a chapter in the order of the page: number, caption, what draws it."""
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
                drawn = re.findall(r"figures\.(\w+)\(", ast.unparse(call.args[0]))
                yield given.get("number"), given.get("caption"), drawn
            elif name.startswith("explorers.") and name.split(".")[1] in factories:
                explorer = factories[name.split(".")[1]]()
                drawn = re.findall(r"\w+\.(\w+)\(", inspect.getsource(CHAPTERS[chapter]))
                yield explorer.number, explorer.title, drawn


@pytest.fixture(scope="module")
def figures():
    return {chapter: list(shown(chapter)) for chapter in CHAPTERS}


def test_every_figure_has_the_next_number_and_a_caption(figures):
    for chapter, entries in figures.items():
        numbers = [number for number, *_ in entries]
        assert numbers == [f"{int(chapter[:2])}.{k}" for k in range(1, len(entries) + 1)], chapter
        captions = [caption for _, caption, _ in entries]
        assert all(caption and caption.strip() for caption in captions), chapter
        assert len(set(captions)) == len(captions), chapter


def test_docstrings_name_the_figures_that_are_drawn(figures):
    """And no two public functions of the package share a name."""
    known = functions()
    named = {
        name: set(re.findall(r"\d+\.\d+", line))
        for name, function in known.items()
        for line in re.findall(
            r"^Figures? (.*) of the book\.$", inspect.getdoc(function) or "", re.M
        )
    }
    drawn_by = {}
    for entries in figures.values():
        for number, _, drawn in entries:
            names = [name for name in drawn if name in named or name in GENERAL]
            assert names, f"figure {number}: no docstring names it"
            for name in names:
                drawn_by.setdefault(name, set()).add(number)
    for name, numbers in named.items():
        assert numbers <= drawn_by.get(name, set()), f"{name} does not draw {sorted(numbers)}"
    everything = {number for entries in figures.values() for number, *_ in entries}
    general = {n for name in GENERAL for n in drawn_by.get(name, ())}
    assert everything <= set().union(*named.values()) | general


def test_every_explorer_of_a_chapter_is_shown_in_it(figures):
    for chapter, module in CHAPTERS.items():
        numbers = [number for number, *_ in figures[chapter]]
        for make in module.EXPLORERS.values():
            assert make().number in numbers, (chapter, make.__name__)


def test_every_figure_that_a_text_names_exists(figures):
    """Numbers with a point are the book's own; the papers' figures have none."""
    existing = {number for entries in figures.values() for number, *_ in entries}
    texts = {path: path.read_text() for path in sorted((ROOT / "book").rglob("*.md"))}
    texts |= {path: path.read_text() for path in sorted((ROOT / "memnb").rglob("*.py"))}
    for chapter in CHAPTERS:
        texts[chapter] = "\n".join("".join(cell["source"]) for cell in cells(chapter))
    for where, text in texts.items():
        for number in re.findall(r"\b[Ff]igures?\s+(\d+\.\d+)\b", text):
            assert number in existing, f"{where}: figure {number}"
