"""The rules of the package that are about its text: docstrings, annotations, length."""

import ast
import importlib
import re

import pytest
from support import ROOT

MODULES = sorted(str(p.relative_to(ROOT / "memnb")) for p in (ROOT / "memnb").rglob("*.py"))
SERVES = ("All chapters: ", "Chapter ", "Chapters ", "The book: ", "memnb: ")
MAX_LINES = 350
PRESENTATION = ("explorers/", "figures/")


def tree(module):
    return ast.parse((ROOT / "memnb" / module).read_text())


def public(body):
    """Public functions of a module or class, and their public methods, by name."""
    for node in body:
        called = node.name if isinstance(node, (ast.ClassDef, ast.FunctionDef)) else "_"
        if called.startswith("_") and called not in ("__init__", "__call__"):
            continue
        if isinstance(node, ast.ClassDef):
            for name, method in public(node.body):
                yield f"{called}.{name}", method
        else:
            yield called, node


def bare(function):
    """Arguments without annotation, and ``return``."""
    spec = function.args
    named = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]
    named += [a for a in (spec.vararg, spec.kwarg) if a is not None]
    missing = [a.arg for a in named if a.annotation is None and a.arg not in ("self", "cls")]
    return missing + ["return"] * (function.returns is None and function.name != "__init__")


@pytest.mark.parametrize("module", MODULES)
def test_public_functions_are_annotated(module):
    missing = {name: bare(function) for name, function in public(tree(module).body)}
    assert not {name: arguments for name, arguments in missing.items() if arguments}


@pytest.mark.parametrize("module", [m for m in MODULES if not m.startswith(PRESENTATION)])
def test_a_module_says_first_whom_it_serves(module):
    line = (ast.get_docstring(tree(module)) or "nothing").splitlines()[0]
    assert line.startswith(SERVES)


@pytest.mark.parametrize("module", MODULES)
def test_public_functions_have_docstrings(module):
    missing = [name for name, function in public(tree(module).body)
               if not ast.get_docstring(function) and not name.endswith("__init__")]  # fmt: skip
    assert not missing


def test_no_module_is_longer_than_350_lines():
    lengths = {m: len((ROOT / "memnb" / m).read_text().splitlines()) for m in MODULES}
    assert not {m: n for m, n in lengths.items() if n > MAX_LINES}


REFERENCE = re.compile(r":(?:class|func|mod|data|attr|meth|exc):`~?(memnb[\w.]*)`")


def home(reference):
    """The module where the object of a dotted name is defined, and the one that the name gives."""
    parts = reference.split(".")
    for k in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:k]))
        except ModuleNotFoundError:
            continue
        value = module
        for part in parts[k:]:
            value = getattr(value, part)
        first = getattr(module, parts[k]) if k < len(parts) else module
        return getattr(first, "__module__", module.__name__), module.__name__
    raise ModuleNotFoundError(reference)


@pytest.mark.parametrize("module", MODULES)
def test_references_name_the_defining_module(module):
    """The API page documents an object there, so that only such a reference becomes a link."""
    references = [(r, home(r)) for r in REFERENCE.findall((ROOT / "memnb" / module).read_text())]
    assert not [r for r, (defined, named) in references if defined != named]
