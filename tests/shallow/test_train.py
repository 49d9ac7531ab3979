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
from memnb.shallow.methods import (
    METHODS,
    AugmentedLagrangian,
    Dropout,
    Plain,
    WeightDecay,
)
from memnb.shallow.networks import NetworkBatch, add_gradients
from memnb.shallow.train import Training, fit

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

    gradients = [torch.zeros_like(x) for x in nets.parameters()]
    residuals = torch.empty_like(multipliers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks_module, "CACHE_BLOCK", block)
        add_gradients(
            nets,
            inputs,
            targets,
            multipliers,
            torch.full((S,), 0.7, dtype=F64),
            gradients,
            residuals,
        )
    torch.testing.assert_close(residuals, r.detach(), rtol=1e-10, atol=1e-10)
    for a, b in zip(gradients, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_dropout_drops_scales_and_differentiates():
    nets, inputs, targets, _ = _problem(1, 40, 3, 8, 0)
    p = 0.3
    passes = torch.empty(1, 40, 8, dtype=F64).bernoulli_(
        1 - p, generator=torch.Generator().manual_seed(5)
    )
    leaves = [x.clone().requires_grad_() for x in nets.parameters()]
    W, A, V = leaves
    hidden = torch.relu(inputs @ W.mT) * passes / (1 - p)
    r = hidden @ A.mT + inputs @ V.mT - targets
    expected = torch.autograd.grad(r.square().sum() / 2, leaves)
    gradients = [torch.zeros_like(x) for x in nets.parameters()]
    residuals = torch.empty(1, 40, 3, dtype=F64)
    generator = torch.Generator().manual_seed(5)
    add_gradients(
        nets, inputs, targets, None, torch.ones(1, dtype=F64), gradients, residuals, p, generator
    )
    assert 0.5 < passes.mean() < 0.9
    torch.testing.assert_close(residuals, r.detach())
    for a, b in zip(gradients, expected, strict=True):
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
    return (x * 1e12).round()


def test_samples_weights_dropped_values_and_starts_of_one_seed_are_independent():
    """Two generators seeded alike would give the noise of the samples as first weights."""
    data = memnb.orthogonal_set(5, 6)

    def noise(M):
        samples = trained.draw_samples(data, 0.05, M, seed=3, dtype=F64)
        return ((samples.y - samples.targets)[0, :1000] / 0.05).flatten()

    def weights(width):
        nets = NetworkBatch.random(1, width, 6, seed=3, dtype=F64)
        return nets.W[0, :1000, :-1].flatten() * 6**0.5

    samples = trained.draw_samples(data, 0.05, 2, seed=3)
    dropout = train_module.Trainer(samples, Training(1000, Dropout(), seed=3))
    drawn = {
        "samples": noise(200),
        "samples of another M": noise(201),
        "weights": weights(1000),
        "weights of another width": weights(1001),
        "starts": memnb.gaussian_starts(1000, 6, seed=3).flatten(),
        "dropped values": torch.randn(6000, generator=dropout.generator, dtype=F64),
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
    training = Training(64, rounds=40, steps=40, residual_tol=3e-4, settle_tol=1e-3)
    return samples, fit(samples, training, progress=False)


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
    for method in (AugmentedLagrangian(), WeightDecay(0.02), Plain()):
        done = fit(samples, Training(48, method, rounds=40, seed=1), progress=False)
        cost[type(method)] = float(done.cost)
        assert float(done.residual) <= (1e-2 if isinstance(method, WeightDecay) else 1e-3)
    assert cost[AugmentedLagrangian] <= 1.02 * float(done.closed_form)
    # Weight decay buys a lower cost with residuals; plain Adam has no reason to be cheap.
    assert cost[WeightDecay] < cost[AugmentedLagrangian] < cost[Plain] / 1.5


def _interrupted(samples, training, path, monkeypatch):
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
        fit(samples, training, checkpoint=path, progress=False)
    return fit(samples, training, checkpoint=path, progress=False)


@pytest.mark.parametrize("method", [AugmentedLagrangian(), Dropout(0.1)])
def test_resuming_gives_the_same_weights_bit_for_bit(tmp_path, monkeypatch, method):
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), [0.05, 0.1], 20)
    training = Training(24, method, rounds=10, steps=10)
    monkeypatch.setattr(train_module.Trainer, "converged", _after_ten_rounds)
    whole = fit(samples, training, progress=False)
    resumed = _interrupted(samples, training, tmp_path / "state.pt", monkeypatch)
    assert whole.rounds == resumed.rounds == 10
    for a, b in zip(whole.networks.parameters(), resumed.networks.parameters(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(whole.history, resumed.history)
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]


def _after_ten_rounds(self):
    return torch.tensor([len(self.history) >= 10]), torch.zeros(1)


def test_a_checkpoint_of_another_fit_is_refused(tmp_path):
    data = memnb.orthogonal_set(3, 2)
    path = tmp_path / "state.pt"
    with pytest.raises(NotConverged):
        fit(
            trained.draw_samples(data, 0.05, 20),
            Training(8, rounds=6, extra_rounds=0, steps=2),
            checkpoint=path,
            progress=False,
        )
    for sigma, method, what in ((0.06, None, "samples"), (0.05, 3.0, "method")):
        with pytest.raises(ValueError, match=f"belongs to a fit with another {what}"):
            fit(
                trained.draw_samples(data, sigma, 20),
                Training(8, AugmentedLagrangian(method), rounds=6, steps=2),
                checkpoint=path,
                progress=False,
            )


def _state(**changes):
    """A checkpoint that has all its entries, with some of them changed."""
    return dict.fromkeys(train_module.STATE) | {"settings": "{}"} | changes


@pytest.mark.parametrize(
    "content",
    [
        b"not a checkpoint",
        b"",
        b"a text file\nof two lines\n",
        b"\x80\x04K\x01.",
        {"weights": torch.zeros(3)},
        torch.zeros(3),
        _state(settings=None),
        _state(settings="no JSON"),
        _state(settings="[1]"),
        _state(),
    ],
    ids=[
        "bytes",
        "empty",
        "text",
        "pickle",
        "weights",
        "tensor",
        "none",
        "no JSON",
        "list",
        "void",
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused_by_name_in_one_line(tmp_path, content):
    path = tmp_path / "state.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    before = path.read_bytes()
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), 0.05, 20)
    with pytest.raises(ValueError, match=r"checkpoint .*state\.pt") as raised:
        fit(samples, Training(8), checkpoint=path, progress=False)
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before


def test_a_checkpoint_in_a_missing_folder_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(train_module.Trainer, "round", lambda _self: pytest.fail("trained"))
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), 0.05, 20)
    with pytest.raises(ValueError, match=r"checkpoint .* in a folder that does not exist"):
        fit(samples, Training(8), checkpoint=tmp_path / "no" / "state.pt", progress=False)


def test_converged_means_settled_and_below_the_tolerance_in_each_of_the_last_rounds():
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), [0.05, 0.1], 20)
    trainer = train_module.Trainer(samples, Training(8, rounds=9, steps=1))
    good = torch.tensor([[5e-4, 5e-4], [4.0, 4.0]], dtype=F64)
    trainer.history = [good.clone() for _ in range(6)]
    assert trainer.converged()[0].all()
    trainer.history[-3][0, 1] = 2e-3  # one round of the window, one network
    assert trainer.converged()[0].tolist() == [True, False]
    trainer.history = [good.clone() for _ in range(6)]
    for line in trainer.history[-3:]:
        line[1, 0] = 4.1
    assert trainer.converged()[0].tolist() == [False, True]


def test_the_result_tells_which_networks_had_to_interpolate():
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), [0.05, 0.8], 20)
    training = Training(48, rounds=40, steps=40, residual_tol=5e-3, settle_tol=1e-2)
    done = fit(samples, training, progress=False)
    assert done.interpolates.tolist() == [True, False]
    assert done.residual[0] <= 5e-3 < done.residual[1]
    assert (done.history[-3:, 0, 0] <= 5e-3).all()


def test_a_stall_and_a_nan_are_errors_not_results():
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), 0.05, 20)
    with pytest.raises(NotConverged, match=r"1 of 1 networks .* 6 rounds; .* residual was up to"):
        fit(samples, Training(1, rounds=6, extra_rounds=0, steps=3), progress=False)
    with pytest.raises(Diverged, match="not finite in round 1, step"):
        fit(samples, Training(8, learning_rate=1e25), progress=False)


def test_a_batch_trains_as_its_networks_alone(monkeypatch):
    monkeypatch.setattr(train_module.Trainer, "converged", _after_ten_rounds)
    data = memnb.orthogonal_set(3, 4)
    both = trained.draw_samples(data, [0.05, 0.1], 30, dtype=F64)
    training = Training(16, rounds=10, steps=5)
    together = fit(both, training, progress=False)
    alone = fit(trained.draw_samples(data, [0.05], 30, dtype=F64), training, progress=False)
    torch.testing.assert_close(together.networks.A[0], alone.networks.A[0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "lagrangian"}, "method must be one of AugmentedLagrangian, WeightDecay, Plain"),
        ({"width": 0}, "width must be at least 1"),
        ({"width": 4.0}, "width must be an integer"),
        ({"rounds": 0}, "rounds must be at least 1"),
        ({"extra_rounds": -1}, "extra_rounds must be at least 0"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"learning_rate": math.nan}, "learning_rate must be in"),
        ({"residual_tol": 0.0}, "residual_tol must be in"),
        ({"settle_tol": math.inf}, "settle_tol must be in"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_bad_trainings_are_named(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Training(**{"width": 4, **options})


@pytest.mark.parametrize(
    ("method", "value", "message"),
    [
        (AugmentedLagrangian, 0, "penalty must be in"),
        (AugmentedLagrangian, math.inf, "penalty must be in"),
        (WeightDecay, -1.0, "strength must be in"),
        (WeightDecay, "0.25", "strength must be a real number"),
        (Dropout, 1.0, "p must be in"),
        (Dropout, 0, "p must be in"),
    ],
)
def test_bad_methods_are_named(method, value, message):
    with pytest.raises((TypeError, ValueError), match=message):
        method(value)


@pytest.mark.parametrize(
    ("sigma", "message"),
    [
        ([[0.1, 0.2]], r"sigma must be a number or a sequence of at least one, got shape \(1, 2\)"),
        ([], "sigma must be a number or a sequence of at least one"),
        ("0.1", "sigma must be a number or a sequence of them, got '0.1'"),
        (None, "sigma must be a number or a sequence of them, got None"),
        ([0.1, math.nan], "sigma must be in"),
        (math.inf, "sigma must be in"),
        (0.0, "sigma must be in"),
    ],
)
def test_bad_noise_levels_are_named(sigma, message):
    with pytest.raises((TypeError, ValueError), match=message):
        trained.draw_samples(memnb.orthogonal_set(3, 2), sigma, 5)


def test_points_and_settings_of_another_kind_are_refused():
    points = torch.eye(3, dtype=F64)
    with pytest.raises(TypeError, match="training_set must be a TrainingSet, got Tensor"):
        trained.draw_samples(points, 0.1, 5)
    with pytest.raises(TypeError, match="samples must be NoisySamples, got Tensor"):
        fit(points, Training(4))
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), 0.1, 5)
    with pytest.raises(TypeError, match="training must be a Training, got int"):
        fit(samples, 4)
    with pytest.raises(ValueError, match=r"must add up to at least 6, .* got 5"):
        fit(samples, Training(4, rounds=3, extra_rounds=2))


def test_methods_say_what_they_minimize():
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), [0.05, 0.5], 20)
    methods = {name: kind() for name, kind in METHODS.items()}
    assert {n: m.on_cost for n, m in methods.items()} == {
        "lagrangian": 1.0, "weight-decay": 0.25, "adam": 0.0, "dropout": 0.0,
    }  # fmt: skip
    assert [n for n, m in methods.items() if m.has_multipliers] == ["lagrangian"]
    assert [n for n, m in methods.items() if m.dropped] == ["dropout"]
    # max(200, 6 / (N sigma^2)) / M with N = 3, M = 20
    assert methods["lagrangian"].penalties(samples).tolist() == pytest.approx([40.0, 10.0])
    assert AugmentedLagrangian(7.0).penalties(samples).tolist() == [7.0, 7.0]
    assert methods["adam"].penalties(samples).tolist() == [1.0, 1.0]


def test_weights_spoiled_by_the_last_step_of_a_round_are_not_saved(tmp_path):
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), 0.1, 10)
    path = tmp_path / "fit.pt"
    with pytest.raises(Diverged, match="not finite in round 1, its end"):
        fit(samples, Training(8, steps=1, learning_rate=1e30), checkpoint=path, progress=False)
    assert not path.exists()


def test_one_level_of_a_batch_is_trained_as_the_batch_is():
    samples = trained.draw_samples(memnb.orthogonal_set(3, 2), [0.2, 0.1], 10)
    one = samples.at(1)
    assert torch.equal(one.inputs, samples.inputs[1:]) and one.sigma.tolist() == [0.1]
    assert torch.equal(trained.closed_form_cost(one), trained.closed_form_cost(samples)[1:])
