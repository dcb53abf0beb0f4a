"""A source whose responses hold no personal data: decorates another source and rewrites what it returns.

Tables, stored texts, digests and evidence are all made from the rewritten responses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from ftetl.errors import DataError, FtetlError
from ftetl.extract.privacy.pseudonyms import Pseudonyms
from ftetl.extract.privacy.redactor import LONGEST, Redactor, UnterminatedValueError
from ftetl.extract.source import Detail, Source, SourceDecorator
from ftetl.raw.blob import Blob, Memory, Spooled
from ftetl.raw.response import Response, Shape, read_window
from ftetl.raw.spool import write_spooled

_PIECE = 1 << 20


class RedactingSource(SourceDecorator):
    """The responses of another source, redacted. Large ones are written to an unnamed file in the scratch folder."""

    def __init__(self, source: Source, pseudonyms: Pseudonyms, scratch: Callable[[], Path]) -> None:
        super().__init__(source)
        self._redactor = Redactor(pseudonyms)
        self._scratch = scratch
        self._stack = ExitStack()

    def responses(self) -> Iterator[Response]:
        """The responses, redacted.

        Raises:
            FtetlError: As the source; or a person's name does not end.
        """
        with self._redacted_evidence():
            yield from super().responses()

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:
        """The details, redacted.

        Raises:
            FtetlError: As the source.
        """
        with self._redacted_evidence():
            yield from super().details(job_ids)

    def close(self) -> None:
        """Close the rewritten files and the source; safe to call twice."""
        self._stack.close()
        super().close()

    def rewrite(self, response: Response) -> Response:
        """One response, redacted.

        Raises:
            DataError: A person's name does not end, or the response became shorter.
            StorageError: The disk is full.
        """
        lines = response.shape is Shape.LINES
        blob: Blob
        if isinstance(response.blob, Memory):
            blob = Memory(self._redactor.redact(response.blob.data, lines=lines))
        else:
            pieces = (read_window(response, start, _PIECE) for start in range(0, response.blob.size, _PIECE))
            try:
                redacted = self._redactor.redact_stream(pieces, lines=lines)
                blob = write_spooled(redacted, self._scratch(), response.name)
            except UnterminatedValueError:
                what = f"{response.name} has a value of more than {LONGEST:,} bytes where a person should be named"
                raise DataError("E04", what, next="look at the response; it is damaged") from None
            self._stack.callback(blob.close)
            if isinstance(response.blob, Spooled):
                response.blob.close()  # frees the disk space of what was unpacked
        return replace(response, blob=blob)

    @contextmanager
    def _redacted_evidence(self) -> Iterator[None]:
        try:
            yield
        except FtetlError as error:
            if error.evidence is not None:
                error.evidence = self._redactor.redact(error.evidence)
            raise
