"""The cache of details: fetched ones outlive a run that is killed, and the next run does not fetch them again.

A detail is stored in the archive as soon as it was received, together with others that were ready at the same moment,
with a line about it in `_ftetl/details/`. It is reused only while the document that was listed is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any

import msgspec

from ftetl.clock import SKEW, iso, now, parse_iso
from ftetl.errors import FtetlError, StorageError
from ftetl.extract.archive import Archive
from ftetl.extract.outcome import Outcome
from ftetl.extract.source import Detail
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response
from ftetl.store.manifest import RUN_ID
from ftetl.store.target import Target

FOLDER = "details"
SUFFIX = ".jsonl"
PACKED_FROM = 500  # details of one run; a file for each of fewer, so that a scheduled run looks into no pack
_TOGETHER = 64  # bodies that are packed together


class _Entry(msgspec.Struct):
    """One line about a usable detail."""

    job_id: str
    listed: str  # fingerprint of the listed document, in hexadecimal digits
    sha256: str  # name of the body in the archive
    name: str
    observed_at: str
    pack: str = ""  # of the archive, that has the body; without one it has a file of its own


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
        self._is_packed = False
        self._waiting: list[tuple[dict[str, Any], bytes, str]] = []  # entry, body, fingerprint of a usable detail
        self.entries: list[dict[str, Any]] = []  # the outcome of each detail, for the archive's index

    def close(self) -> None:
        """Close the file and the folder; safe to call twice."""
        with suppress(FtetlError):  # the run has failed, or there is nothing to write
            self._store_waiting()
        if self._descriptor >= 0:
            self._fs.close(self._descriptor, self._folder.path / self._file)
            self._descriptor = -1
        self._stack.close()

    def expect(self, count: int) -> None:
        """Say how many details will be put: many are packed."""
        self._is_packed = count >= PACKED_FROM

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
            body = self._archive.read_body(entry.sha256, entry.pack)
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
        self.entries.append(entry)
        response = detail.response
        if response is not None:
            entry |= {"name": response.name, "observed_at": iso(response.observed_at)}
            line = listed.hex() if usable and (detail.job_id, listed.hex()) not in self._cached else ""
            self._waiting.append((entry, response.blob.read(0, response.blob.size), line))
        if not detail.is_followed or len(self._waiting) >= _TOGETHER:
            self._store_waiting()

    def _store_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        bodies = [body for _, body, _ in waiting]
        if self._is_packed and bodies:
            stored = self._archive.store_together(bodies)
        else:
            stored = [(self._archive.store(Memory(body)), "") for body in bodies]
        lines = []
        for (entry, _, listed), (sha256, pack) in zip(waiting, stored, strict=True):
            entry |= {"sha256": sha256, **({"pack": pack} if pack else {})}
            if listed:
                lines.append(msgspec.json.encode({**entry, "listed": listed}) + b"\n")
        if lines:
            self._append(b"".join(lines))

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
