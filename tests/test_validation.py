"""Every bad parameter of a chapter gives one error that names it, and good ones pass."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memnb import check_chapter
from memnb.validation import check_points

GOOD = {
    "N": 11, "d": 30, "threshold": 0.2, "norm": "l2", "n_starts": 500, "seed": 0,
    "profile": "quick",
}  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"N": 32}, ValueError, "N must be between 2 and d + 1 = 31, got 32"),
        ({"N": 1}, ValueError, "N must be at least 2, got 1"),
        ({"N": 3.0}, TypeError, "N must be an integer, got 3.0"),
        ({"N": True}, TypeError, "N must be an integer, got True"),
        ({"d": 0}, ValueError, "d must be at least 1, got 0"),
        ({"rho": 0.5}, ValueError, "rho must be in (0, 0.5), got 0.5"),
        ({"rho": 0}, ValueError, "rho must be in (0, 0.5), got 0"),
        ({"rho": math.nan}, ValueError, "rho must be in (0, 0.5), got nan"),
        ({"rho": "0.1"}, TypeError, "rho must be a real number, got '0.1'"),
        ({"rho": 0.6, "length": 1.1}, ValueError, "rho must be in (0, 0.55), got 0.6"),
        ({"threshold": 0}, ValueError, "threshold must be in (0, inf), got 0"),
        ({"threshold": -0.2}, ValueError, "threshold must be in (0, inf), got -0.2"),
        ({"threshold": math.inf}, ValueError, "threshold must be in (0, inf), got inf"),
        ({"norm": "l1"}, ValueError, "norm must be one of 'l2', 'linf', got 'l1'"),
        ({"profile": "fast"}, ValueError, "profile must be one of 'quick', 'paper', got 'fast'"),
        ({"n_starts": 0}, ValueError, "n_starts must be at least 1, got 0"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"alpha": 0.5, "sigma_T": 1.0}, ValueError, "alpha * sigma_T"),
        ({"alpha": -1, "sigma_T": 1.0}, ValueError, "alpha must be in (0, inf), got -1"),
        ({"alpha": 1.0}, TypeError, "sigma_T must be a real number, got None"),
    ],
)
def test_bad_parameters(bad, error, message):
    with pytest.raises(error) as caught:
        check_chapter(**{**GOOD, **bad})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.integers(1, 200), st.data())
def test_good_parameters(d, data):
    rho = data.draw(st.floats(1e-9, 0.499))
    changes = {
        "d": d,
        "N": data.draw(st.integers(2, d + 1)),
        "threshold": data.draw(st.floats(1e-9, 1e9)),
        "norm": data.draw(st.sampled_from(["l2", "linf"])),
        "profile": data.draw(st.sampled_from(["quick", "paper"])),
    }
    check_chapter(**{**GOOD, **changes}, rho=rho)
    check_chapter(**{**GOOD, **changes}, alpha=rho * 2, sigma_T=0.5)


ROWS = [[0.5, 1.0, -2.0], [3.0, 4.0, 0.25]]
RIGHT = torch.tensor(ROWS, dtype=torch.float64)


@pytest.mark.parametrize(
    ("points", "dtype"),
    [
        (ROWS, torch.float64),
        (tuple(map(tuple, ROWS)), torch.float64),
        ([torch.tensor(row) for row in ROWS], torch.float64),
        ([np.array(row) for row in ROWS], torch.float64),
        (np.array(ROWS), torch.float64),
        (np.array(ROWS, dtype=">f8"), torch.float64),
        (np.array(ROWS, dtype=np.longdouble), torch.float64),
        (np.array(ROWS, dtype=np.float32), torch.float32),
        (np.array(ROWS)[::-1][::-1], torch.float64),
        (torch.tensor(ROWS), torch.float32),
        (torch.tensor(ROWS, dtype=torch.float16), torch.float16),
    ],
)
def test_tensors_arrays_and_lists_are_points(points, dtype):
    points = check_points("y", points, 3)
    assert points.dtype == dtype and torch.equal(points.double(), RIGHT)
    assert check_points("y", points, dtype=torch.float64).dtype == torch.float64


@pytest.mark.parametrize(
    "points", [[[1, 2], [3, 4]], np.array([[1, 2], [3, 4]]), torch.tensor([[1, 2], [3, 4]])]
)
def test_integers_are_points_in_float64(points):
    right = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    points = check_points("y", points)
    assert points.dtype == torch.float64 and torch.equal(points, right)


@pytest.mark.parametrize(
    ("points", "error", "message"),
    [
        ([0.0, math.nan, math.inf], ValueError, "y must be finite, got 2 infinite or nan of 3"),
        (torch.tensor([[-math.inf, 0, 0]]), ValueError, "got 1 infinite or nan of 3 values"),
        (np.array([math.nan] * 3), ValueError, "got 3 infinite or nan of 3 values"),
        ([1.0, 2.0], ValueError, "y must have shape (..., 3), got (2,)"),
        (torch.zeros(()), ValueError, "y must have shape (..., 3), got ()"),
        ([[1.0, 2.0, 3.0], [1.0]], ValueError, "y must have rows of one length"),
        (["a", "b", "c"], TypeError, "y must hold real numbers, got dtype <U1"),
        ([None, None, None], TypeError, "y must hold real numbers, got dtype object"),
        ([1j, 0, 0], TypeError, "y must hold real numbers, got dtype complex128"),
        (torch.ones(3, dtype=torch.complex64), TypeError, "got dtype torch.complex64"),
        (torch.ones(3, dtype=torch.bool), TypeError, "got dtype torch.bool"),
        ([True, False, True], TypeError, "got dtype bool"),
        (None, TypeError, "y must be a tensor, a numpy array or a nested list of numbers"),
        ("123", TypeError, "nested list of numbers, got str"),
    ],
)
def test_what_is_no_point_gives_one_line(points, error, message):
    with pytest.raises(error) as caught:
        check_points("y", points, 3)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_points_keep_their_gradient_and_can_be_vmapped():
    y = RIGHT.clone().requires_grad_()
    check_points("y", y, 3).square().sum().backward()
    assert torch.equal(y.grad, 2 * RIGHT)
    assert torch.equal(torch.vmap(lambda row: 2 * check_points("y", row, 3))(RIGHT), 2 * RIGHT)
    gradient = torch.vmap(torch.func.grad(lambda row: check_points("y", row).square().sum()))
    assert torch.equal(gradient(RIGHT), 2 * RIGHT)
    with pytest.raises(ValueError, match="y must be finite"):
        torch.vmap(lambda row: check_points("y", row, 3))(RIGHT / 0.0)


def test_no_points_are_points():
    assert check_points("y", torch.zeros(0, 3), 3).shape == (0, 3)
    assert check_points("y", np.zeros((0, 3)), 3).shape == (0, 3)
