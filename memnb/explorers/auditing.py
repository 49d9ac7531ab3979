"""Explorer of the chapter on audits: how far measured shares of copies are from the true one."""

from functools import cache

import plotly.graph_objects as go

from memnb.auditing import calibration
from memnb.explorers.base import Axis, Explorer
from memnb.figures import auditing as figures
from memnb.figures.style import MARK

__all__ = ["EXPLORERS", "audit_shares"]


def audit_shares(seed: int = 0) -> Explorer:
    """Measured against true shares of copies.

    Parameters
    ----------
    seed : int
        Seed of the data.

    Returns
    -------
    Explorer
        Controls: true ``share`` (read off), ``blur`` of the copies, ``other`` points, number ``n``
        of points, dimension ``d``.
    """

    @cache
    def mixtures(n, d):
        return calibration.mixtures(n, d, seed=seed)

    @cache  # the share only moves the line
    def drawn(blur, other, n, d):
        values = calibration.measured_shares(mixtures(n, d), blur, other)
        return values, figures.measured_shares_figure({"": values}, calibration.SHARES)

    def frame(share, **setting):
        values, curves = drawn(**setting)
        figure = go.Figure(curves)
        at = calibration.SHARES.index(share)
        measured = {words: f"{values[name][at]:.2f}" for name, words in figures.NAMES.items()}
        measured["C_T"] = f"{values['cells'][at]:.1f}"
        copied, near, *others = (f"{words} {value}" for words, value in measured.items())
        figure.add_shape(type="line", x0=share, x1=share, y0=0, y1=1, yref="y domain", **MARK)
        # Short lines, which a phone shows whole
        return figure.update_layout(
            height=figure.layout.height + 40, margin_b=figure.layout.margin.b + 40
        ).update_xaxes(
            title=f"true share of copies<br>at {share:g}: {copied}<br>{near}<br>{', '.join(others)}"
        )

    axes = (
        Axis("share", "true share", calibration.SHARES, 0.1),
        Axis("blur", "blur of copies", (0.0, 0.5, 1.0), 0.0),
        Axis("other", "other points", calibration.OTHERS, "as the data"),
        Axis("n", "number n of points", (100, 300, 1000), 300),
        Axis("d", "dimension d", (2, 8, 32), 8),
    )
    alt = (
        "Share of copies that three measures stand for, against the true share. For exact copies "
        "beside new points of the right law all lie near the diagonal. For blurred copies the one "
        "that compares the two nearest training points misses them; for points drawn too narrow "
        "authenticity reports copies where there are none."
    )
    return Explorer(frame, axes, alt, "True and measured shares", number="7.5", play="n")


EXPLORERS = {"audit-shares": audit_shares}
