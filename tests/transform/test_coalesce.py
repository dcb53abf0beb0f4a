"""Which copy of a job wins, what it takes from the others, and what becomes of those."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ftetl
from ftetl.contract import tables as contracts
from ftetl.raw import index, strict_json
from ftetl.raw.blob import Memory
from ftetl.raw.findings import QuarantinedElement
from ftetl.raw.response import Response
from ftetl.transform import survivorship, timestamps
from ftetl.transform.coalesce import Coalesced, coalesce_copies
from ftetl.transform.decode import decoder
from ftetl.transform.deduplicate import resolve_duplicates
from ftetl.transform.flatten import tables

NOON = datetime(2026, 7, 3, 12, tzinfo=UTC)
NEVER = datetime(1, 1, 1, tzinfo=UTC)
OLD, NEW = "2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z"


def listing(*jobs: dict[str, Any] | str, at: int = 0, name: str = "list") -> Response:
    texts = [j if isinstance(j, str) else json.dumps(j) for j in jobs]
    return Response(name, Memory(("[" + ",".join(texts) + "]").encode()), NOON + timedelta(hours=at))


def detail(job: dict[str, Any] | str, at: int = 0, name: str = "detail") -> Response:
    text = job if isinstance(job, str) else json.dumps(job)
    return Response(name, Memory(text.encode()), NOON + timedelta(hours=at), detail=True)


@dataclass(frozen=True)
class Chosen:
    """What becomes of some responses."""

    batch: Coalesced
    quarantined: list[QuarantinedElement]
    identical: int

    @property
    def superseded(self) -> list[bool]:
        decoded = self.batch.decoded
        return [False] * len(decoded.items) if decoded.superseded is None else decoded.superseded.to_pylist()


def chosen(*responses: Response) -> Chosen:
    scans = [index.scan_response(a) for a in responses]
    plan = resolve_duplicates(responses, scans)
    decoded = decoder.decode(plan.items, responses)
    batch = coalesce_copies(decoded, responses)
    quarantined = plan.quarantined + batch.decoded.quarantined
    rows = len(batch.decoded.items) + batch.absorbed + len(quarantined) + plan.identical
    assert rows == sum(s.received for s in scans)
    return Chosen(batch, quarantined, plan.identical)


def content(decoded: decoder.Decoded, row: int = 0) -> dict[str, Any]:
    """All that a row tells: its cells, what lies beside them, and what is odd about them."""
    events = {at: strict_json.parse(text.encode()) for (of, at), text in decoded.event_extra.items() if of == row}
    return {
        "cells": decoded.jobs.slice(row, 1).to_pylist()[0],
        "extra": strict_json.parse(decoded.extra.get(row, "{}").encode()),
        "events": events,
        "unknown": dict(decoded.unknown_paths.get(row, {})),
        "odd": sorted((a.path, a.kind, a.raw, a.place) for of, a in decoded.row_anomalies if of == row),
    }


def one_document(document: dict[str, Any] | str) -> dict[str, Any]:
    """What a row tells that was made from one document alone."""
    response = listing(document)
    return content(decoder.decode(resolve_duplicates([response], [index.scan_response(response)]).items, [response]))


def told(*responses: Response) -> dict[str, Any]:
    """What the winner of the one job tells, with what the others added to it."""
    found = chosen(*responses)
    assert len({i.job_id for i in found.batch.decoded.items}) == 1
    assert found.superseded == [False] + [True] * (len(found.superseded) - 1)
    return content(found.batch.decoded)


def job(updated: Any = NEW, **more: Any) -> dict[str, Any]:
    return {"id": "ft-1", "updated_at": updated, **more}


EVENT = {"type": "JOB_START"}
# The list item, its detail, and the one document that would say the same.
COMPOSED: dict[str, tuple[Response, Response, dict[str, Any]]] = {
    "a detail lies over its list item": (
        listing(job(status="running", model="m", suffix="s")),
        detail(job(status="running", model="M", events=[EVENT], total_steps=5), 1),
        job(status="running", model="M", suffix="s", events=[EVENT], total_steps=5),
    ),
    "null in a detail is a gap that the list fills": (
        listing(job(started_at=OLD, model="m")),
        detail(job(started_at=None, model="m"), 1),
        job(started_at=OLD, model="m"),
    ),
    "zero and empty are values": (
        listing(job(token_count=5, suffix="s", packing=True)),
        detail(job(token_count=0, suffix="", packing=False), 1),
        job(token_count=0, suffix="", packing=False),
    ),
    "a detail of the same state adds to a newer list, whatever it lacks": (
        listing(job(status="running", suffix=None), at=2),
        detail(job(status="running", suffix="s", model="m", total_steps=5, events=[EVENT]), 1),
        job(status="running", suffix="s", model="m", total_steps=5, events=[EVENT]),
    ),
    "a detail of an older state adds what only a detail tells": (
        listing(job(status="completed", suffix=None, events=[])),
        detail(job(OLD, status="running", suffix="s", progress={}, total_steps=5, new=1, events=[EVENT]), -9),
        job(status="completed", suffix=None, total_steps=5, new=1, events=[EVENT]),
    ),
    "a newer detail needs no older list item but for what it does not say": (
        listing(job(OLD, status="running", progress={"seconds_remaining": 5}, queue=1, started_at=OLD)),
        detail(job(status="completed", progress=None, started_at=None), 1),
        job(status="completed", progress=None, started_at=None, queue=1),
    ),
    "listed events stay where the detail has none": (
        listing(job(events=[EVENT])),
        detail(job(events=None), 1),
        job(events=[EVENT]),
    ),
    "events of a wrong type are for the anomalies": (
        listing(job(events=[EVENT])),
        detail(job(events="none"), 1),
        job(events="none"),
    ),
    "unknown keys are kept from both": (
        listing(job(a=1, b={"x": 1})),
        detail(job(b={"y": 2}, c=3), 1),
        job(a=1, b={"y": 2}, c=3),
    ),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_a_list_item_and_its_detail_make_one_job(name: str) -> None:
    listed, detailed, document = COMPOSED[name]

    assert told(listed, detailed) == one_document(document)
    assert told(detailed, listed) == one_document(document)


def test_what_is_put_together_is_exact() -> None:
    listed = listing('{"id":"ft-1","updated_at":null,"a":1.50,"learning_rate":1e-05,"n":12345678901234567890}')
    detailed = detail('{"id":"ft-1","updated_at":null,"b":"\\ud800","hf_api_token":"s3cret"}', 1)

    decoded = chosen(listed, detailed).batch.decoded

    assert decoded.extra == {0: '{"b":"\ufffd","hf_api_token":"***","a":1.50,"n":12345678901234567890}'}
    assert decoded.jobs.column("learning_rate").to_pylist() == [1e-05]
    assert [(a.path, a.kind, a.raw) for _, a in decoded.row_anomalies] == [("b", "lone_surrogate", '"\\ud800"')]


def test_a_null_that_is_filled_keeps_its_place_among_the_unknown_keys() -> None:
    detailed = detail(job(progress=None, zz=1, yy=None), 1)
    listed = listing(job(progress={"new": 2}, aa=3, yy=4))

    assert chosen(listed, detailed).batch.decoded.extra == {0: '{"progress":{"new":2},"zz":1,"yy":4,"aa":3}'}


@pytest.mark.parametrize("odd_one", ["list", "detail"])
def test_a_job_combined_with_a_mistyped_one_has_its_anomalies(odd_one: str) -> None:
    odd = '{"id":"ft-1","weight_decay":NaN,"total_steps":NaN,"new":1}'
    plain = '{"id":"ft-1","suffix":"s"}'
    responses = [listing(odd), detail(plain, 1)] if odd_one == "list" else [listing(plain, at=1), detail(odd)]

    found = tables.flatten(chosen(*responses).batch.decoded)

    assert found.jobs.column("weight_decay").to_pylist() == [None]
    assert ("weight_decay", "not_finite") in [(o.path, o.kind) for o in found.anomalies]


def test_a_value_that_gave_way_is_no_anomaly() -> None:
    listed = listing(job(total_steps="x", n_epochs="x", suffix=5))
    detailed = detail(job(total_steps=1, n_epochs=2, suffix=6), 1)

    assert told(listed, detailed)["odd"] == [("suffix", "wrong_type", "6", 0)]


def test_a_copy_that_is_not_clean_is_quarantined_and_the_clean_one_stays() -> None:
    texts = ['{"id":"ft-1","x":1,"x":2}', json.dumps(job(n=1)), '{"id":"ft-1","y":"\\q"}']
    responses = [listing(text, name=text) for text in texts]

    found = chosen(*responses)

    assert sorted(q.rule for q in found.quarantined) == ["broken_json", "duplicate_keys"]
    assert content(found.batch.decoded) == one_document(job(n=1))


# --- what is known of the events


@pytest.mark.parametrize(
    ("responses", "flags", "count", "noted"),
    [
        ([listing(job())], (False, False), 0, []),
        ([detail(job(events=[EVENT]))], (True, False), 1, []),
        ([listing(job()), detail(job(events=[EVENT]), 1)], (True, False), 1, []),
        ([listing(job(), at=1), detail(job(events=[EVENT]))], (True, False), 1, []),
        ([listing(job()), detail(job(OLD, events=[EVENT]), -1)], (False, True), 1, []),
        ([listing(job(events=[EVENT]), at=1), detail(job(events=[EVENT] * 2))], (True, False), 2, []),
        # What a copy knew of the events does not get lost because a newer one knows less.
        ([detail(job(OLD, events=[EVENT] * 3), -1), detail(job(events=[EVENT]), name="d")], (True, False), 3, [(1, 3)]),
        ([detail(job(OLD, events=[EVENT] * 3), -1), detail(job(events=[]), name="d")], (True, False), 3, [(0, 3)]),
        ([detail(job(OLD, events=[EVENT]), -1), detail(job(events=[EVENT] * 3), name="d")], (True, False), 3, []),
        ([listing(job(events=[EVENT])), detail(job(OLD, events=[EVENT] * 2), -1)], (False, True), 2, [(1, 2)]),
    ],
)
def test_events_come_from_the_copy_that_has_the_most(
    responses: list[Response], flags: tuple[bool, bool], count: int, noted: list[tuple[int, int]]
) -> None:
    for order in (responses, responses[::-1]):
        batch = chosen(*order).batch

        assert (batch.detail[0].as_py(), batch.older_detail[0].as_py()) == flags
        assert len(batch.decoded.jobs.column("events")[0].as_py() or []) == count
        found = [(o.path, o.kind, o.raw) for o in batch.anomalies]
        assert found == [("events", "fewer_events", f'{{"received":{r},"stored":{s}}}') for r, s in noted]


# --- who wins

FUTURE, SOON = "2062-01-01T00:00:00Z", "2026-07-03T12:05:00Z"
UNCOMPARABLE = {
    "null": None,
    "no time": "soon",
    "empty": "",
    "Go's zero time": "0001-01-01T00:00:00Z",
    "a unix number": 1_800_000_000,
    "an object": {"at": NEW},
    "in the future": FUTURE,
    "just beyond the clock skew": "2026-07-03T13:05:01Z",
}

RANKED: list[tuple[str, list[Response]]] = [
    # The last one wins.
    ("updated_at", [listing(job(OLD, n=1), at=5), listing(job(n=2), name="b")]),
    ("updated_at in any zone", [listing(job("2026-07-02T01:00:00+02:00", n=1), at=5), listing(job(n=2), name="b")]),
    *(
        pair
        for name, value in UNCOMPARABLE.items()
        for pair in (
            (f"the newer observation, its time being {name}", [listing(job(n=1)), listing(job(value, n=2), at=1)]),
            (
                f"the newer observation over one whose time is {name}",
                [listing(job(value, n=1)), listing(job(OLD, n=2), at=1)],
            ),
            (f"of one observation a time over one that is {name}", [listing(job(value, n=1)), listing(job(OLD, n=2))]),
            (f"a newer detail whose time is {name}", [listing(job(n=1)), detail(job(value, n=2), 1)]),
            (
                f"a newer list item over a detail whose time is {name}",
                [detail(job(value, n=1)), listing(job(OLD, n=2), at=1)],
            ),
            (
                f"what came after a time that was {name}",
                [listing(job(n=3)), listing(job(value, n=4), at=1), listing(job(OLD, n=2), at=2)],
            ),
        )
    ),
    ("a time within the clock skew", [listing(job(SOON, n=2)), listing(job(NEW, n=1), at=1)]),
    ("the newer observation", [listing(job(n=1)), listing(job(n=2), at=1, name="b")]),
    ("the detail", [listing(job(n=1)), detail(job(n=2))]),
    ("the greater canonical text", [listing(job(n=1)), listing(job(n=2), name="b")]),
    (
        "the greater canonical text, keys in any order",
        [listing({"n": 1, **job(z=1)}), listing(job(z=1, n=2), name="b")],
    ),
]


@pytest.mark.parametrize(("_rule", "responses"), RANKED, ids=[rule for rule, _ in RANKED])
def test_the_newer_copy_wins(_rule: str, responses: list[Response]) -> None:
    for order in itertools.permutations(responses):
        assert told(*order)["extra"]["n"] == 2


@pytest.mark.parametrize("name", UNCOMPARABLE)
@pytest.mark.parametrize("kind", ["list", "detail"])
def test_a_list_item_and_its_detail_are_one_state_where_one_of_them_has_no_time(kind: str, name: str) -> None:
    texts = [job(UNCOMPARABLE[name], status="a"), job(status="a")]
    listed, detailed = texts if kind == "list" else texts[::-1]

    found = chosen(listing(listed), detail(detailed, 1))

    assert (found.superseded, found.batch.detail.to_pylist()) == ([False], [True])


def test_an_explicit_null_in_a_detail_leaves_the_listed_time() -> None:
    assert told(listing(job(status="a")), detail(job(None, status="b"), 1)) == one_document(job(status="b"))


STATES: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    # an older copy, the winner, how many states the older one adds
    "the same": (job(status="a"), job(status="a"), 0),
    "another updated_at": (job(OLD, status="a"), job(status="a"), 1),
    "another status": (job(status="a"), job(status="b"), 1),
    "another price": (job(total_price=1), job(total_price=2), 1),
    "other tokens": (job(token_count=1), job(token_count=2), 1),
    "another refund": (job(refund_amount=1), job(refund_amount=2), 1),
    "a refund that went": (job(refund_amount=1), job(), 1),
    "a refund that is known now": (job(), job(refund_amount=2), 0),
    "a status of a wrong type": (job(status=5), job(status="a"), 0),
    "a status, and then one of a wrong type": (job(status="a"), job(status=5), 1),
    "another status of a wrong type": (job(status=5), job(status=6), 0),
    "the same of a wrong type": (job(status=5), job(status=5), 0),
    "something else": (job(model="a", n_epochs=1), job(model="b", n_epochs=2), 0),
}


@pytest.mark.parametrize("name", STATES)
def test_an_older_copy_is_a_state_of_the_history_or_none(name: str) -> None:
    older, newer, count = STATES[name]
    responses = [listing(older), listing(newer, at=1, name="b")]

    found = chosen(*responses)

    assert found.superseded == [False] + [True] * count
    assert found.batch.absorbed == 1 - count
    assert found.quarantined == []
    # A state is as old as the first copy that tells of it.
    assert found.batch.since.to_pylist() == [NOON + timedelta(hours=count)] + [NOON] * count


def test_each_key_belongs_to_lists_or_to_details_alone() -> None:
    listed = {s.keys[0] for c in contracts()["jobs"].columns if not c.detail for s in c.sources}

    assert listed.isdisjoint(survivorship.detail_keys())


# --- all together

JOBS = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "b"])},
    optional={
        "updated_at": st.sampled_from([None, OLD, NEW, "", "soon", 5, FUTURE, "2026-07-03T13:00:00Z"]),
        "status": st.sampled_from([None, "running", "completed"]),
        "total_price": st.sampled_from([0, 1]),
        "model": st.sampled_from(["m", "", None]),
        "total_steps": st.sampled_from([1, None]),
        "events": st.sampled_from([None, [], [EVENT], [EVENT, EVENT], "x"]),
        "new": st.sampled_from([1, None]),
        "suffix": st.sampled_from(["s", "", None, 5]),
        "progress": st.sampled_from([None, {}, {"seconds_remaining": 5}, {"estimate_available": True, "x": 1}]),
        "trainingfile_size": st.sampled_from([1, None]),
        "TrainingFileSize": st.sampled_from([2, None]),
    },
)
RESPONSES = st.lists(
    st.one_of(
        st.builds(lambda jobs, at: listing(*jobs, at=at), st.lists(JOBS, max_size=3), st.integers(0, 2)),
        st.builds(detail, JOBS, st.integers(0, 2)),
    ),
    min_size=1,
    max_size=4,
)


@given(RESPONSES, st.randoms(use_true_random=False))
def test_the_order_of_the_responses_changes_nothing(responses: list[Response], dice: Any) -> None:
    mixed = responses[:]
    dice.shuffle(mixed)

    outcomes = []
    for order in (responses, mixed):
        found = chosen(*order)
        batch = found.batch
        known = (batch.observed, batch.since, batch.detail, batch.older_detail, batch.older_events)
        columns = zip(*(column.to_pylist() for column in known), strict=True)
        rows = [
            (item.job_id, superseded, repr(content(batch.decoded, row)), known)
            for row, (item, superseded, known) in enumerate(
                zip(batch.decoded.items, found.superseded, columns, strict=True)
            )
        ]
        quarantined = sorted((a.rule, a.raw, a.observed_at) for a in found.quarantined)
        anomalies = sorted(map(repr, batch.anomalies))
        outcomes.append((sorted(rows), quarantined, found.identical, batch.absorbed, anomalies))

    assert outcomes[0] == outcomes[1]


@dataclass
class Copy:
    """A copy in the model of plain dicts."""

    value: dict[str, Any]
    observed_at: datetime
    detail: bool

    @property
    def updated_at(self) -> datetime:
        text = self.value.get("updated_at")
        return (timestamps.parse_timestamp(text).instant if isinstance(text, str) else None) or NEVER

    @property
    def rank(self) -> tuple[datetime, datetime, bool, str]:
        is_sane = self.updated_at <= self.observed_at + timedelta(minutes=5)
        time = self.updated_at if is_sane else NEVER
        return time, self.observed_at, self.detail, strict_json.compact_json(self.value, canonical=True)

    def beats(self, other: Copy) -> bool:
        both = self.rank[0] > NEVER and other.rank[0] > NEVER
        if both or self.observed_at == other.observed_at:
            return self.rank > other.rank
        return self.observed_at > other.observed_at

    @property
    def events(self) -> list[Any]:
        events = self.value.get("events")
        return events if isinstance(events, list) else []


def one_by_one(copies: list[Copy]) -> list[Copy]:
    """The copies, each the winner of it and the ones behind it, as if they came one by one as they were observed."""
    left, ranked = sorted(copies, key=lambda c: (c.observed_at, c.rank[0])), []
    while left:
        ranked.append(reduce(lambda winner, copy: copy if copy.beats(winner) else winner, left))
        left.remove(ranked[-1])
    return ranked


def put_together(copies: list[Copy]) -> dict[str, Any]:
    """The one document that copies of a job come to, by the rules in plain dicts."""
    winner, *older = one_by_one(copies)
    document = dict(winner.value)
    partner = next((c for c in older if c.detail is not winner.detail), None)
    if winner.value.get("events") is None or isinstance(winner.value["events"], list):
        comparable = [winner, *(c for c in older if c.detail or c is partner)]
        comparable = comparable if any(c.events for c in comparable) else [winner, *older]
        best = max(comparable, key=lambda c: (len(c.events), c.detail and c.updated_at == winner.updated_at))
        if best.events:
            document["events"] = best.events
    listed = {s.keys[0] for c in contracts()["jobs"].columns if not c.detail for s in c.sources} | {"id"}
    sources = [partner] if partner else [] if winner.detail else older
    for source in sources:
        same = partner is not None and source.updated_at == winner.updated_at
        for key, value in source.value.items():
            may = same or key not in (winner.value if winner.detail else listed)
            may = may or (winner.detail and key == "updated_at")
            if key != "events" and may and value is not None and document.get(key) is None:
                document[key] = value
    return document


@given(RESPONSES)
def test_a_winner_tells_what_its_copies_come_to_in_plain_dicts(responses: list[Response]) -> None:
    plan = resolve_duplicates(responses, [index.scan_response(a) for a in responses])
    copies: dict[str, list[Copy]] = {}
    for item in plan.items:
        response = responses[item.response]
        value = strict_json.parse(response.blob.read(item.offset, item.length))
        copies.setdefault(item.job_id, []).append(Copy(value, response.observed_at, item.detail))

    found = chosen(*responses)

    winners = [row for row, superseded in enumerate(found.superseded) if not superseded]
    assert [found.batch.decoded.items[row].job_id for row in winners] == list(copies)
    for row, same_job in zip(winners, copies.values(), strict=True):
        document = strict_json.compact_json(put_together(same_job))
        assert content(found.batch.decoded, row) == one_document(document)


def test_a_folder_of_lists_and_details_is_one_history(tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    folder.mkdir()
    files = {
        "1-list.json": {"data": [job(OLD, status="running", total_price=0)]},
        "2-detail.json": job(OLD, status="running", total_price=5, total_steps=9, events=[EVENT]),
        "3-list.json": {"data": [job(status="completed", total_price=7), {"id": "ft-2", "status": "queued"}]},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "4.ndjson").write_text('{"id":"ft-3","status":"error"}\n')

    ftetl.export(tmp_path / "out", source=folder, events="list", observed_at=NOON)

    snapshot = ftetl.open(tmp_path / "out")
    [first, second, third] = snapshot.arrow("jobs").to_pylist()
    assert (first["status"], first["total_price_nanousd"], first["total_steps"]) == ("completed", 7, 9)
    assert first["events_state"] == "stale"
    assert (second["job_id"], third["job_id"]) == ("ft-2", "ft-3")
    assert snapshot.arrow("events").num_rows == 1
