"""Chapters 1 to 7: explorers; ``ALL`` maps each name to a factory with the book's defaults."""

from memnb.explorers import (
    auditing,
    linear_model,
    probability_flow,
    score_flow,
    simplex_data,
    trained_denoisers,
    unet_transition,
)
from memnb.explorers.base import Axis, Explorer

__all__ = ["ALL", "Axis", "Explorer"]

ALL = {
    **score_flow.EXPLORERS,
    **probability_flow.EXPLORERS,
    **simplex_data.EXPLORERS,
    **trained_denoisers.EXPLORERS,
    **linear_model.EXPLORERS,
    **unet_transition.EXPLORERS,
    **auditing.EXPLORERS,
}
