"""Networks that generate while they are trained: stopped and resumed, kept and read back."""

from dataclasses import dataclass, replace

import pytest
import torch

from memnb import results
from memnb.streams import stream
from memnb.unet import __main__ as long_runs
from memnb.unet import keeping, over_time, readback
from memnb.unet.diffusion import make_schedule
from memnb.unet.over_time import NETWORKS, OVER_TIME, OverTime, denoising_error
from memnb.unet.runs import RUNS
from memnb.unet.sampling import gaussian_noise
from memnb.unet.start import digit_split

BRIEF = replace(OVER_TIME, steps=250)  # of which 12 are made: a part of the loss has 3


@dataclass(frozen=True)
class Brief(OverTime):
    base: object = BRIEF
    snapshots = (4, 6, 12)


@pytest.fixture
def quick(monkeypatch):
    """Sixteen images, of one diffusion step, and errors from eight pairs: the same code, soon."""
    noise = gaussian_noise(16, 8, 1)
    monkeypatch.setattr(over_time, "start_noise", lambda: noise)
    monkeypatch.setattr(over_time, "SAMPLE_STEPS", 2)
    monkeypatch.setattr(over_time, "N_ERRORS", 8)


def test_the_error_of_a_guess_of_nothing_is_the_noise_s_variance():
    """A network that guesses 0 has the mean square of the noise; one that knows it has none."""
    images, schedule = digit_split().subset(5), make_schedule()
    noise = gaussian_noise(256, 8, 0, purpose="noise of errors")
    assert denoising_error(lambda x, t: torch.zeros_like(x), schedule, images) == pytest.approx(
        noise.square().mean().item(), rel=1e-6
    )
    clean = 2 * images.repeat(52, 1, 1, 1)[:256] - 1

    def knows(x, t):
        bars = schedule.alpha_bars.float()[t].reshape(-1, 1, 1, 1)
        return (x - bars.sqrt() * clean) / (1 - bars).sqrt()

    assert denoising_error(knows, schedule, images) < 1e-6


def test_a_stopped_training_goes_on_to_the_same_snapshots(tmp_path, quick, monkeypatch):
    """Stopped before, between and after snapshots, at each place in turn."""
    network, train = Brief(16), long_runs.train
    long_runs.train_network("time", network, tmp_path / "whole")
    whole = keeping.finished("time", network, tmp_path / "whole")["arrays"]
    names = [f"step{s}_{name}" for s in network.snapshots for name in ("images", "errors")]
    assert sorted(whole) == sorted([*names, "loss"]) and len(whole["loss"]) == 4
    for stop in (2, 5, 11):

        def interrupted(*arguments, on_step, stop=stop, **options):
            def count(step, total):
                if step == stop:
                    raise KeyboardInterrupt
                on_step(step, total)

            return train(*arguments, on_step=count, **options)

        workdir = tmp_path / f"w{stop}"
        monkeypatch.setattr(long_runs, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            long_runs.train_network("time", network, workdir)
        assert keeping.finished("time", network, workdir) is None
        early = keeping.read_snapshots(workdir / "time" / f"{network.key}.snapshots", network)
        assert {name for name in names if name in early} == {
            name for name in names if int(name[4:].split("_")[0]) < stop
        }
        monkeypatch.setattr(long_runs, "train", train)
        long_runs.train_network("time", network, workdir)
        again = keeping.finished("time", network, workdir)["arrays"]
        assert again.keys() == whole.keys()
        assert all(torch.equal(again[name], whole[name]) for name in whole)
        assert [p.name for p in (workdir / "time").iterdir()] == [f"{network.key}.pt"]


def test_snapshots_of_another_configuration_are_not_taken(tmp_path):
    path, network = tmp_path / "n16.snapshots", Brief(16)
    assert keeping.read_snapshots(path, network) == {}
    keeping.write_snapshots(path, network, {"step4_images": torch.ones(2)})
    assert torch.equal(keeping.read_snapshots(path, network)["step4_images"], torch.ones(2))
    other = Brief(16, base=replace(BRIEF, lr=1e-3))
    assert keeping.read_snapshots(path, other) == {}
    whole = path.read_bytes()
    for content in (b"", b"nothing of the kind", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"n16\.snapshots holds no snapshots, or is cut off"):
            keeping.read_snapshots(path, network)
        assert path.read_bytes() == content


def test_the_networks_differ_in_n_in_seed_in_the_batch_and_in_when_they_end():
    assert len({network.key for network in NETWORKS}) == len(NETWORKS)
    for network in NETWORKS:
        full = network.variant == "full"
        batch = network.n if full else 16
        steps = over_time.LONGER if network.n > 256 else OVER_TIME.steps
        assert network.config() == replace(
            OVER_TIME, seed=network.seed, batch_size=batch, steps=steps
        )
        assert torch.equal(network.images(), digit_split().subset(network.n))
        last = (over_time.LAST_FULL if full else over_time.LAST)[network.n]
        assert network.snapshots[-1] == last <= steps


def test_what_is_kept_is_read_back_by_size_and_seed():
    arrays, _ = results.load("06-unet-transition/time")
    both = [readback.time_networks(variant) for variant in ("time", "full")]
    total = sum(len(some) for networks in both for some in networks.values())
    assert total == sum(f"{network.key}-loss" in arrays for network in RUNS["time"])
    with pytest.raises(ValueError, match="variant must be one of 'time', 'full', got 'half'"):
        readback.time_networks("half")
    assert all(list(networks) == sorted(networks) for networks in both)
    for n, some in (pair for networks in both for pair in networks.items()):
        assert [w.seed for w in some] == sorted({w.seed for w in some})
        for network in some:
            snapshots = readback.snapshots(network)
            assert network.n == n and tuple(snapshots) == network.snapshots
            for x, errors in snapshots.values():
                assert x.shape == (256, 1, 8, 8) and 0 <= x.min() <= x.max() <= 1
                assert errors.shape == (2,) and (errors > 0).all()


def test_one_snapshot_s_errors_are_those_of_the_network_that_made_it(quick):
    """From the network itself, with noise of its own name."""
    network, steps = Brief(16), []
    schedule = make_schedule()

    def guess(x, t):
        steps.append(int(t[0]))
        return 0.5 * x

    train, test = network.generate(guess, network.config())["errors"].tolist()
    assert sorted(set(steps[-10:])) == list(range(5, 100, 10))
    noise = torch.randn(8, 1, 8, 8, generator=stream(0, "noise of errors"))
    for images, error in ((network.images(), train), (digit_split().held_out, test)):
        x = 2 * images[:8] - 1
        squares = [
            (0.5 * schedule.add_noise(x, torch.full((8,), level), noise) - noise).square().mean()
            for level in range(5, 100, 10)
        ]
        assert error == pytest.approx(torch.stack(squares).mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: OverTime(16, 0, "foo"), "variant must be one of 'time', 'full', got 'foo'"),
        (lambda: OverTime(17), "n must be one of 16, 32"),
        (lambda: OverTime(16, 0, "full"), "n must be one of 32, 64, 128, got 16"),
        (lambda: denoising_error(None, make_schedule(), torch.zeros(0, 1, 8, 8)), "images"),
    ],
)
def test_networks_and_images_that_are_none_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
