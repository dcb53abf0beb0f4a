"""Decides whether a folder may be a target (empty, or a target already, and this user's), and opens it as one.

A folder with other content is refused before the first write.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ftetl.errors import ConfigError, SoftwareError, StorageError, TargetError
from ftetl.store.durable_file import write_durable_file
from ftetl.store.filesystem import Folder, Fs
from ftetl.store.lock import LOCK_FILE, Lock
from ftetl.store.manifest import CONTROL, FILE_NAME, MANIFESTS, SNAPSHOTS, canonical_json

FORMAT = "format"
RUNS = "runs"
FAILED = "failed"
VERSION = 1
SIGNATURE = canonical_json({"format": VERSION, "tool": "ftetl"}) + b"\n"
TEMP = ".tmp-"
_ELSEWHERE = "choose an empty folder, or one that does not exist yet"


@dataclass(frozen=True)
class TargetFolders:
    """The open folders of a target that this run has locked, and the permissions of its files and folders."""

    fs: Fs
    run_id: str
    lock: Lock
    root: Folder
    control: Folder
    snapshots: Folder
    manifests: Folder
    runs: Folder
    failed: Folder
    file_mode: int
    folder_mode: int


def open_target_folders(
    fs: Fs, path: Path, stack: ExitStack, *, run_id: str, file_mode: int, lock_timeout: float
) -> TargetFolders:
    """Open and lock a target until the stack is closed; what is missing is made.

    Raises:
        TargetError: It cannot be a target: not a folder, a link, with other content, or another user's.
        TryLaterError: Another process holds it.
        ConfigError: A newer ftetl made it.
    """
    mode = file_mode | (file_mode & 0o444) >> 2
    root, control = _open(fs, path, stack, mode)
    lock = Lock(fs, control, timeout=lock_timeout)
    stack.callback(lock.release)
    if not is_target(fs, root, control):
        temp = f"{TEMP}{run_id}-{FORMAT}"
        write_durable_file(fs, control, temp, SIGNATURE, mode=file_mode)
        fs.rename(control, temp, control, FORMAT)
    if fs.lstat(root, SNAPSHOTS) is None:  # the signature may be of a run that was killed before it was durable
        fs.sync_folder(control)
        fs.sync_folder(root)
    set_mode(fs, control, mode)
    return TargetFolders(
        fs,
        run_id,
        lock,
        root,
        control,
        snapshots=open_part(fs, root, SNAPSHOTS, stack, mode=mode),
        manifests=open_part(fs, control, MANIFESTS, stack, mode=mode),
        runs=open_part(fs, control, RUNS, stack, mode=mode),
        failed=open_part(fs, control, FAILED, stack, mode=0o700),
        file_mode=file_mode,
        folder_mode=mode,
    )


def _open(fs: Fs, path: Path, stack: ExitStack, mode: int) -> tuple[Folder, Folder]:
    made = make_folders(fs, path)
    root = open_root(fs, path, stack)
    if made:
        set_mode(fs, root, mode)
    if fs.lstat(root, CONTROL) is None:
        if fs.list_names(root) and fs.lstat(root, CONTROL) is None:  # not made by a run that began meanwhile
            raise foreign_folder_error(root)
        fs.make_folder(root, CONTROL)
    control = stack.enter_context(fs.open_folder(root, CONTROL))
    is_target(fs, root, control)
    for folder in (root, control):
        require_writable(fs, folder)
    return root, control


def open_root(fs: Fs, path: Path, stack: ExitStack) -> Folder:
    """Open the root of a target until the stack is closed; its content is not checked.

    Raises:
        TargetError: It is not a folder, or a link, or another user's.
    """
    root = stack.enter_context(open_real_folder(fs, path))
    status, user = fs.lstat(root, "."), os.geteuid()
    if status and user != 0 and status.st_uid not in (0, user):
        raise TargetError("S19", f"{root.path} belongs to another user", next="choose a folder of this user's own")
    return root


def is_target(fs: Fs, root: Folder, control: Folder) -> bool:
    """True for a target; False for a folder that a run began, or is about, to make one.

    Raises:
        TargetError: It has other content.
        ConfigError: A newer ftetl made it.
    """
    # The format file is written before all names but those tolerated here: so list first, then read it.
    others = set(fs.list_names(root)) - {CONTROL} or {
        name for name in fs.list_names(control) if name != LOCK_FILE and not name.startswith(TEMP)
    }
    raw = fs.read_bytes(control, FORMAT)
    if raw is None:
        if others:
            raise foreign_folder_error(root)
        return False
    require_known_format(raw, f"{control.path / FORMAT}", f"{root.path}")
    return True


def require_known_format(raw: bytes, file: str, target: str) -> None:
    """Check the content of a target's format file.

    Raises:
        TargetError: ftetl did not write it.
        ConfigError: A newer ftetl did.
    """
    version = _version(raw)
    if version is None:
        raise TargetError("S16", f"{file} is not ftetl's", next=_ELSEWHERE)
    if version > VERSION:
        what = f"{target} was written by a newer ftetl: its format is {version}, this one knows {VERSION}"
        raise ConfigError("S15", what, next="install a newer ftetl")


def open_part(fs: Fs, parent: Folder, name: str, stack: ExitStack, *, mode: int) -> Folder:
    """Open one of a target's own folders with this mode; it is made if missing.

    Raises:
        TargetError: It is a link or a file, or not writable.
    """
    fs.make_folder(parent, name)
    folder = stack.enter_context(fs.open_folder(parent, name))
    set_mode(fs, folder, mode)
    require_writable(fs, folder)
    return folder


def set_mode(fs: Fs, folder: Folder, mode: int) -> None:
    """Give a folder these permissions, unless it has them, or belongs to another user who lets this one write there."""
    status = fs.lstat(folder, ".")
    if status is not None and status.st_mode & 0o777 != mode and os.geteuid() in (0, status.st_uid):
        fs.chmod(folder.descriptor, mode, folder.path)


def require_writable(fs: Fs, folder: Folder) -> None:
    """Check that this user may make names in the folder, else raise a TargetError, before any work is lost."""
    if not fs.is_writable(folder):
        what = f"cannot write to {folder.path}: no permission, or the file system is read-only"
        raise TargetError("S03", what, next="give this user the right to, or choose another folder")


def _version(raw: bytes) -> int | None:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("tool") != "ftetl":
        return None
    version = document.get("format")
    return version if type(version) is int and version >= 1 else None


def make_folders(fs: Fs, path: Path) -> bool:
    """Make a folder and its parents, for this user alone; False where the name exists."""
    if fs.lstat(None, path) is not None:
        return False
    if path.parent != path:
        make_folders(fs, path.parent)
    try:
        return fs.make_folder(None, path)
    except StorageError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        # The parent exists: it is a link to nothing, or a folder in which the system makes no folders.
        what = f"cannot make {path}: no folder can be made in {path.parent}"
        raise TargetError("S18", what, next=_ELSEWHERE) from error


def open_real_folder(fs: Fs, path: Path) -> Folder:
    """Open a folder.

    Raises:
        TargetError: It is a link, or not a folder.
    """
    status = fs.lstat(None, path)
    if status is not None and stat.S_ISLNK(status.st_mode):
        raise TargetError("S18", f"{path} is a symbolic link", next="give the folder that it leads to")
    if status is not None and not stat.S_ISDIR(status.st_mode):
        raise TargetError("S18", f"{path} is not a folder", next=_ELSEWHERE)
    return fs.open_folder(None, path)


def world_writable_warnings(fs: Fs, root: Folder) -> list[str]:
    """A warning where everybody may change the target; no error, since the volumes of containers are like that."""
    statuses = ((fs.lstat(root, "."), f"{root.path}"), (fs.lstat(root, ".."), f"the folder that {root.path} is in"))
    return [
        f"{what} can be changed by everybody; outside a container, take that right away (chmod o-w)"
        for status, what in statuses
        if status and status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX
    ]


def foreign_folder_error(root: Folder) -> TargetError:
    """The error for a folder with other content."""
    return TargetError("S16", f"{root.path} is not empty and not a target of ftetl", next=_ELSEWHERE)


def require_plain_name(name: str) -> str:
    """The name, if a target may have such a file; nothing from outside ever becomes a path."""
    if not FILE_NAME.fullmatch(name):
        raise SoftwareError("B03", "the name of a file is not a plain name")
    return name
