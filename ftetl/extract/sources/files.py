"""Saved answers as a source: one file, a folder of them, or what comes through stdin.

Knows file names and compression, not what lies in an answer. A plain file is read where it lies; what is compressed or
comes through a pipe is first unpacked into a scratch folder, so that it can be read at any place.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final
from weakref import WeakSet

import msgspec

from ftetl.clock import now
from ftetl.config import limits
from ftetl.errors import DataError, FtetlError
from ftetl.extract.source import Detail, SourceStats
from ftetl.raw.blob import Blob, File, Memory, Spooled
from ftetl.raw.decompress import Compression, decompress_to_file, read_chunks, sniff_compression
from ftetl.raw.response import Response, Shape, file_stamp

STDIN: Final = "-"
_SHAPES: Final = {".json": Shape.DOCUMENT, ".ndjson": Shape.LINES, ".jsonl": Shape.LINES}
_COMPRESSIONS: Final = {".gz": Compression.GZIP, ".zst": Compression.ZSTD}
ACCEPTED: Final = f"{', '.join(_SHAPES)}, each also with {' or '.join(_COMPRESSIONS)}"
_BOM: Final = b"\xef\xbb\xbf"
_WINDOW: Final = 1 << 20


class SavedFiles:
    """The answers in a file, in a folder's files, or (`-`) in stdin.

    `scratch` gives the folder to unpack into, and is called when there is something to unpack. What is unpacked may
    have `max_bytes` a file; a plain file has no limit. Files are dated by `observed_at`, else by their modification
    time; stdin is dated now.

    Raises:
        DataError: There is no such file or folder, or nothing in it that could be an answer.
    """

    stats = SourceStats()
    service: str | None = None  # a saved answer does not say whose it is

    def __init__(
        self,
        path: Path | str,
        *,
        scratch: Callable[[], Path],
        max_bytes: int = limits.MAX_BYTES,
        observed_at: datetime | None = None,
        stdin: BinaryIO | None = None,
    ) -> None:
        self._scratch = scratch
        self._max_bytes = max_bytes
        self._observed_at = observed_at
        self._stdin = stdin
        self._opened: WeakSet[Spooled] = WeakSet()
        self._is_folder = False
        self.files: tuple[Path, ...] = ()  # the originals; none for stdin
        self.notes: tuple[str, ...] = ()
        if str(path) != STDIN:
            self._is_folder, self.files = _find(Path(path))
            if self._is_folder:
                self.notes = _passed_over(Path(path), self.files)

    def responses(self) -> Iterable[Response]:
        """The answers, in the order of their names, each opened when it is reached.

        Raises:
            DataError: One cannot be read, is cut short or damaged, or unpacks to more than `max_bytes`.
            StorageError: There is no room to unpack it.
        """
        if not self.files:
            yield self._from_stdin()
        for path in self.files:
            yield self._from_file(path)

    def details(self, job_ids: Sequence[str]) -> Iterator[Detail]:  # noqa: ARG002 - files answer no questions
        """Nothing."""
        return iter(())

    def close(self) -> None:
        """Close what was opened, and with it goes what was unpacked; safe to call twice."""
        for file in list(self._opened):
            file.close()

    def _from_file(self, path: Path) -> Response:
        shape, compression = _kind(path)
        try:
            modified, before = datetime.fromtimestamp(path.stat().st_mtime, UTC), file_stamp(path)
            if compression is Compression.NONE:
                _require_plain(path)
                blob = self._open(path)
            else:
                with path.open("rb") as packed:
                    blob = self._unpack(read_chunks(packed), compression, path.name)
        except FtetlError:
            raise
        except OSError as error:
            raise _unreadable(path, error) from None
        whole = shape is Shape.DOCUMENT and not self._is_folder
        return Response(path.name, blob, self._observed_at or modified, shape, whole, path, stamp=before)

    def _from_stdin(self) -> Response:
        stdin = self._stdin or getattr(sys.stdin, "buffer", None)
        if stdin is None:
            raise DataError("F06", "there is no stdin to read from", next="pipe an answer into it, or name a file")
        try:
            compression, pieces = sniff_compression(read_chunks(stdin))
            blob = self._unpack(pieces, compression, "stdin")
        except FtetlError:
            raise
        except OSError:
            raise DataError("F06", "stdin cannot be read", next="pipe an answer into it, or name a file") from None
        shape = Shape.LINES if _is_lines(blob) else Shape.DOCUMENT
        return Response("stdin", blob, self._observed_at or now(), shape, whole=shape is Shape.DOCUMENT)

    def _unpack(self, pieces: Iterable[bytes], compression: Compression, name: str) -> Blob:
        limit = self._max_bytes
        return self._kept(decompress_to_file(pieces, compression, self._scratch(), max_bytes=limit, name=name))

    def _open(self, path: Path) -> Blob:
        return self._kept(File(path))

    def _kept(self, file: Spooled) -> Blob:
        if self._is_folder and file.size <= limits.SMALL_FILE:
            try:
                return Memory(file.read(0, file.size))  # a folder may hold more files than a process may have open
            finally:
                file.close()
        self._opened.add(file)
        return file


def _find(path: Path) -> tuple[bool, tuple[Path, ...]]:
    """Whether the path is a folder, and the files to read."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            files = sorted(file for file in path.iterdir() if not file.name.startswith(".") and _is_answer(file))
            if not files:
                raise DataError("F07", f"no saved answer lies in the folder {path}", next=f"accepted are {ACCEPTED}")
            return True, tuple(files)
    except FtetlError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from None
    if not stat.S_ISREG(mode):
        raise DataError(
            "F02", f"{path} is neither a file nor a folder", next="to read from a pipe, give - and use stdin"
        )
    if not _is_answer(path):
        raise DataError("F03", f"{path} does not end like a saved answer", next=f"accepted are {ACCEPTED}")
    return False, (path,)


def _passed_over(folder: Path, files: Iterable[Path]) -> tuple[str, ...]:
    names = {file.name for file in files}
    others = sorted(p.name for p in folder.iterdir() if p.name not in names and not p.name.startswith("."))
    if not others:
        return ()
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return (f"in {folder} these are no saved answers and were not read: {', '.join(others[:5])}{more}",)


def _is_answer(path: Path) -> bool:
    return _inner(path).suffix in _SHAPES and path.is_file()


def _kind(path: Path) -> tuple[Shape, Compression]:
    inner = _inner(path)
    return _SHAPES[inner.suffix], _COMPRESSIONS.get(path.suffix.lower(), Compression.NONE)


def _require_plain(path: Path) -> None:
    with path.open("rb") as file:
        compression, _ = sniff_compression(read_chunks(file))
    if compression is not Compression.NONE:
        ending = next(ending for ending, known in _COMPRESSIONS.items() if known is compression)
        raise DataError(
            "F10",
            f"{path.name} is packed ({compression.value}), and its name does not say so",
            next=f"name it {path.name}{ending}",
        )


def _inner(path: Path) -> Path:
    """The name of what a file unpacks to, in lower case."""
    name = Path(path.name.lower())
    return Path(name.stem) if name.suffix in _COMPRESSIONS else name


def _is_lines(blob: Blob) -> bool:
    """Whether there is one job a line: more than one line, and the first one a whole JSON value.

    One odd job must not change what all others are, so a first line in braces with a whole object after it will do.
    """
    spans = list(islice(_lines(blob), 2))
    if len(spans) < 2:
        return False
    first, second = (blob.read(offset, length).removeprefix(_BOM).strip() for offset, length in spans)
    if _is_value(first):
        return True
    return first.startswith(b"{") and first.endswith(b"}") and second.startswith(b"{") and _is_value(second)


def _lines(blob: Blob) -> Iterator[tuple[int, int]]:
    """Where each line that is not blank begins, and how long it is; a long line is never held."""
    start = place = 0
    is_blank = True
    while window := blob.read(place, _WINDOW):
        at = 0
        while (end := window.find(b"\n", at)) >= 0:
            is_blank = is_blank and not window[at:end].strip()
            if not is_blank:
                yield start, place + end - start
            start, at, is_blank = place + end + 1, end + 1, True
        is_blank = is_blank and not window[at:].strip()
        place += len(window)
    if not is_blank:
        yield start, place - start


def _is_value(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def _unreadable(path: Path, error: OSError) -> DataError:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return DataError("F01", f"there is no file or folder {path}", next="check the path given to --from")
        case PermissionError():
            return DataError("F04", f"{path} may not be read", next="check its permissions")
    return DataError("F05", f"{path} cannot be read", next="check the disk that it lies on")
