"""A job as `GET /fine-tunes/{id}` answers it -> the same job as an item of `GET /fine-tunes`.

Knows nothing of HTTP, nor of where jobs come from.
"""

from __future__ import annotations

import zlib
from typing import Any

# All else is for the detail alone.
_LISTED = """
    Suffix batch_size created_at early_stopped early_stopping_best_metric early_stopping_best_step from_checkpoint
    from_hf_model hf_model_revision id learning_rate lr_scheduler max_grad_norm max_seq_length model model_output_name
    n_checkpoints n_epochs n_evals owner_address packing progress random_seed started_at status suffix token_count
    total_price training_file training_method training_type updated_at user_id validation_file wandb_entity wandb_name
    wandb_project_name warmup_ratio weight_decay
"""
LISTED = frozenset(_LISTED.split())


def listed(job: dict[str, Any]) -> dict[str, Any]:
    """A job as the list shows it: no events, and only the keys that the list has."""
    found = {key: value for key, value in job.items() if key in LISTED}
    # Most items say that there are no events, some say null, some nothing; none of it is to be believed.
    match zlib.crc32(str(job.get("id")).encode()) % 10:
        case 0:
            found["events"] = None
        case 1:
            pass
        case _:
            found["events"] = []
    return dict(sorted(found.items()))
