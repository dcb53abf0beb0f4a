"""Reads the elements of a list, such as files, as rows of a table by its contract, as the slow road reads jobs.

One element at a time: such lists are short beside the events of jobs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ftetl.arrays import one
from ftetl.contract import Table
from ftetl.raw import index, secret_masking, strict_json
from ftetl.raw.findings import Anomaly, QuarantinedElement
from ftetl.raw.response import Response
from ftetl.transform.decode import extra_keys, python_reader
from ftetl.transform.decode.source_schema import endpoint_arrow_schema, endpoint_schema
from ftetl.transform.flatten.columns import Rows
from ftetl.transform.flatten.tables import flat_columns


@dataclass
class Elements:
    """Elements of one table that can be rows, and what is odd about them; `ids` are their groups."""

    table: Table
    ids: list[str] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    quarantined: list[QuarantinedElement] = field(default_factory=list)
    _values: list[dict[str, Any]] = field(default_factory=list)
    _extra: list[str | None] = field(default_factory=list)

    def add_list(self, response: Response) -> None:
        """Add the elements of the list in a response, each of which has an `id`.

        Raises:
            DataError: It has no list, or one that is not complete.
        """
        scan = index.scan_elements(response)
        first: dict[str, bytes] = {}
        for refused in scan.refused:
            raw = response.blob.read(refused.offset, refused.length)
            self._quarantine(raw, refused.rule, response, refused.position)
        for group, offset, length, position in zip(scan.ids, scan.offsets, scan.lengths, scan.positions, strict=True):
            raw = response.blob.read(offset, length)
            try:
                value = strict_json.parse(raw)
            except strict_json.RefusedError as refusal:
                self._quarantine(raw, refusal.rule, response, position)
                continue
            if group not in first:
                first[group] = raw
                self.add(group, value)
            elif _canonical(strict_json.parse(first[group])) == _canonical(value):
                self.anomalies.append(Anomaly(group, "id", "duplicate_identical", None))
            else:  # which of the two is right, nothing tells
                self._quarantine(raw, "older_copy", response, position)

    def add(self, group: str, value: dict[str, Any]) -> None:
        """Add one parsed element of this group."""

        def add_anomaly(path: str, kind: str, raw: str | None, position: int) -> None:
            self.anomalies.append(Anomaly(group, path, kind, raw, position))

        for path, position in strict_json.repeated_keys(value):
            add_anomaly(strict_json.replace_surrogates(path), "repeated_key", None, position)
        schema = endpoint_schema(self.table.name)
        self._values.append(python_reader.read_object(schema, value, add_anomaly))
        unknown = python_reader.clean_json(extra_keys.unknown_keys(schema, value), add_anomaly)
        self._extra.append(strict_json.compact_json(unknown) if unknown else None)
        self.ids.append(group)

    def columns(self) -> dict[str, pa.Array]:
        """The columns of the contract by name, without its computed ones."""
        nested = pa.Table.from_pylist(self._values, schema=endpoint_arrow_schema(self.table.name))
        values = {name: one(nested.column(name)) for name in nested.column_names}
        ids, extra = pa.array(self.ids, pa.string()), pa.array(self._extra, pa.string())
        return flat_columns(self.table, Rows(values, values, ids, extra=extra), self.anomalies)

    def _quarantine(self, raw: bytes, rule: str, response: Response, position: int) -> None:
        masked = secret_masking.mask_secrets(raw)
        element = QuarantinedElement(masked, rule, None, response.name, position, response.observed_at)
        self.quarantined.append(element)


def _canonical(value: dict[str, Any]) -> str:
    return strict_json.compact_json(value, canonical=True)
