"""A source whose answers hold no people's data any more: the door at which they are rewritten.

Whatever comes after, tables, texts that are kept, digests and evidence, is made from what passes here. Knows sources
and answers, not what in them tells of a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftetl.errors import DataError, FtetlError
from ftetl.extract.archive import BODIES, INDEX
from ftetl.extract.details.cache import FOLDER
from ftetl.extract.privacy.pseudonyms import Pseudonyms
from ftetl.extract.privacy.redactor import LONGEST, EndlessError, Redactor
from ftetl.pipeline import guards
from ftetl.raw import decompress
from ftetl.raw.response import Answer, Blob, Detail, Memory, Shape, Source, Spooled, window
from ftetl.store.target import Target

_PIECE = 1 << 20
_TOLD = "pii"  # beside the versions: how the run before the first version treated people's data
_LEFT = (BODIES, FOLDER, "failed")  # where a run that came to nothing leaves what it was told


class RedactingSource:
    """Answers as another source has them, but for people's data; what is large waits in a file without a name."""

    def __init__(self, source: Source, pseudonyms: Pseudonyms, scratch: Callable[[], Path]) -> None:
        self._source = source
        self._redactor = Redactor(pseudonyms)
        self._scratch = scratch
        self._stack = ExitStack()
        self.service: str | None = source.service

    def __getattr__(self, name: str) -> Any:
        """What some sources have and others have not."""
        return getattr(self._source, name)

    def answers(self) -> Iterator[Answer]:
        """The answers, rewritten.

        Raises:
            FtetlError: As the source; or there is no end to what should be a person's name.
        """
        with self._evidence():
            yield from map(self.clean, self._source.answers())

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:
        """The details, rewritten.

        Raises:
            FtetlError: As the source.
        """
        with self._evidence():
            for detail in self._source.details(job_ids):
                yield replace(detail, answer=detail.answer and self.clean(detail.answer))

    def close(self) -> None:
        """Close what was rewritten, and the source; safe to call twice."""
        self._stack.close()
        self._source.close()

    def clean(self, answer: Answer) -> Answer:
        """One answer, rewritten.

        Raises:
            DataError: There is no end to what should be a person's name, or the answer became shorter.
            StorageError: There is no room for it.
        """
        lines = answer.shape is Shape.LINES
        blob: Blob
        if isinstance(answer.blob, Memory):
            blob = Memory(self._redactor.whole(answer.blob.data, lines=lines))
        else:
            try:
                blob = decompress.put(self._redactor.stream(_pieces(answer), lines=lines), self._scratch(), answer.name)
            except EndlessError:
                what = f"{answer.name} has a value of more than {LONGEST:,} bytes where a person should be named"
                raise DataError("E04", what, next="look at the answer; it is damaged") from None
            self._stack.callback(blob.close)
            if isinstance(answer.blob, Spooled):
                answer.blob.close()  # which frees the place of what had to be unpacked
        return replace(answer, blob=blob)

    @contextmanager
    def _evidence(self) -> Iterator[None]:
        try:
            yield
        except FtetlError as error:
            if error.evidence is not None:
                error.evidence = self._redactor.whole(error.evidence)
            raise


def _pieces(answer: Answer) -> Iterable[bytes]:
    return (window(answer, start, _PIECE) for start in range(0, answer.blob.size, _PIECE))


def begin(target: Target, people: Mapping[str, str]) -> None:
    """Before the first version: refuse what another run has left here that treated people's data otherwise.

    Raises:
        ConfigError: There is something like that.
    """
    if target.base is not None:  # whose identity tells
        return
    before = target.told(_TOLD)
    if before == people:
        return
    with ExitStack() as stack:
        left = {name for folder in _LEFT for name in target.fs.names(target.part(folder, stack))}
        if left - {INDEX}:
            guards.same_people(before, people)
    target.tell(_TOLD, people)
