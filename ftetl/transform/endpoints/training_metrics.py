"""The table `training_metrics`: the entries of `GET /fine-tunes/{id}/metrics` as one row a metric."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.contract import tables
from ftetl.contract.arrow_schema import TYPES, empty, schema
from ftetl.raw import paging, strict_json
from ftetl.raw.findings import Anomaly, QuarantinedElement
from ftetl.raw.response import Response
from ftetl.raw.secret_masking import mask_secrets
from ftetl.transform.endpoints import Answers, EndpointRows, metrics_arrow, metrics_python
from ftetl.transform.endpoints.metric_entries import PREFIX, TABLE, Entries, Refused
from ftetl.transform.flatten.columns import AnomalyCollector, Rows, flat_column


def read(answers: Answers, project: str) -> EndpointRows:
    """The rows of the responses of these jobs, in the order of the key.

    A response without a list of metrics goes to the quarantine whole, and replaces no rows; so does an entry that is no
    clean object, alone.
    """
    result = EndpointRows(empty(tables()[TABLE]))
    parts = [result.rows]
    for job_id, response in sorted(answers, key=lambda answer: answer[0]):
        body = response.blob.read(0, response.blob.size)
        try:
            bare = body.removeprefix(codecs.BOM_UTF8).strip(b" \t\r\n")
            entries = metrics_arrow.read_entries(bare) or metrics_python.read_entries(bare, job_id)
        except metrics_python.UnusableError as error:
            result.refused[job_id] = f"{response.name} has no list of metrics ({error.rule})"
            result.quarantined.append(_quarantined((0, body, error.rule), job_id, response))
            continue
        result.replaced.append(job_id)
        result.anomalies += entries.anomalies
        parts.append(_rows(entries, project, job_id, response, result.anomalies))
        result.anomalies += _of_whole(entries, job_id)
        result.quarantined += [_quarantined(refused, job_id, response) for refused in entries.refused]
    result.rows = pa.concat_tables(parts).combine_chunks()
    return result


def _rows(entries: Entries, project: str, job_id: str, response: Response, anomalies: list[Anomaly]) -> pa.Table:
    """The rows of one job; what is odd about its steps, epochs and times is added to `anomalies`."""
    rows = Rows(entries.fields, {}, pa.repeat(job_id, entries.count), PREFIX)
    collector = AnomalyCollector(rows, anomalies)
    names = [column for column in tables()[TABLE].columns if column.sources]
    by_entry = {column.name: flat_column(column, rows, collector) for column in names}
    by_entry["logged_at"] = pc.divide(by_entry["logged_at_ns"], 1000).cast(TYPES["datetime"])
    values = entries.values.take(
        pc.sort_indices(entries.values, [("position", "ascending"), ("name", "ascending")])
    ).combine_chunks()
    positions = values.column("position")
    wanted, count = schema(tables()[TABLE]), len(positions)
    constants = {"project": project, "job_id": job_id, "observed_at": response.observed_at}
    columns = {name: pc.take(array, positions) for name, array in by_entry.items()}
    columns |= {name: values.column(name) for name in values.column_names}
    columns |= {name: pa.repeat(pa.scalar(v, wanted.field(name).type), count) for name, v in constants.items()}
    return pa.table({name: columns[name] for name in wanted.names}, schema=wanted)


def _of_whole(entries: Entries, job_id: str) -> Iterator[Anomaly]:
    """The anomalies of entries without a metric, and of a list that goes on elsewhere."""
    refused = [position for position, _, _ in entries.refused]
    told = pa.concat_arrays([pa.array(refused, pa.int64()), *entries.values.column("position").chunks])
    for position in pc.indices_nonzero(pc.invert(pc.is_in(pa.array(range(entries.count)), value_set=told))).to_pylist():
        yield Anomaly(job_id, PREFIX[:-1], "no_value", None, position)
    sign = paging.sign_in_keys(entries.keys, entries.count)
    if sign is not None:
        yield Anomaly(job_id, sign, "incomplete", strict_json.compact_json(entries.keys.get(sign)))


def _quarantined(refused: Refused, job_id: str, response: Response) -> QuarantinedElement:
    position, raw, rule = refused
    return QuarantinedElement(mask_secrets(raw), rule, job_id, response.name, position, response.observed_at)
