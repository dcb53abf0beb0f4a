"""Which copy of a job wins, where a run has several: lists, details and dumps of different days.

A detail lies over its own list item, field by field. Between answers the greater `updated_at` wins, then the newer
observation, then the greater canonical JSON. In one list the older of two different copies goes to quarantine;
across answers it is a state that was seen, and feeds the history. Knows raw elements, no tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from ftetl import strict, times
from ftetl.answers import Answer
from ftetl.contract import tables
from ftetl.element import Refused, Scan, own_id

_NEVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Item:
    """One copy of a job to be decoded: its bytes, where they came from, and its part in the run."""

    job_id: str
    answer: int  # index into the run's answers
    position: int  # place in that answer
    offset: int
    length: int
    odd: bool = False
    older: bool = False  # not the winner: a state for the history, no row of its own
    detail: bool = False  # its events are all there are
    stale: bool = False  # its events are those of an older detail
    raw: bytes | None = None  # set for a copy that was put together from several


@dataclass(frozen=True)
class Aside:
    """An element for the quarantine."""

    raw: bytes
    rule: str
    job_id: str | None
    source: str
    position: int
    observed_at: datetime


@dataclass(frozen=True)
class Oddity:
    """One odd value of a job, for the anomalies; `place` orders several of one kind."""

    job_id: str
    path: str
    kind: str
    raw: str | None
    place: int = 0


@dataclass
class Work:
    """What a run has to decode, in key order, and what was put aside on the way."""

    items: list[Item] = field(default_factory=list)
    aside: list[Aside] = field(default_factory=list)
    oddities: list[Oddity] = field(default_factory=list)
    identical: int = 0  # copies that say what another one in the same answer says
    absorbed: int = 0  # copies that are no state of their own beside the winner


def choose(answers: Sequence[Answer], scans: Sequence[Scan]) -> Work:
    """The copies of every job in the order of the ids, the winner before the older ones."""
    work = Work()
    entries: list[tuple[str, int, int]] = []
    for number, (answer, scan) in enumerate(zip(answers, scans, strict=True)):
        work.aside.extend(_aside(answer, refused) for refused in scan.refused)
        entries.extend((job_id, number, index) for index, job_id in enumerate(scan.ids))
    entries.sort()
    for _, group in groupby(entries, key=itemgetter(0)):
        copies = [_item(answers, scans, entry) for entry in group]
        work.items.extend(copies if len(copies) == 1 else _settle(answers, copies, work))
    return work


def _aside(answer: Answer, refused: Refused) -> Aside:
    raw = strict.mask(answer.blob.read(refused.offset, refused.length))
    return Aside(raw, refused.rule, refused.job_id, answer.name, refused.position, answer.observed_at)


def _item(answers: Sequence[Answer], scans: Sequence[Scan], entry: tuple[str, int, int]) -> Item:
    job_id, number, index = entry
    scan = scans[number]
    detail = answers[number].detail or scan.is_detail
    return Item(
        job_id,
        number,
        scan.positions[index],
        scan.offsets[index],
        scan.lengths[index],
        index in scan.odd,
        detail=detail,
    )


@dataclass
class _Copy:
    item: Item
    value: dict[str, Any]
    canonical: str
    updated_at: datetime
    observed_at: datetime

    @property
    def rank(self) -> tuple[datetime, datetime, bool, str]:
        return self.updated_at, self.observed_at, self.item.detail, self.canonical


def _settle(answers: Sequence[Answer], items: list[Item], work: Work) -> Iterator[Item]:
    """The winner of several copies, put together with what it lacks, and the older states."""
    copies = _one_an_answer(answers, [c for item in items if (c := _copy(answers, item, work))], work)
    if not copies:
        return
    winner, *older = sorted(copies, key=lambda c: c.rank, reverse=True)
    yield _composed(winner, older)
    for copy in older:
        if copy.updated_at != winner.updated_at or copy.value.get("status") != winner.value.get("status"):
            copy.item.older = True
            yield copy.item
        else:
            work.absorbed += 1


def _copy(answers: Sequence[Answer], item: Item, work: Work) -> _Copy | None:
    answer = answers[item.answer]
    raw = answer.blob.read(item.offset, item.length)
    try:
        value = strict.parse(raw)
    except strict.RefusedError as refusal:
        refused = Refused(item.offset, item.length, refusal.rule, item.position, item.job_id)
        work.aside.append(_aside(answer, refused))
        return None
    text = value.get("updated_at")
    instant = times.read(text).instant if isinstance(text, str) else None
    canonical = strict.compact(value, canonical=True)
    return _Copy(item, value, canonical, instant or _NEVER, answer.observed_at)


def _one_an_answer(answers: Sequence[Answer], copies: list[_Copy], work: Work) -> list[_Copy]:
    """Of the copies in one answer only the winner; the others are put aside, or counted where they are equal."""
    kept: list[_Copy] = []
    copies.sort(key=lambda c: (c.item.answer, c.updated_at, c.canonical, -c.item.position), reverse=True)
    for _, group in groupby(copies, key=lambda c: c.item.answer):
        first, *others = group
        kept.append(first)
        for copy in others:
            if copy.canonical == first.canonical:
                work.identical += 1
                work.oddities.append(Oddity(copy.item.job_id, "id", "duplicate_identical", None, copy.item.position))
            else:
                item = copy.item
                refused = Refused(item.offset, item.length, "older_copy", copy.item.position, item.job_id)
                work.aside.append(_aside(answers[item.answer], refused))
    return kept


def _composed(winner: _Copy, older: list[_Copy]) -> Item:
    """The winner, with what only its companions tell."""
    item = winner.item
    if item.detail:
        base = next((c for c in older if not c.item.detail), None)
        if base is None:
            return item
        lacking = {k: v for k, v in base.value.items() if winner.value.get(k) is None and v is not None}
    else:
        base = next((c for c in older if c.item.detail), None)
        if base is None:
            return item
        lacking = {k: v for k, v in base.value.items() if winner.value.get(k) is None and k in _detail_keys(base.value)}
        if not winner.value.get("events") and base.value.get("events"):
            lacking["events"] = base.value["events"]
        item.detail = base.updated_at == winner.updated_at
        item.stale = not item.detail
    if lacking:
        item.raw = strict.compact(winner.value | lacking).encode()
    return item


def _detail_keys(value: dict[str, Any]) -> set[str]:
    """The keys that only a detail carries: those of the detail's columns, and those that no contract knows."""
    listed = {s.keys[0] for c in tables()["jobs"].columns if not c.detail for s in c.sources}
    return set(value) - listed - {"id"}
