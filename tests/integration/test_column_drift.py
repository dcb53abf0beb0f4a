"""A response whose values have another form than before must not look like a good run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import ftetl
from ftetl import demo
from ftetl.contract import tables
from ftetl.demo import Server
from ftetl.errors import DataError
from ftetl.extract.archive import Archive
from ftetl.pipeline import export as exports
from ftetl.pipeline.run_log import read_records
from ftetl.run_report import Report
from ftetl.store.manifest import seal_json
from ftetl.store.target import Target as StoredTarget
from ftetl.transform.merge import last_known
from tests.demo.generator import generate_jobs

Job = dict[str, Any]
Change = Callable[[Job], Job]
UPDATED = "2026-11-01T00:00:00Z"


def known(number: int) -> Job:
    day = f"2026-{number % 9 + 1:02}-{number % 28 + 1:02}"
    return {
        "id": f"ft-{number:02}",
        "status": "completed",
        "created_at": f"{day}T08:00:00Z",
        "updated_at": f"{day}T09:00:00Z",
        "model": "Qwen/Qwen3-8B",
        "total_price": 4_000_000_000 + number,
        "token_count": 9_000_000 + number,
        "training_type": {"type": "Lora", "lora_r": 8},
    }


KNOWN = [known(number) for number in range(30)]


def changed(change: Change, count: int = 30, jobs: list[Job] = KNOWN) -> list[Job]:
    """The jobs, the first ones changed."""
    return [change(job | {"updated_at": UPDATED}) if n < count else job for n, job in enumerate(jobs)]


def without(*keys: str) -> Change:
    return lambda job: {key: value for key, value in job.items() if key not in keys}


def text_price(job: Job) -> Job:
    return job | {"total_price": str(job["total_price"])}


def object_status(job: Job) -> Job:
    return job | {"status": {"state": job["status"]}}


def moved_price(job: Job) -> Job:
    return without("total_price")(job) | {"price": {"total": job["total_price"]}}


class Target:
    """A target, and what is in its newest snapshot."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "target"
        self._day = 1

    def __call__(self, jobs: list[Job] | dict[str, list[Job]], **settings: Any) -> Report:
        """Export a list, or a folder of lists by the day on which they were received."""
        self._day += 1
        if isinstance(jobs, list):
            source = self.folder / "list.json"
            source.write_text(json.dumps({"data": jobs}))
            settings["observed_at"] = datetime(2026, 11, self._day, tzinfo=UTC)
        else:
            source = self.folder / f"days-{self._day}"
            source.mkdir()
            for number, (name, listed) in enumerate(jobs.items()):
                (source / name).write_text(json.dumps({"data": listed}))
                at = datetime(2026, 11, 10 + number, tzinfo=UTC).timestamp()
                os.utime(source / name, (at, at))
        return ftetl.export(self.path, source=source, **settings)

    def refused(self, jobs: Any, **settings: Any) -> DataError:
        before = self.state()
        with pytest.raises(DataError, match="nothing was committed") as caught:
            self(jobs, **settings)
        assert (caught.value.exit.code, self.state()) == (65, before)
        assert "--allow-drift" in caught.value.next
        record = read_records(self.path, [])[-1]
        assert (record.code, record.exit_code, record.changed) == (caught.value.code, 65, False)
        return caught.value

    def state(self) -> object:
        manifests = self.path / "_ftetl" / "manifests"
        current = self.path / "current"
        if not current.exists():
            return None
        tables = {path.name: path.read_bytes() for path in sorted(current.iterdir())}
        return sorted(path.name for path in manifests.iterdir()), tables

    def rows(self, table: str, *columns: str) -> list[Any]:
        found = ftetl.open(self.path).arrow(table).select(columns).to_pylist()
        return [tuple(row.values()) if len(columns) > 1 else row[columns[0]] for row in found]


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path)


UNREADABLE = {
    "prices as text": (text_price, "total_price", "text of digits"),
    "prices as text with a fraction": (lambda job: job | {"total_price": "4.00"}, "total_price", "text of a number"),
    "prices as objects": (lambda job: job | {"total_price": {"usd": 4}}, "total_price", "object"),
    "prices in dollars": (lambda job: job | {"total_price": 4.5}, "total_price", "number with a fraction"),
    "prices in whole dollars": (lambda job: job | {"total_price": 4.0}, "total_price", "number with a fraction"),
    "prices with an exponent": (lambda job: job | {"total_price": 4e100}, "total_price", "number with an exponent"),
    "prices beyond every price": (lambda job: job | {"total_price": 10**19}, "total_price", "integer"),
    "statuses in other words": (lambda job: job | {"status": "succeeded"}, "status", "unknown text"),
    "statuses as objects": (object_status, "status", "object"),
    "unix times": (lambda job: job | {"created_at": 1767225600}, "created_at", "integer"),
    "times in words": (lambda job: job | {"created_at": "1 May 2026"}, "created_at", "text"),
    "changes in unix times": (lambda job: job | {"updated_at": 1767225600}, "updated_at", "integer"),
    "tokens as lists": (lambda job: job | {"token_count": [9]}, "token_count", "list"),
    "negative tokens": (lambda job: job | {"token_count": -1}, "token_count", "integer"),
    "training types as text": (lambda job: job | {"training_type": "Lora"}, "training_type", "text"),
    "booleans inside": (lambda job: job | {"training_type": {"lora_r": True}}, "training_type.lora_r", "boolean"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_values_that_become_unreadable_in_all_jobs_are_refused(case: str, target: Target) -> None:
    change, key, form = UNREADABLE[case]
    target(KNOWN)
    error = target.refused(changed(change))
    assert error.code == "FTETL-R51"
    assert error.what.startswith(f"{key} is unreadable in 30 of 30 jobs ({form})")
    assert "4000000" not in str(error)


@pytest.mark.parametrize("case", UNREADABLE)
def test_values_that_are_unreadable_in_all_jobs_are_refused_on_a_first_run(case: str, target: Target) -> None:
    change, key, form = UNREADABLE[case]
    error = target.refused(changed(change))
    assert error.code == "FTETL-R51"
    assert error.what.startswith(f"{key} is unreadable in 30 of 30 jobs ({form})")


@pytest.mark.parametrize("key", ["total_price", "refund_amount", "train_price", "eval_price"])
def test_a_few_whole_reals_are_no_money_and_change_no_sum(key: str, target: Target) -> None:
    known = [job | {key: job["total_price"]} for job in KNOWN]
    target(known)
    target(changed(lambda job: job | {key: 4.0, "token_count": 5.0}, 4, known))
    assert target.rows("jobs", f"{key}_nanousd") == [job["total_price"] for job in known]
    assert target.rows("jobs", "token_count")[:5] == [5, 5, 5, 5, 9_000_004]
    assert target.rows("anomalies", "path", "kind", "raw") == [(key, "wrong_type", "4.0")] * 4


@pytest.mark.parametrize(("count", "passes"), [(4, True), (5, True), (6, False), (30, False)])
def test_a_fifth_of_the_jobs_that_had_the_value_is_too_much(count: int, passes: bool, target: Target) -> None:
    target(KNOWN)
    if passes:
        target(changed(text_price, count))
        assert target.rows("jobs", "total_price_nanousd") == [job["total_price"] for job in KNOWN]
    else:
        assert f"in {count} of 30 jobs" in target.refused(changed(text_price, count)).what


@pytest.mark.parametrize(("count", "of", "passes"), [(4, 4, True), (5, 26, True), (5, 25, False), (6, 30, False)])
def test_on_a_first_run_it_is_a_fifth_of_all_jobs(count: int, of: int, passes: bool, target: Target) -> None:
    jobs = changed(text_price, count, KNOWN[:of])
    if passes:
        assert target(jobs).anomalies == {"wrong_type": count}
        assert target.rows("jobs", "total_price_nanousd")[:count] == [None] * count
    else:
        target.refused(jobs)


def test_many_known_jobs_do_not_hide_that_all_new_ones_are_unreadable(target: Target) -> None:
    target(KNOWN[:25])
    assert "total_price is unreadable in 5 of 30 jobs" in target.refused([*KNOWN[:25], *changed(text_price)[25:]]).what


def test_jobs_that_had_no_value_yet_count_like_new_ones(target: Target) -> None:
    running = [job | {"status": "running", "total_price": None} for job in KNOWN[:6]]
    target([*running, *KNOWN[6:]])
    target.refused([*changed(text_price, 6)])


def test_a_few_unknown_statuses_are_stored_as_they_are(target: Target) -> None:
    target(KNOWN)
    assert target(changed(lambda job: job | {"status": "paused"}, 5)).warnings == ()
    assert target.rows("jobs", "status", "is_terminal")[4:6] == [("paused", False), ("completed", True)]
    assert target.rows("anomalies", "path", "kind", "raw") == [("status", "unknown_enum", '"paused"')] * 5
    assert "status is unreadable in 6 of 30 jobs" in target.refused(changed(object_status, 6)).what


def test_unknown_statuses_that_were_allowed_stay_allowed_in_the_same_jobs(target: Target) -> None:
    def odd(job: Job) -> Job:
        return job | {"status": "succeeded"}

    target(KNOWN[:20])
    target(changed(odd, 20, KNOWN[:20]), allow_drift=True)
    assert set(target.rows("jobs", "status")) == {"succeeded"}
    target([job | {"updated_at": "2026-11-02T00:00:00Z"} for job in changed(odd, 20, KNOWN[:20])])
    assert "status is unreadable in 10 of 10 jobs (unknown text)" in target.refused(changed(odd)).what


@pytest.mark.parametrize(
    ("known", "instead"),
    [
        (0, "NULL, see the table anomalies"),
        (1, "NULL in 1, last known values in 1, see the table anomalies"),
        (2, "last known values are kept, see the table anomalies"),
    ],
)
def test_the_warning_says_what_stands_in_place_of_unreadable_values(known: int, instead: str, target: Target) -> None:
    target(KNOWN[2 - known :])
    assert target(changed(object_status, 2)).warnings == (f"status is unreadable in 2 jobs (object); {instead}",)


MISSING = {
    "a price that moved": (moved_price, "total_price"),
    "prices that are null": (lambda job: job | {"total_price": None}, "total_price"),
    "no status": (without("status"), "status"),
    "an empty status": (lambda job: job | {"status": ""}, "status"),
    "no time of the change": (without("updated_at"), "updated_at"),
    "no time of creation": (without("created_at"), "created_at"),
}


@pytest.mark.parametrize("case", MISSING)
def test_money_statuses_and_times_that_vanish_from_most_jobs_are_refused(case: str, target: Target) -> None:
    change, key = MISSING[case]
    target(KNOWN)
    error = target.refused(changed(change, 16))
    assert error.code == "FTETL-R52"
    assert error.what.startswith(f"{key} is missing in 16 of 30 jobs that had it")
    report = target(changed(change, 15))
    assert report.warnings == (
        f"{key} is missing in 15 of 30 jobs that had it; look at these jobs, and at the next runs",
    )
    assert report.drift.missing == {key: 15}


def test_one_price_that_is_missing_is_a_warning(target: Target) -> None:
    target(KNOWN)
    assert target(changed(moved_price, 1)).warnings == (
        "total_price is missing in 1 of 30 jobs that had it; look at these jobs, and at the next runs",
    )


def test_a_status_that_vanishes_from_a_few_more_jobs_in_each_run_is_a_warning_each_time(target: Target) -> None:
    target(KNOWN)
    for count in (5, 10, 15):
        report = target(changed(without("status"), count))
        assert report.drift.missing == {"status": 5}
        assert f"status is missing in 5 of {35 - count} jobs that had it; look at these jobs" in report.warnings[0]


def test_another_value_that_vanishes_from_most_jobs_is_a_warning(target: Target) -> None:
    target(KNOWN)
    report = target(changed(without("model", "training_type"), 20))
    assert report.warnings == (
        "model is missing in 20 of 30 jobs that had it, training_type.lora_r is missing in 20 of 30 jobs that had it, "
        "training_type.type is missing in 20 of 30 jobs that had it: the responses have another form; "
        "look for a newer ftetl",
    )
    assert report.drift.missing == {"model": 20, "training_type.lora_r": 20, "training_type.type": 20}


def test_a_value_that_only_some_states_have_may_vanish_with_the_state(target: Target) -> None:
    progress = {"estimate_available": True, "seconds_remaining": 5}
    running = [job | {"status": "running", "started_at": UPDATED, "progress": progress} for job in KNOWN]
    target(running)
    assert target(changed(lambda job: job)).warnings == ()
    assert set(target.rows("jobs", "status")) == {"completed"}


def test_both_kinds_of_drift_are_told_at_once(target: Target) -> None:
    target(KNOWN)
    error = target.refused(changed(lambda job: moved_price(object_status(job))))
    assert error.code == "FTETL-R51"
    assert error.what == (
        "status is unreadable in 30 of 30 jobs (object), total_price is missing in 30 of 30 jobs that had it: "
        "the responses have another form; nothing was committed"
    )


OTHER_PRICES = {
    "none": lambda job: job | {"total_price": 0},
    "negative": lambda job: job | {"total_price": -job["total_price"]},
    "whole dollars": lambda job: job | {"total_price": 4},
    "cents": lambda job: job | {"total_price": job["total_price"] // 10_000_000},
    "of jobs with another end": lambda job: job | {"total_price": 0, "status": "cancelled"},
}


@pytest.mark.parametrize("case", OTHER_PRICES)
def test_prices_of_finished_jobs_that_change_in_many_at_once_are_refused(case: str, target: Target) -> None:
    target(KNOWN)
    jobs = changed(OTHER_PRICES[case])
    error = target.refused(jobs)
    assert (error.code, error.what) == (
        "FTETL-R54",
        "the prices of 30 of 30 finished jobs changed at once; nothing was committed",
    )
    report = target(jobs, allow_drift=True)
    assert report.warnings[0] == (
        "the prices of 30 of 30 finished jobs changed at once; see job_history for the ones before"
    )
    assert target.rows("jobs", "total_price_nanousd") == [job["total_price"] for job in jobs]
    assert target(jobs).warnings == ()


@pytest.mark.parametrize(("count", "passes"), [(4, True), (5, True), (6, False)])
def test_few_prices_of_finished_jobs_may_change_with_a_warning(count: int, passes: bool, target: Target) -> None:
    target(KNOWN)
    jobs = changed(lambda job: job | {"total_price": 7}, count)
    if passes:
        assert target(jobs).warnings == (
            f"the prices of {count} of 30 finished jobs changed; see job_history for the ones before",
        )
        assert target.rows("jobs", "total_price_nanousd") == [job["total_price"] for job in jobs]
    else:
        assert f"of {count} of 30 finished jobs" in target.refused(jobs).what


@pytest.mark.parametrize("before", [{"status": "running"}, {"total_price": 0}, {"total_price": None}])
def test_jobs_that_end_and_jobs_that_get_their_price_raise_no_alarm(before: Job, target: Target) -> None:
    target([job | before for job in KNOWN], billing_account="a")
    assert target(changed(lambda job: job | {"total_price": 7}), billing_account="a").warnings == ()


def test_jobs_that_run_again_have_no_price_yet(target: Target) -> None:
    target(KNOWN)
    assert target(changed(lambda job: job | {"status": "running", "total_price": 0})).warnings == ()


def costs(target: Target) -> list[Any]:
    return target.rows("focus_costs", "ResourceId", "BilledCost", "BillingPeriodStart", "x_JobStatus")


def test_a_few_odd_prices_keep_their_last_known_value_in_every_table(target: Target) -> None:
    target(KNOWN)
    charges = costs(target)
    report = target(changed(text_price, 2))
    assert report.changed
    assert report.exit_code == 0
    assert report.warnings == (
        "total_price is unreadable in 2 jobs (text of digits); last known values are kept, see the table anomalies",
    )
    prices = [job["total_price"] for job in KNOWN]
    assert target.rows("jobs", "total_price_nanousd") == prices
    assert target.rows("jobs", "total_price_usd") == [Decimal(price).scaleb(-9) for price in prices]
    assert costs(target) == charges
    assert target.rows("anomalies", "job_id", "path", "kind", "raw") == [
        ("ft-00", "total_price", "wrong_type", '"4000000000"'),
        ("ft-01", "total_price", "wrong_type", '"4000000001"'),
    ]
    states = target.rows("job_history", "job_id", "updated_at", "total_price_nanousd")
    assert [state for state in states if state[0] == "ft-00"] == [
        ("ft-00", datetime(2026, 1, 1, 9, tzinfo=UTC), 4_000_000_000),
        ("ft-00", datetime(2026, 11, 1, tzinfo=UTC), 4_000_000_000),
    ]
    assert not target(changed(text_price, 2)).changed
    target(changed(lambda job: job | {"total_price": 7}, 2))
    assert target.rows("jobs", "total_price_nanousd")[:3] == [7, 7, 4_000_000_002]
    assert target.rows("anomalies", "job_id") == []


def test_the_other_values_of_an_odd_job_are_taken(target: Target) -> None:
    target(KNOWN)
    target(changed(lambda job: text_price(job) | {"model": "other"}, 1))
    assert target.rows("jobs", "model", "total_price_nanousd")[0] == ("other", 4_000_000_000)


def test_a_status_that_is_kept_brings_all_that_follows_from_it(target: Target) -> None:
    end = [{"type": "JOB_COMPLETE", "created_at": "2026-12-24T00:00:00Z"}]
    columns = ("status", "is_terminal", "created_at", "finished_at", "duration_seconds")
    target([KNOWN[0] | {"events": end}])
    before = target.rows("jobs", *columns)
    target(changed(lambda job: object_status(job) | {"created_at": 5, "events": end}, 1, KNOWN[:1]))
    assert target.rows("jobs", *columns) == before
    assert {kind for _, kind in target.rows("anomalies", "path", "kind")} == {"wrong_type"}


def test_a_plain_null_is_no_unreadable_value_and_replaces_the_stored_one(target: Target) -> None:
    target(KNOWN)
    target(changed(lambda job: job | {"total_price": None}, 2))
    assert target.rows("jobs", "total_price_nanousd")[:3] == [None, None, 4_000_000_002]


def test_who_allows_drift_keeps_the_last_known_values_until_they_can_be_read_again(target: Target) -> None:
    target(KNOWN)
    charges = costs(target)
    report = target(changed(lambda job: moved_price(object_status(job))), allow_drift=True)
    (warning,) = report.warnings
    assert warning.startswith("status is unreadable in 30 of 30 jobs (object), total_price is missing in 30 of 30")
    assert (report.exit_code, report.changed, costs(target)) == (0, True, charges)
    assert target.rows("jobs", "status") == ["completed"] * 30
    target.refused(changed(lambda job: moved_price(object_status(job))))  # allowed once is not allowed for good
    target(changed(lambda job: job | {"status": "error", "total_price": 7}), allow_drift=True)
    assert set(target.rows("jobs", "status", "total_price_nanousd")) == {("error", 7)}


def test_drift_of_another_value_that_was_allowed_stays_allowed(target: Target) -> None:
    def odd(job: Job) -> Job:
        return job | {"token_count": str(job["token_count"])}

    target(KNOWN[:20])
    target.refused(changed(odd, 20, KNOWN[:20]))
    target(changed(odd, 20, KNOWN[:20]), allow_drift=True)
    assert target.rows("jobs", "token_count") == [None] * 20
    assert target(changed(odd)).new == 10


def test_of_lists_of_several_days_the_newest_counts(target: Target) -> None:
    later = [job | {"total_price": str(job["total_price"])} for job in KNOWN]
    target.refused({"1.json": KNOWN, "2.json": later})
    target({"1.json": KNOWN, "2.json": later, "3.json": KNOWN})
    # The bad day between is no change of the price.
    states = target.rows("job_history", "job_id", "total_price_nanousd")
    assert {price for _, price in states} == {job["total_price"] for job in KNOWN}


def test_a_few_odd_prices_among_the_days_of_a_folder_give_what_runs_day_by_day_give(tmp_path: Path) -> None:
    days = {"1.json": KNOWN, "2.json": changed(text_price, 2), "3.json": changed(object_status, 1)}
    together, apart = Target(tmp_path / "a"), Target(tmp_path / "b")
    for made in (together, apart):
        made.folder.mkdir()
    together(days)
    for number, (name, jobs) in enumerate(days.items()):
        source = apart.folder / name
        source.write_text(json.dumps({"data": jobs}))
        ftetl.export(apart.path, source=source, observed_at=datetime(2026, 11, 10 + number, tzinfo=UTC))
    for table, columns in (
        ("jobs", ("job_id", "status", "is_terminal", "total_price_nanousd", "total_price_usd", "updated_at")),
        ("job_history", ("job_id", "status", "total_price_nanousd", "observed_at")),
        ("anomalies", ("job_id", "path", "raw")),
    ):
        assert together.rows(table, *columns) == apart.rows(table, *columns), table
    assert costs(together) == costs(apart)


class Served:
    """A target of a demo server that can be asked for lists and details."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.target = server, Target(folder)
        self._day = 1

    def __call__(self, jobs: list[Job], **settings: Any) -> Report:
        self.server.jobs = jobs
        self._day += 7
        return ftetl.export(
            self.target.path,
            base_url=self.server.url,
            environ={"TOGETHER_API_KEY": self.server.key},
            observed_at=datetime(2026, 10, self._day, tzinfo=UTC) if self._day < 31 else None,
            **settings,
        )

    def refused(self, jobs: list[Job], **settings: Any) -> DataError:
        before = self.target.state()
        with pytest.raises(DataError, match="nothing was committed") as caught:
            self(jobs, **settings)
        assert (caught.value.exit.code, self.target.state()) == (65, before)
        return caught.value

    def evidence(self) -> dict[str, Any]:
        (folder,) = (self.target.path / "_ftetl" / "failed").iterdir()
        return {path.name: json.loads(path.read_bytes()) for path in folder.iterdir()}


def with_events(job: Job) -> Job:
    types = ("JOB_PENDING", "JOB_START", "JOB_COMPLETE")
    return job | {"events": [{"type": t, "created_at": f"2026-09-30T10:00:0{n}Z"} for n, t in enumerate(types)]}


FULL = [with_events(job) for job in KNOWN]


@pytest.fixture
def served(tmp_path: Path) -> Any:
    with demo.serve(jobs=[]) as server:
        yield Served(server, tmp_path)


def test_refunds_of_finished_jobs_that_fall_in_many_at_once_are_refused(served: Served) -> None:
    jobs = [job | {"status": "error", "refund_amount": 1_000_000_000} for job in FULL]
    served(jobs)
    assert served(changed(lambda job: job | {"refund_amount": 2_000_000_000}, 30, jobs)).warnings == ()
    error = served.refused(
        changed(lambda job: job | {"refund_amount": 0, "updated_at": "2026-11-02T00:00:00Z"}, 30, jobs)
    )
    assert (error.code, error.what) == (
        "FTETL-R54",
        "the refunds of 30 of 30 finished jobs fell at once; nothing was committed",
    )


def each_event(change: Change) -> Change:
    return lambda job: job | {"events": [change(event) for event in job["events"]]}


EVENTS = {
    "times as numbers": (each_event(lambda e: e | {"created_at": 1767225600}), "R51", "events.created_at"),
    "times in words": (each_event(lambda e: e | {"created_at": "soon"}), "R51", "events.created_at"),
    "types as numbers": (each_event(lambda e: e | {"type": 7}), "R51", "events.type"),
    "events as texts": (lambda job: job | {"events": ["a", "b", "c"]}, "R51", "events"),
    "events as an object": (lambda job: job | {"events": {"data": job["events"]}}, "R51", "events"),
    "times under another key": (
        each_event(lambda e: without("created_at")(e) | {"at": e["created_at"]}),
        "R52",
        "events.created_at",
    ),
    "types under another key": (each_event(lambda e: {"created_at": e["created_at"]}), "R52", "events.type"),
}


@pytest.mark.parametrize("case", EVENTS)
def test_events_of_another_form_are_refused(case: str, served: Served) -> None:
    change, code, key = EVENTS[case]
    served(FULL)
    assert served.target.rows("jobs", "events_state") == ["detail"] * 30
    error = served.refused(changed(change, 30, FULL))
    assert error.code == f"FTETL-{code}"
    assert f"{key} is " in error.what
    assert " 30 of 30 jobs" in error.what


def test_the_jobs_that_were_not_decoded_again_hide_nothing(served: Served) -> None:
    served(FULL)
    served.server.requests.clear()
    error = served.refused(changed(text_price, 5, FULL))
    assert sum("/ft-" in path for _, path in served.server.requests) == 5
    assert error.what.startswith("total_price is unreadable in 5 of 5 jobs")


def test_the_list_and_a_detail_are_kept_and_details_are_asked_for_again(
    served: Served,
) -> None:
    served(FULL)
    jobs = changed(each_event(lambda e: e | {"created_at": "soon"}), 6, FULL)
    served.refused(jobs)
    found = served.evidence()
    assert found["detail.json"] in jobs[:6]
    assert {job["id"] for job in found["answer.json"]["data"]} == {job["id"] for job in jobs}
    served(changed(lambda job: job, 6, FULL))  # listed as before, and the details are mended
    times = served.target.rows("events", "created_at")
    assert len(times) == 90
    assert None not in times


def forget_drift_setting(target: Path) -> None:
    """Make the archive that of an ftetl that did not know of drift."""
    with StoredTarget(target) as held, Archive(held) as archive:
        for entry in list(archive.entries()):
            del entry["settings"]["allow_drift"]
            name = f"{entry['version']:020d}-{entry['run_id']}.json"
            (target / "_ftetl" / "archive" / "index" / name).write_bytes(seal_json(entry, "sha256"))


def test_a_rebuild_allows_what_was_allowed_and_refuses_the_rest(served: Served) -> None:
    served(FULL)
    charges = costs(served.target)
    served(changed(text_price, 30, FULL), allow_drift=True)
    assert not exports.rebuild(served.target.path).changed
    forget_drift_setting(served.target.path)
    before = served.target.state()
    with pytest.raises(DataError) as caught:
        exports.rebuild(served.target.path)
    assert (caught.value.code, served.target.state()) == ("FTETL-R51", before)
    exports.rebuild(served.target.path, allow_drift=True)
    assert costs(served.target) == charges


@pytest.mark.parametrize(
    ("seeds", "least"), [(3, 1_000), pytest.param(28, 10_000, marks=pytest.mark.slow)], ids=["a thousand", "many"]
)
def test_thousands_of_jobs_are_no_drift(tmp_path: Path, seeds: int, least: int) -> None:
    jobs = [job for seed in range(seeds) for job in generate_jobs(seed)]
    assert len(jobs) >= least
    lines = tmp_path / "jobs.ndjson"
    lines.write_text("".join(json.dumps(job) + "\n" for job in jobs))
    for day in (1, 2):
        report = ftetl.export(tmp_path / "t", source=lines, observed_at=datetime(2026, 12, day, tzinfo=UTC))
        assert (report.exit_code, report.drift.missing) == (0, {})
    listed = [{key: value for key, value in job.items() if key != "events"} for job in jobs]
    lines.write_text("".join(json.dumps(job) + "\n" for job in listed))
    assert ftetl.export(tmp_path / "t", source=lines, observed_at=datetime(2026, 12, 3, tzinfo=UTC)).exit_code == 0


def test_every_key_whose_value_is_kept_is_one_of_the_contract() -> None:
    names = {name for key in last_known.KEYS for name in last_known.columns_of(key)}
    assert names == {
        *("status", "is_terminal", "created_at", "total_price_nanousd", "total_price_usd"),
        *("refund_amount_nanousd", "refund_amount_usd"),
    }
    assert names <= set(tables()["jobs"].names)
