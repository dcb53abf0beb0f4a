"""Removes duplicates within a response: a run decodes of each job one copy from each response, in the order of job ids.

In one response the copy with the greater comparable `updated_at` wins (`survivorship`), then the one with the greater
canonical JSON; an older different copy goes to quarantine, an equal one is counted. Between responses
`transform.coalesce` decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from ftetl.raw import secret_masking, strict_json
from ftetl.raw.element import RefusedElement, Scan, find_job_id
from ftetl.raw.findings import Anomaly, QuarantinedElement
from ftetl.raw.response import Response
from ftetl.transform import survivorship, timestamps
from ftetl.transform.raw_job import RawJob

_BACK = 256  # bytes in which a key and the white space behind it find room


@dataclass
class DecodePlan:
    """What a run has to decode, in key order, and the elements that were left out."""

    items: list[RawJob] = field(default_factory=list)
    quarantined: list[QuarantinedElement] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    identical: int = 0  # copies that are equal to another one in the same response


def resolve_duplicates(
    responses: Sequence[Response], scans: Sequence[Scan], unchanged_ids: AbstractSet[str] = frozenset()
) -> DecodePlan:
    """The elements to decode.

    Args:
        responses: Everything the run received.
        scans: The elements of each response.
        unchanged_ids: Jobs that are in the list as they were when their row was written; they are left out.
    """
    plan = DecodePlan()
    entries: list[tuple[str, int, int]] = []
    for number, (response, scan) in enumerate(zip(responses, scans, strict=True)):
        plan.quarantined.extend(quarantined_element(response, refused) for refused in scan.refused)
        entries.extend((job_id, number, index) for index, job_id in enumerate(scan.ids) if job_id not in unchanged_ids)
    entries.sort()
    copies = _raw_jobs(responses, scans, entries)
    if len({(copy.job_id, copy.response) for copy in copies}) == len(copies):
        plan.items = copies
        return plan
    for _, group in groupby(copies, key=lambda copy: (copy.job_id, copy.response)):
        same_job = list(group)
        plan.items += same_job if len(same_job) == 1 else _pick_winner(responses, same_job, plan)
    return plan


def _raw_jobs(
    responses: Sequence[Response], scans: Sequence[Scan], entries: list[tuple[str, int, int]]
) -> list[RawJob]:
    details = [response.detail or scan.is_detail for response, scan in zip(responses, scans, strict=True)]
    columns = [(s.positions, s.offsets, s.lengths, s.irregular) for s in scans]
    copies = []
    for job_id, number, index in entries:
        positions, offsets, lengths, irregular = columns[number]
        place = positions[index], offsets[index], lengths[index]
        copies.append(RawJob(job_id, number, *place, index in irregular, details[number]))
    return copies


def quarantined_element(response: Response, refused: RefusedElement) -> QuarantinedElement:
    """A refused element of a response, its secrets masked."""
    # A line of broken JSON may begin with the value of a secret whose key ends the line before.
    back = min(refused.offset, _BACK)
    before = response.blob.read(refused.offset - back, back)
    raw = secret_masking.mask_secrets(response.blob.read(refused.offset, refused.length), before)
    return QuarantinedElement(raw, refused.rule, refused.job_id, response.name, refused.position, response.observed_at)


@dataclass
class _Copy:
    item: RawJob
    canonical: str
    time: datetime  # to compare it by


def _pick_winner(responses: Sequence[Response], items: list[RawJob], plan: DecodePlan) -> list[RawJob]:
    """Of the copies in one response the winner, if any is clean JSON; the others are quarantined or counted."""
    copies = [copy for item in items if (copy := _parsed(responses, item, plan)) is not None]
    # The rule of `survivorship` on raw JSON, before there are columns; one response has one time of observation.
    copies.sort(key=lambda c: (c.time, c.canonical, -c.item.position), reverse=True)
    for copy in copies[1:]:
        item = copy.item
        if copy.canonical == copies[0].canonical:
            plan.identical += 1
            plan.anomalies.append(Anomaly(item.job_id, "id", "duplicate_identical", None, item.position))
        else:
            refused = RefusedElement(item.offset, item.length, "older_copy", item.position, item.job_id)
            plan.quarantined.append(quarantined_element(responses[item.response], refused))
    return [copy.item for copy in copies[:1]]


def _parsed(responses: Sequence[Response], item: RawJob, plan: DecodePlan) -> _Copy | None:
    response = responses[item.response]
    raw = response.blob.read(item.offset, item.length)
    try:
        value: dict[str, Any] = strict_json.parse(raw)
    except strict_json.RefusedError as refusal:
        refused = RefusedElement(item.offset, item.length, refusal.rule, item.position, find_job_id(raw))
        plan.quarantined.append(quarantined_element(response, refused))
        return None
    text = value.get("updated_at")
    instant = timestamps.parse_timestamp(text).instant if isinstance(text, str) else None
    time = survivorship.comparable(instant, response.observed_at)
    return _Copy(item, strict_json.compact_json(value, canonical=True), time)
