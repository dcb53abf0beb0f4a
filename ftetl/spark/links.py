"""Which job took the place of a restarted one, where the two may be in different parts: by `transform`'s own rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - as Spark's own documentation has it

from ftetl.spark.schemas import PROJECT, spark_schema, table_schema
from ftetl.transform.derive import restart_links

_EVENTS, _JOBS = restart_links.EVENT_COLUMNS, restart_links.JOB_COLUMNS
_LINKS = pa.schema([(name, pa.string()) for name in (PROJECT, "job_id", *restart_links.COLUMNS)])
_MENTIONED = pa.schema([(PROJECT, pa.string()), ("job_id", pa.string())])


def with_links(jobs: DataFrame, events: DataFrame) -> DataFrame:
    """The rows of `jobs` with the columns of the links; `jobs` and `events` are whole tables."""
    needed = events.where(F.col("type").isin(*restart_links.EVENT_TYPES)).select(PROJECT, "position", *_EVENTS)
    restarted = needed.where(F.col("type") == restart_links.RESTARTED).select(PROJECT, "job_id").distinct()
    # Of the jobs only those that may be linked to: every other one would have to fit into one machine's memory.
    keys = jobs.select(PROJECT, *_JOBS)
    same = [F.coalesce(F.col(name), F.lit("")).alias(f"same_{name}") for name in restart_links.SAME]
    wanted = keys.join(restarted, [PROJECT, "job_id"], "left_semi").select(PROJECT, *same).distinct()
    on = [PROJECT, *(f"same_{name}" for name in restart_links.SAME)]
    alike = keys.select("*", *same).join(wanted, on, "left_semi").select(*keys.columns)
    mentioned = needed.select(PROJECT, "message").mapInArrow(_mentioned, spark_schema(_MENTIONED)).distinct()
    candidates = alike.union(keys.join(mentioned, [PROJECT, "job_id"], "left_semi")).distinct()
    both = needed.unionByName(candidates, allowMissingColumns=True)
    links = both.repartition(F.col(PROJECT)).mapInArrow(_links, spark_schema(_LINKS))
    columns = [F.col(f.name).alias(f.name, metadata=f.metadata) for f in table_schema("jobs")]
    return jobs.drop(*restart_links.COLUMNS).join(links, [PROJECT, "job_id"], "left").select(*columns)


def _mentioned(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        rows = pa.Table.from_batches([batch])
        for project in set(rows.column(PROJECT).to_pylist()):
            messages = rows.filter(pc.equal(rows.column(PROJECT), project)).column("message")
            ids = restart_links.mentioned_ids(messages)
            yield from pa.table(
                [pa.repeat(project, len(ids)), pa.array(ids, pa.string())], schema=_MENTIONED
            ).to_batches()


def _links(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The links of each project, of which all rows are here: events, which have a type, and jobs, which have none."""
    found = list(batches)
    if not found:
        return
    rows = pa.Table.from_batches(found).sort_by([("job_id", "ascending"), ("position", "ascending")])
    for project in pc.unique(rows.column(PROJECT)).to_pylist():
        of_project = rows.filter(pc.equal(rows.column(PROJECT), project))
        is_event = pc.is_valid(of_project.column("position"))
        links = restart_links.find_links(
            of_project.filter(is_event).select(_EVENTS), of_project.filter(pc.invert(is_event)).select(_JOBS)
        )
        columns = [[project] * len(links), list(links), *([link[n] for link in links.values()] for n in (0, 1))]
        yield from pa.table([pa.array(c, pa.string()) for c in columns], schema=_LINKS).to_batches()
