"""One copy of a job before it is decoded: where its bytes lie."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class RawJob:
    """One copy of a job to be decoded."""

    job_id: str
    response: int  # index into the run's responses
    position: int  # place in that response
    offset: int
    length: int
    irregular: bool = False  # whether only the Python reader can read it
    detail: bool = False  # whether it is the whole job, with all of its events, and not an item of a list
