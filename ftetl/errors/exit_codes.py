"""The one table of exit codes: how a run can end, and what a scheduler should do then."""

from __future__ import annotations

from dataclasses import dataclass


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
        Exit(3, "PARTIAL", "committed, with new quarantine, or a detail or publish that failed", committed=True),
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
