"""One connection to a real PostgreSQL: what is stored, what an error says, and that signals end what runs."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pytest

from ftetl.errors import (
    AccessError,
    ConfigError,
    FtetlError,
    StorageError,
    TargetError,
    TryLaterError,
    UnavailableError,
)
from ftetl.loading.postgres_connection import PostgresConnection
from tests.postgres import Database, RefusedError

SECRET = "k4nari!/@:%?#& ü"  # with everything that has a meaning in a URL


@pytest.fixture
def role(postgres_database: Database) -> Iterator[str]:
    """A user with a password and few rights."""
    postgres_database.ask(f"CREATE ROLE loader LOGIN PASSWORD '{SECRET}'")
    yield "loader"
    postgres_database.ask("DROP OWNED BY loader; DROP ROLE loader")


class TestThePassword:
    def test_it_comes_from_the_variable(
        self, postgres_database: Database, role: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGPASSWORD", SECRET)
        with PostgresConnection(postgres_database.url_of(role)) as connection:
            assert connection.query("SELECT current_user::text") == [("loader",)]

    def test_it_comes_from_another_environment(self, postgres_database: Database, role: str) -> None:
        with PostgresConnection(postgres_database.url_of(role), {"PGPASSWORD": SECRET}) as connection:
            assert connection.query("SELECT current_user::text") == [("loader",)]

    @pytest.mark.parametrize("how", ["variable", "parameter", "environment"])
    def test_it_comes_from_a_file(
        self, how: str, postgres_database: Database, role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "pgpass"
        file.write_text(f"127.0.0.1:*:*:loader:{SECRET.replace(':', chr(92) + ':')}\n")
        file.chmod(0o600)
        url = postgres_database.url_of(role)
        if how == "variable":
            monkeypatch.setenv("PGPASSFILE", str(file))
        elif how == "parameter":
            url += f"?passfile={file}"
        environ = {"PGPASSFILE": str(file)} if how == "environment" else os.environ
        with PostgresConnection(url, environ) as connection:
            assert connection.query("SELECT current_user::text") == [("loader",)]

    @pytest.mark.parametrize(
        "address",
        [
            "postgresql://loader:{}@127.0.0.1/x",
            "postgresql://loader:{}@127.0.0.1:5432/x?sslmode=disable",
            "postgresql://loader@127.0.0.1/x?password={}",
            "postgresql://loader@127.0.0.1/x?sslpassword={}",
            "postgresql://loader@127.0.0.1/x?pass%77ord={}",
            "postgresql://loader:{}",
            "postgresql://loader:{}/x",
            "postgresql://loader@127.0.0.1:{}/x",
            "postgresql://loader@127.0.0.1/x:{}@y",
            "postgresql://loader@127.0.0.1/x?{}",
            "postgresql://[loader:{}@127.0.0.1/x",
            "postgresql://loader:1/{}@127.0.0.1/x",
            "postgresql:loader:{}@127.0.0.1/x",
        ],
    )
    @pytest.mark.parametrize("encoded", [False, True])
    def test_in_the_address_it_is_refused_and_not_repeated(self, address: str, encoded: bool) -> None:
        with pytest.raises(ConfigError) as raised:
            PostgresConnection(address.format(quote(SECRET, safe="") if encoded else SECRET))

        assert raised.value.code in ("FTETL-L30", "FTETL-L31")
        assert "k4nari" not in str(raised.value)


class TestConnecting:
    def failure(self, address: str) -> FtetlError:
        with pytest.raises(FtetlError) as raised:
            PostgresConnection(address)
        text = str(raised.value)
        assert "\n" not in text
        assert "k4nari" not in text
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__
        return raised.value

    @pytest.mark.parametrize(
        ("user", "password", "kind", "said"),
        [
            ("loader", "k4nari-wrong", AccessError, "password authentication failed"),
            ("loader", "", AccessError, "no password supplied"),
            ("nobody_here", "k4nari-wrong", AccessError, "password authentication failed"),
        ],
    )
    def test_a_wrong_password(
        self, user: str, password: str, kind: type, said: str, postgres_database: Database, role: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setenv("PGPASSWORD", password)

        error = self.failure(postgres_database.url_of(user))

        assert (type(error), error.code, said in str(error)) == (kind, "FTETL-L32", True)

    def test_a_user_without_login_and_a_closed_database(self, postgres_database: Database, role: str) -> None:
        name = postgres_database.name
        postgres_database.ask(f"CREATE ROLE silent; REVOKE CONNECT ON DATABASE {name} FROM public")
        try:
            for user in ("silent", role):
                assert self.failure(postgres_database.url.replace("ftetl@", f"{user}@")).code == "FTETL-L32"
        finally:
            postgres_database.ask("DROP ROLE silent")

    def test_no_such_database_or_user(self, postgres_database: Database) -> None:
        url = postgres_database.url
        for wrong in (url.replace(postgres_database.name, "nowhere"), url.replace("ftetl@", "nobody_here@")):
            error = self.failure(wrong)

            assert (type(error), error.code) == (ConfigError, "FTETL-L33")

    @pytest.mark.parametrize("where", ["127.0.0.1:1", "no-such-host.invalid"])
    def test_no_server(self, where: str) -> None:
        error = self.failure(f"postgresql://loader@{where}/x")

        assert (type(error), error.code) == (UnavailableError, "FTETL-L34")

    @pytest.mark.parametrize("wrong", ["sslmode=loud", "unknown=1", "port=x"])
    def test_a_wrong_parameter(self, wrong: str) -> None:
        error = self.failure(f"postgresql://loader@127.0.0.1/x?{wrong}")

        assert (type(error), error.code) == (ConfigError, "FTETL-L30")


@pytest.fixture
def connection(postgres_database: Database) -> Iterator[PostgresConnection]:
    with PostgresConnection(postgres_database.url) as connection:
        yield connection


class TestTexts:
    def test_they_are_stored_exactly_whatever_encoding_the_machine_says(
        self, postgres_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
        texts = ["ü😀", "", "\u2028\r\n\t\\.\\N", "x" * 3_000_000, "12345678901234567890", None]
        with PostgresConnection(postgres_database.url + "&client_encoding=LATIN1") as connection:
            connection.execute("CREATE TABLE texts (n bigint, x text)")
            rows = pa.table({"n": range(len(texts)), "x": texts})
            connection.copy("texts", "public", rows.schema, [rows])
            connection.commit()

        rows = postgres_database.ask("SELECT encode(convert_to(x, 'UTF8'), 'hex') FROM texts ORDER BY n")

        assert [None if x is None else bytes.fromhex(x).decode() for (x,) in rows] == texts

    def test_a_nul_becomes_the_replacement_character_and_is_counted(self, connection: PostgresConnection) -> None:
        connection.execute("CREATE TEMP TABLE texts (x text, y text)")
        rows = pa.table({"x": ["a\0b\0", "\0", None, "c", "d"], "y": ["e", "\0f", "", None, "g"]})
        connection.copy("texts", None, rows.schema, [rows.slice(0, 1), rows.slice(1)])
        connection.copy("texts", None, rows.schema, [rows.slice(3)])

        found = {("a\ufffdb\ufffd", "e"), ("\ufffd", "\ufffdf"), (None, ""), ("c", None), ("d", "g")}
        assert {*connection.query("SELECT x, y FROM texts")} == found
        assert connection.replaced == 3


class TestStatements:
    @pytest.mark.parametrize(
        ("before", "sql", "kind", "code"),
        [
            ("", "CREATE SCHEMA other", TargetError, "L35"),
            ("ALTER ROLE loader SET default_transaction_read_only = on", "CREATE TEMP TABLE t ()", TargetError, "L35"),
            ("ALTER ROLE loader SET statement_timeout = '50ms'", "DO 'BEGIN PERFORM pg_sleep(5); END'",
             UnavailableError, "L37"),
            ("ALTER ROLE loader SET lock_timeout = '50ms'", "LOCK TABLE held", TryLaterError, "L09"),
            ("", "DO $$BEGIN RAISE SQLSTATE '53100' USING MESSAGE = 'could not extend file'; END$$",
             StorageError, "L10"),
            ("", "DO $$BEGIN RAISE SQLSTATE '40P01' USING MESSAGE = 'deadlock detected'; END$$",
             TryLaterError, "L09"),
            ("", "DO $$BEGIN RAISE 'not on a Sunday'; END$$", TargetError, "L39"),
        ],
    )  # fmt: skip
    def test_a_failure_is_one_line_of_its_kind(
        self, before: str, sql: str, kind: type[FtetlError], code: str, postgres_database: Database, role: str
    ) -> None:
        postgres_database.ask(f"CREATE TABLE held (); GRANT ALL ON held TO loader; {before}")
        with (
            PostgresConnection(postgres_database.url) as holder,
            PostgresConnection(postgres_database.url.replace("ftetl@", "loader@")) as connection,
        ):
            holder.execute("LOCK TABLE held")
            with pytest.raises(kind) as raised, connection.doing("write the table jobs"):
                connection.execute(sql)

        assert raised.value.code == f"FTETL-{code}"
        assert "cannot write the table jobs" in str(raised.value)
        assert re.search(r": \w.{10,} \(SQLSTATE \w{5}\)", str(raised.value))
        assert "\n" not in str(raised.value)

    def test_an_error_of_the_rows_is_raised_as_it_is_and_nothing_is_stored(self, postgres_database: Database) -> None:
        def parts() -> Iterator[pa.Table]:
            yield pa.table({"x": ["a"] * 100_000})
            raise StorageError("S13", "the file is damaged")

        postgres_database.ask("CREATE TABLE texts (x text)")
        with (
            pytest.raises(StorageError, match="the file is damaged") as raised,
            PostgresConnection(postgres_database.url) as connection,
        ):
            connection.copy("texts", "public", pa.schema({"x": pa.string()}), parts())

        assert raised.value.__suppress_context__
        assert postgres_database.ask("SELECT count(*) FROM texts") == [("0",)]


def _sleep(connection: PostgresConnection) -> None:
    connection.execute("INSERT INTO texts SELECT nextval('finished')::text FROM pg_sleep(5)")


def _copy_slowly(connection: PostgresConnection) -> None:
    def parts() -> Iterator[pa.Table]:
        for _ in range(600):
            time.sleep(0.1)
            yield pa.table({"x": ["a"] * 1000})

    connection.copy("texts", "public", pa.schema({"x": pa.string()}), parts())


@pytest.mark.parametrize("work", [_sleep, _copy_slowly])
class TestWhatEndsAStatement:
    """The sequence, which no rollback takes back, shows whether the work came to its end."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_does(
        self, number: int, work: Callable[[PostgresConnection], None], postgres_database: Database
    ) -> None:
        class StoppedError(BaseException):
            pass

        def stop(*_: object) -> None:
            raise StoppedError

        postgres_database.ask("CREATE TABLE texts (x text); CREATE SEQUENCE finished")
        before = signal.signal(number, stop)
        try:
            with PostgresConnection(postgres_database.url) as connection:
                threading.Timer(0.3, os.kill, (os.getpid(), number)).start()
                with pytest.raises(StoppedError):
                    work(connection)
        finally:
            signal.signal(number, before)

        assert postgres_database.ask("SELECT count(x), bool_or(is_called) FROM finished LEFT JOIN texts ON true") == [
            ("0", "f")
        ]

    def test_the_server_does(self, work: Callable[[PostgresConnection], None], postgres_database: Database) -> None:
        postgres_database.ask("CREATE TABLE texts (x text); CREATE SEQUENCE finished")
        end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{postgres_database.name}'"
        with PostgresConnection(postgres_database.url) as connection:
            threading.Timer(0.3, postgres_database.server.ask, (end,)).start()
            with pytest.raises(UnavailableError, match=r"lost|terminating") as raised:
                work(connection)

        assert raised.value.code == "FTETL-L34"
        assert postgres_database.ask("SELECT count(x), bool_or(is_called) FROM finished LEFT JOIN texts ON true") == [
            ("0", "f")
        ]


def test_a_commit_that_is_lost_says_that_its_outcome_is_unknown(postgres_database: Database) -> None:
    postgres_database.ask("CREATE TABLE texts (x text)")
    with PostgresConnection(postgres_database.url) as connection:
        connection.execute("INSERT INTO texts VALUES ('a')")
        postgres_database.server.ask(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{postgres_database.name}'"
        )
        with pytest.raises(UnavailableError, match="unknown"):
            connection.commit()

    assert postgres_database.ask("SELECT count(*) FROM texts") == [("0",)]


def test_without_a_commit_nothing_happened(postgres_database: Database) -> None:
    with PostgresConnection(postgres_database.url) as connection:
        connection.execute("CREATE TABLE texts (x text)")

    with pytest.raises(RefusedError, match="does not exist"):
        postgres_database.ask("SELECT * FROM texts")
