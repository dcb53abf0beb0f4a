"""Saved responses of one project with all that can be in them: copies in several files, odd values, broken elements."""

from __future__ import annotations

import copy
import gzip
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard

import ftetl
from ftetl.contract import tables
from ftetl.demo.jobs import load_jobs
from ftetl.transform.endpoints.merge import ANOMALIES

DAY = 86_400
FIRST = 1_795_000_000  # when the first response was observed, in seconds

FROM_JOBS = [name for name, table in tables().items() if not table.endpoint and name != ANOMALIES]


@cache
def _demo() -> str:
    return json.dumps(load_jobs())


def demo_jobs() -> list[dict[str, Any]]:
    """New copies of the demo's jobs."""
    jobs: list[dict[str, Any]] = json.loads(_demo())
    return jobs


def put(folder: Path, name: str, body: bytes | object, day: int = 0) -> Path:
    """A saved response that was observed on a day; compressed as its name says."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    if name.endswith(".gz"):
        raw = gzip.compress(raw)
    if name.endswith(".zst"):
        raw = zstandard.compress(raw)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(raw)
    os.utime(path, (FIRST + day * DAY, FIRST + day * DAY))
    return path


def make_archive(folder: Path) -> Path:
    """The folder with the responses."""
    jobs = demo_jobs()
    put(folder, "day0.json", {"data": [without_events(job) for job in jobs[:250]]})
    put(folder, "day1.json.gz", {"data": jobs[40:200]}, 1)
    put(folder, "day1-again.json.zst", {"data": jobs[150:200]}, 1)  # the same copies, from another response
    put(folder, "day2.json", {"data": [*map(changed, jobs[:60]), *odd_jobs(jobs)]}, 2)
    put(folder, "detail.json", changed(jobs[3]), 3)
    put(folder, "details.json", b"\n".join(json.dumps(job, indent=1).encode() for job in jobs[240:244]), 3)
    put(folder, "array.json", jobs[300:], 1)  # in which are jobs that took the place of restarted ones
    put(folder, "lists.ndjson", b"\n".join(json.dumps({"data": jobs[n : n + 9]}).encode() for n in (200, 205)), 2)
    put(folder, "lines.ndjson", lines(jobs), 1)
    put(folder, "more lines.jsonl.gz", lines(jobs[100:]), 1)
    put(folder, "empty.json", {"data": []}, 4)
    put(folder, "null.json", {"object": "list", "data": None}, 1)
    return folder


def without_events(job: dict[str, Any]) -> dict[str, Any]:
    """A job as a list has it."""
    return {key: value for key, value in job.items() if key != "events"}


def changed(job: dict[str, Any]) -> dict[str, Any]:
    """A later copy of a job: of another status, with a key that no column reads."""
    return copy.deepcopy(job) | {
        "status": "cancelled",
        "updated_at": "2026-11-18T10:00:00Z",
        "learned_later": {"deep": [1, "é"]},
    }


def odd_jobs(jobs: list[dict[str, Any]]) -> list[object]:
    """Elements that are odd, and some that are no jobs."""
    a, b, c, d, e, f = (copy.deepcopy(job) for job in jobs[60:66])
    g, h = (copy.deepcopy(job) for job in jobs[66:68])
    return [
        a | {"total_price": 10**18, "created_at": "0001-01-01T00:00:00Z"},
        b | {"total_price": -5, "updated_at": "9999-12-31T23:59:59.999999Z", "suffix": "NUL \0 and \ud83d\ude00"},
        c | {"n_epochs": "12345678901234567890", "learning_rate": 10**30},
        d | {"status": "no such status", "batch_size": "max", "wandb_key": "0123456789abcdef0123456789abcdef01234567"},
        d | {"status": "older", "updated_at": "2020-01-01T00:00:00Z"},
        e,
        e,
        f
        | {
            "events": [
                {"type": "JOB_RESTARTED", "created_at": "2025-01-01T00:00:00Z", "message": f"now {jobs[320]['id']}"}
            ]
        },
        g | {"suffix": "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH", "hf_api_token": "hf_secretsecretsecretsecretsecret00"},
        h | {"id": "x" * 300},
        {"status": "completed"},
        {"id": 5},
        "text",
        None,
    ]


def lines(jobs: list[dict[str, Any]]) -> bytes:
    """Lines, of which some are broken."""
    good = [json.dumps(job).encode() for job in jobs[68:80]]
    twice = b'{"id":"ft-twice","status":"pending","status":"error"}'
    return b"\n".join([*good, b'{"id":"ft-broken","status":', twice, b"\xff\xfe", b"", good[0], b"[1]"]) + b"\n"


def exported(target: Path, source: Path, **options: Any) -> dict[str, pa.Table]:
    """The tables of an export."""
    ftetl.export(target, source=source, **options)
    snapshot = ftetl.open(target)
    return {name: snapshot.arrow(name) for name in tables()}


def in_order(rows: pa.Table, name: str) -> pa.Table:
    """The rows in the order of the table's key, as one piece."""
    rows = rows.sort_by([(column, "ascending") for column in tables()[name].key])
    return rows.combine_chunks()


def assert_same(found: dict[str, pa.Table], expected: dict[str, pa.Table]) -> None:
    """Every table has the same columns, types and cells."""
    assert {*found} == {*expected}
    for name, rows in expected.items():
        mine, theirs = in_order(found[name], name), in_order(rows, name)
        assert mine.schema.names == theirs.schema.names
        for column in theirs.column_names:
            assert mine.column(column).to_pylist() == theirs.column(column).to_pylist(), (name, column)
        assert mine.schema.types == theirs.schema.types
