"""The long run of the chapter on audits: it resumes, and processes change nothing."""

import pytest
import torch

from memnb import results
from memnb.auditing import __main__ as command
from memnb.auditing import runs

SMALL = runs.Detection(dims=(2, 20), sizes=(60, 90), blurs=(0.0, 0.5), shares=(0, 0.3, 1),
                       repeats=(2, 1))  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return SMALL.run(tmp_path_factory.mktemp("whole"), progress=False)[0]


def test_all_repetitions_are_kept_by_size_and_dimension(whole):
    assert {name: tuple(p.shape) for name, p in whole.items()} == {
        f"p_{n}_{dim}": (count, 2, 3, 5) for n, count in ((60, 2), (90, 1)) for dim in (2, 20)
    }
    one = torch.from_numpy(SMALL.one(60, 20, 1)).float()
    assert one[..., 4].isnan().all()  # no densities in 20 dimensions
    assert torch.equal(whole["p_60_20"][1], one.nan_to_num(nan=2.0))
    assert not torch.equal(whole["p_60_20"][0], whole["p_60_20"][1])
    assert (whole["p_60_20"][:, 0, 2, 0] < 1e-6).all()  # all are copies, and no held-out point is


def test_a_stopped_run_goes_on_and_processes_change_nothing(whole, tmp_path, monkeypatch):
    calls = []
    one = runs.Detection.one

    def stopping(self, *unit):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(unit)
        return one(self, *unit)

    monkeypatch.setattr(runs.Detection, "one", stopping)
    with pytest.raises(KeyboardInterrupt):
        SMALL.run(tmp_path, progress=False)
    assert len(list(tmp_path.glob("*.pt"))) == 3
    monkeypatch.undo()
    arrays, seconds = SMALL.run(tmp_path, jobs=2, progress=False)
    assert all(torch.equal(arrays[name], whole[name]) for name in whole) and seconds > 0


def test_the_command_keeps_a_run_and_leaves_it(whole, tmp_path, monkeypatch, capsys):
    save, load = results.save, results.load
    monkeypatch.setattr(results, "save", lambda *a, **k: save(*a, **k, root=tmp_path))
    monkeypatch.setattr(results, "load", lambda name: load(name, tmp_path))
    monkeypatch.setitem(runs.RUNS, "detection", SMALL)
    options = ["detection", "--workdir", str(tmp_path / "w")]
    assert command.main(options) == 0
    arrays, record = load("07-audit/detection", tmp_path)
    assert all(torch.equal(arrays[name], whole[name]) for name in whole)
    assert record["parameters"]["sizes"] == [60, 90] and not any((tmp_path / "w").iterdir())
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.*")}
    assert command.main(options) == 0
    assert "is kept already; --again computes it anew" in capsys.readouterr().out
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.*")} == before
    (tmp_path / "w" / "detection").mkdir()
    (tmp_path / "w" / "detection" / "60_2_0.pt").write_bytes(b"garbage")
    assert command.main([*options, "--again"]) == 1
    assert "is no finished part of a run" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in before} == before
