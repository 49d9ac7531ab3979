"""Images whose sums are images, and denoisers for which it is known whether they make sums."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memnb.minnorm.denoisers import EmpiricalBayesDenoiser, ramp_family
from memnb.unet.baselines import as_network
from memnb.unet.copies import project_on_sums
from memnb.unet.diffusion import make_schedule
from memnb.unet.sampling import gaussian_noise, sample
from memnb.unet.virtual_points import (
    KINDS,
    POINTS,
    denoise_from,
    points_of,
    simplex_images,
    stayed,
    training_set,
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 3, 8])
def test_differences_are_orthogonal_and_sums_are_images(kind, k):
    x = simplex_images(kind, k).double().flatten(1)
    steps = x[1:] - x[0]
    assert torch.equal(steps @ steps.mT, 1.25**2 * torch.eye(k, dtype=torch.float64))
    for terms in range(1, min(k, 3) + 1):
        for chosen in itertools.combinations(range(k), terms):
            total = x[0] + steps[list(chosen)].sum(0)
            assert 0 <= total.min() and total.max() <= 1
    changed = (steps != 0).double().mean(1)
    assert (changed == (4 / 64 if kind == "blocks" else 1)).all()
    known = training_set(simplex_images(kind, k))
    assert known.is_orthogonal and known.n_points == k + 1
    torch.testing.assert_close(known.vertex(torch.eye(k, dtype=torch.bool)), x[1:])


@settings(max_examples=20)
@given(st.sampled_from(KINDS), st.integers(3, 8), st.integers(1, 40), st.integers(0, 99))
def test_points_are_what_their_kind_says(kind, k, count, seed):
    known = simplex_images(kind, k)
    for points, terms in (("training", 1), ("pairs", 2), ("triples", 3)):
        x = points_of(known, points, count)
        projection = project_on_sums(x, known)
        assert projection.miss.max() < 1e-6 and (projection.subset.sum(1) == terms).all()
        n_sums = len(list(itertools.combinations(range(k), terms)))
        assert len(projection.subset.unique(dim=0)) == min(count, n_sums)
    x = points_of(known, "random", count, seed)
    assert 0 <= x.min() and x.max() <= 1
    projection = project_on_sums(x, known)
    assert (projection.coefficients > -1e-6).all() and projection.residual.max() < 1e-6
    norm = torch.full((count,), 2**0.5, dtype=torch.float64)
    torch.testing.assert_close(projection.coefficients.norm(dim=1), norm, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_known_of_two_denoisers_is_found(kind):
    """Minimum-norm: every sum stays. Empirical Bayes: none does, all become training images."""
    known, schedule = simplex_images(kind, 6), make_schedule()
    family = ramp_family(training_set(known), 3.0)
    points = known.double().flatten(1)
    ramp = as_network(family, schedule)
    bayes = as_network(lambda sigma: EmpiricalBayesDenoiser(points, sigma), schedule)
    for name, terms in (("pairs", 2), ("triples", 3)):
        start = points_of(known, name, 15)
        projection = project_on_sums(denoise_from(ramp, schedule, start, 10), known)
        assert (projection.miss < 0.1).all() and (projection.subset.sum(1) == terms).all()
        gone = project_on_sums(denoise_from(bayes, schedule, start, 10), known)
        assert (gone.miss < 0.01).all() and (gone.subset.sum(1) <= 1).all()
    x = (sample(bayes, schedule, gaussian_noise(40, 8, 1), n_steps=25) + 1) / 2
    assert (project_on_sums(x, known).kinds() == 0).all()


def test_noise_is_added_up_to_the_step_that_was_asked_for():
    known, schedule = simplex_images("waves", 3), make_schedule()
    seen = []

    def net(x, t):
        seen.append((int(t[0]), x.clone()))
        return torch.zeros_like(x)

    denoise_from(net, schedule, known, 40, seed=3, n_steps=7)
    expected = schedule.add_noise(
        2 * known - 1, torch.full((4,), 40), gaussian_noise(4, 8, 3, purpose="added noise")
    )
    assert torch.equal(seen[0][1], expected)
    assert seen[0][0] == 40 and len(seen) == 7
    seen.clear()
    denoise_from(net, schedule, known, 3)
    assert [t for t, _ in seen] == [3, 2, 1]


def test_points_that_stayed_are_within_a_share_of_the_median_distance():
    known = simplex_images("blocks", 3)
    points = points_of(known, "pairs", 3)
    # Six distances: three of 1.25 to the gray image, three of 1.25 times the root of two
    unit = torch.pdist(known.double().flatten(1)).sort().values[2]  # torch's median: the lower one
    for factor, stays in ((0.199, True), (0.201, False)):
        moved = points.double().clone()
        moved[:, 0, 1, 3] += factor * unit
        assert (stayed(moved, points, known) == stays).all()
        assert stayed(moved, points, known, threshold=0.3).all()
    with pytest.raises(ValueError, match="ends and points must be as many, got 3 and 2"):
        stayed(points, points[:2], known)
    with pytest.raises(ValueError, match="threshold must be in"):
        stayed(points, points, known, threshold=0)


def test_errors():
    known = simplex_images("waves", 3)
    with pytest.raises(ValueError, match="kind must be one of 'blocks', 'waves', got 'dots'"):
        simplex_images("dots")
    with pytest.raises(ValueError, match="n_terms must be between 1 and 8, got 9"):
        simplex_images("waves", 9)
    with pytest.raises(ValueError, match=f"kind must be one of .*{POINTS[-1]}.*, got 'sums'"):
        points_of(known, "sums", 4)
    with pytest.raises(ValueError, match="the number of terms must be at least 3, got 2"):
        points_of(known[:3], "pairs", 4)
    with pytest.raises(ValueError, match="step must be between 1 and 100, got 101"):
        denoise_from(None, make_schedule(), known, 101)
    with pytest.raises(ValueError, match=r"images must have values in \[0, 1\]"):
        denoise_from(None, make_schedule(), known + 1, 10)
