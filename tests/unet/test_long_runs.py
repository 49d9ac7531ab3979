"""``python -m memnb.unet``: what is trained, kept, replaced and left alone."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from support import ROOT

from memnb import results
from memnb.unet import __main__ as long_runs
from memnb.unet import keeping
from memnb.unet.runs import LIVE, RUNS, OnDigits

load_from = results.load  # also where a test has results elsewhere

STEPS = 2


def networks(steps=STEPS, sizes=(2, 3, 4, 5), seeds=(0,)):
    base = replace(LIVE, steps=steps)
    return [OnDigits(n, "a", seed, base, (5,)) for seed in seeds for n in sizes]


@pytest.fixture
def results_folder(tmp_path, monkeypatch):
    """Results in a folder of the test; four networks of two steps each as the run ``live``."""
    folder, save, load, where = tmp_path / "kept", results.save, results.load, results.where
    monkeypatch.setattr(results, "save", lambda *a, **k: save(*a, **k, root=folder))
    monkeypatch.setattr(results, "load", lambda name: load(name, folder))
    monkeypatch.setattr(results, "where", lambda name, root=None: where(name, folder))
    monkeypatch.setitem(RUNS, "live", networks())
    return folder / "06-unet-transition"


@pytest.fixture
def trained(monkeypatch):
    """Numbers of images of the networks that are trained, in order."""
    sizes, plain = [], long_runs.train

    def count(x, config, **options):
        sizes.append(len(x))
        return plain(x, config, **options)

    monkeypatch.setattr(long_runs, "train", count)
    return sizes


def live(tmp_path, *options, workdir="w"):
    return long_runs.main(["live", "--workdir", str(tmp_path / workdir), *options])


def stored():
    return results.load("06-unet-transition/live")


def files(folder):
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


def test_a_run_is_written_with_what_is_missing(tmp_path, results_folder, trained, capsys):
    assert live(tmp_path, "--max-n", "3") == 0
    arrays, record = stored()
    assert trained == [2, 3] and record["parameters"]["missing"] == ["n4-a-s0", "n5-a-s0"]
    assert {key.split("-")[0] for key in arrays} == {"n2", "n3"}
    assert "2 networks trained, 0 taken as they were; results written" in capsys.readouterr().out
    assert {p.name for p in (tmp_path / "w" / "live").iterdir()} == {"n2-a-s0.pt", "n3-a-s0.pt"}
    assert live(tmp_path) == 0 and trained == [2, 3, 4, 5]
    assert stored()[1]["parameters"]["missing"] == []


def test_partial_collects_what_is_finished_and_trains_nothing(
    tmp_path, results_folder, trained, capsys
):
    assert live(tmp_path, "--partial") == 1
    error = capsys.readouterr().err
    assert error == "memnb.unet: no network of the run is selected, finished or stored\n"
    for network in networks()[:2]:
        long_runs.train_network("live", network, tmp_path / "w")
    assert live(tmp_path, "--partial", "--again") == 0 and trained == [2, 3]
    assert stored()[1]["parameters"]["missing"] == ["n4-a-s0", "n5-a-s0"]


def test_a_record_says_how_the_networks_differ(tmp_path, results_folder, monkeypatch):
    monkeypatch.setitem(RUNS, "live", networks(sizes=(3,), seeds=(0, 1)))
    assert live(tmp_path) == 0
    record = stored()[1]
    about = record["parameters"]
    assert json.loads(json.dumps(about)) == about
    assert about["networks"]["n3-a-s0"]["training"] == {"seed": 0}
    assert about["networks"]["n3-a-s1"]["training"] == {"seed": 2}
    assert "seed" not in about["training"] and about["training"]["steps"] == STEPS
    assert {"diffusers", "scikit-learn"} < set(record["versions"])
    assert record["device"] == results.cpu() and record["seconds"] > 0


def test_nothing_is_written_where_nothing_has_changed(tmp_path, results_folder, trained, capsys):
    """Byte for byte and not even touched, whether it is read from results or the folder."""
    assert live(tmp_path) == 0
    before = files(results_folder)
    for workdir in ("w", "empty"):
        assert live(tmp_path, workdir=workdir) == 0
        assert files(results_folder) == before
        assert "4 taken as they were; results unchanged" in capsys.readouterr().out
    assert trained == [2, 3, 4, 5] and not (tmp_path / "empty").exists()


def test_training_some_again_keeps_the_rest(tmp_path, results_folder, trained, monkeypatch):
    """Once all that was not selected was lost from the results."""
    monkeypatch.setattr(long_runs, "device_name", lambda device: "some card")
    assert live(tmp_path) == 0
    arrays, _ = stored()
    monkeypatch.setattr(long_runs, "device_name", lambda device: "some processor")
    for workdir in ("w", "another"):
        assert live(tmp_path, "--again", "--max-n", "2", workdir=workdir) == 0
        again, record = stored()
        devices = {k: v["device"] for k, v in record["parameters"]["networks"].items()}
        assert devices.pop("n2-a-s0") == "some processor"
        assert set(devices) == {"n3-a-s0", "n4-a-s0", "n5-a-s0"}
        assert set(devices.values()) == {"some card"}
        assert record["parameters"]["missing"] == []
        assert all(torch.equal(again[k], arrays[k]) for k in arrays) and len(again) == len(arrays)
    assert trained == [2, 3, 4, 5, 2, 2]
    assert record["device"] == "some card; some processor"


def test_nothing_is_replaced_before_the_new_network_is_whole(tmp_path, results_folder, monkeypatch):
    assert live(tmp_path) == 0
    before = files(results_folder), files(tmp_path / "w" / "live")

    def fail(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(long_runs, "train", fail)
    assert live(tmp_path, "--again", "--max-n", "3") == 130
    assert (files(results_folder), files(tmp_path / "w" / "live")) == before


def test_kept_networks_of_another_configuration_are_not_lost_silently(
    tmp_path, results_folder, trained, monkeypatch, capsys
):
    assert live(tmp_path) == 0
    before = files(results_folder)
    monkeypatch.setitem(RUNS, "live", networks(steps=3))
    capsys.readouterr()
    assert live(tmp_path, "--max-n", "2") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "keep n3-a-s0, n4-a-s0, n5-a-s0 with another configuration" in error
    assert files(results_folder) == before and trained == [2, 3, 4, 5]
    assert live(tmp_path) == 0 and trained == [2, 3, 4, 5] * 2  # none taken for one of three steps
    arrays, record = stored()
    assert record["parameters"]["training"]["steps"] == 3
    assert all(len(arrays[f"n{n}-a-s0-loss"]) == 3 for n in (2, 3, 4, 5))


def test_processes_give_what_one_process_gives(tmp_path, results_folder):
    assert live(tmp_path) == 0
    one, record = stored()
    assert live(tmp_path, "--again", "--jobs", "2", workdir="two") == 0
    two, again = stored()
    assert all(torch.equal(one[k], two[k]) for k in one) and len(one) == len(two)
    assert list(again["parameters"]["networks"]) == list(record["parameters"]["networks"])


@pytest.mark.parametrize("content", [b"", b"no network at all", "half", "foreign", "tensor"])
def test_a_damaged_file_of_a_network_is_one_line(
    tmp_path, results_folder, trained, content, capsys
):
    """A finished network that is cut off or foreign; a checkpoint likewise."""
    network = networks()[1]
    long_runs.train_network("live", network, tmp_path / "w")
    path = tmp_path / "w" / "live" / "n3-a-s0.pt"
    whole = path.read_bytes()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "half":
        path.write_bytes(whole[: len(whole) // 2])
    else:
        torch.save({"w": torch.zeros(2)} if content == "foreign" else torch.zeros(2), path)
    damaged = path.read_bytes()
    capsys.readouterr()
    assert live(tmp_path) == 1
    error = capsys.readouterr().err
    assert error.startswith("memnb.unet: ") and error.count("\n") == 1
    assert "n3-a-s0.pt is not a finished network, or is cut off; remove it" in error
    assert path.read_bytes() == damaged and trained == [3] and not results_folder.exists()
    # As a checkpoint
    path.unlink()
    path.with_suffix(".checkpoint").write_bytes(damaged)
    assert live(tmp_path, "--max-n", "3") == 1
    *_, error = capsys.readouterr().err.strip().splitlines()
    assert "n3-a-s0.checkpoint is not a checkpoint of a training, or is cut off" in error
    assert not results_folder.exists()


def test_damaged_results_are_one_line(tmp_path, results_folder, trained, capsys):
    assert live(tmp_path) == 0
    (results_folder / "live.npz").write_bytes(b"garbage")
    assert live(tmp_path) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("memnb.unet: live.npz of result") and trained == [2, 3, 4, 5]


def test_the_metric_measures_what_is_kept_and_only_then_writes(
    tmp_path, results_folder, monkeypatch, capsys
):
    assert long_runs.main(["metric"]) == 1
    assert "no run that is measured has results" in capsys.readouterr().err
    two = RUNS["protocol"][:2]
    for network in two:
        arrays = {"loss": torch.ones(1), "images": network.images().half().repeat(5, 1, 1, 1)}
        keeping.write("protocol", network, tmp_path / "w", arrays, "none", 0.0)
    assert long_runs.main(["protocol", "--partial", "--workdir", str(tmp_path / "w")]) == 0
    assert long_runs.main(["metric"]) == 0
    rows, record = results.load("06-unet-transition/metric")
    assert set(rows) == {f"protocol-{network.key}" for network in two}
    assert all(row.shape == (3, 3, 4) and row[0, 0, 0] == 0 for row in rows.values())  # copies
    assert (record["parameters"]["n_simulations"], record["parameters"]["n_pool"]) == (60, 10_000)
    before = files(results_folder)
    assert long_runs.main(["metric"]) == 0
    assert files(results_folder) == before and "2 taken as they were; results unchanged" in (
        capsys.readouterr().out
    )
    # Other images are measured anew, and only they; in two processes the rows are the same
    first = two[0]
    arrays = {"loss": torch.ones(1), "images": (1 - first.images()).half().repeat(5, 1, 1, 1)}
    keeping.write("protocol", first, tmp_path / "w", arrays, "none", 0.0)
    assert long_runs.main(["protocol", "--partial", "--workdir", str(tmp_path / "w")]) == 0
    assert long_runs.main(["metric"]) == 0
    assert "1 networks measured, 1 taken as they were" in capsys.readouterr().out
    changed, _ = results.load("06-unet-transition/metric")
    same = {name for name in rows if torch.equal(rows[name], changed[name])}
    assert same == {f"protocol-{two[1].key}"}
    assert long_runs.main(["metric", "--again", "--jobs", "2"]) == 0
    again, _ = results.load("06-unet-transition/metric")
    assert all(torch.equal(again[name], changed[name]) for name in changed)
    # As a command, whose own functions its processes cannot import by their names
    root = tmp_path / "book"
    shutil.copytree(results_folder, root / "results" / results_folder.name)
    (root / "_toc.yml").touch()
    done = subprocess.run(
        [sys.executable, "-m", "memnb.unet", "metric", "--again", "--jobs", "2"],
        env=os.environ | {"MEMNB_ROOT": str(root)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    again, _ = load_from("06-unet-transition/metric", root / "results")
    assert all(torch.equal(again[name], changed[name]) for name in changed)


@pytest.mark.parametrize("arguments, message", [
    (["nothing"], "invalid choice: 'nothing'"),
    (["live", "--device", "tpu"], "device must be 'cpu', 'cuda' or 'cuda:0' and so on, got 'tpu'"),
    (["live", "--device", "cuda:99"], "device 'cuda:99' was asked for, but there are"),
    (["live", "--max-n", "-3"], "--max-n: must be an integer of at least 1, got '-3'"),
    (["live", "--max-n", "1e3"], "--max-n: must be an integer of at least 1, got '1e3'"),
    (["live", "--max-seed", "-1"], "--max-seed: must be an integer of at least 0, got '-1'"),
    (["live", "--jobs", "0"], "--jobs: must be an integer of at least 1, got '0'"),
    (["metric", "--partial"], "metric trains nothing: it takes --jobs and --again only"),
    (["metric", "--max-seed", "0"], "metric trains nothing: it takes --jobs and --again only"),
])  # fmt: skip
def test_a_wrong_command_is_one_line_and_trains_nothing(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        long_runs.main([*arguments, "--workdir", str(tmp_path / "w")])
    assert stop.value.code == 2 and not (tmp_path / "w").exists()
    usage, *_, last = capsys.readouterr().err.strip().splitlines()
    assert usage.startswith("usage: python -m memnb.unet ")
    assert message in last and "Traceback" not in last


PROGRAM = """
import sys
from dataclasses import replace
from memnb.unet import __main__ as long_runs
from memnb.unet.runs import RUNS, LIVE, OnDigits
RUNS["live"] = [OnDigits(n, base=replace(LIVE, steps=10**6)) for n in (2, 3)]
sys.exit(long_runs.main(["live", "--again", *sys.argv[1:]]))
"""


def children(pid):
    """Processes that this one has started, and theirs."""
    rows = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True)
    pairs = [row.split(None, 2) for row in rows.stdout.splitlines()]
    mine = {str(pid)}
    while more := {c for c, parent, *_ in pairs if parent in mine} - mine:
        mine |= more
    return mine - {str(pid)}


@pytest.mark.parametrize("number, jobs, status", [
    (signal.SIGINT, 1, 130), (signal.SIGTERM, 1, 143), (signal.SIGTERM, 2, 143),
    (signal.SIGKILL, 2, -9),
])  # fmt: skip
def test_a_signal_ends_the_run_and_its_processes_with_one_line(tmp_path, number, jobs, status):
    workdir = tmp_path / "w"
    command = [sys.executable, "-c", PROGRAM, "--workdir", str(workdir), "--jobs", str(jobs)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and not (workdir / "live").exists():
            time.sleep(0.1)
        time.sleep(5)  # in the midst of training, or of the imports before it
        started = children(process.pid)
        assert process.poll() is None and (jobs == 1) == (not started)
        os.kill(process.pid, number)
        # Children that outlive their parent would keep this pipe open
        _, error = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == status
    if status > 0:
        lines = [line for line in error.splitlines() if line.startswith("memnb.unet")]
        word = "interrupted" if number == signal.SIGINT else "terminated"
        assert lines == [f"memnb.unet: {word}; the same command goes on from {workdir}"]
        assert "Traceback" not in error
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and any(os.path.exists(f"/proc/{c}") for c in started):
        time.sleep(0.2)
    assert not [c for c in started if os.path.exists(f"/proc/{c}")]
