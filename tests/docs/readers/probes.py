"""Reads the files of `files.py` with one reader as it is, without options: `python probes.py READER FOLDER`.

It prints JSON: the reader's version and, for each kind of file, what became of NULL, of the empty text, and so on. It
is run by the interpreter of an environment that has the reader, and imports nothing else.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from time import tzset
from typing import Any

HEADS = ("NULL", '`""`', "quotes, line breaks", "money", "times", "no rows")
QUOTED = 'a "quoted",\r\ntext\n'
USD = Decimal("99999999.999999999")
AT = datetime(2026, 7, 2, 8, 10, 14, 250_000, UTC)
Rows = list[dict[str, Any]]
Read = Callable[[str], tuple[Rows, dict[str, str]]]  # a file's rows, and its types by column


def by_duckdb() -> Read:
    import duckdb

    def read(path: str) -> tuple[Rows, dict[str, str]]:
        found = duckdb.sql(f"FROM '{path}'")
        rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
        return rows, dict(zip(found.columns, map(str, found.types), strict=True))

    return read


def by_pandas() -> Read:
    import pandas as pd

    def read(path: str) -> tuple[Rows, dict[str, str]]:
        reader = pd.read_csv if path.endswith("csv") else pd.read_parquet
        frame = reader(path, dtype_backend="pyarrow")
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        return rows, {name: str(kind) for name, kind in frame.dtypes.items()}

    return read


def by_polars() -> Read:
    import polars as pl

    def read(path: str) -> tuple[Rows, dict[str, str]]:
        frame = pl.read_csv(path) if path.endswith("csv") else pl.read_parquet(path)
        return frame.to_dicts(), {name: str(kind) for name, kind in frame.schema.items()}

    return read


def by_spark() -> Read:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    session = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.log.level", "OFF").getOrCreate()

    def read(path: str) -> tuple[Rows, dict[str, str]]:
        found = session.read.csv(path, header=True) if path.endswith("csv") else session.read.parquet(path)
        return [row.asDict() for row in found.collect()], dict(found.dtypes)

    return read


def by_clickhouse() -> Read:
    import chdb

    def read(path: str) -> tuple[Rows, dict[str, str]]:
        file = f"file('{path}', {'CSVWithNames' if path.endswith('csv') else 'Parquet'})"
        kinds = chdb.query(f"DESCRIBE {file}", "ArrowTable").to_pylist()
        rows = chdb.query(f"SELECT * FROM {file}", "ArrowTable").to_pylist()
        return rows, {kind["name"]: kind["type"] for kind in kinds}

    return read


def by_daft() -> Read:
    import daft

    def read(path: str) -> tuple[Rows, dict[str, str]]:
        frame = daft.read_csv(path) if path.endswith("csv") else daft.read_parquet(path)
        return frame.to_pylist(), {field.name: str(field.dtype) for field in frame.schema()}

    return read


def by_datafusion() -> Read:
    import datafusion

    context = datafusion.SessionContext()

    def read(path: str) -> tuple[Rows, dict[str, str]]:
        frame = context.read_csv(path) if path.endswith("csv") else context.read_parquet(path)
        return frame.to_pylist(), {field.name: str(field.type) for field in frame.schema()}

    return read


def by_lance() -> Read:
    import lance
    import pyarrow.parquet as pq

    def read(path: str) -> tuple[Rows, dict[str, str]]:
        dataset = lance.write_dataset(pq.read_table(path), f"{path}.lance")
        return dataset.to_table().to_pylist(), {field.name: str(field.type) for field in dataset.schema}

    return read


# By the name in the table: the distribution, and how to read.
READERS: dict[str, tuple[str, Callable[[], Read]]] = {
    "DuckDB": ("duckdb", by_duckdb),
    "pandas": ("pandas", by_pandas),
    "polars": ("polars", by_polars),
    "Spark": ("pyspark", by_spark),
    "ClickHouse, chdb": ("chdb", by_clickhouse),
    "daft": ("daft", by_daft),
    "DataFusion": ("datafusion", by_datafusion),
    "Lance": ("pylance", by_lance),
}


def text(value: Any) -> str:
    return "NULL" if value is None else f'`"{value}"`' if isinstance(value, str) else type(value).__name__


def money(value: Any) -> str:
    if isinstance(value, Decimal):
        return "exact" if value == USD else "rounded"
    if isinstance(value, float):
        return "a float"
    return "text" if value == str(USD) else text(value)


def time(value: Any) -> str:
    if not isinstance(value, datetime):
        return "text" if str(value).startswith("2026-07-02T08:10:14.25") else text(value)
    if value.tzinfo is None:
        is_local = value.astimezone(UTC) == AT
        return "local, no zone" if is_local else "UTC, no zone" if value.replace(tzinfo=UTC) == AT else "another time"
    if value != AT:
        return "another time"
    return "UTC" if value.utcoffset() == timedelta(0) else "right, in local time"


def quoted(rows: Rows) -> str:
    found = [row["text"] for row in rows if str(row["number"]) == "3"]
    if found == [QUOTED]:
        return "right"
    return "CR LF becomes LF" if found == [QUOTED.replace("\r\n", "\n")] else "the text is cut"


def no_rows(read: Read, path: str, types: dict[str, str]) -> str:
    try:
        rows, kinds = read(path)
    except Exception:  # noqa: BLE001  # each reader has errors of its own
        return "an error"
    if rows:
        return "rows"
    if kinds == types:
        return "right types"
    (kind,) = {*kinds.values()} if len({*kinds.values()}) == 1 else {"other types"}
    return "all text" if kind.lower() in ("varchar", "string", "str", "string[pyarrow]") else f"all {kind}"


def facts(read: Read, folder: str, kind: str) -> dict[str, str]:
    """What became of the cells in the files of this kind."""
    rows, types = read(f"{folder}/cells.{kind}")
    by_number = {str(row["number"]): row for row in rows}
    null, empty, full = (by_number[number] for number in "123")
    full_types = types if kind == "parquet" else read(f"{folder}/cells.parquet")[1]
    found = (
        text(null["text"]),
        text(empty["text"]),
        quoted(rows),
        money(full["usd"]),
        time(full["at"]),
        no_rows(read, f"{folder}/empty.{kind}", full_types),
    )
    return dict(zip(HEADS, found, strict=True))


def main(name: str, folder: str) -> None:
    distribution, reader = READERS[name]
    read = reader()
    kinds = ("parquet",) if name == "Lance" else ("parquet", "csv")
    answer = {"version": version(distribution), **{kind: facts(read, folder, kind) for kind in kinds}}
    print(json.dumps(answer), flush=True)
    os._exit(0)  # whatever a reader's threads do while the interpreter ends


if __name__ == "__main__":
    os.environ["TZ"] = "Pacific/Kiritimati"  # far from UTC, so that a reader that goes by the machine's clock shows it
    tzset()
    main(*sys.argv[1:])
