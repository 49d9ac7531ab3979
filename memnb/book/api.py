"""The book: the pages of the API, written from the map of the package.

One page for what all chapters share, and one for each package after it: a single page of all
docstrings is so long, with so many formulas, that a browser takes half a minute to lay it out.
"""

import importlib
import pkgutil
import re
import types

import memnb

__all__ = ["PARTS", "SHARED", "api_pages", "package_map"]

SHARED = "shared"  # name of the page of the modules that belong to no package
# Modules of a package that have a page of their own, since one page of all would be slow to open:
# the name of the page, what they do, and which they are
PARTS = {
    "unet": (
        "unet-measures",
        "what is measured of its images",
        ("baselines", "copies", "digit_transition", "explained", "figure_four", "growth", "history",
         "local_score", "metric", "onset", "pixel_density", "resampling", "script_units",
         "virtual_points", "virtual_sums"),
    ),
}  # fmt: skip


def package_map() -> list[tuple[str, str, str]]:
    """The map of the package, as the docstring of :mod:`memnb` draws it.

    Returns
    -------
    list of tuple
        Package or module, what it holds, and the chapters that it serves, in order.
    """
    lines = memnb.__doc__.splitlines()
    edges = [number for number, line in enumerate(lines) if line.startswith("===")]
    columns = [match.span() for match in re.finditer("=+", lines[edges[0]])]
    rows = lines[edges[1] + 1 : edges[2]]
    return [tuple(row[a:b].strip().strip("`") for a, b in columns) for row in rows]


def _home(value: object) -> str | None:
    """The module that defines a function, a class or itself; None for a constant."""
    if isinstance(value, types.ModuleType):
        return value.__name__
    return getattr(value, "__module__", None)


def _module(name: str) -> list[str]:
    """Lines that document a module; none for a command or one without public names."""
    module = importlib.import_module(name)
    if name.endswith(".__main__") or not getattr(module, "__all__", []):
        return []
    elsewhere = [n for n in module.__all__ if _home(getattr(module, n)) not in (None, name)]
    options = ["   :members:", "   :special-members: __call__"]
    if elsewhere:
        options.append(f"   :exclude-members: {', '.join(elsewhere)}")
    return [f"## {name}", "", "```{eval-rst}", f".. automodule:: {name}", *options, "```", ""]


def _serves(chapters: str) -> str:
    """Chapters in words."""
    if chapters == "all":
        return "all chapters"
    return f"chapter{'s' if ' ' in chapters else ''} {chapters}"


def api_pages() -> dict[str, str]:
    """Markdown of the pages of the API, by name: ``api``, ``api-<package>`` and ``api-<part>``.

    Every public name of every public module is documented from its docstring, where it is defined.

    Returns
    -------
    dict of str to str
    """
    modules = [m.name for m in pkgutil.walk_packages(memnb.__path__, "memnb.")]
    front = ["# API", "", "```{eval-rst}", ".. automodule:: memnb", "```", "", "## Pages", ""]
    front.append(f"- [{SHARED}](api-{SHARED}.md): modules that all chapters share")
    pages = {"api": front, f"api-{SHARED}": ["# memnb: what all chapters share", ""]}
    for package, holds, chapters in package_map():
        if package == "book":  # commands
            continue
        home = f"memnb.{package}"
        inside = [m for m in modules if m.startswith(f"{home}.")]
        if inside:
            front.append(f"- [{package}](api-{package}.md): {holds} ({_serves(chapters)})")
            pages[f"api-{package}"] = [f"# {home}: {holds} ({_serves(chapters)})", ""]
        part, does, apart = PARTS.get(package, ("", "", ()))
        if part:
            front.append(f"- [{package}, continued](api-{part}.md): {does}")
            pages[f"api-{part}"] = [f"# {home}: {does}", ""]
        own = package if inside else SHARED
        for name in (home, *inside):
            page = part if name.removeprefix(f"{home}.") in apart else own
            pages[f"api-{page}"] += _module(name)
    return {name: "\n".join([*lines, ""]) for name, lines in pages.items()}
