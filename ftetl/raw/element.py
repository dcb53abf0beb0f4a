"""One element of a response: its job's id, which reader can decode it, and why it is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.contract import tables
from ftetl.raw import strict_json
from ftetl.raw.json_tokens import MEMBER_KEY, split_elements


class JobHead(msgspec.Struct):
    """The part of a job that the index reads."""

    id: str
    object: Any = None  # the kind of thing; Together's jobs have `fine-tune`, or none


@dataclass
class RefusedElement:
    """Where an element lies that no table can take, and the rule that refuses it."""

    offset: int
    length: int
    rule: str
    position: int
    job_id: str | None = None


@dataclass
class Scan:
    """The index of a response: for each job, column by column, its id, where its bytes lie, its place in the list."""

    ids: list[str] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    irregular: set[int] = field(default_factory=set)  # indices of the jobs that only the Python reader can decode
    refused: list[RefusedElement] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)  # the texts in `object` of the elements
    received: int = 0  # elements in the response, refused ones included
    is_list: bool = False  # a list, not one job or lines
    is_bare: bool = False  # an array or lines: nothing around the jobs says whether these are all
    is_detail: bool = False  # one job
    digests: pa.Table | None = field(default=None, compare=False)  # by job its SHA-256, where they were computed

    def add(self, job_id: str, offset: int, length: int) -> None:
        """Add a job."""
        self.ids.append(job_id)
        self.offsets.append(offset)
        self.lengths.append(length)
        self.positions.append(self.received)
        self.received += 1

    def extend(self, ids: list[str], offsets: list[int], lengths: list[int]) -> None:
        """Add several jobs."""
        self.ids += ids
        self.offsets += offsets
        self.lengths += lengths
        self.positions += range(self.received, self.received + len(ids))
        self.received += len(ids)

    def add_element(self, raw: bytes, offset: int) -> None:
        """Classify an element, then add or refuse it."""
        job_id, rule, regular = classify_element(raw)
        if rule:
            self.refused.append(RefusedElement(offset, len(raw), rule, self.received, job_id))
            self.received += 1
            return
        if not regular:
            self.irregular.add(len(self.ids))
        self.kinds.update(kind.decode(errors="replace") for kind in _KIND.findall(raw))
        self.add(str(job_id), offset, len(raw))

    def refuse_bad_ids(self) -> None:
        """Refuse the elements whose id does not match the contract's pattern."""
        pattern = f"^(?:{tables()['jobs']['job_id'].pattern})$"
        good = pc.match_substring_regex(pa.array(self.ids, pa.string()), pattern)
        bad = set(pc.indices_nonzero(pc.invert(good)).to_pylist())
        if not bad:
            return
        for index in bad:
            rule = "bad_id" if self.ids[index] else "no_id"
            self.refused.append(RefusedElement(self.offsets[index], self.lengths[index], rule, self.positions[index]))
        accepted = [i for i in range(len(self.ids)) if i not in bad]
        self.irregular = {new for new, old in enumerate(accepted) if old in self.irregular}
        for column in ("ids", "offsets", "lengths", "positions"):
            setattr(self, column, [getattr(self, column)[i] for i in accepted])
        self.refused.sort(key=lambda r: r.position)


_decoder = msgspec.json.Decoder(JobHead)
_KIND = re.compile(rb'"object"\s*:\s*"([^"\\]*)"')


def kinds_of(heads: Iterable[JobHead]) -> set[str]:
    """The different texts in `object`."""
    return {head.object for head in heads if isinstance(head.object, str)}


def classify_element(raw: bytes) -> tuple[str | None, str | None, bool]:
    """The element's id if it can be read, the rule that refuses it if one does, whether the Arrow reader may try it."""
    try:
        return _decoder.decode(raw).id, None, True
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        pass
    try:
        value = strict_json.parse(raw)
    except strict_json.RefusedError as refusal:
        return find_job_id(raw), refusal.rule, False
    if not isinstance(value, dict):
        return None, "not_an_object", False
    job_id = value.get("id")
    if job_id is None or job_id == "":
        return None, "no_id", False
    if not isinstance(job_id, str) or isinstance(job_id, strict_json.NumberText) or not is_job_id(job_id):
        return None, "bad_id", False
    return job_id, None, False


def is_job_id(text: str) -> bool:
    """Whether the text matches the contract's pattern of a job's id."""
    return re.fullmatch(str(tables()["jobs"]["job_id"].pattern), text) is not None


def find_job_id(raw: bytes) -> str | None:
    """The id of a refused element if it has exactly one at its top level."""
    values = _id_values(raw)
    ids = find_job_ids(raw)
    return ids.pop() if len(values) == len(ids) == 1 else None


def find_job_ids(raw: bytes) -> set[str]:
    """The usable ids at the top level of a refused element: the jobs that it could be; empty where it could be any."""
    texts = (_string(value) for value in _id_values(raw))
    return {text for text in texts if text is not None and is_job_id(text)}


def _id_values(raw: bytes) -> set[bytes]:
    if not raw.startswith(b"{"):
        return set()
    members = (raw[span.start : span.end] for span in split_elements(raw, 1) if not span.closing)
    keys = ((member, MEMBER_KEY.match(member)) for member in members)
    return {member[key.end() :] for member, key in keys if key and _string(key[1]) == "id"}


def _string(raw: bytes) -> str | None:
    try:
        return str(json.loads(raw.decode("utf-8"))) if raw[:1] == b'"' else None
    except ValueError:
        return None
