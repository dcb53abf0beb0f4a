"""One current row for each job of a batch: its copies ranked, the winner filled with what only the others tell.

A job may have a list item and a detail, or come in lists and dumps of several days. Keys of the job are filled whole:
a key that has a value in the winner, be it empty text or one of a wrong type, takes nothing from another copy. A copy
of another state than the winner's stays as a superseded row, which feeds the history; any other is absorbed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import group_starts, one
from ftetl.raw import strict_json
from ftetl.raw.findings import Anomaly
from ftetl.raw.response import Response
from ftetl.transform import survivorship, timestamps
from ftetl.transform.decode import extra_keys
from ftetl.transform.decode.decoder import Decoded, rows_in_order
from ftetl.transform.decode.source_schema import job_schema, other_kind_key
from ftetl.transform.survivorship import INSTANT

EVENTS = "events"
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True)
class Coalesced:
    """The rows that stay of a batch, and by row what is known of them beside their cells."""

    decoded: Decoded
    observed: pa.Array
    since: pa.Array  # when a copy of the same state was first observed
    detail: pa.Array  # whether a detail of the row's own `updated_at` filled it
    older_detail: pa.Array  # whether an older detail filled what only a detail carries
    older_events: pa.Array  # whether the events are those of an older copy
    absorbed: int = 0  # copies that are no state of their own beside the winner
    anomalies: Sequence[Anomaly] = ()


def coalesce_copies(decoded: Decoded, responses: Sequence[Response]) -> Coalesced:
    """The rows of a batch with each job's winner before its superseded copies; those of one job lie together."""
    observed = pa.array([responses[item.response].observed_at for item in decoded.items], INSTANT)
    detail = pa.array([item.detail for item in decoded.items], pa.bool_())
    if len({item.job_id for item in decoded.items}) == len(decoded.items):
        no = _none_of(len(detail))
        return Coalesced(decoded, observed, observed, detail, no, no)
    return _Copies(decoded, responses, observed, detail).coalesced()


def _none_of(count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value=False), count)


class _Copies:
    """The copies of a batch by rank, each a place in that order; of the jobs there is a number each."""

    def __init__(self, decoded: Decoded, responses: Sequence[Response], observed: pa.Array, detail: pa.Array) -> None:
        self._decoded, self._responses = decoded, responses
        self._order = self._ranked(observed, detail)
        self._rows: list[int] = self._order.to_pylist()  # by place: the row of the batch
        self._observed, self._detail = observed.take(self._order), detail.take(self._order)
        ids = pa.array([decoded.items[row].job_id for row in self._rows], pa.string())
        self._is_winner = group_starts(ids)
        self._job = pc.subtract(pc.cumulative_sum(pc.cast(self._is_winner, pa.int64())), 1)
        self._winners = pc.indices_nonzero(self._is_winner)  # by job
        self._same_time = pc.equal(self._updated, self._of_winner(self._updated))
        # The winner's partner is the newest copy of the other sort: the list item of a detail, or its detail.
        others = pc.not_equal(self._detail, self._of_winner(self._detail))
        self._is_partner = self._places_mask(self._first_of_each_job(others))
        self._tellers: dict[
            str, pa.Array
        ] = {}  # by key, by job: the place of the copy that fills it, if not the winner

    def coalesced(self) -> Coalesced:
        """The rows that stay."""
        other_state = self._other_state()
        stays = pc.or_(self._is_winner, other_state)
        anomalies = self._tell_events()
        for key in job_schema().children:
            if key not in (EVENTS, "id") and (teller := self._teller(key)) is not None:
                self._tellers[key] = teller
        kept = self._order.filter(stays)
        decoded = Decoded(self._nested(kept, stays), [self._decoded.items[row] for row in kept.to_pylist()])
        decoded.superseded = pc.invert(self._is_winner.filter(stays))
        self._move_texts(decoded, kept.to_pylist())
        with_partner = self._has(self._is_partner)
        current = self._has(pc.and_(self._is_partner, self._same_time))
        older = pc.and_(with_partner, pc.invert(pc.or_(current, self._detail)))
        events_at = self._updated.take(self._teller_of(EVENTS).take(self._job))
        return Coalesced(
            decoded,
            self._observed.filter(stays),
            self._since(other_state).filter(stays),
            pc.or_(self._detail, pc.and_(self._is_winner, current)).filter(stays),
            pc.and_(self._is_winner, older).filter(stays),
            pc.and_(self._is_winner, pc.not_equal(events_at, self._updated)).filter(stays),
            len(stays) - len(kept),
            anomalies,
        )

    def _ranked(self, observed: pa.Array, detail: pa.Array) -> pa.Array:
        """The rows in the order of their jobs, the winner of each first."""
        items = self._decoded.items
        self._updated = survivorship.or_never(timestamps.parse_column(one(self._decoded.jobs.column("updated_at")))[0])
        columns = {
            "job_id": pa.array([item.job_id for item in items], pa.string()),
            "updated_at": self._updated,
            "observed_at": observed,
            "detail": pc.cast(detail, pa.int8()),
        }
        rank = [("job_id", "ascending"), *survivorship.RANK]
        order = pc.sort_indices(pa.table(columns), rank)
        tied = pc.invert(group_starts(*(column.take(order) for column in columns.values())))
        if pc.any(tied).as_py():
            # Only then the text is written, since it costs more than all the rest.
            rows = order.filter(pc.or_(tied, pa.concat_arrays([tied.slice(1), _none_of(1)]))).to_pylist()
            texts = {row: strict_json.compact_json(strict_json.parse(self._raw(row)), canonical=True) for row in rows}
            columns["canonical"] = pa.array([texts.get(row) for row in range(len(items))], pa.string())
            columns["response"] = pa.array([item.response for item in items], pa.int64())
            order = pc.sort_indices(pa.table(columns), [*rank, ("canonical", "descending"), ("response", "descending")])
        self._updated = self._updated.take(order)
        return order

    def _raw(self, row: int) -> bytes:
        item = self._decoded.items[row]
        return self._responses[item.response].blob.read(item.offset, item.length)

    def _of_winner(self, values: pa.Array) -> pa.Array:
        return values.take(self._winners.take(self._job))

    def _places_mask(self, places: pa.Array) -> pa.Array:
        return pc.is_in(pa.arange(0, len(self._rows)), value_set=pc.cast(places, pa.int64()))

    def _first_of_each_job(self, mask: pa.Array) -> pa.Array:
        """The first place of each job where the mask is true."""
        places = pc.indices_nonzero(mask)
        return places.filter(group_starts(self._job.take(places)))

    def _has(self, mask: pa.Array) -> pa.Array:
        """By place whether the mask is true for a copy of its job."""
        return pc.is_in(self._job, value_set=self._job.filter(mask))

    def _teller_of(self, key: str) -> pa.Array:
        """By job the place of the copy that tells the key."""
        return self._tellers.get(key, self._winners)

    def _other_state(self) -> pa.Array:
        """Whether a copy tells of another state than its winner; what it does not tell is no state."""
        differs = pc.invert(self._same_time)
        for key in survivorship.state_keys():
            values = one(self._decoded.jobs.column(key)).take(self._order)
            differs = pc.or_(differs, pc.fill_null(pc.not_equal(values, self._of_winner(values)), pc.is_valid(values)))
        read_by_python = self._read_by_python
        unsure = pc.and_(pc.or_(read_by_python, self._of_winner(read_by_python)), pc.invert(self._is_winner))
        if pc.any(unsure).as_py():
            # A value of a wrong type is no cell, but a state all the same.
            exact = [self._differs_in_text(place) for place in pc.indices_nonzero(unsure).to_pylist()]
            told = pc.replace_with_mask(differs, unsure, pa.array(exact, pa.bool_()))
            differs = pc.or_(told, pc.invert(self._same_time))
        return differs

    def _differs_in_text(self, place: int) -> bool:
        copy, winner = (strict_json.parse(self._raw(self._rows[at])) for at in (place, self._winner(place)))
        return any(copy.get(k) is not None and copy[k] != winner.get(k) for k in survivorship.state_keys())

    @cached_property
    def _read_by_python(self) -> pa.Array:
        rows = pa.array(list(self._decoded.keys_with_value), pa.int64())
        return pc.is_in(pc.cast(self._order, pa.int64()), value_set=rows)

    def _since(self, other_state: pa.Array) -> pa.Array:
        same = pc.or_(self._is_winner, pc.invert(other_state))
        copies = pa.table({"job": self._job.filter(same), "observed": self._observed.filter(same)})
        first = copies.group_by("job").aggregate([("observed", "min")])
        at = pc.index_in(self._job, value_set=one(first.column("job")))
        return pc.if_else(self._is_winner, one(first.column("observed_min")).take(at), self._observed)

    def _tell_events(self) -> list[Anomaly]:
        """The events come from the copy that has the most of them; the anomalies of those that have fewer."""
        count = pc.fill_null(pc.list_value_length(one(self._decoded.jobs.column(EVENTS))), 0).take(self._order)
        comparable = pc.or_(pc.or_(self._is_winner, self._detail), self._is_partner)
        columns = {
            "job": self._job,
            "comparable": pc.cast(pc.and_(comparable, pc.greater(count, 0)), pa.int8()),
            "count": count,
            "current": pc.cast(pc.and_(self._detail, self._same_time), pa.int8()),
        }
        rank = [("job", "ascending"), *((name, "descending") for name in ("comparable", "count", "current"))]
        best = pc.sort_indices(pa.table(columns), rank).take(self._winners)
        has = self._has_value(EVENTS)
        no_list = pc.and_(has, pc.is_null(one(self._decoded.jobs.column(EVENTS)).take(self._order)))
        better = pc.and_(pc.not_equal(best, self._winners), pc.greater(count.take(best), 0))
        better = pc.and_(better, pc.invert(no_list.take(self._winners)))
        self._tellers[EVENTS] = pc.if_else(better, best, self._winners)
        anomalies = []
        same_partner = self._has(pc.and_(self._is_partner, self._same_time))
        fewer = pc.or_(self._detail, pc.and_(pc.greater(count, 0), pc.invert(same_partner))).take(self._winners)
        for number in pc.indices_nonzero(pc.and_(better, fewer)).to_pylist():
            winner = self._winners[number].as_py()
            counts = f'{{"received":{count[winner].as_py()},"stored":{count[best[number].as_py()].as_py()}}}'
            job_id = self._decoded.items[self._rows[winner]].job_id
            anomalies.append(Anomaly(job_id, EVENTS, "fewer_events", counts))
        return anomalies

    @cached_property
    def _fills_gaps(self) -> pa.Array:
        """The partner of the winner's own `updated_at`: each null of the winner is a gap."""
        return pc.and_(self._is_partner, self._same_time)

    @cached_property
    def _fills_absent(self) -> pa.Array:
        """The older list item of a newer detail: a null of the detail is the newer value, a key it lacks is a gap."""
        return pc.and_(pc.and_(self._is_partner, self._of_winner(self._detail)), pc.invert(self._same_time))

    @cached_property
    def _fills_detail(self) -> pa.Array:
        """What fills a list item with what only a detail carries: its detail, or else older lists that had it."""
        source = pc.or_(self._is_partner, pc.invert(self._has(self._is_partner)))
        return pc.and_(pc.and_(source, pc.invert(self._is_winner)), pc.invert(self._of_winner(self._detail)))

    def _has_value(self, key: str) -> pa.Array:
        """By place whether the copy has the key with a value, be it of a wrong type."""
        jobs = self._decoded.jobs
        names = [name for name in (key, other_kind_key(key)) if name in jobs.column_names]
        has = _none_of(len(self._rows))
        for name in names:
            has = pc.or_(has, pc.is_valid(one(jobs.column(name))))
        rows = [row for row, keys in self._decoded.keys_with_value.items() if key in keys]
        if rows:
            has = pc.or_(has, pc.is_in(pa.arange(0, len(has)), value_set=pa.array(rows, pa.int64())))
        return has.take(self._order)

    def _teller(self, key: str) -> pa.Array | None:
        """By job the place of the copy that tells the key; None where each winner does."""
        fills = pc.or_(self._fills_gaps, self._fills_absent)
        if key in survivorship.detail_keys():
            fills = pc.or_(fills, self._fills_detail)
        has = self._has_value(key)
        places = self._first_of_each_job(pc.and_(pc.and_(fills, has), pc.invert(self._of_winner(has))))
        explicit = [p for p in places.filter(self._fills_absent.take(places)).to_pylist() if self._is_null(key, p)]
        places = places.filter(pc.invert(pc.is_in(places, value_set=pa.array(explicit, places.type))))
        if not len(places):
            return None
        mask = pc.is_in(pa.arange(0, len(self._winners)), value_set=self._job.take(places))
        return pc.replace_with_mask(self._winners, mask, places)

    def _is_null(self, key: str, place: int) -> bool:
        """Whether the winner of this copy's job has the key, which Arrow cannot tell if it is null."""
        return key in self._keys(self._winner(place))

    def _winner(self, place: int) -> int:
        winner: int = self._winners[self._job[place].as_py()].as_py()
        return winner

    def _keys(self, place: int) -> list[str]:
        raw = self._raw(self._rows[place])
        read_by_python = self._rows[place] in self._decoded.keys_with_value
        return list(strict_json.parse(raw) if read_by_python else _members.decode(raw))

    def _nested(self, kept: pa.Array, stays: pa.Array) -> pa.Table:
        jobs = rows_in_order(self._decoded.jobs, kept.to_pylist())
        for key, teller in self._tellers.items():
            if teller.equals(self._winners):
                continue
            places = pc.if_else(self._is_winner, pc.cast(teller, pa.int64()).take(self._job), pa.arange(0, len(stays)))
            rows = self._order.take(places.filter(stays))
            for name in {key, other_kind_key(key)} & set(jobs.column_names):
                at = jobs.schema.get_field_index(name)
                jobs = jobs.set_column(at, jobs.schema.field(at), one(self._decoded.jobs.column(name)).take(rows))
        return jobs

    def _move_texts(self, decoded: Decoded, kept: list[int]) -> None:
        """Everything that lies beside the nested rows, by the rows that stay."""
        old = self._decoded
        row_of = {row: number for number, row in enumerate(kept)}
        place_of = {row: place for place, row in enumerate(self._rows)}
        filled, takers = self._extra()
        events_of: dict[int, dict[int, str]] = {}
        for (row, at), text in old.event_extra.items():
            events_of.setdefault(row, {})[at] = text
        decoded.extra = {row_of[row]: text for row, text in old.extra.items() if row in row_of}
        decoded.extra |= {
            row_of[self._rows[winner]]: strict_json.compact_json(extra) for winner, extra in filled.items()
        }
        events_teller = self._teller_of(EVENTS).to_pylist()
        winners: list[int] = self._winners.to_pylist()
        jobs = self._job.to_pylist()
        swapped = {winner: teller for winner, teller in zip(winners, events_teller, strict=True) if winner != teller}
        for row, number in row_of.items():
            place = place_of[row]
            texts = events_of.get(self._rows[swapped.get(place, place)], {})
            decoded.event_extra |= {(number, at): text for at, text in texts.items()}
            if place != winners[jobs[place]]:
                continue
            if place in filled or place in swapped:
                extra = strict_json.parse(decoded.extra[number].encode()) if number in decoded.extra else {}
                events = {at: strict_json.parse(text.encode()) for at, text in texts.items()}
                decoded.unknown_paths[number] = extra_keys.unknown_key_paths(extra_keys.ExtraTexts(extra, events))
            elif row in old.unknown_paths:
                decoded.unknown_paths[number] = old.unknown_paths[row]
        decoded.quarantined = old.quarantined
        decoded.keys_with_value = {row_of[row]: keys for row, keys in old.keys_with_value.items() if row in row_of}
        for row, anomaly in old.row_anomalies:
            place, key = place_of[row], anomaly.path.partition(".")[0]
            winner = winners[jobs[place]]
            teller = (
                self._tellers[key][jobs[place]].as_py() if key in self._tellers else takers.get((winner, key), winner)
            )
            if teller == place:
                decoded.row_anomalies.append((row_of[self._rows[winner]], anomaly))

    def _extra(self) -> tuple[dict[int, dict[str, Any]], dict[tuple[int, str], int]]:
        """By winner its unknown keys with those that others tell, if they do, and by winner and key who told it."""
        filled: dict[int, dict[str, Any]] = {}
        takers: dict[tuple[int, str], int] = {}
        fills = pc.or_(pc.or_(self._fills_gaps, self._fills_absent), self._fills_detail)
        texts = self._decoded.extra
        for place in pc.indices_nonzero(fills).to_pylist():
            winner = self._winner(place)
            if texts.get(self._rows[place]) in (None, texts.get(self._rows[winner])):
                continue
            extra = filled[winner] if winner in filled else self._extra_of(winner)
            taken = {
                key: value
                for key, value in self._extra_of(place).items()
                if self._fills_extra(key, value, extra, place, winner)
            }
            if taken:
                takers |= {(winner, key): place for key in taken}
                filled[winner] = self._in_order_of(winner, extra | taken)
        return filled, takers

    def _in_order_of(self, winner: int, extra: dict[str, Any]) -> dict[str, Any]:
        """The keys as they would stand in one document: a null that was filled keeps its place, others come last."""
        if not extra.keys() & job_schema().children.keys():
            return extra
        order = {key: number for number, key in enumerate(self._keys(winner))}
        return dict(sorted(extra.items(), key=lambda pair: order.get(pair[0], len(order))))

    def _fills_extra(self, key: str, value: Any, extra: dict[str, Any], place: int, winner: int) -> bool:
        if key in job_schema().children:
            return key in self._tellers and self._tellers[key][self._job[place].as_py()].as_py() == place
        told = value is not None or key in self._decoded.keys_with_value.get(self._rows[place], ())
        gap = extra.get(key) is None and key not in self._decoded.keys_with_value.get(self._rows[winner], ())
        return told and gap and not (key in extra and self._fills_absent[place].as_py())

    def _extra_of(self, place: int) -> dict[str, Any]:
        text = self._decoded.extra.get(self._rows[place])
        return {} if text is None else dict(strict_json.parse(text.encode()))
