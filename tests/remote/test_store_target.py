"""A target in an object store holds what a target folder holds, and every command reads it there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import obstore
import pytest
from click.testing import CliRunner

import ftetl
from ftetl.cli.main import cli
from ftetl.contract import tables
from ftetl.errors import ConfigError, FtetlError, StorageError, TargetError, UsageError
from ftetl.pipeline.export import rebuild
from ftetl.store.manifest import decode_manifest
from ftetl.validate.verify import verify_snapshot
from tests.remote.store_server import StoreServer

MANIFEST = "some/prefix/_ftetl/manifests/{:020d}.json"


def cells(target: Any) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, without when a run saw them."""
    snapshot = ftetl.open(target)
    return {name: snapshot.arrow(name).to_pylist() for name in tables()}


def keys(server: StoreServer, bucket: str, version: int) -> dict[str, str]:
    """The key of each file of a version."""
    manifest = json.loads(server.objects(bucket)[MANIFEST.format(version)])
    return {file["name"]: file["key"] for file in manifest["files"]}


def puts(server: StoreServer) -> list[str]:
    return [request.key.removeprefix("some/prefix/") for request in server.requests if request.method == "PUT"]


def test_it_has_the_tables_of_a_folder_cell_by_cell(address: str, answers: list[Path], tmp_path: Path) -> None:
    for answer in answers:
        for target in (tmp_path / "t", address):
            report = ftetl.export(target, source=answer, quarantine="ok", formats="csv")

    assert (report.target, report.version, report.changed) == (address, 2, True)
    assert cells(address) == cells(tmp_path / "t")
    assert ftetl.open(address, version=1).version == 1


def test_a_run_that_changes_nothing_uploads_no_table(server: StoreServer, address: str, answers: list[Path]) -> None:
    ftetl.export(address, source=answers[0], quarantine="ok")
    server.begin()

    report = ftetl.export(address, source=answers[0], quarantine="ok")

    assert (report.version, report.changed, report.warnings) == (1, False, ())
    assert puts(server) == [f"_ftetl/runs/{report.run_id}.json"]


def test_a_run_neither_downloads_csv_nor_uploads_what_did_not_change(
    server: StoreServer, address: str, answers: list[Path]
) -> None:
    first = ftetl.export(address, source=answers[0], quarantine="ok", formats="csv")
    server.begin()

    again = ftetl.export(address, source=answers[0], quarantine="ok")
    second = ftetl.export(address, source=answers[1], quarantine="ok")

    assert (again.changed, second.changed, second.version) == (False, True, 2)
    assert not [request for request in server.requests if request.method == "GET" and request.key.endswith(".csv")]
    assert {key.rpartition("/")[2] for key in puts(server) if key.endswith(".csv")} < {*first.files}
    assert f"snapshots/{second.run_id}/jobs.csv" in puts(server)
    assert f"snapshots/{second.run_id}/training_metrics.csv" not in puts(server)
    assert verify_snapshot(address).damage == ()


def test_a_file_that_did_not_change_stays_where_it_is(
    server: StoreServer, bucket: str, address: str, answers: list[Path]
) -> None:
    first = ftetl.export(address, source=answers[0], quarantine="ok")
    server.begin()

    second = ftetl.export(address, source=answers[1], quarantine="ok")

    assert keys(server, bucket, 2)["endpoint_anomalies.parquet"] == (
        f"snapshots/{first.run_id}/endpoint_anomalies.parquet"
    )
    assert keys(server, bucket, 2)["jobs.parquet"] == f"snapshots/{second.run_id}/jobs.parquet"
    assert f"snapshots/{second.run_id}/endpoint_anomalies.parquet" not in puts(server)
    assert verify_snapshot(address).damage == ()


def test_a_read_downloads_only_the_table_that_is_read(server: StoreServer, address: str, answers: list[Path]) -> None:
    ftetl.export(address, source=answers[0], quarantine="ok")
    snapshot = ftetl.open(address)
    server.begin()

    snapshot.arrow("jobs")
    snapshot.arrow("jobs")

    assert [request.key.rpartition("/")[2] for request in server.requests] == ["jobs.parquet"]


def test_its_manifest_is_one_of_a_target_folder(
    server: StoreServer, bucket: str, address: str, answers: list[Path]
) -> None:
    report = ftetl.export(address, source=answers[0], quarantine="ok")

    manifest = decode_manifest(server.objects(bucket)[MANIFEST.format(1)], 1)

    assert (manifest.run_id, len(manifest.files)) == (report.run_id, len(report.files))


def test_every_command_reads_it(
    address: str, tmp_path: Path, answers: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for answer in answers:
        ftetl.export(address, source=answer, quarantine="ok")
    commands = [
        ["verify", address],
        ["runs", address],
        ["report", address, "-o", str(tmp_path / "page.html")],
        ["show", address, "jobs"],
        ["sql", address, "SELECT count(*) FROM jobs"],
        ["load", address, f"sqlite:{tmp_path / 'jobs.sqlite'}"],
        ["quarantine", address],
        ["anomalies", address],
        ["rebuild", address],
        ["export", address, "--from", str(answers[1]), "--quarantine", "ok"],
    ]
    for words in commands:
        done = CliRunner().invoke(cli, words)
        assert (done.exit_code, "Traceback" in done.output) == (0, False), (words, done.output)
        assert "ftetl-copy-" not in done.output, words


class TestRebuild:
    @pytest.mark.parametrize("events", ["list", "auto"])
    def test_it_makes_the_same_tables_from_the_archive(
        self, address: str, events: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ftetl.extract.details.cache.PACKED_FROM", 1)
        ftetl.export(address, source="demo", events=events)
        before = cells(address)

        report = rebuild(address)

        assert (report.rebuilt, report.changed, report.version) == (1, False, 1)
        assert cells(address) == before

    def test_what_it_makes_is_the_next_version(
        self, address: str, answers: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for answer in answers:
            ftetl.export(address, source=answer, quarantine="ok", formats="csv", csv_raw=True)
        monkeypatch.setattr("ftetl.store.transaction.VERSIONED_FACTS", ("committed_at",))
        monkeypatch.setattr("ftetl.store.transaction.Transaction._changes_nothing", lambda *_: False)

        report = rebuild(address)

        assert (report.rebuilt, report.changed, report.version) == (2, True, 3)
        assert rebuild(address).rebuilt == 2  # its own entry is followed to those before it
        assert verify_snapshot(address).damage == ()


class TestDamage:
    @pytest.fixture
    def files(self, server: StoreServer, bucket: str, exported: str) -> dict[str, str]:
        return {name: f"some/prefix/{key}" for name, key in keys(server, bucket, 1).items()}

    @pytest.mark.parametrize("change", ["cut", "flipped", "missing"])
    def test_a_damaged_file_is_found_and_stops_the_next_run(
        self, server: StoreServer, bucket: str, address: str, answers: list[Path], files: dict[str, str], change: str
    ) -> None:
        store, key = server.store(bucket), files["jobs.parquet"]
        data = server.objects(bucket)[key]
        if change == "missing":
            obstore.delete(store, key)
        else:
            obstore.put(store, key, data[:-7] if change == "cut" else data[:50] + bytes([data[50] ^ 1]) + data[51:])

        damage = verify_snapshot(address).damage
        with pytest.raises(StorageError) as stopped:
            ftetl.export(address, source=answers[1], quarantine="ok")
        with pytest.raises(StorageError):
            ftetl.open(address).arrow("jobs")

        assert len(damage) == 1
        assert "jobs.parquet" in damage[0]
        assert (stopped.value.code, address in str(stopped.value)) == ("FTETL-S13", True)
        assert ftetl.open(address).arrow("events").num_rows == 6
        assert "ftetl-copy-" not in str(stopped.value)

    def test_a_damaged_manifest_is_skipped_with_a_warning(
        self, server: StoreServer, bucket: str, address: str, answers: list[Path], files: dict[str, str]
    ) -> None:
        ftetl.export(address, source=answers[1], quarantine="ok")
        obstore.put(server.store(bucket), MANIFEST.format(2), server.objects(bucket)[MANIFEST.format(2)][:-9])

        assert ftetl.open(address).version == 1
        assert "damaged" in verify_snapshot(address).damage[0]
        report = ftetl.export(address, source=answers[1], quarantine="ok")

        assert (report.version, report.changed) == (3, True)
        assert "version 2 is damaged and skipped" in report.warnings[0]

    def test_the_hint_is_only_a_hint(
        self, server: StoreServer, bucket: str, exported: str, answers: list[Path]
    ) -> None:
        ftetl.export(exported, source=answers[1], quarantine="ok")
        store, latest = server.store(bucket), "some/prefix/_ftetl/latest.json"

        for hint in (None, b"", b"{", b'{"version": 900}', b'{"version": "1"}', b'{"version": 1}'):
            obstore.delete(store, latest) if hint is None else obstore.put(store, latest, hint)
            assert ftetl.open(exported).version == 2, hint

        assert not ftetl.export(exported, source=answers[1], quarantine="ok").changed


class TestRefused:
    @pytest.mark.parametrize(
        ("target", "error", "code"),
        [
            ("s3://no-such-bucket/x", ConfigError, "O12"),
            ("s3://{bucket}/x", TargetError, "T02"),
            ("s3://AKIA:secret@{bucket}/x", ConfigError, "P19"),
            ("s3://{bucket}/x?versionId=1", ConfigError, "P19"),
            ("s3://{bucket}/../x", ConfigError, "P19"),
            ("s3://", ConfigError, "P19"),
            ("s3a://{bucket}/x", ConfigError, "P15"),
            ("ftp://{bucket}/x", ConfigError, "P15"),
        ],
    )
    def test_what_is_no_target_is_said_in_one_line(
        self, bucket: str, target: str, error: type[FtetlError], code: str
    ) -> None:
        for read in (ftetl.open, rebuild):
            with pytest.raises(error) as refused:
                read(target.format(bucket=bucket))

            assert refused.value.code == f"FTETL-{code}"
            assert "secret" not in str(refused.value)

    def test_a_prefix_with_other_objects_is_not_made_a_target(
        self, server: StoreServer, bucket: str, address: str, answers: list[Path]
    ) -> None:
        obstore.put(server.store(bucket), "some/prefix/photo.jpg", b"x")
        before = server.objects(bucket)

        with pytest.raises(TargetError) as refused:
            ftetl.export(address, source=answers[0])

        assert refused.value.code == "FTETL-S16"
        assert server.objects(bucket) == before

    def test_it_is_not_published(self, address: str, answers: list[Path], tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="--publish"):
            ftetl.export(address, source=answers[0], publish=tmp_path / "p")

    def test_a_version_that_is_not_there(self, address: str, answers: list[Path]) -> None:
        ftetl.export(address, source=answers[0], quarantine="ok")

        with pytest.raises(StorageError) as refused:
            ftetl.open(address, version=7)

        assert refused.value.code == "FTETL-T03"

    def test_without_the_extra_it_is_said_what_to_install(
        self, address: str, answers: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(__import__("sys").modules, "obstore", None)

        with pytest.raises(ConfigError, match=r"pip install 'ftetl\[s3\]'") as refused:
            ftetl.open(address)

        assert refused.value.code == "FTETL-P18"


def test_nothing_is_left_in_the_temporary_folder(address: str, answers: list[Path]) -> None:
    import tempfile

    ftetl.export(address, source=answers[0], quarantine="ok")
    ftetl.open(address).arrow("jobs")
    verify_snapshot(address)

    assert [*Path(tempfile.gettempdir()).iterdir()] == []
