"""All chapters: checks of arguments, with one clear error each.

Every check names the argument, says what came and what is allowed. The parameters of the chapters
are checked by :mod:`memnb.parameters`, with these. Neither imports torch before it meets a tensor,
so that a bad parameter is refused in a moment.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = [
    "NORMS",
    "check_choice",
    "check_device",
    "check_integer",
    "check_numbers",
    "check_points",
    "check_real",
]

NORMS = ("l2", "linf")


def _is_tensor(value: Any) -> bool:
    """Whether it is a torch tensor; nothing is one while torch is not imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def check_real(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Return a real number of an interval as a float, or raise.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : real number or tensor of one
        Not a ``bool``; nan is in no interval.
    low, high : float
        Ends of the interval.
    open_low, open_high : bool
        Whether an end is itself excluded.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If it is no real number.
    ValueError
        If it is outside the interval.
    """
    if _is_tensor(value) and value.numel() == 1 and not value.is_complex():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        value = float(value)
    except OverflowError:
        value = math.inf if value > 0 else -math.inf
    above = value > low if open_low else value >= low
    below = value < high if open_high else value <= high
    if not (above and below):
        left = "(" if open_low or low == -math.inf else "["
        right = ")" if open_high or high == math.inf else "]"
        raise ValueError(f"{name} must be in {left}{low:g}, {high:g}{right}, got {value:g}")
    return value


def check_integer(name: str, value: Any, low: float, high: float | None = None) -> int:
    """Return an integer of a range as an ``int``, or raise.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : integer
        Neither a ``bool`` nor a float, not even 3.0.
    low, high : int
        Ends of the range, both included; no upper end if ``high`` is not given.

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If it is outside the range.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < low or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(f"{name} must be {allowed}, got {value}")
    return int(value)


def check_choice(name: str, value: Any, allowed: Sequence[Any]) -> Any:
    """Return a value if it is one of a few, of the same type, or raise.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : object
        The value; 1.0 and ``True`` are not 1.
    allowed : sequence
        What it may be.

    Returns
    -------
    object
        The value.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    if not any(type(value) is type(choice) and value == choice for choice in allowed):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def check_device(name: str, value: Any) -> str:
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
    import torch

    count = torch.cuda.device_count()
    if value != "cpu" and (torch.device(value).index or 0) >= count:
        raise ValueError(f"{name} {value!r} was asked for, but there are {count} CUDA devices")
    return value


def check_numbers(name: str, value: Any) -> torch.Tensor:
    """Return numbers, or True and False, as a tensor of any shape and dtype, or raise.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : number, Tensor, array or nested sequence

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError
        If they are no real numbers, or lists of different lengths.

    Examples
    --------
    >>> check_numbers("norms", [1, 2.5])
    tensor([1.0000, 2.5000], dtype=torch.float64)
    >>> check_numbers("norms", "ab")
    Traceback (most recent call last):
        ...
    TypeError: norms must be numbers, in rows of one length, got 'ab'
    """
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        array = np.empty(0, "c16" if value.is_complex() else "f8")
    else:
        try:
            array = np.asarray(value)
        except (ValueError, TypeError, RuntimeError):
            array = np.empty(0, object)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be numbers, in rows of one length, got {value!r:.60}")
    return value if isinstance(value, torch.Tensor) else torch.as_tensor(array)


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
    import torch
    from torch._C._functorch import get_unwrapped, is_functorch_wrapped_tensor

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
    import numpy as np
    import torch

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
