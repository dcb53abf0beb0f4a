"""All tables and the history again, offline, from what every version was made from, with today's contracts.

Each run is repeated in its order in a target beside, from the archive's exact bytes, through the same corridor; what
comes out becomes the next version, or nothing does if it is what is there. Knows how to repeat a run, not what is in
one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftetl.clock import parse_iso
from ftetl.config.settings import Settings
from ftetl.errors import ConfigError, DataError, FtetlError, UsageError
from ftetl.extract.archive import Archive
from ftetl.extract.details import fingerprints
from ftetl.extract.privacy.pseudonyms import IDENTITY, MODE, Pseudonyms, read_pseudonyms
from ftetl.extract.privacy.redacting_source import RedactingSource
from ftetl.extract.source import Detail, Outcome, Source, SourceStats
from ftetl.extract.sources.files import SavedFiles
from ftetl.load import formats
from ftetl.pipeline import guards, list_watermark, provenance, run
from ftetl.pipeline.progress import Progress
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response, Shape
from ftetl.run_report import Report
from ftetl.store.manifest import snapshot_folder
from ftetl.store.target import Commit, Target

_BLOCK = 1 << 20


class Past:
    """A source that answers as the sources of a run did."""

    notes: tuple[str, ...] = ()
    stats = SourceStats()

    def __init__(
        self, archive: Archive, entry: dict[str, Any], scratch: Path, pseudonyms: Pseudonyms | None = None
    ) -> None:
        self._archive, self._entry, self._scratch, self._pseudonyms = archive, entry, scratch, pseudonyms
        self.service: str | None = entry["service"]
        self.asked = {d["job_id"]: d for d in entry["details"]}
        self._stack = ExitStack()

    def responses(self) -> Iterator[Response]:
        """The answers of that run, at the times at which they came."""
        for told in self._entry["answers"]:
            blob = self._saved(told).blob if "path" in told else Memory(self._archive.read_body(told["sha256"]))
            yield Response(told["name"], blob, parse_iso(told["observed_at"]), Shape(told["shape"]), told["whole"])

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:
        """What came of the details that were asked for then."""
        for job_id in job_ids:
            told = self.asked[job_id]
            response = None
            if "sha256" in told:
                blob = Memory(self._archive.read_body(told["sha256"]))
                response = Response(told["name"], blob, parse_iso(told["observed_at"]), detail=True)
            yield Detail(job_id, Outcome(told["outcome"]), response)

    def close(self) -> None:
        """Close the saved files; safe to call twice."""
        self._stack.close()

    def _saved(self, told: dict[str, Any]) -> Response:
        path = Path(told["path"])
        advice = "put it back to rebuild from it"
        if not path.is_file():
            raise DataError("A04", f"the saved answer {path} is gone", next=advice)
        if path.stat().st_size != told["bytes"] or provenance.digest(path) != told["sha256"]:
            raise DataError("A05", f"the saved answer {path} is not the one that was exported", next=advice)
        source: Source = SavedFiles(path, scratch=lambda: self._scratch)
        if self._pseudonyms:  # what is in the archive has passed them already
            source = RedactingSource(source, self._pseudonyms, lambda: self._scratch)
        self._stack.callback(source.close)
        return next(iter(source.responses()))


class _Replayed:
    """The memory of a run that is repeated: it asks for what was asked for then, and keeps nothing."""

    def __init__(self, past: Past, made: Target) -> None:
        self._past = past
        self._known = fingerprints.read_fingerprints(snapshot_folder(made.path, made.base) if made.base else None)

    def is_unchanged(self, job_id: str, listed: bytes) -> bool:
        """Whether it was confirmed then; a job that today's contracts are the first to accept was not."""
        return job_id not in self._past.asked and self._known.get(job_id) == listed

    def needs_fetch(self, job_id: str, listed: bytes) -> bool:  # noqa: ARG002 - as it was then, whatever the rule is now
        """Whether this job's detail was asked for."""
        return job_id in self._past.asked

    def get(self, job_id: str, listed: bytes) -> Detail | None:  # noqa: ARG002
        """Nothing: what was kept is among the details of that run."""
        return None

    def put(self, detail: Detail, listed: bytes, *, usable: bool) -> None:
        """Nothing: it lies in the archive."""


def rebuild(target: Target, settings: Settings, progress: Progress | None = None) -> tuple[Report | None, Commit]:
    """The tables of a target made again; the last repeated run's report, and what the commit came to.

    Raises:
        DataError: The archive does not reach back to the first version, or a saved answer is gone.
        StorageError: The archive is damaged.
    """
    report: Report | None = None
    with Archive(target) as archive:
        archive.drop_unfinished(target.base, target.version)
        entries = _chain(archive.entries(), target.base.version if target.base else None, target.path)
        people, pseudonyms = _people(target, settings, entries)
        beside = target.scratch_folder() / "rebuild"
        for entry in entries:
            past = Past(archive, entry, target.scratch_folder(), pseudonyms)
            report = _repeat(past, entry, settings, beside, people, progress) or report
        with Target(beside) as made, target.begin_transaction() as transaction:
            assert made.base is not None
            for file in made.base.files:
                with (
                    (snapshot_folder(beside, made.base) / file.name).open("rb") as old,
                    transaction.create_file(file.name) as new,
                ):
                    while block := old.read(_BLOCK):
                        new.write(block)
            archive.write_index(target.version, _marker(target, entries))
            whole_at = list_watermark.newest_whole_at(target)
            commit = transaction.commit(dict(made.base.facts))
            with contextlib.suppress(FtetlError):  # committed
                list_watermark.remember(target, commit.manifest.run_id, whole_at)
            return report, commit


def _people(
    target: Target, settings: Settings, entries: Iterable[dict[str, Any]]
) -> tuple[dict[str, str], Pseudonyms | None]:
    """How the target treats people's data, and what stands for them in the saved answers that are read once more.

    Raises:
        ConfigError: A key is wanted and there is none, or there is another one.
        UsageError: There is a key, and no pseudonyms.
    """
    assert target.base is not None  # since there is a chain
    identity = target.base.facts["identity"]
    people = {name: str(identity[name]) for name in IDENTITY if name in identity}
    given = read_pseudonyms(settings)
    if given is not None:
        if people.get(MODE) != settings.pii:
            raise UsageError("P14", "the target has no pseudonyms", next="leave out --pii-key-file")
        guards.same_people(people, given.identity)
    elif people.get(MODE) == "hash" and any("path" in told for entry in entries for told in entry["answers"]):
        raise ConfigError(
            "P12",
            "saved answers are read once more, and the key of the target's pseudonyms is missing",
            next="give it with --pii-key-file",
        )
    elif people.get(MODE) == "drop":
        given = Pseudonyms(None)
    return people, given


def _repeat(
    past: Past,
    entry: dict[str, Any],
    settings: Settings,
    beside: Path,
    people: Mapping[str, str],
    progress: Progress | None,
) -> Report | None:
    if entry.get("rebuilt"):
        return None  # a rebuild adds nothing to what the runs before it were made from
    told = entry["settings"]
    formats.require_known(told["formats"])
    again = replace(
        settings,
        target=beside,
        source="archive",
        events=told["events"],
        project=told["project"],
        billing_account=told.get("billing_account"),  # an older ftetl did not know of it
        billing_account_name=told.get("billing_account_name"),
        quarantine="ok" if told["quarantine"] == "fail" else told["quarantine"],
        csv_raw=told["csv_raw"],
        formats=tuple(told["formats"]),
        allow_shrink=True,  # what had passed the guards then passes them now
        allow_account_change=True,
        observed_at=None,
        keep=1,
    )
    try:
        with Target(beside, file_mode=settings.file_mode, keep=1) as made:
            if made.base is not None and entry["whole_at"] is not None:
                list_watermark.remember(made, made.base.run_id, parse_iso(entry["whole_at"]))
            return run.repeat(again, past, made, _Replayed(past, made), people, progress)
    finally:
        past.close()


def _marker(target: Target, entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "run_id": target.run_id,
        "version": target.version,
        "base": entries[-1]["version"],
        "rebuilt": True,
        "whole_at": None,
        "service": entries[-1]["service"],
        "settings": entries[-1]["settings"],
        "answers": [],
        "details": [],
    }


def _chain(entries: Iterable[dict[str, Any]], newest: int | None, path: Path) -> list[dict[str, Any]]:
    """What the newest version was made from, and the one it was built on, down to the first; the oldest first.

    Raises:
        DataError: There is a gap: what came in it could not be made again.
    """
    by_version = {entry["version"]: entry for entry in entries}
    chain: list[dict[str, Any]] = []
    at = newest
    while at is not None and at in by_version:
        chain.append(by_version.pop(at))
        at = chain[-1]["base"]
    if not chain or at is not None:
        raise DataError(
            "A03",
            f"the archive of {path} does not tell what each of its versions was made from",
            next="restore _ftetl/archive from a backup; the tables that are there were not touched",
        )
    return chain[::-1]
