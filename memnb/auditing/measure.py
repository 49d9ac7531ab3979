"""Chapter 7: what a measure of memorization says of a generator, beside its null."""

from dataclasses import dataclass, field

__all__ = ["Measure"]


@dataclass(frozen=True)
class Measure:
    """One number about generated points and the same about held-out points.

    Parameters
    ----------
    name, title : str
        Key, and words for readers.
    value, error : float
        For generated points, with its standard error.
    null, null_error : float
        For held-out points, or what theory says of points that are no copies.
    p : float
        Probability of a value at least as far toward copying if nothing is copied.
    copied : float
        The share of copies that the value stands for; nan where it stands for none.
    sees, blind : str
        One sentence each on what the measure can see and what it cannot.
    note : str
        What else to know about this value.
    curve : dict of str to list of float
        More than one number, as ``threshold``, ``generated`` and ``held_out``.
    """

    name: str
    title: str
    value: float
    error: float
    null: float
    null_error: float
    p: float
    copied: float
    sees: str
    blind: str
    note: str = ""
    curve: dict[str, list[float]] = field(default_factory=dict)
