"""Checks of arguments and of chapter parameters, with one clear error each.

Every check names the argument, says what came and what is allowed. A chapter calls
:func:`check_chapter` in its first cell, so that a bad parameter stops it before any work.
"""

import math
import re
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch._C._functorch import get_unwrapped, is_functorch_wrapped_tensor

__all__ = ["PROFILES", "check_chapter"]

PROFILES = ("quick", "paper")
NORMS = ("l2", "linf")


def check_real(name, value, low=-math.inf, high=math.inf, *, open_low=False, open_high=False):
    """Return ``value`` as a float inside the interval, or raise ``TypeError``/``ValueError``."""
    if isinstance(value, torch.Tensor) and value.numel() == 1 and not value.is_complex():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    value = float(value)
    above = value > low if open_low else value >= low
    below = value < high if open_high else value <= high
    if not (above and below):
        left = "(" if open_low or low == -math.inf else "["
        right = ")" if open_high or high == math.inf else "]"
        raise ValueError(f"{name} must be in {left}{low:g}, {high:g}{right}, got {value:g}")
    return value


def check_integer(name, value, low, high=None):
    """Return ``value`` as an int of at least ``low`` (and at most ``high``), or raise."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < low or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(f"{name} must be {allowed}, got {value}")
    return int(value)


def check_choice(name, value, allowed):
    """Return ``value`` if it is one of ``allowed``, or raise ``ValueError``."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def check_device(name, value):
    """Return the name of a device that is there, ``"cpu"``, ``"cuda"`` or ``"cuda:0"``, or raise.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : str
        Name of a device.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If it is no such name, or there is no such device.
    """
    if not isinstance(value, str) or not re.fullmatch(r"cpu|cuda(:\d+)?", value):
        raise ValueError(f"{name} must be 'cpu', 'cuda' or 'cuda:0' and so on, got {value!r}")
    count = torch.cuda.device_count()
    if value != "cpu" and (torch.device(value).index or 0) >= count:
        raise ValueError(f"{name} {value!r} was asked for, but there are {count} CUDA devices")
    return value


def check_points(
    name: str, value: Any, dim: int | None = None, *, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Return points as a finite floating-point tensor of shape (..., dim), or raise.

    Tensors, numpy arrays and nested lists are all points. Work with what is returned: it is the
    argument itself only if that is a floating-point tensor of the right dtype already.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : Tensor, array or nested sequence of numbers, shape (..., dim)
        Floating-point tensors and arrays keep their dtype, integers and lists become float64. A
        tensor keeps its device and its place in a graph of gradients.
    dim : int, optional
        Dimension that the points must have; any if not given.
    dtype : torch.dtype, optional
        Floating-point dtype to convert to.

    Returns
    -------
    Tensor, shape (..., dim)

    Raises
    ------
    TypeError
        If the values are not real numbers.
    ValueError
        If the shape is wrong, or a value is infinite or nan.

    Examples
    --------
    >>> check_points("y", [[0, 1], [2, 3]], 2)
    tensor([[0., 1.],
            [2., 3.]], dtype=torch.float64)
    >>> check_points("y", [0.0, float("nan")], 2)
    Traceback (most recent call last):
        ...
    ValueError: y must be finite, got 1 infinite or nan of 2 values
    """
    if not isinstance(value, torch.Tensor):
        value = _as_tensor(name, value)
    if value.dtype == torch.bool or value.is_complex():
        raise TypeError(f"{name} must hold real numbers, got dtype {value.dtype}")
    if not value.is_floating_point():
        value = value.to(torch.float64)
    if value.ndim == 0 or (dim is not None and value.shape[-1] != dim):
        allowed = "dim" if dim is None else dim
        raise ValueError(f"{name} must have shape (..., {allowed}), got {tuple(value.shape)}")
    plain = value.detach()
    while is_functorch_wrapped_tensor(plain):  # under vmap only the whole batch has values
        plain = get_unwrapped(plain)
    if not bool(torch.isfinite(plain).all()):
        count = int((~torch.isfinite(plain)).sum())
        raise ValueError(
            f"{name} must be finite, got {count} infinite or nan of {plain.numel()} values"
        )
    return value if dtype is None else value.to(dtype)


def _as_tensor(name: str, value: Any) -> torch.Tensor:
    """A tensor with the values of an array or of a nested sequence of numbers."""
    if not isinstance(value, (np.ndarray, list, tuple)):
        raise TypeError(
            f"{name} must be a tensor, a numpy array or a nested list of numbers, "
            f"got {type(value).__name__}"
        )
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{name} must have rows of one length, got a ragged list") from error
    if array.dtype.kind not in "iuf" and array.size:
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if not isinstance(value, np.ndarray) or array.dtype.kind != "f" or array.itemsize > 8:
        array = array.astype(np.float64)
    return torch.tensor(array.astype(array.dtype.newbyteorder("=")))


def check_chapter(
    *,
    N,
    d,
    threshold,
    norm,
    n_starts,
    seed,
    profile,
    rho=None,
    alpha=None,
    sigma_T=None,
    opening=None,
    length=1.0,
):
    r"""Check the parameters of a chapter on orthogonal or simplex data, before any work.

    Parameters
    ----------
    N : int
        Number of training points, :math:`x_0 = 0` included; ``2 <= N <= d + 1``.
    d : int
        Dimension of the data space.
    threshold : float
        Distance below which an endpoint counts as being at a vertex or face; positive.
    norm : {"l2", "linf"}
        Norm of that distance.
    n_starts : int
        Number of starting points, at least 1.
    seed : int
        Seed of the random numbers, at least 0.
    profile : {"quick", "paper"}
        Size of the experiments.
    rho : float, optional
        Ball radius :math:`\rho`, in ``(0, length / 2)``.
    alpha : float, optional
        Ratio :math:`\alpha = \rho_t / \sigma_t`, positive. Needs ``sigma_T``.
    sigma_T : float, optional
        Initial noise level :math:`\sigma_T`, positive, with ``alpha * sigma_T < length / 2``.
    opening : float, optional
        How wide the angles of simplex data are, in ``(0, 1)``: from right angles to the widest
        common angle that exists.
    length : float
        Norm :math:`L` of the training points other than :math:`x_0`.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is outside its range; the message names it.

    Examples
    --------
    >>> check_chapter(N=3, d=2, threshold=0.2, norm="l2", n_starts=9, seed=0,
    ...               profile="quick", rho=0.1)
    >>> check_chapter(N=4, d=2, threshold=0.2, norm="l2", n_starts=9, seed=0,
    ...               profile="quick", rho=0.1)
    Traceback (most recent call last):
        ...
    ValueError: N must be between 2 and d + 1 = 3, got 4: a simplex has at most d + 1 points
    """
    check_integer("d", d, 1)
    check_integer("N", N, 2)
    if N > d + 1:
        raise ValueError(
            f"N must be between 2 and d + 1 = {d + 1}, got {N}: a simplex has at most d + 1 points"
        )
    check_real("length", length, 0, open_low=True, high=math.inf, open_high=True)
    check_real("threshold", threshold, 0, math.inf, open_low=True, open_high=True)
    check_choice("norm", norm, NORMS)
    check_integer("n_starts", n_starts, 1)
    check_integer("seed", seed, 0)
    check_choice("profile", profile, PROFILES)
    if opening is not None:
        check_real("opening", opening, 0, 1, open_low=True, open_high=True)
    if rho is not None:
        check_real("rho", rho, 0, length / 2, open_low=True, open_high=True)
    if alpha is not None:
        check_real("alpha", alpha, 0, math.inf, open_low=True, open_high=True)
        check_real("sigma_T", sigma_T, 0, math.inf, open_low=True, open_high=True)
        if alpha * sigma_T >= length / 2:
            raise ValueError(
                f"alpha * sigma_T is the initial ball radius rho and must be below "
                f"length / 2 = {length / 2:g}, got {alpha:g} * {sigma_T:g} = {alpha * sigma_T:g}"
            )
