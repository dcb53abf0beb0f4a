"""Makes the tables of saved responses with Spark: index the files, bring the copies of each job together, build."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812 - as Spark's own documentation has it

from ftetl.config.settings import Settings
from ftetl.contract import tables as contracts
from ftetl.errors import UsageError
from ftetl.formatting import did_you_mean
from ftetl.pipeline.partitioned import elements
from ftetl.pipeline.partitioned.build_part import build_part
from ftetl.pipeline.partitioned.index_file import FileToIndex, index_file
from ftetl.spark.facts import facts_of_parts, found_elements
from ftetl.spark.links import with_links
from ftetl.spark.saved_files import Paths, find_files
from ftetl.spark.schemas import PROJECT, TABLE, of_jobs, spark_schema, table_schema, united, united_spark_schema
from ftetl.spark.task_errors import carried_errors
from ftetl.transform.merge import quarantine

PART_BYTES: Final = 128 << 20  # of raw JSON that become one part; a task needs about five times as much memory
INDEX_TASKS: Final = 1_000  # at most
SETTINGS: Final = (
    *("project", "observed_at", "skip_broken", "allow_drift", "max_bytes", "events"),
    *("billing_account", "billing_account_name"),
)
_FILES = "project string, number bigint, path string, several boolean, stamp string"
_Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True, eq=False)
class SparkTables(Mapping[str, DataFrame]):
    """The tables by name, each a DataFrame with the columns of its contract.

    Every column may be null for Spark, required ones too. The rows lie on the disks of the executors until `close`;
    after it a DataFrame is of no use. `with` closes as well.
    """

    frames: Mapping[str, DataFrame] = field(repr=False)
    elements: int  # in the saved responses
    rows: Mapping[str, int]  # by table
    skipped: tuple[str, ...]  # what is wrong with each response that was left out
    _built: DataFrame = field(repr=False)
    _index: DataFrame = field(repr=False)

    def __getitem__(self, name: str) -> DataFrame:
        return self.frames[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.frames)

    def __len__(self) -> int:
        return len(self.frames)

    def with_project(self, name: str) -> DataFrame:
        """A table with the column `project` also where its contract has none, as that of `focus_costs`."""
        if PROJECT in contracts()[name].names or name not in of_jobs():
            return self.frames[name]
        return self._built.where(F.col(TABLE) == name).select(PROJECT, f"{name}.*")

    def close(self) -> None:
        """Free the disks of the executors; safe to call twice."""
        self._built.unpersist()
        self._index.unpersist()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def tables(
    spark: SparkSession,
    paths: Paths | Mapping[str, Paths],
    *,
    carry_bytes: bool = False,
    part_bytes: int = PART_BYTES,
    **settings: Any,
) -> SparkTables:
    """The tables of saved responses, as an export of them into an empty target makes them.

    The work is done in this call: every file is read, every table built, checked against its contract and kept on the
    executors' disks, and everything that was received is accounted for.

    Args:
        spark: The session.
        paths: A file or folder as `ftetl export --from` takes it, or several of them; or, for several projects, a
            mapping from each project's label to these. Every machine must see the files under the same path.
        carry_bytes: Read every file once, from its start to its end, and send the jobs through Spark's shuffle. Else
            only their places go there, and each task reads its jobs from the files: less to send, but many reads at
            many places, which disks are good at and object stores behind a file system are not.
        part_bytes: How much raw JSON one task builds tables from.
        settings: `project`, `observed_at`, `skip_broken`, `allow_drift`, `max_bytes`, `events`, `billing_account` and
            `billing_account_name`, as for `ftetl.export`.

    Raises:
        DataError: A response is broken, or the responses have another form than the tables expect.
        UsageError: An argument is wrong.
        SoftwareError: A bug of ftetl.
    """
    chosen = _settings(settings)
    if part_bytes < 1:
        raise UsageError("P02", "part_bytes is less than 1", next="give a number of bytes")
    files = find_files(paths, chosen.label)
    index = _index(spark, files, chosen, carry=carry_bytes)
    index.persist(StorageLevel.DISK_ONLY)
    kept = [index]
    try:
        found = found_elements(index)
        parts = max(1, -(-found.bytes // part_bytes))
        # The errors as well: there are none now, but Spark may have to read a file again later.
        good = index.where(F.col("key").isNotNull() | F.col("error").isNotNull())
        good = good.repartitionByRange(parts, PROJECT, "key") if parts > 1 else good.coalesce(1)
        built = good.mapInArrow(_builder(chosen), united_spark_schema())
        built.persist(StorageLevel.DISK_ONLY)
        kept.append(built)
        facts = facts_of_parts(built)
        facts.require_no_error(found.elements, allow_drift=chosen.allow_drift)
        frames = _frames(spark, built, restarted=facts.restarted)
        rows = {name: facts.rows.get(name, 0) for name in contracts()}
        rows["quarantine"] = frames["quarantine"].count() if rows["quarantine"] else 0
    except BaseException:
        for frame in kept:
            frame.unpersist()
        raise
    return SparkTables(frames, found.elements, rows, found.skipped, built, index)


def _settings(given: dict[str, Any]) -> Settings:
    unknown = sorted(set(given) - set(SETTINGS))
    if unknown:
        advice = did_you_mean(unknown[0], SETTINGS, f"choose one of: {', '.join(SETTINGS)}")
        raise UsageError("P03", f"there is no setting {unknown[0]!r} for Spark", next=advice)
    # Without the environment, in which the key is: the settings go to every machine.
    return Settings.from_options("unused", "unused", {**given, "environ": {}})


def _index(spark: SparkSession, files: list[FileToIndex], settings: Settings, *, carry: bool) -> DataFrame:
    # The largest first, and dealt out in turn, so that no task has all large ones.
    by_size = sorted(files, key=lambda file: -int(file.stamp.partition(":")[0]))
    rows = [astuple(file) for file in by_size]
    frame = spark.createDataFrame(rows, _FILES).coalesce(1).repartition(min(len(files), INDEX_TASKS))

    def index(batches: _Batches) -> _Batches:
        for batch in batches:
            for row in batch.to_pylist():
                yield from index_file(FileToIndex(**row), settings, _scratch(), carry=carry)

    return frame.mapInArrow(index, spark_schema(elements.SCHEMA))


def _scratch() -> Path | None:
    """Where Spark has its temporary files on this machine."""
    folder = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0]
    return Path(folder) if folder else None


def _builder(settings: Settings) -> Callable[[_Batches], _Batches]:
    def build(batches: _Batches) -> _Batches:
        with carried_errors():
            for rows in build_part(batches, settings, _scratch()):
                yield from united(rows)

    return build


def _frames(spark: SparkSession, built: DataFrame, *, restarted: int) -> dict[str, DataFrame]:
    frames = {name: spark.createDataFrame([], table_schema(name)) for name in contracts()}
    for name in of_jobs():
        frames[name] = built.where(F.col(TABLE) == name).select(f"{name}.*")
    if restarted:
        frames["jobs"] = with_links(frames["jobs"], frames["events"])
    frames["quarantine"] = _first_of_each(frames["quarantine"])
    return frames


def _first_of_each(rows: DataFrame) -> DataFrame:
    """Of elements with the same bytes, which may be in several parts, the one that was seen first."""
    first = Window.partitionBy(PROJECT, "raw_sha256").orderBy(*quarantine.ORDER.values())
    return rows.withColumn("number", F.row_number().over(first)).where("number = 1").drop("number")
