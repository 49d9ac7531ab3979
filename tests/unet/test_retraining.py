"""Networks that are trained again: equal to themselves, and as far from others as they are."""

from dataclasses import replace

import pytest
import torch

from memnb.unet.diffusion import make_schedule
from memnb.unet.over_time import OVER_TIME, OverTime
from memnb.unet.retraining import resampling_gap, retrain, retrain_to
from memnb.unet.runs import PROTOCOL, OnDigits, OnSynthetic
from memnb.unet.sampling import gaussian_noise, sample
from memnb.unet.training import TrainingConfig, train

SHORT = TrainingConfig(steps=3, batch_size=4, diffusion_steps=30)


@pytest.mark.parametrize(
    "network",
    [
        OnDigits(4, base=SHORT, sample_steps=(25,)),
        OnSynthetic(6, "paper", 1, replace(PROTOCOL, epochs=2)),
    ],
)
def test_a_network_is_found_equal_to_itself_and_as_far_as_it_was_moved(network):
    config = network.config()
    net, losses = train(network.images(), config, progress=False)
    arrays = {f"{network.key}-{k}": v for k, v in network.generate(net, config).items()}
    arrays[f"{network.key}-loss"] = losses
    same = retrain(network, arrays)
    assert same.largest_gap == 0 and same.loss_gap == 0 and same.gaps.max() == 0
    (name,) = (k for k in arrays if not k.endswith("loss"))
    moved = dict(arrays)
    x = arrays[name].clone()
    # One image, one pixel, by 51 / 255 or by 0.2
    unit = 51 if x.dtype == torch.uint8 else 0.2
    x[2, 0, 1, 1] += unit if x[2, 0, 1, 1] < 100 else -unit
    moved[name] = x
    moved[f"{network.key}-loss"] = losses * torch.tensor([1.0, 1.25] + [1.0] * (len(losses) - 2))
    other = retrain(network, moved)
    assert other.largest_gap == pytest.approx(0.2, abs=1e-3)
    assert other.gaps.nonzero().flatten().tolist() == [2]
    assert other.gaps[2].item() == pytest.approx(0.2 / 64, rel=1e-2)
    assert other.loss_gap == pytest.approx(0.2)  # 1 / 1.25 - 1


def test_kept_weights_are_sampled_again():
    net, _ = train(OnDigits(4).images(), SHORT, progress=False)
    schedule, noise = make_schedule(n_steps=30), gaussian_noise(3, 8, 0)
    x = ((sample(net, schedule, noise, n_steps=25) + 1) / 2).clamp(0, 1)
    assert resampling_gap(net, schedule, noise, x) == 0
    assert resampling_gap(net, schedule, noise, x + 0.25) == pytest.approx(0.25, rel=1e-5)


def test_a_network_with_snapshots_is_trained_again_as_far_as_one_of_them(monkeypatch):
    monkeypatch.setattr("memnb.unet.over_time.STEPS", (2, 5))
    network = OverTime(16, base=replace(OVER_TIME, steps=250, diffusion_steps=100))
    net, _ = train(network.images(), network.config(), until=2, progress=False)
    arrays = {
        f"{network.key}-step2_{k}": v for k, v in network.generate(net, network.config()).items()
    }
    again = retrain_to(network, arrays, 2)
    assert again.largest_gap == 0 and again.loss_gap == 0 and again.losses.shape == (2,)
    arrays[f"{network.key}-step2_errors"] = again.losses * torch.tensor([1.0, 0.8])
    assert retrain_to(network, arrays, 2).loss_gap == pytest.approx(0.25)
    with pytest.raises(ValueError, match=r"step must be one of 2, 5, got 3"):
        retrain_to(network, arrays, 3)
