"""What the command line prints: one line, for people or as JSON, and nothing that could move a terminal."""

from __future__ import annotations

import json
import logging
import re

import pytest

from ftetl import formatting
from ftetl.cli import output
from ftetl.cli.output import Output
from ftetl.errors import EXITS, AccessError, DataError, FtetlError


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
def test_a_size_is_formatted_in_the_unit_that_fits(count: int, text: str) -> None:
    assert formatting.format_bytes(count) == text


@pytest.mark.parametrize(
    ("count", "thing", "text"),
    [(0, "job", "0 jobs"), (1, "job", "1 job"), (1234, "event", "1,234 events"), (2, "anomaly", "2 anomalies")],
)
def test_things_are_counted_in_their_plural(count: int, thing: str, text: str) -> None:
    assert formatting.pluralize(count, thing) == text


def failure(voice: Output | None, error: FtetlError) -> None:
    output.failure(voice, error.exit, error.code, str(error))


class TestFailure:
    ERROR = AccessError("H01", "the key was refused", next="check it")

    def test_it_is_one_line_however_quiet(self, capsys: pytest.CaptureFixture[str]) -> None:
        failure(Output(quiet=True), self.ERROR)

        assert capsys.readouterr() == ("", "ftetl: NOPERM (77) FTETL-H01: the key was refused; check it\n")

    def test_before_the_options_are_known_it_is_printed_all_the_same(self, capsys: pytest.CaptureFixture[str]) -> None:
        failure(None, DataError("R07", "no"))

        assert capsys.readouterr() == ("", "ftetl: DATA (65) FTETL-R07: no\n")

    def test_as_json_it_is_a_document_with_the_same_message(self, capsys: pytest.CaptureFixture[str]) -> None:
        failure(Output(as_json=True), self.ERROR)
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
        output.failure(Output(as_json=True), EXITS["OK"], None, "interrupted", version=3)
        document = json.loads(capsys.readouterr().out)

        assert (document["committed"], document["changed"], document["version"]) == (True, True, 3)

    def test_json_is_ascii_so_that_every_locale_can_have_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        output.failure(Output(as_json=True), EXITS["DATA"], "FTETL-R07", "a\u202eb\udcff\x1b")
        out = capsys.readouterr().out

        assert out.isascii()
        assert json.loads(out)["message"] == "a\u202eb\udcff\x1b"


def test_a_result_is_escaped_and_what_is_printed_unescaped_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    Output().result("a\n\u202eb")
    output.print_unescaped("a\n\u202eb")

    assert capsys.readouterr().out == "a\\n\\u202eb\na\n\u202eb\n"


class TestLog:
    @pytest.mark.parametrize(
        ("options", "levels"),
        [
            ({}, ["WARNING", "ERROR"]),
            ({"quiet": True}, ["ERROR"]),
            ({"verbose": 1}, ["INFO", "WARNING", "ERROR"]),
            ({"verbose": 2}, ["DEBUG", "INFO", "WARNING", "ERROR"]),
            ({"verbose": 5}, ["DEBUG", "INFO", "WARNING", "ERROR"]),
        ],
    )
    def test_it_logs_from_the_level_that_was_asked_for(
        self, options: dict[str, int], levels: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        Output(**options)  # type: ignore[arg-type]
        for level in ("DEBUG", "INFO", "WARNING", "ERROR"):
            logging.getLogger("ftetl.somewhere").log(getattr(logging, level), "said")

        assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == levels

    def test_a_line_has_its_moment_in_utc_and_no_control_characters(self, capsys: pytest.CaptureFixture[str]) -> None:
        Output()
        logging.getLogger("ftetl.somewhere").warning("a\n\x1b[31m%s", "\u202e")

        said = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING ftetl\.somewhere a\\n\\x1b\[31m\\u202e\n"
        assert re.fullmatch(said, capsys.readouterr().err)
