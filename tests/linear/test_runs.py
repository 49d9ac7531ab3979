"""The long runs: what is kept, how it is computed, and that it can be computed again."""

import signal
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
import torch

from memnb import linear, results
from memnb.linear import __main__ as command
from memnb.linear import draws, published, readback, runs
from memnb.streams import numpy_stream


def test_streams_of_all_purposes_are_independent():
    """No two purposes share a stream, neither here nor with those that are drawn by name."""
    setting = linear.Setting(300, 100, 300, originals="fresh")
    fixed = linear.Setting(300, 100, 300)
    drawn = [
        linear.draw_originals(setting, 0, 0),
        linear.draw_originals(setting, 0, 1),
        linear.draw_originals(fixed, 0),
        linear.draw_training(setting, 0, 0)[0],
        linear.draw_training(setting, 0, 1)[0],
        linear.draw_training(linear.Setting(301, 100, 300), 0, 0)[0][:300],
        torch.from_numpy(np.random.default_rng(0).standard_normal((300, 100))),
        torch.from_numpy(numpy_stream(0, "noise on points").standard_normal((300, 100))),
    ]
    y, x = linear.draw_training(setting, 0, 0)
    model = setting.model
    drawn.append((x - model.shrink * y) / model.noise_variance**0.5)
    rows = torch.stack([one.flatten() for one in drawn])
    correlation = torch.corrcoef(rows) - torch.eye(len(rows))
    assert correlation.abs().max() < 5 / rows.shape[1] ** 0.5
    assert len(set(draws.PURPOSES.values())) == len(draws.PURPOSES)
    names = ("noise on points", "starts forward", "starts backward", "inputs to generate from",
             "noise of the equation forward", "noise of the equation backward",
             "points to be noised", "unmoved draws",
             *(f"part of {run} to compute again" for run in runs.RUNS))  # fmt: skip
    hashes = [zlib.crc32(name.encode()) for name in names]
    assert not set(hashes) & set(draws.PURPOSES.values()) and len(set(hashes)) == len(hashes)


@pytest.mark.parametrize("run", runs.RUNS)
def test_kept_arrays_are_those_of_the_run(run):
    arrays, record = results.load(runs.name(run))
    expected = {
        f"{quantity}_{part.label}": (*part.shape, runs.RUNS[run].n_simulations)
        for part in runs.RUNS[run].parts
        for quantity in runs.RUNS[run].quantities
    }
    assert {name: tuple(value.shape) for name, value in arrays.items()} == expected
    assert record["seed"] == runs.SEED and record["command"] == f"python -m memnb.linear {run}"


def test_a_part_of_a_run_can_be_computed_again():
    assert readback.difference("onset", "fixed_16", 4, 190, 5) < 1e-10
    assert readback.difference("phase", "1000", 19, 50, 5) < 1e-10  # d = 4, n = 6
    assert readback.difference("equal", "16", 0, 990, 5) < 1e-10
    assert len(readback.verify("alignment", seed=3, count=2, largest=160)) == 5


def test_a_changed_number_is_reported(monkeypatch):
    arrays = {name: value.clone() for name, value in readback._load("phase").items()}
    arrays["log_abs_1000"] += 1e-6
    monkeypatch.setattr(readback, "_load", lambda run: arrays)
    with pytest.raises(results.ResultsCorrupt, match=r"05-linear-model/phase is off by 1.0e-06 at"):
        readback.verify("phase", seed=0, count=2, largest=8)


def test_the_map_has_the_shares_of_its_dimensions():
    share = readback.phase_map(1000)
    assert share.shape == (len(runs.PHASE_DIMENSIONS), len(runs.PHASE_POINTS))
    row, column = runs.PHASE_DIMENSIONS.index(16), runs.PHASE_POINTS.index(24)
    setting = linear.Setting(24, 16, 1000, originals="expected")
    assert share[row, column].item() == linear.simulate(setting, 200).generalizing()[0]


def test_curves_have_their_onsets_between_their_points():
    one = readback.curve("onset", "fixed_16")
    at, error = one.onset()
    below = max(n for n in one.n if n < at)
    above = min(n for n in one.n if n > at)
    assert one.at(below)[0] < 0.5 < one.at(above)[0] and 0 < error < above - below
    assert one.fall()[0] == pytest.approx(17, abs=0.5)


@pytest.mark.parametrize(
    ("dim", "n", "p"), [(16, 1000, 0.440), (16, 200, 0.325), (100, 1000, 0.263)]
)
def test_as_many_training_points_as_originals_is_not_a_half(dim, n, p):
    """Numbers of an independent implementation, errors 0.009 to 0.025."""
    share, error = readback.curve("equal", str(dim)).at(n)
    assert abs(share - p) < 4 * (error**2 + 0.01**2) ** 0.5
    assert share + 2 * error < 0.5


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A run of two small parts, kept in a folder of its own; the folder of its parts."""
    parts = tuple(
        runs.Part(label, tuple(linear.Setting(n, 2, 5) for n in sizes), (2,))
        for label, sizes in (("a", (3, 4)), ("b", (5, 6)))
    )
    monkeypatch.setitem(runs.RUNS, "equal", runs.Run(parts, ("hellinger", "sign"), 6))
    where = results.where
    monkeypatch.setattr(
        results, "where", lambda name, root=None: where(name, root or tmp_path / "results")
    )
    return tmp_path / "work"


def test_a_run_is_kept_and_not_computed_without_need(tiny, monkeypatch, capsys):
    arguments = ["equal", "--workdir", str(tiny)]
    before = signal.getsignal(signal.SIGTERM)
    assert command.main(arguments) == 0
    assert signal.getsignal(signal.SIGTERM) == before
    arrays, record = results.load("05-linear-model/equal")
    exact = linear.simulate(linear.Setting(4, 2, 5), 6)
    torch.testing.assert_close(arrays["hellinger_a"][1], exact.hellinger)
    assert arrays["sign_b"].dtype == torch.int8
    assert record["parameters"]["parts"]["a"]["n"] == [3, 4]
    files = results.where("05-linear-model/equal")
    stamps = [path.stat().st_mtime_ns for path in files]
    monkeypatch.setattr(command, "compute", lambda *_: pytest.fail("computed again"))
    assert command.main(arguments) == 0
    assert "is kept already; --again" in capsys.readouterr().out
    assert [path.stat().st_mtime_ns for path in files] == stamps


def test_a_run_must_be_asked_for_by_name(capsys):
    for arguments in ([], ["everything"], ["onset", "--jobs", "0"]):
        with pytest.raises(SystemExit) as stop:
            command.main(arguments)
        assert stop.value.code == 2
    assert "python -m memnb.linear" in capsys.readouterr().err


def test_a_stopped_run_goes_on_with_the_next_part(tiny, monkeypatch, capsys):
    computed = []

    def stops(part, *rest):
        computed.append(part.label)
        if computed == ["a", "b"]:
            raise KeyboardInterrupt
        return one(part, *rest)

    one = command._one
    monkeypatch.setattr(command, "_one", stops)
    arguments = ["equal", "--workdir", str(tiny)]
    assert command.main(arguments) == 130
    assert capsys.readouterr().err.endswith(
        f"\nmemnb.linear: interrupted; the same command goes on from {tiny}\n"
    )
    assert [p.name for p in (tiny / "equal").iterdir()] == ["a.pt"]
    assert not results.where("05-linear-model/equal")[0].exists()
    assert command.main(arguments) == 0 and computed == ["a", "b", "b"]
    stopped = results.load("05-linear-model/equal")[0]
    assert command.main([*arguments, "--again", "--jobs", "2"]) == 0
    for name, values in results.load("05-linear-model/equal")[0].items():
        torch.testing.assert_close(stopped[name], values)


@pytest.mark.parametrize("content", [b"junk", b"", None])
def test_a_foreign_file_in_the_working_folder_is_one_line(tiny, capsys, content):
    path = tiny / "equal" / "a.pt"
    path.parent.mkdir(parents=True)
    if content is None:
        torch.save({"what": "another run", "arrays": {}, "seconds": 0.0}, path)
    else:
        path.write_bytes(content)
    assert command.main(["equal", "--workdir", str(tiny)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"memnb.linear: {path} ") and error.count("\n") == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_another_device_gives_the_same_simulations():
    settings = [linear.Setting(20, 4, 50, originals=kind) for kind in draws.ORIGINALS]
    for a, b in zip(
        linear.sweep(settings, 5), linear.sweep(settings, 5, device="cuda"), strict=True
    ):
        torch.testing.assert_close(a.hellinger, b.hellinger)
        torch.testing.assert_close(a.delta.log_abs, b.delta.log_abs)


def test_sigterm_ends_a_run_with_143(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "memnb.linear", "onset", "--again", "--workdir", str(tmp_path)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    first = process.stderr.read(1)  # the progress bar: it is computing
    time.sleep(0.2)
    process.terminate()
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 143
    assert (first + rest).endswith(
        f"memnb.linear: terminated; the same command goes on from {tmp_path}\n"
    )
    assert "Traceback" not in rest and not list((tmp_path / "onset").iterdir())


def test_signs_in_single_precision_are_those_of_the_transcription():
    setting = linear.Setting(12, 3, 20)
    originals = linear.draw_originals(setting, 0).numpy()
    expected = [
        np.sign(
            published.delta_direct(
                *(part.numpy() for part in linear.draw_training(setting, 0, k)),
                originals, setting.model, np.float32,
            )
        )
        for k in range(8)
    ]  # fmt: skip
    assert published.signs(setting, 8, 0).tolist() == expected


def test_checks_that_use_no_formula():
    setting = linear.Setting(9, 2, 10)
    y, x = linear.draw_training(setting, 3, 0)
    fit = setting.model.fit(y, x)
    sample = published.sampled_covariance(y, x, setting.model, 200_000)
    scale = fit.covariance.abs().max().item()
    np.testing.assert_allclose(sample, fit.covariance, atol=0.02 * scale)
    assert published.hellinger_on_grid(fit) == pytest.approx(linear.hellinger(fit).item(), abs=1e-9)
