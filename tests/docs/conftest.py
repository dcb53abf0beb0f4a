"""Folders as a reader has them: the tables of the demo, of hostile jobs, of no jobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ftetl

USD = 10**9


def _job(job_id: str, **fields: Any) -> dict[str, Any]:
    made = {"created_at": "2026-07-02T08:10:14Z", "updated_at": "2026-07-02T09:10:14.5Z"}
    return {"id": job_id, "status": "completed", "model": "acme/base", **made, **fields}


# Money from 1,000 USD to the most that a price can be, no tokens, NULLs, empty texts, quotes, line breaks, emoji; and
# the tables `stages` and `quarantine` have no rows.
HOSTILE = [
    _job("ft-1", total_price=1234 * USD + 1, token_count=1_000_000, suffix="", n_epochs=4, learning_rate=1e-5),
    _job("ft-2", total_price=99_999_999_999_999_999, token_count=0, model='a "quoted", b\r\nc', suffix="x"),
    _job("ft-3", total_price=None, token_count=None, model=None, suffix=None, status="running"),
    _job("ft-4", total_price=0, token_count=7, suffix="'=1+1", user_id="", learning_rate=29.0, refund_amount=0),
    _job(
        "ft-5",
        status="user_error",
        model="acme/ünï 😀",
        suffix="a\nb\n\\.\n",
        created_at="2026-01-01T00:30:00Z",
        total_price=1500 * USD,
        refund_amount=500 * USD,
        token_count=3,
        events=[{"type": "JOB_ERROR", "message": 'bad "line"\n\\.\nend', "created_at": "2026-01-01T01:00:00Z"}],
    ),
    _job("ft-6", total_price=4 * USD, token_count=1, created_at="1970-01-01T00:00:00Z", learning_rate=294.6),
]


@pytest.fixture(scope="session")
def readers_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder with `bi`, what was published of `demo`, `hostile` or `empty`; nobody may change `bi`."""
    made: dict[str, Path] = {}

    def folder_of(kind: str) -> Path:
        if kind not in made:
            made[kind] = folder = tmp_path_factory.mktemp(kind)
            source: str | Path = "demo"
            if kind != "demo":
                source = folder / "jobs.json"
                source.write_text(json.dumps({"data": HOSTILE if kind == "hostile" else []}), "utf-8")
            ftetl.export(folder / "exports", source=source, publish=folder / "bi", formats="csv")
        return made[kind]

    return folder_of
