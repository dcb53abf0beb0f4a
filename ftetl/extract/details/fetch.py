"""Which jobs of a list need their detail, and what the details that came are worth.

Knows neither how they are asked for nor what becomes of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import msgspec

from ftetl.errors import FtetlError
from ftetl.extract.source import Detail, Outcome
from ftetl.raw import fingerprint, secret_masking
from ftetl.raw import index as raw_index
from ftetl.raw.blob import Blob, Memory
from ftetl.raw.element import RefusedElement, Scan
from ftetl.raw.findings import Anomaly
from ftetl.raw.response import Response


class _Events(msgspec.Struct):
    events: list[msgspec.Raw] | None = None


_events = msgspec.json.Decoder(_Events)


@dataclass
class Details:
    """The details that came, and what is known of those that did not."""

    responses: list[Response] = field(default_factory=list)
    scans: list[Scan] = field(default_factory=list)
    had: set[str] = field(default_factory=set)  # jobs whose detail came and could be used
    failed: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    anomalies: list[Anomaly] = field(default_factory=list)


def wanting(response: Response, found: Scan) -> dict[str, bytes]:
    """The jobs of a list whose events are missing or empty there, in order, with the digest of what was listed.

    A job that is listed twice has no digest: which copy a digest would speak of is not known yet.
    """
    wanted: dict[str, bytes] = {}
    for index, job_id in enumerate(found.ids):
        raw = response.blob.read(found.offsets[index], found.lengths[index])
        if job_id in wanted or not _has_events(raw):
            wanted[job_id] = b"" if job_id in wanted else fingerprint.document_digest(raw)
    return wanted


def _has_events(raw: bytes) -> bool:
    try:
        return bool(_events.decode(raw).events)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False  # an odd job: its detail may be a clean one


def fetch(
    details: Iterable[Detail],
    total: int,
    progress: Callable[[int, int], None],
    keep: Callable[[Detail, bool], None],
    spill: Callable[[bytes], Blob] = Memory,
) -> Details:
    """These details; one that cannot be had or used does not cost the others.

    `keep` gets each as it comes, and if it is usable; `spill` gets its bytes, which wait there for the rest.
    """
    found = Details()
    for done, detail in enumerate(details, start=1):
        outcome = detail.outcome
        if detail.response is not None:  # before its bytes wait on a disk
            masked = secret_masking.mask_blob(detail.response.blob)
            detail = replace(detail, response=replace(detail.response, blob=masked))
        if outcome is Outcome.HERE and detail.response is not None:
            outcome = _usable(found, detail.job_id, detail.response, spill)
        keep(detail, outcome is Outcome.HERE)
        if outcome is Outcome.GONE:
            found.anomalies.append(Anomaly(detail.job_id, "id", "deleted_meanwhile", None))
        elif outcome is Outcome.FAILED:
            found.failed.add(detail.job_id)
        else:
            found.had.add(detail.job_id)
        found.outcomes[outcome.value] += 1
        progress(done, total)
    return found


def _usable(found: Details, job_id: str, response: Response, spill: Callable[[bytes], Blob]) -> Outcome:
    """Take a detail if it is one job, and the one that was asked for."""
    try:
        scanned = raw_index.scan_single_job(response, job_id) or raw_index.scan_response(response)
    except FtetlError:
        scanned = Scan()
    found.responses.append(replace(response, blob=spill(response.blob.read(0, response.blob.size))))
    if scanned.ids == [job_id]:
        found.scans.append(scanned)
        return Outcome.HERE
    # What came is kept: elements that could be told apart go to quarantine, none of them becomes another job's row.
    for index, stranger in enumerate(scanned.ids):
        place = scanned.positions[index]
        refused = RefusedElement(scanned.offsets[index], scanned.lengths[index], "bad_id", place, stranger)
        scanned.refused.append(refused)
    if not scanned.received:
        scanned.refused.append(RefusedElement(0, response.blob.size, "broken_json", 0, job_id))
        scanned.received = 1
    for refused in scanned.refused:
        refused.job_id = refused.job_id or job_id  # whose detail was asked for
    scanned.ids, scanned.offsets, scanned.lengths, scanned.positions = [], [], [], []
    found.scans.append(scanned)
    found.anomalies.append(Anomaly(job_id, "id", "detail_unusable", None))
    return Outcome.FAILED
