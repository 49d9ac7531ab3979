"""How much of a network's images untrained denoisers explain, on images with known answers."""

import math

import pytest
import torch

from memnb.streams import stream
from memnb.unet.diffusion import make_schedule
from memnb.unet.explained import Explained, explain
from memnb.unet.images import digits
from memnb.unet.local_score import baseline_images


def drawn(*labels, n=400):
    g = stream(0, "test of explained images", *labels)
    return torch.randn(n, 1, 8, 8, generator=g, dtype=torch.float64)


def test_what_is_left_is_the_share_that_is_common():
    """x = linear + a u + b v and local = linear + u, with u, v independent: cos = a / |(a, b)|."""
    linear, u, v = drawn(1), drawn(2), drawn(3)
    for a, b in ((1.0, 0.0), (0.6, 0.8), (0.0, 1.0), (-1.0, 0.0)):
        both = Explained(linear + a * u + b * v, {"local": linear + u, "linear": linear})
        mean, error = both.beyond_linear()
        assert mean == pytest.approx(a, abs=5 * error + 1e-12)
        # of a cosine of two random directions in 64 dimensions: (1 - a^2) / 8 for each image
        assert error == pytest.approx((1 - a * a) / 8 / math.sqrt(400), rel=0.25, abs=1e-12)


def test_the_lead_beyond_the_linear_images_is_taken_image_by_image():
    """Two denoisers that share 0.8 and 0.6 of what is left, and the same rest."""
    linear, u, v = drawn(8), drawn(9), drawn(10)
    images = {"local": linear + 0.8 * u + 0.6 * v, "other": linear + 0.6 * u + 0.8 * v}
    result = Explained(linear + u, images | {"linear": linear})
    mean, error = result.lead_beyond_linear("other")
    assert mean == pytest.approx(0.2, abs=4 * error + 0.005)
    apart = [result.beyond_linear(name) for name in ("local", "other")]
    assert mean == pytest.approx(apart[0][0] - apart[1][0])
    assert error < math.hypot(apart[0][1], apart[1][1])


def test_correlations_and_the_lead():
    """Images without a mean: the correlation with x + s w is 1 / sqrt(1 + s^2) for |w| = |x|."""
    x, w = drawn(4), drawn(5)
    x, w = (z - z.mean((2, 3), keepdim=True) for z in (x, w))
    flat = x.flatten(1)
    w = w.flatten(1) - (w.flatten(1) * flat).sum(1, True) / flat.square().sum(1, True) * flat
    w = (w / w.norm(dim=1, keepdim=True) * flat.norm(dim=1, keepdim=True)).view_as(x)
    result = Explained(x, {"local": x + w, "linear": x + 3 * w, "same": 2 * x + 1})
    torch.testing.assert_close(result.correlations("same"), torch.ones(400, dtype=torch.float64))
    assert result.correlation("local")[0] == pytest.approx(1 / math.sqrt(2))
    assert result.lead("linear")[0] == pytest.approx(1 / math.sqrt(2) - 1 / math.sqrt(10))
    assert result.lead("same")[0] == pytest.approx(1 / math.sqrt(2) - 1)


def test_a_denoiser_is_explained_by_itself():
    known, schedule, noise = digits(), make_schedule(), drawn(6, n=3).float()
    images = baseline_images(known.train[:8], known.held_out[:8], schedule, noise, 0)
    for name in ("local", "empirical Bayes"):
        result = explain(images[name], known.train[:8], known.held_out[:8], schedule, noise, 0)
        assert result.correlation(name)[0] == pytest.approx(1)
    assert explain(images["local"], known.train[:8], known.held_out[:8], schedule, noise, 0
                   ).beyond_linear()[0] == pytest.approx(1)  # fmt: skip


def test_another_number_of_images_than_of_noise_is_refused():
    known = digits().train[:4]
    with pytest.raises(ValueError, match=r"generated must have the shape of noise, \(3, 1, 8, 8\)"):
        explain(known, known, known, make_schedule(), drawn(7, n=3), 0)
