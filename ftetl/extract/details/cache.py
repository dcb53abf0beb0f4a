"""The cache of details: fetched ones outlive a run that is killed, and the next run does not fetch them again.

A detail is stored in the archive as soon as it was received, with a line about it in `_ftetl/details/`. It is reused
only while the document that was listed is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import msgspec

from ftetl.clock import SKEW, iso, now, parse_iso
from ftetl.errors import StorageError
from ftetl.extract.archive import Archive
from ftetl.extract.outcome import Outcome
from ftetl.extract.source import Detail
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response
from ftetl.store.manifest import RUN_ID
from ftetl.store.target import Target

FOLDER = "details"
SUFFIX = ".jsonl"


class _Entry(msgspec.Struct):
    """One line about a usable detail."""

    job_id: str
    listed: str  # fingerprint of the listed document, in hexadecimal digits
    sha256: str  # name of the body in the archive
    name: str
    observed_at: str


_entry = msgspec.json.Decoder(_Entry)


class DetailCache:
    """The cached details of one target, and what is stored of those of this run; close it before the target.

    `finished` are the fingerprints of `fingerprints.finished_jobs`.
    """

    def __init__(self, target: Target, archive: Archive, finished: Mapping[str, bytes]) -> None:
        self._fs, self._archive, self._finished = target.fs, archive, finished
        self._stack = ExitStack()
        self._folder = target.open_part(FOLDER, self._stack)
        self._mode = target.file_mode
        self._file = f"{target.run_id}{SUFFIX}"
        self._descriptor = -1
        committed = f"{target.base.run_id}{SUFFIX}" if target.base else ""  # its run died after its commit
        self._cached = self._read({committed})
        self.entries: list[dict[str, Any]] = []  # the outcome of each detail, for the archive's index

    def close(self) -> None:
        """Close the file and the folder; safe to call twice."""
        if self._descriptor >= 0:
            self._fs.close(self._descriptor, self._folder.path / self._file)
            self._descriptor = -1
        self._stack.close()

    def is_unchanged(self, job_id: str, listed: bytes) -> bool:
        """Whether the job ended at least three days ago, and is listed as it was when its detail was fetched."""
        return self._finished.get(job_id) == listed

    def needs_fetch(self, job_id: str, listed: bytes) -> bool:  # noqa: ARG002 - all that are not unchanged
        """Whether to fetch the detail of a job that is not unchanged: always."""
        return True

    def get(self, job_id: str, listed: bytes) -> Detail | None:
        """The detail that a killed run has fetched for the same listed document."""
        entry = self._cached.get((job_id, listed.hex()))
        if entry is None:
            return None
        try:
            body = self._archive.read_body(entry.sha256)
        except StorageError:
            return None  # the run was killed while it was written; it is fetched again
        observed_at = parse_iso(entry.observed_at)
        if observed_at > now() + SKEW:
            return None  # its run was dated by a clock that was ahead
        response = Response(entry.name, Memory(body), observed_at, detail=True)
        return Detail(job_id, Outcome.HERE, response)

    def put(self, detail: Detail, listed: bytes, *, usable: bool) -> None:
        """Store a detail, or that there is none; one that is not usable is fetched again."""
        entry: dict[str, Any] = {"job_id": detail.job_id, "outcome": detail.outcome.value}
        if detail.response is not None:
            entry["sha256"] = self._archive.store(detail.response.blob)
            entry |= {"name": detail.response.name, "observed_at": iso(detail.response.observed_at)}
        self.entries.append(entry)
        if usable and (detail.job_id, listed.hex()) not in self._cached:
            self._append(msgspec.json.encode({**entry, "listed": listed.hex()}) + b"\n")

    def clear(self) -> None:
        """Remove the files of this and of earlier runs; call it at the end of a run."""
        for name in sorted(self._names()):
            self._fs.unlink(self._folder, name)

    def _append(self, line: bytes) -> None:
        path = self._folder.path / self._file
        if self._descriptor < 0:
            self._descriptor = self._fs.create(self._folder, self._file)
            self._fs.chmod(self._descriptor, self._mode, path)
        self._fs.write(self._descriptor, line, path)

    def _names(self) -> set[str]:
        names = self._fs.list_names(self._folder)
        return {name for name in names if name.endswith(SUFFIX) and RUN_ID.fullmatch(name.removesuffix(SUFFIX))}

    def _read(self, ignored: set[str]) -> dict[tuple[str, str], _Entry]:
        entries: dict[tuple[str, str], _Entry] = {}
        for name in sorted(self._names() - ignored):
            for line in (self._fs.read_bytes(self._folder, name) or b"").splitlines():
                try:
                    entry = _entry.decode(line)
                    parse_iso(entry.observed_at)
                except (msgspec.MsgspecError, ValueError):
                    continue  # the last line of a killed run may be cut
                entries[entry.job_id, entry.listed] = entry
        return entries
