"""Opens a committed snapshot and reads its tables, as Arrow tables or pandas frames.

The manifest is resolved once, so the tables belong together whatever a run commits meanwhile. Read-only; works on every
platform; imports pandas only for a frame.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ftetl.config.local_path import require_local_path
from ftetl.config.object_address import ObjectAddress, parse_address
from ftetl.contract import tables
from ftetl.errors import TargetError, UsageError
from ftetl.formatting import did_you_mean, html_table
from ftetl.snapshot.table_reader import open_tables
from ftetl.store import manifest as manifests
from ftetl.store.manifest import Manifest

if TYPE_CHECKING:
    import pandas as pd

    from ftetl.remote.reading import StoredVersion


class Tables:
    """All tables by name, and as attributes; subclasses read them."""

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables."""
        return tuple(tables())

    def arrow(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A table as Arrow, all of it or some columns."""
        raise NotImplementedError

    def frame(self, name: str) -> pd.DataFrame:
        """A table as a pandas frame whose columns are backed by Arrow, so that integers and money stay exact.

        Raises:
            UsageError: There is no such table.
            StorageError: Its file cannot be read, or is damaged.
        """
        import pandas as pd

        return self.arrow(name).to_pandas(types_mapper=pd.ArrowDtype)

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name.startswith("_") or name not in tables():
            raise AttributeError(f"a snapshot has no {name!r}; its tables are {', '.join(tables())}")
        return self.frame(name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *tables()]


class Snapshot(Tables):
    """All tables of one committed version.

    `snapshot.jobs`, `snapshot.events` and so on are pandas frames with Arrow-backed columns, made anew each time;
    `snapshot.arrow(name)` is the same table as a `pyarrow.Table`.
    """

    def __init__(self, target: Path | ObjectAddress, manifest: Manifest, stored: StoredVersion | None = None) -> None:
        self.target = target
        self.manifest = manifest
        self.root = stored.folder if stored else Path(str(target))  # the target, or a copy of what was read of it
        self.folder = manifests.snapshot_folder(self.root, manifest)
        self.version = manifest.version
        self.run_id = manifest.run_id
        self.committed_at = manifest.committed_at
        self.project: str = manifest.facts["identity"]["project"]
        self.rows: dict[str, int] = dict(manifest.facts["rows"])  # by table
        self._fetch = stored.fetch if stored else None
        self._stored = open_tables(self.root, manifest, self._fetch)

    def fetch(self, names: Iterable[str]) -> None:
        """Download files of a version in an object store; nothing for a target folder.

        Raises:
            StorageError: One is missing or damaged.
        """
        if self._fetch:
            self._fetch(names)

    def arrow(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A table as Arrow; with `columns`, only these are read, which saves memory and time for a large table.

        Raises:
            UsageError: There is no such table or column.
            StorageError: Its file cannot be read, or is damaged.
        """
        if name not in tables():
            advice = did_you_mean(name, tables(), f"choose one of: {', '.join(tables())}")
            raise UsageError("P04", f"there is no table {name!r}", next=advice)
        known = [column.name for column in tables()[name].columns]
        unknown = [column for column in columns or () if column not in known]
        if unknown:
            advice = did_you_mean(unknown[0], known, f"see `ftetl schema {name}`")
            raise UsageError("P04", f"{name} has no column {unknown[0]!r}", next=advice)
        return self._stored.read_table(name, columns)

    def __repr__(self) -> str:
        return f"<ftetl.Snapshot version {self.version} of {self.target}>"

    def _repr_html_(self) -> str:
        title = f"ftetl.Snapshot version {self.version} of {self.target}, committed {self.committed_at}"
        rows = [(name, self.rows.get(name, 0), len(table.columns)) for name, table in tables().items()]
        return html_table(title, ("table", "rows", "columns"), rows)


def open(target: str | os.PathLike[str], *, version: int | None = None) -> Snapshot:  # noqa: A001 - the public name
    """The newest snapshot of a target, or an older version that is still kept.

    Of a target in an object store the files are downloaded when a table is first read.

    Raises:
        TargetError: There is none.
        ConfigError: `target` is an address that is not supported.
        UsageError: `version` is not a version number.
        StorageError: There is no such version, or its manifest is damaged.
    """
    if version is not None and (type(version) is not int or version < 1):
        raise UsageError("P02", f"{version!r} is not a version number", next="see `ftetl runs` for those there are")
    if address := parse_address(target):
        from ftetl.remote.reading import StoredVersion

        stored = StoredVersion(address, version)
        return Snapshot(address, stored.manifest, stored)
    require_local_path(target)
    path = Path(target)
    if version is not None:
        return Snapshot(path, manifests.load_manifest(path, version))
    damage: list[str] = []
    manifest = manifests.newest_manifest(path, damage)
    if manifest is None:
        why = "".join(f" ({line})" for line in damage[:1])
        raise TargetError("T01", f"{path} has no snapshot{why}", next="run `ftetl export`")
    return Snapshot(path, manifest)
