"""The errors that ftetl raises, and the table of exit codes."""

from ftetl.errors.exceptions import (
    EXITS,
    PREFIX,
    AccessError,
    ConfigError,
    DataError,
    Exit,
    FtetlError,
    ProtocolError,
    SoftwareError,
    StorageError,
    TargetError,
    TryLaterError,
    UnavailableError,
    UsageError,
)

__all__ = [
    "EXITS",
    "PREFIX",
    "AccessError",
    "ConfigError",
    "DataError",
    "Exit",
    "FtetlError",
    "ProtocolError",
    "SoftwareError",
    "StorageError",
    "TargetError",
    "TryLaterError",
    "UnavailableError",
    "UsageError",
]
