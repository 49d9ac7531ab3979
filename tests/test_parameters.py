"""Parameters of the chapters: what a notebook and a command line are told, before any work."""

import json
import math
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT

from memnb import parameters
from memnb.__main__ import _pairs, main
from memnb.book.layout import Layout

CHAPTERS = list(parameters.CHAPTERS)


def code_cells(chapter):
    cells = json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_every_chapter_has_its_parameters_and_no_other():
    assert Layout(ROOT).chapters() == CHAPTERS


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_parameters_cell_assigns_the_defaults(chapter):
    cell = code_cells(chapter)[0]
    assert "parameters" in cell["metadata"]["tags"]
    values = {}
    exec("".join(cell["source"]), {}, values)
    assert values == {k: v.default for k, v in parameters.CHAPTERS[chapter].parameters.items()}
    assert [type(v) for v in values.values()] == [
        type(v) for v in parameters.check(chapter).values()
    ]


class Checked(Exception):
    pass


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_first_cell_checks_all_parameters_before_any_work(chapter, monkeypatch):
    def check(*arguments, **values):
        raise Checked(arguments, values)

    monkeypatch.setattr(parameters, "check", check)
    cell, setup = code_cells(chapter)[:2]
    values = {}
    exec("".join(cell["source"]), values)
    with pytest.raises(Checked) as caught:
        exec("".join(setup["source"]), values)
    own = {name: p.default for name, p in parameters.CHAPTERS[chapter].parameters.items()}
    assert caught.value.args == ((chapter,), own)


BAD = [
    ("01", {"N": 32}, "N must be between 2 and d + 1 = 31, got 32"),
    ("01", {"N": 1}, "N must be between 2 and 1001, got 1"),
    ("01", {"N": 3.0}, "N must be an integer, got 3.0"),
    ("01", {"N": True}, "N must be an integer, got True"),
    ("01", {"N": None}, "N must be an integer, got None"),
    ("01", {"d": 0}, "d must be between 1 and 1000, got 0"),
    ("01", {"rho": 0.5}, "rho must be in (0, 0.5), got 0.5"),
    ("01", {"rho": 0}, "rho must be in (0, 0.5), got 0"),
    ("01", {"rho": -1e-3}, "rho must be in (0, 0.5), got -0.001"),
    ("01", {"rho": math.nan}, "rho must be in (0, 0.5), got nan"),
    ("01", {"rho": "0.1"}, "rho must be a real number, got '0.1'"),
    ("01", {"threshold": -0.2}, "threshold must be in (0, inf), got -0.2"),
    ("01", {"threshold": math.inf}, "threshold must be in (0, inf), got inf"),
    ("01", {"norm": "l1"}, "norm must be one of 'l2', 'linf', got 'l1'"),
    ("01", {"norm": None}, "norm must be one of 'l2', 'linf', got None"),
    ("01", {"seed": -1}, "seed must be between 0 and 4294967295, got -1"),
    ("01", {"seed": 2**64}, "seed must be between 0 and 4294967295, got 18446744073709551616"),
    ("01", {"profile": "fast"}, "profile must be one of 'quick', 'paper', got 'fast'"),
    ("01", {"n_starts": 0}, "n_starts must be between 1 and 1000000, got 0"),
    ("01", {"Nn": 5}, "no parameter 'Nn', allowed: N, d, rho, threshold, norm, n_starts, seed"),
    ("02", {"alpha": 0.5, "sigma_T": 1.0}, "initial ball radius rho and must be below"),
    ("02", {"alpha": None}, "alpha must be a real number, got None"),
    ("02", {"sigma_T": -1}, "sigma_T must be in (0, inf), got -1"),
    ("03", {"norm": "linf"}, "no parameter 'norm', allowed: N, d, opening, rho, threshold"),
    ("03", {"opening": 1.0}, "opening must be in (0, 1), got 1"),
    ("03", {"opening": None}, "opening must be a real number, got None"),
    ("03", {"rho": None}, "rho must be a real number, got None"),
    ("04", {"live_N": 7}, "live_N must be between 2 and live_d + 1 = 6, got 7"),
    ("04", {"n_check": 501}, "n_check must be between 1 and 500, got 501"),
    ("05", {"T": -1.0}, "T must be in [1e-06, 300], got -1"),
    ("05", {"T": 400}, "T must be in [1e-06, 300], got 400"),
    ("05", {"lam": 0.0}, "lam must be in [1e-09, 1e+12], got 0"),
    ("05", {"lam": 2 + 3j}, "lam must be a real number, got (2+3j)"),
    ("05", {"lam": {1, 2}}, "lam must be a real number, got {1, 2}"),
    ("05", {"n_simulations": 1}, "n_simulations must be between 20 and 100000, got 1"),
    ("06", {"theta": 1.5}, "theta must be in (0, 1], got 1.5"),
    ("06", {"theta": "1/3"}, "theta must be a real number, got '1/3'"),
    ("06", {"n_live": 31}, "n_live must be one of 10, 30, 100, 300, 1000, got 31"),
    ("06", {"n_live": 30.0}, "n_live must be an integer, got 30.0"),
    ("06", {"seed": 5}, "seed must be between 0 and 4, got 5"),
    ("06", {"threshold": 0.5}, "no parameter 'threshold', allowed: theta, n_live, n_draws"),
]


@pytest.mark.parametrize(("number", "bad", "message"), BAD)
def test_bad_parameters_give_one_line(number, bad, message):
    chapter = next(c for c in CHAPTERS if c.startswith(number))
    with pytest.raises((TypeError, ValueError)) as caught:
        parameters.check(chapter, **bad)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("chapter", "pairs", "message"),
    [
        ("01", ("rho", "-1e-3"), "rho must be in (0, 0.5), got -0.001"),
        ("01", ("rho", "nan"), "rho must be in (0, 0.5), got nan"),
        ("01", ("rho", "None"), "rho must be a real number, got 'None'"),
        ("01", ("N", "True"), "N must be an integer, got 'True'"),
        ("01", ("N", "21.5"), "N must be an integer, got 21.5"),
        ("01", ("N", "inf"), "N must be an integer, got inf"),
        ("01", ("seed", "1e30"), "seed must be between 0 and 4294967295, got 1"),
        ("01", ("Nn", "5"), "no parameter 'Nn', allowed: N, d, rho"),
        ("03", ("norm", "linf"), "no parameter 'norm', allowed: N, d, opening"),
        ("05", ("lam", "2+3j"), "lam must be a real number, got '2+3j'"),
        ("06", ("n_live", "7"), "n_live must be one of 10, 30, 100, 300, 1000, got 7"),
    ],
)
def test_the_command_line_refuses_bad_parameters(chapter, pairs, message, tmp_path, capsys):
    folder = tmp_path / "out"
    assert main(["run", chapter, "-p", *pairs, "--output", str(folder)]) == 1
    line = capsys.readouterr().err
    assert line.startswith(f"memnb: chapter {chapter}-") and message in line
    assert line.count("\n") == 1 and not folder.exists()


def test_a_bad_parameter_is_refused_without_torch_and_at_once():
    """Processor time of its own, which does not depend on what else the machine does."""
    code = (
        "import sys, time; from memnb.__main__ import main;"
        "status = main(['run', '-p', 'seed', '-1']);"
        "slow = {'torch', 'numpy', 'nbformat'} & set(sys.modules);"
        "print(status, *slow, time.process_time())"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    wall = time.monotonic() - began
    status, *slow, seconds = done.stdout.split()
    assert (status, slow) == ("1", []), done.stderr
    assert "seed must be between 0 and" in done.stderr and done.stderr.count("\n") == 1
    assert float(seconds) < 1.5 and wall < 60


def test_numbers_on_a_command_line_have_no_types():
    texts = {"N": "21.0", "seed": "1e3", "rho": "1e-3", "threshold": "1", "norm": "linf"}
    values = parameters.read(CHAPTERS[0], texts)
    assert values == {"N": 21, "seed": 1000, "rho": 0.001, "threshold": 1.0, "norm": "linf"}
    assert [type(v) for v in values.values()] == [int, int, float, float, str]


ANYTHING = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=8), st.complex_numbers(),
    st.lists(st.integers(), max_size=2), st.floats(0, 1), st.integers(0, 40),
    st.sampled_from(["l2", "linf", "quick", "paper"]),
)  # fmt: skip


@given(st.sampled_from(CHAPTERS), st.data())
def test_random_parameters_pass_or_give_one_line(chapter, data):
    names = st.sampled_from([*parameters.CHAPTERS[chapter].parameters, "Nn", "x"])
    values = data.draw(st.dictionaries(names, ANYTHING, max_size=4))
    for check in (
        lambda: parameters.check(chapter, **values),
        lambda: parameters.read(chapter, {name: str(v) for name, v in values.items()}),
    ):
        try:
            passed = check()
        except (TypeError, ValueError) as error:
            assert "\n" not in str(error).replace(repr(values), "")
            assert any(name in str(error) for name in values)
        else:
            json.dumps(passed, allow_nan=False)
            for name, value in passed.items():
                assert type(value) is type(parameters.CHAPTERS[chapter].parameters[name].default)


@pytest.mark.parametrize("words", [["-p", "N", "--output", "x"], ["-p", "N"], ["-p"]])
def test_a_parameter_without_a_value_is_refused(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["run", "01", *words])
    assert stop.value.code == 2
    assert "argument -p: expected 2 arguments" in capsys.readouterr().err


def test_pairs_are_taken_out_wherever_they_stand():
    words = ["run", "-p", "rho", "-1e-3", "01", "-p", "N", "5", "--output", "x", "-p", "N", "6"]
    assert _pairs(words) == (["run", "01", "--output", "x"], {"rho": "-1e-3", "N": "6"})
