"""The second run and those after it: what changes in a target, and what does not, when more answers come."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import ftetl
from ftetl import demo
from ftetl.contract import tables
from ftetl.contract.arrow_schema import schema
from ftetl.errors import ConfigError, DataError
from ftetl.run_report import Report
from ftetl.store.manifest import newest_manifest

Job = dict[str, Any]
Row = dict[str, Any]
EARLY, LATE = "2026-07-02T08:10:14Z", "2026-07-03T08:10:14Z"


def day(number: int) -> datetime:
    """A day on which an answer was received."""
    return datetime(2026, 8, number, tzinfo=UTC)


def job(number: int, **more: Any) -> Job:
    return {"id": f"ft-{number:02}", "status": "completed", "created_at": EARLY, "updated_at": EARLY} | more


def event(at: int, kind: str = "JOB_START", **more: Any) -> Job:
    return {"created_at": f"2026-07-02T09:00:{at:02}Z", "type": kind, "message": f"event {at}"} | more


FULL = {"param_count": 5, "refund_amount": 7, "new_key": 1, "events": [event(0), event(1, "JOB_COMPLETE")]}


class Exports:
    """A target, and what is in its newest snapshot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = folder / "target"
        self._runs = 0

    def __call__(self, source: Any, on: int = 1, *, name: str = "list.json", **settings: Any) -> Report:
        """Export these jobs, saved under a name that says how; bytes are saved as they are."""
        self._runs += 1
        folder = self.folder / f"source-{self._runs}"
        folder.mkdir()
        path = save(folder, name, source)
        return ftetl.export(self.target, source=path, observed_at=day(on), **settings)

    def rows(self, table: str, **having: Any) -> list[Row]:
        found = ftetl.open(self.target).arrow(table).to_pylist()
        return [row for row in found if all(row[k] == v for k, v in having.items())]

    def row(self, number: int) -> Row:
        (found,) = self.rows("jobs", job_id=f"ft-{number:02}")
        return found

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.target / "current").iterdir()}

    def state(self) -> object:
        """All that a reader or the next run could see."""
        manifests = sorted((self.target / "_ftetl" / "manifests").iterdir())
        return [(path.name, path.read_bytes()) for path in manifests], (self.target / "current").readlink()


def save(folder: Path, name: str, source: Any) -> Path:
    match name, source:
        case "folder", dict():
            for inner, content in source.items():
                save(folder, inner, content)
            return folder
        case _, bytes():
            (folder / name).write_bytes(source)
        case "lines.ndjson", _:
            (folder / name).write_text("".join(json.dumps(j) + "\n" for j in source))
        case "detail.json", _:
            (folder / name).write_text(json.dumps(source))
        case _:
            (folder / name).write_text(json.dumps({"data": source}))
    return folder / name


@pytest.fixture
def exports(tmp_path: Path) -> Exports:
    return Exports(tmp_path)


SOURCES: dict[str, Callable[[], dict[str, Any]]] = {
    "a list": lambda: {"source": [job(1, **FULL), job(2, bad="x", token_count="many"), 7]},
    "lines": lambda: {"source": [job(1, **FULL), job(2)], "name": "lines.ndjson"},
    "a detail": lambda: {"source": job(1, **FULL), "name": "detail.json"},
    "a folder": lambda: {
        "source": {"list.json": [job(1), job(2)], "detail.json": job(1, **FULL), "lines.ndjson": [job(2, status="x")]},
        "name": "folder",
    },
    "nothing": lambda: {"source": []},
}


@pytest.mark.parametrize("kind", SOURCES)
def test_the_same_answer_makes_no_new_version(exports: Exports, kind: str) -> None:
    formats = ("csv",)
    exports(**SOURCES[kind](), formats=formats)
    before, files = exports.state(), exports.files()
    again = exports(**SOURCES[kind](), on=2, formats=formats)
    assert (again.changed, again.version, again.exit_code) == (False, 1, 0)
    assert (again.new, again.changed_jobs, again.vanished, again.quarantined) == (0, 0, 0, 0)
    assert exports.state() == before
    assert exports.files() == files


def test_the_demo_twice_makes_one_version(tmp_path: Path) -> None:
    first = ftetl.export(tmp_path / "target", source="demo")
    files = {path.name: path.read_bytes() for path in (tmp_path / "target" / "current").iterdir()}
    second = ftetl.export(tmp_path / "target", source="demo")
    assert (first.changed, second.changed, second.version) == (True, False, 1)
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "target" / "current").iterdir()}
    assert second.rows == first.rows


def test_other_formats_make_a_new_version_of_the_same_tables(exports: Exports) -> None:
    exports([job(1)])
    assert exports([job(1)], formats=("csv",)).changed
    assert exports([job(1)], formats=("csv",), csv_raw=True).changed
    assert not exports([job(1)], formats=("csv", "parquet"), csv_raw=True).changed
    assert exports([job(1)], formats=("parquet",)).changed
    others = {"listed.arrow", "datapackage.json", "contract.odcs.yaml"}
    assert set(exports.files()) == {f"{name}.parquet" for name in tables()} | others


@pytest.mark.parametrize("raw", [False, True])
def test_without_formats_those_of_the_version_before_are_written(exports: Exports, raw: bool) -> None:
    formula = job(1, model="=1+1")
    exports([formula], 1, formats=("csv",), csv_raw=raw)
    csv = exports.files()["jobs.csv"]

    same = exports([formula], 2)
    other = exports([formula, job(2)], 3)

    assert (same.changed, other.changed, same.warnings, other.warnings) == (False, True, (), ())
    assert exports.files()["jobs.csv"].startswith(csv)
    assert (b'"=1+1"' in csv) is raw


def test_parquet_alone_ends_the_other_formats_for_good(exports: Exports) -> None:
    exports([job(1)], 1, formats=("csv",))

    ended = exports([job(1), job(2)], 2, formats=("parquet",))
    later = exports([job(1), job(2), job(3)], 3)

    assert ended.warnings == ("from this version on there are no csv files; --format csv writes them again",)
    assert later.warnings == ()
    assert {name.rpartition(".")[2] for name in exports.files()} == {"arrow", "json", "parquet", "yaml"}


def test_a_changed_job_replaces_its_own_row_only(exports: Exports) -> None:
    exports([job(1, token_count=1), job(2), job(3)], 1, formats=("csv",))
    before, csv = exports.rows("jobs"), exports.files()["jobs.csv"].split(b"\r\n")
    report = exports([job(1, token_count=9, updated_at=LATE), job(2), job(3)], 2, formats=("csv",))
    assert (report.new, report.changed_jobs, report.vanished, report.version) == (0, 1, 0, 2)
    row = exports.row(1)
    assert (row["token_count"], row["first_seen_at"], row["last_changed_at"]) == (9, day(1), day(2))
    assert exports.rows("jobs")[1:] == before[1:]
    now = exports.files()["jobs.csv"].split(b"\r\n")
    assert [i for i, (a, b) in enumerate(zip(csv, now, strict=True)) if a != b] == [1]
    seen = [(r["observed_at"], r["token_count"]) for r in exports.rows("job_history", job_id="ft-01")]
    assert seen == [(day(1), 1), (day(2), 9)]
    assert len(exports.rows("job_history")) == 4


def test_what_did_not_change_is_the_same_file(exports: Exports) -> None:
    exports([job(1, **FULL), 7], 1)
    events = (exports.target / "current" / "events.parquet").stat().st_ino
    exports([job(1, **FULL), job(2), 7], 2)
    assert (exports.target / "current" / "events.parquet").stat().st_ino == events


def test_a_job_that_vanishes_stays_and_may_come_back(exports: Exports) -> None:
    exports([job(1, **FULL), job(2)], 1)
    report = exports([job(2)], 2)
    assert (report.vanished, report.changed_jobs) == (1, 0)
    gone = exports.row(1)
    assert (gone["present"], gone["first_seen_at"], gone["last_changed_at"]) == (False, day(1), day(2))
    assert len(exports.rows("events", job_id="ft-01")) == 2
    assert exports([job(2)], 3).vanished == 0
    assert exports.row(1) == gone
    back = exports([job(1, **FULL), job(2)], 4)
    assert (back.new, back.changed_jobs) == (0, 1)
    row = exports.row(1)
    assert (row["present"], row["first_seen_at"], row["last_changed_at"]) == (True, day(1), day(4))
    assert len(exports.rows("job_history", job_id="ft-01")) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("lines.ndjson", [job(2)]),
        ("detail.json", job(2)),
        ("folder", {"list.json": [job(2)]}),
        ("folder", {"list.json": [job(2)], "lines.ndjson": [job(3)]}),
    ],
)
def test_what_is_no_whole_list_makes_no_job_vanish(exports: Exports, name: str, source: Any) -> None:
    exports([job(1), job(2)], 1)
    assert exports(source, 2, name=name).vanished == 0
    assert exports.row(1)["present"]


def test_a_whole_list_must_be_newer_to_make_a_job_vanish(exports: Exports) -> None:
    exports([job(1), job(2)], 2)
    assert (exports([job(2)], 2).vanished, exports([], 1).vanished) == (0, 0)
    assert exports([job(2)], 3).vanished == 1


@pytest.mark.parametrize(
    ("shape", "settings", "vanished"),
    [("array", {}, 0), ("array", {"whole": True}, 1), ("list", {}, 1)],
)
def test_an_array_is_a_whole_list_only_if_that_is_said(
    exports: Exports, shape: str, settings: dict[str, bool], vanished: int
) -> None:
    exports([job(1), job(2)], 1)
    body = json.dumps([job(2)] if shape == "array" else {"data": [job(2)]}).encode()
    assert exports(body, 2, **settings).vanished == vanished


def test_an_older_whole_list_feeds_the_history_only(exports: Exports) -> None:
    exports([job(1, updated_at=LATE, status="completed"), job(2)], 5)
    exports([job(1, updated_at=LATE, status="completed")], 6)
    before = exports.rows("jobs")
    report = exports([job(1, status="running", token_count=3), job(2), job(3)], 4)
    assert (report.new, report.changed_jobs, report.vanished) == (1, 0, 0)
    assert exports.rows("jobs")[:2] == before
    assert [r["present"] for r in exports.rows("jobs")] == [True, False, False]  # nor has the newest list ft-03
    seen = [(r["observed_at"], r["status"], r["token_count"]) for r in exports.rows("job_history", job_id="ft-01")]
    assert seen == [(day(4), "running", 3), (day(5), "completed", None)]


def test_of_one_updated_at_the_newer_observation_wins(exports: Exports) -> None:
    exports([job(1, token_count=1)], 5)
    exports([job(1, token_count=1)], 8)  # no new version, and so not remembered
    exports([job(1, token_count=2)], 4, name="lines.ndjson")
    assert exports.row(1)["token_count"] == 1
    exports([job(1, token_count=3)], 9, name="lines.ndjson")
    assert exports.row(1)["token_count"] == 3
    exports([job(1, token_count=4)], 9)
    assert exports.row(1)["token_count"] == 4


def test_a_job_that_had_not_changed_was_still_observed_by_the_newest_list(exports: Exports) -> None:
    exports([job(1, token_count=1)], 1)
    exports([job(1, token_count=1), job(2)], 5)
    exports([job(1, token_count=2)], 3, name="lines.ndjson")
    assert exports.row(1)["token_count"] == 1


def test_an_updated_at_that_goes_back_keeps_the_stored_row(exports: Exports) -> None:
    exports([job(1, updated_at=LATE, token_count=1, **FULL)], 1)
    before = exports.row(1)
    exports([job(1, updated_at=EARLY, status="running", token_count=2, events=[event(5)])], 2)
    assert exports.row(1) == before
    assert [e["message"] for e in exports.rows("events")] == ["event 0", "event 1"]
    exports([job(1, updated_at=LATE, token_count=1, **FULL)], 3)
    states = [(r["observed_at"], r["status"]) for r in exports.rows("job_history")]
    assert states == [(day(1), "completed"), (day(2), "running"), (day(3), "completed")]


def test_without_any_updated_at_the_newer_observation_wins(exports: Exports) -> None:
    exports([job(1, updated_at=None, token_count=1)], 2)
    exports([job(1, updated_at=None, token_count=2)], 3)
    assert exports.row(1)["token_count"] == 2
    exports([job(1, updated_at=None, token_count=3)], 1)
    assert exports.row(1)["token_count"] == 2
    exports([job(1, token_count=4)], 1)
    assert exports.row(1)["token_count"] == 2  # nor does a time help, where the other copy has none to compare
    exports([job(1, token_count=5)], 4)
    assert exports.row(1)["token_count"] == 5


def test_what_only_a_detail_tells_is_kept_when_only_the_list_was_read(exports: Exports) -> None:
    odd = {"evals_completed": "many", "n_evals": "many", "training_type": {"type": "Lora", "rank_new": 3}}
    exports(job(1, **FULL, **odd), 1, name="detail.json")
    listed = job(1, updated_at=LATE, status="error", list_key="a", new_key=2)
    exports([listed], 2)
    row = exports.row(1)
    assert (row["param_count"], row["refund_amount_nanousd"], row["refund_amount_usd"]) == (
        5,
        7,
        Decimal("0.000000007"),
    )
    assert json.loads(row["extra"]) == {"new_key": 2, "training_type": {"rank_new": 3}, "list_key": "a"}
    # The list told the row, the detail had told `evals_completed`.
    assert [a["path"] for a in exports.rows("anomalies")] == ["evals_completed"]
    assert not exports([listed], 3).changed
    exports(job(1, updated_at=LATE, status="error", events=FULL["events"]), 4, name="detail.json")
    row = exports.row(1)
    assert (row["param_count"], row["refund_amount_usd"], row["extra"]) == (None, None, None)
    assert exports.rows("anomalies") == []


def test_a_list_may_tell_what_otherwise_only_a_detail_tells(exports: Exports) -> None:
    exports(job(1, **FULL), 1, name="detail.json")
    exports([job(1, updated_at=LATE, param_count=6)], 2)
    assert (exports.row(1)["param_count"], exports.row(1)["refund_amount_nanousd"]) == (6, 7)


@pytest.mark.parametrize(
    ("stored", "late", "columns"),
    [
        # (detail-only column, events_state, events, last_changed_at)
        pytest.param(None, job(1, **FULL), (5, "stale", 2, day(5)), id="fills what no detail had told"),
        pytest.param(None, job(1, **FULL, updated_at=LATE), (5, "detail", 2, day(5)), id="is of the same state"),
        pytest.param(job(1, updated_at=LATE, param_count=9), job(1, **FULL), (9, "stale", 2, day(5)), id="is older"),
    ],
)
def test_a_detail_that_is_older_than_the_row_adds_what_is_not_known(
    exports: Exports, stored: Job | None, late: Job, columns: tuple[object, ...]
) -> None:
    exports([job(1, updated_at=LATE, status="error")] if stored is None else [stored], 5)
    if stored is not None:
        assert exports.row(1)["param_count"] == 9
    exports(late, 4, name="detail.json")
    row = exports.row(1)
    assert row["updated_at"] == datetime(2026, 7, 3, 8, 10, 14, tzinfo=UTC)
    assert row["status"] == ("error" if stored is None else "completed")
    found = (row["param_count"], row["events_state"], len(exports.rows("events")), row["last_changed_at"])
    assert found == columns


def test_a_list_with_an_older_detail_beside_it_does_not_undo_a_newer_detail(exports: Exports) -> None:
    middle = "2026-07-03T00:00:00Z"
    more = [*FULL["events"], event(3)]
    exports(job(1, updated_at=middle, param_count=9, events=more), 5, name="detail.json")
    folder = {"list.json": [job(1, updated_at=LATE)], "detail.json": job(1, **FULL)}
    exports(folder, 6, name="folder")
    row = exports.row(1)
    assert (row["param_count"], row["updated_at"].day, exports.rows("anomalies")) == (9, 3, [])
    assert (len(exports.rows("events")), row["events_state"]) == (3, "stale")
    exports({"list.json": [job(2, updated_at=LATE)], "detail.json": job(2, **FULL)}, 6, name="folder")
    assert (exports.row(2)["param_count"], exports.row(2)["events_state"]) == (5, "stale")


@pytest.mark.parametrize("how", ["none", "list"])
def test_events_are_kept_when_none_are_read(exports: Exports, how: str) -> None:
    exports(job(1, **FULL), 1, name="detail.json")
    events, row = exports.rows("events"), exports.row(1)
    exports([job(1, updated_at=LATE, n_epochs=2)], 2, events=how)
    assert exports.rows("events") == events
    now = exports.row(1)
    assert (now["finished_at"], now["duration_seconds"]) == (row["finished_at"], row["duration_seconds"])
    assert (now["n_epochs"], now["events_state"]) == (2, "stale")


def test_with_events_none_those_in_the_answer_are_not_read(exports: Exports) -> None:
    report = exports([job(1, **FULL), job(2, events=[{"type": 7}])], events="none")
    assert report.rows["events"] == 0
    assert [r["events_state"] for r in exports.rows("jobs")] == ["unknown", "unknown"]
    assert exports.row(1)["finished_at"] is None
    assert exports.rows("anomalies") == []
    exports([job(1, **FULL), job(2, events=[{"type": 7}])], 2)
    assert len(exports.rows("events")) == 3
    assert [r["events_state"] for r in exports.rows("jobs")] == ["list", "list"]
    assert [a["path"] for a in exports.rows("anomalies")] == ["events.type"]


LISTED, BARE, CHANGED = job(1, events=FULL["events"]), job(1), job(1, updated_at=LATE)
FEWER, MORE = [event(0)], [*FULL["events"], event(2)]


@pytest.mark.parametrize(
    ("answers", "states"),
    [
        pytest.param([[BARE]], ["unknown"], id="nothing listed"),
        pytest.param([[job(1, events=[])], [job(1, events=None)]], ["unknown", "unknown"], id="empty or null"),
        pytest.param([[LISTED], [BARE]], ["list", "list"], id="listed"),
        pytest.param([[LISTED], [CHANGED]], ["list", "stale"], id="listed, then changed without events"),
        pytest.param([job(1, **FULL), [BARE]], ["detail", "stale"], id="detail, then a list that says other things"),
        pytest.param([LISTED, [BARE]], ["detail", "detail"], id="detail, then the list says the same"),
        pytest.param([LISTED, [CHANGED], [CHANGED]], ["detail", "stale", "stale"], id="changed since the detail"),
        pytest.param([LISTED, [CHANGED], CHANGED | {"events": MORE}], ["detail", "stale", "detail"], id="and again"),
        pytest.param([job(1, events=[])], ["detail"], id="a detail that has no events"),
        pytest.param([job(1)], ["unknown"], id="one job without the key, such as a list's item that was saved alone"),
        pytest.param([job(1, events=[]), [LISTED]], ["detail", "list"], id="a list that has them after all"),
        pytest.param([LISTED, [job(1, events=MORE)]], ["detail", "list"], id="a list with more of them"),
        pytest.param([LISTED, job(1, events=FEWER)], ["detail", "stale"], id="a detail with fewer"),
        pytest.param([LISTED, job(1, events=[])], ["detail", "stale"], id="a detail with none"),
        pytest.param([LISTED, [job(1, events=FEWER)]], ["detail", "stale"], id="a list with fewer"),
    ],
)
def test_events_state_tells_where_the_events_come_from(exports: Exports, answers: list[Any], states: list[str]) -> None:
    found = []
    for on, answer in enumerate(answers, start=1):
        exports(answer, on, name="list.json" if isinstance(answer, list) else "detail.json")
        found.append(exports.row(1)["events_state"])
    # A detail of two columns more is a change of the row.
    assert found == (["detail", "detail"] if answers[0] == job(1, **FULL) else states)


@pytest.mark.parametrize("received", [[], [event(0)], [event(0, message=9)]])
def test_fewer_events_than_stored_keep_the_stored_ones_and_are_noted(exports: Exports, received: list[Job]) -> None:
    exports(job(1, events=[event(0), event(1), event(2, "JOB_COMPLETE", level=5)]), 1, name="detail.json")
    events, finished = exports.rows("events"), exports.row(1)["finished_at"]
    report = exports(job(1, updated_at=LATE, events=received), 2, name="detail.json")
    assert exports.rows("events") == events
    assert (exports.row(1)["finished_at"], exports.row(1)["events_state"]) == (finished, "stale")
    assert exports.row(1)["updated_at"].day == 3
    notes = [(a["path"], a["kind"], a["raw"]) for a in exports.rows("anomalies")]
    assert notes == [
        ("events", "fewer_events", f'{{"received":{len(received)},"stored":3}}'),
        ("events.level", "wrong_type", "5"),  # of a stored event; nothing of the events that were not taken
    ]
    assert report.exit_code == 0
    assert not exports(job(1, updated_at=LATE, events=received), 3, name="detail.json").changed
    exports(job(1, updated_at=LATE, events=[event(0), event(1), event(2)]), 4, name="detail.json")
    assert exports.rows("anomalies") == []
    assert exports.row(1)["events_state"] == "detail"


def test_events_of_the_same_number_replace_the_stored_ones(exports: Exports) -> None:
    exports([job(1, events=[event(0), event(1)])], 1)
    row = exports.row(1)
    exports([job(1, events=[event(0), event(2)])], 2)
    assert [e["message"] for e in exports.rows("events")] == ["event 0", "event 2"]
    assert exports.row(1) == row


def test_events_of_an_older_answer_are_taken_where_none_are_stored(exports: Exports) -> None:
    exports([job(1, updated_at=LATE)], 2)
    exports([job(1, status="running", events=[event(1, "JOB_COMPLETE", level=8)], n_evals="x")], 1)
    row = exports.row(1)
    assert (row["status"], row["events_state"], row["finished_at"]) == ("completed", "stale", None)
    assert [a["path"] for a in exports.rows("anomalies")] == ["events.level"]  # n_evals gave way, the events did not


def test_quarantine_adds_up_and_only_new_rows_are_worth_an_exit(exports: Exports) -> None:
    first = exports([job(1), 7, "x"], 1)
    assert (first.exit_code, first.quarantined, first.rows["quarantine"]) == (3, 2, 2)
    again = exports([job(1), "x", 7], 2)
    assert (again.exit_code, again.quarantined, again.changed) == (0, 0, False)
    third = exports([job(1), 7, 7, 8], 3)
    assert (third.exit_code, third.quarantined, third.rows["quarantine"]) == (3, 1, 3)
    clean = exports([job(1), job(2)], 4)
    assert (clean.exit_code, clean.rows["quarantine"]) == (0, 3)
    seen = {r["raw"]: (r["first_seen_at"], r["position"], r["source"], r["rule"]) for r in exports.rows("quarantine")}
    assert seen["7"] == (day(1), 1, "list.json", "not_an_object")
    assert seen["8"] == (day(3), 3, "list.json", "not_an_object")


def test_the_quarantine_setting_decides_what_new_quarantine_means(exports: Exports) -> None:
    with pytest.raises(DataError, match="1 elements would go to quarantine"):
        exports([job(1), 7], 1, quarantine="fail")
    assert newest_manifest(exports.target) is None
    assert exports([job(1), 7], 1, quarantine="ok").exit_code == 0
    assert exports([job(1), 7], 2, quarantine="fail").exit_code == 0  # not new
    before = exports.state()
    with pytest.raises(DataError):
        exports([job(1), 7, 8], 3, quarantine="fail")
    assert exports.state() == before
    assert exports([job(1), 7, 8], 3, quarantine="keep").exit_code == 3


def test_anomalies_speak_of_the_current_rows_only(exports: Exports) -> None:
    exports([job(1, n_evals="a"), job(2, n_evals="b"), job(3, n_evals="c")], 1)
    exports([job(1, n_evals=1), job(2, n_evals="b", n_epochs="d")], 2)
    found = [(a["job_id"], a["path"], a["raw"]) for a in exports.rows("anomalies")]
    # ft-03 is gone, but its row is still there.
    assert found == [("ft-02", "n_epochs", '"d"'), ("ft-02", "n_evals", '"b"'), ("ft-03", "n_evals", '"c"')]


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        ({"project": "a"}, {"project": "b"}, "project 'a', not 'b'"),
        ({}, {"project": "b"}, "project 'default', not 'b'"),
    ],
)
def test_a_target_belongs_to_one_project(exports: Exports, first: Any, second: Any, word: str) -> None:
    exports([job(1)], **first)
    assert {row["project"] for row in exports.rows("jobs")} == {first.get("project", "default")}
    before = exports.state()
    with pytest.raises(ConfigError, match=word) as caught:
        exports([job(2)], 2, **second)
    assert caught.value.exit.code == 78
    assert exports.state() == before


def test_a_target_belongs_to_one_service(exports: Exports) -> None:
    settings: dict[str, Any] = {"source": "api", "observed_at": day(3)}
    with demo.serve(jobs=[job(1)]) as server:
        settings |= {"base_url": server.url, "environ": {"TOGETHER_API_KEY": server.key}}
        exports([job(1)], 1)  # a saved response says nothing about the service
        ftetl.export(exports.target, **settings)
        exports([job(1), job(2)], 4)
        with pytest.raises(ConfigError, match="belongs to the service") as caught:
            ftetl.export(exports.target, source="demo")
        assert caught.value.exit.code == 78
        assert ftetl.export(exports.target, **settings | {"observed_at": day(5)}).vanished == 1
    assert {row["project"] for name in tables() for row in exports.rows(name)} == {"default"}


MANY = [job(n) for n in range(10)]
NONE_KNOWN = [job(n) for n in range(20, 30)]


@pytest.mark.parametrize(
    ("known", "listed", "flags"),
    [
        pytest.param(MANY, MANY[:4], {"allow_shrink": True}, id="less than half"),
        pytest.param(MANY, [], {"allow_shrink": True}, id="empty"),
        pytest.param(MANY, b'{"data": null}', {"allow_shrink": True}, id="null"),
        pytest.param(MANY[:1], [], {"allow_shrink": True}, id="empty, and one was known"),
        pytest.param(MANY, [*MANY[:4], *NONE_KNOWN], {"allow_shrink": True}, id="others instead"),
        pytest.param(MANY, NONE_KNOWN, {"allow_account_change": True, "allow_shrink": True}, id="another account"),
    ],
)
def test_a_list_that_would_make_jobs_disappear_is_refused_unless_allowed(
    exports: Exports, known: list[Job], listed: Any, flags: dict[str, bool]
) -> None:
    exports(known, 1)
    before = exports.state()
    for missing in ({}, *({f: True for f in flags if f != left} for left in flags)):
        with pytest.raises(DataError, match="othing was committed") as caught:
            exports(listed, 2, **missing)
        assert caught.value.exit.code == 65
        assert all("--" + flag.replace("_", "-") in caught.value.next for flag in flags if flag not in missing)
        assert exports.state() == before
    report = exports(listed, 2, **flags)
    kept = [j for j in known if isinstance(listed, list) and j in listed]
    assert report.vanished == len(known) - len(kept)


@pytest.mark.parametrize(
    ("known", "listed"),
    [
        pytest.param(MANY, MANY[:5], id="half is enough"),
        pytest.param(MANY[:9], MANY[:1], id="too few to tell"),
        pytest.param(MANY[:9], NONE_KNOWN, id="too few to tell an account"),
        pytest.param([], [], id="nothing twice"),
        pytest.param(MANY, [*MANY[:4], b"broken"], id="broken ones count"),
    ],
)
def test_a_list_that_is_large_enough_passes_the_guards(exports: Exports, known: list[Job], listed: list[Any]) -> None:
    exports(known, 1)
    if b"broken" in listed:
        texts = [json.dumps(j) for j in listed[:-1]] + ['{"id":"ft-09","a":1,"a":2}']
        exports(f'{{"data":[{",".join(texts)}]}}'.encode(), 2)
    else:
        exports(listed, 2)


def test_jobs_that_are_gone_already_do_not_count_for_the_guards(exports: Exports) -> None:
    exports(MANY, 1)
    exports(MANY[:5], 2)
    exports(MANY[:1], 3)
    assert [row["present"] for row in exports.rows("jobs")] == [True] + [False] * 9


@pytest.mark.parametrize("body", ['{"data":[],"has_more":true}', '{"data":[{"id":"ft-01"}],"next_cursor":"x"}'])
def test_a_page_of_a_list_is_refused(exports: Exports, body: str) -> None:
    with pytest.raises(DataError, match="one page of several"):
        exports(body.encode())
    assert not exports(body.replace('"has_more":true', '"has_more":false').replace('"x"', "null").encode()).vanished


@pytest.mark.parametrize("body", [b'{"data":[]}', b"[]", b'{"data":null}', b'{"object":"list","data":[ ]}'])
def test_an_empty_list_gives_every_table_with_every_column(exports: Exports, body: bytes) -> None:
    report = exports(body, formats=("csv",))
    assert report.rows == dict.fromkeys(tables(), 0)
    snapshot = ftetl.open(exports.target)
    for name, table in tables().items():
        assert snapshot.arrow(name).schema.equals(schema(table))
        header = ",".join(f'"{c}"' for c in table.names) + "\r\n"
        assert exports.files()[f"{name}.csv"].decode() == header


BROKEN = [
    pytest.param('{"id":"ft-01","status":"a","status":"b"}', [], id="duplicate keys, alone"),
    pytest.param('{"id":"ft-01","status":"a","status":"b"}', [job(0), job(2)], id="duplicate keys"),
    pytest.param('{"id":"ft-01","events":[{"type":"a","type":"b"}]}', [job(2)], id="duplicate keys in an event"),
    pytest.param('{"id":"ft-01","status":"\\ud8"}', [job(0)], id="broken text"),
    pytest.param('{"id":"ft-01","x":' + "[" * 300 + "]" * 300 + "}", [job(0)], id="absurd depth"),
    pytest.param('{"id":"ft-01","new":{"a":1,"a":2}}', [job(2)], id="duplicate keys that no column reads"),
]


@pytest.mark.parametrize(("broken", "others"), BROKEN)
def test_a_job_whose_only_copy_is_broken_does_not_vanish(exports: Exports, broken: str, others: list[Job]) -> None:
    exports([job(0), job(1, **FULL), job(2)], 1)
    before = exports.row(1)
    texts = [*(json.dumps(j) for j in others), broken]
    report = exports(f'{{"data":[{",".join(texts)}]}}'.encode(), 2)
    assert (report.vanished, report.quarantined, report.exit_code) == (2 - len(others), 1, 3)
    assert exports.row(1) == before
    assert len(exports.rows("events", job_id="ft-01")) == 2
    (row,) = exports.rows("quarantine")
    assert (row["job_id"], row["raw"], row["position"]) == ("ft-01", broken, len(others))


@pytest.mark.parametrize("element", ["7", "null", "{}", '{"id":""}', '{"id":7}', '{"id":"a/b"}', '{"a":1,"a":2}'])
def test_an_element_that_could_be_any_job_stops_vanishing(exports: Exports, element: str) -> None:
    exports([job(1), job(2)], 1)
    report = exports(f'{{"data":[{json.dumps(job(2))},{element}]}}'.encode(), 2)
    assert (report.vanished, report.quarantined) == (0, 1)
    assert exports.row(1)["present"]
    # The same list is not asked again; the next one is.
    assert exports([job(2)], 3).vanished == 1


def test_all_copies_of_one_job_may_be_broken(exports: Exports) -> None:
    exports([job(1), job(2)], 1)
    report = exports(b'{"data":[{"id":"ft-01","a":1,"a":2},{"id":"ft-01","b":1,"b":2},{"id":"ft-02"}]}', 2)
    assert (report.quarantined, report.vanished) == (2, 0)
    assert exports.row(1)["present"]


def test_of_two_copies_in_one_list_the_older_goes_to_quarantine(exports: Exports) -> None:
    new, old = job(1, updated_at=LATE, token_count=2), job(1, token_count=1)
    report = exports([new, old, new], 1)
    assert (report.quarantined, report.received, report.rows["jobs"]) == (1, 3, 1)
    assert exports.row(1)["token_count"] == 2
    assert [r["rule"] for r in exports.rows("quarantine")] == ["older_copy"]
    assert [a["kind"] for a in exports.rows("anomalies")] == ["duplicate_identical"]
    assert [r["token_count"] for r in exports.rows("job_history")] == [2]


def test_a_folder_of_days_is_one_history(exports: Exports) -> None:
    days = {
        f"day-{n}.json": [job(1, status=s, updated_at=f"2026-07-0{n}T00:00:00Z", token_count=n, events=[event(n)])]
        for n, s in enumerate(["pending", "running", "completed"], start=1)
    }
    report = exports(days, 9, name="folder")
    assert (report.received, report.rows["jobs"], report.rows["job_history"]) == (3, 1, 1)  # of one instant: the winner
    assert [e["message"] for e in exports.rows("events")] == ["event 3"]


def test_dumps_of_several_days_in_one_folder_keep_their_times(exports: Exports, tmp_path: Path) -> None:
    folder = tmp_path / "days"
    folder.mkdir()
    for n, status in enumerate(["pending", "running", "completed"], start=1):
        path = save(folder, f"day-{n}.json", [job(1, status=status, updated_at=f"2026-07-0{n}T00:00:00Z")])
        moment = day(n).timestamp()
        os.utime(path, (moment, moment))
    ftetl.export(exports.target, source=folder)
    seen = [(r["observed_at"], r["status"]) for r in exports.rows("job_history")]
    assert seen == [(day(1), "pending"), (day(2), "running"), (day(3), "completed")]
    assert (exports.row(1)["first_seen_at"], exports.row(1)["last_changed_at"]) == (day(1), day(3))
    one_by_one = Exports(tmp_path / "other")
    (tmp_path / "other").mkdir()
    for path in sorted(folder.iterdir()):
        ftetl.export(one_by_one.target, source=path)
    assert one_by_one.rows("job_history") == exports.rows("job_history")
    assert one_by_one.rows("jobs") == exports.rows("jobs")


def test_rows_are_sorted_by_key_in_the_order_of_the_bytes(exports: Exports) -> None:
    ids = ["ft-9", "ft-10", "FT-1", "ft_1", "ft.1", "ft:1", "ft-a", "ft-B", "f" * 128, "0"]
    exports([{"id": i, "events": [event(1), event(0)]} for i in ids[:5]], 1, name="lines.ndjson")
    exports([{"id": i, "events": [event(1), event(0)]} for i in ids[5:]], 2, name="lines.ndjson")
    assert [r["job_id"] for r in exports.rows("jobs")] == sorted(ids, key=str.encode)
    keys = [(r["job_id"].encode(), r["position"]) for r in exports.rows("events")]
    assert keys == sorted(keys)
    assert len(keys) == 20


def test_history_tells_a_refund_once_and_does_not_forget_it(exports: Exports) -> None:
    def states() -> list[tuple[datetime, int | None]]:
        return [(r["observed_at"], r["refund_amount_nanousd"]) for r in exports.rows("job_history")]

    exports([job(1)], 1)
    exports(job(1, refund_amount=5), 3, name="detail.json")
    exports([job(1)], 4)
    exports([job(1)], 2, name="lines.ndjson")  # an older answer that knows of no refund
    exports(job(1, refund_amount=5), 5, name="detail.json")
    assert states() == [(day(1), None), (day(3), 5)]
    exports(job(1, refund_amount=6), 6, name="detail.json")
    assert states() == [(day(1), None), (day(3), 5), (day(6), 6)]


def test_a_state_of_one_job_is_not_taken_for_that_of_the_next(exports: Exports) -> None:
    exports(job(1, refund_amount=5), 1, name="detail.json")
    exports([job(1), job(2)], 2)
    exports(job(2, refund_amount=5), 3, name="detail.json")
    seen = [(r["job_id"], r["refund_amount_nanousd"]) for r in exports.rows("job_history")]
    assert seen == [("ft-01", 5), ("ft-02", None), ("ft-02", 5)]


def test_two_hundred_days_cost_no_history_where_nothing_changes(exports: Exports) -> None:
    start = day(1)
    path = save(exports.folder, "list.json", [job(1)])
    for n in range(3):
        ftetl.export(exports.target, source=path, observed_at=start + timedelta(days=100 * n))
    assert len(exports.rows("job_history")) == 1


def names(rows: Iterable[Row]) -> list[str]:
    return [row["job_id"] for row in rows]


def test_one_job_with_the_last_id_does_not_disturb_those_before(exports: Exports) -> None:
    exports([job(n, events=[event(n)]) for n in (1, 2, 3, 5)], 1)
    before = ftetl.open(exports.target).arrow("events")
    exports([job(9, events=[event(9)]), job(4, events=[event(4)])], 2, name="lines.ndjson")
    assert names(exports.rows("jobs")) == [f"ft-{n:02}" for n in (1, 2, 3, 4, 5, 9)]
    now = ftetl.open(exports.target).arrow("events")
    assert names(now.to_pylist()) == names(exports.rows("jobs"))
    others = pa.compute.invert(pa.compute.is_in(now["job_id"], value_set=pa.array(["ft-04", "ft-09"])))
    assert now.filter(others).equals(before)
