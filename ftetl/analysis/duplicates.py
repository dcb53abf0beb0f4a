"""Jobs that were probably started twice: each request that creates a job is a new one, and is charged."""

from __future__ import annotations

from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.analysis import frames
from ftetl.analysis.spend import charges
from ftetl.errors import UsageError
from ftetl.snapshot.snapshot import Tables

# What a request says that creates a job, in columns that the list has: those of the detail may be NULL for one of two.
_REQUEST: Final = (
    *("project", "training_file", "validation_file", "model", "suffix", "packing", "max_seq_length", "n_epochs"),
    *("n_evals", "n_checkpoints", "batch_size", "batch_size_max", "training_type", "lora_r", "lora_alpha"),
    *("lora_dropout", "lora_trainable_modules", "training_method", "sft_train_on_inputs", "dpo_beta", "dpo_rpo_alpha"),
    *("dpo_normalize_logratios_by_length", "dpo_reference_free", "dpo_simpo_gamma", "learning_rate"),
    *("lr_scheduler_type", "lr_scheduler_min_lr_ratio", "lr_scheduler_num_cycles", "warmup_ratio", "max_grad_norm"),
    *("weight_decay", "random_seed", "from_checkpoint", "from_hf_model", "hf_model_revision"),
)
_SHOWN: Final = ("user_id", "model", "training_file", "suffix", "status")
_MONEY: Final = ("charged", "refunded", "net")


def likely_duplicates(snapshot: Tables, minutes: float = 10) -> pd.DataFrame:
    """Jobs that were created within `minutes` after one with the same files, model and parameters, in order of time.

    Such jobs come of a request that was sent again after an error. The job that the service made of a restarted one is
    none. Of three alike, the third is a duplicate of the second.

    Columns: `project`, `job_id` (the later job), `duplicate_of` (the one before it), `created_at`, `seconds` (from one
    to the other), `user_id`, `model`, `training_file`, `suffix`, `status`, and what the later job cost: `charged_usd`,
    `refunded_usd`, `net_usd`, NULL where it has no price.

    Raises:
        UsageError: `minutes` is negative, or no number.
    """
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not minutes >= 0:
        raise UsageError("P04", f"cannot look {minutes!r} minutes ahead", next="give a number of minutes, such as 10")
    names = [*dict.fromkeys([*_REQUEST, *_SHOWN, "job_id", "created_at", "restarted_as"])]
    table = frames.read_arrow(snapshot, "jobs", names)
    table = table.filter(pc.and_(pc.is_valid(table.column("training_file")), pc.is_valid(table.column("created_at"))))
    texts = [pc.fill_null(pc.cast(table.column(name), pa.string()), "") for name in _REQUEST]
    table = table.append_column("request", pc.binary_join_element_wise(*texts, "\0"))
    jobs = table.sort_by([(name, "ascending") for name in ("request", "created_at", "job_id")]).to_pandas(
        types_mapper=pd.ArrowDtype
    )
    before = jobs.shift(1)
    jobs["duplicate_of"] = before.job_id
    jobs["seconds"] = frames.seconds(before.created_at, jobs.created_at)
    is_restart = (before.restarted_as == jobs.job_id).fillna(False)
    is_near = ((before.request == jobs.request) & (jobs.seconds <= minutes * 60)).fillna(False)
    amounts = [f"{name}_nanousd" for name in _MONEY]
    jobs = jobs[is_near & ~is_restart].merge(charges(snapshot)[["project", "job_id", *amounts]], how="left")
    for name in _MONEY:
        jobs[f"{name}_usd"] = frames.to_usd(jobs[f"{name}_nanousd"])
    columns = [
        "project",
        "job_id",
        "duplicate_of",
        "created_at",
        "seconds",
        *_SHOWN,
        *(f"{name}_usd" for name in _MONEY),
    ]
    return jobs.sort_values(["created_at", "job_id"], ignore_index=True)[columns]
