"""The table `billing_usage`: the line items of `GET /billing/usage`, one row each."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from ftetl.arrays import one
from ftetl.contract import tables
from ftetl.contract.arrow_schema import empty
from ftetl.errors import DataError
from ftetl.formatting import pluralize
from ftetl.raw.findings import Anomaly, QuarantinedElement
from ftetl.raw.response import Response
from ftetl.raw.secret_masking import mask_secrets
from ftetl.transform import assemble
from ftetl.transform.decode.source_schema import Node, arrow_fields
from ftetl.transform.endpoints import Answers, EndpointRows
from ftetl.transform.endpoints.billing_lines import NAME, PREFIX, Bill, bill_schema, read_bill
from ftetl.transform.flatten.columns import Rows
from ftetl.transform.flatten.tables import flat_columns
from ftetl.transform.timestamps import INSTANT

_DRIFT = 5  # line items; so few as there are below it may all be odd without a change of the API


def read(answers: Answers, project: str) -> EndpointRows:
    """The rows of the bills of these months, in the order of the key.

    A window or a line item that is no clean object goes to the quarantine alone. A bill of several line items
    without one readable cost is refused: the API has changed, and its rows would take the place of good ones.
    """
    result = EndpointRows(empty(tables()[NAME]))
    parts = [result.rows]
    for month, response in sorted(answers, key=lambda answer: answer[0]):
        try:
            bill = read_bill(response, month)
        except DataError as error:
            result.refused[month] = error.what
            continue
        rows = _rows(bill, response, project)
        unreadable = rows.column("cost").null_count
        if unreadable:
            items = pluralize(rows.num_rows, "line item")
            what = f"{unreadable:,} of {items} of the bill of {month} have no readable cost"
            if unreadable == rows.num_rows >= _DRIFT:
                result.refused[month] = what
                continue
            result.warnings.append(f"{what}, see `cost_text`, `extra` and the table endpoint_anomalies")
        if bill.refused:
            what = pluralize(len(bill.refused), "window or line item", "windows or line items")
            result.warnings.append(f"{what} of the bill of {month} in quarantine: its sum lacks them")
        result.replaced.append(month)
        parts.append(rows)
        result.anomalies += _once(bill.anomalies)
        result.quarantined += [
            QuarantinedElement(mask_secrets(raw), rule, None, response.name, position, response.observed_at)
            for position, raw, rule in bill.refused
        ]
    result.rows = pa.concat_tables(parts).combine_chunks()
    return result


def _rows(bill: Bill, response: Response, project: str) -> pa.Table:
    """The rows of one month; anomalies are added to those of the bill."""
    count, schema = len(bill.items), bill_schema()
    positions = pa.array([item.window_position for item in bill.items], pa.int64())
    rows = Rows(
        _nested([item.fields for item in bill.items], schema.item),
        _nested([item.report for item in bill.items], schema.report),
        pa.repeat(bill.month, count),
        PREFIX,
        positions,
        pa.array([item.extra for item in bill.items], pa.string()),
    )
    computed = {
        "project": pa.repeat(project, count),
        "billing_period": pa.repeat(bill.month, count),
        "window_position": positions,
        "line_position": pa.array([item.position for item in bill.items], pa.int64()),
        "observed_at": pa.repeat(pa.scalar(response.observed_at, INSTANT), count),
    }
    return assemble.rows(tables()[NAME], flat_columns(tables()[NAME], rows, bill.anomalies) | computed)


def _nested(fields: list[dict[str, object]], node: Node) -> dict[str, pa.Array]:
    table = pa.Table.from_pylist(fields, schema=pa.schema(arrow_fields(node, json_as_text=True)))
    return {name: one(table.column(name)) for name in table.column_names}


def _once(anomalies: list[Anomaly]) -> Iterator[Anomaly]:
    """The anomalies; one of a window or of the whole report only once, although each of its line items has it."""
    seen: set[Anomaly] = set()
    for anomaly in anomalies:
        if not anomaly.path.startswith(f"{PREFIX}/"):
            yield anomaly
            continue
        path = anomaly.path.removeprefix(f"{PREFIX}/")
        once = Anomaly(anomaly.job_id, path, anomaly.kind, anomaly.raw, anomaly.place)
        if once not in seen:
            seen.add(once)
            yield once
