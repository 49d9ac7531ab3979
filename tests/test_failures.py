"""Whatever goes wrong at the command line is one line that says why, and leaves nothing behind."""

import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from support import ROOT

from memnb.book.execute import _is_cached
from memnb.book.site import _why
from memnb.processes import Terminated, terminable, tied

SLEEP = "import pathlib, time\npathlib.Path({mark!r}).touch()\ntime.sleep(600)"


def start(book, *arguments):
    return subprocess.Popen(
        book.command(*arguments),
        env=book.environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this never came"
        time.sleep(0.05)


def stop(job, mark, number):
    """Signal the process alone once the mark is there; its error text when all children ended."""
    wait_for(mark.exists)
    children = psutil.Process(job.pid).children(recursive=True)
    assert children
    job.send_signal(number)
    _, text = job.communicate(timeout=60)
    wait_for(lambda: not any(child.is_running() for child in children), 30)
    return text


@pytest.mark.parametrize(
    ("number", "status", "line"),
    [
        (signal.SIGTERM, 143, "memnb: terminated; the last good site is untouched"),
        (signal.SIGINT, 130, "memnb: interrupted; the last good site is untouched"),
        (signal.SIGKILL, -9, None),
    ],
)
def test_kernels_end_with_the_command(book, number, status, line):
    mark = book.root / "mark"
    book.write("01-a", SLEEP.format(mark=str(mark)))
    job = start(book, "run", "1")
    text = stop(job, mark, number)
    assert job.returncode == status
    assert "Traceback" not in text
    left = list((book.root / "_build" / "runs").iterdir())
    if line:
        assert text.splitlines()[-1] == line and not left


def test_sphinx_ends_with_the_command_and_the_site_stays(built):
    book = built
    before = (book.site / "book" / "intro.html").read_bytes()
    mark = book.root / "mark"
    slow = book.root / "slow"
    slow.mkdir()
    body = "\n".join("    " + row for row in SLEEP.format(mark=str(mark)).splitlines())
    (slow / "sleeper.py").write_text(f"def setup(app):\n{body}\n")
    config = book.root / "_config.yml"
    text = config.read_text()
    for line, more in (
        ("sphinx:\n", f"  local_extensions:\n    sleeper: {slow}\n"),
        ("      - sphinx_exercise\n", "      - sleeper\n"),
    ):
        assert line in text
        text = text.replace(line, line + more)
    config.write_text(text)
    for number, status in ((signal.SIGKILL, -9), (signal.SIGTERM, 143)):
        job = start(book, "build")
        text = stop(job, mark, number)
        assert job.returncode == status and "Traceback" not in text
        mark.unlink()
        assert (book.site / "book" / "intro.html").read_bytes() == before


def test_a_signal_during_serving_is_one_line(book):
    book.site.mkdir(parents=True)
    (book.site / "index.html").write_text("")
    job = start(book, "serve", "--port", "0")
    assert "http://127.0.0.1:" in job.stdout.readline()
    job.send_signal(signal.SIGTERM)
    _, text = job.communicate(timeout=60)
    assert job.returncode == 143
    assert text == "memnb: terminated; the last good site is untouched\n"


def test_the_first_request_to_end_raises_and_the_handler_is_restored():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), terminable():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_tied_child_ends_with_its_parent():
    code = (
        "import subprocess, sys, time; from memnb.processes import tied;"
        "child = subprocess.Popen(['sleep', '600'], preexec_fn=tied());"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.kill()
    wait_for(lambda: not child.is_running(), 30)
    assert subprocess.run(["true"], preexec_fn=tied()).returncode == 0


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (
            "import os; os.kill(os.getppid(), 9)",
            "its process was killed by signal 9 (perhaps for want of memory)",
        ),
        (
            "import os; os.kill(os.getpid(), 9)",
            "its kernel was killed by signal 9 (perhaps for want of memory)",
        ),
        ("raise ValueError('one\\n  two\\n')", "ValueError: one two"),
    ],
    ids=["worker", "kernel", "newline"],
)
def test_the_reason_is_one_line(book, code, line):
    book.write("01-a", code)
    done = book.cli("run", "1")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"memnb: chapter 01-a: {line}"
    assert "Traceback" not in done.stderr


def test_a_notebook_that_is_cut_off_is_named(book):
    path = book.root / "notebooks" / "01-a.ipynb"
    path.write_text(path.read_text()[:200])
    line = f"chapter 01-a: {path} is no whole notebook (JSONDecodeError: "
    for arguments in (("run", "1"), ("run", "1", "-p", "x", "3"), ("build",)):
        done = book.cli(*arguments)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith(f"memnb: {line}") and done.stderr.count("\n") == 1
    done = book.cli("check")
    assert done.returncode == 1 and done.stderr == ""
    assert done.stdout.startswith(line) and done.stdout.count("\n") == 1


def test_what_was_executed_and_cannot_be_read_counts_as_not_executed(tmp_path):
    notebook, record = tmp_path / "01-a.ipynb", tmp_path / "01-a.json"
    fields = ("fingerprint", "seconds", "parameters", "finished", "versions", "python")
    whole = json.dumps(dict.fromkeys(fields, "abc"))
    assert not _is_cached(tmp_path, "01-a", "abc")
    notebook.write_text('{"cells": []}')
    record.write_text(whole)
    assert _is_cached(tmp_path, "01-a", "abc")
    assert not _is_cached(tmp_path, "01-a", "other")
    for text in ("", whole[:30], "[]", "3", '{"fingerprint": "abc"}', "\0"):
        record.write_text(text)
        assert not _is_cached(tmp_path, "01-a", "abc"), text
    record.write_bytes(b"\xff\xfe")
    assert not _is_cached(tmp_path, "01-a", "abc")
    record.write_text(whole)
    for text in ("", '{"cells": [', "[]"):
        notebook.write_text(text)
        assert not _is_cached(tmp_path, "01-a", "abc"), text


def test_output_must_be_a_folder(book):
    file = book.root / "file"
    file.write_text("mine")
    done = book.cli("run", "1", "--output", file)
    assert done.returncode == 1
    assert done.stderr == f"memnb: --output must be a folder, got the file {file}\n"
    assert file.read_text() == "mine"


def test_ports_that_cannot_be_served(book):
    done = book.cli("serve", "--port", "99999")
    assert done.returncode == 2
    assert "argument --port: the port must be between 0 and 65535, got 99999" in done.stderr
    book.site.mkdir(parents=True)
    (book.site / "index.html").write_text("")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = book.cli("serve", "--port", str(port))
    assert done.returncode == 1
    line = f"memnb: port {port}: Address already in use; choose another one with --port"
    assert done.stderr.startswith(line) and done.stderr.count("\n") == 1


def without_writing(book, *arguments):
    """Run a verb that cannot write a byte to any file."""
    return subprocess.run(
        book.command(*arguments),
        capture_output=True,
        text=True,
        env=book.environment,
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )


def test_where_nothing_can_be_written(book):
    done = without_writing(book, "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "All chapters keep the rules.\n"
    done = without_writing(book, "run", "1")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("memnb: ")


def test_why_sphinx_failed():
    full = os.strerror(errno.ENOSPC)
    text = (
        "Traceback (most recent call last):\n  File ...\n"
        f"OSError: [Errno 28] {full}: '/x/y.html'\nRuntimeError: \nThere was an error in building "
        "your book. Look above for the cause.\n"
    )
    assert _why(1, text) == f"the site was not built: OSError: [Errno 28] {full}: '/x/y.html'"
    assert _why(-9, "") == (
        "the site was not built: Sphinx was killed by signal 9 (perhaps for want of memory)"
    )
    assert _why(1, "reading\na.md:3: WARNING: no such page\nthe end") == (
        "the site was not built:\na.md:3: WARNING: no such page"
    )
    assert _why(1, "  File ...\nValueError: bad\nadvice") == (
        "the site was not built:\nValueError: bad"
    )
