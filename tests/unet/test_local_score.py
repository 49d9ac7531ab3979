"""The local empirical Bayes denoiser against a loop, and where it is a denoiser that is known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memnb.minnorm.denoisers import EmpiricalBayesDenoiser
from memnb.streams import stream
from memnb.unet.diffusion import make_schedule
from memnb.unet.images import digits
from memnb.unet.local_score import LocalBayesDenoiser, best_patches, local_network
from memnb.unet.sampling import sample


def drawn(n, side, seed=0):
    g = stream(seed, "test of patches", n, side)
    return torch.rand(n, 1, side, side, generator=g, dtype=torch.float64)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.integers(2, 5), st.sampled_from([1, 3, 5]), st.floats(0.05, 2))
def test_it_is_the_posterior_mean_given_a_patch(n, side, patch, sigma):
    known, y = drawn(n, side)[:, 0], drawn(2, side, 1)
    result = LocalBayesDenoiser(known[:, None], sigma, patch)(y.flatten(1)).reshape(2, side, side)
    reach = patch // 2
    for m in range(2):
        for i in range(side):
            for j in range(side):
                rows = slice(max(0, i - reach), i + reach + 1)
                columns = slice(max(0, j - reach), j + reach + 1)
                away = [math.exp(-(y[m, 0] - x)[rows, columns].square().sum() / (2 * sigma**2))
                        for x in known]  # fmt: skip
                mean = sum(w * x[i, j] for w, x in zip(away, known, strict=True)) / sum(away)
                assert result[m, i, j].item() == pytest.approx(mean.item(), rel=1e-9)


@pytest.mark.parametrize("patch", [15, 17, 99])
def test_with_patches_as_large_as_the_image_it_is_empirical_bayes(patch):
    known, y = digits().train[:30].double(), drawn(5, 8).flatten(1)
    for sigma in (0.05, 0.5):
        expected = EmpiricalBayesDenoiser(known.flatten(1), sigma)(y)
        result = LocalBayesDenoiser(known, sigma, patch)(y)
        torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-12)


def test_memory_in_parts_changes_nothing(monkeypatch):
    known, y = drawn(7, 4), drawn(9, 4, 1).flatten(1)
    whole = LocalBayesDenoiser(known, 0.3, 3)(y)
    monkeypatch.setattr("memnb.unet.local_score.CHUNK", 1)
    assert torch.equal(LocalBayesDenoiser(known, 0.3, 3)(y), whole)


def test_mosaics_of_small_patches_are_no_copies_and_whole_images_are():
    """From two images, white left or right: halves are combined only if patches are small."""
    known = torch.zeros(2, 1, 8, 8, dtype=torch.float64)
    known[0, ..., 0], known[1, ..., 7] = 1, 1
    schedule = make_schedule()
    noise = torch.randn(200, 1, 8, 8, generator=stream(0, "noise"), dtype=torch.float64)
    new = {}
    for patch in (3, 7, 15):
        x = sample(local_network(known, schedule, patch), schedule, noise, n_steps=25)
        x = (x + 1) / 2
        off = torch.stack([(x - one).abs().amax((1, 2, 3)) for one in known])
        new[patch] = (off.amin(0) > 0.3).double().mean().item()
    assert new[15] < 0.02 and new[3] > new[7] + 0.1 > 0.3  # the larger, the fewer mosaics


def test_sides_grow_with_the_noise_where_pixels_are_known_by_themselves():
    """Binary images: with little noise a pixel tells its value; with much the whole image does."""
    known = (drawn(3, 6) > 0.5).double()
    sides = best_patches(known, known, make_schedule(), 5, (1, 11), 0)
    assert len(sides) == 100 and sides[60] == 11 and set(sides) <= {1, 11}
    noise = drawn(3, 6, 2)
    errors = [
        (LocalBayesDenoiser(known, 0.7, p)((known + 0.7 * noise).flatten(1)) - known.flatten(1))
        .square().mean() for p in (1, 11)
    ]  # fmt: skip
    assert errors[1] < errors[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: LocalBayesDenoiser(x, 0.1, 4), "patch must be odd, got 4"),
        (lambda x: LocalBayesDenoiser(x, 0.0, 3), "sigma"),
        (lambda x: LocalBayesDenoiser(x, 0.1, 3)(torch.zeros(2, 5)), "y must have shape"),
        (lambda x: local_network(x, make_schedule(), [3, 3]), "the number of patches"),
        (lambda x: local_network(x, make_schedule(), 2), "patch must be odd"),
        (lambda x: best_patches(x, x, make_schedule(), 5, (), 0), "the number of sides"),
        (lambda x: best_patches(x, x, make_schedule(), 0, (1,), 0), "n_steps must be"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call(drawn(3, 4))
    assert "\n" not in str(caught.value)
