"""docs/openai-names.md: every name of ours is a column or a status, and every name of OpenAI's job has its row."""

from __future__ import annotations

import re

import pytest

from ftetl.contract import tables
from tests.docs.pages import text_of

PAGE = text_of("openai-names.md")
# The properties of `FineTuningJob` in OpenAI's SDK 3.57.0.
OPENAI_JOB = {
    *("id", "created_at", "error", "fine_tuned_model", "finished_at", "hyperparameters", "model", "object"),
    *("organization_id", "result_files", "seed", "status", "trained_tokens", "training_file", "validation_file"),
    *("estimated_finish", "integrations", "metadata", "method"),
}
OPENAI_STATUSES = {"validating_files", "queued", "running", "succeeded", "failed", "cancelled"}


def rows(heading: str) -> list[tuple[list[str], list[str]]]:
    """The names in the first and in the second column of the table below a heading."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| ")][2:]
    return [(re.findall(r"`([^`]+)`", theirs), re.findall(r"`([^`]+)`", ours)) for theirs, ours in cells]


@pytest.mark.parametrize(("heading", "table"), [("Jobs", "jobs"), ("Events and checkpoints", "events")])
def test_every_name_of_ours_is_a_column(heading: str, table: str) -> None:
    ours = [name for _, names in rows(heading) for name in names]

    assert len(ours) > 5
    assert set(ours) <= {column.name for column in tables()[table].columns}


def test_every_name_of_a_job_of_openai_has_a_row() -> None:
    assert {name.partition(".")[0] for names, _ in rows("Jobs") for name in names} - {"suffix"} == OPENAI_JOB


def test_every_status_is_there() -> None:
    status = next(column for column in tables()["jobs"].columns if column.name == "status")

    assert sorted(name for _, names in rows("Statuses") for name in names) == sorted(status.enum)
    assert {name for names, _ in rows("Statuses") for name in names} == OPENAI_STATUSES
