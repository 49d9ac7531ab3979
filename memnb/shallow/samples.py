r"""Chapter 4: noisy samples, and the closed form that they imply.

Training data are samples :math:`y_{n,m} = x_n + \sigma \varepsilon_{n,m}`, m = 1, ..., M.
A network that interpolates finitely many samples need not map whole balls to their centers. What
takes the ball's place along direction :math:`u_n` is the reach of the samples: ramp n may rise
between the largest projection :math:`u_n^\top y` of the samples of all *other* points and the
smallest one of the samples of :math:`x_n` itself,

.. math:: a_n = \max_{j \ne n,\, m} u_n^\top (y_{j,m} - \bar x), \qquad
          b_n = \min_m u_n^\top (y_{n,m} - \bar x).

This **closed form of the samples** interpolates all of them at cost
:math:`\sum_n 2 L_n / (b_n - a_n)`. It is a candidate, not the optimum: with finitely many samples
somewhat cheaper interpolants exist, and as M grows the reach grows like
:math:`\sigma \sqrt{2 \log (MN)}`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from memnb.minnorm.data import TrainingSet
from memnb.minnorm.denoisers import RampDenoiser
from memnb.minnorm.geometry import check_training_set
from memnb.streams import stream
from memnb.validation import check_integer, check_real

__all__ = ["NoisySamples", "closed_form_cost", "draw_samples", "sample_ramps"]


@dataclass(frozen=True, eq=False)
class NoisySamples:
    r"""M noisy samples of every training point at each of S noise levels.

    Parameters
    ----------
    training_set : TrainingSet
        The clean points.
    sigma : Tensor, shape (S,)
        Noise levels, one for each network.
    inputs : Tensor, shape (S, N M, d + 1)
        The samples, with a one in the last column.
    point : Tensor of int64, shape (N M,)
        Which training point a sample belongs to.
    """

    training_set: TrainingSet
    sigma: torch.Tensor
    inputs: torch.Tensor
    point: torch.Tensor

    @property
    def targets(self) -> torch.Tensor:
        """Clean point of each sample, shape (N M, d)."""
        return self.training_set.points.to(self.inputs)[self.point]

    @property
    def y(self) -> torch.Tensor:
        """The samples, shape (S, N M, d)."""
        return self.inputs[..., :-1]

    def at(self, s: int) -> "NoisySamples":
        """The samples at noise level number s alone, for one network."""
        return replace(self, sigma=self.sigma[s : s + 1], inputs=self.inputs[s : s + 1])


def draw_samples(
    training_set: TrainingSet,
    sigma: float | Sequence[float] | torch.Tensor,
    n_noisy: int,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
    shared: bool = False,
) -> NoisySamples:
    r"""Draw the training data of S networks.

    Parameters
    ----------
    training_set : TrainingSet
        N clean points.
    sigma : float or sequence of S floats
        Noise level :math:`\sigma > 0` of each network.
    n_noisy : int
        Samples M of each point.
    seed : int
        Seed. The noise is drawn in float64 on the CPU, network by network, so that the first
        networks of a larger batch see the same samples as those of a smaller one; every N and M
        have a stream of their own.
    dtype, device
        Of the result.
    generator : torch.Generator, optional
        Source of the noise instead of the seed.
    shared : bool
        Scale one draw of the noise: :math:`y_{n,m} = x_n + \sigma \varepsilon_{n,m}` with the same
        :math:`\varepsilon` at all levels, that of the first network.

    Returns
    -------
    NoisySamples

    Raises
    ------
    TypeError, ValueError
        If the training set is none, or a number is out of range; the message names the argument.

    Examples
    --------
    >>> from memnb.minnorm.data import orthogonal_set
    >>> draw_samples(orthogonal_set(3, 2), [0.1, 0.2], n_noisy=50).inputs.shape
    torch.Size([2, 150, 3])
    """
    check_training_set(training_set)
    check_integer("n_noisy", n_noisy, 1)
    levels = _levels(sigma)
    if generator is None:
        generator = stream(seed, "samples", training_set.n_points, n_noisy)
    point = torch.arange(training_set.n_points).repeat_interleave(n_noisy)
    clean = training_set.points.cpu().double()[point]
    inputs = torch.ones(len(levels), len(point), training_set.dim + 1, dtype=dtype)
    for s, (row, level) in enumerate(zip(inputs, levels, strict=True)):
        if s == 0 or not shared:
            noise = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
        row[:, :-1] = clean + level * noise
    return NoisySamples(training_set.to(device=device), levels, inputs.to(device), point.to(device))


def _levels(sigma: float | Sequence[float] | torch.Tensor) -> torch.Tensor:
    """Positive noise levels, float64 (S,), from a number or several."""
    try:
        levels = torch.atleast_1d(torch.as_tensor(sigma, dtype=torch.float64)).cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"sigma must be a number or a sequence of them, got {sigma!r}") from error
    if levels.ndim > 1 or not len(levels):
        raise ValueError(
            f"sigma must be a number or a sequence of at least one, got shape {tuple(levels.shape)}"
        )
    for level in levels.tolist():
        check_real("sigma", level, 0, math.inf, open_low=True, open_high=True)
    return levels


def sample_ramps(samples: NoisySamples) -> list[RampDenoiser | None]:
    r"""The closed form of the samples, one denoiser for each noise level.

    Returns
    -------
    list of RampDenoiser or None
        In float64. ``None`` where the samples of two points overlap along a direction: the noise
        is too high for this closed form. ``cost()`` is what a trained network is compared with.

    Raises
    ------
    ValueError
        If the points are not orthogonal data.

    Examples
    --------
    >>> from memnb.minnorm.data import orthogonal_set
    >>> samples = draw_samples(orthogonal_set(3, 2), 0.01, n_noisy=50)
    >>> 4 < sample_ramps(samples)[0].cost() < 4.5
    True
    """
    s = samples.training_set.to(dtype=torch.float64)
    if not s.is_orthogonal:
        raise ValueError(f"training_set must be orthogonal data, got kind {s.kind!r}")
    own = samples.point[:, None] == torch.arange(1, s.n_points, device=samples.point.device)
    ramps = []
    for y in samples.y:
        z = s.coordinates(y.double())
        low = z.masked_fill(own, -torch.inf).amax(dim=0)
        high = z.masked_fill(~own, torch.inf).amin(dim=0)
        if (high > low).all():
            reached = replace(s, low=low, high=high, kind="orthogonal samples")
            ramps.append(RampDenoiser(reached, 0))
        else:
            ramps.append(None)
    return ramps


def closed_form_cost(samples: NoisySamples) -> torch.Tensor:
    """Costs of the closed forms of the samples, float64 (S,); infinite where there is none."""
    costs = [ramp.cost() if ramp else torch.inf for ramp in sample_ramps(samples)]
    return torch.tensor(costs, dtype=torch.float64)
