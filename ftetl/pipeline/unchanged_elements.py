"""Jobs that a run of saved responses receives byte for byte as they were when their rows were written.

Such a job is not decoded again: its row, events and anomalies stay, as they would if it were. What the elements were is
in `_ftetl/elements.arrow`, which can be deleted at any time: without it a run decodes everything.

It counts for the newest version alone, and only while all that decides a row is the same: the contracts, every line of
ftetl and the versions of its libraries, `--pii` and its key, `--events`, `--project` and `--allow-drift`. A response
that was observed before the newest one whose elements are known, or in the future, is decoded whole, and so is a job
with several elements in one run, or one whose row says that it is gone. A run against the API, which dates and
completes its jobs otherwise, neither reads nor writes the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather

from ftetl.arrays import one
from ftetl.clock import SKEW, iso, now, parse_iso
from ftetl.config.settings import Settings
from ftetl.contract import tables
from ftetl.errors import FtetlError
from ftetl.extract.element_digests import digests_of
from ftetl.extract.extract import Extraction
from ftetl.pipeline import same_inputs
from ftetl.transform.column_drift import ReadJobs

if TYPE_CHECKING:
    from ftetl.snapshot.table_reader import TableReader
    from ftetl.store.target import Target

FILE = "elements.arrow"  # in `_ftetl`
_SETTINGS = ("events", "label", "allow_drift")  # that decide rows of jobs and events
_MIN_BYTES = 4 << 20  # of responses, below which decoding costs less than knowing
_SCHEMA = pa.schema(
    {"job_id": pa.string(), "sha256": pa.binary(32), "took_detail": pa.bool_(), "took_events": pa.bool_()}
)
_KEY, _RUN, _OBSERVED = b"key", b"run_id", b"observed_at"


@dataclass(frozen=True)
class Elements:
    """The elements of a run: their digests, what is known of them from runs before, and which jobs are unchanged."""

    digests: pa.Table  # of this run: `job_id`, `sha256`
    received: pa.Array  # ids of all jobs of this run, also those with several elements
    known: pa.Table  # of runs before, of the columns of the file
    observed_at: datetime  # the newest observation of all of them
    key: str
    unchanged: ReadJobs


def find_unchanged(
    target: Target, settings: Settings, privacy: Mapping[str, str], extraction: Extraction, stored: TableReader
) -> Elements | None:
    """The elements of saved responses, or None where they are few, or the code of this process may not be the newest.

    Raises:
        FtetlError: A response has become shorter, or the stored rows cannot be read.
    """
    if sum(response.blob.size for response in extraction.responses) < _MIN_BYTES:
        return None
    key = _key(settings, privacy)
    if key is None:
        return None
    known, known_at = _read(target, key)
    observed_at = max(response.observed_at for response in extraction.responses)
    digests = digests_of(extraction.responses, extraction.scans)
    received = pa.array([job_id for scan in extraction.scans for job_id in scan.ids], pa.string())
    unchanged = known.slice(0, 0)
    if known_at and known.num_rows and observed_at <= now() + SKEW:
        newest = [
            pa.array(scan.ids, pa.string())
            for response, scan in zip(extraction.responses, extraction.scans, strict=True)
            if response.observed_at >= known_at
        ]
        unchanged = _same(known, digests)
        unchanged = unchanged.filter(pc.is_in(unchanged.column("job_id"), value_set=_ids(newest)))
        rows = stored.read_table("jobs", ["job_id", "present"])
        present = one(rows.column("job_id").filter(rows.column("present")))
        unchanged = unchanged.filter(pc.is_in(unchanged.column("job_id"), value_set=present))
    newest_at = max(observed_at, known_at or observed_at)
    return Elements(digests, received, known, newest_at, key, _read_jobs(unchanged))


def store(target: Target, elements: Elements, replaced: ReadJobs) -> None:
    """Store what the elements of a committed run were; `replaced` are the jobs whose rows they became."""
    if target.base is None:
        return
    known, digests = elements.known, elements.digests
    took = [pc.is_in(digests.column("job_id"), value_set=ids) for ids in (replaced.details, replaced.events)]
    became = pa.table([*digests.columns, *took], _SCHEMA)
    became = became.filter(pc.is_in(became.column("job_id"), value_set=replaced.rows))
    # A job that this run received stays known if its element is the same; any other that it received may be in no row.
    is_absent = pc.invert(pc.is_in(known.column("job_id"), value_set=elements.received))
    kept = pa.concat_tables([known.filter(is_absent), _same(known, digests)])
    kept = kept.filter(pc.invert(pc.is_in(kept.column("job_id"), value_set=replaced.rows)))
    whole = pa.concat_tables([kept, became]).combine_chunks().sort_by("job_id")
    facts = {_KEY: elements.key, _RUN: target.base.run_id, _OBSERVED: iso(elements.observed_at)}
    sink = pa.BufferOutputStream()
    feather.write_feather(whole.replace_schema_metadata(facts), sink, compression="uncompressed")
    with contextlib.suppress(FtetlError):  # committed: without it the next run takes longer
        target.write_cache(FILE, sink.getvalue())


def _key(settings: Settings, privacy: Mapping[str, str]) -> str | None:
    """A digest of all that decides how an element becomes a row; None if this process may run older code."""
    code = same_inputs.code_digests()
    if code is None:
        return None
    key = {
        "settings": {name: getattr(settings, name) for name in _SETTINGS},
        "privacy": dict(privacy),
        "contracts": {name: table.fingerprint for name, table in tables().items()},
        "code": code,
    }
    return hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()


def _read(target: Target, key: str) -> tuple[pa.Table, datetime | None]:
    """What is known of the elements of the newest version, and when the newest of them was observed."""
    nothing = _SCHEMA.empty_table(), None
    try:
        raw = target.read_cache(FILE) if target.base else None
        if raw is None or target.base is None:
            return nothing
        table = feather.read_table(pa.BufferReader(raw))
        facts = table.schema.metadata or {}
        if (facts.get(_KEY), facts.get(_RUN)) != (key.encode(), target.base.run_id.encode()):
            return nothing
        return table.replace_schema_metadata(None).cast(_SCHEMA), parse_iso(facts[_OBSERVED].decode())
    except (FtetlError, OSError, pa.ArrowException, KeyError, ValueError):  # damaged, or of another ftetl
        return nothing


def _same(known: pa.Table, digests: pa.Table) -> pa.Table:
    """The known elements that were received again with the same bytes."""
    at = pc.index_in(known.column("job_id"), value_set=one(digests.column("job_id")))
    same = pc.equal(pc.take(one(digests.column("sha256")), one(at)), one(known.column("sha256")))
    return known.filter(pc.fill_null(same, False))


def _read_jobs(rows: pa.Table) -> ReadJobs:
    ids = rows.column("job_id")
    return ReadJobs(one(ids), one(ids.filter(rows.column("took_detail"))), one(ids.filter(rows.column("took_events"))))


def _ids(arrays: list[pa.Array]) -> pa.Array:
    return one(pa.chunked_array(arrays, pa.string()))
