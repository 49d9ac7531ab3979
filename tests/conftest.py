"""Fixtures that several test modules share."""

import pytest
from hypothesis import settings
from support import Book

# No deadline: other processes may take the machine. Derandomized: every run tests the same cases.
settings.register_profile("memnb", deadline=None, derandomize=True)
settings.load_profile("memnb")


@pytest.fixture
def book(tmp_path):
    return Book(tmp_path / "book")
