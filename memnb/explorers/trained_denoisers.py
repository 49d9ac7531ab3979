r"""Chapter 4: explorers of committed results, and a network that is trained live."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import plotly.graph_objects as go
import torch

from memnb.explorers.base import Axis, Explorer
from memnb.figures import classes as bars
from memnb.figures import trained_denoisers as figures
from memnb.figures.display import is_static
from memnb.minnorm.endpoints import classify
from memnb.shallow import METHODS, Diverged, NotConverged
from memnb.shallow.flows import LOW
from memnb.shallow.readback import ends as kept_ends
from memnb.shallow.readback import load_flows, run_of
from memnb.shallow.small_case import small_case

__all__ = ["EXPLORERS", "Retrain", "ends"]

DIMENSIONS = (5, 10)
FINE = ("lagrangian", 10, 150)  # method, dimension and number of the finer noise levels


@cache
def _trained(method: str, d: int, S: int) -> tuple[int, ...]:
    """Numbers of points of the training sets of a run."""
    return run_of(load_flows(d, method, S)[1]).counts


@cache
def _missing(method: str, N: int, d: int, S: int) -> str:
    """Why no such network was trained, or an empty text."""
    if N not in (counts := _trained(method, d, 30)):
        return f"In d = {d}, networks were trained on {_listed(counts)} points."
    if S == FINE[2] and ((method, d) != FINE[:2] or N not in _trained(*FINE)):
        fine, dimension, levels = FINE
        counts = _trained(*FINE)
        return f"{levels} levels: {fine} in d = {dimension} on {_listed(counts)} points only."
    return ""


def _listed(counts: Sequence[int]) -> str:
    *most, last = counts
    return f"{', '.join(map(str, most))} or {last}"


def ends() -> Explorer:
    """Endpoint classes of trained and exact denoisers, from committed results.

    Returns
    -------
    Explorer
        Controls: ``method``, ``flow``, ``N``, ``d``, number ``S`` of noise levels, ``threshold``
        and ``norm``. Combinations that were not trained have no frame.
    """

    def frame(
        method: str, flow: str, N: int, d: int, S: int, threshold: float, norm: str
    ) -> go.Figure:
        data, trained, exact = kept_ends(d, method, N, S)
        beside = "exact" if flow == "score" else f"exact below σ = {LOW}"
        shares = {
            name: classify(end[flow], data, threshold, norm).fractions()
            for name, end in (("trained", trained), (beside, exact))
        }
        return bars.comparison_figure(shares)

    def missing(method: str, N: int, d: int, S: int, **_others: Any) -> str:
        return _missing(method, N, d, S)

    axes = (
        Axis("method", "training method", tuple(METHODS), "lagrangian"),
        Axis("flow", "flow", ("score", "probability"), "probability"),
        Axis("N", "training points N", (3, 5, 8, 11), 8),
        Axis("d", "dimension d", DIMENSIONS, 10),
        Axis("S", "noise levels S", (10, 30, 150), 30),
        Axis("threshold", "threshold", (0.05, 0.1, 0.2, 0.3, 0.4), 0.2),
        Axis("norm", "norm", ("l2", "linf"), "l2"),
    )
    alt = (
        "Bars of endpoint classes, trained networks beside exact denoisers. Under score flow only "
        "the Augmented Lagrangian has many virtual points, more for larger N. Under probability "
        "flow every training method leaves a part on the boundary of the hyperbox, dropout the "
        "largest; virtual points are rare."
    )
    return Explorer(
        frame, axes, alt, "Where trained flows end", number="4.9", play="N", missing=missing
    )


class Retrain:
    """A button that trains the small case anew in JupyterLab; on the website, a hint."""

    def widget(self) -> Any:
        """Sliders, button, progress bar and figure."""
        import ipywidgets

        from memnb.explorers.widget import LabFigure

        controls = {
            "N": ipywidgets.IntSlider(5, 2, 11, description="points N"),
            "d": ipywidgets.IntSlider(5, 1, 10, description="dimension d"),
            "n_noisy": ipywidgets.IntSlider(60, 20, 120, 20, description="samples M"),
            "seed": ipywidgets.IntSlider(0, 0, 9, description="seed"),
            "method": ipywidgets.Dropdown(options=list(METHODS), description="method"),
        }
        button = ipywidgets.Button(description="Train", button_style="primary")
        log = ipywidgets.Output()
        live = LabFigure(figures.training_figure(torch.ones(2, 2, 1), 1.0))

        def train(_button: Any) -> None:
            button.disabled = True
            log.clear_output()
            values = {name: control.value for name, control in controls.items()}
            # the errors are caught inside: the output would show and swallow them otherwise
            with log:
                try:
                    _, done = small_case(**values, progress=True)
                    new = figures.training_figure(done.history, float(done.closed_form[0]))
                    with live.batch_update():
                        for old, trace in zip(live.data, new.data, strict=True):
                            old.update(trace.to_plotly_json(), overwrite=True)
                    print(
                        f"{done.rounds} rounds: residual {float(done.residual[0]):.1e}, cost "
                        f"{float(done.cost[0]):.2f}, closed form {float(done.closed_form[0]):.2f}"
                    )
                except (NotConverged, Diverged, ValueError) as error:
                    print(error)
            button.disabled = False

        button.on_click(train)
        return ipywidgets.VBox([*controls.values(), button, log, live])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        if is_static():
            text = "In JupyterLab a button here trains the small network again, with other points."
            return {"text/markdown": f"*{text}*", "text/plain": text}
        return self.widget()._repr_mimebundle_()


EXPLORERS = {"trained-ends": ends}
