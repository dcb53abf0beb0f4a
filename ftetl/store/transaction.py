"""One run's files: invisible while they are written, then all at once a snapshot, or gone.

The link that gives a manifest its version is the commit point. Before it nobody sees anything of the run, and every
error undoes it; after it nothing is an error any more. Bytes and names only: what the files hold is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, BinaryIO, cast

from ftetl.clock import iso, now, parse_iso
from ftetl.errors import FtetlError, SoftwareError, TryLaterError
from ftetl.store import cleanup, ownership, retention
from ftetl.store.commit import commit_manifest, place_snapshot
from ftetl.store.durable_file import DurableFile, read_back_error
from ftetl.store.filesystem import Link
from ftetl.store.manifest import (
    JSON,
    Manifest,
    StoredFile,
    canonical_json,
    encode_manifest,
    intact_manifests,
    versions_in,
)
from ftetl.store.ownership import TEMP, TargetFolders

# Snapshots of the same files are still two if one of these facts differs.
TELLING_FACTS = ("identity", "contracts", "formats")


@dataclass(frozen=True)
class Commit:
    """What a commit came to: the manifest that is now the newest, whether it is new, what went wrong after it."""

    manifest: Manifest
    changed: bool
    warnings: list[str]


class _State(Enum):
    OPEN = "open"
    COMMITTING = "committing"  # the manifest may be visible: nothing may be undone
    OVER = "over"


class Transaction:
    """The place for one run's files; left without a commit, it removes them.

    `path` is where they are until then.
    """

    def __init__(
        self,
        folders: TargetFolders,
        run_id: str,
        *,
        base: Manifest | None,
        version: int,
        keep: int,
        committed: Callable[[Manifest], None],
    ) -> None:
        self.run_id = run_id
        self._temp = TEMP + run_id
        self.path = folders.snapshots.path / self._temp
        self._folders, self._fs = folders, folders.fs
        self._base, self._version, self._keep, self._committed = base, version, keep, committed
        self._sinks: dict[str, DurableFile] = {}
        self._files: dict[str, StoredFile] = {}
        self._stack = ExitStack()
        if not self._fs.make_folder(folders.snapshots, self._temp):
            raise SoftwareError("B03", "a run has one transaction at a time")
        self._state = _State.OPEN
        try:
            self._folder = self._stack.enter_context(self._fs.open_folder(folders.snapshots, self._temp))
            ownership.set_mode(self._fs, self._folder, folders.folder_mode)
        except FtetlError:
            self.discard()
            raise

    @property
    def files(self) -> dict[str, StoredFile]:
        """The files that were closed without an error, by name."""
        return dict(self._files)

    def create_file(self, name: str) -> BinaryIO:
        """A new file to write to; it belongs to the snapshot once it is closed. Many may be open, in any threads."""
        if self._state is not _State.OPEN or name in self._sinks:
            raise SoftwareError("B03", f"{name} was staged twice, or too late")
        sink = DurableFile(
            self._fs, self._folder, ownership.require_plain_name(name), mode=self._folders.file_mode, done=self._close
        )
        self._sinks[name] = sink
        return cast(BinaryIO, sink)

    def commit(self, facts: Mapping[str, JSON]) -> Commit:
        """Make the files the newest snapshot, unless the newest has the same ones and the same telling facts.

        Files that did not change are shared with the snapshot before. After an error nothing is left, except where
        the message says that the outcome is unknown.

        Raises:
            StorageError: A file does not read back as it was written, the disk is full, …
            TryLaterError: Another run committed meanwhile.
        """
        if self._state is not _State.OPEN:
            raise SoftwareError("B03", "this transaction is over")
        try:
            return self._commit(_plain_facts(facts))
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove what was staged, unless it is or may be committed; safe to call at any time, never fails."""
        if self._state is _State.OPEN:
            for sink in self._sinks.values():
                sink.abandon()
            folders = self._folders
            cleanup.collect_errors(
                (
                    partial(cleanup.remove_tree, self._fs, folders.snapshots, self._temp),
                    partial(cleanup.remove_uncommitted, self._fs, folders.snapshots, folders.manifests, self.run_id),
                )
            )
        self._state = _State.OVER
        self._stack.close()

    def __enter__(self) -> Transaction:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def _close(self, file: StoredFile) -> None:
        self._files[file.name] = file

    def _commit(self, facts: dict[str, Any]) -> Commit:
        self._read_back()
        base, warnings = self._base, list[str]()
        same = self._same_as(base, warnings) if base else set[str]()
        if base and self._changes_nothing(base, same, facts):
            self._fs.sync_folder(self._folders.manifests)  # whoever committed it may have died before this
            self.discard()
            return Commit(base, changed=False, warnings=warnings)
        if base and same:
            self._share(base, same)
        files = tuple(file for _, file in sorted(self._files.items()))
        made_from = base.version if base else None
        manifest = Manifest(self._version, self.run_id, made_from, iso(now()), files, facts)
        data = encode_manifest(manifest)
        place_snapshot(self._folders, self._folder, self.run_id, data, first=base is None)
        self._state = _State.COMMITTING
        if problem := commit_manifest(self._folders, self.run_id, self._version, data):
            self._state = _State.OPEN
            raise problem
        self._committed(manifest)
        warnings += self._tidy()
        self.discard()
        return Commit(manifest, changed=True, warnings=warnings)

    def _read_back(self) -> None:
        there = self._fs.list_names(self._folder)
        if {*self._files} - {*there}:  # by a run on another machine, where locks are not shared
            what = f"another run removed files of this one from {self.path}"
            raise TryLaterError("C02", what, next="run again, and never two at once on such a file system")
        if self._files.keys() != self._sinks.keys() or there != sorted(self._files):
            raise SoftwareError("B03", "a staged file was not closed, or was not made by the transaction")
        for file in self._files.values():
            if self._fs.digest(self._folder, file.name) != (file.bytes, file.sha256):
                raise read_back_error(self._folder, file.name)

    def _same_as(self, base: Manifest, warnings: list[str]) -> set[str]:
        """The files that lie in the base with the very same bytes, which now have this run's mode there too."""
        fs, folders = self._fs, self._folders
        same: set[str] = set()
        try:
            with fs.open_folder(folders.snapshots, base.run_id) as folder:
                ownership.set_mode(fs, folder, folders.folder_mode)
                for file in base.files:
                    if self._files.get(file.name) != file:
                        continue
                    if fs.digest(folder, file.name) != (file.bytes, file.sha256):
                        raise read_back_error(folder, file.name)
                    fs.chmod_file(folder, file.name, folders.file_mode)
                    same.add(file.name)
        except FtetlError as error:  # what is damaged there is sound here
            warnings.append(f"version {base.version} could not be reused: {error}")
        return same

    def _changes_nothing(self, base: Manifest, same: set[str], facts: dict[str, Any]) -> bool:
        unchanged = same == self._files.keys() == {file.name for file in base.files}
        return unchanged and all(facts.get(name) == base.facts.get(name) for name in TELLING_FACTS)

    def _share(self, base: Manifest, names: set[str]) -> None:
        with self._fs.open_folder(self._folders.snapshots, base.run_id) as old:
            for name in sorted(names):
                try:
                    link = self._fs.link(old, name, self._folder, TEMP + name)
                except FtetlError:
                    continue  # our own copy does as well
                if link is Link.MADE:
                    self._fs.rename(self._folder, TEMP + name, self._folder, name)

    def _tidy(self) -> list[str]:
        fs, folders = self._fs, self._folders
        said: list[str] = []
        operations = (
            lambda: fs.sync_folder(folders.manifests),
            lambda: fs.unlink(folders.manifests, self._temp),
            lambda: cleanup.update_current_link(fs, folders.root, self.run_id),
            lambda: said.extend(self._collect()),
        )
        return [f"after the commit: {line}" for line in cleanup.collect_errors(operations) + said]

    def _collect(self) -> list[str]:
        fs, folders = self._fs, self._folders
        found = versions_in(fs.list_names(folders.manifests))
        manifests = list(intact_manifests(found, lambda name: fs.read_bytes(folders.manifests, name)))
        times = [(manifest.version, parse_iso(manifest.committed_at)) for manifest in manifests]
        stay = retention.versions_to_keep(times, keep=self._keep, now=now())
        expired = [manifest for manifest in manifests if manifest.version not in stay]
        return cleanup.remove_expired(fs, folders.snapshots, folders.manifests, expired)


def _plain_facts(facts: Mapping[str, JSON]) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(canonical_json(facts))
    except (TypeError, ValueError):
        raise SoftwareError("B03", "the facts of a commit are no JSON") from None
    return plain
