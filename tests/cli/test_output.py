"""What the command line says: one line, for people or as JSON, and nothing that could move a terminal."""

from __future__ import annotations

import json
import logging
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from ftetl import formatting
from ftetl.cli import output
from ftetl.cli.commands import demo
from ftetl.cli.output import Voice
from ftetl.errors import EXITS, AccessError, DataError
from ftetl.run_report import Drift, Report

ROWS = {"jobs": 1234, "events": 1, "job_history": 2, "quarantine": 0, "anomalies": 0}


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """A voice sets up logging for its process, which here is everybody's."""
    logger = logging.getLogger("ftetl")
    before = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def report(**facts: object) -> Report:
    known = {"target": "out", "source": "api", "project": "default", "run_id": "x", "version": 7, "changed": True}
    return Report(**{**known, "rows": ROWS, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_234_567, "1.2 MB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (999_999_999, "1.0 GB"),
        (5 * 10**12, "5000.0 GB"),
    ],
)
def test_a_size_is_told_in_the_unit_that_fits(count: int, text: str) -> None:
    assert formatting.format_bytes(count) == text


@pytest.mark.parametrize(
    ("count", "thing", "text"),
    [(0, "job", "0 jobs"), (1, "job", "1 job"), (1234, "event", "1,234 events"), (2, "anomaly", "2 anomalies")],
)
def test_things_are_counted_in_their_plural(count: int, thing: str, text: str) -> None:
    assert formatting.pluralize(count, thing) == text


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
                "ftetl: OK (0): out: nothing changed, version 7 stands: 1,234 jobs, 1 event, 0 anomalies",
            ),
            (
                {"anomalies": {"wrong_type": 2, "bad_time": 1}, "changed": False},
                "ftetl: OK (0): out: nothing changed, version 7 stands: 1,234 jobs, 1 event, 3 anomalies",
            ),
            (
                {"quarantined": 2, "exit_code": 3, "changed": False},
                "ftetl: PARTIAL (3): out: nothing changed, version 7 stands: 1,234 jobs, 1 event, 0 anomalies; "
                "2 newly in quarantine, see `ftetl quarantine`",
            ),
            (
                {"details": {"here": 5, "failed": 1}, "exit_code": 3, "changed": False},
                "ftetl: PARTIAL (3): out: nothing changed, version 7 stands: 1,234 jobs, 1 event, 0 anomalies; "
                "1 detail not to be had, the next run asks again",
            ),
        ],
    )
    def test_it_says_what_a_run_did(
        self, facts: dict[str, object], line: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output.summary(Voice(), report(**facts))

        assert capsys.readouterr() == ("", line + "\n")

    def test_the_folder_cannot_forge_another_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.summary(Voice(), report(target="out\nftetl: OK (0): "))

        assert capsys.readouterr().err.count("\n") == 1


class TestSummary:
    def test_off_a_terminal_it_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.summary(Voice(), report())

        assert capsys.readouterr() == ("", LINE + "\n")

    def test_warnings_and_unknown_keys_come_first_a_line_each(self, capsys: pytest.CaptureFixture[str]) -> None:
        unknown = {f"key{i}": i for i in range(1, 8)}
        output.summary(Voice(), report(warnings=("one", "two"), drift=Drift(unknown)))
        lines = capsys.readouterr().err.splitlines()

        assert lines[:2] == ["warning: one", "warning: two"]
        assert lines[2].endswith("key1 (1 job), key2 (2 jobs), key3 (3 jobs), key4 (4 jobs), key5 (5 jobs) and 2 more")
        assert lines[3:] == [LINE]

    def test_beside_json_it_is_the_same_on_stderr(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.summary(Voice(as_json=True), report())

        assert capsys.readouterr() == ("", LINE + "\n")

    def test_quiet_says_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.summary(Voice(quiet=True), report(warnings=("one",)))

        assert capsys.readouterr() == ("", "")


class TestFailure:
    ERROR = AccessError("H01", "the key was refused", next="check it")

    def test_it_is_one_line_however_quiet(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.failure(Voice(quiet=True), self.ERROR)

        assert capsys.readouterr() == ("", "ftetl: NOPERM (77) FTETL-H01: the key was refused; check it\n")

    def test_before_there_is_a_voice_it_is_told_all_the_same(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.failure(None, DataError("R07", "no"))

        assert capsys.readouterr() == ("", "ftetl: DATA (65) FTETL-R07: no\n")

    def test_as_json_it_says_the_same_to_machines(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.failure(Voice(as_json=True), self.ERROR)
        out, err = capsys.readouterr()

        assert json.loads(out) == {
            "exit_code": 77,
            "exit": "NOPERM",
            "code": "FTETL-H01",
            "committed": False,
            "retryable": False,
            "changed": False,
            "version": None,
            "message": "the key was refused; check it",
        }
        assert err == "ftetl: NOPERM (77) FTETL-H01: the key was refused; check it\n"

    def test_what_was_committed_before_the_end_is_said(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.ended(Voice(as_json=True), EXITS["OK"], None, "interrupted", version=3)
        document = json.loads(capsys.readouterr().out)

        assert (document["committed"], document["changed"], document["version"]) == (True, True, 3)

    def test_json_is_ascii_so_that_every_locale_can_have_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.ended(Voice(as_json=True), EXITS["DATA"], "FTETL-R07", "a\u202eb\udcff\x1b")
        out = capsys.readouterr().out

        assert out.isascii()
        assert json.loads(out)["message"] == "a\u202eb\udcff\x1b"


class TestLog:
    @pytest.mark.parametrize(
        ("voice", "levels"),
        [
            ({}, ["WARNING", "ERROR"]),
            ({"quiet": True}, ["ERROR"]),
            ({"verbose": 1}, ["INFO", "WARNING", "ERROR"]),
            ({"verbose": 2}, ["DEBUG", "INFO", "WARNING", "ERROR"]),
            ({"verbose": 5}, ["DEBUG", "INFO", "WARNING", "ERROR"]),
        ],
    )
    def test_a_voice_is_as_loud_as_it_was_asked_to_be(
        self, voice: dict[str, int], levels: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        Voice(**voice)  # type: ignore[arg-type]
        for level in ("DEBUG", "INFO", "WARNING", "ERROR"):
            logging.getLogger("ftetl.somewhere").log(getattr(logging, level), "said")

        assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == levels

    def test_a_line_has_its_moment_in_utc_and_no_control_characters(self, capsys: pytest.CaptureFixture[str]) -> None:
        Voice()
        logging.getLogger("ftetl.somewhere").warning("a\n\x1b[31m%s", "\u202e")

        said = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING ftetl\.somewhere a\\n\\x1b\[31m\\u202e\n"
        assert re.fullmatch(said, capsys.readouterr().err)


@pytest.mark.parametrize("folder", ["out", "a b/out", "it's", 'say "hi"', "$HOME", "back\\slash", "`date`", "!x"])
def test_the_next_steps_are_words_that_a_shell_gives_back(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    demo.next_steps(Voice(), Path(folder), ["b.parquet", "a.parquet"])
    lines = capsys.readouterr().out.splitlines()

    assert lines[0] == f"Written to {folder}/current: a.parquet, b.parquet"
    assert shlex.split(lines[-2]) == ["duckdb", "-c", demo.duckdb_query(Path(folder))]
    assert shlex.split(lines[-1]) == ["python", "-c", demo.pandas_line(Path(folder))]
