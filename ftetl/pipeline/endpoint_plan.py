"""Which other endpoints a run asks, and what it asks them for."""

from __future__ import annotations

from ftetl.config.settings import Settings
from ftetl.extract.endpoints import Endpoint, EndpointRequest
from ftetl.extract.extract import Extraction
from ftetl.pipeline.final_answers import FinalAnswers
from ftetl.snapshot.table_reader import TableReader


def plan(
    settings: Settings,
    extraction: Extraction,  # noqa: ARG001
    stored: TableReader,  # noqa: ARG001
    final: FinalAnswers,  # noqa: ARG001
) -> list[EndpointRequest]:
    """The requests of a run whose source is a service.

    Args:
        settings: Which endpoints are wanted.
        extraction: The jobs that were received.
        stored: The tables of the last snapshot.
        final: What need not be asked for again.
    """
    requests = []
    if settings.files == "auto":
        requests.append(EndpointRequest(Endpoint.FILES))
    return requests
