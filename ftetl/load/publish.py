"""The folder of `--publish`: real files at a fixed place, for readers that do not follow links.

Each table file of the newest snapshot stands there as a copy that is replaced as a whole; a file that is right
already is not touched. Several files cannot be replaced at once, so `ftetl-published.json` tells which belong
together. Other people's files may be there too: only what that record names is ever replaced or removed.
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
from ftetl.load import formats
from ftetl.run_report import Published
from ftetl.store import cleanup, ownership
from ftetl.store.durable_file import read_back_error
from ftetl.store.manifest import FILE_NAME, RUN_ID, Manifest, StoredFile, canonical_json, snapshot_folder
from ftetl.store.target import Target

RECORD = "ftetl-published.json"
VERSION = 1
_OWNER = "shelf"  # the document in which a target keeps who it is to its shelves
_TEMP = ownership.TEMP + "ftetl-"
_LEFT = re.compile(rf"{re.escape(_TEMP)}{RUN_ID.pattern}-.+\.part")
_ELSEWHERE = "move it away, or publish into another folder"


def require_apart(path: Path, target: Path) -> None:
    """Nothing, if the folder is not in the target, whose own folders are kept in order by other rules.

    Raises:
        UsageError: It is, or is the target.
    """
    real, home = (Path(os.path.realpath(p)) for p in (path, target))
    if real.is_relative_to(home):
        raise UsageError("W01", f"{path} is in the target {target}", next="publish into a folder outside of it")


class PublishFolder:
    """A folder that is ours to publish to, open until the stack is closed; made where it is missing.

    `names` are the files that may come to stand there.

    Raises:
        TargetError: It cannot be written to, is a link, or has files of these names that ftetl did not put there.
        ConfigError: Another target is published there, or a newer ftetl did it.
    """

    def __init__(self, target: Target, path: Path, names: Iterable[str], stack: ExitStack) -> None:
        self._target, self._fs, self.path = target, target.fs, path
        made = ownership.make_folders(self._fs, path)
        self._folder = stack.enter_context(ownership.open_real_folder(self._fs, path))
        if made:
            mode = target.file_mode | (target.file_mode & 0o444) >> 2
            ownership.set_mode(self._fs, self._folder, mode)
        ownership.require_writable(self._fs, self._folder)
        self._record = self._read()
        self._owner = self._known_to_the_target()
        self._refuse_anothers({*filter(formats.is_table_file, names), *self._files})
        self._sweep()

    def publish(self, manifest: Manifest) -> tuple[Published, list[str]]:
        """Let this version stand there; what went wrong is a warning, for the version is committed."""
        replaced: list[str] = []
        warnings: list[str] = []
        version = manifest.version
        try:
            self._fill(manifest, replaced, warnings)
        except FtetlError as error:
            warnings.append(f"version {version} is committed, but not published to {self.path}: {error}")
            version = 0
        self._sweep()
        return Published(str(self.path), version, tuple(replaced)), warnings

    def _fill(self, manifest: Manifest, replaced: list[str], warnings: list[str]) -> None:
        fs, folder = self._fs, self._folder
        wanted = {f.name: f for f in manifest.files if formats.is_table_file(f.name)}
        stale = [file for name, file in wanted.items() if not self._is_right(file)]
        gone = [n for n in self._files if n not in wanted and fs.lstat(folder, n) is not None]
        record = self._told(manifest, wanted.values())
        if not stale and not gone and record == self._record:
            return
        # All copies are there before the first name changes hands: a full disk leaves the old files as they are.
        temps = {}
        with fs.open_folder(None, snapshot_folder(self._target.path, manifest)) as snapshot:
            for file in stale:
                temps[file.name] = self._beside(file, partial(fs.copy, snapshot, file.name), warnings)
        if stale or gone:
            both = self._files | record["files"]  # whoever goes on after us knows them as ours
            self._tell({**record, "complete": False, "files": both}, warnings)
        for name, temp in temps.items():
            fs.rename(folder, temp, folder, name)
            replaced.append(name)
        for name in gone:
            fs.unlink(folder, name)
        fs.sync_folder(folder)
        self._tell(record, warnings)

    @property
    def _files(self) -> dict[str, Any]:
        """What ftetl put there."""
        files: dict[str, Any] = self._record.get("files", {})
        return files

    def _is_right(self, file: StoredFile) -> bool:
        """Whether the file stands there with the very same bytes; then it gets this run's mode, if it has another."""
        with contextlib.suppress(FtetlError):
            if self._fs.digest(self._folder, file.name) == (file.bytes, file.sha256):
                with contextlib.suppress(TargetError):  # as where there are no modes
                    self._fs.chmod_file(self._folder, file.name, self._target.file_mode)
                return True
        return False

    def _beside(self, file: StoredFile, put: Callable[[int, Path], None], warnings: list[str]) -> str:
        """The temporary name of a new file that is durable and reads back as it should."""
        fs, folder, mode = self._fs, self._folder, self._target.file_mode
        temp = f"{_TEMP}{self._target.run_id}-{file.name}.part"
        path = folder.path / temp
        descriptor = fs.create(folder, temp)
        try:
            put(descriptor, path)
            try:
                fs.chmod(descriptor, mode, path)
            except TargetError:  # FAT and some shares have no modes but those that they were mounted with
                line = f"{folder.path} does not take the mode {mode:04o}; who may read it is up to how it is mounted"
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

    def _told(self, manifest: Manifest, files: Iterable[StoredFile]) -> dict[str, Any]:
        """What the record says when this version stands there."""
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

    def _tell(self, record: dict[str, Any], warnings: list[str]) -> None:
        data = canonical_json(record) + b"\n"
        file = StoredFile(RECORD, len(data), hashlib.sha256(data).hexdigest())
        temp = self._beside(file, lambda d, p: self._fs.write(d, data, p), warnings)
        self._fs.rename(self._folder, temp, self._folder, RECORD)
        self._fs.sync_folder(self._folder)
        self._record = record

    def _read(self) -> dict[str, Any]:
        """The record of whoever published here last; empty where nobody did."""
        raw = self._fs.read_bytes(self._folder, RECORD)
        if raw is None:
            return {}
        place = self.path / RECORD
        try:
            record = json.loads(raw)
            ours = record["tool"] == "ftetl" and isinstance(record["owner"], str) and type(record["format"]) is int
            ours = ours and isinstance(record["files"], dict)
            ours = ours and all(FILE_NAME.fullmatch(name) and formats.is_table_file(name) for name in record["files"])
        except (ValueError, TypeError, KeyError, RecursionError):
            ours = False
        if not ours:
            raise TargetError(
                "W02", f"{place} is not ftetl's, or damaged", next="move it and the tables beside it away"
            )
        if record["format"] > VERSION:
            raise ConfigError("W03", f"{place} was written by a newer ftetl", next="install a newer ftetl")
        return dict(record)

    def _known_to_the_target(self) -> str:
        """Who the target is to its shelves: a word that it keeps, wherever it is moved to."""
        owner = str(self._target.read_document(_OWNER).get("owner", ""))
        if self._record and self._record["owner"] != owner:
            what = f"{self.path} holds the tables of another target (project {self._record.get('project')!r})"
            raise ConfigError("W04", what, next="publish each target into a folder of its own, or empty this one first")
        if not owner:
            owner = secrets.token_hex(8)
            self._target.write_document(_OWNER, {"owner": owner})
        return owner

    def _refuse_anothers(self, names: set[str]) -> None:
        for name in sorted(names):
            status = self._fs.lstat(self._folder, name)
            if status is None:
                continue
            if not stat.S_ISREG(status.st_mode):
                raise TargetError("W05", f"{self.path / name} is no regular file", next=_ELSEWHERE)
            if name not in self._files:
                raise TargetError("W06", f"{self.path / name} was not put there by ftetl", next=_ELSEWHERE)

    def _sweep(self) -> None:
        """Remove what killed runs left; what cannot be removed now can be the next time."""
        fs, folder = self._fs, self._folder
        with contextlib.suppress(FtetlError):
            left = [name for name in fs.list_names(folder) if _LEFT.fullmatch(name)]
            cleanup.collect_errors(partial(fs.unlink, folder, name) for name in left)
