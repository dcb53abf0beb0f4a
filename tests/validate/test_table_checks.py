"""A table that breaks its contract in any one way is refused, and says so without a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftetl.contract import Column, Table, arrow_schema, tables
from ftetl.errors import SoftwareError, StorageError
from ftetl.snapshot.table_reader import TableReader, table_file
from ftetl.validate import table_checks

CANARY = "canary"
NUMBER = 987654321
MOMENT = datetime(2026, 7, 2, 8, 10, 14, 250000, tzinfo=UTC)
WORDS: dict[str, Any] = {
    "integer": NUMBER,
    "number": float(NUMBER),
    "boolean": True,
    "datetime": MOMENT,
    "decimal": Decimal(NUMBER),
}
COLUMNS = [pytest.param(t, c, id=f"{t.name}.{c.name}") for t in tables().values() for c in t.columns]


def having(word: Callable[[Column], object]) -> list[Any]:
    return [p for p in COLUMNS if word(p.values[1])]


def cell(column: Column, row: int) -> Any:
    """A value that the column may have; those of a key grow with the row."""
    if column.name in ("position", "line_position"):
        return row
    if column.type != "string":
        value = WORDS[column.type]
        if column.minimum is not None:
            return max(value, column.minimum)
        if column.type == "datetime":
            value = value.replace(microsecond=0) if column.whole_seconds else value
            return value + timedelta(seconds=row)
        return value
    if column.name == "ResourceId":
        return f"{CANARY}-{row:03}"
    if column.enum:
        return sorted(column.enum)[row % len(column.enum)]
    if column.name == "billing_period":
        return f"2026-{row + 1:02}"
    if column.name == "raw_sha256":
        return f"{row:064x}"
    return f"{CANARY}-{row:03}" if column.pattern else f"{CANARY} {row:03}"


def rows(table: Table, count: int = 4) -> list[dict[str, Any]]:
    """Rows that obey the contract, in the order of the key."""
    found = [{c.name: cell(c, row) for c in table.columns} for row in range(count)]
    for row in found:
        if "project" in row:
            row["project"] = CANARY
    return found


def made(table: Table, data: list[dict[str, Any]], of: pa.Schema | None = None) -> pa.Table:
    return pa.Table.from_pylist(data, schema=of or arrow_schema.schema(table))


class Folder:
    """A folder of staged tables in row groups of two rows: the jobs, and what a test adds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write(tables()["jobs"], made(tables()["jobs"], rows(tables()["jobs"])))

    def write(self, table: Table, data: pa.Table) -> None:
        pq.write_table(data, table_file(self.folder, table.name), row_group_size=2, write_page_checksum=True)

    def check(self, table: Table, written: int = 4) -> None:
        table_checks.check_table(TableReader(self.folder, exact=True), table, written)

    def refused(self, table: Table, data: pa.Table, rule: str) -> str:
        """The message of the refusal."""
        self.write(table, data)
        with pytest.raises(SoftwareError) as caught:
            self.check(table, data.num_rows)
        assert caught.value.exit.code == 70
        message = str(caught.value)
        assert message.startswith(f"table {table.name} breaks its contract ({rule}): ")
        assert CANARY not in message
        assert str(NUMBER) not in message
        assert len(message) < 350
        return message


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize("table", tables().values(), ids=tables())
def test_a_table_that_obeys_its_contract_passes(folder: Folder, table: Table) -> None:
    folder.write(table, made(table, rows(table)))
    folder.check(table)
    bare = [{c.name: row[c.name] if c.required else None for c in table.columns} for row in rows(table)]
    folder.write(table, made(table, bare))
    folder.check(table)
    folder.write(table, made(table, []))
    folder.check(table, 0)


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_column_of_another_type_is_refused(folder: Folder, table: Table, column: Column) -> None:
    of = arrow_schema.schema(table)
    at = of.get_field_index(column.name)
    other = pa.int32() if column.type == "integer" else pa.int64()
    changed = of.set(at, pa.field(column.name, other, nullable=not column.required))
    data = [row | {column.name: 1} for row in rows(table, 1)]
    folder.refused(table, made(table, data, changed), "schema")
    loose = of.set(at, of.field(at).with_nullable(column.required))
    folder.refused(table, made(table, rows(table, 1), loose), "schema")


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize("table", tables().values(), ids=tables())
def test_missing_extra_and_misplaced_columns_are_refused(folder: Folder, table: Table, count: int) -> None:
    data = made(table, rows(table, count))
    names = data.column_names
    folder.refused(table, data.drop_columns([names[-1]]), "schema")
    folder.refused(table, data.append_column("more", pa.nulls(count, pa.string())), "schema")
    folder.refused(table, data.select([*names[:-2], names[-1], names[-2]]), "schema")
    folder.refused(table, data.rename_columns([*names[:-1], "renamed"]), "schema")


@pytest.mark.parametrize("table", tables().values(), ids=tables())
def test_a_null_in_a_required_column_is_refused(table: Table) -> None:
    # Straight to the check: Parquet would not take it to the disk.
    required = [c.name for c in table.columns if c.required]
    data = rows(table)
    for name in required:
        data[2][name] = None
    with pytest.raises(SoftwareError, match=f"{len(required)} cells break it .column .*: required") as caught:
        table_checks.TableValidator(table).check_rows(made(table, data))
    assert CANARY not in str(caught.value)


def _minus_one(column: Column) -> Any:
    assert column.minimum is not None
    return column.minimum - 1


BREAKAGES: list[tuple[str, Callable[[Column], object], Callable[[Column], Any]]] = [
    ("enum", lambda c: c.enum and not c.open, lambda _: f"{CANARY}"),
    ("minimum", lambda c: c.minimum is not None, _minus_one),
    ("pattern", lambda c: c.pattern, lambda _: f"{CANARY} !"),
    ("pattern", lambda c: c.pattern, lambda c: cell(c, 1) + "\n"),
    ("pattern", lambda c: c.pattern, lambda c: "\n" + cell(c, 1)),
    ("pattern", lambda c: c.pattern, lambda _: ""),
    ("whole_seconds", lambda c: c.whole_seconds, lambda _: MOMENT),
    ("finite", lambda c: c.type == "number", lambda _: float("inf")),
    # Beside a minimum these would break two rules.
    ("finite", lambda c: c.type == "number" and c.minimum is None, lambda _: float("nan")),
    ("finite", lambda c: c.type == "number" and c.minimum is None, lambda _: float("-inf")),
]


@pytest.mark.parametrize("place", [0, 3])
@pytest.mark.parametrize("at", range(len(BREAKAGES)))
def test_a_value_that_a_rule_forbids_is_refused_in_every_column(folder: Folder, at: int, place: int) -> None:
    rule, has, value = BREAKAGES[at]
    broken = {t.name: [c for c in t.columns if has(c)] for t in tables().values()}
    assert any(broken.values())
    for table in tables().values():
        columns = broken[table.name]
        data = rows(table)
        for column in columns:
            data[place][column.name] = value(column)
            if not column.required:  # a null beside it must not hide it
                data[place ^ 1][column.name] = None
        if columns:
            message = folder.refused(table, made(table, data), "rows")
            assert f"{len(columns)} cells break it (column " in message
            assert f": {rule}" in message


@pytest.mark.parametrize("table", tables().values(), ids=tables())
@pytest.mark.parametrize(
    "order",
    [
        pytest.param([1, 0, 2, 3], id="in a row group"),
        pytest.param([0, 2, 1, 3], id="across row groups"),
        pytest.param([0, 0, 1, 2], id="twice in a row group"),
        pytest.param([0, 1, 1, 2], id="twice across row groups"),
        pytest.param([2, 3, 0, 1], id="a row group before the one that belongs before it"),
    ],
)
def test_a_key_that_is_out_of_order_or_stands_twice_is_refused(folder: Folder, table: Table, order: list[int]) -> None:
    data = rows(table)
    folder.refused(table, made(table, [data[i] for i in order]), "key")


@pytest.mark.parametrize("table", tables().values(), ids=tables())
def test_the_last_part_of_a_key_decides_where_the_others_are_equal(folder: Folder, table: Table) -> None:
    first, second = rows(table, 2)
    for part in table.sorted_by[:-1]:
        second[part] = first[part]
    folder.write(table, made(table, [first, second]))
    folder.check(table, 2)
    folder.refused(table, made(table, [second, first]), "key")


def test_a_key_that_stands_twice_far_apart_is_refused(folder: Folder) -> None:
    """Where the rows are in another order than the key's."""
    (table,) = (t for t in tables().values() if t.sorted_by != t.key)
    data = rows(table)
    data[3] |= {part: data[0][part] for part in table.key}
    folder.refused(table, made(table, data), "key")


def test_keys_are_ordered_by_their_bytes(folder: Folder) -> None:
    table = tables()["jobs"]
    ids = ["-", "A", "Z", "_", "a"]
    data = [row | {"job_id": i} for row, i in zip(rows(table, 5), ids, strict=True)]
    folder.write(table, made(table, data))
    folder.check(table, 5)


@pytest.mark.parametrize(("table", "column"), having(lambda c: c.references))
def test_a_reference_to_nothing_is_refused(folder: Folder, table: Table, column: Column) -> None:
    data = rows(table)
    data[3][column.name] = f"{CANARY}-999"
    assert column.name in folder.refused(table, made(table, data), "references")


@pytest.mark.parametrize("table", tables().values(), ids=tables())
def test_rows_that_were_written_and_are_not_there_are_missed(folder: Folder, table: Table) -> None:
    folder.write(table, made(table, rows(table)))
    for written in (3, 5):
        with pytest.raises(SoftwareError, match="count"):
            folder.check(table, written)
    table_file(folder.folder, table.name).unlink()
    with pytest.raises(StorageError):
        folder.check(table, 0)


def test_a_message_names_few_columns_of_many(folder: Folder) -> None:
    table = tables()["jobs"]
    numbers = [c.name for c in table.columns if c.type == "number"]
    data = [row | dict.fromkeys(numbers, float("nan")) for row in rows(table)]
    message = folder.refused(table, made(table, data), "rows")
    assert f"{2 * len(numbers)} cells" in message  # of the first row group
    assert message.count("column ") == 5


def values(column: Column) -> st.SearchStrategy[Any]:
    """All that a column may hold."""
    found: st.SearchStrategy[Any]
    match column.type:
        case "string" if column.enum and not column.open:
            found = st.sampled_from(column.enum)
        case "string" if column.pattern:
            found = st.from_regex(column.pattern, fullmatch=True)
        case "string":
            found = st.text(max_size=5)
        case "integer":
            found = st.integers(
                min_value=column.minimum if column.minimum is not None else -(2**63), max_value=2**63 - 1
            )
        case "number":
            found = st.floats(min_value=column.minimum, allow_nan=False, allow_infinity=False)
        case "boolean":
            found = st.booleans()
        case "datetime":
            found = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)).map(
                lambda d: d.replace(tzinfo=UTC)
            )
        case _:
            found = st.integers(-(10**18) + 1, 10**18 - 1).map(lambda n: Decimal(n).scaleb(-9))
    return found if column.required else st.none() | found


def contents(table: Table) -> st.SearchStrategy[list[dict[str, Any]]]:
    row = st.fixed_dictionaries({c.name: values(c) for c in table.columns})
    return st.lists(row, max_size=3, unique_by=lambda r: tuple(r[k] for k in table.key)).map(
        lambda found: sorted(found, key=lambda r: tuple(r[k] for k in table.key))
    )


@given(data=st.data())
def test_whatever_a_contract_allows_passes(data: st.DataObject) -> None:
    table = data.draw(
        st.sampled_from([tables()[n] for n in ("events", "job_history", "quarantine", "anomalies", "stages")])
    )
    found = made(table, data.draw(contents(table)))
    validator = table_checks.TableValidator(table)
    for group in groups(found):
        validator.check_rows(group)
    assert validator.rows == found.num_rows


def groups(found: pa.Table) -> Iterator[pa.Table]:
    for at in range(0, found.num_rows, 2):
        yield found.slice(at, 2)


def test_the_pandera_schema_has_every_column_of_the_contract() -> None:
    for name, table in tables().items():
        found = table_checks.pandera_schema(name)
        assert tuple(found.columns) == table.names
        assert (found.strict, found.ordered, found.coerce) == (True, True, False)
        assert not found.drop_invalid_rows
        assert {c for c, column in found.columns.items() if not column.nullable} == {
            c.name for c in table.columns if c.required
        }
