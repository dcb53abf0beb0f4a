"""Delta Lake tables in a folder, partitioned by project, so that a load rewrites no file of another project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from ftetl.contract import Table
from ftetl.contract.arrow_schema import schema
from ftetl.contract.markdown import meaning
from ftetl.contract.sql import literal, quoted
from ftetl.errors import TargetError
from ftetl.loading.lake_loader import Lake
from ftetl.loading.load_source import PROJECT

_LOG: Final = "_delta_log"
_OURS: Final = "ftetl.table"  # in the metadata of the column `project`: the table's name
# In the metadata of a commit: whose rows it wrote, and their mark.
_WRITTEN: Final = "ftetl.project"
_MARK: Final = "ftetl.mark"
_UPKEEP: Final = {"ADD COLUMN", "OPTIMIZE", "VACUUM START", "VACUUM END"}  # commits that leave the rows as they are


def lake(folder: Path) -> Lake:
    """The Delta Lake tables of a folder, which is made with its first table.

    Raises:
        ModuleNotFoundError: deltalake is not installed.
    """
    return _DeltaLake(folder)


class _DeltaLake:
    def __init__(self, folder: Path) -> None:
        import deltalake

        self._folder = folder
        self._deltalake: Any = deltalake

    def columns(self, table: str) -> pa.Schema | None:
        path = self._folder / table
        if self._deltalake.DeltaTable.is_deltatable(str(path)):
            return pa.schema(self._open(table).schema())
        if path.exists() and any(each.name != _LOG for each in path.iterdir()):  # it was killed before its first commit
            raise TargetError("L05", f"{path} is not a Delta table", next="move it away, or load into another folder")
        return None

    def is_ours(self, table: str) -> bool:
        return any(field.metadata.get(_OURS) == table for field in self._open(table).schema().fields)

    def create(self, table: Table) -> None:
        self._folder.mkdir(exist_ok=True)
        self._deltalake.DeltaTable.create(
            str(self._folder / table.name),
            pa.schema(_described(table, table.names)),
            partition_by=[PROJECT],
            name=table.name,
            description=table.description.strip(),
        )

    def add_columns(self, table: Table, names: Sequence[str]) -> None:
        fields = [field.with_nullable(True) for field in _described(table, names)]
        self._open(table.name).alter.add_columns(self._deltalake.Schema.from_arrow(pa.schema(fields)).fields)

    def mark(self, table: str, project: str) -> str | None:
        for commit in self._open(table).history():  # the newest first
            if commit.get(_WRITTEN) == project:
                return str(commit[_MARK])
            if _WRITTEN not in commit and commit.get("operation") not in _UPKEEP:
                return None
        return None

    def read(self, table: str, project: str | None, columns: Sequence[str]) -> pa.Table:
        where = None if project is None else [(PROJECT, "=", project)]
        return self._open(table).to_pyarrow_table(columns=list(columns), filters=where)

    def replace(self, table: str, project: str, rows: pa.RecordBatchReader, mark: str) -> None:
        where = f"{quoted(PROJECT)} = {literal(project)}"
        self._write(table, rows, {_WRITTEN: project, _MARK: mark}, mode="overwrite", predicate=where)

    def append(self, table: str, rows: pa.Table) -> None:
        self._write(table, rows, {}, mode="append")

    def _write(self, table: str, rows: Any, metadata: dict[str, str], **how: str) -> None:
        commit = self._deltalake.CommitProperties(custom_metadata=metadata)
        packed = self._deltalake.WriterProperties(compression="ZSTD")
        self._deltalake.write_deltalake(
            self._open(table), rows, commit_properties=commit, writer_properties=packed, **how
        )

    def _open(self, table: str) -> Any:
        return self._deltalake.DeltaTable(str(self._folder / table))


def _described(table: Table, names: Sequence[str]) -> list[pa.Field]:
    """Columns of a table with their meaning; the project's says whose the table is."""
    fields = []
    for name in names:
        metadata = {"comment": meaning(table[name])}
        if name == PROJECT:
            metadata[_OURS] = table.name
        fields.append(schema(table).field(name).with_metadata(metadata))
    return fields
