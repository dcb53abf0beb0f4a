"""A target folder: one writer at a time, the newest snapshot, the transaction for the next one."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from ftetl.clock import now
from ftetl.config.settings import FILE_MODE, KEEP, LOCK_TIMEOUT
from ftetl.errors import ConfigError, FtetlError, SoftwareError
from ftetl.store import cleanup, manifest, ownership
from ftetl.store.durable_file import write_durable_file
from ftetl.store.filesystem import PRIVATE, Folder, Fs
from ftetl.store.manifest import JSON, RUN_ID, Manifest, canonical_json
from ftetl.store.ownership import TEMP
from ftetl.store.transaction import Commit, Transaction

__all__ = ["Commit", "Target", "Transaction"]

KEPT_FAILED_RUNS = 5


class Target:
    """A target folder, made if missing, that only this process may write to until it is closed.

    `base` is the newest intact manifest, `has_manifests` whether there is any, intact or not, `version` the number of
    the next commit, `run_id` the name of this run, and `warnings` what was wrong when the target was opened.

    Args:
        lock_timeout: in seconds.
        file_mode: of files; in `folder_mode`, everybody who may read a file may enter as well.
        keep: the number of newest snapshots to keep; never fewer than `limits.MIN_KEPT` are kept.
        elsewhere: files of the newest snapshot that are not in the folder: it is a copy of a target in an object store.

    Raises:
        TargetError: The folder is not writable, is unsafe, or is not a target.
        TryLaterError: Another run holds it.
        ConfigError: A newer ftetl wrote it, or the file mode is not possible.
    """

    def __init__(
        self,
        path: Path,
        *,
        lock_timeout: float = LOCK_TIMEOUT,
        file_mode: int = FILE_MODE,
        keep: int = KEEP,
        elsewhere: Collection[str] = (),
        fs: Fs | None = None,
    ) -> None:
        if file_mode & 0o600 != 0o600 or file_mode & ~0o664:
            raise ConfigError("P06", f"a file mode of {file_mode:04o} is not possible", next="use 0600, 0640 or 0644")
        self.path = path
        self.run_id = f"{now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        self.warnings: list[str] = []
        self.file_mode = file_mode
        self.fs = fs or Fs()
        self._keep, self._elsewhere = keep, elsewhere
        self._scratch = f"{TEMP}scratch-{self.run_id}"
        with ExitStack() as stack:
            self._folders = ownership.open_target_folders(
                self.fs, path, stack, run_id=self.run_id, file_mode=file_mode, lock_timeout=lock_timeout
            )
            self.folder_mode = self._folders.folder_mode
            self._find_base_and_clean_up()
            remove_scratch = partial(cleanup.remove_tree, self.fs, self._folders.control, self._scratch)
            stack.callback(cleanup.collect_errors, [remove_scratch])
            self._stack = stack.pop_all()

    def _find_base_and_clean_up(self) -> None:
        fs, folders = self.fs, self._folders
        self.warnings += ownership.world_writable_warnings(fs, folders.root)
        current = cleanup.read_current_link(fs, folders.root)
        versions = manifest.versions_in(fs.list_names(folders.manifests))
        self.version = max(versions, default=0) + 1  # the number of a damaged manifest is not used again

        def read(name: str) -> bytes | None:
            return fs.read_bytes(folders.manifests, name)

        def has_folder(candidate: Manifest) -> bool:
            return fs.lstat(folders.snapshots, candidate.run_id) is not None

        def committed() -> set[str]:
            return {intact.run_id for intact in manifest.intact_manifests(versions, read)}

        intact = manifest.intact_manifests(versions, read, self.warnings)
        self.base = manifest.first_with_folder(intact, has_folder, self.warnings)
        # An empty manifest is a name that a killed run reserved, where there are no hard links: nothing was lost.
        self.has_manifests = self.base is not None or any(read(manifest.manifest_name(v)) for v in versions)
        self.warnings += cleanup.remove_unfinished(folders, committed)
        self.warnings += cleanup.remove_temporary(folders)
        if self.base is not None and current != self.base.run_id:
            update = partial(cleanup.update_current_link, fs, folders.root, self.base.run_id)
            self.warnings += cleanup.collect_errors([update])

    def begin_transaction(self) -> Transaction:
        """The transaction for this run's files; a run commits once."""
        if self.base is not None and self.base.run_id == self.run_id:
            raise SoftwareError("B03", "a run commits only once")
        return Transaction(
            self._folders,
            base=self.base,
            version=self.version,
            keep=self._keep,
            elsewhere=self._elsewhere,
            committed=self._committed,
        )

    def confirm_base(self) -> bool:
        """Whether every file of the newest version is as it was written; they get this run's mode, and are durable.

        It is what a commit does that changes nothing.
        """
        fs, folders, base = self.fs, self._folders, self.base
        if base is None:
            return False
        try:
            with fs.open_folder(folders.snapshots, base.run_id) as folder:
                if any(fs.digest(folder, file.name) != (file.bytes, file.sha256) for file in base.files):
                    return False
                ownership.set_mode(fs, folder, folders.folder_mode)
                for file in base.files:
                    fs.chmod_file(folder, file.name, folders.file_mode)
            fs.sync_folder(folders.manifests)
        except FtetlError:  # the run that goes on instead says what is wrong
            return False
        return True

    def write_run_record(self, run_id: str, document: Mapping[str, JSON]) -> None:
        """Write or replace `_ftetl/runs/<run_id>.json`."""
        try:
            data = canonical_json(document) + b"\n"
        except (TypeError, ValueError):
            raise SoftwareError("B03", "the record of a run is not JSON") from None
        self.replace_file(self._folders.runs, f"{_require_run_id(run_id)}.json", data)

    def write_document(self, name: str, document: Mapping[str, JSON]) -> None:
        """Write or replace a small document beside the versions, `_ftetl/<name>.json`."""
        file = f"{ownership.require_plain_name(name)}.json"
        self.replace_file(self._folders.control, file, canonical_json(document) + b"\n")

    def read_document(self, name: str) -> dict[str, Any]:
        """Such a document; empty where it does not exist or is damaged."""
        raw = self.fs.read_bytes(self._folders.control, f"{ownership.require_plain_name(name)}.json")
        try:
            document = json.loads(raw or b"{}")
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    def write_cache(self, name: str, data: bytes) -> None:
        """Write or replace `_ftetl/<name>`, which can be deleted at any time."""
        self.replace_file(self._folders.control, ownership.require_plain_name(name), data)

    def read_cache(self, name: str) -> bytes | None:
        """Such a file; None where it does not exist."""
        return self.fs.read_bytes(self._folders.control, ownership.require_plain_name(name))

    def keep_failed_response(self, run_id: str, name: str, data: bytes) -> None:
        """Write `_ftetl/failed/<run_id>/<name>`, readable for this user only; the last 5 failed runs are kept."""
        fs, failed = self.fs, self._folders.failed
        ownership.require_plain_name(name)
        with ExitStack() as stack:
            folder = ownership.open_part(fs, failed, _require_run_id(run_id), stack, mode=0o700)
            self.replace_file(folder, name, data, temp_in=self._folders.control, mode=PRIVATE)
        others = [name for name in fs.list_names(failed) if RUN_ID.fullmatch(name) and name != run_id]
        ages = {name: status.st_mtime_ns for name in others if (status := fs.lstat(failed, name))}
        for old in sorted(ages, key=ages.__getitem__)[: 1 - KEPT_FAILED_RUNS]:
            cleanup.remove_tree(fs, failed, old)

    def replace_file(
        self, folder: Folder, name: str, data: bytes, *, temp_in: Folder | None = None, mode: int | None = None
    ) -> None:
        """Write a small file, or replace it as a whole, durably.

        Its temporary file is in the same folder, which may be a file system of its own, or in `temp_in`: the folders
        in which the next run removes what a killed one left.
        """
        temp, inside = f"{TEMP}{self.run_id}-{name}", temp_in or folder
        write_durable_file(self.fs, inside, temp, data, mode=mode or self.file_mode)
        self.fs.rename(inside, temp, folder, name)
        self.fs.sync_folder(folder)

    def scratch_folder(self) -> Path:
        """A folder for temporary files, readable for this user only, removed when the target is closed."""
        self.fs.make_folder(self._folders.control, self._scratch)
        return self._folders.control.path / self._scratch

    def open_part(self, name: str, stack: ExitStack, *, inside: Folder | None = None) -> Folder:
        """A folder of `_ftetl`, or inside such a folder, made if missing, open until the stack is closed."""
        return ownership.open_part(self.fs, inside or self._folders.control, name, stack, mode=self.folder_mode)

    def close(self) -> None:
        """Remove temporary files and release the lock; safe to call twice."""
        self._stack.close()

    def __enter__(self) -> Target:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _committed(self, newest: Manifest) -> None:
        self.base, self.version = newest, newest.version + 1


def _require_run_id(text: str) -> str:
    if not RUN_ID.fullmatch(text):
        raise SoftwareError("B03", "the name of a run is not a run id")
    return text
