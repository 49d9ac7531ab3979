r"""Chapter 5: the linear diffusion model, whose memorization can be computed, not only observed.

Data :math:`Y_k \sim \mathcal{N}(\mu, \sigma^2 I_d)` are noised to
:math:`X_k = e^{-T} Y_k + \sqrt{\Delta_T}\, Z_k` and mapped back by least squares in one step. The
generated distribution is then a Gaussian, and everything about it is in closed form.

- :mod:`memnb.linear.model`: the model, its fit, the generated Gaussian.
- :mod:`memnb.linear.divergences`: Hellinger distance and Kullback-Leibler divergences.
- :mod:`memnb.linear.kernels`: mixing time and kernel widths.
- :mod:`memnb.linear.criterion`: the difference :math:`\Delta` that decides between memorization
  and generalization, in log space.
- :mod:`memnb.linear.overlaps`: the sums of Gaussians in it.
- :mod:`memnb.linear.draws`: settings, and the random sets that they need.
- :mod:`memnb.linear.experiment`: many simulations, in parallel.
- :mod:`memnb.linear.limit`: the limit of large n and d.
- :mod:`memnb.linear.gradient_flow`: the fit while it is trained, in closed form.
- :mod:`memnb.linear.training_time`: when it is half generalized, best, half memorized.
- :mod:`memnb.linear.late_time`: the noised training set at late times.
- :mod:`memnb.linear.marginals`: ordinary and stochastic differential equations with one law.
- :mod:`memnb.linear.published`: the formulas as printed, for comparison.
- :mod:`memnb.linear.runs`, :mod:`memnb.linear.readback`: the long runs, and what was kept of them.
"""

from .criterion import log_delta, log_delta_expected, log_distance, log_distance_expected
from .divergences import hellinger, kl_divergence, log_affinity
from .draws import Setting, draw_originals, draw_training
from .experiment import Difference, Simulations, share_positive, simulate, sweep
from .kernels import KERNELS, kernel_width, log_weight_ratio, mixing_time
from .limit import limit_rates
from .model import Generated, LinearModel

__all__ = [
    "KERNELS",
    "Difference",
    "Generated",
    "LinearModel",
    "Setting",
    "Simulations",
    "draw_originals",
    "draw_training",
    "hellinger",
    "kernel_width",
    "kl_divergence",
    "limit_rates",
    "log_affinity",
    "log_delta",
    "log_delta_expected",
    "log_distance",
    "log_distance_expected",
    "log_weight_ratio",
    "mixing_time",
    "share_positive",
    "simulate",
    "sweep",
]
