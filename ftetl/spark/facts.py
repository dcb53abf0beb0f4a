"""What is to be known of all elements and of all parts before a table is handed out: one job of Spark for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - as Spark's own documentation has it

from ftetl.config import settings
from ftetl.errors import DataError, SoftwareError
from ftetl.pipeline import drift_guard
from ftetl.pipeline.partitioned import elements
from ftetl.pipeline.partitioned.part_notes import PartNotes, common_drift
from ftetl.spark.schemas import NOTES, PROJECT, TABLE
from ftetl.spark.task_errors import arrived_errors
from ftetl.transform.derive.restart_links import RESTARTED


@dataclass(frozen=True)
class FoundElements:
    """What the index says."""

    elements: int
    bytes: int
    skipped: tuple[str, ...]  # what is wrong with each response that was left out


def found_elements(index: DataFrame) -> FoundElements:
    """The sums of an index of elements.

    Raises:
        FtetlError: Of the first file that has an error.
        DataError: All files were left out.
    """
    wrong = F.struct(PROJECT, "file", "error", "skipped")
    is_wrong = F.col("error").isNotNull() | F.col("skipped").isNotNull()
    size = F.coalesce(F.col("length"), F.length("raw"))
    sums = (F.count("key"), F.sum(size), F.count(F.when(~is_wrong, 1)), F.collect_list(F.when(is_wrong, wrong)))
    [(count, total, usable, found)] = index.agg(*sums).collect()
    found = sorted(found, key=lambda line: (line[PROJECT], line["file"]))
    if failed := next((line["error"] for line in found if line["error"]), None):
        raise elements.error_from(failed)
    labels = ("" if line[PROJECT] == settings.PROJECT else f"{line[PROJECT]}: " for line in found)
    skipped = tuple(label + line["skipped"] for label, line in zip(labels, found, strict=True))
    if skipped and not usable:
        raise DataError("F11", f"no response is left: {skipped[0]}", next="save the responses again")
    return FoundElements(count, total or 0, skipped)


@dataclass(frozen=True)
class FactsOfParts:
    """What all parts say."""

    rows: Mapping[str, int]  # by table
    restarted: int  # events of restarts
    notes: Sequence[tuple[str, PartNotes]]  # each with its project

    def require_no_error(self, received: int, *, allow_drift: bool) -> None:
        """Check that nothing was lost on the way, and that there is no drift.

        Raises:
            SoftwareError: Of the `received` elements some are in no part.
            DataError: The responses of a project have another form than the tables expect.
        """
        accounted = sum(note.elements for _, note in self.notes)
        if accounted != received:
            what = f"of {received} elements received, {accounted} are accounted for"
            raise SoftwareError("V13", what, next="please report this as a bug of ftetl")
        if not allow_drift:
            for _, of_project in groupby(self.notes, key=lambda pair: pair[0]):
                drift_guard.require_no_drift(common_drift(note for _, note in of_project))


def facts_of_parts(built: DataFrame) -> FactsOfParts:
    """The facts of parts that were built, which are built by this.

    Raises:
        FtetlError: A task had one.
    """
    is_restart = F.when(F.col("events.type") == RESTARTED, 1)
    notes = F.collect_list(F.when(F.col(NOTES).isNotNull(), F.struct(PROJECT, NOTES)))
    groups = built.groupBy(TABLE).agg(
        F.count("*").alias("rows"), F.count(is_restart).alias("restarts"), notes.alias(NOTES)
    )
    with arrived_errors():
        lines = groups.collect()
    texts = sorted((note[PROJECT], note[NOTES]) for line in lines for note in line[NOTES])
    return FactsOfParts(
        {line[TABLE]: line["rows"] for line in lines if line[TABLE]},
        sum(line["restarts"] for line in lines),
        [(project, PartNotes.from_text(text)) for project, text in texts],
    )
