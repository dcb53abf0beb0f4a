"""Rebuilds all tables offline, from the archive, with the current contracts.

The runs that made a version are repeated in a second target in the scratch folder. Its tables become the next version,
unless they are the same as the newest.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftetl.clock import parse_iso
from ftetl.config import limits
from ftetl.config.settings import Settings
from ftetl.errors import ConfigError, DataError, FtetlError, UsageError
from ftetl.extract.archive import Archive
from ftetl.extract.privacy.pseudonyms import IDENTITY, MODE, Pseudonyms, read_pseudonyms
from ftetl.loading import formats
from ftetl.pipeline import guards, key_defaults, list_watermark
from ftetl.pipeline.progress import Progress
from ftetl.pipeline.replay import ReplayedProvenance, ReplayedSource
from ftetl.pipeline.run import Run
from ftetl.run_report import Report
from ftetl.store.manifest import snapshot_folder
from ftetl.store.target import Commit, Target

_BLOCK = 1 << 20
_KEPT_FACTS = ("identity", key_defaults.FACT)  # what the archive does not tell: who the key was


def rebuild_tables(target: Target, settings: Settings, progress: Progress) -> tuple[list[Report], Commit]:
    """Rebuild the tables of a target: the reports of the repeated runs, and the commit.

    Raises:
        DataError: The archive does not reach back to the first version, or a saved response is gone.
        StorageError: The archive is damaged.
    """
    reports: list[Report] = []
    with Archive(target) as archive:
        archive.drop_unfinished(target.base, target.version)
        entries = _version_chain(archive.entries(), target.base.version if target.base else None, target.path)
        privacy, pseudonyms = _privacy(target, settings, entries)
        folder = target.scratch_folder() / "rebuild"
        for entry in entries:
            if entry.get("rebuilt"):
                continue  # a rebuild adds nothing to what the runs before it were made from
            source = ReplayedSource(archive, entry, target.scratch_folder(), pseudonyms)
            with contextlib.closing(source):
                past_settings = _past_settings(settings, entry, folder)
                reports.append(_repeat_run(source, entry, past_settings, privacy, progress))
        with Target(folder) as rebuilt, target.begin_transaction() as transaction:
            assert rebuilt.base is not None
            for file in rebuilt.base.files:
                path = snapshot_folder(folder, rebuilt.base) / file.name
                with path.open("rb") as old, transaction.create_file(file.name) as new:
                    shutil.copyfileobj(old, new, _BLOCK)
            archive.write_index(target.version, _index_entry(target, entries[-1]))
            times = list_watermark.newest_whole_at(target), list_watermark.details_at(target)
            assert target.base is not None  # since there are entries
            kept = {name: target.base.facts[name] for name in _KEPT_FACTS if name in target.base.facts}
            commit = transaction.commit({**rebuilt.base.facts, **kept})
            with contextlib.suppress(FtetlError):  # committed
                list_watermark.write_newest_whole_at(target, commit.manifest.run_id, *times)
            return reports, commit


def _privacy(
    target: Target, settings: Settings, entries: Iterable[dict[str, Any]]
) -> tuple[dict[str, str], Pseudonyms | None]:
    """How the target treats personal data, and the pseudonyms for saved responses that are read once more.

    Raises:
        ConfigError: The key is missing, or is another one.
        UsageError: There is a key, but the target has no pseudonyms.
    """
    assert target.base is not None  # since there are entries
    identity = target.base.facts["identity"]
    privacy = {name: str(identity[name]) for name in IDENTITY if name in identity}
    pseudonyms = read_pseudonyms(settings)
    if pseudonyms is not None:
        if privacy.get(MODE) != settings.pii:
            raise UsageError("P14", "the target has no pseudonyms", next="leave out --pii-key-file")
        guards.require_same_privacy(privacy, pseudonyms.identity)
    elif privacy.get(MODE) == "hash" and any("path" in response for entry in entries for response in entry["answers"]):
        raise ConfigError(
            "P12",
            "saved responses are read once more, and the key of the target's pseudonyms is missing",
            next="give it with --pii-key-file",
        )
    elif privacy.get(MODE) == "drop":
        pseudonyms = Pseudonyms(None)
    return privacy, pseudonyms


def _past_settings(settings: Settings, entry: dict[str, Any], folder: Path) -> Settings:
    """The settings of a past run; a list that passed the guards then passes them now.

    Values that the current contracts cannot read are refused as in an export.
    """
    past = entry["settings"]
    formats.require_known(past["formats"])
    return replace(
        settings,
        target=folder,
        source="archive",
        events=past["events"],
        project=past["project"],
        billing_account=past.get("billing_account"),  # an older ftetl did not have it
        billing_account_name=past.get("billing_account_name"),
        quarantine="ok" if past["quarantine"] == "fail" else past["quarantine"],
        csv_raw=past["csv_raw"],
        formats=tuple(past["formats"]),
        skip_broken=True,
        whole=True,  # the archive says which response is
        allow_shrink=True,
        allow_account_change=True,
        allow_drift=settings.allow_drift or past.get("allow_drift", False),  # an older ftetl did not have it
        observed_at=None,
        keep=limits.MIN_KEPT,
    )


def _repeat_run(
    source: ReplayedSource, entry: dict[str, Any], settings: Settings, privacy: Mapping[str, str], progress: Progress
) -> Report:
    with Target(settings.target, file_mode=settings.file_mode, keep=limits.MIN_KEPT) as target:
        if target.base is not None and entry["whole_at"] is not None:
            list_watermark.write_newest_whole_at(target, target.base.run_id, parse_iso(entry["whole_at"]))
        return Run(settings, source, target, ReplayedProvenance(source, target), privacy, progress).execute()


def _index_entry(target: Target, last: dict[str, Any]) -> dict[str, Any]:
    """The archive's entry about the version that the rebuild makes."""
    return {
        "run_id": target.run_id,
        "version": target.version,
        "base": last["version"],
        "base_run": target.base.run_id if target.base else None,
        "rebuilt": True,
        "whole_at": None,
        "service": last["service"],
        "settings": last["settings"],
        "answers": [],
        "details": [],
    }


def _version_chain(entries: Iterable[dict[str, Any]], newest: int | None, path: Path) -> list[dict[str, Any]]:
    """The entries of the newest version and of all that led to it, the oldest first.

    Raises:
        DataError: One is missing: what came in that run cannot be repeated.
    """
    by_version = {entry["version"]: entry for entry in entries}
    chain: list[dict[str, Any]] = []
    version = newest
    while version is not None and version in by_version:
        chain.append(by_version.pop(version))
        version = chain[-1]["base"]
    if not chain or version is not None:
        raise DataError(
            "A03",
            f"the archive of {path} does not tell what each of its versions was made from",
            next="restore _ftetl/archive from a backup; the tables that are there were not touched",
        )
    return chain[::-1]
