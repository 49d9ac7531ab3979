r"""Chapter 6: explorers of the U-Net transition.

What networks generated is read from the results of long runs, so that a slider only looks up and
measures. :class:`LiveTraining` is the exception: in JupyterLab it trains a small network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import plotly.graph_objects as go
import torch

from memnb.explorers.base import Axis, Explorer
from memnb.figures import unet_transition as figures
from memnb.figures.display import escape, is_static
from memnb.unet import metric, readback, runs, start
from memnb.unet.copies import THRESHOLD, agreement, nearest_neighbors
from memnb.unet.diffusion import make_schedule
from memnb.unet.sampling import gaussian_noise, sample
from memnb.unet.training import train

if TYPE_CHECKING:
    import ipywidgets

__all__ = ["EXPLORERS", "LiveTraining", "copies", "figure_four", "over_time", "two_networks"]

COLUMNS = 8
LABELS = ("made", "nearest")  # short: they take width from the images on a phone
THIRD = round(THRESHOLD, 3)


def copies() -> Explorer:
    """Generated digits over their nearest training digits.

    Returns
    -------
    Explorer
        Controls: number of training images ``n``, DDIM ``steps``, ``threshold`` and ``seed``.
    """

    def frame(n: int, steps: int, threshold: float, seed: int) -> go.Figure:
        training = readback.training_digits(n)
        x = readback.digit_images(n, "a", steps, seed)
        near = nearest_neighbors(x, training)
        memorized = near.memorized(threshold)
        shown = slice(0, COLUMNS)
        share = 100 * memorized.double().mean().item()
        note = f"copies among all 64: {share:.0f} %"
        rows = (x[shown], training[near.index[shown]])
        return figures.gallery_figure(rows, LABELS, memorized[shown], note)

    sizes = readback.digit_sizes()
    axes = (
        Axis("n", "training images n", sizes, 64),
        Axis("steps", "diffusion steps", runs.SAMPLE_STEPS, 25),
        Axis("threshold", "threshold θ", (0.1, 0.2, THIRD, 0.5, 0.7), THIRD),
        Axis("seed", "seed of the noise", start.NOISE_SEEDS, 1, (1, 2, 4)),
    )
    alt = (
        "Eight generated digits over the nearest training digit of each, with a mark that says "
        "copy or new. With few training images the two rows are the same; with many they differ."
    )
    return Explorer(frame, axes, alt, "Copies or new images?", number="6.2", play="n")


def two_networks() -> Explorer:
    """Images of two networks that were trained on disjoint digits, from the same noise.

    Returns
    -------
    Explorer
        Controls: number of training images ``n``, DDIM ``steps`` and ``seed``.
    """

    def frame(n: int, steps: int, seed: int) -> go.Figure:
        a, b = (readback.digit_images(n, half, steps, seed) for half in "ab")
        paired, shuffled = (v.mean().item() for v in agreement(a, b))
        note = f"similarity {paired:.2f}, shuffled {shuffled:.2f}"
        rows = (a[:COLUMNS], b[:COLUMNS])
        return figures.gallery_figure(rows, ("net A", "net B"), None, note)

    axes = (
        Axis("n", "training images n, each", readback.digit_sizes("ab"), 8),
        Axis("steps", "diffusion steps", runs.SAMPLE_STEPS, 25),
        Axis("seed", "seed of the noise", start.NOISE_SEEDS, 1, (1, 2, 4)),
    )
    alt = (
        "Eight digits of one network over eight of another, made from the same noise. With few "
        "training images they have nothing in common; with many most pairs are the same digit."
    )
    title = "Two networks, disjoint data, the same noise"
    return Explorer(frame, axes, alt, title, number="6.6", play="n")


PROTOCOLS = {
    "20 epochs, paper's schedule": ("protocol", "paper"),
    "20 epochs, cosine": ("protocol", "cosine"),
    "1000 steps, cosine": ("synthetic", "cosine"),
    "20 epochs, 12.9 million": ("paper", "paper"),
}


def figure_four() -> Explorer:
    """The paper's figure 4 under four ways of training and three ways of measuring.

    Returns
    -------
    Explorer
        Controls: ``training`` and ``rule``.
    """

    def frame(training: str, rule: str) -> go.Figure:
        run, schedule = PROTOCOLS[training]
        panels = {}
        names = {"network": "U-Net", "perfect": "perfect", "copier": "copier"}
        for generator, title in names.items():
            curves = readback.transition(run, schedule, rule, generator)
            panels[title] = {
                "n": curves["n"], "p": curves["p"],
                **{key: readback.scaled(curves[key]) for key in ("e_og", "e_tg")},
            }  # fmt: skip
        return figures.transition_figure(panels)

    axes = (
        # Where the curves move most: the other ways of training leave them nearly flat
        Axis("training", "training", tuple(PROTOCOLS), "1000 steps, cosine"),
        Axis("rule", "images", tuple(metric.RULES), "10 training, 10 original"),
    )
    alt = (
        "Probability that delta is positive and scaled distances to original and training images, "
        "against n, "
        "for the U-Net, for a generator that is perfect and for one that only copies."
    )
    return Explorer(frame, axes, alt, "The paper's Figure 4, with two controls", number="6.10")


def over_time() -> Explorer:
    """Digits that a network generates while it is trained, over their nearest training digits.

    Returns
    -------
    Explorer
        Controls: number of training images ``n`` and training ``step``. Shown is the last snapshot
        up to that step.
    """

    def frame(n: int, step: int) -> go.Figure:
        network = readback.time_networks()[n][0]
        at = max((s for s in network.snapshots if s <= step), default=network.snapshots[0])
        x, _ = readback.snapshots(network)[at]
        training = network.images()
        near = nearest_neighbors(x, training)
        memorized = near.memorized()
        share = 100 * memorized.double().mean().item()
        end = ", the last" if at < step and at == network.snapshots[-1] else ""
        note = f"after {at} steps{end}; copies among all {len(x)}: {share:.0f} %"
        rows = (x[:COLUMNS], training[near.index[:COLUMNS]])
        return figures.gallery_figure(rows, LABELS, memorized[:COLUMNS], note)

    networks = readback.time_networks()
    steps = sorted({step for some in networks.values() for step in some[0].snapshots})
    axes = (
        Axis("n", "training images n", tuple(networks), 32),
        Axis("step", "training step", steps, 480),
    )
    alt = (
        "Eight generated digits over the nearest training digit of each, with a mark that says "
        "copy or new. Early all are new, whatever n is; later they become copies, the later the "
        "more training images there are."
    )
    return Explorer(
        frame, axes, alt, "What is generated in the course of training", number="6.16", play="step"
    )


class LiveTraining:
    """A button that trains a small network on a few digits, with a progress bar.

    It trains as the run ``live`` does; on the website, where nothing can train, it is a sentence.

    Parameters
    ----------
    sizes, steps, seeds : sequence of int
        Numbers of training images, numbers of training steps and seeds to choose from. The seed is
        that of the weights, of the batches and of the noise that the images are made from.
    """

    def __init__(
        self,
        sizes: Sequence[int] = (2, 4, 8, 16, 64),
        steps: Sequence[int] = (50, 100, 200, 400, 800),
        seeds: Sequence[int] = range(10),
    ) -> None:
        self.sizes, self.steps, self.seeds = tuple(sizes), tuple(steps), tuple(seeds)

    def figure(
        self, n: int, steps: int, seed: int, on_step: Callable[[int, int], None] | None = None
    ) -> go.Figure:
        """Train on n digits; the generated images over their nearest training images."""
        training = runs.OnDigits(n, base=runs.LIVE).images()
        config = replace(runs.LIVE, steps=steps, seed=seed)
        net, _ = train(training, config, progress=False, on_step=on_step)
        noise = gaussian_noise(64, 8, seed + 1)
        x = ((sample(net, make_schedule(), noise, n_steps=25) + 1) / 2).clamp(0, 1)
        near = nearest_neighbors(x, training)
        memorized = near.memorized()
        note = f"copies: {100 * memorized.double().mean().item():.0f} %"
        rows = (x[:COLUMNS], training[near.index[:COLUMNS]])
        return figures.gallery_figure(rows, LABELS, memorized[:COLUMNS], note)

    def widget(self) -> ipywidgets.VBox:
        """The sliders, the button, its progress bar and the images, for JupyterLab.

        What goes wrong while it trains is shown in a line below the images.
        """
        import ipywidgets

        from memnb.explorers.widget import LabFigure

        def slider(options, value, name):
            value = value if value in options else options[0]
            return ipywidgets.SelectionSlider(options=options, value=value, description=name)

        size = slider(self.sizes, 4, "digits n")
        steps = slider(self.steps, runs.LIVE.steps, "steps")
        seed = slider(self.seeds, 0, "seed")
        button = ipywidgets.Button(description="Train", icon="play")
        bar = ipywidgets.IntProgress(min=0, max=steps.value, description="step")
        message = ipywidgets.HTML()
        empty = figures.gallery_figure(
            (torch.zeros(COLUMNS, 1, 8, 8),) * 2, LABELS, torch.zeros(COLUMNS, dtype=torch.bool)
        )
        live = LabFigure(empty)

        def on_step(step, total):
            if step % 10 == 0 or step == total:
                bar.value = step

        def click(_button):
            button.disabled = True
            message.value, bar.value, bar.max = "", 0, steps.value
            try:
                new = self.figure(size.value, steps.value, seed.value, on_step)
                with live.batch_update():
                    for old, trace in zip(live.data, new.data, strict=True):
                        old.update(trace.to_plotly_json(), overwrite=True)
                    live.layout.update(new.layout.to_plotly_json(), overwrite=True)
            except Exception as error:  # a callback's errors would only be in Lab's log
                message.value = f"<b>{type(error).__name__}:</b> {escape(str(error))}"
            finally:
                button.disabled = False

        button.on_click(click)
        choices = ipywidgets.HBox([size, steps, seed])
        return ipywidgets.VBox([choices, ipywidgets.HBox([button, bar]), live, message])

    def _repr_mimebundle_(self, include=None, exclude=None):
        text = (
            "In JupyterLab (make lab) there is a button here that trains a small network on a few "
            "digits, in some seconds, and shows what it generates."
        )
        if is_static():
            html = f'<p class="memnb-note"><em>{escape(text)}</em></p>'
            return {"text/html": html, "text/plain": text}
        return self.widget()._repr_mimebundle_()


EXPLORERS = {
    "copies": copies,
    "two-networks": two_networks,
    "figure-four": figure_four,
    "over-time": over_time,
}
