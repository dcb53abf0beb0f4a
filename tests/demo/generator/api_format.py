"""The JSON of a job as `GET /fine-tunes/{id}` returns it, from its specification and its state.

Which keys a job has depends on when it was created, as in the real API.
"""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

from tests.demo.generator.hyperparameters import hyperparameters
from tests.demo.generator.job_spec import EARLY_STOP_SINCE, JobSpec, output_name, output_path, tokenized_path, wandb_url
from tests.demo.generator.job_state import JobState, api_events, api_time
from tests.demo.generator.lifecycle import TOKENIZED_SINCE

ADDRESSES_UNTIL = datetime(2025, 9, 1, tzinfo=UTC)
OLD_FILE_KEYS_UNTIL = datetime(2025, 6, 1, tzinfo=UTC)
PROGRESS_SINCE = datetime(2025, 9, 1, tzinfo=UTC)
PARAMETERS_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
OBJECTS_SINCE = datetime(2026, 6, 1, tzinfo=UTC)
SPECULATOR_SINCE = datetime(2026, 9, 1, tzinfo=UTC)  # a key outside the published API
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


def job_detail(spec: JobSpec, state: JobState, rng: Random) -> dict[str, Any]:
    """A job with all its keys and its events; the keys are sorted."""
    keys = _legacy_job(spec, state, rng) if spec.legacy else _current_job(spec, state, rng)
    return _with_sorted_keys(keys)


def _with_sorted_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_sorted_keys(value[key]) for key in sorted(value)}
    return [_with_sorted_keys(item) for item in value] if isinstance(value, list) else value


def _common_keys(spec: JobSpec, state: JobState, rng: Random) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "created_at": api_time(spec.created),
        "epochs_completed": state.count("EPOCH_COMPLETE"),
        "id": spec.job_id,
        "model": spec.model.name,
        "model_output_name": output_name(spec),
        "status": state.status,
        "token_count": spec.tokens if state.priced else 0,
        "total_price": spec.charge.total if state.priced else 0,
        "training_file": spec.training_file,
        "updated_at": api_time(state.updated),
        "user_id": spec.project.owner.user_id,
    }
    if spec.created < ADDRESSES_UNTIL and rng.random() < 0.7:
        keys["owner_address"] = spec.project.owner.address
    return keys


def _legacy_job(spec: JobSpec, state: JobState, rng: Random) -> dict[str, Any]:
    keys = _common_keys(spec, state, rng)
    keys |= {
        "Suffix": spec.suffix,
        "batch_size": spec.batch,
        "enable_checkpoints": False,
        "events": [
            {**_LEGACY_EVENT, **event, "level": _LEGACY_LEVELS[event["level"]]}
            for event in api_events(state.events, precise=True)
        ],
        "learning_rate": 1e-05,
        "lr_scheduler": {"lr_scheduler_args": None, "lr_scheduler_type": ""},
        "max_grad_norm": None,
        "n_epochs": spec.epochs,
        "training_type": {"type": ""},
        "wandb_url": "",
        "weight_decay": None,
    }
    if rng.random() < 0.2:
        keys["total_price"] = None
    return keys


def _current_job(spec: JobSpec, state: JobState, rng: Random) -> dict[str, Any]:
    keys = _common_keys(spec, state, rng) | hyperparameters(spec, rng)
    keys |= _price_keys(spec, state) | _file_keys(spec, rng)
    keys |= {
        "eval_steps": spec.total_steps // spec.evals if spec.evals and state.priced else 0,
        "events": api_events(state.events, precise=rng.random() < 0.3),
        "gradient_accumulation_steps": 1,
        "max_steps": -1,
        "merge_parent_adapter": bool(spec.from_checkpoint) and rng.random() < 0.5,
        "multimodal_params": {"train_vision": rng.random() < 0.3} if spec.model.vision else {},
        "param_count": round(spec.model.billions * 1e9) if state.priced and spec.created >= PARAMETERS_SINCE else 0,
        "started_at": api_time(state.stage_started) if state.stage_started else rng.choice((None, ZERO_TIME)),
        "suffix": spec.suffix,
        "train_on_inputs": rng.choice((None, None, None, "auto", False)),
        "warmup_steps": 0,
    }
    if spec.project.wandb:
        keys |= {"wandb_name": spec.suffix, "wandb_project_name": spec.project.wandb, "wandb_url": wandb_url(spec)}
    if spec.from_checkpoint or rng.random() < 0.3:
        keys["from_checkpoint"] = spec.from_checkpoint or ""
    return keys | _newer_keys(spec, state, rng)


def _price_keys(spec: JobSpec, state: JobState) -> dict[str, Any]:
    """Prices in nano-USD. Steps that were not run are refunded; after a full refund no step counts as paid for."""
    charge = spec.charge
    paid = 0 if state.refund == charge.total else state.steps
    return {
        "eval_price": charge.evaluation if state.priced else 0,
        "eval_token_count": spec.eval_tokens if state.priced else 0,
        "evals_completed": state.count("EVAL_COMPLETE"),
        "evals_paid_for": state.count("EVAL_COMPLETE") if paid else 0,
        "refund_amount": state.refund,
        "steps_completed": state.steps,
        "steps_paid_for": paid if state.priced else 0,
        "total_steps": spec.total_steps if state.priced else 0,
        "train_price": charge.train if state.priced else 0,
    }


def _file_keys(spec: JobSpec, rng: Random) -> dict[str, Any]:
    lines, size = 1 + spec.epoch_tokens // 410, int(spec.epoch_tokens * 4.2)
    old = spec.created < OLD_FILE_KEYS_UNTIL
    keys: dict[str, Any] = {
        "checkpoints": rng.choice(([], [], None)),
        "model_output_path": output_path(spec),
        "TrainingFileNumLines" if old else "trainingfile_numlines": lines,
        "TrainingFileSize" if old else "trainingfile_size": size,
        "training_files": [spec.training_file] if spec.created >= OBJECTS_SINCE else None,
        "validation_files": None,
        "validation_split_ratio": 0,
    }
    if not spec.full:
        keys["adapter_output_path"] = f"{output_path(spec)}_adapter"
    if spec.validation_file or rng.random() < 0.5:
        keys["validation_file"] = spec.validation_file or ""
    if spec.to_hub:
        keys |= {"from_hf_model": f"example-org/{spec.model.short.lower()}-base", "hf_model_revision": "main"}
    return keys


def _newer_keys(spec: JobSpec, state: JobState, rng: Random) -> dict[str, Any]:
    """The keys that the API has added since the first current jobs."""
    keys: dict[str, Any] = {}
    if state.is_open or spec.created >= PROGRESS_SINCE:
        left = rng.choice((rng.randint(60, 5400), round(rng.uniform(60, 5400), 1))) if state.status == "running" else 0
        keys["progress"] = {"estimate_available": left > 0, "seconds_remaining": left}
    if state.status in {"pending", "queued"}:
        keys["queue_depth"] = rng.randint(1, 40)
    if spec.created >= EARLY_STOP_SINCE:
        keys |= _early_stopping_keys(state)
    if spec.created >= TOKENIZED_SINCE:
        moment = next((m for m, event in state.events if event.type == "TOKENIZED_DATASET_UPLOAD_COMPLETE"), None)
        keys["tokenized_dataset_path"] = tokenized_path(spec) if moment else ""
        keys["tokenized_dataset_uploaded_at"] = api_time(moment) if moment else ZERO_TIME
    if spec.created >= OBJECTS_SINCE and state.status == "completed":
        kind = "model" if spec.merged else "adapter"
        keys[f"{kind}_object_id"] = f"ml_{rng.getrandbits(64):016x}"
        keys[f"{kind}_object_name"] = output_name(spec) + ("" if spec.merged else "-adapter")
        keys[f"{kind}_object_revision_id"] = f"rv_{rng.getrandbits(64):016x}"
        keys["job_id"] = spec.job_id
    if spec.project.wandb and spec.created >= EARLY_STOP_SINCE:
        keys["wandb_entity"] = "example-team"
    if spec.created >= SPECULATOR_SINCE:
        keys["speculator_enabled"] = rng.random() < 0.25
    return keys


def _early_stopping_keys(state: JobState) -> dict[str, Any]:
    stop = next((event.keys for _, event in state.events if event.type == "EARLY_STOPPED"), None)
    if stop is None:
        return {"early_stopped": False}
    return {
        "early_stopped": True,
        "early_stopping_best_metric": stop["early_stopping_best_metric_value"],
        "early_stopping_best_step": stop["early_stopping_best_step"],
    }
