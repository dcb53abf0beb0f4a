"""The store: all of a run's files become visible at once or not at all, whatever fails and whenever it dies.

Run as a program this file is the process that the tests kill, or let compete.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import dataset

import ftetl
from ftetl.errors import ConfigError, FtetlError, SoftwareError, StorageError, TryLaterError
from ftetl.store.filesystem import Folder, Fs, Link
from ftetl.store.integrity import find_damage
from ftetl.store.manifest import (
    RUN_ID,
    encode_manifest,
    list_versions,
    load_manifest,
    manifest_name,
    newest_manifest,
    snapshot_folder,
)
from ftetl.store.target import Commit, Target

FACTS: dict[str, Any] = {"identity": {"project": "default"}, "contracts": {"a": "1"}, "formats": ["f"], "rows": 3}
FIRST = {"a": b"first", "b.bin": b"always the same" * 100}
SECOND = {"a": b"second", "b.bin": FIRST["b.bin"]}


class Recording(Fs):
    """Remembers what was done, and to what."""

    def __init__(self) -> None:
        self.operations: list[tuple[str, Path]] = []

    def perform(self, operation: str, path: Path) -> AbstractContextManager[None]:
        self.operations.append((operation, path))
        return super().perform(operation, path)

    def published(self) -> bool:
        """Whether a manifest was given its name."""
        return any(operation == "link" and path.parent.name == "manifests" for operation, path in self.operations)


class Failing(Recording):
    """The k-th operation fails, or all from there on."""

    def __init__(self, k: int, number: int, *, ever_after: bool = False) -> None:
        super().__init__()
        self.k, self.number, self.ever_after = k, number, ever_after
        self.failed = False
        self.failed_after_publishing = False

    @contextmanager
    def perform(self, operation: str, path: Path) -> Iterator[None]:
        count = len(self.operations) + 1
        fails = count == self.k or (count > self.k and self.ever_after)
        if fails and not self.failed:
            self.failed, self.failed_after_publishing = True, self.published()
        with super().perform(operation, path):
            if operation == "close" or not fails:
                yield
            if fails:
                raise OSError(self.number, "injected")


class Dying(Recording):
    """The process is killed before the k-th operation."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def perform(self, operation: str, path: Path) -> AbstractContextManager[None]:
        if len(self.operations) + 1 == self.k:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().perform(operation, path)


def commit(path: Path, files: Mapping[str, bytes], facts: dict[str, Any] = FACTS, **options: Any) -> Commit:
    with Target(path, **options) as target, target.begin_transaction() as transaction:
        for name, data in files.items():
            with transaction.create_file(name) as file:
                file.write(data)
        return transaction.commit(facts)


def seen(path: Path) -> dict[str, bytes] | None:
    """The files that a reader finds, each verified; None where nothing was committed."""
    manifest = newest_manifest(path)
    if manifest is None:
        return None
    assert find_damage(path, manifest) == []
    return {file.name: (snapshot_folder(path, manifest) / file.name).read_bytes() for file in manifest.files}


def through_current(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (path / "current").resolve(strict=True).iterdir()}


def leftovers(path: Path) -> list[str]:
    """What does not belong: temporary names, and snapshots that no manifest names."""
    named = {load_manifest(path, version).run_id for version in list_versions(path)}
    temps = [p for p in path.rglob("*") if p.name.startswith(".")]
    orphans = [p for p in (path / "snapshots").iterdir() if p.name not in {*named, *(p.name for p in temps)}]
    return [str(p.relative_to(path)) for p in temps + orphans]


def tree(path: Path) -> dict[str, tuple[int, int]]:
    """Every name under a folder with its inode and time of change of contents."""
    stats = {p: p.lstat() for p in sorted(path.rglob("*"))}
    return {str(p.relative_to(path)): (s.st_ino, 0 if p.is_dir() else s.st_mtime_ns) for p, s in stats.items()}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def test_a_reader_of_the_whole_folder_skips_what_is_not_committed(target: Path) -> None:
    commit(target, {"jobs.parquet": b"1"})
    with (
        Target(target) as opened,
        opened.begin_transaction() as transaction,
        transaction.create_file("jobs.parquet") as file,
    ):
        file.write(b"half")
        found = dataset.dataset(target / "snapshots", format="parquet", schema=pa.schema([("a", pa.int64())]))

        assert len([*target.rglob("jobs.parquet")]) == 2
        assert [Path(name).read_bytes() for name in found.files] == [b"1"]


def test_a_first_commit_is_what_a_reader_finds(target: Path) -> None:
    done = commit(target, FIRST)

    assert done == Commit(newest_manifest(target), changed=True, warnings=[])  # type: ignore[arg-type]
    assert (done.manifest.version, done.manifest.base, done.manifest.facts) == (1, None, FACTS)
    assert seen(target) == through_current(target) == FIRST
    assert (target / "current").readlink() == Path("snapshots") / done.manifest.run_id
    assert leftovers(target) == []


def test_the_tree_is_as_designed(target: Path) -> None:
    run_id = commit(target, FIRST).manifest.run_id

    assert sorted(tree(target)) == sorted(
        [
            "_ftetl",
            "_ftetl/failed",
            "_ftetl/format",
            "_ftetl/lock",
            "_ftetl/manifests",
            f"_ftetl/manifests/{1:020d}.json",
            "_ftetl/runs",
            "current",
            "snapshots",
            f"snapshots/{run_id}",
            f"snapshots/{run_id}/a",
            f"snapshots/{run_id}/b.bin",
        ]
    )
    assert (target / "_ftetl" / "format").read_bytes() == b'{"format":1,"tool":"ftetl"}\n'


def test_a_second_commit_shares_what_did_not_change(target: Path) -> None:
    first = commit(target, FIRST).manifest
    second = commit(target, SECOND).manifest

    assert (second.version, second.base) == (2, 1)
    assert seen(target) == through_current(target) == SECOND
    assert find_damage(target, first) == []
    same = [(snapshot_folder(target, manifest) / "b.bin").stat().st_ino for manifest in (first, second)]
    assert same[0] == same[1]
    assert leftovers(target) == []


def test_a_table_may_come_and_go(target: Path) -> None:
    commit(target, FIRST)
    commit(target, {"a": FIRST["a"]})
    assert seen(target) == {"a": FIRST["a"]}

    commit(target, FIRST)
    assert seen(target) == FIRST


def test_when_nothing_changed_there_is_no_new_version_and_nothing_is_touched(target: Path) -> None:
    first = commit(target, FIRST)
    before = tree(target)
    again = commit(target, FIRST, {**FACTS, "rows": 4})

    assert again == Commit(first.manifest, changed=False, warnings=[])
    after = tree(target)
    assert before.pop("_ftetl/lock")[0] == after.pop("_ftetl/lock")[0]
    assert before == after


@pytest.mark.parametrize("fact", ["identity", "contracts", "formats"])
def test_another_versioned_fact_is_a_new_version_of_the_same_files(fact: str, target: Path) -> None:
    commit(target, FIRST)
    done = commit(target, FIRST, {**FACTS, fact: "another"})

    assert (done.changed, done.manifest.version) == (True, 2)
    assert seen(target) == FIRST


def test_the_target_knows_its_base_before_and_after_a_commit(target: Path) -> None:
    first = commit(target, FIRST).manifest
    with Target(target) as opened:
        assert opened.base == first
        with opened.begin_transaction() as transaction:
            with transaction.create_file("a") as file:
                file.write(b"x")
            done = transaction.commit(FACTS)
        assert opened.base == done.manifest
        assert done.manifest.run_id == opened.run_id
        with pytest.raises(SoftwareError, match="only once"):
            opened.begin_transaction()


def test_files_are_known_once_they_are_closed(target: Path) -> None:
    with Target(target) as opened, opened.begin_transaction() as transaction:
        file = transaction.create_file("a")
        file.write(b"12345")
        assert (file.tell(), transaction.files) == (5, {})
        file.close()
        file.close()

        assert transaction.files["a"].bytes == 5
        assert (transaction.path / "a").read_bytes() == b"12345"


@pytest.mark.parametrize("sizes", [[0], [1], [(1 << 20) - 1, 1, 1], [1 << 20], [3 << 20, 5], [1] * 1000])
def test_a_file_is_the_same_however_it_was_written(sizes: list[int], target: Path) -> None:
    data = os.urandom(sum(sizes))
    with Target(target) as opened, opened.begin_transaction() as transaction:
        with transaction.create_file("a") as file:
            for start, size in zip(itertools.accumulate(sizes, initial=0), sizes, strict=False):
                assert file.write(memoryview(data)[start : start + size]) == size
        transaction.commit(FACTS)

    assert seen(target) == {"a": data}


def test_commit_reads_the_disk_back(target: Path) -> None:
    commit(target, FIRST)
    with Target(target) as opened, opened.begin_transaction() as transaction:
        with transaction.create_file("a") as file:
            file.write(b"right")
        (transaction.path / "a").write_bytes(b"wrong")
        with pytest.raises(StorageError, match="a does not read back as it was written"):
            transaction.commit(FACTS)

    assert seen(target) == FIRST
    assert leftovers(target) == []


class Lying(Fs):
    """Says that it wrote, and did not."""

    def __init__(self, what: str) -> None:
        self.what = what

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, path: Path) -> None:
        if self.what not in str(path):
            super().write(descriptor, data, path)


@pytest.mark.parametrize("what", ["b.bin", "manifests/.tmp-"])
def test_a_write_that_the_disk_only_acknowledged_is_noticed(what: str, target: Path) -> None:
    commit(target, FIRST)

    with pytest.raises(StorageError, match="does not read back"):
        commit(target, {**SECOND, "b.bin": b"new"}, fs=Lying(what))

    assert seen(target) == FIRST
    assert leftovers(target) == []


def leave_by_an_exception(opened: Target) -> None:
    with contextlib.suppress(KeyError), opened.begin_transaction() as transaction, transaction.create_file("a") as file:
        file.write(b"half")
        raise KeyError


def leave_without_a_commit(opened: Target) -> None:
    with opened.begin_transaction() as transaction, transaction.create_file("a") as file:
        file.write(b"whole")


def discard_with_a_file_open(opened: Target) -> None:
    transaction = opened.begin_transaction()
    transaction.create_file("a").write(b"half")
    transaction.discard()
    transaction.discard()


@pytest.mark.parametrize("leave", [leave_by_an_exception, leave_without_a_commit, discard_with_a_file_open])
def test_a_transaction_without_a_commit_leaves_nothing(leave: Callable[[Target], None], target: Path) -> None:
    commit(target, FIRST)
    with Target(target) as opened:
        leave(opened)
        assert leftovers(target) == []
        with opened.begin_transaction() as transaction:  # and another may follow
            with transaction.create_file("a") as file:
                file.write(b"second try")
            transaction.commit(FACTS)

    assert seen(target) == {"a": b"second try"}


def test_a_file_that_is_left_by_an_exception_is_none(target: Path) -> None:
    with Target(target) as opened, opened.begin_transaction() as transaction:
        with pytest.raises(KeyError), transaction.create_file("a") as file:
            raise KeyError
        assert file.closed
        assert transaction.files == {}
        with pytest.raises(SoftwareError, match="not closed"):
            transaction.commit(FACTS)


def test_a_file_that_is_open_or_foreign_cannot_be_committed(target: Path) -> None:
    with Target(target) as opened:
        with opened.begin_transaction() as transaction:
            transaction.create_file("a")
            with pytest.raises(SoftwareError, match="not closed"):
                transaction.commit(FACTS)
        with opened.begin_transaction() as transaction:
            (transaction.path / "foreign").write_bytes(b"")
            with pytest.raises(SoftwareError, match="not made by the transaction"):
                transaction.commit(FACTS)

    assert seen(target) is None


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", ".tmp-a", ".hidden", "a\n", "a\0", "ä", "a" * 300])
def test_no_file_name_leads_out_of_the_transaction(name: str, target: Path) -> None:
    with Target(target) as opened, opened.begin_transaction() as transaction, pytest.raises(SoftwareError):
        transaction.create_file(name)


def test_a_name_is_staged_once(target: Path) -> None:
    with Target(target) as opened, opened.begin_transaction() as transaction:
        transaction.create_file("a").close()
        with pytest.raises(SoftwareError, match="twice"):
            transaction.create_file("a")
        with pytest.raises(SoftwareError, match="one transaction at a time"):
            opened.begin_transaction()
        assert transaction.files.keys() == {"a"}


@pytest.mark.parametrize("facts", [{"x": float("nan")}, {"x": {1, 2}}, {"x": b""}], ids=["nan", "set", "bytes"])
def test_facts_that_are_no_json_commit_nothing(facts: dict[str, Any], target: Path) -> None:
    with pytest.raises(SoftwareError, match="not JSON"):
        commit(target, FIRST, facts)

    assert seen(target) is None
    assert leftovers(target) == []


def test_the_order_is_data_then_snapshot_then_manifest_then_pointer(target: Path) -> None:
    fs = Recording()
    run_id = commit(target, FIRST, fs=fs).manifest.run_id
    snapshots, control, temp = target / "snapshots", target / "_ftetl", f".tmp-{run_id}"
    manifests = control / "manifests"

    assert_in_order(
        fs,
        [("make", target)],
        [("rename to", control / "format")],
        [("sync", control)],
        [("sync", target)],
        [("make", snapshots), ("make", manifests)],
        [("sync", snapshots / temp / name) for name in FIRST],
        [("read", snapshots / temp / name) for name in FIRST],
        [("sync", manifests / temp)],
        [("read", manifests / temp)],
        [("sync", manifests)],
        [("sync", target.parent), ("sync", target), ("sync", control), ("sync", snapshots / temp)],
        [("rename to", snapshots / run_id)],
        [("sync", snapshots)],
        [("link", manifests / manifest_name(1))],
        [("sync", manifests)],
        [("remove", manifests / temp)],
        [("rename to", target / "current")],
        [("sync", target)],
    )
    # Nor before: whoever follows the pointer would read what may yet be undone.
    committed = fs.operations.index(("link", manifests / manifest_name(1)))
    assert ("rename to", target / "current") not in fs.operations[:committed]


def test_an_old_manifest_is_hidden_durably_before_its_snapshot_goes(target: Path) -> None:
    prepare(target)
    first, fs = load_manifest(target, 1), Recording()
    commit(target, SECOND, fs=fs, keep=2)
    manifests = target / "_ftetl" / "manifests"

    assert_in_order(
        fs,
        [("link", manifests / manifest_name(4))],
        [("rename to", manifests / f".tmp-{first.run_id}")],
        [("sync", manifests)],
        [("remove", snapshot_folder(target, first))],
        [("remove", manifests / f".tmp-{first.run_id}")],
    )


def test_a_run_that_changes_nothing_makes_the_newest_manifest_durable(target: Path) -> None:
    """Whoever committed it may have died before it was durable."""
    commit(target, FIRST)
    fs = Recording()
    commit(target, FIRST, fs=fs)

    assert ("sync", target / "_ftetl" / "manifests") in fs.operations


def assert_in_order(fs: Recording, *steps: list[tuple[str, Path]]) -> None:
    """Each step's operations, in any order among themselves, come after those of the step before."""
    last = -1
    for step in steps:
        last = max(fs.operations.index(operation, last + 1) for operation in step)


def prepare(path: Path) -> None:
    """A target whose next commit with `--keep 2` has a file to share and two versions to remove."""
    for n in range(3):
        commit(path, {**FIRST, "a": b"%d" % n})
    for version in (1, 2):
        long_ago = replace(load_manifest(path, version), committed_at="2020-01-01T00:00:00.000000Z")
        (path / "_ftetl" / "manifests" / manifest_name(version)).write_bytes(encode_manifest(long_ago))


def attempts(tmp_path: Path, start: str) -> Iterator[tuple[int, Path]]:
    """k = 1, 2, … with a target each, empty or prepared."""
    if start == "data":
        prepare(tmp_path / "prepared")
    for k in itertools.count(1):
        path = tmp_path / f"{start}-{k}"
        if start == "data":
            shutil.copytree(tmp_path / "prepared", path, symlinks=True)
        yield k, path


@pytest.mark.parametrize(
    ("number", "ever_after"), [(errno.EIO, False), (errno.ENOSPC, True)], ids=["once", "full disk"]
)
@pytest.mark.parametrize("start", ["empty", "data"])
def test_wherever_it_fails_the_old_or_the_new_snapshot_is_whole(
    start: str, number: int, ever_after: bool, tmp_path: Path
) -> None:
    outcomes: list[str] = []
    for k, path in attempts(tmp_path, start):
        old = seen(path)
        fs = Failing(k, number, ever_after=ever_after)
        try:
            done = commit(path, SECOND, fs=fs, keep=2)
        except StorageError:
            assert seen(path) == old
            assert not fs.failed_after_publishing
            outcomes.append("old")
        else:
            assert done.changed
            assert seen(path) == SECOND
            outcomes.append("new")
        assert commit(path, SECOND, keep=2).changed == (outcomes[-1] == "old")
        assert seen(path) == through_current(path) == SECOND
        assert leftovers(path) == []
        if not fs.failed:
            break

    assert outcomes.count("old") > 30
    assert outcomes.count("new") > 5


def test_wherever_it_is_killed_the_old_or_the_new_snapshot_is_whole(tmp_path: Path) -> None:
    done = program("sweep", tmp_path)

    lines = done.stdout.split()
    assert done.returncode == 0, done.stderr
    assert len(lines) > 150
    assert set(lines) == {"empty:old", "empty:new", "data:old", "data:new"}


def sweep(tmp_path: Path) -> None:
    """In a process of its own, without threads: kill a child before every operation and look at what is left."""
    for start in ("empty", "data"):
        for k, path in attempts(tmp_path, start):
            old = seen(path)
            child = os.fork()
            if not child:
                commit(path, SECOND, fs=Dying(k), keep=2)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            after = seen(path)
            assert after in (old, SECOND)
            recovered = commit(path, SECOND, keep=2)
            assert recovered.changed == (after == old)
            assert recovered.warnings == []
            assert seen(path) == through_current(path) == SECOND
            assert leftovers(path) == []
            if status == 0:
                break
            assert os.WTERMSIG(status) == signal.SIGKILL
            print(f"{start}:{'new' if after == SECOND else 'old'}")


def test_a_run_killed_in_its_transaction_is_cleaned_up_by_the_next(target: Path) -> None:
    commit(target, FIRST)
    with subprocess.Popen(command("hang", target), env=environment(), stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"staged\n"
        names = {re.sub(RUN_ID, "…", name) for name in leftovers(target)}
        assert names == {"_ftetl/.tmp-scratch-…", "snapshots/.tmp-…"}
        with pytest.raises(TryLaterError, match=rf"another run \(process {process.pid}\) holds {target}; wait"):
            Target(target)
        process.kill()

    assert seen(target) == FIRST
    assert commit(target, SECOND) == Commit(newest_manifest(target), changed=True, warnings=[])  # type: ignore[arg-type]
    assert seen(target) == SECOND
    assert leftovers(target) == []


def hang(path: Path) -> None:
    with Target(path) as target, target.begin_transaction() as transaction:
        (target.scratch_folder() / "spool").write_bytes(b"spooled")
        transaction.create_file("done").close()
        transaction.create_file("half").write(b"x" * (2 << 20))
        print("staged", flush=True)
        sys.stdin.read()


def test_of_four_processes_at_once_each_commits_on_top_of_another_or_says_try_later(target: Path) -> None:
    processes = [
        subprocess.Popen(command("compete", target), env=environment(), stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [line for process in processes for line in process.communicate()[0].split()]

    assert [process.returncode for process in processes] == [0] * 4
    committed = sorted(int(line) for line in said if line != "75")
    assert len(said) == 4 * ROUNDS
    assert committed == list(range(1, len(committed) + 1)) == list_versions(target)
    assert [load_manifest(target, version).base for version in committed] == [None, *committed[:-1]]
    for version in committed:
        assert find_damage(target, load_manifest(target, version)) == []
    assert leftovers(target) == []


ROUNDS = 10


def compete(path: Path) -> None:
    for n in range(ROUNDS):
        try:
            print(commit(path, {"a": f"{os.getpid()} {n}".encode(), "b": b"same"}).manifest.version)
        except TryLaterError:
            print(75)


def command(*words: object) -> list[str]:
    return [sys.executable, __file__, *map(str, words)]


def environment() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(ftetl.__file__).parents[1])}


def program(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), env=environment(), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("harm", [b"", b"{}", b"\0" * 500], ids=["empty", "other", "zeros"])
def test_a_damaged_manifest_falls_back_to_the_one_before_and_is_kept(harm: bytes, target: Path) -> None:
    commit(target, FIRST)
    commit(target, SECOND)
    bad = target / "_ftetl" / "manifests" / manifest_name(2)
    bad.write_bytes(harm)

    assert seen(target) == FIRST
    with Target(target) as opened:
        assert opened.base is not None
        assert opened.base.version == 1
        assert len(opened.warnings) == 1
        assert "version 2 is damaged" in opened.warnings[0]
    assert through_current(target) == FIRST

    third = commit(target, SECOND).manifest
    assert (third.version, third.base) == (3, 1)
    assert seen(target) == SECOND
    assert bad.read_bytes() == harm


def test_a_damaged_base_is_replaced_by_intact_bytes_never_shared(target: Path) -> None:
    first = commit(target, FIRST).manifest
    path = snapshot_folder(target, first) / "b.bin"
    path.write_bytes(path.read_bytes().replace(b"same", b"sane", 1))
    assert find_damage(target, first) == [
        f"snapshots/{first.run_id}/b.bin: its SHA-256 is not that of what was written",
    ]

    done = commit(target, FIRST)

    assert done.changed
    assert len(done.warnings) == 1
    assert "version 1 could not be reused" in done.warnings[0]
    assert seen(target) == FIRST


class NoLinks(Fs):
    """A file system without hard links."""

    def link(self, folder: Folder, name: str, to: Folder, new: str) -> Link:
        return Link.UNSUPPORTED


def test_without_hard_links_files_are_copies_and_versions_still_unique(target: Path) -> None:
    commit(target, FIRST, fs=NoLinks())
    commit(target, SECOND, fs=NoLinks())

    assert seen(target) == SECOND
    assert list_versions(target) == [1, 2]
    assert leftovers(target) == []


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_an_error_that_means_no_hard_links_is_none(number: int, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr("ftetl.store.filesystem.os.link", link)

    assert commit(target, FIRST).warnings == []
    assert seen(target) == FIRST


class LostAnswer(Fs):
    """The manifest's link is made, but an error comes back, as over a network."""

    def __init__(self, *, forever: bool) -> None:
        self.forever, self.lost = forever, False

    def link(self, folder: Folder, name: str, to: Folder, new: str) -> Link:
        link = super().link(folder, name, to, new)
        if to.path.name == "manifests":
            self.lost = True
            raise StorageError("S07", "no answer")
        return link

    def read_bytes(self, folder: Folder, name: str) -> bytes | None:
        if self.lost and self.forever:
            raise StorageError("S07", "no answer")
        return super().read_bytes(folder, name)


def test_a_commit_that_landed_but_was_reported_failed_is_a_commit(target: Path) -> None:
    assert commit(target, FIRST, fs=LostAnswer(forever=False)).changed
    assert commit(target, FIRST).manifest.version == 1


def test_where_the_outcome_is_unknown_nothing_is_removed(target: Path) -> None:
    with pytest.raises(StorageError, match=r"whether version 1 .* was committed is unknown; nothing was removed"):
        commit(target, FIRST, fs=LostAnswer(forever=True))

    assert seen(target) == FIRST
    assert commit(target, FIRST).manifest.version == 1
    assert leftovers(target) == []


@pytest.mark.parametrize("kind", [Fs, NoLinks])
def test_a_version_that_another_run_took_is_never_overwritten(kind: type[Fs], target: Path) -> None:
    """As between hosts that do not see each other's locks."""
    commit(target, FIRST)
    with Target(target, fs=kind()) as slow, slow.begin_transaction() as transaction:
        (target / "_ftetl" / "manifests" / manifest_name(2)).write_bytes(b"of another run")
        with transaction.create_file("a") as file:
            file.write(b"slow")
        with pytest.raises(TryLaterError, match=r"another run committed version 2 of .* meanwhile; run again"):
            transaction.commit(FACTS)
    assert (target / "_ftetl" / "manifests" / manifest_name(2)).read_bytes() == b"of another run"
    assert seen(target) == FIRST
    assert len(list((target / "snapshots").iterdir())) == 1


def test_a_run_whose_staged_files_another_run_removed_is_to_try_later(target: Path) -> None:
    """As between hosts that do not see each other's locks."""
    commit(target, FIRST)
    with Target(target) as slow, slow.begin_transaction() as transaction:
        with transaction.create_file("a") as file:
            file.write(b"slow")
        (transaction.path / "a").unlink()
        with pytest.raises(TryLaterError, match="another run removed files of this one"):
            transaction.commit(FACTS)
    assert seen(target) == FIRST


def test_a_name_that_a_dying_run_took_without_hard_links_is_no_lost_past(target: Path) -> None:
    """Killed between taking the name of the first version and giving it its contents."""

    class Dies(NoLinks):
        def rename(self, folder: Folder, name: str, to: Folder, new: str) -> None:
            if new == manifest_name(1):
                raise KeyboardInterrupt
            super().rename(folder, name, to, new)

        def unlink(self, folder: Folder, name: str) -> None:
            if name != manifest_name(1):
                super().unlink(folder, name)

    with pytest.raises(KeyboardInterrupt):
        commit(target, FIRST, fs=Dies())
    assert (target / "_ftetl" / "manifests" / manifest_name(1)).read_bytes() == b""

    with Target(target) as again:
        assert (again.base, again.has_manifests) == (None, False)
    commit(target, SECOND)
    assert seen(target) == SECOND
    (target / "_ftetl" / "manifests" / manifest_name(2)).write_bytes(b"damaged")
    with Target(target) as lost:
        assert (lost.base, lost.has_manifests) == (None, True)


def test_a_run_whose_lock_was_removed_does_not_commit(target: Path) -> None:
    with Target(target) as slow, slow.begin_transaction() as transaction:
        (target / "_ftetl" / "lock").unlink()
        with transaction.create_file("a") as file:
            file.write(b"slow")
        with pytest.raises(TryLaterError, match="was removed while this run held it"):
            transaction.commit(FACTS)

    assert seen(target) is None


class NoPointer(Fs):
    """`current` cannot be made."""

    def symlink(self, text: str, folder: Folder, name: str) -> None:
        raise StorageError("S07", "no links here")


def test_trouble_after_the_commit_is_a_warning_and_the_next_run_repairs_it(target: Path) -> None:
    done = commit(target, FIRST, fs=NoPointer())

    assert done.changed
    assert done.warnings == ["after the commit: no links here"]
    assert not (target / "current").exists()
    assert not commit(target, FIRST).changed
    assert through_current(target) == FIRST


def test_an_interrupt_after_the_commit_undoes_nothing(target: Path) -> None:
    class Interrupted(Fs):
        def symlink(self, text: str, folder: Folder, name: str) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commit(target, FIRST, fs=Interrupted())

    assert seen(target) == FIRST
    assert not commit(target, FIRST).changed


def test_a_record_is_replaced_whole(target: Path) -> None:
    with Target(target) as opened:
        opened.write_run_record(opened.run_id, {"exit": 0, "state": "began"})
        opened.write_run_record(opened.run_id, {"exit": 0})
        path = target / "_ftetl" / "runs" / f"{opened.run_id}.json"

        assert path.read_bytes() == b'{"exit":0}\n'
        assert path.stat().st_mode & 0o777 == 0o600
        assert [p.name for p in path.parent.iterdir()] == [path.name]
        for run_id in ("../x", "x", "20261123T042000Z-12345678\n"):
            with pytest.raises(SoftwareError):
                opened.write_run_record(run_id, {})


def test_failed_responses_are_private_and_of_the_last_5_runs(target: Path) -> None:
    run_ids = [f"20261123T042000Z-0000000{9 - n}" for n in range(8)]  # ids that sort the other way round
    with Target(target, file_mode=0o644) as opened:
        for n, run_id in enumerate(run_ids):
            opened.keep_failed_response(run_id, "body.json", b"first")
            opened.keep_failed_response(run_id, "body.json", b"second")
            os.utime(target / "_ftetl" / "failed" / run_id, ns=(n, n))
        with pytest.raises(SoftwareError):
            opened.keep_failed_response(run_ids[0], "../body", b"")

    failed = target / "_ftetl" / "failed"
    assert {path.name for path in failed.iterdir()} == set(run_ids[-5:])
    assert (failed / run_ids[-1] / "body.json").read_bytes() == b"second"
    assert (failed / run_ids[-1] / "body.json").stat().st_mode & 0o777 == 0o600
    assert (failed / run_ids[-1]).stat().st_mode & 0o777 == failed.stat().st_mode & 0o777 == 0o700
    assert leftovers(target) == []


def test_scratch_is_private_and_gone_afterwards(target: Path) -> None:
    with Target(target, file_mode=0o644) as opened:
        scratch = opened.scratch_folder()
        assert scratch == opened.scratch_folder()
        assert scratch.stat().st_mode & 0o777 == 0o700
        (scratch / "deep").mkdir()
        (scratch / "deep" / "spool").write_bytes(b"x")
        (scratch / "away").symlink_to(target.parent)

    assert not scratch.exists()
    assert target.parent.exists()
    opened.close()


@pytest.mark.parametrize("options", [{"file_mode": 0o400}, {"file_mode": 0o700}, {"file_mode": 0o606}])
def test_options_out_of_range_are_refused_before_anything_is_made(options: dict[str, Any], target: Path) -> None:
    with pytest.raises(ConfigError):
        Target(target, **options)

    assert not target.exists()


def test_no_descriptor_is_left_open(target: Path) -> None:
    def count() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    commit(target, FIRST)
    before = count()
    commit(target, SECOND)
    commit(target, SECOND)
    for k in range(1, 60, 7):
        with pytest.raises(FtetlError):
            commit(target, FIRST, fs=Failing(k, errno.EIO))

    assert count() == before


if __name__ == "__main__":
    {"sweep": sweep, "hang": hang, "compete": compete}[sys.argv[1]](Path(sys.argv[2]))
