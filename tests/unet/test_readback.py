"""What is kept of the long runs of the U-Net chapter, and how it is read."""

import math
from dataclasses import replace

import pytest
import torch

from memnb import results
from memnb.unet import readback, runs, start, virtual_points
from memnb.unet.copies import nearest_neighbors, project_on_sums
from memnb.unet.metric import GENERATORS, MEASURED, RULES
from memnb.unet.network import UNet, count_parameters
from memnb.unet.runs import PROTOCOL, RUNS, OnSynthetic
from memnb.unet.sampling import sample
from memnb.unet.training import TrainingConfig


@pytest.mark.parametrize("run", [*RUNS, "metric"])
def test_what_is_kept_is_whole(run):
    arrays, record = results.load(f"06-unet-transition/{run}")
    assert record["command"] == f"python -m memnb.unet {run}"
    if run == "metric":
        stored = {r: results.load(f"06-unet-transition/{r}")[0] for r in MEASURED}
        images = {f"{r}-{k}" for r, a in stored.items() for k in a if k.endswith("-images")}
        assert {f"{key}-images" for key in arrays} == images
        for rows in arrays.values():
            assert rows.shape == (len(GENERATORS), len(RULES), 4)
            assert ((rows[..., 0] >= 0) & (rows[..., 0] <= 1)).all()
        return
    present = [n for n in RUNS[run] if n.key not in record["parameters"]["missing"]]
    about = record["parameters"]["networks"]
    assert present and {network.key for network in present} == set(about)
    for network in present:
        entry = about[network.key]
        assert entry["seconds"] > 0 and entry["device"] and entry["date"] >= "2026-11-24"
        # What all networks share and what this one has of its own is its configuration
        config = record["parameters"]["training"] | entry["training"]
        assert network.config() == TrainingConfig(**config)
        assert not set(record["parameters"]["training"]) & set(entry["training"])
        loss = arrays[f"{network.key}-loss"]
        assert torch.isfinite(loss).all() and loss[-1] < loss[0]


def test_kept_step_times_are_of_equal_networks():
    arrays, record = results.load("06-unet-transition/speed")
    cases, ways = (record["parameters"][k] for k in ("cases", "ways"))
    assert arrays["seconds"].shape == arrays["parameters"].shape == (len(cases), len(ways))
    assert (arrays["seconds"] > 0).all()
    for (size, side, _), parameters in zip(cases, arrays["parameters"], strict=True):
        assert set(parameters.tolist()) == {count_parameters(UNet(size, side))}


def test_what_the_networks_on_sums_made_is_whole():
    arrays, _ = results.load("06-unet-transition/simplex")
    for job in RUNS["simplex"]:
        known = job.images()
        assert known.shape == (7, 1, 8, 8)
        back = arrays[f"{job.key}-back"].float() / 255
        assert back.shape[:3] == (len(runs.BACK_STEPS), len(virtual_points.POINTS), runs.N_BACK)
        start = virtual_points.points_of(known, "training", runs.N_BACK)
        home = [virtual_points.stayed(x[0], start, known).double().mean() for x in back]
        # More noise cannot bring more points back
        assert home[0] >= home[1] >= home[2] - 0.1
        if job.variant.endswith("_1600"):
            assert home[0] == 1
            kinds = project_on_sums(arrays[f"{job.key}-images"].float() / 255, known).kinds()
            assert (kinds == 0).double().mean() > 0.5


def test_kept_weights_give_the_kept_images():
    net, schedule = readback.digit_network(1500)
    noise = readback.noise()[:16]
    x = (sample(net, schedule, noise, n_steps=10) + 1) / 2
    gap = (x.clamp(0, 1) - readback.digit_images(1500, "a", 10, 1)[:16]).abs()
    assert gap.mean() < 0.01 and gap.flatten(1).mean(1).median() < 0.005


def test_seeds_of_the_noise_are_parts_of_all_images():
    parts = [readback.digit_images(8, noise_seed=s) for s in start.NOISE_SEEDS]
    assert torch.equal(torch.cat(parts), readback.digit_images(8))
    near = nearest_neighbors(parts[0], readback.training_digits(8))
    assert near.memorized().double().mean() > 0.9


def test_curves_against_n():
    summary = readback.transition("protocol", "paper", next(iter(RULES)))
    assert summary["n"] == [10, 30, 100, 300, 1000] and summary["seeds"] == [5] * 5
    for name in ("p", "e_og", "e_tg", "delta"):
        mean, error = summary[name]
        each = summary["each"][name]
        torch.testing.assert_close(each.mean(0), mean)
        torch.testing.assert_close(each.std(0) / 5**0.5, error)
    scaled = readback.scaled(summary["e_og"])
    assert scaled[0][0] == 1
    half = readback.half_point([1, 10, 100, 1000], torch.tensor([4.0, 4.0, 0.0, 0.0]))
    assert half == pytest.approx(10**1.5)
    for flat in ([0.5, 0.5, 0.5], [0.5, 0.9, 0.5]):  # no way from the first to the last value
        assert math.isnan(readback.half_point([1, 10, 100], torch.tensor(flat)))


def test_the_spread_of_pixels_is_that_of_what_was_made():
    rows = readback.pixel_spread("protocol", "cosine")
    assert [n for n, *_ in rows] == [10, 30, 100, 300, 1000]
    stored = readback.load("protocol")
    x = torch.stack([stored[f"n30-cosine-s{seed}-images"].double() for seed in range(5)])
    n, std, outside = rows[1]
    assert n == 30 and std == pytest.approx(x.std().item())
    assert outside == pytest.approx((x - x.clamp(0, 1) != 0).double().mean().item())
    assert outside > 0.9  # nothing was clamped


def test_the_first_and_the_second_fifty_images_have_one_law():
    """They were sampled in two batches, of which the first once had its start as its noise."""
    arrays = readback.load("protocol")
    for seed in range(5):
        x = arrays[f"n10-paper-s{seed}-images"].double()
        spread = x.flatten(1).std(dim=1)
        # Of each image, since the pixels of one are not independent
        halves = spread.split(50)
        error = math.hypot(*(half.std() / len(half) ** 0.5 for half in halves))
        assert abs(halves[0].mean() - halves[1].mean()) < 4 * error


def test_a_network_copies_the_images_of_its_seed():
    """And none of those of another seed."""
    arrays = readback.load("synthetic")
    network = RUNS["synthetic"][0]
    x = arrays[f"{network.key}-images"].float().clamp(0, 1)
    shares = [
        nearest_neighbors(x, n.images()).memorized().double().mean()
        for n in (network, replace(network, seed=network.seed + 1))
    ]
    assert network.n == 10 and shares[0] > 0.5 and shares[1] == 0


def test_errors():
    with pytest.raises(ValueError, match=r"n must be one of .*8.*, got 9"):
        readback.digit_images(9)
    with pytest.raises(ValueError, match="half must be one of 'a', 'b', got 'c'"):
        readback.digit_images(8, "c")
    with pytest.raises(ValueError, match="n_steps must be one of 5, 10, 25, 50, got 7"):
        readback.digit_images(8, n_steps=7)
    with pytest.raises(ValueError, match="noise_seed must be one of 1, 2, 3, 4, got 0"):
        readback.digit_images(8, noise_seed=0)
    with pytest.raises(ValueError, match="n must be one of 1500, got 64"):
        readback.digit_network(64)
    with pytest.raises(ValueError, match="rule must be one of"):
        readback.transition("paper", "paper", "some rule")
    with pytest.raises(ValueError, match="run 'synthetic' and variant 'paper' has no network"):
        readback.transition("synthetic", "paper", next(iter(RULES)))
    with pytest.raises(ValueError, match="run must be one of"):
        readback.transition("digits", "a", next(iter(RULES)))


def test_seeds_are_paired_by_number(monkeypatch):
    """One n has seeds 0 and 2, another 0 and 1: only seed 0 has both."""
    jobs = [OnSynthetic(n, "x", s, PROTOCOL) for n, s in ((10, 0), (10, 2), (30, 0), (30, 1))]
    monkeypatch.setitem(RUNS, "rate", jobs)
    table = {
        f"rate-{job.key}": torch.full((3, 3, 4), job.n + job.seed, dtype=torch.float64)
        for job in jobs
    }
    monkeypatch.setattr(readback, "load", lambda name: table)
    summary = readback.transition("rate", "x", next(iter(RULES)))
    assert summary["n"] == [10, 30] and summary["seeds"] == [2, 2]
    assert summary["each"]["e_og"].tolist() == [[10.0, 30.0]]
    assert summary["e_og"][0].tolist() == [11.0, 30.5]
