"""Publishes the table files of the newest snapshot as real files in a folder, for readers that do not follow links.

Each file is replaced as a whole, and left alone if it is right already. Several files cannot be replaced at once, so
`ftetl-published.json` records which belong together. Only files in that record are ever replaced or removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ftetl.errors import ConfigError, FtetlError, TargetError, UsageError
from ftetl.loading import formats
from ftetl.run_report import Published
from ftetl.store import cleanup, ownership
from ftetl.store.durable_file import read_back_error
from ftetl.store.manifest import FILE_NAME, RUN_ID, Manifest, StoredFile, canonical_json, snapshot_folder
from ftetl.store.target import Target

RECORD = "ftetl-published.json"
VERSION = 1
_OWNER = "shelf"  # the document in which a target keeps the id by which its publish folders know it
_TEMP = ownership.TEMP + "ftetl-"
_TEMP_NAME = re.compile(rf"{re.escape(_TEMP)}{RUN_ID.pattern}-.+\.part")
_ELSEWHERE = "move it away, or publish into another folder"


def require_apart(path: Path, target: Path) -> None:
    """Check that the publish folder is not inside the target.

    Raises:
        UsageError: It is, or is the target.
    """
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(target)):
        raise UsageError("W01", f"{path} is in the target {target}", next="publish into a folder outside of it")


class PublishFolder:
    """A folder to publish to, made if missing, open until the stack is closed.

    `names` are the files that may be published.

    Raises:
        TargetError: It is not writable, is a link, or has files of these names that ftetl did not publish.
        ConfigError: Another target is published there, or a newer ftetl published it.
    """

    def __init__(self, target: Target, path: Path, names: Iterable[str], stack: ExitStack) -> None:
        self._target, self._fs, self.path = target, target.fs, path
        made = ownership.make_folders(self._fs, path)
        self._folder = stack.enter_context(ownership.open_real_folder(self._fs, path))
        if made:
            ownership.set_mode(self._fs, self._folder, target.folder_mode)
        ownership.require_writable(self._fs, self._folder)
        self._record = self._read_record()
        self._owner = self._require_same_owner()
        self._refuse_foreign_files({*filter(formats.is_table_file, names), *self._files})
        self._remove_temporary()

    def publish(self, manifest: Manifest) -> tuple[Published, list[str]]:
        """Publish this version. Failures are warnings, since the version is committed."""
        replaced: list[str] = []
        warnings: list[str] = []
        version = manifest.version
        try:
            self._publish(manifest, replaced, warnings)
        except FtetlError as error:
            warnings.append(f"version {version} is committed, but not published to {self.path}: {error}")
            version = 0
        self._remove_temporary()
        return Published(str(self.path), version, tuple(replaced)), warnings

    def _publish(self, manifest: Manifest, replaced: list[str], warnings: list[str]) -> None:
        fs, folder = self._fs, self._folder
        wanted = {f.name: f for f in manifest.files if formats.is_table_file(f.name)}
        stale = [file for file in wanted.values() if not self._is_published(file)]
        obsolete = [n for n in self._files if n not in wanted and fs.lstat(folder, n) is not None]
        record = self._new_record(manifest, wanted.values())
        if not stale and not obsolete and record == self._record:
            return
        # All copies are made before the first file is replaced: a full disk leaves the old files as they are.
        temps = {}
        with fs.open_folder(None, snapshot_folder(self._target.path, manifest)) as snapshot:
            for file in stale:
                temps[file.name] = self._write_temporary(file, partial(fs.copy, snapshot, file.name), warnings)
        if stale or obsolete:
            both = self._files | record["files"]  # if this run is killed, the next one knows all of them as ftetl's
            self._write_record({**record, "complete": False, "files": both}, warnings)
        for name, temp in temps.items():
            fs.rename(folder, temp, folder, name)
            replaced.append(name)
        for name in obsolete:
            fs.unlink(folder, name)
        fs.sync_folder(folder)
        self._write_record(record, warnings)

    @property
    def _files(self) -> dict[str, Any]:
        """The files that ftetl published there, by name."""
        files: dict[str, Any] = self._record.get("files", {})
        return files

    def _is_published(self, file: StoredFile) -> bool:
        """Whether the file is there with the same bytes; then it gets this run's mode."""
        with contextlib.suppress(FtetlError):
            if self._fs.digest(self._folder, file.name) == (file.bytes, file.sha256):
                with contextlib.suppress(TargetError):  # some file systems have no modes
                    self._fs.chmod_file(self._folder, file.name, self._target.file_mode)
                return True
        return False

    def _write_temporary(self, file: StoredFile, write: Callable[[int, Path], None], warnings: list[str]) -> str:
        """The temporary name of a new file that is durable and was read back."""
        fs, folder, mode = self._fs, self._folder, self._target.file_mode
        temp = f"{_TEMP}{self._target.run_id}-{file.name}.part"
        path = folder.path / temp
        descriptor = fs.create(folder, temp)
        try:
            write(descriptor, path)
            try:
                fs.chmod(descriptor, mode, path)
            except TargetError:  # FAT and some shares have no modes but those that they were mounted with
                line = f"{folder.path} does not support the mode {mode:04o}; its mount options decide who may read it"
                warnings += [line] if line not in warnings else []
            fs.sync(descriptor, path)
        except BaseException:
            with contextlib.suppress(FtetlError):
                fs.close(descriptor, path)
            raise
        fs.close(descriptor, path)
        if fs.digest(folder, temp) != (file.bytes, file.sha256):
            raise read_back_error(folder, temp)
        return temp

    def _new_record(self, manifest: Manifest, files: Iterable[StoredFile]) -> dict[str, Any]:
        """The record for a complete folder with these files of this version."""
        return {
            "tool": "ftetl",
            "format": VERSION,
            "complete": True,
            "owner": self._owner,
            "project": manifest.facts["identity"]["project"],
            "version": manifest.version,
            "run_id": manifest.run_id,
            "committed_at": manifest.committed_at,
            "files": {file.name: {k: v for k, v in asdict(file).items() if k != "name"} for file in files},
        }

    def _write_record(self, record: dict[str, Any], warnings: list[str]) -> None:
        data = canonical_json(record) + b"\n"
        file = StoredFile(RECORD, len(data), hashlib.sha256(data).hexdigest())
        temp = self._write_temporary(file, lambda d, p: self._fs.write(d, data, p), warnings)
        self._fs.rename(self._folder, temp, self._folder, RECORD)
        self._fs.sync_folder(self._folder)
        self._record = record

    def _read_record(self) -> dict[str, Any]:
        """The record of the last publication; empty where there was none."""
        raw = self._fs.read_bytes(self._folder, RECORD)
        if raw is None:
            return {}
        path = self.path / RECORD
        try:
            record = json.loads(raw)
            valid = record["tool"] == "ftetl" and isinstance(record["owner"], str) and type(record["format"]) is int
            valid = valid and isinstance(record["files"], dict)
            valid = valid and all(FILE_NAME.fullmatch(name) and formats.is_table_file(name) for name in record["files"])
        except (ValueError, TypeError, KeyError, RecursionError):
            valid = False
        if not valid:
            what = f"{path} is not ftetl's, or damaged"
            raise TargetError("W02", what, next="move it and the tables beside it away")
        if record["format"] > VERSION:
            raise ConfigError("W03", f"{path} was written by a newer ftetl", next="install a newer ftetl")
        return dict(record)

    def _require_same_owner(self) -> str:
        """The id of the target, which is made at its first publication and moves with it."""
        owner = str(self._target.read_document(_OWNER).get("owner", ""))
        if self._record and self._record["owner"] != owner:
            what = f"{self.path} holds the tables of another target (project {self._record.get('project')!r})"
            raise ConfigError("W04", what, next="publish each target into a folder of its own, or empty this one first")
        if not owner:
            owner = secrets.token_hex(8)
            self._target.write_document(_OWNER, {"owner": owner})
        return owner

    def _refuse_foreign_files(self, names: set[str]) -> None:
        for name in sorted(names):
            status = self._fs.lstat(self._folder, name)
            if status is None:
                continue
            if not stat.S_ISREG(status.st_mode):
                raise TargetError("W05", f"{self.path / name} is not a regular file", next=_ELSEWHERE)
            if name not in self._files:
                raise TargetError("W06", f"{self.path / name} was not published by ftetl", next=_ELSEWHERE)

    def _remove_temporary(self) -> None:
        """Remove what killed runs left; what cannot be removed now is removed the next time."""
        fs, folder = self._fs, self._folder
        with contextlib.suppress(FtetlError):
            names = [name for name in fs.list_names(folder) if _TEMP_NAME.fullmatch(name)]
            cleanup.collect_errors(partial(fs.unlink, folder, name) for name in names)
