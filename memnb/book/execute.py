"""The book: execute chapters with papermill, two at a time, each in its own process."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from memnb.book.layout import Layout
from memnb.processes import Terminated, terminable, tied

__all__ = ["ChapterFailed", "execute", "fingerprint"]

WORKERS = 2
PATIENCE = 10  # seconds that a worker has to end its kernel
FIELDS = ("fingerprint", "seconds", "parameters", "finished", "versions", "python")  # of a record
PROGRESS = "memnb-cell"  # what a worker prints after each cell


class ChapterFailed(RuntimeError):
    """A chapter raised; the message is the chapter's name and the one line that says why."""


def fingerprint(layout: Layout, chapter: str, parameters: dict[str, Any]) -> str:
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
    stored = sorted((layout.root / "results" / chapter).rglob("*"))
    for path in [layout.notebooks / f"{chapter}.ipynb", *sources, *pins, *stored]:
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update(json.dumps(parameters, sort_keys=True).encode() + sys.version.encode())
    return digest.hexdigest()


def _worker(source: str, output: str, parameters: dict[str, Any], workdir: str) -> int:
    """Run in the child process: execute one notebook, printing one line for each cell."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines
    from papermill.utils import remove_args

    kernels = []

    class Engine(NBClientEngine):
        """nbclient, one thread for each kernel, progress as lines of text."""

        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **kwargs):
            done, begin = nb_man.cell_complete, nb_man.cell_start
            kwargs = remove_args(["log_output"], **kwargs)
            kwargs.update(timeout=None, kernel_name=kernel_name, store_widget_state=False)
            client = PapermillNotebookClient(nb_man, **kwargs)

            def cell_start(*args, **named):
                kernels[:] = [client.km.provisioner.process]  # forgotten there once it has ended
                begin(*args, **named)

            def cell_complete(*args, **named):
                done(*args, **named)
                print(PROGRESS, flush=True)

            nb_man.cell_start, nb_man.cell_complete = cell_start, cell_complete
            client.execute(preexec_fn=tied())

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
        reason = f"{error.ename}: {error.evalue}"
    except DeadKernelError:
        reason = f"its kernel was {ended(kernels[0].wait())}"
    else:
        return 0
    print(json.dumps({"error": " ".join(reason.split())}), flush=True)
    return 1


def ended(status: int) -> str:
    """How a process ended, from its exit status as :mod:`subprocess` gives it.

    Examples
    --------
    >>> ended(-9), ended(1)
    ('killed by signal 9 (perhaps for want of memory)', 'ended with status 1')
    """
    if status >= 0:
        return f"ended with status {status}"
    hint = " (perhaps for want of memory)" if status == -signal.SIGKILL else ""
    return f"killed by signal {-status}{hint}"


def _n_cells(layout: Layout, chapter: str, parameters: dict[str, Any]) -> int:
    return len(layout.load(chapter)["cells"]) + bool(parameters)


def _start(
    layout: Layout, chapter: str, output: Path, parameters: dict[str, Any], static: bool
) -> subprocess.Popen:
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
            preexec_fn=tied(),
        )


def _stop(jobs: Iterable[subprocess.Popen]) -> None:
    """Ask all to end, wait a little, and kill those that have not; their kernels end with them."""
    jobs = list(jobs)
    for job in jobs:
        job.terminate()
    for job in jobs:
        try:
            job.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            job.kill()
            job.wait()


def execute(
    layout: Layout,
    chapters: list[str],
    parameters: Mapping[str, dict[str, Any]] | None = None,
    *,
    static: bool = False,
    destination: Path | None = None,
) -> list[str]:
    """Execute chapters and return what was executed.

    Parameters
    ----------
    layout : Layout
        The book.
    chapters : list of str
        Their names.
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
        If a chapter raises or its process is killed; the others are stopped and no output of it is
        left.
    NotebookBroken
        If a chapter's file is no notebook.
    """
    parameters = {c: dict((parameters or {}).get(c, {})) for c in chapters}
    folder = destination or layout.executed
    folder.mkdir(parents=True, exist_ok=True)
    prints = {c: fingerprint(layout, c, {**parameters[c], "static": static}) for c in chapters}
    if destination is None:
        chapters = [c for c in chapters if not _is_cached(folder, c, prints[c])]
    if not chapters:
        return []
    total = sum(_n_cells(layout, c, parameters[c]) for c in chapters)
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
                        raise ChapterFailed(_reason(chapter, output, job.returncode))
                    seconds = time.monotonic() - began
                    _keep(folder, chapter, output, prints[chapter], seconds, parameters[chapter])
        finally:
            _stop(job for job, *_ in running.values())
        bar.update(total - bar.n)
    return chapters


def _reason(chapter: str, output: Path, status: int) -> str:
    """One line on why the worker of a chapter failed."""
    for line in output.with_suffix(".out").read_text().splitlines():
        if line.startswith("{"):
            return f"chapter {chapter}: {json.loads(line)['error']}"
    if status < 0:
        return f"chapter {chapter}: its process was {ended(status)}"
    if shutil.disk_usage(output.parent).free == 0:  # nor could the worker write what was wrong
        return f"chapter {chapter}: no space is left on the device"
    lines = output.with_suffix(".err").read_text().strip().splitlines()
    return f"chapter {chapter}: {lines[-1] if lines else ended(status)}"


def _is_cached(folder: Path, chapter: str, expected: str) -> bool:
    """Whether a chapter was executed as it is; what cannot be read counts as not executed."""
    try:
        json.loads((folder / f"{chapter}.ipynb").read_text())["cells"]
        record = json.loads((folder / f"{chapter}.json").read_text())
        return all(field in record for field in FIELDS) and record["fingerprint"] == expected
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _keep(
    folder: Path,
    chapter: str,
    output: Path,
    digest: str,
    seconds: float,
    parameters: dict[str, Any],
) -> None:
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
    try:
        with terminable():
            sys.exit(_worker(**json.loads(sys.argv[1])))
    except Terminated:
        sys.exit(128 + signal.SIGTERM)
