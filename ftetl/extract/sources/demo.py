"""The invented jobs as a source: the stand-in is started and asked exactly as the real API is.

Only the times of observation are its own: the demo's one day, so that two runs give the same bytes. Knows neither how
jobs are invented nor how they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from ftetl import demo
from ftetl.clock import Deadline
from ftetl.config import limits
from ftetl.config.credentials import Secret
from ftetl.extract.sources.api import ApiSource
from ftetl.extract.together_api.client import Client
from ftetl.raw.response import Answer, Detail

SERVICE = "demo"


class DemoSource:
    """A source that needs neither key nor network. The stand-in runs until it is closed."""

    service: str | None = SERVICE

    def __init__(
        self,
        *,
        seed: int = demo.DEFAULT_SEED,
        count: int = demo.DEFAULT_COUNT,
        concurrency: int = limits.CONCURRENCY,
        deadline: Deadline | None = None,
        max_bytes: int = limits.MAX_BYTES,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        deadline = deadline or Deadline(limits.DEADLINE)
        with ExitStack() as stack:
            server = stack.enter_context(demo.serve(demo.jobs(seed, count)))
            key = Secret(server.key, "the demo")
            self.client = Client(
                server.url, key, deadline=deadline, max_bytes=max_bytes, pool=concurrency, progress=progress
            )
            self._api = ApiSource(stack.enter_context(self.client), SERVICE, concurrency=concurrency, deadline=deadline)
            self._open = stack.pop_all()

    def answers(self) -> Iterable[Answer]:
        """The list, as of the demo's day."""
        for answer in self._api.answers():
            yield replace(answer, observed_at=demo.OBSERVED_AT)

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:
        """The details of these jobs, as of the demo's day."""
        for detail in self._api.details(job_ids):
            answer = detail.answer
            yield replace(detail, answer=answer and replace(answer, observed_at=demo.OBSERVED_AT))

    def close(self) -> None:
        """Ends the stand-in; safe to call twice."""
        self._open.close()
