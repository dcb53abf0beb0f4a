"""One connection to PostgreSQL through ADBC, with one transaction: statements, answers, and COPY of Arrow batches.

What ADBC's driver does (1.13), and what is done about it here:

- Its COPY sends the bytes of Arrow's types whatever the columns are: the caller has compared the types before.
- A text with NUL is refused, since PostgreSQL has none: U+FFFD stands in its place, and `replaced` counts such texts.
- Of an exception in the batches it keeps the text only: the exception itself is kept here, and raised again.
- With `PGCLIENTENCODING` other texts are stored than were sent: the address says UTF8.
- Its calls hold signals up until they end, and its import makes SIGINT do so everywhere: they run in a thread, and the
  caller's looks for signals meanwhile. An exception there cancels the statement.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, unquote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from ftetl.config.credentials import Secret
from ftetl.errors import ConfigError, UnavailableError
from ftetl.loading.destinations import shown
from ftetl.loading.postgres_errors import error_of_connecting, error_of_statement

T = TypeVar("T")

_CONNECT_SECONDS: Final = 10  # until a server that does not respond counts as absent, where nothing else is set
_SIGNAL_SECONDS: Final = 0.1  # between two looks whether a signal has come
_OTHERS: Final = {"password": "PGPASSWORD", "passfile": "PGPASSFILE"}  # that another environment may have
_NUL: Final = re.compile(b"\0")
_IN_PLACE_OF_NUL: Final = "\ufffd"


class PostgresConnection:
    """A connection whose statements are one transaction: what is not committed when it closes did not happen.

    `address` is a URL of libpq's. The password comes from where libpq looks for it: `PGPASSWORD` or the file of
    `PGPASSFILE`, both of `environ`, the file of `?passfile=`, or `~/.pgpass`.

    Raises:
        ConfigError: The address is malformed or holds a password, there is no such database, or the driver is missing.
        AccessError: The server does not let the user in.
        UnavailableError: The server cannot be reached.
    """

    def __init__(self, address: str, environ: Mapping[str, str] = os.environ) -> None:
        full = _with_settings(address, environ)
        try:
            import adbc_driver_postgresql.dbapi as adbc
        except ModuleNotFoundError:
            advice = "install it with `pip install 'ftetl[postgres]'`"
            raise ConfigError("L02", "the driver for PostgreSQL is not installed", next=advice) from None
        self.name = shown(address)
        self.replaced = 0  # texts in which U+FFFD stands in place of NUL
        self._error = adbc.Error
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="postgres")
        self._doing = "load the tables"
        self._stopped = False
        try:
            self._connection = _wait_for(self._threads.submit(adbc.connect, full))
        except adbc.Error as error:
            if error.sqlstate:  # it reads the catalog
                raise error_of_statement(error, "read the catalog", self.name) from None
            password = environ.get("PGPASSWORD")
            said = Secret(password).hide(str(error)) if password else str(error)
            raise error_of_connecting(said, self.name) from None
        self._cursor = self._connection.cursor()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Within this block errors say what could not be done, such as `write the table jobs`."""
        before, self._doing = self._doing, what
        yield
        self._doing = before

    def execute(self, sql: str) -> int:
        """Run one statement that returns no rows; the number of rows it changed, where it has one."""

        def run() -> int:
            self._cursor.execute(sql)
            return int(self._cursor.rowcount)

        return self._run(run)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of one query; columns of types that Arrow has not, such as numeric, come as text."""

        def run() -> list[tuple[Any, ...]]:
            self._cursor.execute(sql)
            return list(self._cursor.fetchall())

        return self._run(run)

    def copy(self, table: str, schema: str | None, columns: pa.Schema, parts: Iterable[pa.Table]) -> int:
        """Append rows of these columns to a table of a schema, or without one to a temporary table; the number of rows.

        Columns go by name. Each must have the type that PostgreSQL has for Arrow's.
        """
        failure: list[BaseException] = []
        replaced = 0

        def batches() -> Iterator[pa.RecordBatch]:
            nonlocal replaced
            try:
                for part in parts:
                    for batch in part.to_batches():
                        if self._stopped:
                            return
                        clean, count = _without_nul(batch)
                        replaced += count
                        yield clean
            except BaseException as error:
                failure.append(error)
                raise

        reader = pa.RecordBatchReader.from_batches(columns, batches())
        where = {"temporary": True} if schema is None else {"db_schema_name": schema}
        try:
            rows = self._run(lambda: int(self._cursor.adbc_ingest(table, reader, mode="append", **where)))
        except Exception:
            if failure:
                raise failure[0] from None
            raise
        self.replaced += replaced
        return rows

    def commit(self) -> None:
        """Make all that was done visible to others."""
        try:
            self._run(self._connection.commit)
        except UnavailableError as error:
            what = f"the connection to {self.name} was lost at the commit, so whether the tables were loaded is unknown"
            raise UnavailableError("L38", what, next="run it again: what is loaded already stays as it is") from error

    def close(self) -> None:
        """Undo what was not committed, and close."""
        for step in (self._connection.rollback, self._cursor.close, self._connection.close):
            with contextlib.suppress(self._error):
                self._threads.submit(step).result()
        self._threads.shutdown()

    def _run(self, call: Callable[[], T]) -> T:
        future = self._threads.submit(call)
        try:
            return _wait_for(future)
        except self._error as error:
            raise error_of_statement(error, self._doing, self.name) from None
        except BaseException:
            if not future.done():  # the exception is one of this thread, such as of a signal
                self._stopped = True
                with contextlib.suppress(self._error):
                    self._cursor.adbc_cancel()
                wait([future])
            raise


def _wait_for(future: Future[T]) -> T:
    while not wait([future], _SIGNAL_SECONDS).done:
        pass
    return future.result()


def _with_settings(address: str, environ: Mapping[str, str]) -> str:
    """The address with our settings; libpq looks up what is missing in this process's variables and in its files.

    No message repeats a part of it, which might be a password in the wrong place.
    """
    text, _, query = address.partition("?")
    names = {unquote(part.partition("=")[0]) for part in query.split("&") if part}
    try:
        parts = urlsplit(text)
        well_formed = "://" in text and parts.port != 0 and all("=" in part for part in query.split("&") if query)
    except ValueError:
        well_formed = False
    if not well_formed or re.search(r"[^!-~]|#", address) or re.search(r"[/@]", parts.path[1:]):
        advice = "write postgresql://USER@HOST:PORT/DATABASE, other characters percent-encoded (`@` is %40)"
        raise ConfigError("L30", "the address of the database is malformed", next=advice)
    if parts.password is not None or any("password" in name for name in names):
        advice = "take it out, change it, and set PGPASSWORD or write a ~/.pgpass"
        raise ConfigError("L31", "the address holds a password, which others on the machine can read", next=advice)
    ours = {"client_encoding": "UTF8"}
    if "connect_timeout" not in names and "PGCONNECT_TIMEOUT" not in environ:
        ours["connect_timeout"] = str(_CONNECT_SECONDS)
    if "application_name" not in names:
        ours["fallback_application_name"] = "ftetl"
    for name, variable in _OTHERS.items() if environ is not os.environ else ():
        if variable in environ and name not in names:
            ours[name] = quote(environ[variable], safe="")
    return f"{text}?{'&'.join([*filter(None, [query]), *(f'{name}={value}' for name, value in ours.items())])}"


def _without_nul(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, int]:
    """The batch with U+FFFD for each NUL, and how many texts had one."""
    count = 0
    for number, column in enumerate(batch.columns):
        if not pa.types.is_string(column.type) or not _has_nul_byte(column):
            continue
        found = pc.sum(pc.match_substring(column, "\0")).as_py() or 0
        if found:
            count += found
            clean = pc.replace_substring(column, "\0", _IN_PLACE_OF_NUL)
            batch = batch.set_column(number, batch.schema.field(number), clean)
    return batch, count


def _has_nul_byte(column: pa.StringArray) -> bool:
    """Whether the bytes of the texts, or of texts beside them in the same memory, hold a NUL; a quick look."""
    buffer = column.buffers()[2]
    return buffer is not None and _NUL.search(memoryview(buffer)) is not None
