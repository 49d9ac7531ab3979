"""The benchmark runs, and compares methods that do the same thing. Times are not tested."""

import json
import mmap
import multiprocessing
import subprocess
import sys
import time

import numpy as np
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
        # From the system itself: an allocator may still hold what other tests have given back.
        pages = mmap.mmap(-1, 10**8, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        np.frombuffer(pages, np.uint8)[:] = 1
        waited = time.monotonic()  # until it has been read, however busy the machine is
        while memory.bytes < 0.9e8 and time.monotonic() - waited < 60:
            time.sleep(0.02)
        pages.close()
    assert 0.9e8 < memory.bytes < 2e8
    sets = write_sets(tmp_path, 2000, 500, (1, 4, 4))
    with multiprocessing.get_context("spawn").Pool(1) as fresh:  # for the same reason
        measured = fresh.apply(measure_memory, (sets, 100))
    assert measured["copies"] == pytest.approx(0.5)
    assert (
        measured["extrapolated"] > measured["seconds"] > measured["search"] > 0
        and measured["bytes"] > 0
    )


def test_the_page_is_made_from_what_was_kept(tmp_path):
    """Two benchmarks, one kept anew: the page has their ratios and says which target is missed."""
    from benchmarks import Compared, in_turns
    from benchmarks.__main__ import keep
    from memnb.book.benchmarks import benchmarks_page, slower_than_target

    seconds, values = in_turns({"a": lambda: 1, "b": lambda: 2}, 3)
    assert values == {"a": 1, "b": 2} and all(0 <= x < 1 for x in seconds.values())
    path = tmp_path / "benchmarks.json"
    slow = Compared("Kind", "case", "this", "that", 0.5, 10.0, 25)
    fast = Compared("Other", "case", "this", "that", 0.5, 10.0, 20, "GB", "told")
    keep("floor", [fast], 1.0, 2.0, path)
    keep("flows", [fast, fast], 1.0, 2.0, path)
    keep("flows", [slow], 1.23, 2.0, path)
    kept = json.loads(path.read_text())
    assert list(kept) == ["flows", "floor"] and len(kept["flows"]["rows"]) == 1
    assert slower_than_target(kept.values()) == [
        "Kind: case; this against that: ratio 20.0, target at least 25"
    ]
    page = benchmarks_page(kept)
    assert page.count("ratio 20.0") == 1 and page.count("**missed**") == 1
    assert "| case | this: 0.500 s | that: 10.0 s | 20.0, **missed** | ≥ 25 |" in page
    assert "<small>told</small> | this: 0.500 GB | that: 10.0 GB | 20.0, met | ≥ 20 |" in page
    assert kept["flows"]["date"] in page and "load average 1.2 at" in page
    assert f"torch {kept['flows']['versions']['torch']}" in page
    assert "Nothing that was measured." in benchmarks_page({"floor": kept["floor"]})


def test_every_benchmark_is_on_the_page():
    from benchmarks.__main__ import NAMES

    kept = json.loads((ROOT / "results" / "benchmarks.json").read_text())
    assert tuple(kept) == NAMES
    modules = {path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py")}
    assert modules == {*NAMES, "units", "audit_memory"}
    assert all(row["of_ours"] > 0 for table in kept.values() for row in table["rows"])


def test_quick_benchmarks_print_rows_and_keep_nothing(capsys):
    from benchmarks.__main__ import main

    path = ROOT / "results" / "benchmarks.json"
    before = path.read_bytes()
    assert main(["--quick", "floor", "classification"]) == 0
    assert capsys.readouterr().out.count("\n") == 3 and path.read_bytes() == before
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "NAME must be among" in capsys.readouterr().err


def test_a_schedule_is_within_its_bounds():
    from memnb.book.scaling import makespan

    durations = torch.rand(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    durations = durations.tolist()
    assert makespan(durations, 1) == pytest.approx(sum(durations))
    assert makespan(durations, 40) == makespan(durations, 256) == max(durations)
    for workers in (2, 3, 7):
        least = max(sum(durations) / workers, max(durations))
        assert least <= makespan(durations, workers) <= (4 / 3) * least + 1e-12
    assert makespan([3, 3, 2, 2, 2], 2) == 7  # the best one is 6


def test_the_page_of_units_has_the_exponents_of_what_was_measured():
    from memnb.book.scaling import UNITS, exponents, scaling_page

    measured = json.loads((ROOT / "results" / "units.json").read_text())
    rows = [row | {"seconds": 1e-6 * row["size"]["N"] ** 2 * row["size"]["M"] / row["size"]["d"]}
            for row in measured["rows"] if row["kind"] == "path"]  # fmt: skip
    assert exponents(rows, "path") == pytest.approx({"N": 2, "d": -1, "M": 1})
    power = exponents(measured["rows"], "path")
    assert power["N"] > 1.5 * max(power["d"], power["M"]) > 0  # as the page says
    slower = [row | {"seconds": 10 * row["seconds"]} for row in measured["rows"]]
    page, late = (scaling_page(measured | {"rows": some}) for some in (measured["rows"], slower))
    for kind in UNITS:
        for power in exponents(measured["rows"], kind).values():
            assert f": {power:.2f} (" in page
    blocks, later = (
        next(line for line in text.splitlines() if "`onset`" in line).split("|")[3]
        for text in (page, late)
    )
    assert float(later) == pytest.approx(10 * float(blocks), rel=0.1)
