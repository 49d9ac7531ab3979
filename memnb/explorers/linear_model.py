r"""Chapter 5: explorers of the linear model.

The onset uses the expectation of :math:`\Delta` over the original set, so that N costs nothing,
and keeps the fits of the last settings: moving N, the kernel width or the mark only evaluates
closed forms.
"""

import math
from functools import cache, lru_cache

import plotly.graph_objects as go
import torch

from memnb import linear
from memnb.explorers.base import Axis, Explorer
from memnb.explorers.live import Live, Range
from memnb.figures import linear_model as figures
from memnb.linear import limit
from memnb.linear.overlaps import log_pairs
from memnb.stats import mean_error
from memnb.streams import portable_normals, stream

__all__ = ["EXPLORERS", "onset", "spectrum"]

GRID = (4, 8, 16, 20, 24, 32, 48, 96)
POINTS, NOISE = "training points of the page", "noise of the page"
SCALES = {"e⁻⁶": math.exp(-6), "e⁻⁵": math.exp(-5), "e⁻⁴": math.exp(-4)}


@lru_cache(maxsize=2048)
def _fits(n, d, T, scale, seed, most):
    """Training points and fits of the first simulations of a setting."""
    setting = linear.Setting(n, d, 100, T, SCALES[scale], originals="expected")
    drawn = [linear.draw_training(setting, seed, k) for k in range(most)]
    y, x = (torch.stack(part) for part in zip(*drawn, strict=True))
    generated = setting.model.fit(y, x)
    return y, generated, linear.hellinger(generated)


@lru_cache(maxsize=1024)
def _pairs(n, d, factor, seed, most):
    """Pair terms of the training sets, which time and noise do not change."""
    y = _fits(n, d, 2.0, "e⁻⁴", seed, most)[0]
    return log_pairs(y, linear.kernel_width("leading", n, d, factor=factor))


@lru_cache(maxsize=8192)
def _sign(n, d, N, T, scale, factor, seed, most):
    """Sign of the expected difference, for each simulation."""
    y, generated, _ = _fits(n, d, T, scale, seed, most)
    pairs = _pairs(n, d, factor, seed, most)
    sign, _ = linear.log_delta_expected(y, N, generated, factor=factor, pairs_of_training=pairs)
    return sign


def onset(seed: int = 0, most: int = 50) -> Explorer:
    r"""The onset of generalization: :math:`\mathbb{E} H^2` and :math:`P(\Delta > 0)` against n.

    Parameters
    ----------
    seed : int
        Seed of the training sets.
    most : int
        Largest number of simulations.

    Returns
    -------
    Explorer
        Controls: ``n`` (read off), ``d``, ``N``, ``T``, ``lam``, ``factor`` of the kernel width and
        ``n_simulations``.
    """

    @cache  # n only moves the line
    def drawn(d, N, T, lam, factor, n_simulations):
        h2 = [mean_error(_fits(size, d, T, lam, seed, most)[2][:n_simulations]) for size in GRID]
        signs = [_sign(size, d, N, T, lam, factor, seed, most)[:n_simulations] for size in GRID]
        share = [linear.share_positive(sign) for sign in signs]
        curves = figures.onset_curves(GRID, h2, share)
        figure = figures.curves_figure(
            {"": curves}, "training points n", "E[H²], P(Δ > 0)", y_range=(-0.05, 1.08), height=380
        )
        return h2, share, figure

    def frame(n, **setting):
        h2, share, curves = drawn(**setting)
        figure = go.Figure(curves)
        at = GRID.index(n)
        read = "<br>".join(
            f"{name} = {value[at][0]:.3f} ± {value[at][1]:.3f}"
            for name, value in (("E[H²]", h2), ("P(Δ > 0)", share))
        )
        figure.add_shape(
            type="line", x0=n, x1=n, y0=0, y1=1, yref="y domain", **figures.MARK
        )  # fmt: skip
        return figure.update_xaxes(title=f"training points n<br>at n = {n}: {read}")

    axes = (
        Axis("n", "training points n", GRID, 24),
        Axis("d", "dimension d", (4, 8, 16, 24, 32), 16, (4, 16, 32)),
        Axis("N", "original points N", (50, 100, 1000, 10_000), 10_000, (50, 1000, 10_000)),
        Axis("T", "diffusion time T", (0.5, 1.0, 1.5, 2.0), 2.0, (0.5, 1.0, 2.0)),
        Axis("lam", "noise scale λ", tuple(SCALES), "e⁻⁴", ("e⁻⁶", "e⁻⁴")),
        Axis("factor", "kernel width ratio", (0.5, 0.6, 0.7, 0.8, 0.9, 1.0), 1.0,
             (0.5, 1.0)),
        Axis("n_simulations", "simulations", (10, 25, 50), 50, (10, 50)),
    )  # fmt: skip
    alt = (
        "Mean squared Hellinger distance and probability of generalizing against the number of "
        "training points. The distance is 1 up to n = d and then falls; the probability rises "
        "from 0 to 1 near where the distance starts to fall, and falls again beyond N."
    )
    return Explorer(frame, axes, alt, "The onset of generalization", number="5.15", play="n")


def spectrum() -> Live:
    r"""Variances of the generated Gaussian along its axes, for one training set, and their limit.

    The training set is drawn where the explorer is shown, by
    :func:`memnb.streams.portable_normals`.

    Returns
    -------
    Live
        Controls: ``n``, ``d``, ``T``, ``log_lam`` and the ``seed`` of the training set.
    """
    width, most = 40, 1000  # largest d and n

    @lru_cache(maxsize=4)
    def drawn(seed, purpose):
        return portable_normals(stream(seed, purpose), most * width).reshape(most, width)

    def frame(n, d, T, log_lam, seed):
        y, z = (drawn(seed, purpose)[:n, :d] for purpose in (POINTS, NOISE))
        model = linear.LinearModel(d, T, math.exp(log_lam))
        generated = model.fit(y, model.noised(y, z))
        c, gamma = model.signal_fraction, d / (n - 1)
        curve = limit.spectral_curve(gamma, c, 100) if gamma < 1 else ([], [])
        figure = figures.spectrum_figure(generated.values, 1.0, c, generated.rank, curve)
        h2 = linear.hellinger(generated).item()
        read = f"n = {n}, rank {generated.rank} of {d}, c = {c:.3f}, H² = {h2:.4f}"
        return figure.update_xaxes(title=f"eigenvalue, by size<br>{read}")

    axes = (
        Range("n", "training points n", 2, most, 20, digits=0, log=True),
        Range("d", "dimension d", 2, width, 16, digits=0),
        Range("T", "diffusion time T", 0.1, 4.0, 2.0),
        Range("log_lam", "noise scale, log λ", -8.0, 0.0, -4.0),
        Range("seed", "seed of the points", 0, 99, 0, digits=0),
    )
    alt = (
        "Eigenvalues of the generated covariance by size, on a logarithmic scale. With n up to d "
        "training points all but n - 1 are zero; just above d they spread over many orders of "
        "magnitude; with many points all tend to c, below the true variance 1. A curve shows what "
        "they tend to for large n and d; they lie along it."
    )
    return Live(
        frame,
        axes,
        alt,
        "What is generated",
        number="5.1",
        view="spectrum",
        given={
            "width": width, "most": most,
            "y": [stream(seed, POINTS).initial_seed() for seed in range(100)],
            "z": [stream(seed, NOISE).initial_seed() for seed in range(100)],
        },
        state={},
        play="n",
    )  # fmt: skip


EXPLORERS = {"onset": onset, "spectrum": spectrum}
