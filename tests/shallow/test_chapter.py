"""What the chapter computes from kept runs, against counts by hand and known denoisers."""

import math

import pytest
import torch

import memnb
from memnb.explorers import trained_denoisers
from memnb.minnorm.stability import subsets
from memnb.shallow import METHODS, ends, readback, runs, stable_sums
from memnb.shallow.ends import Difference
from memnb.shallow.readback import NotReproduced

F64 = torch.float64


def test_a_difference_of_two_standard_errors_has_a_sign():
    assert Difference(0.55, 0.5, 0.02).verdict == "more"
    assert Difference(0.45, 0.5, 0.02).verdict == "less"
    assert Difference(0.53, 0.5, 0.02).verdict == "even"
    assert str(Difference(0.5, 0.25, 0.02)) == "50 against 25 % (difference ± 2.0)"


@pytest.mark.parametrize(("limit", "norm"), ends.SETTINGS)
def test_flows_are_compared_start_by_start(limit, norm):
    for kind in ("training", "boundary"):
        for N, difference in ends.compare(kind, limit, norm).items():
            box, trained, _ = readback.ends(10, "lagrangian", N)
            wanted = memnb.CLASSES.index(kind)
            score, probability = (
                [int(x) == wanted for x in memnb.classify(trained[flow], box, limit, norm).labels]
                for flow in ("score", "probability")
            )
            n = len(score)
            assert math.isclose(difference.score, sum(score) / n)
            assert math.isclose(difference.probability, sum(probability) / n)
            gaps = [p - s for p, s in zip(probability, score, strict=True)]
            mean = sum(gaps) / n
            variance = sum((g - mean) ** 2 for g in gaps) / (n - 1)
            assert math.isclose(difference.error, math.sqrt(variance / n), rel_tol=1e-9)


def test_from_which_n_on_probability_flow_memorizes_more_depends_on_the_threshold():
    """The shares that chapter 4 speaks of, for every threshold and norm."""
    for limit, norm in ends.SETTINGS:
        verdicts = {N: d.verdict for N, d in ends.compare("training", limit, norm).items()}
        assert verdicts[3] == "less" and verdicts[8] == verdicts[11] == "more"
    at_five = {limit: ends.compare("training", limit)[5].verdict for limit in (0.1, 0.3)}
    assert at_five == {0.1: "less", 0.3: "more"}


def test_a_fall_is_measured_in_standard_errors():
    by_n = {3: {"training": (0.8, 0.03)}, 5: {"training": (0.1, 0.5)}, 8: {"training": (0.6, 0.04)}}
    assert math.isclose(ends.fall(by_n), 4.0)


@pytest.mark.parametrize("method", METHODS)
def test_what_was_trained_shows_bars_and_what_was_not_says_why(method):
    explorer = trained_denoisers.ends()
    for N in (3, 5, 8, 11):
        for S in (10, 30, 150):
            if S == 150 and (method != "lagrangian" or N == 11):
                with pytest.raises(ValueError, match="lagrangian in d = 10 on 3, 5 or 8 points"):
                    explorer.figure(method=method, N=N, S=S)
            else:
                figure = explorer.figure(method=method, N=N, S=S)
                assert sum(sum(trace.y) for trace in figure.data) == pytest.approx(2)
    with pytest.raises(ValueError, match="In d = 5, networks were trained on 3 or 5 points"):
        explorer.figure(method=method, N=8, d=5)


def test_totals_count_every_end_once():
    for method in METHODS:
        total = ends.totals(method, 0.1, "linf")
        assert sum(total.values()) == 2 * 4 * 500
        by_n = [
            ends.kinds(flow, N, 0.1, "linf", method=method).counts()["boundary"]
            for N in (3, 5, 8, 11)
            for flow in ("score", "probability")
        ]
        assert total["boundary"] == sum(by_n)


def test_exact_and_trained_ends_are_not_mixed_up():
    trained, exact = (ends.fractions("score", exact=x) for x in (False, True))
    for N in (3, 5, 8, 11):
        data, _, theory = readback.ends(10, "lagrangian", N)
        assert exact[N] == memnb.classify(theory["score"], data).fractions()
        assert trained[N] != exact[N]
    with pytest.raises(ValueError, match="flow must be one of 'score', 'probability', got 'both'"):
        ends.kinds("both", 3)


def test_fit_and_cost_are_those_of_low_noise():
    cost, residual = ends.fit_and_cost("lagrangian", counts=(8,))
    arrays, record = readback.load_flows(10, "lagrangian")
    levels = readback.run_of(record).levels()
    assert len(cost) == int((levels <= 0.1).sum()) == 15
    last = float(arrays["cost_8"][-1]) / float(arrays["closed_form_8"][-1])
    assert math.isclose(float(cost[-1]), last)
    assert math.isclose(float(residual[-1]), float(arrays["residual_8"][-1]) / 0.03, rel_tol=1e-6)
    assert len(ends.fit_and_cost("adam")[0]) == 4 * 15


def test_some_ends_again_and_a_changed_network_is_noticed(monkeypatch):
    assert min(ends.check_again(10, seed=3).values()) >= 0.9
    load = readback.load_flows

    def spoiled(d, method, S=30):
        arrays, record = load(d, method, S)
        return {k: v * 0 if k.startswith("A_") else v for k, v in arrays.items()}, record

    monkeypatch.setattr(ends, "load_flows", spoiled)
    with pytest.raises(NotReproduced, match=r"lagrangian, N = 3, score flow: .* of 10 starts"):
        ends.check_again(10, seed=3)


def test_along_lines_the_closed_form_is_its_ramps():
    data, t = memnb.orthogonal_set(4, 5, seed=1), memnb.uniform_grid(-0.2, 1.2, 57)
    ramp = ((t - 0.1) / 0.8).clamp(0, 1)
    for order in (1, 2, 3):
        lines = stable_sums.along(memnb.RampDenoiser(data, 0.1), data, order, t)
        assert lines.shape == (57, math.comb(3, order))
        torch.testing.assert_close(lines, ramp[:, None].expand_as(lines))


def test_iterations_of_known_denoisers():
    data = memnb.orthogonal_set(5, 6, seed=2)
    on = subsets(4, 3)
    assert stable_sums.iterated(memnb.RampDenoiser(data, 0.1), data, on, (1, 50)) == [1.0, 1.0]
    # y -> 0.9 y is 1 - 0.9^k away from each sum along each axis: 0.19 after two, 0.27 after three.
    axes = memnb.orthogonal_set(5, 6)
    assert stable_sums.iterated(lambda y: 0.9 * y, axes, on, (1, 2, 3, 9)) == [1.0, 1.0, 0.0, 0.0]


def test_shares_and_readings_are_those_of_the_drifts():
    drift = torch.zeros(2, 4, 4)
    drift[0, :, 0] = torch.tensor([0.05, 0.15, 0.25, 0.5])
    drift[0, :, 3] = 0.25
    arrays = {f"drift_{k}": drift.half() for k in stable_sums.ORDERS}
    assert stable_sums.shares(arrays)[2].tolist() == [0.5, 1.0]
    rows = stable_sums.definitions(arrays)
    assert rows["iterated, L2", 0.1] == [0.625] * 3 and rows["iterated, L2", 0.3] == [0.875] * 3
    assert rows["once, L∞", 0.2] == [0.5] * 3 and rows["once, L∞", 0.3] == [1.0] * 3


def test_stable_pairs_of_known_networks():
    """A network that is the sum of ramps holds all pairs; one whose output is zero holds none."""
    data, rho = memnb.orthogonal_set(4, 3), 0.1
    slope = 1 / (1 - 2 * rho)
    u = data.points[1:]  # of length one
    W = torch.cat([u, u])
    b = torch.tensor([-rho] * 3 + [rho - 1] * 3, dtype=F64)
    A = torch.cat([slope * u.T, -slope * u.T], dim=1)
    good = {"W": torch.cat([W, b[:, None]], dim=1), "A": A, "V": torch.zeros(3, 4)}
    arrays = {f"{k}_4": torch.stack([v, v, v * (k != "A")]) for k, v in good.items()}
    arrays["sigma"] = torch.tensor([0.3, 0.25, 0.09, 0.08, 0.05, 0.04])  # every second one is kept
    assert stable_sums.stable_pairs(arrays, 4, 3, 0.1).tolist() == [1.0, 0.0]
    assert len(stable_sums.stable_pairs(arrays, 4, 3, 0.5)) == 3


def test_a_kept_network_is_checked_and_a_changed_one_is_noticed(tmp_path):
    run = runs.Stability(
        N=5, d=4, n_noisy=20, width=64, rounds=60, steps=50, penalty=None, settle_tol=0.02
    )
    arrays = run.run(tmp_path)
    report = stable_sums.check_again(arrays, run, part=1)
    assert report.checked == 6 + 4 + 1 and report.differ == 0
    assert math.isclose(report.residual, report.kept_residual, rel_tol=1e-3)
    with pytest.raises(NotReproduced, match="is not what it was kept as"):
        stable_sums.check_again({**arrays, "residual": arrays["residual"] * 1.1}, run, part=1)
    wrong = {f"drift_{k}": 0.5 - arrays[f"drift_{k}"] for k in stable_sums.ORDERS}
    with pytest.raises(NotReproduced):
        stable_sums.check_again(arrays | wrong, run, part=1)


def test_the_best_linear_denoiser_is_that_of_the_normal_equations():
    study = runs.Decay(N=3, d=3, n_noisy=4000, sigma=(0.5, 0.1))
    # Few directions carry signal: with covariance S of the points and noise s^2, the error along an
    # axis of variance v is v s^2 / (v + s^2).
    points = memnb.orthogonal_set(3, 3).points
    variance = torch.linalg.eigvalsh(torch.cov(points.mT, correction=0)).clamp(min=0)
    for sigma, residual in zip(study.sigma, study.best_linear(), strict=True):
        expected = (variance * sigma**2 / (variance + sigma**2)).mean().sqrt() / sigma
        assert math.isclose(float(residual), float(expected), rel_tol=0.02)


def test_the_overview_has_every_kept_run_and_no_benchmark():
    records = readback.overview()
    assert {"decay-d10", "sweep-d10", "stability-d30", "flows-d10-adam"} <= set(records)
    assert not [name for name in records if name.startswith("speed")]
    assert all(r["seconds"] > 0 and r["command"] for r in records.values())
