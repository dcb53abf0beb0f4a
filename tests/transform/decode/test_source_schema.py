"""The shape of a job is what the contracts say together, and only that."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from ftetl import contract
from ftetl.contract import Column, Source, Table, tables
from ftetl.errors import ConfigError
from ftetl.transform.decode import source_schema

READ = [
    (table, column, source)
    for table in tables().values()
    if table.is_of_jobs
    for column in table.columns
    if column.read not in ("last_event", "computed")
    for source in column.sources
]
# By reader, else by type of the column.
KINDS = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "datetime": "string",
    "bool_text": "string",
    "is_max": "integer",
}
OTHER_KINDS = {"bool_text": "boolean", "is_max": "string"}


@pytest.mark.parametrize(("table", "column", "source"), READ, ids=lambda part: getattr(part, "name", str(part)))
def test_every_path_of_every_contract_has_its_place(table: Table, column: Column, source: Source) -> None:
    node: object = source_schema.job_schema()
    if table.rows and not source.job:
        items = source_schema.job_schema().children[table.rows]
        assert isinstance(items, source_schema.Node)
        assert items.is_list
        node = items
    for key in source.keys:
        assert isinstance(node, source_schema.Node)
        node = node.children[key]

    assert isinstance(node, source_schema.Leaf)
    if column.read in ("is_one_of", "json_text"):
        assert (node.kind, node.is_json) == ("string", column.read == "json_text")
    else:
        kind = "money" if column.is_money else KINDS.get(column.read) or KINDS[column.type]
        assert (node.kind, node.is_json) == (kind, False)
    assert column.read not in OTHER_KINDS or node.other_kind == OTHER_KINDS[column.read]


def leaves(node: source_schema.Node, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, child in node.children.items():
        if isinstance(child, source_schema.Leaf):
            yield (*above, key)
        else:
            yield from leaves(child, (*above, key))


def test_nothing_is_read_that_no_contract_names() -> None:
    named = {(*((table.rows,) if table.rows and not source.job else ()), *source.keys) for table, _, source in READ}

    assert set(leaves(source_schema.job_schema())) == named
    assert {path for path, _, _ in source_schema.leaves(source_schema.job_schema())} == named


def test_what_is_ignored_is_not_read() -> None:
    assert source_schema.job_schema().ignored == {"job_id"}  # `events` is ignored by one table and read by another
    events = source_schema.job_schema().children["events"]
    assert isinstance(events, source_schema.Node)
    assert events.ignored == {"object"}


def test_the_arrow_fields_hold_what_the_shape_has() -> None:
    read = source_schema.arrow_schema(json_as_text=False)
    handed_on = source_schema.arrow_schema(json_as_text=True)

    assert set(handed_on.names) - set(read.names) == {
        "multimodal_params",
        "training_files",
        "validation_files",
        "checkpoints",
    }
    assert set(read.names) - set(handed_on.names) == {"batch_siz^", "train_on_input^"}
    assert handed_on.field("batch_siz~").type == pa.string()
    assert handed_on.field("train_on_input~").type == pa.bool_()
    assert handed_on.field("total_price").type == pa.int64()
    assert handed_on.field("created_at").type == pa.string()


@pytest.mark.parametrize("key", ["train_on_inputs", "batch_size"])
def test_a_sibling_is_as_long_as_its_key_and_leads_back_to_it(key: str) -> None:
    siblings = {source_schema.other_kind_key(key), source_schema.null_key(key)}

    assert {len(s) for s in siblings} == {len(key)}
    assert len(siblings | {key}) == 3
    assert {source_schema.original_key(s) for s in siblings} == {key}
    assert source_schema.original_key(key) == key
    assert source_schema.original_key("status") == "status"


def test_siblings_of_different_keys_differ() -> None:
    keys = {path[-1] for path in source_schema.union_fields()}

    assert len({name(k) for k in keys for name in (source_schema.other_kind_key, source_schema.null_key)}) == 2 * len(
        keys
    )


ID = '[columns.id]\ntype = "string"\nfrom = "id"\nrequired = true\ndescription = "d"\n'
HEAD = 'description = "d"\nkey = ["id"]\n'


def column(name: str, kind: str, source: str, more: str = "") -> str:
    return f'[columns.{name}]\ntype = "{kind}"\nfrom = "{source}"\ndescription = "d"\n{more}\n'


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (column("a", "string", "x") + column("b", "integer", "x"), "is read as two kinds"),
        (column("a", "string", "x") + column("b", "string", "x.y"), "passes through a value"),
        (column("a", "string", "x.y") + column("b", "string", "x"), "is read as two kinds"),
    ],
)
def test_contracts_that_contradict_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, text: str, what: str
) -> None:
    parsed = contract.parse("things.toml", HEAD + ID + text)
    monkeypatch.setattr(source_schema, "tables", lambda: {"things": parsed})

    with pytest.raises(ConfigError, match=what):
        source_schema.job_schema.__wrapped__()


def test_rows_that_are_a_value_elsewhere_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one = contract.parse("one.toml", HEAD + ID + column("a", "string", "x"))
    rows = contract.parse("rows.toml", HEAD + 'rows = "x"\n' + ID)
    monkeypatch.setattr(source_schema, "tables", lambda: {"one": one, "rows": rows})

    with pytest.raises(ConfigError, match="is a column elsewhere"):
        source_schema.job_schema.__wrapped__()
