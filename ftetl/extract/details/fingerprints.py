"""What was listed when a job's detail was last had: the memory that makes a scheduled run cheap.

A detail is asked for again only by the rule of the design: no detail yet, the listed document changed, the job is not
terminal, or it ended less than three days ago (refunds come late). Knows hashes of listed documents, not what is in
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather

from ftetl.errors import StorageError
from ftetl.snapshot.table_reader import TableReader

FILE = "listed.arrow"  # beside the tables of a snapshot, so that it is committed with them
SETTLES = timedelta(days=3)
_SCHEMA = pa.schema(
    [pa.field("job_id", pa.string(), nullable=False), pa.field("sha256", pa.binary(32), nullable=False)]
)


def read_fingerprints(folder: Path | None) -> dict[str, bytes]:
    """The memory of a snapshot: by job, the digest of what was listed when its detail was had.

    Raises:
        StorageError: The file is damaged.
    """
    if folder is None or not (folder / FILE).exists():
        return {}
    try:
        table = feather.read_table(folder / FILE, memory_map=False)
        return dict(zip(table.column("job_id").to_pylist(), table.column("sha256").to_pylist(), strict=True))
    except (OSError, pa.ArrowException, KeyError) as error:
        raise StorageError(
            "S13", f"{folder / FILE} cannot be read back", next="`ftetl verify` names what is damaged; restore the file"
        ) from error


def serialize(memory: Mapping[str, bytes]) -> bytes:
    """The file's bytes; the same memory gives the same bytes."""
    ids = sorted(memory)
    table = pa.Table.from_arrays(
        [pa.array(ids, pa.string()), pa.array([memory[i] for i in ids], pa.binary(32))], schema=_SCHEMA
    )
    sink = pa.BufferOutputStream()
    feather.write_feather(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


@dataclass(frozen=True)
class UnchangedDetails:
    """The jobs whose detail needs no second look while their listed document stays the same."""

    listed: Mapping[str, bytes]

    def needs_fetch(self, job_id: str, listed: bytes) -> bool:
        """Whether this job's detail has to be asked for."""
        return self.listed.get(job_id) != listed


def unchanged_details(stored: TableReader, memory: Mapping[str, bytes], observed_at: datetime) -> UnchangedDetails:
    """What the last snapshot knows well enough, as of now."""
    jobs = stored.read_table("jobs", ["job_id", "events_state", "is_terminal", "finished_at", "updated_at"])
    ended = pc.coalesce(jobs.column("finished_at"), jobs.column("updated_at"))
    late = pc.less_equal(ended, pa.scalar(observed_at - SETTLES, pa.timestamp("us", "UTC")))
    known = pc.and_(pc.equal(jobs.column("events_state"), "detail"), pc.fill_null(jobs.column("is_terminal"), False))
    rest = pc.and_(known, pc.fill_null(late, False))
    ids: Iterable[str] = jobs.filter(rest).column("job_id").to_pylist()
    return UnchangedDetails({job_id: memory[job_id] for job_id in ids if job_id in memory})


def updated_fingerprints(
    previous: Mapping[str, bytes], job_ids: Iterable[str], listed: Mapping[str, bytes], fetched: AbstractSet[str]
) -> dict[str, bytes]:
    """The fingerprints after a run.

    A job whose row was made from something else than its fetched detail, and not from the same listed document, has
    no fingerprint any more.

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
