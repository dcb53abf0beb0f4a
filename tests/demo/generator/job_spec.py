"""The specification of a job: who created it and when, its model and data, and how it ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from tests.demo.generator.models import Model
from tests.demo.generator.prices import Charge, charge_for, rate_per_token
from tests.demo.generator.team import Project

LEGACY_UNTIL = datetime(2025, 2, 1, tzinfo=UTC)  # full training by SFT only, and few fields
SHORT_IDS_SINCE = datetime(2025, 4, 10, tzinfo=UTC)
ADAPTER_ONLY_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
EARLY_STOP_SINCE = datetime(2026, 2, 1, tzinfo=UTC)


class Scenario(StrEnum):
    """How a job ends; an open job is seen before its end."""

    COMPLETED = "completed"
    EARLY_STOPPED = "early_stopped"
    USER_ERROR = "user_error"
    ERROR = "error"
    RESTARTED = "restarted"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class JobSpec:
    """One job as it was requested."""

    job_id: str
    created: datetime
    scenario: Scenario
    open_status: str | None  # the status of an open job; None: the job has ended
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
        """Whether it was created before there were LoRA, DPO and validation."""
        return self.created < LEGACY_UNTIL

    @property
    def full(self) -> bool:
        """Whether all weights are trained."""
        return self.project.full or self.legacy

    @property
    def dpo(self) -> bool:
        """Whether it is trained by direct preference optimization."""
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
        per_token = rate_per_token(self.model.billions, full=self.full, dpo=self.dpo)
        return charge_for(self.tokens, self.eval_tokens, per_token, created=self.created, exempt=self.model.exempt)

    @property
    def tokens(self) -> int:
        """Billed tokens: all epochs and all evaluations."""
        return self.epochs * self.epoch_tokens + self.eval_tokens


def output_name(spec: JobSpec) -> str:
    """The name of the model that the job creates."""
    middle = f"-{spec.suffix}" if spec.suffix else ""
    return f"acme_1a2b/{spec.model.short}{middle}-{spec.job_id.split('-')[1]}"


def output_path(spec: JobSpec) -> str:
    """The path of the model."""
    owner = spec.project.owner.user_id
    return f"s3://example-bucket/finetune/{owner}/{output_name(spec)}/{spec.job_id}"


def wandb_url(spec: JobSpec) -> str:
    """The URL of the run in Weights & Biases."""
    return f"https://wandb.example.com/example-team/{spec.project.wandb}/runs/{spec.job_id[-8:]}"


def tokenized_path(spec: JobSpec) -> str:
    """The path of the tokenized dataset."""
    return f"{output_path(spec)}-tokenized.tar.gz"
