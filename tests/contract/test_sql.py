"""The SQL makes the tables in real databases, which then take the CSV files, all of them and exactly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

import ftetl
from ftetl.cli.main import cli
from ftetl.contract import Column, Table, foreign_keys, tables
from ftetl.contract import sql as contract_sql
from ftetl.snapshot.snapshot import Snapshot
from tests.postgres import Database, RefusedError

Ask = Callable[[str], list[tuple[str | None, ...]]]  # what an SQL text answers, every cell as text


@pytest.fixture
def in_postgres(postgres_database: Database) -> Ask:
    return postgres_database.ask


@pytest.fixture
def in_duckdb() -> Iterator[Ask]:
    with duckdb.connect() as connection:

        def ask(sql: str) -> list[tuple[str | None, ...]]:
            connection.execute("SET TimeZone = 'Asia/Tokyo'")
            rows = connection.execute(sql).fetchall()
            return [tuple(None if cell is None else str(cell) for cell in row) for row in rows]

        yield ask


@pytest.fixture(params=contract_sql.DATABASES)
def database(request: pytest.FixtureRequest) -> tuple[str, Ask]:
    """Each database, empty."""
    return request.param, request.getfixturevalue(f"in_{request.param}")


def copy(name: str, table: Table, file: Path) -> str:
    """The statement that a person loads a file with."""
    if name == contract_sql.POSTGRES:
        return f"\\copy {table.name} FROM '{file}' WITH (FORMAT csv, HEADER true)"
    return f"COPY {table.name} FROM '{file}' (FORMAT csv, HEADER true)"


def total(column: Column) -> str:
    """What the values of a column add up to, in the SQL of both, as text that both write alike."""
    name = f'"{column.name}"'
    match column.type:
        case "integer" | "decimal":
            return f"CAST(sum(CAST({name} AS decimal(38, 9))) AS text)"
        case "number":
            return f"CAST(sum({name}) AS text)"
        case "boolean":
            return f"CAST(count(*) FILTER (WHERE {name}) AS text)"
        case "datetime":
            return f"CAST(CAST(max(extract(epoch FROM {name}) * 1000000) AS bigint) AS text)"
        case _:
            return f"CAST(sum(length({name})) AS text)"


def by_arrow(snapshot: Snapshot, table: Table, column: Column) -> tuple[int, Decimal | float | None]:
    values = [value for value in snapshot.arrow(table.name).column(column.name).to_pylist() if value is not None]
    match column.type:
        case "integer" | "decimal":
            return len(values), sum(map(Decimal, values)) if values else None
        case "number":
            return len(values), pytest.approx(sum(values)) if values else None
        case "boolean":
            return len(values), Decimal(sum(values))
        case "datetime":
            return len(values), Decimal(round(max(values).timestamp() * 1_000_000)) if values else None
        case _:
            guard = sum(value[:1] in ("=", "+", "-", "@") for value in values)
            return len(values), Decimal(sum(map(len, values)) + guard) if values else None


def alike(cell: str | None) -> str | float | None:
    """A cell as both write it: times with a short zone, numbers as numbers."""
    try:
        return round(float(cell or ""), 6)
    except ValueError:
        return re.sub(r"\+00(:00)?$", "", cell).rstrip("0").rstrip(".") if cell else None


class TestALineThatEndsTheInputOfPsql:
    """Before version 18, psql takes a line that is `\\.` for the end of the file, also inside quotes."""

    def test_the_documented_command_loads_every_text_exactly(
        self, in_postgres: Ask, root: Path, tmp_path: Path
    ) -> None:
        texts = ["x\n\\.\ny", "x\r\n\\.\r\ny", "\\.", "\\.\n\\.\n\\.", '"\n\\.\n"', "a\n\\.b\n c\\.\n", '\n"\\."\n']
        events = [{"type": "job_start", "message": text} for text in texts]
        (tmp_path / "jobs.json").write_text(json.dumps({"data": [{"id": "ft-1", "model": "a", "events": events}]}))
        ftetl.export(tmp_path / "exports", source=tmp_path / "jobs.json", formats=("csv",), csv_raw=True)
        page = (root / "docs" / "standards.md").read_text("utf-8")
        (command,) = re.findall(r"^(\\copy events .*)$", page, re.MULTILINE)
        in_postgres(contract_sql.script([*tables()], contract_sql.POSTGRES))
        in_postgres(copy(contract_sql.POSTGRES, tables()["jobs"], tmp_path / "exports/current/jobs.csv"))
        in_postgres(command.replace("exports/", f"{tmp_path}/exports/"))

        loaded = in_postgres("SELECT encode(convert_to(message, 'UTF8'), 'hex') FROM events ORDER BY position")

        assert [bytes.fromhex(cell or "").decode() for (cell,) in loaded] == texts


class TestTheTables:
    def test_they_take_the_demos_files_whole(self, database: tuple[str, Ask], demo_target: Path) -> None:
        name, ask = database
        ask(contract_sql.script([*tables()], name))
        snapshot = ftetl.open(demo_target)
        for table in tables().values():
            ask(copy(name, table, snapshot.folder / f"{table.name}.csv"))
            sums = ", ".join(f'CAST(count("{c.name}") AS text), {total(c)}' for c in table.columns)
            cells = ask(f"SELECT CAST(count(*) AS text), {sums} FROM {table.name}")[0]

            assert int(cells[0] or 0) == snapshot.arrow(table.name).num_rows
            for number, column in enumerate(table.columns):
                count, added = cells[1 + 2 * number], cells[2 + 2 * number]
                expected = by_arrow(snapshot, table, column)
                exact = float if column.type == "number" else Decimal
                found = int(count or 0), None if added is None else exact(added)
                assert (column.name, *found) == (column.name, *expected)

    @pytest.mark.parametrize("target", ["odd_target", "empty_target"])
    def test_they_take_any_files(self, database: tuple[str, Ask], target: str, request: pytest.FixtureRequest) -> None:
        name, ask = database
        ask(contract_sql.script([*tables()], name))
        snapshot = ftetl.open(request.getfixturevalue(target))
        for table in tables().values():
            ask(copy(name, table, snapshot.folder / f"{table.name}.csv"))

            assert ask(f"SELECT CAST(count(*) AS text) FROM {table.name}") == [
                (str(snapshot.arrow(table.name).num_rows),)
            ]

    def test_they_answer_the_ready_sql(self, in_postgres: Ask, in_duckdb: Ask, demo_target: Path, root: Path) -> None:
        """The page says that the questions are the same in both."""
        first, *questions = re.findall(r"```sql\n(.*?)```", (root / "docs" / "sql.md").read_text("utf-8"), re.DOTALL)
        zone = first.splitlines()[0]
        for name, ask in ((contract_sql.POSTGRES, in_postgres), (contract_sql.DUCKDB, in_duckdb)):
            ask(contract_sql.script(["jobs", "events"], name))
            for table in ("jobs", "events"):
                ask(copy(name, tables()[table], demo_target / "current" / f"{table}.csv"))
        for question in questions:
            answers = [
                {tuple(map(alike, row)) for row in ask(f"{zone} {question}")} for ask in (in_postgres, in_duckdb)
            ]

            assert answers[0] == answers[1] != set()

    def test_their_columns_are_the_contracts(self, database: tuple[str, Ask]) -> None:
        name, ask = database
        ask(contract_sql.script([*tables()], name))
        rows = ask(
            "SELECT table_name, column_name, is_nullable FROM information_schema.columns "
            f"WHERE table_name IN ({', '.join(repr(t) for t in tables())}) ORDER BY table_name, ordinal_position"
        )

        expected = [(t.name, c.name, "NO" if c.required else "YES") for t in tables().values() for c in t.columns]
        assert rows == sorted(expected, key=lambda row: row[0])

    def test_a_row_twice_and_a_row_without_its_job_are_refused(
        self, database: tuple[str, Ask], spoiled_files: Path
    ) -> None:
        name, ask = database
        ask(contract_sql.script([*tables()], name))

        with pytest.raises((duckdb.ConstraintException, RefusedError), match=r"(?i)duplicate"):
            ask(copy(name, tables()["jobs"], spoiled_files / "jobs.csv"))
        with pytest.raises((duckdb.ConstraintException, RefusedError), match=r"(?i)foreign key"):
            ask(copy(name, tables()["events"], spoiled_files / "events.csv"))

    @pytest.mark.parametrize("table", tables().values(), ids=lambda table: table.name)
    def test_the_sql_of_one_table_runs_alone(self, in_duckdb: Ask, table: Table) -> None:
        in_duckdb(contract_sql.script([table.name], contract_sql.DUCKDB))

        assert in_duckdb("SELECT table_name FROM duckdb_tables()") == [(table.name,)]


class TestTheComments:
    def test_duckdb_knows_them(self, in_duckdb: Ask) -> None:
        in_duckdb(contract_sql.script([*tables()], contract_sql.DUCKDB))
        told = {
            (t, c): text or ""
            for t, c, text in in_duckdb(
                "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
            )
        }

        self.are_the_contracts(told)
        assert dict(in_duckdb("SELECT table_name, comment FROM duckdb_tables()")) == {
            t.name: t.description.replace("`", "") for t in tables().values()
        }

    def test_postgres_knows_them(self, in_postgres: Ask) -> None:
        in_postgres(contract_sql.script([*tables()], contract_sql.POSTGRES))
        rows = in_postgres(
            "SELECT relname, attname, col_description(attrelid, attnum) FROM pg_attribute "
            "JOIN pg_class ON attrelid = pg_class.oid WHERE relkind = 'r' AND attnum > 0 "
            "AND relnamespace = 'public'::regnamespace"
        )

        self.are_the_contracts({(t, c): text or "" for t, c, text in rows})

    def are_the_contracts(self, told: dict[tuple[str | None, str | None], str]) -> None:
        assert told.keys() == {(t.name, c.name) for t in tables().values() for c in t.columns}
        for table in tables().values():
            for column in table.columns:
                text = told[table.name, column.name]
                assert text.startswith(column.description.replace("`", ""))
                assert text.endswith(f"Unit: {column.unit}.") == bool(column.unit)


def test_a_key_is_completed_by_the_columns_of_the_same_name() -> None:
    keys = foreign_keys(tables()["events"], tables())

    assert [(k.columns, k.parent, k.parent_columns, k.whole) for k in keys] == [
        (("project", "job_id"), "jobs", ("project", "job_id"), True)
    ]
    assert foreign_keys(tables()["events"], {}) == []


class TestTheCommand:
    @pytest.mark.parametrize("name", contract_sql.DATABASES)
    def test_it_prints_what_runs(self, name: str) -> None:
        done = CliRunner().invoke(cli, ["schema", "--sql", name])

        assert (done.exit_code, done.stdout) == (0, contract_sql.script([*tables()], name) + "\n")

    def test_it_prints_one_table(self) -> None:
        done = CliRunner().invoke(cli, ["schema", "events", "--sql", "duckdb"])

        assert done.stdout == contract_sql.script(["events"], "duckdb") + "\n"
        assert done.stdout.count("CREATE TABLE") == 1
        assert "FOREIGN KEY" not in done.stdout

    def test_as_json_it_is_one_document(self) -> None:
        done = CliRunner().invoke(cli, ["schema", "--sql", "postgres", "--json"])

        assert done.stdout.count("\n") == 1
        assert '"database": "postgres"' in done.stdout
        assert '"sql": "CREATE TABLE' in done.stdout

    def test_another_database_is_a_wrong_word(self) -> None:
        assert CliRunner().invoke(cli, ["schema", "--sql", "oracle"]).exit_code == 2
