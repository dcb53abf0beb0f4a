"""What a run has to know of the listed jobs before they are decoded: their status, and when they were created."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from ftetl.extract.extract import Extraction


class _Head(msgspec.Struct):
    status: Any = None
    created_at: Any = None


_head = msgspec.json.Decoder(_Head)


@dataclass(frozen=True)
class ListedJob:
    """A job of a response; a status or time that is no text is None, and neither is checked."""

    job_id: str
    status: str | None
    created_at: str | None


def listed_jobs(extraction: Extraction) -> Iterator[ListedJob]:
    """Every job of the responses, details last; one with a list item and a detail comes twice."""
    for response, scan in zip(extraction.responses, extraction.scans, strict=True):
        for job_id, offset, length in zip(scan.ids, scan.offsets, scan.lengths, strict=True):
            try:
                head = _head.decode(response.blob.read(offset, length))
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                head = _Head()
            yield ListedJob(job_id, _text(head.status), _text(head.created_at))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
