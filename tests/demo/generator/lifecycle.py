"""The steps of a job that succeeds: start, preparation, training and upload of the model."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.demo.generator.job_spec import JobSpec, output_path, tokenized_path, wandb_url
from tests.demo.generator.messages import MODEL_MARK
from tests.demo.generator.timeline import TimelineBuilder

TOKENIZED_SINCE = datetime(2026, 3, 1, tzinfo=UTC)


def start_job(timeline: TimelineBuilder) -> None:
    """Adds the start of the job, at which it leaves the queue."""
    timeline.status = "running"
    timeline.add_event("JOB_START", "Job started at {ctime}")
    timeline.advance(1, 3)
    timeline.add_event("MODEL_DOWNLOADING", "Model data downloading")


def prepare_job(timeline: TimelineBuilder) -> None:
    """Adds the steps from the start of the job to that of the training; the price is known once the data is there."""
    spec, name = timeline.spec, timeline.spec.model.name + MODEL_MARK
    start_job(timeline)
    timeline.advance(1, 2 + 1.5 * spec.model.billions)
    timeline.add_event("MODEL_DOWNLOAD_COMPLETE", f"Model data downloaded for {name} at {{ctime}}")
    timeline.add_event("TRAINING_DATA_DOWNLOADING", "Data downloading")
    timeline.advance(2, 6 + spec.epoch_tokens / 2e6)
    timeline.add_event("TRAINING_DATA_DOWNLOAD_COMPLETE", f"Data downloaded for {name} at {{iso}}")
    if spec.validation_file:
        timeline.add_event("VALIDATION_DATA_DOWNLOADING", "Validation data downloading")
        timeline.advance(1, 4)
        timeline.add_event("VALIDATION_DATA_DOWNLOAD_COMPLETE", f"Validation data downloaded for {name} at {{iso}}")
    timeline.advance(2, 4 + spec.epoch_tokens / 1e6)
    timeline.priced = True
    if spec.created >= TOKENIZED_SINCE:
        timeline.add_event(
            "TOKENIZED_DATASET_UPLOAD_COMPLETE",
            "Tokenized dataset uploaded",
            keys={"tokenized_dataset_path": tokenized_path(spec)},
        )
    if spec.project.wandb:
        timeline.advance(2, 7)
        timeline.add_event("WANDB_INIT", "WandB run initialized.", keys={"wandb_url": wandb_url(spec)})
    timeline.advance(8, 20 + spec.model.billions)


def train(timeline: TimelineBuilder, share: float = 1.0) -> None:
    """Adds the training up to a share of its steps, from 0 to 1."""
    spec, started = timeline.spec, timeline.offset
    timeline.add_event(
        "TRAINING_START", f"Training started for model {spec.model.name}{MODEL_MARK}", keys={"token_count": spec.tokens}
    )
    seconds = 40 + spec.tokens / _tokens_per_second(spec)
    for step, event_type, message, keys in _milestones(spec):
        if step > share * spec.total_steps:
            break
        timeline.steps = step
        timeline.offset = max(timeline.offset, started + seconds * step / spec.total_steps)
        timeline.add_event(
            event_type, f"{message} {step}", keys={"step": step, "total_steps": spec.total_steps, **keys}
        )
    timeline.offset = max(timeline.offset, started + seconds * share)
    timeline.steps = max(timeline.steps, int(spec.total_steps * share))


def _tokens_per_second(spec: JobSpec) -> float:
    slower = (0.7 if spec.full else 1.0) * (0.5 if spec.dpo else 1.0)
    return 4.6e5 * slower / float(spec.model.billions**0.8)


def _milestones(spec: JobSpec) -> list[tuple[int, str, str, dict[str, object]]]:
    """(step, type, message, keys) of the epochs, checkpoints and evaluations, in order."""

    def steps(parts: int) -> list[int]:
        return sorted({max(1, round(spec.total_steps * n / parts)) for n in range(1, parts + 1)})

    milestones: list[tuple[int, str, str, dict[str, object]]] = []
    milestones += [(step, "EPOCH_COMPLETE", "Epoch completed, at step", {}) for step in steps(spec.epochs)]
    milestones += [
        (step, "CHECKPOINT_SAVE", "Checkpoint saved at step", {"checkpoint_path": f"{output_path(spec)}-step-{step}"})
        for step in steps(spec.checkpoints)
    ]
    milestones += [(step, "EVAL_COMPLETE", "Evaluation completed, at step", {}) for step in steps(spec.evals)]
    return sorted(milestones, key=lambda milestone: milestone[0])


def upload_model(timeline: TimelineBuilder) -> None:
    """Adds the steps from the end of the training to the uploaded model."""
    spec = timeline.spec
    timeline.advance(5, 40)
    timeline.add_event("TRAINING_COMPLETE", f"Training completed for {spec.model.name}{MODEL_MARK} at {{ctime}}")
    if not spec.full:
        timeline.advance(0.5, 2)
        timeline.status = "uploading"
        timeline.add_event("MODEL_UPLOADING", "Uploading adapter model")
        timeline.advance(8, 50)
    if spec.merged:
        timeline.status = "compressing"
        timeline.add_event("COMPRESSING_MODEL", "Compressing output model")
        timeline.advance(20 + 6 * spec.model.billions, 40 + 12 * spec.model.billions)
        timeline.add_event("MODEL_COMPRESSION_COMPLETE", "Model compression complete")
        timeline.advance(0.5, 2)
        timeline.status = "uploading"
        timeline.add_event("MODEL_UPLOADING", "Uploading output model")
        timeline.advance(20 + 5 * spec.model.billions, 40 + 18 * spec.model.billions)
    timeline.add_event("MODEL_UPLOAD_COMPLETE", "Model upload complete", keys=_model_keys(spec))
    if spec.to_hub:
        timeline.add_event("MODEL_UPLOADING_TO_HF", "Uploading output model to the Hugging Face Hub")
        timeline.advance(30, 200)
        timeline.add_event("MODEL_UPLOAD_TO_HF_COMPLETE", "Model upload to the Hugging Face Hub complete")
    timeline.advance(2, 9)
    timeline.status = "completed"
    timeline.add_event("JOB_COMPLETE", "Job finished at {ctime}")
    timeline.advance(0.2, 14)
    timeline.record_state()


def _model_keys(spec: JobSpec) -> dict[str, object]:
    return {"model_path": output_path(spec)} if spec.merged else {"adapter_path": f"{output_path(spec)}_adapter"}
