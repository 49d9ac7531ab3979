"""memnb: see and test when a diffusion model memorizes and when it generalizes.

Data flows one way through the package: data, schedules, denoisers, flows, endpoints, training,
claims, and then the figures and explorers of the book. No module imports one further down that
list.
"""

from .minnorm._coupled import count_events
from .minnorm.data import TrainingSet, gaussian_starts, line_set, orthogonal_set
from .minnorm.denoisers import EmpiricalBayesDenoiser, RampDenoiser, ReLUNetwork, ramp_family
from .minnorm.endpoints import CLASSES, Endpoints, classify, count_endpoints
from .minnorm.flows import (
    critical_time,
    probability_flow,
    probability_flow_stepped,
    probability_flow_trajectory,
    score_flow,
    score_flow_stepped,
    score_flow_trajectory,
)
from .minnorm.grids import log_uniform_grid, sigma_from_t, t_from_sigma, uniform_grid
from .minnorm.planar import minimum_norm_planar
from .minnorm.simplex import equilateral_triangle, obtuse_simplex, widest_angle
from .minnorm.stability import StationaryPoints, stationary_points, sum_margin
from .validation import check_chapter

__version__ = "0.1.0"

__all__ = [
    "CLASSES",
    "EmpiricalBayesDenoiser",
    "Endpoints",
    "RampDenoiser",
    "ReLUNetwork",
    "StationaryPoints",
    "TrainingSet",
    "check_chapter",
    "classify",
    "count_endpoints",
    "count_events",
    "critical_time",
    "equilateral_triangle",
    "gaussian_starts",
    "line_set",
    "log_uniform_grid",
    "minimum_norm_planar",
    "obtuse_simplex",
    "orthogonal_set",
    "probability_flow",
    "probability_flow_stepped",
    "probability_flow_trajectory",
    "ramp_family",
    "score_flow",
    "score_flow_stepped",
    "score_flow_trajectory",
    "sigma_from_t",
    "stationary_points",
    "sum_margin",
    "t_from_sigma",
    "uniform_grid",
    "widest_angle",
]
