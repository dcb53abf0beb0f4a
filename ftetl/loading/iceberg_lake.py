"""Apache Iceberg tables in a namespace of a catalog.

Each file has the rows of one project, and its statistics say so: what a load replaces are whole files. The tables are
not partitioned, since pyiceberg 0.12 streams rows only into tables without partitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from ftetl.contract import Table
from ftetl.contract.arrow_schema import schema
from ftetl.contract.markdown import meaning
from ftetl.loading.lake_loader import Lake
from ftetl.loading.load_source import PROJECT

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

_OURS: Final = "ftetl.table"  # among the properties of a table: its name
# In the summary of a snapshot: whose rows it wrote, and their mark.
_WRITTEN: Final = "ftetl.project"
_MARK: Final = "ftetl.mark"
_PROPERTIES: Final = {
    f"write.metadata.metrics.column.{PROJECT}": "full",  # by default the first 16 characters
    "write.target-file-size-bytes": str(128 << 20),  # of rows in memory, which are held until they make a file
}


def lake(catalog: Catalog, namespace: str) -> Lake:
    """The Iceberg tables of a namespace, which is made with its first table."""
    return _IcebergLake(catalog, namespace)


class _IcebergLake:
    def __init__(self, catalog: Catalog, namespace: str) -> None:
        self._catalog, self._namespace = catalog, namespace

    def columns(self, table: str) -> pa.Schema | None:
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        if not self._catalog.table_exists((self._namespace, table)):
            return None
        return pa.schema([_plain(field) for field in schema_to_pyarrow(self._open(table).schema())])

    def is_ours(self, table: str) -> bool:
        return bool(self._open(table).properties.get(_OURS) == table)

    def create(self, table: Table) -> None:
        self._catalog.create_namespace_if_not_exists(self._namespace)
        properties = {_OURS: table.name, "comment": table.description.strip(), **_PROPERTIES}
        name, columns = (self._namespace, table.name), _described(table, table.names)
        with (
            self._catalog.create_table_transaction(name, columns, properties=properties) as transaction,
            transaction.update_schema() as update,
        ):
            update.set_identifier_fields(*table.key)

    def add_columns(self, table: Table, names: Sequence[str]) -> None:
        nullable = pa.schema([field.with_nullable(True) for field in _described(table, names)])
        with self._open(table.name).update_schema() as update:
            update.union_by_name(nullable)

    def mark(self, table: str, project: str) -> str | None:
        from pyiceberg.table.snapshots import Operation

        found = self._open(table)
        snapshot = found.current_snapshot()
        while snapshot is not None:
            said = snapshot.summary.additional_properties if snapshot.summary else {}
            if said.get(_WRITTEN) == project:
                return said.get(_MARK)
            if _WRITTEN not in said and snapshot.summary.operation is not Operation.REPLACE:
                return None
            snapshot = found.snapshot_by_id(snapshot.parent_snapshot_id) if snapshot.parent_snapshot_id else None
        return None

    def read(self, table: str, project: str | None, columns: Sequence[str]) -> pa.Table:
        from pyiceberg.expressions import AlwaysTrue, EqualTo

        where = AlwaysTrue() if project is None else EqualTo(PROJECT, project)
        rows = self._open(table).scan(row_filter=where, selected_fields=tuple(columns)).to_arrow().select(list(columns))
        return rows.cast(pa.schema([_plain(field) for field in rows.schema]))

    def replace(self, table: str, project: str, rows: pa.RecordBatchReader, mark: str) -> None:
        from pyiceberg.expressions import EqualTo

        found, where = self._open(table), EqualTo(PROJECT, project)
        said = {_WRITTEN: project, _MARK: mark}
        had_rows = any(found.scan(row_filter=where, selected_fields=(PROJECT,)).plan_files())
        first = next((batch for batch in rows if batch.num_rows), None)
        with found.transaction() as transaction:
            if had_rows:
                transaction.delete(where, snapshot_properties=said)
            if first is not None:
                whole = pa.RecordBatchReader.from_batches(rows.schema, chain([first], rows))
                transaction.append(whole, snapshot_properties=said)

    def append(self, table: str, rows: pa.Table) -> None:
        self._open(table).append(rows)

    def _open(self, table: str) -> Any:
        return self._catalog.load_table((self._namespace, table))


def _plain(field: pa.Field) -> pa.Field:
    """A column with the type that our tables have: Iceberg's texts come back as Arrow's long ones."""
    plain = pa.string() if pa.types.is_large_string(field.type) else field.type
    return pa.field(field.name, plain, field.nullable)


def _described(table: Table, names: Sequence[str]) -> pa.Schema:
    """Columns of a table with their meaning."""
    columns = schema(table)
    return pa.schema([columns.field(name).with_metadata({"doc": meaning(table[name])}) for name in names])
