"""The items of `GET /fine-tunes`: fewer keys than `GET /fine-tunes/{id}` returns, and no events."""

from __future__ import annotations

import zlib
from typing import Any

# Every other key is in the detail alone.
_LIST_KEYS = """
    Suffix batch_size created_at early_stopped early_stopping_best_metric early_stopping_best_step from_checkpoint
    from_hf_model hf_model_revision id learning_rate lr_scheduler max_grad_norm max_seq_length model model_output_name
    n_checkpoints n_epochs n_evals owner_address packing progress random_seed started_at status suffix token_count
    total_price training_file training_method training_type updated_at user_id validation_file wandb_entity wandb_name
    wandb_project_name warmup_ratio weight_decay
"""
LIST_KEYS = frozenset(_LIST_KEYS.split())


def list_item(job: dict[str, Any]) -> dict[str, Any]:
    """A job as the list shows it.

    Args:
        job: The job as `GET /fine-tunes/{id}` returns it.
    """
    item = {key: value for key, value in job.items() if key in LIST_KEYS}
    # Like the real API, most items have an empty list of events although the job has events, some null, some no key.
    match zlib.crc32(str(job.get("id")).encode()) % 10:
        case 0:
            item["events"] = None
        case 1:
            pass
        case _:
            item["events"] = []
    return dict(sorted(item.items()))
