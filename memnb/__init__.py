"""memnb: see and test when a diffusion model memorizes and when it generalizes.

The theories of the papers stand on one shared floor, and what a reader sees and touches stands on
top of them:

============== =============================================================== ==========
package        holds                                                           chapters
============== =============================================================== ==========
``validation`` checks of arguments, one clear error each                       all
``checkout``   the folder in which notebooks and results are                   all
``parameters`` parameters of the chapters (``-p``): defaults, ranges, checks   all
``processes``  processes that end when told to, and with their parent          all
``streams``    independent random numbers for every purpose, from one seed     all
``stats``      errors of fractions and means, crossings, when onsets align     all
``results``    committed results of long runs and their provenance             all
``claims``     what a paper states, what was measured, the verdict             all
``commands``   the commands of the long runs: options, the loop, one end       all
``minnorm``    training sets, minimum-norm denoisers, exact flows, endpoints   1 to 3
``shallow``    shallow networks that are trained, and their flows              4
``linear``     the linear diffusion model, which can be solved                 5
``unet``       images, diffusion, U-Nets, copies, the metric of densities      6
``auditing``   an audit: does a generator copy its training data?              7
``exercises``  is a reader's answer to an exercise right?                      all
``figures``    one module a chapter; ``style``: palette, endpoint classes      all
``explorers``  one module a chapter: figures with controls, and their values   all
``book``       executes, builds and checks the book                            none
============== =============================================================== ==========

A package imports only from those above it, and the theories not from one another, but for
``shallow`` and ``unet``, which build on ``minnorm``, and for ``auditing``, which is calibrated on
models of the theories. Where there are long runs, ``runs`` lists them and says what they compute,
unit by unit, ``__main__`` is the command that computes and keeps them (``python -m memnb.unet
--help``), with :func:`memnb.commands.each` as the loop over units, and ``readback`` reads what was
kept. ``python -m memnb`` itself runs, builds and checks the book.

Every figure is found by its number, as ``number="5.3"``, in its chapter, or in ``explorers`` if it
has controls.

The names below are those of ``minnorm`` that a reader needs most, and ``audit``; they can be had as
``memnb.score_flow`` and so on. Everything else is used by package, as in ``from memnb import
linear``. Nothing is imported before it is used.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "auditing.audit": ("Audit", "audit"),
    "minnorm.data": ("gaussian_starts", "line_set", "orthogonal_set"),
    "minnorm.denoisers": ("EmpiricalBayesDenoiser", "RampDenoiser", "ramp_family"),
    "minnorm._coupled": ("count_events",),
    "minnorm.counting": ("count_endpoint_pairs", "count_endpoints"),
    "minnorm.endpoints": ("CLASSES", "Endpoints", "classify", "fractions_of"),
    "minnorm.flows": (
        "critical_time",
        "probability_flow",
        "probability_flow_trajectory",
        "score_flow",
        "score_flow_trajectory",
    ),
    "minnorm.geometry": ("TrainingSet",),
    "minnorm.grids": ("log_uniform_grid", "ou_from_ve", "uniform_grid", "ve_from_ou"),
    "minnorm.networks": ("ReLUNetwork",),
    "minnorm.planar": ("minimum_norm_planar",),
    "minnorm.recognize": ("training_set",),
    "minnorm.simplex": ("equilateral_triangle", "obtuse_simplex", "widest_angle"),
    "minnorm.stepped": ("probability_flow_stepped", "score_flow_stepped"),
    "minnorm.stability": ("StationaryPoints", "stationary_points", "sum_margin"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}
_PACKAGES = (
    *(
        "auditing",
        "book",
        "checkout",
        "claims",
        "commands",
        "exercises",
        "explorers",
        "figures",
        "linear",
        "minnorm",
        "parameters",
        "processes",
    ),
    *("results", "shallow", "stats", "streams", "unet", "validation"),
)

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import a public name or a package when it is first used (PEP 562)."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"memnb.{_HOME[name]}"), name)
    elif name in _PACKAGES:
        value = importlib.import_module(f"memnb.{name}")
    else:
        raise AttributeError(f"module 'memnb' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})
