"""A target folder: one writer at a time, the newest snapshot to build on, the place for the next one.

    with Target(path) as target, target.begin_transaction() as transaction:
        with transaction.create("name") as file:
            file.write(…)
        transaction.commit({"identity": …})

Bytes and names only: what the files hold is not known here.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from ftetl.clock import now
from ftetl.config.settings import FILE_MODE, KEEP, LOCK_TIMEOUT
from ftetl.errors import ConfigError, SoftwareError
from ftetl.store import cleanup, ownership
from ftetl.store.durable_file import write_durable_file
from ftetl.store.filesystem import Folder, Fs
from ftetl.store.manifest import (
    JSON,
    RUN_ID,
    Manifest,
    canonical_json,
    first_with_folder,
    intact_manifests,
    manifest_name,
    versions_in,
)
from ftetl.store.ownership import TEMP
from ftetl.store.transaction import Commit, Transaction

__all__ = ["Commit", "Target", "Transaction"]

EVIDENCE_KEPT = 5


class Target:
    """A target folder that this process alone may write to, until it is closed.

    `base` is the newest sound manifest, `has_manifests` whether there is any, sound or not, `version` what the next
    commit is numbered, `run_id` the name of this run, and `warnings` tells what was odd when the target was opened. A
    missing folder is made; `lock_timeout` is in seconds; a folder's mode is `file_mode` plus the right to enter
    wherever there is one to read.

    Raises:
        TargetError: The folder cannot be written to, is unsafe, or is not ours.
        TryLaterError: Another run holds it.
        ConfigError: A newer ftetl wrote it, or an argument is out of range.
    """

    def __init__(
        self,
        path: Path,
        *,
        lock_timeout: float = LOCK_TIMEOUT,
        file_mode: int = FILE_MODE,
        keep: int = KEEP,
        fs: Fs | None = None,
    ) -> None:
        if file_mode & 0o600 != 0o600 or file_mode & ~0o664:
            raise ConfigError("P06", f"a file mode of {file_mode:04o} is not possible", next="use 0600, 0640 or 0644")
        if keep < 1:
            raise ConfigError("P06", "at least one snapshot must be kept", next="use --keep 1 or more")
        self.path = path
        self.run_id = f"{now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        self.warnings: list[str] = []
        self._keep = keep
        self._fs = fs or Fs()
        with ExitStack() as stack:
            self._folders = ownership.open_target_folders(
                self._fs, path, stack, run_id=self.run_id, file_mode=file_mode, lock_timeout=lock_timeout
            )
            self._put_in_order()
            stack.callback(self._drop_scratch)
            self._stack = stack.pop_all()

    def _put_in_order(self) -> None:
        fs, folders = self._fs, self._folders
        self.warnings += ownership.world_writable_warnings(fs, folders.root)
        shown = cleanup.read_current_link(fs, folders.root)
        found = versions_in(fs.list_names(folders.manifests))
        self.version = max(found, default=0) + 1  # the number of a damaged manifest is not used again

        def read(name: str) -> bytes | None:
            return fs.read_bytes(folders.manifests, name)

        def present(manifest: Manifest) -> bool:
            return fs.lstat(folders.snapshots, manifest.run_id) is not None

        self.base = first_with_folder(intact_manifests(found, read, self.warnings), present, self.warnings)
        # An empty one is a name that a run had taken when it died, where there are no hard links: nothing was lost.
        self.has_manifests = self.base is not None or any(read(manifest_name(version)) for version in found)
        committed = lambda: {manifest.run_id for manifest in intact_manifests(found, read)}  # noqa: E731
        self.warnings += cleanup.remove_unfinished(fs, folders.snapshots, folders.manifests, committed)
        self.warnings += cleanup.remove_all_temporary(fs, folders.root, folders.control, folders.snapshots)
        if self.base is not None and shown != self.base.run_id:
            self.warnings += cleanup.collect_errors(
                [partial(cleanup.update_current_link, fs, folders.root, self.base.run_id)]
            )

    def begin_transaction(self) -> Transaction:
        """The place for this run's files; a run commits once."""
        if self.base is not None and self.base.run_id == self.run_id:
            raise SoftwareError("B03", "a run commits only once")
        return Transaction(
            self._folders,
            self.run_id,
            base=self.base,
            version=self.version,
            keep=self._keep,
            committed=self._committed,
        )

    def write_run_record(self, run_id: str, document: Mapping[str, JSON]) -> None:
        """Keep what a run has to tell, as `_ftetl/runs/<run_id>.json`, in place of what it told before."""
        try:
            data = canonical_json(document) + b"\n"
        except (TypeError, ValueError):
            raise SoftwareError("B03", "the record of a run is no JSON") from None
        self._replace(self._folders.runs, f"{_run_id(run_id)}.json", data, self._folders.file_mode)

    def write_document(self, name: str, document: Mapping[str, JSON]) -> None:
        """Keep a small document beside the versions, as `_ftetl/<name>.json`, in place of what it told before."""
        self._replace(
            self._folders.control,
            f"{ownership.require_plain_name(name)}.json",
            canonical_json(document) + b"\n",
            self.file_mode,
        )

    def read_document(self, name: str) -> dict[str, Any]:
        """Such a document; empty where there is none, or it is damaged."""
        raw = self._fs.read_bytes(self._folders.control, f"{ownership.require_plain_name(name)}.json")
        try:
            found = json.loads(raw or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def keep_failed_response(self, run_id: str, name: str, data: bytes) -> None:
        """Keep bytes of a failed run, as `_ftetl/failed/<run_id>/<name>`, for this user only; the last 5 runs stay."""
        fs, failed, name, run_id = self._fs, self._folders.failed, ownership.require_plain_name(name), _run_id(run_id)
        with ExitStack() as stack:
            self._replace(ownership.open_part(fs, failed, run_id, stack, mode=0o700), name, data, 0o600)
        others = [name for name in fs.list_names(failed) if RUN_ID.fullmatch(name) and name != run_id]
        ages = {name: status.st_mtime_ns for name in others if (status := fs.lstat(failed, name))}
        for old in sorted(ages, key=ages.__getitem__)[: 1 - EVIDENCE_KEPT]:
            cleanup.remove_tree(fs, failed, old)

    def scratch_folder(self) -> Path:
        """A folder for this run's temporary files, for this user only; it is removed when the target is closed."""
        self._fs.make_folder(self._folders.control, self._scratch)
        return self._folders.control.path / self._scratch

    @property
    def fs(self) -> Fs:
        """The operations on files that every part of the target goes through."""
        return self._fs

    @property
    def file_mode(self) -> int:
        """The permissions that files get."""
        return self._folders.file_mode

    def open_part(self, name: str, stack: ExitStack, *, inside: Folder | None = None) -> Folder:
        """A folder of `_ftetl`, or one inside of such a folder, open until the stack is closed; made where missing."""
        return ownership.open_part(
            self._fs, inside or self._folders.control, name, stack, mode=self._folders.folder_mode
        )

    def close(self) -> None:
        """Remove what was temporary and let others write; safe to call twice."""
        self._stack.close()

    def __enter__(self) -> Target:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _scratch(self) -> str:
        return f"{TEMP}scratch-{self.run_id}"

    def _drop_scratch(self) -> None:
        cleanup.collect_errors([partial(cleanup.remove_tree, self._fs, self._folders.control, self._scratch)])

    def _committed(self, manifest: Manifest) -> None:
        self.base, self.version = manifest, manifest.version + 1

    def _replace(self, folder: Folder, name: str, data: bytes, mode: int) -> None:
        control = self._folders.control
        temp = f"{TEMP}{self.run_id}-{name}"
        write_durable_file(
            self._fs, control, temp, data, mode=mode
        )  # beside, so that the janitor finds it wherever it was meant for
        self._fs.rename(control, temp, folder, name)
        self._fs.sync_folder(folder)


def _run_id(text: str) -> str:
    if not RUN_ID.fullmatch(text):
        raise SoftwareError("B03", "this is no run id of ours")
    return text
