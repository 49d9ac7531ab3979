"""Chapter 4: training of shallow ReLU denoisers, many at once."""

from .continuation import Continuation, ContinuedFit, fit_continued
from .methods import METHODS, AugmentedLagrangian, Dropout, Method, Plain, WeightDecay
from .networks import NetworkBatch
from .samples import NoisySamples, closed_form_cost, draw_samples, sample_ramps
from .train import Diverged, FitResult, NotConverged, Training, fit

__all__ = [
    "METHODS",
    "AugmentedLagrangian",
    "Continuation",
    "ContinuedFit",
    "Diverged",
    "Dropout",
    "FitResult",
    "Method",
    "NetworkBatch",
    "NoisySamples",
    "NotConverged",
    "Plain",
    "Training",
    "WeightDecay",
    "closed_form_cost",
    "draw_samples",
    "fit",
    "fit_continued",
    "sample_ramps",
]
