"""How long jobs took: by stage, job by job, and what the service's own estimates were worth.

Times come from the events, as `stages` has them. Knows the tables' columns, and no files.
"""

from __future__ import annotations

from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.analysis import frames
from ftetl.contract import tables
from ftetl.snapshot.snapshot import Tables

QUEUED: Final = "queued"
_KEY = ["project", "job_id"]
_MICRO = 1_000_000
_LAST = 253_402_300_799_999_999  # the last microsecond of the year 9999, the last that Python's calendar has
_REAL = pd.ArrowDtype(pa.float64())
_COUNT = pd.ArrowDtype(pa.int64())


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
    sums = _in_stages(snapshot)
    rows = []
    for stage in stage_names():
        ours = sums[sums.stage == stage]
        micros = ours.micros.dropna().astype("int64")
        if len(ours):
            ranks = [micros.quantile(share) / _MICRO if len(micros) else None for share in (0.5, 0.9, 1)]
            total = int(micros.sum()) / _MICRO if len(micros) else None
            rows.append((stage, len(micros), len(ours) - len(micros), *ranks, total))
    counts = {"jobs": _COUNT, "unknown": _COUNT}
    reals = dict.fromkeys(("median_seconds", "p90_seconds", "longest_seconds", "total_seconds"), _REAL)
    types = {"stage": pd.ArrowDtype(pa.string()), **counts, **reals}
    return pd.DataFrame(rows, columns=[*types]).astype(types)


def job_times(snapshot: Tables) -> pd.DataFrame:
    """Where the time of each job went, in the order of the jobs.

    Columns: `project`, `job_id`, `status`; `queue_seconds`, from the job's creation to its first stage that is not
    `queued` (NULL where it has not come to one, a time is missing, or they are in no order); one column a stage, such
    as `training_seconds`, its stays added up (NULL where it has none, or one that has not ended or lacks a time);
    `total_seconds`, from the creation to the last terminal event (NULL while there is none, or where that lies before
    the creation); `restarts`, how many `job_restarted` events it has.
    """
    read = [*_KEY, "status", "created_at", "duration_seconds"]
    jobs = snapshot.arrow("jobs", read).to_pandas(types_mapper=pd.ArrowDtype)
    found = jobs.merge(_begun(snapshot), how="left", on=_KEY).merge(_restarts(snapshot), how="left", on=_KEY)
    waited = frames.between(found.created_at, found.begun_at)
    result = found[[*_KEY, "status"]].copy()
    result["queue_seconds"] = _forward(waited)
    wide = _in_stages(snapshot).pivot(index=_KEY, columns="stage", values="micros")
    for stage in stage_names():
        known = wide[stage].rename("micros").reset_index() if stage in wide else None
        micros = result[_KEY].merge(known, how="left", on=_KEY).micros if known is not None else pd.NA
        whole = pa.array(pd.Series(micros, index=result.index, dtype=_COUNT), pa.int64(), from_pandas=True)
        parts = pc.divide(pc.cast(whole, pa.float64(), safe=False), float(_MICRO))
        result[f"{stage}_seconds"] = pd.Series(pd.arrays.ArrowExtensionArray(parts), index=result.index)
    result["total_seconds"] = _forward(found.duration_seconds)
    result["restarts"] = found.restarts.fillna(0).astype(_COUNT)
    return result


def estimates(snapshot: Tables) -> pd.DataFrame:
    """What the service's estimates of progress said, and what came of them; a row for each job that carries one.

    An estimate counts from the job's `started_at`, the start of a stage, to the end of that stage. Columns: `project`,
    `job_id`, `status`, `stage` (the one that `started_at` lies in; NULL where it lies in none that is known),
    `started_at`, `estimated_seconds`, `estimated_end` (NULL beyond the year 9999), `ended_at` (of the stage; NULL while
    it goes on), `took_seconds` (from `started_at` to there), `error_seconds` (estimated less taken: above 0 the stage
    ended sooner).
    """
    read = [*_KEY, "status", "started_at", "progress_seconds_remaining", "progress_estimate_available"]
    jobs = snapshot.arrow("jobs", read)
    some = pc.and_kleene(
        jobs.column("progress_estimate_available"), pc.greater(jobs.column("progress_seconds_remaining"), 0)
    )
    jobs = jobs.filter(pc.and_kleene(some, pc.is_valid(jobs.column("started_at"))))
    found = jobs.to_pandas(types_mapper=pd.ArrowDtype).drop(columns="progress_estimate_available")
    found = found.rename(columns={"progress_seconds_remaining": "estimated_seconds"})
    stages = snapshot.arrow("stages", [*_KEY, "position", "stage", "started_at", "ended_at"])
    stays = stages.to_pandas(types_mapper=pd.ArrowDtype).rename(columns={"started_at": "from_at"})
    pairs = found[[*_KEY, "started_at"]].merge(stays, on=_KEY)
    is_in = (pairs.from_at <= pairs.started_at) & (pairs.ended_at.isna() | (pairs.started_at < pairs.ended_at))
    pairs = pairs[is_in.fillna(False)].sort_values([*_KEY, "position"]).drop_duplicates(_KEY, keep="last")
    found = found.merge(pairs[[*_KEY, "stage", "ended_at"]], how="left", on=_KEY)
    found["estimated_end"] = _after(found.started_at, found.estimated_seconds)
    found["took_seconds"] = frames.between(found.started_at, found.ended_at)
    found["error_seconds"] = found.estimated_seconds - found.took_seconds
    last = ["estimated_seconds", "estimated_end", "ended_at", "took_seconds", "error_seconds"]
    return found[[*_KEY, "status", "stage", "started_at", *last]]


def _after(start: pd.Series, seconds: pd.Series) -> pd.Series:
    """The times so many seconds later; NULL where a calendar has none."""
    begun = pc.cast(pa.array(start, pa.timestamp("us", "UTC"), from_pandas=True), pa.int64())
    some = pc.min_element_wise(pa.array(seconds, pa.float64(), from_pandas=True), float(_LAST // _MICRO))
    # Neither is beyond the last time by more than the calendar, so the sum is an integer of 64 bits.
    end = pc.add(begun, pc.cast(pc.round(pc.multiply(some, float(_MICRO))), pa.int64(), safe=False))
    known = pc.if_else(pc.less_equal(end, _LAST), end, pa.scalar(None, pa.int64()))
    return pd.Series(pd.arrays.ArrowExtensionArray(pc.cast(known, pa.timestamp("us", "UTC"))), index=start.index)


def _forward(seconds: pd.Series) -> pd.Series:
    return seconds.where((seconds >= 0).fillna(False))


def _in_stages(snapshot: Tables) -> pd.DataFrame:
    """By job and stage the microseconds of all stays, NULL where one has no known length."""
    table = snapshot.arrow("stages", [*_KEY, "stage", "seconds"])
    micros = pc.cast(pc.round(pc.multiply(table.column("seconds"), float(_MICRO))), pa.int64())
    table = table.append_column("micros", micros).append_column("unknown", pc.is_null(micros)).drop_columns("seconds")
    sums = table.group_by([*_KEY, "stage"], use_threads=False).aggregate([("micros", "sum"), ("unknown", "any")])
    known = pc.if_else(sums.column("unknown_any"), pa.scalar(None, pa.int64()), sums.column("micros_sum"))
    sums = sums.select([*_KEY, "stage"]).append_column("micros", known)
    return sums.to_pandas(types_mapper=pd.ArrowDtype)


def _begun(snapshot: Tables) -> pd.DataFrame:
    """When each job came to its first stage that is not `queued`; NULL where the time of that is missing."""
    table = snapshot.arrow("stages", [*_KEY, "position", "stage", "started_at"])
    table = table.filter(pc.not_equal(table.column("stage"), QUEUED))
    found = table.to_pandas(types_mapper=pd.ArrowDtype).sort_values([*_KEY, "position"]).drop_duplicates(_KEY)
    return found[[*_KEY, "started_at"]].rename(columns={"started_at": "begun_at"})


def _restarts(snapshot: Tables) -> pd.DataFrame:
    events = snapshot.arrow("events", [*_KEY, "type"])
    events = events.filter(pc.equal(events.column("type"), "job_restarted"))
    counts = events.group_by(_KEY, use_threads=False).aggregate([("type", "count")])
    return counts.rename_columns([*_KEY, "restarts"]).to_pandas(types_mapper=pd.ArrowDtype)
