"""The data dictionary is complete, is what lies in the repository, and is what `ftetl schema` prints."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ftetl.cli.main import cli
from ftetl.contract import Column, Table, arrow_schema, markdown, tables
from ftetl.contract.validation import READERS, TYPES

EVERY_COLUMN = [pytest.param(t, c, id=f"{t.name}.{c.name}") for t in tables().values() for c in t.columns]


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["schema", *words])


def test_the_page_in_the_repository_is_up_to_date(root: Path) -> None:
    """If not: python -m ftetl.contract.markdown > schemas/README.md"""
    assert (root / "schemas" / "README.md").read_text("utf-8") == markdown.page()


def test_the_module_writes_the_page(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ftetl.contract.markdown"], cwd=root, capture_output=True, check=True, encoding="utf-8"
    )

    assert done.stdout == markdown.page()
    assert "python -m ftetl.contract.markdown > schemas/README.md" in done.stdout


def test_the_page_says_arrows_word_for_every_type() -> None:
    page = markdown.page()

    assert arrow_schema.TYPES.keys() == {*TYPES}
    for kind, arrow in arrow_schema.TYPES.items():
        if kind != str(arrow):
            assert f"`{kind}` is `{arrow}`" in " ".join(page.split())


@pytest.mark.parametrize(("table", "column"), EVERY_COLUMN)
def test_every_column_has_a_row_that_tells_all_of_it(table: Table, column: Column) -> None:
    rows = [line for line in markdown.section(table).splitlines() if line.startswith(f"| `{column.name}` |")]

    assert len(rows) == 1
    _, kind, meaning, origin = rows[0].strip("| ").split(" | ")
    assert kind.startswith(column.type)
    assert (column.unit or "") in kind
    assert ("not null" in kind) == column.required
    assert meaning.startswith(column.description)
    assert all(f"`{word}`" in meaning for word in column.enum)
    assert all(f"`{source}`" in origin for source in column.sources)
    assert all(f"`{value}`" in origin for value in column.values)
    assert ("personal" in kind) == column.pii
    assert ("detail only" in origin) == (column.detail and bool(column.sources))


def test_every_reader_can_be_told() -> None:
    used = {column.read for table in tables().values() for column in table.columns}

    assert used == READERS.keys()


def test_everything_ignored_stands_there_with_its_reason() -> None:
    for table in tables().values():
        for path, reason in table.ignore.items():
            assert f"`{path}` ({reason})" in markdown.section(table)


@pytest.fixture
def _own_logging() -> Iterator[None]:
    """A command sets up logging for its process, which here is everybody's."""
    logger = logging.getLogger("ftetl")
    before = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


@pytest.mark.usefixtures("_own_logging")
class TestSchema:
    def test_it_prints_all_tables(self) -> None:
        done = run()

        assert done.exit_code == 0
        assert done.stdout.strip() == markdown.page()[markdown.page().index("## ") :].strip()

    @pytest.mark.parametrize("name", tables())
    def test_it_prints_one_table(self, name: str) -> None:
        assert run(name).stdout.strip() == markdown.section(tables()[name]).strip()

    def test_as_json_it_says_all_that_the_contract_says(self) -> None:
        document = json.loads(run("--json").stdout)

        assert list(document) == list(tables())
        for name, table in tables().items():
            assert [column["name"] for column in document[name]["columns"]] == list(table.names)
            assert document[name]["key"] == list(table.key)
            for told, column in zip(document[name]["columns"], table.columns, strict=True):
                assert told["from"] == [str(source) for source in column.sources]
                assert told["enum"] == list(column.enum)
                assert told["values"] == list(column.values)
                assert told["spellings"] == column.spellings
                assert told["references"] == (".".join(column.references) if column.references else None)
                for word in (
                    "type",
                    "required",
                    "unit",
                    "read",
                    "open",
                    "minimum",
                    "pattern",
                    "detail",
                    "pii",
                    "description",
                ):
                    assert told[word] == getattr(column, word)

    def test_of_one_table_as_json_it_says_that_one(self) -> None:
        assert json.loads(run("events", "--json").stdout).keys() == {"events"}

    def test_quiet_does_not_keep_back_what_was_asked_for(self) -> None:
        assert run("-q").stdout == run().stdout
