"""The long runs of the U-Net chapter: what they train, how they are scored, what is kept."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from memnb import results
from memnb.explorers.unet_transition import LiveTraining
from memnb.figures import style
from memnb.figures.unet_transition import GAP, tiles
from memnb.streams import stream
from memnb.unet import (
    __main__ as transition,
)
from memnb.unet import (
    readback as trained,
)
from memnb.unet import (
    runs as networks,
)
from memnb.unet import (
    virtual_points as sums,
)
from memnb.unet.__main__ import GENERATORS, RULES
from memnb.unet.copies import nearest_neighbors, project_on_sums
from memnb.unet.diffusion import ideal_gaussian, make_schedule, sample
from memnb.unet.images import MEAN, STD, synthetic_images
from memnb.unet.network import UNet, count_parameters
from memnb.unet.runs import RUNS, Job
from memnb.unet.training import TrainingConfig

style.setup()


def test_networks_of_a_run_differ_and_halves_share_no_digit():
    for run, jobs in RUNS.items():
        assert len({job.key for job in jobs}) == len(jobs), run
        for job in jobs:
            networks.config_of(job)
    a, b = (networks.training_images(Job("digits", 750, half, 0)) for half in "ab")
    rows = {tuple(x.flatten().tolist()) for x in a}
    both = rows & {tuple(x.flatten().tolist()) for x in b}
    assert not both
    configs = [networks.config_of(Job("digits", 8, half, 0)) for half in "ab"]
    assert configs[0].seed != configs[1].seed
    assert replace(configs[0], seed=0) == replace(configs[1], seed=0)


def test_all_that_is_drawn_for_a_network_is_independent():
    """Training images, starting noise, step noise and what the metric draws, all of one seed."""
    job = Job("protocol", 1000, "paper", 3)
    config = networks.config_of(job)
    normal = {
        "training": (networks.training_images(job)[:100] - MEAN) / STD,
        "start": networks.start_noise(config, 100, 8, job.seed),
        **{
            t: torch.randn(100, 1, 8, 8, generator=stream(job.seed, "step noise", t))
            for t in range(2, 11)
        },
        **{
            purpose: (synthetic_images(100, 8, job.seed, purpose=purpose) - MEAN) / STD
            for purpose in ("perfect generator", "pool of originals", "synthetic images")
        },
    }
    for other in (2, 4):  # another network's
        normal["training", other] = (
            networks.training_images(replace(job, seed=other))[:100] - MEAN
        ) / STD
    rows = torch.stack([x.flatten().double() for x in normal.values()])
    n = rows.shape[1]
    assert (rows.mean(1).abs() < 4 / n**0.5).all()
    assert ((rows.std(1) - 1).abs() < 4 / (2 * n) ** 0.5).all()
    off = torch.corrcoef(rows) - torch.eye(len(rows), dtype=rows.dtype)
    assert off.abs().max() < 4.5 / n**0.5


class Perfect:
    """The best network for Gaussian pixels of the images' law."""

    def __init__(self, image_size, schedule):
        self.image_size, self.bars = image_size, schedule.alpha_bars

    def __call__(self, x, t):
        bar = self.bars[t].reshape(-1, 1, 1, 1).to(x)
        mean, std = 2 * MEAN - 1, 2 * STD
        return (1 - bar).sqrt() * (x - bar.sqrt() * mean) / (bar * std**2 + 1 - bar)


def test_what_a_perfect_network_generates_spreads_as_theory_says():
    """0.170 for the protocol; it was 0.189 while the first step added x_T to itself."""
    job = Job("protocol", 10, "paper", 0)
    schedule = make_schedule("paper", 10)
    right = ideal_gaussian(schedule, 2 * MEAN - 1, 2 * STD)[1] / 2
    assert right == pytest.approx(0.170, abs=5e-4)
    for seed in range(4):
        config = networks.config_of(replace(job, seed=seed))
        made = networks.generate(replace(job, seed=seed), Perfect(8, schedule), config)["images"]
        halves = made.double().split(50)
        assert len(halves) == 2
        for half in halves:
            assert abs(half.std() / right - 1) < 4 / (2 * half.numel()) ** 0.5


def test_the_protocol_with_the_authors_choices():
    job = Job("author", 100, "paper", 1)
    config, plain = (networks.config_of(replace(job, run=r)) for r in ("author", "protocol"))
    assert config == plain and config.lr == 2e-4
    known = networks.training_images(job)
    assert len(known) == 90
    assert torch.equal(known, networks.training_images(replace(job, run="protocol"))[:90])
    schedule = make_schedule("paper", 10)
    made = networks.generate(job, Perfect(8, schedule), config)["images"].float()
    assert made.min() == 0 and made.max() == 1
    start = networks.start_noise(config, 100, 8, job.seed)
    half = sample(Perfect(8, schedule), schedule, start, "ddpm", seed=1, clip=False, until=5)
    torch.testing.assert_close(made, ((half + 1) / 2).clamp(0, 1), rtol=0, atol=1e-3)


def test_the_protocol_is_the_papers():
    config = networks.config_of(Job("paper", 1000, "paper", 0))
    assert (config.size, config.epochs, config.batch_size) == ("paper", 20, 128)
    assert (config.schedule, config.diffusion_steps) == ("paper", 10)
    assert config.total_steps(10) == 20 and config.total_steps(1000) == 160


def test_a_finished_network_is_not_trained_again(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "LIVE", replace(networks.LIVE, steps=3))
    job = Job("live", 4, "a", 0)
    first = transition.run_job(job, tmp_path)
    assert [p.name for p in (tmp_path / "live").iterdir()] == [f"{job.key}.pt"]

    def refuse(*arguments, **named):
        raise AssertionError("trained again")

    monkeypatch.setattr(transition, "train", refuse)
    again = transition.run_job(job, tmp_path)
    assert torch.equal(first["arrays"]["ddim25"], again["arrays"]["ddim25"])
    assert again["arrays"]["ddim25"].shape == (256, 1, 8, 8)


def test_a_network_of_another_configuration_is_not_taken_for_this_one(tmp_path, monkeypatch):
    """In the same folder: other steps, or the wish to train again, train anew."""
    job, trained_for = Job("live", 4, "a", 0), []
    plain = transition.train

    def count(x, config, **options):
        trained_for.append(config.steps)
        return plain(x, config, **options)

    monkeypatch.setattr(transition, "train", count)
    for steps, again in ((2, False), (2, False), (3, False), (3, True)):
        monkeypatch.setattr(networks, "LIVE", replace(networks.LIVE, steps=steps))
        found = transition.run_job(job, tmp_path, again=again)
        assert found["training"]["steps"] == steps and len(found["arrays"]["loss"]) == steps
    assert trained_for == [2, 3, 3]


def test_a_run_is_written_with_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "LIVE", replace(networks.LIVE, steps=2))
    jobs = [Job("live", n, "a", 0) for n in (2, 3, 5)]
    monkeypatch.setitem(RUNS, "live", jobs)
    kept = {}
    monkeypatch.setattr(results, "save", lambda name, arrays, **record: kept.update(
        name=name, arrays=arrays, **record))  # fmt: skip
    command = ["live", "--workdir", str(tmp_path), "--again"]
    assert transition.main([*command, "--max-n", "3"]) == 0
    assert kept["name"] == "06-unet-transition/live"
    assert kept["parameters"]["missing"] == ["n5-a-s0"]
    assert transition.main([*command, "--partial"]) == 0
    assert kept["parameters"]["missing"] == ["n5-a-s0"]
    assert {k.split("-")[0] for k in kept["arrays"]} == {"n2", "n3"}


def test_a_record_says_how_the_networks_differ(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "LIVE", replace(networks.LIVE, steps=2))
    jobs = [Job("live", 3, "a", seed) for seed in (0, 1)]
    monkeypatch.setitem(RUNS, "live", jobs)
    kept = {}
    monkeypatch.setattr(results, "save", lambda name, arrays, **record: kept.update(
        name=name, arrays=arrays, **record))  # fmt: skip
    command = ["live", "--workdir", str(tmp_path), "--again", "--max-n", "3"]
    assert transition.main(command) == 0
    told = kept["parameters"]
    assert json.loads(json.dumps(told)) == told
    assert told["arguments"] == {"partial": False, "max_n": 3, "max_seed": None, "again": True}
    assert told["networks"]["n3-a-s0"]["training"] == {"seed": 0}
    assert told["networks"]["n3-a-s1"]["training"] == {"seed": 1}
    assert "seed" not in told["training"] and told["training"]["steps"] == 2
    assert {*kept["packages"]} == {"diffusers", "scikit-learn"}
    assert kept["device"] == results.cpu() and kept["seconds"] > 0


def test_what_is_kept_is_not_trained_again_on_another_device(tmp_path, monkeypatch):
    """Rows from elsewhere stay as they are; only what is missing, or was configured otherwise,
    is trained."""
    monkeypatch.setattr(networks, "LIVE", replace(networks.LIVE, steps=2))
    jobs = [Job("live", n, "a", 0) for n in (2, 3)]
    monkeypatch.setitem(RUNS, "live", jobs)
    here, save, load, where = tmp_path / "kept", results.save, results.load, results.where
    monkeypatch.setattr(results, "save", lambda *a, **k: save(*a, **k, root=here))
    monkeypatch.setattr(results, "load", lambda name: load(name, here))
    monkeypatch.setattr(results, "where", lambda name, root=None: where(name, here))
    monkeypatch.setattr(transition, "_device_name", lambda device: "some card")
    assert transition.main(["live", "--workdir", str(tmp_path / "1"), "--max-n", "2"]) == 0
    monkeypatch.setattr(transition, "_device_name", lambda device: "some processor")
    assert transition.main(["live", "--workdir", str(tmp_path / "2")]) == 0
    arrays, record = results.load("06-unet-transition/live")
    devices = {k: v["device"] for k, v in record["parameters"]["networks"].items()}
    assert devices == {"n2-a-s0": "some card", "n3-a-s0": "some processor"}
    assert record["device"] == "some card; some processor"
    assert len(list((tmp_path / "2" / "live").iterdir())) == 1 and len(arrays) == 4
    assert transition.main(["live", "--workdir", str(tmp_path / "3"), "--again"]) == 0
    again, record = results.load("06-unet-transition/live")
    assert record["device"] == "some processor"
    assert all(torch.equal(again[k], arrays[k]) for k in arrays)
    monkeypatch.setattr(networks, "LIVE", replace(networks.LIVE, steps=3))
    assert transition.main(["live", "--workdir", str(tmp_path / "4"), "--max-n", "2"]) == 0
    _, record = results.load("06-unet-transition/live")
    assert record["parameters"]["missing"] == ["n3-a-s0"]
    assert record["parameters"]["training"]["steps"] == 3


def test_scores_of_the_generators_that_are_known(monkeypatch):
    monkeypatch.setattr(transition, "N_SIMULATIONS", 30)
    job = Job("protocol", 10, "paper", 0)
    generated = 0.5 + 0 * networks.training_images(job)
    rows = transition.metric_rows(job, generated, transition.originals(8))
    assert rows.shape == (len(GENERATORS), len(RULES), 4)
    network, perfect, copier = rows
    torch.testing.assert_close(rows[..., 1] - rows[..., 2], rows[..., 3], rtol=0, atol=1e-9)
    assert (copier[:, 0] == 0).all() and (copier[:2, 1] < 0.5 * perfect[:2, 1]).all()
    assert perfect[0, 0] < 0.2 < perfect[1, 0] < 0.8
    assert network[1, 2] > 1.3 * perfect[1, 2]  # all pixels 0.5 is far from the law


@pytest.mark.parametrize("run", [*RUNS, "metric"])
def test_what_is_kept_is_whole(run):
    arrays, record = results.load(f"06-unet-transition/{run}")
    assert record["command"] == f"python -m memnb.unet {run}"
    if run == "metric":
        kept = {r: results.load(f"06-unet-transition/{r}")[0] for r in transition.MEASURED}
        images = {f"{r}-{k}" for r, a in kept.items() for k in a if k.endswith("-images")}
        assert {f"{key}-images" for key in arrays} == images
        for rows in arrays.values():
            assert rows.shape == (len(GENERATORS), len(RULES), 4)
            assert ((rows[..., 0] >= 0) & (rows[..., 0] <= 1)).all()
        return
    there = [job for job in RUNS[run] if job.key not in record["parameters"]["missing"]]
    told = record["parameters"]["networks"]
    assert there and {job.key for job in there} == set(told)
    for job in there:
        about = told[job.key]
        assert about["seconds"] > 0 and about["device"] and about["date"] >= "2026-11-24"
        # What all networks share and what this one has of its own is its configuration
        kept = record["parameters"]["training"] | about["training"]
        assert replace(networks.config_of(job), device="cpu") == TrainingConfig(**kept)
        assert not set(record["parameters"]["training"]) & set(about["training"])
        loss = arrays[f"{job.key}-loss"]
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
        known = networks.training_images(job)
        assert known.shape == (7, 1, 8, 8)
        back = arrays[f"{job.key}-back"].float() / 255
        assert back.shape[:3] == (len(networks.BACK_STEPS), len(sums.POINTS), networks.N_BACK)
        start = sums.points_of(known, "training", networks.N_BACK)
        home = [sums.stayed(x[0], start, known).double().mean() for x in back]
        # More noise cannot bring more points back
        assert home[0] >= home[1] >= home[2] - 0.1
        if job.variant.endswith("_1600"):
            assert home[0] == 1
            kinds = project_on_sums(arrays[f"{job.key}-images"].float() / 255, known).kinds()
            assert (kinds == 0).double().mean() > 0.5


def test_kept_weights_give_the_kept_images():
    net, schedule = trained.digit_network(1500)
    noise = trained.noise()[:16]
    x = (sample(net, schedule, noise, n_steps=10) + 1) / 2
    gap = (x.clamp(0, 1) - trained.digit_images(1500, "a", 10, 1)[:16]).abs()
    assert gap.mean() < 0.01 and gap.flatten(1).mean(1).median() < 0.005


def test_kept_metric_is_that_of_the_kept_images():
    job = Job("protocol", 10, "cosine", 1)
    images = trained.load("protocol")[f"{job.key}-images"].float()
    again = transition.metric_rows(job, images, transition.originals(8))
    torch.testing.assert_close(
        again, trained.load("metric")[f"protocol-{job.key}"], rtol=1e-6, atol=1e-6
    )


def test_seeds_of_the_noise_are_parts_of_all_images():
    parts = [trained.digit_images(8, noise_seed=s) for s in networks.NOISE_SEEDS]
    assert torch.equal(torch.cat(parts), trained.digit_images(8))
    near = nearest_neighbors(parts[0], trained.training_digits(8))
    assert near.memorized().double().mean() > 0.9


def test_curves_against_n():
    found = trained.transition("protocol", "paper", next(iter(RULES)))
    assert found["n"] == [10, 30, 100, 300, 1000] and found["seeds"] == [5] * 5
    for name in ("p", "e_og", "e_tg", "delta"):
        mean, error = found[name]
        each = found["each"][name]
        torch.testing.assert_close(each.mean(0), mean)
        torch.testing.assert_close(each.std(0) / 5**0.5, error)
    scaled = trained.scaled(found["e_og"])
    assert scaled[0][0] == 1
    half = trained.half_point([1, 10, 100, 1000], torch.tensor([4.0, 4.0, 0.0, 0.0]))
    assert half == pytest.approx(10**1.5)
    for flat in ([0.5, 0.5, 0.5], [0.5, 0.9, 0.5]):  # no way from the first to the last value
        assert math.isnan(trained.half_point([1, 10, 100], torch.tensor(flat)))


def test_the_spread_of_pixels_is_that_of_what_was_made():
    rows = trained.pixel_spread("protocol", "cosine")
    assert [n for n, *_ in rows] == [10, 30, 100, 300, 1000]
    kept = trained.load("protocol")
    x = torch.stack([kept[f"n30-cosine-s{seed}-images"].double() for seed in range(5)])
    n, std, outside = rows[1]
    assert n == 30 and std == pytest.approx(x.std().item())
    assert outside == pytest.approx((x - x.clamp(0, 1) != 0).double().mean().item())
    assert outside > 0.9  # nothing was clamped


def test_tiles_keep_every_image():
    rows = [torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(k)) for k in (0, 1)]
    sheet = tiles(rows)[::-1]
    assert sheet.shape == (9, 14) and sheet.dtype == np.uint8
    for r, images in enumerate(rows):
        for c, image in enumerate(images[:, 0]):
            part = sheet[5 * r : 5 * r + 4, 5 * c : 5 * c + 4]
            np.testing.assert_allclose(part / 250, image.numpy(), atol=0.5 / 250 + 1e-6)
    assert (sheet[4] == GAP).all() and (sheet[:, 4] == GAP).all()


def test_the_button_trains_and_shows_what_it_made(monkeypatch):
    box = LiveTraining(sizes=(2, 4), steps=(3, 4)).widget()
    choices, action, live, told = box.children
    (size, steps, seed), (button, bar) = choices.children, action.children
    shown = [np.array(live.data[0].z)]
    size.value = 4
    for steps.value, seed.value in ((4, 0), (3, 0), (3, 7)):
        button.click()
        assert bar.value == bar.max == steps.value and not button.disabled and not told.value
        shown.append(np.array(live.data[0].z))
        assert all((shown[-1] != old).mean() > 0.1 for old in shown[:-1])
    assert "copies" in live.layout.xaxis.title.text
    button.click()  # the same choice gives the same images
    assert (np.array(live.data[0].z) == shown[-1]).all()


def test_what_goes_wrong_behind_the_button_is_shown(monkeypatch):
    box = LiveTraining(sizes=(4,), steps=(2,)).widget()
    _, action, live, told = box.children
    button = action.children[0]
    before = np.array(live.data[0].z)

    def fail(*arguments, **named):
        raise MemoryError("no room for <this>")

    with monkeypatch.context() as patch:
        patch.setattr("memnb.explorers.unet_transition.train", fail)
        button.click()
    assert "MemoryError" in told.value and "no room for &lt;this&gt;" in told.value
    assert not button.disabled and (np.array(live.data[0].z) == before).all()
    button.click()
    assert not told.value and (np.array(live.data[0].z) != before).any()


def test_on_the_website_the_button_is_a_sentence(monkeypatch):
    monkeypatch.setenv("MEMNB_STATIC", "1")
    bundle = LiveTraining()._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"} and "JupyterLab" in bundle["text/html"]


def test_errors():
    with pytest.raises(ValueError, match=r"n must be one of .*8.*, got 9"):
        trained.digit_images(9)
    with pytest.raises(ValueError, match="half must be one of 'a', 'b', got 'c'"):
        trained.digit_images(8, "c")
    with pytest.raises(ValueError, match="n_steps must be one of 5, 10, 25, 50, got 7"):
        trained.digit_images(8, n_steps=7)
    with pytest.raises(ValueError, match="noise_seed must be one of 1, 2, 3, 4, got 0"):
        trained.digit_images(8, noise_seed=0)
    with pytest.raises(ValueError, match="n must be one of 1500, got 64"):
        trained.digit_network(64)
    with pytest.raises(ValueError, match="rule must be one of"):
        trained.transition("paper", "paper", "some rule")
    with pytest.raises(ValueError, match="run 'synthetic' and variant 'paper' has no network"):
        trained.transition("synthetic", "paper", next(iter(RULES)))
    with pytest.raises(ValueError, match="run must be one of"):
        trained.transition("digits", "a", next(iter(RULES)))


@pytest.mark.parametrize("arguments, told", [
    (["nothing"], "invalid choice: 'nothing'"),
    (["live", "--device", "tpu"], "device must be 'cpu', 'cuda' or 'cuda:0', got 'tpu'"),
    (["live", "--device", "cuda:99"], "device 'cuda:99' was asked for, but there"),
])  # fmt: skip
def test_a_wrong_command_is_one_line_and_trains_nothing(arguments, told, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        transition.main([*arguments, "--workdir", str(tmp_path / "w")])
    assert stop.value.code == 2 and not (tmp_path / "w").exists()
    *usage, last = capsys.readouterr().err.strip().splitlines()
    assert told in last and "Traceback" not in "".join(usage)


def test_seeds_are_paired_by_number(monkeypatch):
    """One n has seeds 0 and 2, another 0 and 1: only seed 0 has both."""
    jobs = [Job("rate", n, "x", s) for n, s in ((10, 0), (10, 2), (30, 0), (30, 1))]
    monkeypatch.setitem(RUNS, "rate", jobs)
    table = {
        f"rate-{job.key}": torch.full((3, 3, 4), job.n + job.seed, dtype=torch.float64)
        for job in jobs
    }
    monkeypatch.setattr(trained, "load", lambda name: table)
    found = trained.transition("rate", "x", next(iter(transition.RULES)))
    assert found["n"] == [10, 30] and found["seeds"] == [2, 2]
    assert found["each"]["e_og"].tolist() == [[10.0, 30.0]]
    assert found["e_og"][0].tolist() == [11.0, 30.5]
