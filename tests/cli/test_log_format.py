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
from ftetl.cli.output import Output
from ftetl.contract import tables
from ftetl.errors import EXITS
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

    for form in (log_format.TextLines("%(asctime)s %(message)s"), log_format.JsonLines()):
        assert len(form.format(record).splitlines()) == 1
    assert json.loads(log_format.JsonLines().format(record))["message"] == text


def test_fields_become_keys_and_never_replace_the_standard_ones() -> None:
    fields = {"elements": 20, "seconds": 0.25, "changed": True, "a": "b=c", "level": 7, "message": "no"}
    message = "scanned elements=20 other=1"
    record = logging.LogRecord("ftetl.x", logging.INFO, "", 0, message, (), None)
    record.fields = fields

    line = json.loads(log_format.JsonLines().format(record))

    assert (line["event"], line["level"], line["message"]) == ("scanned", "INFO", message)
    assert (line["elements"], line["seconds"], line["changed"], line["a"]) == (20, 0.25, True, "b=c")
    assert "other" not in line  # text is not searched for fields


STEPS = {
    "received": {"answers", "bytes"},
    "scanned": {"elements", "details"},
    "written": {*tables()},
    "checked": set[str](),
    "committed": {"changed", "version", "seconds"},
}


def test_the_steps_of_a_run_have_the_same_fields_in_text_and_in_json(tmp_path: Path) -> None:
    with demo.serve(generate_jobs(count=3)) as server:
        environ = {"TOGETHER_API_KEY": server.key, "TOGETHER_BASE_URL": server.url}
        words = ["export", str(tmp_path / "t"), "-v", "--log-format", "json"]
        result = CliRunner().invoke(cli, words, env=environ)

    lines = [json.loads(line) for line in result.stderr.splitlines()]
    steps = {line["event"]: line for line in lines if line["logger"] == "ftetl.pipeline.run"}
    assert {event: {*step} - STANDARD for event, step in steps.items()} == STEPS
    for event, step in steps.items():
        for name in STEPS[event]:
            value = f"{step[name]:.3f}" if isinstance(step[name], float) else step[name]
            assert f" {name}={value}" in step["message"]


STANDARD = {"ts", "level", "logger", "event", "message", "pid"}
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
        assert line.keys() >= STANDARD
        assert line["level"] in ("DEBUG", "INFO", "WARNING", "ERROR")
    if "-q" not in words and result.exception is None:
        assert (found[-1]["event"], found[-1]["exit_code"], found[-1]["code"]) == ("run_done", 0, None)


def test_with_json_the_last_line_of_a_failure_has_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    output.failure(Output(log_format="json"), EXITS["NOPERM"], "FTETL-H01", "the key was refused")

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
def test_a_message_loses_its_first_word_only_where_the_level_says_it(
    text: str, level: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Output(log_format="json").info(text)

    found = json.loads(capsys.readouterr().err)
    assert (found["level"], found["message"]) == (level, message)
