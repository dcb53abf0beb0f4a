"""The last snapshot and this run's answers: the next rows of `jobs` and `events`, in key order, batch after batch.

Which copy of a job wins, what is kept of the older one, and what ftetl remembers about a job are settled here, in
Arrow. Stored events are read by row groups and copied, never held whole. Knows no files and no network.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from ftetl import side
from ftetl.contract import tables
from ftetl.copies import Item, Oddity
from ftetl.flatten import Flat, one
from ftetl.history import states
from ftetl.schema import TYPES, empty, schema
from ftetl.stored import Stored
from ftetl.strict import compact, parse

INSTANT = TYPES["datetime"]
# What ftetl keeps about a row, as against what the API says: not compared to tell whether a job has changed.
BOOKKEEPING = ("project", "events_state", "present", "first_seen_at", "last_changed_at")
FROM_EVENTS = ("finished_at", "failure_reason")


@dataclass(frozen=True)
class Seen:
    """What a run knows besides the rows: when each answer was observed, and which one is the whole list."""

    project: str
    observed_at: tuple[datetime, ...]  # by answer
    whole: int | None = None  # the answer that is the newest whole list, if it is newer than the stored one
    newest_whole_at: datetime | None = None  # of the newest whole list ever, this run's included
    vanishing: bool = False  # whether jobs that the whole list lacks are gone
    failed: frozenset[str] = frozenset()  # jobs whose detail could not be had
    aside: frozenset[str] = frozenset()  # jobs of which only a copy was seen that no table can take
    base_whole_at: datetime | None = None  # of the newest whole list before this run


@dataclass
class Next:
    """The next rows of the two large tables."""

    jobs: pa.Table
    events: pa.Table


@dataclass
class Counts:
    """What the run did to the jobs."""

    new: int = 0
    changed: int = 0
    vanished: int = 0


@dataclass
class Merge:
    """One run's merge; feed it the batches in key order, then take the rest."""

    stored: Stored
    seen: Seen
    counts: Counts = field(default_factory=Counts)
    oddities: list[Oddity] = field(default_factory=list)
    history: list[pa.Table] = field(default_factory=list)  # states seen in this run, in no order
    seen_ids: set[str] = field(default_factory=set)  # jobs that this run has an answer for
    replaced: set[str] = field(default_factory=set)  # jobs whose stored row gave way
    with_events: set[str] = field(default_factory=set)  # jobs whose stored events gave way
    from_list: set[str] = field(default_factory=set)  # jobs of which only the list was read

    def __post_init__(self) -> None:
        self._jobs = self.stored.table("jobs")
        self._ids: list[str] = self._jobs.column("job_id").to_pylist()
        self._at = 0
        self._events = _EventStream(self.stored)
        counted = self.stored.table("events", ["job_id"]).column("job_id").value_counts()
        self._event_ids, self._event_counts = counted.field("values"), counted.field("counts")

    def batch(self, items: list[Item], flat: Flat) -> Next:
        """The next rows up to the batch's last job."""
        last = items[-1].job_id
        before = self._before(last)
        older = pa.array([i.older for i in items], pa.bool_())
        observed = pa.array([self.seen.observed_at[i.answer] for i in items], INSTANT)
        self._remember(flat.jobs.filter(older), observed.filter(older))
        winners = [i for i in items if not i.older]
        incoming = _Incoming(flat, winners, pc.invert(older), observed)
        jobs, taking = self._jobs_of(incoming, before)
        mine = pc.is_in(before.column("job_id"), value_set=incoming.ids)
        left = self._left_behind(before.filter(pc.invert(mine)))
        return Next(_ordered([jobs, left], ["job_id"]), self._events_of(flat, incoming, taking, last))

    def rest(self) -> Iterator[Next]:
        """The stored rows behind the last batch."""
        while self._at < len(self._ids):
            last = self._ids[min(self._at + _STEP, len(self._ids)) - 1]
            left = self._left_behind(self._before(last))
            yield Next(left, self._events.up_to(last))

    def anomalies(self, oddities: list[Oddity]) -> pa.Table:
        """The next anomalies: this run's, and those stored ones whose value is still the current one."""
        lost = {i for i in self.seen_ids if i not in self.replaced}
        mine = [o for o in [*oddities, *self.oddities] if o.job_id not in lost]
        return side.anomalies(self.stored.table("anomalies"), mine, self._stays, self.seen.project)

    def _stays(self, job_id: str, path: str) -> bool:
        """Whether a stored anomaly still speaks of a current value."""
        if job_id not in self.replaced:
            return True
        if path.split(".")[0] == tables()["events"].rows:
            return job_id not in self.with_events
        return job_id in self.from_list and path.split(".")[0] in _detail_paths()

    def _before(self, last: str) -> pa.Table:
        end = bisect_right(self._ids, last, lo=self._at)
        found = self._jobs.slice(self._at, end - self._at)
        self._at = end
        return found

    def _left_behind(self, rows: pa.Table) -> pa.Table:
        """Stored rows that this run has no answer for: gone, if it read the whole list."""
        if not self.seen.vanishing or not rows.num_rows:
            return rows
        spared = pc.is_in(rows.column("job_id"), value_set=pa.array(sorted(self.seen.aside), pa.string()))
        gone = pc.and_(rows.column("present"), pc.invert(spared))
        self.counts.vanished += pc.sum(gone).as_py() or 0
        moment = pa.scalar(self.seen.newest_whole_at, INSTANT)
        changed = pc.if_else(gone, moment, rows.column("last_changed_at"))
        rows = _put(rows, "present", pc.and_(rows.column("present"), spared))
        return _put(rows, "last_changed_at", changed)

    def _jobs_of(self, new: _Incoming, before: pa.Table) -> tuple[pa.Table, pa.Array]:
        """The next rows of the incoming jobs, and whether each takes the incoming events."""
        index = pc.index_in(new.ids, value_set=before.column("job_id").combine_chunks())
        known = pc.is_valid(index)
        old = before.take(index)
        wins = self._wins(new, old, known)
        held = self._held(new.ids)
        taking = pc.and_(
            pc.greater(new.events, 0), pc.if_else(wins, pc.greater_equal(new.events, held), pc.equal(held, 0))
        )
        fewer = pc.and_(pc.and_(wins, pc.less(new.events, held)), pc.or_(new.complete, pc.greater(new.events, 0)))
        self._note_fewer(new, fewer, held)
        cells = {c: self._merged(c, new, old, wins) for c in new.jobs.column_names}
        cells["extra"] = _extras(cells["extra"], old.column("extra"), new.detail, wins)
        keep = pc.and_(known, pc.invert(taking))
        running = pc.invert(pc.fill_null(cells["is_terminal"], True))
        for name in FROM_EVENTS:
            value = pc.if_else(keep, old.column(name), new.jobs.column(name))
            cells[name] = pc.if_else(running, pa.scalar(None, value.type), value)
        cells["duration_seconds"] = _seconds(cells["created_at"], cells["finished_at"])
        same = _equal(cells, old)
        changed = pc.and_(known, pc.invert(same))
        cells["events_state"] = self._state(new, old, taking, fewer, held, same)
        present = self._present(new, old, known)
        flipped = pc.and_(known, pc.not_equal(present, pc.fill_null(old.column("present"), False)))
        moved = pc.or_(pc.or_(changed, flipped), pc.invert(known))
        cells["present"] = present
        cells["first_seen_at"] = pc.coalesce(old.column("first_seen_at"), new.observed)
        cells["last_changed_at"] = pc.if_else(moved, new.observed, old.column("last_changed_at"))
        cells["project"] = pa.repeat(self.seen.project, len(new.ids))
        self._count(new, known, changed, wins, taking)
        rows = pa.table({c: cells[c] for c in tables()["jobs"].names}, schema=None).cast(schema(tables()["jobs"]))
        self._remember(rows.filter(moved), new.observed.filter(moved))
        lost = pc.invert(wins)
        self._remember(new.jobs.filter(lost), new.observed.filter(lost))
        return rows, taking

    def _wins(self, new: _Incoming, old: pa.Table, known: pa.Array) -> pa.Array:
        """Whether the incoming copy is the newer one: by `updated_at`, then by when it was observed."""
        theirs = pc.fill_null(old.column("updated_at"), _EPOCH)
        ours = pc.fill_null(new.jobs.column("updated_at"), _EPOCH)
        last = old.column("last_changed_at")
        if self.seen.base_whole_at is not None:
            # What the newest whole list had was observed then, even if it had not changed since long.
            whole = pa.scalar(self.seen.base_whole_at, INSTANT)
            last = pc.if_else(pc.and_(old.column("present"), pc.less(last, whole)), whole, last)
        later = pc.fill_null(pc.greater_equal(new.observed, last), True)
        newer = pc.or_(pc.greater(ours, theirs), pc.and_(pc.equal(ours, theirs), later))
        return pc.or_(pc.invert(known), newer)

    def _held(self, ids: pa.Array) -> pa.Array:
        at = pc.index_in(ids, value_set=self._event_ids)
        return pc.fill_null(pc.take(self._event_counts, at), 0)

    def _note_fewer(self, new: _Incoming, fewer: pa.Array, held: pa.Array) -> None:
        for row in pc.indices_nonzero(fewer).to_pylist():
            counts = f'{{"received":{new.events[row].as_py()},"stored":{held[row].as_py()}}}'
            self.oddities.append(Oddity(new.ids[row].as_py(), "events", "fewer_events", counts))

    def _merged(self, name: str, new: _Incoming, old: pa.Table, wins: pa.Array) -> pa.ChunkedArray:
        """One column: the winner's value; what only a detail tells is kept where only the list was read."""
        value, stored = new.jobs.column(name), old.column(name)
        if tables()["jobs"][name].detail and name != "extra":
            value = pc.if_else(new.detail, value, pc.coalesce(value, stored))
        return pc.if_else(wins, value, stored)

    def _state(
        self, new: _Incoming, old: pa.Table, taking: pa.Array, fewer: pa.Array, held: pa.Array, same: pa.Array
    ) -> pa.Array:
        read = pc.if_else(new.stale, "stale", pc.if_else(new.detail, "detail", "list"))
        complete = pc.and_(new.complete, pc.and_(pc.equal(held, 0), pc.equal(new.events, 0)))
        before = pc.fill_null(old.column("events_state"), "unknown")
        failed = pc.is_in(new.ids, value_set=pa.array(sorted(self.seen.failed), pa.string()))
        fresh = pc.and_(same, pc.invert(pc.or_(failed, fewer)))
        kept = pc.if_else(pc.or_(pc.equal(before, "unknown"), fresh), before, "stale")
        return pc.if_else(pc.or_(taking, complete), read, kept)

    def _present(self, new: _Incoming, old: pa.Table, known: pa.Array) -> pa.Array:
        """Whether the newest whole list has the job, or something newer than it."""
        newest = self.seen.newest_whole_at
        if newest is None:
            return pa.array([True] * len(new.ids))
        listed = pc.or_(new.answered_by(self.seen.whole), pc.greater_equal(new.observed, pa.scalar(newest, INSTANT)))
        if self.seen.whole is None:  # an answer older than the newest whole list tells nothing about it
            listed = pc.or_(listed, pc.and_(known, pc.fill_null(old.column("present"), False)))
        return listed

    def _count(self, new: _Incoming, known: pa.Array, changed: pa.Array, wins: pa.Array, taking: pa.Array) -> None:
        self.counts.new += pc.sum(pc.invert(known)).as_py() or 0
        self.counts.changed += pc.sum(changed).as_py() or 0
        self.seen_ids.update(new.ids.to_pylist())
        self.replaced.update(new.ids.filter(wins).to_pylist())
        self.with_events.update(new.ids.filter(taking).to_pylist())
        self.from_list.update(new.ids.filter(pc.invert(new.detail)).to_pylist())

    def _remember(self, rows: pa.Table, observed: pa.Array) -> None:
        if rows.num_rows:
            self.history.append(states(rows, observed))

    def _events_of(self, flat: Flat, new: _Incoming, taking: pa.Array, last: str) -> pa.Table:
        old = self._events.up_to(last)
        taken = new.ids.filter(taking)
        if old.num_rows:
            old = old.filter(pc.invert(pc.is_in(old.column("job_id"), value_set=taken)))
        events = flat.events
        if events.num_rows:
            events = events.filter(pc.take(new.row_takes(taking), new.parents))
        named = pa.repeat(self.seen.project, events.num_rows)
        events = events.add_column(0, "project", named).cast(schema(tables()["events"]))
        return _ordered([events, old], ["job_id", "position"])


_STEP = 50_000  # stored rows that are passed on at once behind the last batch
_EPOCH = pa.scalar(datetime(1, 1, 1), pa.timestamp("us")).cast(INSTANT)


class _Incoming:
    """A batch's winning rows, and what is known of each."""

    def __init__(self, flat: Flat, winners: list[Item], mask: pa.Array, observed: pa.Array) -> None:
        self.jobs = flat.jobs.filter(mask).combine_chunks()
        self.ids = self.jobs.column("job_id").combine_chunks()
        self.observed = observed.filter(mask)
        # A detail told the detail-only columns; whether it also told the events depends on whether they were wanted.
        self.detail = pa.array([i.detail or i.stale for i in winners], pa.bool_())
        self.complete = self.detail if flat.events_read else pa.array([False] * len(winners), pa.bool_())
        self.stale = pa.array([i.stale for i in winners], pa.bool_())
        self._answers = pa.array([i.answer for i in winners], pa.int64())
        self._mask = mask
        self.parents = flat.parents
        rows = pc.indices_nonzero(mask)
        counted = pc.value_counts(flat.parents)
        at = pc.index_in(pc.cast(rows, flat.parents.type), value_set=counted.field("values"))
        self.events = pc.fill_null(pc.take(counted.field("counts"), at), 0)

    def answered_by(self, answer: int | None) -> pa.Array:
        """Whether each row came from that answer."""
        return pc.equal(self._answers, -1 if answer is None else answer)

    def row_takes(self, taking: pa.Array) -> pa.Array:
        """By row of the batch, older copies included: whether its events are taken."""
        found = pa.array([False] * len(self._mask), pa.bool_())
        return pc.replace_with_mask(found, self._mask, one(taking))


class _EventStream:
    """The stored events in key order, a row group at a time."""

    def __init__(self, stored: Stored) -> None:
        self._groups = stored.groups("events")
        self._held: list[pa.Table] = []
        self._done = False

    def up_to(self, last: str) -> pa.Table:
        """The next rows, up to the job `last`."""
        taken: list[pa.Table] = []
        while True:
            if not self._held:
                group = next(self._groups, None)
                if group is None:
                    break
                self._held.append(group)
            group = self._held.pop()
            # Rows are sorted, so those that belong here are the first ones.
            count = pc.sum(pc.less_equal(group.column("job_id"), last)).as_py() or 0
            taken.append(group.slice(0, count))
            if count < group.num_rows:
                self._held.append(group.slice(count))
                break
        return pa.concat_tables(taken) if taken else empty(tables()["events"])


def _ordered(parts: list[pa.Table], key: list[str]) -> pa.Table:
    """The rows of all parts in key order; each part is in order already."""
    parts = [p for p in parts if p.num_rows] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    whole = pa.concat_tables(parts)
    return whole.take(pc.sort_indices(whole, [(k, "ascending") for k in key]))


def _put(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    at = rows.schema.get_field_index(name)
    return rows.set_column(at, rows.schema.field(at), values)


def _seconds(start: pa.ChunkedArray, end: pa.ChunkedArray) -> pa.ChunkedArray:
    micros = pc.cast(pc.subtract(end, start), pa.int64())
    return pc.divide(pc.cast(micros, pa.float64()), 1e6)


def _equal(cells: dict[str, pa.ChunkedArray], old: pa.Table) -> pa.Array:
    """Whether each row says what the stored one said."""
    same = pa.array([True] * old.num_rows)
    for name, value in cells.items():
        if name in BOOKKEEPING:
            continue
        stored = old.column(name)
        alike = pc.coalesce(pc.equal(value, stored), pc.and_(pc.is_null(value), pc.is_null(stored)))
        same = pc.and_(same, alike)
    return one(same)


def _extras(value: pa.ChunkedArray, stored: pa.ChunkedArray, detail: pa.Array, wins: pa.Array) -> pa.ChunkedArray:
    """`extra` where only the list was read: its keys over those that a detail had told."""
    both = pc.and_(pc.and_(wins, pc.invert(detail)), pc.is_valid(stored))
    rows = pc.indices_nonzero(both).to_pylist()
    if not rows:
        return value
    cells = value.to_pylist()
    for row in rows:
        known = parse(stored[row].as_py().encode())
        cells[row] = compact(known | (parse(cells[row].encode()) if cells[row] else {}))
    return pa.chunked_array([pa.array(cells, pa.string())])


def _detail_paths() -> set[str]:
    """The first keys of what only a detail tells."""
    return {source.keys[0] for column in tables()["jobs"].columns if column.detail for source in column.sources}
