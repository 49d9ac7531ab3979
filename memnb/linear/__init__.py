r"""The linear diffusion model: the one whose memorization can be computed, not only observed.

Data :math:`Y_k \sim \mathcal{N}(\mu, \sigma^2 I_d)` are noised to
:math:`X_k = e^{-T} Y_k + \sqrt{\Delta_T}\, Z_k` and mapped back by least squares in one step. The
generated distribution is then a Gaussian, and everything about it is in closed form.

- :mod:`memnb.linear.model`: the model, its fit, the generated Gaussian.
- :mod:`memnb.linear.divergences`: Hellinger distance and Kullback-Leibler divergences.
- :mod:`memnb.linear.kernels`: mixing time and kernel widths.
- :mod:`memnb.linear.criterion`: the difference :math:`\Delta` that decides between memorization
  and generalization, in log space.
- :mod:`memnb.linear.experiment`: many simulations, in parallel.
- :mod:`memnb.linear.limit`: the limit of large n and d.
- :mod:`memnb.linear.published`: the formulas as printed, for comparison.
"""

from .criterion import log_delta, log_delta_expected
from .divergences import hellinger, kl_divergence, log_affinity
from .experiment import Setting, crossing, simulate, summary, sweep
from .kernels import KERNELS, kernel_width, log_weight_ratio, mixing_time
from .limit import limit_rates
from .model import Generated, LinearModel

__all__ = [
    "KERNELS",
    "Generated",
    "LinearModel",
    "Setting",
    "crossing",
    "hellinger",
    "kernel_width",
    "kl_divergence",
    "limit_rates",
    "log_affinity",
    "log_delta",
    "log_delta_expected",
    "log_weight_ratio",
    "mixing_time",
    "simulate",
    "summary",
    "sweep",
]
