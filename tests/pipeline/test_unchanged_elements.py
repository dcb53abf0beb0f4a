"""A job that is received byte for byte as before is not decoded again, and every table ends as if it were."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ftetl
from ftetl.clock import now
from ftetl.pipeline import same_inputs, unchanged_elements
from ftetl.pipeline.export import rebuild
from ftetl.transform.decode import decoder
from tests.pipeline.test_run import EARLY, ELEMENTS, LATE, job, raw
from tests.pipeline.test_same_inputs import DAY, HOUR, plain, save, tables

Job = dict[str, Any]

JOBS = [
    job(1, events=[{"type": "JOB_START", "created_at": EARLY}, {"type": "JOB_COMPLETE", "created_at": LATE}]),
    job(2, status="running", new_key=3),
    job(3, updated_at="2062-01-01T00:00:00Z"),
    job(4, n_evals="x", wandb_key="secret-of-wandb"),
    job(5, finished_at="2026-01-01T00:00:00Z", total_price=5, status="error", refund={"amount": 5}),
    job(6, events=[{"type": "JOB_START", "created_at": EARLY, "step": "x", "more": 1}]),
]


@pytest.fixture(autouse=True)
def however_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unchanged_elements, "_MIN_BYTES", 0)


class Decoded:
    """The ids of the jobs that were decoded since the last look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ids: list[str] = []
        decode = decoder.decode

        def noted(items: Any, responses: Any, **options: Any) -> Any:
            self._ids += [item.job_id for item in items]
            return decode(items, responses, **options)

        monkeypatch.setattr(decoder, "decode", noted)

    def take(self) -> list[str]:
        """The ids, in order."""
        found, self._ids = self._ids, []
        return sorted(found)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Decoded:
    return Decoded(monkeypatch)


def file(target: Path) -> Path:
    return target / "_ftetl" / "elements"


def test_only_what_changed_is_decoded(tmp_path: Path, decoded: Decoded) -> None:
    target = tmp_path / "target"
    ftetl.export(target, source=save(tmp_path / "1.json", JOBS))
    assert decoded.take() == [f"ft-0{number}" for number in range(1, 7)]

    changed = [*JOBS[:4], JOBS[4] | {"total_price": 7}, JOBS[5], job(9)]
    report = ftetl.export(target, source=save(tmp_path / "2.json", changed, DAY + HOUR))

    assert decoded.take() == ["ft-05", "ft-09"]
    assert (report.new, report.changed_jobs, report.received) == (1, 1, 7)
    assert ftetl.open(target).arrow("jobs")["total_price_nanousd"].to_pylist()[4] == 7


def test_the_same_at_a_later_time_decodes_nothing_and_changes_nothing(tmp_path: Path, decoded: Decoded) -> None:
    target = tmp_path / "target"
    ftetl.export(target, source=save(tmp_path / "1.json", JOBS))
    decoded.take()

    reports = [
        ftetl.export(target, source=save(tmp_path / f"{hours}.json", JOBS, DAY + hours * HOUR)) for hours in (1, 2)
    ]

    assert decoded.take() == []
    assert [(report.version, report.changed) for report in reports] == [(1, False), (1, False)]


@pytest.mark.parametrize("form", ["array", "lines", "document"])
def test_in_every_form_of_a_saved_answer(tmp_path: Path, decoded: Decoded, form: str) -> None:
    target = tmp_path / "target"
    texts = [json.dumps(element, indent=1 if form == "document" else None) for element in JOBS]
    for hours, text in enumerate([texts, [*texts[:5], texts[5].replace(EARLY, LATE)]]):
        path = tmp_path / ("answer.ndjson" if form == "lines" else "answer.json")
        body = {
            "lines": "\n".join(text),
            "array": f"[{','.join(text)}]",
            "document": f'{{"data": [{" , ".join(text)}]}}',
        }
        path.write_text(body[form])
        ftetl.export(target, source=path, observed_at=DAY + hours * HOUR)
    assert decoded.take() == [f"ft-0{number}" for number in (1, 2, 3, 4, 5, 6, 6)]


Change = Callable[[Path, Path, pytest.MonkeyPatch], Job]


def nothing_is_known(target: Path, saved: Path, patch: pytest.MonkeyPatch) -> Job:
    file(target).unlink()
    return {}


def a_file_cut_short(target: Path, saved: Path, patch: pytest.MonkeyPatch) -> Job:
    file(target).write_bytes(file(target).read_bytes()[:-20])
    return {}


def a_flipped_bit(target: Path, saved: Path, patch: pytest.MonkeyPatch) -> Job:
    known = bytearray(file(target).read_bytes())
    known[len(known) // 2] ^= 1
    file(target).write_bytes(known)
    return {}


def a_file_of_another_version(target: Path, saved: Path, patch: pytest.MonkeyPatch) -> Job:
    known = file(target).read_bytes()
    ftetl.export(target, source=save(saved.with_name("more.json"), [*JOBS, job(8)], DAY + HOUR / 2))
    file(target).write_bytes(known)
    return {}


def a_link_to_the_file(target: Path, saved: Path, patch: pytest.MonkeyPatch) -> Job:
    file(target).rename(saved.with_name("real"))
    file(target).symlink_to(saved.with_name("real"))
    return {}


def another_line_of_code(target: Path, saved: Path, patch: pytest.MonkeyPatch) -> Job:
    code = same_inputs.code_digests()
    assert code is not None
    patch.setattr(same_inputs, "code_digests", lambda: code | {"transform/flatten/columns.py": "0"})
    return {}


def code_that_was_replaced_while_it_runs(target: Path, saved: Path, patch: pytest.MonkeyPatch) -> Job:
    patch.setattr(same_inputs, "code_digests", lambda: None)
    return {}


def another_contract(target: Path, saved: Path, patch: pytest.MonkeyPatch) -> Job:
    code, known = unchanged_elements.tables, unchanged_elements.tables()

    class Changed:
        fingerprint = "of another rule"

    patch.setattr(unchanged_elements, "tables", lambda: {**known, "events": Changed()})
    assert code is not unchanged_elements.tables
    return {}


def an_older_answer(target: Path, saved: Path, patch: pytest.MonkeyPatch) -> Job:
    os.utime(saved, ((DAY - HOUR).timestamp(),) * 2)
    return {}


def an_answer_from_the_future(target: Path, saved: Path, patch: pytest.MonkeyPatch) -> Job:
    return {"observed_at": now() + timedelta(days=1)}


def other_events(target: Path, saved: Path, patch: pytest.MonkeyPatch) -> Job:
    return {"events": "none"}


def drift_is_allowed(target: Path, saved: Path, patch: pytest.MonkeyPatch) -> Job:
    return {"allow_drift": True}


@pytest.mark.parametrize(
    "change",
    [
        *(
            nothing_is_known,
            a_file_cut_short,
            a_flipped_bit,
            a_file_of_another_version,
            a_link_to_the_file,
            another_line_of_code,
        ),
        *(code_that_was_replaced_while_it_runs, another_contract, an_older_answer, an_answer_from_the_future),
        *(other_events, drift_is_allowed),
    ],
    ids=lambda change: change.__name__,
)
def test_everything_is_decoded_after(
    tmp_path: Path, decoded: Decoded, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    target, saved = tmp_path / "target", tmp_path / "list.json"
    ftetl.export(target, source=save(saved, JOBS))
    save(saved, JOBS, DAY + HOUR)
    options = change(target, saved, monkeypatch)
    decoded.take()

    ftetl.export(target, source=saved, **options)

    assert decoded.take() == [f"ft-0{number}" for number in range(1, 7)]


def test_with_pseudonyms_too(tmp_path: Path, decoded: Decoded) -> None:
    """Another key, or none, is refused for a target that has this one."""
    key = tmp_path / "key"
    key.write_bytes(b"k" * 64)
    jobs = [element | {"user_id": "someone"} for element in JOBS]
    for hours, found in ((0, 6), (1, 0)):
        saved = save(tmp_path / "list.json", jobs, DAY + hours * HOUR)
        ftetl.export(tmp_path / "target", source=saved, pii="hash", pii_key_file=key)
        assert len(decoded.take()) == found


def test_a_file_that_would_be_another_is_written_although_its_rows_are_the_same(tmp_path: Path) -> None:
    jobs = [*JOBS, job(9, suffix="=1+1")]
    for hours, options in enumerate([{"formats": ["csv"]}, {"formats": ["csv"], "csv_raw": True}]):
        ftetl.export(tmp_path / "target", source=save(tmp_path / "list.json", jobs, DAY + hours * HOUR), **options)
        text = (tmp_path / "target" / "current" / "jobs.csv").read_text()
        assert ("'=1+1" in text) == (not hours)


def test_without_events_everything_is_decoded_every_time(tmp_path: Path, decoded: Decoded) -> None:
    """The report tells of unknown keys in events, and the stored rows have no events to tell of them."""
    reports = []
    for hours in (0, 1):
        saved = save(tmp_path / "list.json", JOBS, DAY + hours * HOUR)
        reports.append(ftetl.export(tmp_path / "target", source=saved, events="none"))
        assert len(decoded.take()) == 6
    assert reports[0].drift.unknown == reports[1].drift.unknown
    assert "events.more" in reports[1].drift.unknown


def test_a_job_with_two_elements_is_decoded_every_time(tmp_path: Path, decoded: Decoded) -> None:
    jobs = [*JOBS[:2], JOBS[1], JOBS[2], JOBS[2] | {"status": "queued"}]
    for hours in range(3):
        ftetl.export(tmp_path / "target", source=save(tmp_path / f"{hours}.json", jobs, DAY + hours * HOUR))
        found = decoded.take()
    assert found == ["ft-02", "ft-03"]


def test_a_job_that_was_gone_is_decoded_when_it_comes_back(tmp_path: Path, decoded: Decoded) -> None:
    target = tmp_path / "target"
    for hours, jobs in enumerate([JOBS, JOBS[1:], JOBS]):
        save(tmp_path / "list.json", jobs, DAY + hours * HOUR)
        ftetl.export(target, source=tmp_path / "list.json", whole=True, allow_shrink=True)
        found = decoded.take()
    assert found == ["ft-01"]
    assert ftetl.open(target).arrow("jobs")["present"].to_pylist() == [True] * 6


def test_many_re_priced_jobs_among_more_unchanged_ones_are_no_drift(tmp_path: Path) -> None:
    """The unchanged jobs count as read: 30 of 200 finished jobs are few, 30 of 30 would be refused."""
    jobs = [job(n, is_terminal=True, total_price=5, finished_at=LATE) for n in range(200)]
    ftetl.export(tmp_path / "target", source=save(tmp_path / "1.json", jobs))
    later = [element | {"total_price": 6} if n < 30 else element for n, element in enumerate(jobs)]

    report = ftetl.export(tmp_path / "target", source=save(tmp_path / "2.json", later, DAY + HOUR))

    assert report.changed_jobs == 30


def test_a_rebuild_decodes_everything_and_makes_the_same_tables(tmp_path: Path, decoded: Decoded) -> None:
    target = tmp_path / "target"
    ftetl.export(target, source=save(tmp_path / "1.json", JOBS))
    ftetl.export(target, source=save(tmp_path / "2.json", [*JOBS[1:], job(9)], DAY + HOUR))
    before = tables(target)
    decoded.take()

    rebuild(target)

    assert len(decoded.take()) == 12
    assert {name: data for name, data in tables(target).items() if name.endswith("parquet")} == {
        name: data for name, data in before.items() if name.endswith("parquet")
    }


def test_a_run_killed_after_its_commit_leaves_nothing_that_is_believed(
    tmp_path: Path, decoded: Decoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"
    ftetl.export(target, source=save(tmp_path / "1.json", JOBS))
    with monkeypatch.context() as patch:
        patch.setattr(unchanged_elements, "store", lambda *_: None)
        ftetl.export(target, source=save(tmp_path / "2.json", [*JOBS[1:], job(9)], DAY + HOUR))
    decoded.take()

    ftetl.export(target, source=save(tmp_path / "3.json", [*JOBS, job(9)], DAY + 2 * HOUR))

    assert len(decoded.take()) == 7


VERSIONS = [
    *([*JOBS, *ELEMENTS]),
    JOBS[0] | {"events": JOBS[0]["events"][:1]},
    JOBS[0] | {"events": []},
    JOBS[1] | {"status": "completed", "total_price": 3},
    JOBS[3] | {"n_evals": 1},
    job(2, status="running"),
    JOBS[4] | {"total_price": "x"},
    JOBS[4] | {"refund": {"amount": 1}},
    JOBS[5] | {"events": [{"type": "JOB_START", "created_at": EARLY, "step": 5}]},
]


@settings(max_examples=settings.default.max_examples // 6)
@given(
    lists=st.lists(st.lists(st.sampled_from(VERSIONS), min_size=1, max_size=7), min_size=3, max_size=3),
    runs=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from([0, 1, 2, 3, -1]),
            st.sampled_from([{}, {}, {}, {"whole": True}, {"details": True}]),
        ),
        min_size=2,
        max_size=5,
    ),
)
@example(lists=[JOBS[:2]] * 3, runs=[(0, 0, {}), (0, 1, {"details": True}), (0, 2, {}), (0, 3, {"details": True})])
@example(lists=[JOBS[1:2], [job(2, status="running")], []], runs=[(0, 0, {}), (1, 1, {}), (1, 2, {}), (1, 3, {})])
@example(lists=[JOBS, JOBS[2:], [*JOBS[:3], VERSIONS[-1]]], runs=[(0, 0, {}), (1, 1, {"whole": True}), (0, 2, {})])
@example(lists=[JOBS, VERSIONS[-7:], JOBS], runs=[(0, 0, {}), (1, 1, {}), (1, 2, {}), (0, 3, {}), (1, 3, {})])
def test_any_runs_end_as_if_all_had_been_decoded(
    lists: list[list[Any]], runs: list[tuple[int, int, Job]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    targets = folder / "remembers", folder / "decodes"
    for number, hours, options in runs:
        saved = save(folder / f"{number}.json", lists[number])
        if options.get("details"):
            saved = folder / f"details-{number}"
            saved.mkdir(exist_ok=True)
            for place, element in enumerate(lists[number]):
                (saved / f"{place}.json").write_bytes(raw(element))
        more = {name: value for name, value in options.items() if name != "details"}
        options = {"observed_at": DAY + hours * HOUR, "allow_shrink": True, "allow_account_change": True, **more}
        reports = []
        for target in targets:
            if target == targets[1]:
                file(target).unlink(missing_ok=True)
            (target / "_ftetl" / "inputs.json").unlink(missing_ok=True)
            try:
                reports.append(plain(ftetl.export(target, source=saved, **options)))
            except ftetl.errors.FtetlError as error:
                reports.append(str(error).replace(str(target), "target"))
        assert reports[0] == reports[1]
        assert tables(targets[0]) == tables(targets[1])
