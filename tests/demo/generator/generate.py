"""The invented jobs: the same for the same seed, on every machine and on every day.

Puts plans, stories and the wire's forms together, and plants the few oddities that a tour of the tool should meet.
Knows nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ftetl.demo import OBSERVED_AT
from tests.demo.generator.api_format import detail
from tests.demo.generator.job_spec import Fate, Plan
from tests.demo.generator.job_state import creation, seen
from tests.demo.generator.planted_anomalies import planted
from tests.demo.generator.rng import chance
from tests.demo.generator.scenarios import story
from tests.demo.generator.workload import new_id, plans

SEED = 27
COUNT = 360

Job = dict[str, Any]


def generate_jobs(seed: int = SEED, count: int = COUNT) -> list[Job]:
    """`count` jobs as `GET /fine-tunes/{id}` answers them, the oldest first.

    All that happens lies in the two years before `OBSERVED_AT`. Money is in nano-USD.
    """
    found = [job for plan in plans(seed, count) for job in _lives(seed, plan)]
    found.sort(key=lambda job: (job["created_at"], job["id"]))
    return planted(found, chance(seed, "quirks"))


def _lives(seed: int, plan: Plan) -> Iterator[Job]:
    """The job of a plan; if it is restarted, the one that takes its place as well."""
    rng = chance(seed, "story", plan.job_id)
    beats = story(plan, rng)
    if plan.seen_in:
        plan = replace(plan, created=creation(beats, plan.seen_in, OBSERVED_AT, rng))
    else:
        # Whoever has ended must have had the time for it.
        plan = replace(plan, created=min(plan.created, OBSERVED_AT - timedelta(seconds=round(beats[-1].at) + 60)))
    yield detail(plan, seen(beats, plan.created, OBSERVED_AT), rng)
    if plan.fate is Fate.RESTARTED:
        restarted = next(beat.at for beat in beats if beat.event and beat.event.type == "JOB_RESTARTED")
        created = plan.created + timedelta(seconds=int(restarted) + 2)
        again = replace(plan, job_id=new_id(rng, created), created=created, fate=Fate.COMPLETED)
        yield from _lives(seed, again)
