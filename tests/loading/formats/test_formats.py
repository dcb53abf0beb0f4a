from __future__ import annotations

import io
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ftetl
from ftetl.errors import ConfigError, SoftwareError, StorageError
from ftetl.loading import formats

every_format = pytest.mark.parametrize("name", formats.names())


class Full(io.BytesIO):
    """A disk with room for a header and no more."""

    def write(self, data: object, /) -> int:
        if self.tell() + memoryview(data).nbytes > 200:  # type: ignore[arg-type]
            raise StorageError("S01", "the disk is full")
        return super().write(data)  # type: ignore[arg-type]


def many(rows: int) -> pa.Table:
    """More rows than a row group has, of columns with few, with many and with null values."""
    number = pa.array(range(rows), pa.int64())
    text = number.cast(pa.string())
    return pa.table(
        {
            "project": pc.if_else(pc.less(number, rows // 2), "a", "b"),
            "position": number,
            "message": pc.if_else(pc.equal(pc.bit_wise_and(number, 7), 0), None, text),
            "hash": pc.binary_join_element_wise("sha", text, text, text, "-"),
            "ratio": pc.divide(number.cast(pa.float64()), 7.0),
        }
    )


def test_a_format_is_a_file() -> None:
    folder = Path(formats.__file__).parent
    assert sorted(formats.names()) == sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    assert formats.names() == ("parquet", "csv")


def test_an_unknown_format_is_refused_before_a_run_begins(tmp_path: Path) -> None:
    what = r"^format 'xlsx' is not known; choose one of: parquet, csv$"
    with pytest.raises(ConfigError, match=what.removesuffix("$")):
        ftetl.export(tmp_path / "t", source="demo", formats=("parquet", "xlsx"))
    with pytest.raises(ConfigError, match=what.removesuffix("$")):
        formats.require_known(["csv", "xlsx"])
    assert not (tmp_path / "t").exists()


def test_a_file_is_read_back_unless_it_is_a_table_in_another_format_than_parquet() -> None:
    names = ["jobs.parquet", "jobs.csv", "listed.arrow", "datapackage.json", "csv", "jobs.xlsx"]

    assert [name for name in names if formats.is_table_file(name)] == ["jobs.parquet", "jobs.csv", "csv"]
    assert [name for name in names if not formats.is_read_back(name)] == ["jobs.csv", "csv"]


@pytest.mark.parametrize("name", ["xlsx", "", "__init__", "csv.csv", "CSV"])
def test_an_unknown_format_is_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(ConfigError, match=r"is not known; choose one of: parquet, csv$"):
        formats.load_format(name)


@every_format
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_bytes_do_not_depend_on_the_batches(name: str, data: st.DataObject, tables, written) -> None:
    table = data.draw(tables)
    places = sorted(data.draw(st.lists(st.integers(0, table.num_rows), max_size=4)))
    bounds = zip([0, *places], [*places, table.num_rows], strict=True)
    pieces = [table.slice(start, stop - start) for start, stop in bounds]
    assert written(name, *pieces) == written(name, table)
    assert written(name, pa.concat_tables(pieces)) == written(name, table)
    copies = [pa.Table.from_pylist(piece.to_pylist(), piece.schema) for piece in pieces]
    assert written(name, *copies) == written(name, table)


@every_format
@pytest.mark.parametrize("step", [9_973, 65_536, 131_071, 131_072, 131_073, 262_144])
def test_bytes_of_several_row_groups_do_not_depend_on_the_batches(name: str, step: int, written) -> None:
    table = many(280_000)
    pieces = [table.slice(start, step) for start in range(0, table.num_rows, step)]
    assert written(name, *pieces) == written(name, table)


@every_format
def test_a_file_without_rows_has_every_column(name: str, plain: pa.Table, written, tmp_path: Path) -> None:
    path = tmp_path / f"table.{name}"
    path.write_bytes(written(name, plain.slice(0, 0)))
    assert duckdb.sql(f"from '{path}'").columns == plain.column_names
    assert duckdb.sql(f"from '{path}'").fetchall() == []


@every_format
def test_closing_leaves_the_sink_open_and_complete(name: str, plain: pa.Table, metadata, written) -> None:
    sink = io.BytesIO()
    writer = formats.load_format(name).writer(sink, plain.schema, metadata=metadata)
    writer.write(plain)
    writer.close()
    assert not sink.closed
    assert sink.getvalue() == written(name, plain)
    del writer
    assert not sink.closed
    assert sink.getvalue() == written(name, plain)


@every_format
@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop_columns("message"),
        lambda table: table.select(table.column_names[::-1]),
        lambda table: table.set_column(1, "position", table["position"].cast(pa.int32())),
        lambda table: table.cast(pa.schema([field.with_nullable(True) for field in table.schema])),
    ],
    ids=["a column less", "another order", "another type", "a null allowed"],
)
def test_other_columns_than_announced_are_a_bug_of_ftetl(name: str, change, plain: pa.Table, metadata) -> None:
    writer = formats.load_format(name).writer(io.BytesIO(), plain.schema, metadata=metadata)
    with pytest.raises(SoftwareError, match=r"^a table's columns are not those"):
        writer.write(change(plain))


@every_format
def test_an_error_of_the_sink_arrives_as_it_is(name: str, metadata) -> None:
    table = many(200_000)
    with pytest.raises(StorageError, match=r"^the disk is full$"):
        formats.load_format(name).writer(Full(), table.schema, metadata=metadata).write(table)


@every_format
def test_an_abandoned_writer_writes_nothing_to_a_closed_sink(name: str, metadata) -> None:
    sink, table = io.BytesIO(), many(200_000)
    writer = formats.load_format(name).writer(sink, table.schema, metadata=metadata)
    writer.write(table)
    sink.close()
    del writer  # pytest makes an error of an exception in a destructor


def by_duckdb(path: Path) -> pa.Table:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        columns = "project, position, message, ratio, packing, created_at::timestamptz as created_at"
        relation = connection.sql(f"select {columns}, price_usd::decimal(18, 9) as price_usd from '{path}'")
        return relation.to_arrow_table()


def by_polars(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pl.read_parquet(path).to_arrow()
    return pl.read_csv(path, schema_overrides={"message": pl.String, "price_usd": pl.String}).to_arrow()


def by_pandas(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pa.Table.from_pandas(pd.read_parquet(path, dtype_backend="pyarrow"))
    text = {"message": "string[pyarrow]", "price_usd": "string[pyarrow]", "created_at": "string[pyarrow]"}
    return pa.Table.from_pandas(pd.read_csv(path, dtype=text, dtype_backend="pyarrow"))


@every_format
@pytest.mark.parametrize("reader", [by_duckdb, by_polars, by_pandas])
def test_readers_agree(name: str, reader, plain: pa.Table, written, tmp_path: Path) -> None:
    path = tmp_path / f"table.{name}"
    path.write_bytes(written(name, plain))
    assert reader(path).cast(plain.schema).to_pylist() == plain.to_pylist()
