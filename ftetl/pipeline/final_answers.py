"""Which requests to other endpoints were answered for good: a file in the snapshot, committed with the tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather

from ftetl.errors import StorageError
from ftetl.extract.endpoints import Endpoint, EndpointAnswer, EndpointRequest
from ftetl.extract.outcome import Outcome

FILE = "endpoints.arrow"
_COLUMNS = ("endpoint", "parameter")
FinalAnswers = frozenset[tuple[str, str]]  # the endpoint and what it was asked for


def read_final(folder: Path | None) -> FinalAnswers:
    """The final answers of a snapshot.

    Raises:
        StorageError: The file is damaged.
    """
    if folder is None or not (folder / FILE).exists():
        return frozenset()
    try:
        table = feather.read_table(folder / FILE, memory_map=False)
        return frozenset(zip(*(table.column(name).to_pylist() for name in _COLUMNS), strict=True))
    except (OSError, pa.ArrowException, KeyError) as error:
        advice = "`ftetl verify` names what is damaged; restore the file"
        raise StorageError("S13", f"{folder / FILE} cannot be read back", next=advice) from error


def is_final(final: FinalAnswers, request: EndpointRequest) -> bool:
    """Whether a request need not be sent again."""
    return (request.endpoint.value, request.parameter) in final


def updated(final: FinalAnswers, answers: Iterable[EndpointAnswer]) -> FinalAnswers:
    """The final answers after a run.

    A finished job that has no metrics never gets any; unless no job at all has some: then the service does not have
    this endpoint yet.
    """
    received = list(answers)
    here = {a.request.endpoint.value for a in received if a.outcome is Outcome.HERE}
    has_metrics = Endpoint.TRAINING_METRICS in here.union(endpoint for endpoint, _ in final)
    return final | {
        (a.request.endpoint.value, a.request.parameter)
        for a in received
        if a.request.final and (a.outcome is Outcome.HERE or (has_metrics and _is_missing_metrics(a)))
    }


def _is_missing_metrics(answer: EndpointAnswer) -> bool:
    return answer.request.endpoint is Endpoint.TRAINING_METRICS and answer.outcome is Outcome.GONE


def serialize(final: FinalAnswers) -> bytes:
    """The bytes of the file; equal answers give equal bytes."""
    rows = sorted(final)
    table = pa.table({name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate(_COLUMNS)})
    sink = pa.BufferOutputStream()
    feather.write_feather(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()
