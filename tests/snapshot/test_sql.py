"""SQL over a snapshot: the tables are there, and nothing else."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

import ftetl
from ftetl.contract import tables
from ftetl.errors import ConfigError, UsageError
from ftetl.snapshot.snapshot import Snapshot
from ftetl.snapshot.sql import query


@pytest.fixture(scope="module")
def snapshot(demo_target: Path) -> Snapshot:
    return ftetl.open(demo_target)


@pytest.mark.parametrize("table", tables())
def test_every_table_is_a_view(snapshot: Snapshot, table: str) -> None:
    assert query(snapshot, f"SELECT count(*) AS n FROM {table.upper()}").to_pylist() == [{"n": snapshot.rows[table]}]


def test_money_is_exact_and_times_are_utc(snapshot: Snapshot) -> None:
    prices = [price for price in snapshot.arrow("jobs", ["total_price_usd"]).column(0).to_pylist() if price is not None]

    (row,) = query(snapshot, "SELECT sum(total_price_usd) AS usd, min(created_at) AS t FROM jobs").to_pylist()
    (zone,) = query(snapshot, "SELECT current_setting('TimeZone') AS zone").to_pylist()

    assert row["usd"] == sum(prices, Decimal(0))
    assert row["t"] == min(filter(None, snapshot.arrow("jobs", ["created_at"]).column(0).to_pylist()))
    assert isinstance(row["t"], datetime)
    assert row["t"].utcoffset() == datetime.now(UTC).utcoffset()
    assert zone == {"zone": "UTC"}


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("DESCRIBE stages", len(tables()["stages"].columns)),
        ("SHOW TABLES -- stages, jobs", 2),
        ("FROM jobs SELECT job_id LIMIT 3;", 3),
        ("WITH a AS (SELECT 1) SELECT * FROM a", 1),
        ("PIVOT (SELECT project, present FROM jobs) ON present USING count(*)", 1),
        ("EXPLAIN SELECT 1", 1),
    ],
)
def test_every_way_to_ask_for_rows_works(snapshot: Snapshot, sql: str, rows: int) -> None:
    assert query(snapshot, sql).num_rows == rows


def test_several_tables_join(snapshot: Snapshot) -> None:
    rows = query(snapshot, "SELECT count(*) AS n FROM jobs JOIN events USING (project, job_id)")

    assert rows.to_pylist() == [{"n": snapshot.rows["events"]}]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT stats FROM jobs", 'Candidate bindings: "status"'),
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM jbos", "jbos does not exist"),
        ("SELECT 'x'::INT", "Could not convert"),
        ("", "not one query"),
        ("SELECT 1; SELECT 2", "not one query"),
        ("CREATE TABLE t AS SELECT 1 AS a", "not one query"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(snapshot: Snapshot, sql: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        query(snapshot, sql)

    assert refused.value.code == "FTETL-P17"
    assert said in refused.value.what
    assert "\n" not in str(refused.value)
    assert "LINE 1" not in str(refused.value)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM '{file}'",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM query('SELECT * FROM read_text(''{file}'')')",
        "COPY jobs TO '{folder}/out.csv'",
        "COPY (SELECT 1) TO '{folder}/out.parquet'",
        "EXPORT DATABASE '{folder}/out'",
        "ATTACH '{folder}/out.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET TimeZone = 'Asia/Tokyo'",
        "SELECT getenv('HOME')",
        "SELECT * FROM snapshot",  # a variable of Python that is a table
        "SELECT * FROM sql_rows",
    ],
)
def test_nothing_but_the_tables_can_be_read_and_nothing_written(snapshot: Snapshot, tmp_path: Path, sql: str) -> None:
    (tmp_path / "secret.csv").write_text("a\nsecret\n")
    sql_rows = snapshot.arrow("jobs")
    assert sql_rows.num_rows

    with pytest.raises(UsageError) as refused:
        query(snapshot, sql.format(file=tmp_path / "secret.csv", folder=tmp_path))

    assert refused.value.code == "FTETL-P17"
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_without_duckdb_it_says_how_to_get_it(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)

    with pytest.raises(ConfigError, match="DuckDB is not installed; install it with `pip install duckdb`"):
        query(snapshot, "SELECT 1")
