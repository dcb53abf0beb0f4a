"""The checkpoints of the demo's jobs, for `GET /fine-tunes/{id}/checkpoints`."""

from __future__ import annotations

from typing import Any

Job = dict[str, Any]


def job_checkpoints(job: Job) -> list[dict[str, Any]]:
    """The checkpoints of a job, the oldest first: those that its events name, then what it uploaded at its end."""
    kind = "adapter" if (job.get("training_type") or {}).get("type") == "Lora" else "model"
    events = job.get("events") or []
    found = [
        {
            "step": event["step"],
            "created_at": event["created_at"],
            "path": event["checkpoint_path"],
            "checkpoint_type": f"Intermediate (step {event['step']})",
            "checkpoint": kind,
        }
        for event in events
        if event["type"] == "CHECKPOINT_SAVE"
    ]
    last_step = max((event.get("step") or 0 for event in events), default=0)
    for event in events:
        for name, path in (("model", event.get("model_path")), ("adapter", event.get("adapter_path"))):
            if event["type"] == "MODEL_UPLOAD_COMPLETE" and path:
                objects = {key: job.get(f"{name}_{key}") for key in ("object_id", "object_name", "object_revision_id")}
                found.append(
                    {
                        "step": last_step,
                        "created_at": event["created_at"],
                        "path": path,
                        "checkpoint_type": "Final" if name == "model" else "Final adapter",
                        "checkpoint": name,
                        **{key: value for key, value in objects.items() if value},
                    }
                )
    return found
