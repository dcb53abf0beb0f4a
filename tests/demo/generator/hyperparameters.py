"""How a job is trained: the settings in the API's own keys, with the forms that they take on the wire.

Knows nothing of what became of the job.
"""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

from tests.demo.generator.job_spec import Plan

PACKING_SINCE = datetime(2025, 5, 1, tzinfo=UTC)
RSLORA_SINCE = datetime(2026, 10, 1, tzinfo=UTC)

_MODULES = ("all-linear", "all-linear", "all-linear", "q_proj,k_proj,v_proj,o_proj")


def hyperparameters(plan: Plan, rng: Random) -> dict[str, Any]:
    """The settings of a job that is no legacy job."""
    found: dict[str, Any] = {
        "batch_size": "max" if rng.random() < 0.12 else plan.batch,
        "learning_rate": _learning_rate(plan, rng),
        "lr_scheduler": _scheduler(rng),
        "max_grad_norm": rng.choice((1, 1, 1, 0.5)),
        "n_checkpoints": plan.checkpoints,
        "n_epochs": plan.epochs,
        "n_evals": plan.evals,
        "random_seed": rng.choice((42, 42, 7, 1234, None)),
        "training_method": _method(plan, rng),
        "training_type": _type(plan, rng),
        "warmup_ratio": rng.choice((0, 0, 0.03, 0.05, 0.1)),
        "weight_decay": rng.choice((0, 0, 0.01)),
    }
    if plan.created >= PACKING_SINCE:
        found["packing"] = rng.random() < 0.9
        found["max_seq_length"] = rng.choice((plan.model.context, plan.model.context, 8192, 4096))
    return found


def _learning_rate(plan: Plan, rng: Random) -> float:
    if plan.dpo:
        return rng.choice((5e-07, 1e-06, 5e-06))
    return rng.choice((1e-06, 5e-06, 1e-05) if plan.full else (1e-05, 2e-05, 5e-05, 1e-04, 2e-04))


def _scheduler(rng: Random) -> dict[str, Any]:
    if rng.random() < 0.3:
        cosine = {"min_lr_ratio": rng.choice((0, 0.1)), "num_cycles": 0.5}
        return {"lr_scheduler_args": cosine, "lr_scheduler_type": "cosine"}
    linear: tuple[dict[str, float] | None, ...] = ({}, {}, None, {"min_lr_ratio": 0}, {"min_lr_ratio": 0.1})
    return {"lr_scheduler_args": rng.choice(linear), "lr_scheduler_type": "linear"}


def _method(plan: Plan, rng: Random) -> dict[str, Any]:
    if not plan.dpo:
        return {"method": "sft", "train_on_inputs": rng.choice(("auto",) * 8 + (True, False))}
    return {
        "dpo_beta": rng.choice((0.1, 0.1, 0.05)),
        "dpo_normalize_logratios_by_length": rng.random() < 0.2,
        "dpo_reference_free": False,
        "method": "dpo",
        "rpo_alpha": rng.choice((0, None, 1.0)),
        "simpo_gamma": rng.choice((None, None, 0.5)),
    }


def _type(plan: Plan, rng: Random) -> dict[str, Any]:
    if plan.full:
        return {"type": "Full"}
    rank = rng.choice((8, 16, 16, 64))
    found: dict[str, Any] = {
        "lora_alpha": 2 * rank,
        "lora_r": rank,
        "lora_trainable_modules": rng.choice(_MODULES),
        "type": "Lora",
    }
    # The API leaves out a dropout of 0, and has lately begun to send a key that nobody knows.
    if rng.random() < 0.15:
        found["lora_dropout"] = rng.choice((0.05, 0.1))
    if plan.created >= RSLORA_SINCE:
        found["lora_use_rslora"] = rng.random() < 0.3
    return found
