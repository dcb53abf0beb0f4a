"""A source whose responses hold no secrets: decorates another, and masks before a run reads or keeps them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ftetl.errors import DataError
from ftetl.extract.element_digests import other_ranges
from ftetl.extract.source import Detail, Source, SourceDecorator
from ftetl.raw import index, parts
from ftetl.raw.blob import Memory, Spooled
from ftetl.raw.response import Response, Shape
from ftetl.raw.secret_masking import mask_everything, may_need_masking
from ftetl.raw.secret_search import LARGE, SecretSearch
from ftetl.raw.spool import write_spooled

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE = 4 << 20


class MaskingSource(SourceDecorator):
    """The responses of another source with every secret masked; `masked` counts them by key or form."""

    def __init__(self, source: Source, scratch: Callable[[], Path]) -> None:
        super().__init__(source)
        self._scratch = scratch
        self.masked: Counter[str] = Counter()
        self.searched: pa.Table | None = None  # ids and digests of elements that were searched before, and had none

    def responses(self) -> Iterator[Response]:
        """The responses, masked; large ones with their index, which is built while they are searched for secrets.

        Raises:
            FtetlError: As the source and `rewrite`.
        """
        for response in self._source.responses():
            yield self._searched_and_scanned(response) if response.blob.size >= LARGE else self.rewrite(response)

    def _searched_and_scanned(self, response: Response) -> Response:
        if self.searched is not None:
            scanned = _with_scan(response)
            scan = scanned.scanned and scanned.scanned[1]
            with SecretSearch(response.blob, scan and other_ranges(response, scan, self.searched)) as search:
                may_need = search.may_need_masking()
        else:
            has_begun = response.search is not None and response.search.blob is response.blob
            with response.search if has_begun else SecretSearch(response.blob) as search:
                scanned = _with_scan(response)
                may_need = search.may_need_masking()
        return self._masked(response) if may_need else scanned

    def rewrite(self, response: Response) -> Response:
        """The response, masked.

        Raises:
            StorageError: The disk is full.
        """
        [may_need] = may_need_masking([response.blob])
        return self._masked(response) if may_need else response

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:
        """The details, masked; one look does for those that are ready together.

        Raises:
            FtetlError: As the source and `rewrite`.
        """
        group: list[Detail] = []
        for detail in self._source.details(job_ids):
            group.append(detail)
            if not detail.is_followed:
                yield from self._masked_details(group)
                group = []
        yield from self._masked_details(group)

    def _masked_details(self, group: Sequence[Detail]) -> Iterator[Detail]:
        may_need = iter(may_need_masking([d.response.blob for d in group if d.response]))
        for detail in group:
            if detail.response and next(may_need):
                yield replace(detail, response=self._masked(detail.response))
            else:
                yield detail

    def _masked(self, response: Response) -> Response:
        blob = response.blob
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


def _with_scan(response: Response) -> Response:
    """The response with its index if it is one list; what is wrong with it is said where it is read."""
    with suppress(DataError):
        if not parts.lists_in_lines(response):
            return replace(response, scanned=(response.blob, index.scan_response(response)))
    return response
