"""Cleans up a target: what killed runs left, snapshots that are not retained, and the `current` link.

Called only with the lock held. Removes only names that ftetl gives, and never follows a link.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from functools import partial

from ftetl.config import limits
from ftetl.errors import FtetlError, TargetError
from ftetl.store.filesystem import Folder, Fs
from ftetl.store.manifest import MANIFESTS, RUN_ID, SNAPSHOTS, Manifest, manifest_name
from ftetl.store.ownership import TEMP, TargetFolders

CURRENT = "current"
RETAIN_ALL_FOR = timedelta(hours=24)
RETAIN_DAILY_FOR = timedelta(days=7)


def remove_tree(fs: Fs, folder: Folder, name: str) -> None:
    """Remove a file, a link, or a folder with its content; it may be gone already."""
    status = fs.lstat(folder, name)
    if status is None:
        return
    if not stat.S_ISDIR(status.st_mode):
        fs.unlink(folder, name)
        return
    with fs.open_folder(folder, name) as inner:
        for entry in fs.list_names(inner):
            remove_tree(fs, inner, entry)
    fs.remove_folder(folder, name)


def remove_temporary(folders: TargetFolders) -> list[str]:
    """Remove the temporary names in all folders of a target but that of the manifests, for `remove_unfinished`.

    Returns a warning for each failure.
    """
    fs, control = folders.fs, folders.control

    def clean(folder: Folder) -> list[str]:
        names = (name for name in fs.list_names(folder) if name.startswith(TEMP))
        return collect_errors(partial(remove_tree, fs, folder, name) for name in names)

    warnings = [*clean(folders.root), *clean(control), *clean(folders.snapshots)]
    for name in fs.list_names(control):
        status = fs.lstat(control, name)
        if name != MANIFESTS and status is not None and stat.S_ISDIR(status.st_mode):
            with fs.open_folder(control, name) as folder:
                warnings += clean(folder)
    return warnings


def remove_uncommitted(folders: TargetFolders, run_id: str) -> None:
    """Remove the snapshot folder of a run, and then, once that is durable, its temporary manifest."""
    fs, snapshots, manifests = folders.fs, folders.snapshots, folders.manifests
    if fs.lstat(manifests, TEMP + run_id) is None:
        return  # then there is no such folder either
    remove_tree(fs, snapshots, run_id)
    fs.sync_folder(snapshots)  # else a power loss may keep the folder, but not the manifest by which it is found
    remove_tree(fs, manifests, TEMP + run_id)


def remove_unfinished(folders: TargetFolders, committed: Callable[[], set[str]]) -> list[str]:
    """Remove the snapshots of runs that were killed before their commit, or while they removed an expired version.

    Such a run left its manifest under a temporary name. One with a second name is the link of a commit. `committed`
    gives the run ids of all committed versions.
    """
    fs, manifests = folders.fs, folders.manifests

    def undo(name: str) -> None:
        run_id, status = name.removeprefix(TEMP), fs.lstat(manifests, name)
        has_one_name = status is not None and status.st_nlink == 1
        if RUN_ID.fullmatch(run_id) and has_one_name and run_id not in committed():
            remove_uncommitted(folders, run_id)
        else:
            remove_tree(fs, manifests, name)

    names = [name for name in fs.list_names(manifests) if name.startswith(TEMP)]
    if not names:
        return []
    # The names may be those of a killed run that did not make them durable.
    return collect_errors([lambda: fs.sync_folder(manifests)]) or collect_errors(partial(undo, name) for name in names)


def versions_to_retain(committed: Iterable[tuple[int, datetime]], *, keep: int, now: datetime) -> set[int]:
    """Of all versions with their commit times, the newest `keep`, all of 24 hours, and the last of each day of a week.

    At least two are retained; days are those of UTC. The greater version is the newer one, whatever the clock said: a
    clock that goes back does not make a version older, one in the future counts as old as the version after it.
    """
    ordered: list[tuple[int, datetime]] = []
    newest = now
    for version, at in sorted(committed, reverse=True):
        newest = at if at <= now else newest
        ordered.append((version, newest))
    ordered.reverse()
    retained = {version for version, _ in ordered[-max(keep, limits.MIN_KEPT) :]}
    retained |= {version for version, at in ordered if now - at < RETAIN_ALL_FOR}
    last_of_day: dict[date, int] = {
        at.astimezone(UTC).date(): version for version, at in ordered if now - at < RETAIN_DAILY_FOR
    }
    return retained | set(last_of_day.values())


def remove_expired(folders: TargetFolders, expired: Iterable[Manifest]) -> list[str]:
    """Remove versions: first all their manifests, durably, then the folders; a warning for each failure."""
    fs, manifests = folders.fs, folders.manifests
    hidden: list[str] = []

    def hide(manifest: Manifest) -> None:
        fs.rename(manifests, manifest_name(manifest.version), manifests, TEMP + manifest.run_id)
        hidden.append(manifest.run_id)

    warnings = collect_errors(partial(hide, manifest) for manifest in expired)
    if not hidden:
        return warnings
    unsynced = collect_errors([lambda: fs.sync_folder(manifests)])
    return warnings + (unsynced or collect_errors(partial(remove_uncommitted, folders, run_id) for run_id in hidden))


def read_current_link(fs: Fs, root: Folder) -> str | None:
    """The run id that `current` points to; None where it does not exist.

    Raises:
        TargetError: It is not a link that ftetl made.
    """
    status = fs.lstat(root, CURRENT)
    if status is None:
        return None
    run_id = run_id_of_link(fs.link_text(root, CURRENT)) if stat.S_ISLNK(status.st_mode) else None
    if run_id is None:
        what = f"{root.path / CURRENT} is not the link that ftetl makes"
        raise TargetError("S14", what, next="move it away and run again")
    return run_id


def run_id_of_link(text: str) -> str | None:
    """The run id that a link named `current` with this text leads to; None if ftetl makes no such link."""
    folder, _, run_id = text.partition("/")
    return run_id if folder == SNAPSHOTS and RUN_ID.fullmatch(run_id) else None


def update_current_link(fs: Fs, root: Folder, run_id: str) -> None:
    """Point `current` at the snapshot of a run, atomically."""
    read_current_link(fs, root)
    temp = f"{TEMP}{CURRENT}-{run_id}"
    fs.symlink(f"{SNAPSHOTS}/{run_id}", root, temp)
    try:
        fs.rename(root, temp, root, CURRENT)
    except FtetlError:
        with contextlib.suppress(FtetlError):
            fs.unlink(root, temp)
        raise
    fs.sync_folder(root)


def collect_errors(operations: Iterable[Callable[[], object]]) -> list[str]:
    """Do all operations, also after one failed; the messages of those that did."""
    errors: list[str] = []
    for operation in operations:
        try:
            operation()
        except FtetlError as error:
            errors.append(str(error))
    return errors
