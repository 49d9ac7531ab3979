"""Chapters 1 to 7: explorers; ``ALL`` maps each name to a factory with the book's defaults."""

import importlib
from typing import Any

from memnb.explorers.base import Axis, Explorer

__all__ = ["ALL", "Axis", "Explorer"]

_CHAPTERS = (
    *("score_flow", "probability_flow", "simplex_data", "trained_denoisers"),
    *("linear_model", "unet_transition", "auditing"),
)


def __getattr__(name: str) -> Any:
    """``ALL``, when it is first used (PEP 562): a chapter loads its own explorers only."""
    if name != "ALL":
        raise AttributeError(f"module 'memnb.explorers' has no attribute {name!r}")
    modules = [importlib.import_module(f"memnb.explorers.{chapter}") for chapter in _CHAPTERS]
    value = {key: make for module in modules for key, make in module.EXPLORERS.items()}
    globals()[name] = value
    return value
