"""What a scheduled run will meet: looked at before the first one, so that nothing has to fail at night.

Asks the service once and changes nothing, neither there nor on the disk. Each thing looked at becomes a finding; what
would make a run fail has the exit code that the run would end with.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftetl.clock import Deadline, now
from ftetl.config import credentials, limits
from ftetl.config.settings import Settings
from ftetl.errors import EXITS, PREFIX, Exit, FtetlError, StorageError, TargetError
from ftetl.extract.privacy import pseudonyms
from ftetl.extract.together_api.client import Client
from ftetl.extract.together_api.transport import RequestLimits
from ftetl.load import formats
from ftetl.pipeline import guards
from ftetl.raw import index
from ftetl.raw.blob import Memory
from ftetl.raw.element import Scan
from ftetl.raw.response import Response
from ftetl.snapshot.table_reader import TableReader
from ftetl.store import integrity, manifest, ownership
from ftetl.store.filesystem import Folder, Fs
from ftetl.store.manifest import CONTROL, Manifest, snapshot_folder

ROOM = 64 << 20  # bytes that a first run may well need
COPIES = 3  # of the newest snapshot that must fit: the next one, what it is spooled from, and some growth
NAMES = 1000  # files that must still fit, where the file system counts them
# Where hard links, locks or renames are known not to do what a commit needs, or not always.
_DOUBTFUL = ("9p", "cifs", "exfat", "fuse", "msdos", "nfs", "smb", "vfat")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `exit` is how a run would end because of it; none where it would not."""

    name: str
    what: str
    next: str = ""
    exit: Exit | None = None
    code: str | None = None  # of the failure, like `FTETL-H01`
    warning: bool = False

    @property
    def state(self) -> str:
        """`ok`, `warning` or `failure`."""
        return "failure" if self.exit else "warning" if self.warning else "ok"

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON."""
        end = self.exit.code if self.exit else None
        told = {"check": self.name, "state": self.state, "what": self.what, "next": self.next}
        return {**told, "exit_code": end, "code": self.code}


def run_checks(settings: Settings) -> list[Finding]:
    """All findings, in the order in which a run would meet them."""
    return [*_service(settings), *_target(settings)]


def _tried(name: str, work: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What the work finds; an error on the way is a finding as well."""
    try:
        yield from work()
    except FtetlError as error:
        yield Finding(name, error.what, error.next, error.exit, error.code)


def _service(settings: Settings) -> Iterator[Finding]:
    found: dict[str, Any] = {}

    def key() -> Iterator[Finding]:
        secret = found["key"] = credentials.read_key(settings.environ, settings.api_key_file)
        yield Finding("key", f"the key from {secret.source} has the fingerprint {secret.fingerprint}")

    def address() -> Iterator[Finding]:
        url = found["url"] = credentials.base_url(settings.base_url, settings.environ)
        yield Finding("address", f"{url}, the service {credentials.service(url)!r}")

    def people() -> Iterator[Finding]:
        found["people"] = pseudonyms.read_pseudonyms(settings)
        if found["people"]:
            told = found["people"].identity.get(pseudonyms.FINGERPRINT)
            what = f"pseudonyms, by the key with the fingerprint {told}" if told else "nothing"
            yield Finding("pii", f"of people's data {what} will be stored")

    yield from _tried("pii", people)
    yield from _tried("key", key)
    yield from _tried("address", address)
    if len(found) == 3:
        made = found["people"].identity if found["people"] else {}
        yield from _tried("request", lambda: _request(settings, found["url"], found["key"], made))


def _request(settings: Settings, url: str, key: credentials.Secret, people: dict[str, str]) -> Iterator[Finding]:
    started = time.monotonic()
    deadline = Deadline(min(settings.deadline, limits.LOOK))
    with Client(url, key, RequestLimits(deadline, settings.max_bytes)) as client:
        listed = client.list_jobs()
    body, ahead = listed.body, listed.clock_ahead
    seconds = time.monotonic() - started
    found = index.scan_response(Response("GET /fine-tunes", Memory(body), now()))
    took = f"{found.received:,} jobs in {len(body):,} bytes came in {seconds:.1f} s"
    yield Finding("request", took)
    if ahead is not None:
        clock = Finding("clock", f"this machine's clock is within {max(1.0, abs(ahead)):.0f} s of the service's")
        if abs(ahead) > limits.SKEW:
            what = f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the service's"
            clock = Finding("clock", what, "set it; by it states of jobs are dated", warning=True)
        yield clock
    base = manifest.newest_manifest(settings.target) if (settings.target / CONTROL).is_dir() else None
    if base is not None:
        yield from _tried("list", lambda: _guarded(settings, base, found, credentials.service(url), people))


def _guarded(
    settings: Settings, base: Manifest, found: Scan, service: str, people: dict[str, str]
) -> Iterator[Finding]:
    """Whether the guards would let this list into this target."""
    guards.identity(dict(base.facts.get("identity", {})), service, settings.project, people)
    names = {file.name for file in base.files}
    guards.whole_list(settings, TableReader(snapshot_folder(settings.target, base), names), found)
    yield Finding("list", f"the list fits the jobs of version {base.version}")


def _target(settings: Settings) -> Iterator[Finding]:
    if sys.platform == "win32":
        what = "exports run on Linux and macOS only"
        yield Finding("target", what, "run it there, or in WSL", EXITS["CONFIG"], f"{PREFIX}P10")
        return
    yield from _tried("target", lambda: _folder(settings.target))
    place = next((p for p in (settings.target.absolute(), *settings.target.absolute().parents) if p.is_dir()), None)
    if place is not None:
        yield from _tried("disk", lambda: _disk(settings.target, place))


def _folder(path: Path) -> Iterator[Finding]:
    fs = Fs()
    with ExitStack() as stack:
        if fs.lstat(None, path) is None:
            parent = next(p for p in path.absolute().parents if fs.lstat(None, p) is not None)
            ownership.require_writable(fs, stack.enter_context(fs.open_folder(None, parent)))
            yield Finding("target", f"{path} is not there yet, and can be made")
            return
        root = ownership.open_root(fs, path, stack)
        if fs.lstat(root, CONTROL) is None:
            if fs.list_names(root):
                raise ownership.foreign_folder_error(root)
            yield Finding("target", f"{path} is an empty folder")
        else:
            yield from _ours(fs, path, root, stack)
        for line in ownership.world_writable_warnings(fs, root):
            yield Finding("target", line, warning=True)


def _ours(fs: Fs, path: Path, root: Folder, stack: ExitStack) -> Iterator[Finding]:
    control = stack.enter_context(fs.open_folder(root, CONTROL))
    ownership.is_target(fs, root, control)
    ownership.require_writable(fs, control)
    passed_over: list[str] = []
    newest = manifest.newest_manifest(path, passed_over)
    for line in passed_over:
        yield Finding("target", line, "see `ftetl verify`", warning=True)
    if newest is None and manifest.list_versions(path):
        raise StorageError("S13", f"{path} has manifests, but none whose snapshot can be read", next="restore a backup")
    integrity.require_undamaged_base(path, newest, formats.is_read_back)
    yield Finding("target", f"{path} has version {newest.version}" if newest else f"{path} has no version yet")


def _disk(path: Path, place: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(place).free
    base = manifest.newest_manifest(path) if (path / CONTROL).is_dir() else None
    needed = max(ROOM, COPIES * sum(file.bytes for file in base.files) if base else 0)
    if free < needed:
        what = f"{free:,} bytes are free where {path} is, and a run may need {needed:,}"
        yield Finding("disk", what, "make room, or keep fewer snapshots with --keep", EXITS["IOERR"], f"{PREFIX}S01")
    else:
        yield Finding("disk", f"{free:,} bytes are free")
    facts = os.statvfs(place)
    if facts.f_flag & os.ST_RDONLY:
        raise TargetError("S02", f"{place} is on a file system that is read-only", next="choose another folder")
    if facts.f_files and facts.f_favail < NAMES:
        what = f"only {facts.f_favail:,} more files fit"
        yield Finding("disk", what, "remove files", EXITS["IOERR"], f"{PREFIX}S23")
    if kind := next((k for k in _DOUBTFUL if (_kind(place) or "").startswith(k)), None):
        what = f"{path} is on {kind}, where locks and renames may not do what a commit needs"
        yield Finding("disk", what, "prefer a local disk", warning=True)


def _kind(place: Path) -> str | None:
    """What kind of file system a folder is on, where the system tells."""
    try:
        mounts = [line.split(" ") for line in Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()]
    except OSError:
        return None
    real = str(place.resolve())
    over = [m for m in mounts if len(m) > 2 and (real + "/").startswith(m[1].rstrip("/") + "/")]
    return max(over, key=lambda m: len(m[1]))[2] if over else None
