"""Continuation in sigma: what a cold start reaches, with the same samples, in fewer rounds."""

import math
from dataclasses import replace

import pytest
import torch

import memnb
from memnb.minnorm.stability import subsets, sum_drift
from memnb.shallow import (
    AugmentedLagrangian,
    Training,
    WeightDecay,
    draw_samples,
    ends,
    readback,
    runs,
    sample_ramps,
)
from memnb.shallow import fit as fit_networks
from memnb.shallow import flows as trained_flows
from memnb.shallow._trainer import NotConverged, Trainer, read_checkpoint
from memnb.shallow.continuation import Continuation, fit_continued
from memnb.shallow.networks import NetworkBatch, living_units

DATA = memnb.orthogonal_set(4, 3)
LEVELS = memnb.log_uniform_grid(0.3, 0.04, 25)
HOW = Training(120, rounds=60, steps=40, extra_rounds=200, residual_tol=2e-3)
STEPS = Continuation(refresh_every=8, refresh_rounds=4)


def _samples(levels=LEVELS, seed=0, **options):
    return draw_samples(DATA, levels, 40, seed, **{"shared": True} | options)


@pytest.fixture(scope="module")
def done():
    return fit_continued(_samples(), HOW, STEPS, progress=False)


def test_shared_noise_is_one_draw_that_is_scaled():
    shared, own = (_samples(shared=x, dtype=torch.float64) for x in (True, False))
    noise = [(x.y - x.targets) / x.sigma[:, None, None] for x in (shared, own)]
    torch.testing.assert_close(noise[0], noise[1][:1].expand_as(noise[0]), rtol=1e-9, atol=1e-9)
    assert (noise[1][1] - noise[1][0]).std() > 1  # independent otherwise
    # A level alone has the same samples, whatever the others are
    alone = _samples([float(LEVELS[7])], dtype=torch.float64)
    torch.testing.assert_close(alone.inputs[0], shared.inputs[7])
    assert not torch.equal(_samples(seed=1).inputs, _samples().inputs)


def test_costs_and_residuals_are_those_of_cold_starts(done):
    """The same samples from random weights, at a few levels with and without interpolation."""
    assert (done.residual[done.interpolates] <= HOW.residual_tol).all()
    here = [5, 16, 20, 24]
    samples = _samples()
    cold = fit_networks(
        replace(samples, sigma=samples.sigma[here], inputs=samples.inputs[here]),
        HOW, progress=False,
    )  # fmt: skip
    assert torch.equal(cold.interpolates, done.interpolates[here])
    torch.testing.assert_close(done.closed_form[here], cold.closed_form)
    mu = AugmentedLagrangian().penalties(samples)[here].double()
    size = samples.targets.numel()

    def objective(cost, residual):
        return cost + ~cold.interpolates * mu / 2 * size * residual.square()

    reached = objective(done.cost[here], done.residual[here])
    aim = objective(cold.cost, cold.residual)
    assert (reached / aim - 1).abs().max() < 0.03
    # and as many sums of training points hold the flow, of three pairs at three levels
    on, data = subsets(3, 2), DATA.to(dtype=torch.float32)
    stable = [
        sum(int((sum_drift(nets.network(k), data, on)[:, 0] <= 0.2).sum()) for k in levels)
        for nets, levels in ((done.networks, here[1:]), (cold.networks, (1, 2, 3)))
    ]
    assert min(stable) >= 7 and stable[0] >= stable[1] - 1


def test_the_drift_is_told_where_a_level_is_refreshed(done):
    refreshed = torch.arange(25) % STEPS.refresh_every == 0
    refreshed[0] = False  # the cold start
    refreshed[done.interpolates.int().argmax()] = False  # where the objective changes
    assert torch.equal(done.drift.isfinite(), refreshed)
    assert done.drift[refreshed].abs().max() < 0.05
    assert (done.rounds[refreshed] >= 6).all() and (done.rounds >= 2).all()


def test_units_die_on_the_way_and_are_left_out(done):
    assert (done.units.diff() <= 0).all() and done.units[0] == HOW.width
    assert 2 * DATA.n_ramps <= done.units[-1] < 0.8 * HOW.width
    for k in (0, 24):
        alive = living_units(NetworkBatch(*(x[k : k + 1] for x in done.networks.parameters())))
        assert alive.sum() <= done.units[k]
    with torch.no_grad():
        r = done.networks(_samples().y) - _samples().targets
    torch.testing.assert_close(r.square().mean(dim=(1, 2)).sqrt().double(), done.residual)
    torch.testing.assert_close(done.networks.cost().double(), done.cost, rtol=1e-5, atol=0)


def test_steps_without_dead_units_are_the_steps_with_them():
    """Moments of Adam and multipliers belong to the units and samples that stay."""
    samples = draw_samples(DATA, 0.05, 30, dtype=torch.float64)
    full, fewer = (Trainer(samples, Training(20, steps=30)) for _ in range(2))
    dead = torch.tensor([3, 8, 9])
    for trainer in (full, fewer):
        trainer.nets.A[:, :, dead] = 0
        trainer.nets.W[:, dead] = 0
        trainer.round(1e-3)
        trainer.nets.A[:, :, dead] = 0
        trainer.nets.W[:, dead] = 0
    fewer.drop_dead()
    stays = torch.ones(20, dtype=torch.bool)
    stays[dead] = False
    assert fewer.nets.W.shape[1] == 17
    for trainer in (full, fewer):
        trainer.round(1e-3)
    torch.testing.assert_close(fewer.nets.W, full.nets.W[:, stays])
    torch.testing.assert_close(fewer.nets.A, full.nets.A[..., stays])
    torch.testing.assert_close(fewer.multipliers, full.multipliers)


def test_a_stopped_path_goes_on_as_if_it_had_not_stopped(done, tmp_path, monkeypatch):
    path = tmp_path / "path.pt"
    round_of, count = Trainer.round, []

    def stopping(self, rate=None):
        count.append(rate)
        if len(count) in (10, 60):  # in the first fit, and on the way
            raise KeyboardInterrupt
        round_of(self, rate)

    monkeypatch.setattr(Trainer, "round", stopping)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fit_continued(_samples(), HOW, STEPS, checkpoint=path, progress=False)
    assert 1 < len(read_checkpoint(path)["networks"]) < 25
    again = fit_continued(_samples(), HOW, STEPS, checkpoint=path, progress=False)
    # nothing but the round and the level that were stopped is done twice
    assert len(count) <= int(done.rounds.sum()) + 2 + int(done.rounds[1:].max())
    for name in ("residual", "cost", "rounds", "units"):
        assert torch.equal(getattr(again, name), getattr(done, name)), name
    for now, before in zip(again.networks.parameters(), done.networks.parameters(), strict=True):
        assert torch.equal(now, before)
    rounds = len(count)
    fit_continued(_samples(), HOW, STEPS, checkpoint=path, progress=False)
    assert len(count) == rounds
    with pytest.raises(ValueError, match=r"path.pt belongs to another continuation"):
        fit_continued(_samples(seed=1), HOW, STEPS, checkpoint=path)
    with pytest.raises(ValueError, match=r"path.pt belongs to a fit with another"):
        fit_networks(_samples().at(0), HOW, checkpoint=path)


@pytest.mark.parametrize(
    ("samples", "training", "message"),
    [
        (_samples(shared=False), HOW, "samples must share their noise: draw them with shared"),
        (_samples(LEVELS.flip(0)), HOW, "sigma must decrease from level to level, got"),
        (_samples(), replace(HOW, method=WeightDecay()), "method must be AugmentedLagrangian"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(samples, training, message):
    with pytest.raises(ValueError, match=message):
        fit_continued(samples, training, STEPS)


@pytest.mark.parametrize(
    ("values", "message"),
    [({"rounds": 0}, "rounds"), ({"refresh_every": 0}, "refresh_every"),
     ({"learning_rate": 0.0}, "learning_rate"), ({"extra_rounds": -1}, "extra_rounds")],
)  # fmt: skip
def test_bad_numbers_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        Continuation(**values)


def test_a_level_that_cannot_be_fitted_is_named():
    how = Continuation(extra_rounds=0, learning_rate=1e-6)
    with pytest.raises(NotConverged, match=r"residual at level \d+, sigma = 0\.\d+, is .* raise"):
        fit_continued(_samples(), HOW, how, progress=False)


def test_two_jobs_give_what_one_gives_and_a_rerun_does_nothing(tmp_path):
    run = runs.Continued(
        d=3, counts=(2, 3), n_noisy=20, n_levels=8, n_starts=20, sigma_T=0.3, steps=20, rounds=60,
        residual_tol=0.02, settle_tol=0.05, thin=(1, 2), keep_every=2,
    )  # fmt: skip
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    alone, together = run.run(one), run.run(two, jobs=2)
    assert {p.name for p in one.iterdir()} == {
        f"flows-lagrangian-3-8-{N}{part}.pt" for N in (2, 3) for part in ("", "-first")
    }
    assert alone.keys() == together.keys()
    assert {"rounds_2", "drift_3", "units_3", "probability_3_every2"} <= alone.keys()
    before = {p: p.stat().st_mtime_ns for p in one.iterdir()}
    again = run.run(one)
    assert {p: p.stat().st_mtime_ns for p in one.iterdir()} == before
    for name, values in alone.items():
        torch.testing.assert_close(together[name], values, rtol=0, atol=0)
        torch.testing.assert_close(again[name], values, rtol=0, atol=0)
    assert math.isclose(float(alone["sigma"][-1]), run.sigma_min)


def test_levels_that_share_their_noise_have_one_reach():
    """Along a ramp the samples are sigma times the noise, so that the reach over sigma is one."""
    run = runs.Continued(d=4, counts=(4,), n_noisy=30, n_levels=12, sigma_T=0.15)
    samples = run.samples(4)
    each = [
        float(torch.cat([ramp.start, 1 - ramp.stop]).mean() / sigma)
        for ramp, sigma in zip(sample_ramps(samples), samples.sigma, strict=True)
        if ramp
    ]
    assert len(each) > 6
    for value in each:
        assert math.isclose(trained_flows.reach(run, 4), value, rel_tol=1e-4)
    part = run.samples(4, part=[3, 7])
    assert torch.equal(part.inputs, samples.inputs[[3, 7]])
    own = runs.Flows(d=4, n_noisy=30, n_levels=12).samples(4)
    assert (own.y[1] - own.targets).std() / own.sigma[1] > 0.9  # and other noise at each level
    assert not torch.allclose(
        (own.y[0] - own.targets) / own.sigma[0], (own.y[1] - own.targets) / own.sigma[1], atol=0.1
    )


def test_a_kept_path_is_moved_again_with_the_networks_that_were_kept():
    """Of the 150 levels every fifth; kept_flow tests look at residuals and costs."""
    assert min(ends.check_again(20, 1, 10, ["continuation"], 150).values()) >= 0.9
    run = readback.run_of(readback.load_flows(10, "continuation", 150)[1])
    assert isinstance(run, runs.Continued) and run.keep_every == 5
