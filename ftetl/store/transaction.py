"""One run's files: invisible while they are written, then committed together as a snapshot, or removed.

The link that gives a manifest its version is the commit point: every error before it undoes the run, and no error after
it fails the run. Where it is unknown whether the link was made (error O05), nothing is removed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, cast

from ftetl.clock import iso, now, parse_iso
from ftetl.errors import FtetlError, SoftwareError, TryLaterError
from ftetl.store import cleanup, manifest, ownership
from ftetl.store.commit import commit_manifest, place_snapshot
from ftetl.store.durable_file import DurableFile, read_back_error
from ftetl.store.filesystem import Link
from ftetl.store.manifest import JSON, Manifest, StoredFile
from ftetl.store.ownership import TEMP, TargetFolders

# A snapshot with the same files is a new version if one of these facts differs.
VERSIONED_FACTS = ("identity", "contracts", "formats")


@dataclass(frozen=True)
class Commit:
    """The manifest that is now the newest, whether it is new, and what failed after the commit."""

    manifest: Manifest
    changed: bool
    warnings: list[str]


class Transaction:
    """Collects one run's files in the folder `path`; closed without a commit, it removes them.

    Args:
        base: the newest version.
        version: the number of the next one.
        keep: the number of newest versions to keep; never fewer than `limits.MIN_KEPT` are kept.
        elsewhere: files of the newest version that are not in this folder: it is a copy of a target in an object store.
        committed: is called with the manifest after a commit.
    """

    def __init__(
        self,
        folders: TargetFolders,
        *,
        base: Manifest | None,
        version: int,
        keep: int,
        elsewhere: Collection[str] = (),
        committed: Callable[[Manifest], None],
    ) -> None:
        self._temp = TEMP + folders.run_id
        self.path = folders.snapshots.path / self._temp
        self._folders, self._fs = folders, folders.fs
        self._base, self._version, self._keep, self._committed = base, version, keep, committed
        self._elsewhere = frozenset(elsewhere)
        self._open_files: dict[str, DurableFile] = {}
        self.files: dict[str, StoredFile] = {}  # those that were closed without an error, or kept, by name
        self._kept: set[str] = set()  # those that are links to files of the newest version
        self._stack = ExitStack()
        if not self._fs.make_folder(folders.snapshots, self._temp):
            raise SoftwareError("B03", "a run has one transaction at a time")
        self._is_open = True  # False: the files are removed, or are or may be committed, and nothing may be undone
        try:
            self._folder = self._stack.enter_context(self._fs.open_folder(folders.snapshots, self._temp))
            ownership.set_mode(self._fs, self._folder, folders.folder_mode)
        except FtetlError:
            self.discard()
            raise

    def create_file(self, name: str) -> BinaryIO:
        """A new file, part of the snapshot once it is closed. Many may be open, in any threads."""
        if not self._is_open or name in self._open_files or name in self._kept:
            raise SoftwareError("B03", f"{name} was staged twice, or too late")
        ownership.require_plain_name(name)
        done = partial(self.files.__setitem__, name)
        file = DurableFile(self._fs, self._folder, name, mode=self._folders.file_mode, done=done)
        self._open_files[name] = file
        return cast(BinaryIO, file)

    def keep_files(self, names: Collection[str]) -> bool:
        """Take files of the newest version as hard links; False if one is damaged or cannot be linked, and none is."""
        if not self._is_open or self._base is None:
            return False
        files = {file.name: file for file in self._base.files if file.name in names}
        if files.keys() != {*names} or not self._elsewhere.isdisjoint(names):
            return False
        made: list[str] = []
        with self._fs.open_folder(self._folders.snapshots, self._base.run_id) as base_folder:
            for name in files:
                try:
                    is_intact = self._fs.digest(base_folder, name) == (files[name].bytes, files[name].sha256)
                    is_made = is_intact and self._fs.link(base_folder, name, self._folder, name) is Link.MADE
                except FtetlError:
                    is_made = False
                if not is_made:
                    for other in made:
                        self._fs.unlink(self._folder, other)
                    return False
                made.append(name)
        self.files |= files
        self._kept |= {*names}
        return True

    def commit(self, facts: Mapping[str, JSON]) -> Commit:
        """Make the files the newest snapshot, unless the newest has the same files and `VERSIONED_FACTS`.

        Files that did not change are shared with the snapshot before. After an error nothing is left, except where
        the message says that the outcome is unknown.

        Raises:
            StorageError: A file does not read back as it was written, the disk is full, …
            TryLaterError: Another run committed meanwhile.
        """
        if not self._is_open:
            raise SoftwareError("B03", "this transaction is over")
        try:
            return self._commit(_plain_facts(facts))
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove the files, unless they are or may be committed; safe to call at any time, never fails."""
        if self._is_open:
            for file in self._open_files.values():
                file.abandon()
            remove_staged = partial(cleanup.remove_tree, self._fs, self._folders.snapshots, self._temp)
            remove_placed = partial(cleanup.remove_uncommitted, self._folders, self._folders.run_id)
            cleanup.collect_errors([remove_staged, remove_placed])
        self._is_open = False
        self._stack.close()

    def __enter__(self) -> Transaction:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def _commit(self, facts: dict[str, Any]) -> Commit:
        self._read_back()
        base, warnings = self._base, list[str]()
        unchanged = self._unchanged_files(base, warnings) if base else set[str]()
        if base and self._changes_nothing(base, unchanged, facts):
            self._fs.sync_folder(self._folders.manifests)  # the run that committed it may have been killed before this
            self.discard()
            return Commit(base, changed=False, warnings=warnings)
        if base and unchanged:
            self._share_files(base, unchanged - self._kept)
        files = tuple(file for _, file in sorted(self.files.items()))
        previous = base.version if base else None
        newest = Manifest(self._version, self._folders.run_id, previous, iso(now()), files, facts)
        data = manifest.encode_manifest(newest)
        place_snapshot(self._folders, self._folder, data, first=base is None)
        self._is_open = False  # the manifest may be visible from here on
        if problem := commit_manifest(self._folders, self._version, data):
            self._is_open = True
            raise problem
        self._committed(newest)
        warnings += self._clean_up_after_commit()
        self.discard()
        return Commit(newest, changed=True, warnings=warnings)

    def _read_back(self) -> None:
        """Check that exactly the closed files are on the disk, byte for byte."""
        on_disk = self._fs.list_names(self._folder)
        if {*self.files} - {*on_disk}:  # by a run on another machine, where locks are not shared
            what = f"another run removed files of this one from {self.path}"
            raise TryLaterError("C02", what, next="run again, and never two at once on such a file system")
        if self.files.keys() != self._open_files.keys() | self._kept or on_disk != sorted(self.files):
            raise SoftwareError("B03", "a staged file was not closed, or was not made by the transaction")
        for file in self.files.values():
            if self._fs.digest(self._folder, file.name) != (file.bytes, file.sha256):
                raise read_back_error(self._folder, file.name)

    def _unchanged_files(self, base: Manifest, warnings: list[str]) -> set[str]:
        """The files that the base has with the same bytes; they get this run's mode there too."""
        fs, folders = self._fs, self._folders
        unchanged: set[str] = set()
        try:
            with fs.open_folder(folders.snapshots, base.run_id) as folder:
                ownership.set_mode(fs, folder, folders.folder_mode)
                for file in base.files:
                    if self.files.get(file.name) != file:
                        continue
                    if file.name in self._elsewhere:
                        unchanged.add(file.name)
                        continue
                    if fs.digest(folder, file.name) != (file.bytes, file.sha256):
                        raise read_back_error(folder, file.name)
                    fs.chmod_file(folder, file.name, folders.file_mode)
                    unchanged.add(file.name)
        except FtetlError as error:  # a file that is damaged there is intact here
            warnings.append(f"version {base.version} could not be reused: {error}")
        return unchanged

    def _changes_nothing(self, base: Manifest, unchanged: set[str], facts: dict[str, Any]) -> bool:
        same_files = unchanged == self.files.keys() == {file.name for file in base.files}
        return same_files and all(facts.get(name) == base.facts.get(name) for name in VERSIONED_FACTS)

    def _share_files(self, base: Manifest, names: set[str]) -> None:
        """Replace files by hard links to those of the base."""
        with self._fs.open_folder(self._folders.snapshots, base.run_id) as base_folder:
            for name in sorted(names):
                try:
                    link = self._fs.link(base_folder, name, self._folder, TEMP + name)
                except FtetlError:
                    continue  # this run's own copy stays
                if link is Link.MADE:
                    self._fs.rename(self._folder, TEMP + name, self._folder, name)

    def _clean_up_after_commit(self) -> list[str]:
        fs, folders = self._fs, self._folders
        removal_errors: list[str] = []
        operations = (
            lambda: fs.sync_folder(folders.manifests),
            lambda: fs.unlink(folders.manifests, self._temp),
            lambda: cleanup.update_current_link(fs, folders.root, folders.run_id),
            lambda: removal_errors.extend(self._remove_expired()),
        )
        return [f"after the commit: {line}" for line in cleanup.collect_errors(operations) + removal_errors]

    def _remove_expired(self) -> list[str]:
        fs, folders = self._fs, self._folders
        versions = manifest.versions_in(fs.list_names(folders.manifests))
        manifests = list(manifest.intact_manifests(versions, lambda name: fs.read_bytes(folders.manifests, name)))
        times = [(m.version, parse_iso(m.committed_at)) for m in manifests]
        retained = cleanup.versions_to_retain(times, keep=self._keep, now=now())
        return cleanup.remove_expired(folders, [m for m in manifests if m.version not in retained])


def _plain_facts(facts: Mapping[str, JSON]) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(manifest.canonical_json(facts))
    except (TypeError, ValueError):
        raise SoftwareError("B03", "the facts of a commit are not JSON") from None
    return plain
