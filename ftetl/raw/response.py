"""One response of the API, live or saved: its bytes, still undecoded, and what is known about them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from ftetl.errors import DataError
from ftetl.raw.blob import Blob


class Shape(StrEnum):
    """How the jobs lie in a response."""

    DOCUMENT = "document"  # one JSON document: {"data": […]}, a bare array, or one job
    LINES = "lines"  # JSON Lines (NDJSON): one job a line


@dataclass(frozen=True)
class Response:
    """One response of the API, live or saved."""

    name: str  # for messages: a file's name, `GET /fine-tunes`, `stdin`
    blob: Blob
    observed_at: datetime  # UTC
    shape: Shape = Shape.DOCUMENT
    whole: bool = False  # whether a list in it may be the complete list of a project
    several: bool = False  # one of several files or lines, of which none is the whole list
    path: Path | None = None  # the user's file, for a saved response
    detail: bool = False  # known to be `GET /fine-tunes/{id}`: its events are complete
    is_dated: bool = False  # of a live list: whether its time is certain, not only this machine's clock
    total: int | None = None  # how many jobs there are, where the response's headers say so
    pages: int = 1  # of a live list: in how many responses it came, up to the one that names no next page
    stamp: tuple[int, ...] = ()  # of a saved response, before it was read: shows a later change
    search: Any = field(default=None, compare=False, repr=False)  # a `SecretSearch` that has begun
    scanned: tuple[Blob, Any] | None = field(default=None, compare=False, repr=False)  # bytes, and their `Scan`

    def with_blob(self, blob: Blob) -> Response:
        """The response with other bytes, as `dataclasses.replace` makes it, which takes ten times as long."""
        other = copy.copy(self)
        vars(other)["blob"] = blob
        return other


def file_stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file is written to or replaced.

    Raises:
        OSError: There is no such file.
    """
    status = path.stat()
    # The change time as well, since the modification time can be set back.
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def changed_error(name: str) -> DataError:
    """The error for a saved response that was changed during the run."""
    return DataError("F08", f"{name} was changed while it was read; nothing was committed", next="export it again")


def read_window(response: Response, start: int, size: int) -> bytes:
    """The response's bytes from `start`, `size` of them or as many as there are.

    Raises:
        DataError: The response has become shorter.
    """
    window = response.blob.read(start, size)
    if len(window) < min(size, response.blob.size - start):
        raise changed_error(response.name)
    return window
