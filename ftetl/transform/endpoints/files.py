"""The table `files`, from responses to `GET /files`: every file of the project."""

from __future__ import annotations

import pyarrow as pa

from ftetl.contract import tables
from ftetl.errors import DataError
from ftetl.transform import assemble
from ftetl.transform.endpoints import Answers, EndpointRows
from ftetl.transform.endpoints.elements import Elements
from ftetl.transform.timestamps import INSTANT


def read(answers: Answers, project: str) -> EndpointRows:
    """The rows of the newest response; all files that it lacks are missing."""
    table = tables()["files"]
    elements, refused = Elements(table), {}
    observed_at = None
    for asked, response in answers[-1:]:
        try:
            elements.add_list(response)
            observed_at = response.observed_at
        except DataError as error:
            elements, refused[asked] = Elements(table), error.what
    count = len(elements.ids)
    computed = {
        "project": pa.repeat(project, count),
        "present": pa.repeat(True, count),
        **{name: pa.repeat(pa.scalar(observed_at, INSTANT), count) for name in ("first_seen_at", "observed_at")},
    }
    return EndpointRows(
        assemble.rows(table, {**elements.columns(), **computed}),
        replaced=elements.ids,
        anomalies=elements.anomalies,
        quarantined=elements.quarantined,
        refused=refused,
        whole=observed_at is not None,
    )
