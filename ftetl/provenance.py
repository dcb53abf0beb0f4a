"""What a version was made from, for the archive: the answers, what came of each detail, and the settings that count.

With it a rebuild can repeat every run. Knows the archive and what was received, no tables.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ftetl import observed
from ftetl.answers import Answer, Source, stamp
from ftetl.archive import Archive
from ftetl.clock import iso
from ftetl.errors import DataError
from ftetl.listed import masked
from ftetl.recall import Recall
from ftetl.receive import Received
from ftetl.settings import Settings
from ftetl.store import Target

SETTINGS = ("events", "project", "quarantine", "csv_raw", "formats")  # the others do not decide what the tables hold


def note(archive: Archive, settings: Settings, source: Source, given: Received, recall: Recall, target: Target) -> None:
    """Keep the answers and say what the version that is about to be committed was made from, durably."""
    answers = [_answer(archive, a) for a in given.answers if not a.detail]
    if settings.observed_at:
        for entry in recall.entries:
            entry["observed_at"] = iso(settings.observed_at)
    archive.sync()
    whole_at = observed.newest_whole_at(target)  # also from runs that changed nothing, which have no entry
    archive.note(
        target.version,
        {
            "run_id": target.run_id,
            "version": target.version,
            "base": target.base.version if target.base else None,
            "whole_at": iso(whole_at) if whole_at else None,
            "service": source.service,
            "settings": {name: getattr(settings, name) for name in SETTINGS},
            "answers": answers,
            "details": recall.entries,
        },
    )


def _answer(archive: Archive, answer: Answer) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": answer.name,
        "observed_at": iso(answer.observed_at),
        "shape": answer.shape.value,
        "whole": answer.whole,
    }
    path = answer.path
    if path is None:  # from the network, or through stdin: there is no other copy
        return {**entry, "sha256": archive.keep(masked(answer.blob)), "bytes": answer.blob.size}
    try:
        told = {**entry, "path": str(path.resolve()), "sha256": digest(path), "bytes": path.stat().st_size}
        same = answer.stamp == stamp(path)
    except OSError:
        same = False
    if not same:
        raise DataError(f"{path} was changed while it was read; nothing was committed", next="export it again")
    return told


def digest(path: Path) -> str:
    """The SHA-256 of a saved answer as its owner has it, packed or not."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
