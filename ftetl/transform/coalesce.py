"""One current row for each job of a batch: its copies ranked, the winner filled from the others.

A job may have a list item and a detail, or come in lists and dumps of several days. A key is filled whole: one that has
a value in the winner, be it empty text or of a wrong type, takes nothing from another copy. A copy of another state
than the winner's stays as a superseded row, which feeds the history; any other is absorbed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.raw.findings import Anomaly
from ftetl.raw.response import Response
from ftetl.transform import survivorship
from ftetl.transform.coalesce_unknown_keys import UnknownKeys
from ftetl.transform.decode.decoder import Decoded, rows_in_order
from ftetl.transform.decode.source_schema import job_schema, other_kind_key
from ftetl.transform.ranked_copies import RankedCopies, no_rows
from ftetl.transform.timestamps import INSTANT

EVENTS = "events"
UPDATED = "updated_at"


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
    """The rows of a batch, each job's winner before its superseded copies; the copies of a job must lie together."""
    items = decoded.items
    if len({item.job_id for item in items}) < len(items):
        return _coalesced(RankedCopies(decoded, responses))
    observed = pa.array([responses[item.response].observed_at for item in items], INSTANT)
    detail = pa.array([item.detail for item in items], pa.bool_())
    return Coalesced(decoded, observed, observed, detail, no_rows(len(items)), no_rows(len(items)))


def _coalesced(copies: RankedCopies) -> Coalesced:
    other_state = _is_other_state(copies)
    stays = pc.or_(copies.is_winner, other_state)
    events, anomalies = _sources_of_events(copies)
    sources = {EVENTS: events}
    for key in job_schema().children:
        if key not in (EVENTS, "id") and (source := _sources_of_key(copies, key)) is not None:
            sources[key] = source
    kept = copies.order.filter(stays)
    decoded = Decoded(_nested_rows(copies, sources, stays), [copies.decoded.items[row] for row in kept.to_pylist()])
    decoded.superseded = pc.invert(copies.is_winner.filter(stays))
    UnknownKeys(copies, sources).carry_over_to(decoded, kept.to_pylist())
    current_detail = pc.or_(copies.detail, pc.and_(copies.is_winner, copies.job_has(copies.fills_gaps)))
    older_detail = pc.and_(copies.job_has(copies.is_partner), pc.invert(current_detail))
    older_events = pc.not_equal(copies.updated.take(events.take(copies.job)), copies.updated)
    return Coalesced(
        decoded,
        copies.observed.filter(stays),
        _since(copies, other_state).filter(stays),
        current_detail.filter(stays),
        pc.and_(copies.is_winner, older_detail).filter(stays),
        pc.and_(copies.is_winner, older_events).filter(stays),
        len(stays) - len(kept),
        anomalies,
    )


def _is_other_state(copies: RankedCopies) -> pa.Array:
    """Whether a copy is of another state than its winner; a value that it does not have makes no state."""
    # A list item and its detail are not two states only because one of them has no `updated_at` to compare.
    of_another_time = pc.invert(pc.or_(copies.is_current, pc.and_(copies.is_partner, copies.lacks_time)))
    differs = of_another_time
    for key in survivorship.state_keys():
        values = copies.column(key)
        differs = pc.or_(differs, pc.fill_null(pc.not_equal(values, copies.of_winner(values)), pc.is_valid(values)))
    by_python = copies.read_by_python
    unsure = pc.and_(pc.or_(by_python, copies.of_winner(by_python)), pc.invert(copies.is_winner))
    if pc.any(unsure).as_py():
        # A value of a wrong type is in no column. A winner's makes another state of a copy that has one to read; that
        # of an older copy is unknown, and makes none.
        values = [copies.column(key) for key in survivorship.state_keys()]
        exact = [_differs_as_received(copies, place, values) for place in pc.indices_nonzero(unsure).to_pylist()]
        differs = pc.replace_with_mask(differs, unsure, pa.array(exact, pa.bool_()))
        differs = pc.or_(differs, of_another_time)
    return differs


def _differs_as_received(copies: RankedCopies, place: int, values: Sequence[pa.Array]) -> bool:
    copy, winner = copies.parsed(place), copies.parsed(copies.winner(place))
    pairs = zip(survivorship.state_keys(), values, strict=True)
    return any(column[place].is_valid and copy[key] != winner.get(key) for key, column in pairs)


def _since(copies: RankedCopies, other_state: pa.Array) -> pa.Array:
    """By place when its state was first observed: that of a winner perhaps by a copy that it absorbs."""
    same = pc.or_(copies.is_winner, pc.invert(other_state))
    observed = pa.table({"job": copies.job.filter(same), "at": copies.observed.filter(same)})
    first = observed.group_by("job").aggregate([("at", "min")])
    at = pc.index_in(copies.job, value_set=one(first.column("job")))
    return pc.if_else(copies.is_winner, one(first.column("at_min")).take(at), copies.observed)


def _sources_of_events(copies: RankedCopies) -> tuple[pa.Array, list[Anomaly]]:
    """By job the copy that has the most events, of which none may get lost; anomalies where the winner has fewer."""
    events = copies.column(EVENTS)
    count = pc.fill_null(pc.list_value_length(events), 0)
    # Where a detail or the partner has events, those of other list items do not count.
    comparable = pc.or_(pc.or_(copies.is_winner, copies.detail), copies.is_partner)
    columns = {
        "job": copies.job,
        "comparable": pc.cast(pc.and_(comparable, pc.greater(count, 0)), pa.int8()),
        "count": count,
        "current": pc.cast(pc.and_(copies.detail, copies.is_current), pa.int8()),
    }
    rank = [("job", "ascending"), *((name, "descending") for name in ("comparable", "count", "current"))]
    most = pc.cast(pc.sort_indices(pa.table(columns), rank).take(copies.winners), pa.int64())
    more = pc.and_(pc.not_equal(most, copies.winners), pc.greater(count.take(most), 0))
    wrong_type = pc.and_(copies.has_value(EVENTS), pc.is_null(events)).take(copies.winners)
    more = pc.and_(more, pc.invert(wrong_type))
    has_fewer = pc.or_(copies.detail, pc.and_(pc.greater(count, 0), pc.invert(copies.job_has(copies.fills_gaps))))
    anomalies = []
    for job in pc.indices_nonzero(pc.and_(more, has_fewer.take(copies.winners))).to_pylist():
        winner = copies.winners[job].as_py()
        counts = f'{{"received":{count[winner].as_py()},"stored":{count[most[job].as_py()].as_py()}}}'
        anomalies.append(Anomaly(copies.decoded.items[copies.rows[winner]].job_id, EVENTS, "fewer_events", counts))
    return pc.if_else(more, most, copies.winners), anomalies


def _sources_of_key(copies: RankedCopies, key: str) -> pa.Array | None:
    """By job the place of the copy that the key's value comes from; None where that is the winner for all jobs."""
    fills = pc.or_(copies.fills_gaps, copies.fills_absent_keys)
    if key in survivorship.detail_keys():
        fills = pc.or_(fills, copies.fills_detail_keys)
    has = copies.has_value(key)
    places = copies.first_of_each_job(pc.and_(pc.and_(fills, has), pc.invert(copies.of_winner(has))))
    # Arrow cannot tell a null from a key that is not there, so the winner's own text is asked. A time is never void.
    absent_only = places.filter(copies.fills_absent_keys.take(places)).to_pylist() if key != UPDATED else []
    nulls = [place for place in absent_only if key in copies.keys(copies.winner(place))]
    places = places.filter(pc.invert(pc.is_in(places, value_set=pa.array(nulls, pa.int64()))))
    if not len(places):
        return None
    filled = pc.is_in(pa.arange(0, len(copies.winners)), value_set=copies.job.take(places))
    return pc.replace_with_mask(copies.winners, filled, places)


def _nested_rows(copies: RankedCopies, sources: dict[str, pa.Array], stays: pa.Array) -> pa.Table:
    jobs = rows_in_order(copies.decoded.jobs, copies.order.filter(stays).to_pylist())
    for key, source in sources.items():
        if source.equals(copies.winners):
            continue
        places = pc.if_else(copies.is_winner, source.take(copies.job), pa.arange(0, len(stays)))
        rows = copies.order.take(places.filter(stays))
        for name in {key, other_kind_key(key)} & set(jobs.column_names):
            at = jobs.schema.get_field_index(name)
            jobs = jobs.set_column(at, jobs.schema.field(at), one(copies.decoded.jobs.column(name)).take(rows))
    return jobs
