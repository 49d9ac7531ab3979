"""The benchmark runs, and compares methods that do the same thing. Times are not tested."""

import subprocess
import sys
import time

import pytest
import torch
from support import ROOT

from benchmarks.flows import measure


def test_methods_agree_with_the_exact_map():
    rows = {(r["flow"], r["method"]): r for r in measure(200, 1, progress=False)}
    assert len(rows) == 6
    for flow in ("score flow", "probability flow"):
        assert rows[flow, "exact"]["error"] == 0
        assert rows[flow, "dopri5"]["error"] < 1e-3
        assert 1e-6 < rows[flow, "Euler, 100 steps"]["error"] < 1


def test_command_prints_a_table_and_the_memory():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.flows", "--quick"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| score flow | 1000 |") == 3
    memory = float(done.stdout.split(" GB at most")[0].split()[-1])
    assert 0 < memory < 2


def test_event_driven_flows_are_exact_and_the_integrator_converges_to_them():
    from benchmarks.coupled import measure as measure_coupled

    rows = {(r["flow"], r["method"]): r for r in measure_coupled(6, 8, 50, 1)}
    assert len(rows) == 6
    for flow in ("score flow", "probability flow"):
        loose, tight, exact = (rows[flow, m] for m in ("dopri5 1e-6", "dopri5 1e-10", "exact"))
        assert loose["error"] > 100 * tight["error"] > 0 and exact["error"] < 1e-10
        assert loose["median error"] > 10 * tight["median error"] > 0
        assert 1 < exact["steps"] < 10 < loose["steps"] < tight["steps"]


def test_unets_are_of_one_size_and_both_take_steps():
    from benchmarks.unet import HandWritten, measure
    from memnb.unet.network import count_parameters

    rows = measure("small", 8, 4, 1, ("diffusers", "by hand", "bfloat16"))
    assert [row["network"] for row in rows] == ["diffusers", "by hand", "bfloat16"]
    assert len({row["parameters"] for row in rows}) == 1
    assert rows[0]["ratio"] == 1 and all(row["seconds"] > 0 for row in rows)
    with torch.device("meta"):
        assert abs(count_parameters(HandWritten("paper")) / 12.9e6 - 1) < 0.02
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    net = HandWritten("small")
    net(x, torch.tensor([1, 2, 3])).square().sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_the_linear_model_and_its_direct_transcription_agree():
    from benchmarks.linear import measure as measure_linear

    measured = measure_linear(60, 10, 300, 1)
    assert measured["difference"] < 1e-12
    assert all(value > 0 for name, value in measured.items() if name != "difference")


def test_networks_in_a_batch_end_where_they_end_alone():
    from benchmarks.fit import measure as measure_fit

    rows = {r["arm"]: r for r in measure_fit(3, 3, 4, 10, 8, 1, steps=5)}
    assert set(rows) == {"one batch", "one after another", "one batch, autograd"}
    assert rows["one batch"]["difference"] == 0
    for name in ("one after another", "one batch, autograd"):
        assert rows[name]["difference"] < 1e-9 and rows[name]["seconds"] > 0


def test_cooper_and_the_written_out_loop_take_the_same_path():
    from benchmarks.cooper import measure as measure_cooper

    hand, library = measure_cooper(3, 3, 8, 12, 4, 1, steps=6, dtype=torch.float64)
    assert (hand["arm"], library["arm"]) == ("by hand", "cooper")
    assert hand["difference"] == 0 and library["difference"] < 1e-9
    assert abs(library["residual"] / hand["residual"] - 1) < 1e-9


def test_the_audit_and_its_transcriptions_agree():
    from benchmarks.audit import measure as measure_audit
    from benchmarks.audit import search

    rows = measure_audit(400, 10)
    assert [row["arm"] for row in rows] == ["audit", "scikit-learn", "torch.cdist"]
    assert all(row["difference"] < 1e-6 and row["seconds"] > 0 for row in rows)
    for tight in (False, True):
        assert {row["library"]: row["wrong"] for row in search(300, 10, tight)}["scikit-learn"] == 0


def test_memory_of_the_audit_is_read_while_it_runs(tmp_path):
    from benchmarks.audit_memory import Anonymous, write_sets
    from benchmarks.audit_memory import measure as measure_memory

    with Anonymous() as memory:
        block = torch.ones(25_000_000)
        time.sleep(0.1)  # several of its readings
        del block
    assert 0.9e8 < memory.bytes < 2e8
    measured = measure_memory(write_sets(tmp_path, 2000, 500, (1, 4, 4)), 100)
    assert measured["copies"] == pytest.approx(0.5)
    assert (
        measured["extrapolated"] > measured["seconds"] > measured["search"] > 0
        and measured["bytes"] > 0
    )
