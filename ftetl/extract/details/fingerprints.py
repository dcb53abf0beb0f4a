"""Fingerprints of listed documents, which decide which details a scheduled run fetches again.

A detail is fetched if there is none yet, the listed document has changed, the job is not terminal, or it had ended less
than three days before details were last asked for (refunds come late, and runs may be rare).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather

from ftetl.config.limits import REFUND_PERIOD
from ftetl.errors import StorageError
from ftetl.snapshot.table_reader import TableReader

FILE = "listed.arrow"  # in the snapshot's folder, so that it is committed with the tables
_SCHEMA = pa.schema(
    [pa.field("job_id", pa.string(), nullable=False), pa.field("sha256", pa.binary(32), nullable=False)]
)


def read_fingerprints(folder: Path | None) -> dict[str, bytes]:
    """The fingerprints of a snapshot: by job, the digest of what was listed when its detail was fetched.

    Raises:
        StorageError: The file is damaged.
    """
    if folder is None or not (folder / FILE).exists():
        return {}
    try:
        table = feather.read_table(folder / FILE, memory_map=False)
        return dict(zip(table.column("job_id").to_pylist(), table.column("sha256").to_pylist(), strict=True))
    except (OSError, pa.ArrowException, KeyError) as error:
        advice = "`ftetl verify` names what is damaged; restore the file"
        raise StorageError("S13", f"{folder / FILE} cannot be read back", next=advice) from error


def serialize(fingerprints: Mapping[str, bytes]) -> bytes:
    """The bytes of the file; equal fingerprints give equal bytes."""
    ids = sorted(fingerprints)
    digests = [fingerprints[job_id] for job_id in ids]
    table = pa.Table.from_arrays([pa.array(ids, pa.string()), pa.array(digests, pa.binary(32))], schema=_SCHEMA)
    sink = pa.BufferOutputStream()
    feather.write_feather(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def finished_jobs(stored: TableReader, fingerprints: Mapping[str, bytes], asked_at: datetime) -> dict[str, bytes]:
    """The jobs of the last snapshot that have a detail, are terminal, and ended at least three days before a time.

    The detail of such a job is not fetched again while its listed document has this fingerprint.

    Args:
        stored: the tables of the last snapshot.
        fingerprints: those of that snapshot; a job without one is left out.
        asked_at: when details were last asked for.
    """
    if not fingerprints:
        return {}
    times = ["finished_at", "updated_at", "last_changed_at"]
    jobs = stored.read_table("jobs", ["job_id", "events_state", "is_terminal", *times])
    ended = pc.coalesce(*(jobs.column(name) for name in times))
    # A job had ended when its row last changed, even if its own times are wrong.
    seen_at = jobs.column("last_changed_at")
    ended = pc.if_else(pc.greater(ended, seen_at), seen_at, ended)
    long_ago = pc.less_equal(ended, pa.scalar(asked_at - REFUND_PERIOD, pa.timestamp("us", "UTC")))
    has_detail = pc.equal(jobs.column("events_state"), "detail")
    finished = pc.and_(has_detail, pc.fill_null(jobs.column("is_terminal"), False))
    ids = jobs.filter(pc.and_(finished, pc.fill_null(long_ago, False))).column("job_id").to_pylist()
    return {job_id: fingerprints[job_id] for job_id in ids if job_id in fingerprints}


def updated_fingerprints(
    previous: Mapping[str, bytes], job_ids: Iterable[str], listed: Mapping[str, bytes], fetched: AbstractSet[str]
) -> dict[str, bytes]:
    """The fingerprints after a run.

    A job loses its fingerprint if its row was made neither from its fetched detail nor from the same listed document.

    Args:
        previous: The fingerprints before it.
        job_ids: The jobs with a row made in this run.
        listed: The fingerprint of what was listed, by job without events.
        fetched: The jobs whose detail was fetched and used.
    """
    updated = dict(previous)
    for job_id in set(job_ids):
        fingerprint = listed.get(job_id)
        if job_id in fetched and fingerprint:
            updated[job_id] = fingerprint
        elif fingerprint is None or updated.get(job_id) != fingerprint:
            updated.pop(job_id, None)
    return updated
