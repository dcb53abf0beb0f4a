"""The charges of a run: which jobs were charged, when, and what was refunded. `focus_costs` is made from them.

A job with a price was charged, whatever its status. A charge or a refund that cannot be a row becomes an anomaly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import next_month, one, until_9999
from ftetl.clock import iso
from ftetl.contract import tables
from ftetl.contract.arrow_schema import USD_LIMIT, schema

TERMINAL_TYPES = ("job_complete", "job_error", "job_user_error", "job_stopped")
REFUND = "refund"
EVENT_TYPES = (*TERMINAL_TYPES, REFUND)  # the events that date a charge or a refund
ANOMALY_KINDS = ("charge_without_time", "refund_exceeds_price", "charge_too_large", "charge_end_out_of_range")
WITHOUT_TIME, REFUND_TOO_HIGH, TOO_LARGE, END_OUT_OF_RANGE = ANOMALY_KINDS
FAILED = pa.array(["error", "user_error"])  # refunded in full, the vendor says
_JOB_COLUMNS = (
    *("job_id", "status", "is_terminal", "created_at", "updated_at", "token_count", "model", "model_output_name"),
    *("suffix", "training_type", "training_method", "user_id", "wandb_project_name"),
    *("total_price_nanousd", "refund_amount_nanousd"),
)
_NAIVE = pa.timestamp("us")  # UTC without its name, which some kernels need
_MANY = 100  # batches of events after which the times are taken out of them
_SECOND = pa.scalar(1_000_000, pa.duration("us"))


class Charges:
    """Collects the charged jobs of a run, from the events when each ended and was refunded, and when that was seen."""

    def __init__(self) -> None:
        self._jobs: list[pa.Table] = []
        # Of each job one time (`at`): the newest event of a kind, or the first observation of money.
        self._times: dict[str, list[pa.Table]] = {"ended": [], "refunded": [], "charge_seen": [], "refund_seen": []}
        self._dated: dict[str, list[pa.Table]] = {"ended": [], "refunded": []}  # events whose times are not there yet
        self.anomalies: list[dict[str, Any]] = []  # rows of `anomalies`, without the project
        self.refund_evidence: Counter[str] = Counter()  # failed jobs whose refund shows that prices are gross, or net

    def add_jobs(self, jobs: pa.Table) -> None:
        """Add the next rows of `jobs`."""
        price = pc.fill_null(jobs.column("total_price_nanousd"), 0)
        refund = pc.fill_null(jobs.column("refund_amount_nanousd"), 0)
        is_priced, is_refunded = pc.greater(price, 0), pc.greater(refund, 0)
        has_no_time = pc.and_(pc.is_null(jobs.column("created_at")), pc.is_null(jobs.column("updated_at")))
        self._add_anomalies(jobs, pc.and_(is_priced, has_no_time), WITHOUT_TIME, "total_price", price)
        is_too_large = pc.greater_equal(price, USD_LIMIT)
        self._add_anomalies(jobs, is_too_large, TOO_LARGE, "total_price", price)
        # Without a price it is unknown whether the refund exceeds it.
        exceeds = pc.fill_null(pc.greater(refund, jobs.column("total_price_nanousd")), False)
        self._add_anomalies(jobs, pc.and_(is_refunded, exceeds), REFUND_TOO_HIGH, "refund_amount", refund)
        has_failed = pc.and_(pc.is_in(jobs.column("status"), value_set=FAILED), is_refunded)
        is_free = pc.fill_null(pc.equal(jobs.column("total_price_nanousd"), 0), False)
        for meaning, mask in (("gross", pc.equal(refund, price)), ("net", is_free)):
            self.refund_evidence[meaning] += pc.sum(pc.and_(has_failed, mask)).as_py() or 0
        is_charged = pc.and_(is_priced, pc.invert(pc.or_(has_no_time, is_too_large)))
        self._jobs.append(jobs.select(_JOB_COLUMNS).filter(is_charged))

    def add_events(self, events: pa.Table) -> None:
        """Add events, all of a job in one call.

        Args:
            events: `job_id`, `created_at` and `type_index` (into `EVENT_TYPES`).
        """
        is_refund = pc.equal(events.column("type_index"), EVENT_TYPES.index(REFUND))
        for name, mask in (("ended", pc.invert(is_refund)), ("refunded", is_refund)):
            dated = events.filter(mask)
            if dated.num_rows:
                self._dated[name].append(dated.select(["job_id", "created_at"]))
                if len(self._dated[name]) == _MANY:
                    self._group_by_job(name)

    def _group_by_job(self, name: str) -> None:
        """Keep of the events collected the newest time of each job; a call costs more than thousands of rows."""
        if self._dated[name]:
            self._times[name].append(_by_job(pa.concat_tables(self._dated[name]), "created_at", "max"))
            self._dated[name].clear()

    def add_history(self, states: pa.Table) -> None:
        """Add the whole `job_history`."""
        for name, column in (("charge_seen", "total_price_nanousd"), ("refund_seen", "refund_amount_nanousd")):
            shows_it = pc.fill_null(pc.greater(states.column(column), 0), False)
            self._times[name].append(_by_job(states.filter(shows_it), "observed_at", "min"))

    def batches(self, size: int) -> Iterator[pa.Table]:
        """The charged jobs with their periods, ordered by start, in batches of `size` rows; they can be taken once.

        Times are naive UTC: `start` and `end` of the charge, `month` in which it is billed, `refund_month` in which a
        refund is, `charge_seen` and `refund_seen` when these were first observed. An end beyond the year 9999 is null.
        """
        job_schema = schema(tables()["jobs"])
        empty = pa.schema([job_schema.field(name) for name in _JOB_COLUMNS]).empty_table()
        jobs = pa.concat_tables([empty, *self._jobs]).combine_chunks()
        self._jobs.clear()
        ids = one(jobs.column("job_id"))
        created, updated = (one(jobs.column(name)).view(_NAIVE) for name in ("created_at", "updated_at"))
        started = pc.coalesce(created, updated)
        ended = pc.if_else(pc.fill_null(one(jobs.column("is_terminal")), False), self._time("ended", ids), None)
        last = pc.coalesce(ended, updated, started)
        start = pc.floor_temporal(started, unit="second")
        end = until_9999(pc.add(pc.max_element_wise(pc.floor_temporal(last, unit="second"), start), _SECOND))
        month = pc.floor_temporal(start, unit="month")
        refund_event = self._time("refunded", ids)
        refunded = pc.coalesce(refund_event, last)
        refund_month = pc.max_element_wise(pc.floor_temporal(refunded, unit="month"), month)
        periods = {"start": start, "end": end, "month": month, "refund_month": refund_month}
        newest = pc.max_element_wise(started, last, refunded)
        path = pc.if_else(pc.is_valid(pc.coalesce(ended, refund_event)), "events.created_at", "updated_at")
        path = pc.if_else(pc.equal(newest, created), "created_at", path)
        self._add_endless(jobs, periods, pc.fill_null(path, "updated_at"), newest)
        seen = {name: self._time(name, ids) for name in ("charge_seen", "refund_seen")}
        for name, values in (periods | seen).items():
            jobs = jobs.append_column(name, values)
        order = pc.sort_indices(jobs, [("start", "ascending"), ("job_id", "ascending")])
        for at in range(0, len(order), size):
            yield jobs.take(order.slice(at, size))

    def _time(self, name: str, ids: pa.Array) -> pa.Array:
        """By job its time of this name, or null."""
        if name in self._dated:
            self._group_by_job(name)
        if not self._times[name]:
            return pa.nulls(len(ids), _NAIVE)
        times = pa.concat_tables(self._times[name])
        self._times[name].clear()
        return pc.take(one(times.column("at")), pc.index_in(ids, value_set=one(times.column("job_id")))).view(_NAIVE)

    def _add_endless(self, jobs: pa.Table, periods: dict[str, pa.Array], path: pa.Array, newest: pa.Array) -> None:
        """Add an anomaly for each job that has a period without an end; `newest` of its times is at `path`."""
        is_endless = pc.or_(pc.is_null(periods["end"]), pc.is_null(next_month(periods["month"])))
        is_endless = pc.or_(is_endless, pc.and_(has_refund(jobs), pc.is_null(next_month(periods["refund_month"]))))
        for row in pc.indices_nonzero(is_endless).to_pylist():
            where = {"job_id": jobs.column("job_id")[row].as_py(), "path": path[row].as_py(), "kind": END_OUT_OF_RANGE}
            self.anomalies.append(where | {"raw": f'"{iso(newest[row].as_py().replace(tzinfo=UTC))}"', "rows": 1})

    def _add_anomalies(
        self, jobs: pa.Table, mask: pa.ChunkedArray, kind: str, path: str, values: pa.ChunkedArray
    ) -> None:
        if pc.any(mask).as_py():
            pairs = zip(jobs.column("job_id").filter(mask), values.filter(mask), strict=True)
            self.anomalies += [
                {"job_id": job_id.as_py(), "path": path, "kind": kind, "raw": str(value), "rows": 1}
                for job_id, value in pairs
            ]


def _by_job(rows: pa.Table, column: str, function: str) -> pa.Table:
    """By job the newest or the first (`max`, `min`) time of a column, as `at`."""
    found = rows.group_by("job_id").aggregate([(column, function)])
    return found.select(["job_id", f"{column}_{function}"]).rename_columns(["job_id", "at"])


def has_refund(jobs: pa.Table | pa.RecordBatch) -> pa.Array:
    """By charged job whether its refund is a row."""
    price, refund = (one(jobs.column(name)) for name in ("total_price_nanousd", "refund_amount_nanousd"))
    return pc.fill_null(pc.and_(pc.greater(refund, 0), pc.less_equal(refund, price)), False)
