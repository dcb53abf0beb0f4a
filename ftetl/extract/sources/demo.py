"""The demo as a source: starts the demo API and fetches its jobs exactly as they are fetched from the real API.

Every response is dated with `demo.OBSERVED_AT` instead of today, so that two runs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from ftetl import demo
from ftetl.clock import Deadline
from ftetl.config.credentials import Secret
from ftetl.config.limits import DEADLINE
from ftetl.extract.source import Detail, SourceStats
from ftetl.extract.sources.api import ApiSource
from ftetl.extract.together_api.client import Client
from ftetl.extract.together_api.transport import RequestLimits
from ftetl.raw.response import Response

SERVICE = "demo"


class DemoSource:
    """A source that needs neither key nor network. The demo API runs until the source is closed."""

    service: str | None = SERVICE
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        jobs: Sequence[dict[str, Any]] | None = None,
        limits: RequestLimits | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        """Starts the demo API with `jobs`, or with the jobs of the demo."""
        with ExitStack() as stack:
            server = stack.enter_context(demo.serve(jobs))
            key = Secret(server.key, "the demo")
            client = Client(server.url, key, limits or RequestLimits(Deadline(DEADLINE)), on_bytes=on_bytes)
            self._api = ApiSource(stack.enter_context(client), SERVICE)
            self._open = stack.pop_all()

    @property
    def stats(self) -> SourceStats:
        """The requests so far."""
        return self._api.stats

    def responses(self) -> Iterable[Response]:
        """The list, dated with the day of the demo."""
        for response in self._api.responses():
            yield replace(response, observed_at=demo.OBSERVED_AT)

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:
        """The details of these jobs, dated with the day of the demo."""
        for detail in self._api.details(job_ids):
            response = detail.response
            yield replace(detail, response=response and replace(response, observed_at=demo.OBSERVED_AT))

    def close(self) -> None:
        """Stops the demo API. A second call does nothing."""
        self._open.close()
