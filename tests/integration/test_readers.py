"""What DuckDB, polars and pandas read from a snapshot is the same, and what the contract says."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import ftetl
from ftetl.contract import Column, Table, tables
from ftetl.snapshot.snapshot import Snapshot

DUCKDB_TYPES = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "datetime": "TIMESTAMP WITH TIME ZONE",
    "decimal": "DECIMAL(18,9)",
}
POLARS_TYPES = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "datetime": pl.Datetime("us", "UTC"),
    "decimal": pl.Decimal(18, 9),
}
EVERY_TABLE = pytest.mark.parametrize("table", tables().values(), ids=lambda table: table.name)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The demo, as Parquet and CSV, as what `current` leads to."""
    target = tmp_path_factory.mktemp("readers") / "target"
    ftetl.export(target, source="demo", formats=("parquet", "csv"))
    return ftetl.open(target)


def in_duckdb(query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(query).fetchall()


def parquet(snapshot: Snapshot, table: Table) -> str:
    return str(snapshot.target / "current" / f"{table.name}.parquet")


def in_short(column: Column) -> str:
    """What a column comes to, in SQL: how many, how many NULLs, and what they add up to or span."""
    name = f'"{column.name}"'
    match column.type:
        case "integer" | "decimal" | "number":
            total = f"sum({name})"
        case "boolean":
            total = f"count(*) FILTER ({name})"
        case _:
            total = f"[min({name}), max({name})]"
    return f"count(*), count({name}), {total}"


def by_arrow(column: Column, values: pa.ChunkedArray) -> tuple[Any, ...]:
    found = [value for value in values.to_pylist() if value is not None]
    match column.type:
        case "integer" | "decimal":
            total: Any = sum(found) if found else None
        case "number":
            total = pytest.approx(sum(found)) if found else None
        case "boolean":
            total = sum(found)
        case _:
            total = [min(found), max(found)] if found else [None, None]
    return len(values), len(found), total


def test_the_demo_has_something_to_compare(snapshot: Snapshot) -> None:
    """Else all agree about nothing."""
    assert snapshot.arrow("jobs").num_rows > 300
    assert snapshot.arrow("events").num_rows > 5000
    assert snapshot.arrow("anomalies").num_rows > 0


@EVERY_TABLE
class TestDuckDB:
    def test_the_types_are_the_contracts(self, snapshot: Snapshot, table: Table) -> None:
        described = in_duckdb(f"DESCRIBE SELECT * FROM '{parquet(snapshot, table)}'")

        assert [row[:2] for row in described] == [(c.name, DUCKDB_TYPES[c.type]) for c in table.columns]

    def test_every_column_is_what_ftetl_reads(self, snapshot: Snapshot, table: Table) -> None:
        arrow = snapshot.arrow(table.name)
        query = ", ".join(in_short(column) for column in table.columns)
        row = in_duckdb(f"SELECT {query} FROM '{parquet(snapshot, table)}'")[0]
        found = {column.name: row[3 * i : 3 * i + 3] for i, column in enumerate(table.columns)}

        assert found == {column.name: by_arrow(column, arrow.column(column.name)) for column in table.columns}

    def test_the_csv_says_the_same_as_the_parquet(self, snapshot: Snapshot, table: Table) -> None:
        """Read with the contract's types, every cell is the same one."""
        types = ", ".join(f"'{c.name}': '{DUCKDB_TYPES[c.type]}'" for c in table.columns)
        csv = f"read_csv('{snapshot.target}/current/{table.name}.csv', header = true, columns = {{{types}}})"
        # An empty cell without quotes is NULL, and the guard against formulas is the one thing that differs.
        columns = ", ".join(unguarded(column) for column in table.columns)
        both = f"(SELECT {columns} FROM {csv}) EXCEPT ALL (SELECT * FROM '{parquet(snapshot, table)}')"
        counts = f"SELECT (SELECT count(*) FROM {csv}), (SELECT count(*) FROM '{parquet(snapshot, table)}')"

        assert in_duckdb(both) == []
        assert len({*in_duckdb(counts)[0]}) == 1


def unguarded(column: Column) -> str:
    name = f'"{column.name}"'
    if column.type != "string":
        return name
    return f"CASE WHEN regexp_matches({name}, '^''[\\s\"'']*[=+@-]') THEN {name}[2:] ELSE {name} END AS {name}"


@EVERY_TABLE
class TestPolars:
    def test_the_types_are_the_contracts(self, snapshot: Snapshot, table: Table) -> None:
        frame = pl.read_parquet(parquet(snapshot, table))

        assert dict(frame.schema) == {c.name: POLARS_TYPES[c.type] for c in table.columns}

    def test_every_cell_is_what_ftetl_reads(self, snapshot: Snapshot, table: Table) -> None:
        frame = pl.read_parquet(parquet(snapshot, table))

        assert frame.to_dicts() == snapshot.arrow(table.name).to_pylist()


@EVERY_TABLE
class TestPandas:
    def test_every_cell_is_what_ftetl_reads(self, snapshot: Snapshot, table: Table) -> None:
        frame = pd.read_parquet(parquet(snapshot, table), dtype_backend="pyarrow")

        assert pa.Table.from_pandas(frame, preserve_index=False).to_pylist() == snapshot.arrow(table.name).to_pylist()
        assert [pa.array(frame[c.name]).null_count for c in table.columns] == [
            snapshot.arrow(table.name).column(c.name).null_count for c in table.columns
        ]

    def test_its_own_frame_is_what_pandas_reads(self, snapshot: Snapshot, table: Table) -> None:
        own = snapshot.frame(table.name)
        read = pd.read_parquet(parquet(snapshot, table), dtype_backend="pyarrow").astype(own.dtypes)

        pd.testing.assert_frame_equal(own, read)


def test_money_adds_up_to_the_same_exact_decimal_everywhere(snapshot: Snapshot) -> None:
    jobs = parquet(snapshot, tables()["jobs"])
    nano = sum(value for value in snapshot.arrow("jobs").column("total_price_nanousd").to_pylist() if value)
    exact = Decimal(nano).scaleb(-9)

    assert exact > 0
    assert in_duckdb(f"SELECT sum(total_price_usd) FROM '{jobs}'") == [(exact,)]
    assert pl.read_parquet(jobs)["total_price_usd"].sum() == exact
    assert snapshot.jobs.total_price_usd.sum() == exact
    assert sum(snapshot.arrow("jobs").column("total_price_usd").drop_null().to_pylist()) == exact


ARITHMETIC = {
    "twice the cost": lambda f: f.BilledCost * 2,
    "the cost of one": lambda f: f.BilledCost / f.ConsumedQuantity,
    "the cost of one priced unit": lambda f: f.BilledCost / f.PricingQuantity,
    "in thousands": lambda f: f.ConsumedQuantity / 1000,
    "in thousands of units": lambda f: f.PricingQuantity / 1000,
    "bought with a dollar": lambda f: f.ConsumedQuantity / f.BilledCost,
    "units bought with a dollar": lambda f: f.PricingQuantity / f.BilledCost,
    "the price again": lambda f: f.ListUnitPrice * f.PricingQuantity,
    "shares": lambda f: f.BilledCost / f.BilledCost.sum(),
    "sums by SKU": lambda f: f.groupby("SkuId")[["BilledCost", "ConsumedQuantity", "PricingQuantity"]].sum(),
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_pandas_calculates_with_charges(snapshot: Snapshot, name: str) -> None:
    file = parquet(snapshot, tables()["focus_costs"])
    frame = pd.read_parquet(file, dtype_backend="pyarrow").query("ConsumedQuantity > 0")
    as_floats = frame.astype(
        dict.fromkeys(("BilledCost", "ConsumedQuantity", "PricingQuantity", "ListUnitPrice"), "float64")
    )

    found, expected = ARITHMETIC[name](frame), ARITHMETIC[name](as_floats)

    assert len(found) > 0
    assert (found.astype("float64") - expected).abs().max(axis=None) < 1e-6 * expected.abs().max(axis=None)


def test_polars_and_duckdb_calculate_with_charges(snapshot: Snapshot) -> None:
    file = parquet(snapshot, tables()["focus_costs"])
    (expected,) = in_duckdb(
        f"SELECT sum(BilledCost), sum(BilledCost * 2), sum(BilledCost)::DOUBLE / sum(ConsumedQuantity),"
        f" sum(ListUnitPrice * PricingQuantity) FROM '{file}'"
    )
    frame = pl.read_parquet(file)
    found = frame.select(
        pl.col("BilledCost").sum(),
        twice=(pl.col("BilledCost") * 2).sum(),
        one=pl.col("BilledCost").sum().cast(pl.Float64) / pl.col("ConsumedQuantity").sum(),
        again=(pl.col("ListUnitPrice") * pl.col("PricingQuantity")).sum(),
    ).row(0)

    assert expected[1] == 2 * expected[0] == 2 * expected[3] == found[1]
    assert found[0] == expected[0]
    assert found[2] == pytest.approx(expected[2])
    assert float(found[3]) == pytest.approx(float(expected[3]))


READS = {
    "polars": lambda file: dict(pl.read_csv(file).schema),
    "DuckDB": lambda file: {row[0]: row[1] for row in in_duckdb(f"DESCRIBE SELECT * FROM '{file}'")},
    "pandas": lambda file: dict(pd.read_csv(file, dtype_backend="pyarrow").dtypes.astype(str)),
}
REAL = {"polars": pl.Float64(), "DuckDB": "DOUBLE", "pandas": "double[pyarrow]"}


@pytest.mark.parametrize("reader", READS)
def test_a_reader_that_guesses_types_takes_no_real_for_an_integer(snapshot: Snapshot, reader: str) -> None:
    """Also where the first values are whole, and others far behind; a column that begins with NULLs may be text."""
    for table in tables().values():
        arrow = snapshot.arrow(table.name)
        reals = [c.name for c in table.columns if c.type == "number" and arrow[c.name].null_count < arrow.num_rows]
        found = READS[reader](str(snapshot.target / "current" / f"{table.name}.csv"))

        assert {name: found[name] for name in reals if found[name] != pl.String()} == dict.fromkeys(
            (name for name in reals if reader != "polars" or arrow[name][:100].null_count < 100), REAL[reader]
        )


def test_a_time_is_the_same_moment_everywhere(snapshot: Snapshot) -> None:
    jobs = parquet(snapshot, tables()["jobs"])
    newest = max(snapshot.arrow("jobs").column("created_at").to_pylist())

    assert newest.utcoffset() == dt.timedelta(0)
    assert in_duckdb(f"SELECT max(created_at) FROM '{jobs}'")[0][0] == newest
    assert pl.read_parquet(jobs)["created_at"].max() == newest
    assert snapshot.jobs.created_at.max().to_pydatetime() == newest


def test_the_tables_join_on_their_keys_in_duckdb(snapshot: Snapshot) -> None:
    jobs, events = (parquet(snapshot, tables()[name]) for name in ("jobs", "events"))
    query = f"SELECT count(*) FROM '{events}' JOIN '{jobs}' USING (project, job_id)"

    assert in_duckdb(query) == [(snapshot.arrow("events").num_rows,)]
