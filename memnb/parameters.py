"""All chapters: their parameters, with defaults, ranges and the checks across them.

A chapter's parameters cell assigns the defaults written here, and its first cell calls
:func:`check`. ``python -m memnb run`` reads the values of its command line with :func:`read`, by
the same rules and before anything is started; torch is not imported for it.

Ranges end where the mathematics does, or where a computation would need more memory than a usual
machine has. An integer is an integer in a notebook; on a command line, where numbers have no
types, ``21.0`` and ``1e3`` are integers as well.
"""

import difflib
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from memnb.validation import NORMS, check_choice, check_integer, check_real

__all__ = ["CHAPTERS", "PROFILES", "Parameter", "check", "read"]

PROFILES = ("quick", "paper")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a chapter.

    Parameters
    ----------
    default : int, float or str
        What the parameters cell assigns; the type is that of all allowed values.
    low, high : float, optional
        Range of a number. The ends belong to it for an integer; for a real number only if
        ``closed`` names them.
    closed : str
        ``"low"``, ``"high"`` or both, as in ``"low high"``.
    choices : tuple, optional
        Everything that is allowed, instead of a range.
    """

    default: Any
    low: float = -math.inf
    high: float = math.inf
    closed: str = ""
    choices: tuple[Any, ...] = ()

    def check(self, name: str, value: Any) -> Any:
        """Return the value in its type, or raise ``TypeError`` or ``ValueError``."""
        if self.choices:
            if isinstance(self.default, int):
                value = check_integer(name, value, -math.inf)
            return check_choice(name, value, self.choices)
        if isinstance(self.default, int):
            return check_integer(name, value, int(self.low), int(self.high))
        ends = {f"open_{end}": end not in self.closed.split() for end in ("low", "high")}
        return check_real(name, value, self.low, self.high, **ends)

    def read(self, name: str, text: str) -> Any:
        """Return the value that a text stands for, or raise like :meth:`check`."""
        value: Any = text
        if not isinstance(self.default, str):
            try:
                number = float(text)
                value = int(text) if text.strip().lstrip("+-").isdecimal() else number
                if isinstance(self.default, int) and number.is_integer():
                    value = int(value)
            except ValueError:
                value = text  # no number: the check says so
        return self.check(name, value)


def _nothing(values: Mapping[str, Any]) -> None:
    """There is nothing to check across the parameters."""


@dataclass(frozen=True)
class _Chapter:
    parameters: dict[str, Parameter]
    across: Callable[[Mapping[str, Any]], None] = _nothing


_PROFILE = Parameter("quick", choices=PROFILES)
_SEED = Parameter(0, 0, 2**32 - 1)
_DIM = Parameter(30, 1, 1000)
_THRESHOLD = Parameter(0.2, 0)
_STARTS = Parameter(500, 1, 1_000_000)
_RHO = Parameter(0.1, 0, 0.5)


def _simplex_fits(values: Mapping[str, Any], points: str = "N", dim: str = "d") -> None:
    d = values[dim]
    if values[points] > d + 1:
        raise ValueError(
            f"{points} must be between 2 and {dim} + 1 = {d + 1}, got {values[points]}: "
            f"a simplex has at most {dim} + 1 points"
        )


def _trained_simplex_fits(values: Mapping[str, Any]) -> None:
    _simplex_fits(values, "live_N", "live_d")


def _balls_stay_apart(values: Mapping[str, Any]) -> None:
    _simplex_fits(values)
    alpha, sigma = values["alpha"], values["sigma_T"]
    if alpha * sigma >= 0.5:
        raise ValueError(
            "alpha * sigma_T is the initial ball radius rho and must be below length / 2 = 0.5, "
            f"got {alpha:g} * {sigma:g} = {alpha * sigma:g}"
        )


CHAPTERS: dict[str, _Chapter] = {
    "01-score-flow": _Chapter(
        {
            "N": Parameter(11, 2, 1001),
            "d": _DIM,
            "rho": _RHO,
            "threshold": _THRESHOLD,
            "norm": Parameter("l2", choices=NORMS),
            "n_starts": _STARTS,
            "seed": _SEED,
            "profile": _PROFILE,
        },
        _simplex_fits,
    ),
    "02-probability-flow": _Chapter(
        {
            "N": Parameter(11, 2, 1001),
            "d": _DIM,
            "alpha": Parameter(0.3, 0),
            "sigma_T": Parameter(1.0, 0),
            "threshold": _THRESHOLD,
            "norm": Parameter("l2", choices=NORMS),
            "n_starts": _STARTS,
            "seed": _SEED,
            "profile": _PROFILE,
        },
        _balls_stay_apart,
    ),
    "03-simplex-data": _Chapter(
        {
            "N": Parameter(6, 2, 1001),
            "d": _DIM,
            "opening": Parameter(0.3, 0, 1),
            "rho": _RHO,
            "threshold": _THRESHOLD,
            "n_starts": _STARTS,
            "seed": _SEED,
            "profile": _PROFILE,
        },
        _simplex_fits,
    ),
    "04-trained-denoisers": _Chapter(
        {
            "live_N": Parameter(5, 2, 31),
            "live_d": Parameter(5, 1, 100),
            "threshold": _THRESHOLD,
            "norm": Parameter("l2", choices=NORMS),
            "n_check": Parameter(50, 1, 500),
            "seed": _SEED,
            "profile": _PROFILE,
        },
        _trained_simplex_fits,
    ),
    "05-linear-model": _Chapter(
        {
            "d": Parameter(16, 1, 1000),
            "N": Parameter(1000, 2, 100_000),
            # Beyond these, signal or noise is lost to rounding
            "T": Parameter(2.0, 1e-6, 300, "low high"),
            "lam": Parameter(math.exp(-4), 1e-9, 1e12, "low high"),
            "n_simulations": Parameter(200, 20, 100_000),
            "seed": _SEED,
            "profile": _PROFILE,
        }
    ),
    "06-unet-transition": _Chapter(
        {
            "theta": Parameter(1 / 3, 0, 1, "high"),
            "n_live": Parameter(30, choices=(10, 30, 100, 300, 1000)),
            "n_draws": Parameter(200, 2, 100_000),
            "seed": Parameter(0, 0, 4),
            "profile": _PROFILE,
        }
    ),
    "07-audit": _Chapter(
        {
            "n": Parameter(1000, 50, 20_000),
            "d": Parameter(64, 1, 3072),
            "share": Parameter(0.1, 0, 1, "low high"),
            "theta": Parameter(1 / 3, 0, 1, "high"),
            "seed": _SEED,
            "profile": _PROFILE,
        }
    ),
}


def _known(chapter: str, names: Iterable[str]) -> _Chapter:
    """The chapter's entry, if it has parameters of these names."""
    if chapter not in CHAPTERS:
        raise ValueError(f"unknown chapter {chapter!r}, allowed: {', '.join(CHAPTERS)}")
    check_names(names, CHAPTERS[chapter].parameters)
    return CHAPTERS[chapter]


def check_names(names: Iterable[str], allowed: Collection[str]) -> None:
    """Raise ``ValueError`` if one of the names is not among those of a chapter's parameters."""
    for name in names:
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, 1)
            hint = f"; is {near[0]} meant?" if near else ""
            raise ValueError(f"no parameter {name!r}, allowed: {', '.join(allowed)}{hint}")


def check(chapter: str, **values: Any) -> dict[str, Any]:
    """Check the parameters of a chapter, before any work.

    Parameters
    ----------
    chapter : str
        File name of the chapter without extension.
    **values
        Its parameters. Those that are not given have their defaults.

    Returns
    -------
    dict
        All parameters of the chapter in their types.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If there is no such parameter or chapter, or a value is not allowed; the message names it.

    Examples
    --------
    >>> check("03-simplex-data", N=4, d=3)["opening"]
    0.3
    >>> check("03-simplex-data", N=4, d=2)
    Traceback (most recent call last):
        ...
    ValueError: N must be between 2 and d + 1 = 3, got 4: a simplex has at most d + 1 points
    >>> check("03-simplex-data", n_start=4)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: no parameter 'n_start', allowed: N, d, opening, ... is n_starts meant?
    """
    entry = _known(chapter, values)
    checked = {
        name: parameter.check(name, values.get(name, parameter.default))
        for name, parameter in entry.parameters.items()
    }
    entry.across(checked)
    return checked


def read(chapter: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Read and check parameters of a chapter that come as text, as on a command line.

    Parameters
    ----------
    chapter : str
        File name of the chapter without extension.
    texts : mapping of str to str
        Some of its parameters.

    Returns
    -------
    dict
        Those that were given, in their types.

    Raises
    ------
    TypeError, ValueError
        Like :func:`check`.

    Examples
    --------
    >>> read("01-score-flow", {"N": "21.0", "rho": "1e-3", "seed": "1e3"})
    {'N': 21, 'rho': 0.001, 'seed': 1000}
    """
    entry = _known(chapter, texts)
    values = {name: entry.parameters[name].read(name, text) for name, text in texts.items()}
    check(chapter, **values)
    return values
