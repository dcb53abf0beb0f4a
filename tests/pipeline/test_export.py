"""The library's one call: words become settings, and whatever can fail without a target fails before there is one."""

from __future__ import annotations

import errno
import io
import json
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl.config.settings import Settings
from ftetl.errors import (
    ConfigError,
    DataError,
    FtetlError,
    SoftwareError,
    StorageError,
    TargetError,
    UnavailableError,
    UsageError,
)
from ftetl.pipeline import export, run
from ftetl.pipeline.active_run import ActiveRun

KEY = {"TOGETHER_API_KEY": "canary-0123456789"}


@pytest.fixture
def answer(tmp_path: Path) -> Path:
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"data": [{"id": "ft-1"}]}))
    return path


@pytest.mark.parametrize(
    ("given", "kind", "code"),
    [
        pytest.param({"environ": {}}, ConfigError, 78, id="no key"),
        pytest.param({"environ": {"TOGETHER_API_KEY": "x"}}, ConfigError, 78, id="a malformed key"),
        pytest.param({"environ": {}, "api_key_file": "/nonexistent/key"}, ConfigError, 78, id="no key file"),
        pytest.param({"environ": KEY, "base_url": "http://example.com"}, ConfigError, 78, id="http to elsewhere"),
        pytest.param({"source": "missing.json"}, DataError, 65, id="no such file"),
        pytest.param({"source": "."}, DataError, 65, id="a folder without answers"),
        pytest.param({"source": "list.txt"}, DataError, 65, id="another kind of file"),
        pytest.param({"source": "demo", "events": "all"}, UsageError, 2, id="an unknown word"),
        pytest.param({"source": "demo", "formats": "xlsx"}, ConfigError, 78, id="an unknown format"),
        pytest.param({"source": "demo", "observed_at": "yesterday"}, UsageError, 2, id="no time"),
        pytest.param({"source": "demo", "colour": "red"}, UsageError, 2, id="an unknown setting"),
    ],
)
def test_an_error_before_the_work_makes_no_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], kind: type[FtetlError], code: int
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "list.txt").touch()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(kind) as caught:
        ftetl.export(tmp_path / "target", **given)
    assert caught.value.exit.code == code
    assert not (tmp_path / "target").exists()
    assert "canary" not in str(caught.value)


def test_an_api_that_is_not_there_leaves_no_snapshot(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        ftetl.export(tmp_path / "t", base_url="http://127.0.0.1:9/v1", environ=KEY, deadline=0.2)
    with pytest.raises(TargetError):
        ftetl.open(tmp_path / "t")


def test_on_windows_nothing_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Path) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigError, match="Linux and macOS only") as caught:
        ftetl.export(tmp_path / "target", source=answer)
    assert caught.value.exit.code == 78
    assert not (tmp_path / "target").exists()


def test_a_file_is_dated_by_its_modification_unless_a_time_is_given(tmp_path: Path, answer: Path) -> None:
    ftetl.export(tmp_path / "t", source=answer)
    (row,) = ftetl.open(tmp_path / "t").arrow("jobs").to_pylist()
    assert row["first_seen_at"] == datetime.fromtimestamp(answer.stat().st_mtime, UTC)
    ftetl.export(tmp_path / "u", source=answer, observed_at="2020-01-01")
    (row,) = ftetl.open(tmp_path / "u").arrow("jobs").to_pylist()
    assert row["first_seen_at"] == datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "settings", "vanished"),
    [
        (b'{"data":[{"id":"ft-2"}]}', {}, 1),
        (b'[{"id":"ft-2"}]', {}, 0),
        (b'[{"id":"ft-2"}]', {"whole": True}, 1),
        (b'{"id":"ft-2"}\n{"id":"ft-2"}', {}, 0),
        (b'{"id":"ft-2"}\n{"id":"ft-2"}', {"whole": True}, 1),
    ],
)
def test_stdin_may_be_a_whole_list(
    tmp_path: Path, answer: Path, monkeypatch: pytest.MonkeyPatch, body: bytes, settings: dict[str, Any], vanished: int
) -> None:
    ftetl.export(tmp_path / "t", source=answer, observed_at="2026-08-01")

    class Stdin:
        buffer = io.BytesIO(body)

    monkeypatch.setattr(sys, "stdin", Stdin())
    report = ftetl.export(tmp_path / "t", source="-", observed_at="2026-08-02", **settings)
    assert (report.vanished, report.new, report.source) == (vanished, 1, "-")
    assert not list((tmp_path / "t" / "_ftetl").glob(".tmp-*"))


def test_the_source_is_closed_whatever_happens(tmp_path: Path, answer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ftetl.extract.sources.files import SavedFiles

    closed: list[bool] = []
    monkeypatch.setattr(SavedFiles, "close", lambda self: closed.append(True))
    ftetl.export(tmp_path / "t", source=answer)
    (tmp_path / "file").touch()
    with pytest.raises(TargetError):
        ftetl.export(tmp_path / "file", source=answer)
    answer.write_bytes(b"<")
    with pytest.raises(FtetlError):
        ftetl.export(tmp_path / "t", source=answer)
    assert closed == [True] * 3


def test_an_unexpected_error_is_a_software_error(tmp_path: Path, answer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def surprise(*_: Any) -> None:
        raise ZeroDivisionError("canary")

    monkeypatch.setattr(run.Run, "_load", surprise)
    with pytest.raises(SoftwareError, match=r"ZeroDivisionError in pipeline/run\.py:\d+") as caught:
        export.run_export(ActiveRun(Settings.from_options(tmp_path / "t", answer, {})))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    shown = "".join(traceback.format_exception(caught.value)).replace('raise ZeroDivisionError("canary")', "")
    assert "in surprise" in shown
    assert "canary" not in shown.replace(str(Path(__file__).parents[2]), "")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EIO, StorageError),
        (errno.ENOSPC, StorageError),
        (errno.EACCES, TargetError),
        (errno.EBADF, SoftwareError),
    ],
    ids=["EIO", "ENOSPC", "EACCES", "EBADF"],
)
def test_an_error_of_the_disk_is_one_wherever_it_comes_up(
    number: int, kind: type[FtetlError], tmp_path: Path, answer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(*_: Any) -> None:
        raise OSError(number, "canary", "some/file")

    monkeypatch.setattr(run.Run, "_load", surprise)
    with pytest.raises(kind, match=r"pipeline/run\.py:\d+") as caught:
        export.run_export(ActiveRun(Settings.from_options(tmp_path / "t", answer, {})))
    assert type(caught.value) is kind
    assert ("some/file" in str(caught.value)) == (kind is not SoftwareError)
    assert "canary" not in str(caught.value)
