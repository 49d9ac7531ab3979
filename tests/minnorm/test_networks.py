"""A network given by its weights: values by hand, cost, and weights that do not fit."""

import numpy as np
import pytest
import torch

from memnb import ReLUNetwork


def weights(units=3, dim=2, seed=0):
    draw = np.random.default_rng(seed).standard_normal
    return {"W": draw((units, dim)), "b": draw(units), "A": draw((dim, units)),
            "V": draw((dim, dim)), "c": draw(dim)}  # fmt: skip


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor, np.ndarray.tolist])
def test_arrays_tensors_and_lists_are_weights(make):
    w = weights()
    network = ReLUNetwork(**{name: make(value) for name, value in w.items()})
    y = np.array([[0.3, -1.0], [2.0, 0.5]])
    hidden = np.maximum(y @ w["W"].T + w["b"], 0)
    np.testing.assert_allclose(network(y), hidden @ w["A"].T + y @ w["V"].T + w["c"], rtol=1e-14)
    assert network.cost() == pytest.approx(((w["A"] ** 2).sum() + (w["W"] ** 2).sum()) / 2)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"V": np.eye(3)}, ValueError, r"V must have shape \(2, 2\) for W of 3 units in dimension"),
        ({"A": np.ones((3, 2))}, ValueError, r"A must have shape \(2, 3\)"),
        ({"b": np.ones(2)}, ValueError, r"b must have shape \(3,\)"),
        ({"W": np.ones(2)}, ValueError, r"W must have shape \(units, d\), got \(2,\)"),
        ({"c": [0.0, float("nan")]}, ValueError, "c must be finite"),
        ({"W": "weights"}, TypeError, "W must be a tensor, a numpy array or a nested list"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, error, message):
    with pytest.raises(error, match=message):
        ReLUNetwork(**weights() | change)
