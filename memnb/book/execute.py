"""Execute chapters with papermill: two at a time, each in its own process, with a progress bar."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

__all__ = ["ChapterFailed", "execute", "fingerprint"]

WORKERS = 2
PROGRESS = "memnb-cell"  # what a worker prints after each cell


class ChapterFailed(RuntimeError):
    """A chapter raised; the message is the chapter's name and the one line that says why."""


def fingerprint(layout, chapter, parameters):
    """SHA-256 of everything a chapter's outputs depend on.

    That is its notebook, the package's source, the pinned requirements, the committed results, the
    parameters and the Python version. Editing one notebook therefore re-executes one chapter, and
    so do results kept under its name; editing the package re-executes all.
    """
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    tools = (package / "book", package / "__main__.py")  # they do not enter any output
    sources = [p for p in sorted(package.rglob("*.py")) if not {p, p.parent} & set(tools)]
    pins = [layout.root / name for name in ("requirements.txt", "requirements.lock")]
    kept = sorted((layout.root / "results" / chapter).rglob("*"))
    for path in [layout.notebooks / f"{chapter}.ipynb", *sources, *pins, *kept]:
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update(json.dumps(parameters, sort_keys=True).encode() + sys.version.encode())
    return digest.hexdigest()


def _worker(source, output, parameters, workdir):
    """Run in the child process: execute one notebook, printing one line for each cell."""
    import papermill
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines
    from papermill.utils import remove_args

    class Engine(NBClientEngine):
        """nbclient, one thread for each kernel, progress as lines of text."""

        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **kwargs):
            done = nb_man.cell_complete

            def cell_complete(cell, *args, **named):
                done(cell, *args, **named)
                print(PROGRESS, flush=True)

            nb_man.cell_complete = cell_complete
            kwargs = remove_args(["log_output"], **kwargs)
            kwargs.update(timeout=None, kernel_name=kernel_name, store_widget_state=False)
            PapermillNotebookClient(nb_man, **kwargs).execute()

    papermill_engines.register("memnb", Engine)
    try:
        papermill.execute_notebook(
            source,
            output,
            parameters=parameters,
            engine_name="memnb",
            progress_bar=False,
            log_output=False,
            cwd=workdir,
        )
    except papermill.PapermillExecutionError as error:
        print(json.dumps({"error": f"{error.ename}: {error.evalue}"}), flush=True)
        return 1
    return 0


def _n_cells(path, parameters):
    cells = json.loads(path.read_text())["cells"]
    return len(cells) + bool(parameters)


def _start(layout, chapter, output, parameters, static):
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH")])
        ),
        "PYTHONWARNINGS": "ignore::DeprecationWarning",
    }
    environment.pop("MEMNB_STATIC", None)
    if static:
        environment["MEMNB_STATIC"] = "1"
    request = {
        "source": str(layout.notebooks / f"{chapter}.ipynb"),
        "output": str(output),
        "parameters": parameters,
        "workdir": str(layout.root),
    }
    # Files, not pipes: they never fill up, and can be read while the worker writes.
    with open(output.with_suffix(".out"), "w") as out, open(output.with_suffix(".err"), "w") as err:
        return subprocess.Popen(
            [sys.executable, "-m", "memnb.book.execute", json.dumps(request)],
            stdout=out,
            stderr=err,
            env=environment,
            cwd=layout.root,
        )


def execute(layout, chapters, parameters=None, *, static=False, destination=None):
    """Execute chapters and return what was executed.

    Parameters
    ----------
    layout : Layout
    chapters : list of str
    parameters : dict, optional
        By chapter, what is passed to its parameters cell.
    static : bool
        Make figures and explorers for the website.
    destination : Path, optional
        Folder of the executed notebooks. Without it they go to the cache, and those whose
        fingerprint is unchanged are not executed again.

    Returns
    -------
    list of str
        The chapters that were executed now.

    Raises
    ------
    ChapterFailed
        If a chapter raises; the others are stopped and no output of it is left.
    """
    parameters = {c: dict((parameters or {}).get(c, {})) for c in chapters}
    folder = destination or layout.executed
    folder.mkdir(parents=True, exist_ok=True)
    prints = {c: fingerprint(layout, c, {**parameters[c], "static": static}) for c in chapters}
    if destination is None:
        chapters = [c for c in chapters if not _is_cached(folder, c, prints[c])]
    if not chapters:
        return []
    total = sum(_n_cells(layout.notebooks / f"{c}.ipynb", parameters[c]) for c in chapters)
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".running-") as scratch,
        tqdm(total=total, desc="Executing chapters", unit="cell") as bar,
    ):
        waiting, running = list(chapters), {}
        try:
            while waiting or running:
                while waiting and len(running) < WORKERS:
                    chapter = waiting.pop(0)
                    output = Path(scratch) / f"{chapter}.ipynb"
                    job = _start(layout, chapter, output, parameters[chapter], static)
                    running[chapter] = (job, output, time.monotonic())
                time.sleep(0.05)
                logs = Path(scratch).glob("*.out")
                done = sum(log.read_text().count(PROGRESS) for log in logs)
                if done > bar.n:
                    bar.update(done - bar.n)
                for chapter, (job, output, began) in list(running.items()):
                    if job.poll() is None:
                        continue
                    del running[chapter]
                    if job.returncode:
                        raise ChapterFailed(_reason(chapter, output))
                    seconds = time.monotonic() - began
                    _keep(folder, chapter, output, prints[chapter], seconds, parameters[chapter])
        finally:
            for job, *_ in running.values():
                job.terminate()
                job.wait()
        bar.update(total - bar.n)
    return chapters


def _reason(chapter, output):
    for line in output.with_suffix(".out").read_text().splitlines():
        if line.startswith("{"):
            return f"chapter {chapter}: {json.loads(line)['error']}"
    lines = output.with_suffix(".err").read_text().strip().splitlines()
    return f"chapter {chapter}: {lines[-1] if lines else 'stopped without a message'}"


def _is_cached(folder, chapter, expected):
    record = folder / f"{chapter}.json"
    if not record.is_file() or not (folder / f"{chapter}.ipynb").is_file():
        return False
    return json.loads(record.read_text())["fingerprint"] == expected


def _keep(folder, chapter, output, digest, seconds, parameters):
    """Notebook first, then its record: the record stands only beside a complete notebook."""
    record = folder / f"{chapter}.json"
    record.unlink(missing_ok=True)
    os.replace(output, folder / f"{chapter}.ipynb")
    content = {
        "fingerprint": digest,
        "seconds": round(seconds, 2),
        "parameters": parameters,
        "finished": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "versions": {name: version(name) for name in ("torch", "numpy", "plotly", "papermill")},
        "python": sys.version.split()[0],
    }
    fresh = output.with_suffix(".json")
    fresh.write_text(json.dumps(content, indent=1))
    os.replace(fresh, record)


if __name__ == "__main__":
    sys.exit(_worker(**json.loads(sys.argv[1])))
