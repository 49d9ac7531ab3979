"""Render the site from a staged copy, and swap it in by one rename."""

import fcntl
import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from memnb.book import pages
from memnb.book.execute import execute

__all__ = ["BuildFailed", "build", "serve"]


class BuildFailed(RuntimeError):
    """Sphinx reported an error or a warning; the message holds its last lines."""


@contextmanager
def _locked(layout):
    """One build at a time; the lock vanishes with its process, however that ends."""
    layout.build.mkdir(exist_ok=True)
    with open(layout.build / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("Another build is running; waiting for it.", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _clean(notebook, source):
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
    return notebook


def _stage(layout, stage, chapters):
    """Copy what Sphinx needs into ``stage``; returns the executed notebooks and their records."""
    notebooks, records = {}, {}
    (stage / "notebooks").mkdir(parents=True)
    for chapter in chapters:
        source = pages.load(layout.notebooks / f"{chapter}.ipynb")
        notebooks[chapter] = _clean(pages.load(layout.executed / f"{chapter}.ipynb"), source)
        records[chapter] = pages.load(layout.executed / f"{chapter}.json")
        text = json.dumps(notebooks[chapter])
        (stage / "notebooks" / f"{chapter}.ipynb").write_text(text)
    shutil.copytree(layout.root / "book", stage / "book")
    shutil.copytree(layout.root / "assets", stage / "assets")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(layout.root / name, stage / name)
    toc = (stage / "_toc.yml").read_text()
    generated = {
        "claims": lambda: pages.claims_page(notebooks),
        "execution-times": lambda: pages.times_page(records, notebooks),
        "api": pages.api_page,
    }
    for name, write in generated.items():
        if f"book/{name}" in toc:
            (stage / "book" / f"{name}.md").write_text(write())


def _site_fingerprint(layout, chapters):
    """Hash of all that the site is made from."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    paths = [layout.root / "_config.yml", layout.root / "_toc.yml"]
    paths += [p for d in ("book", "assets") for p in sorted((layout.root / d).rglob("*"))]
    paths += sorted(package.rglob("*.py"))
    paths += [layout.executed / f"{c}.json" for c in chapters]
    paths += [layout.notebooks / f"{c}.ipynb" for c in chapters]
    for path in paths:
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _sphinx(stage, output):
    command = [
        str(Path(sys.executable).with_name("jupyter-book")),
        *("build", str(stage), "--path-output", str(output)),
        *("-W", "-n", "--keep-going"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    html = output / "_build" / "html"
    if done.returncode or not (html / "index.html").is_file():
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        telling = [s for s in lines if "WARNING" in s or "ERROR" in s] or lines[-15:]
        raise BuildFailed("the site was not built:\n" + "\n".join(telling))
    return html


def _swap(layout, html, digest):
    """Make ``html`` the site: move it beside the old one, then rename a symbolic link."""
    (html / ".memnb-fingerprint").write_text(digest)
    new = Path(tempfile.mkdtemp(dir=layout.build, prefix="site-"))
    os.chmod(new, 0o755)
    os.replace(html, new)
    link = layout.build / ".site-next"
    link.unlink(missing_ok=True)
    link.symlink_to(new.name)
    os.replace(link, layout.site)


def _prune(layout):
    """Remove what earlier or interrupted builds left; called under the lock."""
    current = layout.site.resolve()
    for pattern in ("site-*", "stage-*"):
        for path in layout.build.glob(pattern):
            if path.resolve() != current:
                shutil.rmtree(path, ignore_errors=True)
    for path in layout.executed.glob(".running-*"):
        shutil.rmtree(path, ignore_errors=True)


def build(layout):
    """Execute what changed, render the site if anything changed, and return its first page.

    Parameters
    ----------
    layout : Layout

    Returns
    -------
    Path
        ``index.html`` of the site.

    Raises
    ------
    ChapterFailed, BuildFailed
        The site stays as it was.
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
        _stage(layout, stage / "book", chapters)
        print("Rendering the site ...", flush=True)
        _swap(layout, _sphinx(stage / "book", stage / "out"), digest)
        _prune(layout)
    return layout.site / "index.html"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args):
        pass


def serve(layout, port=8000, open_server=http.server.ThreadingHTTPServer):
    """Serve the built site on loopback until interrupted; ``port=0`` takes a free one."""
    if not (layout.site / "index.html").is_file():
        raise SystemExit("there is no site yet: run `make book` first")
    handler = functools.partial(_Quiet, directory=str(layout.site))
    with open_server(("127.0.0.1", port), handler) as server:
        print(
            f"The book is at http://127.0.0.1:{server.server_address[1]}/ (Ctrl-C to stop)",
            flush=True,
        )
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
