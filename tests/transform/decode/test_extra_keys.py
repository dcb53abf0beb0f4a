"""What no contract reads is kept exactly, and found wherever a job may have it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.raw import strict_json
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response
from ftetl.transform.decode import arrow_reader, extra_keys
from ftetl.transform.decode.raw_batch import RawBatch
from ftetl.transform.decode.source_schema import job_schema
from ftetl.transform.raw_job import RawJob


def texts(text: str) -> extra_keys.ExtraTexts:
    return extra_keys.texts_of_job(strict_json.parse(text.encode()))


EXTRA: dict[str, str] = {
    '{"id":"a","status":"x"}': "{}",
    '{"id":"a","b":1.50,"a":{"z":1,"y":[1e3]}}': '{"b":1.50,"a":{"z":1,"y":[1e3]}}',
    '{"id":"a","b":null}': '{"b":null}',
    '{"id":"a","job_id":"a","events":[]}': "{}",
    '{"id":"a","training_type":{"type":"Full","new":1},"new":2}': '{"training_type":{"new":1},"new":2}',
    '{"lr_scheduler":{"lr_scheduler_args":{"b":[1]},"d":0}}': '{"lr_scheduler":{"lr_scheduler_args":{"b":[1]},"d":0}}',
    '{"id":"a","training_type":{"type":"Full"},"progress":{}}': "{}",
    '{"id":"a","training_type":"Lora","status":{"new":1},"checkpoints":[{"new":1}]}': "{}",
    '{"id":"a","hf_api_token":"s3cret","x":{"wandb_key":"s3cret"}}': '{"hf_api_token":"***","x":{"wandb_key":"***"}}',
    '{"id":"a","hf_api_token":null,"wandb_key":""}': '{"hf_api_token":null,"wandb_key":""}',
}


@pytest.mark.parametrize("text", EXTRA)
def test_extra_holds_what_no_column_reads_under_its_parents(text: str) -> None:
    assert strict_json.compact_json(texts(text).extra) == EXTRA[text]


@pytest.mark.parametrize("text", EXTRA)
def test_the_raw_text_says_the_same_as_the_read_job(text: str) -> None:
    wanted = set(json.loads(text))

    assert extra_keys.texts_of_raw(text.encode(), wanted) == texts(text)


def test_only_wanted_keys_are_looked_at() -> None:
    raw = b'{"id":"a","broken":oops_,"new":1,"other":2}'.replace(b"oops_", b'{"a":1,"a":2}')

    assert extra_keys.texts_of_raw(raw, {"new"}).extra == {"new": 1}
    with pytest.raises(strict_json.RefusedError):
        extra_keys.texts_of_raw(raw, {"broken"})


def test_events_keep_what_is_their_own() -> None:
    found = texts('{"id":"a","events":[{"object":"x","type":"y"},{"new":1.0},null,7,{"new":{"a":[]},"more":null}]}')

    assert {at: strict_json.compact_json(rest) for at, rest in found.events.items()} == {
        1: '{"new":1.0}',
        4: '{"new":{"a":[]},"more":null}',
    }
    assert found.extra == {}
    assert extra_keys.unknown_key_paths(found) == Counter({"events.new": 1, "events.more": 1})


def test_texts_of_json_are_compact_and_exact() -> None:
    found = texts('{"id":"a","checkpoints":[ { "step" : 1.50 } ],"training_files":null,"validation_files":""}')

    assert found.json == {"checkpoints": '[{"step":1.50}]', "validation_files": '""'}


def test_a_path_counts_once_a_job() -> None:
    found = texts('{"id":"a","new":{"x":1},"training_type":{"new":[]},"events":[{"b":1},{"b":2}]}')

    assert extra_keys.unknown_key_paths(found) == Counter({"new": 1, "training_type.new": 1, "events.b": 1})


# --- from what Arrow inferred


UNREAD: dict[str, list[tuple[str, ...]]] = {
    '{"id":"a"}': [],
    '{"id":"a","new":1}': [("new",)],
    '{"id":"a","new":null}': [("new",)],
    '{"id":"a","new":{"x":{"y":1}}}': [("new",)],
    '{"id":"a","training_type":{"new":1}}': [("training_type", "new")],
    '{"id":"a","events":[{"new":1}]}': [("events", "new")],
    '{"id":"a","events":[{"object":"x"}],"job_id":"a"}': [],
    '{"id":"a","events":[{"object":{}}],"job_id":[]}': [("events", "object"), ("job_id",)],
    '{"id":"a","checkpoints":[{"new":1}],"multimodal_params":{}}': [],
    '{"id":"a","batch_size":"max","train_on_inputs":true}': [],
    '{"id":"a","events":[{"batch_size":"max"}]}': [("events", "batch_size")],
    '{"id":"a","events":[{"batch_size":null}]}': [("events", "batch_size")],
    '{"id":"a","progress":{"train_on_inputs":"auto"}}': [("progress", "train_on_inputs")],
}


@pytest.mark.parametrize("text", UNREAD)
def test_what_arrow_inferred_tells_the_paths_that_nothing_reads(text: str) -> None:
    table = arrow_reader.read_batch(arrow_reader.prepare_body(memoryview(bytearray(text.encode()))), 1)

    assert sorted(extra_keys.unread_paths(table.schema, job_schema())) == UNREAD[text]


HOLDS = [
    ("new", '{"id":"a","new":1}', True),
    ("new", '{"id":"a","new" \n : null}', True),
    ("new", '{"id":"a","x":{"new":1}}', True),
    ("new", '{"id":"a","n\\u0065w":1}', True),
    ("new", '{"id":"a","\\u006e\\u0065\\u0077":1}', True),
    ("a/b", '{"id":"a","a\\/b":1}', True),
    ("new", '{"id":"a"}', False),
    ("new", '{"id":"new","x":["new"]}', False),
    ("new", '{"id":"a","m":"the \\"new\\" one"}', False),
    ("new", '{"id":"a","renew":1,"newer":2}', False),
    ("a.b", '{"id":"a","axb":1}', False),
]


@pytest.mark.parametrize(("name", "text", "holds"), HOLDS)
def test_a_pattern_finds_every_job_that_may_have_the_key(name: str, text: str, holds: bool) -> None:
    pattern = extra_keys.key_pattern({name, "other key"})

    assert pattern is not None
    assert (pattern.search(text.encode()) is not None) == holds


@pytest.mark.parametrize("names", [{""}, {'a"b'}, {"a\\b"}, {"ä"}, {"ok", "\n"}, {f"k{n}" for n in range(100)}])
def test_keys_that_raw_text_may_write_in_many_ways_need_every_job_read(names: set[str]) -> None:
    assert extra_keys.key_pattern(names) is None


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=4), st.none() | st.integers() | st.just({"a": [1.5]}), max_size=4
    ),
    st.booleans(),
)
def test_random_extra_keys_are_found_again(more: dict[str, Any], ascii_only: bool) -> None:
    known = set(job_schema().children) | {"id", "job_id", "hf_api_token", "wandb_key"}
    more = {k: v for k, v in more.items() if k not in known}
    raw = json.dumps({"id": "a", **more, "training_type": {"new": more}}, ensure_ascii=ascii_only).encode()

    found = extra_keys.texts_of_raw(raw, set(json.loads(raw)))

    assert json.loads(strict_json.compact_json(found.extra)) == {**more, "training_type": {"new": more}}


# --- keys that are names


def jobs(count: int, keys: Any) -> list[bytes]:
    return [json.dumps({"id": f"ft-{n}", "status": "completed", **keys(n)}).encode() for n in range(count)]


IDENTIFIER_KEYS: dict[str, tuple[int, Any, bool]] = {
    "identifiers at the top": (1000, lambda n: {f"k{n}": 1}, True),
    "identifiers inside": (1000, lambda n: {"map": {f"k{n}": {"x": 1}}}, True),
    "identifiers in a known object": (1000, lambda n: {"progress": {f"k{n}": 1}}, True),
    "identifiers in events": (1000, lambda n: {"events": [{f"k{n}": 1}]}, True),
    "many in few jobs": (100, lambda n: {f"k{n}-{k}": 1 for k in range(50)}, True),
    "few jobs": (60, lambda n: {f"k{n}": 1}, False),
    "few fields in all": (100, lambda n: {f"k{n}": 1}, False),
    "the same keys": (1000, lambda n: {f"k{k}": 1 for k in range(50)}, False),
    "keys of a few": (1000, lambda n: {f"k{n}-{k}": 1 for k in range(50)} if n % 250 == 0 else {}, False),
    "a rare key": (5000, lambda n: {"rare": 1} if n == 0 else {}, False),
    "known keys here and there": (
        1000,
        lambda n: {k: None for at, k in enumerate(job_schema().children) if at % 125 == n % 125 and k != "id"},
        False,
    ),
    "nothing": (1000, lambda n: {}, False),
}


def raws(texts: Sequence[bytes]) -> RawBatch:
    responses = [Response("job", Memory(text), datetime.now(UTC)) for text in texts]
    return RawBatch([RawJob("ft-1", n, 0, 0, len(text)) for n, text in enumerate(texts)], responses)


@pytest.mark.parametrize("name", IDENTIFIER_KEYS)
def test_a_batch_has_identifier_keys_if_most_jobs_have_keys_of_their_own(name: str) -> None:
    count, keys, has_keys = IDENTIFIER_KEYS[name]

    assert extra_keys.has_identifier_keys(raws(jobs(count, keys))) == has_keys


def test_what_msgspec_cannot_read_has_no_identifier_keys() -> None:
    assert not extra_keys.has_identifier_keys(raws([b"{oops", b'{"a":"\xff"}', b"[" * 5000, b"NaN"] * 100))


def test_there_are_columns_of_json_text() -> None:
    assert set(extra_keys.json_text_keys()) == {
        "multimodal_params",
        "training_files",
        "validation_files",
        "checkpoints",
    }
