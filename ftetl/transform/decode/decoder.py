"""Decodes raw jobs into one nested Arrow table, with two readers that give the same rows.

The Arrow reader takes a batch whole. If Arrow refuses it, the jobs that the type probe finds are left to the Python
reader, which reads one job at a time. If the rest is refused still, it is read again around the job that Arrow names,
or else in halves, until the refused jobs stand alone. The cost stays linear: a batch that is refused over and over is
left to the Python reader.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import Any

import msgspec
import pyarrow as pa

from ftetl.raw import secret_masking, strict_json
from ftetl.raw.element import find_job_id
from ftetl.raw.findings import Anomaly, QuarantinedElement
from ftetl.raw.response import Response
from ftetl.transform.decode import arrow_reader, extra_keys, python_reader, type_probe
from ftetl.transform.decode.raw_batch import RawBatch, raw_length
from ftetl.transform.decode.source_schema import Path, arrow_schema, job_schema
from ftetl.transform.raw_job import RawJob

BATCH_BYTES = 12 << 20  # of raw JSON: half of it costs a tenth more time, twice as much a tenth more memory
_SMALL = 32 << 10  # bytes that the Python reader has read before Arrow has started
_MAX_REREAD = 4  # how many times its own bytes a batch may be read in vain
_CALL_BYTES = 8 << 10  # that Arrow could have read in the time that it takes to begin
_COPY_SPEED = 16  # how many times as fast as reading
_PIECE_BYTES = 1 << 20  # that are read at once around refused jobs
_MAX_SLICES = 100  # of a table that are concatenated


@dataclass
class Decoded:
    """A decoded batch: the nested rows, the raw jobs they came from, and what is beside them."""

    jobs: pa.Table
    items: list[RawJob]
    extra: dict[int, str] = field(default_factory=dict)  # by row
    event_extra: dict[tuple[int, int], str] = field(default_factory=dict)  # by row and position
    quarantined: list[QuarantinedElement] = field(default_factory=list)
    row_anomalies: list[tuple[int, Anomaly]] = field(default_factory=list)  # each with its row
    unknown_paths: dict[int, Counter[str]] = field(default_factory=dict)  # by row: the keys that no column reads
    keys_with_value: dict[int, set[str]] = field(default_factory=dict)  # by row that the Python reader read
    superseded: pa.Array | None = None  # by row: whether another copy of the job won; None: no job has two copies

    @property
    def unknown_keys(self) -> Counter[str]:
        """By path of a key that no column reads: in how many jobs it is."""
        return Counter(path for paths in self.unknown_paths.values() for path in paths)

    @property
    def python_rows(self) -> int:
        """How many rows the Python reader read."""
        return len(self.keys_with_value)


def split_into_batches(items: Sequence[RawJob], size: int = BATCH_BYTES) -> Iterator[list[RawJob]]:
    """The items in batches of about `size` bytes; copies of one job stay together."""
    batch: list[RawJob] = []
    total = 0
    for item in items:
        length = raw_length(item)
        if batch and total + length > size and batch[-1].job_id != item.job_id:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += length
    if batch:
        yield batch


def decode(items: Sequence[RawJob], responses: Sequence[Response], *, use_arrow: bool = True) -> Decoded:
    """The nested rows of the items, in their order; what is not clean JSON after all is quarantined.

    `use_arrow=False` leaves every job to the Python reader; the result is the same.
    """
    for_arrow = _worth_arrow([item for item in items if not item.irregular], items) if use_arrow else []
    batch = _BatchDecoder(for_arrow, responses)
    if mistyped := batch.read_with_arrow(probe=True):
        for_arrow = _worth_arrow([item for place, item in enumerate(for_arrow) if place not in mistyped], items)
        batch = _BatchDecoder(for_arrow, responses)
        batch.read_with_arrow(probe=False)
    if len(for_arrow) == len(items):
        return batch.result()
    done = {id(item) for item in for_arrow}
    rest = _BatchDecoder([item for item in items if id(item) not in done], responses)
    rest.read_with_python(0, len(rest.items))
    return _in_order(items, batch.result(), rest.result()) if for_arrow else rest.result()


def _worth_arrow(for_arrow: list[RawJob], items: Sequence[RawJob]) -> list[RawJob]:
    """The jobs for the Arrow reader: none, where only few are left of the items."""
    are_few = len(for_arrow) < len(items) and sum(map(raw_length, for_arrow)) <= _SMALL
    return [] if are_few else for_arrow


def _in_order(items: Sequence[RawJob], first: Decoded, second: Decoded) -> Decoded:
    """Both together, in the order of the items."""
    places = {id(item): place for place, item in enumerate(items)}
    decoded = [*first.items, *second.items]
    order = sorted(range(len(decoded)), key=lambda row: places[id(decoded[row])])
    new_rows = {old: new for new, old in enumerate(order)}
    offset = len(first.items)
    return Decoded(
        rows_in_order(pa.concat_tables([first.jobs, second.jobs]), order),
        [decoded[row] for row in order],
        {new_rows[row]: text for row, text in first.extra.items()}
        | {new_rows[offset + row]: text for row, text in second.extra.items()},
        {(new_rows[row], position): text for (row, position), text in first.event_extra.items()}
        | {(new_rows[offset + row], position): text for (row, position), text in second.event_extra.items()},
        [*first.quarantined, *second.quarantined],
        [(new_rows[row], anomaly) for row, anomaly in first.row_anomalies]
        + [(new_rows[offset + row], anomaly) for row, anomaly in second.row_anomalies],
        {new_rows[row]: paths for row, paths in first.unknown_paths.items()}
        | {new_rows[offset + row]: paths for row, paths in second.unknown_paths.items()},
        {new_rows[row]: keys for row, keys in first.keys_with_value.items()}
        | {new_rows[offset + row]: keys for row, keys in second.keys_with_value.items()},
    )


def rows_in_order(jobs: pa.Table, order: list[int]) -> pa.Table:
    """The rows in this order: by slices where there are few, which takes jobs of any size, else row by row."""
    runs = [[row for _, row in run] for _, run in groupby(enumerate(order), key=lambda pair: pair[1] - pair[0])]
    if not 0 < len(runs) <= _MAX_SLICES:  # many take more memory than the rows: each is made of a hundred arrays
        return jobs.take(pa.array(order, pa.int64())).combine_chunks()
    return pa.concat_tables([jobs.slice(run[0], len(run)) for run in runs]).combine_chunks()


class _MistypedError(Exception):
    """A batch that Arrow refused has jobs that are better left to the Python reader."""

    def __init__(self, places: set[int]) -> None:
        self.places = places


class _BatchDecoder:
    """Decodes a batch piece by piece, in order."""

    def __init__(self, items: Sequence[RawJob], responses: Sequence[Response]) -> None:
        self.items, self._responses = items, responses
        self._raws = RawBatch(items, responses)
        self._pieces: list[pa.Table] = []
        self._decoded = Decoded(pa.table({}), [])
        self._budget = 0  # bytes that may still be read in vain
        self._may_probe = False

    def read_with_arrow(self, *, probe: bool) -> set[int]:
        """Read every item, with Arrow as far as it takes them.

        With `probe`, the places of the mistyped jobs, where Arrow refuses some: then nothing was read.
        """
        self._budget, self._may_probe = _MAX_REREAD * self._raws.size, probe
        try:
            if self.items:
                self._read_range(0, len(self.items))
        except _MistypedError as error:
            return error.places
        return set()

    def read_with_python(self, low: int, high: int) -> None:
        """Read the items from `low` up to `high` one by one."""
        rows: list[dict[str, Any]] = []
        for place in range(low, high):
            item, raw = self.items[place], self._raws[place]
            try:
                value = strict_json.parse(raw)
            except strict_json.RefusedError as refusal:
                self._quarantine(item, raw, refusal.rule)
                continue
            add_anomaly = self._anomaly_adder(item)
            for path, position in strict_json.repeated_keys(value):
                add_anomaly(strict_json.replace_surrogates(path), "repeated_key", None, position)
            rows.append(python_reader.read_object(job_schema(), value, add_anomaly))
            row = len(self._decoded.items)
            self._add_texts(row, extra_keys.texts_of_job(value, add_anomaly))
            self._decoded.keys_with_value[row] = {key for key, member in value.items() if member is not None}
            self._decoded.items.append(item)
        self._pieces.append(pa.Table.from_pylist(rows, schema=arrow_schema(json_as_text=True)))

    def result(self) -> Decoded:
        """What was read."""
        pieces = [piece for piece in self._pieces if piece.num_rows]
        empty = arrow_schema(json_as_text=True).empty_table()
        self._decoded.jobs = pa.concat_tables(pieces).combine_chunks() if pieces else empty
        return self._decoded

    def _read_range(self, low: int, high: int) -> None:
        raws = self._raws.part(low, high)
        if extra_keys.has_identifier_keys(raws):
            self.read_with_python(low, high)
            return
        try:
            body = arrow_reader.prepare_body(raws.concatenated())
        except (pa.ArrowException, UnicodeDecodeError):
            if self._is_spent(high - low, raws.size, raws.size):
                self.read_with_python(low, high)
            else:
                middle = (low + high) // 2
                self._read_range(low, middle)
                self._read_range(middle, high)
        else:
            self._read_body(body, low, high)

    def _read_body(self, body: memoryview, low: int, high: int) -> None:
        """Read the jobs of `body`, one a line: all at once, or, once Arrow has refused them, piece by piece."""
        starts = [0, *accumulate(raw_length(item) + 1 for item in self.items[low:high])]
        max_count = high - low
        waiting = [(0, high - low)]  # the next one last
        while waiting:
            start, end = waiting.pop()
            if end - start > max_count:
                waiting.append((start + max_count, end))
                end = start + max_count
            view = body[starts[start] : starts[end]]
            try:
                self._add_piece(arrow_reader.read_batch(view, end - start), low + start)
            except pa.ArrowException as error:
                row = arrow_reader.refused_row(error, end - start)
            else:
                continue
            self._probe_once()
            max_count = max(1, (high - low) * _PIECE_BYTES // len(body))
            copied = _CALL_BYTES + len(view) // _COPY_SPEED
            in_vain = len(view) if row is None else starts[start + row] - starts[start] + copied
            if self._is_spent(end - start, len(view), in_vain):
                rest = high - low if self._budget < 0 else end
                self.read_with_python(low + start, low + rest)
                waiting = [] if self._budget < 0 else waiting
            elif row == 0:
                self.read_with_python(low + start, low + start + 1)
                waiting.append((start + 1, end))
            else:
                # Cut before the job that Arrow names, which may be refused only beside these, else in half.
                cut = start + (row or (end - start) // 2)
                waiting += [(cut, end), (start, cut)]

    def _probe_once(self) -> None:
        may_probe, self._may_probe = self._may_probe, False
        if may_probe and len(self._raws) > 1:
            places = type_probe.find_mistyped(self._raws[place] for place in range(len(self._raws)))
            if places:
                raise _MistypedError(places)

    def _is_spent(self, count: int, size: int, in_vain: int) -> bool:
        """Count bytes that were read in vain; whether what is left is for the Python reader."""
        self._budget -= in_vain
        return count == 1 or size <= _SMALL or self._budget < 0

    def _add_piece(self, table: pa.Table, low: int) -> None:
        """Add rows that Arrow read, with the texts that are in the raw bytes alone."""
        paths = list(extra_keys.unread_paths(table.schema, job_schema()))
        columns = {key: arrow_reader.json_column(table, key) for key in extra_keys.json_text_keys()}
        keys = {path[0] for path in paths} | set(columns)
        rows = self._rows_to_parse(table.num_rows, low, paths, columns)
        try:
            texts = {row: extra_keys.texts_of_raw(self._raws[low + row], keys) for row in rows}
        except (strict_json.RefusedError, msgspec.MsgspecError, RecursionError):
            raise pa.ArrowInvalid("some element is not clean") from None
        start = len(self._decoded.items)
        for row, text in texts.items():
            self._add_texts(start + row, text)
        self._decoded.items.extend(self.items[low : low + table.num_rows])
        self._pieces.append(arrow_reader.decoded_table(table, columns, texts))

    def _rows_to_parse(
        self, count: int, low: int, paths: list[Path], columns: dict[str, arrow_reader.JsonColumn]
    ) -> list[int]:
        rows = {row for column in columns.values() for row in column.unresolved}
        if paths:
            pattern = extra_keys.key_pattern({path[-1] for path in paths})
            rows |= {row for row in range(count) if pattern is None or pattern.search(self._raws[low + row])}
        return sorted(rows)

    def _add_texts(self, row: int, texts: extra_keys.ExtraTexts) -> None:
        if texts.extra:
            self._decoded.extra[row] = strict_json.compact_json(texts.extra)
        for position, unknown in texts.events.items():
            self._decoded.event_extra[row, position] = strict_json.compact_json(unknown)
        if texts.extra or texts.events:
            self._decoded.unknown_paths[row] = extra_keys.unknown_key_paths(texts)

    def _anomaly_adder(self, item: RawJob) -> python_reader.AddAnomaly:
        def add_anomaly(path: str, kind: str, raw: str | None, position: int) -> None:
            row = len(self._decoded.items)
            self._decoded.row_anomalies.append((row, Anomaly(item.job_id, path, kind, raw, position)))

        return add_anomaly

    def _quarantine(self, item: RawJob, raw: bytes, rule: str) -> None:
        response = self._responses[item.response]
        masked, name, at = secret_masking.mask_secrets(raw), response.name, response.observed_at
        self._decoded.quarantined.append(QuarantinedElement(masked, rule, find_job_id(raw), name, item.position, at))
