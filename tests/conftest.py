"""Fixtures that several test modules share."""

import signal

import pytest
from hypothesis import settings
from support import Book

# Tests of Ctrl-C start processes; a shell that runs the tests in its background has all of these
# ignore SIGINT, unless a handler is set here.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: other processes may take the machine. Derandomized: every run tests the same cases.
settings.register_profile("memnb", deadline=None, derandomize=True)
settings.load_profile("memnb")


# Minutes together
LONGEST = (
    "test_chapters_run_with_other_parameters",
    "test_killed_builds_never_leave_a_broken_site",
    "test_build_executes_only_what_changed_and_failure_leaves_the_site",
    "test_every_control_of_every_explorer_at_both_ends",
    "test_a_slider_in_lab_moves_the_plot",
)


def pytest_collection_modifyitems(items):
    """The longest tests first: of several workers none begins one when the others are done."""
    items.sort(key=lambda item: getattr(item, "originalname", "") not in LONGEST)


@pytest.fixture
def book(tmp_path):
    return Book(tmp_path / "book")


@pytest.fixture(scope="session")
def first_build(tmp_path_factory):
    """A book that was built once, for all tests of a process; not to be changed."""
    book = Book(tmp_path_factory.mktemp("first") / "book")
    done = book.cli("build")
    assert done.returncode == 0, done.stderr
    assert str(book.site / "index.html") in done.stdout
    return book


@pytest.fixture
def built(first_build, tmp_path):
    """A book of one's own that is built already."""
    return first_build.copy(tmp_path / "book")
