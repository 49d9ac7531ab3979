"""Every bad parameter of a chapter gives one error that names it, and good ones pass."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memnb import check_chapter

GOOD = {
    "N": 11, "d": 30, "threshold": 0.2, "norm": "l2", "n_starts": 500, "seed": 0,
    "profile": "quick",
}  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"N": 32}, ValueError, "N must be between 2 and d + 1 = 31, got 32"),
        ({"N": 1}, ValueError, "N must be at least 2, got 1"),
        ({"N": 3.0}, TypeError, "N must be an integer, got 3.0"),
        ({"N": True}, TypeError, "N must be an integer, got True"),
        ({"d": 0}, ValueError, "d must be at least 1, got 0"),
        ({"rho": 0.5}, ValueError, "rho must be in (0, 0.5), got 0.5"),
        ({"rho": 0}, ValueError, "rho must be in (0, 0.5), got 0"),
        ({"rho": math.nan}, ValueError, "rho must be in (0, 0.5), got nan"),
        ({"rho": "0.1"}, TypeError, "rho must be a real number, got '0.1'"),
        ({"rho": 0.6, "length": 1.1}, ValueError, "rho must be in (0, 0.55), got 0.6"),
        ({"threshold": 0}, ValueError, "threshold must be in (0, inf), got 0"),
        ({"threshold": -0.2}, ValueError, "threshold must be in (0, inf), got -0.2"),
        ({"threshold": math.inf}, ValueError, "threshold must be in (0, inf), got inf"),
        ({"norm": "l1"}, ValueError, "norm must be one of 'l2', 'linf', got 'l1'"),
        ({"profile": "fast"}, ValueError, "profile must be one of 'quick', 'paper', got 'fast'"),
        ({"n_starts": 0}, ValueError, "n_starts must be at least 1, got 0"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"alpha": 0.5, "sigma_T": 1.0}, ValueError, "alpha * sigma_T"),
        ({"alpha": -1, "sigma_T": 1.0}, ValueError, "alpha must be in (0, inf), got -1"),
        ({"alpha": 1.0}, TypeError, "sigma_T must be a real number, got None"),
    ],
)
def test_bad_parameters(bad, error, message):
    with pytest.raises(error) as caught:
        check_chapter(**{**GOOD, **bad})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.integers(1, 200), st.data())
def test_good_parameters(d, data):
    rho = data.draw(st.floats(1e-9, 0.499))
    changes = {
        "d": d,
        "N": data.draw(st.integers(2, d + 1)),
        "threshold": data.draw(st.floats(1e-9, 1e9)),
        "norm": data.draw(st.sampled_from(["l2", "linf"])),
        "profile": data.draw(st.sampled_from(["quick", "paper"])),
    }
    check_chapter(**{**GOOD, **changes}, rho=rho)
    check_chapter(**{**GOOD, **changes}, alpha=rho * 2, sigma_T=0.5)
