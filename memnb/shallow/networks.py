r"""Chapter 4: a batch of shallow ReLU networks and the gradient of their training objectives.

The S networks of a batch are :math:`h_s(y) = A_s [W_s \bar y]_+ + V_s \bar y` with
:math:`\bar y = (y, 1)`, so that the last column of :math:`W_s` holds the biases and the last column
of :math:`V_s` the offset. Their cost is :math:`C_s = \tfrac12 (\lVert A_s \rVert^2 +
\lVert W_s \rVert^2)`, biases, V and offset not counted.

Every objective here is a sum over samples of :math:`\lambda_i^\top r_i + \tfrac{\mu}{2}
\lVert r_i \rVert^2` with residuals :math:`r_i = h(y_i) - x_i`, plus a multiple of the cost. With
:math:`g_i = \lambda_i + \mu r_i`, hidden values :math:`z_i = [W \bar y_i]_+` and
:math:`\delta_i = (A^\top g_i) \odot \mathbb{1}[z_i > 0]`, the gradients of the sum are

.. math:: \nabla_A = \sum_i g_i z_i^\top, \quad \nabla_V = \sum_i g_i \bar y_i^\top, \quad
          \nabla_W = \sum_i \delta_i \bar y_i^\top.

They are written out because five matrix products on blocks of samples that fit into the cache take
less time than automatic differentiation, which ``benchmarks/fit.py`` measures; the tests compare
the two.

Weights are stored in half precision. Networks that are to be stored are rounded to it right after
training, and all that is said of them (residual, cost, ends of flows) is of the rounded networks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from memnb.minnorm.networks import ReLUNetwork
from memnb.streams import stream
from memnb.validation import check_integer, check_points

__all__ = ["NetworkBatch", "add_gradients", "living_units", "rounded", "weights"]

CACHE_BLOCK = 2**19  # hidden values in one block on the CPU: 2 MB in float32
DEVICE_BLOCK = 2**28


@dataclass(frozen=True, eq=False)
class NetworkBatch:
    r"""S shallow ReLU networks of one width.

    Parameters
    ----------
    W : Tensor, shape (S, K, d + 1)
        Input weights, and biases in the last column.
    A : Tensor, shape (S, d, K)
        Output weights.
    V : Tensor, shape (S, d, d + 1)
        Skip connection, and offset in the last column.
    """

    W: torch.Tensor
    A: torch.Tensor
    V: torch.Tensor

    @classmethod
    def random(
        cls,
        n_nets: int,
        width: int,
        dim: int,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> "NetworkBatch":
        r"""Draw weights :math:`\mathcal{N}(0, 1/\text{fan-in})` and biases half as large.

        The skip connection starts at zero. The numbers are drawn in float64 on the CPU, net by net,
        so that the first nets of a larger batch are those of a smaller one; networks of another
        width or dimension have a stream of their own.

        Raises
        ------
        TypeError, ValueError
            If a number is not an integer of at least 1 (the seed: 0).
        """
        check_integer("n_nets", n_nets, 1)
        check_integer("width", width, 1)
        check_integer("dim", dim, 1)
        generator = stream(seed, "weights", width, dim)

        def draw(rows: int, columns: int) -> torch.Tensor:
            scale = columns**-0.5
            return scale * torch.randn(rows, columns, generator=generator, dtype=torch.float64)

        W, A = [], []
        for _ in range(n_nets):
            weights = draw(width, dim)
            biases = 0.5 * dim**-0.5 * draw(width, 1)
            W.append(torch.cat([weights, biases], dim=1))
            A.append(draw(dim, width))
        V = torch.zeros(n_nets, dim, dim + 1)
        return cls(*(x.to(device=device, dtype=dtype) for x in (torch.stack(W), torch.stack(A), V)))

    @property
    def n_nets(self) -> int:
        """Number of networks S."""
        return len(self.W)

    @property
    def dim(self) -> int:
        """Dimension d."""
        return self.A.shape[1]

    def parameters(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The three tensors."""
        return self.W, self.A, self.V

    def __call__(self, y: torch.Tensor) -> torch.Tensor:
        """Evaluate network s at y[s], for y of shape (S, ..., d).

        Raises
        ------
        TypeError, ValueError
            If y is no floating-point tensor of that shape.
        """
        check_points("y", y, self.dim)
        if len(y) != self.n_nets:
            raise ValueError(f"y must have shape ({self.n_nets}, ..., d), got {tuple(y.shape)}")
        flat = y.reshape(self.n_nets, -1, self.dim)
        hidden = torch.relu(flat @ self.W[..., :-1].mT + self.W[..., -1][:, None])
        out = hidden @ self.A.mT + flat @ self.V[..., :-1].mT + self.V[..., -1][:, None]
        return out.reshape(y.shape)

    def cost(self) -> torch.Tensor:
        r"""Costs :math:`\tfrac12(\lVert A_s \rVert^2 + \lVert W_s \rVert^2)`, shape (S,)."""
        weights = self.W[..., :-1].square().sum(dim=(1, 2))
        return 0.5 * (self.A.square().sum(dim=(1, 2)) + weights)

    def network(self, s: int) -> ReLUNetwork:
        """Network s on its own."""
        return ReLUNetwork(
            W=self.W[s, :, :-1].contiguous(),
            b=self.W[s, :, -1].contiguous(),
            A=self.A[s],
            V=self.V[s, :, :-1].contiguous(),
            c=self.V[s, :, -1].contiguous(),
        )

    def to(
        self, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> "NetworkBatch":
        """A copy in another dtype or on another device."""
        return NetworkBatch(*(x.to(device=device, dtype=dtype) for x in self.parameters()))


def rounded(networks: NetworkBatch) -> NetworkBatch:
    """The networks as they are stored: weights rounded to half precision."""
    return NetworkBatch(*(x.half().float() for x in networks.parameters()))


def living_units(networks: NetworkBatch) -> torch.Tensor:
    r"""Which units are alive in any network of a batch, bool (K,).

    A unit is dead if :math:`\lVert a_k \rVert \lVert w_k \rVert`, the bias counted, is less than
    1e-6 of the largest such product in its network.
    """
    size = networks.A.float().norm(dim=1) * networks.W.float().norm(dim=2)
    return (size > 1e-6 * size.amax(dim=1, keepdim=True)).any(dim=0)


def weights(networks: NetworkBatch, every: int = 1) -> dict[str, torch.Tensor]:
    """Weights of every k-th network, without the units that are dead in all of them.

    Returns
    -------
    dict of Tensor, float16
        ``"W"``, ``"A"`` and ``"V"`` as in :class:`NetworkBatch`, on the CPU; see
        :func:`living_units`.
    """
    chosen = NetworkBatch(*(x[::every].cpu().half() for x in networks.parameters()))
    alive, (W, A, V) = living_units(chosen), chosen.parameters()
    return {"W": W[:, alive], "A": A[..., alive], "V": V}


def _blocks(n_nets: int, n_samples: int, width: int, budget: int) -> Iterator[tuple[slice, slice]]:
    """Slices (nets, samples) whose hidden values fit the budget, whole nets if they fit."""
    nets = max(1, budget // (n_samples * width))
    samples = n_samples if nets > 1 else max(1, budget // width)
    for s in range(0, n_nets, nets):
        for i in range(0, n_samples, samples):
            yield slice(s, s + nets), slice(i, i + samples)


def add_gradients(
    nets: NetworkBatch,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    multipliers: torch.Tensor | None,
    mu: torch.Tensor,
    gradients: Sequence[torch.Tensor],
    residuals: torch.Tensor,
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
) -> None:
    r"""Add the gradients of :math:`\sum_i \lambda_i^\top r_i + \tfrac\mu2 \lVert r_i \rVert^2`.

    Parameters
    ----------
    nets : NetworkBatch
    inputs : Tensor, shape (S, n, d + 1)
        Noisy samples :math:`\bar y` with a one in the last column.
    targets : Tensor, shape (n, d)
        Their clean points.
    multipliers : Tensor, shape (S, n, d), or None
        :math:`\lambda`; ``None`` stands for zeros.
    mu : Tensor, shape (S,)
        Penalty :math:`\mu` of each network.
    gradients : tuple of 3 Tensors
        Of the shapes of W, A and V; added to.
    residuals : Tensor, shape (S, n, d)
        Overwritten by r.
    dropout : float
        Probability with which a hidden value is dropped; the others are scaled up by
        :math:`1 / (1 - p)`.
    generator : torch.Generator, optional
        Source of the dropped values.
    """
    (W, A, V), (dW, dA, dV) = nets.parameters(), gradients
    budget = CACHE_BLOCK if W.device.type == "cpu" else DEVICE_BLOCK
    for s, i in _blocks(len(W), inputs.shape[1], W.shape[1], budget):
        y = inputs[s, i]
        hidden = torch.relu_(y @ W[s].mT)
        if dropout:
            passes = torch.empty_like(hidden).bernoulli_(1 - dropout, generator=generator)
            hidden *= passes.div_(1 - dropout)
        r = torch.baddbmm(y @ V[s].mT, hidden, A[s].mT).sub_(targets[i])
        residuals[s, i] = r
        g = mu[s, None, None] * r
        if multipliers is not None:
            g += multipliers[s, i]
        dA[s].baddbmm_(g.mT, hidden)
        dV[s].baddbmm_(g.mT, y)
        back = torch.ops.aten.threshold_backward(g @ A[s], hidden, 0.0)
        dW[s].baddbmm_(back.mT, y, alpha=1 / (1 - dropout))
