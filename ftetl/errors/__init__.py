"""The errors that ftetl raises, and the table of exit codes."""

from ftetl.errors.exceptions import (
    PREFIX,
    AccessError,
    ConfigError,
    DataError,
    FtetlError,
    ProtocolError,
    SoftwareError,
    StorageError,
    TargetError,
    TryLaterError,
    UnavailableError,
    UsageError,
)
from ftetl.errors.exit_codes import EXITS, Exit

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
