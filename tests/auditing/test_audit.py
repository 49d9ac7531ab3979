"""The audit as a whole: verdicts, what it is given, what it saves, the command line."""

import json
import tracemalloc

import numpy as np
import pytest
import torch

from memnb.__main__ import main
from memnb.auditing import audit, neighbors, rows
from memnb.auditing.generators import blurred_copies, gaussian_sets

TRAINING, HELD_OUT, NEW = gaussian_sets(500, 8, seed=0)
HALF = np.concatenate([TRAINING[:250], NEW[250:]])


@pytest.mark.parametrize(
    ("generated", "verdict"),
    [
        (NEW, "none"),
        (0.6 * NEW, "none"),
        (1.5 * NEW, "none"),
        (HALF, "copies"),
        (np.concatenate([TRAINING[:250], 1.5 * NEW[250:]]), "copies"),
        (np.repeat(NEW[:10], 50, axis=0), "few"),
        (blurred_copies(TRAINING, 500, 1.5, seed=0), "depends"),
    ],
    ids=["perfect", "narrow", "wide", "half copies", "half too wide", "collapsed", "blurred"],
)
def test_verdicts(generated, verdict):
    result = audit(TRAINING, generated, HELD_OUT)
    assert result.verdict == verdict, str(result)


def test_where_data_have_few_dimensions_closeness_is_no_copying():
    """New points on a line of the data: close to single points, but not more to training."""
    rng = np.random.default_rng(1)

    def draw(n, on_line):
        x = rng.standard_normal((n, 20))
        line = np.arange(n) < on_line * n
        x[line, 1:] = 0
        return x

    training, held_out, new = draw(800, 0.1), draw(800, 0.1), draw(2000, 0.9)
    assert audit(training, new, held_out).verdict == "unclear"


def test_scale_offset_dtype_and_kind_of_array_do_not_matter():
    first = audit(TRAINING, HALF, HELD_OUT)
    moved = [1e6 * x + 5e6 for x in (TRAINING, HALF, HELD_OUT)]
    tensors = [torch.from_numpy(x).float() for x in (TRAINING, HALF, HELD_OUT)]
    wide = [1e100 * x.astype(np.longdouble) for x in (TRAINING, HALF, HELD_OUT)]
    stacks = [x.reshape(-1, 2, 4) for x in (TRAINING, HALF, HELD_OUT)]
    for sets in (moved, tensors, wide, stacks):
        other = audit(*sets)
        assert other.verdict == first.verdict
        for name in ("copies", "nearer", "authenticity"):
            assert other[name].value == pytest.approx(first[name].value, abs=1e-3)
    assert str(audit(TRAINING, HALF, HELD_OUT)) == str(first)


def test_pairs_name_rows_as_they_were_given():
    twice = np.concatenate([TRAINING[:3], TRAINING])  # the first three occur twice
    result = audit(twice, HALF, HELD_OUT, n_pairs=5)
    assert "3 training points equal an earlier one" in result.notes[0]
    for pair in result.pairs:
        assert pair.ratio == 0 and (HALF[pair.generated] == twice[pair.training]).all()


def test_features_change_what_is_seen():
    """Copies under strong noise in all columns but two are seen in these two."""
    rng = np.random.default_rng(2)
    training, held_out = rng.standard_normal((2, 600, 10))
    new = rng.standard_normal((600, 10)) * 3
    new[:, :2] = training[:, :2]
    training[:, 2:] *= 3
    held_out[:, 2:] *= 3
    rng.shuffle(new[:, 2:])
    assert audit(training, new, held_out).verdict != "copies"
    result = audit(training, new, held_out, features=lambda x: x[:, :2])
    assert result.verdict == "copies"
    assert audit(training, new, held_out, features=3).sizes["dimensions"] == 3


def test_files_are_read_and_reports_written(tmp_path):
    paths = []
    for name, x in (("t", TRAINING), ("g", HALF), ("h", HELD_OUT)):
        np.save(tmp_path / f"{name}.npy", x)
        paths.append(tmp_path / f"{name}.npy")
    np.savez(tmp_path / "h.npz", only=HELD_OUT)
    result = audit(paths[0], str(paths[1]), tmp_path / "h.npz")
    result.save(tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["verdict"] == "copies" and content["sizes"]["generated"] == 500
    assert {m["name"] for m in content["measures"]} == {m.name for m in result.measures}
    page = result.save(tmp_path / "report.html").read_text()
    assert page.startswith("<!doctype html>") and result.reason.split(";")[0][:40] in page
    assert 'src="http' not in page and "<link" not in page
    images = [x[:, None].repeat(8, axis=1) for x in (TRAINING, HALF, HELD_OUT)]
    assert "data:image/png;base64" in audit(*images)._repr_html_()
    for name in ("report.txt", "no/where.json"):
        with pytest.raises(ValueError, match="report must"):
            result.save(tmp_path / name)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"generated": NEW[:, :5]},
            r"generated must have points of .*\(8,\), got \(5,\)",
        ),
        ({"generated": NEW[:49]}, "generated must have at least 50 points, got 49"),
        (
            {"generated": np.where(np.arange(8) == 3, np.nan, NEW)},
            "generated must be finite, but 500",
        ),
        ({"generated": "nowhere.npy"}, "generated must name a file, but there is none"),
        ({"generated": [[1, 2], [3]]}, "generated must be an array"),
        ({"held_out": TRAINING}, "500 of 500 held-out points are also training points"),
        ({"training": (255 * NEW).astype(np.uint8)}, "must share one scale, but training is uint8"),
        ({"training": np.ones((500, 8))}, "training must have at least two distinct points, got 1"),
        ({"held_out": np.ones((500, 8))}, "held_out must have at least two distinct points, got 1"),
        ({"generated": 1e300 * NEW}, "generated must be at most 1e[+]150 in size"),
        ({"generated": NEW.astype(object)}, "an array of real numbers, got dtype object"),
        (
            {"generated": (1e16 * NEW).astype(np.float32)},
            "generated must be at most 1e[+]15 in size",
        ),
        ({"generated": np.ma.masked_greater(NEW, 2)}, "generated must be an array without a mask"),
        ({"generated": NEW > 0}, "an array of real numbers, got dtype bool"),
        ({"features": lambda x: 0 * x}, "at least two distinct points, got 1"),
        ({"features": lambda x: np.nan * x}, r"features\(training\) must be finite"),
        ({"threshold": 0}, r"threshold must be in \(0, 1\], got 0"),
        ({"features": 9}, "features must be between 1 and 8, got 9"),
        ({"features": lambda x: x[:100]}, "one row for each point, got 100 for the 500"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"device": "gpu"}, "device must be 'cpu'"),
    ],
)
def test_bad_input_is_one_clear_error(change, message):
    sets = {"training": TRAINING, "generated": NEW, "held_out": HELD_OUT} | change
    with pytest.raises((ValueError, TypeError), match=message):
        audit(**sets)


def test_objects_are_no_numbers(tmp_path):
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object))
    (tmp_path / "text.npy").write_text("not an array")
    for name, message in (
        ("o.npy", "holds Python objects"),
        ("text.npy", "is no .npy or .npz file"),
    ):
        with pytest.raises(ValueError, match=message):
            audit(TRAINING, tmp_path / name, HELD_OUT)
    with pytest.raises(TypeError, match="must be an array of real numbers"):
        audit(TRAINING, np.array(["a"] * 100), HELD_OUT)


def test_some_overlap_is_left_out_and_told():
    held_out = np.concatenate([HELD_OUT[:400], TRAINING[:20]])
    result = audit(TRAINING, NEW, held_out)
    assert result.sizes["held out"] == 400
    assert "20 of 420 held-out points are also training points; they were left out" in result.notes


def test_constant_columns_and_ties():
    sets = [np.concatenate([x, np.ones((len(x), 2))], axis=1) for x in (TRAINING, NEW, HELD_OUT)]
    assert "2 of 10 columns are constant" in audit(*sets).notes[0]
    rng = np.random.default_rng(3)
    integers = rng.integers(0, 3, size=(3, 200, 3)).astype(float)  # 27 points, many ties
    result = audit(*integers)  # all are equal to training points, those held out too
    assert result.verdict == "few" and "they count as copies" in result.notes[0]


def test_command_line(tmp_path, capsys):
    for name, x in (("t", TRAINING), ("g", HALF), ("h", HELD_OUT)):
        np.save(tmp_path / f"{name}.npy", x)
    files = [f"--{n}={tmp_path / n[0]}.npy" for n in ("training", "generated", "held-out")]
    report = tmp_path / "report.json"
    assert main(["audit", *files, "--report", str(report)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("The generator copies training points.")
    assert json.loads(report.read_text())["verdict"] == "copies"
    for wrong, message in (
        ([files[0], files[1], "--held-out=none.npy"], "held_out must name a file"),
        ([*files, "--report", "report.txt"], "report must end in .json or .html"),
        ([*files, "--threshold", "2"], r"threshold must be in (0, 1], got 2"),
    ):
        assert main(["audit", *wrong]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and message in error


def test_memory_is_that_of_centered_points_and_one_block(tmp_path, monkeypatch):
    """Files are mapped; no matrix of distances, and nothing per query but a few numbers."""
    monkeypatch.setattr(rows, "CHUNK_BYTES", 2**20)
    monkeypatch.setattr(neighbors, "QUERY_BLOCK", 100)
    rng = np.random.default_rng(0)
    peaks, files = {}, {}
    for name, n in (("training", 8000), ("held_out", 2000), ("generated", 2000)):
        files[name] = tmp_path / f"{name}.npy"
        np.save(files[name], rng.standard_normal((n, 64), np.float32))
    for few in (500, 2000):
        np.save(tmp_path / "few.npy", np.load(files["generated"])[:few])
        tracemalloc.start()
        try:
            result = audit(files["training"], tmp_path / "few.npy", files["held_out"])
            peaks[few] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert result.sizes["training"] == 8000
    of_points = 4 * 64 * (8000 + 2000 + 2000)  # centered, and the part of the pool
    matrix = 4 * 2000 * 8000
    assert peaks[2000] < of_points + 6 * 2**20 < matrix / 5
    assert peaks[2000] - peaks[500] < 1500 * 64 * 4  # less than the points that came in addition


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "change",
    [
        {"training": TRAINING[np.arange(500) % 3]},
        {"held_out": HELD_OUT[np.arange(500) % 3]},
        {"generated": np.zeros((500, 8))},
    ],
    ids=["three training points", "three held-out points", "one generated point"],
)
def test_few_distinct_points_are_too_few_to_tell(change):
    result = audit(**{"training": TRAINING, "generated": NEW, "held_out": HELD_OUT} | change)
    assert result.verdict == "few", str(result)
    duplicates = [note for note in result.notes if "equal an earlier one" in note]
    assert len(duplicates) == ("generated" not in change)


def test_integer_images_and_ties_are_taken():
    random = np.random.default_rng(4)
    images = random.integers(0, 256, size=(3, 80, 4, 4)).astype(np.uint8)
    as_floats = audit(*(images / 255).astype(np.float32))
    assert str(audit(*images)) == str(as_floats)
    ties = [random.integers(0, 4, size=(80, 6)) + shift for shift in (0, 0.25, 0.5)]
    assert audit(*ties).verdict == "few"


def test_points_too_close_together_are_refused():
    with pytest.raises(ValueError, match="farther apart than 1e-160"):
        audit(1e-300 * TRAINING, 1e-300 * NEW, 1e-300 * HELD_OUT)
