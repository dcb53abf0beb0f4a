"""Disks that are full, gone or slow to forget, limits and clocks: with true file systems and true processes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zstandard

import ftetl
from ftetl import demo
from ftetl.clock import iso
from ftetl.errors import EXITS, FtetlError
from ftetl.store import manifest as manifests
from ftetl.store.filesystem import Fs
from ftetl.store.target import Target
from ftetl.validate.verify import verify_snapshot
from tests.demo.generator import generate_jobs
from tests.faults.runs import NO_STRACE, ROOT, Ended, Injected, Runs
from tests.faults.targets import tables, temps

strace = pytest.mark.skipif(bool(NO_STRACE), reason=NO_STRACE)
PARTIAL, CANTCREAT, IOERR = (EXITS[name].code for name in ("PARTIAL", "CANTCREAT", "IOERR"))


@contextmanager
def disk(folder: Path, options: str) -> Iterator[Path]:
    """A small file system of its own, if this is a place where one can be made."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def said(ended: Ended, code: int) -> str:
    """The last line of a run that had to end with this code."""
    name = next(exit_.name for exit_ in EXITS.values() if exit_.code == code)
    assert ended.status == code, ended.err
    assert ended.last.startswith(f"ftetl: {name} ({code})"), ended.err
    assert "Traceback" not in ended.err
    return ended.last


@pytest.mark.parametrize(
    ("small", "large", "word"),
    [("size=64k", "size=9m", "bytes are free"), ("nr_inodes=20", "nr_inodes=900", "FTETL-S23")],
    ids=["bytes", "inodes"],
)
def test_a_full_disk_leaves_nothing_and_the_next_run_is_as_if_it_had_not_been(
    small: str, large: str, word: str, tmp_path: Path, answers: list[Path], runs: Runs
) -> None:
    with disk(tmp_path / "disk", small) as folder:
        target = folder / "t"
        assert word in said(runs.run("export", target, "--from", answers[0], "--format", "csv"), IOERR)
        assert temps(target) == []
        assert manifests.newest_manifest(target) is None

        remount(folder, large)
        said(runs.run("export", target, "--from", answers[0], "--format", "csv"), PARTIAL)
        before = tables(target)
        used = sum(path.lstat().st_blocks * 512 for path in target.rglob("*"))
        remount(folder, f"size={used + 8192}" if "size" in small else f"nr_inodes={1 + len([*folder.rglob('*')]) + 6}")
        said(runs.run("export", target, "--from", answers[1], "--format", "csv"), IOERR)
        assert tables(target) == before
        assert temps(target) == []
        assert verify_snapshot(target).is_intact


@pytest.mark.parametrize("size", ["100k", "500k", "1m", "2500k"])
def test_a_disk_that_becomes_full_while_responses_are_stored_has_nothing_half_written(
    size: str, tmp_path: Path, runs: Runs
) -> None:
    with disk(tmp_path / "disk", f"size={size}") as folder:
        said(runs.run("export", folder / "t", "--from", "demo"), IOERR)

        assert temps(folder / "t") == []
        stored = [*(folder / "t" / "_ftetl" / "archive").glob("*.zst")]
        assert stored
        for file in stored:
            with zstandard.open(file) as content:
                assert hashlib.sha256(content.read()).hexdigest() == file.stem


def test_on_a_disk_that_may_only_be_read_nothing_is_asked_of_the_api(tmp_path: Path, runs: Runs) -> None:
    with disk(tmp_path / "disk", "size=9m") as folder, demo.serve(generate_jobs(count=3)) as server:
        (key := tmp_path / "key").write_text(server.key)
        key.chmod(0o600)
        given = ("export", folder / "t", "--base-url", server.url, "--api-key-file", key)
        assert runs.run(*given).status == 0
        before, asked = tables(folder / "t"), len(server.requests)
        assert asked
        remount(folder, "ro")

        assert "read-only" in said(runs.run(*given), CANTCREAT)
        assert "read-only" in said(runs.run(*given[:1], folder / "new", *given[2:]), CANTCREAT)
        assert len(server.requests) == asked
        assert tables(folder / "t") == before


@pytest.mark.parametrize("most", [8, 18])
def test_too_few_descriptors_fail_clean(most: int, tmp_path: Path, answers: list[Path], runs: Runs) -> None:
    target = tmp_path / "t"
    ended = runs.run("export", target, "--from", answers[0], "--format", "csv", limits={"NOFILE": most})

    assert "too many files are open" in said(ended, IOERR)
    assert not target.exists() or (temps(target), manifests.newest_manifest(target)) == ([], None)
    said(runs.run("export", target, "--from", answers[0]), PARTIAL)


def test_too_little_memory_fails_clean(tmp_path: Path, answers: list[Path], runs: Runs) -> None:
    target = tmp_path / "t"
    # Python waits for ever for a thread that got no memory to begin with (python/cpython#140746); somebody kills it.
    kill = threading.Timer(60, lambda: os.kill(runs.pid, signal.SIGKILL))
    kill.start()
    ended = runs.run("export", target, "--from", answers[0], limits={"AS": 16 << 20})
    kill.cancel()

    # Where a thread of a library in C++ gets no memory, the library aborts the process, and nobody can say anything.
    is_aborted = (ended.status == -signal.SIGABRT and "bad_alloc" in ended.err) or ended.status == -signal.SIGKILL
    if not is_aborted:
        assert ended.status in (EXITS["SOFTWARE"].code, IOERR)
        said(ended, ended.status)
    assert not target.exists() or manifests.newest_manifest(target) is None
    assert is_aborted or not target.exists() or temps(target) == []
    said(runs.run("export", target, "--from", answers[0]), PARTIAL)
    assert temps(target) == []


@strace
@pytest.mark.parametrize("call", ["linkat", "symlinkat"])
def test_a_file_system_without_links_will_do(call: str, tmp_path: Path, answers: list[Path], runs: Runs) -> None:
    """As exFAT is one: a version is still whole and new, only `current` cannot be there."""
    target = tmp_path / "t"
    for n, answer in enumerate(answers):
        ended = runs.run("export", target, "--from", answer, fault=Injected(call, "1+", "error=EPERM"))
        assert ended.hit
        said(ended, PARTIAL)
        assert ftetl.open(target).version == n + 1
        assert ("after the commit" in ended.err) == (call == "symlinkat")
        assert (target / "current").exists() == (call == "linkat")
    assert verify_snapshot(target).is_intact
    assert temps(target) == []


@strace
def test_nothing_is_changed_outside_of_the_target(tmp_path: Path, runs: Runs) -> None:
    """Whatever the API says, it is no path; and there is no TMPDIR that would be used."""
    jobs = [{"id": "../../x", "suffix": "/etc/x", "model": "../y", "status": "pending"}, {"id": "a/b"}, 42]
    (answer := tmp_path / "a.json").write_text(json.dumps({"data": jobs}), "utf-8")
    target = tmp_path / "deep" / "er" / "t"
    target.parent.mkdir(parents=True)
    ended = runs.record("export", target, "--from", "-", "--format", "csv", stdin=answer)

    said(ended, PARTIAL)
    changing = r"^(open.*(O_CREAT|O_WRONLY|O_RDWR)|p?write|rename|mkdir|link|unlink|rmdir|symlink|ftruncate)"
    changes = [call for call in ended.trace if re.search(changing, f"{call.name}({call.text}")]
    outside = [call.what for call in changes if not call.touches(target)]
    assert len(changes) > 50
    none = ("/said.err", "/dev/null", "<pipe:", "/modules")  # its last word, no files, what the first run tells ours
    assert [what for what in outside if not any(part in what for part in none)] == []
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", "deep"}
    assert [path.name for path in target.parent.iterdir()] == ["t"]


@strace
def test_no_program_is_started_and_one_host_is_talked_to(tmp_path: Path) -> None:
    with demo.serve(generate_jobs(count=3)) as server:
        env = {"PYTHONPATH": str(ROOT), "TOGETHER_API_KEY": server.key, "TOGETHER_BASE_URL": server.url}
        trace = tmp_path / "trace"
        given = ["strace", "-f", "-qq", "-o", trace, "-e", "trace=execve,execveat,connect,sendto", "--seccomp-bpf"]
        given += [sys.executable, "-m", "ftetl", "export", tmp_path / "t"]
        done = subprocess.run([*map(str, given)], env=env, capture_output=True, text=True, check=False)
        port = server.server_port

    assert done.returncode == 0, done.stderr
    lines = trace.read_text().splitlines()
    # Of Python, by strace; trio, which hypothesis brings up where both are installed, asks ldconfig for a library.
    assert len([line for line in lines if "execve" in line and "/ldconfig" not in line]) == 1
    connects = [line for line in lines if " connect(" in line and "AF_UNIX" not in line]
    assert connects
    assert [line for line in connects if f"htons({port})" not in line or '"127.0.0.1"' not in line] == []


class Counting(Fs):
    def __init__(self) -> None:
        self.count = 0

    def perform(self, operation: str, path: Path) -> AbstractContextManager[None]:
        self.count += 1
        return super().perform(operation, path)


def test_however_many_versions_there_are_a_run_begins_with_the_same_few_looks(
    target: Path, answers: list[Path]
) -> None:
    first = manifests.load_manifest(target, 1)
    counts = []
    for more in range(2, 3000, 1000):
        for version in range(more, more + 1000):
            made = replace(first, version=version, base=version - 1)
            (target / "_ftetl" / "manifests" / manifests.manifest_name(version)).write_bytes(
                manifests.encode_manifest(made)
            )
        with Target(target, fs=(fs := Counting())) as opened:
            assert opened.version == more + 1000
        counts.append(fs.count)

    assert len(set(counts)) == 1
    assert not ftetl.export(target, source=answers[0]).changed
    assert ftetl.export(target, source=answers[1]).version == 3002


def test_a_clock_that_goes_back_changes_no_order(
    target: Path, answers: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ftetl.open(target)
    past = datetime.now(UTC) - timedelta(days=400)
    for name, module in list(sys.modules.items()):
        if name.startswith("ftetl.") and hasattr(module, "now"):
            monkeypatch.setattr(module, "now", lambda: past)
    report = ftetl.export(target, source=answers[1])

    after = ftetl.open(target)
    assert (report.version, after.version) == (2, 2)
    assert after.run_id < before.run_id
    assert iso(past) > after.committed_at[:4]
    assert (target / "current").resolve() == after.folder.resolve()
    assert after.arrow("jobs").num_rows == 4
    assert verify_snapshot(target).is_intact


LINKS = ("archive", "archive/index", "details", "format", "observed.json", "runs", "lock", "manifests", "failed")


@pytest.mark.parametrize("name", LINKS)
def test_a_link_in_place_of_what_a_run_made_is_not_followed(name: str, target: Path, answers: list[Path]) -> None:
    real = target.with_name("real")
    place = target / "_ftetl" / name
    place.rename(real)
    place.symlink_to(real)
    before = {path: path.read_bytes() for path in [real, *real.rglob("*")] if path.is_file()}
    refused = None
    try:
        ftetl.export(target, source=answers[1])
    except FtetlError as error:
        refused = error.exit.code

    assert refused in (CANTCREAT, IOERR) if place.is_symlink() else refused is None
    assert ftetl.open(target).version == (1 if refused else 2)
    assert {path: path.read_bytes() for path in [real, *real.rglob("*")] if path.is_file()} == before


@strace
@pytest.mark.parametrize(
    ("call", "fault", "version", "code"),
    [("linkat", "signal=SIGKILL", 1, -9), ("symlinkat", "error=EIO", 2, PARTIAL)],
)
def test_a_whole_process_is_like_a_fork(
    call: str, fault: str, version: int, code: int, target: Path, answers: list[Path]
) -> None:
    given = ["strace", "-f", "-qq", "-o", str(target.with_name("trace")), "-e", f"trace={call}"]
    given += ["-e", f"inject={call}:{fault}:when=1+", sys.executable, "-m", "ftetl"]
    given += ["export", str(target), "--from", str(answers[1])]
    done = subprocess.run(given, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)

    assert done.returncode == code, done.stderr
    assert re.search(r" = \?|INJECTED", target.with_name("trace").read_text())
    assert ftetl.open(target).version == version
    assert verify_snapshot(target).is_intact
    assert ftetl.export(target, source=answers[1]).version == 2
    assert temps(target) == []
