"""The U-Net: sizes, seeds, and that every part of it takes part."""

import pytest
import torch

from memnb.unet.network import SIZES, UNet, count_parameters


@pytest.fixture(scope="module")
def small():
    return UNet("small", 8, seed=0)


def test_parameters_are_as_many_as_stated(small):
    assert count_parameters(small) == 176_849 <= 500_000
    with torch.device("meta"):
        paper = UNet("paper", 16, seed=0)
    assert abs(count_parameters(paper) / 12.9e6 - 1) < 0.02


@pytest.mark.parametrize(("size", "image_size"), [("small", 8), ("small", 16), ("paper", 8)])
def test_every_parameter_takes_part(size, image_size):
    net = UNet(size, image_size, seed=1)
    x = torch.randn(3, 1, image_size, image_size, generator=torch.Generator().manual_seed(0))
    net(x, torch.tensor([1, 5, 10])).square().sum().backward()
    for name, p in net.named_parameters():
        # A key's bias adds the same to all scores of a query, which the softmax cannot see
        if not name.endswith("to_k.bias"):
            assert p.grad is not None and p.grad.abs().max() > 0, name


def test_attention_is_in_it(small):
    names = [type(module).__name__ for module in small.modules()]
    assert names.count("Attention") == 1 + 1 + 2  # down, middle, up
    assert names.count("ResnetBlock2D") == 2 + 2 + 4


def test_the_step_matters(small):
    x = torch.zeros(2, 1, 8, 8)
    one, other = small(x, torch.tensor([1, 50]))
    assert (one - other).abs().max() > 1e-3


def test_images_of_a_batch_do_not_see_each_other(small):
    x = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    t = torch.tensor([1, 20, 40, 60, 80])
    with torch.no_grad():
        together = small(x, t)
        alone = torch.cat([small(x[i : i + 1], t[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_the_seed_decides_and_the_global_state_stays(small):
    torch.manual_seed(123)
    state = torch.get_rng_state()
    again, other = UNet("small", 8, seed=0), UNet("small", 8, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    weights = [p for p in small.parameters() if p.ndim > 1]
    assert all(
        torch.equal(p, q) for p, q in zip(small.parameters(), again.parameters(), strict=True)
    )
    others = [p for p in other.parameters() if p.ndim > 1]
    assert not any(torch.equal(p, q) for p, q in zip(weights, others, strict=True))


def test_errors(small):
    assert set(SIZES) == {"small", "paper"}
    with pytest.raises(ValueError, match="size must be one of 'small', 'paper', got 'big'"):
        UNet("big")
    with pytest.raises(ValueError, match="image_size must be a multiple of 4 for size 'paper'"):
        UNet("paper", 6)
    with pytest.raises(ValueError, match="image_size must be at least 4, got 2"):
        UNet("small", 2)
    with pytest.raises(ValueError, match=r"x must have shape \(B, 1, 8, 8\), got \(2, 1, 16, 16\)"):
        small(torch.zeros(2, 1, 16, 16), torch.tensor([1, 1]))
