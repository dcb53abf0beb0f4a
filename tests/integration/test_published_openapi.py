"""The published schema, field by field: what it allows is read without an anomaly, what it does not is never lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ftetl.contract import Column, tables
from ftetl.raw import index
from ftetl.raw.blob import Memory
from ftetl.raw.findings import Anomaly, QuarantinedElement
from ftetl.raw.response import Response
from ftetl.transform import deduplicate
from ftetl.transform.decode import decoder
from ftetl.transform.decode.source_schema import Leaf, Node, job_schema
from ftetl.transform.flatten import tables as flatten_tables

NOW = datetime(2026, 11, 23, tzinfo=UTC)
EVENTS = str(tables()["events"].rows)
Json = dict[str, Any]


def decode_jobs(
    documents: list[str],
) -> tuple[dict[str, Json], dict[str, list[Json]], list[Anomaly], list[QuarantinedElement]]:
    """Of a list of these jobs: the rows by id, their events, the anomalies, and what was quarantined."""
    response = Response("list", Memory(("[" + ",".join(documents) + "]").encode()), NOW)
    work = deduplicate.resolve_duplicates([response], [index.scan_response(response)])
    decoded = decoder.decode(work.items, [response])
    flat = flatten_tables.flatten(decoded)
    rows = {row["job_id"]: row for row in flat.jobs.to_pylist()}
    events: dict[str, list[Json]] = {job_id: [] for job_id in rows}
    for event in flat.events.to_pylist():
        events[event["job_id"]].append(event)
    return rows, events, flat.anomalies, work.quarantined + decoded.quarantined


# --- what the schema allows

NUMBERS = st.floats(0, 1e6) | st.integers(0, 10**6)
TEXTS = {
    "date-time": st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda moment: moment.isoformat() + "Z"),
    None: st.text(max_size=8),
}


@cache
def schemas() -> dict[str, Json]:
    path = Path(__file__).parents[1] / "data" / "openapi-fine-tunes.yaml"
    found: dict[str, Json] = yaml.safe_load(path.read_text("utf-8"))["components"]["schemas"]
    return found


def allowed(schema: Json, key: str = "") -> st.SearchStrategy[Any]:
    """What a schema allows, but for the numbers that make no sense (an epoch less than none)."""
    if "$ref" in schema:
        return allowed(schemas()[schema["$ref"].rsplit("/", 1)[1]], key)
    if branches := schema.get("oneOf") or schema.get("anyOf"):
        return st.one_of([allowed(branch, key) for branch in branches])
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    if "properties" in schema:
        parts = {name: allowed(part, name) for name, part in schema["properties"].items()}
        needed = {name: parts.pop(name) for name in schema.get("required", ()) if name in parts}
        return st.fixed_dictionaries(needed, optional={name: part | st.none() for name, part in parts.items()})
    match schema.get("type"):
        case "array":
            return st.lists(allowed(schema["items"], key), max_size=3)
        case "integer":
            # A real cannot hold all of what the page calls an integer; more than a billion dollars is too much.
            most = {"total_price": 10**18 - 1, "seconds_remaining": 2**53}
            return st.integers(0, most.get(key, 2**63 - 1))
        case "number":
            return NUMBERS
        case "boolean":
            return st.booleans()
        case "string":
            # The one time that is published as any text.
            return TEXTS["date-time" if key == "created_at" else schema.get("format")]
    return st.none()


def documents() -> st.SearchStrategy[Json]:
    whole = allowed(schemas()["FinetuneResponseTruncated"])
    return st.builds(lambda found, number: found | {"id": f"ft-{number}"}, whole, st.integers(0, 10**6))


@given(st.lists(documents(), min_size=1, max_size=5, unique_by=lambda document: document["id"]), st.randoms())
@settings(max_examples=40)
def test_what_the_published_schema_allows_is_read_without_an_anomaly(found: list[Json], dice: Any) -> None:
    mixed = [dict(dice.sample(list(document.items()), len(document))) for document in found]
    rows, events, anomalies, quarantined = decode_jobs([json.dumps(document) for document in mixed])

    assert (anomalies, quarantined) == ([], [])
    assert rows.keys() == {document["id"] for document in found}
    for document in found:
        row = rows[document["id"]]
        assert row["extra"] is None
        assert (row["status"], row["model"] or "") == (document["status"], document.get("model") or "")
        assert len(events[document["id"]]) == len(document.get(EVENTS) or [])


# --- what it does not

VALUES = (
    *("null", "true", "false", '"text"', '""', "0", "7", "-1", "1.5", "1500.0", "0.03", "[]", "{}", '["a"]', '{"a":1}'),
    *('"12"', '"true"', '"max"', '"auto"', '"Lora"', '"COMPLETED"', '"2026-07-02T08:10:14.25Z"', '"2026-07-02"'),
    *("9007199254740993", "9223372036854775808", "-9223372036854775809", "9" * 400, "1e400", "NaN", "-Infinity"),
    *('"\\ud800"', '"0001-01-01T00:00:00Z"', '"a\\u0000b"', "1" * 18),
)
NOTHING = ("null", '""', '"0001-01-01T00:00:00Z"')  # what is NULL without an anomaly


def leaves(node: Node, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Leaf | Node]]:
    for key, child in node.children.items():
        yield (*above, key), child
        if isinstance(child, Node) and not child.is_list:
            yield from leaves(child, (*above, key))


def events_node() -> Node:
    child = job_schema().children[EVENTS]
    assert isinstance(child, Node)
    return child


IN_JOBS = [(path, child) for path, child in leaves(job_schema()) if path != ("id",)]
IN_EVENTS = [(path, child) for path, child in leaves(events_node())]


def readers(table: str, path: tuple[str, ...]) -> list[Column]:
    columns = tables()[table].columns
    return [c for c in columns if c.read != "last_event" and any(s.keys == path and not s.job for s in c.sources)]


def wrapped(path: tuple[str, ...], text: str) -> str:
    for key in reversed(path):
        text = f'{{"{key}":{text}}}'
    return text


def says(column: Column, cell: Any, text: str) -> bool:
    """Whether a cell says what the text of a value says."""
    if column.read == "json_text":
        return bool(json.loads(cell) == json.loads(text))
    match column.type:
        case "string":
            value = json.loads(text)
            return str(cell).lower() == (value.lower() if isinstance(value, str) else json.dumps(value))
        case "integer":
            return bool(Decimal(text) == cell)
        case "number":
            return float(text) == cell
        case "boolean":
            return column.read in ("is_max", "is_one_of") or cell is json.loads(text)
        case "decimal":
            return bool(Decimal(text).scaleb(-9) == cell)
    return bool(datetime.fromisoformat(json.loads(text)) == cell)


@pytest.mark.parametrize("text", VALUES, ids=lambda text: text[:30])
def test_a_value_is_in_its_cell_or_among_the_anomalies(text: str) -> None:
    """Every field that is read with every value, alone in its job."""
    cases = [("jobs", path, child) for path, child in IN_JOBS] + [("events", path, child) for path, child in IN_EVENTS]
    documents = []
    for number, (table, path, _) in enumerate(cases):
        inside = wrapped(path, text)[1:-1] if table == "jobs" else f'"{EVENTS}":[{{}},{wrapped(path, text)}]'
        documents.append(f'{{"id":"ft-{number:03}",{inside}}}')

    rows, events, anomalies, quarantined = decode_jobs(documents)

    assert quarantined == []
    for number, (table, path, child) in enumerate(cases):
        job_id = f"ft-{number:03}"
        row = rows[job_id] if table == "jobs" else events[job_id][1]
        name = ".".join(path if table == "jobs" else (EVENTS, *path))
        above = "" if table == "jobs" else f"{EVENTS}."
        # The anomaly of an alias has the path of the first.
        names = (name, *(above + str(c.sources[0]) for c in readers(table, path)))
        anomalies_here = [o for o in anomalies if o.job_id == job_id and any(n.startswith(o.path) for n in names)]
        assert [o for o in anomalies if o.job_id == job_id and o not in anomalies_here] == []
        kept = [o for o in anomalies_here if o.kind != "unknown_enum"]
        if kept:
            assert any(str(o.raw) in text for o in kept), (name, kept)
            continue
        empty = isinstance(child, Node) and text in ("[]" if child.is_list else "{}", "null")
        if empty or (isinstance(child, Node) and text[0] in "[{"):
            continue  # a place for other values: their keys are judged on their own
        cells = [(c, row[c.name]) for c in readers(table, path) if row[c.name] is not None]
        assert cells or text in NOTHING, (name, text)
        assert all(says(column, cell, text) for column, cell in cells), (name, text, cells)
