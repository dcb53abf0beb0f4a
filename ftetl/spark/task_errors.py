"""Errors of ftetl in a task: as Spark carries them, in the text of another error, and made again where they arrive.

A task raises them, also where Spark runs it again because a machine was lost: then whoever reads a table is told, and
does not get fewer rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ftetl.errors import FtetlError
from ftetl.pipeline.partitioned.elements import error_from, error_text

_TEXT = re.compile(r"\bftetl in a task: (\[.*\])")


class TaskError(RuntimeError):
    """An error of ftetl in a task."""


@contextmanager
def carried_errors() -> Iterator[None]:
    """In a task: errors of ftetl become such that their text holds all that they say."""
    try:
        yield
    except FtetlError as error:
        raise TaskError(f"ftetl in a task: {error_text(error)}") from None


@contextmanager
def arrived_errors() -> Iterator[None]:
    """Where an action is called: an error that a task carried is raised as what it was.

    Raises:
        FtetlError: A task had one.
    """
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        if found := _TEXT.search(str(error)):
            raise error_from(found[1]) from None
        raise
