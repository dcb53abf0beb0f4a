"""Reading a snapshot back: the contract's columns of today, whatever the file was written with, or a clear refusal."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ftetl.contract import tables
from ftetl.contract.arrow_schema import empty, schema
from ftetl.errors import StorageError
from ftetl.snapshot.table_reader import TableReader, table_file

EVENTS = tables()["events"]
ROWS = [{"project": "p", "job_id": f"j{n}", "position": 0, "step": n, "message": f"m{n}"} for n in range(5)]


def written(folder: Path, table: pa.Table, group: int = 2) -> Path:
    file = table_file(folder, "events")
    pq.write_table(table, file, row_group_size=group, write_page_checksum=True)
    return file


def events(rows: list[dict[str, Any]] = ROWS) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema(EVENTS))


def test_a_target_without_a_snapshot_has_every_table_empty() -> None:
    for name, table in tables().items():
        assert TableReader(None).read_table(name).equals(empty(table))
        assert list(TableReader(None).read_row_groups(name)) == []
        assert TableReader(None).read_schema(name).equals(schema(table))


def test_a_table_comes_back_whole_and_by_row_groups(tmp_path: Path) -> None:
    written(tmp_path, events())
    assert TableReader(tmp_path).read_table("events").equals(events())
    assert [group.num_rows for group in TableReader(tmp_path).read_row_groups("events")] == [2, 2, 1]
    some = TableReader(tmp_path).read_table("events", ["step", "job_id"])
    assert some.equals(events().select(["step", "job_id"]))


@pytest.mark.parametrize("rows", [ROWS, []])
def test_a_column_that_the_contract_has_learned_since_is_null(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    written(tmp_path, events(rows).drop_columns(["message", "extra"]))
    found = TableReader(tmp_path).read_table("events")
    assert found.schema.equals(schema(EVENTS))
    assert found["message"].to_pylist() == [None] * len(rows)
    assert found["step"].to_pylist() == [row["step"] for row in rows]
    assert TableReader(tmp_path).read_table("events", ["message"]).column_names == ["message"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda t: t.append_column("old", pa.nulls(t.num_rows, pa.string())), id="a column that is no more"
        ),
        pytest.param(lambda t: t.select(t.column_names[::-1]), id="another order"),
        pytest.param(lambda t: t.set_column(7, "step", t["step"].cast(pa.int32())), id="a narrower type"),
        pytest.param(lambda t: t.cast(pa.schema([f.with_nullable(True) for f in t.schema])), id="nothing required"),
    ],
)
def test_a_file_of_an_older_contract_is_read_with_the_columns_of_today(tmp_path: Path, change: Any) -> None:
    assert schema(EVENTS).get_field_index("step") == 7
    written(tmp_path, change(events()))
    assert TableReader(tmp_path).read_table("events").equals(events())
    assert TableReader(tmp_path).read_schema("events").equals(schema(EVENTS))
    exact = TableReader(tmp_path, exact=True)
    assert not exact.read_schema("events").equals(schema(EVENTS))
    assert next(exact.read_row_groups("events")).schema.equals(exact.read_schema("events"))


def test_a_column_that_cannot_be_what_it_is_today_is_refused(tmp_path: Path) -> None:
    odd = pa.array([f"text {n}" for n in range(5)])
    written(tmp_path, events().set_column(7, "step", odd))
    with pytest.raises(StorageError, match=r"events\.parquet cannot be read back") as caught:
        TableReader(tmp_path).read_table("events")
    assert "text" not in str(caught.value)


def test_a_decimal_of_an_older_contract_that_does_not_fit_todays_type_keeps_its_own(tmp_path: Path) -> None:
    costs = empty(tables()["focus_costs"])
    wide = pa.decimal128(20, 9)
    amounts = [Decimal("1000000000.5"), Decimal("2.000000001")]
    rows = pa.table([pa.nulls(2, f.type) for f in costs.schema], names=costs.schema.names)
    for name, values in (("BilledCost", amounts), ("ListCost", [1, 2])):
        rows = rows.set_column(costs.schema.get_field_index(name), name, pa.array(values, wide))
    pq.write_table(rows, table_file(tmp_path, "focus_costs"), row_group_size=1)

    read = TableReader(tmp_path).read_table("focus_costs")

    assert read["BilledCost"].to_pylist() == amounts
    assert (read["ListCost"].type, read["ListCost"].to_pylist()) == (pa.decimal128(18, 9), [1, 2])
    assert TableReader(tmp_path).read_table("focus_costs", ["BilledCost"])["BilledCost"].to_pylist() == amounts


@pytest.mark.parametrize("place", range(4, 400, 37))
def test_a_flipped_bit_is_noticed(tmp_path: Path, place: int) -> None:
    file = written(tmp_path, events())
    data = bytearray(file.read_bytes())
    data[place] ^= 4
    file.write_bytes(data)
    with suppress(StorageError):  # or it lies where nothing is read from
        assert TableReader(tmp_path).read_table("events").equals(events())


def test_a_file_that_should_be_there_and_is_not_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        TableReader(tmp_path, {"events.parquet"}).read_table("events")
    with pytest.raises(StorageError):
        TableReader(tmp_path, exact=True).read_schema("events")
    # A table that the snapshot's contracts did not have.
    assert TableReader(tmp_path, {"jobs.parquet"}).read_table("events").num_rows == 0
    written(tmp_path, events())
    assert TableReader(tmp_path, {"jobs.parquet"}).read_table("events").num_rows == 0
    assert TableReader(tmp_path, {"events.parquet"}).read_table("events").num_rows == 5


def test_times_come_back_as_instants_in_utc(tmp_path: Path) -> None:
    moment = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    written(tmp_path, events([ROWS[0] | {"created_at": moment}]))
    assert TableReader(tmp_path).read_table("events")["created_at"].to_pylist() == [moment]
