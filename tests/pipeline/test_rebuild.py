"""A rebuild makes the same tables again from the archive; with better contracts, better ones; else it says why not."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl import contract, demo
from ftetl.demo import Server
from ftetl.errors import DataError, FtetlError, StorageError
from ftetl.extract.archive import Archive
from ftetl.extract.details import cache
from ftetl.pipeline import export
from ftetl.run_report import Report
from ftetl.store.manifest import newest_manifest
from ftetl.store.target import Target

Job = dict[str, Any]
LIST = "/v1/fine-tunes"


def job(number: int, **more: Any) -> Job:
    at = "2026-07-02T00:00:00Z"
    found = {"id": f"ft-{number:02}", "status": "completed", "created_at": at, "updated_at": at}
    return found | {"events": [{"type": "JOB_COMPLETE", "created_at": at}]} | more


class Exports:
    """A target and a server; runs a day apart."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.target = folder / "target"
        self._day = 10

    def __call__(self, *jobs: Job, source: Any = None, **settings: Any) -> Report:
        self._day += 1
        settings = {"observed_at": datetime(2026, 7, self._day, tzinfo=UTC), **settings}
        if source is not None:
            return ftetl.export(self.target, source=source, **settings)
        if jobs:
            self.server.jobs = list(jobs)
        environ = {"TOGETHER_API_KEY": self.server.key}
        return ftetl.export(self.target, base_url=self.server.url, environ=environ, **settings)

    def save(self, name: str, content: Any) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.target / "current").iterdir()}

    def rows(self, table: str = "jobs") -> list[Job]:
        return list(ftetl.open(self.target).arrow(table).to_pylist())

    def rebuild(self) -> bool:
        return export.rebuild(self.target).changed

    def refuses(self, kind: type[FtetlError], match: str, code: int) -> None:
        """A rebuild fails, and leaves what there is, the archive included."""
        before = newest_manifest(self.target), self.files(), self.archived()
        with pytest.raises(kind, match=match) as caught:
            self.rebuild()
        assert caught.value.exit.code == code
        assert (newest_manifest(self.target), self.files(), self.archived()) == before
        assert not list((self.target / "_ftetl").glob(".tmp-*"))

    def archived(self) -> list[Path]:
        return sorted(path for path in (self.target / "_ftetl" / "archive").rglob("*") if path.is_file())


@pytest.fixture
def exports(tmp_path: Path) -> Iterator[Exports]:
    with demo.serve(jobs=[]) as server:
        yield Exports(server, tmp_path)


@pytest.fixture
def contracts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str, str, str], None]]:
    """Change the text of a contract for the rest of the test."""
    folder = tmp_path / "schemas"
    shutil.copytree(str(contract.folder()), folder)

    def change(file: str, old: str, new: str) -> None:
        text = (folder / file).read_text("utf-8")
        assert text.count(old) == 1
        (folder / file).write_text(text.replace(old, new), "utf-8")
        monkeypatch.setattr(contract.loader, "folder", lambda: folder)
        _forget_contracts()

    yield change
    monkeypatch.undo()
    _forget_contracts()


def _forget_contracts() -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith("ftetl"):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


class TestTheSame:
    @pytest.mark.usefixtures("quick_retries")
    @pytest.mark.parametrize("packed_from", [1, cache.PACKED_FROM])
    def test_after_runs_of_every_kind(
        self, exports: Exports, packed_from: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cache, "PACKED_FROM", packed_from)
        server = exports.server
        many = [job(n) for n in range(12)]
        exports(*many, job(20, status="running", events=[]), formats=("csv",))
        exports()  # nothing changed
        exports(*many[1:], job(20, status="running", token_count=5, updated_at="2026-07-12T00:00:00Z"))  # one vanished
        server.fail = lambda path: {"ft-21": 500, "ft-22": 404}.get(path.rpartition("/")[2])
        assert exports(*many[1:], job(20), job(21), job(22)).exit_code == 3
        server.fail = lambda _: None
        exports(*reversed(many), job(20), job(21), job(22))  # one came back, a detail came late
        with pytest.raises(DataError):
            exports(*many[:2])  # a guard
        exports(*many, job(20, token_count=7), events="list")
        exports(*many, job(20, token_count=8), events="none")
        usual = server.response
        broken = b'{"data":[{"id":"ft-1","a":1,"a":2},5,' + server.list_body[9:]
        server.response = lambda path, authorization: (  # type: ignore[method-assign]
            (200, broken) if path == LIST else usual(path, authorization)
        )
        assert exports().quarantined == 2
        server.response = usual  # type: ignore[method-assign]
        exports(source=exports.save("one.ndjson", job(40)))
        exports(source=exports.save("whole.json.gz", {"data": [*many, job(41, wandb_key="secret")]}))
        exports.save("folder/a.json", job(42))
        exports.save("folder/b.json", {"data": [job(42, token_count=3), job(43)]})
        exports(source=exports.folder / "folder", observed_at=None)
        stdin = io.TextIOWrapper(io.BytesIO(json.dumps([*many, job(44)]).encode()))
        monkeypatch.setattr(sys, "stdin", stdin)
        exports(source="-")
        exports(*many, job(20), allow_shrink=True)
        with Target(exports.target) as target, Archive(target) as archive:
            archive.write_index(
                target.version, {"version": target.version}
            )  # of a run that was killed before its commit
        before, version = exports.files(), newest_manifest(exports.target)

        assert not exports.rebuild()
        assert exports.files() == before
        assert not exports.rebuild()
        assert newest_manifest(exports.target) == version

        exports(*many, job(45))
        assert not exports.rebuild()

    def test_after_a_rebuild_that_changed_something(self, exports: Exports, contracts: Any) -> None:
        exports(job(1, speculator_enabled=True), job(2))
        contracts("jobs.toml", "[columns.status]", COLUMN + "[columns.status]")
        assert exports.rebuild()
        assert not exports.rebuild()
        exports(job(1, speculator_enabled=True), job(3))
        assert not exports.rebuild()

    def test_when_the_manifest_of_a_version_in_between_is_gone(self, exports: Exports) -> None:
        for number in range(4):
            exports(job(1, token_count=number), keep=2)
        for path in sorted((exports.target / "_ftetl" / "manifests").iterdir())[:-1]:
            path.unlink()
        assert not exports.rebuild()

    def test_when_the_newest_manifest_was_lost_and_a_run_went_on_from_the_one_before(self, exports: Exports) -> None:
        for number in range(3):
            exports(job(1, token_count=number))
        last = sorted((exports.target / "_ftetl" / "manifests").iterdir())[-1]
        raw = last.read_bytes()
        last.write_bytes(b"{}")
        assert not exports.rebuild()
        last.write_bytes(raw)
        assert not exports.rebuild()
        last.write_bytes(b"{}")
        exports(job(1, token_count=9))
        assert not exports.rebuild()


COLUMN = """[columns.speculator_enabled]
type = "boolean"
from = "speculator_enabled"
detail = true
description = "Whether a speculator was trained."

"""


class TestBetterContracts:
    def test_a_snapshot_of_an_older_contract_is_read_and_the_next_run_goes_on_from_it(
        self, exports: Exports, contracts: Any
    ) -> None:
        exports(job(1), job(2))
        contracts("jobs.toml", "[columns.status]", COLUMN + "[columns.status]")
        assert [row["job_id"] for row in exports.rows()] == ["ft-01", "ft-02"]
        assert exports(job(1), job(2), job(3, speculator_enabled=True)).changed
        assert [row["speculator_enabled"] for row in exports.rows()] == [None, None, True]

    def test_a_column_that_was_learned_is_filled_for_old_runs(self, exports: Exports, contracts: Any) -> None:
        exports(job(1, speculator_enabled=True), job(2))
        exports(job(1, speculator_enabled=True), job(3, speculator_enabled=False))
        assert [json.loads(row["extra"] or "{}").get("speculator_enabled") for row in exports.rows()] == [
            True,
            None,
            False,
        ]
        contracts("jobs.toml", "[columns.status]", COLUMN + "[columns.status]")
        report = export.rebuild(exports.target)
        assert report.changed
        assert report.exit_code == 0
        assert [row["speculator_enabled"] for row in exports.rows()] == [True, None, False]
        assert not any("speculator" in (row["extra"] or "") for row in exports.rows())
        assert [row["present"] for row in exports.rows()] == [True, False, True]
        assert exports(job(1, speculator_enabled=True), job(3, speculator_enabled=False)).changed is False

    def test_what_is_accepted_now_leaves_the_quarantine(self, exports: Exports, contracts: Any) -> None:
        odd = [job(1), job(2) | {"id": "ft/2"}]
        assert exports(*odd).quarantined == 1
        exports(*odd, job(3))
        assert [row["job_id"] for row in exports.rows()] == ["ft-01", "ft-03"]
        for table in ("jobs", "events", "job_history", "anomalies"):
            contracts(f"{table}.toml", "pattern = '[A-Za-z0-9._:-]{1,128}'", "pattern = '[A-Za-z0-9._:/-]{1,128}'")
        assert exports.rebuild()
        assert [row["job_id"] for row in exports.rows()] == ["ft-01", "ft-03", "ft/2"]
        assert exports.rows("quarantine") == []
        assert exports.rows()[2]["first_seen_at"] == datetime(2026, 7, 11, tzinfo=UTC)
        assert {row["present"] for row in exports.rows()} == {True}


class TestRefused:
    def test_without_a_saved_answer(self, exports: Exports) -> None:
        path = exports.save("saved.json", {"data": [job(1)]})
        exports(source=path)
        path.rename(path.with_name("moved.json"))
        exports.refuses(DataError, r"saved\.json is gone", 65)

    @pytest.mark.parametrize("content", [[], [job(2)]])
    def test_with_another_saved_answer(self, exports: Exports, content: Any) -> None:
        path = exports.save("saved.json", [job(1)])
        exports(source=path)
        exports.save("saved.json", content)
        exports.refuses(DataError, r"saved\.json is not the one", 65)

    @pytest.mark.parametrize("damage", [None, b"", b"no zstd"])
    @pytest.mark.parametrize("packed_from", [1, cache.PACKED_FROM])
    def test_with_a_damaged_archive(
        self, exports: Exports, damage: bytes | None, packed_from: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cache, "PACKED_FROM", packed_from)
        exports(job(1), job(2))
        for body in (path for path in exports.archived() if path.suffix == ".zst"):
            whole = body.read_bytes()
            body.unlink() if damage is None else body.write_bytes(damage)
            exports.refuses(StorageError, "is missing" if damage is None else "is damaged", 74)
            body.write_bytes(whole)
        assert not exports.rebuild()

    @pytest.mark.parametrize("gone", [0, 1, 2])
    def test_with_a_gap(self, exports: Exports, gone: int) -> None:
        for number in range(3):
            exports(job(1, token_count=number))
        index = sorted((exports.target / "_ftetl" / "archive" / "index").iterdir())
        index[gone].unlink()
        exports.refuses(DataError, "does not tell", 65)

    @pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b"null", b'{"version":1,"base":null}', b"\xff"])
    def test_with_a_damaged_index(self, exports: Exports, raw: bytes) -> None:
        exports(job(1))
        (index,) = (exports.target / "_ftetl" / "archive" / "index").iterdir()
        index.write_bytes(raw)
        exports.refuses(StorageError, "is damaged", 74)

    def test_without_any_intact_manifest_and_nothing_is_lost(self, exports: Exports) -> None:
        exports(job(1))
        (manifest,) = (exports.target / "_ftetl" / "manifests").iterdir()
        raw = manifest.read_bytes()
        manifest.write_bytes(b"{}")
        before = exports.archived()
        with pytest.raises(FtetlError):
            exports.rebuild()
        assert exports.archived() == before
        manifest.write_bytes(raw)
        assert not exports.rebuild()
