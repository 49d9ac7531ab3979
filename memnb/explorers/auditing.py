"""Explorer of the chapter on audits: how far measured shares of copies are from the true one."""

from memnb.auditing import calibration
from memnb.explorers.base import Axis, Explorer
from memnb.figures import auditing as figures
from memnb.figures.style import MARK

__all__ = ["EXPLORERS", "audit_shares"]


def audit_shares(n: int = 300, seed: int = 0) -> Explorer:
    """Measured against true shares of copies.

    Parameters
    ----------
    n : int
        Number of training, held-out and generated points.
    seed : int
        Seed of the data.

    Returns
    -------
    Explorer
        Sliders: true ``share`` (read off), ``blur`` of the copies, ``other`` points, dimension
        ``d``.
    """

    def frame(share, blur, other, d):
        mixtures = calibration.mixtures(n, d, seed=seed)
        values = calibration.measured_shares(mixtures, blur, other)
        figure = figures.measured_shares_figure({"": values}, calibration.SHARES)
        at = calibration.SHARES.index(share)
        told = ", ".join(f"{words} {values[name][at]:.2f}" for name, words in figures.NAMES.items())
        figure.add_shape(type="line", x0=share, x1=share, y0=0, y1=1, yref="y domain", **MARK)
        return figure.update_xaxes(
            title=f"true share of copies<br>at {share:g}: {told}, C_T {values['cells'][at]:.1f}"
        )

    axes = (
        Axis("share", "true share", calibration.SHARES, 0.1, (0.0, 0.1, 1.0)),
        Axis("blur", "blur of copies", (0.0, 0.5, 1.0), 0.0, (0.0, 0.5, 1.0)),
        Axis("other", "other points", calibration.OTHERS, "as the data", calibration.OTHERS),
        Axis("d", "dimension d", (2, 8, 32), 8, (2, 8, 32)),
    )
    alt = (
        "Share of copies that three measures stand for, against the true share. For exact copies "
        "beside new points of the right law all lie near the diagonal. For blurred copies the one "
        "that compares the two nearest training points misses them; for points drawn too narrow "
        "authenticity reports copies where there are none."
    )
    return Explorer(frame, axes, alt, "True and measured shares", number="7.5")


EXPLORERS = {"audit-shares": audit_shares}
