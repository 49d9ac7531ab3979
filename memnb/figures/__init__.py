"""Plotly figures: pure functions from tensors to ``plotly.graph_objects.Figure``.

:mod:`memnb.figures.style` holds the look they share; the other modules belong to one chapter each.
"""

__all__ = []
