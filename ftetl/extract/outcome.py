"""How a request for one thing ended: the detail of a job, or what an endpoint beside `/fine-tunes` has."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How a request ended."""

    HERE = "here"  # 200: there is a response
    GONE = "gone"  # 404: the job was deleted meanwhile, or the service does not have it for this key
    FAILED = "failed"  # server errors to the end, the deadline, a 403 of this job, or a response that is not usable
