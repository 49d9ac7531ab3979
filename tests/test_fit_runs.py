"""Long runs in small: what is kept can be computed again from what is kept."""

import json

import pytest
import torch

import memnb
from memnb import results
from memnb.explorers import trained_denoisers as explorers
from memnb.explorers.trained_denoisers import Retrain, small_case
from memnb.fit import runs
from memnb.fit.networks import NetworkBatch
from memnb.fit.trainer import NotConverged

TINY = {"counts": (2, 3), "d": 3, "n_noisy": 12, "n_levels": 6, "n_starts": 40}
LOOSE = {"residual_tol": 0.1, "settle_tol": 0.3, "rounds": 60, "steps": 10}


@pytest.fixture(scope="module")
def flows(tmp_path_factory):
    root = tmp_path_factory.mktemp("flows")
    run = runs.Flows(**TINY, **LOOSE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "where", lambda name, _root=None: _where(root, name))
        runs.keep("flows-tiny", run, "python -m x", root / "work", "cpu")
        return run, *results.load(f"{runs.CHAPTER}/flows-tiny"), root


def _where(root, name):
    return root / f"{name}.npz", root / f"{name}.json"


def test_a_flow_run_keeps_networks_that_give_its_endpoints(flows):
    run, arrays, record, _ = flows
    assert record["parameters"]["counts"] == [2, 3] and record["seconds"] > 0
    for N in run.counts:
        networks = runs.load_networks(arrays, f"_{N}")
        assert networks.n_nets == 6 and networks.dim == 3
        for every in run.thin:
            again = runs.endpoints(networks, run, every)
            for name in ("score", "probability", "paused"):
                kept = arrays[f"{name}_{N}_every{every}"].float()
                # half precision keeps three digits; a start on a ridge may fall either way
                near = (again[name] - kept).abs().amax(dim=1) < 5e-3 * (1 + kept.abs().amax(dim=1))
                assert near.double().mean() > 0.9


def test_the_same_run_again_goes_on_from_its_checkpoints(flows):
    run, arrays, _, root = flows
    before = {p: p.stat().st_mtime_ns for p in (root / "work").iterdir()}
    again = run.run(root / "work")
    assert {p: p.stat().st_mtime_ns for p in (root / "work").iterdir()} == before
    for name, values in arrays.items():
        assert torch.equal(again[name].detach(), values)


def test_exact_endpoints_are_those_of_the_closed_form():
    run = runs.Flows(d=4, counts=(4,), n_starts=60)
    paused = memnb.gaussian_starts(60, 4, 0.4, seed=1)
    ideal = runs.exact_endpoints(run, 4, paused)
    box = memnb.orthogonal_set(4, 4)
    assert memnb.classify(ideal["score"], box, 1e-6).labels.max() <= 1  # vertices only
    assert 2 < runs.reach(run, 4) < 3.5  # some standard deviations
    # Points within reach of the foot or top of all ramps end at vertices, the others do not.
    z = paused[:, :3]
    depth = torch.minimum(z, 1 - z).clamp(min=0).amax(dim=1)
    ends = memnb.classify(ideal["probability"], box, 1e-9).labels <= 1
    clear = (depth - runs.reach(run, 4) * 0.098).abs() > 0.01
    assert torch.equal(ends[clear], (depth < runs.reach(run, 4) * 0.098)[clear])


def test_dead_units_are_not_kept_and_not_missed():
    nets = NetworkBatch.random(2, 6, 3)
    nets.A[:, :, [1, 4]] = 0
    nets.A[1, :, 2] = 0  # alive in the other network
    kept = runs.load_networks(runs._weights(nets))
    assert kept.W.shape[1] == 4
    y = torch.randn(2, 10, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(kept(y), nets(y))


def test_a_stability_run_in_small(tmp_path):
    run = runs.Stability(
        N=4, d=3, n_noisy=20, width=48, n_draws=2, rounds=60, steps=50, penalty=None,
        settle_tol=0.02, orders=(2, 3), limit=2,
    )  # fmt: skip
    arrays = run.run(tmp_path)
    assert arrays["drift_2"].shape == (2, 2, 4) and arrays["drift_3"].shape == (2, 1, 4)
    assert (arrays["residual"] <= 1e-3).all()
    assert (arrays["drift_2"] >= 0).all() and arrays["drift_2"].max() < 3


def test_the_button_trains_and_redraws():
    box = Retrain().widget()
    *controls, button, _log, live = box.children
    before = list(live.data[0].y)
    controls[0].value = 3
    button.click()
    after = live.data[0].y
    assert len(after) > len(before) and after[-1] < 1e-2 and not button.disabled


def test_the_button_tells_in_one_line_what_did_not_converge(monkeypatch, capsys):
    def refuse(**_values):
        raise NotConverged("1 of 1 networks have not converged")

    monkeypatch.setattr(explorers, "small_case", refuse)
    *_, button, _log, live = Retrain().widget().children
    before = list(live.data[0].y)
    button.click()
    assert capsys.readouterr().out.endswith("1 of 1 networks have not converged\n")
    assert list(live.data[0].y) == before and not button.disabled


def test_small_weight_decay_keeps_its_ramps():
    _, done = small_case(method="weight-decay")
    assert done.residual < 0.25 * 0.05 and 0.5 * done.closed_form < done.cost < done.closed_form


def test_the_small_case_is_a_minimum_norm_network():
    _, done = small_case()
    assert done.residual.max() <= 1e-3 and (done.cost <= done.closed_form).all()


def test_the_command_line_names_its_runs(capsys):
    from memnb.fit.__main__ import main

    with pytest.raises(SystemExit):
        main(["nonsense"])
    assert "'stability', 'flows', 'sweep'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="quick"):
        main(["stability", "--profile", "small"])


def test_kept_runs_are_those_of_the_code():
    """What a kept run says of itself is what the code would do today."""
    for name, run in (("stability-d30", runs.Stability()), ("sweep-d10", runs.Sweep())):
        _, record = results.load(f"{runs.CHAPTER}/{name}")
        expected = json.loads(json.dumps(runs.asdict(run)))
        assert record["parameters"] == expected
    for method in ("lagrangian", "weight-decay", "adam", "dropout"):
        _, record = results.load(f"{runs.CHAPTER}/flows-d10-{method}")
        run = runs.Flows(method=method)
        expected = json.loads(json.dumps(runs.asdict(run)))
        expected["residual_tol"] = 2e-3 if method == "lagrangian" else 5e-3
        expected["settle_tol"] = 5e-2 if method == "dropout" else 1e-2
        assert record["parameters"] == expected
