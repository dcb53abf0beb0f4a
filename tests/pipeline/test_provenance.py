"""What a version was made from is told completely, and in a way that a rebuild can rely on."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl import demo
from ftetl.config.settings import Settings
from ftetl.errors import DataError, FtetlError
from ftetl.pipeline import export, provenance
from ftetl.pipeline.active_run import ActiveRun
from ftetl.pipeline.progress import Progress
from ftetl.transform import deduplicate

DAY = datetime(2026, 7, 20, tzinfo=UTC)


def indexes(target: Path) -> list[dict[str, Any]]:
    return [json.loads(p.read_bytes()) for p in sorted((target / "_ftetl" / "archive" / "index").iterdir())]


@pytest.mark.usefixtures("quick_retries")
def test_a_response_of_the_network_is_in_the_index_with_each_detail(tmp_path: Path) -> None:
    jobs = [{"id": f"ft-{n}", "status": "completed"} for n in range(3)]
    fails = {"/v1/fine-tunes/ft-1": 404, "/v1/fine-tunes/ft-2": 500}
    with demo.serve(jobs=jobs, fail=fails.get) as server:
        environ = {"TOGETHER_API_KEY": server.key}
        ftetl.export(tmp_path / "t", base_url=server.url, environ=environ, observed_at=DAY)
        body = server.list_body
    (told,) = indexes(tmp_path / "t")
    assert (told["version"], told["base"]) == (1, None)
    assert told["settings"] == {
        "allow_drift": False,
        "events": "auto",
        "project": "default",
        "billing_account": None,
        "billing_account_name": None,
        "quarantine": "keep",
        "csv_raw": False,
        "formats": ["parquet"],
    }
    (answer,) = told["answers"]
    assert answer["sha256"] == hashlib.sha256(body).hexdigest()
    assert answer["observed_at"] == "2026-07-20T00:00:00.000000Z"
    details = {d["job_id"]: d for d in told["details"]}
    assert {i: d["outcome"] for i, d in details.items()} == {"ft-0": "here", "ft-1": "gone", "ft-2": "failed"}
    assert [i for i, d in details.items() if "sha256" in d] == ["ft-0"]
    assert details["ft-0"]["observed_at"] == answer["observed_at"]
    for sha256 in (answer["sha256"], details["ft-0"]["sha256"]):
        assert (tmp_path / "t" / "_ftetl" / "archive" / f"{sha256}.zst").exists()


def test_a_saved_response_is_in_the_index_by_its_path_and_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    path.write_bytes(b'[{"id":"ft-1"}]')
    ftetl.export(tmp_path / "t", source=path, observed_at=DAY)
    (told,) = indexes(tmp_path / "t")
    (answer,) = told["answers"]
    assert (answer["path"], answer["bytes"]) == (str(path.resolve()), 15)
    assert answer["sha256"] == provenance.file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not list((tmp_path / "t" / "_ftetl" / "archive").glob("*.zst"))


def test_a_version_names_the_one_that_it_was_made_from(tmp_path: Path) -> None:
    path = tmp_path / "saved.ndjson"
    for number in (1, 2, 2, 3):
        path.write_text(json.dumps({"id": f"ft-{number}"}))
        ftetl.export(tmp_path / "t", source=path, observed_at=DAY)
    assert [(told["base"], told["version"]) for told in indexes(tmp_path / "t")] == [(None, 1), (1, 2), (2, 3)]


def same_size_and_time(path: Path) -> None:
    before = path.stat()
    body = bytearray(path.read_bytes())
    body[-1:] = b" "
    path.write_bytes(body)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", ["truncated", "replaced", "removed", "the same size and time"])
@pytest.mark.parametrize("name", ["saved.json", "saved.json.gz"])
def test_a_saved_answer_that_changes_while_it_is_read_is_no_answer(tmp_path: Path, change: str, name: str) -> None:
    path = tmp_path / name
    body = json.dumps([{"id": f"ft-{n}"} for n in range(50)]).encode()
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)

    class Meanwhile(Progress):
        def jobs(self, done: int, total: int) -> None:
            if change == "truncated":
                path.write_bytes(path.read_bytes()[:20])
            elif change == "replaced":
                (tmp_path / "other").write_bytes(path.read_bytes())
                (tmp_path / "other").replace(path)
            elif change == "removed":
                path.unlink(missing_ok=True)
            else:
                same_size_and_time(path)

    settings = Settings.from_options(tmp_path / "t", path, {})
    with pytest.raises(DataError, match=f"{name} was changed while it was read"):
        export.run_export(ActiveRun(settings, Meanwhile()))
    with pytest.raises(FtetlError):
        ftetl.open(tmp_path / "t")


@pytest.mark.parametrize("name", ["saved.json", "saved.ndjson"])
@pytest.mark.parametrize("now", ["", "null\n" * 200, '{"id":"ft-1"}\n'])
def test_a_saved_answer_that_changes_before_it_is_decoded_is_a_line_and_not_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, now: str
) -> None:
    path = tmp_path / name
    jobs = [json.dumps({"id": f"ft-{n}", "status": "completed", "suffix": "x" * 40}) for n in range(2000)]
    path.write_text("[" + ",".join(jobs) + "]" if path.suffix == ".json" else "\n".join(jobs))
    choose = deduplicate.resolve_duplicates

    def meanwhile(*given: Any) -> deduplicate.DecodePlan:
        with path.open("r+") as file:
            file.write(now)
            file.truncate(len(now) if len(now) < 500 else None)
        return choose(*given)

    monkeypatch.setattr(deduplicate, "resolve_duplicates", meanwhile)
    with pytest.raises(DataError, match="was changed while it was read"):
        ftetl.export(tmp_path / "t", source=path)
