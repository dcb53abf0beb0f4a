"""An Excel workbook of one project, a sheet for each table: `xlsx:FILE`. Needs the extra `xlsx`.

The file is replaced as a whole. One that ftetl did not write, that holds another project, or that was changed since is
left alone: its document properties tell.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from ftetl.clock import parse_iso
from ftetl.config.local_path import require_local_path
from ftetl.config.settings import FILE_MODE
from ftetl.contract.arrow_schema import schema
from ftetl.errors import ConfigError, TargetError, TryLaterError
from ftetl.errors.os_errors import translate_os_errors
from ftetl.load_result import Outcome, TableCounts
from ftetl.loading.destinations import LoadOptions, path_in
from ftetl.loading.load_record import LoadRecord, require_allowed
from ftetl.loading.load_source import LoadSource
from ftetl.loading.xlsx_cells import ROWS

ADDRESS = "xlsx:FILE"
# The document's properties, all of them texts.
_PROJECT: Final = "ftetl project"
_VERSION: Final = "ftetl version"
_RUN: Final = "ftetl run"
_COMMITTED: Final = "ftetl committed"
_CONTRACTS: Final = "ftetl contracts"
_IDENTITY: Final = "ftetl identity "  # with a name of `LoadSource.identity`
_COUNT: Final = "ftetl rows of "  # with the name of a table
_TIMES: Final = ("{http://purl.org/dc/terms/}created", "{http://purl.org/dc/terms/}modified")
_LONGEST: Final = 1 << 20  # bytes of a document of properties; ours have a few thousand
_NO_WORKBOOK: Final = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError, ElementTree.ParseError)
_ADVICE: Final = "move it away, or name another file"


def load(address: str, source: LoadSource, options: LoadOptions) -> Outcome:
    """Write the workbook anew, unless it has these tables. Its rows of before count as deleted, the new as inserted."""
    try:
        import xlsxwriter  # noqa: F401
    except ModuleNotFoundError:
        advice = "install it with `pip install 'ftetl[xlsx]'`"
        raise ConfigError("L02", "XlsxWriter is not installed", next=advice) from None
    file = Path(path_in(address))
    require_local_path(file)
    facts = _facts(source)
    with translate_os_errors("write", file):
        path = Path(os.path.realpath(file))
        if not path.parent.is_dir():
            raise TargetError("L08", f"the folder {path.parent} is not there", next="make it, or correct the address")
        found, is_untouched = _read_facts(path)
        if found == facts:
            return Outcome(False, {name: TableCounts(unchanged=rows) for name, rows in source.rows.items()})
        if os.path.lexists(path):
            _require_replaceable(path, found, source, options)
            if not is_untouched:
                raise TargetError("L21", f"{file} was changed since ftetl wrote it", next=_ADVICE)
        _require_fits(source)
        notes = () if options.dry_run else _replace(path, source, facts)
    before = {name: int(found.get(_COUNT + name, "0")) for name in source.rows}
    return Outcome(True, {name: TableCounts(rows, deleted=before[name]) for name, rows in source.rows.items()}, notes)


def _facts(source: LoadSource) -> dict[str, str]:
    """What the document's properties say; equal facts mean equal content."""
    contracts = "".join(source.contract(name).fingerprint for name in source.rows)
    return {
        _PROJECT: source.project,
        _VERSION: str(source.version),
        _RUN: source.run_id,
        _COMMITTED: source.committed_at,
        _CONTRACTS: hashlib.sha256(contracts.encode()).hexdigest(),
        **{_IDENTITY + name: value for name, value in source.identity.items() if value is not None},
        **{_COUNT + name: str(rows) for name, rows in source.rows.items()},
    }


def _read_facts(file: Path) -> tuple[dict[str, str], bool]:
    """Our properties of a workbook, and whether nobody saved it since; none where it is not ours, or not there."""
    try:
        with zipfile.ZipFile(file) as package:
            custom, core = (
                # Entities cannot fill the memory: expat stops them since 2.4.1.
                ElementTree.fromstring(package.open(f"docProps/{name}.xml").read(_LONGEST))  # noqa: S314
                for name in ("custom", "core")
            )
    except (FileNotFoundError, IsADirectoryError, *_NO_WORKBOOK):
        return {}, False
    facts = {str(each.get("name")): "".join(each.itertext()) for each in custom}
    created, modified = (core.findtext(name) for name in _TIMES)  # what saves the file moves the second one
    is_ours = {_PROJECT, _RUN} <= facts.keys() and facts.get(_VERSION, "").isdigit()
    return ({n: text for n, text in facts.items() if n.startswith("ftetl ")} if is_ours else {}), created == modified


def _require_replaceable(path: Path, found: Mapping[str, str], source: LoadSource, options: LoadOptions) -> None:
    if not found:
        raise TargetError("L05", f"{path} is there, and ftetl did not write it", next=_ADVICE)
    if found[_PROJECT] != source.project:
        what = f"{path} holds the project {found[_PROJECT]!r}, not {source.project!r}"
        raise ConfigError("L04", what, next="give each project a file of its own")
    if not options.replace:
        identity = {n.removeprefix(_IDENTITY): text for n, text in found.items() if n.startswith(_IDENTITY)}
        require_allowed(source, LoadRecord(int(found[_VERSION]), found[_RUN], identity))


def _require_fits(source: LoadSource) -> None:
    for name, rows in source.rows.items():
        if rows >= ROWS:
            what = f"{name} has {rows:,} rows, and a sheet of Excel holds {ROWS - 1:,} below its header"
            raise ConfigError("L20", what, next="load into a database, such as `duckdb:FILE`")


def _replace(path: Path, source: LoadSource, facts: Mapping[str, str]) -> tuple[str, ...]:
    """Write the workbook, and put it in the place of the file; what Excel cannot hold as it is."""
    from ftetl.loading.xlsx_workbook import Sheet, write_workbook

    sheets = (Sheet(name, rows, schema(source.contract(name)), source.read(name)) for name, rows in source.rows.items())
    with _work_folder(path) as folder:
        temp = folder / "new.xlsx"
        notes = write_workbook(temp, sheets, facts, parse_iso(source.committed_at))
        with temp.open("rb+") as stream:
            os.fsync(stream.fileno())
        temp.chmod(path.stat().st_mode & 0o777 if path.exists() else FILE_MODE)
        temp.replace(path)
    return tuple(notes)


@contextmanager
def _work_folder(file: Path) -> Iterator[Path]:
    """An empty folder beside the file; of two processes that load into the file only one gets it.

    Raises:
        TryLaterError: Another process has it.
    """
    import fcntl  # not on Windows, where exports do not run either

    folder = file.parent / f".{file.name}.ftetl"
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TryLaterError("L09", f"another load is writing {file}", next="load again later") from None
        try:
            for left in folder.iterdir():  # by a process that was killed
                left.unlink()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
