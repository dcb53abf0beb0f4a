"""The page of the command line names every command, option, default and exit code, and the README every table."""

from __future__ import annotations

import re

import pytest

from ftetl.cli.main import COMMANDS
from ftetl.contract import tables
from ftetl.errors import EXITS
from tests.docs.pages import EVERY_OPTION, README, text_of

PAGE = text_of("cli.md")
README_LINES = 150


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_described(name: str) -> None:
    assert re.search(rf"^\| `ftetl {name}\b", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", sorted({option.opts[-1] for option in EVERY_OPTION.values()}))
def test_every_option_is_described(name: str) -> None:
    assert re.search(rf"(?<![\w-]){name}(?![\w-])", PAGE)


def test_the_defaults_are_those_of_the_options() -> None:
    lines = [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in PAGE.splitlines() if line.startswith("| `--")]
    rows = {cells[0].strip("`").split()[0]: cells[1].strip("`") for cells in lines}
    names = {n for n, o in EVERY_OPTION.items() if n in rows and isinstance(o.default, str | int) and not o.is_flag}
    names -= {"--max-bytes", "--format"}  # given in words

    assert len(names) >= 8
    assert {name: rows[name] for name in names} == {name: str(EVERY_OPTION[name].default) for name in names}


def test_the_exit_codes_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (.+?) \| (yes|no) \| (yes|no) \|$", PAGE, re.MULTILINE)

    assert rows == [
        (str(e.code), e.name, e.meaning, "yes" if e.committed else "no", "yes" if e.retryable else "no")
        for e in EXITS.values()
    ]


def test_the_readme_describes_every_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", README.read_text("utf-8"), re.MULTILINE)

    assert {*tables()} <= {*rows}


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= README_LINES
