"""The keys of union fields are renamed in the bytes by the kind of their value, and nothing else changes."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from ftetl.transform.decode import arrow_reader
from ftetl.transform.decode import union_fields as renamer
from ftetl.transform.decode.source_schema import Leaf, Node, job_schema, null_key, other_kind_key, union_fields
from ftetl.transform.decode.union_fields import has_repeated_union_key


def rename(text: bytes, behind: bytes = b"") -> bytes:
    """What becomes of the text, with something else behind it in the same buffer, which has to stay."""
    body = bytearray(text + behind)
    renamer.rename_union_keys(body, len(text))
    assert bytes(body[len(text) :]) == behind
    return bytes(body[: len(text)])


def read(*raws: bytes) -> pa.Table:
    return arrow_reader.read_batch(arrow_reader.prepare_body(memoryview(bytearray(b"\n".join(raws)))), len(raws))


KEYS = sorted({path[-1] for path in union_fields()})


def test_the_contracts_have_such_fields() -> None:
    assert KEYS == ["batch_size", "train_on_inputs"]


RENAMED: dict[str, str] = {
    '{"train_on_inputs":true}': '{"train_on_input~":true}',
    '{"train_on_inputs" : \n false}': '{"train_on_input~" : \n false}',
    '{"train_on_inputs":null}': '{"train_on_input^":true}',
    '{"train_on_inputs":\t null }': '{"train_on_input^":\t true }',
    '{"batch_size":"max"}': '{"batch_siz~":"max"}',
    '{"batch_size":null}': '{"batch_siz^":true}',
    '[{"train_on_inputs":true}]\n{"train_on_inputs":""}': '[{"train_on_input~":true}]\n{"train_on_inputs":""}',
    '{"train_on_inputs":true,"batch_size":""}': '{"train_on_input~":true,"batch_siz~":""}',
}
UNTOUCHED = [
    "",
    "{}",
    '{"train_on_inputs":"auto"}',
    '{"batch_size":8}',
    '{"batch_size":-8}',
    '{"train_on_inputs":[],"batch_size":{}}',
    '{"train_on_inputs":nul}',
    '{"train_on_inputs":nil}',
    '{"message":"\\"train_on_inputs\\":true"}',
    '{"message":"the \\"batch_size\\": \\"max\\""}',
    '{"x\\"train_on_inputs":true}',
    '{"xtrain_on_inputs":true,"train_on_inputsx":true}',
    '{"a":"train_on_inputs","b":true}',
    '{"a\\u0062":"\\u00e9\\u006e\\u007e"}',
]


@pytest.mark.parametrize("text", RENAMED)
def test_a_value_of_the_other_kind_gets_a_sibling_of_the_same_length(text: str) -> None:
    assert rename(text.encode()) == RENAMED[text].encode()
    assert rename(text.encode(), text.encode()) == RENAMED[text].encode()


@pytest.mark.parametrize("text", UNTOUCHED)
def test_everything_else_stays_the_same_bytes(text: str) -> None:
    assert rename(text.encode()) == text.encode()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", [other_kind_key, null_key])
def test_a_key_that_looks_like_a_sibling_is_refused(key: str, name: object) -> None:
    sibling = other_kind_key(key) if name is other_kind_key else null_key(key)

    for spelled in (sibling, sibling[:-1] + f"\\u{ord(sibling[-1]):04x}", f"\\u{ord(sibling[0]):04X}" + sibling[1:]):
        with pytest.raises(pa.ArrowInvalid):
            rename(f'{{"{spelled}":1}}'.encode())


@pytest.mark.parametrize("key", KEYS)
def test_a_key_written_with_escapes_is_refused(key: str) -> None:
    for at in range(len(key)):
        for digits in ("04x", "04X"):
            with pytest.raises(pa.ArrowInvalid):
                rename(f'{{"{key[:at]}\\u{ord(key[at]):{digits}}{key[at + 1 :]}":1}}'.encode())


@pytest.mark.parametrize(("one", "other"), [("1", '"max"'), ('"max"', "null"), ("1", "null"), ("null", "1")])
def test_a_key_of_two_kinds_that_stands_twice_is_refused(one: str, other: str) -> None:
    with pytest.raises(pa.ArrowInvalid):
        read(b'{"id":"a","batch_size":1}', f'{{"id":"b","batch_size":{one},"batch_size":{other}}}'.encode())


@pytest.mark.parametrize("value", ["true", '"auto"', "null"])
def test_repeats_are_found_in_nested_objects_and_only_there(value: str) -> None:
    twice = '{"train_on_inputs":false,"train_on_inputs":%s}' % value  # noqa: UP031 - braces
    once = '{"train_on_inputs":%s}' % value  # noqa: UP031

    with pytest.raises(pa.ArrowInvalid):
        read(f'{{"id":"a","training_method":{twice}}}'.encode())
    table = read(f'{{"id":"a","train_on_inputs":{value},"training_method":{once}}}'.encode(), b'{"id":"b"}')
    assert not has_repeated_union_key(table)


def places(node: Node, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for key, child in node.children.items():
        if isinstance(child, Node) and not child.is_list:
            found += places(child, (*above, key))
        elif isinstance(child, Leaf) and child.other_kind:
            found.append((*above, key))
    return found


VALUES = {"string": '"auto"', "boolean": "true", "integer": "8"}


@pytest.mark.parametrize("path", places(job_schema()), ids=".".join)
def test_every_such_field_reads_both_kinds_side_by_side(path: tuple[str, ...]) -> None:
    leaf = union_fields()[path]
    raws = []
    for n, value in enumerate([VALUES[leaf.kind], VALUES[str(leaf.other_kind)], "null"]):
        text = value
        for key in reversed(path):
            text = f'{{"{key}":{text}}}'
        raws.append((f'{{"id":"{n}",' + text[1:]).encode())

    table = read(*raws)

    rows = table.to_pylist()
    for key in path[:-1]:
        rows = [row[key] for row in rows]
    names = (path[-1], other_kind_key(path[-1]), null_key(path[-1]))
    expected = [
        (json.loads(VALUES[leaf.kind]), None, None),
        (None, json.loads(VALUES[str(leaf.other_kind)]), None),
        (None, None, True),
    ]
    assert [tuple(row[name] for name in names) for row in rows] == expected
