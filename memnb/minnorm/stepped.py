r"""Chapters 1 to 4: flows of any denoiser, by numerical methods.

The flows of :mod:`memnb.minnorm.flows` have an exact solution for sums of ramps only. For a
trained network, or for any other map of points to points, the same ODEs are integrated here with
the solvers of torchdiffeq, in steps of a grid or with adaptive ones.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch._C._functorch import is_batchedtensor
from torchdiffeq import odeint

from memnb.validation import check_choice, check_points, check_real

from .denoisers import EmpiricalBayesDenoiser, RampDenoiser
from .networks import ReLUNetwork

__all__ = ["probability_flow_stepped", "score_flow_stepped"]

FIXED_STEP = ("euler", "midpoint", "rk4")
ADAPTIVE = ("dopri5", "dopri8")

Denoiser = Callable[[torch.Tensor], torch.Tensor]


def check_grid(name: str, grid: Sequence[float], *, decreasing: bool) -> torch.Tensor:
    """A finite, strictly monotone 1-D grid of at least two numbers >= 0, in float64, or raise."""
    grid = check_points(name, grid, dtype=torch.float64)
    steps = -grid.diff() if decreasing else grid.diff()
    order = "decreasing" if decreasing else "increasing"
    if grid.ndim != 1 or len(grid) < 2 or not (steps > 0).all() or grid.min() < 0:
        raise ValueError(
            f"{name} must be a strictly {order} 1-D grid of at least 2 numbers >= 0, "
            f"got {grid.tolist() if grid.numel() < 8 else f'shape {tuple(grid.shape)}'}"
        )
    return grid


def _integrate(
    velocity: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    y: torch.Tensor,
    grid: torch.Tensor,
    method: str,
    return_path: bool,
    tolerances: dict[str, float],
    name: str,
) -> torch.Tensor:
    """Solve dy/ds = velocity(s, y) on the grid with torchdiffeq; fixed methods step on it."""
    check_choice("method", method, FIXED_STEP + ADAPTIVE)
    if is_batchedtensor(y):
        raise TypeError("y must be no batch of torch.vmap: give all starts at once, shape (n, d)")
    grid = grid.to(y.device)
    if method in FIXED_STEP:
        if tolerances:
            raise ValueError(f"rtol and atol have no meaning for method {method!r}")
        options = {"options": {"grid_constructor": lambda func, y0, t: grid}}
    else:  # end the last step on the grid: beyond it the velocity may have no value
        names = ("rtol", "atol")
        for name, value in tolerances.items():
            check_choice("tolerance", name, names)
            check_real(name, value, 0, math.inf, open_low=True, open_high=True)
        options = {"options": {"step_t": grid[-1:]}, **tolerances}
    # Without starts that ask for it, no graph of all steps is built for a network's weights.
    with torch.set_grad_enabled(torch.is_grad_enabled() and y.requires_grad):
        path = odeint(velocity, y, grid if return_path else grid[[0, -1]], method=method, **options)
    if not path.isfinite().all():
        raise ValueError(
            f"{name} led to points that are not finite: it returns values that are not, "
            f"or the steps of {method!r} on this grid are too long for it"
        )
    return path if return_path else path[-1]


def score_flow_stepped(
    y: torch.Tensor,
    denoiser: Denoiser,
    r_grid: Sequence[float],
    method: str = "rk4",
    return_path: bool = True,
    **tolerances: float,
) -> torch.Tensor:
    r"""Score flow of any denoiser, by a numerical method.

    Parameters
    ----------
    y : Tensor, shape (..., d)
        Starting points, at ``r_grid[0]``.
    denoiser : callable
        Maps (..., d) to (..., d).
    r_grid : sequence of float, length T
        Increasing times r; the steps of the fixed-step methods.
    method : {"euler", "midpoint", "rk4", "dopri5", "dopri8"}
        Fixed-step methods of order 1, 2 and 4, or adaptive ones with ``rtol`` and ``atol``.
    return_path : bool
        Whether to return the path on the grid or its last point only.
    **tolerances : float
        ``rtol`` and ``atol`` of the adaptive methods.

    Returns
    -------
    Tensor, shape (T, ..., d) or (..., d)
        A gradient for y is kept if y asks for one.

    Raises
    ------
    TypeError, ValueError
        If points or grid are not finite, the grid is out of order, a method, a variable or a
        tolerance does not exist, or the flow leaves all bounds.

    Examples
    --------
    >>> y = torch.tensor([1.0], dtype=torch.float64)
    >>> decay = score_flow_stepped(y, torch.zeros_like, [0.0, 0.5, 1.0], return_path=False)
    >>> round(decay.item(), 3), round(math.exp(-1), 3)
    (0.368, 0.368)
    """
    y = check_points("y", y)
    grid = check_grid("r_grid", r_grid, decreasing=False)
    return _integrate(
        lambda r, y: denoiser(y) - y, y, grid, method, return_path, tolerances, "denoiser"
    )


def probability_flow_stepped(
    y: torch.Tensor,
    family: Callable[[float], Denoiser],
    grid: Sequence[float],
    variable: str = "t",
    method: str = "euler",
    return_path: bool = True,
    **tolerances: float,
) -> torch.Tensor:
    r"""Probability flow of any family of denoisers, by a numerical method.

    The same ODE can be stepped in three variables, which differ in their errors:

    - ``"t"``: :math:`dy/dt = -(h_\sigma(y) - y) / (2t)` with :math:`\sigma = \sqrt t`; Euler in it
      is the discretization of arXiv:2506.19031;
    - ``"sigma"``: :math:`dy/d\sigma = -(h_\sigma(y) - y) / \sigma`; Euler in it is DDIM;
    - ``"log_sigma"``: :math:`dy/dr = h_\sigma(y) - y` with :math:`r = -\log\sigma`; the grid still
      lists noise levels :math:`\sigma`.

    Parameters
    ----------
    y : Tensor, shape (..., d)
        Points at the first time or noise level of the grid.
    family : callable
        Maps a noise level :math:`\sigma` (float) to a denoiser, see
        :func:`memnb.minnorm.denoisers.ramp_family`.
    grid : sequence of float, length T
        Decreasing times t or noise levels :math:`\sigma`; the steps of the fixed-step methods. It
        may end at 0 only for Euler in t or :math:`\sigma`, which never evaluates the end.
    variable : {"t", "sigma", "log_sigma"}
        Variable of the grid and of the steps.
    method : {"euler", "midpoint", "rk4", "dopri5", "dopri8"}
        As in :func:`score_flow_stepped`.
    return_path : bool
        Whether to return the path on the grid or its last point only.
    **tolerances : float
        ``rtol`` and ``atol`` of the adaptive methods.

    Returns
    -------
    Tensor, shape (T, ..., d) or (..., d)
        A gradient for y is kept if y asks for one.

    Raises
    ------
    TypeError, ValueError
        If points or grid are not finite, the grid is out of order, a method, a variable or a
        tolerance does not exist, or the flow leaves all bounds.
    """
    check_choice("variable", variable, ("t", "sigma", "log_sigma"))
    if isinstance(family, (RampDenoiser, EmpiricalBayesDenoiser, ReLUNetwork)):
        raise TypeError(
            "family must map a noise level to a denoiser, got a denoiser, "
            f"{type(family).__name__}: see memnb.ramp_family"
        )
    y = check_points("y", y)
    grid = check_grid("grid", grid, decreasing=True)
    if grid[-1] == 0 and (method != "euler" or variable == "log_sigma"):
        raise ValueError(
            f"grid must end above 0 for method {method!r} in {variable!r}: "
            "the velocity has no value at zero noise"
        )

    last = float(grid[-1])

    def velocity(s: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        s = float(s)
        if variable != "log_sigma":
            s = max(s, last)  # the trial step that sets the first step's size may go too far
        if variable == "t":
            return (y - family(math.sqrt(s))(y)) / (2 * s)
        if variable == "sigma":
            return (y - family(s)(y)) / s
        return family(math.exp(-s))(y) - y

    if variable == "log_sigma":
        grid = -grid.log()
    return _integrate(velocity, y, grid, method, return_path, tolerances, "family")
