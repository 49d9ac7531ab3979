"""The long runs on a Dask cluster of two worker processes: the numbers of one machine."""

import os
import signal
import threading
import time

import pytest
import torch

from memnb import results
from memnb.auditing import __main__ as auditing_command
from memnb.auditing import runs as auditing_runs
from memnb.commands import each
from memnb.shallow import __main__ as shallow_command
from memnb.shallow import runs as shallow_runs
from memnb.unet import __main__ as unet_command
from memnb.unet import runs as unet_runs
from memnb.unet.training import TrainingConfig

DETECTION = auditing_runs.Detection(dims=(2, 20), sizes=(60, 90), blurs=(0.0, 0.5),
                                    shares=(0, 0.3, 1), repeats=(2, 1))  # fmt: skip
FLOWS = shallow_runs.Flows(counts=(2, 3), d=3, n_noisy=12, n_levels=6, n_starts=40,
                           residual_tol=0.1, settle_tol=0.3, rounds=60, steps=10)  # fmt: skip
SMALL = TrainingConfig(steps=4, batch_size=2)


@pytest.fixture(scope="module")
def scheduler():
    from dask.distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit=0
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def small_runs(tmp_path, monkeypatch):
    """Small runs in place of the long ones, and results in a folder of the test."""
    save, load, where = results.save, results.load, results.where
    folder = tmp_path / "results"
    monkeypatch.setattr(results, "save", lambda *a, **k: save(*a, **k, root=folder))
    monkeypatch.setattr(results, "load", lambda name: load(name, folder))
    monkeypatch.setattr(results, "where", lambda name, root=None: where(name, folder))
    monkeypatch.setitem(auditing_runs.RUNS, "detection", DETECTION)
    monkeypatch.setitem(shallow_runs.FLOWS, "quick", ("flows-d10", {}))
    monkeypatch.setattr(shallow_command, "flow_run", lambda *_: ("flows-d10", FLOWS))
    networks = [unet_runs.OnDigits(n, "a", 0, SMALL, (5,)) for n in (2, 3, 4)]
    monkeypatch.setitem(unet_runs.RUNS, "live", networks)
    return folder


COMMANDS = {
    "auditing": (auditing_command, "detection", "07-audit/detection"),
    "shallow": (shallow_command, "flows", "04-trained-denoisers/flows-d10"),
    "unet": (unet_command, "live", "06-unet-transition/live"),
}


@pytest.mark.parametrize("theory", COMMANDS)
def test_a_cluster_gives_what_one_process_gives(theory, small_runs, scheduler, tmp_path, capsys):
    command, run, name = COMMANDS[theory]
    assert command.main([run, "--workdir", str(tmp_path / "one")]) == 0
    one, record = results.load(name)
    arguments = [run, "--workdir", str(tmp_path / "two"), "--scheduler", scheduler]
    assert command.main([*arguments, "--again"]) == 0
    two, again = results.load(name)
    assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)
    assert again["parameters"].keys() == record["parameters"].keys()
    before = {p: p.read_bytes() for p in small_runs.rglob("*.*")}
    capsys.readouterr()
    assert command.main(arguments) == 0  # a rerun does nothing
    said = capsys.readouterr().out
    assert "kept already" in said or "0 networks trained" in said
    assert {p: p.read_bytes() for p in small_runs.rglob("*.*")} == before


def _note_and_wait(folder, number, gate):
    """A unit that says which process did it, and when; the first one waits to be killed."""
    (folder / f"{number}-{os.getpid()}-{time.time_ns()}").touch()
    while number == 0 and not gate.exists():
        time.sleep(0.05)
    return number


def test_a_worker_that_is_killed_loses_nothing_and_doubles_nothing(tmp_path):
    from dask.distributed import Client, LocalCluster
    from joblib import parallel_config

    folder, gate = tmp_path / "units", tmp_path / "gate"
    folder.mkdir()

    def kill():
        while not (first := list(folder.glob("0-*"))):
            time.sleep(0.05)
        os.kill(int(first[0].name.split("-")[1]), signal.SIGKILL)
        gate.touch()

    killer = threading.Thread(target=kill)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0",
                     memory_limit=0) as cluster,
        Client(cluster),
        parallel_config(backend="dask"),
    ):  # fmt: skip
        killer.start()
        calls = [(folder, number, gate) for number in range(12)]
        values = each(_note_and_wait, calls, None, "units", "unit", progress=False)
        killer.join()
    assert values == list(range(12))
    times = [sum(p.name.startswith(f"{n}-") for p in folder.iterdir()) for n in range(12)]
    assert times[0] == 2  # killed once, and done once
    # a unit that was finished on the killed worker may be computed again, from what it left
    assert max(times) <= 2 and sum(times) <= 15


def test_no_scheduler_is_one_line(small_runs, tmp_path, capsys):
    options = ["detection", "--workdir", str(tmp_path / "w"), "--scheduler", "tcp://127.0.0.1:1"]
    assert auditing_command.main(options) == 1
    *_, last = capsys.readouterr().err.strip().splitlines()
    assert last.startswith("memnb.auditing: no Dask scheduler answers at 'tcp://127.0.0.1:1': ")
    assert not (tmp_path / "w").exists()
    assert auditing_command.main([*options[:-1], "nonsense"]) == 1
    assert "no Dask scheduler answers at 'nonsense'" in capsys.readouterr().err
