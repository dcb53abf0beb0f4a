"""A source whose responses hold no secrets: decorates another, and masks before a run reads or keeps them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ftetl.extract.source import Detail, Source, SourceStats
from ftetl.raw.blob import Memory, Spooled
from ftetl.raw.response import Response, Shape
from ftetl.raw.secret_masking import mask_everything, may_need_masking
from ftetl.raw.spool import write_spooled

_PIECE = 4 << 20


class MaskingSource:
    """The responses of another source with every secret masked; `masked` counts them by key or form."""

    def __init__(self, source: Source, scratch: Callable[[], Path]) -> None:
        self._source = source
        self._scratch = scratch
        self.service: str | None = source.service
        self.masked: Counter[str] = Counter()

    @property
    def notes(self) -> tuple[str, ...]:
        """As the source."""
        return self._source.notes

    @property
    def skipped(self) -> tuple[str, ...]:
        """As the source."""
        return self._source.skipped

    @property
    def stats(self) -> SourceStats:
        """As the source."""
        return self._source.stats

    def responses(self) -> Iterator[Response]:
        """The responses, masked.

        Raises:
            FtetlError: As the source; or the disk is full.
        """
        yield from map(self._mask, self._source.responses())

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:
        """The details, masked.

        Raises:
            FtetlError: As the source.
        """
        for detail in self._source.details(job_ids):
            yield replace(detail, response=detail.response and self._mask(detail.response))

    def close(self) -> None:
        """Close the source; safe to call twice."""
        self._source.close()

    def _mask(self, response: Response) -> Response:
        blob = response.blob
        if not may_need_masking(blob):
            return response
        raw = blob.read(0, blob.size)
        masked = mask_everything(raw, self.masked, lines=response.shape is Shape.LINES)
        if masked == raw:
            return response
        if isinstance(blob, Memory) or len(masked) <= _PIECE:
            return replace(response, blob=Memory(masked))
        pieces = (masked[at : at + _PIECE] for at in range(0, len(masked), _PIECE))
        spooled = write_spooled(pieces, self._scratch(), response.name)
        if isinstance(blob, Spooled):
            blob.close()
        return replace(response, blob=spooled)
