"""Merges the rows of a run into those of the last snapshot: `jobs` and `events`, in key order, batch after batch.

Decides between the incoming copy of a job and its stored row, keeps what only the loser has, and tracks when a job was
seen, changed and deleted. Stored events are read by row groups and copied, never held whole.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one, seconds_between, where
from ftetl.contract import tables
from ftetl.contract.arrow_schema import TYPES
from ftetl.raw.findings import Anomaly
from ftetl.snapshot.table_reader import TableReader
from ftetl.transform import assemble, survivorship
from ftetl.transform.coalesce import Coalesced
from ftetl.transform.column_drift import ColumnDrift, ReadJobs, find_unreadable
from ftetl.transform.derive import file_columns, restart_links
from ftetl.transform.flatten.tables import Flat
from ftetl.transform.flatten.terminal_event import clear_while_running, terminal_columns
from ftetl.transform.merge import anomalies as anomalies_table
from ftetl.transform.merge import (
    carry_over,
    key_order,
    last_known,
    observation_times,
    presence,
    row_anomalies,
    stored_events,
)
from ftetl.transform.merge.incoming import Incoming, incoming
from ftetl.transform.merge.job_history import states
from ftetl.transform.merge.merged_batch import MergedBatch, MergedEvents, Touched
from ftetl.transform.merge.run_context import RunContext
from ftetl.transform.merge.unchanged_jobs import UnchangedJobs
from ftetl.transform.missing_values import MissingValues
from ftetl.transform.price_changes import PriceChanges
from ftetl.transform.timestamps import INSTANT

_STORED_COLUMNS = ["updated_at", "events_state", "present", "first_seen_at", "last_changed_at"]
_ROWS_PER_STEP = 50_000  # of stored rows behind the last batch


@dataclass
class Counts:
    """How many jobs are new, changed or deleted."""

    new: int = 0
    changed: int = 0
    vanished: int = 0


@dataclass
class Merge:
    """One run's merge; call `batch` for each batch in key order, then `remaining_batches`."""

    stored: TableReader
    context: RunContext
    counts: Counts = field(default_factory=Counts)
    new_anomalies: list[Anomaly] = field(default_factory=list)
    superseded_states: list[pa.Table] = field(default_factory=list)  # of copies that did not become a row, in no order
    current_states: list[pa.Table] = field(default_factory=list)  # of those that did

    def __post_init__(self) -> None:
        self.newest_stored: datetime | None = None  # the newest observation in what was read
        self._jobs = self.read_observed("jobs")
        ids = self._jobs.column("job_id")
        self._stored_counts = stored_events.counts(self.stored, one(ids))
        self._ids: list[str] = ids.to_pylist()
        self._at = 0
        self._events = stored_events.Stream(self.stored)
        self._touched = Touched()
        self._quarantined_ids: set[str] = set()
        self._first_values = row_anomalies.first_values(self.stored.read_table("anomalies"))
        self._unchanged_ids = pa.array(sorted(self.context.unchanged_ids), pa.string())
        self._unchanged = UnchangedJobs(self.context.unchanged, self.stored)
        self._missing = MissingValues(self._unchanged.count_events)
        self._price_changes = PriceChanges()
        self.column_drift = ColumnDrift()  # of the whole run, once its anomalies are known

    def read_observed(self, name: str) -> pa.Table:
        """A stored table with times of observation; those in the future are dated back, if the context says so."""
        rows, context = self.stored.read_table(name), self.context
        times = (self.newest_stored, observation_times.newest_of(name, rows))
        self.newest_stored = max((time for time in times if time is not None), default=None)
        if context.live_at is not None and context.dates_back:
            return observation_times.backdate(name, rows, context.live_at)
        return rows

    def protect_from_missing(self, job_ids: Iterable[str]) -> None:
        """Do not mark these jobs, which have a quarantined copy, as missing. To be called before their batch."""
        self._quarantined_ids.update(job_ids)

    def batch(self, batch: Coalesced, flat: Flat) -> MergedBatch:
        """The next rows up to the batch's last job."""
        last = batch.decoded.items[-1].job_id
        before, stored_counts = self._stored_up_to(last)
        assemble.require(tables()["jobs"], flat.jobs)
        new = incoming(batch, flat)
        older = last_known.fill_from_snapshot(new.older, new.older_unreadable, before)
        self.superseded_states.append(states(older, new.older_observed))
        jobs, takes_events = self._merge_jobs(new, before, stored_counts)
        if key_order.are_few(jobs, before):
            rows = key_order.among(self._without_new_copy(before, new.ids), jobs)
        else:
            has_new_copy = pc.is_in(before.column("job_id"), value_set=new.ids)
            untouched = self._without_new_copy(where(before, one(pc.invert(has_new_copy))))
            rows = key_order.ordered([jobs, untouched], ["job_id"])
        return MergedBatch(rows, self._merge_events(new, takes_events, last))

    def remaining_batches(self) -> Iterator[MergedBatch]:
        """The stored rows behind the last batch."""
        while self._at < len(self._ids):
            last = self._ids[min(self._at + _ROWS_PER_STEP, len(self._ids)) - 1]
            untouched = self._without_new_copy(self._stored_up_to(last)[0])
            yield MergedBatch(untouched, (MergedEvents(rows, True) for rows in self._events.up_to(last)))

    def anomaly_table(self, anomalies: list[Anomaly]) -> pa.Table:
        """The next anomalies: this run's, and those stored ones whose value is still the current one."""
        counted = anomalies_table.count_anomalies([*anomalies, *self.new_anomalies], self.context.project)
        stored = self.stored.read_table("anomalies")
        kept, current = stored.filter(pc.invert(self._is_touched(stored))), counted.filter(self._is_current(counted))
        touched = (self._touched.rows, self._touched.details, self._touched.events)
        self.replaced = ReadJobs(*(one(pa.chunked_array(ids, pa.string())) for ids in touched))
        self.whole_rows = one(pa.chunked_array(self._touched.whole_rows, pa.string()))
        read, found = self._unchanged.and_replaced(self.replaced), [current, self._unchanged.anomalies(kept)]
        unreadable = tuple(find_unreadable(pa.concat_tables(found), stored, self._jobs, read))
        missing, money = tuple(self._missing.found(current)), tuple(self._price_changes.found())
        counts = {name: len(ids) for name, ids in vars(read).items()}
        self.column_drift = ColumnDrift(unreadable, missing, money, counts)
        return anomalies_table.merge_anomalies(kept, current)

    def _is_touched(self, anomalies: pa.Table) -> pa.Array:
        """Whether this run replaced the value that each anomaly is about."""
        first = pc.list_element(pc.split_pattern(anomalies.column("path"), ".", max_splits=1), 0)
        detail = pc.is_in(first, value_set=pa.array(survivorship.detail_keys(), pa.string()))
        in_details, in_rows = _is_of_jobs(anomalies, self._touched.details), _is_of_jobs(anomalies, self._touched.rows)
        in_events, is_event = _is_of_jobs(anomalies, self._touched.events), pc.equal(first, tables()["events"].rows)
        return pc.if_else(is_event, in_events, pc.if_else(detail, in_details, in_rows))

    def _is_current(self, anomalies: pa.Table) -> pa.Array:
        """Whether a new anomaly is about a value of a row, and not of a copy or of events that were not taken."""
        inner = pc.starts_with(anomalies.column("path"), f"{tables()['events'].rows}.")
        outer = pc.and_(_is_of_jobs(anomalies, self._touched.rows), pc.invert(inner))
        return pc.or_(outer, self._is_touched(anomalies))

    def _stored_up_to(self, last: str) -> tuple[pa.Table, pa.Array]:
        """The next stored rows up to the job `last`, and how many events each has."""
        start, end = self._at, bisect_right(self._ids, last, lo=self._at)
        self._at = end
        return self._jobs.slice(start, end - start), self._stored_counts.slice(start, end - start)

    def _without_new_copy(self, rows: pa.Table, with_new_copy: pa.Array | None = None) -> pa.Table:
        """Stored rows without a new copy, with `present` brought up to date; those of `with_new_copy` stay."""
        self._unchanged.compare(rows, self._missing, self._price_changes)
        received = self._quarantined_ids.union(with_new_copy.to_pylist() if with_new_copy is not None else ())
        marked = presence.mark_missing_jobs(rows, self.context, self._unchanged_ids, received)
        self.counts.vanished += marked.missing
        self.counts.changed += marked.reappeared
        return marked.rows

    def _merge_jobs(self, new: Incoming, before: pa.Table, stored_counts: pa.Array) -> tuple[pa.Table, pa.Array]:
        """The next rows of the incoming jobs, and whether each takes the incoming events."""
        index = pc.index_in(new.ids, value_set=one(before.column("job_id")))
        known = pc.is_valid(index)
        # Without a stored row there is nothing to compare, and comparing is the slow part.
        nothing_stored = not before.num_rows
        old = (before.select(_STORED_COLUMNS) if nothing_stored else before).take(index)
        stored_counts = pc.fill_null(pc.take(stored_counts, index), 0)
        wins, has_events = self._is_newer(new, old, known), pc.greater(new.counts, 0)
        enough = pc.if_else(wins, pc.greater_equal(new.counts, stored_counts), pc.equal(stored_counts, 0))
        takes_events = one(pc.and_(has_events, enough))
        # An older detail beside a newer list item may rightly have fewer.
        current = pc.and_(wins, pc.invert(new.detail_is_older))
        fewer = pc.and_(pc.and_(current, pc.less(new.counts, stored_counts)), pc.or_(new.has_all_events, has_events))
        self.new_anomalies += row_anomalies.fewer_events(new.ids, new.counts, stored_counts, fewer)
        detail_wins = new.detail if nothing_stored else carry_over.detail_wins(new, old, wins)
        if not nothing_stored:
            replaced, detailed = one(pc.and_(known, wins)), one(pc.and_(known, detail_wins))
            self._missing.add_jobs(new.jobs, old, replaced, detailed)
            self._price_changes.add_jobs(new.jobs, old, replaced, detailed)
            unreadable = last_known.without_value(new.jobs) if self.context.keep_known else new.unreadable
            new = replace(new, jobs=last_known.fill_from_stored(new.jobs, unreadable, old))
        cells = dict(zip(new.jobs.column_names, new.jobs.columns, strict=True))
        if not nothing_stored:
            cells = self._merged_cells(new, old, wins, detail_wins, pc.and_(known, pc.invert(takes_events)))
        is_whole = wins
        if not nothing_stored:
            own_events = pc.or_(takes_events, pc.equal(stored_counts, 0))
            is_whole = pc.and_(pc.and_(wins, own_events), carry_over.is_unchanged(cells, new.jobs))
        cells["duration_seconds"] = seconds_between(cells["created_at"], cells["finished_at"])
        same = known if nothing_stored else carry_over.is_unchanged(cells, old)
        unchanged = pc.and_(same, pc.invert(fewer))
        cells["events_state"] = self._events_state(new, old, wins, takes_events, stored_counts, unchanged)
        present = presence.is_present(new, old, known, self.context)
        presence_changed = pc.and_(known, pc.not_equal(present, pc.fill_null(old.column("present"), False)))
        same = pc.and_(same, pc.invert(pc.and_(takes_events, pc.not_equal(new.counts, stored_counts))))
        # What an older copy adds may have been observed before the stored row changed.
        is_newer_observation = pc.or_(
            wins, pc.fill_null(pc.greater_equal(new.observed, old.column("last_changed_at")), True)
        )
        is_changed = pc.or_(pc.or_(pc.and_(is_newer_observation, pc.invert(same)), presence_changed), pc.invert(known))
        cells["present"] = present
        cells["first_seen_at"] = pc.coalesce(old.column("first_seen_at"), new.first_observed)
        cells["last_changed_at"] = pc.if_else(is_changed, new.state_first_observed, old.column("last_changed_at"))
        for name in (*restart_links.COLUMNS, *file_columns.COLUMNS):  # filled once all jobs and files are known
            cells[name] = pa.nulls(len(new.ids), TYPES[tables()["jobs"][name].type])
        cells["project"] = pa.repeat(self.context.project, len(new.ids))
        self._count(known, pc.or_(is_changed, pc.invert(same)))
        for touched_ids, mask in (
            (self._touched.rows, wins),
            (self._touched.whole_rows, is_whole),
            (self._touched.details, detail_wins),
            (self._touched.events, takes_events),
        ):
            touched_ids.append(where(new.ids, one(mask)))
        rows = assemble.rows(tables()["jobs"], cells)
        self.new_anomalies += row_anomalies.find_row_anomalies(rows, old, wins, self._first_values)
        self.current_states.append(where(states(rows, new.state_first_observed), wins))
        self.superseded_states.append(where(states(new.jobs, new.state_first_observed), pc.invert(wins)))
        return rows, takes_events

    def _merged_cells(
        self, new: Incoming, old: pa.Table, wins: pa.Array, detail_wins: pa.Array, keep: pa.Array
    ) -> dict[str, pa.ChunkedArray]:
        """The cells of jobs of which some are stored; where `keep` holds, the stored events stay."""
        cells = {c: carry_over.merged_column(c, new, old, wins, detail_wins) for c in new.jobs.column_names}
        for name in (column.name for column in terminal_columns()):
            cells[name] = pc.if_else(keep, old.column(name), new.jobs.column(name))
        clear_while_running(cells)
        return cells

    def _is_newer(self, new: Incoming, old: pa.Table, known: pa.Array) -> pa.Array:
        """Whether the incoming copy wins over the stored row, by `survivorship`."""
        last = old.column("last_changed_at")
        if self.context.base_whole_at is not None:
            # A job in the newest complete list was observed then, even if it has not changed for long.
            list_time = pa.scalar(self.context.base_whole_at, INSTANT)
            last = pc.if_else(pc.and_(old.column("present"), pc.less(last, list_time)), list_time, last)
        if self.context.live_at is not None:
            just_before = pc.subtract(new.observed, pa.scalar(timedelta(microseconds=1), pa.duration("us")))
            last = pc.if_else(pc.greater(last, just_before), just_before, last)
        newer = survivorship.is_newer(new.jobs.column("updated_at"), new.observed, old.column("updated_at"), last)
        return one(pc.or_(pc.invert(known), newer))

    def _events_state(
        self,
        new: Incoming,
        old: pa.Table,
        wins: pa.Array,
        takes_events: pa.Array,
        stored_counts: pa.Array,
        unchanged: pa.Array,
    ) -> pa.Array:
        """`events_state`. `unchanged`: the row equals the stored one, and no fewer events were received."""
        # Events of a copy that lost belong to the current row only if both have the same `updated_at`.
        current = pc.or_(wins, pc.fill_null(pc.equal(new.detail_updated_at, old.column("updated_at")), False))
        is_older = pc.or_(new.events_are_older, pc.invert(current))
        incoming_state = pc.if_else(is_older, "stale", pc.if_else(new.detail, "detail", "list"))
        none = pc.and_(new.has_all_events, pc.and_(pc.equal(stored_counts, 0), pc.equal(new.counts, 0)))
        before = pc.fill_null(old.column("events_state"), "unknown")
        failed = pc.is_in(new.ids, value_set=pa.array(sorted(self.context.failed), pa.string()))
        still_true = pc.or_(pc.equal(before, "unknown"), pc.and_(unchanged, pc.invert(failed)))
        stored_state = pc.if_else(still_true, before, "stale")
        return pc.if_else(pc.or_(takes_events, pc.and_(none, pc.invert(is_older))), incoming_state, stored_state)

    def _count(self, known: pa.Array, changed: pa.Array) -> None:
        self.counts.new += pc.sum(pc.invert(known)).as_py() or 0
        self.counts.changed += pc.sum(pc.and_(known, changed)).as_py() or 0

    def _merge_events(self, new: Incoming, takes_events: pa.Array, last: str) -> Iterator[MergedEvents]:
        """The events up to the job `last`: the stored ones, but for the jobs that take the incoming ones."""
        events = assemble.with_project(tables()["events"], new.events(takes_events), self.context.project)
        taken, incoming_events = where(new.ids, takes_events), events
        for old in self._events.up_to(last):
            is_up_to_here = pc.less_equal(events.column("job_id"), old.column("job_id")[-1])
            count = pc.sum(is_up_to_here).as_py() or 0
            is_replaced = pc.is_in(old.column("job_id"), value_set=taken)
            replaced = where(old, one(is_replaced))
            self._missing.add_events(replaced, incoming_events)
            if events.slice(0, count).equals(replaced):
                yield MergedEvents(old, are_stored=True)
            else:
                remaining = where(old, one(pc.invert(is_replaced)))
                yield MergedEvents(key_order.ordered([events.slice(0, count), remaining], ["job_id", "position"]))
            events = events.slice(count)
        yield MergedEvents(events)


def _is_of_jobs(rows: pa.Table, ids: list[pa.Array]) -> pa.Array:
    return pc.is_in(rows.column("job_id"), value_set=one(pa.chunked_array(ids, pa.string())))
