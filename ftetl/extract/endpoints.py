"""Requests to the endpoints beside `/fine-tunes` whose responses become tables of their own, and how they ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from ftetl.extract.outcome import Outcome
from ftetl.raw.response import Response


class Endpoint(StrEnum):
    """An endpoint, by the name of its table."""

    FILES = "files"
    BILLING_USAGE = "billing_usage"
    TRAINING_METRICS = "training_metrics"


@dataclass(frozen=True)
class EndpointRequest:
    """One thing to ask an endpoint for; the client asks for all pages of it."""

    endpoint: Endpoint
    parameter: str = ""  # the month (`2026-07`) or the job
    final: bool = False  # whether the answer cannot change any more, so that no later run asks again


@dataclass(frozen=True)
class EndpointAnswer:
    """How a request ended: `response` is set if it brought one."""

    request: EndpointRequest
    outcome: Outcome
    response: Response | None = None


@dataclass
class EndpointAnswers:
    """The answers of a run, in the order of their requests."""

    answers: list[EndpointAnswer] = field(default_factory=list)

    def of(self, endpoint: Endpoint) -> list[tuple[str, Response]]:
        """The responses of an endpoint, each with what it was asked for."""
        answers = (a for a in self.answers if a.request.endpoint is endpoint)
        return [(a.request.parameter, a.response) for a in answers if a.response is not None]

    def refuse(self, endpoint: Endpoint, parameters: Iterable[str]) -> None:
        """Count responses that are not usable as failed requests."""
        refused = {*parameters}
        self.answers = [
            replace(a, outcome=Outcome.FAILED)
            if a.request.endpoint is endpoint and a.request.parameter in refused
            else a
            for a in self.answers
        ]

    def outcomes(self) -> dict[str, dict[str, int]]:
        """By endpoint, how many requests ended in each way."""
        counts = Counter((a.request.endpoint.value, a.outcome.value) for a in self.answers)
        names = sorted({endpoint for endpoint, _ in counts})
        return {name: {o: n for (e, o), n in sorted(counts.items()) if e == name} for name in names}
