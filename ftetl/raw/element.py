"""One element of an answer: whose job it is, whether the fast road may try it, or why no table can take it.

Knows the contract of one key only: `id`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ftetl.contract import tables
from ftetl.raw import strict_json
from ftetl.raw.splitter import spans


class Head(msgspec.Struct):
    """All that the first pass reads of a job."""

    id: str


@dataclass
class Refused:
    """An element that no table can take, and why."""

    offset: int
    length: int
    rule: str
    position: int
    job_id: str | None = None


@dataclass
class Scan:
    """The elements of one answer, column by column: the id, where the bytes lie, and the place in the list."""

    ids: list[str] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    odd: set[int] = field(default_factory=set)  # indices into the columns: only the careful road can read these
    refused: list[Refused] = field(default_factory=list)
    received: int = 0  # elements in the answer, refused ones included
    is_list: bool = False  # whether the answer was a list rather than one job or lines
    is_detail: bool = False  # whether the answer was one job

    def add(self, job_id: str, offset: int, length: int) -> None:
        """Take an element that is known to be a job."""
        self.ids.append(job_id)
        self.offsets.append(offset)
        self.lengths.append(length)
        self.positions.append(self.received)
        self.received += 1

    def extend(self, ids: list[str], offsets: list[int], lengths: list[int]) -> None:
        """Take elements that are known to be jobs."""
        self.ids += ids
        self.offsets += offsets
        self.lengths += lengths
        self.positions += range(self.received, self.received + len(ids))
        self.received += len(ids)

    def judge(self, raw: bytes, offset: int) -> None:
        """Take one element on its own, or put it aside."""
        job_id, rule, plain = judge(raw)
        if rule:
            self.refused.append(Refused(offset, len(raw), rule, self.received, job_id))
            self.received += 1
            return
        if not plain:
            self.odd.add(len(self.ids))
        self.add(str(job_id), offset, len(raw))

    def check_ids(self) -> None:
        """Put aside the elements whose id is text, but no usable text."""
        pattern = f"^(?:{tables()['jobs']['job_id'].pattern})$"
        good = pc.match_substring_regex(pa.array(self.ids, pa.string()), pattern)
        bad = set(pc.indices_nonzero(pc.invert(good)).to_pylist())
        if not bad:
            return
        for index in bad:
            rule = "bad_id" if self.ids[index] else "no_id"
            self.refused.append(Refused(self.offsets[index], self.lengths[index], rule, self.positions[index]))
        kept = [i for i in range(len(self.ids)) if i not in bad]
        self.odd = {new for new, old in enumerate(kept) if old in self.odd}
        for column in ("ids", "offsets", "lengths", "positions"):
            setattr(self, column, [getattr(self, column)[i] for i in kept])
        self.refused.sort(key=lambda r: r.position)


_head = msgspec.json.Decoder(Head)


def judge(raw: bytes) -> tuple[str | None, str | None, bool]:
    """What an element is: (its id if it can be read, the rule that refuses it, whether the fast road may try it)."""
    try:
        return _head.decode(raw).id, None, True
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        pass
    try:
        value = strict_json.parse(raw)
    except strict_json.RefusedError as refusal:
        return own_id(raw), refusal.rule, False
    if not isinstance(value, dict):
        return None, "not_an_object", False
    job_id = value.get("id")
    if job_id is None or job_id == "":
        return None, "no_id", False
    if not isinstance(job_id, str) or isinstance(job_id, strict_json.Num) or not is_job_id(job_id):
        return None, "bad_id", False
    return job_id, None, False


def is_job_id(text: str) -> bool:
    """Whether the text can be a job's identifier by the contract's pattern."""
    return re.fullmatch(str(tables()["jobs"]["job_id"].pattern), text) is not None


_KEY = re.compile(rb'("(?:[^"\\]|\\.)*")\s*:\s*', re.DOTALL)


def own_id(raw: bytes) -> str | None:
    """Whose job a refused element is, if it says so exactly once; ids of what lies inside it are not its own."""
    if not raw.startswith(b"{"):
        return None
    members = (raw[span.start : span.end] for span in spans(raw, 1) if not span.closing)
    said = {member[key.end() :] for member in members if (key := _KEY.match(member)) and _text(key[1]) == "id"}
    job_id = _text(said.pop()) if len(said) == 1 else None
    return job_id if job_id is not None and is_job_id(job_id) else None


def _text(raw: bytes) -> str | None:
    try:
        return str(json.loads(raw.decode("utf-8"))) if raw[:1] == b'"' else None
    except ValueError:
        return None
