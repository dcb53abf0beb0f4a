"""The doctor names what would make a run fail, with the exit code that the run has then, and changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import ftetl
from ftetl import demo
from ftetl.cli.main import cli
from ftetl.config.settings import Settings
from ftetl.errors import FtetlError
from ftetl.pipeline import doctor
from ftetl.pipeline.doctor import Finding
from tests.demo.generator import generate_jobs
from tests.extract.together_api.whoami_shapes import PROJECT_API_KEY

KEY = "a-key-of-nobody-at-all"


def examined(target: Path, url: str, key: str | None = KEY, **more: Any) -> dict[str, Finding]:
    environ = {"TOGETHER_API_KEY": key} if key else {}
    settings = Settings.from_options(target, "api", {"base_url": url, "environ": environ, "deadline": 1.0, **more})
    return {finding.name: finding for finding in doctor.run_checks(settings)}


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        body = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path)] = (state.st_mode, state.st_mtime_ns, body)
    return found


@pytest.fixture
def server() -> Iterator[demo.Server]:
    with demo.serve(generate_jobs(count=20)) as running:
        yield running


def exported(target: Path, server: demo.Server, **more: Any) -> None:
    environ = {"TOGETHER_API_KEY": server.key}
    ftetl.export(target, base_url=server.url, environ=environ, events="none", **more)


def test_before_the_first_run_all_is_well_and_the_service_is_asked_once(tmp_path: Path, server: demo.Server) -> None:
    found = examined(tmp_path / "new" / "target", server.url, server.key)

    assert list(found) == ["key", "address", "owner", "request", "clock", "target", "disk"]
    assert {f.state for f in found.values()} == {"ok"}
    assert "20 jobs" in found["request"].what
    assert server.requests == [("GET", path) for path in ("/v3/whoami", "/v1/whoami", "/v1/fine-tunes")]


def test_it_shows_who_the_key_is_and_refuses_that_of_another_project(tmp_path: Path, server: demo.Server) -> None:
    server.whoami = PROJECT_API_KEY
    exported(tmp_path / "t", server)
    found = examined(tmp_path / "t", server.url, server.key)
    whose = "project 'Search Tuning' (proj-1) of organisation 'Example Organization' (org-1)"

    assert (found["owner"].state, found["owner"].what) == ("ok", f"the key belongs to {whose}")
    assert (found["list"].state, found["list"].what) == ("ok", "the list fits the jobs of version 1")
    drops = examined(tmp_path / "new", server.url, server.key, pii="drop")
    assert drops["owner"].what == "the key belongs to project proj-1 of organisation org-1"
    server.whoami = PROJECT_API_KEY | {"project": {"id": "proj-2", "name": "Chat"}}
    refused = examined(tmp_path / "t", server.url, server.key)["list"]
    assert (refused.state, refused.code) == ("failure", "FTETL-S28")
    assert whose in refused.what
    assert "project 'Chat' (proj-2)" in refused.what
    server.whoami = None
    found = examined(tmp_path / "t", server.url, server.key)
    assert (found["owner"].state, found["list"].state) == ("ok", "ok")
    assert found["owner"].what == "the service does not tell which project the key belongs to"


def test_nothing_is_changed(tmp_path: Path, server: demo.Server) -> None:
    for target in (tmp_path / "none", tmp_path / "ours"):
        if target.name == "ours":
            exported(target, server)
        before = tree(tmp_path)
        assert "failure" not in {f.state for f in examined(target, server.url, server.key).values()}
        assert tree(tmp_path) == before


def test_the_key_is_shown_by_its_fingerprint_only(tmp_path: Path, server: demo.Server) -> None:
    found = examined(tmp_path / "t", server.url, server.key)

    assert "has the fingerprint" in found["key"].what
    assert server.key not in json.dumps([f.as_dict() for f in found.values()])


@pytest.mark.parametrize(
    ("key", "name", "code"), [(None, "key", 78), ("short", "key", 78), (KEY, "request", 77)], ids=str
)
def test_a_key_that_does_not_do_is_found(
    tmp_path: Path, server: demo.Server, key: str | None, name: str, code: int
) -> None:
    found = examined(tmp_path / "t", server.url, key)

    assert found[name].exit is not None
    assert found[name].exit.code == code
    assert found["target"].state == "ok"  # what else is wrong is worth knowing


def test_a_service_that_is_not_there_is_found(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = examined(tmp_path / "t", f"http://127.0.0.1:{free.getsockname()[1]}")

    assert found["request"].exit is not None
    assert found["request"].exit.code == 69


def a_file(target: Path) -> None:
    target.write_text("x")


def somebody_elses(target: Path) -> None:
    target.mkdir()
    (target / "letters.txt").write_text("dear diary")


def a_link(target: Path) -> None:
    target.symlink_to(target.parent)


def newer(target: Path) -> None:
    (target / "_ftetl").mkdir(parents=True)
    (target / "_ftetl" / "format").write_text('{"tool":"ftetl","format":99}')


def lost(target: Path) -> None:
    source = target.with_name("a.json")
    source.write_text('[{"id":"ft-1"}]')
    ftetl.export(target, source=source)
    for file in (target / "_ftetl" / "manifests").iterdir():
        file.write_bytes(b"torn")


def copied_with_its_links_followed(target: Path) -> None:
    source = target.with_name("a.json")
    source.write_text('[{"id":"ft-1"}]')
    ftetl.export(target, source=source)
    current = target / "current"
    folder = current.resolve()
    current.unlink()
    shutil.copytree(folder, current)


def damaged(target: Path) -> None:
    source = target.with_name("a.json")
    source.write_text('[{"id":"ft-1"}]')
    ftetl.export(target, source=source)
    jobs = target / "current" / "jobs.parquet"
    jobs.write_bytes(jobs.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (a_file, 73),
        (somebody_elses, 73),
        (a_link, 73),
        (newer, 78),
        (lost, 74),
        (damaged, 74),
        (copied_with_its_links_followed, 73),
    ],
)
def test_a_folder_that_cannot_be_the_target_is_found(tmp_path: Path, server: demo.Server, made: Any, code: int) -> None:
    target = tmp_path / "target"
    made(target)

    finding = examined(target, server.url, server.key)["target"]
    with pytest.raises(FtetlError) as caught:
        exported(target, server)

    assert finding.exit is not None
    assert finding.exit.code == caught.value.exit.code == code


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_found(tmp_path: Path, server: demo.Server) -> None:
    parent = tmp_path / "parent"
    parent.mkdir(mode=0o500)

    finding = examined(parent / "target", server.url, server.key)["target"]

    assert finding.exit is not None
    assert finding.exit.code == 73


def test_a_list_that_a_guard_would_stop_is_found(tmp_path: Path, server: demo.Server) -> None:
    exported(tmp_path / "t", server)
    with demo.serve(generate_jobs(count=20)[:3], key=server.key) as shrunken:
        other = examined(tmp_path / "t", shrunken.url, shrunken.key)
    project = examined(tmp_path / "t", server.url, server.key, project="other")

    assert [f["list"].exit.code for f in (other, project) if f["list"].exit] == [
        78,
        78,
    ]  # another host, another project
    assert examined(tmp_path / "t", server.url, server.key)["list"].state == "ok"


def test_a_list_that_has_lost_its_jobs_is_found(tmp_path: Path) -> None:
    jobs = generate_jobs(count=20)
    with demo.serve(jobs) as server:
        exported(tmp_path / "t", server)
        port = int(server.url.rpartition(":")[2].partition("/")[0])
    with listing({"data": jobs[:3]}, port=port) as url:
        found = examined(tmp_path / "t", url)

    assert found["list"].exit is not None
    assert found["list"].exit.code == 65


@contextmanager
def listing(document: Any, *, port: int = 0, date: datetime | None = None) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(date, usegmt=True) if date else super().date_time_string(timestamp)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("hours", "word"), [(2, "behind"), (-2, "ahead of")])
def test_a_clock_that_is_wrong_is_a_warning(tmp_path: Path, hours: int, word: str) -> None:
    with listing({"data": []}, date=datetime.now(UTC) + timedelta(hours=hours)) as url:
        clock = examined(tmp_path / "t", url)["clock"]

    assert clock.state == "warning"
    assert word in clock.what


@pytest.mark.parametrize("changes", [True, False], ids=["in the tables", "in the time of the newest list"])
def test_stored_times_in_the_future_are_a_warning(tmp_path: Path, server: demo.Server, changes: bool) -> None:
    def run(at: datetime) -> None:
        ftetl.export(tmp_path / "t", base_url=server.url, environ={"TOGETHER_API_KEY": server.key}, observed_at=at)

    run(datetime.now(UTC))
    assert "times" not in examined(tmp_path / "t", server.url)
    if changes:
        server.jobs = [{**job, "status": "cancelled"} for job in server.jobs]
    run(datetime.now(UTC) + timedelta(hours=3))

    found = examined(tmp_path / "t", server.url)["times"]

    assert (found.state, found.exit) == ("warning", None)
    assert "lie in the future" in found.what
    run(datetime.now(UTC))
    assert "times" not in examined(tmp_path / "t", server.url)


def test_the_command_ends_as_the_run_would(tmp_path: Path, server: demo.Server) -> None:
    somebody_elses(tmp_path / "t")
    words = ["doctor", str(tmp_path / "t"), "--base-url", server.url, "--json"]

    bad = CliRunner().invoke(cli, words, env={"TOGETHER_API_KEY": server.key}, standalone_mode=False)
    good = CliRunner().invoke(
        cli, [words[0], str(tmp_path / "new"), *words[2:]], env={"TOGETHER_API_KEY": server.key}, standalone_mode=False
    )

    assert (bad.return_value, good.return_value) == (73, 0)
    assert (json.loads(bad.stdout)["exit_code"], json.loads(bad.stdout)["code"]) == (73, "FTETL-S16")
    assert [f["code"] for f in json.loads(bad.stdout)["findings"] if f["code"]] == ["FTETL-S16"]
    assert bad.stderr.splitlines()[-1].startswith("ftetl: CANTCREAT (73) FTETL-S16: ")
    assert json.loads(good.stdout)["code"] is None
    assert [f["state"] for f in json.loads(bad.stdout)["findings"] if f["check"] == "target"] == ["failure"]
    assert "an export would fail: 1 failure" in bad.stderr
    assert "an export can run" in good.stderr
