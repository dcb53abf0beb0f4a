"""The files of `GET /files`: the data sets of the demo's jobs, with sizes that fit them, and some that no job uses."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Job = dict[str, Any]

REPORTS_SINCE = datetime(2026, 1, 1, tzinfo=UTC)  # files of before were not validated
TOKENS_PER_LINE, BYTES_PER_TOKEN = 410, 4.2  # as the generator of the jobs has them
VALIDATION_PART = 20  # a validation file is a twentieth of the training file
FORMAT_ERRORS = ("unsupported format", "not a JSON object")  # in the message of a job that failed by its data


def job_files(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """The files of these jobs as `GET /files` returns them, the newest first; some have been deleted since.

    A file has the lines and bytes of the jobs that use it, and is a little older than the first of them.
    """
    users: dict[str, tuple[str, list[Job]]] = {}
    for job in jobs:
        for role in ("training", "validation"):
            if file_id := job.get(f"{role}_file"):
                users.setdefault(file_id, (role, []))[1].append(job)
    files = [_file(file_id, role, by) for file_id, (role, by) in users.items() if not is_deleted(file_id)]
    if files:
        files += _unused(max(file["created_at"] for file in files))
    return sorted(files, key=lambda file: (-file["created_at"], file["id"]))


def is_deleted(file_id: str) -> bool:
    """Whether the file was deleted after its jobs had used it: one in twelve was."""
    return zlib.crc32(file_id.encode()) % 12 == 0


def _file(file_id: str, role: str, jobs: list[Job]) -> dict[str, Any]:
    first, number = jobs[0], zlib.crc32(file_id.encode())
    created = datetime.fromisoformat(first["created_at"]) - timedelta(seconds=90 + number % 40_000)
    tokens, lines, size = _sizes(jobs)
    if role == "validation":
        tokens //= VALIDATION_PART
        lines, size = 1 + tokens // TOKENS_PER_LINE, int(tokens * BYTES_PER_TOKEN)
    file_type = "parquet" if number % 10 == 3 else "jsonl"
    file = {
        "id": file_id,
        "object": "file",
        "created_at": int(created.timestamp()),
        "filename": f"{first.get('suffix') or first.get('Suffix') or 'smoke-test'}-{role}.{file_type}",
        "bytes": size,
        "purpose": "fine-tune",
        "FileType": file_type,
    }
    if created < REPORTS_SINCE or number % 9 == 0:
        return file
    error = next(_format_errors(jobs), None) if role == "training" else None
    if error is not None:
        report = {"valid": False, "error": error, "error_type": "INVALID_FORMAT", "file_id": file_id}
        return file | {"processing_status": "INVALID_FORMAT", "validation_report": report}
    return file | {"processing_status": "COMPLETED", "validation_report": _report(file_id, first, lines)}


def _sizes(jobs: list[Job]) -> tuple[int, int, int]:
    """Tokens, lines and bytes of the training file of these jobs; those of old jobs follow from the tokens billed."""
    for job in jobs:
        lines = job.get("trainingfile_numlines", job.get("TrainingFileNumLines"))
        size = job.get("trainingfile_size", job.get("TrainingFileSize"))
        if lines and size:
            return int(size / BYTES_PER_TOKEN), lines, size
    tokens = max((job["token_count"] or 0) // (job.get("n_epochs") or 1) for job in jobs) or 500_000
    return tokens, 1 + tokens // TOKENS_PER_LINE, int(tokens * BYTES_PER_TOKEN)


def _format_errors(jobs: list[Job]) -> Iterator[str]:
    """What jobs say of the format of their file, unless one of them could read it."""
    for job in jobs if all(job["status"] == "user_error" for job in jobs) else ():
        for event in job.get("events") or []:
            if event["type"] == "JOB_USER_ERROR" and any(words in event["message"] for words in FORMAT_ERRORS):
                yield event["message"]


def _report(file_id: str, job: Job, lines: int) -> dict[str, Any]:
    is_dpo = (job.get("training_method") or {}).get("method") == "dpo"
    number = zlib.crc32(file_id.encode()) // 16
    return {
        "valid": True,
        "nlines": lines,
        "dataset_format": "PREFERENCE_OPENAI" if is_dpo else ("INSTRUCTION" if number % 4 == 0 else "CONVERSATION"),
        "dataset_has_tools": number % 5 == 0,
        "dataset_has_reasoning": number % 7 == 0,
        "dataset_has_message_weights": False,
        "dataset_has_sample_weights": number % 11 == 0,
        "dataset_has_parallel_tool_calls": number % 10 == 0,
        "dataset_is_multimodal": bool((job.get("multimodal_params") or {}).get("train_vision")),
        "file_id": file_id,
    }


def _unused(newest: int) -> Iterator[dict[str, Any]]:
    """Files that no job uses: two whose validation has not ended, and one of another purpose, which has none."""
    for number, status in enumerate(("PENDING", "RUNNING", None)):
        file = {
            "id": f"file-00000000-0000-4000-8000-00000000000{number}",
            "object": "file",
            "created_at": newest + 60 * number,
            "filename": "batch-requests.jsonl" if status is None else f"new-examples-{number + 1}.jsonl",
            "bytes": 1_048_576 + number,
            "purpose": "batch-api" if status is None else "fine-tune",
            "FileType": "jsonl",
        }
        yield file if status is None else file | {"processing_status": status}
