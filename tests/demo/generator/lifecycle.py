"""What every job goes through, chapter by chapter: it is prepared, it is trained, it is delivered.

Knows nothing of how a job ends otherwise, nor of how it looks on the wire.
"""

from __future__ import annotations

from datetime import UTC, datetime

from tests.demo.generator.job_spec import Plan, output_path, tokenized_path, wandb_url
from tests.demo.generator.messages import MARK
from tests.demo.generator.timeline import Telling

TOKENIZED_SINCE = datetime(2026, 3, 1, tzinfo=UTC)


def start(t: Telling) -> None:
    """The job leaves the queue."""
    t.status = "running"
    t.say("JOB_START", "Job started at {ctime}")
    t.wait(1, 3)
    t.say("MODEL_DOWNLOADING", "Model data downloading")


def prepare(t: Telling) -> None:
    """From the start of the job to the start of the training; the price is known once the data is tokenised."""
    plan, name = t.plan, t.plan.model.name + MARK
    start(t)
    t.wait(1, 2 + 1.5 * plan.model.billions)
    t.say("MODEL_DOWNLOAD_COMPLETE", f"Model data downloaded for {name} at {{ctime}}")
    t.say("TRAINING_DATA_DOWNLOADING", "Data downloading")
    t.wait(2, 6 + plan.epoch_tokens / 2e6)
    t.say("TRAINING_DATA_DOWNLOAD_COMPLETE", f"Data downloaded for {name} at {{iso}}")
    if plan.validation_file:
        t.say("VALIDATION_DATA_DOWNLOADING", "Validation data downloading")
        t.wait(1, 4)
        t.say("VALIDATION_DATA_DOWNLOAD_COMPLETE", f"Validation data downloaded for {name} at {{iso}}")
    t.wait(2, 4 + plan.epoch_tokens / 1e6)
    t.priced = True
    if plan.created >= TOKENIZED_SINCE:
        t.say(
            "TOKENIZED_DATASET_UPLOAD_COMPLETE",
            "Tokenized dataset uploaded",
            keys={"tokenized_dataset_path": tokenized_path(plan)},
        )
    if plan.project.wandb:
        t.wait(2, 7)
        t.say("WANDB_INIT", "WandB run initialized.", keys={"wandb_url": wandb_url(plan)})
    t.wait(8, 20 + plan.model.billions)


def train(t: Telling, share: float = 1.0) -> None:
    """The training up to a share of its steps."""
    plan, began = t.plan, t.at
    t.say("TRAINING_START", f"Training started for model {plan.model.name}{MARK}", keys={"token_count": plan.tokens})
    seconds = 40 + plan.tokens / _speed(plan)
    for step, kind, message, keys in _milestones(plan):
        if step > share * plan.total_steps:
            break
        t.steps = step
        t.at = max(t.at, began + seconds * step / plan.total_steps)
        t.say(kind, f"{message} {step}", keys={"step": step, "total_steps": plan.total_steps, **keys})
    t.at = max(t.at, began + seconds * share)
    t.steps = max(t.steps, int(plan.total_steps * share))


def _speed(plan: Plan) -> float:
    """Tokens a second."""
    slower = (0.7 if plan.full else 1.0) * (0.5 if plan.dpo else 1.0)
    return 4.6e5 * slower / float(plan.model.billions**0.8)


def _milestones(plan: Plan) -> list[tuple[int, str, str, dict[str, object]]]:
    """(step, type, message, keys) of the epochs, checkpoints and evaluations, in order."""

    def steps(parts: int) -> list[int]:
        return sorted({max(1, round(plan.total_steps * n / parts)) for n in range(1, parts + 1)})

    found: list[tuple[int, str, str, dict[str, object]]] = []
    found += [(step, "EPOCH_COMPLETE", "Epoch completed, at step", {}) for step in steps(plan.epochs)]
    found += [
        (step, "CHECKPOINT_SAVE", "Checkpoint saved at step", {"checkpoint_path": f"{output_path(plan)}-step-{step}"})
        for step in steps(plan.checkpoints)
    ]
    found += [(step, "EVAL_COMPLETE", "Evaluation completed, at step", {}) for step in steps(plan.evals)]
    return sorted(found, key=lambda milestone: milestone[0])


def deliver(t: Telling) -> None:
    """From the last step to the model that can be used."""
    plan = t.plan
    t.wait(5, 40)
    t.say("TRAINING_COMPLETE", f"Training completed for {plan.model.name}{MARK} at {{ctime}}")
    if not plan.full:
        t.wait(0.5, 2)
        t.status = "uploading"
        t.say("MODEL_UPLOADING", "Uploading adapter model")
        t.wait(8, 50)
    if plan.merged:
        t.status = "compressing"
        t.say("COMPRESSING_MODEL", "Compressing output model")
        t.wait(20 + 6 * plan.model.billions, 40 + 12 * plan.model.billions)
        t.say("MODEL_COMPRESSION_COMPLETE", "Model compression complete")
        t.wait(0.5, 2)
        t.status = "uploading"
        t.say("MODEL_UPLOADING", "Uploading output model")
        t.wait(20 + 5 * plan.model.billions, 40 + 18 * plan.model.billions)
    t.say("MODEL_UPLOAD_COMPLETE", "Model upload complete", keys=_made(plan))
    if plan.to_hub:
        t.say("MODEL_UPLOADING_TO_HF", "Uploading output model to the Hugging Face Hub")
        t.wait(30, 200)
        t.say("MODEL_UPLOAD_TO_HF_COMPLETE", "Model upload to the Hugging Face Hub complete")
    t.wait(2, 9)
    t.status = "completed"
    t.say("JOB_COMPLETE", "Job finished at {ctime}")
    t.wait(0.2, 14)
    t.note()


def _made(plan: Plan) -> dict[str, object]:
    return {"model_path": output_path(plan)} if plan.merged else {"adapter_path": f"{output_path(plan)}_adapter"}
