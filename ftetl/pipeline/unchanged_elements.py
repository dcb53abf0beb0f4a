"""Jobs that a run of saved responses receives byte for byte as they were when their rows were written.

Such a job is not decoded again: its row, events and anomalies stay, as they would if it were. What the elements were is
in `_ftetl/elements`, which can be deleted at any time: without it a run decodes everything.

It counts for the newest version alone, and only while all that decides a row is the same: the contracts, every line of
ftetl and the versions of its libraries, `--pii` and its key, `--events`, `--project` and `--allow-drift`. A response
that was observed before the newest one whose elements are known, or in the future, is decoded whole, and so is a job
with several elements in one run, or one whose row says that it is gone. A run against the API, which dates and
completes its jobs otherwise, neither reads nor writes the file, and nor does a run with `--events none`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
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

FILE = "elements"  # in `_ftetl`: a SHA-256, and the Arrow file of which it is
_CHECKSUM = hashlib.sha256().digest_size
_SETTINGS = ("events", "label", "allow_drift")  # that decide rows of jobs and events
_MIN_BYTES = 4 << 20  # of responses, below which decoding costs less than knowing
_SCHEMA = pa.schema(
    {"job_id": pa.string(), "sha256": pa.binary(32), "took_detail": pa.bool_(), "took_events": pa.bool_()}
)
_KEY, _RUN, _OBSERVED = b"key", b"run_id", b"observed_at"


@dataclass(frozen=True)
class Known:
    """What runs before have stored of the elements of the newest version."""

    key: str | None  # of this run; None: not computed yet
    rows: pa.Table  # of the columns of the file
    observed_at: datetime | None  # the newest observation of all of them; None if there are none


@dataclass(frozen=True)
class Elements:
    """The elements of a run: their digests, what is known of them from runs before, and which jobs are unchanged."""

    key: str
    digests: Future[pa.Table]  # of this run: `job_id`, `sha256`
    received: pa.Array  # ids of all jobs of this run, also those with several elements
    known: Known
    observed_at: datetime  # the newest observation of all of them
    unchanged: ReadJobs


def read_known(target: Target, settings: Settings, privacy: Mapping[str, str]) -> Known:
    """What is known of the elements of the newest version; nothing if something that decides rows is another now."""
    nothing = Known(None, _SCHEMA.empty_table(), None)
    try:
        raw = target.read_cache(FILE) if target.base else None
        if raw is None or target.base is None or (key := _key(settings, privacy)) is None:
            return nothing
        checksum, body = raw[:_CHECKSUM], raw[_CHECKSUM:]
        if hashlib.sha256(body).digest() != checksum:  # of a damaged array Arrow may read what is not its own
            return replace(nothing, key=key)
        table = feather.read_table(pa.BufferReader(body))
        facts = table.schema.metadata or {}
        if (facts.get(_KEY), facts.get(_RUN)) != (key.encode(), target.base.run_id.encode()):
            return replace(nothing, key=key)
        return Known(key, table.replace_schema_metadata(None).cast(_SCHEMA), parse_iso(facts[_OBSERVED].decode()))
    except (FtetlError, OSError, pa.ArrowException, KeyError, ValueError):  # damaged, or of another ftetl
        return nothing


def find_unchanged(
    known: Known, settings: Settings, privacy: Mapping[str, str], extraction: Extraction, stored: TableReader
) -> Elements | None:
    """The elements of saved responses; None where they are few, or this process may not run the newest code.

    Raises:
        FtetlError: A response has become shorter, or the stored rows cannot be read.
    """
    responses, scans = extraction.responses, extraction.scans
    if sum(response.blob.size for response in responses) < _MIN_BYTES:
        return None
    key = known.key or _key(settings, privacy)
    if key is None:
        return None
    observed_at = max(response.observed_at for response in responses)
    received = pa.array([job_id for scan in scans for job_id in scan.ids], pa.string())
    pool = ThreadPoolExecutor(1, thread_name_prefix="ftetl-elements")
    digests = pool.submit(digests_of, responses, scans)  # while the jobs are decoded, if all are
    pool.shutdown(wait=False)
    unchanged = known.rows.slice(0, 0)
    if known.observed_at and known.rows.num_rows and observed_at <= now() + SKEW:
        unchanged = _same(known.rows, digests.result())
        pairs = zip(responses, scans, strict=True)
        newest = [pa.array(scan.ids, pa.string()) for r, scan in pairs if r.observed_at >= known.observed_at]
        rows = stored.read_table("jobs", ["job_id", "present"])
        present = one(rows.column("job_id").filter(rows.column("present")))
        for ids in (one(pa.chunked_array(newest, pa.string())), present):
            unchanged = unchanged.filter(pc.is_in(unchanged.column("job_id"), value_set=ids))
    newest_at = max(observed_at, known.observed_at or observed_at)
    return Elements(key, digests, received, known, newest_at, _read_jobs(unchanged))


def store(target: Target, elements: Elements, replaced: ReadJobs) -> None:
    """Store what the elements of a committed run were; `replaced` are the jobs whose whole rows they became.

    Raises:
        FtetlError: They cannot be stored; the next run decodes everything.
    """
    if target.base is None:
        return
    known, digests = elements.known.rows, elements.digests.result()
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
    body = sink.getvalue()
    target.write_cache(FILE, hashlib.sha256(body).digest() + body.to_pybytes())


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


def _same(known: pa.Table, digests: pa.Table) -> pa.Table:
    """The known elements that were received again with the same bytes."""
    at = pc.index_in(known.column("job_id"), value_set=one(digests.column("job_id")))
    same = pc.equal(pc.take(one(digests.column("sha256")), one(at)), one(known.column("sha256")))
    return known.filter(pc.fill_null(same, False))


def _read_jobs(rows: pa.Table) -> ReadJobs:
    ids = rows.column("job_id")
    return ReadJobs(one(ids), one(ids.filter(rows.column("took_detail"))), one(ids.filter(rows.column("took_events"))))
