"""The units of the author's script: what they see, and what they do not."""

import pytest
import torch

from memnb.unet.images import synthetic_images
from memnb.unet.script_units import positive_share, positive_shares


def test_in_the_units_of_the_script_generators_far_from_training_generalize():
    """Wide pixels hardly overlap with training images, so that Delta is the square of rho_T."""
    training, new, other = (
        synthetic_images(200, 8, 1, purpose=name) for name in ("training", "new", "other")
    )
    wide = 0.5 + 4.5 * (new - 0.5)
    values = [positive_share(x, training, other) for x in (wide, new, training)]
    assert values[0] == 1 and values[1] < 0.6 and values[2] < 0.5
    # It does not depend on the original images at all
    assert positive_share(new, training, training) == values[1]


def test_delta_is_what_is_left_without_original_images():
    """From the definition, pixel by pixel, for sets that are drawn whole."""
    t, g = (synthetic_images(10, 3, 1, purpose=name) for name in ("training", "generated"))
    grid = torch.linspace(0, 1, 16, dtype=torch.float64)[:, None, None]

    def density(x):
        return torch.distributions.Normal(x.double().flatten(1), 0.01).log_prob(grid).exp().mean(1)

    delta = (density(t).square() - 2 * density(t) * density(g)).sum()
    assert positive_share(g, t, t) == float(delta > 0)


class Network:
    """Stands for a network of a run."""

    def __init__(self, n, seed):
        self.n, self.seed, self.key = n, seed, f"n{n}-s{seed}"

    def images(self):
        return synthetic_images(self.n, 8, self.seed, purpose="training")


def test_shares_are_means_over_seeds():
    networks = [Network(40, 0), Network(40, 1), Network(20, 0)]
    new = synthetic_images(50, 8, 5, purpose="new")
    wide = 0.5 + 5 * (new - 0.5)
    arrays = {"n40-s0-images": wide, "n40-s1-images": networks[1].images()}
    shares = positive_shares(networks, arrays, new)
    alone = positive_share(networks[1].images(), networks[1].images(), new, seed=1)
    assert list(shares) == [40]
    assert shares[40][0] == pytest.approx((1 + alone) / 2)
    assert shares[40][1] == pytest.approx((1 - alone) / 2)
    assert positive_shares(networks, arrays, new, "wide") == {40: (1.0, 0.0)}
    copier, perfect = (
        positive_shares(networks, arrays, new, name)[40][0] for name in ("copier", "perfect")
    )
    assert copier < perfect < 0.7
    with pytest.raises(ValueError, match="generator must be one of 'network', 'perfect'"):
        positive_shares(networks, arrays, new, "good")
