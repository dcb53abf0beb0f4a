"""What a run finds wrong in its input: elements for the quarantine, and values for the anomalies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ftetl.raw.element import find_job_ids


@dataclass(frozen=True)
class QuarantinedElement:
    """An element that no table can take."""

    raw: bytes
    rule: str
    job_id: str | None
    source: str
    position: int
    observed_at: datetime

    @property
    def possible_ids(self) -> set[str]:
        """The jobs that it could be; empty where it could be any."""
        return {self.job_id} if self.job_id else find_job_ids(self.raw)


@dataclass(frozen=True)
class Anomaly:
    """One anomaly of a job; `place` orders several of one kind."""

    job_id: str
    path: str
    kind: str
    raw: str | None
    place: int = 0
