"""Which copy of a job wins, what it takes from the others, and what becomes of those."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ftetl
from ftetl.raw import index, strict_json
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response, Shape
from ftetl.transform import deduplicate
from ftetl.transform.decode import decoder
from ftetl.transform.flatten import tables
from ftetl.transform.raw_job import RawJob

NOON = datetime(2026, 7, 3, 12, tzinfo=UTC)
OLD, NEW = "2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z"


def listing(*jobs: dict[str, Any] | str, at: int = 0, name: str = "list") -> Response:
    texts = [j if isinstance(j, str) else json.dumps(j) for j in jobs]
    return Response(name, Memory(("[" + ",".join(texts) + "]").encode()), NOON + timedelta(hours=at))


def detail(job: dict[str, Any] | str, at: int = 0, name: str = "detail") -> Response:
    text = job if isinstance(job, str) else json.dumps(job)
    return Response(name, Memory(text.encode()), NOON + timedelta(hours=at), detail=True)


def chosen(*responses: Response) -> deduplicate.DecodePlan:
    scans = [index.scan_response(a) for a in responses]
    work = deduplicate.resolve_duplicates(responses, scans)
    assert len(work.items) + len(work.quarantined) + work.identical + work.absorbed == sum(s.received for s in scans)
    return work


def value(item: RawJob, responses: Sequence[Response]) -> Any:
    raw = (
        item.raw.read(0, item.raw.size)
        if item.raw is not None
        else responses[item.response].blob.read(item.offset, item.length)
    )
    return strict_json.parse(raw)


def told(*responses: Response) -> dict[str, Any]:
    """What the winner of the one job says after its companions added to it."""
    work = chosen(*responses)
    assert len({i.job_id for i in work.items}) == 1
    assert [i.older for i in work.items] == [False] + [True] * (len(work.items) - 1)
    return value(work.items[0], responses)


def job(updated: str | None = NEW, **more: Any) -> dict[str, Any]:
    return {"id": "ft-1", "updated_at": updated, **more}


EVENT = {"type": "JOB_START"}
# The listed item, when it was observed; the detail, when it was observed; what is told.
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
    listed, detailed, expected = COMPOSED[name]

    assert told(listed, detailed) == expected
    assert told(detailed, listed) == expected


def test_what_is_put_together_is_exact() -> None:
    listed = listing('{"id":"ft-1","updated_at":null,"a":1.50,"learning_rate":1e-05,"n":12345678901234567890}')
    detailed = detail('{"id":"ft-1","updated_at":null,"b":"\\ud800","hf_api_token":"s3cret"}', 1)

    [item] = chosen(listed, detailed).items

    assert item.raw is not None
    raw = item.raw.read(0, item.raw.size)
    for text in (
        '"a":1.50',
        '"learning_rate":1e-05',
        '"n":12345678901234567890',
        '"b":"\\ud800"',
        '"hf_api_token":"***"',
    ):
        assert text.encode() in raw
    assert set(json.loads(raw)) == {"id", "updated_at", "b", "hf_api_token", "a", "learning_rate", "n"}


@pytest.mark.parametrize("odd_one", ["list", "detail"])
def test_a_job_combined_with_a_mistyped_one_is_left_to_the_python_reader(odd_one: str) -> None:
    odd = '{"id":"ft-1","weight_decay":NaN,"total_steps":NaN,"new":1}'
    plain = '{"id":"ft-1","suffix":"s"}'
    responses = [listing(odd), detail(plain, 1)] if odd_one == "list" else [listing(plain, at=1), detail(odd)]

    work = chosen(*responses)
    found = tables.flatten(decoder.decode(work.items, responses))

    assert [i.odd for i in work.items if not i.older] == [True]
    assert found.jobs.column("weight_decay").to_pylist() == [None]
    assert ("weight_decay", "not_finite") in [(o.path, o.kind) for o in found.anomalies]


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
        work = chosen(*order)

        assert (work.items[0].detail, work.items[0].stale) == flags
        assert len(value(work.items[0], order).get("events") or []) == count
        found = [(o.path, o.kind, o.raw) for o in work.anomalies]
        assert found == [("events", "fewer_events", f'{{"received":{r},"stored":{s}}}') for r, s in noted]


# --- who wins

RANKED: list[tuple[str, list[Response]]] = [
    # The last one wins.
    ("updated_at", [listing(job(OLD, n=1), at=5), listing(job(n=2), name="b")]),
    ("updated_at in any zone", [listing(job("2026-07-02T01:00:00+02:00", n=1), at=5), listing(job(n=2), name="b")]),
    ("an updated_at that is a time", [listing(job("soon", n=1), at=5), listing(job(OLD, n=2), name="b")]),
    ("an updated_at at all", [listing(job(None, n=1), at=5), listing(job(OLD, n=2), name="b")]),
    (
        "an updated_at of the right type",
        [listing({"id": "ft-1", "updated_at": 9**15, "n": 1}), listing(job(OLD, n=2), name="b")],
    ),
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
        assert told(*order)["n"] == 2


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
    "something else": (job(model="a", n_epochs=1), job(model="b", n_epochs=2), 0),
}


@pytest.mark.parametrize("name", STATES)
def test_an_older_copy_is_a_state_of_the_history_or_none(name: str) -> None:
    older, newer, count = STATES[name]
    responses = [listing(older), listing(newer, at=1, name="b")]

    work = chosen(*responses)

    assert [i.older for i in work.items] == [False] + [True] * count
    assert work.absorbed == 1 - count
    assert work.quarantined == []


# --- copies in one list


def test_equal_copies_in_one_list_are_one_job_and_counted() -> None:
    one = '{"id":"ft-1","a":1,"b":[1.50]}'
    same = ' { "b" : [ 1.50 ], "\\u0061":1 , "id":"ft-1" } '

    work = chosen(listing(one, '{"id":"ft-2"}', same, one))

    assert [(i.job_id, i.position) for i in work.items] == [("ft-1", 0), ("ft-2", 1)]
    assert work.identical == 2
    assert work.quarantined == []
    assert [(o.job_id, o.path, o.kind) for o in work.anomalies] == [("ft-1", "id", "duplicate_identical")] * 2


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_different_copies_in_one_list_put_the_older_ones_aside(order: tuple[int, ...]) -> None:
    texts = [json.dumps(j) for j in (job(OLD, n=1), job(n=2), job(n=3), job(n=3))]

    work = chosen(listing(*(texts[at] for at in order)))

    [winner] = work.items
    assert value(winner, [listing(*(texts[at] for at in order))])["n"] == 3
    assert winner.position == min(order.index(2), order.index(3))
    assert work.identical == 1
    assert sorted(a.raw.decode() for a in work.quarantined) == sorted(texts[:2])
    assert {(a.rule, a.job_id) for a in work.quarantined} == {("older_copy", "ft-1")}


def test_numbers_that_are_written_differently_are_different() -> None:
    work = chosen(listing('{"id":"ft-1","a":1.50}', '{"id":"ft-1","a":1.5}'))

    assert (work.identical, len(work.quarantined)) == (0, 1)


def test_a_copy_that_is_not_clean_is_put_aside_and_the_clean_one_stays() -> None:
    texts = ['{"id":"ft-1","x":1,"x":2}', '{"id":"ft-1","y":"\\q"}', '{"id":"ft-1","z":NaN}', json.dumps(job(n=1))]

    work = chosen(listing(*texts))

    assert sorted(a.rule for a in work.quarantined) == ["broken_json", "duplicate_keys", "older_copy"]
    assert [(i.job_id, i.position) for i in work.items] == [("ft-1", 3)]


def test_copies_of_which_none_is_clean_leave_no_job() -> None:
    texts = ['{"id":"ft-1","x":1,"x":2}', '{"id":"ft-1","id":"ft-1"}', '{"id":"ft-2","id":"ft-1"}', '{"id":"ft-1",}']

    work = chosen(listing(*texts))

    assert work.items == []
    found = [(a.rule, a.job_id) for a in sorted(work.quarantined, key=lambda a: a.position)]
    assert found == [*[("duplicate_keys", "ft-1")] * 2, ("duplicate_keys", None), ("broken_json", "ft-1")]


def test_one_copy_is_never_parsed_here() -> None:
    work = chosen(listing('{"id":"ft-1","x":1,"x":2}'))

    assert [(i.job_id, i.raw, i.odd) for i in work.items] == [("ft-1", None, False)]


def test_jobs_come_in_the_order_of_their_ids_from_any_answers() -> None:
    ids = ["ft-9", "ft-10", "FT-1", "a", "B", "ft-1", "ft-1.", "ft-1-", "_"]
    responses = [listing(*({"id": i} for i in ids[n::3]), name=str(n)) for n in range(3)]

    assert [i.job_id for i in chosen(*responses).items] == sorted(ids)


# --- all together

JOBS = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "b"])},
    optional={
        "updated_at": st.sampled_from([None, OLD, NEW, "", "soon"]),
        "status": st.sampled_from([None, "running", "completed"]),
        "total_price": st.sampled_from([0, 1]),
        "model": st.sampled_from(["m", "", None]),
        "total_steps": st.sampled_from([1, None]),
        "events": st.sampled_from([None, [], [EVENT], [EVENT, EVENT], "x"]),
        "new": st.sampled_from([1, None]),
    },
)
ANSWERS = st.lists(
    st.one_of(
        st.builds(lambda jobs, at: listing(*jobs, at=at), st.lists(JOBS, max_size=3), st.integers(0, 2)),
        st.builds(detail, JOBS, st.integers(0, 2)),
    ),
    min_size=1,
    max_size=4,
)


@given(ANSWERS, st.randoms(use_true_random=False))
def test_the_order_of_the_answers_changes_nothing(responses: list[Response], dice: Any) -> None:
    mixed = responses[:]
    dice.shuffle(mixed)

    outcomes = []
    for order in (responses, mixed):
        work = chosen(*order)
        winners = [
            (
                i.job_id,
                strict_json.compact_json(value(i, order), canonical=True),
                order[i.response].observed_at,
                i.detail,
                i.stale,
            )
            for i in work.items
            if not i.older
        ]
        older = [(i.job_id, value(i, order)) for i in work.items if i.older]
        states = sorted((job_id, strict_json.compact_json(job, canonical=True)) for job_id, job in older)
        quarantined = sorted((a.rule, a.raw, a.observed_at) for a in work.quarantined)
        outcomes.append(
            (winners, states, quarantined, work.identical, work.absorbed, sorted(map(repr, work.anomalies)))
        )

    assert outcomes[0] == outcomes[1]


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


def test_lines_are_copies_like_any_others() -> None:
    lines = Response(
        "lines", Memory(json.dumps(job(n=2)).encode() + b"\n" + json.dumps(job(OLD, n=1)).encode()), NOON, Shape.LINES
    )

    work = chosen(lines)

    assert [i.position for i in work.items] == [0]
    assert [(a.rule, a.position) for a in work.quarantined] == [("older_copy", 1)]


def test_a_secret_that_broken_lines_tear_from_its_key_is_not_kept(tmp_path: Path) -> None:
    source = tmp_path / "lines.ndjson"
    source.write_text('{"id":"ft-1","wandb_key":\n"s3cret","model":"m"}\n{"id":"ft-2"}\n')

    ftetl.export(tmp_path / "out", source=source)

    assert [row["raw"] for row in ftetl.open(tmp_path / "out").arrow("quarantine").sort_by("position").to_pylist()] == [
        '{"id":"ft-1","wandb_key":',
        '"***","model":"m"}',
    ]
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file() and b"s3cret" in p.read_bytes()]
