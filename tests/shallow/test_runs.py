"""Long runs in small: what is kept can be computed again from what is kept."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import pytest
import torch

import memnb
from memnb import results
from memnb.explorers import trained_denoisers as explorers
from memnb.explorers.trained_denoisers import Retrain
from memnb.minnorm.stability import function_distance, subsets, sum_drift
from memnb.shallow import METHODS, Training, closed_form_cost, draw_samples, runs, sample_ramps
from memnb.shallow import __main__ as command_line
from memnb.shallow import fit as fit_networks
from memnb.shallow import flows as trained_flows
from memnb.shallow.__main__ import keep, main
from memnb.shallow._trainer import NotConverged, read_checkpoint
from memnb.shallow.networks import NetworkBatch, rounded, weights
from memnb.shallow.readback import load_networks, load_run, run_of
from memnb.shallow.small_case import small_case

TINY = {"counts": (2, 3), "d": 3, "n_noisy": 12, "n_levels": 6, "n_starts": 40}
LOOSE = {"residual_tol": 0.1, "settle_tol": 0.3, "rounds": 60, "steps": 10}


@pytest.fixture(scope="module")
def flows(tmp_path_factory):
    root = tmp_path_factory.mktemp("flows")
    run = runs.Flows(**TINY, **LOOSE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "where", lambda name, _root=None: _where(root, name))
        keep("flows-tiny", run, "python -m x", root / "work", "cpu")
        return run, *results.load(f"{runs.CHAPTER}/flows-tiny"), root


def _where(root, name):
    return root / f"{name}.npz", root / f"{name}.json"


def test_a_flow_run_keeps_networks_that_give_its_endpoints(flows):
    run, arrays, record, _ = flows
    assert record["parameters"]["counts"] == [2, 3] and record["seconds"] > 0
    for N in run.counts:
        networks = load_networks(arrays, f"_{N}")
        assert networks.n_nets == 6 and networks.dim == 3
        for every in run.thin:
            again = trained_flows.endpoints(networks, run.levels(), run, every)
            for name in ("score", "probability", "paused"):
                stored = arrays[f"{name}_{N}_every{every}"].float()
                # half precision keeps three digits; a start on a ridge may fall either way
                near = (again[name] - stored).abs().amax(dim=1) < 5e-3 * (
                    1 + stored.abs().amax(dim=1)
                )
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
    ideal = trained_flows.exact_endpoints(run, 4, paused)
    box = memnb.orthogonal_set(4, 4)
    assert memnb.classify(ideal["score"], box, 1e-6).labels.max() <= 1  # vertices only
    assert 2 < trained_flows.reach(run, 4) < 3.5  # some standard deviations
    # Points within reach of the foot or top of all ramps end at vertices, the others do not.
    z = paused[:, :3]
    depth = torch.minimum(z, 1 - z).clamp(min=0).amax(dim=1)
    ends = memnb.classify(ideal["probability"], box, 1e-9).labels <= 1
    clear = (depth - trained_flows.reach(run, 4) * 0.098).abs() > 0.01
    assert torch.equal(ends[clear], (depth < trained_flows.reach(run, 4) * 0.098)[clear])


def test_dead_units_are_not_kept_and_not_missed():
    nets = NetworkBatch.random(2, 6, 3)
    nets.A[:, :, [1, 4]] = 0
    nets.A[1, :, 2] = 0  # alive in the other network
    nets = rounded(nets)
    stored = load_networks(weights(nets))
    assert stored.W.shape[1] == 4
    y = torch.randn(2, 10, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(stored(y), nets(y))
    second = load_networks(weights(nets, every=2))
    assert second.n_nets == 1
    torch.testing.assert_close(second(y[:1]), nets(y)[:1])


def test_a_stability_run_in_small(tmp_path):
    run = runs.Stability(
        N=4, d=3, n_noisy=20, width=48, n_draws=2, rounds=60, steps=50, penalty=None,
        settle_tol=0.02, orders=(2, 3), limit=2,
    )  # fmt: skip
    arrays = run.run(tmp_path)
    assert arrays["drift_2"].shape == (2, 2, 4) and arrays["drift_3"].shape == (2, 1, 4)
    assert (arrays["residual"] <= 1e-3).all()
    data, nets = memnb.orthogonal_set(4, 3, dtype=torch.float32), load_networks(arrays)
    for order, limit in ((2, 2), (3, 1)):
        on = subsets(3, order, limit, run.seed)
        for s in range(run.n_draws):
            drift = sum_drift(nets.network(s), data, on)
            torch.testing.assert_close(
                drift, arrays[f"drift_{order}"][s].float(), rtol=0, atol=2e-3
            )


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


def test_in_a_live_kernel_the_error_is_told_before_the_output_shows_a_traceback(
    monkeypatch, capsys
):
    """Inside IPython an output shows the traceback of an error and swallows it."""
    from ipywidgets.widgets import widget_output

    class Kernel:
        kernel = None

        def showtraceback(self, *_args, **_options):
            raise AssertionError("a traceback was shown")

    monkeypatch.setattr(widget_output, "get_ipython", Kernel)
    *controls, button, _log, _live = Retrain().widget().children
    n_points, dim = controls[:2]
    n_points.value, dim.value = 11, 3
    button.click()
    assert "n_points must be at most dim + 1 = 4, got 11" in capsys.readouterr().out
    assert not button.disabled


def test_small_weight_decay_keeps_its_ramps():
    _, done = small_case(method="weight-decay")
    assert done.residual < 0.25 * 0.05 and 0.5 * done.closed_form < done.cost < done.closed_form


def test_the_small_case_is_a_minimum_norm_network():
    _, done = small_case()
    assert done.residual.max() <= 1e-3 and (done.cost <= done.closed_form).all()


def test_weight_decay_in_small_and_one_of_its_networks_alone(tmp_path):
    run = runs.Decay(
        N=3, d=3, n_noisy=20, sigma=(0.1, 0.05), decays=(0.01, 100.0), rounds=20, steps=20,
        n_starts=30, settle_tol=0.05,
    )  # fmt: skip
    stored = run.run(tmp_path)
    assert stored["cost"].shape == (2, 2) and stored["virtual"].shape == (2, 2, 2)
    # A strong pull leaves no ramps: nothing costs, nothing fits
    assert stored["cost"][1].max() < 0.1 < stored["cost"][0].min()
    assert (stored["residual"][1] > 1.5 * stored["residual"][0]).all()
    alone = run.fit(0.01, sigma=run.sigma[:1], progress=False)
    assert torch.isclose(alone.cost[0].float(), stored["cost"][0, 0], rtol=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stability", "--profile", "small"], "stability has the profiles paper, quick, got"),
        (["sweep", "--profile", "paper"], "sweep has the profiles quick, got 'paper'"),
        (["stability", "--jobs", "2"], "jobs must be 1 for stability"),
    ],
)
def test_bad_options_end_in_one_line(capsys, tmp_path, arguments, message):
    assert main([*arguments, "--workdir", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("memnb.shallow: ") and message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_command_line_names_its_runs(capsys):
    with pytest.raises(SystemExit):
        main(["nonsense"])
    assert "'stability', 'flows', 'continuation', 'sweep', 'decay'" in capsys.readouterr().err


def test_a_file_that_is_no_checkpoint_stops_the_command_with_one_line(capsys, tmp_path):
    folder = tmp_path / "sweep-d10"
    folder.mkdir()
    for content in (b"junk", b"", b"text\n"):
        (folder / "sweep-25.pt").write_bytes(content)
        assert main(["sweep", "--again", "--workdir", str(tmp_path)]) == 1
        error = capsys.readouterr().err
        assert error.startswith("memnb.shallow: checkpoint") and error.count("\n") == 1
        assert "sweep-25.pt cannot be read" in error


def test_what_is_kept_is_not_done_again_unless_asked(capsys, tmp_path, monkeypatch):
    _, run = runs.RUNS["decay"]["quick"]
    parameters = json.loads(json.dumps(asdict(run)))
    record = {"parameters": parameters, "date": "2026-01-31"}
    monkeypatch.setattr(command_line, "_stored", lambda _name: ({}, record))
    monkeypatch.setattr(command_line, "keep", lambda *_arguments: {"seconds": 1.0})
    assert main(["decay", "--workdir", str(tmp_path)]) == 0
    assert "decay-d10 is kept already, from 2026-01-31" in capsys.readouterr().out
    assert main(["decay", "--again", "--workdir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "kept decay-d10 after 1.0 s\n"
    parameters["seed"] = 1  # another run has the name
    assert main(["decay", "--workdir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "kept decay-d10 after 1.0 s\n"


def test_the_same_run_again_leaves_its_files_and_other_arrays_replace_them(flows, monkeypatch):
    run, arrays, record, root = flows
    monkeypatch.setattr(results, "where", lambda name, _root=None: _where(root, name))
    files = _where(root, f"{runs.CHAPTER}/flows-tiny")
    before = {p: p.read_bytes() for p in files}
    assert keep("flows-tiny", run, "another command", root / "work") == record
    assert {p: p.read_bytes() for p in files} == before
    assert not [p for p in files[0].parent.iterdir() if p not in files]

    class Changed(runs.Flows):
        def run(self, workdir, device="cpu", jobs=1):
            return {**arrays, "sigma": arrays["sigma"] * 2}

    changed = Changed(**asdict(run))
    assert keep("flows-tiny", changed, "python -m x", root / "work")["sha256"] != record["sha256"]
    again, _ = results.load(f"{runs.CHAPTER}/flows-tiny")
    assert torch.equal(again["sigma"], arrays["sigma"] * 2)


def test_two_jobs_give_what_one_gives(tmp_path):
    run = runs.Sweep(N=4, d=3, counts=(10, 20), n_draws=1, width=48, rounds=40, steps=40)
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    alone, together = run.run(one), run.run(two, jobs=2)
    assert alone.keys() == together.keys()
    for name, values in alone.items():
        torch.testing.assert_close(together[name], values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("number", "status", "word", "jobs"),
    [
        (signal.SIGINT, 130, "interrupted", 1),
        (signal.SIGTERM, 143, "terminated", 1),
        (signal.SIGINT, 130, "interrupted", 2),
    ],
)
def test_a_stopped_run_says_so_in_one_line_and_goes_on_later(tmp_path, number, status, word, jobs):
    command = ["sweep", "--again", "--workdir", str(tmp_path), "--jobs", str(jobs)]
    process = subprocess.Popen(
        [sys.executable, "-m", "memnb.shallow", *command], stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True,
    )  # fmt: skip
    state = tmp_path / "sweep-d10" / "sweep-25.pt"
    deadline = time.monotonic() + 120
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == status
    assert "Traceback" not in error
    # joblib's own resource tracker may add a line on semaphores after ours
    ours = [line for line in error.splitlines() if line.startswith("memnb.shallow: ")]
    assert ours == [f"memnb.shallow: {word}; the same command goes on from {tmp_path}"]
    assert read_checkpoint(state)["history"]  # whole, so that the run goes on from it


def test_a_sweep_in_small(tmp_path):
    """Its shares and distances are those of the networks it trains."""
    run = runs.Sweep(N=4, d=3, counts=(10, 20), n_draws=2, width=48, rounds=40, steps=40)
    arrays = run.run(tmp_path)
    assert arrays["distance"].shape == (2, 2, 3) and arrays["stable"].shape == (2, 2, 2)
    assert (arrays["residual"] <= 1e-3).all()
    data = memnb.orthogonal_set(4, 3)
    samples = draw_samples(data, [run.sigma] * 2, 20, run.seed)
    training = Training(48, rounds=40, steps=40, seed=run.seed)
    again = fit_networks(samples, training, progress=False)
    assert torch.equal(again.cost.float(), arrays["cost"][1])
    net, ramp = again.networks.to(torch.float64).network(1), sample_ramps(samples)[1]
    on_rays = function_distance(net, ramp, data)["rays"]
    assert abs(on_rays - float(arrays["distance"][1, 1, 0])) < 1e-6


def _kept_runs():
    """Every kept run by its name, with the run that the command line would do."""
    known = dict(pair for sizes in runs.RUNS.values() for pair in sizes.values())
    known |= dict(runs.flow_run(size, method) for size in runs.FLOWS for method in METHODS)
    folder = results.where(f"{runs.CHAPTER}/x")[0].parent
    names = sorted(path.stem for path in folder.glob("*.npz"))
    return [(name, known.get(name)) for name in names if not name.startswith("speed-")]


def test_kept_runs_are_those_of_the_code():
    """What a kept run says of itself is what the code would do today."""
    names = {name for name, _ in _kept_runs()}
    assert names >= {"stability-d10", "stability-d30", "sweep-d10", "decay-d10"}
    assert names >= {f"flows-d{d}-{method}" for d in (5, 10) for method in METHODS}
    for name, run in _kept_runs():
        assert run is not None, f"{name} is kept, and no command makes it"
        _, record = results.load(f"{runs.CHAPTER}/{name}")
        assert record["parameters"] == json.loads(json.dumps(asdict(run))), name


FLOW_RUNS = [
    (name, run_of(load_run(name)[1])) for name, run in _kept_runs() if isinstance(run, runs.Flows)
]


STABILITY_RUNS = [
    (name, run_of(load_run(name)[1], runs.Stability))
    for name, run in _kept_runs()
    if isinstance(run, runs.Stability)
]


@pytest.mark.parametrize(("name", "run"), FLOW_RUNS, ids=[name for name, _ in FLOW_RUNS])
def test_kept_flow_networks_have_the_residuals_costs_and_ends_that_are_told(name, run):
    """Samples drawn again, 50 of the starts moved again, for every N."""
    arrays, _ = results.load(f"{runs.CHAPTER}/{name}")
    part = torch.randperm(run.n_starts, generator=torch.Generator().manual_seed(1))[:50]
    here = slice(None, None, run.keep_every)
    for N in run.counts:
        networks, samples = load_networks(arrays, f"_{N}"), run.samples(N)
        with torch.no_grad():
            residual = [
                (networks.network(k)(y) - samples.targets).square().mean().sqrt()
                for k, y in enumerate(samples.y[here])
            ]
        torch.testing.assert_close(
            torch.stack(residual), arrays[f"residual_{N}"][here], rtol=1e-2, atol=1e-6
        )
        torch.testing.assert_close(networks.cost(), arrays[f"cost_{N}"][here], rtol=1e-4, atol=1e-4)
        again = trained_flows.endpoints(networks, run.levels()[here], run, starts=part)
        data = memnb.orthogonal_set(N, run.d)
        for flow in ("score", "probability"):
            stored = arrays[f"{flow}_{N}_every{run.keep_every}"][part].double()
            now = memnb.classify(again[flow].double(), data).labels
            assert (now == memnb.classify(stored, data).labels).double().mean() >= 0.96


@pytest.mark.parametrize(
    ("name", "run"), [(n, r) for n, r in FLOW_RUNS if r.method == "lagrangian"], ids=str
)
def test_kept_lagrangian_networks_at_low_noise_interpolate_at_minimum_norm(name, run):
    arrays, _ = results.load(f"{runs.CHAPTER}/{name}")
    above = []
    for N in run.counts:
        # With more samples of a point they reach farther, and the closed form is steep for longer
        low = run.levels() <= (trained_flows.LOW if run.n_noisy == 100 else 0.085)
        assert arrays[f"interpolates_{N}"][low].all()
        assert (arrays[f"residual_{N}"][low] <= 1e-3).all()
        # up to the change of the cost at which training stops
        most = (1 + run.settle_tol) * arrays[f"closed_form_{N}"]
        above.append(arrays[f"cost_{N}"][low] > most[low])
    # Training may settle short of the optimum: "one or two in a hundred"
    assert torch.cat(above).double().mean() <= 0.02


@pytest.mark.parametrize(("name", "run"), STABILITY_RUNS, ids=[name for name, _ in STABILITY_RUNS])
def test_kept_networks_for_sums_interpolate_at_minimum_norm_and_know_the_sums(name, run):
    """The bars of the book, from the weights: residual, cost, and which sums hold the flow."""
    arrays, _ = results.load(f"{runs.CHAPTER}/{name}")
    data = memnb.orthogonal_set(run.N, run.d, dtype=torch.float32)
    samples = run.samples()
    networks, closed_form = load_networks(arrays), closed_form_cost(samples)
    least = {2: 0.95, 3: 0.75, 4: 0.2} if run.d == 30 else {2: 0.9, 3: 0.5, 4: 0.1}
    shares = {order: [] for order in least}
    for s in range(run.n_draws):
        net = networks.network(s)
        with torch.no_grad():
            residual = (net(samples.y[s]) - samples.targets).square().mean().sqrt()
        assert residual <= 1e-3 and net.cost() <= closed_form[s]
        for order in least:
            stored = arrays[f"drift_{order}"][s, :, 0].float() <= 0.2
            shares[order].append(stored.double().mean())
            on = subsets(data.n_ramps, order)
            part = torch.randperm(len(on), generator=torch.Generator().manual_seed(s))[:200]
            drift = sum_drift(net, data, on[part])[:, 0]
            assert ((drift <= 0.2) == stored[part]).double().mean() >= 0.99
    # nine of ten, and no network below by more than three standard errors of its 45 or 435 pairs
    pairs = len(subsets(data.n_ramps, 2))
    assert min(shares[2]) >= 0.9 - 3 * (0.9 * 0.1 / pairs) ** 0.5
    for order, bar in least.items():
        assert sum(shares[order]) / run.n_draws >= bar
