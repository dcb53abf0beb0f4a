"""Runs on a target in an object store: on a local copy of its newest version, whose outcome is committed in the store.

The run on the copy is the one on a target folder. Its commit counts only once the store has its manifest. If another
run has committed that version meanwhile, everything is done again on a copy of the new version, with the responses
that were received.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from ftetl.config.object_address import ObjectAddress
from ftetl.config.settings import Settings
from ftetl.errors import PREFIX, FtetlError, TryLaterError
from ftetl.extract.remembered_source import RememberedSource
from ftetl.extract.sources import SERVICES, open_source
from ftetl.extract.sources.files import STDIN
from ftetl.loading import formats
from ftetl.pipeline import list_watermark, run_log, store_archive
from ftetl.pipeline.active_run import ARCHIVE, ActiveRun
from ftetl.remote import push, versions
from ftetl.remote.local_copy import TemporaryFolder, fetch_files, shown_as, write_objects
from ftetl.remote.object_store import ObjectStore, Stored
from ftetl.remote.versions import Newest
from ftetl.run_report import Report
from ftetl.store.cleanup import collect_errors
from ftetl.store.manifest import CONTROL, canonical_json, encode_manifest, newest_manifest
from ftetl.store.ownership import FAILED, FORMAT, RUNS, SIGNATURE
from ftetl.store.target import KEPT_FAILED_RUNS

_OBSERVED = f"{CONTROL}/{list_watermark.DOCUMENT}.json"

Run = Callable[[ActiveRun], Report]  # in a target folder
Load = Callable[[Settings, Report], Report]  # of the newest version of a target folder


@dataclass
class _Copy:
    """The newest version of a target, and a local copy of it."""

    newest: Newest
    folder: Path
    observed: Stored | None
    archived: set[str]  # keys of the archive that were downloaded
    elsewhere: frozenset[str] = frozenset()  # files of the version that no run reads, such as CSV


def export(active: ActiveRun, run: Run, load: Load) -> Report:
    """The report of an export; `run` does it from the source of its `ActiveRun`, `load` is what `--load` does.

    Raises:
        FtetlError: Nothing was committed, unless its code is O05: then that is unknown.
    """
    settings = active.settings
    with TemporaryFolder() as root:

        def scratch() -> Path:
            folder = root / "scratch"
            folder.mkdir(mode=0o700, exist_ok=True)
            return folder

        with closing(open_source(settings, scratch, active.progress.received)) as source:
            active.source = RememberedSource(source) if settings.source in SERVICES else source
            store = ObjectStore(_address(active))
            versions.prepare_target(store)
            return _run_until_committed(active, store, root, run, load)


def rebuild(active: ActiveRun, run: Run, load: Load) -> Report:
    """The report of a rebuild, which `run` does; `load` is what `--load` does.

    Raises:
        FtetlError: As `export`.
    """
    store = ObjectStore(_address(active))
    versions.require_target(store)
    with TemporaryFolder() as root:
        return _run_until_committed(active, store, root, run, load)


def _address(active: ActiveRun) -> ObjectAddress:
    assert active.settings.address is not None
    return active.settings.address


def _run_until_committed(active: ActiveRun, store: ObjectStore, root: Path, run: Run, load: Load) -> Report:
    can_repeat = active.settings.source != STDIN  # files are read again
    for number in range(versions.ATTEMPTS if can_repeat else 1):
        copy = _copy(store, root / str(number), with_archive=active.settings.source == ARCHIVE)
        folder, address = copy.folder, store.address
        attempt = replace(
            active,
            settings=replace(active.settings, target=folder, load=None),
            is_copy=True,
            attempt=None,
            elsewhere=copy.elsewhere,
        )
        active.attempt = attempt
        try:
            with shown_as(folder, address):
                report = run(attempt)
                is_over = not report.changed or _commit(active, store, copy)
        except FtetlError as error:
            _keep_evidence(store, folder, active.failure_report(error))
            raise
        if is_over:
            shown = (warning.replace(str(folder), str(address)) for warning in report.warnings)
            report = replace(report, target=str(address), warnings=(*shown, *_clean_up(active, store, copy, report)))
            report = load(replace(active.settings, target=folder), report)
            with contextlib.suppress(FtetlError):  # committed
                _write_record(store, report)
            return report
        shutil.rmtree(folder, ignore_errors=True)
    what = f"other runs committed to {store.address} while this one was working, each time"
    raise TryLaterError("O08", what, next="run again")


def _copy(store: ObjectStore, folder: Path, *, with_archive: bool) -> _Copy:
    """Download what a run needs: the newest version, and for a rebuild the archive."""
    newest = versions.find_newest(store)
    observed = store.get(_OBSERVED)
    copy = _Copy(newest, folder, observed, set())
    objects = {f"{CONTROL}/{FORMAT}": SIGNATURE, **({_OBSERVED: observed.data} if observed else {})}
    objects |= {versions.manifest_key(version): raw for version, raw in newest.raw.items()}
    write_objects(folder, objects)
    if newest.manifest is not None:
        names = {file.name for file in newest.manifest.files}
        copy.elsewhere = frozenset(name for name in names if not formats.is_read_back(name))
        fetch_files(store, folder, newest.manifest, newest.keys, names - copy.elsewhere)
        if with_archive:
            copy.archived = store_archive.download(store, folder, newest.manifest)
    return copy


def _commit(active: ActiveRun, store: ObjectStore, copy: _Copy) -> bool:
    """Upload the version that was committed in the copy, and commit it in the store; False if another run was first.

    Raises:
        FtetlError: As `versions.commit`.
    """
    manifest = newest_manifest(copy.folder)
    assert manifest is not None
    archived = store_archive.files(copy.folder) - copy.archived
    push.upload_version(store, copy.folder, manifest, copy.newest, archived)
    keys = versions.keys_of(manifest, copy.newest)
    raw = encode_manifest(manifest, keys)
    active.store_commit = lambda: manifest.version if versions.is_committed(store, manifest.version, raw) else None
    if versions.commit(store, manifest.version, manifest.run_id, raw):
        copy.newest = Newest(manifest.version, manifest, keys, {manifest.version: raw}, copy.newest.hint)
        return True
    active.store_commit = lambda: None
    push.remove_upload(store, manifest, copy.newest, archived)
    return False


def _clean_up(active: ActiveRun, store: ObjectStore, copy: _Copy, report: Report) -> list[str]:
    """What follows a commit, or a run that changed nothing; why something failed is a warning."""
    newest, document = copy.newest, copy.folder / _OBSERVED
    operations: list[Callable[[], object]] = []
    if document.is_file() and (copy.observed is None or copy.observed.data != document.read_bytes()):
        operations.append(lambda: store.replace(_OBSERVED, document.read_bytes(), copy.observed))
    if not report.changed:
        return collect_errors(operations)

    def tidy() -> None:
        if versions.write_hint(store, newest.number, report.run_id, newest.hint):
            push.remove_expired(store, newest, keep=active.settings.keep)  # never a version that is newer than the hint
        push.remove_oldest(store, f"{CONTROL}/{RUNS}", keep=run_log.MAX_RECORDS)

    return [f"after the commit: {line}" for line in collect_errors([*operations, tidy])]


def _keep_evidence(store: ObjectStore, folder: Path, report: Report) -> None:
    """Keep what a failed run keeps in a target folder: its record, and the responses that were refused."""
    if report.code and report.code.startswith(f"{PREFIX}O"):
        return  # the store itself failed
    with contextlib.suppress(FtetlError):
        if report.run_id:
            _write_record(store, report)
        push.upload_folder(store, folder, f"{CONTROL}/{FAILED}")
        push.remove_oldest(store, f"{CONTROL}/{FAILED}", keep=KEPT_FAILED_RUNS)


def _write_record(store: ObjectStore, report: Report) -> None:
    store.put(f"{CONTROL}/{RUNS}/{report.run_id}.json", canonical_json(report.as_dict()) + b"\n")
