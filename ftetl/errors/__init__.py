"""The errors that ftetl raises, and the table of exit codes: how a run can end, and what a scheduler should do then.

Each error class names its exit, of which `EXITS` is the table. What each error code means is in `docs/codes.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "FTETL-"  # what an error code begins with wherever it is shown


@dataclass(frozen=True)
class Exit:
    """One exit code: its name, its meaning, whether such a run has committed, whether a scheduler should retry."""

    code: int
    name: str
    meaning: str
    committed: bool = False
    retryable: bool = False


EXITS: dict[str, Exit] = {
    e.name: e
    for e in (
        Exit(0, "OK", "committed and complete, or nothing changed", committed=True),
        Exit(2, "USAGE", "bad command line"),
        Exit(
            3,
            "PARTIAL",
            "committed, with new quarantine, or a part that failed (see warnings)",
            committed=True,
        ),
        Exit(65, "DATA", "the response as a whole breaks the contract, or a guard stopped it"),
        Exit(69, "UNAVAILABLE", "network, server error, timeout, deadline", retryable=True),
        Exit(70, "SOFTWARE", "a bug in ftetl"),
        Exit(73, "CANTCREAT", "the target cannot be used: permission, read-only, not a target of ftetl"),
        Exit(74, "IOERR", "disk full, I/O error, checksum mismatch"),
        Exit(75, "TEMPFAIL", "locked by another run, or rate limited beyond the deadline", retryable=True),
        Exit(76, "PROTOCOL", "what responded is not the Together API"),
        Exit(77, "NOPERM", "the API key was refused"),
        Exit(78, "CONFIG", "a setting is missing or wrong"),
        Exit(130, "SIGINT", "interrupted before the commit", retryable=True),
        Exit(143, "SIGTERM", "terminated before the commit", retryable=True),
    )
}


class FtetlError(Exception):
    """The root of all errors that ftetl raises on purpose.

    Args:
        fault: The error code without its prefix, like `H01`; the attribute `code` has the prefix.
        what: What happened, and to which thing: one line without values of the data.
        next: What to do about it.
    """

    exit: Exit = EXITS["SOFTWARE"]

    def __init__(self, fault: str, what: str, *, next: str = "") -> None:  # noqa: A002 - the word that the message uses
        super().__init__(what)
        self.code = PREFIX + fault
        self.what = what
        self.next = next
        self.drift: dict[str, dict[str, int]] = {}  # of R51, R52 and R54: `unreadable` and `missing` jobs by key
        self.evidence: bytes | None = None  # the server's response, where it helps to find the cause

    def __str__(self) -> str:
        return f"{self.what}; {self.next}" if self.next else self.what

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.code.removeprefix(PREFIX), self.what, self.next))


def _rebuild(kind: type[FtetlError], fault: str, what: str, advice: str) -> FtetlError:
    return kind(fault, what, next=advice)


class UsageError(FtetlError, ValueError):
    """The command line, or an argument of the library, is wrong."""

    exit = EXITS["USAGE"]


class DataError(FtetlError, ValueError):
    """A response as a whole breaks the contract, or a guard stopped the run; nothing was committed."""

    exit = EXITS["DATA"]


class UnavailableError(FtetlError, ConnectionError):
    """The API could not be reached within the deadline; try again later."""

    exit = EXITS["UNAVAILABLE"]


class SoftwareError(FtetlError, RuntimeError):
    """A bug in ftetl: what was about to be written broke its own contract; nothing was committed."""

    exit = EXITS["SOFTWARE"]


class TargetError(FtetlError, OSError):
    """The target folder cannot be used: permission, read-only, not a folder, not a target of ftetl."""

    exit = EXITS["CANTCREAT"]


class StorageError(FtetlError, OSError):
    """The disk is full, an I/O error happened, or stored bytes are not those that were written."""

    exit = EXITS["IOERR"]


class TryLaterError(FtetlError, TimeoutError):
    """Another run holds the target, or the API asks for a longer wait than the deadline allows."""

    exit = EXITS["TEMPFAIL"]


class ProtocolError(FtetlError, ValueError):
    """The response is not one of the Together API: a web page, a redirect, an unknown endpoint."""

    exit = EXITS["PROTOCOL"]


class AccessError(FtetlError, PermissionError):
    """The API refused the key, or the account may not do this."""

    exit = EXITS["NOPERM"]


class ConfigError(FtetlError, ValueError):
    """A setting is missing or wrong."""

    exit = EXITS["CONFIG"]
