"""A source whose answers hold no people's data any more: the door at which they are rewritten.

Whatever comes after, tables, texts that are kept, digests and evidence, is made from what passes here. Knows sources
and answers, not what in them tells of a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from ftetl.errors import DataError, FtetlError
from ftetl.extract.privacy.pseudonyms import Pseudonyms
from ftetl.extract.privacy.redactor import LONGEST, EndlessError, Redactor
from ftetl.extract.source import Detail, Source, SourceStats
from ftetl.raw import decompress
from ftetl.raw.blob import Blob, Memory, Spooled
from ftetl.raw.response import Response, Shape, window

_PIECE = 1 << 20


class RedactingSource:
    """Answers as another source has them, but for people's data; what is large waits in a file without a name."""

    def __init__(self, source: Source, pseudonyms: Pseudonyms, scratch: Callable[[], Path]) -> None:
        self._source = source
        self._redactor = Redactor(pseudonyms)
        self._scratch = scratch
        self._stack = ExitStack()
        self.service: str | None = source.service

    @property
    def notes(self) -> tuple[str, ...]:
        """Those of the source."""
        return self._source.notes

    @property
    def stats(self) -> SourceStats:
        """Those of the source."""
        return self._source.stats

    def responses(self) -> Iterator[Response]:
        """The answers, rewritten.

        Raises:
            FtetlError: As the source; or there is no end to what should be a person's name.
        """
        with self._evidence():
            yield from map(self.clean, self._source.responses())

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:
        """The details, rewritten.

        Raises:
            FtetlError: As the source.
        """
        with self._evidence():
            for detail in self._source.details(job_ids):
                yield replace(detail, response=detail.response and self.clean(detail.response))

    def close(self) -> None:
        """Close what was rewritten, and the source; safe to call twice."""
        self._stack.close()
        self._source.close()

    def clean(self, response: Response) -> Response:
        """One answer, rewritten.

        Raises:
            DataError: There is no end to what should be a person's name, or the answer became shorter.
            StorageError: There is no room for it.
        """
        lines = response.shape is Shape.LINES
        blob: Blob
        if isinstance(response.blob, Memory):
            blob = Memory(self._redactor.whole(response.blob.data, lines=lines))
        else:
            try:
                pieces = self._redactor.stream(_pieces(response), lines=lines)
                blob = decompress.put(pieces, self._scratch(), response.name)
            except EndlessError:
                what = f"{response.name} has a value of more than {LONGEST:,} bytes where a person should be named"
                raise DataError("E04", what, next="look at the answer; it is damaged") from None
            self._stack.callback(blob.close)
            if isinstance(response.blob, Spooled):
                response.blob.close()  # which frees the place of what had to be unpacked
        return replace(response, blob=blob)

    @contextmanager
    def _evidence(self) -> Iterator[None]:
        try:
            yield
        except FtetlError as error:
            if error.evidence is not None:
                error.evidence = self._redactor.whole(error.evidence)
            raise


def _pieces(response: Response) -> Iterable[bytes]:
    return (window(response, start, _PIECE) for start in range(0, response.blob.size, _PIECE))
