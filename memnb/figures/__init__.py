"""Chapters 1 to 7: plotly figures, pure functions from tensors to ``plotly.graph_objects.Figure``.

One module for each chapter, and what they share: :mod:`memnb.figures.style` holds the look,
:mod:`memnb.figures.curves` named curves, :mod:`memnb.figures.classes` endpoint classes,
:mod:`memnb.figures.planes` pictures of a plane, :mod:`memnb.figures.display` how a figure is shown
with its number and caption, and :mod:`memnb.figures.tables` tables. The docstring of a figure's
function names the figures of the book that it draws; those of the general
:func:`memnb.figures.curves.curves_figure` are found by their number in the chapters.
"""

__all__ = []
