"""Committed results: what is loaded is what was saved, and nothing else gets through."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support import ROOT

from memnb import results

RUN = {"command": "python -m x", "parameters": {"d": 3}, "seed": 1, "device": "CPU", "seconds": 2}
KINDS = st.sampled_from(["float32", "float64", "float16", "int64", "uint8", "bool"])


@given(
    hnp.arrays(
        dtype=KINDS,
        shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
        elements={"allow_nan": False},
    )
)
def test_arrays_come_back_bit_for_bit(tmp_path_factory, values):
    root = tmp_path_factory.mktemp("results")
    results.save("a/b", {"values": values}, **RUN, root=root)
    loaded, record = results.load("a/b", root)
    back = loaded["values"].numpy()
    assert back.dtype == values.dtype and back.tobytes() == values.tobytes()
    assert record["arrays"]["values"]["shape"] == list(values.shape)


def test_the_same_arrays_have_the_same_checksum(tmp_path):
    arrays = {"x": torch.linspace(0, 1, 50), "on": torch.arange(7) > 3}
    first = results.save("a/one", arrays, **RUN, root=tmp_path)
    again = results.save("a/two", arrays, **RUN, root=tmp_path)
    assert first["sha256"] == again["sha256"]
    other = results.save("a/two", {**arrays, "x": arrays["x"] + 1e-7}, **RUN, root=tmp_path)
    assert other["sha256"] != first["sha256"]


@pytest.mark.parametrize("position", [0, 40, -1])
def test_one_changed_byte_is_refused(tmp_path, position):
    results.save("a/b", {"x": torch.ones(9)}, **RUN, root=tmp_path)
    path, _ = results.where("a/b", tmp_path)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(results.ResultsCorrupt, match=r"b\.npz .*SHA-256"):
        results.load("a/b", tmp_path)


def test_missing_and_unreadable_files_are_named(tmp_path):
    with pytest.raises(results.ResultsCorrupt, match=r"no file b\.npz"):
        results.load("a/b", tmp_path)
    results.save("a/b", {"x": torch.ones(1)}, **RUN, root=tmp_path)
    _, record = results.where("a/b", tmp_path)
    content = json.loads(record.read_text())
    record.write_text(json.dumps({k: v for k, v in content.items() if k != "seed"}))
    with pytest.raises(results.ResultsCorrupt, match="lacks seed"):
        results.load("a/b", tmp_path)
    record.write_text("{")
    with pytest.raises(results.ResultsCorrupt, match="unreadable"):
        results.load("a/b", tmp_path)


@pytest.mark.parametrize(
    ("name", "arrays", "message"),
    [
        ("a/b", {"x": torch.tensor([1.0, float("nan")])}, "must not hold NaN"),
        ("a/b", {"x": np.array(["text"])}, "numeric or boolean"),
        ("../b", {"x": torch.ones(1)}, "name must be"),
        ("b", {"x": torch.ones(1)}, "name must be"),
    ],
)
def test_bad_results_are_refused_before_anything_is_written(tmp_path, name, arrays, message):
    with pytest.raises(ValueError, match=message):
        results.save(name, arrays, **RUN, root=tmp_path)
    assert not list(tmp_path.rglob("*"))


def test_every_committed_result_fits_its_checksum():
    folder = ROOT / "results"
    runs = sorted(p.relative_to(folder).with_suffix("") for p in folder.glob("*/*.json"))
    arrays = sorted(p.relative_to(folder).with_suffix("") for p in folder.glob("*/*.npz"))
    assert runs == arrays, "arrays and provenance come in pairs"
    for run in runs:
        loaded, record = results.load(run.as_posix())
        assert set(loaded) == set(record["arrays"])
        absolute = re.findall(r"(?<![\w.)])/\w+", json.dumps(record))
        assert absolute == [], "provenance names no folder of the machine it ran on"


def test_an_installed_package_without_a_book_says_so_and_writes_nothing(tmp_path):
    """A copy of the package alone, as a wheel holds it."""
    installed = tmp_path / "site-packages"
    shutil.copytree(
        ROOT / "memnb", installed / "memnb", ignore=shutil.ignore_patterns("__pycache__")
    )
    files = sorted(path for path in installed.rglob("*"))
    line = f"{installed} holds no book: name the folder of a checkout in MEMNB_ROOT"

    def python(*arguments, **more):
        environment = {k: v for k, v in os.environ.items() if k != "MEMNB_ROOT"}
        environment |= {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1", **more}
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True, text=True, env=environment, cwd=tmp_path,
        )  # fmt: skip

    for verb in (["run", "1"], ["build"], ["check"], ["serve"]):
        done = python("-m", "memnb", *verb)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"memnb: {line}\n")
    code = (
        "import torch; from memnb import results\n"
        "for do in (lambda: results.load('05-linear-model/onset'), lambda: results.save("
        "'a/b', {'x': torch.ones(2)}, command='c', parameters={}, seed=0, device='d', seconds=1"
        ")):\n"
        "    try: do()\n"
        "    except results.checkout.NoCheckout as error: print(error)\n"
        "print(results.load('05-linear-model/onset', root=r'%s')[1]['seed'])"
    ) % (ROOT / "results")
    done = python("-c", code)
    assert done.stdout.splitlines()[:2] == [line, line] and done.returncode == 0, done.stderr
    done = python(
        "-c", "from memnb import results; print(results.where('a/b')[0])", MEMNB_ROOT=str(ROOT)
    )
    assert done.stdout.strip() == str(ROOT / "results" / "a" / "b.npz")
    assert sorted(path for path in installed.rglob("*")) == files
