"""The specifications of all jobs: when they start, how they end, and which project each belongs to."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

from tests.demo.generator.job_spec import (
    ADAPTER_ONLY_SINCE,
    EARLY_STOP_SINCE,
    LEGACY_UNTIL,
    SHORT_IDS_SINCE,
    JobSpec,
    Scenario,
    output_name,
)
from tests.demo.generator.models import Model
from tests.demo.generator.rng import random_for
from tests.demo.generator.team import SMOKE_TOKENS, Project, active_projects, model_for, projects, start_times, users

# The statuses of the open jobs; with few jobs only the first of them occur.
_OPEN_STATUSES = (
    *("running", "pending", "queued", "uploading", "compressing", "cancel_requested"),
    *("running", "running", "pending", "queued", "running"),
)

# Shares of all jobs; the rest is completed.
_SHARES = {Scenario.USER_ERROR: 0.036, Scenario.ERROR: 0.028, Scenario.RESTARTED: 0.014, Scenario.CANCELLED: 0.042}
_EARLY_STOPPED_SHARE = 0.025  # of all jobs, taken from the completed ones


def job_specs(seed: int, count: int) -> list[JobSpec]:
    """The specifications of `count` jobs in the order of their creation; the last of them are open.

    There are fewer specifications than jobs: a job that is restarted makes two.
    """
    rng = random_for(seed, "team")
    all_projects = projects(rng, users(rng))
    times = start_times(rng, count - round(_SHARES[Scenario.RESTARTED] * count))
    open_statuses = _OPEN_STATUSES[: count // 8]
    scenarios = _scenarios(rng, count, times[: len(times) - len(open_statuses)])
    starts = [_Start(time, scenario, None) for time, scenario in zip(times, scenarios, strict=False)]
    for time, status in zip(times[len(scenarios) :], open_statuses, strict=True):
        scenario = Scenario.CANCELLED if status == "cancel_requested" else Scenario.COMPLETED
        starts.append(_Start(time, scenario, status))
    history = _ProjectHistory(seed, all_projects)
    return [history.next_spec(start) for start in starts]


def _scenarios(rng: Random, count: int, times: list[datetime]) -> list[Scenario]:
    """A scenario for each start time, in fixed shares of `count`; early stopping only since it exists."""
    scenarios = [scenario for scenario, share in _SHARES.items() for _ in range(round(share * count))]
    scenarios += [Scenario.COMPLETED] * (len(times) - len(scenarios))
    rng.shuffle(scenarios)
    candidates = [n for n, time in enumerate(times) if time >= EARLY_STOP_SINCE and scenarios[n] is Scenario.COMPLETED]
    for n in rng.sample(candidates, min(len(candidates), round(_EARLY_STOPPED_SHARE * count))):
        scenarios[n] = Scenario.EARLY_STOPPED
    return scenarios


def new_id(rng: Random, created: datetime) -> str:
    """An id in the format of that time."""
    if created < SHORT_IDS_SINCE:
        return f"ft-{_uuid(rng)}"
    digits = f"{rng.getrandbits(48):012x}"
    return f"ft-{digits[:8]}-{digits[8:]}"


def _uuid(rng: Random) -> uuid.UUID:
    return uuid.UUID(int=rng.getrandbits(128), version=4)


@dataclass(frozen=True)
class _Start:
    """When a job starts, and how it ends or is open."""

    time: datetime
    scenario: Scenario
    open_status: str | None


class _ProjectHistory:
    """The jobs of each project in turn: versions go up, data grows, checkpoints are continued."""

    def __init__(self, seed: int, all_projects: list[Project]) -> None:
        self._seed = seed
        self._projects = all_projects
        self._spec_count = 0
        self._last: dict[tuple[str, datetime], tuple[int, JobSpec]] = {}

    def next_spec(self, start: _Start) -> JobSpec:
        """The specification of a job that starts then, of one of the projects that run at that time."""
        rng = random_for(self._seed, "plan", self._spec_count)
        self._spec_count += 1
        candidates = active_projects(self._projects, start.time)
        project = rng.choices(candidates, [p.weight for p in candidates])[0]
        version, previous = self._last.get((project.stem, project.since), (0, None))
        is_new_version = previous is None or rng.random() < 0.6
        version += is_new_version
        spec = _job_spec(rng, project, start, version, None if is_new_version else previous)
        if previous and rng.random() < 0.12 and _can_continue(spec, previous):
            spec = _with_checkpoint_of(rng, spec, previous)
        self._last[project.stem, project.since] = (version, spec)
        return spec


def _job_spec(rng: Random, project: Project, start: _Start, version: int, repeated: JobSpec | None) -> JobSpec:
    """The specification of a job.

    Args:
        version: The number of the version of the project's model that the job trains.
        repeated: The job of the same version and data that this job runs again; None for a new version.
    """
    stops_early = start.scenario is Scenario.EARLY_STOPPED
    validated = (project.validated and start.time >= LEGACY_UNTIL) or stops_early
    size = repeated.epoch_tokens if repeated else _size(rng, project, version)
    always_merged = project.full or start.open_status == "compressing" or start.time < ADAPTER_ONLY_SINCE
    return JobSpec(
        job_id=new_id(rng, start.time),
        created=start.time,
        scenario=start.scenario,
        open_status=start.open_status,
        project=project,
        model=repeated.model if repeated else _model(rng, project, start.time),
        suffix="" if project.kind == "smoke" and rng.random() < 0.3 else f"{project.stem}-v{version}",
        training_file=repeated.training_file if repeated else f"file-{_uuid(rng)}",
        validation_file=_validation_file(rng, repeated) if validated else None,
        epochs=max(3, project.epochs) if stops_early else project.epochs,
        epoch_tokens=max(2_000_000, size) if stops_early else size,
        batch=rng.choice((8, 8, 8, 16, 16, 32)),
        evals=rng.choice((4, 5, 8)) if validated else 0,
        checkpoints=rng.choice((1, 1, 1, 2, 3, 4)),
        merged=always_merged or rng.random() < 0.6,
        to_hub=rng.random() < 0.04,
    )


def _size(rng: Random, project: Project, version: int) -> int:
    return int(project.epoch_tokens * 1.06 ** (version - 1)) or rng.choice(SMOKE_TOKENS)


def _validation_file(rng: Random, repeated: JobSpec | None) -> str:
    return (repeated and repeated.validation_file) or f"file-{_uuid(rng)}"


def _model(rng: Random, project: Project, moment: datetime) -> Model:
    """Mostly the model of the project, while it is chosen at all."""
    if moment < project.model.until and rng.random() < 0.75:
        return project.model
    return model_for(rng, project.kind, moment)


def _can_continue(spec: JobSpec, previous: JobSpec) -> bool:
    long_completed = previous.scenario is Scenario.COMPLETED and previous.created < spec.created - timedelta(days=3)
    return long_completed and previous.model is spec.model and not previous.legacy


def _with_checkpoint_of(rng: Random, spec: JobSpec, previous: JobSpec) -> JobSpec:
    name = rng.choice((previous.job_id, output_name(previous)))
    step = rng.choice(("", f":{previous.total_steps}"))
    return replace(spec, from_checkpoint=name + step)
