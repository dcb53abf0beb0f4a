"""Indexes one saved response: its elements as rows, in batches, without decoding them.

Bad files become rows too, since whoever starts the work has to tell them all from one place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.config.settings import Settings
from ftetl.errors import DataError, FtetlError
from ftetl.extract.extract import scanned_parts
from ftetl.extract.source import skippable_error
from ftetl.extract.sources.files import SavedFiles
from ftetl.pipeline.partitioned.elements import Facts, batch_of, error_text, facts_of, shared_stamp
from ftetl.raw import secret_hints
from ftetl.raw.blob import File, Part
from ftetl.raw.element import RefusedElement, Scan, classify_element
from ftetl.raw.response import Response, Shape, changed_error
from ftetl.raw.secret_masking import mask_everything, may_need_masking
from ftetl.transform.deduplicate import quarantined_element

_ROWS = 10_000
_BYTES = 4 << 20  # of elements that are read at once


@dataclass(frozen=True)
class FileToIndex:
    """A saved response, the project whose jobs are in it, and its place among that project's files."""

    project: str
    number: int
    path: str
    several: bool  # whether the project has more files, so that none is the whole list
    stamp: str  # as `elements.shared_stamp`, when it was found


def index_file(
    file: FileToIndex, settings: Settings, scratch: Path | None, *, carry: bool = False
) -> Iterator[pa.RecordBatch]:
    """The index of a file; an error is a row, and ends the index.

    Args:
        file: The file.
        settings: Of the run; the project is that of the file.
        scratch: A folder for temporary files; without one, where the system has its own.
        carry: Whether every element carries its bytes.
    """
    of_file: Facts = {"project": file.project, "file": file.number}
    skipped: list[str] = []
    try:
        with TemporaryDirectory(prefix="ftetl-", dir=scratch) as folder:
            yield from _index(file, settings, Path(folder), skipped, carry=carry)
    except FtetlError as error:
        yield batch_of({"error": pa.array([error_text(error)])}, of_file)
    if skipped:
        yield batch_of({"skipped": pa.array(skipped)}, of_file)


def _index(
    file: FileToIndex, settings: Settings, scratch: Path, skipped: list[str], *, carry: bool
) -> Iterator[pa.RecordBatch]:
    largest, date = settings.max_bytes, settings.observed_at
    source = SavedFiles(file.path, scratch=lambda: scratch, max_bytes=largest, observed_at=date)
    try:
        response = _read(source, file, settings, skipped)
        if response is None:
            return
        if shared_stamp(response.stamp) != file.stamp:
            raise changed_error(response.name)
        [may_hold_secrets] = may_need_masking([response.blob])
        # All of them before the first row, so that an error leaves nothing of its file.
        pairs = list(scanned_parts(response, settings, skipped))
        for number, (part, scan) in enumerate(pairs):
            detail = part.detail or scan.is_detail
            facts = facts_of(part, (file.number, number), file.project, detail=detail)
            elements = _Elements(part, scan, may_hold_secrets=may_hold_secrets, carry=carry)
            for columns in elements.batches():
                yield batch_of(columns, facts)
        if pairs and not any(scan.received for _, scan in pairs):
            yield batch_of({"name": pa.array([response.name])}, {"project": file.project, "file": file.number})
    finally:
        source.close()


def _read(source: SavedFiles, file: FileToIndex, settings: Settings, skipped: list[str]) -> Response | None:
    """The response in a file; None where it cannot be read and is to be left out."""
    try:
        [response] = source.responses()
    except DataError as error:
        if not file.several:
            raise
        if not settings.skip_broken:
            raise skippable_error(error) from None
        skipped.append(error.what)
        return None
    return replace(response, whole=not file.several, several=file.several)


class _Elements:
    """The elements of one response as columns of the index."""

    def __init__(self, response: Response, scan: Scan, *, may_hold_secrets: bool, carry: bool) -> None:
        self._response, self._scan, self._may_hold_secrets = response, scan, may_hold_secrets
        self._place = response.blob.place if isinstance(response.blob, Part) else 0
        whole = response.blob.whole if isinstance(response.blob, Part) else response.blob
        self._carry = carry or not isinstance(whole, File)  # unpacked, it is gone when this ends

    def batches(self) -> Iterator[dict[str, pa.Array]]:
        """The columns that differ from element to element."""
        for places in self._pieces():
            yield from self._jobs(places)
        for start in range(0, len(self._scan.refused), _ROWS):
            yield self._refused(self._scan.refused[start : start + _ROWS])

    def _pieces(self) -> Iterator[range]:
        """The jobs in pieces, of few bytes where these are read."""
        reads, scan, start, size = self._carry or self._may_hold_secrets, self._scan, 0, 0
        for place, length in enumerate(scan.lengths):
            size += length if reads else 0
            if size > _BYTES or place - start >= _ROWS:
                yield range(start, place + 1)
                start, size = place + 1, 0
        if start < len(scan.ids):
            yield range(start, len(scan.ids))

    def _jobs(self, places: range) -> Iterator[dict[str, pa.Array]]:
        scan, span = self._scan, slice(places.start, places.stop)
        ids, lengths = scan.ids[span], scan.lengths[span]
        irregular = [place in scan.irregular for place in places] if scan.irregular else [False] * len(places)
        raws: list[bytes | None] = [None] * len(places)
        refused: list[RefusedElement] = []
        if self._carry:
            raws = [self._response.blob.read(scan.offsets[place], scan.lengths[place]) for place in places]
        if self._may_hold_secrets:
            for at, masked in self._masked(places):
                job_id, rule, is_regular = classify_element(masked)
                if rule or job_id is None:
                    position, offset = scan.positions[places[at]], scan.offsets[places[at]]
                    refused.append(RefusedElement(offset, lengths[at], rule or "no_id", position, job_id))
                    continue
                ids[at], lengths[at], raws[at], irregular[at] = job_id, len(masked), masked, not is_regular
        columns = {
            "key": pa.array(ids, pa.string()),
            "position": pa.array(scan.positions[span], pa.int64()),
            "offset": pa.array([offset + self._place for offset in scan.offsets[span]], pa.int64()),
            "length": pa.array(lengths, pa.int64()),
            "irregular": pa.array(irregular, pa.bool_()),
            "raw": pa.array(raws, pa.binary()),
        }
        if not refused:
            yield columns
            return
        positions = pa.array([element.position for element in refused], pa.int64())
        rows = pa.table(columns)
        kept = rows.filter(pc.invert(pc.is_in(rows.column("position"), value_set=positions)))
        yield {name: kept.column(name).combine_chunks() for name in kept.column_names}
        yield self._refused(refused)

    def _masked(self, places: range) -> Iterator[tuple[int, bytes]]:
        """The elements with a secret, each masked, with its place among these."""
        raws = [self._response.blob.read(self._scan.offsets[p], self._scan.lengths[p]) for p in places]
        for at, (raw, may_hold) in enumerate(zip(raws, secret_hints.may_hold_secrets(raws), strict=True)):
            if may_hold and (masked := self._mask(raw)) != raw:
                yield at, masked

    def _mask(self, raw: bytes) -> bytes:
        return mask_everything(raw, lines=self._response.shape is Shape.LINES)

    def _refused(self, refused: Sequence[RefusedElement]) -> dict[str, pa.Array]:
        found = [quarantined_element(self._response, element) for element in refused]
        raws = [self._mask(element.raw) if self._may_hold_secrets else element.raw for element in found]
        return {
            "key": pa.array([hashlib.sha256(raw).hexdigest() for raw in raws], pa.string()),
            "position": pa.array([element.position for element in found], pa.int64()),
            "raw": pa.array(raws, pa.binary()),
            "rule": pa.array([element.rule for element in found], pa.string()),
            "job_id": pa.array([element.job_id for element in found], pa.string()),
        }
