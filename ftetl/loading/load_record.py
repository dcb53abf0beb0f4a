"""The record of loads that a destination keeps in its table `_ftetl_loads`, and which loads it forbids."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ftetl.clock import now, parse_iso
from ftetl.contract import Column, Table
from ftetl.contract.arrow_schema import schema
from ftetl.errors import ConfigError
from ftetl.loading.load_source import LoadSource

LOADS = "_ftetl_loads"
CONTRACT = Table(
    name=LOADS,
    description="One row per load that changed anything: which version of which project stands in the tables.",
    key=("load",),
    columns=(
        Column("load", "integer", "Number of the load in this destination, from 1.", required=True),
        Column("project", "string", "The label of the project that was loaded.", required=True),
        Column("version", "integer", "The version of the target that was loaded.", required=True),
        Column("run_id", "string", "The run that made the version.", required=True),
        Column("committed_at", "datetime", "When the version was committed.", required=True, unit="UTC"),
        Column("loaded_at", "datetime", "When it was loaded.", required=True, unit="UTC"),
        Column("tables", "string", "The number of this project's rows in each table, as JSON.", required=True),
        Column("identity", "string", "Whose jobs these are, as far as it is known, as JSON.", required=True),
    ),
)
_OWNERS = ("organization_id", "project_id", "service")
_ADVICE = "`ftetl load --replace` puts this version in its place"


@dataclass(frozen=True)
class LoadRecord:
    """The newest load of a project."""

    version: int
    run_id: str
    identity: Mapping[str, str | None] = field(default_factory=dict)

    def is_of(self, source: LoadSource) -> bool:
        """Whether this very version was loaded."""
        return (self.version, self.run_id) == (source.version, source.run_id)


def row(source: LoadSource, number: int) -> pa.Table:
    """The row of `_ftetl_loads` for a load, now, with its number in the destination."""
    values: dict[str, Any] = {
        "load": number,
        "project": source.project,
        "version": source.version,
        "run_id": source.run_id,
        "committed_at": parse_iso(source.committed_at),
        "loaded_at": now(),
        "tables": json.dumps(dict(source.rows)),
        "identity": json.dumps({name: value for name, value in source.identity.items() if value is not None}),
    }
    return pa.Table.from_pylist([values], schema=schema(CONTRACT))


def require_allowed(source: LoadSource, last: LoadRecord | None) -> None:
    """Check that a load puts nothing older in the place of something newer, and no other project in a project's place.

    An older version is refused and not only told of, since otherwise of two loads that overlap the one that ends last
    would decide, and newer rows would be lost.

    Raises:
        ConfigError: A newer version was loaded, or the jobs of another project or organisation under the same label.
    """
    if last is None:
        return
    for name in _OWNERS:
        ours, theirs = source.identity.get(name), last.identity.get(name)
        if ours and theirs and ours != theirs:
            what = f"the destination has project {source.project!r} of another {name.removesuffix('_id')}"
            raise ConfigError("L04", what, next=f"export with a --project of its own, or {_ADVICE}")
    if source.version < last.version:
        what = f"the destination has version {last.version} of project {source.project!r}, "
        raise ConfigError("L03", f"{what}which is newer than version {source.version} of {source.target}", next=_ADVICE)
    if source.made(last.version, last.run_id) is False:
        what = f"the destination has version {last.version} of project {source.project!r} from another target"
        raise ConfigError("L04", what, next=f"export with a --project of its own, or {_ADVICE}")


def require_common_rows(source: LoadSource, *, known: int, common: int) -> None:
    """Check that of the rows that a destination has of a project some are in the version that is loaded.

    Raises:
        ConfigError: None is, so the label is probably that of two projects.
    """
    if known and not common:
        what = (
            f"{source.target} shares no row with the {known:,} that the destination has of project {source.project!r}"
        )
        raise ConfigError("L04", what, next=f"export with a --project of its own, or {_ADVICE}")
