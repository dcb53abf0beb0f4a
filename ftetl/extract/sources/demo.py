"""The demo as a source: starts the demo API and fetches its jobs exactly as they are fetched from the real API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Any

from ftetl import demo
from ftetl.clock import Deadline
from ftetl.config.credentials import Secret
from ftetl.config.limits import DEADLINE
from ftetl.extract.key_owner import KeyOwner
from ftetl.extract.sources.api import ApiSource
from ftetl.extract.together_api.client import Client
from ftetl.extract.together_api.transport import RequestLimits

SERVICE = "demo"


class DemoSource(ApiSource):
    """A source that needs neither key nor network. The demo API runs until the source is closed.

    Every response is dated with `demo.OBSERVED_AT` instead of today, so that two runs give the same bytes.
    """

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
            super().__init__(client, SERVICE, observed_at=demo.OBSERVED_AT)
            self._server = stack.pop_all()

    @cached_property
    def owner(self) -> KeyOwner | None:
        """None: the demo's tables are the same whatever its API says."""
        return None

    def close(self) -> None:
        """Stops the demo API; safe to call twice."""
        super().close()
        self._server.close()
