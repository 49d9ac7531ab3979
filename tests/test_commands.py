"""The commands of the long runs: the same options, and one line at every end."""

import importlib

import pytest
import torch

from memnb.commands import conclude, finished
from memnb.processes import Terminated
from memnb.results import ResultsCorrupt

THEORIES = {"shallow": "sweep", "linear": "onset", "unet": "live", "auditing": "detection"}


@pytest.fixture(params=THEORIES)
def theory(request):
    return request.param


def command(theory):
    return importlib.import_module(f"memnb.{theory}.__main__")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--jobs", "0"], "argument --jobs: must be an integer of at least 1, got '0'"),
        (["--jobs", "-1"], "argument --jobs: "),
        (["--jobs", "1e3"], "argument --jobs: must be an integer of at least 1, got '1e3'"),
        (["--device", "tpu"], "argument --device: device must be 'cpu', 'cuda' or 'cuda:0'"),
        (["--device", "cuda:99"], "device 'cuda:99' was asked for, but there are"),
        (["--workdir"], "argument --workdir: expected one argument"),
    ],
)
def test_all_theories_refuse_an_option_alike(theory, options, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        command(theory).main([THEORIES[theory], "--workdir", str(tmp_path / "w"), *options])
    *usage, last = capsys.readouterr().err.strip().splitlines()
    assert stop.value.code == 2 and usage[0].startswith(f"usage: python -m memnb.{theory} ")
    assert message in last and not (tmp_path / "w").exists()


def test_all_theories_offer_the_same(theory, capsys):
    for arguments in ([], ["everything"]):
        with pytest.raises(SystemExit) as stop:
            command(theory).main(arguments)
        assert stop.value.code == 2
    with pytest.raises(SystemExit):
        command(theory).main(["--help"])
    text = capsys.readouterr().out
    options = ("--device", "--workdir", "--jobs", "--scheduler", "--again")
    assert all(f"{option} " in text or f"{option}\n" in text for option in options)
    assert f"_build/{theory}" in text and THEORIES[theory] in text


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ValueError("two\nlines"), 1, "memnb.x: two lines"),
        (ResultsCorrupt("damaged"), 1, "memnb.x: damaged"),
        (FileNotFoundError("no file"), 1, "memnb.x: no file"),
        (ArithmeticError("a failure of its own"), 1, "memnb.x: a failure of its own"),
        (KeyboardInterrupt(), 130, "memnb.x: interrupted; the same command goes on from w"),
        (Terminated(), 143, "memnb.x: terminated; the same command goes on from w"),
    ],
)
def test_every_end_is_one_line(error, status, line, capsys):
    def do():
        raise error

    assert conclude("x", do, "w", (ArithmeticError,)) == status
    out, err = capsys.readouterr()
    assert out == "" and err.strip() == line


def test_a_fault_is_not_hidden():
    def do():
        raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError, match="ours"):
        conclude("x", do, "w")


def test_a_finished_part_is_read_and_computed_once(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return {"a": torch.arange(3.0), "list": [torch.ones(2)]}

    first = finished(tmp_path / "part.pt", "the part", compute)
    again = finished(tmp_path / "part.pt", "the part", compute)
    assert len(calls) == 1 and again[1] == first[1] >= 0
    assert torch.equal(again[0]["a"], torch.arange(3.0)) and list(again[0]) == ["a", "list"]


def test_a_part_that_fails_leaves_no_file(tmp_path):
    def compute():
        raise ArithmeticError("half way")

    with pytest.raises(ArithmeticError):
        finished(tmp_path / "part.pt", "the part", compute)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_foreign_file_is_no_finished_part(tmp_path, content):
    path = tmp_path / "part.pt"
    if content is None:
        finished(path, "another part", lambda: torch.zeros(1))
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    reason = "belongs to another run" if content is None else "it is no finished part"
    with pytest.raises(ValueError, match=reason) as caught:
        finished(path, "the part", lambda: torch.zeros(1))
    assert path.read_bytes() == before and "\n" not in str(caught.value)
