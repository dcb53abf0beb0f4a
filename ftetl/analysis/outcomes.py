"""How jobs ended: how many completed, why others failed, and which job replaced a restarted one.

Cancelled jobs neither completed nor failed; unfinished ones have not ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.analysis import frames
from ftetl.analysis.spend import charges
from ftetl.snapshot.snapshot import Tables

FAILED: Final = ("error", "user_error")
_RESTARTED = "job_restarted"
_NUMBER = r"\d+"


def success(snapshot: Tables, by: str | Iterable[str] = "month") -> pd.DataFrame:
    """How many jobs completed, grouped as in `spend`.

    Columns: those, then counts of jobs: `jobs` (all), `completed`, `error`, `user_error`, `cancelled`, `unfinished`
    (every other status), and `success_rate`: the share of completed ones among those that completed or failed, from 0
    to 1, NULL where there is none.

    Raises:
        UsageError: `by` names something else.
    """
    columns = frames.group_columns(by)
    jobs = frames.read_jobs(snapshot, ["model", "user_id", "training_type", "training_method", "packing", "status"])
    ends = ("completed", *FAILED, "cancelled")
    status = jobs.status.fillna("")
    for end in ends:
        jobs[f"is_{end}"] = (status == end).astype("int64[pyarrow]")
    jobs["is_unfinished"] = (~status.isin(ends)).astype("int64[pyarrow]")
    counts = {end: (f"is_{end}", "sum") for end in (*ends, "unfinished")}
    sums = frames.aggregate(jobs, columns, counts)
    ended = sums.completed + sums.error + sums.user_error
    sums["success_rate"] = sums.completed.astype("double[pyarrow]") / ended.where(ended > 0)
    return sums


def failures(snapshot: Tables) -> pd.DataFrame:
    """Why jobs failed, the most frequent reason first.

    Columns: `status` (`error`, `user_error`), `reason` (the message of the last event, each number in it as `#`, so
    that like reasons are one row; NULL where no events are known), `jobs`, `net_usd` (charged less refunded), `newest`
    (when such a job last failed, else was last changed) and `example`, the id of that job.
    """
    table = frames.read_arrow(
        snapshot, "jobs", ["project", "job_id", "status", "failure_reason", "finished_at", "updated_at"]
    )
    table = table.filter(pc.is_in(table.column("status"), value_set=pa.array(FAILED)))
    table = table.append_column("reason", pc.replace_substring_regex(table.column("failure_reason"), _NUMBER, "#"))
    table = table.append_column("newest", pc.coalesce(table.column("finished_at"), table.column("updated_at")))
    jobs = table.to_pandas(types_mapper=pd.ArrowDtype)
    jobs = jobs.merge(charges(snapshot)[["project", "job_id", "net_nanousd"]], how="left")
    jobs["net_nanousd"] = jobs.net_nanousd.fillna(0).astype(frames.WIDE)
    jobs = jobs.sort_values(["newest", "job_id"], na_position="first")
    columns = {"net_usd": ("net_nanousd", "sum"), "newest": ("newest", "last"), "example": ("job_id", "last")}
    sums = frames.aggregate(jobs, ["status", "reason"], columns)
    sums["net_usd"] = frames.to_usd(sums.net_usd)
    return sums.sort_values(["jobs", "reason"], ascending=[False, True], kind="stable", ignore_index=True)


def restarts(snapshot: Tables) -> pd.DataFrame:
    """Jobs that the service restarted, each with the job that took its place.

    Columns: `project`, `job_id`, `restarted_at`, `restarted_as` (NULL where no such job is known), `restart_link`
    (`message` or `guess`: how it is known; both are columns of `jobs`), `seconds` from the restart to the other job's
    creation, `suffix`, `training_file`, `model`.
    """
    key = ["project", "job_id"]
    events = frames.read(snapshot, "events", [*key, "type", "created_at"])
    last = events[events.type == _RESTARTED].groupby(key).created_at.max().rename("restarted_at").reset_index()
    told = ["restarted_as", "restart_link"]
    jobs = frames.read(snapshot, "jobs", [*key, *told, "suffix", "training_file", "model", "created_at"])
    result = last.merge(jobs.drop(columns="created_at"), on=key)
    others = jobs[[*key, "created_at"]].rename(columns={"job_id": "restarted_as"})
    result = result.merge(others, how="left", on=["project", "restarted_as"])
    result["seconds"] = frames.seconds(result.restarted_at, result.created_at)
    columns = [*key, "restarted_at", *told, "seconds", "suffix", "training_file", "model"]
    return result.sort_values(["restarted_at", "job_id"], ignore_index=True)[columns]
