"""A line is one line, whatever stands in it, and the JSON form says what the text form says."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ftetl import demo
from ftetl.cli import log_format, output
from ftetl.cli.main import cli
from ftetl.cli.output import Voice
from ftetl.errors import AccessError
from tests.demo.generator import generate_jobs


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, naïve, 日本, 🙂", "plain, naïve, 日本, 🙂"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("a\nftetl: OK (0): fine", "a\\nftetl: OK (0): fine"),
        ("a\r\tb\x00\x7f\x9b", "a\\r\\tb\\x00\\x7f\\x9b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2066\u2069\u200b\ufeff", "\\u2066\\u2069\\u200b\\ufeff"),
        ("\U000e0041", "\\U000e0041"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_could_move_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert log_format.escape_unprintable(text) == shown


@given(text=st.text())
def test_no_text_makes_a_second_line(text: str) -> None:
    record = logging.LogRecord("ftetl.x", logging.INFO, "", 0, "%s", (text,), None)

    for form in (log_format.Lines("%(asctime)s %(message)s"), log_format.JsonLines()):
        assert len(form.format(record).splitlines()) == 1
    assert json.loads(log_format.JsonLines().format(record))["message"] == text


def test_counts_become_keys_and_never_replace_the_known_ones() -> None:
    message = "scanned elements=20 seconds=0.25 changed=True level=7 message=no a=b=c x= =1 1=2"
    record = logging.LogRecord("ftetl.x", logging.INFO, "", 0, message, (), None)

    found = json.loads(log_format.JsonLines().format(record))

    assert (found["event"], found["level"], found["message"]) == ("scanned", "INFO", message)
    assert (found["elements"], found["seconds"], found["changed"], found["a"]) == (20, 0.25, True, "b=c")


WORDS: dict[str, list[str]] = {
    "a run": ["export", "TARGET", "-v"],
    "a run that is quiet": ["export", "TARGET", "-q"],
    "a run that says most": ["export", "TARGET", "-vv"],
    "a run that fails": ["export", "TARGET", "--api-key-file", "nowhere"],
    "a look before": ["doctor", "TARGET"],
}


@pytest.mark.parametrize("name", WORDS)
def test_with_json_every_line_on_stderr_is_a_document(tmp_path: Path, name: str) -> None:
    with demo.serve(generate_jobs(count=20)) as server:
        words = [w.replace("TARGET", str(tmp_path / "t")) for w in WORDS[name]]
        environ = {"TOGETHER_API_KEY": server.key, "TOGETHER_BASE_URL": server.url}
        result = CliRunner().invoke(cli, [*words, "--log-format", "json"], env=environ)

    found = [json.loads(line) for line in result.stderr.splitlines()]

    assert len(found) <= 40
    for line in found:
        assert {"ts", "level", "logger", "event", "message", "pid"} <= line.keys()
        assert line["level"] in ("DEBUG", "INFO", "WARNING", "ERROR")
    if "-q" not in words and result.exception is None:
        assert (found[-1]["event"], found[-1]["exit_code"], found[-1]["code"]) == ("run_done", 0, None)


def test_with_json_the_last_line_of_a_failure_has_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    output.failure(Voice(log_format="json"), AccessError("H01", "the key was refused"))

    found = json.loads(capsys.readouterr().err)
    assert (found["event"], found["level"], found["code"]) == ("run_done", "ERROR", "FTETL-H01")


@pytest.mark.parametrize(
    ("text", "level", "message"),
    [
        ("warning: a: b", "WARNING", "a: b"),
        ("note: a: b", "INFO", "a: b"),
        ("folder: x has no runs yet", "INFO", "folder: x has no runs yet"),
    ],
)
def test_what_is_said_loses_its_first_word_only_where_the_level_tells_it(
    text: str, level: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Voice(log_format="json").say(text)

    found = json.loads(capsys.readouterr().err)
    assert (found["level"], found["message"]) == (level, message)
