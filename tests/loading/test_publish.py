"""The folder of `--publish`: real files, each whole, of one version, and never somebody else's."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl import demo
from ftetl.cli.commands import export as export_command
from ftetl.contract import tables
from ftetl.errors import ConfigError, FtetlError, TargetError, UsageError
from ftetl.loading.publish import RECORD, PublishFolder
from ftetl.pipeline import export as pipeline_export
from ftetl.run_report import Published
from ftetl.store.filesystem import Folder, Fs
from ftetl.store.target import Target
from tests.demo.generator import generate_jobs

FIRST = {"a.parquet": b"first", "b.parquet": b"always the same" * 1000, "old.csv": b"x", "memory.arrow": b"m"}
SECOND = {"a.parquet": b"second", "b.parquet": FIRST["b.parquet"], "new.csv": b"y" * 5000, "memory.arrow": b"n"}
JOBS = generate_jobs(count=5)


class Stopped(BaseException):
    """The process is no more."""


class Trouble(Fs):
    """From the k-th operation on, counted from when `left` is set, `error` comes of each, or of the one alone."""

    left: int | None = None
    error: BaseException = Stopped()
    once = False
    operation = ""  # only of this one
    operations: list[tuple[str, str]]

    def __init__(self) -> None:
        self.operations = []

    @contextmanager
    def perform(self, operation: str, path: Path) -> Iterator[None]:
        self.operations.append((operation, path.name))
        with super().perform(operation, path):
            fails = self._fails(operation)
            if operation == "close" or not fails:
                yield
            if fails:
                raise self.error

    def _fails(self, operation: str) -> bool:
        if self.left is None or not operation.startswith(self.operation):
            return False
        fails = self.left <= 0 and not (self.once and self.left < 0)
        self.left -= 1
        return fails

    # No power is lost here, and these tests make thousands of files.
    def sync(self, descriptor: int, path: Path) -> None:
        with self.perform("sync", path):
            pass

    def sync_folder(self, folder: Folder) -> None:
        with self.perform("sync", folder.path):
            pass


def commit(target: Target, files: dict[str, bytes]) -> None:
    with target.begin_transaction() as transaction:
        for name, data in files.items():
            with transaction.create_file(name) as file:
                file.write(data)
        transaction.commit({"identity": {"project": "default"}})


def publish(
    path: Path, folder: Path, files: dict[str, bytes], fs: Fs | None = None, **options: Any
) -> tuple[Published, list[str]]:
    with Target(path, fs=fs or Trouble(), **options) as target, ExitStack() as stack:
        publish_folder = PublishFolder(target, folder, files, stack)
        commit(target, files)
        assert target.base is not None
        return publish_folder.publish(target.base)


def shown(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name != "memory.arrow"}


def there(folder: Path) -> dict[str, bytes]:
    """The files that stand there, but the record."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != RECORD}


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / RECORD).read_bytes())
    return found


def is_true(folder: Path) -> bool:
    """Whether the files that stand there are exactly those that the record tells."""
    told = {name: (file["bytes"], file["sha256"]) for name, file in record(folder)["files"].items()}
    return told == {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in there(folder).items()}


def state(folder: Path) -> dict[str, tuple[int, int, int, int]]:
    stats = {path.name: path.lstat() for path in folder.iterdir()}
    return {name: (s.st_ino, s.st_mtime_ns, s.st_ctime_ns, s.st_mode) for name, s in stats.items()}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bi"


def test_the_folder_has_the_tables_of_the_newest_version(target: Path, folder: Path) -> None:
    done = publish(target, folder, FIRST)

    assert done == (Published(str(folder), 1, ("a.parquet", "b.parquet", "old.csv")), [])
    assert there(folder) == shown(FIRST)
    assert is_true(folder)
    told = record(folder)
    assert (told["version"], told["complete"], told["project"]) == (1, True, "default")
    assert told["run_id"] == (target / "current").readlink().name


def test_they_are_no_second_names_of_the_snapshots_files(target: Path, folder: Path) -> None:
    publish(target, folder, FIRST)
    with (folder / "a.parquet").open("ab") as file:
        file.write(b"of somebody who writes to it")

    assert (target / "current" / "a.parquet").read_bytes() == FIRST["a.parquet"]
    assert [path for path in folder.iterdir() if path.is_symlink() or path.stat().st_nlink > 1] == []


def test_a_new_version_replaces_what_changed_and_removes_what_is_no_more(target: Path, folder: Path) -> None:
    publish(target, folder, FIRST)
    before = state(folder)
    done = publish(target, folder, SECOND)

    assert done == (Published(str(folder), 2, ("a.parquet", "new.csv")), [])
    assert there(folder) == shown(SECOND)
    assert is_true(folder)
    assert state(folder)["b.parquet"] == before["b.parquet"]


def test_when_nothing_changed_nothing_is_touched(target: Path, folder: Path) -> None:
    publish(target, folder, FIRST)
    before = state(folder), folder.stat().st_mtime_ns
    done = publish(target, folder, FIRST)

    assert done == (Published(str(folder), 1, ()), [])
    assert (state(folder), folder.stat().st_mtime_ns) == before


HARM: dict[str, Callable[[Path], Any]] = {
    "it was removed": lambda file: file.unlink(),
    "it was cut off": lambda file: os.truncate(file, 3),
    "a byte is another": lambda file: file.write_bytes(b"fIrst"),
    "it was replaced": lambda file: (file.unlink(), file.write_bytes(b"something else")),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_damaged_file_comes_back_though_nothing_changed(target: Path, folder: Path, harm: str) -> None:
    publish(target, folder, FIRST)
    HARM[harm](folder / "a.parquet")
    done = publish(target, folder, FIRST)

    assert done == (Published(str(folder), 1, ("a.parquet",)), [])
    assert there(folder) == shown(FIRST)


def test_other_peoples_files_may_be_there_and_stay(target: Path, folder: Path) -> None:
    folder.mkdir()
    others = {"notes.txt": b"n", "c.parquet": b"not ours", "memory.arrow": b"neither", ".tmp-other": b"o"}
    for name, data in others.items():
        (folder / name).write_bytes(data)
    publish(target, folder, FIRST)
    publish(target, folder, SECOND)

    assert there(folder) == shown(SECOND) | others


IN_THE_WAY: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a file": (lambda file: file.write_bytes(b"not ours"), "was not published by ftetl; move it away"),
    "a link": (lambda file: file.symlink_to(file.parent / "elsewhere"), "is not a regular file; move it away"),
    "a folder": (lambda file: file.mkdir(), "is not a regular file; move it away"),
    "a pipe": (lambda file: os.mkfifo(file), "is not a regular file; move it away"),
}


@pytest.mark.parametrize("thing", IN_THE_WAY)
def test_files_that_ftetl_did_not_publish_are_refused_and_left(target: Path, folder: Path, thing: str) -> None:
    folder.mkdir()
    put, words = IN_THE_WAY[thing]
    put(folder / "a.parquet")
    before = state(folder)
    with pytest.raises(TargetError, match=words):
        publish(target, folder, FIRST)

    assert state(folder) == before


def test_a_link_in_place_of_a_published_file_is_not_followed(target: Path, folder: Path, tmp_path: Path) -> None:
    publish(target, folder, FIRST)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (folder / "a.parquet").unlink()
    (folder / "a.parquet").symlink_to(victim)
    with pytest.raises(TargetError, match=r"a\.parquet is not a regular file"):
        publish(target, folder, SECOND)

    assert victim.read_bytes() == b"precious"


PLACES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a link": (lambda path: path.symlink_to(path.parent), "is a symbolic link; give the folder that it leads to"),
    "a file": (lambda path: path.touch(), "is not a folder"),
    "below a file": (lambda path: path.parent.joinpath("file").touch() or path.symlink_to("file"), "symbolic link"),
}


@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_folder_is_refused(target: Path, folder: Path, place: str) -> None:
    put, words = PLACES[place]
    put(folder)
    with pytest.raises(TargetError, match=words):
        publish(target, folder, FIRST)


RECORDS: dict[str, tuple[Any, type[FtetlError], str]] = {
    "no JSON": (b"{", TargetError, "is not ftetl's, or damaged"),
    "a list": ([], TargetError, "is not ftetl's, or damaged"),
    "of another tool": ({"tool": "other"}, TargetError, "is not ftetl's, or damaged"),
    "it leads elsewhere": ({"files": {"../victim.csv": {}}}, TargetError, "is not ftetl's, or damaged"),
    "it names no table": ({"files": {"notes.txt": {}}}, TargetError, "is not ftetl's, or damaged"),
    "its files are a list": ({"files": ["a.parquet"]}, TargetError, "is not ftetl's, or damaged"),
    "of a newer ftetl": ({"format": 2}, ConfigError, "was written by a newer ftetl"),
    "of another target": ({"owner": "0123456789abcdef"}, ConfigError, "holds the tables of another target"),
}


@pytest.mark.parametrize("case", RECORDS)
def test_a_record_that_is_not_this_targets_is_refused(target: Path, folder: Path, case: str) -> None:
    publish(target, folder, FIRST)
    change, kind, words = RECORDS[case]
    said = {**record(folder), **change} if isinstance(change, dict) else change
    (folder / RECORD).write_bytes(said if isinstance(said, bytes) else json.dumps(said).encode())
    before = state(folder)
    with pytest.raises(kind, match=words):
        publish(target, folder, SECOND)

    assert state(folder) == before


def test_two_targets_never_share_a_folder(target: Path, folder: Path, tmp_path: Path) -> None:
    publish(target, folder, FIRST)
    with pytest.raises(ConfigError, match="another target \\(project 'default'\\); publish each target into a folder"):
        publish(tmp_path / "other", folder, SECOND)

    assert there(folder) == shown(FIRST)


def test_a_target_that_was_moved_is_the_same(target: Path, folder: Path) -> None:
    publish(target, folder, FIRST)
    publish(target.rename(target.parent / "moved"), folder, SECOND)

    assert there(folder) == shown(SECOND)


@pytest.mark.parametrize("umask", [0o000, 0o077])
@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o600, 0o700), (0o640, 0o750), (0o644, 0o755)])
def test_files_have_the_mode_asked_for(
    target: Path, folder: Path, umask: int, file_mode: int, folder_mode: int
) -> None:
    before = os.umask(umask)
    try:
        publish(target, folder, FIRST, file_mode=file_mode)
    finally:
        os.umask(before)

    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {file_mode}
    assert folder.stat().st_mode & 0o777 == folder_mode


def test_another_mode_is_set_without_touching_the_files_and_a_folder_that_was_there_keeps_its_own(
    target: Path, folder: Path
) -> None:
    folder.mkdir(mode=0o755)
    publish(target, folder, FIRST)
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}
    publish(target, folder, FIRST, file_mode=0o640)

    after = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}
    assert after == before
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir() if path.name != RECORD} == {0o640}
    assert folder.stat().st_mode & 0o777 == 0o755


def test_where_there_are_no_modes_it_works_with_a_warning(target: Path, folder: Path) -> None:
    fs = Trouble()
    with Target(target, fs=fs) as held, ExitStack() as stack:
        publish_folder = PublishFolder(held, folder, FIRST, stack)
        commit(held, FIRST)
        fs.left, fs.error, fs.operation = 0, PermissionError(errno.EPERM, "no modes here"), "set the mode"
        assert held.base is not None
        done, warnings = publish_folder.publish(held.base)
        fs.left = None

    assert there(folder) == shown(FIRST)
    assert done.version == 1
    assert warnings == [f"{folder} does not support the mode 0600; its mount options decide who may read it"]


def test_no_reader_takes_a_temporary_file_for_a_table(target: Path, folder: Path) -> None:
    fs = Trouble()
    publish(target, folder, FIRST, fs)

    temps = [name for operation, name in fs.operations if operation == "create" and name.startswith(".tmp-ftetl-")]
    assert len(temps) == 5  # three tables, and the record before and after
    assert not [name for name in temps if name.endswith((".parquet", ".csv", ".json"))]


def test_the_record_comes_last_and_every_step_is_durable_before_the_next(target: Path, folder: Path) -> None:
    fs = Trouble()
    with Target(target) as held:
        commit(held, FIRST)
    with Target(target, fs=fs) as held, ExitStack() as stack:
        publish_folder = PublishFolder(held, folder, FIRST, stack)
        fs.operations.clear()
        assert held.base is not None
        publish_folder.publish(held.base)

    names = sorted(shown(FIRST))
    fill = [
        operation
        for operation in fs.operations
        if operation[1] in ("bi", RECORD, *names) or operation[1].startswith(".tmp-ftetl-")
    ]
    steps = [(operation, re.sub(r"^\.tmp-ftetl-\w+-\w+-", "", name)) for operation, name in fill]
    steps = [step for step in steps if step[0] in ("rename to", "sync")]
    told = [("sync", f"{RECORD}.part"), ("rename to", RECORD), ("sync", folder.name)]
    put = [*(("rename to", name) for name in names), ("sync", folder.name)]
    assert steps == [*(("sync", f"{name}.part") for name in names), *told, *put, *told]


def test_a_copy_that_is_not_what_was_committed_is_not_shown(target: Path, folder: Path) -> None:
    publish(target, folder, FIRST)
    (folder / "a.parquet").unlink()
    (target / "current" / "a.parquet").write_bytes(b"fIrst")
    with Target(target) as held, ExitStack() as stack:
        assert held.base is not None
        done, warnings = PublishFolder(held, folder, FIRST, stack).publish(held.base)

    assert (done.version, len(warnings)) == (0, 1)
    assert "does not read back as it was written" in warnings[0]
    assert {*there(folder)} == {"b.parquet", "old.csv"}


def test_what_a_killed_run_left_is_removed_and_nothing_else(target: Path, folder: Path) -> None:
    publish(target, folder, FIRST)
    run_id = record(folder)["run_id"]
    (folder / f".tmp-ftetl-{run_id}-a.parquet.part").touch()
    others = [".tmp-ftetl-notes", f".tmp-{run_id}-a.parquet.part", f".tmp-ftetl-{run_id}-a.parquet"]
    for name in others:
        (folder / name).touch()
    with Target(target) as held, ExitStack() as stack:
        PublishFolder(held, folder, FIRST, stack)

        assert {*there(folder)} == {*shown(FIRST), *others}


def stop(target: Path, folder: Path, k: int, error: BaseException, *, once: bool) -> tuple[bool, list[str]]:
    """Publish SECOND over FIRST with trouble at the k-th operation; whether it came to that, and the warnings."""
    publish(target, folder, FIRST)
    fs, warnings = Trouble(), list[str]()
    with Target(target, fs=fs) as held, ExitStack() as stack:
        publish_folder = PublishFolder(held, folder, {**FIRST, **SECOND}, stack)
        commit(held, SECOND)
        assert held.base is not None
        fs.error, fs.once, fs.left = error, once, k
        with suppress(Stopped):
            warnings = publish_folder.publish(held.base)[1]
        came, fs.left = fs.left < 0, None
    return came, warnings


@pytest.mark.parametrize("kind", ["killed", "an error", "errors ever after"])
def test_wherever_it_stops_files_are_whole_a_mixture_shows_and_the_next_run_mends_it(tmp_path: Path, kind: str) -> None:
    error = Stopped() if kind == "killed" else OSError(errno.EIO, "injected")
    mixtures = 0
    for k in itertools.count():
        target, folder = tmp_path / f"target-{k}", tmp_path / f"bi-{k}"
        came, warnings = stop(target, folder, k, error, once=kind == "an error")
        if not came:
            break
        found = {name: data for name, data in there(folder).items() if not name.startswith(".tmp-ftetl-")}
        assert {*found.items()} <= {*FIRST.items(), *SECOND.items()}
        assert kind != "an error" or found == there(folder)
        told = record(folder)
        if told["complete"]:
            sums = {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}
            assert sums == {name: file["sha256"] for name, file in told["files"].items()}
        elif found not in (shown(FIRST), shown(SECOND)):
            mixtures += 1
        if not (told["complete"] and told["version"] == 2) and kind != "killed":
            assert len(warnings) == 1
            assert warnings[0].startswith(f"version 2 is committed, but not published to {folder}: cannot ")
        publish(target, folder, SECOND)
        assert there(folder) == shown(SECOND)
        assert is_true(folder)
        assert record(folder)["complete"]
        shutil.rmtree(target)
        shutil.rmtree(folder)
    assert k > 30
    assert mixtures >= 2


def test_the_first_time_may_be_stopped_as_well(tmp_path: Path) -> None:
    for k in itertools.count():
        target, folder, fs = tmp_path / f"target-{k}", tmp_path / f"bi-{k}", Trouble()
        with Target(target, fs=fs) as held, ExitStack() as stack:
            publish_folder = PublishFolder(held, folder, FIRST, stack)
            commit(held, FIRST)
            assert held.base is not None
            fs.left = k
            with suppress(Stopped):
                publish_folder.publish(held.base)
            came, fs.left = fs.left < 0, None
        if not came:
            break
        publish(target, folder, FIRST)
        assert there(folder) == shown(FIRST)
    assert k > 30


def test_a_reader_sees_whole_files_only(target: Path, folder: Path) -> None:
    versions = [{"a.parquet": bytes([n]) * 300_000} for n in (1, 2)]
    publish(target, folder, versions[0])
    whole = {hashlib.sha256(files["a.parquet"]).digest() for files in versions}
    seen: list[bytes] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.append(hashlib.sha256((folder / "a.parquet").read_bytes()).digest())

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(20):
        publish(target, folder, versions[n % 2], keep=1)
    over.set()
    reader.join()

    assert seen
    assert {*seen} <= whole


@pytest.fixture
def service() -> Iterator[demo.Server]:
    with demo.serve(JOBS) as server:
        yield server


def export(server: demo.Server, target: Path, **settings: Any) -> ftetl.Report:
    return ftetl.export(target, base_url=server.url, environ={"TOGETHER_API_KEY": server.key}, **settings)


class TestExport:
    def test_it_publishes_what_it_commits(self, service: demo.Server, target: Path, folder: Path) -> None:
        report = export(service, target, publish=str(folder), formats="csv")

        assert {*there(folder)} == {f"{name}.{form}" for name in tables() for form in ("parquet", "csv")}
        assert is_true(folder)
        assert report.published == Published(str(folder), 1, tuple(sorted(there(folder))))
        assert (
            json.loads((target / "_ftetl" / "runs" / f"{report.run_id}.json").read_bytes())["published"]["version"] == 1
        )
        assert export_command._outcome(report).endswith(f"; published to {folder}")

    def test_a_format_that_is_no_longer_written_is_removed(
        self, service: demo.Server, target: Path, folder: Path
    ) -> None:
        export(service, target, publish=folder, formats="csv")
        export(service, target, publish=folder, formats="parquet")

        assert {*there(folder)} == {f"{name}.parquet" for name in tables()}

    def test_it_publishes_what_was_committed_before(self, service: demo.Server, target: Path, folder: Path) -> None:
        export(service, target)
        report = export(service, target, publish=folder)

        assert not report.changed
        assert is_true(folder)

    def test_so_does_a_rebuild(self, service: demo.Server, target: Path, folder: Path) -> None:
        export(service, target)
        report = pipeline_export.rebuild(target, publish=folder)

        assert not report.changed
        assert report.published == Published(str(folder), 1, tuple(sorted(there(folder))))
        assert is_true(folder)

    @pytest.mark.parametrize("name", ["jobs.parquet", "quarantine.csv"])
    def test_a_foreign_file_is_refused_before_anything_is_asked(
        self, service: demo.Server, target: Path, folder: Path, name: str
    ) -> None:
        folder.mkdir()
        (folder / name).write_bytes(b"not ours")
        with pytest.raises(TargetError):
            export(service, target, publish=folder, formats="csv")

        assert service.requests == []
        assert there(folder) == {name: b"not ours"}
        assert not (target / "current").exists()

    @pytest.mark.parametrize("name", [".", "sub/folder", "current", "snapshots/x", "../target"])
    def test_a_folder_in_the_target_is_a_usage_error_that_makes_nothing(
        self, service: demo.Server, target: Path, name: str
    ) -> None:
        with pytest.raises(UsageError, match="publish into a folder outside of it"):
            export(service, target, publish=target / name)

        assert service.requests == []
        assert not target.exists()

    def test_a_link_into_the_target_is_one_too(self, service: demo.Server, target: Path, tmp_path: Path) -> None:
        export(service, target)
        (tmp_path / "link").symlink_to(target)
        for path in (tmp_path / "link", tmp_path / "link" / "_ftetl", tmp_path / "link" / "new"):
            with pytest.raises(UsageError):
                export(service, target, publish=path)

    def test_the_target_may_be_in_the_folder(self, service: demo.Server, tmp_path: Path) -> None:
        export(service, tmp_path / "bi" / "target", publish=tmp_path / "bi")

        assert (tmp_path / "bi" / "jobs.parquet").is_file()

    def test_another_file_system_does(self, service: demo.Server, target: Path) -> None:
        shm = Path("/dev/shm")
        if not os.access(shm, os.W_OK) or shm.stat().st_dev == target.parent.stat().st_dev:
            pytest.skip("no other file system to write to")
        folder = shm / f"ftetl-{os.getpid()}"
        try:
            for _ in range(2):
                report = export(service, target, publish=folder, billing_account="org-1")
                assert report.warnings == ()
                assert is_true(folder)
        finally:
            shutil.rmtree(folder)


def mounted(tmp_path: Path, mount: str, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What this code says in a process that sees this mount at `tmp_path/m`; skips where nothing can be mounted."""
    unshare, place = shutil.which("unshare"), tmp_path / "m"
    place.mkdir(exist_ok=True)
    probe = [str(unshare), "-m", "sh", "-c", mount, str(place)]
    if unshare is None or subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    script = f'{mount} && shift && exec "$@"'
    given = [unshare, "-m", "sh", "-c", script, str(place), "-", sys.executable, "-c", code, *words]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(given, env=env, capture_output=True, text=True, check=True)


EXPORT = """
import sys, ftetl
from ftetl import demo
from tests.demo.generator import generate_jobs
with demo.serve(generate_jobs(count=5)) as server:
    for place in sys.argv[2:]:
        try:
            report = ftetl.export(sys.argv[1], base_url=server.url, environ={"TOGETHER_API_KEY": server.key},
                publish=place, formats="csv", billing_account="org-1")
        except ftetl.errors.FtetlError as error:
            print(error.exit.code, error, len(server.requests))
        else:
            print(report.exit_code, report.published.version, *report.warnings)
"""


def test_a_read_only_file_system_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"'
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "old").mkdir()
    places = [str(tmp_path / "m" / name) for name in ("old", "new")]
    done = mounted(tmp_path, mount, EXPORT, str(tmp_path / "target"), *places)

    for said, place, words in zip(done.stdout.splitlines(), places, ("cannot write to", "cannot make"), strict=True):
        assert said.startswith(f"73 {words} {place}: ")
        assert said.endswith(" 0")


def test_a_full_disk_is_a_warning_for_the_data_is_committed(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=64k tmpfs "$0"'
    code = EXPORT + "import pathlib; print(sorted(p.name for p in pathlib.Path(sys.argv[2]).iterdir()))"
    done = mounted(tmp_path, mount, code, str(tmp_path / "target"), str(tmp_path / "m"))

    said, left = done.stdout.splitlines()
    assert said.startswith(f"3 0 version 1 is committed, but not published to {tmp_path}/m: cannot copy to ")
    assert "the disk is full" in said
    assert left == "[]"
    assert ftetl.open(tmp_path / "target").version == 1
