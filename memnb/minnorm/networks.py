r"""Chapters 1 to 4: a shallow ReLU network with a skip connection, given by its weights.

.. math:: h(y) = \sum_k a_k [w_k^\top y + b_k]_+ + V y + c

Its cost is :math:`\tfrac12 \sum_k (\lVert a_k \rVert^2 + \lVert w_k \rVert^2)`; V, b and c are
free, see :mod:`memnb.minnorm.denoisers`.

References
----------
Zeno et al., *How do Minimum-Norm Shallow Denoisers Look in Function Space?*, NeurIPS 2023,
arXiv:2311.06748, Section 2.
"""

from dataclasses import dataclass

import torch

from memnb.validation import check_points

__all__ = ["ReLUNetwork"]


@dataclass(frozen=True, eq=False)
class ReLUNetwork:
    r"""A shallow ReLU network with explicit weights, :math:`h(y) = A [W y + b]_+ + V y + c`.

    Parameters
    ----------
    W : Tensor, array or nested list, shape (units, d)
        Input weights, one row :math:`w_k` for each unit.
    b : Tensor, array or list, shape (units,)
        Biases.
    A : Tensor, array or nested list, shape (d, units)
        Output weights, one column :math:`a_k` for each unit.
    V : Tensor, array or nested list, shape (d, d)
        Skip connection.
    c : Tensor, array or list, shape (d,)
        Offset.

    Raises
    ------
    TypeError, ValueError
        If the weights are not finite real numbers, or their shapes do not fit.

    Examples
    --------
    >>> ReLUNetwork([[1.0]], [-0.5], [[2.0]], [[0.0]], [0.25])(torch.tensor([1.0]).double())
    tensor([1.2500], dtype=torch.float64)
    """

    W: torch.Tensor
    b: torch.Tensor
    A: torch.Tensor
    V: torch.Tensor
    c: torch.Tensor

    def __post_init__(self) -> None:
        for name in "WbAVc":
            object.__setattr__(self, name, check_points(name, getattr(self, name)))
        if self.W.ndim != 2:
            raise ValueError(f"W must have shape (units, d), got {tuple(self.W.shape)}")
        units, dim = self.W.shape
        shapes = {"b": (units,), "A": (dim, units), "V": (dim, dim), "c": (dim,)}
        for name, shape in shapes.items():
            given = tuple(getattr(self, name).shape)
            if given != shape:
                raise ValueError(f"{name} must have shape {shape} for W of {units} units in "
                                 f"dimension {dim}, got {given}")  # fmt: skip

    def __call__(self, y: torch.Tensor) -> torch.Tensor:
        """Evaluate at y of shape (..., d)."""
        y = check_points("y", y, self.W.shape[1])
        dtype = torch.promote_types(y.dtype, self.W.dtype)
        y, w, a, v = (t.to(dtype) for t in (y, self.W, self.A, self.V))
        return torch.relu(y @ w.mT + self.b) @ a.mT + y @ v.mT + self.c

    def cost(self) -> float:
        r"""The norm :math:`\tfrac12 \sum_k (\lVert a_k \rVert^2 + \lVert w_k \rVert^2)`."""
        return 0.5 * float(self.A.square().sum() + self.W.square().sum())
