"""The contract with the shell: exit codes, one document or one line, nothing else, and never a traceback."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ftetl
from ftetl import demo
from ftetl.contract import tables
from ftetl.errors import EXITS
from tests.cli.program import (
    DAY,
    PATIENCE,
    SAMPLE,
    Ended,
    Here,
    ended,
    environment,
    on_a_terminal,
    run,
    sample,
    settings_of,
    words,
)


class TestJson:
    SUMMARY = frozenset({"code", "exit_code", "exit", "committed", "retryable", "changed", "version"})

    def test_a_run_is_one_document_and_the_talk_stays_on_stderr(self, target: Path) -> None:
        done = run("export", target, "--from", SAMPLE, "--observed-at", DAY, "--json")

        assert done.document.keys() >= self.SUMMARY | {"rows", "drift", "anomalies", "files", "warnings", "run_id"}
        assert {key: done.document[key] for key in sorted(self.SUMMARY)} == {
            "changed": False,
            "code": None,
            "committed": True,
            "exit": "OK",
            "exit_code": 0,
            "retryable": False,
            "version": 1,
        }
        assert done.last.startswith("ftetl: OK (0): ")

    @pytest.mark.parametrize(
        ("given", "code"),
        [
            (["export", "out", "--from", "nowhere.json"], 65),
            (["export", "out"], 78),
            (["export", "out", "--frobnicate"], 2),
            (["export"], 2),
            (["export", "out", "--observed-at", "yesterday"], 2),
            (["verify", "out"], 73),
            (["quarantine", "out"], 73),
            (["rebuild", "out"], 73),
            (["runs", "out"], 73),
            (["schema", "nothing"], 2),
        ],
    )
    def test_a_failure_is_one_document_too(self, tmp_path: Path, given: list[str], code: int, here: Here) -> None:
        done = here(*given, "--json", cwd=tmp_path)

        assert done.code == done.document["exit_code"] == code
        assert done.document.keys() == self.SUMMARY | {"message"}
        assert not done.document["committed"]
        assert not done.document["changed"]
        assert done.last.endswith(done.document["message"])

    def test_the_demo_prints_its_document_only(self, tmp_path: Path, here: Here) -> None:
        done = here("demo", tmp_path / "t", "--json", "--events", "list")

        assert done.document["exit"] == "OK"

    def test_the_other_commands_print_their_documents(self, exported: Path, here: Here) -> None:
        assert here("verify", exported, "--json").document["sound"] is True
        assert here("quarantine", exported, "--json").document == {"total": 0, "by_rule": {}, "rows": []}
        assert here("schema", "--json").document.keys() == {*tables()}
        assert here("runs", exported, "--json").document.keys() == {"runs", "damaged"}

    def test_a_rebuild_prints_its_document(self, target: Path, here: Here) -> None:
        done = here("rebuild", target, "--json")

        assert done.document.keys() >= self.SUMMARY | {"rebuilt", "rows", "warnings", "run_id"}
        assert (done.document["rebuilt"], done.document["version"], done.document["changed"]) == (1, 1, False)


class TestQuiet:
    def test_success_is_silent(self, target: Path, tmp_path: Path, here: Here) -> None:
        for given in (
            ["export", target, "--from", SAMPLE, "--observed-at", DAY],
            ["demo", tmp_path / "demo", "--events", "list"],
            ["verify", target],
            ["rebuild", target],
        ):
            done = here(*given, "-q")
            assert (done.code, done.out, done.err) == (0, "", "")

    def test_failure_is_one_line(self, tmp_path: Path, here: Here) -> None:
        done = here("export", tmp_path / "out", "--from", tmp_path / "nowhere.json", "-q")

        assert (done.code, done.out, done.err.count("\n")) == (65, "", 1)

    def test_what_is_partial_is_silent_and_in_the_code(self, tmp_path: Path, odd: Path) -> None:
        done = subprocess.run(words("export", tmp_path / "t", "--from", odd, "-q"), env=environment(), check=False)

        assert done.returncode == 3


@pytest.mark.parametrize("level", ["-v", "-vv"])
def test_verbose_says_more_in_few_lines_and_the_same_last_one(target: Path, level: str, here: Here) -> None:
    done = here("export", target, "--from", SAMPLE, "--observed-at", DAY, "--billing-account", "org", level)

    assert done.code == 0
    assert done.last.startswith("ftetl: OK (0): ")
    assert len(done.err.splitlines()) <= 40
    stamped = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO |WARNING) ftetl\.[\w.]+ ")
    assert all(
        stamped.match(line) or line.startswith(("ftetl: ", "note: ", "warning: ")) for line in done.err.splitlines()
    )


def _file(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    (folder / name).chmod(0o600)
    return folder / name


# What somebody does wrong: the words (in a folder of their own), the code, and what the last line must name.
MISTAKES: dict[str, tuple[Callable[[Path], list[object]], str, str]] = {
    "no key": (lambda _: ["export", "out"], "P07", "TOGETHER_API_KEY"),
    "a key file that is missing": (lambda _: ["export", "out", "--api-key-file", "key"], "P08", "--api-key-file"),
    "a key file that is empty": (
        lambda f: ["export", "out", "--api-key-file", _file(f, "key", b"\n")],
        "P07",
        "--api-key-file",
    ),
    "a key file with two lines": (
        lambda f: ["export", "out", "--api-key-file", _file(f, "key", b"key_01234567\nkey_89abcdef\n")],
        "X04",
        "--api-key-file",
    ),
    "the address of the inference": (
        lambda _: ["export", "out", "--base-url", "https://api-inference.together.ai/v1"],
        "X06",
        "inference",
    ),
    "an address without encryption": (lambda _: ["export", "out", "--base-url", "http://example.com"], "X06", "https"),
    "a missing file": (lambda _: ["export", "out", "--from", "nowhere.json"], "F01", "nowhere.json"),
    "a file of another kind": (lambda f: ["export", "out", "--from", _file(f, "a.txt", b"x")], "F03", "a.txt"),
    "an empty file": (lambda f: ["export", "out", "--from", _file(f, "a.json", b"")], "R02", "a.json"),
    "a truncated file": (
        lambda f: ["export", "out", "--from", _file(f, "a.json", sample()[:-200])],
        "H19",
        "a.json",
    ),
    "a truncated gzip": (
        lambda f: ["export", "out", "--from", _file(f, "a.json.gz", gzip.compress(sample())[:-9])],
        "F09",
        "a.json.gz",
    ),
    "no JSON at all": (lambda f: ["export", "out", "--from", _file(f, "a.json", b"hello")], "R06", "a.json"),
    "a file without data": (lambda f: ["export", "out", "--from", _file(f, "a.json", b'{"a":1}')], "R07", "a.json"),
    "an empty folder": (lambda f: ["export", "out", "--from", f], "F07", "no saved response"),
    "nothing on stdin": (lambda _: ["export", "out", "--from", "-"], "R02", "stdin"),
    "a target that is a file": (lambda f: ["export", _file(f, "out", b""), "--from", SAMPLE], "S18", "out"),
    "a target in a file": (lambda f: ["export", _file(f, "x", b"") / "out", "--from", SAMPLE], "S18", "x"),
    "somebody else's folder": (
        lambda f: ["export", _file(f, "mine.txt", b"").parent, "--from", SAMPLE],
        "S16",
        "not empty and not a target",
    ),
    "an unknown command": (lambda _: ["exprot", "out"], "P01", "Did you mean 'export'?"),
    "no command": (lambda _: [], "P01", "ftetl demo"),
    "an unknown option": (lambda _: ["export", "out", "--formats", "csv"], "P01", "--format"),
    "a key on the command line": (lambda _: ["export", "out", "--api-key", "key_01234567"], "X03", "--api-key-file"),
    "a source in a file": (lambda f: ["export", "out", "--from", _file(f, "x", b"") / "y.json"], "F01", "y.json"),
    "a compressed file that is too large": (
        lambda f: [
            "export",
            "out",
            "--max-bytes",
            "9",
            "--from",
            _file(f, "a.json.gz", gzip.compress(sample())),
        ],
        "H23",
        "--max-bytes",
    ),
    "UTF-16": (lambda f: ["export", "out", "--from", _file(f, "a.json", "{}".encode("utf-16"))], "R04", "a.json"),
    "data that is no list": (
        lambda f: ["export", "out", "--from", _file(f, "a.json", b'{"data":{}}')],
        "R09",
        "a.json",
    ),
    "two lists": (
        lambda f: ["export", "out", "--from", _file(f, "a.json", b'{"data":[],"data":[]}')],
        "R13",
        "a.json",
    ),
    "text after the list": (lambda f: ["export", "out", "--from", _file(f, "a.json", b"[] x")], "R06", "part 2"),
    "a broken end": (lambda f: ["export", "out", "--from", _file(f, "a.json", b'{"data":[]]')], "E01", "a.json"),
    "lines without a job": (
        lambda f: ["export", "out", "--from", _file(f, "a.ndjson", b"1\n2\n")],
        "E03",
        "a.ndjson",
    ),
    "a saved page": (lambda f: ["export", "out", "--from", _file(f, "a.json", b"<html>")], "H32", "web page"),
    "too few snapshots to keep": (lambda _: ["export", "out", "--keep", "1"], "P02", "keep"),
    "no target": (lambda _: ["export"], "P01", "TARGET"),
    "a target without a name": (lambda _: ["export", "", "--from", SAMPLE], "P01", "'TARGET': the name is empty"),
    "a source without a name": (lambda _: ["export", "out", "--from", ""], "P01", "'--from': the name is empty"),
    "a time that is none": (lambda _: ["export", "out", "--observed-at", "gestern"], "P02", "2026-07-02T08:10:14Z"),
    "a mode that is none": (lambda _: ["export", "out", "--file-mode", "rw"], "P01", "0640"),
    "a mode for everybody": (lambda _: ["export", "out", "--file-mode", "0666"], "P01", "0640"),
    "no patience at all": (lambda _: ["export", "out", "--deadline", "0"], "P02", "deadline"),
    "endless patience": (lambda _: ["export", "out", "--deadline", "inf"], "P01", "--deadline"),
    "a label that is none": (lambda _: ["export", "out", "--project", "a\u202eb"], "P02", "label"),
    "an unknown table": (lambda _: ["schema", "job"], "P04", "did you mean jobs?"),
    "nothing to verify": (lambda _: ["verify", "out"], "T01", "no snapshot"),
    "no quarantine": (lambda _: ["quarantine", "out"], "T01", "no snapshot"),
    "nothing to rebuild": (lambda _: ["rebuild", "out"], "T02", "not a target"),
    "somebody else's folder to rebuild": (
        lambda f: ["rebuild", _file(f, "mine.txt", b"").parent],
        "T02",
        "not a target",
    ),
    "no runs": (lambda _: ["runs", "out"], "T02", "not a target"),
    "metrics without a name": (
        lambda _: ["export", "out", "--from", SAMPLE, "--metrics-file", ""],
        "P01",
        "'--metrics-file': the name is empty",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_ends_with_its_code_and_one_line_that_helps(tmp_path: Path, case: str, here: Here) -> None:
    make, fault, said = MISTAKES[case]
    before = {*tmp_path.iterdir()}
    given = make(tmp_path)
    given_files = {*tmp_path.iterdir()} - before
    done = here(*given, cwd=tmp_path)

    assert done.fault == fault
    assert said in done.last
    if given:
        assert (done.out, done.err.count("\n")) == ("", 1)
    assert not (tmp_path / "out" / "current").exists()
    assert all(path.exists() for path in given_files)


def with_stdout(stream: int, *given: object) -> Ended:
    done = subprocess.run(
        words(*given), stdout=stream, stderr=subprocess.PIPE, env=environment(), timeout=PATIENCE, check=False
    )
    return ended(done.returncode, "", done.stderr.decode())


class TestOutput:
    @pytest.mark.parametrize("given", [["schema"], ["schema", "--json"], ["--help"], ["export", "--help"], []])
    def test_nobody_reads_it(self, given: list[str]) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = with_stdout(writer, *given)
        finally:
            os.close(writer)

        assert done.code == (0 if given else 2)
        assert done.err.count("\n") == (0 if given else 1)

    def test_a_run_that_nobody_listens_to_has_committed_all_the_same(self, tmp_path: Path, odd: Path) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = with_stdout(writer, "export", tmp_path / "t", "--from", odd, "--json")
        finally:
            os.close(writer)

        assert done.code == 3
        assert ftetl.open(tmp_path / "t").version == 1

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    @pytest.mark.parametrize("given", [["schema"], ["schema", "--json"]])
    def test_it_cannot_be_written(self, given: list[str]) -> None:
        with Path("/dev/full").open("wb") as full:
            done = with_stdout(full.fileno(), *given)

        assert (done.code, done.fault) == (74, "P11")

    @pytest.mark.parametrize(("closed", "code"), [("1", 0), ("2", 0), ("0", 0)])
    def test_a_stream_is_closed(self, target: Path, closed: str, code: int) -> None:
        shell = ["sh", "-c", f'exec "$@" {closed}>&-', "sh"]
        given = words("export", target, "--from", SAMPLE, "--observed-at", DAY)
        done = subprocess.run([*shell, *given], env=environment(), capture_output=True, timeout=PATIENCE, check=False)

        assert ended(done.returncode, done.stdout.decode(), done.stderr.decode()).code == code

    @pytest.mark.parametrize("locale", ["C", "POSIX"])
    def test_a_poor_locale_is_enough(self, tmp_path: Path, locale: str) -> None:
        env = {"LC_ALL": locale, "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
        target = tmp_path / "zi\u00eble"
        assert run("schema", env=env).code == 0
        assert run("export", target, "--from", SAMPLE, "--json", env=env).code == 0
        assert run("verify", target, env=env).code == 0


class TestOutside:
    """Text from outside moves no terminal."""

    RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

    @pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\nftetl: OK (0): b", "a\u202eb", "a\rb", "a\x9bb"])
    def test_names_of_files_are_escaped(self, tmp_path: Path, name: str, here: Here) -> None:
        missing = here("export", tmp_path / name, "--from", tmp_path / f"{name}.json")
        written = here("export", tmp_path / name, "--from", SAMPLE, "--project", "p")

        assert (missing.code, written.code) == (65, 0)
        for done in (missing, written):
            assert done.err.count("\n") == 1
            assert not self.RAW.search(done.err)

    def test_names_that_are_no_unicode_are_escaped(self, tmp_path: Path, here: Here) -> None:
        if sys.platform == "darwin":
            pytest.skip("such names cannot be made there")
        done = here("export", os.fsdecode(bytes(tmp_path) + b"/a\xffb"), "--from", SAMPLE, "--json")

        assert done.code == 0
        assert done.document["target"].endswith("a\udcffb")
        assert "a\\udcffb" in done.last

    def test_keys_of_an_answer_are_escaped(self, tmp_path: Path, here: Here) -> None:
        job = {"id": "ft-1", "status": "pending", "ev\x1b[31mil\u202e\nftetl: OK (0): ": 1}
        file = tmp_path / "a.json"
        file.write_text(json.dumps({"data": [job]}), "utf-8")
        done = here("export", tmp_path / "t", "--from", file)

        assert done.code == 0
        assert "ev\\x1b[31mil\\u202e\\nftetl" in done.err
        assert done.err.count("\n") == 2
        assert not self.RAW.search(done.err)

    def test_ids_of_an_answer_are_escaped_or_not_said(self, tmp_path: Path, here: Here) -> None:
        file = tmp_path / "a.json"
        file.write_text(json.dumps({"data": [{"id": "ft-\x1b[2J\u202e"}, {"id": "ft-1"}]}), "utf-8")
        done = here("export", tmp_path / "t", "--from", file)
        told = here("quarantine", tmp_path / "t")

        assert done.code == 3
        assert "bad_id" in told.out
        assert not self.RAW.search(done.err + told.out + told.err)


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("ftetl sh", ["show"]),
        ("ftetl export --form", ["--format"]),
        ("ftetl export t --format c", ["csv"]),
        ("ftetl schema j", ["jobs", "job_history"]),
        ("ftetl show t foc", ["focus_costs"]),
    ],
)
def test_the_shell_completes_commands_options_and_words(line: str, completed: list[str]) -> None:
    env = {"_FTETL_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    done = run(env=env)

    assert done.code == 0
    assert sorted(done.out.split()) == sorted(f"plain,{word}" for word in completed)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_page_says_how_each_shell_is_made_to_complete(shell: str, root: Path) -> None:
    done = run(env={"_FTETL_COMPLETE": f"{shell}_source"})

    assert done.code == 0
    assert f"_FTETL_COMPLETE={shell}_complete" in done.out
    assert f"_FTETL_COMPLETE={shell}_source ftetl" in (root / "docs" / "cli.md").read_text("utf-8")


class TestTerminal:
    def test_there_are_a_bar_and_a_table_and_the_bar_is_gone_at_the_end(self, api: demo.Server, tmp_path: Path) -> None:
        code, seen = on_a_terminal("export", tmp_path / "t", env=settings_of(api))
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)

        assert code == 0
        assert "━" in seen
        assert re.search(r"receiving +[-\\|/] ", plain)  # its length is not known
        for phase in ("details", "jobs"):
            assert re.search(rf"{phase} +━+", plain)
        assert re.search(r"table +rows +Parquet", plain)
        assert re.search(rf"jobs +{len(api.jobs)} +\d+\.\d kB", plain)
        assert "━" not in plain[plain.index("Parquet") :]
        assert plain.rstrip().splitlines()[-1].startswith("ftetl: OK (0): ")

    @pytest.mark.parametrize("level", ["-q", "-v"])
    def test_there_is_no_bar_where_it_would_be_in_the_way(self, api: demo.Server, tmp_path: Path, level: str) -> None:
        code, seen = on_a_terminal("export", tmp_path / "t", level, env=settings_of(api))

        assert code == 0
        assert "━" not in seen
        if level == "-q":
            assert seen == ""

    def test_in_a_pipe_there_is_neither(self, api: demo.Server, tmp_path: Path) -> None:
        done = run("export", tmp_path / "t", env=settings_of(api))

        assert "\x1b" not in done.err
        assert "━" not in done.err
        assert "Parquet" not in done.err


class TestHelp:
    def test_the_exit_codes_are_those_of_the_table(self, here: Here) -> None:
        told = dict(re.findall(r"^ +(\d+) {2}(.*)$", here("--help").out, re.MULTILINE))

        assert told == {str(e.code): e.meaning + (" (try again)" if e.retryable else "") for e in EXITS.values()}

    def test_it_is_asked_for_in_two_ways(self, here: Here) -> None:
        assert here("-h").out == here("--help").out
        assert here("export", "-h").out.startswith("Usage: ftetl export [OPTIONS] TARGET")

    def test_without_a_command_it_is_the_help(self, here: Here) -> None:
        assert here().out == here("--help").out

    def test_it_fits_a_terminal_of_80_columns(self, here: Here) -> None:
        for command in ([], ["demo"], ["export"], ["schema"], ["verify"], ["quarantine"], ["rebuild"], ["runs"]):
            assert max(map(len, here(*command, "--help").out.splitlines())) <= 80

    def test_the_version_is_the_packages(self, here: Here) -> None:
        assert here("--version").out == f"ftetl, version {ftetl.__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["export", "out", "--from", "s3://b/x"],
        ["export", "out", "--from", SAMPLE, "--publish", "gs://b/x"],
        ["export", "out", "--from", SAMPLE, "--metrics-file", "s3://b/x"],
        ["export", "out", "--api-key-file", "s3://b/x"],
        ["demo", "s3://b/x"],
        ["doctor", "s3://bucket/x"],
        *([command, "ftp://b/x"] for command in ("export", "quarantine", "rebuild", "report", "runs", "verify")),
        ["report", "out", "-o", "s3://b/x"],
    ],
    ids=lambda words: " ".join(map(str, words[:2])),
)
def test_every_command_refuses_it_and_makes_nothing(here: Here, tmp_path: Path, words: list[object]) -> None:
    done = here(*words, "--json", cwd=tmp_path)

    assert (done.code, done.fault, done.document["code"]) == (78, "P15", "FTETL-P15")
    assert [*tmp_path.iterdir()] == []
