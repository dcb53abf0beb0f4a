"""Both readers give the same rows, no job costs another one its row, and no bytes break indexing or decoding.

The jobs come from the nested schema that the contracts give: a new column is tested here without a change.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ftetl
from ftetl.errors import FtetlError
from ftetl.raw import element, index, strict_json
from ftetl.raw.blob import File, Memory
from ftetl.raw.element import Scan
from ftetl.raw.findings import QuarantinedElement
from ftetl.raw.json_tokens import MEMBER_KEY, split_elements
from ftetl.raw.response import Response, Shape
from ftetl.transform import deduplicate
from ftetl.transform.decode import decoder, type_probe
from ftetl.transform.decode.source_schema import Leaf, Node, job_schema, null_key, other_kind_key
from ftetl.transform.flatten import tables
from ftetl.transform.merge.anomalies import count_by_key

NOW = datetime(2026, 7, 3, 4, 20, tzinfo=UTC)
SAMPLES = Path(__file__).parents[1] / "data" / "samples"

VALID = {
    "string": (
        '"x"',
        '""',
        '"gr\u00f6\u00dfe \\ud83d\\ude00 \\" \\\\ \\u0000"',
        '"2026-07-02T08:10:14.25Z"',
        '"completed"',
    ),
    "integer": ("0", "7", "-1", "9007199254740993", "-9223372036854775808"),
    "money": ("0", "4000000000", "-1", "9007199254740993", "9223372036854775807"),
    "number": ("0", "1", "0.03", "2e-05", "1E3", "-0.0", "4503599627370495.5"),
    "boolean": ("true", "false"),
}
ODD = (
    *("null", "true", "false", '"text"', '""', '"max"', '"auto"', '"Lora"', '"JOB_ERROR"', '"\\ud800"', '"a\\udc00"'),
    *("12", "-0", "1.5", "1500.0", "1e3", "1e400", "-1e400", "1e-400", "NaN", "Infinity", "-Infinity", "9" * 40),
    *(
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "9007199254740993.0",
        "1E-2",
        "1e20",
        "-" + "9" * 400,
    ),
    *('"2026-07-02T08:10:14.25Z"', '"0001-01-01T00:00:00Z"', '"2026-02-30T00:00:00Z"', '"2026-07-02"', '"now"'),
    *("[]", "{}", "[null]", "[[]]", '[{"a":1},{"a":"x"}]', '{"a":{"b":1.50},"hf_api_token":"s3cret"}', '{"a":null}'),
    *("[" * 150 + "]" * 150, "[" * 250 + "]" * 250, '{"k":' * 205 + "1" + "}" * 205, '{"id":"ft-9"}'),
    *('{"batch_size":1,"batch_size":"max"}', '{"train_on_inputs":null}', '{"a":1,"a":null}', '{"":0}', '"\x7f\u2028"'),
)
UNKNOWN = ("new", "new key", "n\u00e4u", 'q"uote', "", "id~", "hf_api_token", "wandb_key", "~", "a.b", "\u2603", "x\\y")


class Twice(str):
    """A text whose key stands twice in its object."""

    __slots__ = ()


class Object(dict[str, Any]):
    """An object of JSON: texts of values, objects and lists by key."""


def paths(node: Node, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Leaf | Node]]:
    for key, child in node.children.items():
        yield (*above, key), child
        if isinstance(child, Node) and not child.is_list:
            yield from paths(child, (*above, key))


def items_of(key: str) -> Node:
    child = job_schema().children[key]
    assert isinstance(child, Node)
    return child


LISTS = tuple(key for key, child in job_schema().children.items() if isinstance(child, Node) and child.is_list)
NODES = ((), *(path for path, child in paths(job_schema()) if isinstance(child, Node) and not child.is_list))
JOB_PATHS = tuple(path for path, _ in paths(job_schema()) if path != ("id",))
UNION_KEYS = [path[-1] for path, child in paths(job_schema()) if isinstance(child, Leaf) and child.other_kind]
SIBLINGS = sorted({name(key) for key in UNION_KEYS for name in (other_kind_key, null_key)})
ITEM_PATHS = {key: tuple(path for path, _ in paths(items_of(key))) for key in LISTS}
NEW_KEYS = (*UNKNOWN, *SIBLINGS, *UNION_KEYS)


def valid(node: Node, dice: random.Random, share: float) -> Object:
    """An object with about this share of the fields, each of the kind that the shape names."""
    found = Object()
    for key, child in node.children.items():
        if dice.random() >= share:
            continue
        if isinstance(child, Node):
            objects = [valid(child, dice, share) for _ in range(dice.randrange(4) if child.is_list else 1)]
            found[key] = objects if child.is_list else objects[0]
        elif child.is_json:
            found[key] = dice.choice(("[]", "{}", "null", '[{"step":1.50}]'))
        else:
            found[key] = dice.choice(
                VALID[child.other_kind if child.other_kind and dice.random() < 0.4 else child.kind]
            )
    return found


def put(found: Object, path: Sequence[str], value: str) -> None:
    for key in path[:-1]:
        found = found.setdefault(key, Object())
        if not isinstance(found, Object):
            return
    found[path[-1]] = value


@st.composite
def jobs(draw: st.DrawFn, job_id: str, odd: bool = True) -> Object:
    """A job; an odd one has some fields that are missing, null, of a wrong kind, extreme, unknown or there twice."""
    dice = random.Random(draw(st.integers(0, 2**16)))
    found = valid(job_schema(), dice, draw(st.sampled_from((0.0, 0.5, 1.0))))
    found["id"] = json.dumps(job_id)
    if not odd:
        found.pop("weight_decay", None)  # for the damage to use
        return found
    for _ in range(draw(st.integers(0, 4))):
        value: str = draw(st.sampled_from(ODD))
        value = Twice(value) if draw(st.integers(0, 9)) == 0 else value
        place = draw(st.sampled_from(("field", "unknown", "item", "item unknown", "whole item")))
        if place == "field":
            put(found, draw(st.sampled_from(JOB_PATHS)), value)
        elif place == "unknown":
            put(found, (*draw(st.sampled_from(NODES)), draw(st.sampled_from(NEW_KEYS))), value)
        else:
            key = draw(st.sampled_from(LISTS))
            rows = found.setdefault(key, [])
            if not isinstance(rows, list):
                continue
            if place == "whole item":
                rows.insert(dice.randrange(len(rows) + 1), value)
            else:
                rows.append(valid(items_of(key), dice, 0.5))
                names = [p[-1] for p in ITEM_PATHS[key]] if place == "item" else NEW_KEYS
                put(rows[-1], (draw(st.sampled_from(names)),), value)
    return found


def written(value: Any, dice: random.Random, gaps: Sequence[str] = ("",)) -> str:
    """JSON text with its keys in any order, white space anywhere, and letters of keys as escapes here and there."""

    def gap() -> str:
        return dice.choice(gaps)

    if isinstance(value, dict):
        members = [m for m in value.items() for _ in range(1 + isinstance(m[1], Twice))]
        dice.shuffle(members)
        texts = (gap() + key_text(k, dice) + gap() + ":" + written(v, dice, gaps) for k, v in members)
        return gap() + "{" + ",".join(texts) + gap() + "}" + gap()
    if isinstance(value, list):
        return gap() + "[" + ",".join(written(v, dice, gaps) for v in value) + gap() + "]" + gap()
    return gap() + str(value) + gap()


def key_text(key: str, dice: random.Random) -> str:
    quoted = json.dumps(key, ensure_ascii=False)
    if dice.random() > 0.03 or not key.isalnum():
        return quoted
    at = dice.randrange(len(key))
    return f'"{key[:at]}\\u{ord(key[at]):04x}{key[at + 1 :]}"'


BLANKS = ("", "", "", " ", "\t", "  ")
BREAKS = (*BLANKS, "\n", "\r\n")


def response(body: bytes, shape: Shape = Shape.DOCUMENT) -> Response:
    return Response("jobs", Memory(body), NOW, shape)


@pytest.fixture(autouse=True, scope="module")
def _no_shortcut() -> Iterator[None]:
    """Small refused pieces are left to the Python reader at once; here Arrow shall try each of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "_SMALL", 0)
        patch.setattr(decoder, "_MAX_REREAD", 1000)
        yield


def contents(decoded: decoder.Decoded) -> dict[str, Any]:
    """Everything that was decoded, without what differs between the readers."""
    flat = tables.flatten(decoded)
    return {
        "ids": [(i.job_id, i.position) for i in decoded.items],
        "nested": decoded.jobs.to_pylist(),
        "schema": decoded.jobs.schema,
        "extra": decoded.extra,
        "event extra": decoded.event_extra,
        "unknown": decoded.unknown_keys,
        "quarantined": sorted((a.position, a.rule, a.job_id or "", a.raw) for a in decoded.quarantined),
        "anomalies": count_by_key(flat.anomalies),
        "jobs": flat.jobs.to_pylist(),
        "events": flat.events.to_pylist(),
    }


def both(a: Response) -> tuple[Scan, deduplicate.DecodePlan, dict[str, Any]]:
    """A response through both readers, and through Arrow without the type probe: all give the same."""
    found = index.scan_response(a)
    work = deduplicate.resolve_duplicates([a], [found])
    by_arrow, by_python = (decoder.decode(work.items, [a], use_arrow=use_arrow) for use_arrow in (True, False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type_probe, "find_mistyped", lambda _: set())
        unprobed_contents = contents(decoder.decode(work.items, [a]))
    arrow_contents, python_contents = contents(by_arrow), contents(by_python)
    for part, value in python_contents.items():
        assert arrow_contents[part] == value, part
        assert unprobed_contents[part] == value, part
    whole = len(by_arrow.items) + len(by_arrow.quarantined) + len(work.quarantined) + work.identical
    assert whole == found.received
    return found, work, arrow_contents


@given(data=st.data(), seed=st.integers(0, 2**16), spaced=st.booleans())
def test_both_readers_give_the_same(data: st.DataObject, seed: int, spaced: bool) -> None:
    dice = random.Random(seed)
    listed = [data.draw(jobs(f"ft-{number}")) for number in range(data.draw(st.integers(1, 4)))]
    body = "[" + ",".join(written(j, dice, BREAKS if spaced else ("",)) for j in listed) + "]"

    both(response(body.encode()))


def with_repeats(raw: bytes, dice: random.Random) -> bytes:
    """An object in which some keys, at any depth, stand again with the same value, as the vendor's SDK writes it."""
    if not raw.startswith(b"{"):
        return raw
    members = [raw[span.start : span.end] for span in split_elements(raw, 1) if span.end > span.start]
    keys = [key for member in members if (key := MEMBER_KEY.match(member))]
    written_again = [key[0] + with_repeats(key.string[key.end() :], dice) for key in keys]
    again = [member for member in written_again if dice.random() < 0.3]
    return b"{" + b",".join([*written_again, *again]) + b"}"


@given(data=st.data(), seed=st.integers(0, 2**32))
def test_a_key_that_stands_again_with_its_value_changes_no_cell_in_either_reader(
    data: st.DataObject, seed: int
) -> None:
    dice = random.Random(seed)
    count = data.draw(st.integers(1, 4))
    plain = [written(data.draw(jobs(f"ft-{n}", odd=False)), dice, BLANKS).encode() for n in range(count)]
    repeated = [with_repeats(text, dice) for text in plain]

    both(contained(repeated, "array"))

    expected, _, _, _ = rows(contained(plain, "array"), 1 << 20)
    found, quarantined, noted, _ = rows(contained(repeated, "array"), 1 << 20)
    assert (found, quarantined) == (expected, [])
    assert noted >= {f"ft-{n}" for n in range(count) if [*strict_json.repeated_keys(strict_json.parse(repeated[n]))]}


@pytest.mark.parametrize("value", ODD)
def test_both_readers_give_the_same_for_each_field(value: str) -> None:
    """Every field of the contracts with every odd value, alone in its job."""
    listed: list[Object] = []
    for path in JOB_PATHS:
        put(one := Object(), path, value)
        listed.append(one)
    for key in LISTS:
        for path in ITEM_PATHS[key]:
            put(one := Object(), path, value)
            listed.append(Object({key: [Object(), one]}))
    for number, one in enumerate(listed):
        one["id"] = f'"ft-{number:04}"'
    body = "[" + ",".join(written(j, random.Random(1)) for j in listed) + "]"

    both(response(body.encode()))


# --- one damaged job never costs another job its row


def late(text: str, more: str) -> str:
    """A job's text with another member at its end."""
    return text[: text.rindex("}")] + "," + more + "}"


# How to damage a job, and the rule that quarantines it; none where it keeps its row and something is noted.
DAMAGE: dict[str, tuple[Any, str | None]] = {
    "NaN": (lambda t: late(t, '"weight_decay":NaN').encode(), None),
    "NaN in an unknown key": (lambda t: late(t, '"zz":[NaN]').encode(), None),
    "beyond a double": (lambda t: late(t, '"weight_decay":1e400').encode(), None),
    "wrong type": (lambda t: late(t, '"weight_decay":"0.1"').encode(), None),
    "lone surrogate": (lambda t: late(t, '"zz":"\\ud800"').encode(), None),
    "repeated key": (lambda t: late(t, '"zz":1,"zz":2').encode(), "duplicate_keys"),
    "repeated key with its value": (lambda t: late(t, '"zz":[1,{"a":2}],"zz":[1,{"a":2}]').encode(), None),
    "repeated null": (lambda t: late(t, '"zz":null,"zz":null').encode(), None),
    "broken UTF-8": (lambda t: late(t, '"zz":"@"').encode().replace(b"@", b"\xff"), "broken_utf8"),
    "surrogate in UTF-8": (lambda t: late(t, '"zz":"@"').encode().replace(b"@", b"\xed\xa0\x80"), "broken_utf8"),
    "broken JSON": (lambda t: late(t, '"zz":1.').encode(), "broken_json"),
    "broken escape": (lambda t: late(t, '"zz":"\\q"').encode(), "broken_json"),
    "too deep": (lambda t: late(t, '"zz":' + "[" * 220 + "]" * 220).encode(), "too_deep"),
    "much too deep": (lambda t: late(t, '"zz":' + "[" * 5000 + "]" * 5000).encode(), "too_deep"),
    "null": (lambda t: b"null", "not_an_object"),
    "number": (lambda t: b"17", "not_an_object"),
    "list": (lambda t: b"[" + t.encode() + b"]", "not_an_object"),
    "no id": (lambda t: b'{"status":"completed"}', "no_id"),
    "null id": (lambda t: b'{"id":null}', "no_id"),
    "bad id": (lambda t: b'{"id":"../../etc"}', "bad_id"),
    "number for an id": (lambda t: b'{"id":5}', "bad_id"),
}


def rows(
    a: Response, size: int
) -> tuple[dict[str, tuple[Any, Any]], list[QuarantinedElement], set[str], deduplicate.DecodePlan]:
    """By id the job's row and its events; what was put aside; the ids of which something is noted."""
    found = index.scan_response(a)
    work = deduplicate.resolve_duplicates([a], [found])
    table: dict[str, tuple[Any, Any]] = {}
    quarantined, noted = list(work.quarantined), {o.job_id for o in work.anomalies}
    for batch in decoder.split_into_batches(work.items, size):
        decoded = decoder.decode(batch, [a])
        flat = tables.flatten(decoded)
        events = flat.events.to_pylist()
        for row in flat.jobs.to_pylist():
            table[row["job_id"]] = row, [e for e in events if e["job_id"] == row["job_id"]]
        quarantined += decoded.quarantined
        noted |= {o.job_id for o in flat.anomalies}
    assert len(table) + len(quarantined) + work.identical == found.received
    return table, quarantined, noted, work


CONTAINERS = ("list", "array", "lines")


def contained(texts: Sequence[bytes], container: str, gap: bytes = b"") -> Response:
    if container == "lines":
        return response(b"\n".join(texts), Shape.LINES)
    inside = b"[" + gap + (gap + b"," + gap).join(texts) + gap + b"]"
    return response(inside if container == "array" else b'{"object":"list","data":' + inside + b',"has_more":false}')


@pytest.mark.parametrize("container", CONTAINERS)
@given(data=st.data(), seed=st.integers(0, 2**16))
@settings(max_examples=25)
def test_damaged_jobs_cost_no_other_job_its_row(container: str, data: st.DataObject, seed: int) -> None:
    dice = random.Random(seed)
    clean = [
        written(data.draw(jobs(f"ft-{n:02}", odd=False)), dice, BLANKS) for n in range(data.draw(st.integers(1, 9)))
    ]
    damage = data.draw(st.dictionaries(st.integers(0, len(clean) - 1), st.sampled_from(sorted(DAMAGE)), max_size=4))
    window, batch = data.draw(st.sampled_from((64, 200, 1000))), data.draw(st.sampled_from((1, 500, 1 << 20)))
    damage.pop(0, None)  # lines that hold no job at all are no answer
    texts = [DAMAGE[damage[n]][0](t) if n in damage else t.encode() for n, t in enumerate(clean)]

    expected, none, _, _ = rows(contained([t.encode() for t in clean], container), 1 << 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "WINDOW", window)
        found, quarantined, noted, _ = rows(
            contained(texts, container, data.draw(st.sampled_from((b"", b"\n ")))), batch
        )

    assert none == []
    rules = {n: rule for n, name in damage.items() if (rule := DAMAGE[name][1])}
    assert {a.position: (a.rule, a.raw) for a in quarantined} == {n: (r, texts[n].strip()) for n, r in rules.items()}
    assert found.keys() == {f"ft-{n:02}" for n in range(len(clean)) if n not in rules}
    for n in set(range(len(clean))) - set(damage):
        assert found[f"ft-{n:02}"] == expected[f"ft-{n:02}"]
    assert {f"ft-{n:02}" for n in damage if n not in rules} <= noted


@given(data=st.data(), seed=st.integers(0, 2**16))
@settings(max_examples=40)
def test_order_and_pieces_change_no_cell(data: st.DataObject, seed: int) -> None:
    dice = random.Random(seed)
    texts = [written(data.draw(jobs(f"ft-{n}")), dice, BLANKS).encode() for n in range(data.draw(st.integers(1, 7)))]
    texts.append(b'{"id":"ft-sane"}')  # lines that hold no job at all are no answer
    expected, quarantined, _, _ = rows(contained(texts, "array"), 1 << 20)
    mixed = data.draw(st.permutations(texts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "WINDOW", data.draw(st.sampled_from((64, 300, 5000))))
        again, quarantined_again, _, _ = rows(
            contained(mixed, data.draw(st.sampled_from(CONTAINERS))), data.draw(st.integers(1, 3000))
        )

    assert expected == again
    assert sorted((a.raw, a.rule) for a in quarantined) == sorted((a.raw, a.rule) for a in quarantined_again)


# --- no bytes break indexing or decoding

LISTED = (SAMPLES / "list_2026.json").read_bytes()
DETAILED = json.dumps(
    {"object": "list", "data": [json.loads(p.read_bytes()) for p in sorted(SAMPLES.glob("detail_*.json"))]}
).encode()
BYTES = st.one_of(st.binary(min_size=1, max_size=3), st.sampled_from([bytes([b]) for b in b'"\\{}[],:nN\n\r\0-1e.']))
EDITS = st.lists(
    st.tuples(st.integers(0, 1 << 14), st.integers(0, 40), st.one_of(st.just(b""), BYTES)), min_size=1, max_size=3
)


def edited(body: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, length, more in edits:
        at %= len(body) + 1
        body = body[:at] + more + body[at + length :]
    return body


@given(body=st.sampled_from((LISTED, DETAILED)), edits=EDITS, window=st.sampled_from((128, 1000, 8 << 20)))
@settings(max_examples=150)
def test_changed_bytes_give_rows_quarantine_or_a_plain_error(
    body: bytes, edits: list[tuple[int, int, bytes]], window: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "WINDOW", window)
        try:
            both(response(edited(body, edits)))
            code = 0
        except FtetlError as error:
            code = error.exit.code
    assert code in (0, 65, 76)


@given(body=st.sampled_from((LISTED, DETAILED)), edits=EDITS)
@settings(max_examples=10)
def test_changed_bytes_never_break_an_export(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, edits: list[tuple[int, int, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("export")
    (folder / "jobs.json").write_bytes(edited(body, edits))
    try:
        code = ftetl.export(folder / "out", source=folder / "jobs.json", events="list", observed_at=NOW).exit_code
    except FtetlError as error:
        code = error.exit.code
    assert code in (0, 3, 65, 76)


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_list_that_is_cut_is_never_a_list(share: float) -> None:
    cut = LISTED.rstrip()[: int(len(LISTED.rstrip()) * share)]

    with pytest.raises(FtetlError):
        index.scan_response(response(cut))


# --- the same elements, however they are wrapped


@given(data=st.data(), seed=st.integers(0, 2**16), window=st.sampled_from((64, 700, 8 << 20)))
@settings(max_examples=40)
def test_every_wrapping_has_the_same_elements(
    data: st.DataObject, seed: int, window: int, tmp_path_factory: Any
) -> None:
    dice = random.Random(seed)
    texts = [
        written(data.draw(jobs(f"ft-{n}")), dice, BLANKS).strip().encode() for n in range(data.draw(st.integers(0, 6)))
    ]
    pretty = [t.replace(b",", b",\n  ") if b'"' not in t.replace(b'",', b"").replace(b',"', b"") else t for t in texts]
    listed = b'{"data": [' + b",".join(texts) + b"]}"
    wrappings = {
        "list": response(listed),
        "array": response(b"[" + b" ,\r\n\t".join(texts) + b"]\r\n"),
        "byte order mark": response(b"\xef\xbb\xbf \n" + listed + b"  \n"),
        "key before": response(b'{"object":"list","data":[\n' + b",\n".join(texts) + b'\n],\n"has_more": false}\n'),
        "pretty": response(b"[\n" + b",\n".join(pretty) + b"\n]"),
    }
    if texts:
        wrappings["lines"] = response(b"\n".join(texts), Shape.LINES)
        wrappings["CRLF, blank lines"] = response(b"\r\n\r\n" + b"\r\n \r\n".join(texts) + b"\r\n\r\n", Shape.LINES)
        wrappings["mark and lines"] = response(b"\xef\xbb\xbf" + b"\n".join(texts) + b"\n", Shape.LINES)
    path = tmp_path_factory.mktemp("wrap") / "jobs.json"
    path.write_bytes(listed)
    wrappings["file"] = Response("jobs.json", File(path), NOW)

    expected = list(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "WINDOW", window)
        for name, wrapped in wrappings.items():
            found = index.scan_response(wrapped)
            spots = [*zip(found.positions, found.offsets, found.lengths, strict=True)]
            spots += [(r.position, r.offset, r.length) for r in found.refused]
            raws = [wrapped.blob.read(offset, length) for _, offset, length in sorted(spots)]
            assert raws == (pretty if name == "pretty" else expected), name


def test_the_property_reaches_the_arrow_reader() -> None:
    """The valid jobs of this file are read by Arrow, so that comparing the readers compares two things."""
    texts = [
        written(valid(job_schema(), random.Random(n), 1.0) | {"id": f'"ft-{n}"'}, random.Random(n)) for n in range(50)
    ]
    a = response(("[" + ",".join(texts) + "]").encode())

    decoded = decoder.decode(deduplicate.resolve_duplicates([a], [index.scan_response(a)]).items, [a])

    assert decoded.python_rows == 0
    assert isinstance(decoded.jobs, pa.Table)
    assert element.classify_element(texts[0].encode()) == ("ft-0", None, True)
