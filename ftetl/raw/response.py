"""What a source hands to the corridor: answers as bytes, still undecoded, and what is known about them.

Knows neither JSON nor the network; an answer may be larger than memory, so it is read in pieces.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ftetl.errors import DataError


class Blob(Protocol):
    """Bytes that can be read at any place: memory, or a file that is never loaded whole."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`, `length` of them or as many as there are."""

    def readinto(self, offset: int, view: memoryview) -> int:
        """Put the bytes from `offset` into the view; how many there were."""


def read_at(descriptor: int, offset: int, view: memoryview) -> int:
    """Fill the view from an open file; how many bytes there were."""
    done = 0
    while done < len(view) and (count := os.preadv(descriptor, [view[done:]], offset + done)):
        done += count
    return done


class Memory:
    """A blob that is bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`, `length` of them or as many as there are."""
        return self.data[offset : offset + length]

    def readinto(self, offset: int, view: memoryview) -> int:
        """Put the bytes from `offset` into the view; how many there were."""
        part = self.data[offset : offset + len(view)]
        view[: len(part)] = part
        return len(part)


class Spooled:
    """A blob that is an open file, read with `pread`: threads share it without a lock."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`, `length` of them or as many as there are."""
        return os.pread(self._descriptor, length, offset)

    def readinto(self, offset: int, view: memoryview) -> int:
        """Put the bytes from `offset` into the view; how many there were."""
        return read_at(self._descriptor, offset, view)

    def close(self) -> None:
        """Give the descriptor back; reading after this fails."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # it was only read from: there is nothing to lose
                os.close(descriptor)

    def __del__(self) -> None:
        self.close()


class File(Spooled):
    """A file that its owner keeps, as a blob."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1  # for the end of one that is not there
        super().__init__(os.open(path, os.O_RDONLY | os.O_CLOEXEC))


class Shape(StrEnum):
    """How the elements lie in an answer."""

    DOCUMENT = "document"  # one JSON document: {"data": […]}, a bare array, or one job
    LINES = "lines"  # one job a line


@dataclass(frozen=True)
class Answer:
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


def window(answer: Answer, start: int, size: int) -> bytes:
    """The answer's bytes from `start`, `size` of them or as many as there are.

    Raises:
        DataError: The answer has become shorter.
    """
    found = answer.blob.read(start, size)
    if len(found) < min(size, answer.blob.size - start):
        raise changed(answer.name)
    return found


class Outcome(StrEnum):
    """What came of asking for one job's detail."""

    HERE = "here"  # 200: `answer` is set
    GONE = "gone"  # 404: the job was deleted meanwhile
    FAILED = "failed"  # not to be had in this run: server errors to the end, the deadline, or a 403 of this job


@dataclass(frozen=True)
class Detail:
    """The answer for one job of the list, or why there is none."""

    job_id: str
    outcome: Outcome
    answer: Answer | None = None


class Source(Protocol):
    """Where raw jobs come from. `api`, `saved` and `demo` are sources."""

    service: str | None  # which service the jobs belong to (`together`, `demo`, a host); None: the source cannot tell

    def answers(self) -> Iterable[Answer]:
        """The answers of this run, in any order."""

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:
        """The details of these jobs, in any order, each exactly once; nothing for a source that has none."""

    def close(self) -> None:
        """Give back what was opened; safe to call twice."""
