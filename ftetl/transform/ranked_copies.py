"""The copies of the jobs of a batch in the order of their rank, and which of them may fill gaps of the winner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import group_starts, one
from ftetl.raw import strict_json
from ftetl.raw.response import Response
from ftetl.transform import survivorship, timestamps
from ftetl.transform.decode.decoder import Decoded
from ftetl.transform.decode.source_schema import other_kind_key
from ftetl.transform.timestamps import INSTANT, NEVER

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def no_rows(count: int) -> pa.Array:
    """A mask that is true for none of so many rows."""
    return pa.repeat(pa.scalar(value=False), count)


class RankedCopies:
    """The copies in the order of their jobs, the winner of each job first; a copy is named by its place there.

    The partner of a winner is the newest copy of the other sort: the list item of a detail, or its detail.
    """

    def __init__(self, decoded: Decoded, responses: Sequence[Response]) -> None:
        self.decoded, self._responses = decoded, responses
        items = decoded.items
        columns = {
            "job_id": pa.array([item.job_id for item in items], pa.string()),
            "updated_at": survivorship.or_never(timestamps.parse_column(one(decoded.jobs.column("updated_at")))[0]),
            "observed_at": pa.array([responses[item.response].observed_at for item in items], INSTANT),
            "detail": pa.array([item.detail for item in items], pa.bool_()),
        }
        times = survivorship.comparable_times(columns["updated_at"], columns["observed_at"])
        self.order = self._ranked(
            {
                **columns,
                "epoch": survivorship.comparison_epochs(columns["job_id"], times, columns["observed_at"]),
                "updated_at": times,
                "detail": pc.cast(columns["detail"], pa.int8()),
            }
        )
        self.rows: list[int] = self.order.to_pylist()  # by place: the row of the batch
        ids, self.updated, self.observed, self.detail = (column.take(self.order) for column in columns.values())
        self.is_winner = group_starts(ids)
        self.job = pc.subtract(pc.cumulative_sum(pc.cast(self.is_winner, pa.int64())), 1)  # a number for each job
        self.winners = pc.cast(pc.indices_nonzero(self.is_winner), pa.int64())  # by job
        self.is_current = pc.equal(self.updated, self.of_winner(self.updated))
        has_time = pc.greater(times.take(self.order), pa.scalar(NEVER, INSTANT))
        self.lacks_time = pc.invert(pc.and_(has_time, self.of_winner(has_time)))  # to compare; the copy, or its winner
        others = pc.not_equal(self.detail, self.of_winner(self.detail))
        self.is_partner = pc.is_in(pa.arange(0, len(ids)), value_set=self.first_of_each_job(others))
        self._find_fillers()

    def _ranked(self, columns: dict[str, pa.Array]) -> pa.Array:
        rank = [("job_id", "ascending"), *survivorship.RANK]
        order = pc.sort_indices(pa.table(columns), rank)
        tied = pc.invert(group_starts(*(column.take(order) for column in columns.values())))
        if pc.any(tied).as_py():
            # Only then the text is written, since it costs more than all the rest.
            rows = order.filter(pc.or_(tied, pa.concat_arrays([tied.slice(1), no_rows(1)]))).to_pylist()
            texts = {row: strict_json.compact_json(self._parsed_row(row), canonical=True) for row in rows}
            columns["canonical"] = pa.array([texts.get(row) for row in range(len(order))], pa.string())
            columns["response"] = pa.array([item.response for item in self.decoded.items], pa.int64())
            order = pc.sort_indices(pa.table(columns), [*rank, ("canonical", "descending"), ("response", "descending")])
        return order

    def _find_fillers(self) -> None:
        partner_of_detail = pc.and_(self.is_partner, self.of_winner(self.detail))
        # Of one `updated_at` with the winner, whose every null is then a gap.
        self.fills_gaps = pc.and_(self.is_partner, self.is_current)
        # An older list item of a newer detail: a null of the detail is the newer value, a key that it lacks is a gap.
        self.fills_absent_keys = pc.and_(partner_of_detail, pc.invert(self.is_current))
        # What a list item lacks of what only a detail carries comes from its detail, or else from older lists.
        source = pc.or_(self.is_partner, pc.invert(self.job_has(self.is_partner)))
        listed = pc.invert(pc.or_(self.is_winner, self.of_winner(self.detail)))
        self.fills_detail_keys = pc.and_(source, listed)

    def of_winner(self, values: pa.Array) -> pa.Array:
        """By place the value of the winner of its job."""
        return values.take(self.winners.take(self.job))

    def winner(self, place: int) -> int:
        """The place of the winner of a copy's job."""
        winner: int = self.winners[self.job[place].as_py()].as_py()
        return winner

    def job_has(self, mask: pa.Array) -> pa.Array:
        """By place whether the mask is true for any copy of its job."""
        return pc.is_in(self.job, value_set=self.job.filter(mask))

    def first_of_each_job(self, mask: pa.Array) -> pa.Array:
        """For each job that has one the first place where the mask is true."""
        places = pc.cast(pc.indices_nonzero(mask), pa.int64())
        return places.filter(group_starts(self.job.take(places)))

    def column(self, name: str) -> pa.Array:
        """By place the values of a column."""
        return one(self.decoded.jobs.column(name)).take(self.order)

    def has_value(self, key: str) -> pa.Array:
        """By place whether the copy has the key with a value, be it one of a wrong type."""
        jobs = self.decoded.jobs
        has = no_rows(jobs.num_rows)
        for name in {key, other_kind_key(key)} & set(jobs.column_names):
            has = pc.or_(has, pc.is_valid(one(jobs.column(name))))
        rows = [row for row, keys in self.decoded.keys_with_value.items() if key in keys]
        if rows:
            has = pc.or_(has, pc.is_in(pa.arange(0, len(has)), value_set=pa.array(rows, pa.int64())))
        return has.take(self.order)

    @property
    def read_by_python(self) -> pa.Array:
        """By place whether a value of the copy may be of a wrong type, so that it is in no column."""
        return pc.is_in(
            pc.cast(self.order, pa.int64()), value_set=pa.array([*self.decoded.keys_with_value], pa.int64())
        )

    def parsed(self, place: int) -> dict[str, Any]:
        """The copy as it was received."""
        return self._parsed_row(self.rows[place])

    def keys(self, place: int) -> list[str]:
        """The copy's keys as they stand in it, those of a null among them."""
        row = self.rows[place]
        return list(self._parsed_row(row) if row in self.decoded.keys_with_value else _members.decode(self._raw(row)))

    def _parsed_row(self, row: int) -> dict[str, Any]:
        value: dict[str, Any] = strict_json.parse(self._raw(row))
        return value

    def _raw(self, row: int) -> bytes:
        item = self.decoded.items[row]
        return self._responses[item.response].blob.read(item.offset, item.length)
