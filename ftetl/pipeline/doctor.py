"""Checks before the first scheduled run what would make an export fail.

It asks the service once for the list, and whose the key is, and changes nothing there or on the disk. Each check gives
findings; what would make a run fail has the exit that the run would end with.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ftetl.clock import SKEW, Deadline, now
from ftetl.config import credentials, limits
from ftetl.config.settings import Settings
from ftetl.errors import EXITS, PREFIX, Exit, FtetlError, TargetError
from ftetl.extract.list_pages import fetch_list
from ftetl.extract.privacy import pseudonyms
from ftetl.extract.together_api.client import Client
from ftetl.extract.together_api.transport import RequestLimits
from ftetl.loading import formats
from ftetl.pipeline import advisories, guards, key_defaults, list_watermark
from ftetl.pipeline.list_guard import Listed, require_plausible_list
from ftetl.raw import index
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response
from ftetl.snapshot.table_reader import open_tables
from ftetl.store import cleanup, integrity, manifest, ownership
from ftetl.store.filesystem import Folder, Fs
from ftetl.store.manifest import CONTROL, Manifest
from ftetl.transform.merge import observation_times

FIRST_RUN_BYTES = 64 << 20  # that a first run may well need
COPIES = 3  # of the newest snapshot that must fit: the next one, what it is spooled from, and some growth
FREE_FILES = 1000  # that must still fit, where the file system counts them
# Where hard links, locks or renames are known not to do what a commit needs, or not always.
_UNRELIABLE = ("9p", "cifs", "exfat", "fuse", "msdos", "nfs", "smb", "vfat")


@dataclass(frozen=True)
class Finding:
    """The result of one check; `exit` is how a run would end because of it, None if it would not fail."""

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
        return {
            "check": self.name,
            "state": self.state,
            "what": self.what,
            "next": self.next,
            "exit_code": self.exit.code if self.exit else None,
            "code": self.code,
        }


def run_checks(settings: Settings) -> list[Finding]:
    """All findings, in the order in which a run would meet them."""
    return [*_service(settings), *_target(settings)]


def _findings_of(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of a check; an error in it is a finding as well."""
    try:
        yield from check()
    except FtetlError as error:
        advice = error.next.removesuffix(", or raise --deadline")  # the deadline of these checks is fixed
        yield Finding(name, error.what, advice, error.exit, error.code)


def _service(settings: Settings) -> Iterator[Finding]:
    connection: dict[str, Any] = {}

    def privacy() -> Iterator[Finding]:
        chosen = connection["pseudonyms"] = pseudonyms.read_pseudonyms(settings)
        if chosen:
            key_fingerprint = chosen.identity.get(pseudonyms.FINGERPRINT)
            stored = f"pseudonyms, by the key with the fingerprint {key_fingerprint}" if key_fingerprint else "nothing"
            yield Finding("pii", f"of personal data {stored} will be stored")

    def key() -> Iterator[Finding]:
        secret = connection["key"] = credentials.read_key(settings.environ, settings.api_key_file)
        yield Finding("key", f"the key from {secret.source} has the fingerprint {secret.fingerprint}")

    def address() -> Iterator[Finding]:
        url = connection["url"] = credentials.base_url(settings.base_url, settings.environ)
        yield Finding("address", f"{url}, the service {credentials.service(url)!r}")

    yield from _findings_of("pii", privacy)
    yield from _findings_of("key", key)
    yield from _findings_of("address", address)
    if len(connection) == 3:
        identity = connection["pseudonyms"].identity if connection["pseudonyms"] else {}
        yield from _findings_of("request", lambda: _request(settings, connection["url"], connection["key"], identity))


def _request(settings: Settings, url: str, key: credentials.Secret, privacy: dict[str, str]) -> Iterator[Finding]:
    deadline = Deadline(min(settings.deadline, limits.DOCTOR_DEADLINE))
    with closing(Client(url, key, RequestLimits(deadline, settings.max_bytes))) as client:
        owner = key_defaults.visible_owner(settings, client.ask_owner())
        started = time.monotonic()
        listed = fetch_list(client)
    body, ahead = listed.body, listed.clock_ahead
    seconds = time.monotonic() - started
    whose = f"the key belongs to {guards.describe_owner(owner.identity)}" if owner else None
    yield Finding("owner", whose or "the service does not tell which project the key belongs to")
    response = Response("GET /fine-tunes", Memory(body), now(), pages=listed.pages)
    scan = index.scan_response(response)
    yield Finding("request", f"{scan.received:,} jobs in {len(body):,} bytes came in {seconds:.1f} s")
    if ahead is not None:
        clock = Finding("clock", f"this machine's clock is within {max(1.0, abs(ahead)):.0f} s of the service's")
        if abs(ahead) > SKEW.total_seconds():
            what = f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the service's"
            clock = Finding("clock", what, "set it; runs are dated by the service's", warning=True)
        yield clock
    base = _newest_manifest(settings.target)
    if base is not None:

        def checks() -> Iterator[Finding]:
            stored, label = base.facts.get("identity", {}), key_defaults.label_of(settings, base.facts)
            guards.check_identity(stored, credentials.service(url), label, privacy, owner)
            yield from _guards(settings, base, Listed(response, scan, not scan.is_bare))

        yield from _findings_of("list", checks)


def _guards(settings: Settings, base: Manifest, listed: Listed) -> Iterator[Finding]:
    """Whether the guards would let this list into this target."""
    stored, before = open_tables(settings.target, base), base.facts.get(advisories.LISTED)
    for warning in require_plausible_list(stored, settings, listed, before):
        yield Finding("list", warning, "look at the list", warning=True)
    yield Finding("list", f"the list fits the jobs of version {base.version}")


def _target(settings: Settings) -> Iterator[Finding]:
    if sys.platform == "win32":
        what = "exports run on Linux and macOS only"
        yield Finding("target", what, "run it there, or in WSL", EXITS["CONFIG"], f"{PREFIX}P10")
        return
    yield from _findings_of("target", lambda: _folder(settings.target))
    place = next((p for p in (settings.target.absolute(), *settings.target.absolute().parents) if p.is_dir()), None)
    if place is not None:
        yield from _findings_of("disk", lambda: _disk(settings.target, place))


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
            yield from _existing_target(fs, path, root, stack)
        for line in ownership.world_writable_warnings(fs, root):
            yield Finding("target", line, warning=True)


def _existing_target(fs: Fs, path: Path, root: Folder, stack: ExitStack) -> Iterator[Finding]:
    control = stack.enter_context(fs.open_folder(root, CONTROL))
    ownership.is_target(fs, root, control)
    ownership.require_writable(fs, control)
    cleanup.read_current_link(fs, root)
    damaged: list[str] = []
    newest = manifest.newest_manifest(path, damaged)
    for line in damaged:
        yield Finding("target", line, "see `ftetl verify`", warning=True)
    integrity.require_readable_manifest(path, newest, has_manifests=bool(manifest.list_versions(path)))
    integrity.require_undamaged_base(path, newest, formats.is_read_back)
    yield Finding("target", f"{path} has version {newest.version}" if newest else f"{path} has no version yet")
    if newest is not None and (latest := _newest_observation(path, newest)) > now() + SKEW:
        what = f"stored observations lie in the future, up to {latest:%Y-%m-%d %H:%M}, from a clock that was ahead"
        yield Finding("times", what, "the next run against the API dates them to just before itself", warning=True)


def _newest_observation(path: Path, base: Manifest) -> datetime:
    try:
        document = json.loads((path / CONTROL / f"{list_watermark.DOCUMENT}.json").read_bytes())
    except (OSError, ValueError):
        document = {}
    whole_at = list_watermark.newest_in(base.run_id, base.facts, document, list_watermark.FACT)
    stored = observation_times.newest(open_tables(path, base))
    return max(filter(None, (whole_at, stored)), default=datetime.min.replace(tzinfo=UTC))


def _disk(path: Path, place: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(place).free
    base = _newest_manifest(path)
    needed = max(FIRST_RUN_BYTES, COPIES * sum(file.bytes for file in base.files) if base else 0)
    if free < needed:
        what = f"{free:,} bytes are free where {path} is, and a run may need {needed:,}"
        yield Finding("disk", what, "make room, or keep fewer snapshots with --keep", EXITS["IOERR"], f"{PREFIX}S01")
    else:
        yield Finding("disk", f"{free:,} bytes are free")
    facts = os.statvfs(place)
    if facts.f_flag & os.ST_RDONLY:
        raise TargetError("S02", f"{place} is on a file system that is read-only", next="choose another folder")
    if facts.f_files and facts.f_favail < FREE_FILES:
        what = f"only {facts.f_favail:,} more files fit"
        yield Finding("disk", what, "remove files", EXITS["IOERR"], f"{PREFIX}S23")
    if kind := next((k for k in _UNRELIABLE if (_file_system_type(place) or "").startswith(k)), None):
        what = f"{path} is on {kind}, where locks and renames may not do what a commit needs"
        yield Finding("disk", what, "prefer a local disk", warning=True)


def _newest_manifest(path: Path) -> Manifest | None:
    """The newest manifest; None also where the target cannot be read, which `_folder` reports."""
    try:
        return manifest.newest_manifest(path)
    except FtetlError:
        return None


def _file_system_type(place: Path) -> str | None:
    """The type of the file system that a folder is on; None where the system does not tell."""
    try:
        mounts = [line.split(" ") for line in Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()]
    except OSError:
        return None
    real = str(place.resolve())
    over = [m for m in mounts if len(m) > 2 and (real + "/").startswith(m[1].rstrip("/") + "/")]
    return max(over, key=lambda m: len(m[1]))[2] if over else None
