"""The long runs of the U-Net chapter: what they train, how they are scored, what is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from memnb import results, trained, transition
from memnb.diffusion import gaussian_noise, sample
from memnb.explorers.unet_transition import LiveTraining
from memnb.figures import style
from memnb.figures.unet_transition import GAP, tiles
from memnb.neighbors import nearest_neighbors
from memnb.transition import GENERATORS, RULES, RUNS, Job

style.setup()


def test_networks_of_a_run_differ_and_halves_share_no_digit():
    for run, jobs in RUNS.items():
        assert len({job.key for job in jobs}) == len(jobs), run
        for job in jobs:
            transition.config_of(job)
    a, b = (transition.training_images(Job("digits", 750, half, 0)) for half in "ab")
    rows = {tuple(x.flatten().tolist()) for x in a}
    both = rows & {tuple(x.flatten().tolist()) for x in b}
    assert not both
    configs = [transition.config_of(Job("digits", 8, half, 0)) for half in "ab"]
    assert configs[0].seed != configs[1].seed
    assert replace(configs[0], seed=0) == replace(configs[1], seed=0)


def test_the_protocol_is_the_papers():
    config = transition.config_of(Job("paper", 1000, "paper", 0))
    assert (config.size, config.epochs, config.batch_size) == ("paper", 20, 128)
    assert (config.schedule, config.diffusion_steps) == ("paper", 10)
    assert config.total_steps(10) == 20 and config.total_steps(1000) == 160


def test_a_finished_network_is_not_trained_again(tmp_path, monkeypatch):
    monkeypatch.setattr(transition, "LIVE", replace(transition.LIVE, steps=3))
    job = Job("live", 4, "a", 0)
    first = transition.run_job(job, tmp_path)
    assert [p.name for p in (tmp_path / "live").iterdir()] == [f"{job.key}.pt"]

    def refuse(*arguments, **named):
        raise AssertionError("trained again")

    monkeypatch.setattr(transition, "train", refuse)
    again = transition.run_job(job, tmp_path)
    assert torch.equal(first["arrays"]["ddim25"], again["arrays"]["ddim25"])
    assert again["arrays"]["ddim25"].shape == (256, 1, 8, 8)


def test_a_run_is_written_with_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(transition, "LIVE", replace(transition.LIVE, steps=2))
    jobs = [Job("live", n, "a", 0) for n in (2, 3, 5)]
    monkeypatch.setitem(RUNS, "live", jobs)
    kept = {}
    monkeypatch.setattr(results, "save", lambda name, arrays, **record: kept.update(
        name=name, arrays=arrays, **record))  # fmt: skip
    command = ["live", "--workdir", str(tmp_path)]
    assert transition.main([*command, "--max-n", "3"]) == 0
    assert kept["name"] == "06-unet-transition/live"
    assert kept["parameters"]["missing"] == ["n5-a-s0"]
    assert transition.main([*command, "--partial"]) == 0
    assert kept["parameters"]["missing"] == ["n5-a-s0"]
    assert {k.split("-")[0] for k in kept["arrays"]} == {"n2", "n3"}


def test_scores_of_the_generators_that_are_known(monkeypatch):
    monkeypatch.setattr(transition, "N_SIMULATIONS", 30)
    job = Job("protocol", 10, "paper", 0)
    generated = 0.5 + 0 * transition.training_images(job)
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
    assert record["command"] == f"python -m memnb.transition {run}"
    if run == "metric":
        assert len(arrays["table"]) == len(arrays["jobs"])
        assert ((arrays["table"][..., 0] >= 0) & (arrays["table"][..., 0] <= 1)).all()
        return
    there = [job for job in RUNS[run] if job.key not in record["parameters"]["missing"]]
    assert there and {job.key for job in there} == set(record["parameters"]["seconds"])
    for job in there:
        loss = arrays[f"{job.key}-loss"]
        assert torch.isfinite(loss).all() and loss[-1] < loss[0]


def test_kept_weights_give_the_kept_images():
    for n in (8, 1500):
        net, schedule = trained.digit_network(n)
        noise = gaussian_noise(64, 8, 1)[:16]
        x = (sample(net, schedule, noise, n_steps=10) + 1) / 2
        gap = (x.clamp(0, 1) - trained.digit_images(n, "a", 10, 1)[:16]).abs()
        assert gap.mean() < 0.01 and gap.flatten(1).mean(1).median() < 0.005


def test_kept_metric_is_that_of_the_kept_images():
    where = trained.load("metric")["jobs"].tolist()
    job = Job("protocol", 10, "cosine", 1)
    row = where.index([list(RUNS).index("protocol"), RUNS["protocol"].index(job)])
    images = trained.load("protocol")[f"{job.key}-images"].float()
    again = transition.metric_rows(job, images, transition.originals(8))
    torch.testing.assert_close(again, trained.load("metric")["table"][row], rtol=1e-6, atol=1e-6)


def test_seeds_of_the_noise_are_parts_of_all_images():
    parts = [trained.digit_images(8, noise_seed=s) for s in transition.NOISE_SEEDS]
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
    box = LiveTraining(sizes=(2, 4), steps=4).widget()
    controls, live = box.children
    size, button, bar = controls.children
    before = np.array(live.data[0].z)
    size.value = 4
    button.click()
    assert bar.value == bar.max == 4 and not button.disabled
    assert (np.array(live.data[0].z) != before).mean() > 0.3
    assert "copies" in live.layout.xaxis.title.text
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
    with pytest.raises(ValueError, match="n must be one of 8, 1500, got 64"):
        trained.digit_network(64)
    with pytest.raises(ValueError, match="rule must be one of"):
        trained.transition("paper", "paper", "some rule")
    with pytest.raises(ValueError, match="run 'synthetic' with schedule 'paper' has no network"):
        trained.transition("synthetic", "paper", next(iter(RULES)))
    with pytest.raises(SystemExit):
        transition.main(["nothing"])
