"""Of each job one copy from each response: which one, and what becomes of the others."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl.raw import index, strict_json
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response, Shape
from ftetl.transform import deduplicate
from ftetl.transform.raw_job import RawJob

NOON = datetime(2026, 7, 3, 12, tzinfo=UTC)
OLD, NEW = "2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z"


def listing(*jobs: dict[str, Any] | str, name: str = "list") -> Response:
    texts = [j if isinstance(j, str) else json.dumps(j) for j in jobs]
    return Response(name, Memory(("[" + ",".join(texts) + "]").encode()), NOON)


def chosen(*responses: Response) -> deduplicate.DecodePlan:
    scans = [index.scan_response(a) for a in responses]
    work = deduplicate.resolve_duplicates(responses, scans)
    assert len(work.items) + len(work.quarantined) + work.identical == sum(s.received for s in scans)
    return work


def value(item: RawJob, responses: Sequence[Response]) -> Any:
    return strict_json.parse(responses[item.response].blob.read(item.offset, item.length))


def job(updated: str | None = NEW, **more: Any) -> dict[str, Any]:
    return {"id": "ft-1", "updated_at": updated, **more}


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
    texts = ['{"id":"ft-1","x":1,"x":2}', '{"id":"ft-1","y":1,"y":2}', '{"id":"ft-2","id":"ft-1"}', '{"id":"ft-1",}']

    work = chosen(listing(*texts))

    assert work.items == []
    found = [(a.rule, a.job_id) for a in sorted(work.quarantined, key=lambda a: a.position)]
    assert found == [*[("duplicate_keys", "ft-1")] * 2, ("duplicate_keys", None), ("broken_json", "ft-1")]


def test_one_copy_is_never_parsed_here() -> None:
    work = chosen(listing('{"id":"ft-1","x":1,"x":2}'))

    assert [(i.job_id, i.irregular) for i in work.items] == [("ft-1", False)]


def test_jobs_come_in_the_order_of_their_ids_from_any_answers() -> None:
    ids = ["ft-9", "ft-10", "FT-1", "a", "B", "ft-1", "ft-1.", "ft-1-", "_"]
    responses = [listing(*({"id": i} for i in ids[n::3]), name=str(n)) for n in range(3)]

    assert [i.job_id for i in chosen(*responses).items] == sorted(ids)


def test_copies_in_several_responses_are_all_decoded() -> None:
    responses = [listing(job(n=1)), listing(job(n=1), name="b"), listing(job(n=2), job(n=3), name="c")]

    work = chosen(*responses)

    assert [(i.response, value(i, responses)["n"]) for i in work.items] == [(0, 1), (1, 1), (2, 3)]
    assert [(q.rule, q.source) for q in work.quarantined] == [("older_copy", "c")]


def test_a_job_that_is_confirmed_is_left_out() -> None:
    response = listing(job(), {"id": "ft-2"})

    work = deduplicate.resolve_duplicates([response], [index.scan_response(response)], frozenset({"ft-1"}))

    assert [i.job_id for i in work.items] == ["ft-2"]


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
