"""What the README and the messages say is so: commands, options, exit codes, and code that runs."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import duckdb
import pytest

from ftetl.cli.main import cli
from ftetl.contract import tables
from ftetl.errors import EXITS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PLACEHOLDERS = {"...", "TARGET", "TABLE"}


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def inline() -> list[str]:
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


SHELL = [block for page in PAGES for block in blocks("sh", page.read_text("utf-8"))]


def commands() -> Iterator[list[str]]:
    """Every call of ftetl in the README and the pages beside it, as words; what shells do with them aside."""
    for block in SHELL:
        for line in block.splitlines():
            for part in re.split(r"&&|\|\||[|;]", line):
                given = shlex.split(part, comments=True)
                if given[:1] == ["ftetl"]:
                    yield given
    for code in inline():
        if code.startswith("ftetl "):
            yield [word.strip("[]") for word in code.split()]


def options(command: click.Command) -> dict[str, click.Option]:
    return {name: o for o in command.params if isinstance(o, click.Option) for name in o.opts}


EVERY_OPTION = {name: option for command in cli.commands.values() for name, option in options(command).items()}
KNOWN_OPTIONS = {*EVERY_OPTION, "--help", "--version", "-h"}


def test_the_readme_calls_ftetl() -> None:
    """Else the test below would hold of nothing."""
    assert len({*map(tuple, commands())}) >= 5


@pytest.mark.parametrize("given", [*commands()], ids=" ".join)
def test_every_call_is_one_that_exists(given: list[str]) -> None:
    name, *rest = given[1:]

    if name in KNOWN_OPTIONS:
        return
    assert name in cli.commands
    assert {word.split("=")[0] for word in rest if word.startswith("-") and word != "-"} <= {
        *options(cli.commands[name]),
        "--help",
    }


@pytest.mark.parametrize("given", [c for b in SHELL for c in b.splitlines() if "ftetl " in c])
def test_every_call_in_a_block_can_be_parsed(given: str) -> None:
    for part in re.split(r"&&|\|", given):
        words = shlex.split(part, comments=True)
        if words[:1] == ["ftetl"]:
            cli.commands[words[1]].make_context(words[1], words[2:], parent=cli.make_context("ftetl", []))


@pytest.mark.parametrize("name", cli.commands)
def test_every_command_is_told(name: str) -> None:
    assert re.search(rf"`ftetl {name}\b", README)


@pytest.mark.parametrize("name", sorted({option.opts[-1] for option in EVERY_OPTION.values()}))
def test_every_option_is_told(name: str) -> None:
    assert re.search(rf"(?<![\w-]){name}(?![\w-])", README)


def test_every_option_that_is_told_exists() -> None:
    told = {name for code in inline() for name in re.findall(r"(?<![\w-])--[a-z][a-z-]+", code)}

    assert told <= KNOWN_OPTIONS


def test_the_defaults_of_the_options_are_those_that_are_told() -> None:
    lines = [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in README.splitlines() if line.startswith("| `--")]
    rows = {cells[0].strip("`").split()[0]: cells[1].strip("`") for cells in lines}
    names = {n for n, o in EVERY_OPTION.items() if n in rows and isinstance(o.default, str | int) and not o.is_flag}
    names -= {"--max-bytes", "--format"}  # told in words

    assert len(names) >= 8
    assert {name: rows[name] for name in names} == {name: str(EVERY_OPTION[name].default) for name in names}


def test_the_exit_codes_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (.+?) \| (yes|no) \| (yes|no) \|$", README, re.MULTILINE)

    assert rows == [
        (str(e.code), e.name, e.meaning, "yes" if e.committed else "no", "yes" if e.retryable else "no")
        for e in EXITS.values()
    ]


def test_every_table_is_told() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", README, re.MULTILINE)

    assert {*tables()} <= {*rows}


def test_every_link_leads_somewhere() -> None:
    found = [(page, link) for page in PAGES for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))]
    links = [page.parent / link for page, link in found if "://" not in link]

    assert links
    assert [link for link in links if not link.exists()] == []


def test_the_readme_leads_to_every_page() -> None:
    assert [page for page in PAGES[1:] if f"({page.relative_to(ROOT).as_posix()})" not in README] == []


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Somebody's folder in which the demo has run, and what it said."""
    folder = tmp_path_factory.mktemp("reader")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    given = [sys.executable, "-m", "ftetl", "demo"]
    done = subprocess.run(given, cwd=folder, env=env, capture_output=True, text=True, check=True)
    return folder, done.stderr + done.stdout


def test_what_the_demo_says_is_what_it_says(reader: tuple[Path, str]) -> None:
    for line in blocks("text")[0].splitlines():
        assert line in reader[1].splitlines()


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_the_python_runs(reader: tuple[Path, str], number: int) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    given = [sys.executable, "-W", "error", "-c", blocks("python")[number]]
    done = subprocess.run(given, cwd=reader[0], env=env, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("number", range(len(blocks("sql"))))
def test_the_sql_runs(reader: tuple[Path, str], number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(reader[0])

    assert duckdb.sql(blocks("sql")[number]).fetchall()


def test_there_is_python_and_sql_to_run() -> None:
    assert blocks("python")
    assert blocks("sql")


def texts(path: Path) -> Iterator[str]:
    """The texts in a module that are no docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    with_docs = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {id(n.body[0].value) for n in ast.walk(tree) if isinstance(n, with_docs) and isinstance(n.body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


MODULES = [
    path
    for path in sorted((ROOT / "ftetl").rglob("*.py"))
    if path.name not in ("main.py", "exit_handling.py", "options.py")
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT / "ftetl").as_posix())
def test_a_message_advises_only_what_exists(path: Path) -> None:
    for text in texts(path):
        assert {*re.findall(r"`ftetl (\w+)", text)} <= {*cli.commands}
        assert {*re.findall(r"(?<![\w-])--[a-z][a-z-]+(?![\w-])", text)} <= KNOWN_OPTIONS
