"""`ftetl export`: from every source, and what stops it."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq
import pytest
import zstandard

from ftetl import demo
from ftetl.cli.commands import export
from ftetl.cli.output import Output
from ftetl.contract import frictionless, odcs, tables
from ftetl.extract.details import fingerprints
from ftetl.run_report import Drift, Report
from ftetl.store.target import Target
from tests.cli.program import (
    DAY,
    PATIENCE,
    SAMPLE,
    Answer,
    Here,
    answering,
    ended,
    environment,
    run,
    sample,
    sample_lines,
    settings_of,
    state,
    words,
)
from tests.demo.generator import generate_jobs

DOCUMENTS = frictionless.FILE, odcs.FILE


class TestSaved:
    """Every kind of saved response gives the same tables."""

    KINDS: ClassVar[dict[str, Callable[[], bytes]]] = {
        "answer.json": sample,
        "array.json": lambda: json.dumps(json.loads(sample())["data"]).encode(),
        "answer.ndjson": sample_lines,
        "answer.json.gz": lambda: gzip.compress(sample()),
        "answer.ndjson.gz": lambda: gzip.compress(sample_lines()),
        "answer.json.zst": lambda: zstandard.compress(sample()),
        "folder/answer.json": sample,
        "-": sample,
        "- with lines": sample_lines,
        "- with gzip": lambda: gzip.compress(sample()),
    }

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_is_exported(self, tmp_path: Path, exported: Path, kind: str, here: Here) -> None:
        data, stdin, source = self.KINDS[kind](), b"", "-"
        if kind.startswith("-"):
            stdin = data
        else:
            file = tmp_path / kind
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data)
            source = str(file.parent if "/" in kind else file)

        done = here("export", tmp_path / "target", "--from", source, "--observed-at", DAY, stdin=stdin)

        assert (done.code, done.out) == (0, "")
        assert "version 1 committed (5 new, 0 changed, 0 gone): 5 jobs" in done.last
        for name in tables():
            file = f"current/{name}.parquet"
            assert (tmp_path / "target" / file).read_bytes() == (exported / file).read_bytes()

    def test_csv_lies_beside_the_parquet_when_asked_for(self, tmp_path: Path, here: Here) -> None:
        done = here("export", tmp_path / "target", "--from", SAMPLE, "--format", "csv")

        assert done.code == 0
        names = {path.name for path in (tmp_path / "target" / "current").iterdir()}
        written = {f"{table}.{suffix}" for table in tables() for suffix in ("parquet", "csv")}
        assert names == {fingerprints.FILE, *DOCUMENTS, *written}


class TestApi:
    def test_all_jobs_and_their_details_come_over_http(self, api: demo.Server, tmp_path: Path) -> None:
        done = run("export", tmp_path / "target", "--json", env=settings_of(api))

        assert done.code == 0
        assert done.document["rows"]["jobs"] == len(api.jobs)
        assert done.document["rows"]["events"] == sum(len(job["events"] or []) for job in api.jobs)
        assert ("GET", "/v1/fine-tunes") in api.requests

    def test_the_address_and_the_key_file_may_be_options(self, api: demo.Server, tmp_path: Path, here: Here) -> None:
        (tmp_path / "key").write_text(f"{api.key}\n")
        (tmp_path / "key").chmod(0o600)
        url = api.url.removesuffix("/v1")
        done = here("export", tmp_path / "t", "--api-key-file", tmp_path / "key", "--base-url", url, "--events", "list")

        assert done.code == 0
        assert api.key not in done.out + done.err


HTML = Answer(body=b"<!doctype html><title>Welcome</title>", headers={"Content-Type": "text/html"})


WRONG_ANSWERS = {
    "a web page": (HTML, "H32", "web page"),
    "not found": (Answer(404, b'{"error":{"message":"no such route"}}'), "H04", "404"),
    "a redirect": (Answer(302, headers={"Location": "http://127.0.0.1/elsewhere"}), "H31", "302"),
    "nothing": (Answer(), "R02", "empty"),
    "no data": (Answer(body=b'{"object":"list"}'), "R07", "data"),
    "an error with status 200": (Answer(body=b'{"error":{"message":"oh","type":"x"}}'), "R01", "error"),
    "half a list": (Answer(body=sample()[:-200]), "H19", ""),
    "another page to come": (Answer(body=b'{"data":[],"has_more":true}'), "R46", "has_more"),
    "refused": (Answer(401, b'{"error":{"message":"Invalid API key"}}'), "H01", "TOGETHER_API_KEY"),
    "no money": (Answer(402, b'{"error":{"message":"spend limit"}}'), "H02", "402"),
    "patience": (Answer(429, b"{}", {"Retry-After": "86400"}), "H09", "86400"),
}


@pytest.mark.parametrize("case", WRONG_ANSWERS)
def test_what_is_not_the_apis_answer_ends_with_its_own_code(target: Path, case: str, here: Here) -> None:
    answer, fault, said = WRONG_ANSWERS[case]
    before = state(target)
    with answering(answer) as url:
        env = {"TOGETHER_API_KEY": "key_0123456789abcdef"}
        done = here("export", target, "--base-url", url, "--deadline", "20", env=env)

    assert done.fault == fault
    assert said in done.last
    assert "key_0123456789abcdef" not in done.out + done.err
    assert done.out == ""
    kept = {name: data for name, data in state(target).items() if not name.startswith("_ftetl/failed/")}
    assert kept == before


def test_a_wrong_key_is_refused_by_the_demo_server(api: demo.Server, tmp_path: Path, here: Here) -> None:
    env = {**settings_of(api), "TOGETHER_API_KEY": "key_of_somebody_else"}
    done = here("export", tmp_path / "t", env=env)

    assert (done.code, done.fault) == (77, "H01")
    assert "key_of_somebody_else" not in done.err


@pytest.mark.usefixtures("quick_retries")
def test_where_nobody_answers_it_is_worth_another_try(tmp_path: Path, here: Here) -> None:
    url = "http://127.0.0.1:9/v1"  # a reserved port, which no server of another test is given meanwhile
    env = {"TOGETHER_API_KEY": "key_0123456789abcdef"}
    done = here("export", tmp_path / "t", "--base-url", url, "--json", env=env)

    assert (done.code, done.fault) == (69, "H14")
    assert done.document["retryable"]


def test_a_locked_target_is_worth_another_try(target: Path) -> None:
    with Target(target):
        done = run("export", target, "--from", SAMPLE)

    assert (done.code, done.fault) == (75, "C01")


def test_a_target_of_another_project_is_refused(target: Path, here: Here) -> None:
    done = here("export", target, "--from", SAMPLE, "--project", "other")

    assert (done.code, done.fault) == (78, "S28")
    assert "'default'" in done.last


def test_a_target_that_may_only_be_read_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir(mode=0o555)
    # Root may write everywhere, unless that right is taken away.
    drop = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    if drop and (
        not shutil.which("setpriv") or subprocess.run([*drop, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("this is root, who cannot be kept from writing here")
    given = [*drop, *words("export", folder, "--from", SAMPLE)]
    done = subprocess.run(given, env=environment(), capture_output=True, timeout=PATIENCE, check=False)

    told = ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    assert (told.code, told.fault) == (73, "S03")
    assert str(folder) in told.last
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("command", ["doctor", "export", "quarantine", "rebuild", "report", "runs", "verify"])
def test_a_target_that_is_another_users_alone_is_refused(command: str, target: Path) -> None:
    # Root may read everything, unless that right is taken away.
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    if not shutil.which("setpriv") or subprocess.run([*drop, "true"], check=False, capture_output=True).returncode:
        pytest.skip("the rights of root cannot be taken away here")
    os.chown(target, 65534, 65534)
    target.chmod(0o700)
    place = target.parent
    more = ["--from", "demo", "--metrics-file", place / "m.prom"] if command == "export" else []
    given = [*drop, *words(command, target, *more)]
    env = environment(TOGETHER_API_KEY="k" * 40, TOGETHER_BASE_URL="http://127.0.0.1:9")
    done = subprocess.run(given, env=env, cwd=place, capture_output=True, timeout=PATIENCE, check=False)

    told = ended(done.returncode, done.stdout.decode(), done.stderr.decode())
    if command == "doctor":  # what it finds first is that nobody listens at the address
        assert f"cannot open {target}: permission denied" in told.out
    else:
        assert (told.code, told.fault) == (73, "S03")
    if more:
        assert 'ftetl_exit_code{project="default"} 73' in (place / "m.prom").read_text().splitlines()


class TestMetrics:
    def test_they_are_written_by_an_export_and_by_the_demo(self, tmp_path: Path, here: Here) -> None:
        for given in (["export", tmp_path / "t", "--from", SAMPLE], ["demo", tmp_path / "d", "--events", "list"]):
            assert here(*given, "--metrics-file", tmp_path / "m.prom").code == 0
            assert 'ftetl_exit_code{project="default"} 0' in (tmp_path / "m.prom").read_text().splitlines()
            (tmp_path / "m.prom").unlink()

    def test_a_run_that_is_terminated_has_its_exit_code_in_them(self, tmp_path: Path) -> None:
        reached, over = threading.Event(), threading.Event()

        def wait(_: str) -> None:
            reached.set()
            over.wait(PATIENCE)

        with demo.serve(generate_jobs(count=3), fail=wait) as server:
            process = subprocess.Popen(
                words("export", tmp_path / "t", "--metrics-file", tmp_path / "m.prom"),
                env=environment(**settings_of(server)),
                stderr=subprocess.PIPE,
            )
            assert reached.wait(PATIENCE)
            process.terminate()
            process.communicate(timeout=PATIENCE)
            over.set()

        assert 'ftetl_exit_code{project="default"} 143' in (tmp_path / "m.prom").read_text().splitlines()

    def test_a_file_that_cannot_be_written_is_one_warning(self, tmp_path: Path, here: Here) -> None:
        metrics = tmp_path / "missing" / "m.prom"
        done = here("export", tmp_path / "t", "--from", SAMPLE, "--metrics-file", metrics, "--project", "p")
        failed = here("export", tmp_path / "t", "--from", "nowhere.json", "--metrics-file", metrics, "--project", "p")

        assert (done.code, failed.code) == (0, 65)
        assert done.err.splitlines()[0].startswith(f"warning: cannot write {metrics}: it is not there")
        assert failed.err.count("\n") == 2
        assert f"cannot write {metrics}" in failed.err.splitlines()[0]


def test_the_mode_of_the_files_is_the_one_asked_for(tmp_path: Path, here: Here) -> None:
    target = tmp_path / "t"
    assert here("export", target, "--from", SAMPLE, "--file-mode", "0640").code == 0

    assert {path.stat().st_mode & 0o777 for path in (target / "current").iterdir()} == {0o640}
    assert pq.read_metadata(target / "current" / "jobs.parquet").num_rows == 5
    assert time.time() - (target / "current" / "jobs.parquet").stat().st_mtime < 600


ROWS = {"jobs": 1234, "events": 1, "job_history": 2, "quarantine": 0, "anomalies": 0}


def report(**facts: object) -> Report:
    known = {"target": "out", "source": "api", "project": "default", "run_id": "x", "version": 7, "changed": True}
    return Report(**{**known, "rows": ROWS, **facts})  # type: ignore[arg-type]


LINE = "ftetl: OK (0): out: version 7 committed (0 new, 0 changed, 0 gone): 1,234 jobs, 1 event, 0 anomalies"


class TestFinalLine:
    @pytest.mark.parametrize(
        ("facts", "line"),
        [
            (
                {"new": 1000, "changed_jobs": 12, "vanished": 1},
                "ftetl: OK (0): out: version 7 committed (1,000 new, 12 changed, 1 gone): "
                "1,234 jobs, 1 event, 0 anomalies",
            ),
            (
                {"changed": False},
                "ftetl: OK (0): out: nothing changed, version 7 is still the newest: 1,234 jobs, 1 event, 0 anomalies",
            ),
            (
                {"anomalies": {"wrong_type": 2, "bad_time": 1}, "changed": False},
                "ftetl: OK (0): out: nothing changed, version 7 is still the newest: 1,234 jobs, 1 event, 3 anomalies",
            ),
            (
                {"rows": ROWS | {"endpoint_anomalies": 2}, "changed": False},
                "ftetl: OK (0): out: nothing changed, version 7 is still the newest: 1,234 jobs, 1 event, 0 anomalies, "
                "2 anomalies of other endpoints",
            ),
            (
                {"quarantined": 2, "exit_code": 3, "changed": False},
                "ftetl: PARTIAL (3): out: nothing changed, version 7 is still the newest: 1,234 jobs, 1 event, "
                "0 anomalies; 2 newly in quarantine, see `ftetl quarantine`",
            ),
            (
                {"details": {"here": 5, "failed": 1}, "exit_code": 3, "changed": False},
                "ftetl: PARTIAL (3): out: nothing changed, version 7 is still the newest: 1,234 jobs, 1 event, "
                "0 anomalies; 1 detail request failed; retried on the next run",
            ),
        ],
    )
    def test_it_says_what_a_run_did(
        self, facts: dict[str, object], line: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        export.print_summary(Output(), report(**facts))

        assert capsys.readouterr() == ("", line + "\n")

    def test_the_folder_cannot_forge_another_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        export.print_summary(Output(), report(target="out\nftetl: OK (0): "))

        assert capsys.readouterr().err.count("\n") == 1


class TestSummary:
    def test_off_a_terminal_it_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        export.print_summary(Output(), report())

        assert capsys.readouterr() == ("", LINE + "\n")

    def test_warnings_and_unknown_keys_come_first_a_line_each(self, capsys: pytest.CaptureFixture[str]) -> None:
        unknown = {f"key{i}": i for i in range(1, 8)}
        export.print_summary(Output(), report(warnings=("one", "two"), drift=Drift(unknown)))
        lines = capsys.readouterr().err.splitlines()

        assert lines[:2] == ["warning: one", "warning: two"]
        assert lines[2].endswith("key1 (1 job), key2 (2 jobs), key3 (3 jobs), key4 (4 jobs), key5 (5 jobs) and 2 more")
        assert lines[3:] == [LINE]

    def test_beside_json_it_is_the_same_on_stderr(self, capsys: pytest.CaptureFixture[str]) -> None:
        export.print_summary(Output(as_json=True), report())

        assert capsys.readouterr() == ("", LINE + "\n")

    def test_quiet_says_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        export.print_summary(Output(quiet=True), report(warnings=("one",)))

        assert capsys.readouterr() == ("", "")
