"""The tables of other endpoints in a run: their responses are read and merged into the stored rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.arrays import one
from ftetl.contract import Table, tables
from ftetl.extract.endpoints import Endpoint, EndpointAnswers
from ftetl.formatting import pluralize
from ftetl.loading.table_writers import RowWriter
from ftetl.raw.findings import QuarantinedElement
from ftetl.snapshot.table_reader import TableReader
from ftetl.transform.endpoints import merge, reader


@dataclass
class EndpointTables:
    """The next rows of these tables; those of one without a response are read when they are taken."""

    stored: TableReader
    anomalies: pa.Table
    quarantined: list[QuarantinedElement] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)  # such as a line for each response that is not usable
    _merged: dict[str, pa.Table] = field(default_factory=dict)

    def batches(self, name: str) -> Iterator[pa.Table]:
        """The rows of a table, in key order."""
        if name in self._merged:
            yield self._merged[name]
        else:
            yield from self.stored.read_row_groups(name)

    def write(self, writers: RowWriter) -> None:
        """Write all of them."""
        for name in names():
            for rows in self.batches(name):
                writers.write_rows(name, rows)
        writers.write_rows(merge.ANOMALIES, self.anomalies)

    def table(self, name: str) -> pa.Table:
        """All rows of a table."""
        return self._merged[name] if name in self._merged else self.stored.read_table(name)


def names() -> list[str]:
    """The tables of other endpoints."""
    return [name for name, table in tables().items() if table.endpoint]


def merge_answers(stored: TableReader, answers: EndpointAnswers, project: str) -> EndpointTables:
    """The tables after the answers of a run; answers that are not usable are counted as failed."""
    stored_anomalies = stored.read_table(merge.ANOMALIES)
    result = EndpointTables(stored, stored_anomalies)
    anomalies = []
    for name in names():
        endpoint = Endpoint(tables()[name].endpoint)
        received = answers.of(endpoint)
        if not received:
            anomalies.append(stored_anomalies.filter(pc.equal(stored_anomalies.column("table_name"), name)))
            continue
        new = reader(name).read(received, project)
        answers.refuse(endpoint, new.refused)
        stored_rows = stored.read_table(name)
        merged = merge.merge(tables()[name], stored_rows, stored_anomalies, new, project)
        result._merged[name] = merged.rows
        anomalies.append(merged.anomalies)
        result.quarantined += new.quarantined
        result.warnings += [f"{why}; the rows of {name} stay as they were" for why in new.refused.values()]
        result.warnings += [*new.warnings, *_emptied(tables()[name], stored_rows, merged.rows)]
        if new.whole and not new.rows.num_rows:
            result.warnings += _none_present(name, stored_rows)
    result.anomalies = merge.sorted_anomalies(anomalies)
    return result


def _emptied(table: Table, stored: pa.Table, rows: pa.Table) -> Iterator[str]:
    """A line if groups have lost all their rows: such as a month whose bill came without line items."""
    groups = stored.column(table.group)
    gone = groups.filter(pc.invert(pc.is_in(groups, value_set=one(pc.unique(rows.column(table.group))))))
    if not len(gone):
        return
    first, *others = pc.unique(gone).to_pylist()
    whose = f"{first} and {len(others):,} more" if others else first
    what = f"{pluralize(len(gone), 'row')} of {table.name} are gone, all of {whose}"
    yield f"{what}: the newest response has none; the versions before have them"


def _none_present(name: str, stored: pa.Table) -> Iterator[str]:
    """A line if an empty list makes all rows missing that were present: they may be gone, or the list wrong."""
    present = pc.sum(stored.column("present")).as_py()
    if present:
        yield f"the list of {name} is empty: {pluralize(present, 'row')} became `present` = false"
