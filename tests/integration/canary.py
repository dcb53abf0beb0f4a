"""A made-up key and e-mail address, and the search for them in outputs and in all files, in every encoded form."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard

from ftetl import demo

KEY = "kanari-7Qz/2Wv+9Lx4=Rb8Nt3-Kp6Ms"
MAIL = "canary.bird+ft@aviary-5up9.example.org"
PIECE = 8  # characters in a row that are already too many


def encodings(text: str) -> Iterator[str]:
    """A text as it is, as in a URL, and in base64 wherever that may begin."""
    raw = text.encode()
    yield from (text, quote(text, safe=""))
    for before in range(3):
        packed = base64.b64encode(bytes(before) + raw).decode()[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
        yield from (packed, packed.replace("+", "-").replace("/", "_"))


def forms(text: str) -> Iterator[str]:
    """The encodings of a text, and the text turned around, in hexadecimal digits, and percent-encoded as a whole."""
    raw = text.encode()
    yield from (*encodings(text), text[::-1], raw.hex(), "".join(f"%{letter:02X}" for letter in raw))


def pieces(text: str, size: int = PIECE) -> set[str]:
    """All substrings of this length of all forms of a text."""
    return {form[start : start + size] for form in forms(text) for start in range(len(form) - size + 1)}


def words_pattern(words: Iterable[str]) -> str:
    """The pattern that matches any of these words."""
    return "|".join(re.escape(word) for word in sorted(words))


# The demo's key is that of most tests that speak to a server. Twelve characters, since it is nearly hexadecimal.
KEYS = words_pattern(pieces(KEY) | pieces(demo.DEFAULT_KEY, 12) | pieces(demo.SECOND_KEY, 12))
# An address may be known by its name alone, or by its domain.
MAILS = words_pattern({form for part in (MAIL, *MAIL.split("@"), MAIL.replace("@", "\\u0040")) for form in forms(part)})


def matching_indices(data: Sequence[bytes | str], pattern: str = KEYS) -> list[int]:
    """The indices of the parts that match the pattern, in any letter case; all in one call, which is what costs."""
    raw = [part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part for part in data]
    found = pc.match_substring_regex(pa.array(raw, pa.large_binary()), pattern, ignore_case=True)
    return pc.indices_nonzero(found).to_pylist()


def contains(data: bytes | str, pattern: str = KEYS) -> bool:
    """Whether it matches the pattern."""
    return bool(matching_indices([data], pattern))


def unpacked_contents(path: Path, data: bytes) -> Iterator[bytes]:
    """The bytes of a file, and their decompressed form."""
    yield data
    with_magic = {b"\x1f\x8b": _gunzipped, b"\x28\xb5": _unzstd, b"PA": _cells}
    if (unpack := with_magic.get(data[:2])) is not None:
        yield from unpack(path, data)


def _gunzipped(_: Path, data: bytes) -> Iterator[bytes]:
    try:
        yield gzip.decompress(data)
    except (OSError, EOFError, zlib.error):  # damaged by its test
        return


def _unzstd(_: Path, data: bytes) -> Iterator[bytes]:
    try:
        with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as stream:
            yield stream.read(1 << 28)
    except zstandard.ZstdError:
        return


def _cells(_: Path, data: bytes) -> Iterator[bytes]:
    """The texts in a Parquet file, as the bytes of their columns."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        names = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        for column in file.read(columns=names).columns:
            for chunk in column.chunks:
                yield (chunk.buffers()[2] or b"") and chunk.buffers()[2].to_pybytes()
    except (pa.ArrowInvalid, OSError):
        return


def files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, each once however many names it has."""
    seen: set[tuple[int, int]] = set()
    for above, _, names in os.walk(folder):
        for name in names:
            path = Path(above, name)
            if path.is_symlink() or not path.is_file():
                continue
            status = path.stat()
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                yield path


class Search:
    """Searches the output and the files of all tests for keys and addresses, equal bytes only once, and counts them."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("texts", "errors", "files", "bytes"), 0)
        self.matches: list[str] = []
        self._texts: list[tuple[str, bytes | str]] = []
        self._errors: dict[str, str] = {}

    def add_text(self, text: bytes | str | None) -> None:
        """Add an output of this test to the search."""
        self.counts["texts"] += 1
        if text:
            self._texts.append((os.environ.get("PYTEST_CURRENT_TEST", ""), text))
        if len(self._texts) >= 1000:
            self.search_now()

    def add_error(self, text: str) -> None:
        """Add the text of an error, which may not hold an address either."""
        self.counts["errors"] += 1
        self._errors[text] = os.environ.get("PYTEST_CURRENT_TEST", "")

    def search_now(self) -> None:
        """Search all that was added."""
        texts, self._texts = self._texts, []
        self.matches += [f"output of {texts[n][0]}" for n in matching_indices([text for _, text in texts])]
        errors, self._errors = self._errors, {}
        for pattern in (KEYS, MAILS):
            self.matches += [f"an error in {[*errors.values()][n]}" for n in matching_indices([*errors], pattern)]

    def search_folder(self, folder: Path, exempt: Collection[str]) -> None:
        """Search all files below a folder, except those with these names."""
        seen: set[bytes] = set()
        waiting: list[tuple[str, bytes]] = []
        size = 0
        for path in files(folder):
            if any(path.match(name) for name in exempt):
                continue
            try:
                data = path.read_bytes()
            except OSError:  # its test has taken the right to read it
                continue
            self.counts["files"] += 1
            digest = hashlib.blake2b(data, digest_size=16).digest()
            if digest not in seen:
                seen.add(digest)
                self.counts["bytes"] += len(data)
                waiting += ((str(path), part) for part in (os.fsencode(path), *unpacked_contents(path, data)))
                size += sum(len(part) for _, part in waiting[-2:])
            if size > 1 << 24:
                self._files(waiting)
                size = 0
        self._files(waiting)

    def _files(self, waiting: list[tuple[str, bytes]]) -> None:
        self.matches += sorted({waiting[n][0] for n in matching_indices([part for _, part in waiting])})
        waiting.clear()
