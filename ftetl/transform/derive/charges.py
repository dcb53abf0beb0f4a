"""Which jobs were charged, when, and what money came back: what the rows of `focus_costs` are made from.

A job with a price was charged, whatever became of it. What cannot be a row is an anomaly, so that the sums can be
accounted for. In Arrow; knows neither files nor the columns of the standard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema

ENDINGS = ("job_complete", "job_error", "job_user_error", "job_stopped")
REFUND = "refund"
TYPES = (*ENDINGS, REFUND)  # of the events that matter here
KINDS = ("charge_without_time", "refund_exceeds_price")  # of anomalies
FAILED = pa.array(["error", "user_error"])  # refunded in full, the vendor says
_TAKEN = (
    *("job_id", "status", "is_terminal", "created_at", "updated_at", "token_count", "model", "model_output_name"),
    *("suffix", "training_type", "training_method", "user_id", "wandb_project_name"),
    *("total_price_nanousd", "refund_amount_nanousd"),
)
_PLAIN = pa.timestamp("us")  # without the zone, which some kernels cannot do; it is UTC
_SECOND = pa.scalar(1_000_000, pa.duration("us"))


class Charges:
    """Collects the charged jobs of a run, and the instants that their events tell."""

    def __init__(self) -> None:
        self._jobs: list[pa.Table] = []
        self._newest: dict[str, list[pa.Table]] = {"ended": [], "refunded": []}
        self.odd: list[dict[str, Any]] = []
        self.speaking: Counter[str] = Counter()  # failed jobs whose refund tells if prices are gross or net

    def jobs(self, found: pa.Table) -> None:
        """Look at more rows of `jobs`."""
        price = pc.fill_null(found.column("total_price_nanousd"), 0)
        refund = pc.fill_null(found.column("refund_amount_nanousd"), 0)
        priced = pc.greater(price, 0)
        timeless = pc.and_(pc.is_null(found.column("created_at")), pc.is_null(found.column("updated_at")))
        self._note(found, pc.and_(priced, timeless), KINDS[0], "total_price", price)
        returned = pc.greater(refund, 0)
        # Of a price that is not known nobody can tell whether a refund is above it.
        above = pc.fill_null(pc.greater(refund, found.column("total_price_nanousd")), False)
        self._note(found, pc.and_(returned, above), KINDS[1], "refund_amount", refund)
        failed = pc.and_(pc.is_in(found.column("status"), value_set=FAILED), returned)
        self.speaking["gross"] += pc.sum(pc.and_(failed, pc.equal(refund, price))).as_py() or 0
        free = pc.fill_null(pc.equal(found.column("total_price_nanousd"), 0), False)
        self.speaking["net"] += pc.sum(pc.and_(failed, free)).as_py() or 0
        self._jobs.append(found.select(_TAKEN).filter(pc.and_(priced, pc.invert(timeless))))

    def events(self, found: pa.Table) -> None:
        """Look at more events, all of a job at once: `job_id`, `created_at` and `kind`, a place in `TYPES`."""
        is_refund = pc.equal(found.column("kind"), TYPES.index(REFUND))
        for name, mask in (("ended", pc.invert(is_refund)), ("refunded", is_refund)):
            mine = found.filter(mask)
            if mine.num_rows:
                self._newest[name].append(mine.group_by("job_id").aggregate([("created_at", "max")]))

    def pieces(self, rows: int) -> Iterator[pa.Table]:
        """The charged jobs, in the order of their charges, so many at once, each with its periods; then they are gone.

        Times are naive and UTC: `start` and `end` of the charge, `month` in which it is billed, `refund_month` in
        which a refund is.
        """
        wanted = schema(tables()["jobs"])
        empty = pa.schema([wanted.field(name) for name in _TAKEN]).empty_table()
        jobs = pa.concat_tables([empty, *self._jobs]).combine_chunks()
        self._jobs.clear()
        ids = one(jobs.column("job_id"))
        created, updated = (_plain(one(jobs.column(name))) for name in ("created_at", "updated_at"))
        begun = pc.coalesce(created, updated)
        ended = pc.if_else(pc.fill_null(one(jobs.column("is_terminal")), False), self._at("ended", ids), None)
        last = pc.coalesce(ended, updated, begun)
        start = pc.floor_temporal(begun, unit="second")
        end = pc.add(pc.max_element_wise(pc.floor_temporal(last, unit="second"), start), _SECOND)
        month = pc.floor_temporal(start, unit="month")
        settled = pc.floor_temporal(pc.coalesce(self._at("refunded", ids), last), unit="month")
        more = {"start": start, "end": end, "month": month, "refund_month": pc.max_element_wise(settled, month)}
        for name, values in more.items():
            jobs = jobs.append_column(name, values)
        order = pc.sort_indices(jobs, [("start", "ascending"), ("job_id", "ascending")])
        for at in range(0, len(order), rows):
            yield jobs.take(order.slice(at, rows))

    def _at(self, name: str, ids: pa.Array) -> pa.Array:
        """By job its newest event of that sort, where it has one."""
        if not self._newest[name]:
            return pa.nulls(len(ids), _PLAIN)
        newest = pa.concat_tables(self._newest[name])
        self._newest[name].clear()
        at = pc.index_in(ids, value_set=one(newest.column("job_id")))
        return _plain(pc.take(one(newest.column("created_at_max")), at))

    def _note(self, found: pa.Table, mask: pa.ChunkedArray, kind: str, path: str, values: pa.ChunkedArray) -> None:
        if pc.any(mask).as_py():
            pairs = zip(found.column("job_id").filter(mask), values.filter(mask), strict=True)
            self.odd += [
                {"job_id": job.as_py(), "path": path, "kind": kind, "raw": str(value), "rows": 1}
                for job, value in pairs
            ]


def next_month(months: pa.Array) -> pa.Array:
    """The first instants of the months after these."""
    return pc.ceil_temporal(months, unit="month", ceil_is_strictly_greater=True)


def _plain(values: pa.Array) -> pa.Array:
    return values.view(_PLAIN)
