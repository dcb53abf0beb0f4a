"""What only a PostgreSQL server can show: its catalog, other users and programs, loads that are killed or cut off."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

import ftetl
from ftetl.contract import tables
from ftetl.errors import ConfigError, FtetlError, TargetError, TryLaterError, UnavailableError
from ftetl.load_result import LoadResult
from ftetl.loading import postgres_connection
from ftetl.loading.load_source import with_project
from ftetl.loading.postgres_connection import PostgresConnection
from tests.cli import program
from tests.postgres import Database, Server

SECRET = "k4nari+p:w/@%24"
TYPES = {
    "string": "text",
    "integer": "bigint",
    "number": "double precision",
    "boolean": "boolean",
    "decimal": "numeric(18,9)",
    "datetime": "timestamp with time zone",
}


def job(number: int, **fields: Any) -> dict[str, Any]:
    events = [{"type": "job_start", "message": f"m{number}\0", "created_at": "2026-07-02T08:11:14Z"}]
    times = {"created_at": "2026-07-02T08:10:14Z", "updated_at": "2026-07-02T09:10:14Z"}
    return {"id": f"ft-{number}", "status": "completed", "model": "a", "events": events, **times, **fields}


FIRST = [*map(job, range(8)), 7]
SECOND = [*map(job, range(2, 9)), job(1, total_price=5, updated_at="2026-07-03T09:10:14Z"), "text"]


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target with two versions, of which the second has new, changed and fewer rows; nobody may change it."""
    folder = tmp_path_factory.mktemp("versions")
    for day, jobs in enumerate((FIRST, SECOND), 1):
        (folder / "jobs.json").write_text(json.dumps({"data": jobs}))
        ftetl.export(folder / "target", source=folder / "jobs.json", observed_at=f"2026-08-0{day}T00:00:00Z")
    return folder / "target"


@pytest.fixture(scope="module")
def loaded(versions: Path, postgres_server: Server) -> Iterator[str]:
    """The name of a database that has the first version; nobody may change it."""
    with postgres_server.database() as database:
        ftetl.load(versions, database.url, version=1)
        yield database.name


@pytest.fixture
def first(loaded: str, postgres_server: Server) -> Iterator[Database]:
    """A database that has the first version."""
    with postgres_server.database(loaded) as database:
        yield database


@pytest.fixture
def role(postgres_database: Database) -> Iterator[str]:
    """A user with a password and the right to create a schema."""
    name = postgres_database.name
    postgres_database.ask(f"CREATE ROLE loader LOGIN PASSWORD '{SECRET}'; GRANT CREATE ON DATABASE {name} TO loader")
    yield "loader"
    postgres_database.ask("DROP OWNED BY loader; DROP ROLE loader")


def content(database: Database) -> dict[str, Any]:
    """Everything that the database holds: the tables with their columns and indexes, and all rows as text."""
    with psycopg.connect(database.url) as connection:
        shape = connection.execute(
            "SELECT c.oid::regclass::text, relkind::text, attname, atttypid::regtype::text, attnotnull, "
            "col_description(c.oid, attnum) FROM pg_class c "
            "LEFT JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped "
            "JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname !~ '^pg_|information_schema' ORDER BY 1, attnum"
        ).fetchall()
        names = sorted({row[0] for row in shape if row[1] == "r"})
        rows = " UNION ALL ".join(f"SELECT '{name}', t::text FROM {name} t" for name in names)
        return {"shape": shape, "rows": connection.execute(rows + " ORDER BY 1, 2").fetchall() if rows else []}


class TestTheTables:
    @pytest.mark.parametrize("schema", ["ftetl", "Finance_2"])
    def test_they_are_the_contracts(self, schema: str, versions: Path, postgres_database: Database) -> None:
        ftetl.load(versions, postgres_database.url, schema=schema)
        found = postgres_database.ask(
            "SELECT relname, attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum), "
            "obj_description(attrelid) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid AND relkind = 'r' "
            f"JOIN pg_namespace n ON n.oid = relnamespace AND nspname = '{schema}' "
            "WHERE attnum > 0 AND relname !~ '^_' ORDER BY relname, attnum"
        )
        contracts = [with_project(tables()[name]) for name in sorted(tables())]

        assert [row[:4] for row in found] == [
            (table.name, column.name, TYPES[column.type], "t" if column.required else "f")
            for table in contracts
            for column in table.columns
        ]
        assert all(row[4] and row[5] for row in found)

    def test_they_have_keys_and_indexes(self, first: Database) -> None:
        found = first.ask(
            "SELECT tablename, regexp_replace(indexdef, '.* USING btree ', ''), indexdef ~ 'UNIQUE' FROM pg_indexes "
            "WHERE schemaname = 'ftetl'"
        )
        wanted = {("_ftetl_loads", "(load)", "t")}
        for table in map(with_project, tables().values()):
            key = ", ".join(f'"{part}"' if part != part.lower() else part for part in table.key)
            wanted |= {(table.name, f"({key.replace(chr(34) + 'position' + chr(34), 'position')})", "t")}
            wanted |= {(table.name, f"({name})", "f") for name in ("job_id", "created_at") if name in table.names}

        assert {
            (table, columns.replace('"position"', "position"), unique) for table, columns, unique in found
        } == wanted

    def test_what_a_user_added_stays(self, versions: Path, first: Database) -> None:
        first.ask(
            "ALTER TABLE ftetl.jobs ADD COLUMN team text DEFAULT 'search'; CREATE INDEX mine ON ftetl.jobs (model); "
            "CREATE VIEW ftetl.costs AS SELECT sum(total_price_usd) FROM ftetl.jobs; CREATE TABLE ftetl.other (x int)"
        )
        ftetl.load(versions, first.url)

        assert first.ask("SELECT DISTINCT team FROM ftetl.jobs") == [("search",)]
        assert first.ask("SELECT * FROM ftetl.costs") == [("0.000000005",)]

    def test_a_column_that_a_contract_has_learned_is_added_and_filled(self, versions: Path, first: Database) -> None:
        before = content(first)["rows"]
        first.ask("ALTER TABLE ftetl.jobs DROP COLUMN token_count, DROP COLUMN total_price_usd")
        first.ask("DROP TABLE ftetl.stages")
        result = ftetl.load(versions, first.url, version=1)

        assert result.changed
        names = ", ".join(f'"{name}"' for name in tables()["jobs"].names)
        ordered = first.ask(
            f"CREATE TABLE ftetl.again AS SELECT {names} FROM ftetl.jobs; SELECT t::text FROM ftetl.again t"
        )
        assert sorted(ordered) == sorted((row[1],) for row in before if row[0] == "jobs")

    @pytest.mark.parametrize(
        ("column", "kind", "has"),
        [
            (
                "token_count",
                "double precision",
                "double precision",
            ),  # of the same width, into which COPY stores garbage
            ("created_at", "timestamp", "timestamp without time zone"),
            ("total_price_usd", "numeric(18,2)", "numeric(18,2)"),
            ("model", "varchar(5)", "character varying(5)"),
        ],
    )
    def test_a_column_of_another_type_is_refused_with_the_statement_that_mends_it(
        self, column: str, kind: str, has: str, versions: Path, first: Database
    ) -> None:
        first.ask(f"ALTER TABLE ftetl.jobs ALTER COLUMN {column} TYPE {kind}")
        before = content(first)
        with pytest.raises(ConfigError, match="has type") as raised:
            ftetl.load(versions, first.url)

        assert raised.value.code == "FTETL-L06"
        assert has in str(raised.value)
        assert content(first) == before

        statement = str(raised.value).partition("`")[2].partition("`")[0]
        first.ask(f"{statement}")
        assert ftetl.load(versions, first.url).changed

    @pytest.mark.parametrize(
        "sql",
        [
            "CREATE TABLE ftetl.jobs (project text, job_id text)",
            "CREATE VIEW ftetl.events AS SELECT 1 AS x",
            "CREATE MATERIALIZED VIEW ftetl.stages AS SELECT 1 AS x",
            "CREATE TABLE ftetl.quarantine ()",
            "CREATE TABLE ftetl._ftetl_loads (load bigint)",
            "CREATE SEQUENCE ftetl.anomalies",
        ],
    )
    def test_what_ftetl_did_not_make_is_refused(self, sql: str, versions: Path, postgres_database: Database) -> None:
        postgres_database.ask(f"CREATE SCHEMA ftetl; {sql}")
        before = content(postgres_database)
        with pytest.raises(TargetError) as raised:
            ftetl.load(versions, postgres_database.url)

        assert raised.value.code == "FTETL-L05"
        assert content(postgres_database) == before

    def test_settings_of_the_server_change_nothing(
        self, versions: Path, first: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first.ask(
            "CREATE SCHEMA evil; CREATE TABLE evil.pg_namespace (x int); "
            "CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS 'SELECT 1/0'"
        )
        settings = {
            "search_path": "evil,pg_catalog", "standard_conforming_strings": "off", "DateStyle": "German",
            "TimeZone": "Asia/Tokyo", "extra_float_digits": "-10", "default_transaction_isolation": "serializable",
            "bytea_output": "escape", "client_min_messages": "debug1",
        }  # fmt: skip
        monkeypatch.setenv("PGOPTIONS", " ".join(f"-c {name}={value}" for name, value in settings.items()))

        assert not ftetl.load(versions, first.url, version=1).changed
        assert ftetl.load(versions, first.url).changed


def test_nul_is_replaced_and_told(versions: Path, postgres_database: Database) -> None:
    result = ftetl.load(versions, postgres_database.url, version=1)

    assert result.notes == ("PostgreSQL has no NUL: U+FFFD stands in its place in 8 texts",)
    assert postgres_database.ask("SELECT DISTINCT right(message, 1) FROM ftetl.events") == [("\ufffd",)]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_all_texts_is_refused(
    encoding: str, versions: Path, postgres_database: Database
) -> None:
    name = f"{postgres_database.name}_{encoding.lower()}"
    postgres_database.ask(f"CREATE DATABASE {name} ENCODING {encoding} LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(ConfigError, match=encoding):
            ftetl.load(versions, postgres_database.url.replace(postgres_database.name, name))
    finally:
        postgres_database.ask(f"DROP DATABASE {name}")


class TestOneLine:
    """What a person sees of a mistake: one line, the right exit code, no password; and nothing has changed."""

    @pytest.fixture(autouse=True)
    def password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PGPASSWORD", SECRET)

    def end(self, versions: Path, address: str) -> tuple[int, str]:
        """The exit code of a load that fails, and its line."""
        with pytest.raises(FtetlError) as raised:
            ftetl.load(versions, address)
        error = raised.value
        assert "k4nari" not in "".join(traceback.format_exception(error))
        assert len(str(error).splitlines()) == 1
        assert error.next
        return error.exit.code, str(error)

    @pytest.mark.parametrize("password", [SECRET, "k4nari-wrong"])
    def test_the_program_says_nothing_of_the_password(
        self, password: str, versions: Path, postgres_database: Database, role: str
    ) -> None:
        done = program.run(
            "load", versions, postgres_database.url_of(role), "-vv", env=program.environment(PGPASSWORD=password)
        )

        assert done.code == (0 if password == SECRET else 77)
        assert len(done.err.splitlines()) == (2 if done.code == 0 else 1)  # and the note about NUL
        assert "k4nari" not in done.out + done.err + repr(content(postgres_database))

    @pytest.mark.parametrize(
        ("before", "code", "said"),
        [
            ("ALTER ROLE loader PASSWORD 'another'", 77, "password authentication failed"),
            ("ALTER ROLE loader NOLOGIN", 77, "not permitted to log in"),
            ("REVOKE CREATE ON DATABASE {} FROM loader", 73, "permission denied"),
            ("CREATE SCHEMA ftetl", 73, "permission denied"),
            ("ALTER ROLE loader SET default_transaction_read_only = on", 73, "read-only"),
            ("ALTER ROLE loader SET statement_timeout = '1ms'", 69, "statement timeout"),
        ],
    )
    def test_what_the_user_may_not_do(
        self, before: str, code: int, said: str, versions: Path, postgres_database: Database, role: str
    ) -> None:
        postgres_database.ask(before.format(postgres_database.name))
        there = content(postgres_database)
        found, line = self.end(versions, postgres_database.url_of(role))

        assert (found, said in line) == (code, True)
        assert content(postgres_database) == there

    @pytest.mark.parametrize(
        ("part", "other", "code"),
        [("/test_", "/nowhere_", 78), ("127.0.0.1", "no-such-host.invalid", 69), ("loader@", "nobody_here@", 77)],
    )
    def test_a_wrong_address(
        self, part: str, other: str, code: int, versions: Path, postgres_database: Database, role: str
    ) -> None:
        assert self.end(versions, postgres_database.url_of(role).replace(part, other))[0] == code

    @pytest.mark.parametrize("address", ["postgresql://loader:{}@127.0.0.1/x", "postgres://h/x?password={}"])
    def test_a_password_in_the_address(self, address: str, versions: Path) -> None:
        for password in (SECRET, quote(SECRET, safe="")):
            assert self.end(versions, address.format(password))[0] == 78

    @pytest.mark.parametrize("address", ["postgresql:password={}", "postgresql:loader:{}@h/x", "postgres:/h/{}"])
    def test_an_address_without_slashes_is_not_repeated(self, address: str, versions: Path) -> None:
        code, line = self.end(versions, address.format(SECRET))

        assert (code, "the address of the database is malformed" in line) == (78, True)

    def test_a_server_that_is_gone(self, versions: Path, first: Database) -> None:
        before = content(first)
        first.server.stop("fast")
        try:
            code, line = self.end(versions, first.url)
        finally:
            first.server.start()

        assert (code, "cannot connect" in line) == (69, True)
        assert content(first) == before


@contextmanager
def at_call(number: int, act: Callable[[], None]) -> Iterator[list[int]]:
    """Before the call of this number that a connection makes to the server something happens; all calls are counted."""
    calls = [0]
    run = PostgresConnection._run

    def counted(self: PostgresConnection, call: Callable[[], Any]) -> Any:
        calls[0] += 1
        if calls[0] == number:
            act()
        return run(self, call)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PostgresConnection, "_run", counted)
        yield calls


def idle(database: Database) -> None:
    """Wait until the server has noticed that the loaders are gone."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        while connection.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = 'ftetl'").fetchall():
            time.sleep(0.01)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class TestALoadThatEndsInTheMiddle:
    @pytest.fixture
    def total(self, versions: Path, first: Database) -> int:
        """How many calls a load of the second version makes; the last one is the commit."""
        with at_call(0, lambda: None) as calls:
            ftetl.load(versions, first.url, dry_run=True)
        return calls[0] + 1  # and the commit

    def killed(self, versions: Path, database: Database, number: int, act: Callable[[], None] = kill) -> int:
        """Load the second version in a process that does this before the call of this number; the signal it died of."""
        pid = os.fork()
        if not pid:
            try:
                with at_call(number, act):
                    ftetl.load(versions, database.url)
            finally:
                os._exit(0)
        return os.WTERMSIG(os.waitpid(pid, 0)[1])

    @pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.slow)])
    def test_killed_at_any_statement_it_leaves_the_database_as_it_was(
        self, step: int, versions: Path, first: Database, total: int
    ) -> None:
        before = content(first)
        for number in range(total, 0, -step):
            assert self.killed(versions, first, number) == signal.SIGKILL, number
            assert content(first) == before, number
            idle(first)

        assert self.killed(versions, first, total + 1) == 0
        assert content(first) != before

    def test_killed_in_the_middle_of_rows_it_leaves_the_database_as_it_was(
        self, versions: Path, first: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = content(first)
        monkeypatch.setattr(postgres_connection, "_without_nul", lambda _: kill())

        assert self.killed(versions, first, 0) == signal.SIGKILL
        assert content(first) == before

    @pytest.mark.parametrize("seconds", [0, 0.0005, 0.001, 0.002])
    def test_killed_while_it_commits_all_rows_are_the_old_or_all_are_the_new_ones(
        self, seconds: float, versions: Path, first: Database, total: int
    ) -> None:
        before = content(first)
        self.killed(versions, first, total, threading.Timer(seconds, kill).start)
        idle(first)
        after = content(first)
        result = ftetl.load(versions, first.url)

        assert result.changed == (after == before)
        assert (content(first) == after) == (not result.changed)

    def test_the_server_is_shut_down_at_some_statement(self, versions: Path, first: Database, total: int) -> None:
        before = content(first)
        for number in (total // 3, total):
            try:
                with at_call(number, lambda: first.server.stop("fast")), pytest.raises(UnavailableError) as raised:
                    ftetl.load(versions, first.url)
            finally:
                first.server.start()

            assert raised.value.code == ("FTETL-L38" if number == total else "FTETL-L34")
            assert content(first) == before


class TestLoadsAtTheSameTime:
    def test_the_second_one_into_a_schema_is_told_to_come_later(self, versions: Path, first: Database) -> None:
        """The first one waits in its middle until the second one has ended."""
        errors: list[TryLaterError] = []

        def load_too() -> None:
            with pytest.raises(TryLaterError, match="another load") as raised:
                ftetl.load(versions, first.url)
            errors.append(raised.value)

        with at_call(40, load_too):
            result = ftetl.load(versions, first.url)

        assert result.changed
        assert [error.code for error in errors] == ["FTETL-L09"]
        assert not ftetl.load(versions, first.url).changed

    def test_into_another_schema_it_does_not_wait(self, versions: Path, first: Database) -> None:
        results: list[LoadResult] = []
        with at_call(40, lambda: results.append(ftetl.load(versions, first.url, schema="other"))):
            results.append(ftetl.load(versions, first.url))

        assert [result.changed for result in results] == [True, True]

    def test_readers_see_the_old_rows_until_the_new_ones_are_all_there(self, versions: Path, first: Database) -> None:
        before, seen = content(first), []
        with at_call(60, lambda: seen.append(content(first))):
            ftetl.load(versions, first.url)

        assert seen == [before]
        assert content(first) != before

    def test_a_lock_of_another_program_is_waited_for_and_told(
        self, versions: Path, first: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGOPTIONS", "-c lock_timeout=100ms")
        before = content(first)
        with psycopg.connect(first.url) as other:
            other.execute("LOCK TABLE ftetl.events IN SHARE MODE")
            with pytest.raises(TryLaterError, match="lock timeout") as raised:
                ftetl.load(versions, first.url)

        assert raised.value.code == "FTETL-L09"
        assert content(first) == before
