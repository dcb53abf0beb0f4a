"""A source whose responses hold no secrets: decorates another, and masks before a run reads or keeps them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ftetl.extract.source import Source, SourceDecorator
from ftetl.raw.blob import Memory, Spooled
from ftetl.raw.response import Response, Shape
from ftetl.raw.secret_masking import mask_everything, may_need_masking
from ftetl.raw.spool import write_spooled

_PIECE = 4 << 20


class MaskingSource(SourceDecorator):
    """The responses of another source with every secret masked; `masked` counts them by key or form."""

    def __init__(self, source: Source, scratch: Callable[[], Path]) -> None:
        super().__init__(source)
        self._scratch = scratch
        self.masked: Counter[str] = Counter()

    def rewrite(self, response: Response) -> Response:
        """The response, masked.

        Raises:
            StorageError: The disk is full.
        """
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
