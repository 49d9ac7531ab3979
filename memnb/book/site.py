"""The book: render the site from a staged copy, and swap it in by one rename."""

import errno
import fcntl
import functools
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from memnb.book import api, benchmarks, dialect, pages, publish, scaling, verdicts, weight
from memnb.book.execute import ended, execute
from memnb.book.layout import Layout
from memnb.processes import tied

__all__ = ["BuildFailed", "build", "serve", "served"]


BENCHMARKS, UNITS = Path("results", "benchmarks.json"), Path("results", "units.json")
_JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"  # its command
_FOR_TOOLS = re.compile(r"[ ]+# fmt: skip$", re.MULTILINE)


class BuildFailed(RuntimeError):
    """The site cannot be rendered or served; the message says why."""


@contextmanager
def _locked(layout: Layout) -> Iterator[None]:
    """One build at a time; the lock vanishes with its process, however that ends."""
    layout.build.mkdir(exist_ok=True)
    with open(layout.build / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("Another build is running; waiting for it.", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _clean(notebook: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    """An executed notebook without what a reader has no use for.

    papermill loses the tags of cells after the one it injects, so they are restored from the
    source by cell id; the injected cell itself is hidden.
    """
    tags = {c["id"]: c["metadata"].get("tags", []) for c in source["cells"] if "id" in c}
    kernel = source["metadata"].get("kernelspec")
    notebook["metadata"] = {"kernelspec": kernel} if kernel else {}
    for cell in notebook["cells"]:
        own = tags.get(cell.get("id"), ["remove-cell"])
        cell["metadata"] = {"tags": own} if own else {}
        if cell["cell_type"] == "code":
            cell["execution_count"] = None
            cell["source"] = _FOR_TOOLS.sub("", "".join(cell["source"]))
    return notebook


def _configuration(layout: Layout) -> tuple[dict[str, Any], dict[str, str]]:
    """Jupyter Book's configuration, and the repository that it names."""
    config = yaml.safe_load((layout.root / "_config.yml").read_text())
    repository = config.get("repository", {})
    try:
        return publish.configured(config), repository
    except ValueError as error:
        raise BuildFailed(str(error)) from None


def _measured(layout: Layout, where: Path) -> dict[str, Any]:
    """What the benchmarks measured, if they were run."""
    path = layout.root / where
    return pages.load(path) if path.is_file() else {}


def _stage(layout: Layout, stage: Path, chapters: list[str], config: dict[str, Any]) -> str:
    """Copy what Sphinx needs into ``stage``; returns where the site is to be published."""
    from memnb.figures.display import live_script  # loads plotly, which other commands do without

    notebooks, records = {}, {}
    known = dialect.sources(layout.root / "book" / "references.bib")
    (stage / "notebooks").mkdir(parents=True)
    for chapter in chapters:
        source = layout.load(chapter)
        notebooks[chapter] = _clean(pages.load(layout.executed / f"{chapter}.ipynb"), source)
        records[chapter] = pages.load(layout.executed / f"{chapter}.json")
        for cell in notebooks[chapter]["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = dialect.for_sphinx("".join(cell["source"]), known)
        text = json.dumps(verdicts.anchored(notebooks[chapter]))
        (stage / "notebooks" / f"{chapter}.ipynb").write_text(text)
    shutil.copytree(layout.root / "book", stage / "book")
    for page in (stage / "book").glob("*.md"):
        text = pages.with_explorers(page.read_text())
        page.write_text(verdicts.with_claims(text, notebooks))
    shutil.copytree(layout.root / "assets", stage / "assets")
    script = f'(() => {{\n"use strict";\n{live_script()}\nstart();\n}})();\n'
    (stage / "assets" / "memnb-live.js").write_text(script)
    (stage / "_config.yml").write_text(yaml.safe_dump(config, allow_unicode=True))
    shutil.copy(layout.root / "_toc.yml", stage / "_toc.yml")
    toc = (stage / "_toc.yml").read_text()
    generated = {
        "benchmarks": lambda: benchmarks.benchmarks_page(_measured(layout, BENCHMARKS)),
        "beyond": lambda: scaling.scaling_page(_measured(layout, UNITS)),
        "execution-times": lambda: pages.times_page(records, notebooks),
    }
    for name, write in generated.items():
        if f"book/{name}" in toc:
            (stage / "book" / f"{name}.md").write_text(write())
    if "book/api" in toc:
        for name, text in api.api_pages().items():
            (stage / "book" / f"{name}.md").write_text(text)
    return config["sphinx"]["config"].get("html_baseurl", "")


def _site_fingerprint(layout: Layout, chapters: list[str]) -> str:
    """Hash of all that the site is made from."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    paths = [layout.root / "_config.yml", layout.root / "_toc.yml"]
    paths += [layout.root / BENCHMARKS, layout.root / UNITS]
    paths += [p for d in ("book", "assets") for p in sorted((layout.root / d).rglob("*"))]
    paths += sorted(package.rglob("*.py"))
    paths += [layout.executed / f"{c}.json" for c in chapters]
    paths += [layout.notebooks / f"{c}.ipynb" for c in chapters]
    for path in paths:
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _sphinx(stage: Path, output: Path) -> Path:
    """Render the staged book; returns the folder of its pages."""
    command = [
        *(sys.executable, "-P", "-c", _JUPYTER_BOOK),
        *("build", str(stage), "--path-output", str(output)),
        *("-W", "-n", "--keep-going"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, preexec_fn=tied()
    )
    html = output / "_build" / "html"
    if done.returncode or not (html / "index.html").is_file():
        raise BuildFailed(_why(done.returncode, done.stdout + done.stderr))
    return html


def _why(status: int, text: str) -> str:
    """Why Sphinx failed: one line if it was killed or stopped by an error, else its warnings."""
    if status < 0:
        return f"the site was not built: Sphinx was {ended(status)}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    full = [line for line in lines if os.strerror(errno.ENOSPC) in line]
    if full:
        return f"the site was not built: {full[-1]}"
    telling = [s for s in lines if "WARNING" in s or "ERROR" in s]
    if not telling:  # the last line of a traceback, without Jupyter Book's advice after it
        telling = [s for s in lines if re.match(r"[\w.]*(Error|Exception)\b", s)][-1:] or lines[
            -15:
        ]
    return "\n".join(["the site was not built:", *telling])


def _swap(layout: Layout, html: Path, digest: str) -> None:
    """Make ``html`` the site: move it beside the old one, then rename a symbolic link."""
    (html / ".memnb-fingerprint").write_text(digest)
    new = Path(tempfile.mkdtemp(dir=layout.build, prefix="site-"))
    os.chmod(new, 0o755)
    os.replace(html, new)
    link = layout.build / ".site-next"
    link.unlink(missing_ok=True)
    link.symlink_to(new.name)
    os.replace(link, layout.site)


def _prune(layout: Layout) -> None:
    """Remove what earlier or interrupted builds left; called under the lock."""
    current = layout.site.resolve()
    for pattern in ("site-*", "stage-*"):
        for path in layout.build.glob(pattern):
            if path.resolve() != current:
                shutil.rmtree(path, ignore_errors=True)
    for path in layout.executed.glob(".running-*"):
        shutil.rmtree(path, ignore_errors=True)


def build(layout: Layout) -> Path:
    """Execute what changed, render the site if anything changed, and return its first page.

    Parameters
    ----------
    layout : Layout
        The book.

    Returns
    -------
    Path
        ``index.html`` of the site.

    Raises
    ------
    ChapterFailed, NotebookBroken, BuildFailed
        If a chapter cannot be executed, or the site not be rendered. It stays as it was.
    """
    with _locked(layout):
        _prune(layout)
        chapters = layout.chapters()
        execute(layout, chapters, static=True)
        digest = _site_fingerprint(layout, chapters)
        mark = layout.site / ".memnb-fingerprint"
        if mark.is_file() and mark.read_text() == digest:
            print("Nothing has changed.")
            return layout.site / "index.html"
        stage = Path(tempfile.mkdtemp(dir=layout.build, prefix="stage-"))
        config, repository = _configuration(layout)
        base = _stage(layout, stage / "book", chapters, config)
        print("Rendering the site ...", flush=True)
        html = _sphinx(stage / "book", stage / "out")
        publish.downloads(html, layout.notebooks, chapters, repository)
        publish.finish(html, base)
        weight.lighten(html)
        _swap(layout, html, digest)
        _prune(layout)
    return layout.site / "index.html"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Print nothing for a request."""


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The address of a site, without a slash at its end, while a thread serves it on loopback.

    Parameters
    ----------
    site : Path
        Its folder.

    Yields
    ------
    str
    """
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def serve(
    layout: Layout,
    port: int = 8000,
    open_server: Callable[..., http.server.HTTPServer] = http.server.ThreadingHTTPServer,
) -> None:
    """Serve the built site on loopback until interrupted.

    Parameters
    ----------
    layout : Layout
        The book.
    port : int
        0 takes a free one.
    open_server : callable
        Makes the server from its address and handler.

    Raises
    ------
    BuildFailed
        If there is no site, or the port is in use.
    """
    if not (layout.site / "index.html").is_file():
        raise BuildFailed("there is no site yet: run `make book` first")
    handler = functools.partial(_Quiet, directory=str(layout.site))
    try:
        server = open_server(("127.0.0.1", port), handler)
    except OSError as error:
        reason = f"port {port}: {error.strerror}"
        raise BuildFailed(f"{reason}; choose another one with --port, or 0 for any") from None
    with server:
        print(
            f"The book is at http://127.0.0.1:{server.server_address[1]}/ (Ctrl-C to stop)",
            flush=True,
        )
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
