"""pandas: `json_normalize` for the jobs, and again with `record_path` for their events.

    python pandas_normalize.py INPUT.ndjson OUTDIR

This is what a notebook does, with types repaired where Parquet would refuse them otherwise.

What it cannot do: it holds everything as Python objects, so memory grows to several times the file. Types follow the
values that happen to be there: a column is integer until one value is missing, and true beside "auto" is an object
that Parquet refuses (hence the text below). Columns that no job filled are not there. A job without the key `events`
makes `record_path` raise KeyError. It checks nothing, puts nothing aside, keeps no history, commits nothing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd

NAMES = {
    "id": "job_id",
    "lr_scheduler.lr_scheduler_type": "lr_scheduler_type",
    "lr_scheduler.lr_scheduler_args.min_lr_ratio": "lr_scheduler_min_lr_ratio",
    "lr_scheduler.lr_scheduler_args.num_cycles": "lr_scheduler_num_cycles",
    "progress.estimate_available": "progress_estimate_available",
    "progress.seconds_remaining": "progress_seconds_remaining",
    "training_method.method": "training_method",
    "training_method.train_on_inputs": "sft_train_on_inputs",
    "training_method.dpo_beta": "dpo_beta",
    "training_method.dpo_normalize_logratios_by_length": "dpo_normalize_logratios_by_length",
    "training_method.dpo_reference_free": "dpo_reference_free",
    "training_method.rpo_alpha": "dpo_rpo_alpha",
    "training_method.simpo_gamma": "dpo_simpo_gamma",
    "training_type.type": "training_type",
    "training_type.lora_r": "lora_r",
    "training_type.lora_alpha": "lora_alpha",
    "training_type.lora_dropout": "lora_dropout",
    "training_type.lora_trainable_modules": "lora_trainable_modules",
}
TIMES = ("created_at", "started_at", "updated_at")
LISTS = ["checkpoints", "training_files", "validation_files"]


def text(value: object) -> object:
    """The JSON text of a boolean, everything else as it is."""
    return json.dumps(value) if isinstance(value, bool) else value


def main(file: str, folder: Path) -> None:
    with open(file, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    events = pd.json_normalize(rows, record_path="events", meta="id").rename(columns={"id": "job_id"})
    events["position"] = events.groupby("job_id", sort=False).cumcount()
    events["created_at"] = pd.to_datetime(events["created_at"], format="ISO8601", utc=True)
    events.drop(columns="object").to_parquet(folder / "events.parquet", compression="zstd", index=False)
    del events
    for row in rows:
        del row["events"]
    jobs = pd.json_normalize(rows).rename(columns=NAMES).drop(columns=LISTS, errors="ignore")
    jobs["sft_train_on_inputs"] = jobs["sft_train_on_inputs"].map(text)
    jobs["total_price_usd"] = jobs["total_price"] / 1e9  # a float: decimals would be Python objects, one a row
    for name in TIMES:
        jobs[name] = pd.to_datetime(jobs[name], format="ISO8601", utc=True)
    jobs.to_parquet(folder / "jobs.parquet", compression="zstd", index=False)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
