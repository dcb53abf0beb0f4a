"""Spark's schemas of our rows, made from the contracts; and rows of several tables as batches of one schema."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pyarrow as pa
from pyspark.sql import types

from ftetl.contract import tables as contracts
from ftetl.contract.arrow_schema import schema
from ftetl.errors import SoftwareError
from ftetl.pipeline.partitioned.build_part import BuiltRows
from ftetl.transform.endpoints.merge import ANOMALIES

TABLE, PROJECT, NOTES = "table", "project", "notes"


def of_jobs() -> list[str]:
    """The tables that are read from jobs. Those of other endpoints have no rows in saved responses."""
    return [name for name, table in contracts().items() if not table.endpoint and name != ANOMALIES]


def spark_schema(arrow: pa.Schema) -> types.StructType:
    """Spark's schema for an Arrow schema; every column may be null."""
    return types.StructType([types.StructField(f.name, _spark_type(f.type), True) for f in arrow])


def table_schema(name: str) -> types.StructType:
    """Spark's schema of a table, with the descriptions of the columns as comments."""
    table = contracts()[name]
    fields = zip(table.columns, spark_schema(schema(table)), strict=True)
    return types.StructType(
        [types.StructField(f.name, f.dataType, True, {"comment": c.description}) for c, f in fields]
    )


def united_spark_schema() -> types.StructType:
    """Spark's schema for `united_schema`."""
    kinds = {name: table_schema(name) for name in of_jobs()}
    names = united_schema().names
    return types.StructType([types.StructField(n, kinds.get(n, types.StringType()), True) for n in names])


def _spark_type(kind: pa.DataType) -> types.DataType:
    if pa.types.is_decimal(kind):
        return types.DecimalType(kind.precision, kind.scale)
    by_arrow = {
        pa.string(): types.StringType(),
        pa.binary(): types.BinaryType(),
        pa.int64(): types.LongType(),
        pa.float64(): types.DoubleType(),
        pa.bool_(): types.BooleanType(),
        pa.timestamp("us", "UTC"): types.TimestampType(),
    }
    return by_arrow[kind]


@cache
def united_schema() -> pa.Schema:
    """The Arrow schema of rows of all tables: each row has its cells in the struct that has its table's name."""
    structs = [
        pa.field(name, pa.struct([f.with_nullable(True) for f in schema(contracts()[name])])) for name in of_jobs()
    ]
    return pa.schema([(TABLE, pa.string()), (PROJECT, pa.string()), (NOTES, pa.string()), *structs])


def united(built: BuiltRows) -> Iterator[pa.RecordBatch]:
    """Rows of one table, or notes, as batches of the united schema.

    Raises:
        SoftwareError: The rows have another schema than the contract. Spark would take columns by their places, and
            round decimals to the declared type.
    """
    if built.table is None:
        notes = built.notes.text() if built.notes else None
        yield _batch(1, {PROJECT: built.project, NOTES: notes}, {})
        return
    table, kind = contracts()[built.table], united_schema().field(built.table).type
    for batch in (built.rows or schema(table).empty_table()).to_batches():
        if not batch.schema.equals(schema(table)):
            what = f"rows of table {table.name} have another schema than its contract"
            raise SoftwareError("B02", what, next="please report this as a bug of ftetl")
        cells = pa.StructArray.from_arrays(batch.columns, fields=list(kind))
        yield _batch(batch.num_rows, {TABLE: table.name, PROJECT: built.project}, {table.name: cells})


def _batch(count: int, same: dict[str, str | None], cells: dict[str, pa.Array]) -> pa.RecordBatch:
    arrays = [
        cells[f.name]
        if f.name in cells
        else pa.repeat(pa.scalar(same.get(f.name), f.type), count)
        if f.name in same
        else pa.nulls(count, f.type)
        for f in united_schema()
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=united_schema())
