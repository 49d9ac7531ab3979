"""Training of shallow ReLU denoisers, many at once."""

from .networks import NetworkBatch
from .samples import NoisySamples, closed_form_cost, draw_samples, sample_ramps
from .train import METHODS, Diverged, FitResult, NotConverged, fit

__all__ = [
    "METHODS",
    "Diverged",
    "FitResult",
    "NetworkBatch",
    "NoisySamples",
    "NotConverged",
    "closed_form_cost",
    "draw_samples",
    "fit",
    "sample_ramps",
]
