"""What is loaded into a destination: one committed version of a target, whose files are as they were written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from ftetl.contract import Column, Table, tables
from ftetl.contract.arrow_schema import schema
from ftetl.errors import FtetlError, StorageError
from ftetl.loading import formats
from ftetl.snapshot.snapshot import Snapshot
from ftetl.snapshot.table_reader import open_tables, table_file
from ftetl.store.integrity import find_damage
from ftetl.store.manifest import load_manifest

PROJECT = "project"
_PROJECT = Column(
    PROJECT, "string", "The label of the project, which ftetl adds to this table when it loads it.", required=True
)


class LoadSource:
    """The tables of one version, with a column `project` and the project in the key of each.

    Raises:
        StorageError: A file of it is damaged.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        manifest = snapshot.manifest
        read = replace(manifest, files=tuple(f for f in manifest.files if formats.is_read_back(f.name)))
        snapshot.fetch(file.name for file in read.files)
        if damage := find_damage(snapshot.root, read):
            what = f"version {manifest.version} of {snapshot.target} is damaged: {damage[0]}"
            raise StorageError("S13", what, next="restore the file, or make the tables again with `ftetl rebuild`")
        self.target = snapshot.target
        self.project = snapshot.project
        self.version = snapshot.version
        self.run_id = snapshot.run_id
        self.committed_at = snapshot.committed_at
        self.identity: Mapping[str, str | None] = manifest.facts["identity"]
        self.rows: Mapping[str, int] = {name: snapshot.rows.get(name, 0) for name in tables()}
        self._root, self._folder = snapshot.root, snapshot.folder
        self._reader = open_tables(snapshot.root, manifest, snapshot.fetch)
        self._sha256 = {file.name: file.sha256 for file in manifest.files}

    def contract(self, name: str) -> Table:
        """The contract of a table, with the project in its key: tables of several projects stand side by side."""
        return with_project(tables()[name])

    def made(self, version: int, run_id: str) -> bool | None:
        """Whether a version of this number in this target is by this run; None where the target no longer has it."""
        try:
            return load_manifest(self._root, version).run_id == run_id
        except FtetlError:
            return None

    def digest(self, name: str) -> str:
        """A text that is equal for equal rows of a table under the same contract."""
        file = self._sha256.get(f"{name}.{formats.REFERENCE}", "no file")
        return f"{file} {self.contract(name).fingerprint}"

    def parquet_file(self, name: str) -> Path | None:
        """The file of a table, which may have older columns than `read`; None where the version has none."""
        file = table_file(self._folder, name)
        return file if file.name in self._sha256 else None

    def read(self, name: str) -> Iterator[pa.Table]:
        """The rows of a table in parts that fit into memory, with the columns of `contract(name)` in their order.

        Raises:
            StorageError: The file cannot be read.
        """
        wanted = schema(self.contract(name))
        for part in self._reader.read_row_groups(name):
            if PROJECT not in part.schema.names:
                part = part.add_column(0, wanted.field(PROJECT), pa.repeat(pa.scalar(self.project), len(part)))
            yield part


def with_project(table: Table) -> Table:
    """A contract whose key has the project, in a column that is added in front if it has none."""
    columns = table.columns if PROJECT in table.names else (_PROJECT, *table.columns)
    key = table.key if PROJECT in table.key else (PROJECT, *table.key)
    return replace(table, columns=columns, key=key)
