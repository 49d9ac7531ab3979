"""Answers to exercises: the right one passes, near misses do not, and a line says what is wrong."""

import json
import math
import re

import numpy as np
import pytest
import torch
from support import ROOT

from memnb.exercises import EXERCISES, check

# The closed forms of the chapters' solutions, which the package does not use
Q = 1 - 0.5 * (1 + math.erf(0.5 / math.sqrt(2)))
BELOW = 0.5 * math.erfc(1 / math.sqrt(2))  # P(z > 1), z standard normal
UP = BELOW / (BELOW + 0.5)
C = 0.505  # as the paper prints it
CLOSED = {
    "ex-round": [1, 0, 0],
    "ex-leave": 4 * math.log(8),
    "ex-half": min(K + 1 for K in range(1, 20) if (1 - Q) ** K + K * Q * (1 - Q) ** (K - 1) < 0.5),
    "ex-pf-end": [0.75, 0.375, 0],
    "ex-pf-end time": (0.45 / 0.3) ** 2,
    "ex-pf-steps": min(m for m in range(1, 300) if 5 * math.comb(2 * m, m) / 4**m < 0.2),
    "ex-pf-share": (1 - UP) ** 10 + 10 * UP * (1 - UP) ** 9,
    "ex-angle": 2 * abs(math.cos(math.radians(100))),
    "ex-angle pairs": abs(math.cos(math.radians(100))),
    "ex-slack": math.exp(4.5) / 11,
    "ex-linear-stop": 0.5 * math.log(2),
    "ex-linear-floor": math.ceil(2 * math.log(2) / math.log((1 + C) / (2 * math.sqrt(C)))),
    "ex-linear-floor c": 0.716,
    "ex-unet-null": 1 - 0.05 ** (1 / 297),
    "ex-audit-two": 1 / 9,
    "ex-audit-size": 0.505,
}
MEASURED = {"ex-large-sums", "ex-unet-onset"}  # on kept networks


def misses(truth, exercise):
    """Answers that are off by twice the tolerance, or by one where it is exact."""
    off = 2 * (exercise.relative * np.abs(truth).max() + exercise.absolute) or 1.0
    for k in range(truth.size):
        for sign in (-1, 1):
            wrong = truth.copy().reshape(-1)
            wrong[k] += sign * off
            yield wrong.reshape(truth.shape)


@pytest.mark.parametrize("name", EXERCISES)
def test_the_right_answer_passes_and_near_misses_do_not(name):
    exercise = EXERCISES[name]
    truth = exercise.solution()
    for value in (truth, truth.tolist(), torch.from_numpy(truth)):
        answer = check(name, value)
        assert answer.right and answer.line.startswith("Right. ")
    for wrong in misses(truth, exercise):
        answer = check(name, wrong)
        assert not answer.right and answer.line.startswith("Not yet: ")
        assert "\n" not in answer.line


def test_every_solution_in_closed_form_is_accepted():
    assert CLOSED.keys() | MEASURED == EXERCISES.keys()
    for name, value in CLOSED.items():
        assert check(name, value), name
        assert check(name, value).right, (name, check(name, value))


def test_what_the_closed_forms_say_agrees_far_within_the_tolerance():
    """But for the one that is a share of random points."""
    for name, value in CLOSED.items():
        exercise = EXERCISES[name]
        truth = exercise.solution()
        limit = exercise.relative * np.abs(truth).max() + exercise.absolute + 1e-9
        assert np.abs(truth - value).max() <= limit / (2 if name == "ex-audit-two" else 4), name


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ex-leave", 16.64, "too large by a factor of 2"),
        ("ex-leave", 0, "too small by 8.3"),
        ("ex-leave", -4 * math.log(8), "the sign is wrong"),
        ("ex-leave", [8.3, 8.3], "one number is asked for, got shape (2,)"),
        ("ex-leave", math.nan, "finite"),
        ("ex-half", 6, "too small by a factor of 1.17"),
        ("ex-half", 8, "too large by a factor of 1.14"),
        ("ex-round", 1.0, "3 numbers are asked for"),
        ("ex-round", [0, 1, 0], "another order"),
        ("ex-pf-end", [0.75, 0.45, 0], "not right: number 2"),
        ("ex-pf-share", 26.5, "right in percent"),
        ("ex-pf-share", 1 - 0.2652, "share of the others"),
        ("ex-unet-onset", 1.2, "too large by 0.3"),
        ("ex-unet-onset", 0, "too small by 0.8"),
    ],
)
def test_a_wrong_answer_gets_one_helpful_line(name, value, said):
    answer = check(name, value)
    assert not answer.right and said in answer.line


def test_a_batch_of_one_point_is_a_point():
    assert check("ex-round", torch.tensor([[1.0, 0.0, 0.0]])).right


def test_without_an_answer_nothing_is_computed(monkeypatch):
    monkeypatch.setattr("memnb.exercises._solved", lambda name: pytest.fail("computed"))
    for name, exercise in EXERCISES.items():
        answer = check(name, ...)
        assert not answer.right and answer.line == f"Asked for: {exercise.asks}."


def test_unknown_names_and_no_numbers_are_refused_in_one_line():
    with pytest.raises(ValueError, match=r"name must be .*ex-round.*ex-audit-size.*'ex-leaf'"):
        check("ex-leaf", 1)
    with pytest.raises(TypeError, match=r"value must be a number .*'eight'"):
        check("ex-leave", "eight")


def test_every_exercise_has_its_cell_below_its_question():
    """Each label is in the chapter that the entry names, and its cell follows the question."""
    asked = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        label = None
        for cell in json.loads(path.read_text())["cells"]:
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                label = (re.findall(r"\{exercise\}\n:label: (\S+)", text) or [None])[-1]
            for name in re.findall(r'exercises\.check\("([^"]+)", \.\.\.\)', text):
                assert cell["metadata"]["tags"] == ["remove-cell"]
                assert name.split()[0] == label, name
                asked[name] = path.stem
    assert asked == {name: exercise.chapter for name, exercise in EXERCISES.items()}
