"""How well jobs learned: their metrics by step, and their final losses beside what they cost.

Both read `training_metrics`, which a run fills with `--metrics auto`; without it there are no metrics.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.analysis import frames
from ftetl.analysis.spend import charges
from ftetl.arrays import group_ends
from ftetl.errors import UsageError
from ftetl.formatting import did_you_mean
from ftetl.snapshot.snapshot import Tables

TRAIN_LOSS: Final = "train/loss"
EVAL_LOSS: Final = "eval/loss"
_JOB: Final = ["project", "job_id"]
_SHOWN: Final = ["model", "training_type", "training_method", "status", "created_at", "n_epochs", "token_count"]
_MONEY: Final = ("charged", "refunded", "net")


def learning_curves(snapshot: Tables, names: str | Iterable[str] | None = None) -> pd.DataFrame:
    """The metrics of each job by step, as they are plotted.

    Args:
        snapshot: What `ftetl.open` returns.
        names: One or several metrics, such as `"train/loss"`; all of them without it.

    Columns: `project`, `job_id`, `model`, `name`, `step`, `epochs`, `value` (NULL where it was NaN, infinite or no
    number), `logged_at`. In the order of project, job, name and step; of a step that was logged again, as after a
    restart, the last entry, and every entry that names no step.

    Raises:
        UsageError: There are metrics, and none of a name.
    """
    columns = [*_JOB, "position", "name", "step", "epochs", "value", "logged_at"]
    table = frames.read_arrow(snapshot, "training_metrics", columns)
    if names is not None:
        table = _of_names(table, [names] if isinstance(names, str) else list(names))
    table = table.sort_by([(name, "ascending") for name in (*_JOB, "name", "step", "position")]).combine_chunks()
    ends = group_ends(*(table.column(name) for name in (*_JOB, "name", "step")))
    table = table.filter(pc.or_(ends, pc.is_null(table.column("step")).combine_chunks()))
    curves = table.drop_columns(["position"]).to_pandas(types_mapper=pd.ArrowDtype)
    curves = curves.merge(frames.read(snapshot, "jobs", [*_JOB, "model"]), how="left", on=_JOB)
    return curves[[*_JOB, "model", "name", "step", "epochs", "value", "logged_at"]]


def cost_and_quality(snapshot: Tables) -> pd.DataFrame:
    """One row per finished job: what it cost, and how well it learned.

    Columns: `project`, `job_id`, `model`, `training_type`, `training_method`, `status`, `created_at`, `n_epochs`,
    `token_count` (billed), `charged_usd`, `refunded_usd`, `net_usd` (NULL where it has no price), `steps` (the last one
    with a metric), `train_loss` and `eval_loss` (the last ones; NULL where the job has none, or the last was NaN or
    infinite), `best_eval_loss` (the least). In the order of creation. Losses of different data sets or training methods
    cannot be compared.
    """
    jobs = frames.read_jobs(snapshot, [*_SHOWN, "is_terminal"])
    jobs = jobs[jobs.is_terminal.fillna(False)][[*_JOB, *_SHOWN]]
    money = charges(snapshot)
    for name in _MONEY:
        money[f"{name}_usd"] = frames.to_usd(money[f"{name}_nanousd"])
    jobs = jobs.merge(money[[*_JOB, *(f"{name}_usd" for name in _MONEY)]], how="left", on=_JOB)
    metrics = frames.read_arrow(snapshot, "training_metrics", [*_JOB, "name", "step", "value"])
    steps = _by_job(metrics, "step", {"max": "steps"})
    train = _by_job(_of_name(metrics, TRAIN_LOSS), "value", {"last": "train_loss"})
    evaluated = _by_job(_of_name(metrics, EVAL_LOSS), "value", {"last": "eval_loss", "min": "best_eval_loss"})
    for part in (steps, train, evaluated):
        jobs = jobs.merge(part, how="left", on=_JOB)
    return jobs.sort_values(["created_at", "job_id"], ignore_index=True)


def _of_names(metrics: pa.Table, names: list[str]) -> pa.Table:
    known = pc.unique(metrics.column("name")).to_pylist()
    for name in names:
        if known and name not in known:
            advice = did_you_mean(str(name), known, f"choose of: {', '.join(sorted(known))}")
            raise UsageError("P04", f"no job has a metric {name!r}", next=advice)
    return metrics.filter(pc.is_in(metrics.column("name"), value_set=pa.array(names, pa.string())))


def _of_name(metrics: pa.Table, name: str) -> pa.Table:
    return metrics.filter(pc.equal(metrics.column("name"), name))


def _by_job(metrics: pa.Table, column: str, functions: dict[str, str]) -> pd.DataFrame:
    """One row per job with the results of these functions, under their names; rows are in the order of time."""
    with_nulls = {"last": pc.ScalarAggregateOptions(skip_nulls=False)}  # a loss that became NaN is not the one before
    sums = [(column, function, with_nulls.get(function)) for function in functions]
    found = metrics.group_by(_JOB, use_threads=False).aggregate(sums)  # without threads: in order
    return found.rename_columns([*_JOB, *functions.values()]).to_pandas(types_mapper=pd.ArrowDtype)
