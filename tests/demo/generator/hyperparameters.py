"""The hyperparameters of a job, under the API's keys and in the forms in which the API returns them."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

from tests.demo.generator.job_spec import JobSpec

PACKING_SINCE = datetime(2025, 5, 1, tzinfo=UTC)
RSLORA_SINCE = datetime(2026, 10, 1, tzinfo=UTC)

_MODULES = ("all-linear", "all-linear", "all-linear", "q_proj,k_proj,v_proj,o_proj")


def hyperparameters(spec: JobSpec, rng: Random) -> dict[str, Any]:
    """The hyperparameters of a job that is not a legacy job."""
    keys: dict[str, Any] = {
        "batch_size": "max" if rng.random() < 0.12 else spec.batch,
        "learning_rate": _learning_rate(spec, rng),
        "lr_scheduler": _scheduler(rng),
        "max_grad_norm": rng.choice((1, 1, 1, 0.5)),
        "n_checkpoints": spec.checkpoints,
        "n_epochs": spec.epochs,
        "n_evals": spec.evals,
        "random_seed": rng.choice((42, 42, 7, 1234, None)),
        "training_method": _training_method(spec, rng),
        "training_type": _training_type(spec, rng),
        "warmup_ratio": rng.choice((0, 0, 0.03, 0.05, 0.1)),
        "weight_decay": rng.choice((0, 0, 0.01)),
    }
    if spec.created >= PACKING_SINCE:
        keys["packing"] = rng.random() < 0.9
        keys["max_seq_length"] = rng.choice((spec.model.context, spec.model.context, 8192, 4096))
    return keys


def _learning_rate(spec: JobSpec, rng: Random) -> float:
    if spec.dpo:
        return rng.choice((5e-07, 1e-06, 5e-06))
    return rng.choice((1e-06, 5e-06, 1e-05) if spec.full else (1e-05, 2e-05, 5e-05, 1e-04, 2e-04))


def _scheduler(rng: Random) -> dict[str, Any]:
    if rng.random() < 0.3:
        cosine = {"min_lr_ratio": rng.choice((0, 0.1)), "num_cycles": 0.5}
        return {"lr_scheduler_args": cosine, "lr_scheduler_type": "cosine"}
    linear: tuple[dict[str, float] | None, ...] = ({}, {}, None, {"min_lr_ratio": 0}, {"min_lr_ratio": 0.1})
    return {"lr_scheduler_args": rng.choice(linear), "lr_scheduler_type": "linear"}


def _training_method(spec: JobSpec, rng: Random) -> dict[str, Any]:
    if not spec.dpo:
        return {"method": "sft", "train_on_inputs": rng.choice(("auto",) * 8 + (True, False))}
    return {
        "dpo_beta": rng.choice((0.1, 0.1, 0.05)),
        "dpo_normalize_logratios_by_length": rng.random() < 0.2,
        "dpo_reference_free": False,
        "method": "dpo",
        "rpo_alpha": rng.choice((0, None, 1.0)),
        "simpo_gamma": rng.choice((None, None, 0.5)),
    }


def _training_type(spec: JobSpec, rng: Random) -> dict[str, Any]:
    if spec.full:
        return {"type": "Full"}
    rank = rng.choice((8, 16, 16, 64))
    keys: dict[str, Any] = {
        "lora_alpha": 2 * rank,
        "lora_r": rank,
        "lora_trainable_modules": rng.choice(_MODULES),
        "type": "Lora",
    }
    # The API leaves out a dropout of 0, and has lately begun to send a key that is not published.
    if rng.random() < 0.15:
        keys["lora_dropout"] = rng.choice((0.05, 0.1))
    if spec.created >= RSLORA_SINCE:
        keys["lora_use_rslora"] = rng.random() < 0.3
    return keys
