"""Training: gradients, known optima, convergence or an error, and resuming as if never stopped."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import memnb
from memnb import shallow as trained
from memnb.shallow import _trainer as train_module
from memnb.shallow import networks as networks_module
from memnb.shallow._trainer import Diverged, NotConverged
from memnb.shallow.networks import NetworkBatch, add_gradients
from memnb.shallow.train import fit

F64 = torch.float64


def _problem(S, n, d, K, seed):
    g = torch.Generator().manual_seed(seed)
    nets = NetworkBatch.random(S, K, d, seed, F64)
    V = torch.randn(S, d, d + 1, generator=g, dtype=F64)
    nets = NetworkBatch(nets.W, nets.A, V)
    inputs = torch.randn(S, n, d + 1, generator=g, dtype=F64)
    inputs[..., -1] = 1
    targets = torch.randn(n, d, generator=g, dtype=F64)
    multipliers = torch.randn(S, n, d, generator=g, dtype=F64)
    return nets, inputs, targets, multipliers


@given(
    S=st.integers(1, 4),
    n=st.integers(1, 30),
    d=st.integers(1, 5),
    K=st.integers(1, 9),
    block=st.sampled_from([1, 7, 64, 10**6]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_gradients_are_those_of_automatic_differentiation(S, n, d, K, block, seed):
    nets, inputs, targets, multipliers = _problem(S, n, d, K, seed)
    leaves = [x.clone().requires_grad_() for x in nets.parameters()]
    r = NetworkBatch(*leaves)(inputs[..., :-1]) - targets
    objective = (multipliers * r).sum() + 0.7 / 2 * r.square().sum()
    expected = torch.autograd.grad(objective, leaves)

    found = [torch.zeros_like(x) for x in nets.parameters()]
    residuals = torch.empty_like(multipliers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks_module, "CACHE_BLOCK", block)
        add_gradients(
            nets, inputs, targets, multipliers, torch.full((S,), 0.7, dtype=F64), found, residuals
        )
    torch.testing.assert_close(residuals, r.detach(), rtol=1e-10, atol=1e-10)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_dropout_drops_scales_and_differentiates():
    nets, inputs, targets, _ = _problem(1, 40, 3, 8, 0)
    p = 0.3
    kept = torch.empty(1, 40, 8, dtype=F64).bernoulli_(
        1 - p, generator=torch.Generator().manual_seed(5)
    )
    leaves = [x.clone().requires_grad_() for x in nets.parameters()]
    W, A, V = leaves
    hidden = torch.relu(inputs @ W.mT) * kept / (1 - p)
    r = hidden @ A.mT + inputs @ V.mT - targets
    expected = torch.autograd.grad(r.square().sum() / 2, leaves)
    found = [torch.zeros_like(x) for x in nets.parameters()]
    residuals = torch.empty(1, 40, 3, dtype=F64)
    generator = torch.Generator().manual_seed(5)
    add_gradients(
        nets, inputs, targets, None, torch.ones(1, dtype=F64), found, residuals, p, generator
    )
    assert 0.5 < kept.mean() < 0.9
    torch.testing.assert_close(residuals, r.detach())
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_a_network_of_the_batch_is_that_network():
    nets = NetworkBatch.random(3, 7, 4, seed=1, dtype=F64)
    y = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=F64)
    together = nets(y)
    for s in range(3):
        torch.testing.assert_close(nets.network(s)(y[s]), together[s])
        assert math.isclose(nets.network(s).cost(), float(nets.cost()[s]))
    first = NetworkBatch.random(1, 7, 4, seed=1, dtype=F64)
    assert torch.equal(first.W[0], nets.W[0]) and torch.equal(first.A[0], nets.A[0])


def test_the_closed_form_of_the_samples_interpolates_them():
    data = memnb.orthogonal_set(5, 6, norms=[1, 2, 0.7, 1.5], seed=2)
    samples = trained.draw_samples(data, [0.03, 0.05], 200, seed=4, dtype=F64)
    for y, h in zip(samples.y, trained.sample_ramps(samples), strict=True):
        assert (h(y) - samples.targets).abs().max() < 1e-12
        # It is the least such ramp: it cannot start later nor end earlier.
        z = data.coordinates(y)
        others = samples.point[:, None] != torch.arange(1, 5)
        assert torch.equal(z.masked_fill(~others, -9).amax(dim=0), h.start)
    ball = memnb.RampDenoiser(data, 3 * 0.05).cost()
    assert 0.8 * ball < trained.closed_form_cost(samples)[1] < 1.3 * ball
    noisy = trained.draw_samples(data, [0.05, 1.0], 50)
    assert trained.sample_ramps(noisy)[1] is None
    assert trained.closed_form_cost(noisy).isfinite().tolist() == [True, False]


def test_samples_have_the_noise_they_claim_and_do_not_depend_on_the_batch():
    data = memnb.orthogonal_set(4, 8)
    samples = trained.draw_samples(data, [0.1, 0.3], 2000, seed=3)
    noise = samples.y - samples.targets
    assert torch.allclose(noise.std(dim=(1, 2)), torch.tensor([0.1, 0.3]), rtol=0.02)
    alone = trained.draw_samples(data, 0.1, 2000, seed=3)
    assert torch.equal(alone.inputs[0], samples.inputs[0])
    with pytest.raises(ValueError, match="sigma must be in"):
        trained.draw_samples(data, 0.0, 5)


def _rounded(x):
    """Digits that do not depend on how a normal number was scaled and shifted."""
    return (x * 1e9).round()


def test_samples_weights_and_starts_of_one_seed_are_independent():
    """Two generators seeded alike would give the noise of the samples as first weights."""
    data = memnb.orthogonal_set(5, 6)

    def noise(M):
        samples = trained.draw_samples(data, 0.05, M, seed=3, dtype=F64)
        return ((samples.y - samples.targets)[0, :1000] / 0.05).flatten()

    def weights(width):
        nets = NetworkBatch.random(1, width, 6, seed=3, dtype=F64)
        return nets.W[0, :1000, :-1].flatten() * 6**0.5

    drawn = {
        "samples": noise(200),
        "samples of another M": noise(201),
        "weights": weights(1000),
        "weights of another width": weights(1001),
        "starts": memnb.gaussian_starts(1000, 6, seed=3).flatten(),
    }
    for name, x in drawn.items():
        assert abs(float(x.mean())) < 5 / 6000**0.5 and abs(float(x.std()) - 1) < 0.05
        for other, y in drawn.items():
            if name < other:
                assert not torch.isin(_rounded(x), _rounded(y)).any(), (name, other)
                assert abs(float(torch.corrcoef(torch.stack([x, y]))[0, 1])) < 5 / 6000**0.5


@pytest.fixture(scope="module")
def line():
    """One dimension, where the cheapest interpolant is known: one ramp between the samples."""
    samples = trained.draw_samples(memnb.orthogonal_set(2, 1), [0.05, 0.1], 40, seed=1)
    options = {"rounds": 40, "steps": 40, "residual_tol": 3e-4, "progress": False}
    return samples, fit(samples, 64, settle_tol=1e-3, **options)


def test_one_dimension_reaches_the_known_optimum(line):
    samples, done = line
    assert done.residual.max() <= 3e-4
    assert torch.allclose(done.cost, done.closed_form, rtol=1e-2)
    grid = torch.linspace(-0.3, 1.3, 200)[:, None]
    for s, ramp in enumerate(trained.sample_ramps(samples)):
        gap = done.networks.network(s)(grid) - ramp(grid.double()).float()
        assert gap.abs().max() < 5e-3


def test_balanced_units_would_cost_exactly_the_optimum(line):
    """Rescaling within units reaches sum |a||w|: the optimum, just below the cost."""
    _, done = line
    products = done.networks.A.norm(dim=1) * done.networks.W[..., :-1].norm(dim=2)
    balanced = products.sum(dim=1).double()
    assert torch.allclose(balanced, done.closed_form, rtol=1e-3)
    assert (balanced <= done.cost * (1 + 1e-6)).all()


def test_methods_differ_in_cost_as_they_should():
    data = memnb.orthogonal_set(3, 2)
    samples = trained.draw_samples(data, 0.05, 60, seed=2)
    cost = {}
    for method in ("lagrangian", "weight-decay", "adam"):
        done = fit(samples, 48, method, weight_decay=0.02, rounds=40, seed=1, progress=False)
        cost[method] = float(done.cost)
        assert float(done.residual) <= (1e-2 if method == "weight-decay" else 1e-3)
    assert cost["lagrangian"] <= 1.02 * float(done.closed_form)
    # Weight decay buys a lower cost with residuals; plain Adam has no reason to be cheap.
    assert cost["weight-decay"] < cost["lagrangian"] < cost["adam"] / 1.5


def _interrupted(samples, path, monkeypatch, **options):
    """Run, be killed after the seventh round, and go on."""
    original = train_module.Trainer.save
    calls = []

    def save_and_die(self, where):
        original(self, where)
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(train_module.Trainer, "save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        fit(samples, 24, checkpoint=path, progress=False, **options)
    return fit(samples, 24, checkpoint=path, progress=False, **options)


@pytest.mark.parametrize("method", ["lagrangian", "dropout"])
def test_resuming_gives_the_same_weights_bit_for_bit(tmp_path, monkeypatch, method):
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), [0.05, 0.1], 20)
    options = {"method": method, "rounds": 10, "steps": 10}
    monkeypatch.setattr(train_module.Trainer, "converged", _after_ten_rounds)
    whole = fit(samples, 24, progress=False, **options)
    resumed = _interrupted(samples, tmp_path / "state.pt", monkeypatch, **options)
    assert whole.rounds == resumed.rounds == 10
    for a, b in zip(whole.networks.parameters(), resumed.networks.parameters(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(whole.history, resumed.history)
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]


def _after_ten_rounds(self, *_tolerances):
    return torch.tensor([len(self.history) >= 10]), torch.zeros(1)


def test_a_checkpoint_of_another_fit_is_refused(tmp_path):
    data = memnb.orthogonal_set(3, 2)
    path = tmp_path / "state.pt"
    with pytest.raises(NotConverged):
        fit(trained.draw_samples(data, 0.05, 20), 8, rounds=6, extra_rounds=0, steps=2,
            checkpoint=path, progress=False)  # fmt: skip
    with pytest.raises(ValueError, match="belongs to a fit with another samples"):
        fit(trained.draw_samples(data, 0.06, 20), 8, rounds=6, steps=2, checkpoint=path,
            progress=False)  # fmt: skip


@pytest.mark.parametrize("content", ["bytes", "weights"])
def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path, content):
    path = tmp_path / "state.pt"
    if content == "bytes":
        path.write_bytes(b"not a checkpoint")
    else:
        torch.save({"weights": torch.zeros(3)}, path)
    before = path.read_bytes()
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), 0.05, 20)
    with pytest.raises(ValueError, match=r"checkpoint .* in a folder that does not exist"):
        fit(samples, 8, checkpoint=tmp_path / "no" / "state.pt", progress=False)
    with pytest.raises(ValueError, match=r"checkpoint .*state\.pt (cannot be read|does not hold)"):
        fit(samples, 8, checkpoint=path, progress=False)
    assert path.read_bytes() == before


def test_converged_means_settled_and_below_the_tolerance_in_each_of_the_last_rounds():
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), [0.05, 0.1], 20)
    trainer = train_module.Trainer(samples, {
        "width": 8, "method": "lagrangian", "penalty": None, "weight_decay": 0.0, "dropout": 0.1,
        "learning_rate": 1e-2, "rounds": 9, "steps": 1, "seed": 0,
    })  # fmt: skip
    good = torch.tensor([[5e-4, 5e-4], [4.0, 4.0]], dtype=F64)
    trainer.history = [good.clone() for _ in range(6)]
    assert trainer.converged(1e-3, 3e-3)[0].all()
    trainer.history[-3][0, 1] = 2e-3  # one round of the window, one network
    assert trainer.converged(1e-3, 3e-3)[0].tolist() == [True, False]
    trainer.history = [good.clone() for _ in range(6)]
    for line in trainer.history[-3:]:
        line[1, 0] = 4.1
    assert trainer.converged(1e-3, 3e-3)[0].tolist() == [False, True]


def test_the_result_tells_which_networks_had_to_interpolate():
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), [0.05, 0.8], 20)
    done = fit(samples, 48, rounds=40, steps=40, residual_tol=5e-3, settle_tol=1e-2, progress=False)
    assert done.interpolates.tolist() == [True, False]
    assert done.residual[0] <= 5e-3 < done.residual[1]
    assert (done.history[-3:, 0, 0] <= 5e-3).all()


def test_a_stall_and_a_nan_are_errors_not_results():
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), 0.05, 20)
    with pytest.raises(NotConverged, match=r"1 of 1 networks .* 6 rounds; .* residual was up to"):
        fit(samples, 1, rounds=6, extra_rounds=0, steps=3, progress=False)
    with pytest.raises(Diverged, match="not finite in round 1, step"):
        fit(samples, 8, learning_rate=1e25, progress=False)


def test_a_batch_trains_as_its_networks_alone(monkeypatch):
    monkeypatch.setattr(train_module.Trainer, "converged", _after_ten_rounds)
    data = memnb.orthogonal_set(3, 4)
    both = trained.draw_samples(data, [0.05, 0.1], 30, dtype=F64)
    options = {"rounds": 10, "steps": 5, "progress": False}
    together = fit(both, 16, **options)
    alone = fit(trained.draw_samples(data, [0.05], 30, dtype=F64), 16, **options)
    torch.testing.assert_close(together.networks.A[0], alone.networks.A[0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "sgd"}, "method must be one of 'lagrangian'"),
        ({"width": 0}, "width must be at least 1"),
        ({"penalty": 0}, "penalty must be in"),
        ({"dropout": 1.0}, "dropout must be in"),
        ({"rounds": 3}, "rounds must be at least 6"),
    ],
)
def test_bad_arguments_are_named(options, message):
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), 0.05, 5)
    with pytest.raises(ValueError, match=message):
        fit(samples, **{"width": 4, "progress": False, **options})


def test_weights_spoiled_by_the_last_step_of_a_round_are_not_saved(tmp_path):
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), 0.1, 10)
    path = tmp_path / "fit.pt"
    with pytest.raises(Diverged, match="not finite in round 1, its end"):
        fit(samples, 8, steps=1, learning_rate=1e30, checkpoint=path, progress=False)
    assert not path.exists()


def test_one_level_of_a_batch_is_trained_as_the_batch_is():
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), [0.2, 0.1], 10)
    one = samples.at(1)
    assert torch.equal(one.inputs, samples.inputs[1:]) and one.sigma.tolist() == [0.1]
    assert torch.equal(trained.closed_form_cost(one), trained.closed_form_cost(samples)[1:])
