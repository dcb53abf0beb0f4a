"""Power loss: whatever a disk had not yet been asked to keep may be gone, and what was acknowledged is still there.

The store runs on real files, and beside them a model remembers what is durable: a file's bytes once the file was
synced, a name once its folder was. After every operation the model is asked what a disk may hold if the power goes
now, and a plain reader looks at each of these states.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import ftetl
from ftetl import demo
from ftetl.errors import FtetlError
from ftetl.extract.details import cache
from ftetl.pipeline import run_log
from ftetl.run_report import Report
from ftetl.store import target as store_target
from ftetl.store.filesystem import Folder, Fs, Link
from ftetl.store.integrity import find_damage
from ftetl.store.manifest import (
    RUN_ID,
    Manifest,
    decode_manifest,
    encode_manifest,
    list_versions,
    load_manifest,
    manifest_name,
    newest_manifest,
    open_sealed_json,
    versions_in,
)
from ftetl.store.target import Commit, Target
from ftetl.validate.verify import verify_snapshot

Files = dict[str, bytes]
# A tree by path: the bytes of a file, the text of a link, None for a folder.
State = dict[str, "bytes | str | None"]

FACTS: dict[str, Any] = {"identity": {"project": "default"}, "contracts": {"a": "1"}, "formats": ["f"]}
FIRST = {"a": b"first", "b.bin": b"always the same" * 3}
SECOND = {"a": b"second", "b.bin": FIRST["b.bin"]}
THIRD = {"a": b"third", "b.bin": FIRST["b.bin"], "c": b"new"}
NEXT = {"a": b"what the next run has", "b.bin": FIRST["b.bin"]}


@dataclass(eq=False)
class File:
    durable: bytes = b""
    now: bytes = b""


@dataclass(eq=False)
class Pointer:
    text: str


@dataclass(eq=False)
class Dir:
    durable: dict[str, Node] = field(default_factory=dict)
    now: dict[str, Node] = field(default_factory=dict)


Node = File | Pointer | Dir
Change = tuple[Dir, str, "Node | None"]  # a name in a folder stands for this from now on

# What may be on the disk of a file that was not synced.
TORN: dict[str, Callable[[File], bytes]] = {
    "empty": lambda file: file.durable,
    "half": lambda file: file.now[: (len(file.durable) + len(file.now)) // 2],
    "full": lambda file: file.now,
    "zeros": lambda file: file.durable + bytes(max(0, len(file.now) - len(file.durable))),
}


class KilledError(BaseException):
    """The process is no more; nothing that it would do on its way out is done."""


class CrashFs(Fs):
    """Does everything for real, but for syncing, and knows what would be left if the power went.

    `drop` names the syncs that are forgotten; `kill` the number of the operation before which the process dies.
    """

    def __init__(
        self, disk: Path, watch: Callable[[CrashFs], None] = lambda _: None, drop: frozenset[str] = frozenset()
    ) -> None:
        self.watch, self.drop = watch, drop
        self.kill = 0
        self.count = 0
        self.places: set[str] = set()  # of every sync: who asks for it, and for what
        self.pending: list[list[Change]] = []  # in order; each is there as a whole or not
        self._disk = disk
        self._inodes: dict[int, Node] = {}
        self._lock = threading.RLock()
        self.root = self._adopt(disk)

    def perform(self, operation: str, path: Path) -> AbstractContextManager[None]:
        if self.kill and self.count >= self.kill and operation != "close":
            raise KilledError
        return super().perform(operation, path)

    def make_folder(self, parent: Folder | None, name: str | Path) -> bool:
        with self._lock:
            made = super().make_folder(parent, name)
            if made:
                inside = Path(name).parent.stat().st_ino if parent is None else _inode(parent.descriptor)
                number = os.stat(name, dir_fd=parent and parent.descriptor).st_ino
                self._changed([(self._dir(inside), Path(name).name, self._born(number, Dir()))])
            return made

    def create(self, folder: Folder, name: str) -> int:
        with self._lock:
            descriptor = super().create(folder, name)
            self._changed([(self._of(folder), name, self._born(_inode(descriptor), File()))])
            return descriptor

    def try_lock(self, folder: Folder, name: str) -> int | None:
        with self._lock:
            descriptor = super().try_lock(folder, name)
            if descriptor is not None and name not in self._of(folder).now:
                self._changed([(self._of(folder), name, self._born(_inode(descriptor), File()))])
            return descriptor

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, path: Path) -> None:
        with self._lock:
            super().write(descriptor, data, path)
            file = self._inodes[_inode(descriptor)]
            assert isinstance(file, File)
            file.now = path.read_bytes()
            self._done()

    def rename(self, folder: Folder, name: str, to: Folder, new: str) -> None:
        with self._lock:
            super().rename(folder, name, to, new)
            moved = self._of(folder).now[name]
            self._changed([(self._of(folder), name, None), (self._of(to), new, moved)])

    def link(self, folder: Folder, name: str, to: Folder, new: str) -> Link:
        with self._lock:
            link = super().link(folder, name, to, new)
            if link is Link.MADE:
                self._changed([(self._of(to), new, self._of(folder).now[name])])
            return link

    def symlink(self, text: str, folder: Folder, name: str) -> None:
        with self._lock:
            super().symlink(text, folder, name)
            self._changed([(self._of(folder), name, Pointer(text))])

    def unlink(self, folder: Folder, name: str) -> None:
        with self._lock:
            super().unlink(folder, name)
            self._gone(folder, name)

    def remove_folder(self, folder: Folder, name: str) -> None:
        with self._lock:
            super().remove_folder(folder, name)
            self._gone(folder, name)

    def sync(self, descriptor: int, path: Path) -> None:
        self._sync_file(_inode(descriptor), path)

    def sync_file(self, folder: Folder, name: str) -> None:
        number = os.stat(name, dir_fd=folder.descriptor).st_ino
        self._sync_file(number, folder.path / name)

    def sync_folder(self, folder: Folder) -> None:
        with self._lock:
            with self.perform("sync", folder.path):
                pass
            if (known := self._inodes.get(_inode(folder.descriptor))) is None:
                return  # above the disk everything is durable
            assert isinstance(known, Dir)
            if self._kept(folder.path):
                self._settle(known)
            self._done()

    def states(self, rng: random.Random | None = None, extra: int = 0) -> Iterator[State]:
        """What a disk may hold if the power goes now; some may come twice. `extra` are of many random choices."""
        kept: list[Sequence[list[Change]]] = [[], self.pending]
        if len(self.pending) > 1:
            kept += [[op] for op in self.pending]
        if len(self.pending) > 2:
            kept += [[op for op in self.pending if op is not lost] for lost in self.pending]
        torn = any(isinstance(n, File) and n.durable != n.now for n in self._inodes.values())
        for chosen in kept:
            for data in TORN.values() if torn else [TORN["full"]]:
                yield self._tree(chosen, data)
        for _ in range(extra if rng and (self.pending or torn) else 0):
            assert rng is not None
            share = rng.random()
            chosen = [op for op in self.pending if rng.random() < share]
            yield self._tree(chosen, lambda file: rng.choice(list(TORN.values()))(file))

    def _adopt(self, path: Path) -> Dir:
        """What is there already is durable."""
        folder = Dir()
        self._inodes[path.stat().st_ino] = folder
        for entry in path.iterdir():
            number = entry.lstat().st_ino
            if entry.is_symlink():
                node: Node = Pointer(str(entry.readlink()))
            elif entry.is_dir():
                node = self._adopt(entry)
            else:
                node = self._inodes.get(number) or File(entry.read_bytes(), entry.read_bytes())
            self._inodes[number] = folder.now[entry.name] = folder.durable[entry.name] = node
        return folder

    def _dir(self, number: int) -> Dir:
        found = self._inodes[number]
        assert isinstance(found, Dir)
        return found

    def _of(self, folder: Folder) -> Dir:
        return self._dir(_inode(folder.descriptor))

    def _born(self, number: int, node: Node) -> Node:
        self._inodes[number] = node  # the number may have been another's, who is gone
        return node

    def _gone(self, folder: Folder, name: str) -> None:
        if name in self._of(folder).now:  # what is spooled does not come this way
            self._changed([(self._of(folder), name, None)])

    def _changed(self, op: list[Change]) -> None:
        for folder, name, node in op:
            _apply(folder.now, name, node)
        self.pending.append(op)
        self._done()

    def _settle(self, folder: Dir) -> None:
        for op in [op for op in self.pending if any(change[0] is folder for change in op)]:
            at = self.pending.index(op)
            for inside, name, node in op:
                _apply(inside.durable, name, node)
                for earlier in self.pending[:at]:  # overtaken
                    earlier[:] = [c for c in earlier if not (c[0] is inside and c[1] == name)]
            self.pending.remove(op)
        self.pending = [op for op in self.pending if op]

    def _sync_file(self, number: int, path: Path) -> None:
        with self._lock:
            with self.perform("sync", path):
                pass
            file = self._inodes[number]
            assert isinstance(file, File)
            if self._kept(path):
                file.durable = file.now
            self._done()

    def _kept(self, path: Path) -> bool:
        """Whether this sync is not the one to be forgotten; it is known by who asks for it, and for what."""
        frame = sys._getframe(2)
        while frame.f_code.co_filename == __file__:
            frame = frame.f_back  # type: ignore[assignment]
        what = _kind(os.path.relpath(path.resolve(), self._disk.resolve()))
        place = f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_qualname}: {what}".replace("<locals>.", "")
        self.places.add(place)
        return place not in self.drop

    def _done(self) -> None:
        self.count += 1
        self.watch(self)

    def _tree(self, ops: Sequence[list[Change]], data: Callable[[File], bytes]) -> State:
        laid: dict[int, dict[str, Node]] = {}
        for folder, name, node in itertools.chain.from_iterable(ops):
            _apply(laid.setdefault(id(folder), dict(folder.durable)), name, node)
        found: State = {}

        def walk(folder: Dir, path: str) -> None:
            for name, node in laid.get(id(folder), folder.durable).items():
                if isinstance(node, Dir):
                    found[path + name] = None
                    walk(node, f"{path}{name}/")
                elif isinstance(node, Pointer):
                    found[path + name] = node.text
                else:
                    found[path + name] = node.now if node.now == node.durable else data(node)

        walk(self.root, "")
        return found


def _inode(descriptor: int) -> int:
    return os.fstat(descriptor).st_ino


def _apply(entries: dict[str, Node], name: str, node: Node | None) -> None:
    if node is None:
        entries.pop(name, None)
    else:
        entries[name] = node


def _kind(path: str) -> str:
    path = re.sub(RUN_ID, "RUN", path)
    path = re.sub(r"[0-9a-f]{64}", "SHA", re.sub(r"\d{20}", "VERSION", path))
    return re.sub(r"(\.tmp-RUN/).+", r"\1FILE", path)


# ---- the plain reader ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _manifest(raw: bytes, version: int) -> Manifest | None:
    try:
        return decode_manifest(raw, version)
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


TARGET = "made/target"
MANIFESTS = f"{TARGET}/_ftetl/manifests/"


def look(state: State) -> list[tuple[Manifest, Files]]:
    """The versions that can be read, the newest first; each must be whole, and there is no other."""
    found = []
    names = [path.removeprefix(MANIFESTS) for path in state if path.startswith(MANIFESTS)]
    for version in reversed(versions_in(names)):
        raw = state[MANIFESTS + manifest_name(version)]
        assert isinstance(raw, bytes)
        manifest = _manifest(raw, version)
        assert manifest is not None, f"the manifest of version {version} is torn"
        files: Files = {}
        for file in manifest.files:
            data = state.get(f"{TARGET}/snapshots/{manifest.run_id}/{file.name}")
            assert isinstance(data, bytes), f"version {version} has no {file.name}"
            assert (len(data), _sha256(data)) == (file.bytes, file.sha256), f"{file.name} of {version} is torn"
            files[file.name] = data
        found.append((manifest, files))
    return found


def materialise(state: State, path: Path) -> Path:
    """The state as files; gives the target."""
    path.mkdir()
    for name, what in sorted(state.items()):  # a folder before what is in it
        place = path / name
        if what is None:
            place.mkdir(mode=0o700)
        elif isinstance(what, bytes):
            place.write_bytes(what)
        else:
            place.symlink_to(what)
    return path / TARGET


# ---- histories -------------------------------------------------------------------------------------------------------


class Unsynced(Fs):
    """As fast as memory: what comes after the loss is not what is tried here."""

    def sync(self, descriptor: int, path: Path) -> None: ...

    def sync_file(self, folder: Folder, name: str) -> None: ...

    def sync_folder(self, folder: Folder) -> None: ...


@dataclass
class Watch:
    """Looks at every state of a history, and counts them. What it finds is in `faults`; with the first it stops."""

    scratch: Path
    extra: int = 0  # random states more, after every operation
    seed: int = 0
    every: int = 0  # how many new states come to one from which the next run is tried
    recover: Callable[[Path], None] = lambda _: None
    also: Callable[[State, list[tuple[Manifest, Files]]], None] = lambda *_: None
    states: int = 0
    recovered: int = 0
    different: set[frozenset[Any]] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self.promise(None, 0)

    def promise(self, allowed: list[Files | None] | None, least: int) -> None:
        """From here on a reader finds one of these, and no version below `least`."""
        self.allowed, self.least = allowed, least
        self._known: set[frozenset[Any]] = set()  # states that were looked at under this promise

    def __call__(self, fs: CrashFs) -> None:
        if self.faults:
            return
        try:
            for state in fs.states(self._rng, self.extra):
                self._look(state)
        except (AssertionError, FtetlError) as error:
            self.faults.append(str(error).splitlines()[0])
        self.places |= fs.places

    def _look(self, state: State) -> None:
        self.states += 1
        key = frozenset(state.items())
        if key in self._known:
            return
        self._known.add(key)
        found = look(state)
        content = found[0][1] if found else None
        assert self.allowed is None or content in self.allowed, "what a reader finds is neither old nor new"
        assert (found[0][0].version if found else 0) >= self.least, "an acknowledged version is gone"
        self.also(state, found)
        if key not in self.different:
            self.different.add(key)
            if self.every and len(self.different) % self.every == 0:
                self.recovered += 1
                self.recover(materialise(state, self.scratch / f"state-{self.recovered}"))


def commit(path: Path, files: Files, fs: Fs, *, keep: int = 10) -> Commit:
    with Target(path, fs=fs, keep=keep) as target, target.begin_transaction() as transaction:
        for name, data in files.items():
            with transaction.create_file(name) as file:
                file.write(data)
        return transaction.commit(FACTS)


def recover(path: Path) -> None:
    """The next run goes on, whatever it finds, and leaves nothing of it behind."""
    before = newest_manifest(path) if path.exists() else None
    if before is not None:
        assert find_damage(path, before) == []
    done = commit(path, NEXT, Unsynced())
    assert done.warnings == []
    assert done.manifest.version == (before.version if before else 0) + 1
    manifest = newest_manifest(path)
    assert manifest is not None
    assert find_damage(path, manifest) == []
    assert {p.name: p.read_bytes() for p in (path / "current").resolve(strict=True).iterdir()} == NEXT
    named = {load_manifest(path, version).run_id for version in list_versions(path)}
    assert {p.name for p in (path / "snapshots").iterdir()} == named, "a snapshot that no manifest names stays"
    assert [p for p in path.rglob(".*") if p.name.startswith(".")] == [], "something temporary stays"


def prepare(path: Path, kind: str) -> list[Files | None]:
    """A target to begin with, durable, and what a reader finds in it."""
    if kind == "empty":
        return [None]
    path.parent.mkdir()
    for n in range(3 if kind == "old" else 0):  # two of them are to be removed by the next commit
        commit(path, {**FIRST, "a": b"%d" % n}, Unsynced())
        long_ago = replace(load_manifest(path, n + 1), committed_at="2020-01-01T00:00:00.000000Z")
        (path / "_ftetl" / "manifests" / manifest_name(n + 1)).write_bytes(encode_manifest(long_ago))
    commit(path, FIRST, Unsynced())
    return [FIRST]


@dataclass(frozen=True)
class History:
    """Commits, one after the other; `kills` has the operations before which runs are killed, 0 for none."""

    name: str
    start: str
    commits: tuple[Files, ...]
    kills: tuple[int, ...] = ()

    def live(self, folder: Path, watch: Watch, drop: Sequence[str] = ()) -> list[int]:
        """Let it happen before the eyes of `watch`; gives how many operations each run took."""
        disk = folder / "disk"
        disk.mkdir(parents=True)
        path = disk / TARGET
        allowed = prepare(path, self.start)
        watch.promise(allowed, max(list_versions(path), default=0))
        fs = CrashFs(disk, watch, frozenset(drop))
        took = []
        for files, kill in itertools.zip_longest(self.commits, self.kills, fillvalue=0):
            assert isinstance(files, dict)
            allowed = [*allowed, files]
            watch.promise(allowed, watch.least)
            fs.count, fs.kill = 0, kill
            try:
                done = commit(path, files, fs, keep=2)
            except KilledError:
                pass
            else:
                allowed = [files]
                watch.promise(allowed, done.manifest.version)
                watch(fs)  # what was said to be done is done
            took.append(fs.count)
            if watch.faults:
                break
        return took


HISTORIES = [
    History("first", "empty", (FIRST,)),
    History("second", "data", (SECOND,)),
    History("collection", "old", (SECOND,)),
    History("nothing new", "data", (FIRST,)),
    History("three", "empty", (FIRST, SECOND, SECOND, THIRD)),
]


def killed(folder: Path, step: int, other: Files | None = None) -> Iterator[History]:
    """Histories in which a run is killed, and the next one builds on what no disk has kept yet.

    The next one does the same again, or has something `other` to commit.
    """
    for history in HISTORIES[:3]:
        (took,) = history.live(folder / f"dry-{history.name}-{step}-{other}", Watch(folder))
        for k in range(1 + step // 2, took + 1, step):
            commits = (*history.commits, other or history.commits[0])
            yield History(f"{history.name}, killed at {k}", history.start, commits, (k,))


@pytest.fixture
def shm(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: nothing here waits for a real disk."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="ftetl-", dir=memory) as name:
        yield Path(name)


def sweep(folder: Path, histories: Iterable[History], **options: Any) -> Watch:
    """All of these histories, in one count; not one state breaks the promise."""
    total = Watch(folder)
    for number, history in enumerate(histories):
        place = folder / str(number)
        watch = Watch(place, recover=recover, **options)
        history.live(place, watch)
        assert (history.name, watch.faults) == (history.name, [])
        total.states += watch.states
        total.recovered += watch.recovered
        total.different |= watch.different
        total.places |= watch.places
        shutil.rmtree(place)
    return total


def test_no_loss_of_power_takes_what_was_acknowledged_or_shows_anything_between(shm: Path) -> None:
    histories = [*HISTORIES, *killed(shm, 6)]

    done = sweep(shm, histories, every=25)

    print(f"{done.states} states, {len(done.different)} different, {done.recovered} next runs")
    assert done.states > 10_000
    assert len(done.different) > 3_000
    assert done.recovered > 100


@pytest.mark.slow
def test_no_loss_of_power_does_in_a_million_states(shm: Path) -> None:
    states = different = recovered = 0
    for seed in range(5):
        histories = [*HISTORIES, *killed(shm, 1), *killed(shm, 1, THIRD)]
        done = sweep(shm, histories, every=10, extra=15, seed=seed)
        states, different, recovered = states + done.states, different + len(done.different), recovered + done.recovered

    print(f"{states} states, {different} different, {recovered} next runs")
    assert states > 1_000_000
    assert recovered > 10_000


# What is forgotten without harm, and why.
SPARE = {
    f"cleanup.update_current_link: {TARGET}": "`current` is derived: the next run makes it again",
    f"transaction.Transaction._commit: {TARGET}/_ftetl/manifests": "what a dead run left was made durable first",
}


def found(folder: Path, histories: Sequence[History], drop: str) -> str:
    """By which history it is found that this sync is forgotten; empty if by none."""
    # Most are seen by a reader; the next run, which sees the rest, costs more.
    for every, history in itertools.product((0, 7), histories):
        place = folder / f"{every} {history.name} without {drop}".replace("/", "-")
        watch = Watch(place, every=every, recover=recover)
        history.live(place, watch, [drop])
        shutil.rmtree(place)
        if watch.faults:
            return f"{history.name}: {watch.faults[0]}"
    return ""


def no_sync_is_forgotten(folder: Path, histories: list[History], spared: list[History]) -> None:
    places = sweep(folder, histories).places
    verdicts = {place: found(folder, histories, place) for place in sorted(places - SPARE.keys())}
    for place, how in verdicts.items():
        print(f"{place}  {how or 'SURVIVED'}")

    assert [place for place, how in verdicts.items() if not how] == []
    assert len(verdicts) == 16  # one that is gone would not be missed here
    assert {place: found(folder, spared, place) for place in SPARE} == dict.fromkeys(SPARE, "")


def test_no_sync_can_be_forgotten_but_those_that_are_spare(shm: Path) -> None:
    in_the_collection = [h for h in killed(shm, 3) if h.start == "old"]

    no_sync_is_forgotten(shm, [*HISTORIES, *in_the_collection], HISTORIES)


@pytest.mark.slow
def test_the_spare_syncs_are_spare_wherever_a_run_is_killed(shm: Path) -> None:
    histories = [*HISTORIES, *killed(shm, 1)]

    no_sync_is_forgotten(shm, histories, histories)


# ---- a whole run -----------------------------------------------------------------------------------------------------

CREATED = "2026-07-01T00:00:00Z"


def job(number: int, hour: int) -> dict[str, Any]:
    """A job that still runs, so that every run asks for its detail."""
    updated = f"2026-07-02T{hour:02}:00:00Z"
    events = [{"type": "JOB_START", "created_at": CREATED}]
    return {
        "id": f"ft-{number:02}",
        "status": "running",
        "created_at": CREATED,
        "updated_at": updated,
        "events": events,
    }


@lru_cache(maxsize=1024)
def body_sha256(packed: bytes) -> str:
    try:
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
            return hashlib.sha256(stream.read()).hexdigest()
    except (OSError, pa.ArrowException):
        return ""


@lru_cache(maxsize=1024)
def packed_sha256(raw: bytes) -> set[str]:
    """The SHA-256 of the bodies of a pack, whose frames come in pairs: an index to skip, and the bodies."""
    found = set()
    while raw:
        length = int.from_bytes(raw[4:8], "little")
        index, rest = json.loads(raw[8 : 8 + length]), raw[8 + length :]
        frame, raw = rest[: index["packed"]], rest[index["packed"] :]
        with pa.CompressedInputStream(pa.BufferReader(frame), "zstd") as stream:
            found |= {hashlib.sha256(stream.read(size)).hexdigest() for size in index["bytes"]}
    return found


def archived(state: State, found: list[tuple[Manifest, Files]], records_of: Iterable[str] = ()) -> None:
    """What each version was made from is there, and so is the record of each run that has ended."""
    for path in records_of:
        raw = state.get(path)
        assert isinstance(raw, bytes), "the record of a run is gone"
        json.loads(raw)
    folder = f"{TARGET}/_ftetl/archive"
    for manifest, _ in found:
        raw = state.get(f"{folder}/index/{manifest.version:020d}-{manifest.run_id}.json")
        assert isinstance(raw, bytes), f"the archive does not know version {manifest.version}"
        try:
            document = open_sealed_json(raw, "sha256")
        except ValueError as reason:
            raise AssertionError(f"the index of version {manifest.version} is torn: {reason}") from None
        for entry in [*document["answers"], *document["details"]]:
            packed = state.get(f"{folder}/{entry.get('pack') or entry['sha256'] + '.zst'}")
            assert isinstance(packed, bytes), f"version {manifest.version} was made from a body that is gone"
            if "pack" in entry:
                assert entry["sha256"] in packed_sha256(packed), "a pack is torn"
            else:
                assert body_sha256(packed) == entry["sha256"], "a body is torn"


def run(server: demo.Server, target: Path, hour: int) -> Report:
    server.jobs = [job(n, hour) for n in range(3)]
    return ftetl.export(target, base_url=server.url, environ={"TOGETHER_API_KEY": server.key}, concurrency=1)


def whole_runs(server: demo.Server, folder: Path, monkeypatch: pytest.MonkeyPatch, drop: Sequence[str] = ()) -> Watch:
    """Two runs of everything, the second of which finds the answers of the first changed."""
    disk = folder / "disk"
    disk.mkdir(parents=True)
    watch = Watch(folder, also=archived)
    fs = CrashFs(disk, watch, frozenset(drop))
    monkeypatch.setattr(store_target, "Fs", lambda: fs)
    for hour in (1, 2):
        report = run(server, disk / TARGET, hour)
        assert report.version == hour
        watch.promise(None, hour)
        kept = {f"{TARGET}/_ftetl/runs/{r.run_id}.json" for r in run_log.read_records(disk / TARGET, [])}
        assert len(kept) == hour
        watch.also = partial(archived, records_of=frozenset(kept))
        watch(fs)
    return watch


@pytest.fixture
def server() -> Iterator[demo.Server]:
    with demo.serve(jobs=[]) as running:
        yield running


@pytest.mark.parametrize("packed_from", [1, cache.PACKED_FROM])
def test_a_version_is_never_there_without_what_it_was_made_from(
    server: demo.Server, shm: Path, packed_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "PACKED_FROM", packed_from)
    watch = whole_runs(server, shm, monkeypatch)

    print(f"{watch.states} states, {len(watch.different)} different")
    assert watch.faults == []
    assert len(watch.different) > 1_000
    monkeypatch.setattr(store_target, "Fs", Unsynced)
    for number, state in enumerate(random.Random(0).sample(sorted(watch.different, key=hash), 3)):
        target = materialise(dict(state), shm / f"state-{number}")
        before = newest_manifest(target) if target.exists() else None
        assert run(server, target, 3).version == (before.version if before else 0) + 1
        assert verify_snapshot(target).is_intact


@pytest.mark.slow
@pytest.mark.parametrize("packed_from", [1, cache.PACKED_FROM])
def test_no_sync_of_the_archive_can_be_forgotten(
    server: demo.Server, shm: Path, packed_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "PACKED_FROM", packed_from)
    places = sorted(p for p in whole_runs(server, shm / "all", monkeypatch).places if "archive" in p)
    verdicts = {
        place: whole_runs(server, shm / str(number), monkeypatch, [place]).faults for number, place in enumerate(places)
    }
    for place, faults in verdicts.items():
        print(f"{place}  {faults or 'SURVIVED'}")

    assert len(verdicts) >= 4
    assert [place for place, faults in verdicts.items() if not faults] == []
