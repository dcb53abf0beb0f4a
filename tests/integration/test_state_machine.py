"""Any sequence of what a service may say, with runs in between, against a model of plain dicts; rebuilt, the same."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import ftetl
from ftetl import demo
from ftetl.clock import iso, parse_iso
from ftetl.pipeline import export

Job = dict[str, Any]
START = datetime(2026, 7, 1, tzinfo=UTC)
ENDED = ("completed", "cancelled", "error")
IDS = [f"ft-{letter}" for letter in "abcdef"]
FUTURE = iso(datetime(2062, 1, 1, tzinfo=UTC))
# What may become of the time of a job's last change, besides that it is right.
ODD_TIMES: dict[str, Job] = {
    "gone": {},
    "null": {"updated_at": None},
    "unix": {"updated_at": 1_782_864_000},
    "renamed": {"updatedAt": iso(START)},
    "2062": {"updated_at": FUTURE},
}
FEW = 3  # jobs whose time is odd: more at once would be drift
AHEAD = [timedelta(hours=3), timedelta(days=40), datetime(2062, 1, 1, tzinfo=UTC) - START]
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"


def time_of(job: Job) -> str | None:
    """The time of the last change as the tables have it."""
    text = job.get("updated_at")
    return text if isinstance(text, str) else None


def is_older(time: str | None, known: str | None) -> bool:
    """Whether both times can be compared, and the first one is less."""
    return None not in (time, known) and FUTURE not in (time, known) and str(time) < str(known)


@dataclass
class Known:
    """What the tables should say of one job."""

    status: str
    updated_at: str | None
    price: int
    events: int
    present: bool = True
    history: list[tuple[str, str | None, int]] = field(default_factory=list)
    listed: str = ""  # the listed document when the detail was had
    detail: bool = False  # whether the row has the newest detail


class Machine(RuleBasedStateMachine):
    """A service whose jobs change at will, and runs a day apart."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp())
        self.stack.callback(shutil.rmtree, self.folder)
        self.target = self.folder / "t"
        self.jobs: dict[str, Job] = {}
        self.fails: dict[str, int] = {}
        self.known: dict[str, Known] = {}
        self.now = START
        self.asked_at: datetime | None = None  # when details were last asked for
        self.order = Random(0)

    @initialize()
    def serve(self) -> None:
        self.server = self.stack.enter_context(demo.serve(jobs=[], fail=lambda path: self.fails.get(path[-4:])))

    def teardown(self) -> None:
        try:
            if self.target.exists():
                self.rebuilds_the_same()
        finally:
            self.stack.close()

    @rule(job_id=st.sampled_from(IDS), status=st.sampled_from(["pending", "running", *ENDED]))
    def appears_or_returns(self, job_id: str, status: str) -> None:
        if job_id not in self.jobs:
            self.jobs[job_id] = {"id": job_id, "created_at": iso(START), "total_price": 0, "events": [self._event(1)]}
            self._becomes(job_id, status)

    @rule(job_id=st.sampled_from(IDS), status=st.sampled_from(["running", *ENDED]), price=st.integers(0, 3))
    def changes(self, job_id: str, status: str, price: int) -> None:
        if job_id in self.jobs:
            events = self.jobs[job_id]["events"]
            self.jobs[job_id] |= {"total_price": price, "events": [*events, self._event(len(events) + 1)]}
            self._becomes(job_id, status)

    @rule(job_id=st.sampled_from(IDS), price=st.integers(0, 3))
    def is_priced_without_a_new_time(self, job_id: str, price: int) -> None:
        if job_id in self.jobs:
            self.jobs[job_id] = self.jobs[job_id] | {"total_price": price}

    @rule(job_id=st.sampled_from(IDS), days=st.integers(1, 5))
    def goes_back_in_time(self, job_id: str, days: int) -> None:
        if (time := time_of(self.jobs.get(job_id, {}))) is not None:
            updated = parse_iso(time) - timedelta(days=days)
            self.jobs[job_id] = self.jobs[job_id] | {"updated_at": iso(updated), "status": "running"}

    @rule(job_id=st.sampled_from(IDS), odd=st.sampled_from([*ODD_TIMES]), status=st.sampled_from(["running", *ENDED]))
    def has_an_odd_time(self, job_id: str, odd: str, status: str) -> None:
        odd_ones = {i for i, job in self.jobs.items() if time_of(job) in (None, FUTURE)} - {job_id}
        if job_id in self.jobs and len(odd_ones) < FEW:
            self._becomes(job_id, status)
            del self.jobs[job_id]["updated_at"]
            self.jobs[job_id] |= ODD_TIMES[odd]

    @rule(job_id=st.sampled_from(IDS))
    def vanishes(self, job_id: str) -> None:
        self.jobs.pop(job_id, None)

    @rule(job_id=st.sampled_from(IDS), status=st.sampled_from([403, 404]))
    def detail_is_not_to_be_had(self, job_id: str, status: int) -> None:
        self.fails[job_id] = status

    @rule()
    def details_are_there_again(self) -> None:
        self.fails.clear()

    @rule(seed=st.integers(0, 9))
    def list_is_shuffled(self, seed: int) -> None:
        self.order = Random(seed)

    @rule(days=st.integers(1, 4))
    def time_passes(self, days: int) -> None:
        self.now += timedelta(days=days)

    @precondition(lambda self: self.jobs)
    @rule(events=st.sampled_from(["auto", "auto", "auto", "list", "none"]))
    def run(self, events: str) -> None:
        self._run(events, timedelta())

    @precondition(lambda self: self.jobs)
    @rule(ahead=st.sampled_from(AHEAD))
    def run_with_a_clock_that_is_ahead(self, ahead: timedelta) -> None:
        self._run("auto", ahead)

    def _run(self, events: str, ahead: timedelta) -> None:
        self.now += timedelta(hours=1)
        clock = self.now + ahead
        jobs = [self.jobs[i] for i in sorted(self.jobs)]
        self.order.shuffle(jobs)
        self.server.jobs = [dict(self.order.sample(list(j.items()), len(j))) for j in jobs]
        self.server.requests.clear()
        listed = {j["id"]: json.dumps({k: j[k] for k in sorted(j) if k != "events"}) for j in jobs}
        asked = {i for i in self.jobs if events == "auto" and not self._is_settled(i, listed[i], clock)}
        environ = {"TOGETHER_API_KEY": self.server.key}
        report = ftetl.export(
            self.target,
            base_url=self.server.url,
            environ=environ,
            observed_at=clock,
            events=events,
            allow_shrink=True,
        )
        paths = sorted(path.rpartition("/")[2] for _, path in self.server.requests)
        assert paths == sorted([*asked, "files", "fine-tunes", "whoami", "whoami"])
        if events == "auto":
            self.asked_at = clock
        failed = {i for i in asked if self.fails.get(i) == 403}
        assert report.exit_code == (3 if failed else 0)
        for job_id in self.known.keys() - self.jobs.keys():
            self.known[job_id].present = False
        for job_id, job in self.jobs.items():
            self._learn(job, listed[job_id], had=job_id in asked and job_id not in self.fails, asked=job_id in asked)

    def _learn(self, job: Job, listed: str, *, had: bool, asked: bool) -> None:
        state = (job["status"], time_of(job), job["total_price"])
        known = self.known.setdefault(job["id"], Known("", "", 0, 0))
        known.present = True
        if not known.history or known.history[-1] != state:
            known.history.append(state)
        if is_older(time_of(job), known.updated_at):
            # The stored row stays. What was had of the older state is remembered, but it is not the row's.
            known.listed = listed if had else known.listed if known.listed == listed else ""
            if asked and not had:
                known.detail = False
            if had and not known.events:
                known.events = len(job["events"])  # better the events of an older state than none
            return
        same = (known.status, known.updated_at, known.price) == state
        known.status, known.updated_at, known.price = state
        if had:
            known.listed, known.detail = listed, len(job["events"]) >= known.events
            known.events = max(known.events, len(job["events"]))
        else:
            known.detail = known.detail and same and not (asked and job["id"] in self.fails)
            known.listed = known.listed if known.listed == listed else ""

    def _is_settled(self, job_id: str, listed: str, clock: datetime) -> bool:
        known = self.known.get(job_id)
        # What was not told by this model's own words is told by the table: the state of the events.
        if known is None or not (self.target / "current").exists():
            return False
        (row,) = [r for r in ftetl.open(self.target).arrow("jobs").to_pylist() if r["job_id"] == job_id]
        ended = min(row["finished_at"] or row["updated_at"] or row["last_changed_at"], row["last_changed_at"])
        over = known.status in ENDED and min(clock, self.asked_at or clock) - ended >= timedelta(days=3)
        return row["events_state"] == "detail" and over and known.listed == listed

    @invariant()
    def the_tables_say_what_was_seen(self) -> None:
        if not (self.target / "current").exists():
            return
        snapshot = ftetl.open(self.target)
        rows = {row["job_id"]: row for row in snapshot.arrow("jobs").to_pylist()}
        assert rows.keys() == self.known.keys()
        events: dict[str, list[int]] = {job_id: [] for job_id in rows}
        for event in snapshot.arrow("events").to_pylist():
            events[event["job_id"]].append(event["position"])
        history: dict[str, list[tuple[str, str | None, int]]] = {}
        for state in snapshot.arrow("job_history").to_pylist():
            told = (state["status"], text(state["updated_at"]), state["total_price_nanousd"])
            history.setdefault(state["job_id"], []).append(told)
        for job_id, known in self.known.items():
            row = rows[job_id]
            shown = (row["status"], text(row["updated_at"]), row["total_price_nanousd"], row["present"])
            assert shown == (known.status, known.updated_at, known.price, known.present), job_id
            assert events[job_id] == list(range(known.events)), job_id
            assert history[job_id] == known.history, job_id
            if known.detail:
                assert row["events_state"] == "detail", job_id

    def rebuilds_the_same(self) -> None:
        before = {path.name: path.read_bytes() for path in (self.target / "current").iterdir()}
        report = export.rebuild(self.target)
        after = {path.name: path.read_bytes() for path in (self.target / "current").iterdir()}
        assert {name for name in before if before[name] != after[name]} == set()
        assert not report.changed

    def _event(self, number: int) -> Job:
        return {"type": "EPOCH_COMPLETE", "created_at": iso(START + timedelta(minutes=number)), "step": number}

    def _becomes(self, job_id: str, status: str) -> None:
        self.now += timedelta(minutes=1)
        self.jobs[job_id] = self.jobs[job_id] | {"status": status, "updated_at": iso(self.now)}
        self.jobs[job_id].pop("updatedAt", None)


def text(moment: datetime | None) -> str | None:
    return iso(moment) if moment else None


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    max_examples=60 if LONG else 12,
    stateful_step_count=40 if LONG else 12,
)
