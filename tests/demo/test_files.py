"""The files of the demo fit its jobs: who uses which, how large it is, and what its validation found."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from ftetl import demo
from ftetl.demo.files import is_deleted, job_files
from tests.demo.generator import SEED, generate_jobs

JOBS = demo.load_jobs()
FILES = {file["id"]: file for file in job_files(JOBS)}
USERS = [
    (job, role, job[f"{role}_file"]) for job in JOBS for role in ("training", "validation") if job.get(f"{role}_file")
]


def test_every_file_of_a_job_is_there_but_the_deleted_ones() -> None:
    missing = {file_id for _, _, file_id in USERS} - set(FILES)

    assert missing == {file_id for _, _, file_id in USERS if is_deleted(file_id)}
    assert 0 < len(missing) < len(FILES) / 5
    assert set(FILES) - {file_id for _, _, file_id in USERS}  # and some that no job uses


@pytest.mark.parametrize("seed", [SEED, 1])
def test_lines_and_bytes_are_those_that_the_jobs_name(seed: int) -> None:
    jobs = generate_jobs(seed, 60)
    files = {file["id"]: file for file in job_files(jobs)}
    named = [job for job in jobs if job.get("trainingfile_numlines") and job["training_file"] in files]

    assert named
    for job in named:
        file = files[job["training_file"]]
        report = file.get("validation_report", {"valid": False})
        assert file["bytes"] == job["trainingfile_size"]
        assert not report["valid"] or report["nlines"] == job["trainingfile_numlines"]


def test_a_file_is_older_than_its_jobs() -> None:
    for job, role, file_id in USERS:
        if file := FILES.get(file_id):
            assert file["created_at"] < datetime.fromisoformat(job["created_at"]).timestamp()
            assert role in file["filename"]


def test_a_file_of_a_wrong_format_trained_no_model() -> None:
    refused = {file_id: file for file_id, file in FILES.items() if file.get("processing_status") == "INVALID_FORMAT"}

    assert refused
    for job, _, file_id in USERS:
        if file := refused.get(file_id):
            assert job["status"] == "user_error"
            assert (file["validation_report"]["valid"], file["validation_report"]["error_type"]) == (
                False,
                "INVALID_FORMAT",
            )


def test_only_validated_files_have_a_report() -> None:
    states = Counter((file.get("processing_status"), "validation_report" in file) for file in FILES.values())

    assert set(states) == {
        ("COMPLETED", True),
        ("INVALID_FORMAT", True),
        ("PENDING", False),
        ("RUNNING", False),
        (None, False),
    }
    assert {file["FileType"] for file in FILES.values()} == {"jsonl", "parquet"}


def test_the_newest_file_comes_first() -> None:
    times: list[Any] = [file["created_at"] for file in job_files(JOBS)]

    assert times == sorted(times, reverse=True)
    assert job_files([]) == []
