"""A plan and what has become of it -> the job as `GET /fine-tunes/{id}` answers it.

Keys come and go with the time at which a job was created, as they did in the real API. Knows nothing of HTTP.
"""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

from tests.demo.generator.hyperparameters import hyperparameters
from tests.demo.generator.job_spec import EARLY_STOP_SINCE, Plan, output_name, output_path, tokenized_path, wandb_url
from tests.demo.generator.job_state import Seen, wire_events, wire_time
from tests.demo.generator.lifecycle import TOKENIZED_SINCE

ADDRESSES_UNTIL = datetime(2025, 9, 1, tzinfo=UTC)
OLD_FILE_KEYS_UNTIL = datetime(2025, 6, 1, tzinfo=UTC)
PROGRESS_SINCE = datetime(2025, 9, 1, tzinfo=UTC)
PARAMETERS_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
OBJECTS_SINCE = datetime(2026, 6, 1, tzinfo=UTC)
SPECULATOR_SINCE = datetime(2026, 9, 1, tzinfo=UTC)  # a key that nobody knows
ZERO_TIME = "0001-01-01T00:00:00Z"

_LEGACY_LEVELS: dict[object, str] = {
    "": "",
    "Info": "legacy_info",
    "Warning": "legacy_iwarning",
    "Error": "legacy_ierror",
}
_LEGACY_EVENT: dict[str, object] = {
    "checkpoint_path": "",
    "hash": "",
    "model_path": "",
    "param_count": 0,
    "step": 0,
    "token_count": 0,
    "total_steps": 0,
    "training_offset": 0,
    "wandb_url": "",
}


def detail(plan: Plan, now: Seen, rng: Random) -> dict[str, Any]:
    """A job with all its keys and its events."""
    found = _legacy(plan, now, rng) if plan.legacy else _modern(plan, now, rng)
    return _ordered(found)


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def _identity(plan: Plan, now: Seen, rng: Random) -> dict[str, Any]:
    found: dict[str, Any] = {
        "created_at": wire_time(plan.created),
        "epochs_completed": now.count("EPOCH_COMPLETE"),
        "id": plan.job_id,
        "model": plan.model.name,
        "model_output_name": output_name(plan),
        "status": now.status,
        "token_count": plan.tokens if now.priced else 0,
        "total_price": plan.charge.total if now.priced else 0,
        "training_file": plan.training_file,
        "updated_at": wire_time(now.updated),
        "user_id": plan.project.owner.user_id,
    }
    if plan.created < ADDRESSES_UNTIL and rng.random() < 0.7:
        found["owner_address"] = plan.project.owner.address
    return found


def _legacy(plan: Plan, now: Seen, rng: Random) -> dict[str, Any]:
    found = _identity(plan, now, rng)
    found |= {
        "Suffix": plan.suffix,
        "batch_size": plan.batch,
        "enable_checkpoints": False,
        "events": [
            {**_LEGACY_EVENT, **event, "level": _LEGACY_LEVELS[event["level"]]}
            for event in wire_events(now.events, precise=True)
        ],
        "learning_rate": 1e-05,
        "lr_scheduler": {"lr_scheduler_args": None, "lr_scheduler_type": ""},
        "max_grad_norm": None,
        "n_epochs": plan.epochs,
        "training_type": {"type": ""},
        "wandb_url": "",
        "weight_decay": None,
    }
    if rng.random() < 0.2:
        found["total_price"] = None
    return found


def _modern(plan: Plan, now: Seen, rng: Random) -> dict[str, Any]:
    found = _identity(plan, now, rng) | hyperparameters(plan, rng) | _billing(plan, now) | _files(plan, rng)
    found |= {
        "eval_steps": plan.total_steps // plan.evals if plan.evals and now.priced else 0,
        "events": wire_events(now.events, precise=rng.random() < 0.3),
        "gradient_accumulation_steps": 1,
        "max_steps": -1,
        "merge_parent_adapter": bool(plan.from_checkpoint) and rng.random() < 0.5,
        "multimodal_params": {"train_vision": rng.random() < 0.3} if plan.model.vision else {},
        "param_count": round(plan.model.billions * 1e9) if now.priced and plan.created >= PARAMETERS_SINCE else 0,
        "started_at": wire_time(now.stage_started) if now.stage_started else rng.choice((None, ZERO_TIME)),
        "suffix": plan.suffix,
        "train_on_inputs": rng.choice((None, None, None, "auto", False)),
        "warmup_steps": 0,
    }
    if plan.project.wandb:
        found |= {"wandb_name": plan.suffix, "wandb_project_name": plan.project.wandb, "wandb_url": wandb_url(plan)}
    if plan.from_checkpoint or rng.random() < 0.3:
        found["from_checkpoint"] = plan.from_checkpoint or ""
    return found | _newer(plan, now, rng)


def _billing(plan: Plan, now: Seen) -> dict[str, Any]:
    """Prices in nano-USD. What was not run is given back, what was given back was not paid for."""
    charge = plan.charge
    paid = 0 if now.refund == charge.total else now.steps
    return {
        "eval_price": charge.evaluation if now.priced else 0,
        "eval_token_count": plan.eval_tokens if now.priced else 0,
        "evals_completed": now.count("EVAL_COMPLETE"),
        "evals_paid_for": now.count("EVAL_COMPLETE") if paid else 0,
        "refund_amount": now.refund,
        "steps_completed": now.steps,
        "steps_paid_for": paid if now.priced else 0,
        "total_steps": plan.total_steps if now.priced else 0,
        "train_price": charge.train if now.priced else 0,
    }


def _files(plan: Plan, rng: Random) -> dict[str, Any]:
    lines, size = 1 + plan.epoch_tokens // 410, int(plan.epoch_tokens * 4.2)
    old = plan.created < OLD_FILE_KEYS_UNTIL
    found: dict[str, Any] = {
        "checkpoints": rng.choice(([], [], None)),
        "model_output_path": output_path(plan),
        "TrainingFileNumLines" if old else "trainingfile_numlines": lines,
        "TrainingFileSize" if old else "trainingfile_size": size,
        "training_files": [plan.training_file] if plan.created >= OBJECTS_SINCE else None,
        "validation_files": None,
        "validation_split_ratio": 0,
    }
    if not plan.full:
        found["adapter_output_path"] = f"{output_path(plan)}_adapter"
    if plan.validation_file or rng.random() < 0.5:
        found["validation_file"] = plan.validation_file or ""
    if plan.to_hub:
        found |= {"from_hf_model": f"example-org/{plan.model.short.lower()}-base", "hf_model_revision": "main"}
    return found


def _newer(plan: Plan, now: Seen, rng: Random) -> dict[str, Any]:
    """The keys that the API has learned since."""
    found: dict[str, Any] = {}
    if now.is_open or plan.created >= PROGRESS_SINCE:
        left = rng.choice((rng.randint(60, 5400), round(rng.uniform(60, 5400), 1))) if now.status == "running" else 0
        found["progress"] = {"estimate_available": left > 0, "seconds_remaining": left}
    if now.status in {"pending", "queued"}:
        found["queue_depth"] = rng.randint(1, 40)
    if plan.created >= EARLY_STOP_SINCE:
        found |= _early_stopping(now)
    if plan.created >= TOKENIZED_SINCE:
        moment = next((m for m, event in now.events if event.type == "TOKENIZED_DATASET_UPLOAD_COMPLETE"), None)
        found["tokenized_dataset_path"] = tokenized_path(plan) if moment else ""
        found["tokenized_dataset_uploaded_at"] = wire_time(moment) if moment else ZERO_TIME
    if plan.created >= OBJECTS_SINCE and now.status == "completed":
        kind = "model" if plan.merged else "adapter"
        found[f"{kind}_object_id"] = f"ml_{rng.getrandbits(64):016x}"
        found[f"{kind}_object_name"] = output_name(plan) + ("" if plan.merged else "-adapter")
        found[f"{kind}_object_revision_id"] = f"rv_{rng.getrandbits(64):016x}"
        found["job_id"] = plan.job_id
    if plan.project.wandb and plan.created >= EARLY_STOP_SINCE:
        found["wandb_entity"] = "example-team"
    if plan.created >= SPECULATOR_SINCE:
        found["speculator_enabled"] = rng.random() < 0.25
    return found


def _early_stopping(now: Seen) -> dict[str, Any]:
    stop = next((event.keys for _, event in now.events if event.type == "EARLY_STOPPED"), None)
    if stop is None:
        return {"early_stopped": False}
    return {
        "early_stopped": True,
        "early_stopping_best_metric": stop["early_stopping_best_metric_value"],
        "early_stopping_best_step": stop["early_stopping_best_step"],
    }
