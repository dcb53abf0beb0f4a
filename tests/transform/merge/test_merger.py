"""The merge against a model of it in plain Python: whatever answers come, in whatever order, both end the same."""

from __future__ import annotations

import copy
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ftetl
from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.loading.formats import parquet
from ftetl.snapshot.table_reader import TableReader, table_file
from ftetl.transform.decode import decoder
from ftetl.transform.merge import stored_events
from ftetl.transform.merge.merger import Merge
from ftetl.transform.merge.run_context import RunContext

IDS = [f"ft-{letter}" for letter in "abcdefghijkl"]
START = datetime(2026, 8, 1, tzinfo=UTC)
TERMINAL = "completed"


def moment(number: int) -> datetime:
    return START + timedelta(days=number)


@dataclass(frozen=True)
class Job:
    """One job as an answer tells it."""

    updated: int | None
    status: str
    tokens: int
    refund: int | None
    events: tuple[str, ...] | None

    def raw(self, job_id: str, *, detail: bool) -> dict[str, Any]:
        found: dict[str, Any] = {"id": job_id, "status": self.status, "token_count": self.tokens}
        if self.updated is not None:
            found["updated_at"] = moment(self.updated).isoformat()
        if detail:
            found["events"] = []  # a detail tells its events, be they none
            found["refund_amount"] = self.refund
        if self.events is not None:
            found["events"] = [{"type": kind, "created_at": END.isoformat()} for kind in self.events]
        return found

    @property
    def finished(self) -> datetime | None:
        return END if self.status == TERMINAL and "JOB_COMPLETE" in (self.events or ()) else None


END = moment(-1)


@dataclass(frozen=True)
class Answer:
    """What comes on a day: a whole list, lines, or the detail of one job."""

    kind: str
    day: int
    jobs: dict[str, Job]

    def save(self, folder: Path) -> Path:
        raws = [job.raw(job_id, detail=self.kind == "detail") for job_id, job in self.jobs.items()]
        match self.kind:
            case "list":
                target, text = folder / "a.json", json.dumps({"data": raws})
            case "lines":
                target, text = folder / "a.ndjson", "\n".join(json.dumps(raw) for raw in raws)
            case _:
                target, text = folder / "a.json", json.dumps(raws[0])
        target.write_text(text)
        return target


@dataclass
class Row:
    """A row of `jobs`, as far as the model has it."""

    status: str
    tokens: int
    updated: int | None
    refund: int | None
    finished: datetime | None
    state: str
    present: bool
    first: int
    last: int

    @property
    def told(self) -> tuple[object, ...]:
        return self.status, self.tokens, self.updated, self.refund, self.finished


State = tuple[int, int | None, str, int, int | None]  # observed, updated, status, tokens, refund


@dataclass
class Model:
    """All that a target remembers."""

    rows: dict[str, Row] = field(default_factory=dict)
    events: dict[str, tuple[str, ...]] = field(default_factory=dict)
    history: dict[str, list[State]] = field(default_factory=dict)
    fewer: dict[str, tuple[int, int]] = field(default_factory=dict)
    whole_at: int | None = None
    versions: int = 0

    def take(self, answer: Answer) -> None:
        before = copy.deepcopy(self)
        base = self.whole_at
        whole = answer.kind == "list" and (base is None or answer.day > base)
        if whole:
            self.whole_at = answer.day
        for job_id, row in self.rows.items():
            # What was seen to change later than the list came was there later than the list came.
            if whole and row.present and row.last <= answer.day and job_id not in answer.jobs:
                row.present, row.last = False, answer.day
        for job_id, job in answer.jobs.items():
            self._take(job_id, job, answer, base)
        now = (self.rows, self.events, self.history, self.fewer)
        if not self.versions or now != (before.rows, before.events, before.history, before.fewer):
            self.versions += 1

    def _take(self, job_id: str, job: Job, answer: Answer, base: int | None) -> None:
        old, detail = self.rows.get(job_id), answer.kind == "detail"
        held, count = len(self.events.get(job_id, ())), len(job.events or ())
        wins = old is None or self._newer(old, job, answer.day, base)
        taking = count > 0 and (count >= held if wins else held == 0)
        fewer = wins and count < held and (detail or count > 0)
        told = detail and (wins or (old is not None and old.refund is None and old.state != "detail"))
        row = copy.copy(old) if old else Row("", 0, None, None, None, "unknown", True, answer.day, answer.day)
        if wins:
            row.status, row.tokens, row.updated = job.status, job.tokens, job.updated
        if told:
            row.refund = job.refund
        if taking or old is None:
            row.finished = job.finished
        if row.status != TERMINAL:
            row.finished = None
        same = old is not None and row.told == old.told
        late = not wins and (old is None or job.updated is None or job.updated != old.updated)
        if taking or (detail and held == count == 0 and not late):
            row.state = "stale" if late else "detail" if detail else "list"
        elif row.state != "unknown" and not (same and not fewer):
            row.state = "stale"
        row.present = self._present(old, answer, base)
        moved = not same or (taking and count != held)
        if old is None or row.present != old.present or (moved and (wins or answer.day >= old.last)):
            row.last = answer.day
        self.rows[job_id] = row
        if taking:
            self.events[job_id] = job.events or ()
            self.fewer.pop(job_id, None)
        if fewer:
            self.fewer[job_id] = (count, held)
        self._remember(job_id, job if not wins else None, row if wins else None, answer.day, detail=detail)

    def _present(self, old: Row | None, answer: Answer, base: int | None) -> bool:
        if self.whole_at is None or answer.day >= self.whole_at:
            return True
        return base == self.whole_at and old is not None and old.present

    def _newer(self, old: Row, job: Job, day: int, base: int | None) -> bool:
        last = max(old.last, base) if base is not None and old.present else old.last
        # A time that is missing, or later than its observation, compares to nothing.
        ours = -1 if job.updated is None or job.updated > day else job.updated
        theirs = -1 if old.updated is None or old.updated > last else old.updated
        if day == last or min(ours, theirs) >= 0:
            return (ours, day) >= (theirs, last)
        return day > last

    def _remember(self, job_id: str, beaten: Job | None, won: Row | None, day: int, *, detail: bool) -> None:
        found = list(self.history.get(job_id, []))
        if beaten:
            refund = beaten.refund if detail else None
            found.insert(0, (day, beaten.updated, beaten.status, beaten.tokens, refund))
        if won:
            found.append((day, won.updated, won.status, won.tokens, won.refund))
        found.sort(key=lambda s: (s[0], -99 if s[1] is None else s[1]))
        last_of_day = [s for s, after in zip(found, [*found[1:], None], strict=True) if not after or after[0] != s[0]]
        kept: list[State] = []
        refund = before = None
        for state in last_of_day:
            if before is None or state[1:4] != before[1:4] or state[4] not in (None, refund):
                kept.append(state)
            before = state
            refund = state[4] if state[4] is not None else refund
        self.history[job_id] = kept


def expected(model: Model) -> dict[str, list[tuple[object, ...]]]:
    def at(number: int | None) -> datetime | None:
        return None if number is None else moment(number)

    return {
        "jobs": [
            (i, r.status, r.tokens, at(r.updated), r.refund, r.finished, r.state, r.present, at(r.first), at(r.last))
            for i, r in sorted(model.rows.items())
        ],
        "events": [(i, n, e.lower()) for i, found in sorted(model.events.items()) for n, e in enumerate(found)],
        "job_history": [(i, at(s[0]), at(s[1]), *s[2:]) for i, found in sorted(model.history.items()) for s in found],
        "anomalies": [
            (i, "fewer_events", f'{{"received":{received},"stored":{stored}}}')
            for i, (received, stored) in sorted(model.fewer.items())
        ],
    }


COLUMNS = {
    "jobs": "job_id status token_count updated_at refund_amount_nanousd finished_at events_state present "
    "first_seen_at last_changed_at",
    "events": "job_id position type",
    "job_history": "job_id observed_at updated_at status token_count refund_amount_nanousd",
    "anomalies": "job_id kind raw",
}


def found(target: Path) -> dict[str, list[tuple[object, ...]]]:
    snapshot = ftetl.open(target)
    tables = {
        name: [tuple(row.values()) for row in snapshot.arrow(name).select(columns.split()).to_pylist()]
        for name, columns in COLUMNS.items()
    }
    return tables | {"anomalies": [row for row in tables["anomalies"] if row[1] != "in_future"]}


events = st.none() | st.lists(st.sampled_from(["JOB_START", "JOB_COMPLETE"]), max_size=3).map(tuple)
jobs = st.builds(
    Job,
    updated=st.none() | st.integers(0, 3),
    status=st.sampled_from(["running", TERMINAL]),
    tokens=st.integers(0, 1),
    refund=st.none() | st.integers(5, 6),
    events=events,
)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    kind = draw(st.sampled_from(["list", "list", "lines", "detail"]))
    fewest, most = {"list": (0, 12), "lines": (1, 6), "detail": (1, 1)}[kind]
    found = draw(st.dictionaries(st.sampled_from(IDS), jobs, min_size=fewest, max_size=most))
    return Answer(kind, draw(st.integers(1, 5)), found)


@pytest.fixture(scope="module")
def small() -> Iterator[None]:
    """Row groups of three rows, and batches of a job or two: every boundary there is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "ROW_GROUP_ROWS", 3)
        patch.setattr(decoder, "BATCH_BYTES", 300)
        yield


@settings(max_examples=settings.default.max_examples // 4)
@given(days=st.lists(answers(), min_size=2, max_size=4))
def test_a_target_remembers_what_the_model_remembers(small: None, days: list[Answer]) -> None:
    model = Model()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, answer in enumerate(days):
            model.take(answer)
            report = ftetl.export(
                folder / "target",
                source=answer.save(folder),
                observed_at=moment(answer.day),
                allow_shrink=True,
                allow_account_change=True,
            )
            assert found(folder / "target") == expected(model), (number, answer)
            assert report.version == model.versions


copies = jobs.map(lambda job: replace(job, updated=job.updated and job.updated * 2, refund=None, events=None))


@settings(max_examples=settings.default.max_examples // 4)
@given(found=st.lists(st.tuples(st.integers(1, 5), copies), min_size=2, max_size=4, unique_by=lambda pair: pair[0]))
def test_copies_one_by_one_and_all_in_one_run_have_the_same_winner(found: list[tuple[int, Job]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, ended = Path(name), []
        (folder / "all").mkdir()
        for day, job in sorted(found, key=lambda pair: pair[0]):
            saved = Answer("lines", day, {"ft-a": job}).save(folder)
            ftetl.export(folder / "one by one", source=saved, observed_at=moment(day))
            together = saved.rename(folder / "all" / f"{9 - day}.ndjson")
            os.utime(together, (moment(day).timestamp(),) * 2)
        ftetl.export(folder / "together", source=folder / "all")
        for target in ("one by one", "together"):
            table = ftetl.open(folder / target).arrow("jobs")
            ended.append(table.select(["status", "token_count", "updated_at"]).to_pylist())
        assert ended[0] == ended[1]


def stored(folder: Path, rows: list[tuple[str, int]], group: int) -> TableReader:
    """A snapshot of nothing but events."""
    data = [{"project": "p", "job_id": job_id, "position": position} for job_id, position in rows]
    found = pa.Table.from_pylist(data, schema=schema(tables()["events"]))
    folder.mkdir(exist_ok=True)
    with parquet.pq.ParquetWriter(table_file(folder, "events"), found.schema, write_page_checksum=True) as file:
        for at in range(0, len(data), group):
            file.write_table(found.slice(at, group))
    return TableReader(folder)


ROWS = [("a", 0), ("a", 1), ("b", 0), ("c", 0), ("c", 1), ("c", 2), ("c", 3), ("e", 0)]


@pytest.mark.parametrize("group", [1, 2, 3, 8])
@pytest.mark.parametrize("stops", ["a b c d e", "c e", "z", "0 a a b z", "bb e z", "0", ""])
def test_the_stream_hands_out_each_event_once_and_in_order(tmp_path: Path, group: int, stops: str) -> None:
    events = stored_events.Stream(stored(tmp_path / "s", ROWS, group))
    left = list(ROWS)
    for stop in stops.split():
        pieces = [piece.select(["job_id", "position"]).to_pylist() for piece in events.up_to(stop)]
        assert all(pieces)
        taken = [(row["job_id"], row["position"]) for piece in pieces for row in piece]
        assert taken == [row for row in left if row[0] <= stop]
        left = left[len(taken) :]
        jobs = [{row["job_id"] for row in piece} for piece in pieces]
        assert sum(map(len, jobs)) == len(set().union(*jobs))  # none is cut


@pytest.mark.parametrize("group", [1, 3, 8])
def test_events_are_counted_across_row_groups(tmp_path: Path, group: int) -> None:
    ids = pa.array(["e", "x", "c", "a", "b"])
    assert stored_events.counts(stored(tmp_path / "s", ROWS, group), ids).to_pylist() == [1, 0, 4, 2, 1]
    assert stored_events.counts(TableReader(None), ids).to_pylist() == [0] * 5
    assert stored_events.counts(stored(tmp_path / "s", ROWS, group), ids.slice(0, 0)).to_pylist() == []


def test_events_of_one_late_job_do_not_bring_all_others_into_memory(tmp_path: Path) -> None:
    rows = [(f"j{n:03}", 0) for n in range(100)]
    merged = Merge(stored(tmp_path / "s", rows, 10), RunContext("p"))
    pieces = [piece.num_rows for piece in merged._events.up_to("z")]
    assert (max(pieces), sum(pieces)) == (9, 100)  # the last job of a row group may go on in the next one


def test_nothing_is_left_over_of_an_empty_target() -> None:
    merged = Merge(TableReader(None), RunContext("p"))
    assert list(merged.remaining_batches()) == []
    assert merged.anomaly_table([]).num_rows == 0
