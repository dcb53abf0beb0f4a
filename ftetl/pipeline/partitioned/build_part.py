"""Builds the tables of some jobs, of which all elements are at hand, as an export into an empty target does.

An export does so for all jobs at once; here these are divided, with all copies of a job in one part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from tempfile import gettempdir

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import group_starts, one
from ftetl.config.settings import Settings
from ftetl.extract.endpoints import EndpointAnswers
from ftetl.extract.extract import Extraction
from ftetl.pipeline import endpoint_tables
from ftetl.pipeline.build_tables import Inputs, build_tables
from ftetl.pipeline.partitioned import elements
from ftetl.pipeline.partitioned.element_bytes import ElementBytes, require_unchanged
from ftetl.pipeline.partitioned.part_notes import PartNotes
from ftetl.pipeline.partitioned.scratch_tables import ScratchTables
from ftetl.pipeline.progress import Progress
from ftetl.raw.element import Scan
from ftetl.raw.findings import QuarantinedElement
from ftetl.raw.response import Response
from ftetl.raw.spool import Spool
from ftetl.snapshot.table_reader import TableReader
from ftetl.transform import deduplicate
from ftetl.transform.merge.merger import Merge
from ftetl.transform.merge.run_context import RunContext

_OF_JOB = ("key", "position", "offset", "length", "irregular")
_ORDER = ("project", "file", "part", "position")


@dataclass(frozen=True)
class BuiltRows:
    """Rows of one table of a project; or, without a table, what is to be told of the part."""

    project: str
    table: str | None
    rows: pa.Table | None = None
    notes: PartNotes | None = None


def build_part(batches: Iterable[pa.RecordBatch], settings: Settings, scratch: Path | None) -> Iterator[BuiltRows]:
    """The rows of every table that is read from jobs, project after project, and notes on each; checked before.

    Args:
        batches: Rows of the index of elements, in any order; every copy of a job that is in them.
        settings: Of the run; the project is that of the rows.
        scratch: A folder for temporary files; without one, where the system has its own.

    Raises:
        FtetlError: A row of the index is an error; or a file cannot be read any more, or was changed.
    """
    with ExitStack() as stack:
        spool = stack.enter_context(Spool(lambda: scratch or Path(gettempdir())))
        for project, found in _read_index(batches, ElementBytes(spool)).items():
            with ScratchTables(scratch) as tables:
                notes = _build_project(found, replace(settings, project=project), tables)
                for name in tables.rows:
                    for rows in tables.read_row_groups(name):
                        yield BuiltRows(project, name, rows)
            yield BuiltRows(project, None, notes=notes)


@dataclass
class _Found:
    """What the index has of one project."""

    responses: list[Response] = field(default_factory=list)
    scans: list[Scan] = field(default_factory=list)
    refused: list[QuarantinedElement] = field(default_factory=list)
    stamps: dict[str, tuple[str, str]] = field(default_factory=dict)  # by path of a file that is read again


def _build_project(found: _Found, settings: Settings, tables: ScratchTables) -> PartNotes:
    _require_unchanged(found)
    plan = deduplicate.resolve_duplicates(found.responses, found.scans)
    plan.quarantined += found.refused
    extraction = Extraction(found.responses, scans=[*found.scans, Scan(received=len(found.refused))])
    nothing = TableReader(None)
    others = endpoint_tables.merge_answers(nothing, EndpointAnswers(), settings.label)
    merge = Merge(nothing, RunContext(settings.label))
    built = build_tables(tables, Inputs(settings, extraction, plan, others), merge, Progress())
    _require_unchanged(found)
    tables.validate()
    return PartNotes.of(built.column_drift, extraction.elements, plan.identical)


def _require_unchanged(found: _Found) -> None:
    for path, (stamp, name) in found.stamps.items():
        require_unchanged(path, stamp, name)


def _read_index(batches: Iterable[pa.RecordBatch], kept: ElementBytes) -> dict[str, _Found]:
    """By project its responses with the jobs that the index has of them, and the refused elements.

    Raises:
        FtetlError: A row is an error.
    """
    found: dict[str, _Found] = {}
    jobs = []
    for batch in batches:
        rows = pa.Table.from_batches([batch]).cast(elements.SCHEMA)
        for error in rows.column("error").drop_null():
            raise elements.error_from(error.as_py())
        is_job = pc.is_null(rows.column("rule"))
        for row in rows.filter(pc.invert(is_job)).to_pylist():
            found.setdefault(row["project"], _Found()).refused.append(_refused(row))
        jobs.append(_with_kept_bytes(rows.filter(is_job), kept))
    if not jobs:
        return found
    whole = pa.concat_tables(jobs)
    whole = whole.take(pc.sort_indices(whole, [(name, "ascending") for name in _ORDER])).combine_chunks()
    starts = group_starts(*(one(whole.column(name)) for name in ("project", "file", "part")))
    edges = [*pc.indices_nonzero(starts).to_pylist(), whole.num_rows]
    for start, end in pairwise(edges):
        _add_response(whole.slice(start, end - start), kept, found)
    return {project: found[project] for project in sorted(found)}


def _with_kept_bytes(jobs: pa.Table, kept: ElementBytes) -> pa.Table:
    """The jobs without their bytes; where a job came with them, its offset is that of the kept ones."""
    raws = one(jobs.column("raw"))
    offsets = [None if raw is None else kept.keep(raw) for raw in (scalar.as_py() for scalar in raws)]
    carried = pa.array(offsets, pa.int64())
    in_file = pc.is_null(carried)
    jobs = jobs.select([*elements.OF_RESPONSE, *_OF_JOB]).append_column("in_file", in_file)
    at = jobs.schema.get_field_index("offset")
    return jobs.set_column(at, "offset", pc.coalesce(carried, jobs.column("offset")))


def _add_response(rows: pa.Table, kept: ElementBytes, found: dict[str, _Found]) -> None:
    facts = {name: rows.column(name)[0].as_py() for name in elements.OF_RESPONSE}
    of_project = found.setdefault(facts["project"], _Found())
    ids, positions, offsets, lengths, irregular = (rows.column(name).to_pylist() for name in _OF_JOB)
    scan = Scan(ids, offsets, lengths, positions, received=len(ids))
    scan.irregular = {place for place, is_irregular in enumerate(irregular) if is_irregular}
    path = facts["path"]
    if pc.any(rows.column("in_file")).as_py():
        of_project.stamps.setdefault(path, (facts["stamp"], facts["name"]))
    of_project.scans.append(scan)
    of_project.responses.append(
        Response(facts["name"], kept.blob(path), facts["observed_at"], path=Path(path), detail=facts["detail"])
    )


def _refused(row: dict[str, object]) -> QuarantinedElement:
    names = ("raw", "rule", "job_id", "name", "position", "observed_at")
    return QuarantinedElement(*(row[name] for name in names))  # type: ignore[arg-type]
