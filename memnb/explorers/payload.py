"""All chapters: the frames of an explorer, stored so that a page stays small.

Frames of one explorer are alike: a slider that moves a mark changes one title and one line. The
first frame is stored whole and every other one as what has to be merged into it (JSON Merge Patch,
RFC 7396), cut in pieces: one for each trace and each property of the layout that differs. Equal
pieces are stored once.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

import plotly.graph_objects as go

__all__ = ["frames_of", "merged", "patch"]

Json = Any


def patch(old: Json, new: Json) -> Json:
    """What has to be merged into one JSON value to get another.

    Parameters
    ----------
    old, new : dict, list, str, float, bool or None
        Values of JSON, without ``None`` as a value inside of objects, which means deletion here.

    Returns
    -------
    dict, list, str, float, bool or None
        ``merged(old, patch(old, new)) == new``; an empty dict for equal objects.

    Examples
    --------
    >>> patch({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4, "d": 3}})
    {'a': None, 'b': {'c': 4}}
    """
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    changed: dict[str, Json] = dict.fromkeys((key for key in old if key not in new), None)
    for key, value in new.items():
        if key not in old:
            changed[key] = value
        elif _text(old[key]) != _text(value):
            changed[key] = patch(old[key], value)
    return changed


def merged(old: Json, change: Json) -> Json:
    """A JSON value with a patch merged into it (RFC 7396, section 2); neither is changed.

    Examples
    --------
    >>> merged({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": 4}})
    {'b': {'c': 4, 'd': 3}}
    """
    if not isinstance(change, dict):
        return change
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in change.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merged(new.get(key), value)
    return new


def _text(value: Json) -> str:
    """Equal texts for values that are equal in JSON, where 1 and true are not."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def frames_of(
    first: go.Figure, frames: Iterable[tuple[dict[str, Any], Callable[[], go.Figure] | str]]
) -> dict[str, Json]:
    """Figures as one first figure and, for each, the pieces of a patch.

    Parameters
    ----------
    first : plotly.graph_objects.Figure
    frames : iterable of (dict, callable or str)
        The values of the controls, and what draws the figure for them; a text says why there is
        none.

    Returns
    -------
    dict
        ``first``: the first figure, its traces in an object by their place; ``pool``: every
        distinct piece; ``reasons``: every distinct text; ``frames``: for each frame the places of
        its pieces in the pool, or the place of the text that says why it is missing.

    Raises
    ------
    ValueError
        If two frames differ in the types of their traces.
    """
    start = _as_json(first)
    kinds = [trace["type"] for trace in start["data"].values()]
    pool: dict[str, int] = {}
    reasons: dict[str, int] = {}
    places: list[list[int] | int] = []
    for values, draw in frames:
        if isinstance(draw, str):
            places.append(reasons.setdefault(draw, len(reasons)))
            continue
        figure = _as_json(draw())
        here = [trace["type"] for trace in figure["data"].values()]
        if here != kinds:
            raise ValueError(f"frame at {values} has traces {here}, the first one {kinds}")
        changed = patch(start, figure)
        pieces = [
            _text({part: {key: change}})
            for part, changes in changed.items()
            for key, change in changes.items()
        ]
        places.append([pool.setdefault(piece, len(pool)) for piece in pieces])
    return {
        "first": start,
        "pool": [json.loads(piece) for piece in pool],
        "reasons": list(reasons),
        "frames": places,
    }


def _as_json(figure: go.Figure) -> dict[str, Json]:
    """A figure with its traces in an object by their place, as patches do not look into lists."""
    parts = json.loads(figure.to_json())
    return {
        "data": {str(i): trace for i, trace in enumerate(parts["data"])},
        "layout": parts["layout"],
    }
