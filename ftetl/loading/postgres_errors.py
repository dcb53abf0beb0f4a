"""The table from PostgreSQL's errors to ftetl's, each with its reason and what to do next.

Errors of statements are known by their SQLSTATE, or by its first two characters (PostgreSQL's manual, appendix A). Of a
connection that fails ADBC says only libpq's text, in which a server's part may be in another language.
"""

from __future__ import annotations

from typing import Any, Final

from ftetl.errors import (
    AccessError,
    ConfigError,
    FtetlError,
    StorageError,
    TargetError,
    TryLaterError,
    UnavailableError,
)

_AGAIN: Final = "run again"
_LATER: Final = "run again when the server is less busy"
_LONGER: Final = "give this user a longer statement_timeout, or run again when the server is less busy"
_RIGHTS: Final = "let its owner GRANT this user CREATE on the database and on the schema, and TEMPORARY on the database"
_ROOM: Final = "free some space for the server, then run again"

_BY_STATE: Final[dict[str, tuple[type[FtetlError], str, str]]] = {
    "42501": (TargetError, "L35", _RIGHTS),
    "25006": (TargetError, "L35", "load into the primary server, as a user whose transactions may write"),
    "42P07": (TargetError, "L05", "rename what has this name, or load into another schema"),
    "53100": (StorageError, "L10", _ROOM),
    "53": (TryLaterError, "L09", _LATER),
    "55P03": (TryLaterError, "L09", "another program holds a lock on the table; run again when it is done"),
    "40": (TryLaterError, "L09", _AGAIN),
    "57014": (UnavailableError, "L37", _LONGER),
    "57": (UnavailableError, "L34", "run again when the server is up"),
    "08": (UnavailableError, "L34", "run again when the server can be reached"),
    "58": (StorageError, "L10", "look into the server's log"),
    "XX": (StorageError, "L10", "look into the server's log"),
}
_BY_TEXT: Final[tuple[tuple[str, type[FtetlError], str, str], ...]] = (
    ("no password supplied", AccessError, "L32", "set PGPASSWORD, or write the password into ~/.pgpass"),
    ("authentication failed", AccessError, "L32", "check the user, and the password of PGPASSWORD or ~/.pgpass"),
    ("no pg_hba.conf entry", AccessError, "L32", "let the server's pg_hba.conf admit this user from this machine"),
    ("is not permitted to log in", AccessError, "L32", "give the role LOGIN, or choose another user"),
    ("permission denied", AccessError, "L32", "let its owner GRANT this user CONNECT on the database"),
    ('role "', ConfigError, "L33", "check the user's name"),
    ('database "', ConfigError, "L33", "check its name, or create it with `createdb`"),
    ("Connection refused", UnavailableError, "L34", "check the host and the port, and whether the server runs"),
    ("could not translate host name", UnavailableError, "L34", "check the host's name"),
    ("invalid", ConfigError, "L30", "check the address; its parts are those of libpq"),
)


def error_of_connecting(said: str, address: str) -> FtetlError:
    """The error for a connection that could not be made, from what libpq says."""
    reason = _one_line(said.partition("failed: ")[2] or said.partition("Failed to connect: ")[2] or said)
    kind, code, advice = next(
        ((kind, code, advice) for text, kind, code, advice in _BY_TEXT if text in reason),
        (UnavailableError, "L34", "check the address, and whether the server runs"),
    )
    return kind(code, f"cannot connect to {address}: {reason}", next=advice)


def error_of_statement(error: Any, what: str, address: str) -> FtetlError:
    """The error for a statement that failed while something was done, such as `write the table jobs`."""
    state = error.sqlstate or ""
    primary = dict(error.details or ()).get(b"PG_DIAG_MESSAGE_PRIMARY", b"")
    if not state:
        said = _one_line(str(error))
        if "server closed the connection" not in said and "connection" not in said:
            return StorageError("L10", f"cannot {what} in {address}: {said}", next="look into the server's log")
        return UnavailableError("L34", f"cannot {what}: the connection to {address} was lost", next=_AGAIN)
    reason = _one_line(primary.decode("utf-8", "replace"))
    kind, code, advice = _BY_STATE.get(state) or _BY_STATE.get(state[:2]) or (TargetError, "L39", "")
    return kind(code, f"cannot {what} in {address}: {reason} (SQLSTATE {state})", next=advice)


def _one_line(text: str) -> str:
    """The first line of a message."""
    return text.strip().partition("\n")[0].strip()
