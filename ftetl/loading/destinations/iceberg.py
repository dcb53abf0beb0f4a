"""Apache Iceberg tables: `iceberg:FOLDER`, or `iceberg:URL?warehouse=FOLDER`. Needs the extra `iceberg`.

With a FOLDER the catalog is the SQLite file `catalog.db` in it, and the tables lie beside it. The URL is that of any
database which SQLAlchemy knows; `name=` is the catalog's name, under which the database lists its tables.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from ftetl.errors import ConfigError, FtetlError, StorageError, TargetError, TryLaterError
from ftetl.errors.os_errors import error_for_operation, translate_os_errors
from ftetl.formatting import shorten
from ftetl.load_result import Outcome
from ftetl.loading import iceberg_lake, lake_loader
from ftetl.loading.destinations import LoadOptions, path_in, shown
from ftetl.loading.destinations.sqlite import OS_ERRORS
from ftetl.loading.load_source import LoadSource

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

ADDRESS = "iceberg:FOLDER"
_FILE: Final = "catalog.db"
_NAME: Final = "ftetl"
_FORM: Final = "write iceberg:FOLDER, or a URL of SQLAlchemy such as sqlite:////FOLDER/catalog.db?warehouse=/FOLDER"
# Found by trial with pyiceberg 0.12.0, which cuts a path there and writes elsewhere.
_UNUSABLE: Final = re.compile(r"[\x00-\x1f#?]")


def load(address: str, source: LoadSource, options: LoadOptions) -> Outcome:
    """Load into the namespace of the schema's name, which is made if it is missing."""
    try:
        import pyiceberg.catalog  # noqa: F401
    except ModuleNotFoundError:
        advice = "install it with `pip install 'ftetl[iceberg]'`"
        raise ConfigError("L02", "pyiceberg is not installed", next=advice) from None
    place = _place(path_in(address))
    with (
        _translated(shown(address), place.folder),
        translate_os_errors("write to", place.folder),
        _open_catalog(place, options) as catalog,
    ):
        return lake_loader.load(iceberg_lake.lake(catalog, options.schema), source, options)


@dataclass(frozen=True)
class _Place:
    """A catalog: SQLAlchemy's URL of its database, its name there, and where its tables lie."""

    url: str
    name: str
    warehouse: str  # a URL
    folder: Path  # of the database where that is a file, else of the tables
    is_new: bool  # whether the database is a file that is missing


def _place(address: str) -> _Place:
    """The catalog that an address means.

    Raises:
        ConfigError: It is no database that SQLAlchemy knows, has a password, or no warehouse.
        TargetError: The folder cannot be used, or has other content.
    """
    if "://" not in address and re.match(r"\w[\w+]+:", address):  # not shown, since it may hold a password
        raise ConfigError("L22", "the address of the Iceberg catalog is no folder, and has no `//`", next=_FORM)
    return _place_of_url(address) if "://" in address else _place_of_folder(Path(os.path.realpath(address)))


def _place_of_folder(folder: Path) -> _Place:
    from sqlalchemy import URL

    file = folder / _FILE
    _require_usable(folder)
    with translate_os_errors("look at", folder):
        if folder.is_dir() and not file.exists() and any(folder.iterdir()):
            what = f"{folder} is not empty, and has no {_FILE}"
            raise TargetError("L05", what, next="name an empty folder, or a new one")
    url = URL.create("sqlite", database=str(file))
    return _Place(url.render_as_string(), _NAME, f"file://{folder}", folder, not file.exists())


def _place_of_url(address: str) -> _Place:
    from sqlalchemy import make_url
    from sqlalchemy.exc import SQLAlchemyError

    bare, _, query = address.partition("?")
    given = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
    warehouse, name = given.pop("warehouse", ""), given.pop("name", _NAME)
    try:
        url = make_url(bare).update_query_dict(given)
        url.get_dialect()
    except (SQLAlchemyError, ValueError):
        raise ConfigError("L22", "the address of the Iceberg catalog is no database", next=_FORM) from None
    if url.password is not None or any("password" in name for name in given):
        advice = "take it out, change it, and give it as the driver reads it, such as in PGPASSWORD"
        raise ConfigError("L31", "the address holds a password, which others on the machine can read", next=advice)
    if not warehouse:
        raise ConfigError("L22", "the address of the Iceberg catalog has no warehouse", next=_FORM)
    folder = Path(os.path.realpath(warehouse))
    if "://" not in warehouse:
        _require_usable(folder)
        warehouse = f"file://{folder}"
    is_new = False
    if url.get_backend_name() == "sqlite":
        file = Path(url.database or "")
        if not file.parent.is_dir():
            raise TargetError("L08", f"the folder {file.parent} is not there", next="make it, or correct the address")
        is_new = not file.exists()
    return _Place(url.render_as_string(), name, warehouse, folder, is_new)


def _require_usable(folder: Path) -> None:
    if _UNUSABLE.search(str(folder)):
        what = f"pyiceberg cannot use {folder}: its path has a control character, # or ?"
        raise TargetError("L08", what, next="choose a folder without them")
    with translate_os_errors("look at", folder):
        if not folder.parent.is_dir():
            raise TargetError("L08", f"the folder {folder.parent} is not there", next="make it, or correct the address")
        if folder.exists() and not folder.is_dir():
            raise TargetError("L08", f"{folder} is not a folder", next="name a folder, or a new one")
        if folder.exists() and not os.access(folder, os.W_OK):
            raise TargetError("L08", f"{folder} may not be written to", next="give this user the right to it")


@contextmanager
def _open_catalog(place: _Place, options: LoadOptions) -> Iterator[Catalog]:
    """The catalog; for a dry run one in memory where the database has none."""
    from pyiceberg.catalog.sql import SqlCatalog
    from sqlalchemy import inspect

    if not options.dry_run:
        place.folder.mkdir(exist_ok=True)
    catalog = SqlCatalog(
        place.name,
        uri="sqlite://" if options.dry_run and place.is_new else place.url,
        warehouse=place.warehouse,
        init_catalog_tables="true" if place.is_new or not options.dry_run else "false",
    )
    try:
        if not inspect(catalog.engine).has_table("iceberg_tables"):
            catalog.engine.dispose()
            catalog = SqlCatalog(place.name, uri="sqlite://", warehouse=place.warehouse)
        yield catalog
    finally:
        catalog.engine.dispose()


@contextmanager
def _translated(where: str, folder: Path) -> Iterator[None]:
    """Raise errors of pyiceberg and SQLAlchemy as ftetl's. Their text is not shown: it may hold values of the data."""
    from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, ValidationException
    from sqlalchemy.exc import OperationalError, SQLAlchemyError

    try:
        yield
    except FtetlError:
        raise
    except ModuleNotFoundError as error:
        what = f"{error.name}, which SQLAlchemy needs for {where}, is not installed"
        raise ConfigError("L02", what, next="install it with pip") from None
    except CommitFailedException:
        raise TryLaterError("L09", f"another program wrote to {where} meanwhile", next="load again") from None
    except OperationalError as error:
        raise _database_error(error.orig, where, folder) from None
    except (SQLAlchemyError, ValidationException, NoSuchTableError, ValueError, KeyError) as error:
        raise _failed(where, error) from None


def _database_error(error: BaseException | None, where: str, folder: Path) -> FtetlError:
    sqlite = str(getattr(error, "sqlite_errorname", ""))
    if sqlite.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return TryLaterError("L09", f"another program holds {where}", next="load again later")
    for name, number in OS_ERRORS.items():
        if sqlite.startswith(name):
            return error_for_operation(OSError(number, ""), "write to", folder)
    reason = shorten(" ".join(str(error).split()))  # of the connection: it has no values of the data
    what = f"the catalog's database does not answer: {reason}"
    return StorageError("L10", what, next="correct the address, or start the database, then load again")


def _failed(where: str, error: Exception) -> StorageError:
    what = f"pyiceberg cannot load into {where} ({type(error).__name__})"
    return StorageError("L10", what, next="look at the tables with pyiceberg; the next load completes this one")
