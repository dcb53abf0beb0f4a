"""What was asked for: one plan a job, with who, when, which model and data, and how it is fated to end.

Knows neither where plans come from, nor events, nor the wire.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from tests.demo.generator.models import Model
from tests.demo.generator.prices import Charge, charge, rate
from tests.demo.generator.team import Project

LEGACY_UNTIL = datetime(2025, 2, 1, tzinfo=UTC)  # full training by SFT only, and few fields
SHORT_IDS_SINCE = datetime(2025, 4, 10, tzinfo=UTC)
ADAPTER_ONLY_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
EARLY_STOP_SINCE = datetime(2026, 2, 1, tzinfo=UTC)


class Fate(StrEnum):
    """How a job ends, if it is left to."""

    COMPLETED = "completed"
    EARLY_STOPPED = "early_stopped"
    USER_ERROR = "user_error"
    ERROR = "error"
    RESTARTED = "restarted"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Plan:
    """One job as it was asked for."""

    job_id: str
    created: datetime
    fate: Fate
    seen_in: str | None  # the status in which an open job is seen; None: it has ended
    project: Project
    model: Model
    suffix: str
    training_file: str
    validation_file: str | None
    epochs: int
    epoch_tokens: int
    batch: int
    evals: int
    checkpoints: int
    merged: bool  # the adapter is merged into a whole model
    to_hub: bool
    from_checkpoint: str | None = None

    @property
    def legacy(self) -> bool:
        """Whether it was asked for when there was neither LoRA nor DPO nor validation."""
        return self.created < LEGACY_UNTIL

    @property
    def full(self) -> bool:
        """Whether all weights are trained."""
        return self.project.full or self.legacy

    @property
    def dpo(self) -> bool:
        """Whether it learns from preferences."""
        return self.project.dpo and not self.legacy

    @property
    def total_steps(self) -> int:
        """Steps over all epochs; sequences are packed to at most 8,192 tokens."""
        return self.epochs * math.ceil(self.epoch_tokens / (self.batch * min(self.model.context, 8192)))

    @property
    def eval_tokens(self) -> int:
        """Tokens of all evaluations: each reads a validation file of a twentieth of the training data."""
        return self.evals * (self.epoch_tokens // 20)

    @property
    def charge(self) -> Charge:
        """The price of the whole job."""
        per_token = rate(self.model.billions, full=self.full, dpo=self.dpo)
        return charge(self.tokens, self.eval_tokens, per_token, created=self.created, exempt=self.model.exempt)

    @property
    def tokens(self) -> int:
        """Billed tokens: all epochs and all evaluations."""
        return self.epochs * self.epoch_tokens + self.eval_tokens


def output_name(plan: Plan) -> str:
    """The name of the model that the job makes."""
    middle = f"-{plan.suffix}" if plan.suffix else ""
    return f"acme_1a2b/{plan.model.short}{middle}-{plan.job_id.split('-')[1]}"


def output_path(plan: Plan) -> str:
    """Where the model lies; the adapter lies beside it."""
    owner = plan.project.owner.user_id
    return f"s3://example-bucket/finetune/{owner}/{output_name(plan)}/{plan.job_id}"


def wandb_url(plan: Plan) -> str:
    """The page of the run, where the project is tracked."""
    return f"https://wandb.example.com/example-team/{plan.project.wandb}/runs/{plan.job_id[-8:]}"


def tokenized_path(plan: Plan) -> str:
    """Where the tokenised data lies."""
    return f"{output_path(plan)}-tokenized.tar.gz"
