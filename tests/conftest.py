"""Fixtures that several test modules share."""

import pytest
from support import Book


@pytest.fixture
def book(tmp_path):
    return Book(tmp_path / "book")
