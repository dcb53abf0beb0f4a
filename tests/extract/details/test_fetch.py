"""Details over real HTTP: which are asked for, and that one that cannot be had costs nobody else anything."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ftetl
from ftetl import demo
from ftetl.config import limits
from ftetl.demo import Server
from ftetl.errors import AccessError, FtetlError
from ftetl.extract.details.fetch import FetchedDetails, document_digest
from ftetl.extract.outcome import Outcome
from ftetl.extract.source import Detail
from ftetl.raw import secret_masking
from ftetl.raw.blob import Memory
from ftetl.raw.response import Response
from ftetl.raw.spool import Spool
from ftetl.run_report import Report

Job = dict[str, Any]
Answer = tuple[int, bytes]
DAY = datetime(2026, 8, 1, tzinfo=UTC)
LIST = "/v1/fine-tunes"


def job(number: int, **more: Any) -> Job:
    time = "2026-07-02T08:10:14Z"
    ended = {"type": "JOB_COMPLETE", "created_at": "2026-07-02T08:20:14Z"}
    found = {"id": f"ft-{number}", "status": "completed", "created_at": time, "updated_at": time}
    return found | {"param_count": number, "events": [{"type": "JOB_START"}, ended]} | more


def body(value: Any) -> Answer:
    return 200, json.dumps(value).encode()


class Service:
    """The stand-in, with answers of our own for some paths."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.answers: dict[str, Answer] = {}
        usual = server.response
        server.response = lambda path, key: self.answers.get(path) or usual(path, key)  # type: ignore[method-assign]

    def says(self, number: int, answer: Answer) -> None:
        """What the detail of a job is from now on."""
        self.answers[f"{LIST}/ft-{number}"] = answer

    def export(self, target: Path, **settings: Any) -> Report:
        self.server.requests.clear()
        environ = {"TOGETHER_API_KEY": self.server.key}
        return ftetl.export(target, base_url=self.server.url, environ=environ, **{"observed_at": DAY} | settings)

    def asked(self) -> Counter[str]:
        """The requests by path; whose the key is, which this service does not say, and files were asked for once."""
        counts = Counter(path for _, path in self.server.requests)
        assert [counts.pop(path) for path in ("/v3/whoami", "/v1/whoami", "/v1/files")] == [1, 1, 1]
        return counts


@pytest.fixture
def serve() -> Iterator[Callable[..., Service]]:
    with ExitStack() as stack:
        yield lambda *jobs: Service(stack.enter_context(demo.serve(jobs=jobs)))


def rows(target: Path, table: str) -> list[Job]:
    return list(ftetl.open(target).arrow(table).to_pylist())


def test_the_first_run_requests_the_list_and_each_job_once(serve: Any, tmp_path: Path) -> None:
    service = serve(*(job(n) for n in range(20)))
    report = service.export(tmp_path / "t")
    assert service.asked() == {LIST: 1} | {f"{LIST}/ft-{n}": 1 for n in range(20)}
    assert (report.requests, report.exit_code, report.details) == (24, 0, {"here": 20})
    assert report.received == 40
    assert report.bytes_read > 0
    found = rows(tmp_path / "t", "jobs")
    assert {r["events_state"] for r in found} == {"detail"}
    assert sorted(r["param_count"] for r in found) == list(range(20))
    assert report.rows["events"] == 40
    assert report.rows["job_history"] == 20


SECRETS = {"wandb_api_key": "planted-secret-1", "note": "see https://ann:planted-secret-2@host.example/"}


def holding_secrets(target: Path) -> list[Path]:
    return [file for file in target.rglob("*") if file.is_file() and b"planted-secret" in file.read_bytes()]


def test_no_secret_of_a_list_or_a_detail_is_in_a_file(serve: Any, tmp_path: Path) -> None:
    service = serve(*(job(n, **SECRETS) for n in range(1, 4)))
    report = service.export(tmp_path / "t", formats=("csv",))
    extra = [json.loads(row["extra"]) for row in rows(tmp_path / "t", "jobs")]

    assert extra == [{"wandb_api_key": "***", "note": "see https://ann:***@host.example/"}] * 3
    assert set(report.masked) == {"wandb_api_key", "password in a URL"}
    assert holding_secrets(tmp_path / "t") == []
    assert not service.export(tmp_path / "t", formats=("csv",)).changed


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(body({"jobs": [job(1, **SECRETS)]}), id="not a list"),
        pytest.param((200, json.dumps({"data": [job(1, **SECRETS)]}).encode()[:-9]), id="cut off"),
        pytest.param((500, json.dumps({"error": SECRETS}).encode()), id="server error"),
        pytest.param((401, json.dumps({"error": {"message": "no", **SECRETS}}).encode()), id="refused"),
    ],
)
def test_no_secret_of_an_answer_that_was_refused_is_in_a_file_or_a_message(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    monkeypatch.setattr(limits, "MAX_REQUESTS", 1)
    service = serve(job(1))
    service.export(tmp_path / "t")
    service.answers[LIST] = answer
    with pytest.raises(FtetlError) as caught:
        service.export(tmp_path / "t", observed_at=None)
    assert "planted-secret" not in f"{caught.value} {caught.value.what} {caught.value.next}"
    assert holding_secrets(tmp_path / "t") == []


@pytest.mark.parametrize("events", ["list", "none"])
def test_details_are_only_fetched_if_events_is_auto(serve: Any, tmp_path: Path, events: str) -> None:
    service = serve(job(1), job(2))
    report = service.export(tmp_path / "t", events=events)
    assert service.asked() == {LIST: 1}
    assert (report.requests, report.details, report.exit_code) == (4, {}, 0)
    assert [r["events_state"] for r in rows(tmp_path / "t", "jobs")] == ["unknown", "unknown"]


def test_only_jobs_without_listed_events_are_requested_each_once(serve: Any, tmp_path: Path) -> None:
    service = serve(*(job(n) for n in range(1, 6)))
    bare = {k: v for k, v in job(1).items() if k != "events"}
    listed = [bare, bare | {"id": "ft-2", "events": None}, bare | {"id": "ft-3", "events": []}, job(4), bare]
    service.answers[LIST] = body({"data": listed})
    report = service.export(tmp_path / "t")
    assert service.asked() == {LIST: 1, f"{LIST}/ft-1": 1, f"{LIST}/ft-2": 1, f"{LIST}/ft-3": 1}
    assert [r["events_state"] for r in rows(tmp_path / "t", "jobs")] == ["detail", "detail", "detail", "list"]
    assert report.anomalies == {"duplicate_identical": 1}


BROKEN = b'{"id":"ft-1","status":"a","status":"b"}'
# What the service says about ft-1: (exit, outcome, anomaly, what goes to quarantine).
ODD_DETAILS: dict[str, tuple[Answer, int, str, str | None, list[tuple[str, str | None]]]] = {
    "gone": ((404, b'{"error":{"message":"no such job"}}'), 0, "gone", "deleted_meanwhile", []),
    "server error": ((500, b"{}"), 3, "failed", None, []),
    "web page": ((200, b"<html>at ease</html>"), 3, "failed", None, []),
    "an error with status 200": (body({"error": {"message": "oops"}}), 3, "failed", None, []),
    "another job": (body(job(7)), 3, "failed", "detail_unusable", [("bad_id", "ft-7")]),
    "two jobs": (body([job(1), job(7)]), 3, "failed", "detail_unusable", [("bad_id", "ft-1"), ("bad_id", "ft-7")]),
    "duplicate keys": ((200, BROKEN), 3, "here", None, [("duplicate_keys", "ft-1")]),
    "broken": ((200, b'{"id":"ft-1","status":'), 3, "failed", "detail_unusable", [("broken_json", "ft-1")]),
    "no id": (body({"status": "completed", "events": []}), 3, "failed", "detail_unusable", [("broken_json", "ft-1")]),
    "empty list": (body({"data": []}), 3, "failed", "detail_unusable", [("broken_json", "ft-1")]),
    "no object": (body(["x"]), 3, "failed", "detail_unusable", [("not_an_object", "ft-1")]),
}


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("case", ODD_DETAILS)
def test_a_failed_or_unusable_detail_leaves_the_list_item(serve: Any, tmp_path: Path, case: str) -> None:
    answer, code, outcome, kind, aside = ODD_DETAILS[case]
    service = serve(job(1, status="running"), job(2))
    service.says(1, answer)
    report = service.export(tmp_path / "t")
    assert report.exit_code == code
    assert report.details == dict(Counter(["here", outcome]))
    first, second = rows(tmp_path / "t", "jobs")
    assert (first["status"], first["events_state"], first["param_count"], first["present"]) == (
        "running",
        "unknown",
        None,
        True,
    )
    assert (second["events_state"], second["param_count"]) == ("detail", 2)
    assert [(a["job_id"], a["kind"]) for a in rows(tmp_path / "t", "anomalies")] == [("ft-1", kind)] * bool(kind)
    found = sorted((q["rule"], q["job_id"]) for q in rows(tmp_path / "t", "quarantine"))
    assert found == aside
    assert {q["source"] for q in rows(tmp_path / "t", "quarantine")} <= {"GET /fine-tunes/ft-1"}


@pytest.mark.usefixtures("quick_retries")
def test_all_malformed_details_at_once_do_not_affect_other_jobs(serve: Any, tmp_path: Path) -> None:
    service = serve(*(job(n) for n in range(10, 30)))
    unlucky = [case for case in ODD_DETAILS if case not in ("another job", "two jobs")]
    for number, case in enumerate(unlucky, start=10):
        service.says(number, ODD_DETAILS[case][0])
    report = service.export(tmp_path / "t")
    assert report.exit_code == 3
    assert (report.rows["jobs"], report.vanished) == (20, 0)
    fine = [r for r in rows(tmp_path / "t", "jobs") if r["events_state"] == "detail"]
    assert len(fine) == 20 - len(unlucky)
    assert report.received == 20 + report.details["here"] + report.quarantined


@pytest.mark.usefixtures("quick_retries")
def test_a_job_without_its_detail_keeps_its_events_marked_as_stale(serve: Any, tmp_path: Path) -> None:
    settling = {"observed_at": datetime(2026, 7, 3, tzinfo=UTC)}  # less than three days after their end
    service = serve(job(1), job(2), job(3))
    service.export(tmp_path / "t", **settling)
    for number in (1, 2, 3):
        service.says(number, (500, b"{}") if number == 1 else (404, b"{}"))
    service.server.jobs = [job(1), job(2), job(3, n_epochs=2, updated_at="2026-07-03T00:00:00Z")]
    report = service.export(tmp_path / "t", **settling)
    assert report.exit_code == 3
    assert [r["events_state"] for r in rows(tmp_path / "t", "jobs")] == ["stale", "detail", "stale"]
    assert [r["param_count"] for r in rows(tmp_path / "t", "jobs")] == [1, 2, 3]
    assert len(rows(tmp_path / "t", "events")) == 6
    again = service.export(tmp_path / "t", **settling)
    assert (again.changed, again.exit_code) == (False, 3)
    service.answers.clear()
    better = service.export(tmp_path / "t", **settling)
    assert better.exit_code == 0
    assert [r["events_state"] for r in rows(tmp_path / "t", "jobs")] == ["detail"] * 3
    assert rows(tmp_path / "t", "anomalies") == []


def test_a_broken_detail_does_not_stop_vanishing(serve: Any, tmp_path: Path) -> None:
    service = serve(job(1), job(2))
    service.export(tmp_path / "t")
    service.server.jobs = [job(1, status="running")]
    service.says(1, (200, b'["x", {"no":"id"}]'))
    report = service.export(tmp_path / "t", observed_at=datetime(2026, 8, 2, tzinfo=UTC))
    assert (report.vanished, report.quarantined) == (1, 2)
    assert [r["present"] for r in rows(tmp_path / "t", "jobs")] == [True, False]


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("detail", [(404, b"{}"), (500, b"{}"), (200, b'{"id":"ft-9"}'), (200, BROKEN)])
def test_a_quarantined_item_may_lack_its_detail_too(serve: Any, tmp_path: Path, detail: Answer) -> None:
    service = serve(job(1), job(2))
    broken = b'{"data":[{"id":"ft-2"},{"id":"ft-1","a":1,"a":2}]}'
    service.answers[LIST] = (200, broken)
    service.says(1, detail)
    report = service.export(tmp_path / "t")
    assert report.exit_code == 3
    assert [r["job_id"] for r in rows(tmp_path / "t", "jobs")] == ["ft-2"]
    assert report.rows["quarantine"] == (2 if detail[0] == 200 else 1)


def test_a_valid_detail_replaces_a_quarantined_item(serve: Any, tmp_path: Path) -> None:
    service = serve(job(1))
    service.answers[LIST] = (200, b'{"data":[{"id":"ft-1","a":1,"a":2}]}')
    report = service.export(tmp_path / "t")
    assert (report.quarantined, report.rows["jobs"], report.exit_code) == (1, 1, 3)
    (row,) = rows(tmp_path / "t", "jobs")
    assert (row["param_count"], row["events_state"], row["present"]) == (1, "detail", True)


def test_a_key_that_is_refused_meanwhile_ends_the_run(serve: Any, tmp_path: Path) -> None:
    service = serve(job(1), job(2))
    service.says(2, (401, b"{}"))
    with pytest.raises(AccessError):
        service.export(tmp_path / "t")
    assert not (tmp_path / "t" / "current").exists()


def test_an_id_with_special_characters_is_requested_escaped(serve: Any, tmp_path: Path) -> None:
    service = serve(job(1) | {"id": "ft:a.b_c-D"})
    assert service.export(tmp_path / "t").details == {"here": 1}


def test_a_status_change_between_list_and_detail_is_a_history_state(serve: Any, tmp_path: Path) -> None:
    service = serve(job(1, status="completed", updated_at="2026-07-03T00:00:00Z"))
    service.answers[LIST] = body({"data": [job(1, status="running", events=[])]})
    service.export(tmp_path / "t", observed_at=None)
    states = rows(tmp_path / "t", "job_history")
    assert [r["status"] for r in states] == ["running", "completed"]
    (row,) = rows(tmp_path / "t", "jobs")
    assert (row["status"], row["last_changed_at"]) == ("completed", states[1]["observed_at"])


def test_a_secret_is_masked_before_a_detail_is_spooled_to_disk(tmp_path: Path) -> None:
    masked = b'{"id":"ft-1","wandb_key":"***","\\u0068f_api_token":"***","events":[]}'
    body = b'{"id":"ft-1","wandb_key":"s3cret","\\u0068f_api_token":"s3cret","events":[]}'
    response = Response("GET /fine-tunes/ft-1", Memory(body), DAY, detail=True)

    with Spool(lambda: tmp_path) as spool:
        details = FetchedDetails(spool)

        details.add(Detail("ft-1", Outcome.HERE, response))

        assert details.fetched == {"ft-1"}
        assert spool.read(0, len(masked) + 1) == masked
        assert details.responses[0].blob.read(details.scans[0].offsets[0], details.scans[0].lengths[0]) == masked


def test_the_drift_of_unchanged_jobs_is_reported_again(tmp_path: Path) -> None:
    odd = {"type": "WARNING", "newer": 1}
    jobs = [job(n, new_key=n) for n in range(3)] + [job(3, progress={"inner": 1})]
    jobs[1]["events"] = [odd, *jobs[1]["events"], odd]
    with demo.serve(jobs=jobs) as server:
        first, second = (
            ftetl.export(tmp_path / "t", base_url=server.url, environ={"TOGETHER_API_KEY": server.key}, observed_at=DAY)
            for _ in range(2)
        )

    assert (first.requests, second.requests, second.changed) == (8, 4, False)
    assert first.drift.unknown == {"events.newer": 1, "new_key": 3, "progress.inner": 1}
    assert second.drift == first.drift


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON, max_size=5), st.randoms())
def test_the_order_of_keys_and_white_space_change_no_digest(document: dict[str, object], random: object) -> None:
    keys = list(document)
    random.shuffle(keys)  # type: ignore[attr-defined]
    again = {key: document[key] for key in keys}

    assert document_digest(json.dumps(document).encode()) == document_digest(
        json.dumps(again, indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass")
    ) or any(0xD800 <= ord(c) < 0xE000 for c in json.dumps(document, ensure_ascii=False))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"id":"a","status":"running"}', b'{"id":"a","status":"completed"}'),
        (b'{"id":"a","x":[1,2]}', b'{"id":"a","x":[2,1]}'),
        (b'{"id":"a"}', b'{"id":"a","x":null}'),
        (b'{"id":"a","x":NaN}', b'{"id":"a","x":Infinity}'),
        (b'{"id":"a","x":"\xff"}', b'{"id":"a","x":"\xfe"}'),
    ],
)
def test_another_content_is_another_digest(one: bytes, other: bytes) -> None:
    assert document_digest(one) != document_digest(other)


def test_a_masked_document_has_the_digest_of_the_received_one() -> None:
    raw = b'{"id":"a","wandb_key":"s3cret"}'
    blob = secret_masking.mask_blob(Memory(raw))
    assert document_digest(raw) == document_digest(blob.read(0, blob.size))
