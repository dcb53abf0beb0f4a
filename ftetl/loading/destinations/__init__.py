"""Where `ftetl load` puts the tables: one module for each kind of destination, found by the scheme of its address.

A new destination is a new file here that has a function `load`, as `Destination` describes it. Its name is the scheme:
`duckdb:FILE` is loaded by `duckdb.py`. One that speaks SQL leaves the work to `ftetl.loading.sql_loader`, one of a
lakehouse to `ftetl.loading.lake_loader`. Importing this package, as the command line does, imports none of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Protocol, cast

from ftetl.errors import ConfigError
from ftetl.formatting import did_you_mean
from ftetl.load_result import Outcome

if TYPE_CHECKING:
    from ftetl.loading.load_source import LoadSource

SCHEMA = "ftetl"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(.*)", re.DOTALL)
_ALIASES = {"postgres": "postgresql"}  # other names of a scheme


@dataclass(frozen=True)
class LoadOptions:
    """How to load.

    Raises:
        ConfigError: The schema's name is not one.
    """

    schema: str = SCHEMA  # the schema (or namespace) of the tables, in systems that have such
    dry_run: bool = False  # find out what would change, and change nothing
    replace: bool = False  # also if a newer version, or another target of the same label, was loaded
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", self.schema):
            what = "the schema's name is not a plain word of up to 63 letters, digits and `_`"
            raise ConfigError("L07", what, next="give one like `--schema ftetl`")


class Destination(Protocol):
    """What each module in this folder has."""

    ADDRESS: str  # the form of its addresses, such as `duckdb:FILE`

    def load(self, address: str, source: LoadSource, options: LoadOptions) -> Outcome:
        """Make the destination's rows of the source's project equal to the source's.

        All tables or none, except in a lakehouse (`ftetl.loading.lake_loader`).

        `address` is the whole address, scheme included; in messages it is shown by `shown` only.

        Raises:
            FtetlError: The destination is as it was.
        """


@cache
def names() -> tuple[str, ...]:
    """The schemes of all destinations, in alphabetical order."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


def scheme_of(address: str) -> str:
    """The scheme of a destination's address, which is the name of its module.

    Raises:
        ConfigError: There is no such destination. The text is not shown, since it may hold a password.
    """
    found = _SCHEME.match(address)
    scheme = found[1].lower() if found else ""
    scheme = _ALIASES.get(scheme, scheme)
    if found is None or not found[2] or scheme not in names():
        forms = ", ".join(f"`{name}:...`" for name in names())
        what = f"there is no destination {scheme!r}" if scheme else "the destination's address has no scheme"
        if scheme in names():
            raise ConfigError("L01", f"nothing stands behind `{scheme}:`", next=f"write {find(f'{scheme}:x').ADDRESS}")
        raise ConfigError("L01", what, next=did_you_mean(scheme, names(), f"give one of: {forms}"))
    return scheme


def shown(address: str) -> str:
    """An address for messages: without user, password and parameters."""
    if "://" not in address:  # a path, which has neither; or an address that was meant to have `//`
        scheme, _, path = address.partition(":")
        is_address = scheme.startswith("postgres") or re.match(r"[a-z][a-z0-9]{2,}(\+\w+)?:", path, re.IGNORECASE)
        return f"{scheme}:..." if is_address else address
    return re.sub(r"//.*@", "//", address, flags=re.DOTALL).partition("?")[0]


def path_in(address: str) -> str:
    """The path in an address such as `duckdb:FILE`.

    Raises:
        ConfigError: It begins with two slashes, as in the URLs of other tools, where `sqlite:///x` is not `/x`.
    """
    scheme, _, path = address.partition(":")
    if path.startswith("//"):
        what = f"{address} is not an address: behind `{scheme}:` stands a path, and no `//`"
        raise ConfigError("L01", what, next=f"write `{scheme}:FILE` or `{scheme}:/FOLDER/FILE`")
    return path


def find(address: str) -> Destination:
    """The destination module for an address.

    Raises:
        ConfigError: There is none.
    """
    return cast("Destination", import_module(f"{__name__}.{scheme_of(address)}"))
