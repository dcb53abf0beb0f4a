"""One response of the API, live or saved: its bytes, still undecoded, and what is known about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from ftetl.errors import DataError
from ftetl.raw.blob import Blob


class Shape(StrEnum):
    """How the elements lie in an answer."""

    DOCUMENT = "document"  # one JSON document: {"data": […]}, a bare array, or one job
    LINES = "lines"  # one job a line


@dataclass(frozen=True)
class Response:
    """One answer of the API, live or saved."""

    name: str  # for people: a file's name, `GET /fine-tunes`, `stdin`
    blob: Blob
    observed_at: datetime  # UTC
    shape: Shape = Shape.DOCUMENT
    whole: bool = False  # whether a `{"data": […]}` or a bare array in it is the complete list of a project
    path: Path | None = None  # the file that its owner keeps, for a saved one
    detail: bool = False  # known to be `GET /fine-tunes/{id}`: its events are all there are
    stamp: tuple[int, ...] = ()  # of a saved one, before it was read: by it a change is seen


def stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file is written to, or another one takes its place.

    Raises:
        OSError: There is no such file.
    """
    found = path.stat()
    # The last one too, since whoever writes may set the time of writing back.
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def changed(name: str) -> DataError:
    """The error for a saved answer that is not any more what it was when the run began."""
    return DataError("F08", f"{name} was changed while it was read; nothing was committed", next="export it again")


def window(response: Response, start: int, size: int) -> bytes:
    """The answer's bytes from `start`, `size` of them or as many as there are.

    Raises:
        DataError: The answer has become shorter.
    """
    found = response.blob.read(start, size)
    if len(found) < min(size, response.blob.size - start):
        raise changed(response.name)
    return found
