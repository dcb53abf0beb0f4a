"""Saved responses as a source: one file, a folder of files, or stdin.

A plain file is read in place. Compressed files and stdin are first decompressed into a scratch folder, so that they can
be read at any offset.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final
from weakref import WeakSet

from ftetl.clock import now
from ftetl.config import limits
from ftetl.errors import DataError, FtetlError
from ftetl.extract.endpoints import EndpointAnswer, EndpointRequest
from ftetl.extract.key_owner import KeyOwner
from ftetl.extract.source import Detail, SourceStats, skippable_error
from ftetl.raw.blob import Blob, File, Memory, Spooled
from ftetl.raw.decompress import Compression, decompress_to_file, read_chunks, sniff_compression
from ftetl.raw.response import Response, Shape, file_stamp

STDIN: Final = "-"
_SHAPES: Final = {".json": Shape.DOCUMENT, ".ndjson": Shape.LINES, ".jsonl": Shape.LINES}
_COMPRESSIONS: Final = {".gz": Compression.GZIP, ".zst": Compression.ZSTD}
ACCEPTED: Final = f"{', '.join(_SHAPES)}, each also with {' or '.join(_COMPRESSIONS)}"


class SavedFiles:
    """The responses in a file, in a folder's files, or (`-`) in stdin.

    Args:
        path: The file or folder, or `-`.
        scratch: Makes the folder for decompressed files; called only if there is one.
        max_bytes: Limits a decompressed file; a plain file has no limit.
        skip_broken: Whether to leave out the files of a folder that cannot be read; `skipped` names them.
        observed_at: Dates the responses; else a file has its modification time, and stdin the present time.
        stdin: Is read instead of this process's.

    Raises:
        DataError: There is no such file or folder, or nothing in it that could be a response.
    """

    stats = SourceStats()
    service: str | None = None  # a saved response does not name its service
    owner: KeyOwner | None = None

    def __init__(
        self,
        path: Path | str,
        *,
        scratch: Callable[[], Path],
        max_bytes: int = limits.MAX_BYTES,
        skip_broken: bool = False,
        observed_at: datetime | None = None,
        stdin: BinaryIO | None = None,
    ) -> None:
        self._scratch = scratch
        self._max_bytes = max_bytes
        self._skip_broken = skip_broken
        self._observed_at = observed_at
        self._stdin = stdin
        self._opened: WeakSet[Spooled] = WeakSet()
        self._is_folder = False
        self._ahead: Response | None = None  # of the only file, opened before it is asked for
        self.files: tuple[Path, ...] = ()  # the originals; none for stdin
        self.notes: tuple[str, ...] = ()
        self.skipped: tuple[str, ...] = ()
        if str(path) != STDIN:
            self._is_folder, self.files = _find_files(Path(path))
            if self._is_folder:
                self.notes = _skipped_files_note(Path(path), self.files)

    def search_ahead(self) -> None:
        """Begin to search the file for secrets, if it is a large plain one alone: in threads, beside slow imports.

        What is wrong with it is said by `responses`.
        """
        from ftetl.raw.secret_search import LARGE, SecretSearch  # slow to import

        with suppress(FtetlError, OSError):
            path = self.files[0] if len(self.files) == 1 else Path()
            if not self._is_folder and path.suffix.lower() in _SHAPES and path.stat().st_size >= LARGE:
                response = self._read_file(path)
                self._ahead = replace(response, search=SecretSearch(response.blob))

    def responses(self) -> Iterable[Response]:
        """The responses, in the order of their names, each opened when it is reached.

        Raises:
            DataError: One cannot be read, is cut short or damaged, or decompresses to more than `max_bytes`.
            StorageError: The disk is full.
        """
        self.skipped = ()  # they may be read once more
        if not self.files:
            yield self._read_stdin()
        for path in self.files:
            try:
                response = self._take_ahead(path) or self._read_file(path)
            except DataError as error:
                if not self._is_folder:
                    raise
                if not self._skip_broken:
                    raise skippable_error(error) from None
                self.skipped += (error.what,)
            else:
                yield response

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:  # noqa: ARG002 - of the Source protocol
        """Nothing."""
        return iter(())

    def endpoints(self, requests: Sequence[EndpointRequest]) -> Iterator[EndpointAnswer]:  # noqa: ARG002 - as above
        """Nothing."""
        return iter(())

    def close(self) -> None:
        """Close all files, which also frees what was decompressed; safe to call twice."""
        if self._ahead is not None:
            self._ahead.search.close()
        for file in list(self._opened):
            file.close()

    def _take_ahead(self, path: Path) -> Response | None:
        """The response that was opened before, if the file is still the same."""
        ahead, self._ahead = self._ahead, None
        with suppress(OSError):
            if ahead is None or ahead.stamp == file_stamp(path):
                return ahead
        assert ahead is not None
        ahead.search.close()
        return None

    def _read_file(self, path: Path) -> Response:
        shape, compression = _SHAPES[_inner_suffix(path)], _COMPRESSIONS.get(path.suffix.lower(), Compression.NONE)
        try:
            modified, stamp = datetime.fromtimestamp(path.stat().st_mtime, UTC), file_stamp(path)
            if compression is Compression.NONE:
                _require_uncompressed(path)
                blob = self._opened_blob(File(path))
            else:
                with path.open("rb") as file:
                    blob = self._decompress(read_chunks(file), compression, path.name)
        except FtetlError:
            raise
        except OSError as error:
            raise _unreadable(path, error) from None
        if _is_lines(blob):  # whatever the name says: several values are no JSON document
            shape = Shape.LINES
        several, observed_at = self._is_folder, self._observed_at or modified
        return Response(path.name, blob, observed_at, shape, not several, several=several, path=path, stamp=stamp)

    def _read_stdin(self) -> Response:
        stdin = self._stdin or getattr(sys.stdin, "buffer", None)
        advice = "pipe a response into it, or name a file"
        if stdin is None:
            raise DataError("F06", "there is no stdin to read from", next=advice)
        try:
            compression, pieces = sniff_compression(read_chunks(stdin))
            blob = self._decompress(pieces, compression, "stdin")
        except FtetlError:
            raise
        except OSError:
            raise DataError("F06", "stdin cannot be read", next=advice) from None
        shape = Shape.LINES if _is_lines(blob) else Shape.DOCUMENT
        return Response("stdin", blob, self._observed_at or now(), shape, whole=True)

    def _decompress(self, pieces: Iterable[bytes], compression: Compression, name: str) -> Blob:
        file = decompress_to_file(pieces, compression, self._scratch(), max_bytes=self._max_bytes, name=name)
        return self._opened_blob(file)

    def _opened_blob(self, file: Spooled) -> Blob:
        if self._is_folder and file.size <= limits.SMALL_FILE:
            try:
                return Memory(file.read(0, file.size))  # a folder may hold more files than a process may have open
            finally:
                file.close()
        self._opened.add(file)
        return file


def _is_lines(blob: Blob) -> bool:
    from ftetl.raw import parts  # slow to import, and not needed where the files are known

    return parts.is_lines(blob)


def _find_files(path: Path) -> tuple[bool, tuple[Path, ...]]:
    """Whether the path is a folder, and the files to read."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            files = sorted(file for file in path.iterdir() if not file.name.startswith(".") and _is_response(file))
            if not files:
                raise DataError(
                    "F07", f"there is no saved response in the folder {path}", next=f"accepted are {ACCEPTED}"
                )
            return True, tuple(files)
    except FtetlError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from None
    if not stat.S_ISREG(mode):
        advice = "to read from a pipe, give - and use stdin"
        raise DataError("F02", f"{path} is neither a file nor a folder", next=advice)
    if not _is_response(path):
        raise DataError("F03", f"{path} does not end like a saved response", next=f"accepted are {ACCEPTED}")
    return False, (path,)


def _skipped_files_note(folder: Path, files: Iterable[Path]) -> tuple[str, ...]:
    names = {file.name for file in files}
    others = sorted(p.name for p in folder.iterdir() if p.name not in names and not p.name.startswith("."))
    if not others:
        return ()
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return (f"in {folder} these are not saved responses and were not read: {', '.join(others[:5])}{more}",)


def _is_response(path: Path) -> bool:
    return _inner_suffix(path) in _SHAPES and path.is_file()


def _inner_suffix(path: Path) -> str:
    """The suffix of the decompressed file, in lower case."""
    name = Path(path.name.lower())
    return Path(name.stem).suffix if name.suffix in _COMPRESSIONS else name.suffix


def _require_uncompressed(path: Path) -> None:
    with path.open("rb") as file:
        compression, _ = sniff_compression(read_chunks(file))
    if compression is not Compression.NONE:
        suffix = next(suffix for suffix, known in _COMPRESSIONS.items() if known is compression)
        what = f"{path.name} is compressed ({compression.value}), and its name does not say so"
        raise DataError("F10", what, next=f"name it {path.name}{suffix}")


def _unreadable(path: Path, error: OSError) -> DataError:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return DataError("F01", f"there is no file or folder {path}", next="check the path given to --from")
        case PermissionError():
            return DataError("F04", f"{path} may not be read", next="check its permissions")
    return DataError("F05", f"{path} cannot be read", next="check the disk that it lies on")
