"""Recognises, by its shape, a response that is no list of Together's fine-tuning jobs: error R53.

Other vendors' job lists have an `id` and a `status` too, and would fill the tables with wrong units and times. What is
named here was looked up in the vendors' public references; anything that has two keys of Together's own jobs is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ftetl.errors import DataError
from ftetl.raw.element import Scan
from ftetl.raw.response import Response

_SAMPLE: Final = 8  # elements that stand for a response
_LONGEST: Final = 1 << 20  # bytes of an element that is looked at
_ADVICE: Final = "give a response of Together's GET /fine-tunes or GET /fine-tunes/{id}"
# Keys that only Together's jobs have: with two of them an element is one, whatever else it has.
_TOGETHER: Final = frozenset(
    [
        *("total_price", "training_type", "training_method", "model_output_name", "model_output_path", "output_name"),
        *("n_checkpoints", "n_evals", "wandb_project_name", "owner_address", "from_checkpoint", "max_grad_norm"),
        *("warmup_ratio", "packing", "max_seq_length", "eval_steps", "queue_depth", "train_price", "lora_r"),
    ]
)


@dataclass(frozen=True)
class _Kind:
    """One kind of element: what it is, and the values of `object`, or the keys, by which it is recognised."""

    label: str
    objects: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()  # all of them, separated by blanks; each text is one way
    id_prefix: str = "\0"

    def fits(self, element: Mapping[str, Any]) -> bool:
        return (
            element.get("object") in self.objects
            or any(element.keys() >= set(way.split()) for way in self.keys)
            or str(element.get("id")).startswith(self.id_prefix)
        )


_KINDS: Final = (
    _Kind("OpenAI's events of a fine-tuning job", ("fine_tuning.job.event", "fine_tuning.job.checkpoint")),
    _Kind(
        "OpenAI's fine-tuning jobs (or those of a service with its format, such as Azure OpenAI or Anyscale)",
        ("fine_tuning.job",),
        ("fine_tuned_model trained_tokens", "organization_id result_files", "fine_tuned_model hyperparams"),
        "ftjob-",
    ),
    _Kind("Mistral's fine-tuning jobs", ("job",), ("auto_start job_type", "modified_at training_files")),
    _Kind("Fireworks' fine-tuning jobs", (), ("displayName baseModel", "outputModel baseModel", "createTime state")),
    _Kind("Cohere's fine-tuned models", (), ("creator_id settings", "organization_id settings")),
    _Kind("Replicate's trainings", (), ("urls version input",)),
    _Kind("Predibase's fine-tuning jobs", (), ("baseModel repo", "base_model repo", "params artifactPath")),
    _Kind("Databricks' training runs", (), ("train_data_path", "run_id run_name state", "experiment_path")),
    _Kind("AWS Bedrock's customization jobs", (), ("jobArn", "baseModelArn")),
    _Kind("Google's tuning jobs", (), ("tunedModel createTime", "supervisedTuningSpec", "baseModel createTime")),
    _Kind("Together's events of a job", ("fine-tune-event",), ("message level type", "message hash type")),
    _Kind("Together's checkpoints of a job", (), ("checkpoint_type path step",)),
    _Kind("a list of files (GET /files)", ("file",), ("bytes filename",)),
    _Kind("a list of models (GET /models)", ("model",), ("context_length pricing", "display_name organization")),
    _Kind("a list of batches (GET /batches)", ("batch",), ("endpoint input_file_id",)),
    _Kind(
        "a list of endpoints (GET /endpoints)",
        ("endpoint",),
        ("autoscaling model", "hardware owner", "owner state"),
    ),
    _Kind("a list of hardware (GET /hardware)", ("hardware",)),
    _Kind("a list of evaluations", (), ("workflow_id", "owner_id parameters status")),
    _Kind("a completion", ("chat.completion", "chat.completion.chunk", "text_completion"), ("choices usage",)),
    _Kind("embeddings", ("embedding",)),
    _Kind(
        "other objects of OpenAI's API",
        (
            "assistant",
            "thread",
            "thread.message",
            "thread.run",
            "vector_store",
            "upload",
            "response",
            "eval",
            "eval.run",
        ),
    ),
    _Kind("Hugging Face's models", (), ("modelId tags", "pipeline_tag tags", "modelId pipeline_tag")),
    _Kind("GitHub's issues, pull requests or repositories", (), ("node_id html_url", "node_id url number")),
)
# An element with one of these is looked at, wherever it stands. Together's own events stand inside jobs.
OBJECTS: Final = frozenset(text for kind in _KINDS for text in kind.objects) - {"fine-tune-event"}
# Keys of a list that is not under `data`.
_LISTS: Final = {
    "supervisedFineTuningJobs": "Fireworks' fine-tuning jobs",
    "reinforcementFineTuningJobs": "Fireworks' fine-tuning jobs",
    "dpoJobs": "Fireworks' fine-tuning jobs",
    "fineTuningJobs": "Fireworks' fine-tuning jobs",
    "finetuned_models": "Cohere's fine-tuned models",
    "modelCustomizationJobSummaries": "AWS Bedrock's customization jobs",
    "tuningJobs": "Google's tuning jobs",
    "tunedModels": "Google's tuned models",
    "metrics": "Together's metrics of a job",
    "runs": "Databricks' training runs",
    "clusters": "a list of clusters",
}
_OTHER_STATUS: Final = frozenset(["succeeded", "failed", "validating_files", "success", "paused"])


def require_jobs(response: Response, scan: Scan) -> None:
    """Refuse a response with elements of another kind.

    Elements are of another kind by what their `object` says, or, as far as is looked, all of them by their keys.

    Raises:
        DataError: There are such elements.
    """
    refused = [(element.offset, element.length) for element in scan.refused]
    places = [*zip(scan.offsets, scan.lengths, strict=True), *refused] if OBJECTS & scan.kinds else []
    found = [label for label in _labels(response, places) if label]
    if found and (len(found) < scan.received or len(set(found)) > 1):
        what = f"{len(found):,} of the {scan.received:,} elements of {response.name} look like {found[0]}"
        raise DataError("R53", f"{what}, not like Together's fine-tuning jobs; nothing was committed", next=_ADVICE)
    places = [*zip(scan.offsets[:_SAMPLE], scan.lengths[:_SAMPLE], strict=True)]
    labels = set(_labels(response, [*places, *refused[: _SAMPLE - len(places)]]))
    label = labels.pop() if len(labels) == 1 else None
    if label is not None:
        raise foreign_error(response.name, label)


def _labels(response: Response, places: Iterable[tuple[int, int]]) -> Iterator[str | None]:
    return (label_of(_parsed(response.blob.read(at, size))) for at, size in places if size <= _LONGEST)


def label_of(element: Any) -> str | None:
    """What an element is, where it is clearly no fine-tuning job of Together; else None."""
    if not isinstance(element, dict) or len(_TOGETHER & element.keys()) >= 2:
        return None
    for kind in _KINDS:
        if kind.fits(element):
            return kind.label
    created, status = element.get("created_at"), element.get("status")
    if isinstance(created, int) and isinstance(status, str) and status.lower() in _OTHER_STATUS:
        return "another vendor's fine-tuning jobs (unix times, other words for the status)"
    return None


def label_of_keys(keys: Iterable[str]) -> str | None:
    """What a response without `data` is, by its keys; None where that is not known."""
    return next((_LISTS[key] for key in keys if key in _LISTS), None)


def foreign_error(name: str, label: str) -> DataError:
    """The error for a response of another kind."""
    return DataError("R53", f"{name} looks like {label}, not like Together's fine-tuning jobs", next=_ADVICE)


def _parsed(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
