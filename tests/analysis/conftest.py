"""Snapshots of a few jobs that can be summed up by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl.snapshot.snapshot import Snapshot

Make = Callable[..., Snapshot]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A snapshot of these jobs, as the API writes them."""

    def snapshot(*jobs: Any, project: str = "default") -> Snapshot:
        answer = tmp_path / f"{project}.json"
        answer.write_text(json.dumps({"data": list(jobs)}), "utf-8")
        target = tmp_path / f"target-{project}"
        ftetl.export(target, source=answer, observed_at="2026-11-20T00:00:00Z", project=project)
        return ftetl.open(target)

    return snapshot


def job(job_id: str, **fields: Any) -> dict[str, Any]:
    """A job of July 2026, completed, unless `fields` say otherwise."""
    return {
        "id": job_id,
        "status": "completed",
        "created_at": "2026-07-02T08:10:14.25Z",
        "updated_at": "2026-07-02T09:00:00Z",
        "model": "m",
        **fields,
    }


@pytest.fixture
def job_record() -> Callable[..., dict[str, Any]]:
    """A job as the API writes it."""
    return job
