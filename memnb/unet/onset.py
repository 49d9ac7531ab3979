r"""Chapter 6: when during training copying begins, and how that step grows with n.

Bonnaire et al. (2025) find two times in the training of a diffusion model: one at which it begins
to generate well, which does not depend on the number n of training images, and one at which it
begins to copy, proportional to n. Here both are read off the snapshots of networks on digits
(:mod:`memnb.unet.over_time`). The criteria were fixed before any share of copies was seen, but for
the one that is said to be added.

**Copying begins** where the share of copies among the generated images first exceeds

.. math:: p_0 + 2 s_0 + 0.05,

with :math:`p_0` the share among held-out images that the same rule takes for copies of the same
training images, and :math:`s_0` its Wilson error. **Generalization** has come where the distance of
what is generated to held-out images has gone nine tenths of its way from the first snapshot to its
least value. As that is a level of each network's own, and distances near the least one are noisy,
:func:`closer_than` reads off the step of a level common to all (this one was added when the first
networks had been seen). **The window** is the ratio of copying to generalization. **Overfitting
begins**, a third onset that takes no generated image, where the denoising error on held-out images
is first twice that on training images. Crossings are interpolated in the logarithm of the step.

How they grow with n is fitted in :mod:`memnb.unet.growth`.

References
----------
Bonnaire et al., *Why Diffusion Models Don't Memorize*, NeurIPS 2025, arXiv:2505.17638.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from memnb.stats import crossing, wilson
from memnb.validation import check_real

from .history import History

__all__ = [
    "GONE",
    "MARGIN",
    "OVERFIT",
    "Onset",
    "closer_than",
    "copy_onset",
    "first_crossing",
    "generalization",
    "log_mean",
    "overfit_onset",
    "ratio",
]

MARGIN = 0.05  # share of copies beyond what held-out images may have
GONE = 0.9  # of the way from the first distance to the least one
OVERFIT = 2.0  # denoising error on held-out over that on training images


@dataclass(frozen=True)
class Onset:
    """A step of training at which something begins.

    Parameters
    ----------
    step : float
        The step, or the first or last snapshot if it began before or had not begun by then.
    error : float
        Its standard error; nan if it is not known.
    kind : {"at", "before", "after"}
        Whether it was seen, or is earlier than the first or later than the last snapshot.
    """

    step: float
    error: float
    kind: str = "at"

    def __str__(self) -> str:
        if self.kind != "at":
            return f"{'<' if self.kind == 'before' else '>'} {self.step:.0f}"
        return f"{self.step:.0f}" + ("" if math.isnan(self.error) else f" ± {self.error:.0f}")


def first_crossing(
    steps: Sequence[int],
    values: Sequence[float],
    level: float,
    errors: Sequence[float] | None = None,
) -> Onset:
    """Where values first exceed a level.

    Parameters
    ----------
    steps : sequence of int, length T
        Positive, increasing.
    values : sequence of float, length T
    level : float
    errors : sequence of float, length T, optional
        Standard errors of ``values``.

    Returns
    -------
    Onset
        Interpolated in the logarithm of the step between the first snapshot above the level and
        the one before.

    Raises
    ------
    ValueError
        If there are no snapshots, lengths differ, steps do not increase from a positive one, or
        a value is not finite.

    Examples
    --------
    >>> print(first_crossing([10, 100, 1000], [0.0, 0.0, 1.0], 0.5, [0.0, 0.1, 0.1]))
    316 ± 51
    >>> print(first_crossing([10, 100], [0.0, 0.1], 0.5), first_crossing([10, 100], [1, 1], 0.5))
    > 100 < 10
    """
    lengths = [len(part) for part in (steps, values, errors) if part is not None]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise ValueError(f"steps, values and errors must have one length >= 1, got {lengths}")
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"values must be finite, got {list(values)}")
    if steps[0] <= 0 or any(b <= a for a, b in pairwise(steps)):
        raise ValueError(f"steps must be positive and increase, got {list(steps)}")
    if values[0] > level:
        return Onset(steps[0], math.nan, "before")
    for k in range(1, len(steps)):
        if values[k] > level:
            pair = slice(k - 1, k + 1)
            at = crossing(
                steps[pair], values[pair], level, None if errors is None else errors[pair]
            )
            # A value that equals the level is where it is crossed
            return Onset(*at) if values[k - 1] < level else Onset(float(steps[k - 1]), at[1])
    return Onset(steps[-1], math.nan, "after")


def copy_onset(history: History, margin: float = MARGIN) -> Onset:
    """Step at which copying begins: see the module.

    Parameters
    ----------
    history : History
    margin : float
        By how much the share exceeds what held-out images may have; in [0, 1].

    Returns
    -------
    Onset
        Its error is that of the number of copies.

    Raises
    ------
    TypeError, ValueError
        If the margin is no number in [0, 1].
    """
    check_real("margin", margin, 0, 1)
    share, error = wilson(*history.null)
    return first_crossing(
        history.steps, history.shares[0], share + 2 * error + margin, history.shares[1]
    )


def generalization(history: History, gone: float = GONE) -> Onset:
    """Step at which what is generated is about as near to held-out images as it will be.

    Parameters
    ----------
    history : History
    gone : float
        Share of the way from the first distance to the least one, in (0, 1).

    Returns
    -------
    Onset
        Its error is that of the two distances around it.

    Raises
    ------
    TypeError, ValueError
        If ``gone`` is no number in (0, 1).
    """
    check_real("gone", gone, 0, 1, open_low=True, open_high=True)
    first, least = history.distance[0][0], min(history.distance[0])
    return closer_than(history, first + gone * (least - first))


def closer_than(history: History, level: float) -> Onset:
    """Step at which the distance to held-out images first falls below a level.

    Parameters
    ----------
    history : History
    level : float

    Returns
    -------
    Onset
        Its error is that of the two distances around it.

    Raises
    ------
    TypeError, ValueError
        If the level is no number.
    """
    level = check_real("level", level)
    values, errors = history.distance
    return first_crossing(history.steps, [-v for v in values], -level, errors)


def overfit_onset(history: History, ratio: float = OVERFIT) -> Onset:
    """Step at which the denoising error on held-out images is so many times that on training ones.

    Parameters
    ----------
    history : History
    ratio : float
        Above 1.

    Returns
    -------
    Onset
        Without an error.

    Raises
    ------
    TypeError, ValueError
        If the ratio is no number above 1.
    """
    check_real("ratio", ratio, 1, math.inf, open_low=True, open_high=True)
    gaps = [test / train for train, test in zip(history.train, history.test, strict=True)]
    return first_crossing(history.steps, gaps, ratio)


def log_mean(onsets: Sequence[Onset]) -> Onset:
    r"""Geometric mean of the onsets of several seeds.

    Parameters
    ----------
    onsets : sequence of Onset
        At least one.

    Returns
    -------
    Onset
        Its standard error is the larger of what follows from the spread over the seeds and what
        follows from the errors of the onsets. If some were not seen, it is a bound without error:
        the mean with the last (or first) snapshot in their place.

    Raises
    ------
    ValueError
        If there is none, or some began before the first and others after the last snapshot.

    Examples
    --------
    >>> print(log_mean([Onset(100.0, 10.0), Onset(400.0, 40.0)]))
    200 ± 139
    >>> print(log_mean([Onset(100.0, 10.0), Onset(400.0, 0.0, "after")]))
    > 200
    """
    if not onsets:
        raise ValueError("onsets must hold at least one, got none")
    unseen = {onset.kind for onset in onsets} - {"at"}
    if len(unseen) > 1:
        raise ValueError("onsets must not be both before the first and after the last snapshot")
    logs = torch.tensor([math.log(onset.step) for onset in onsets], dtype=torch.float64)
    step = math.exp(logs.mean().item())
    if unseen:
        return Onset(step, math.nan, *unseen)
    own = torch.tensor([onset.error / onset.step for onset in onsets], dtype=torch.float64)
    error = own.norm().item() / len(onsets)
    if len(onsets) > 1:
        # Not max(): the errors may be nan, and the spread is then what is known
        error = torch.tensor([error, logs.std().item() / math.sqrt(len(onsets))]).nan_to_num().max()
    return Onset(step, step * float(error))


def ratio(later: Onset, earlier: Onset) -> tuple[float, float]:
    """How many times as long one onset takes as another one.

    Parameters
    ----------
    later, earlier : Onset
        Both seen. An error that is not known counts as 0.

    Returns
    -------
    ratio, error : float
        The error is that of independent onsets.

    Raises
    ------
    ValueError
        If one of them was not seen.

    Examples
    --------
    >>> ratio(Onset(400.0, 12.0), Onset(100.0, 4.0))
    (4.0, 0.2)
    """
    for onset in (later, earlier):
        if onset.kind != "at":
            raise ValueError(f"both onsets must have been seen, got {onset}")
    value = later.step / earlier.step
    shares = (0.0 if math.isnan(x.error) else x.error / x.step for x in (later, earlier))
    return value, value * math.hypot(*shares)
