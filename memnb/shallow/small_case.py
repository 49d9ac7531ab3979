"""Chapter 4: the small network that is trained while the page is built."""

from memnb.minnorm.data import orthogonal_set
from memnb.validation import check_choice

from .methods import METHODS, Method, WeightDecay
from .samples import NoisySamples, draw_samples
from .train import FitResult, Training, fit

__all__ = ["small_case"]


def small_case(
    N: int = 5,
    d: int = 5,
    n_noisy: int = 60,
    seed: int = 0,
    method: str = "lagrangian",
    progress: bool = False,
) -> tuple[NoisySamples, FitResult]:
    """Train one small network at noise level 0.05; the samples and the result.

    Parameters
    ----------
    N, d, n_noisy : int
        Training points, dimension and samples of each point.
    seed : int
        Of samples and weights.
    method : {"lagrangian", "weight-decay", "adam", "dropout"}
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    NotConverged, Diverged, ValueError
        As :func:`memnb.shallow.train.fit`.
    """
    how: Method = METHODS[check_choice("method", method, tuple(METHODS))]()
    if isinstance(how, WeightDecay):
        how = WeightDecay(0.25 * n_noisy / 500)  # as strong as 0.25 is for M = 500
    samples = draw_samples(orthogonal_set(N, d), 0.05, n_noisy, seed)
    training = Training(max(64, 24 * (N - 1)), how, rounds=40, settle_tol=5e-3, seed=seed)
    return samples, fit(samples, training, progress=progress)
