"""Digests of the elements of responses, by which a later run knows a job that it receives byte for byte again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.raw.element import Scan
from ftetl.raw.response import Response, read_window

SCHEMA = pa.schema({"job_id": pa.string(), "sha256": pa.binary(32)})
_WINDOW = 8 << 20  # bytes that are read at once
_THREADS = 2  # hashlib computes without Python's lock


def digests_of(responses: Sequence[Response], scans: Sequence[Scan]) -> pa.Table:
    """The SHA-256 of each job's element, in no order; a job with several elements in these responses is left out.

    Raises:
        DataError: A response has become shorter.
    """
    found = [scan.digests or _digests(response, scan) for response, scan in zip(responses, scans, strict=True)]
    whole = pa.concat_tables(found) if found else SCHEMA.empty_table()
    counted = one(pc.value_counts(whole.column("job_id")))
    several = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
    return whole.filter(pc.invert(pc.is_in(whole.column("job_id"), value_set=several))) if len(several) else whole


def other_ranges(response: Response, scan: Scan, known: pa.Table) -> list[tuple[int, int]]:
    """Where the bytes of a response lie that are no element with one of the `known` digests, and no separator.

    Raises:
        DataError: The response has become shorter.
    """
    scan.digests = _digests(response, scan)
    at = pc.index_in(scan.digests.column("job_id"), value_set=one(known.column("job_id")))
    is_known = pc.equal(pc.take(one(known.column("sha256")), one(at)), one(scan.digests.column("sha256")))
    others = pc.indices_nonzero(pc.invert(pc.fill_null(is_known, False))).to_pylist()
    elements = [(scan.offsets[i], scan.offsets[i] + scan.lengths[i]) for i in others]
    elements += [(refused.offset, refused.offset + refused.length) for refused in scan.refused]
    known_ends = [at + length for at, length in zip(scan.offsets[-1:], scan.lengths[-1:], strict=True)]
    first = min([response.blob.size, *scan.offsets[:1], *(start for start, _ in elements)])
    last = max([first, *known_ends, *(end for _, end in elements)])
    return sorted([(0, first), *elements, (last, response.blob.size)])


def _digests(response: Response, scan: Scan) -> pa.Table:
    with ThreadPoolExecutor(_THREADS) as pool:
        pieces = pool.map(lambda window: _digests_in_window(response, scan, *window), _windows(scan))
        digests = [digest for piece in pieces for digest in piece]
    return pa.table([scan.ids, pa.array(digests, pa.binary(32))], SCHEMA)


def _windows(scan: Scan) -> Iterator[tuple[int, int]]:
    """The jobs in ranges of several megabytes; the index has them in the order of the response."""
    first = 0
    for number, (offset, length) in enumerate(zip(scan.offsets, scan.lengths, strict=True)):
        if number > first and offset + length - scan.offsets[first] > _WINDOW:
            yield first, number
            first = number
    if first < len(scan.offsets):
        yield first, len(scan.offsets)


def _digests_in_window(response: Response, scan: Scan, first: int, end: int) -> list[bytes]:
    start = scan.offsets[first]
    window = memoryview(read_window(response, start, scan.offsets[end - 1] + scan.lengths[end - 1] - start))
    places = zip(scan.offsets[first:end], scan.lengths[first:end], strict=True)
    pieces = (window[at - start : at - start + length] for at, length in places)
    if response.detail or scan.is_detail:  # the same bytes say more as a detail, which has all events
        return [hashlib.sha256(b"detail\n" + piece).digest() for piece in pieces]
    return [hashlib.sha256(piece).digest() for piece in pieces]
