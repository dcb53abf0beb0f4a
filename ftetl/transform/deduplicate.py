"""Which copy of a job wins, where a run has several: lists, details and dumps of different days.

A detail lies over its own list item, field by field. Between answers the greater `updated_at` wins, then the newer
observation, then the greater canonical JSON. In one list the older of two different copies goes to quarantine;
across answers it is a state that was seen, and feeds the history. Knows raw elements, no tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import Any

from ftetl.contract import tables
from ftetl.raw import secret_masking, strict_json
from ftetl.raw.blob import Blob, Memory
from ftetl.raw.element import RefusedElement, Scan, find_job_id
from ftetl.raw.findings import Anomaly, QuarantinedElement
from ftetl.raw.response import Response
from ftetl.transform import timestamps
from ftetl.transform.raw_job import RawJob

EVENTS = "events"
STATE = ("status", "total_price", "token_count", "refund_amount")  # besides `updated_at`, what the history tells apart
_BACK = 256  # bytes in which a key and the white space behind it find room
_NEVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass
class DecodePlan:
    """What a run has to decode, in key order, and what was put aside on the way."""

    items: list[RawJob] = field(default_factory=list)
    quarantined: list[QuarantinedElement] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    identical: int = 0  # copies that say what another one in the same answer says
    absorbed: int = 0  # copies that are no state of their own beside the winner


def resolve_duplicates(
    responses: Sequence[Response],
    scans: Sequence[Scan],
    confirmed: AbstractSet[str] = frozenset(),
    spill: Callable[[bytes], Blob] = Memory,
) -> DecodePlan:
    """The copies of every job in the order of the ids, the winner before the older ones.

    Jobs that are `confirmed` say what their stored row says, and are left out. `spill` gets the bytes of those that
    are put together, which wait there to be decoded.
    """
    work = DecodePlan()
    entries: list[tuple[str, int, int]] = []
    for number, (response, scan) in enumerate(zip(responses, scans, strict=True)):
        work.quarantined.extend(_quarantined(response, refused) for refused in scan.refused)
        entries.extend((job_id, number, index) for index, job_id in enumerate(scan.ids) if job_id not in confirmed)
    entries.sort()
    found = _items(responses, scans, entries)
    if len({item.job_id for item in found}) == len(found):
        work.items = found
        return work
    for _, group in groupby(found, key=attrgetter("job_id")):
        copies = list(group)
        work.items.extend(copies if len(copies) == 1 else _pick_winner(responses, copies, work, spill))
    return work


def _quarantined(response: Response, refused: RefusedElement) -> QuarantinedElement:
    # A line of broken JSON may begin with the value of a secret whose key ends the line before.
    back = min(refused.offset, _BACK)
    before = response.blob.read(refused.offset - back, back)
    raw = secret_masking.mask_secrets(response.blob.read(refused.offset, refused.length), before)
    return QuarantinedElement(raw, refused.rule, refused.job_id, response.name, refused.position, response.observed_at)


def _items(responses: Sequence[Response], scans: Sequence[Scan], entries: list[tuple[str, int, int]]) -> list[RawJob]:
    details = [response.detail or scan.is_detail for response, scan in zip(responses, scans, strict=True)]
    places = [(s.positions, s.offsets, s.lengths, s.irregular) for s in scans]
    found = []
    for job_id, number, index in entries:
        positions, offsets, lengths, odd = places[number]
        item = RawJob(job_id, number, positions[index], offsets[index], lengths[index], index in odd)
        item.detail = details[number]
        found.append(item)
    return found


@dataclass
class _Copy:
    item: RawJob
    value: dict[str, Any]
    updated_at: datetime
    observed_at: datetime

    @cached_property
    def canonical(self) -> str:
        return strict_json.compact_json(self.value, canonical=True)

    @property
    def rank(self) -> tuple[datetime, datetime, bool, _Canonical]:
        return self.updated_at, self.observed_at, self.item.detail, _Canonical(self)


class _Canonical:
    """What decides between copies when nothing else does; written only then, since it costs more than the rest."""

    def __init__(self, copy: _Copy) -> None:
        self._copy = copy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Canonical) and self._copy.canonical == other._copy.canonical

    def __lt__(self, other: _Canonical) -> bool:
        return self._copy.canonical < other._copy.canonical

    __hash__ = None  # type: ignore[assignment] # compared, never looked up


def _pick_winner(
    responses: Sequence[Response], items: list[RawJob], work: DecodePlan, spill: Callable[[bytes], Blob]
) -> Iterator[RawJob]:
    """The winner of several copies, put together with what it lacks, and the older states."""
    copies = _one_a_response(responses, [c for item in items if (c := _copy(responses, item, work))], work)
    if not copies:
        return
    winner, *older = sorted(copies, key=lambda c: c.rank, reverse=True)
    winner.item.since = min(c.observed_at for c in [winner, *older] if c is winner or not _is_other_state(c, winner))
    yield _coalesce(winner, older, work, spill)
    for copy in older:
        if _is_other_state(copy, winner):
            copy.item.older = True
            yield copy.item
        else:
            work.absorbed += 1


def _copy(responses: Sequence[Response], item: RawJob, work: DecodePlan) -> _Copy | None:
    response = responses[item.response]
    raw = response.blob.read(item.offset, item.length)
    try:
        value = strict_json.parse(raw)
    except strict_json.RefusedError as refusal:
        refused = RefusedElement(item.offset, item.length, refusal.rule, item.position, find_job_id(raw))
        work.quarantined.append(_quarantined(response, refused))
        return None
    text = value.get("updated_at")
    instant = timestamps.parse_timestamp(text).instant if isinstance(text, str) else None
    return _Copy(item, value, instant or _NEVER, response.observed_at)


def _one_a_response(responses: Sequence[Response], copies: list[_Copy], work: DecodePlan) -> list[_Copy]:
    """Of the copies in one answer only the winner; the others are put aside, or counted where they are equal."""
    kept: list[_Copy] = []
    copies.sort(key=lambda c: (c.item.response, c.updated_at, _Canonical(c), -c.item.position), reverse=True)
    for _, group in groupby(copies, key=lambda c: c.item.response):
        first, *others = group
        kept.append(first)
        for copy in others:
            if copy.canonical == first.canonical:
                work.identical += 1
                work.anomalies.append(Anomaly(copy.item.job_id, "id", "duplicate_identical", None, copy.item.position))
            else:
                item = copy.item
                refused = RefusedElement(item.offset, item.length, "older_copy", copy.item.position, item.job_id)
                work.quarantined.append(_quarantined(responses[item.response], refused))
    return kept


def _is_other_state(copy: _Copy, winner: _Copy) -> bool:
    """Whether an older copy tells of a state of its own; what it does not tell is no state."""
    told = [key for key in STATE if copy.value.get(key) is not None]
    return copy.updated_at != winner.updated_at or any(copy.value[key] != winner.value.get(key) for key in told)


def _coalesce(winner: _Copy, older: list[_Copy], work: DecodePlan, spill: Callable[[bytes], Blob]) -> RawJob:
    """The winner, with what only its companions tell."""
    item, value = winner.item, dict(winner.value)
    partner = next((c for c in older if c.item.detail is not item.detail), None)
    best = _with_most_events(winner, partner, older)
    same = partner is not None and partner.updated_at == winner.updated_at
    if best is not winner and _events(best):
        value[EVENTS] = best.value[EVENTS]
        item.old_events = best.updated_at != winner.updated_at
        if item.detail or (_events(winner) and not same):
            counts = f'{{"received":{len(_events(winner))},"stored":{len(_events(best))}}}'
            work.anomalies.append(Anomaly(item.job_id, EVENTS, "fewer_events", counts))
    if partner is not None:
        value |= _lacking(winner, partner, same=same)
        if not item.detail:
            item.detail, item.stale = same, not same
    elif not item.detail:
        # A list may carry what else only a detail tells: then the last known value stays, as from run to run.
        for copy in older:
            value |= {k: copy.value[k] for k in _detail_keys(copy.value) if _is_gap(value, copy.value, k)}
    if value != winner.value:
        item.raw = spill(strict_json.compact_json(value).encode())
        item.odd = any(c.item.odd for c in (winner, *older))
    return item


def _with_most_events(winner: _Copy, partner: _Copy | None, older: list[_Copy]) -> _Copy:
    """The copy that tells the most of the job's events: what was seen of them does not get lost."""
    if winner.value.get(EVENTS) is not None and not isinstance(winner.value[EVENTS], list):
        return winner
    copies = [winner, *(c for c in older if c.item.detail or c is partner)]
    if not any(map(_events, copies)):
        copies += older
    return max(copies, key=lambda c: (len(_events(c)), c.item.detail and c.updated_at == winner.updated_at))


def _events(copy: _Copy) -> list[Any]:
    events = copy.value.get(EVENTS)
    return events if isinstance(events, list) else []


def _lacking(winner: _Copy, partner: _Copy, *, same: bool) -> dict[str, Any]:
    """What a detail adds to its list item, or the list item to its detail, events aside.

    `same` says that both are of one `updated_at`: then a null is a gap, else it is the newer state's value.
    """
    keys = set(partner.value) - {EVENTS}
    if winner.item.detail and not same:
        keys -= set(winner.value)
    elif not same:
        keys &= _detail_keys(partner.value)
    return {k: v for k, v in partner.value.items() if k in keys and v is not None and winner.value.get(k) is None}


def _is_gap(value: dict[str, Any], other: dict[str, Any], key: str) -> bool:
    return key != EVENTS and value.get(key) is None and other[key] is not None


def _detail_keys(value: dict[str, Any]) -> set[str]:
    """The keys that only a detail carries: those of the detail's columns, and those that no contract knows."""
    listed = {s.keys[0] for c in tables()["jobs"].columns if not c.detail for s in c.sources}
    return set(value) - listed - {"id"}
