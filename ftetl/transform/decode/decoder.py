"""Raw elements as one nested Arrow table: two roads with one meaning.

The fast road reads a batch whole with Arrow's JSON reader. If Arrow refuses it, the jobs that look odd are taken out of
it and go down the careful road, one at a time. If it is refused still, it is read again around the job that Arrow
names, or else in halves, until the odd jobs stand alone. The cost stays linear: a batch that is refused over and over
goes down the careful road. Knows the shape of a job, no tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import Any

import msgspec
import pyarrow as pa

from ftetl.raw import strict_json
from ftetl.raw.element import own_id
from ftetl.raw.findings import Anomaly, QuarantinedElement
from ftetl.raw.response import Response
from ftetl.transform.decode import arrow_reader, extra_keys, python_reader, source_schema, type_probe
from ftetl.transform.decode.arrow_reader import explicit, prepared, read
from ftetl.transform.decode.raw_batch import Raws, length
from ftetl.transform.raw_job import RawJob

BATCH = 12 << 20  # bytes of raw JSON in a batch: half of it costs a tenth more time, twice as much a tenth more memory
_SMALL = 32 << 10  # bytes up to which the careful road is done before Arrow has started
_REREAD = 4  # how many times its own bytes a batch may be read in vain
_CALL = 8 << 10  # bytes that Arrow could have read in the time that it takes to begin
_COPIED = 16  # so many times as fast as it reads
_AROUND = 1 << 20  # bytes that are read at once around odd jobs
_SLICES = 100  # of a table that are put together


@dataclass
class Decoded:
    """A batch: the nested rows, the items they came from, and what is beside them."""

    jobs: pa.Table
    items: list[RawJob]
    extra: dict[int, str] = field(default_factory=dict)  # by row
    event_extra: dict[tuple[int, int], str] = field(default_factory=dict)  # by row and position
    quarantined: list[QuarantinedElement] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    careful: int = 0  # rows that took the careful road


def batches(items: Sequence[RawJob], size: int = BATCH) -> Iterator[list[RawJob]]:
    """The items in runs of about `size` bytes; copies of one job stay together."""
    batch: list[RawJob] = []
    total = 0
    for item in items:
        more = length(item)
        if batch and total + more > size and batch[-1].job_id != item.job_id:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += more
    if batch:
        yield batch


def decode(items: Sequence[RawJob], responses: Sequence[Response], *, fast: bool = True) -> Decoded:
    """The nested rows of the items, in their order; what is no clean JSON after all is put aside.

    `fast=False` sends every job down the careful road; the outcome is the same.
    """
    plain = _worth_it([item for item in items if not item.odd], items) if fast else []
    run = _Run(plain, responses)
    if odd := run.take_all(look=True):
        plain = _worth_it([item for at, item in enumerate(plain) if at not in odd], items)
        run = _Run(plain, responses)
        run.take_all(look=False)
    if len(plain) == len(items):
        return run.result()
    mine = {id(item) for item in plain}
    rest = _Run([item for item in items if id(item) not in mine], responses)
    rest.take_careful(0, len(rest.items))
    return _in_order(items, run.result(), rest.result()) if plain else rest.result()


def _worth_it(plain: list[RawJob], items: Sequence[RawJob]) -> list[RawJob]:
    """What the fast road is begun for: nothing, where little is left beside odd ones."""
    few = len(plain) < len(items) and sum(map(length, plain)) <= _SMALL
    return [] if few else plain


def _in_order(items: Sequence[RawJob], one: Decoded, other: Decoded) -> Decoded:
    """Both together, in the order of the items."""
    places = {id(item): place for place, item in enumerate(items)}
    kept = [*one.items, *other.items]
    order = sorted(range(len(kept)), key=lambda row: places[id(kept[row])])
    rows = {old: new for new, old in enumerate(order)}
    below = len(one.items)
    return Decoded(
        _taken(pa.concat_tables([one.jobs, other.jobs]), order),
        [kept[row] for row in order],
        {rows[row]: text for row, text in one.extra.items()}
        | {rows[below + row]: text for row, text in other.extra.items()},
        {(rows[row], at): text for (row, at), text in one.event_extra.items()}
        | {(rows[below + row], at): text for (row, at), text in other.event_extra.items()},
        [*one.quarantined, *other.quarantined],
        [*one.anomalies, *other.anomalies],
        one.unknown + other.unknown,
        one.careful + other.careful,
    )


def _taken(jobs: pa.Table, order: list[int]) -> pa.Table:
    """The rows in this order: run by run where there are few, which takes jobs of any size, else row by row."""
    runs = [[row for _, row in run] for _, run in groupby(enumerate(order), key=lambda pair: pair[1] - pair[0])]
    if not 0 < len(runs) <= _SLICES:  # many slices take more memory than the rows: each is made of a hundred arrays
        return jobs.take(pa.array(order, pa.int64())).combine_chunks()
    return pa.concat_tables([jobs.slice(run[0], len(run)) for run in runs]).combine_chunks()


class _MixedError(Exception):
    """A batch that Arrow refused has jobs that are better taken out of it."""

    def __init__(self, odd: set[int]) -> None:
        self.odd = odd


class _Run:
    """One batch on its way: pieces in order, and what is beside them."""

    def __init__(self, items: Sequence[RawJob], responses: Sequence[Response]) -> None:
        self.items, self.raws, self.responses = items, Raws(items, responses), responses
        self.pieces: list[pa.Table] = []
        self.kept: list[RawJob] = []
        self.found = Decoded(pa.table({}), self.kept)
        self.budget, self.look = 0, False

    def take_all(self, *, look: bool) -> set[int]:
        """Take every item by the fast road, as far as it goes.

        With `look`, nothing where Arrow refuses some and jobs are found that had better not be among them: then their
        places are returned.
        """
        self.budget, self.look = _REREAD * self.raws.size, look
        try:
            if self.items:
                self.take_fast(0, len(self.items))
        except _MixedError as mixed:
            return mixed.odd
        return set()

    def take_fast(self, low: int, high: int) -> None:
        raws = self.raws.part(low, high)
        if extra_keys.sprawls(raws):
            self.take_careful(low, high)
            return
        try:
            body = prepared(raws.together())
        except (pa.ArrowException, UnicodeDecodeError):
            if self._is_spent(high - low, raws.size, raws.size):
                self.take_careful(low, high)
            else:
                middle = (low + high) // 2
                self.take_fast(low, middle)
                self.take_fast(middle, high)
        else:
            self._take_prepared(body, low, high)

    def _take_prepared(self, body: memoryview, low: int, high: int) -> None:
        """Take jobs that lie in `body`, a line each: all at once, or, once Arrow has refused them, piece by piece."""
        starts = [0, *accumulate(length(item) + 1 for item in self.items[low:high])]
        most = high - low
        waiting = [(0, high - low)]  # the next one last
        while waiting:
            at, end = waiting.pop()
            if end - at > most:
                waiting.append((at + most, end))
                end = at + most
            view = body[starts[at] : starts[end]]
            try:
                self._fast_piece(read(view, end - at), low + at)
            except pa.ArrowException as error:
                row = arrow_reader.refused_row(error, end - at)
            else:
                continue
            self._look()
            most = max(1, (high - low) * _AROUND // len(body))
            tried = len(view) if row is None else starts[at + row] - starts[at] + _CALL + len(view) // _COPIED
            if self._is_spent(end - at, len(view), tried):
                rest = high - low if self.budget < 0 else end
                self.take_careful(low + at, low + rest)
                waiting = [] if self.budget < 0 else waiting
            elif row == 0:
                self.take_careful(low + at, low + at + 1)
                waiting.append((at + 1, end))
            else:
                # Cut before the job that Arrow names, which may be odd only beside these; in half, if it names none.
                cut = at + (row or (end - at) // 2)
                waiting += [(cut, end), (at, cut)]

    def _look(self) -> None:
        look, self.look = self.look, False
        if look and len(self.raws) > 1 and (odd := type_probe.odd(self.raws[at] for at in range(len(self.raws)))):
            raise _MixedError(odd)

    def _is_spent(self, count: int, size: int, tried: int) -> bool:
        """Count what was tried in vain; whether what is left is for the careful road."""
        self.budget -= tried
        return count == 1 or size <= _SMALL or self.budget < 0

    def take_careful(self, low: int, high: int) -> None:
        rows: list[dict[str, Any]] = []
        for at in range(low, high):
            item, raw = self.items[at], self.raws[at]
            try:
                value = strict_json.parse(raw)
            except strict_json.RefusedError as refusal:
                self._refuse(item, raw, refusal.rule)
                continue
            note = self._noting(item)
            rows.append(python_reader.normal(source_schema.job(), value, note))
            self._texts(len(self.kept), item, extra_keys.texts_of(value, note))
            self.kept.append(item)
            self.found.careful += 1
        self.pieces.append(pa.Table.from_pylist(rows, schema=explicit(json_as_text=True)))

    def _noting(self, item: RawJob) -> python_reader.Note:
        def note(path: str, kind: str, raw: str, place: int) -> None:
            if not item.older:
                self.found.anomalies.append(Anomaly(item.job_id, path, kind, raw, place))

        return note

    def _refuse(self, item: RawJob, raw: bytes, rule: str) -> None:
        response = self.responses[item.response]
        masked, name, at = strict_json.mask(raw), response.name, response.observed_at
        self.found.quarantined.append(QuarantinedElement(masked, rule, own_id(raw), name, item.position, at))

    def _fast_piece(self, table: pa.Table, low: int) -> None:
        """Add the fast road's rows, with the texts that only the raw bytes tell."""
        paths = list(extra_keys.unread(table.schema, source_schema.job()))
        columns = {key: arrow_reader.json_column(table, key) for key in extra_keys.json_keys()}
        rows = self._rows_to_read(table.num_rows, low, paths, columns)
        wanted = {p[0] for p in paths} | set(extra_keys.json_keys())
        try:
            texts = {row: extra_keys.texts_of_raw(self.raws[low + row], wanted) for row in rows}
        except (strict_json.RefusedError, msgspec.MsgspecError, RecursionError):
            raise pa.ArrowInvalid("some element is not clean") from None
        start = len(self.kept)
        for row, text in texts.items():
            self._texts(start + row, self.items[low + row], text)
        self.kept.extend(self.items[low : low + table.num_rows])
        self.pieces.append(arrow_reader.assembled(table, columns, texts))

    def _rows_to_read(
        self, count: int, low: int, paths: list[extra_keys.Path], columns: dict[str, arrow_reader.JsonColumn]
    ) -> list[int]:
        rows = {row for column in columns.values() for row in column.open_rows}
        if paths:
            pattern = extra_keys.key_pattern({p[-1] for p in paths})
            rows |= {row for row in range(count) if pattern is None or pattern.search(self.raws[low + row])}
        return sorted(rows)

    def _texts(self, row: int, item: RawJob, texts: extra_keys.Texts) -> None:
        if texts.extra:
            self.found.extra[row] = strict_json.compact(texts.extra)
        for position, rest in texts.events.items():
            self.found.event_extra[row, position] = strict_json.compact(rest)
        if (texts.extra or texts.events) and not item.older:
            self.found.unknown.update(extra_keys.paths(texts))

    def result(self) -> Decoded:
        schema = explicit(json_as_text=True)
        pieces = [p for p in self.pieces if p.num_rows]
        self.found.jobs = pa.concat_tables(pieces).combine_chunks() if pieces else schema.empty_table()
        return self.found
