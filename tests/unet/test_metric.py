"""The metric of networks on synthetic images, on generators that are known and on kept ones."""

import torch

from memnb.unet import metric, readback
from memnb.unet.metric import GENERATORS, RULES
from memnb.unet.runs import PROTOCOL, OnSynthetic


def test_scores_of_the_generators_that_are_known(monkeypatch):
    monkeypatch.setattr(metric, "N_SIMULATIONS", 30)
    drawn = metric.originals(8)
    few, many = (OnSynthetic(n, "paper", 0, PROTOCOL) for n in (10, 300))
    tables = [metric.rows(network, 0.5 + 0 * few.images(), drawn) for network in (few, many)]
    for rows in tables:
        assert rows.shape == (len(GENERATORS), len(RULES), 4)
        torch.testing.assert_close(rows[..., 1] - rows[..., 2], rows[..., 3], rtol=0, atol=1e-9)
        network, perfect, _ = rows
        assert network[1, 2] > 1.3 * perfect[1, 2]  # all pixels 0.5 is far from the law
    copier, perfect = tables[0][2], tables[0][1]
    assert (copier[:, 0] == 0).all() and (copier[:2, 1] < 0.5 * perfect[:2, 1]).all()
    # With ten training images all draws have the same ones; with many they differ
    perfect = tables[1][1]
    assert perfect[0, 0] < 0.25 < perfect[1, 0] < 0.75


def test_kept_metric_is_that_of_the_kept_images():
    network = OnSynthetic(10, "cosine", 1, PROTOCOL)
    images = readback.load("protocol")[f"{network.key}-images"].float()
    again = metric.rows(network, images, metric.originals(8))
    stored = readback.load("metric")[f"protocol-{network.key}"]
    torch.testing.assert_close(again, stored, rtol=1e-6, atol=1e-6)
