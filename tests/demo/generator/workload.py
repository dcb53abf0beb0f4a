"""All plans: the days of the team, a fate for each job, and the series of jobs that make up a project.

Knows neither events nor the wire.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from tests.demo.generator.job_spec import (
    ADAPTER_ONLY_SINCE,
    EARLY_STOP_SINCE,
    LEGACY_UNTIL,
    SHORT_IDS_SINCE,
    Fate,
    Plan,
    output_name,
)
from tests.demo.generator.models import Model
from tests.demo.generator.rng import chance
from tests.demo.generator.team import SMOKE_TOKENS, Project, alive, model_for, projects, starts, users

# The statuses in which open jobs are seen; a short list of jobs shows the first of them.
_OPEN = (
    *("running", "pending", "queued", "uploading", "compressing", "cancel_requested"),
    *("running", "running", "pending", "queued", "running"),
)

# Of all jobs; what is left is completed.
_SHARES = {Fate.USER_ERROR: 0.036, Fate.ERROR: 0.028, Fate.RESTARTED: 0.014, Fate.CANCELLED: 0.042}
_EARLY_STOPPED_SHARE = 0.025  # of all jobs, taken from the completed ones


def plans(seed: int, count: int) -> list[Plan]:
    """The plans for `count` jobs in the order of their creation; the last of them are seen while they are open.

    There are fewer plans than jobs: a job that is fated to be restarted makes two.
    """
    rng = chance(seed, "team")
    running = projects(rng, users(rng))
    moments = starts(rng, count - round(_SHARES[Fate.RESTARTED] * count))
    open_jobs = _OPEN[: count // 8]
    fates = _fates(rng, count, moments[: len(moments) - len(open_jobs)])
    series = _Series(seed, running)
    found = [series.next(moment, fate) for moment, fate in zip(moments, fates, strict=False)]
    for moment, status in zip(moments[len(fates) :], open_jobs, strict=True):
        fate = Fate.CANCELLED if status == "cancel_requested" else Fate.COMPLETED
        found.append(series.next(moment, fate, status))
    return found


def _fates(rng: Random, count: int, moments: list[datetime]) -> list[Fate]:
    """A fate for each moment, in fixed shares of `count`; jobs are stopped early only since there is early stopping."""
    fates = [fate for fate, share in _SHARES.items() for _ in range(round(share * count))]
    fates += [Fate.COMPLETED] * (len(moments) - len(fates))
    rng.shuffle(fates)
    late = [n for n, moment in enumerate(moments) if moment >= EARLY_STOP_SINCE and fates[n] is Fate.COMPLETED]
    for n in rng.sample(late, min(len(late), round(_EARLY_STOPPED_SHARE * count))):
        fates[n] = Fate.EARLY_STOPPED
    return fates


def new_id(rng: Random, created: datetime) -> str:
    """An id as the API gave it at that time."""
    if created < SHORT_IDS_SINCE:
        return f"ft-{_uuid(rng)}"
    digits = f"{rng.getrandbits(48):012x}"
    return f"ft-{digits[:8]}-{digits[8:]}"


def _uuid(rng: Random) -> uuid.UUID:
    return uuid.UUID(int=rng.getrandbits(128), version=4)


class _Series:
    """The jobs of each project, one after the other: versions go up, data grows, checkpoints are continued."""

    def __init__(self, seed: int, running: list[Project]) -> None:
        self._seed = seed
        self._running = running
        self._made = 0
        self._last: dict[tuple[str, datetime], tuple[int, Plan]] = {}

    def next(self, moment: datetime, fate: Fate, seen_in: str | None = None) -> Plan:
        """The plan for a job at a moment, of one of the projects that run then."""
        rng = chance(self._seed, "plan", self._made)
        self._made += 1
        candidates = alive(self._running, moment)
        project = rng.choices(candidates, [p.liking for p in candidates])[0]
        version, before = self._last.get((project.stem, project.since), (0, None))
        renewed = before is None or rng.random() < 0.6
        version += renewed
        plan = self._plan(rng, project, moment, fate, seen_in, version, None if renewed else before)
        if before and rng.random() < 0.12 and _can_continue(plan, before):
            plan = _continued(rng, plan, before)
        self._last[project.stem, project.since] = (version, plan)
        return plan

    def _plan(
        self,
        rng: Random,
        project: Project,
        moment: datetime,
        fate: Fate,
        seen_in: str | None,
        version: int,
        same: Plan | None,
    ) -> Plan:
        stops_early = fate is Fate.EARLY_STOPPED
        validated = (project.validated and moment >= LEGACY_UNTIL) or stops_early
        size = same.epoch_tokens if same else _size(rng, project, version)
        return Plan(
            job_id=new_id(rng, moment),
            created=moment,
            fate=fate,
            seen_in=seen_in,
            project=project,
            model=same.model if same else _model(rng, project, moment),
            suffix="" if project.kind == "smoke" and rng.random() < 0.3 else f"{project.stem}-v{version}",
            training_file=same.training_file if same else f"file-{_uuid(rng)}",
            validation_file=_validation_file(rng, same) if validated else None,
            epochs=max(3, project.epochs) if stops_early else project.epochs,
            epoch_tokens=max(2_000_000, size) if stops_early else size,
            batch=rng.choice((8, 8, 8, 16, 16, 32)),
            evals=rng.choice((4, 5, 8)) if validated else 0,
            checkpoints=rng.choice((1, 1, 1, 2, 3, 4)),
            merged=project.full or seen_in == "compressing" or moment < ADAPTER_ONLY_SINCE or rng.random() < 0.6,
            to_hub=rng.random() < 0.04,
        )


def _size(rng: Random, project: Project, version: int) -> int:
    return int(project.epoch_tokens * 1.06 ** (version - 1)) or rng.choice(SMOKE_TOKENS)


def _validation_file(rng: Random, same: Plan | None) -> str:
    return (same and same.validation_file) or f"file-{_uuid(rng)}"


def _model(rng: Random, project: Project, moment: datetime) -> Model:
    """Mostly the project's own model, while it is in fashion."""
    if moment < project.model.until and rng.random() < 0.75:
        return project.model
    return model_for(rng, project.kind, moment)


def _can_continue(plan: Plan, before: Plan) -> bool:
    settled = before.fate is Fate.COMPLETED and before.created < plan.created - timedelta(days=3)
    return settled and before.model is plan.model and not before.legacy


def _continued(rng: Random, plan: Plan, before: Plan) -> Plan:
    name = rng.choice((before.job_id, output_name(before)))
    step = rng.choice(("", f":{before.total_steps}"))
    return replace(plan, from_checkpoint=name + step)
