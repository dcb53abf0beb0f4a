"""Which job took the place of one that the service restarted: the columns `restarted_as` and `restart_link` of `jobs`.

A restarted job gets a new id. Where the message of its `job_restarted` event, or of its `refund`, names another job,
that is the one; else it is guessed: the first job with the same suffix, training file and model, created at or after
the restart. The other job may come later, so from the first restarted job on the rows are held until the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema

RESTARTED, REFUND = "job_restarted", "refund"
COLUMNS = ("restarted_as", "restart_link")
SAME = ("suffix", "training_file", "model")  # equal in a job and the one that was guessed; missing equals missing
EVENT_TYPES = (RESTARTED, REFUND)
EVENT_COLUMNS = ["job_id", "type", "created_at", "message"]
JOB_COLUMNS = ["job_id", "created_at", *SAME]
_ID = re.compile(r"(?<![\w-])ft-[0-9A-Za-z]+(?:-[0-9A-Za-z]+)*")
_FULL_ID = re.compile(r"ft-[0-9a-f]{8}(?:-[0-9a-f]{4,12})+")  # taken for a job even if it is in no list


class RestartLinks:
    """Fills the two columns of `jobs`; of each batch the events are added before the jobs."""

    def __init__(self) -> None:
        self._events: list[pa.Table] = []
        self._keys: list[pa.Table] = []
        self._held: list[pa.Table] = []

    def add_events(self, events: pa.Table) -> None:
        """Add the next events."""
        types = pa.array(EVENT_TYPES, pa.string())
        needed = events.select(EVENT_COLUMNS)
        needed = needed.filter(pc.is_in(needed.column("type"), value_set=types))
        if needed.num_rows:
            self._events.append(needed)

    def add_jobs(self, jobs: pa.Table) -> Iterator[pa.Table]:
        """Add the next rows of `jobs`; those that can be written already come back with the columns."""
        self._keys.append(jobs.select(JOB_COLUMNS))
        if self._held or any(pc.any(pc.equal(e.column("type"), RESTARTED)).as_py() for e in self._events):
            self._held.append(jobs)
        else:
            self._events.clear()  # refunds of jobs that were not restarted
            yield _with_links(jobs, {})

    def held_jobs(self) -> Iterator[pa.Table]:
        """The rows that were held, in order."""
        links = find_links(pa.concat_tables(self._events), pa.concat_tables(self._keys)) if self._held else {}
        for jobs in self._held:
            yield _with_links(jobs, links)
        self._held.clear()


def find_links(events: pa.Table, jobs: pa.Table) -> dict[str, tuple[str, str]]:
    """By restarted job the two columns.

    Args:
        events: The columns `EVENT_COLUMNS` of the events of the types `EVENT_TYPES`, each job's in their order.
        jobs: The columns `JOB_COLUMNS` of the jobs that may be linked to.
    """
    restarts = events.filter(pc.equal(events.column("type"), RESTARTED))
    last = restarts.group_by("job_id").aggregate([("created_at", "max")])
    restarted_at = dict(zip(last.column("job_id").to_pylist(), last.column("created_at_max").to_pylist(), strict=True))
    named = {job_id: other for job_id, other in _named(events, jobs).items() if job_id in restarted_at}
    unnamed = {job_id: at for job_id, at in restarted_at.items() if at is not None and job_id not in named}
    guessed = _guessed(unnamed, jobs)
    return {i: (other, "guess") for i, other in guessed.items()} | {i: (o, "message") for i, o in named.items()}


def mentioned_ids(messages: pa.ChunkedArray) -> list[str]:
    """The different texts in messages that may be ids of jobs."""
    mentions = messages.filter(pc.fill_null(pc.match_substring(messages, "ft-"), False))
    return sorted({job_id for message in mentions.to_pylist() for job_id in _ID.findall(message)})


def _named(events: pa.Table, jobs: pa.Table) -> dict[str, str]:
    """By job the other one that its newest message names, that of a restart before that of a refund."""
    mentions = pc.fill_null(pc.match_substring(events.column("message"), "ft-"), False)
    rows = [(row, _ID.findall(row["message"])) for row in events.filter(mentions).to_pylist()]
    ids = pa.array(sorted({job_id for _, found in rows for job_id in found}), pa.string())
    known = set(ids.filter(pc.is_in(ids, value_set=one(jobs.column("job_id")))).to_pylist())
    by_type: dict[str, dict[str, str]] = {REFUND: {}, RESTARTED: {}}
    for row, found in rows:
        others = (i for i in found if i != row["job_id"] and (i in known or _FULL_ID.fullmatch(i)))
        if other := next(others, None):
            by_type[row["type"]][row["job_id"]] = other
    return by_type[REFUND] | by_type[RESTARTED]


def _guessed(restarted_at: dict[str, datetime], jobs: pa.Table) -> dict[str, str]:
    """By restarted job the first like it; missing text equals missing text."""
    parts = [pc.fill_null(jobs.column(name), "") for name in SAME]
    keys = pc.binary_join_element_wise(*parts, "\0")
    is_restarted = pc.is_in(jobs.column("job_id"), value_set=pa.array(restarted_at, pa.string()))
    alike = pc.is_in(keys, value_set=pc.unique(keys.filter(is_restarted)))
    jobs = jobs.select(["job_id", "created_at"]).append_column("key", keys).filter(alike)
    jobs = jobs.sort_by([("created_at", "ascending"), ("job_id", "ascending")])
    by_key: dict[str, list[tuple[datetime, str]]] = {}
    key_of: dict[str, str] = {}
    for row in jobs.to_pylist():
        key_of[row["job_id"]] = row["key"]
        if row["created_at"] is not None:
            by_key.setdefault(row["key"], []).append((row["created_at"], row["job_id"]))
    found = {}
    for job_id, at in restarted_at.items():
        later = (i for created, i in by_key.get(key_of[job_id], ()) if created >= at and i != job_id)
        if other := next(later, None):
            found[job_id] = other
    return found


def _with_links(jobs: pa.Table, links: dict[str, tuple[str, str]]) -> pa.Table:
    ids = pa.array(links, pa.string())
    at = pc.index_in(jobs.column("job_id"), value_set=ids)
    wanted = schema(tables()["jobs"])
    for number, name in enumerate(COLUMNS):
        values = pa.array([link[number] for link in links.values()], pa.string())
        place = wanted.get_field_index(name)
        jobs = jobs.set_column(place, wanted.field(name), pc.take(values, at))
    return jobs
