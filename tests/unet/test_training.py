"""Training: exact resumption, exact averages, and that it learns and memorizes."""

import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from support import ROOT

from memnb.streams import stream
from memnb.unet import training
from memnb.unet.copies import nearest_neighbors
from memnb.unet.diffusion import make_schedule
from memnb.unet.images import digits, synthetic_images
from memnb.unet.network import UNet, full_precision
from memnb.unet.sampling import gaussian_noise, sample
from memnb.unet.training import TrainingConfig, _Run, train

SHORT = TrainingConfig(steps=24, batch_size=4, ema=0.9, seed=3)


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.fixture(scope="module")
def images():
    return synthetic_images(6, 8, seed=1)


@pytest.fixture(scope="module")
def whole(images):
    return train(images, SHORT, progress=False)


def test_the_same_seed_gives_the_same_network(images, whole):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    net, losses = train(images, SHORT, progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(weights(net), weights(whole[0])) and torch.equal(losses, whole[1])
    other, _ = train(images, replace(SHORT, seed=4), progress=False)
    assert not torch.equal(weights(other), weights(net))


@pytest.mark.parametrize("config", [
    SHORT,
    TrainingConfig(epochs=6, batch_size=4, seed=3, lr_decay=False),
], ids=["steps", "epochs"])  # fmt: skip
@pytest.mark.parametrize("stop", [7, 12])
def test_a_stopped_run_goes_on_to_the_same_result(
    images, config, stop, tmp_path, monkeypatch, request
):
    net, losses = train(images, config, progress=False)
    path, advance = tmp_path / "net.checkpoint", _Run.advance

    def interrupted(run):
        if run.step == min(stop, 10 if config.steps is None else stop):
            raise KeyboardInterrupt
        return advance(run)

    monkeypatch.setattr(_Run, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(images, config, checkpoint=path, every=3, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    monkeypatch.setattr(_Run, "advance", advance)
    again, resumed = train(images, config, checkpoint=path, every=3, progress=False)
    assert torch.equal(weights(net), weights(again)) and torch.equal(losses, resumed)
    done, third = train(images, config, checkpoint=path, progress=False)  # nothing left to do
    assert torch.equal(weights(net), weights(done)) and torch.equal(losses, third)


def test_training_in_stages_is_training_at_once(images, tmp_path):
    """Weights, averages and losses, also where a stage ends in the midst of a part of 3 steps."""
    config, path = replace(SHORT, steps=250), tmp_path / "net.checkpoint"
    for until in (1, 7, 7, 9, 20):
        once, losses = train(images, config, until=until, progress=False)
        stage, resumed = train(images, config, until=until, checkpoint=path, progress=False)
        assert torch.equal(weights(once), weights(stage)) and torch.equal(losses, resumed)
        assert len(losses) == -(-until // 3)
    # The whole in stages of one step is what it is without any
    for until in range(1, SHORT.steps + 1):
        net, losses = train(
            images, SHORT, until=until, checkpoint=tmp_path / "c", every=5, progress=False
        )
    at_once, all_losses = train(images, SHORT, progress=False)
    assert torch.equal(weights(net), weights(at_once)) and torch.equal(losses, all_losses)


def test_a_stage_that_is_not_allowed_is_one_line(images, tmp_path):
    path = tmp_path / "net.checkpoint"
    for until in (0, 25):
        with pytest.raises(ValueError, match=f"until must be between 1 and 24, got {until}"):
            train(images, SHORT, until=until, checkpoint=path, progress=False)
    with pytest.raises(TypeError, match="until must be an integer"):
        train(images, SHORT, until=2.5, checkpoint=path, progress=False)
    assert not path.exists()
    train(images, SHORT, until=4, checkpoint=path, progress=False)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="until must be at least the checkpoint's step 4, got 3"):
        train(images, SHORT, until=3, checkpoint=path, progress=False)
    assert path.read_bytes() == before


PROGRAM = """
import sys, torch
torch.set_num_threads(1)
from memnb.unet.images import synthetic_images
from memnb.unet.training import TrainingConfig, train
config = TrainingConfig(steps=2000, batch_size=2, seed=1)
train(synthetic_images(3, 8, seed=1), config, checkpoint=sys.argv[1], every=20, progress=False)
"""


def test_a_killed_run_leaves_a_checkpoint_that_is_whole(tmp_path):
    path = tmp_path / "net.checkpoint"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(path)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 120
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    state = torch.load(path, weights_only=True)
    images, config = synthetic_images(3, 8, seed=1), TrainingConfig(
        steps=2000, batch_size=2, seed=1
    )  # fmt: skip
    # Two runs to the step after the kill: one resumed, one from the start
    resumed, fresh = _Run(config, images), _Run(config, images)
    resumed.restore(state)
    assert 0 < resumed.step < 2000
    for _ in range(state["step"]):
        fresh.advance()
    # Close, not equal: the killed process has one thread, and this one may have more
    torch.testing.assert_close(resumed.advance(), fresh.advance(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(weights(resumed.net), weights(fresh.net), rtol=1e-5, atol=1e-6)


def test_what_killed_writers_left_is_removed_and_other_files_are_refused(images, tmp_path):
    path = tmp_path / "net.checkpoint"
    for name in (".net.checkpoint.1", ".net.checkpoint.12345", ".other.checkpoint.1"):
        (tmp_path / name).write_bytes(b"half a file")
    train(images, replace(SHORT, steps=2), checkpoint=path, progress=False)
    assert {p.name for p in tmp_path.iterdir()} == {path.name, ".other.checkpoint.1"}
    whole = path.read_bytes()
    for content in (b"", b"not a checkpoint", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"net\.checkpoint is not a checkpoint"):
            train(images, replace(SHORT, steps=2), checkpoint=path, progress=False)
        assert path.read_bytes() == content
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"net\.checkpoint is not a checkpoint"):
        train(images, replace(SHORT, steps=2), checkpoint=path, progress=False)


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_cuda_trains_and_samples_as_the_cpu_does(images, precision, tmp_path):
    config = replace(SHORT, lr=1e-3)
    here, losses = train(images, config, progress=False)
    path = tmp_path / "c"
    on_card = replace(config, device="cuda:0", precision=precision)
    on_device, other = train(images, on_card, checkpoint=path, progress=False)
    near = {"rtol": 1e-4, "atol": 1e-5} if precision == "float32" else {"rtol": 0.1, "atol": 0.02}
    torch.testing.assert_close(other, losses, **near)
    noise = gaussian_noise(4, 8, 1)
    for method, named in (("ddim", {}), ("ddpm", {"seed": 1})):
        a = sample(here, make_schedule(), noise, method, **named)
        b = sample(on_device, make_schedule(), noise.cuda(), method, **named)
        assert b.is_cuda and (a - b.cpu()).abs().mean() < (1e-2 if precision == "float32" else 0.1)
    again, _ = train(images, on_card, checkpoint=path, progress=False)  # a checkpoint of the card
    assert torch.equal(weights(again), weights(on_device))
    if precision == "float32":  # the attention of the other two may add up in any order
        fresh, third = train(images, on_card, progress=False)
        assert torch.equal(weights(fresh), weights(on_device)) and torch.equal(third, other)


@needs_cuda
@pytest.mark.parametrize("size", ["small", "paper"])
def test_float32_is_float32_on_a_card(size):
    """Gradients of one step agree with the CPU to rounding, which those in TF32 do not."""
    config = TrainingConfig(size=size, steps=1, batch_size=64, seed=2)
    shown = synthetic_images(64, 16, seed=1)

    def gradient(device, way):
        run = _Run(replace(config, device=device), shown)
        generator = stream(0, "gradient of one step")
        t = torch.randint(1, 101, (64,), generator=generator).to(device)
        eps = torch.randn(run.x.shape, generator=generator).to(device)
        with way:
            loss = (run.net(run.schedule.add_noise(run.x, t, eps), t) - eps).square().mean()
            parts = torch.autograd.grad(loss, list(run.net.parameters()))
        return torch.cat([part.flatten() for part in parts]).double().cpu()

    here = gradient("cpu", full_precision())
    on_card = gradient("cuda", full_precision())
    assert (on_card - here).norm() < 2e-5 * here.norm()
    if torch.cuda.get_device_capability() >= (8, 0):  # older cards have no TF32
        rounded = gradient("cuda", torch.backends.cudnn.flags(enabled=True, allow_tf32=True))
        assert (rounded - here).norm() > 1e-4 * here.norm()
    assert torch.equal(gradient("cuda", full_precision()), on_card)


def test_full_precision_leaves_the_settings_as_they_were():
    def settings():
        cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
        rounded = cudnn.allow_tf32, cuda.matmul.allow_tf32, cuda.mem_efficient_sdp_enabled()
        return cudnn.enabled, cudnn.deterministic, *rounded, cudnn.benchmark

    usual = settings()
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        before = settings()
        with pytest.raises(ZeroDivisionError), full_precision():
            assert settings()[1:5] == (True, False, False, False)
            raise ZeroDivisionError
        assert settings() == before
    finally:
        torch.backends.cuda.matmul.allow_tf32 = usual[3]


def test_epochs_visit_every_image_once(images):
    run = _Run(TrainingConfig(epochs=3, batch_size=4), images)
    assert run.total == 6
    epochs = []
    for _ in range(3):
        batches = []
        for _ in range(2):
            batches.append(run.batch())
            run.step += 1
        assert [len(b) for b in batches] == [4, 2]
        epochs.append(torch.cat(batches).tolist())
        assert sorted(epochs[-1]) == list(range(6))
    assert epochs[0] != epochs[1]


def test_the_average_is_the_recursion(images):
    run = _Run(replace(SHORT, ema=0.95), images)
    expected = weights(run.net)
    for k in range(8):
        run.advance()
        decay = min(0.95, (1 + k) / (10 + k))
        expected = decay * expected + (1 - decay) * weights(run.net)
    average = torch.cat([p.flatten() for p in run.average])
    torch.testing.assert_close(average, expected, rtol=1e-5, atol=1e-6)


def test_the_first_step_is_adam_on_the_mean_squared_error(images):
    config = TrainingConfig(steps=10, batch_size=5, lr=1e-3, seed=2)
    run = _Run(config, images)
    before, generator = weights(run.net), stream(2, "batches")
    index = torch.randint(6, (5,), generator=generator)
    t = torch.randint(1, 101, (5,), generator=generator)
    eps = torch.randn(5, 1, 8, 8, generator=generator)
    bars = make_schedule().alpha_bars[t].reshape(-1, 1, 1, 1).float()
    noisy = bars.sqrt() * (2 * images[index] - 1) + (1 - bars).sqrt() * eps
    loss = (run.net(noisy, t) - eps).square().mean()
    grads = torch.autograd.grad(loss, list(run.net.parameters()))
    gradient = torch.cat([g.flatten() for g in grads])
    assert run.advance().item() == pytest.approx(loss.item(), rel=1e-5)
    moved = before - weights(run.net)
    clear = gradient.abs() > 1e-5  # Adam's first step is the sign of the gradient
    torch.testing.assert_close(moved[clear], 1e-3 * gradient.sign()[clear], rtol=0.02, atol=1e-7)


def test_weights_and_batches_of_a_seed_are_independent(images):
    """Nor are they the numbers of the plain seed."""
    run = _Run(replace(SHORT, seed=5), images)
    assert torch.equal(weights(run.net), weights(UNet("small", 8, 5)))
    # Initial weights of a layer are uniform, from the same kind of numbers as the draws
    first = next(run.net.parameters()).detach().flatten()
    plain = torch.Generator().manual_seed(5)
    others = [torch.rand(len(first), generator=g) for g in (run.generator, plain)]
    correlation = torch.corrcoef(torch.stack([first, *others])) - torch.eye(3)
    assert correlation.abs().max() < 4 / len(first) ** 0.5


def test_a_few_images_are_memorized():
    training_set = digits().subset(2)
    config = TrainingConfig(steps=300, batch_size=8, lr=5e-3, ema=0.95)
    net, losses = train(training_set, config, progress=False)
    assert losses[-1] < 0.1 * losses[0]
    x = (sample(net, make_schedule(), gaussian_noise(40, 8, 1), n_steps=20) + 1) / 2
    near = nearest_neighbors(x.clamp(0, 1), training_set)
    assert near.memorized().double().mean() > 0.6
    assert len(near.index.unique()) == 2


def test_lower_precision_is_close(images):
    config = TrainingConfig(steps=12, batch_size=8, seed=0)
    _, full = train(images, config, progress=False)
    _, low = train(images, replace(config, precision="bfloat16"), progress=False)
    assert not torch.equal(full, low)
    torch.testing.assert_close(low, full, rtol=0.1, atol=0.02)


def test_compile_is_asked_for(images, monkeypatch):
    seen = []
    monkeypatch.setattr(training.torch, "compile", lambda net: seen.append(net) or net)
    train(images, replace(SHORT, steps=1), progress=False)
    assert not seen
    train(images, replace(SHORT, steps=1, compile=True), progress=False)
    assert len(seen) == 1


def test_errors(images, tmp_path):
    with pytest.raises(ValueError, match="either steps or epochs, got steps=None, epochs=None"):
        TrainingConfig()
    with pytest.raises(ValueError, match="either steps or epochs, got steps=3, epochs=2"):
        TrainingConfig(steps=3, epochs=2)
    for name in ("steps", "epochs"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            TrainingConfig(**{name: 0})
    for bad, message in (
        ({"size": "big"}, "size must be one of"),
        ({"schedule": "fast"}, "schedule must be one of 'cosine', 'linear', 'paper', got 'fast'"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"lr": 0.0}, r"lr must be in \(0, 1\], got 0"),
        ({"ema": 1.0}, r"ema must be in \(0, 1\), got 1"),
        ({"precision": "int8"}, "precision must be one of"),
        ({"precision": "float16"}, "needs a CUDA device"),
        ({"device": "mps"}, "device must be 'cpu', 'cuda' or 'cuda:0' and so on, got 'mps'"),
        ({"device": "cuda:99"}, "device 'cuda:99' was asked for, but there"),
    ):
        with pytest.raises(ValueError, match=message):
            TrainingConfig(steps=5, **bad)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="device 'cuda' was asked for, but there are 0 CUDA"):
            TrainingConfig(steps=5, device="cuda")
    with pytest.raises(ValueError, match=r"images must have values in \[0, 1\]"):
        train(images * 3 - 1, SHORT, progress=False)
    with pytest.raises(ValueError, match="image_size must be a multiple of 2"):
        train(torch.zeros(2, 1, 5, 5), SHORT, progress=False)
    with pytest.raises(TypeError, match="config must be a TrainingConfig, got dict"):
        train(images, {"steps": 3})
    path = tmp_path / "c"
    train(images, replace(SHORT, steps=2), checkpoint=path, progress=False)
    with pytest.raises(ValueError, match="checkpoint c belongs to other images"):
        train(1 - images, replace(SHORT, steps=2), checkpoint=path, progress=False)
    with pytest.raises(ValueError, match="checkpoint c belongs to other images"):
        train(images, replace(SHORT, steps=3), checkpoint=path, progress=False)


def test_a_checkpoint_that_cannot_be_written_is_found_before_training(
    images, tmp_path, monkeypatch
):
    def refuse(run):
        raise AssertionError("trained")

    monkeypatch.setattr(_Run, "advance", refuse)
    missing = tmp_path / "missing" / "net.checkpoint"
    with pytest.raises(ValueError, match="checkpoint must be in a folder that is there"):
        train(images, SHORT, checkpoint=missing, progress=False)
    with pytest.raises(ValueError, match="checkpoint must be a file, got the folder"):
        train(images, SHORT, checkpoint=tmp_path, progress=False)
    (tmp_path / "notes.txt").write_text("a text, no checkpoint")
    with pytest.raises(ValueError, match=r"notes\.txt is not a checkpoint of a training"):
        train(images, SHORT, checkpoint=str(tmp_path / "notes.txt"), progress=False)
    assert {p.name for p in tmp_path.iterdir()} == {"notes.txt"}


def test_arrays_are_trained_on_as_tensors_are(images):
    short = replace(SHORT, steps=2)
    net, losses = train(images, short, progress=False)
    same, again = train(images.numpy(), short, progress=False)
    assert torch.equal(weights(net), weights(same)) and torch.equal(losses, again)
