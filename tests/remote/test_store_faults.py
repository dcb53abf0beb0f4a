"""Whatever happens to a request, a version is committed as a whole or not at all, and the exit says which."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import ftetl
from ftetl.errors import AccessError, ConfigError, FtetlError, StorageError, TryLaterError, UnavailableError
from ftetl.pipeline.export import rebuild
from ftetl.remote import object_store
from ftetl.remote.store_errors import store_error
from ftetl.validate.verify import verify_snapshot
from tests.faults.runs import Runs
from tests.remote.conftest import write_answer
from tests.remote.store_server import KEYS, Answer, Forward, Request, Rule, StoreServer, refused

DENIED = refused(403, "AccessDenied")


def is_commit(request: Request) -> bool:
    return request.method == "PUT" and "/_ftetl/manifests/" in request.key


def first_time(rule: Rule) -> Rule:
    """A rule for the commits up to the first one that it applies to, so that a repeated request gets through."""
    done: list[int] = []

    def once(request: Request, forward: Forward) -> Answer | None:
        if not is_commit(request) or done:
            return forward(request)
        done.append(request.number)
        return rule(request, forward)

    return once


def forwarded(answer: Answer | None) -> Rule:
    """The request arrives, and its answer is another one."""

    def rule(request: Request, forward: Forward) -> Answer | None:
        forward(request)
        return answer

    return rule


def instead(answer: Answer | None) -> Rule:
    """The request does not arrive."""
    return lambda *_: answer


def another_run_commits(request: Request, forward: Forward) -> Answer | None:
    """Another run commits the version just before."""
    other = b'{"run_id":"20200101T000000Z-00000000"}'
    forward(replace(request, body=other, headers={}))
    return forward(request)


def versions(server: StoreServer, address: str) -> list[int]:
    """The numbers of all versions that have a manifest."""
    names = server.objects(address.split("/")[2])
    return sorted(int(name.rpartition("/")[2][:20]) for name in names if "/manifests/" in name)


class TestCommit:
    @pytest.mark.parametrize(
        "rule",
        [
            pytest.param(forwarded(None), id="O04 it landed, the answer is lost"),
            pytest.param(forwarded(refused(503, "SlowDown")), id="O06 it landed, the answer is 503"),
            pytest.param(forwarded(refused(500, "InternalError")), id="it landed, the answer is 500"),
            pytest.param(instead(None), id="it is lost"),
            pytest.param(instead(refused(503, "SlowDown")), id="503"),
            pytest.param(instead(refused(409, "ConditionalRequestConflict")), id="O07 409"),
            pytest.param(instead(refused(412, "PreconditionFailed")), id="412 without a version"),
        ],
    )
    def test_an_unclear_answer_is_cleared_up(
        self, server: StoreServer, exported: str, answers: list[Path], rule: Rule
    ) -> None:
        server.begin(first_time(rule))

        report = ftetl.export(exported, source=answers[1], quarantine="ok")

        assert (report.version, report.changed, report.exit_code) == (2, True, 0)
        assert versions(server, exported) == [1, 2]
        assert verify_snapshot(exported).damage == ()
        assert not ftetl.export(exported, source=answers[1], quarantine="ok").changed

    @pytest.mark.parametrize("landed", [True, False])
    def test_an_outcome_that_stays_unknown_is_said_and_nothing_is_removed(
        self, server: StoreServer, exported: str, answers: list[Path], landed: bool
    ) -> None:
        committing = threading.Event()

        def cut_off(request: Request, forward: Forward) -> Answer | None:
            if is_commit(request):
                committing.set()
                return forwarded(None)(request, forward) if landed else None
            return None if committing.is_set() else forward(request)

        server.begin(cut_off)
        with pytest.raises(StorageError) as unknown:
            ftetl.export(exported, source=answers[1], quarantine="ok")

        assert unknown.value.code == "FTETL-O05"
        assert not [request for request in server.requests if request.method in ("DELETE", "POST")]
        server.begin()
        assert versions(server, exported) == ([1, 2] if landed else [1])
        assert ftetl.export(exported, source=answers[1], quarantine="ok").changed is not landed
        assert verify_snapshot(exported).damage == ()

    def test_a_conflict_every_time_ends_with_try_later(
        self, server: StoreServer, exported: str, answers: list[Path]
    ) -> None:
        def always(request: Request, forward: Forward) -> Answer | None:
            return another_run_commits(request, forward) if is_commit(request) else forward(request)

        server.begin(always)
        with pytest.raises(TryLaterError) as later:
            ftetl.export(exported, source=answers[1], quarantine="ok")

        assert later.value.code == "FTETL-O08"
        kept = [key for key in server.objects(exported.split("/")[2]) if "/snapshots/" in key]
        assert len({key.split("/")[-2] for key in kept}) == 1  # what was uploaded in vain is removed

    def test_after_a_conflict_the_work_is_done_again_without_asking_the_api(
        self, server: StoreServer, bucket: str, answers: list[Path], tmp_path: Path
    ) -> None:
        target, options = f"s3://{bucket}/demo", {"events": "list", "quarantine": "ok", "project": "demo"}
        alone = ftetl.export(tmp_path / "t", source="demo", **options)
        ftetl.export(target, source=answers[0], **options)
        server.begin(first_time(another_run_commits))

        report = ftetl.export(target, source="demo", allow_account_change=True, **options)

        assert (report.version, report.changed, report.requests) == (3, True, alone.requests)
        assert ftetl.open(target).rows["jobs"] == alone.rows["jobs"] + 3


def flip_sent(which: str, *, times: int) -> Rule:
    """The last byte of an object is changed on its way to the store."""
    flipped: list[str] = []

    def rule(request: Request, forward: Forward) -> Answer | None:
        if request.method != "PUT" or which not in request.key or len(flipped) >= times:
            return forward(request)
        flipped.append(request.key)
        return forward(replace(request, body=request.body[:-1] + bytes([request.body[-1] ^ 1])))

    return rule


class TestUploads:
    def test_503_is_tried_again(self, server: StoreServer, address: str, answers: list[Path]) -> None:
        failed: set[str] = set()

        def each_once(request: Request, forward: Forward) -> Answer | None:
            if request.path in failed:
                return forward(request)
            failed.add(request.path)
            return refused(503, "SlowDown")

        server.begin(each_once)
        report = ftetl.export(address, source=answers[0], quarantine="ok")

        assert (report.version, report.exit_code) == (1, 0)
        assert verify_snapshot(address).damage == ()

    def test_a_large_file_is_sent_in_parts_and_read_back(
        self, server: StoreServer, address: str, answers: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(object_store, "_ONE_PUT", 10_000)

        ftetl.export(address, source=answers[0], quarantine="ok")

        in_parts = {r.key for r in server.requests if r.method == "PUT" and "partNumber=" in r.path}
        assert in_parts
        assert in_parts <= {r.key for r in server.requests if r.method == "GET"}
        assert verify_snapshot(address).damage == ()

    @pytest.mark.parametrize("which", ["jobs.parquet", "manifests/00000000000000000002.json"])
    def test_bytes_that_are_always_changed_stop_the_run(
        self, server: StoreServer, exported: str, answers: list[Path], which: str
    ) -> None:
        server.begin(flip_sent(which, times=99))
        with pytest.raises(UnavailableError) as stopped:
            ftetl.export(exported, source=answers[1], quarantine="ok")

        assert stopped.value.code == "FTETL-O15"
        server.begin()
        assert ftetl.export(exported, source=answers[1], quarantine="ok").changed

    @pytest.mark.parametrize("which", ["jobs.parquet", "manifests/00000000000000000001.json", "/archive/index/"])
    def test_a_byte_that_is_flipped_on_the_way_is_sent_again(
        self, server: StoreServer, address: str, answers: list[Path], which: str
    ) -> None:
        server.begin(flip_sent(which, times=1))
        ftetl.export(address, source=answers[0], quarantine="ok")

        assert verify_snapshot(address).damage == ()
        assert rebuild(address).rebuilt == 1

    def test_an_etag_that_is_no_md5_makes_the_file_be_read_back(
        self, server: StoreServer, address: str, answers: list[Path]
    ) -> None:
        def other_tag(request: Request, forward: Forward) -> Answer | None:
            answer = forward(request)
            if request.method == "PUT":
                headers = {n: v for n, v in answer.headers.items() if n.lower() != "etag"}
                return replace(answer, headers={**headers, "ETag": '"kms"'})
            return answer

        server.begin(other_tag)
        ftetl.export(address, source=answers[0], quarantine="ok")

        sent = {r.key for r in server.requests if r.method == "PUT" and "/snapshots/" in r.key}
        assert sent <= {r.key for r in server.requests if r.method == "GET"}

    def test_a_byte_that_is_flipped_while_reading_is_asked_for_again(self, server: StoreServer, exported: str) -> None:
        flipped: list[str] = []

        def flip(request: Request, forward: Forward) -> Answer | None:
            answer = forward(request)
            if request.key.endswith("jobs.parquet") and not flipped:
                flipped.append(request.key)
                return replace(answer, body=answer.body[:-1] + b"\0")
            return answer

        server.begin(flip)

        assert ftetl.open(exported).arrow("jobs").num_rows == 3
        assert flipped


class TestRefusals:
    def test_a_store_that_ignores_conditions_is_refused(
        self, server: StoreServer, address: str, answers: list[Path]
    ) -> None:
        def ignore(request: Request, forward: Forward) -> Answer | None:
            headers = {n: v for n, v in request.headers.items() if n.lower() not in ("if-none-match", "if-match")}
            return forward(replace(request, headers=headers))

        server.begin(ignore)
        for _ in range(2):
            with pytest.raises(ConfigError) as refusal:
                ftetl.export(address, source=answers[0])

            assert refusal.value.code == "FTETL-O09"

    @pytest.mark.parametrize(
        ("denies", "permission"),
        [
            (lambda r: r.method == "GET" and not r.lists, "s3:GetObject"),
            (lambda r: r.method == "PUT", "s3:PutObject"),
        ],
        ids=["get", "put"],
    )
    @pytest.mark.parametrize("is_new", [True, False])
    def test_a_needed_permission_that_is_missing_is_named(
        self,
        server: StoreServer,
        bucket: str,
        address: str,
        made: dict[str, bytes],
        answers: list[Path],
        denies: object,
        permission: str,
        is_new: bool,
    ) -> None:
        if not is_new:
            server.fill(bucket, made)
        server.begin(lambda request, forward: DENIED if denies(request) else forward(request))  # type: ignore[operator]

        with pytest.raises(AccessError, match=permission) as refusal:
            ftetl.export(address, source=answers[1], quarantine="ok")

        assert refusal.value.code == "FTETL-O11"
        server.begin()
        assert versions(server, address) == ([] if is_new else [1])

    def test_it_works_without_the_permission_to_list(
        self, server: StoreServer, address: str, answers: list[Path]
    ) -> None:
        """S3 then answers for an object that does not exist as for a forbidden one."""

        def rule(request: Request, forward: Forward) -> Answer | None:
            answer = forward(request)
            is_missing = answer.status == 404 and request.method in ("GET", "HEAD")
            return DENIED if request.lists or is_missing else answer

        server.begin(rule)
        reports = [ftetl.export(address, source=answer, quarantine="ok") for answer in answers]

        assert [report.version for report in reports] == [1, 2]
        assert [report.exit_code for report in reports] == [0, 0]
        assert "s3:ListBucket" in reports[1].warnings[0]
        assert ftetl.open(address).version == 2
        assert verify_snapshot(address).damage == ()

    def test_it_works_without_the_permission_to_delete(
        self, server: StoreServer, address: str, answers: list[Path]
    ) -> None:
        server.begin(lambda r, forward: DENIED if r.method in ("DELETE", "POST") else forward(r))

        reports = [ftetl.export(address, source=answer, quarantine="ok") for answer in answers]

        assert [(report.version, report.exit_code) for report in reports] == [(1, 0), (2, 0)]

    @pytest.mark.parametrize(
        ("status", "code", "error", "fault"),
        [
            (403, "InvalidAccessKeyId", AccessError, "O11"),
            (403, "SignatureDoesNotMatch", AccessError, "O11"),
            (400, "ExpiredToken", AccessError, "O16"),
            (403, "RequestTimeTooSkewed", UnavailableError, "O17"),
            (301, "PermanentRedirect", ConfigError, "O12"),
            (400, "AuthorizationHeaderMalformed", ConfigError, "O12"),
            (400, "SomethingNew", ConfigError, "O12"),
        ],
    )
    def test_each_refusal_has_its_exit_and_says_no_secret(
        self, server: StoreServer, address: str, status: int, code: str, error: type[FtetlError], fault: str
    ) -> None:
        server.begin(instead(refused(status, code)))

        with pytest.raises(error) as refusal:
            ftetl.open(address)

        assert refusal.value.code == f"FTETL-{fault}"
        assert not any(value in str(refusal.value) for value in list(KEYS.values())[:2])

    @pytest.mark.parametrize("endpoint", ["http://example.com", "http://10.0.0.1:9000", "ftp://127.0.0.1", "a.example"])
    def test_data_is_not_sent_without_encryption(
        self, address: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")

        with pytest.raises(ConfigError) as refusal:
            ftetl.open(address)

        assert refusal.value.code == "FTETL-O19"


@pytest.mark.parametrize(
    ("text", "error", "fault", "said"),
    [
        (
            "PUT http://169.254.169.254/latest - status code: 403 Forbidden",
            AccessError,
            "O11",
            "no credentials",
        ),
        ("Received redirect without LOCATION", ConfigError, "O12", "another region"),
        ("HTTP error: error sending request", UnavailableError, "O01", "no answer"),
        ("status code: 503: <Code>SlowDown</Code> key=very-secret", UnavailableError, "O01", "503 SlowDown"),
    ],
)
def test_what_the_library_says_is_understood_and_not_repeated(
    text: str, error: type[FtetlError], fault: str, said: str
) -> None:
    made = store_error(OSError(text), "get", "s3://bucket/x")

    assert (type(made), made.code) == (error, f"FTETL-{fault}")
    assert said in str(made)
    assert "secret" not in str(made)


class TestWriters:
    @pytest.mark.parametrize("number", [4, pytest.param(16, marks=pytest.mark.slow)])
    def test_writers_at_once_commit_one_after_the_other(
        self, server: StoreServer, address: str, tmp_path: Path, number: int
    ) -> None:
        jobs = [json.loads('{"id": "ft-0", "status": "completed", "created_at": "2026-07-01T00:00:00Z"}')]
        ftetl.export(address, source=write_answer(tmp_path / "0.json", jobs, 0))
        ended: dict[int, object] = {}

        def write(day: int) -> None:
            file = write_answer(tmp_path / f"{day}.json", [{**jobs[0], "id": f"ft-{day}"}], day)
            try:
                ended[day] = ftetl.export(address, source=file, whole=False, allow_account_change=True).version
            except TryLaterError as error:
                ended[day] = error.code

        threads = [threading.Thread(target=write, args=(day,)) for day in range(1, number + 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        committed = {day: version for day, version in ended.items() if isinstance(version, int)}
        assert set(ended.values()) - set(committed.values()) <= {"FTETL-O08"}
        assert sorted(committed.values()) == list(range(2, len(committed) + 2))
        assert versions(server, address) == list(range(1, len(committed) + 2))
        found = set(ftetl.open(address).arrow("jobs")["job_id"].to_pylist())
        assert found == {"ft-0", *(f"ft-{day}" for day in committed)}
        assert verify_snapshot(address).damage == ()


@pytest.fixture(scope="module")
def killable(
    tmp_path_factory: pytest.TempPathFactory, server_of_all: StoreServer, answers: list[Path]
) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("killed")
    environment = {**KEYS, "AWS_ENDPOINT_URL": server_of_all.endpoint, "TMPDIR": str(folder)}
    with Runs(folder, environment) as runs:
        target = f"s3://{server_of_all.bucket()}/p"  # the first run tells what has to be imported
        assert runs.run("export", target, "--from", answers[0], "--quarantine", "ok").status == 0
        yield runs


def kill_at_each_request(
    server: StoreServer, runs: Runs, answers: list[Path], made: dict[str, bytes], numbers: range, *, after: bool
) -> Iterator[int]:
    """Kill a run at the request with each number, before or after it arrived, and check what is there; versions."""
    for number in numbers:
        bucket = server.bucket()
        address = f"s3://{bucket}/some/prefix"
        server.fill(bucket, made)

        def kill(request: Request, forward: Forward, number: int = number) -> Answer | None:
            if request.number < number:
                return forward(request)
            if request.number == number and after:
                forward(request)
            os.kill(runs.pid, signal.SIGKILL)
            return None

        server.begin(kill)
        words = ("export", address, "--from", answers[1], "--quarantine", "ok")
        ended = runs.run(*words)
        server.begin()
        if ended.status != -signal.SIGKILL:
            assert ended.status == 0, ended.err
            return
        version = ftetl.open(address).version
        assert verify_snapshot(address).damage == ()
        assert ftetl.open(address).arrow("jobs").num_rows == {1: 3, 2: 4}[version]
        again = runs.run(*words)
        assert (again.status, versions(server, address)) == (0, [1, 2]), again.err
        yield version


@pytest.mark.parametrize("after", [False, True])
def test_a_run_that_is_killed_at_the_commit_has_committed_or_not(
    server: StoreServer, exported: str, killable: Runs, answers: list[Path], made: dict[str, bytes], after: bool
) -> None:
    """The requests around the commit; `test_a_run_that_is_killed_anywhere` takes all of them."""
    ftetl.export(exported, source=answers[1], quarantine="ok")
    commit = next(request.number for request in server.requests if is_commit(request))

    found = list(kill_at_each_request(server, killable, answers, made, range(commit, commit + 2), after=after))

    assert found == ([2, 2] if after else [1, 2])


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_a_run_that_is_killed_anywhere(
    server: StoreServer, killable: Runs, answers: list[Path], made: dict[str, bytes], after: bool
) -> None:
    found = list(kill_at_each_request(server, killable, answers, made, range(1, 100), after=after))

    assert found == sorted(found)
    assert {*found} == {1, 2}
    assert len(found) > 25


@pytest.mark.parametrize(
    ("which", "status", "version", "said"),
    [
        ("/jobs.parquet", 143, 1, "terminated; nothing was committed"),
        ("/latest.json", 0, 2, "terminated, but version 2 of {} had been committed and is complete"),
    ],
    ids=["before the commit", "after the commit"],
)
def test_a_run_that_is_told_to_stop_says_whether_it_has_committed(
    server: StoreServer,
    exported: str,
    killable: Runs,
    answers: list[Path],
    which: str,
    status: int,
    version: int,
    said: str,
) -> None:
    def stop(request: Request, forward: Forward) -> Answer | None:
        if request.method == "PUT" and request.key.endswith(which):
            os.kill(killable.pid, signal.SIGTERM)
        return forward(request)

    server.begin(stop)
    ended = killable.run("export", exported, "--from", answers[1], "--quarantine", "ok")
    server.begin()

    assert (ended.status, ftetl.open(exported).version) == (status, version)
    assert said.format(exported) in ended.last
