"""The book: how it is made, which is to execute, build, check and serve.

``notebooks/`` and ``book/`` are sources and are never written. Each chapter is executed by
papermill in its own process; what it gave is kept under ``_build/executed`` with a hash of all it
depends on, so an unchanged chapter is not executed again. The site is rendered from a staged copy
into a fresh folder and appears at ``_build/site`` by one atomic rename of a symbolic link: an
interrupted build leaves the last good site where it was.
"""

__all__ = []
