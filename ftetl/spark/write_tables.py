"""Writes the tables as Parquet with Spark: all of them, or nothing that could be taken for all of them."""

from __future__ import annotations

import json
from typing import Any, Final

from pyspark.sql import DataFrame, SparkSession

from ftetl.contract import tables as contracts
from ftetl.errors import StorageError, TargetError, UsageError
from ftetl.spark.make_tables import SparkTables
from ftetl.spark.schemas import PROJECT

MARKER: Final = "_ftetl.json"  # written last; Spark's readers leave out names that begin with `_`
# Spark's default is INT96, which other readers take for a time without a zone, or not at all.
_TIMESTAMPS: Final = "spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS"


def write(tables: SparkTables, out: str, *, by_project: bool = False) -> None:
    """Write every table to the folder `OUT/TABLE`, and at last `OUT/_ftetl.json` with the numbers of rows.

    Args:
        tables: The tables.
        out: A folder that does not exist or is empty, as Spark writes it: `/data/out`, `hdfs://...`, `s3a://...`.
        by_project: Divide each table into folders `project=LABEL`. The column `project` is then in their names only,
            and readers guess its type: with Spark, `spark.sql.sources.partitionColumnTypeInference.enabled=false`
            keeps it a text.

    Raises:
        StorageError: A table cannot be written, or does not read back with all rows; nothing is left of it.
        TargetError: The folder is in use.
    """
    spark = tables["jobs"].sparkSession
    folder = _Folder(spark, out)
    existed = folder.require_empty()
    before = spark.conf.get(_TIMESTAMPS[0])
    spark.conf.set(*_TIMESTAMPS)
    try:
        for name in contracts():
            _write_table(tables, name, f"{out.rstrip('/')}/{name}", by_project=by_project)
            _require_rows(spark.read.parquet(f"{out.rstrip('/')}/{name}"), name, tables.rows[name])
        folder.write(MARKER, json.dumps(_marker(tables), indent=2))
    except BaseException:
        folder.remove(keep=existed)
        raise
    finally:
        spark.conf.set(_TIMESTAMPS[0], before)


def _write_table(tables: SparkTables, name: str, folder: str, *, by_project: bool) -> None:
    if by_project and tables.rows[name]:
        tables.with_project(name).write.partitionBy(PROJECT).parquet(folder)
    else:
        tables[name].write.parquet(folder)  # of a table without rows this is a file with its columns


def _require_rows(written: DataFrame, name: str, rows: int) -> None:
    if (found := written.count()) != rows:
        what = f"table {name} has {found:,} rows on disk, {rows:,} were written"
        raise StorageError("S08", what, next="nothing was kept; check the disk, then run again")


def _marker(tables: SparkTables) -> dict[str, Any]:
    fingerprints = {name: table.fingerprint for name, table in contracts().items()}
    facts = {"elements": tables.elements, "rows": dict(tables.rows), "skipped": list(tables.skipped)}
    return {**facts, "contracts": fingerprints}


class _Folder:
    """A folder on any file system that Hadoop knows."""

    def __init__(self, spark: SparkSession, out: str) -> None:
        jvm = getattr(spark, "_jvm", None)
        if jvm is None:
            what = "a session of Spark Connect cannot write all tables at once"
            raise UsageError("P02", what, next='write each one: tables["jobs"].write.parquet(...)')
        self._name, self._jvm, configuration = out, jvm, spark._jsc.hadoopConfiguration()
        self._path = jvm.org.apache.hadoop.fs.Path(out)
        self._files = self._path.getFileSystem(configuration)

    def require_empty(self) -> bool:
        """Whether the folder exists; then it is empty.

        Raises:
            TargetError: It is not.
        """
        if not self._files.exists(self._path):
            return False
        if not self._files.getFileStatus(self._path).isDirectory() or len(self._files.listStatus(self._path)):
            raise TargetError("S16", f"{self._name} is not an empty folder", next="name a new folder")
        return True

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        stream = self._files.create(self._jvm.org.apache.hadoop.fs.Path(self._path, name))
        try:
            stream.write(bytearray(text.encode()))
        finally:
            stream.close()

    def remove(self, *, keep: bool) -> None:
        """Remove what is in the folder, and the folder itself unless it is to be kept."""
        for status in self._files.listStatus(self._path) if self._files.exists(self._path) else []:
            self._files.delete(status.getPath(), True)
        if not keep:
            self._files.delete(self._path, True)
