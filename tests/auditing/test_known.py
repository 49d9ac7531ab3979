"""Generators of known truth: what the chapter's tables are built on."""

import numpy as np
import pytest
import torch

from memnb.auditing import calibration, known, readback


def test_known_generators_hold_the_copies_that_they_claim():
    training, _, generators = known.known_generators(200, 6, seed=0)
    rows = {row.tobytes() for row in training}
    for name, (share, points) in generators.items():
        copied = np.mean([row.tobytes() in rows for row in points])
        assert copied == (0 if "noise" in name else share), name
        assert points.shape == training.shape
    collapsed = generators["20 new points, over and over"][1]
    assert len(np.unique(collapsed, axis=0)) == calibration.N_COLLAPSED


def test_patches_are_a_partition_and_copies_are_mirrored():
    training, held_out, generated = known.photo_patches(3000, 2000, 0.3, seed=1)
    sides = [known.mirror_invariant(x.reshape(len(x), -1)) for x in (training, generated)]
    np.testing.assert_array_equal(sides[0][:600], sides[1][:600])
    assert (training[:600] != generated[:600]).any()
    assert 0 <= generated.min() and generated.max() <= 1
    fresh = {x.tobytes() for x in generated[600:]}
    assert len(fresh & {x.tobytes() for x in (*training, *held_out)}) <= 2  # equal patches
    with pytest.raises(ValueError, match="at most 8480"):
        known.photo_patches(4000, 1000, 0.3, seed=1)


def test_the_linear_model_makes_no_copies_and_forgets_its_points_slowly():
    values = known.linear_transition(4, (4, 512), 3, seed=0)
    assert values["copies"][1].max() < 0.2  # by chance 3^-4
    assert values["nearer"][0].mean() > 0.6 > values["nearer"][1].mean() > 0.4
    assert np.isnan(values["densities"][0]).all() and np.isfinite(values["densities"][1]).all()


def test_bands_hold_what_generators_without_copies_say():
    outside = dict.fromkeys(("copies", "nearer", "cells", "authenticity"), 0)
    for seed in range(20):
        mixtures = calibration.mixtures(100, 4, blurs=(0.0,), seed=seed)
        values = calibration.measured_values(mixtures, 0.0, "as the data", (0.0,))
        for name, (low, high) in calibration.null_bands(mixtures).items():
            outside[name] += not low <= values[name][0] <= high
    assert max(outside.values()) <= 5  # 5 % of 20 expected; more than 5 has probability 3e-4


def test_a_row_of_detections_says_what_was_found_and_what_not_computed():
    """Three measures: finds 30 % with one false alarm in four, finds nothing, not computed."""
    p = torch.full((4, 1, 3, 3), 2.0)
    p[:, 0, :, 0] = torch.tensor([0.5, 0.01, 0.01])
    p[0, 0, 0, 0] = 0.04
    p[:, 0, :, 1] = torch.tensor([0.9, 0.01, 0.2])
    row = readback.detection_row({"p_100_2": p}, 100, 2, 0, (0, 0.3, 1), 3)
    assert row == ["30% (25%)*", "none (0%)", "–"]
    without = readback.detection_row({"p_100_2": p}, 100, 2, 0, (0, 0.3, 1), 2, alarms=False)
    assert without == ["30%", "none"]
    assert readback.false_alarms({"p_100_2": p, "p_60_2": p}, 2) == ((2, 0), 8)
