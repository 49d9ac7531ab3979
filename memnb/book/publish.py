"""The book: what a published site has beyond its pages, which is addresses, descriptions, a map.

One value of ``_config.yml``, ``repository: {url: ...}``, says where the book's source is. The links
to it, the buttons that start a chapter on Binder or Colab, and the addresses of the published pages
follow from it. While it is empty, none of them is there.
"""

import html
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

__all__ = ["address", "configured", "downloads", "finish"]

_REPOSITORY = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)/?")
_LARGE = "summary_large_image"
_SKIPPED = ("genindex.html", "py-modindex.html", "prf-prf.html", "search.html", "404.html")


def address(repository: str) -> str:
    """Where the pages of a repository are published, or nothing if there is none.

    Parameters
    ----------
    repository : str
        Address of the repository on GitHub, or empty.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If it is something else.

    Examples
    --------
    >>> address("https://github.com/owner/book")
    'https://owner.github.io/book/'
    """
    if not repository:
        return ""
    match = _REPOSITORY.fullmatch(repository)
    if not match:
        raise ValueError(
            "repository: url in _config.yml must be https://github.com/OWNER/NAME or empty, "
            f"got {repository!r}"
        )
    return f"https://{match[1].lower()}.github.io/{match[2]}/"


def configured(config: dict[str, Any]) -> dict[str, Any]:
    """Jupyter Book's configuration with all that follows from the address of the repository.

    Parameters
    ----------
    config : dict
        Content of ``_config.yml``; it is changed.

    Returns
    -------
    dict
        The same.

    Raises
    ------
    ValueError
        If the address is none.
    """
    repository = config.pop("repository", {})
    site = address(repository.get("url", ""))
    if site:
        settings = config.setdefault("sphinx", {}).setdefault("config", {})
        settings["html_baseurl"] = site
        settings.setdefault("html_theme_options", {}).update({
            "repository_url": repository["url"], "repository_branch": repository["branch"],
            "use_repository_button": True, "use_issues_button": True,
            "launch_buttons": {
                "notebook_interface": "jupyterlab", "binderhub_url": "https://mybinder.org",
                "colab_url": "https://colab.research.google.com",
            },
        })  # fmt: skip
    return config


_CLONED = """# Install what this chapter imports, with the book's kept runs, unless it is there
import importlib.util
import os

if importlib.util.find_spec("memnb") is None:
    !git clone --quiet --depth 1 --branch {branch} {url} memnb-book
    %pip install --quiet ./memnb-book
    os.environ["MEMNB_ROOT"] = os.path.abspath("memnb-book")"""
_BY_HAND = """# This chapter imports memnb and reads the kept runs of its book. In a copy of it
#     pip install .
# and name the copy's folder before Jupyter starts: export MEMNB_ROOT=/path/to/the/copy
import importlib.util

if importlib.util.find_spec("memnb") is None:
    raise ModuleNotFoundError("install memnb first; the lines above say how")"""


def downloads(
    site: Path, notebooks: Path, chapters: Iterable[str], repository: Mapping[str, str]
) -> None:
    """Write the notebooks that the site offers for download: they install what they import.

    Each is the chapter as it stands in the book, without outputs, after one cell that installs
    the package and finds the kept runs, and does nothing where they are there already.

    Parameters
    ----------
    site : Path
        Folder of the site.
    notebooks : Path
        Folder of the chapters.
    chapters : iterable of str
        Their names.
    repository : mapping
        ``url`` and ``branch``; with an empty address the first cell says what to do by hand.
    """
    text = _CLONED.format(**repository) if repository.get("url") else _BY_HAND
    first = {
        "cell_type": "code",
        "execution_count": None,
        "id": "install",
        "metadata": {},
        "outputs": [],
        "source": text.splitlines(keepends=True),
    }
    for chapter in chapters:
        notebook = json.loads((notebooks / f"{chapter}.ipynb").read_text())
        notebook["cells"].insert(0, first)
        written = json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True)
        (site / "_sources" / "notebooks" / f"{chapter}.ipynb").write_text(written + "\n")


def _description(page: str) -> str:
    """The first paragraph below the title of a page, without tags, in 200 characters at most."""
    body = page.partition("<article")[2].partition("</h1>")[2]
    match = re.search(r"<p>(.*?)</p>", body, re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]*>|\\[()]", "", match.group(1))) if match else ""
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:200].rsplit(" ", 1)[0] + " …"


def _tags(site: Path, name: str, page: str, stem: str, base: str) -> str:
    """Lines for the head of a page, its description and its card, at a place in the site."""
    title = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    about = {"og:title": html.unescape(title.group(1)) if title else "", "og:type": "article",
             "og:description": _description(page)}  # fmt: skip
    card = site / "_static" / "cards" / f"{stem}.png"
    if card.is_file():
        start = base or "../" * name.count("/")
        about |= {"og:image": f"{start}_static/cards/{card.name}", "twitter:card": _LARGE}
    if base:
        about["og:url"] = base + name
    tags = [f'<meta property="{k}" content="{html.escape(v)}">' for k, v in about.items() if v]
    if about["og:description"]:
        text = html.escape(about["og:description"])
        tags.append(f'<meta name="description" content="{text}">')
    return "\n".join(tags)


def _write_root(site: Path, base: str) -> None:
    """Describe the first page also at the root, which only forwards to it."""
    root = site / "index.html"
    first = re.search(r'url=([^"]+)"', root.read_text()) if root.is_file() else None
    if not first:
        return
    place = first.group(1)
    page = (site / place).read_text()
    title = re.search(r"<title>.*?</title>", page, re.DOTALL).group()
    root.write_text(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f'<meta http-equiv="Refresh" content="0; url={place}">\n{title}\n'
        f"{_tags(site, '', page, Path(place).stem, base)}\n</head>\n"
        f'<body><p><a href="{place}">To the preface</a></p></body>\n</html>\n'
    )


def finish(site: Path, base: str) -> None:
    """Add descriptions to the pages of a rendered site, and write its map and its page for errors.

    Parameters
    ----------
    site : Path
        Folder of the site; its pages are changed.
    base : str
        Where it is published, or empty. Without it there is no map, as it needs addresses.
    """
    _write_root(site, base)
    pages = [p for p in sorted(site.rglob("*.html")) if p.name not in _SKIPPED]
    pages = [p for p in pages if "_static" not in p.parts and p != site / "index.html"]
    named = [(path, path.relative_to(site).as_posix()) for path in pages]
    for path, name in named:
        page = path.read_text()
        tags = _tags(site, name, page, path.stem, base)
        # Colab opens the notebooks that are published, as they install what they import
        page = re.sub(
            r"(colab\.research\.google\.com/github/[^/]+/[^/]+/blob)/[^/]+/notebooks/",
            r"\1/gh-pages/_sources/notebooks/",
            page,
        )
        path.write_text(page.replace("</head>", f"{tags}\n</head>", 1))
    (site / "prf-prf.html").unlink(missing_ok=True)  # a list of theorems that nothing leads to
    home = base or "/"
    (site / "404.html").write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<title>No such page</title><style>:root{color-scheme:light dark}"
        "body{font:18px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem;"
        "background:#fff;color:#222}a{color:#0058a8}"
        "@media(prefers-color-scheme:dark){body{background:#121212;color:#ddd}a{color:#7ab8f5}}"
        "</style></head><body><h1>There is no such page</h1>"
        f'<p>The book begins at <a href="{escape(home)}">its preface</a>.</p></body></html>'
    )
    if base:
        places = "".join(f"<url><loc>{escape(base + name)}</loc></url>" for _, name in named)
        (site / "sitemap.xml").write_text(
            '<?xml version="1.0" encoding="utf-8"?>'
            f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{places}</urlset>'
        )
