"""Generates jobs: the same for the same seed and count, on every machine and on every day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ftetl.demo import OBSERVED_AT
from tests.demo.generator.api_format import job_detail
from tests.demo.generator.job_spec import JobSpec, Scenario
from tests.demo.generator.job_state import creation_time, state_at
from tests.demo.generator.planted_anomalies import plant_anomalies
from tests.demo.generator.rng import random_for
from tests.demo.generator.scenarios import job_timeline
from tests.demo.generator.workload import job_specs, new_id

SEED = 27
COUNT = 360

Job = dict[str, Any]


def generate_jobs(seed: int = SEED, count: int = COUNT) -> list[Job]:
    """`count` jobs as `GET /fine-tunes/{id}` returns them, the oldest first.

    All times are in the two years before `OBSERVED_AT`. Amounts are in nano-USD.
    """
    jobs = [job for spec in job_specs(seed, count) for job in _jobs_of_spec(seed, spec)]
    jobs.sort(key=lambda job: (job["created_at"], job["id"]))
    return plant_anomalies(jobs, random_for(seed, "quirks"))


def _jobs_of_spec(seed: int, spec: JobSpec) -> Iterator[Job]:
    """The job of a specification; if it is restarted, also the job that replaces it."""
    rng = random_for(seed, "story", spec.job_id)
    entries = job_timeline(spec, rng)
    if spec.open_status:
        spec = replace(spec, created=creation_time(entries, spec.open_status, OBSERVED_AT, rng))
    else:
        # A job that has ended was created early enough to have ended by now.
        spec = replace(spec, created=min(spec.created, OBSERVED_AT - timedelta(seconds=round(entries[-1].offset) + 60)))
    yield job_detail(spec, state_at(entries, spec.created, OBSERVED_AT), rng)
    if spec.scenario is Scenario.RESTARTED:
        restarted_after = next(entry.offset for entry in entries if entry.event and entry.event.type == "JOB_RESTARTED")
        created = spec.created + timedelta(seconds=int(restarted_after) + 2)
        successor = replace(spec, job_id=new_id(rng, created), created=created, scenario=Scenario.COMPLETED)
        yield from _jobs_of_spec(seed, successor)
