"""How long jobs took, by stage and job by job, and how good the service's own estimates were.

Times come from the events, as the table `stages` has them.
"""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.analysis import frames
from ftetl.analysis.frames import COUNT, REAL, TEXT
from ftetl.contract import tables
from ftetl.snapshot.snapshot import Tables

_KEY = ["project", "job_id"]
_MICRO = 1_000_000
_LAST_MICROSECOND = 253_402_300_799_999_999  # of the year 9999, the last that Python's calendar has


def stage_names() -> tuple[str, ...]:
    """The stages, in the order in which a job goes through them."""
    return tuple(next(c for c in tables()["stages"].columns if c.name == "stage").enum)


def stage_times(snapshot: Tables) -> pd.DataFrame:
    """How long jobs were in each stage, in the order of the stages; those that no job has been in are left out.

    Columns: `stage`; `jobs` whose time in it is known, where the stays of a job are added up; `unknown`, the jobs with
    a stay that has not ended or of which a time is missing, which are in none of the rest; `median_seconds` and
    `p90_seconds` (nine of ten jobs took no longer; both between neighbours in proportion), `longest_seconds`,
    `total_seconds`.
    """
    sums = _stage_sums(snapshot)
    rows = []
    for stage in stage_names():
        stays = sums.micros[sums.stage == stage]
        micros = stays.dropna().astype("int64")
        if len(stays):
            ranks = [micros.quantile(rank) / _MICRO if len(micros) else None for rank in (0.5, 0.9, 1)]
            total = int(micros.sum()) / _MICRO if len(micros) else None
            rows.append((stage, len(micros), len(stays) - len(micros), *ranks, total))
    reals = dict.fromkeys(("median_seconds", "p90_seconds", "longest_seconds", "total_seconds"), REAL)
    types = {"stage": TEXT, "jobs": COUNT, "unknown": COUNT, **reals}
    return pd.DataFrame(rows, columns=[*types]).astype(types)


def job_times(snapshot: Tables) -> pd.DataFrame:
    """Where the time of each job went, in the order of the jobs.

    Columns: `project`, `job_id`, `status`; `queue_seconds`, from the job's creation to its first stage that is not
    `queued` (NULL where it has not come to one, a time is missing, or they are in no order); one column a stage, such
    as `training_seconds`, its stays added up (NULL where it has none, or one that has not ended or lacks a time);
    `total_seconds`, from the creation to the last terminal event (NULL while there is none, or where that lies before
    the creation); `restarts`, how many `job_restarted` events it has.
    """
    jobs = frames.read(snapshot, "jobs", [*_KEY, "status", "created_at", "duration_seconds"])
    jobs = jobs.merge(_first_active(snapshot), how="left", on=_KEY).merge(_restarts(snapshot), how="left", on=_KEY)
    times = jobs[[*_KEY, "status"]].copy()
    times["queue_seconds"] = _unless_negative(frames.seconds(jobs.created_at, jobs.active_at))
    by_stage = _stage_sums(snapshot).pivot(index=_KEY, columns="stage", values="micros").reindex(columns=stage_names())
    micros = jobs[_KEY].merge(by_stage.astype(COUNT).reset_index(), how="left", on=_KEY)
    for stage in stage_names():
        values = pa.array(micros[stage], pa.int64(), from_pandas=True)
        seconds = pc.divide(pc.cast(values, pa.float64(), safe=False), float(_MICRO))
        times[f"{stage}_seconds"] = frames.to_series(seconds, times.job_id)
    times["total_seconds"] = _unless_negative(jobs.duration_seconds)
    times["restarts"] = jobs.restarts.fillna(0).astype(COUNT)
    return times


def estimates(snapshot: Tables) -> pd.DataFrame:
    """The service's estimates of progress beside what came true; a row for each job that carries one.

    An estimate counts from the job's `started_at`, the start of a stage, to the end of that stage. Columns: `project`,
    `job_id`, `status`, `stage` (the one that `started_at` lies in; NULL where it lies in none that is known),
    `started_at`, `estimated_seconds`, `estimated_end` (NULL beyond the year 9999), `ended_at` (of the stage; NULL while
    it goes on), `took_seconds` (from `started_at` to there), `error_seconds` (estimated less taken: above 0 the stage
    ended sooner).
    """
    columns = ["status", "started_at", "progress_seconds_remaining", "progress_estimate_available"]
    jobs = frames.read(snapshot, "jobs", [*_KEY, *columns])
    jobs = jobs.rename(columns={"progress_seconds_remaining": "estimated_seconds"})
    is_estimate = jobs.progress_estimate_available & (jobs.estimated_seconds > 0) & jobs.started_at.notna()
    jobs = jobs[is_estimate.fillna(False)].reset_index(drop=True)
    stays = frames.read(snapshot, "stages", [*_KEY, "position", "stage", "started_at", "ended_at"])
    pairs = jobs[[*_KEY, "started_at"]].merge(stays.rename(columns={"started_at": "entered_at"}), on=_KEY)
    is_in = (pairs.entered_at <= pairs.started_at) & (pairs.ended_at.isna() | (pairs.started_at < pairs.ended_at))
    pairs = pairs[is_in.fillna(False)].sort_values([*_KEY, "position"]).drop_duplicates(_KEY, keep="last")
    jobs = jobs.merge(pairs[[*_KEY, "stage", "ended_at"]], how="left", on=_KEY)
    jobs["estimated_end"] = _add_seconds(jobs.started_at, jobs.estimated_seconds)
    jobs["took_seconds"] = frames.seconds(jobs.started_at, jobs.ended_at)
    jobs["error_seconds"] = jobs.estimated_seconds - jobs.took_seconds
    last = ["estimated_seconds", "estimated_end", "ended_at", "took_seconds", "error_seconds"]
    return jobs[[*_KEY, "status", "stage", "started_at", *last]]


def _add_seconds(start: pd.Series, seconds: pd.Series) -> pd.Series:
    """The times so many seconds later; NULL beyond the year 9999."""
    begin = pc.cast(pa.array(start, pa.timestamp("us", "UTC"), from_pandas=True), pa.int64())
    capped = pc.min_element_wise(pa.array(seconds, pa.float64(), from_pandas=True), float(_LAST_MICROSECOND // _MICRO))
    # Neither is beyond the last time by more than the calendar, so the sum is an integer of 64 bits.
    end = pc.add(begin, pc.cast(pc.round(pc.multiply(capped, float(_MICRO))), pa.int64(), safe=False))
    end = pc.if_else(pc.less_equal(end, _LAST_MICROSECOND), end, pa.scalar(None, pa.int64()))
    return frames.to_series(pc.cast(end, pa.timestamp("us", "UTC")), start)


def _unless_negative(seconds: pd.Series) -> pd.Series:
    return seconds.where((seconds >= 0).fillna(False))


def _stage_sums(snapshot: Tables) -> pd.DataFrame:
    """By job and stage the microseconds of all stays, NULL where one has no known length."""
    table = frames.read_arrow(snapshot, "stages", [*_KEY, "stage", "seconds"])
    micros = pc.cast(pc.round(pc.multiply(table.column("seconds"), float(_MICRO))), pa.int64())
    table = table.append_column("micros", micros).append_column("unknown", pc.is_null(micros)).drop_columns("seconds")
    sums = table.group_by([*_KEY, "stage"], use_threads=False).aggregate([("micros", "sum"), ("unknown", "any")])
    known = pc.if_else(sums.column("unknown_any"), pa.scalar(None, pa.int64()), sums.column("micros_sum"))
    return sums.select([*_KEY, "stage"]).append_column("micros", known).to_pandas(types_mapper=pd.ArrowDtype)


def _first_active(snapshot: Tables) -> pd.DataFrame:
    """When each job came to its first stage that is not `queued`; NULL where the time of that is missing."""
    stays = frames.read(snapshot, "stages", [*_KEY, "position", "stage", "started_at"])
    first = stays[stays.stage != "queued"].sort_values([*_KEY, "position"]).drop_duplicates(_KEY)
    return first[[*_KEY, "started_at"]].rename(columns={"started_at": "active_at"})


def _restarts(snapshot: Tables) -> pd.DataFrame:
    events = frames.read_arrow(snapshot, "events", [*_KEY, "type"])
    events = events.filter(pc.equal(events.column("type"), "job_restarted"))
    counts = events.group_by(_KEY, use_threads=False).aggregate([("type", "count")])
    return counts.rename_columns([*_KEY, "restarts"]).to_pandas(types_mapper=pd.ArrowDtype)
