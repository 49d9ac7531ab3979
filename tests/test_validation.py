"""Every bad argument gives one error that names it, and good ones pass."""

import math

import numpy as np
import pytest
import torch

from memnb.validation import check_choice, check_integer, check_points, check_real


@pytest.mark.parametrize(
    ("check", "error", "message"),
    [
        (lambda: check_real("x", math.nan, 0, 1), ValueError, "x must be in [0, 1], got nan"),
        (lambda: check_real("x", 10**400, 0, 1), ValueError, "x must be in [0, 1], got inf"),
        (lambda: check_real("x", -(10**400), 0), ValueError, "x must be in [0, inf), got -inf"),
        (lambda: check_real("x", True), TypeError, "x must be a real number, got True"),
        (lambda: check_real("x", None), TypeError, "x must be a real number, got None"),
        (lambda: check_real("x", 2 + 3j), TypeError, "x must be a real number, got (2+3j)"),
        (lambda: check_real("x", torch.ones(2)), TypeError, "x must be a real number"),
        (lambda: check_integer("n", 3.0, 1), TypeError, "n must be an integer, got 3.0"),
        (lambda: check_integer("n", True, 1), TypeError, "n must be an integer, got True"),
        (lambda: check_integer("n", 9, 1, 8), ValueError, "n must be between 1 and 8, got 9"),
        (lambda: check_choice("k", True, (1, 2)), ValueError, "k must be one of 1, 2, got True"),
        (lambda: check_choice("k", 1.0, (1, 2)), ValueError, "k must be one of 1, 2, got 1.0"),
        (lambda: check_choice("k", np.ones(2), ("a",)), ValueError, "k must be one of 'a', got"),
        (lambda: check_choice("k", ["a"], ("a",)), ValueError, "k must be one of 'a', got"),
    ],
)
def test_bad_arguments(check, error, message):
    with pytest.raises(error) as caught:
        check()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_good_arguments():
    assert check_real("x", torch.tensor(0.5), 0, 1) == 0.5
    assert check_real("x", np.float32(0.5), 0, 1) == 0.5
    assert check_real("x", 1, 0, 1) == 1.0
    assert check_integer("n", np.int64(3), 1) == 3
    assert check_choice("k", "a", ("a", "b")) == "a"


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
