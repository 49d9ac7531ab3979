"""All chapters: processes that end when they are told to, and with the process that started them.

``SIGTERM`` raises :class:`Terminated` inside :func:`terminable`, just as ``SIGINT`` raises
``KeyboardInterrupt``, so that files are cleaned up and children stopped in the same ``finally``
clauses. Against ``SIGKILL``, of which a process learns nothing, the kernel helps: a child that was
started with :func:`tied` is killed when its parent ends, however that ends.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Terminated", "terminable", "tied"]

_PR_SET_PDEATHSIG = 1  # of prctl(2)


class Terminated(BaseException):
    """The process was asked to end by ``SIGTERM``."""


@contextmanager
def terminable() -> Iterator[None]:
    """Inside, the first ``SIGTERM`` raises :class:`Terminated`; a second one ends the process.

    Raises
    ------
    Terminated
        In the main thread, wherever it is, when the signal comes.
    ValueError
        Outside the main thread, where Python takes no signals.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def tied() -> Callable[[], None]:
    """What :class:`subprocess.Popen` needs as ``preexec_fn`` for a child that ends with us.

    Returns
    -------
    callable
        Asks Linux to kill the child when the thread that starts it ends. Elsewhere it does nothing.
    """
    parent = os.getpid()
    if not sys.platform.startswith("linux"):
        return lambda: None
    prctl = ctypes.CDLL(None).prctl  # before the fork: loading takes a lock

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before it was asked for
            os._exit(1)

    return tie
